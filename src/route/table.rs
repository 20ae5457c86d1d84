//! Static edges: a short list beside the state where there are few, one hash table for the states with many.
//!
//! A segment costs one probe, however many rules there are. Its first bytes are compared as one number, which stands
//! in the slot itself: most segments are found in one cache line. Keys are the developer's rules, so a lookup's cost
//! does not depend on what a client sends beyond hashing its bytes once.

/// From a state and a segment to the next state.
#[derive(Debug, Default)]
pub(super) struct Table {
    near: Box<[Slot]>,
    /// Open addressing, at most half full.
    slots: Box<[Slot]>,
    long: Box<[u8]>,
}

/// A segment, read once for all the lookups it takes part in.
#[derive(Debug, Clone, Copy)]
pub(super) struct Segment<'t> {
    pub(super) text: &'t str,
    head: u128,
    hash: u64,
}

/// A static edge.
#[derive(Debug, Clone, Copy)]
struct Slot {
    parent: u32,
    child: u32,
    length: u32,
    /// Where what does not fit into `head` stands in `Table::long`.
    start: u32,
    head: [u64; 2],
}

// No state: the root is never anybody's child.
const EMPTY: u32 = 0;
const HEAD: usize = 16;
// A scan of so many slots beside the state is cheaper than a probe somewhere else.
const FEW: usize = 4;

/// The static edges of a state.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Statics {
    /// A bit for each key, by its hash: most segments that are no key are told from those that may be by it.
    mask: u32,
    start: u32,
    /// 0 beside a mask if they stand in the hash table.
    count: u32,
}

impl Statics {
    pub(super) fn is_empty(self) -> bool {
        self.mask == 0
    }
}

/// Collects the edges of all states.
#[derive(Debug, Default)]
pub(super) struct TableBuilder {
    near: Vec<Slot>,
    far: Vec<(Slot, u64)>,
    long: Vec<u8>,
}

impl TableBuilder {
    /// Adds the edges of one state; no key is empty.
    pub(super) fn add(&mut self, parent: u32, edges: &[(&str, u32)]) -> Statics {
        let mut statics = Statics {
            mask: 0,
            start: self.near.len() as u32,
            count: if edges.len() > FEW {
                0
            } else {
                edges.len() as u32
            },
        };
        for &(key, child) in edges {
            let segment = Segment::new(key);
            statics.mask |= segment.bit();
            let slot = Slot {
                parent,
                child,
                length: key.len() as u32,
                start: self.long.len() as u32,
                head: halves(segment.head),
            };
            self.long.extend_from_slice(tail(key.as_bytes()));
            if edges.len() > FEW {
                self.far.push((slot, segment.hash));
            } else {
                self.near.push(slot);
            }
        }
        statics
    }

    pub(super) fn build(self) -> Table {
        let size = (self.far.len() * 2).next_power_of_two();
        let vacant = Slot {
            parent: 0,
            child: EMPTY,
            length: 0,
            start: 0,
            head: [0; 2],
        };
        let mut slots = vec![vacant; size];
        for (slot, hash) in self.far {
            let mut index = place(slot.parent, hash) & (size - 1);
            while slots[index].child != EMPTY {
                index = (index + 1) & (size - 1);
            }
            slots[index] = slot;
        }
        Table {
            near: self.near.into(),
            slots: slots.into(),
            long: self.long.into(),
        }
    }
}

impl Table {
    /// The child over a segment, which is not empty.
    pub(super) fn get(&self, parent: u32, statics: Statics, segment: &Segment<'_>) -> Option<u32> {
        if statics.mask & segment.bit() == 0 {
            return None;
        }
        if statics.count != 0 {
            let start = statics.start as usize;
            let slots = &self.near[start..start + statics.count as usize];
            return slots
                .iter()
                .find(|slot| self.holds(slot, segment))
                .map(|slot| slot.child);
        }
        let mask = self.slots.len() - 1;
        let mut index = place(parent, segment.hash) & mask;
        loop {
            let slot = &self.slots[index];
            if slot.child == EMPTY {
                return None;
            }
            if slot.parent == parent && self.holds(slot, segment) {
                return Some(slot.child);
            }
            index = (index + 1) & mask;
        }
    }

    fn holds(&self, slot: &Slot, segment: &Segment<'_>) -> bool {
        if slot.length as usize != segment.text.len() || slot.head != halves(segment.head) {
            return false;
        }
        let rest = tail(segment.text.as_bytes());
        let start = slot.start as usize;
        rest.is_empty() || self.long[start..start + rest.len()] == *rest
    }
}

impl<'t> Segment<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        let bytes = text.as_bytes();
        let head = head(bytes);
        let mut hash = mix(bytes.len() as u64, head);
        for chunk in tail(bytes).chunks(HEAD) {
            hash = mix(hash, self::head(chunk));
        }
        Self { text, head, hash }
    }

    fn bit(&self) -> u32 {
        1 << (self.hash >> 59)
    }
}

/// The first 16 bytes, padded with zeros. Read in overlapping pieces: a copy of so few bytes costs a call.
fn head(bytes: &[u8]) -> u128 {
    let n = bytes.len();
    if let Some(all) = bytes.first_chunk::<HEAD>() {
        return u128::from_le_bytes(*all);
    }
    if let (Some(first), Some(last)) = (bytes.first_chunk::<8>(), bytes.last_chunk::<8>()) {
        let last = u128::from(u64::from_le_bytes(*last));
        return u128::from(u64::from_le_bytes(*first)) | last << (8 * (n - 8));
    }
    if let (Some(first), Some(last)) = (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
        let last = u128::from(u32::from_le_bytes(*last));
        return u128::from(u32::from_le_bytes(*first)) | last << (8 * (n - 4));
    }
    let byte = |index: usize| u128::from(bytes[index]) << (8 * index);
    match n {
        0 => 0,
        _ => byte(0) | byte(n / 2) | byte(n - 1),
    }
}

fn halves(head: u128) -> [u64; 2] {
    [head as u64, (head >> 64) as u64]
}

fn tail(bytes: &[u8]) -> &[u8] {
    bytes.get(HEAD..).unwrap_or_default()
}

fn mix(state: u64, word: u128) -> u64 {
    const FACTOR: u64 = 0x9E37_79B9_7F4A_7C15;
    let [low, high] = halves(word);
    let state = (state.rotate_left(29) ^ low).wrapping_mul(FACTOR);
    (state.rotate_left(29) ^ high).wrapping_mul(FACTOR)
}

fn place(parent: u32, hash: u64) -> usize {
    const FACTOR: u64 = 0xD6E8_FEB8_6659_FD93;
    let mixed = (hash ^ u64::from(parent)).wrapping_mul(FACTOR);
    (mixed >> 32) as usize
}
