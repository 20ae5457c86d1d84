//! Connections without sockets: bytes in, bytes out.

use super::*;
use crate::buf::{Arena, Budget, Segment};
use crate::config::Config;
use crate::h1::ReplyLength;
use proptest::prelude::*;
use slab::Slab;
use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr};

pub(super) struct Bench {
    pub(super) conn: Conn,
    pub(super) shared: Shared,
    pub(super) arena: Arena,
    /// What the peer has received.
    pub(super) sent: Vec<u8>,
}

impl Bench {
    pub(super) fn new(config: Config) -> Self {
        let budget = Budget::new(config.max_body_memory);
        let local = SocketAddr::from((Ipv4Addr::LOCALHOST, 80));
        let peer = Arc::new(PeerAddr::Inet { peer: local, local });
        Self {
            conn: Conn::new(config.h1_limits(), peer, 1),
            shared: Shared::new(Arc::new(config), budget),
            arena: Arena::new(),
            sent: Vec::new(),
        }
    }

    /// One read of the socket, one turn of the reactor.
    fn turn(&mut self, bytes: &[u8]) {
        self.arena.spare()[..bytes.len()].copy_from_slice(bytes);
        let view = self.arena.commit(bytes.len());
        let mut progress = self.conn.handle_bytes(view, &mut self.shared);
        while progress == Progress::Ready {
            self.echo();
            progress = self.conn.advance(&mut self.shared);
        }
        self.end_turn();
    }

    pub(super) fn end_turn(&mut self) {
        self.conn
            .flush(&mut self.sent, &mut self.shared, usize::MAX)
            .unwrap();
        self.conn.settle();
        self.arena.rewind();
    }

    /// Answers with the request's target and body.
    fn echo(&mut self) {
        let request = self.conn.take_request().unwrap();
        let mut body = request.bytes.split(|b| *b == b' ').nth(1).unwrap().to_vec();
        body.push(b'=');
        body.extend_from_slice(request.body.bytes());
        self.conn
            .reply(&self.shared, 200, None, b"", std::iter::empty(), &body);
    }
}

const PIPELINE: &[u8] = b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n\
POST /b HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello\
POST /c HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n4;x=y\r\ndefg\r\n0\r\nT: z\r\n\r\n\
HEAD /d HTTP/1.1\r\nHost: x\r\n\r\n\
POST /e HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n\
GET /f HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";

fn answers_to(pieces: impl Iterator<Item = &'static [u8]>) -> Vec<u8> {
    let mut bench = Bench::new(Config::default());
    for piece in pieces {
        bench.turn(piece);
    }
    assert_eq!(bench.conn.phase(), Phase::Closing);
    bench.sent
}

#[test]
fn a_pipeline_split_anywhere_gets_the_same_answers() {
    let whole = answers_to([PIPELINE].into_iter());
    let text = String::from_utf8(whole.clone()).unwrap();
    assert_eq!(text.matches("HTTP/1.1 200 OK").count(), 6);
    assert!(text.contains("/b=hello") && text.contains("/c=abcdefg"));
    for at in 1..PIPELINE.len() {
        let (first, second) = PIPELINE.split_at(at);
        assert_eq!(
            answers_to([first, second].into_iter()),
            whole,
            "split at {at}"
        );
    }
    assert_eq!(answers_to(PIPELINE.chunks(1)), whole);
}

#[test]
fn a_request_gives_its_fields_and_the_host_that_was_asked_for() {
    let mut bench = Bench::new(Config::default());
    let head =
        b"GET http://named:8080/path HTTP/1.1\r\nHost: sent\r\nX-Many: one\r\nx-many: two \r\n\r\n";
    bench.arena.spare()[..head.len()].copy_from_slice(head);
    let view = bench.arena.commit(head.len());
    assert_eq!(
        bench.conn.handle_bytes(view, &mut bench.shared),
        Progress::Ready
    );
    let mut request = bench.conn.take_request().unwrap();
    // RFC 9112 3.2.2: the authority of an absolute target replaces Host.
    assert_eq!(request.host(), Some(&b"named:8080"[..]));
    assert_eq!(request.field(b"HOST"), Some(&b"sent"[..]));
    assert_eq!(request.field(b"x-MANY"), Some(&b"one"[..]));
    assert_eq!(request.field(b"none"), None);
    let fields: Vec<_> = request.fields().collect();
    assert_eq!(
        fields,
        [
            (&b"Host"[..], &b"sent"[..]),
            (b"X-Many", b"one"),
            (b"x-many", b"two")
        ]
    );
    for (said, expected) in [
        (Some(&b"outside"[..]), &b"outside"[..]),
        (None, b"named:8080"),
    ] {
        request.origin = Some(Box::new(crate::http::forwarded::Origin {
            host: said.map(Into::into),
            ..Default::default()
        }));
        assert_eq!(request.host(), Some(expected));
    }
}

#[test]
fn continue_is_sent_only_while_the_body_has_not_begun() {
    let head = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n";
    let mut waits = Bench::new(Config::default());
    waits.turn(head);
    assert_eq!(waits.sent, b"HTTP/1.1 100 Continue\r\n\r\n");
    let mut sends = Bench::new(Config::default());
    sends.turn(&[&head[..], b"ok"].concat());
    assert!(sends.sent.starts_with(b"HTTP/1.1 200 OK"));
}

#[test]
fn a_body_is_paid_for_as_it_arrives_and_refused_past_the_budget() {
    let config = Config {
        max_body_memory: 40_000,
        ..Config::default()
    };
    let mut bench = Bench::new(config);
    bench.turn(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000\r\n\r\n");
    assert_eq!(bench.shared.body_memory.used(), 0);
    bench.turn(&[b'x'; 10_000]);
    assert!((10_000..=40_000).contains(&bench.shared.body_memory.used()));
    for _ in 0..4 {
        bench.turn(&[b'x'; 10_000]);
    }
    assert!(
        bench.sent.starts_with(b"HTTP/1.1 503 "),
        "{:?}",
        String::from_utf8_lossy(&bench.sent)
    );
    assert_eq!(
        (bench.conn.phase(), bench.shared.body_memory.used()),
        (Phase::Closing, 0)
    );
}

#[test]
fn a_refused_head_is_told_so_without_content() {
    let head = "HEAD / HTTP/1.1\r\nHost: a\r\n";
    for (request, has_content) in [
        (format!("{head}X : y\r\n\r\n"), false),
        (format!("\r\n{head}X : y\r\n\r\n"), false),
        (
            format!("{head}Transfer-Encoding: chunked\r\n\r\nx\r\n"),
            false,
        ),
        (String::from("GET / HTTP/1.1\r\nX : y\r\n\r\n"), true),
        (format!("{head}\r\nGET / HTTP/1.1\r\n\r\n"), true),
    ] {
        let mut bench = Bench::new(Config::default());
        bench.turn(request.as_bytes());
        let sent = String::from_utf8(bench.sent).unwrap();
        assert!(sent.contains("HTTP/1.1 400 "), "{sent}");
        assert_eq!(sent.ends_with("BAD REQUEST\n"), has_content, "{request}");
    }
}

#[test]
fn a_full_outbox_stops_the_next_request_until_it_was_sent() {
    let config = Config {
        max_outbox: 100,
        ..Config::default()
    };
    let mut bench = Bench::new(config);
    let request = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 200\r\n\r\n";
    let bytes = [&request[..], &[b'y'; 200], &request[..], &[b'y'; 200]].concat();
    bench.arena.spare()[..bytes.len()].copy_from_slice(&bytes);
    let view = bench.arena.commit(bytes.len());
    assert_eq!(
        bench.conn.handle_bytes(view, &mut bench.shared),
        Progress::Ready
    );
    bench.echo();
    assert_eq!(bench.conn.advance(&mut bench.shared), Progress::Waiting);
    assert!(!bench.conn.wants_bytes(&bench.shared));
    bench.end_turn();
    assert_eq!(bench.conn.advance(&mut bench.shared), Progress::Ready);
}

#[test]
fn a_fin_ends_an_idle_connection_and_lets_a_request_be_answered() {
    let mut idle = Bench::new(Config::default());
    idle.conn.handle_eof(&mut idle.shared);
    assert_eq!(idle.conn.phase(), Phase::Closing);

    let mut busy = Bench::new(Config::default());
    let bytes = b"GET /last HTTP/1.1\r\nHost: x\r\n\r\n";
    busy.arena.spare()[..bytes.len()].copy_from_slice(bytes);
    let view = busy.arena.commit(bytes.len());
    assert_eq!(
        busy.conn.handle_bytes(view, &mut busy.shared),
        Progress::Ready
    );
    busy.conn.handle_eof(&mut busy.shared);
    busy.echo();
    busy.end_turn();
    assert!(busy.sent.ends_with(b"/last="));
    assert_eq!(busy.conn.phase(), Phase::Closing);
}

#[test]
fn a_request_cut_off_is_never_handed_over() {
    let mut bench = Bench::new(Config::default());
    bench.turn(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc");
    bench.conn.handle_eof(&mut bench.shared);
    assert!(bench.conn.take_request().is_none());
    assert_eq!(bench.conn.phase(), Phase::Closing);
}

/// A connection with a streamed answer under way, and its head sent.
fn streaming() -> Bench {
    let mut bench = Bench::new(Config::default());
    let bytes = b"GET /e HTTP/1.1\r\nHost: x\r\n\r\n";
    bench.arena.spare()[..bytes.len()].copy_from_slice(bytes);
    let view = bench.arena.commit(bytes.len());
    bench.conn.handle_bytes(view, &mut bench.shared);
    bench.conn.take_request().unwrap();
    let none = std::iter::empty();
    bench
        .conn
        .begin_stream(&bench.shared, 200, None, b"", none, ReplyLength::Unknown);
    bench.end_turn();
    bench.sent.clear();
    bench
}

#[test]
fn a_silent_stream_of_events_gets_comments_and_a_busy_one_none() {
    let second = std::time::Duration::from_secs(1);
    let mut bench = streaming();
    assert_eq!(bench.conn.event_beat(), None);
    bench.conn.begin_events(&bench.shared, second * 2);
    assert_eq!(bench.conn.event_beat(), Some(second));
    bench.conn.beat(&mut bench.shared);
    bench.end_turn();
    assert_eq!(bench.sent, b"", "the head was just sent");
    for _ in 0..2 {
        bench.conn.beat(&mut bench.shared);
        bench.end_turn();
    }
    assert_eq!(bench.sent, b"3\r\n:\n\n\r\n".repeat(2));
    bench.sent.clear();
    bench.conn.stream(b"data: 1\n\n");
    bench.conn.beat(&mut bench.shared);
    bench.end_turn();
    assert_eq!(bench.sent, b"9\r\ndata: 1\n\n\r\n");
}

#[test]
fn a_server_that_stops_completes_streams_of_events_alone() {
    let mut bench = streaming();
    bench.conn.go_away();
    assert_eq!(bench.conn.phase(), Phase::Streaming);
    let silence = std::time::Duration::from_secs(2);
    bench.conn.begin_events(&bench.shared, silence);
    bench.conn.go_away();
    let mut late = streaming();
    late.shared.draining = true;
    late.conn.begin_events(&late.shared, silence);
    for mut bench in [bench, late] {
        bench.end_turn();
        assert_eq!(bench.sent, b"0\r\n\r\n");
        assert_eq!(bench.conn.phase(), Phase::Closing);
        assert!(bench.conn.has_open_stream(), "its source is to hear of it");
    }
}

#[test]
fn a_stream_goes_on_only_where_its_source_waits_for_room() {
    let mut bench = streaming();
    assert!(bench.conn.take_room(&bench.shared));
    assert!(
        !bench.conn.take_room(&bench.shared),
        "an idle stream is left alone"
    );
    bench
        .conn
        .stream(&vec![b'x'; bench.shared.config.max_outbox + 1]);
    bench.conn.want_room();
    assert!(!bench.conn.take_room(&bench.shared));
    bench.end_turn();
    assert!(bench.conn.take_room(&bench.shared));
}

#[test]
fn a_stream_that_is_cut_short_sends_what_it_has_and_no_end() {
    let mut bench = streaming();
    bench.conn.stream(b"some");
    bench.conn.cut_stream(&mut bench.shared);
    bench.end_turn();
    assert_eq!(bench.sent, b"4\r\nsome\r\n");
    assert_eq!(bench.conn.phase(), Phase::Closing);
}

proptest! {
    #[test]
    fn random_pieces_get_the_same_answers(cuts in proptest::collection::vec(1..PIPELINE.len(), 0..12)) {
        let mut cuts = cuts;
        cuts.extend([0, PIPELINE.len()]);
        cuts.sort_unstable();
        let pieces = cuts.windows(2).filter(|w| w[0] < w[1]).map(|w| &PIPELINE[w[0]..w[1]]);
        prop_assert_eq!(answers_to(pieces), answers_to([PIPELINE].into_iter()));
    }

    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400), step in 1usize..40) {
        let mut bench = Bench::new(Config::default());
        for piece in bytes.chunks(step) {
            bench.turn(piece);
        }
    }
}

#[test]
fn parts_are_framed_as_the_request_allows() {
    let parts = || {
        vec![
            Segment::Bytes(b"abc".to_vec()),
            Segment::Bytes(Vec::new()),
            Segment::Bytes(b"de".to_vec()),
        ]
    };
    let cases = [
        (
            "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
            true,
            "abcde",
            "Content-Length: 5",
        ),
        (
            "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
            false,
            "5\r\nabcde\r\n0\r\n\r\n",
            "Transfer-Encoding: chunked",
        ),
        (
            "GET / HTTP/1.0\r\n\r\n",
            false,
            "abcde",
            "Connection: close",
        ),
        (
            "HEAD / HTTP/1.1\r\nHost: x\r\n\r\n",
            true,
            "",
            "Content-Length: 5",
        ),
    ];
    for (request, known, body, field) in cases {
        let mut bench = Bench::new(Config::default());
        bench.arena.spare()[..request.len()].copy_from_slice(request.as_bytes());
        let view = bench.arena.commit(request.len());
        assert_eq!(
            bench.conn.handle_bytes(view, &mut bench.shared),
            Progress::Ready
        );
        bench.conn.take_request().unwrap();
        let length = if known {
            ReplyLength::Known(5)
        } else {
            ReplyLength::Unknown
        };
        let fields = std::iter::empty();
        let whole = Parts {
            segments: parts(),
            length,
        };
        bench
            .conn
            .reply_parts(&mut bench.shared, 200, None, b"", fields, whole);
        bench.end_turn();
        let sent = String::from_utf8(bench.sent).unwrap();
        let (head, rest) = sent.split_once("\r\n\r\n").unwrap();
        assert_eq!((rest, head.contains(field)), (body, true), "{request:?}");
    }
}

#[test]
fn an_answer_is_written_into_a_buffer_of_the_reactors_list() {
    let mut bench = Bench::new(Config::default());
    bench.arena.spare()[..REQUEST.len()].copy_from_slice(REQUEST);
    let view = bench.arena.commit(REQUEST.len());
    assert_eq!(
        bench.conn.handle_bytes(view, &mut bench.shared),
        Progress::Ready
    );
    // As after the read that brought the request.
    bench.conn.touched = true;
    bench.shared.buffers.push(Vec::with_capacity(1000));
    let (mut conns, shared) = (Slab::new(), &mut bench.shared);
    let key = Key {
        index: conns.insert(bench.conn) as u32,
        generation: 1,
    };
    let mut batch = Batch::<()> {
        shared,
        messages: &mut Vec::new(),
        conns: &mut conns,
        ready: &mut VecDeque::new(),
        touched: &mut Vec::new(),
        resumable: &mut Vec::new(),
        budget: 1,
        sockets: 0,
        streak: (None, 0),
    };
    let (conn, shared) = batch.conn(key).unwrap();
    assert!(shared.buffers.is_empty());
    conn.take_request().unwrap();
    conn.reply(shared, 200, None, b"", std::iter::empty(), b"answer");
    let mut sent = Vec::new();
    conn.flush(&mut sent, shared, usize::MAX).unwrap();
    assert!(sent.ends_with(b"\r\n\r\nanswer"));
    conn.outbox.release(&mut shared.buffers);
    assert_eq!(shared.buffers.len(), 1);
    assert_eq!(shared.buffers[0].capacity(), 1000);
}

const REQUEST: &[u8] = b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n";
