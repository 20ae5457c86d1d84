use super::*;

const INTERVAL: Duration = Duration::from_micros(500);

fn usage(own_ms: u64, process_ms: u64, waits: u64) -> Usage {
    Usage {
        own: own_ms * 1_000_000,
        process: process_ms * 1_000_000,
        waits: Some(waits),
    }
}

fn verdict(wall_ms: u64, after: Usage, company: bool) -> Verdict {
    judge(
        Duration::from_millis(wall_ms),
        usage(0, 0, 0),
        after,
        company,
        INTERVAL,
    )
}

#[test]
fn a_sleep_is_waiting_whether_others_are_there_or_not() {
    assert_eq!(verdict(10, usage(0, 0, 1), false), Verdict::Waited);
    assert_eq!(verdict(10, usage(0, 0, 1), true), Verdict::Waited);
}

#[test]
fn a_query_in_many_round_trips_is_waiting() {
    assert_eq!(verdict(10, usage(1, 1, 60), true), Verdict::Waited);
    assert_eq!(verdict(2, usage(0, 0, 10), false), Verdict::Waited);
}

#[test]
fn a_call_that_had_the_processor_has_computed() {
    assert_eq!(verdict(10, usage(10, 10, 0), false), Verdict::Computed);
    assert_eq!(verdict(10, usage(10, 20, 3), true), Verdict::Computed);
}

#[test]
fn a_call_that_wanted_the_interpreter_was_hindered() {
    // Another thread of the process ran meanwhile.
    assert_eq!(verdict(10, usage(1, 10, 18), true), Verdict::Hindered);
    // It had no processor itself, but the interpreter was asked for at every interval.
    assert_eq!(verdict(10, usage(0, 0, 20), true), Verdict::Hindered);
}

#[test]
fn a_call_that_lost_the_processor_was_hindered() {
    assert_eq!(verdict(10, usage(1, 1, 0), false), Verdict::Hindered);
}

fn short_calls(pace: &Pace, count: u32) {
    for _ in 0..count {
        pace.note_pooled(Duration::from_micros(20), None);
    }
}

/// Counters from before a sleep, which is real: a thread that never waited has nothing to subtract from.
fn slept() -> Look {
    let waits = Usage::now().waits;
    std::thread::sleep(Duration::from_millis(1));
    Look {
        usage: Usage {
            own: u64::MAX,
            process: u64::MAX,
            waits,
        },
        company: false,
        arrivals: ARRIVALS.load(Relaxed),
    }
}

#[test]
fn sixty_four_short_calls_in_a_row_promote() {
    let pace = Pace::default();
    short_calls(&pace, 63);
    assert!(!pace.is_inline());
    short_calls(&pace, 1);
    assert!(pace.is_inline());
}

#[test]
fn a_long_call_begins_the_row_anew_but_the_first_one_says_nothing() {
    let pace = Pace::default();
    short_calls(&pace, 10);
    pace.note_pooled(Duration::from_millis(300), None);
    assert!(!pace.is_suspect());
    short_calls(&pace, 50);
    pace.note_pooled(Duration::from_millis(3), None);
    assert!(pace.is_suspect());
    short_calls(&pace, 63);
    assert!(!pace.is_inline());
    short_calls(&pace, 1);
    assert!(pace.is_inline());
}

#[test]
fn three_waits_among_a_hundred_inline_calls_demote_for_longer_each_time() {
    let pace = Pace::default();
    for round in [64 * 8, 64 * 8 * 8] {
        short_calls(&pace, 64 * 8);
        assert!(pace.is_inline());
        let long = Duration::from_millis(20);
        // The first one makes the route suspect only.
        assert!(pace.note_inline(long, None).is_none());
        assert!(pace.note_inline(long, Some(&slept())).is_none());
        assert!(pace.note_inline(long, Some(&slept())).is_none());
        let demotion = pace.note_inline(long, Some(&slept())).expect("three waits");
        assert_eq!((demotion.times.len(), demotion.needed), (3, round));
        assert!(!pace.is_inline());
        short_calls(&pace, 64);
        assert!(!pace.is_inline());
    }
}

#[test]
fn waits_far_apart_do_not_demote() {
    let pace = Pace::default();
    short_calls(&pace, 64);
    let long = Duration::from_millis(20);
    pace.note_inline(long, None);
    for _ in 0..10 {
        assert!(pace.note_inline(long, Some(&slept())).is_none());
        for _ in 0..60 {
            assert!(
                pace.note_inline(Duration::from_micros(9), Some(&slept()))
                    .is_none()
            );
        }
    }
    assert!(pace.is_inline());
}

#[test]
fn a_body_that_is_generated_keeps_its_view_in_the_pool() {
    let pace = Pace::default();
    short_calls(&pace, 63);
    pace.note_stream();
    short_calls(&pace, 63);
    assert!(!pace.is_inline());
    short_calls(&pace, 1);
    pace.note_stream();
    assert!(!pace.is_inline());
}

#[test]
fn a_stopwatch_asks_for_a_closer_look_after_a_longer_call_and_no_sooner() {
    let pace = Pace::default();
    let mut watch = Stopwatch::default();
    short_calls(&pace, PROMOTION);
    assert!(pace.is_inline());
    // Nothing began: there is nothing to judge.
    assert!(watch.end(&pace).is_none());
    watch.begin(&pace);
    std::thread::sleep(Duration::from_millis(2));
    assert!(watch.end(&pace).is_none());
    assert!(pace.is_suspect());
    let mut demotion = None;
    for call in 1..=3 {
        watch.forget();
        watch.begin(&pace);
        std::thread::sleep(Duration::from_millis(5));
        demotion = watch.end(&pace);
        assert!(demotion.is_none() || call >= 3);
    }
    // Another process may have had the processor meanwhile, which is no fault of the view's.
    if let Some(demotion) = demotion {
        assert_eq!((demotion.calls, demotion.needed), (3, PROMOTION * AGAIN));
        assert_eq!(demotion.times.len(), 3);
        assert!(!pace.is_inline());
    }
}

#[test]
fn only_an_enlisted_thread_can_stand_apart() {
    std::thread::spawn(|| {
        assert!(Apart::begin().is_none());
        enlist();
        let _attached = Attached::begin();
        let before = ARRIVALS.load(Relaxed);
        let apart = Apart::begin();
        assert!(apart.is_some());
        drop(apart);
        // Its return is an arrival: whoever is being judged was not alone.
        assert!(ARRIVALS.load(Relaxed) > before);
    })
    .join()
    .unwrap();
}
