//! Upgraded connections without sockets.

use super::*;
use crate::buf::{Arena, Budget, Flushed};
use crate::config::Config;
use crate::conn::PeerAddr;
use crate::ws::{Compression, Encoder, Kind};
use proptest::prelude::*;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

const HANDSHAKE: &[u8] =
    b"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

struct Bench {
    conn: Conn,
    shared: Shared,
    arena: Arena,
    sent: Vec<u8>,
    messages: Vec<Vec<u8>>,
    closed: Option<CloseReason>,
}

impl Bench {
    fn new(config: Config) -> Self {
        let budget = Budget::new(config.max_body_memory);
        let local = SocketAddr::from((Ipv4Addr::LOCALHOST, 80));
        let peer = Arc::new(PeerAddr::Inet { peer: local, local });
        Self {
            conn: Conn::new(config.h1_limits(), peer, 1),
            shared: Shared::new(Arc::new(config), budget),
            arena: Arena::new(),
            sent: Vec::new(),
            messages: Vec::new(),
            closed: None,
        }
    }

    fn open(config: Config) -> Self {
        let mut bench = Self::new(config);
        bench.turn(HANDSHAKE);
        assert_eq!(bench.conn.phase(), Phase::WebSocket);
        bench.sent.clear();
        bench
    }

    fn feed(&mut self, bytes: &[u8]) -> Progress {
        self.arena.spare()[..bytes.len()].copy_from_slice(bytes);
        let view = self.arena.commit(bytes.len());
        self.conn.handle_bytes(view, &mut self.shared)
    }

    /// A read, and a service that accepts and takes everything.
    fn turn(&mut self, bytes: &[u8]) {
        let mut progress = self.feed(bytes);
        while progress == Progress::Ready {
            if let Some(request) = self.conn.take_request() {
                let handshake =
                    Handshake::read(&request.head, &request.bytes, Compression::Off).unwrap();
                self.conn.follow();
                self.conn
                    .upgrade(&mut self.shared, &handshake, None, std::iter::empty());
            }
            self.take();
            progress = self.conn.advance(&mut self.shared);
        }
        self.flush();
    }

    fn take(&mut self) {
        while let Some(event) = self.conn.take_event() {
            match event {
                SocketEvent::Message(message) => self.messages.push(message.data),
                SocketEvent::Closed(reason) => self.closed = Some(reason),
            }
        }
    }

    fn flush(&mut self) {
        let flushed = self
            .conn
            .flush(&mut self.sent, &mut self.shared, usize::MAX);
        assert_eq!(flushed.unwrap(), Flushed::All);
        self.conn.settle();
        self.arena.rewind();
    }

    fn next_beat(&mut self) -> Option<Duration> {
        self.conn.next_beat(&self.shared, true).unwrap()
    }

    fn pass(&mut self, seconds: u64) {
        self.shared.now += Duration::from_secs(seconds);
    }

    /// The wait is over; in seconds, how long the next one is.
    fn beat(&mut self) -> Option<u64> {
        let wait = self.next_beat().unwrap();
        self.shared.now += wait;
        self.conn.beat(&mut self.shared);
        self.take();
        self.flush();
        self.next_beat().map(|wait| wait.as_secs())
    }
}

/// A client's frame of a short payload, masked with zeros.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first, 0x80 | payload.len() as u8, 0, 0, 0, 0];
    bytes.extend_from_slice(payload);
    bytes
}

#[test]
fn the_answer_is_what_rfc_6455_asks_for() {
    let mut bench = Bench::new(Config::default());
    bench.turn(HANDSHAKE);
    let text = String::from_utf8(bench.sent).unwrap();
    assert!(text.starts_with("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"));
    assert!(text.contains("\r\nConnection: Upgrade\r\n"));
    assert!(text.contains("\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"));
    assert!(!text.to_ascii_lowercase().contains("content-length"));
    assert!(text.ends_with("\r\n\r\n"));
}

#[test]
fn pings_are_answered_and_a_close_is_echoed() {
    let mut bench = Bench::open(Config::default());
    bench.turn(&frame(0x89, b"hi"));
    assert_eq!(bench.sent, b"\x8a\x02hi");
    bench.sent.clear();
    bench.turn(&[frame(0x81, b"last"), frame(0x88, b"\x0f\xa0bye")].concat());
    assert_eq!(bench.sent, b"\x88\x02\x0f\xa0");
    assert_eq!(bench.messages, [b"last"]);
    assert_eq!(bench.closed, Some(CloseReason::new(4000, "bye")));
    assert_eq!(bench.conn.phase(), Phase::Closing);
}

#[test]
fn a_fault_is_told_and_ends_the_connection() {
    let mut bench = Bench::open(Config::default());
    bench.turn(b"\x81\x02hi");
    assert_eq!(bench.sent[..4], *b"\x88\x1d\x03\xea");
    assert_eq!(bench.closed.unwrap().code, 1002);
    assert_eq!(bench.conn.phase(), Phase::Closing);
}

#[test]
fn reading_stops_while_messages_wait() {
    let mut bench = Bench::open(Config::default());
    assert!(bench.conn.wants_bytes(&bench.shared));
    let many = frame(0x81, b"x").repeat(EVENTS + 10);
    assert_eq!(bench.feed(&many), Progress::Ready);
    assert!(!bench.conn.wants_bytes(&bench.shared));
    bench.take();
    assert_eq!(bench.messages.len(), EVENTS);
    assert_eq!(bench.conn.advance(&mut bench.shared), Progress::Ready);
    bench.take();
    assert_eq!(bench.messages.len(), EVENTS + 10);
    assert!(bench.conn.wants_bytes(&bench.shared));
}

#[test]
fn what_was_not_taken_is_handed_over_when_the_connection_goes() {
    let mut bench = Bench::open(Config::default());
    bench.feed(&[frame(0x81, b"one"), frame(0x81, b"two")].concat());
    bench.conn.handle_eof(&mut bench.shared);
    assert_eq!(bench.conn.phase(), Phase::Closing);
    assert_eq!(bench.conn.take_followed().unwrap().len(), 2);
    assert!(Bench::new(Config::default()).conn.take_followed().is_none());
}

#[test]
fn one_that_left_behind_more_than_may_wait_loses_nothing() {
    let mut bytes = frame(0x81, &[b'x'; 100]).repeat(200);
    bytes.extend(frame(0x88, b"\x03\xe8"));
    let (first, rest) = bytes.split_at(EVENTS * 106 + 50);
    // Its end is seen: not before it was silent for as long as any other, and then it is read ahead.
    let mut bench = Bench::open(Config::default());
    bench.feed(first);
    bench.conn.settle();
    assert!(!bench.conn.wants_bytes(&bench.shared));
    bench.pass(20);
    bench.next_beat();
    bench.conn.beat(&mut bench.shared);
    assert!(bench.conn.wants_bytes(&bench.shared));
    bench.feed(rest);
    assert_eq!(bench.conn.phase(), Phase::Closing);
    assert_eq!(bench.conn.take_followed().unwrap().len(), 201);
    // All but its end had come before.
    let mut bench = Bench::open(Config::default());
    bench.feed(&bytes[..bytes.len() - 8]);
    bench.pass(20);
    bench.next_beat();
    bench.conn.beat(&mut bench.shared);
    bench.conn.handle_eof(&mut bench.shared);
    assert_eq!(bench.conn.take_followed().unwrap().len(), 200);
    // It was reset before that: what had been read is there all the same.
    let mut bench = Bench::open(Config::default());
    bench.feed(&bytes);
    assert_eq!(bench.conn.take_followed().unwrap().len(), 201);
}

#[test]
fn what_is_read_ahead_is_bounded() {
    let mut bench = Bench::open(Config::default());
    let many = frame(0x81, b"x").repeat(1000);
    bench.feed(&many);
    for _ in 0..3 {
        bench.pass(20);
        bench.next_beat();
        bench.conn.beat(&mut bench.shared);
        for _ in 0..100 {
            if bench.conn.wants_bytes(&bench.shared) {
                bench.feed(&many);
                bench.flush();
            }
        }
    }
    let upgraded = bench.conn.upgraded.as_ref().unwrap();
    let waiting = upgraded.events.len();
    assert!(waiting >= AHEAD / (COST + 1), "{waiting}");
    assert!(waiting <= AHEAD / (COST + 1) + EVENTS, "{waiting}");
    assert!(bench.conn.inbox.len() <= many.len());
    // Once they were taken it is read no further than any other.
    bench.take();
    while bench.conn.advance(&mut bench.shared) == Progress::Ready {
        bench.take();
    }
    bench.feed(&many);
    assert!(!bench.conn.wants_bytes(&bench.shared));
}

#[test]
fn a_message_that_is_sent_does_not_shorten_the_wait_for_a_pong() {
    let mut bench = Bench::open(Config {
        websocket_idle_timeout: Duration::from_secs(30),
        ..Config::default()
    });
    // The wait is one for the end of idleness at first.
    assert_eq!(bench.beat(), Some(10));
    bench.pass(5);
    let mut frames = Vec::new();
    Encoder::default().encode(&mut frames, Kind::Text, b"y");
    let now = bench.shared.now;
    bench.conn.send_frames(&mut Vec::new(), &mut frames, now);
    bench.flush();
    bench.pass(5);
    bench.conn.beat(&mut bench.shared);
    assert_eq!(bench.conn.phase(), Phase::WebSocket);
    assert_eq!(bench.next_beat(), Some(Duration::from_secs(10)));
    bench.beat();
    assert_eq!(bench.conn.phase(), Phase::Closing);
}

#[test]
fn silence_counts_from_the_pong_however_long_that_might_have_taken() {
    let mut bench = Bench::open(Config {
        websocket_ping_timeout: Duration::from_secs(300),
        ..Config::default()
    });
    assert_eq!(bench.beat(), Some(300));
    bench.pass(1);
    bench.turn(&frame(0x8a, b""));
    // Asked without being told that anything changed.
    let wait = bench.conn.next_beat(&bench.shared, false);
    assert_eq!(wait, Some(Some(Duration::from_secs(20))));
    assert_eq!(bench.conn.next_beat(&bench.shared, false), None);
}

#[test]
fn a_wait_that_was_for_something_else_does_not_cut_a_close_short() {
    let mut bench = Bench::open(Config::default());
    bench.next_beat();
    bench.pass(20);
    bench.conn.go_away();
    bench.conn.beat(&mut bench.shared);
    assert_eq!(bench.conn.phase(), Phase::WebSocket);
    assert_eq!(bench.next_beat(), Some(Duration::from_secs(5)));
    bench.beat();
    assert_eq!(bench.conn.phase(), Phase::Closing);
}

#[test]
fn silence_is_pinged_once_and_then_the_end() {
    let mut bench = Bench::open(Config::default());
    // The handshake counts as a word.
    assert_eq!(bench.next_beat(), Some(Duration::from_secs(20)));
    assert_eq!(bench.beat(), Some(20));
    assert_eq!(bench.sent, b"\x89\x00");
    // Anything is an answer, and silence counts from it.
    bench.pass(5);
    bench.turn(&frame(0x81, b"x"));
    bench.sent.clear();
    bench.pass(15);
    bench.conn.beat(&mut bench.shared);
    assert_eq!(bench.next_beat(), Some(Duration::from_secs(5)));
    assert_eq!(bench.beat(), Some(20));
    assert_eq!(bench.sent, b"\x89\x00");
    bench.beat();
    assert_eq!(bench.conn.phase(), Phase::Closing);
}

#[test]
fn one_that_is_not_listened_to_is_pinged_and_owes_no_answer() {
    let mut bench = Bench::open(Config::default());
    bench.feed(&frame(0x81, b"x"));
    bench.next_beat();
    for _ in 0..5 {
        bench.sent.clear();
        bench.pass(20);
        bench.conn.beat(&mut bench.shared);
        bench.flush();
        assert_eq!(bench.sent, b"\x89\x00");
        assert_eq!(bench.conn.phase(), Phase::WebSocket);
        assert_eq!(bench.next_beat(), Some(Duration::from_secs(20)));
    }
    // Once it is, it does.
    bench.take();
    bench.beat();
    bench.beat();
    assert_eq!(bench.conn.phase(), Phase::Closing);
}

#[test]
fn an_idle_connection_is_closed_by_the_server() {
    let mut bench = Bench::open(Config {
        websocket_idle_timeout: Duration::from_secs(30),
        ..Config::default()
    });
    // A message counts from when it went, whichever way.
    bench.pass(7);
    bench.turn(&frame(0x81, b"x"));
    bench.pass(3);
    let mut frames = Vec::new();
    Encoder::default().encode(&mut frames, Kind::Text, b"y");
    let now = bench.shared.now;
    bench.conn.send_frames(&mut Vec::new(), &mut frames, now);
    bench.flush();
    assert_eq!(bench.next_beat(), Some(Duration::from_secs(17)));
    assert_eq!(bench.beat(), Some(13));
    // Pings keep no connection that carries no messages.
    bench.turn(&frame(0x8a, b""));
    assert_eq!(bench.beat(), Some(5));
    assert_eq!(bench.closed.as_ref().unwrap().code, GOING_AWAY);
    // And the close frame is not answered.
    bench.beat_after_close();
}

impl Bench {
    fn beat_after_close(&mut self) {
        self.conn.beat(&mut self.shared);
        assert_eq!(self.conn.phase(), Phase::Closing);
    }
}

#[test]
fn messages_are_dropped_after_our_close_and_the_answer_ends_it() {
    let mut bench = Bench::open(Config::default());
    bench.conn.close_socket(1000, "done");
    bench.conn.close_socket(1001, "twice");
    bench.flush();
    assert_eq!(bench.sent, b"\x88\x06\x03\xe8done");
    bench.turn(&frame(0x81, b"late"));
    assert_eq!(
        (bench.messages.len(), bench.conn.phase()),
        (0, Phase::WebSocket)
    );
    let mut frames = Vec::new();
    Encoder::default().encode(&mut frames, Kind::Text, b"late too");
    let now = bench.shared.now;
    bench.conn.send_frames(&mut Vec::new(), &mut frames, now);
    bench.turn(&frame(0x88, b"\x03\xe8"));
    assert_eq!(bench.sent, b"\x88\x06\x03\xe8done");
    assert_eq!((bench.closed, bench.conn.phase()), (None, Phase::Closing));
}

#[test]
fn a_server_that_stops_says_so_at_once() {
    let mut bench = Bench::open(Config::default());
    assert!(bench.conn.go_away());
    assert!(!bench.conn.go_away());
    bench.flush();
    assert_eq!(bench.sent[2..4], 1001u16.to_be_bytes());
    let mut late = Bench::new(Config::default());
    late.shared.draining = true;
    late.turn(HANDSHAKE);
    assert_eq!(late.closed.unwrap().code, GOING_AWAY);
}

proptest! {
    #[test]
    fn any_split_gives_the_same_messages(
        messages in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..100), 0..200),
        cuts in proptest::collection::vec(any::<proptest::sample::Index>(), 0..10),
    ) {
        let mut bytes = HANDSHAKE.to_vec();
        for message in &messages {
            bytes.extend(frame(0x82, message));
        }
        let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
        at.extend((0..bytes.len()).step_by(16_000));
        at.push(bytes.len());
        at.sort_unstable();
        let mut bench = Bench::new(Config::default());
        for pair in at.windows(2) {
            bench.turn(&bytes[pair[0]..pair[1]]);
        }
        prop_assert_eq!(bench.messages, messages);
    }
}
