use super::*;
use mio::net::UnixStream;
use mio::{Interest, Token, Waker};
use std::os::unix::net;
use std::sync::Arc;

const LONG: Duration = Duration::from_secs(20);

struct Woken {
    poll: Poll,
    events: Events,
    waker: Arc<Waker>,
    waiting: Waiting,
}

impl Woken {
    fn new(busy_poll: Duration) -> Self {
        let poll = Poll::new().unwrap();
        let waker = Arc::new(Waker::new(poll.registry(), Token(0)).unwrap());
        Self {
            poll,
            events: Events::with_capacity(8),
            waker,
            waiting: Waiting::new(busy_poll),
        }
    }

    /// Sockets that it waits for, each with its other end.
    fn sources(&self, count: usize) -> Vec<(UnixStream, net::UnixStream)> {
        let registered = |index| {
            let (ours, theirs) = net::UnixStream::pair().unwrap();
            ours.set_nonblocking(true).unwrap();
            let mut ours = UnixStream::from_std(ours);
            let registry = self.poll.registry();
            registry
                .register(&mut ours, Token(1 + index), Interest::READABLE)
                .unwrap();
            (ours, theirs)
        };
        (0..count).map(registered).collect()
    }

    fn wait(&mut self, timeout: Option<Duration>) -> usize {
        self.waiting
            .wait(&mut self.poll, &mut self.events, timeout)
            .unwrap();
        self.events.iter().count()
    }

    /// Waits for an event that comes while it does.
    fn wait_for_another(&mut self) {
        let waker = Arc::clone(&self.waker);
        let other = thread::spawn(move || {
            thread::sleep(Duration::from_millis(20));
            waker.wake().unwrap();
        });
        assert_eq!(self.wait(None), 1);
        other.join().unwrap();
    }
}

#[test]
fn polls_after_a_short_wait_and_sleeps_after_a_long_one() {
    let mut woken = Woken::new(LONG);
    assert_eq!(woken.waiting.short, 0);
    woken.waker.wake().unwrap();
    assert_eq!(woken.wait(None), 1);
    assert_eq!(woken.waiting.short, 1);

    let mut woken = Woken::new(Duration::from_micros(1));
    woken.waiting.short = 1;
    assert_eq!(woken.wait(Some(Duration::from_millis(5))), 0);
    assert_eq!(woken.waiting.short, 0);
}

#[test]
fn an_event_ends_the_polling() {
    let mut woken = Woken::new(LONG);
    woken.waiting.short = 1;
    woken.wait_for_another();
}

#[test]
fn moments_in_vain_ask_for_more_short_waits() {
    let mut woken = Woken::new(Duration::from_micros(1));
    for wanted in [2, 4, 8] {
        woken.waiting.short = woken.waiting.wanted;
        assert_eq!(woken.wait(Some(Duration::from_millis(1))), 0);
        assert_eq!((woken.waiting.short, woken.waiting.wanted), (0, wanted));
    }
    // A long sleep without them says nothing new.
    assert_eq!(woken.wait(Some(Duration::from_millis(1))), 0);
    assert_eq!(woken.waiting.wanted, 8);
    woken.waiting.wanted = MOST;
    woken.waiting.short = MOST;
    assert_eq!(woken.wait(Some(Duration::from_millis(1))), 0);
    assert_eq!(woken.waiting.wanted, MOST);
}

#[test]
fn moments_that_events_end_ask_for_fewer() {
    let mut woken = Woken::new(LONG);
    woken.waiting.short = 8;
    woken.waiting.wanted = 8;
    woken.waiting.known[0] = Some(Token(0));
    // What is there already ends no moment.
    woken.waker.wake().unwrap();
    assert_eq!(woken.wait(None), 1);
    assert_eq!(woken.waiting.fruitful, 0);
    woken.waiting.fruitful = TRUSTED - 1;
    woken.wait_for_another();
    assert_eq!((woken.waiting.fruitful, woken.waiting.wanted), (0, 4));
}

#[test]
fn a_timeout_shorter_than_the_moment_is_kept() {
    let mut woken = Woken::new(LONG);
    woken.waiting.short = 1;
    assert_eq!(woken.wait(Some(Duration::from_millis(5))), 0);
    // That says nothing about how soon events come.
    assert_eq!(woken.waiting.short, 1);
}

#[test]
fn without_a_moment_it_sleeps_at_once() {
    let mut woken = Woken::new(Duration::ZERO);
    woken.waker.wake().unwrap();
    assert_eq!(woken.wait(None), 1);
    assert_eq!(woken.waiting.short, 0);
}

#[test]
fn many_events_at_once_are_followed_by_sleep() {
    let mut woken = Woken::new(LONG);
    let sources = woken.sources(FEW + 1);
    for (_, theirs) in &sources {
        std::io::Write::write_all(&mut &*theirs, b"x").unwrap();
    }
    assert_eq!(woken.wait(None), FEW + 1);
    // The next wait is no measure, however short it is.
    woken.waiting.short = 0;
    woken.waker.wake().unwrap();
    assert_eq!(woken.wait(None), 1);
    assert_eq!(woken.waiting.short, 0);
}

/// Has one of several sources after the other send an event; whether the last waits were ones that polling follows.
fn take_turns(sources: usize) -> bool {
    let mut woken = Woken::new(LONG);
    let pairs = woken.sources(sources);
    for _ in 0..3 {
        for (_, theirs) in &pairs {
            std::io::Write::write_all(&mut &*theirs, b"x").unwrap();
            assert_eq!(woken.wait(None), 1);
        }
    }
    woken.waiting.look_at(&woken.events);
    woken.waiting.short >= woken.waiting.wanted
}

#[test]
fn few_sources_are_polled_for_and_many_are_not() {
    for sources in 1..=KNOWN {
        assert!(take_turns(sources), "{sources}");
    }
    for sources in [KNOWN + 1, 2 * KNOWN, 40] {
        assert!(!take_turns(sources), "{sources}");
    }
}

#[test]
fn a_reactor_knows_of_others() {
    let both = (Waiting::new(LONG), Waiting::new(LONG));
    assert!(has_company());
    drop(both);
}
