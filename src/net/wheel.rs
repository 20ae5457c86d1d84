//! A coarse timer wheel: a deadline costs nothing to move later, and idle connections cost nothing at all.
//!
//! A connection keeps its own deadline and the tick under which the wheel will look at it next; a deadline that
//! moves later leaves the wheel alone, and the entry moves on when its tick comes. So a keep-alive connection
//! is touched once a round, not once a request.

use std::time::{Duration, Instant};

/// One slot of the wheel; deadlines fire up to this much late, never early.
pub(super) const TICK: Duration = Duration::from_millis(128);

/// A round of 512 slots is 65 s; a later deadline is looked at once a round.
const SLOTS: usize = 512;

/// A point in time, in ticks since the wheel was made.
pub(super) type Tick = u64;

pub(super) struct Wheel<T> {
    start: Instant,
    /// The first tick that was not fired yet.
    next: Tick,
    slots: Vec<Vec<(Tick, T)>>,
    /// One bit a slot: not empty.
    occupied: [u64; SLOTS / 64],
}

impl<T> Wheel<T> {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            start: now,
            next: 0,
            slots: (0..SLOTS).map(|_| Vec::new()).collect(),
            occupied: [0; SLOTS / 64],
        }
    }

    /// The tick at whose end `at` has passed.
    pub(super) fn tick(&self, at: Instant) -> Tick {
        let passed = at.saturating_duration_since(self.start);
        (passed.as_millis() / TICK.as_millis()) as Tick + 1
    }

    /// Puts an entry under `tick`, or under the farthest slot of this round; returns the tick it stands under.
    pub(super) fn insert(&mut self, tick: Tick, entry: T) -> Tick {
        let tick = tick.clamp(self.next, self.next + SLOTS as u64 - 1);
        let slot = (tick as usize) % SLOTS;
        self.slots[slot].push((tick, entry));
        self.occupied[slot / 64] |= 1 << (slot % 64);
        tick
    }

    /// How long until the next slot with entries is due.
    pub(super) fn until_next(&self, now: Instant) -> Option<Duration> {
        let first = (self.next as usize) % SLOTS;
        let slot = (0..=SLOTS / 64).find_map(|i| {
            let word = (first / 64 + i) % (SLOTS / 64);
            let mut bits = self.occupied[word];
            if i == 0 {
                bits &= u64::MAX << (first % 64);
            } else if i == SLOTS / 64 {
                bits &= !(u64::MAX << (first % 64));
            }
            (bits != 0).then(|| word * 64 + bits.trailing_zeros() as usize)
        })?;
        let ahead = (slot + SLOTS - first) % SLOTS;
        let due = self.start + TICK * (self.next as u32 + ahead as u32);
        Some(due.saturating_duration_since(now))
    }

    /// Moves every entry that is due at `now` into `due`, with the tick it stood under.
    pub(super) fn fire(&mut self, now: Instant, due: &mut Vec<(Tick, T)>) {
        let passed = now.saturating_duration_since(self.start).as_millis() / TICK.as_millis();
        let end = passed as Tick + 1;
        if end.saturating_sub(self.next) >= SLOTS as u64 {
            self.next = end - SLOTS as u64;
        }
        while self.next < end {
            let slot = (self.next as usize) % SLOTS;
            if !self.slots[slot].is_empty() {
                due.append(&mut self.slots[slot]);
                self.occupied[slot / 64] &= !(1 << (slot % 64));
            }
            self.next += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_fire_after_their_time_and_within_a_tick() {
        let start = Instant::now();
        let mut wheel = Wheel::new(start);
        for ms in [0u64, 1, 127, 128, 1000, 10_000, 64_000] {
            let at = start + Duration::from_millis(ms);
            wheel.insert(wheel.tick(at), ms);
        }
        let mut seen = Vec::new();
        for step in 0..1010u64 {
            let now = start + Duration::from_millis(step * 64);
            let mut due = Vec::new();
            wheel.fire(now, &mut due);
            for (_, ms) in due {
                assert!(step * 64 >= ms, "{ms} fired early");
                assert!(step * 64 <= ms + 256, "{ms} fired late");
                seen.push(ms);
            }
        }
        assert_eq!(seen.len(), 7);
        assert_eq!(wheel.until_next(start), None);
    }

    #[test]
    fn a_far_deadline_stands_under_the_last_slot_of_the_round() {
        let start = Instant::now();
        let mut wheel = Wheel::new(start);
        let tick = wheel.tick(start + Duration::from_secs(3600));
        assert!(wheel.insert(tick, ()) < tick);
        assert!(wheel.until_next(start).unwrap() > Duration::from_secs(60));
    }

    #[test]
    fn the_wait_is_never_shorter_than_the_earliest_entry_needs() {
        let start = Instant::now();
        let mut wheel = Wheel::new(start);
        let mut now = start;
        for round in 0..2000u64 {
            let at = now + Duration::from_millis(300 + round % 700);
            wheel.insert(wheel.tick(at), ());
            let wait = wheel.until_next(now).unwrap();
            assert!(wait <= Duration::from_millis(1200), "{wait:?}");
            now += wait;
            let mut due = Vec::new();
            wheel.fire(now, &mut due);
            assert!(!due.is_empty(), "round {round}");
        }
    }
}
