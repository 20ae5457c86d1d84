use super::*;
use std::sync::mpsc;

fn new() -> &'static Turnstile {
    Box::leak(Box::new(Turnstile::new()))
}

fn wait_until(turnstile: &Turnstile, length: usize) {
    let begun = Instant::now();
    while turnstile.line().waiting.len() != length {
        assert!(begun.elapsed() < Duration::from_secs(20));
        thread::yield_now();
    }
}

#[test]
fn they_come_in_the_order_they_asked() {
    // Who waits longer than its patience goes in without being called: then the order says nothing, and it is tried
    // again.
    for _ in 0..1000 {
        let turnstile = new();
        let inside = turnstile.enter();
        let (told, order) = mpsc::channel();
        let threads: Vec<_> = (0..3)
            .map(|number| {
                let told = told.clone();
                let thread = thread::spawn(move || {
                    let pass = turnstile.enter();
                    told.send((number, pass.0.is_some())).unwrap();
                });
                let begun = Instant::now();
                while turnstile.line().waiting.len() <= number && begun.elapsed() < PATIENCE {
                    thread::yield_now();
                }
                thread
            })
            .collect();
        drop(inside);
        for thread in threads {
            thread.join().unwrap();
        }
        let order: Vec<_> = order.try_iter().collect();
        assert!(!turnstile.line().taken);
        if order.iter().all(|(_, called)| *called) {
            assert_eq!(order, [(0, true), (1, true), (2, true)]);
            return;
        }
    }
    panic!("nobody was ever called within the patience");
}

#[test]
fn who_takes_long_holds_nobody_up() {
    let turnstile = new();
    let inside = turnstile.enter();
    let second = thread::spawn(move || turnstile.enter().0.is_some());
    assert!(!second.join().unwrap());
    // Known to be slow: nobody waits at all, and nobody is in line.
    assert!(turnstile.enter().0.is_none());
    wait_until(turnstile, 0);
    drop(inside);
    let pass = turnstile.enter();
    assert!(pass.0.is_some());
    assert!(!turnstile.line().slow);
}

#[test]
fn a_thread_that_is_alone_does_not_queue() {
    let turnstile = new();
    let alone = Member(turnstile);
    turnstile.members.store(1, Ordering::Relaxed);
    assert!(alone.enter().0.is_none());
    turnstile.members.store(2, Ordering::Relaxed);
    assert_eq!(alone.enter().0.is_some(), !cfg!(Py_GIL_DISABLED));
    assert!(!turnstile.line().taken);
}
