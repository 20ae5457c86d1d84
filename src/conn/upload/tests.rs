//! Bodies read while they arrive, without sockets.

use super::super::tests::Bench;
use super::super::{End, Fault, Feed, Phase, Progress};
use crate::config::Config;
use proptest::prelude::*;
use std::sync::Arc;

const FIXED: &[u8] = b"POST /f HTTP/1.1\r\nHost: x\r\nContent-Length: 26\r\n\r\n";
const CHUNKED: &[u8] = b"POST /c HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
const CHUNKS: &[u8] =
    b"3\r\nabc\r\n4;x=y\r\ndefg\r\n13\r\nhijklmnopqrstuvwxyz\r\n0\r\nT: z\r\n\r\n";
const ALPHABET: &[u8] = b"abcdefghijklmnopqrstuvwxyz";

fn bench(max_body_in_memory: usize) -> Bench {
    let mut bench = Bench::new(Config {
        max_body_in_memory,
        max_body: 10_000_000,
        ..Config::default()
    });
    bench.shared.offers_bodies = true;
    bench
}

/// What a reader gets without waiting, and the end if it has come.
fn read(feed: &Feed) -> (Vec<u8>, Option<End>) {
    let mut got = Vec::new();
    loop {
        let taken = feed.take(7);
        for piece in &taken.pieces {
            got.extend_from_slice(piece);
        }
        if taken.len == 0 {
            return (got, taken.end);
        }
    }
}

fn receive(bench: &mut Bench, bytes: &[u8]) -> Progress {
    bench.arena.spare()[..bytes.len()].copy_from_slice(bytes);
    let view = bench.arena.commit(bytes.len());
    bench.conn.handle_bytes(view, &mut bench.shared)
}

fn begin(bench: &mut Bench) -> Arc<Feed> {
    let (request, _) = bench.conn.take_offer(&bench.shared).unwrap();
    assert!(request.text(request.head.fields[0].value) == b"x");
    bench.conn.begin_body(&mut bench.shared).unwrap()
}

/// Sends it in pieces, reading after each, with a request behind it; whether it was buffered, and what came.
fn body_of<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> (bool, Vec<u8>) {
    let mut bench = bench(10);
    let mut feed = None;
    let mut got = Vec::new();
    let mut answered = false;
    for piece in pieces {
        let mut progress = receive(&mut bench, piece);
        while progress == Progress::Ready && bench.conn.phase() != Phase::Serving {
            if bench.conn.phase() == Phase::Offered {
                feed = Some(begin(&mut bench));
                break;
            }
            let request = bench.conn.take_request().unwrap();
            if request.bytes.starts_with(b"POST") {
                got.extend_from_slice(request.body.bytes());
            } else {
                answered = true;
            }
            let none = std::iter::empty();
            bench.conn.reply(&bench.shared, 200, None, b"", none, b"ok");
            progress = bench.conn.advance(&mut bench.shared);
        }
        if let Some(feed) = &feed {
            let (part, end) = read(feed);
            got.extend_from_slice(&part);
            if end.is_some() && bench.conn.phase() == Phase::Serving {
                assert_eq!(end, Some(Ok(())));
                let none = std::iter::empty();
                bench.conn.reply(&bench.shared, 200, None, b"", none, b"ok");
                if bench.conn.advance(&mut bench.shared) == Progress::Ready {
                    answered |= bench.conn.take_request().is_some();
                }
            }
        }
        bench.end_turn();
    }
    assert!(answered, "the request behind it was not read");
    (feed.is_none(), got)
}

const NEXT: &[u8] = b"GET /n HTTP/1.1\r\nHost: x\r\n\r\n";

#[test]
fn a_body_split_anywhere_is_the_same() {
    for (head, body) in [(FIXED, ALPHABET), (CHUNKED, CHUNKS)] {
        let whole = [head, body, NEXT].concat();
        assert_eq!(body_of([&whole[..]].into_iter()), (true, ALPHABET.to_vec()));
        for at in 1..whole.len() {
            let (first, second) = whole.split_at(at);
            let (_, got) = body_of([first, second].into_iter());
            assert_eq!(got, ALPHABET, "split at {at}");
        }
        let (buffered, got) = body_of(whole.chunks(1));
        assert_eq!((buffered, &got[..]), (false, ALPHABET));
    }
}

proptest! {
    #[test]
    fn random_pieces_of_a_body_are_the_same(cuts in proptest::collection::vec(1usize..200, 0..12), chunked: bool) {
        let whole = if chunked { [CHUNKED, CHUNKS, NEXT].concat() } else { [FIXED, ALPHABET, NEXT].concat() };
        let mut cuts: Vec<usize> = cuts.into_iter().filter(|cut| *cut < whole.len()).collect();
        cuts.extend([0, whole.len()]);
        cuts.sort_unstable();
        let pieces = cuts.windows(2).filter(|w| w[0] < w[1]).map(|w| &whole[w[0]..w[1]]);
        prop_assert_eq!(body_of(pieces).1, ALPHABET);
    }
}

#[test]
fn what_is_declined_is_received_in_full_and_offered_again_past_its_bound() {
    let mut bench = bench(10);
    assert_eq!(receive(&mut bench, CHUNKED), Progress::Ready);
    let (request, is_large) = bench.conn.take_offer(&bench.shared).unwrap();
    assert!(!is_large);
    bench.conn.decline(request, 10);
    assert_eq!(receive(&mut bench, b"3\r\nabc\r\n"), Progress::Waiting);
    assert_eq!(bench.conn.phase(), Phase::Reading);
    assert_eq!(receive(&mut bench, b"8\r\ndefghijk\r\n"), Progress::Ready);
    let (request, is_large) = bench.conn.take_offer(&bench.shared).unwrap();
    assert!(is_large);
    bench.conn.decline(request, usize::MAX);
    assert_eq!(receive(&mut bench, b"1\r\nl\r\n0\r\n\r\n"), Progress::Ready);
    let request = bench.conn.take_request().unwrap();
    assert_eq!(request.body.bytes(), b"abcdefghijkl");
    assert_eq!(bench.conn.requests(), 1);
}

#[test]
fn small_declared_bodies_are_not_offered() {
    let mut bench = bench(26);
    assert_eq!(receive(&mut bench, FIXED), Progress::Waiting);
    assert_eq!(receive(&mut bench, ALPHABET), Progress::Ready);
    assert_eq!(bench.conn.phase(), Phase::Ready);
}

#[test]
fn a_reader_that_takes_nothing_stops_the_connection_from_being_read() {
    let mut bench = bench(10);
    let head = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9000000\r\n\r\n";
    assert_eq!(receive(&mut bench, head), Progress::Ready);
    let feed = begin(&mut bench);
    let mut sent = 0;
    while bench.conn.wants_bytes(&bench.shared) {
        receive(&mut bench, &[b'y'; 16 * 1024]);
        bench.end_turn();
        sent += 16 * 1024;
    }
    assert_eq!(sent, super::super::feed::WINDOW);
    assert!(!bench.conn.awaits_body());
    assert!(feed.take(1).has_room, "the first one that asks is told of");
    assert!(!feed.take(sent / 2 - 2).has_room);
    let taken = feed.take(1);
    assert!(taken.has_room, "the reader was to tell of the room");
    assert!(bench.conn.wants_bytes(&bench.shared));
}

#[test]
fn the_window_is_paid_for_and_given_back() {
    let mut bench = bench(10);
    receive(&mut bench, CHUNKED);
    let feed = begin(&mut bench);
    assert_eq!(bench.shared.body_memory.used(), super::super::feed::WINDOW);
    bench.conn.close(&mut bench.shared);
    assert_eq!(read(&feed).1, Some(Err(Fault::Disconnected)));
    drop(feed);
    assert_eq!(bench.shared.body_memory.used(), 0);
}

#[test]
fn a_body_without_memory_is_refused() {
    let mut bench = Bench::new(Config {
        max_body_memory: 1000,
        ..Config::default()
    });
    bench.shared.offers_bodies = true;
    receive(&mut bench, CHUNKED);
    bench.conn.take_offer(&bench.shared).unwrap();
    assert!(bench.conn.begin_body(&mut bench.shared).is_none());
}

#[test]
fn the_reader_hears_why_a_body_has_no_end() {
    let cases: [(&[u8], Fault); 3] = [
        (b"3\r\nabc\r\nnonsense\r\n", Fault::Refused(400)),
        (b"3\r\nabc\r\nFFFFFFF\r\n", Fault::Refused(413)),
        (b"3\r\nabc\r\n", Fault::Disconnected),
    ];
    for (bytes, fault) in cases {
        let mut bench = bench(10);
        receive(&mut bench, CHUNKED);
        let feed = begin(&mut bench);
        assert!(feed.await_more());
        let told = receive(&mut bench, bytes);
        assert_eq!(told, Progress::Ready, "a task waits");
        bench.conn.handle_eof(&mut bench.shared);
        assert_eq!(read(&feed), (b"abc".to_vec(), Some(Err(fault))));
        bench
            .conn
            .reply(&bench.shared, 400, None, b"", std::iter::empty(), b"no");
        bench.end_turn();
        assert_eq!(bench.conn.phase(), Phase::Closing);
    }
}

#[test]
fn a_client_that_is_too_slow_gets_the_readers_answer() {
    let mut bench = bench(10);
    receive(&mut bench, CHUNKED);
    let feed = begin(&mut bench);
    assert!(bench.conn.awaits_body());
    bench.conn.time_out(&mut bench.shared);
    assert_eq!(read(&feed).1, Some(Err(Fault::TimedOut)));
    assert_eq!(bench.conn.phase(), Phase::Serving);
}

#[test]
fn an_answer_before_the_end_of_the_body_closes_the_connection() {
    let mut bench = bench(10);
    receive(&mut bench, FIXED);
    let feed = begin(&mut bench);
    receive(&mut bench, b"abc");
    bench
        .conn
        .reply(&bench.shared, 200, None, b"", std::iter::empty(), b"enough");
    bench.end_turn();
    let sent = String::from_utf8(bench.sent).unwrap();
    assert!(sent.contains("Connection: close\r\n") && sent.ends_with("enough"));
    assert_eq!(bench.conn.phase(), Phase::Closing);
    assert_eq!(
        read(&feed),
        (b"abc".to_vec(), Some(Err(Fault::Disconnected)))
    );
}

#[test]
fn continue_is_sent_when_the_reader_begins() {
    let head = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 26\r\nExpect: 100-continue\r\n\r\n";
    let mut bench = bench(10);
    receive(&mut bench, head);
    let feed = begin(&mut bench);
    bench.conn.resume_body();
    bench.end_turn();
    assert_eq!(bench.sent, b"");
    assert!(!bench.conn.awaits_body(), "it is not the client's turn");
    assert!(feed.take(10).has_room, "the reactor is to be told");
    bench.conn.resume_body();
    bench.end_turn();
    assert_eq!(bench.sent, b"HTTP/1.1 100 Continue\r\n\r\n");
    receive(&mut bench, ALPHABET);
    assert_eq!(read(&feed), (ALPHABET.to_vec(), Some(Ok(()))));
}
