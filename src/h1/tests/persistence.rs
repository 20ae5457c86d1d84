//! Keep-alive, pipelining and 100-continue (RFC 9112 9; RFC 9110 10.1.1).

use super::{Client, DATE, LIMITS, assert_rejects, heads, request};
use crate::h1::{Engine, Error, Event, Next, ReplyBody, ReplyLength};
use crate::http::Head;

/// Reads one request and answers it with an empty 200; what the reply and the engine say about persistence.
fn exchange(input: &[u8], server_agrees: bool) -> (String, Next) {
    let mut engine = Engine::new(LIMITS);
    let step = engine.handle(input, &mut Head::default());
    assert!(matches!(step.event, Event::Head { .. }), "{step:?}");
    let mut out = Vec::new();
    let fields = std::iter::empty();
    engine.encode_head(
        &mut out,
        200,
        None,
        b"",
        fields,
        ReplyLength::Known(0),
        server_agrees,
        DATE,
    );
    let text = String::from_utf8(out).expect("ASCII");
    let connection = text
        .lines()
        .find_map(|line| line.strip_prefix("Connection: "));
    let connection = connection.unwrap_or_default().to_owned();
    assert_eq!(engine.will_keep_alive(), connection != "close");
    (connection, engine.finish())
}

#[test]
fn persistence_follows_version_and_options() {
    for (version, fields, said, next) in [
        ("1.1", "", "", Next::KeepAlive),
        ("1.1", "Connection: keep-alive\r\n", "", Next::KeepAlive),
        ("1.1", "Connection: upgrade\r\n", "", Next::KeepAlive),
        ("1.1", "Connection: close\r\n", "close", Next::Close),
        ("1.1", "Connection: CLOSE\r\n", "close", Next::Close),
        (
            "1.1",
            "Connection: keep-alive, close\r\n",
            "close",
            Next::Close,
        ),
        (
            "1.1",
            "Connection: x ,\tclose\t,y\r\n",
            "close",
            Next::Close,
        ),
        (
            "1.1",
            "Connection: keep-alive\r\nConnection: close\r\n",
            "close",
            Next::Close,
        ),
        ("1.1", "Connection: closed\r\n", "", Next::KeepAlive),
        ("1.0", "", "close", Next::Close),
        (
            "1.0",
            "Connection: Keep-Alive\r\n",
            "keep-alive",
            Next::KeepAlive,
        ),
        (
            "1.0",
            "Connection: keep-alive, close\r\n",
            "close",
            Next::Close,
        ),
    ] {
        let head = format!("GET / HTTP/{version}\r\nHost: a\r\n{fields}\r\n");
        assert_eq!(
            exchange(head.as_bytes(), true),
            (said.to_owned(), next),
            "{head:?}"
        );
    }
}

#[test]
fn the_server_can_close() {
    let get = request("GET / HTTP/1.1", b"", b"");
    assert_eq!(exchange(&get, false), ("close".to_owned(), Next::Close));
}

#[test]
fn a_body_that_was_not_read_closes_the_connection() {
    for body in [
        &b"Content-Length: 5\r\n"[..],
        b"Transfer-Encoding: chunked\r\n",
    ] {
        let post = request("POST / HTTP/1.1", body, b"");
        assert_eq!(exchange(&post, true), ("close".to_owned(), Next::Close));
    }
}

#[test]
fn nothing_is_read_before_the_reply_is_complete() {
    let mut engine = Engine::new(LIMITS);
    let mut head = Head::default();
    let get = request("GET / HTTP/1.1", b"", b"");
    assert_eq!(engine.handle(&get, &mut head).consumed, get.len());
    assert!(engine.is_waiting_for_reply());
    let step = engine.handle(&get, &mut head);
    assert_eq!((step.consumed, step.event), (0, Event::Incomplete));
    assert_eq!(engine.finish(), Next::KeepAlive);
    assert!(engine.is_waiting_for_head());
    assert_eq!(engine.handle(&get, &mut head).consumed, get.len());
}

#[test]
fn nothing_is_read_after_close() {
    let pipeline = [
        request("GET / HTTP/1.1", b"Connection: close\r\n", b""),
        request("GET / HTTP/1.1", b"", b""),
    ];
    assert_eq!(heads(&pipeline.concat()).len(), 1);
}

#[test]
fn a_known_body_ends_without_another_byte() {
    let mut engine = Engine::new(LIMITS);
    let mut head = Head::default();
    let post = request("POST / HTTP/1.1", b"Content-Length: 2\r\n", b"hi");
    let first = engine.handle(&post, &mut head);
    assert_eq!(engine.body_left(), Some(2));
    let second = engine.handle(&post[first.consumed..], &mut head);
    assert_eq!(second.event, Event::Data { start: 0, end: 2 });
    assert!(engine.has_event() && engine.is_reading_body());
    assert_eq!(engine.handle(b"", &mut head).event, Event::End);
    assert!(!engine.has_event() && !engine.is_reading_body());
}

#[test]
fn a_client_that_holds_its_body_back_waits_for_continue() {
    let mut client = Client::new(LIMITS);
    client.feed(&request(
        "POST / HTTP/1.1",
        b"Expect: 100-Continue\r\nContent-Length: 2\r\n",
        b"",
    ));
    assert!(client.engine.wants_continue());
    client.engine.continue_sent();
    assert!(!client.engine.wants_continue());
}

#[test]
fn a_body_that_has_begun_needs_no_continue() {
    for (fields, body) in [
        (
            &b"Expect: 100-continue\r\nContent-Length: 2\r\n"[..],
            &b"h"[..],
        ),
        (
            b"Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n",
            b"2",
        ),
        (b"Expect: 100-continue\r\n", b""),
        (b"Expect: 100-continue\r\nContent-Length: 0\r\n", b""),
        (b"Content-Length: 2\r\n", b""),
    ] {
        let mut client = Client::new(LIMITS);
        client.feed(&request("POST / HTTP/1.1", fields, body));
        assert!(!client.engine.wants_continue(), "{fields:?}");
    }
    let mut client = Client::new(LIMITS);
    client.feed(&request(
        "POST / HTTP/1.1",
        b"Expect: 100-continue\r\nContent-Length: 2\r\n",
        b"",
    ));
    client.feed(b"h");
    assert!(!client.engine.wants_continue());
}

#[test]
fn a_final_reply_instead_of_continue_closes() {
    let post = request(
        "POST / HTTP/1.1",
        b"Expect: 100-continue\r\nContent-Length: 2\r\n",
        b"",
    );
    assert_eq!(exchange(&post, true), ("close".to_owned(), Next::Close));
}

#[test]
fn refuses_other_expectations_from_1_1_only() {
    assert_rejects(
        &request("POST / HTTP/1.1", b"Expect: banana\r\n", b""),
        Error::Expectation,
    );
    assert_eq!(heads(b"POST / HTTP/1.0\r\nExpect: banana\r\n\r\n").len(), 1);
    let mut client = Client::new(LIMITS);
    client.feed(b"POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
    assert!(!client.engine.wants_continue());
}

#[test]
fn an_interim_reply_leaves_the_final_one_due() {
    let mut engine = Engine::new(LIMITS);
    let get = request("GET / HTTP/1.1", b"", b"");
    let _ = engine.handle(&get, &mut Head::default());
    let mut out = Vec::new();
    let link = [(&b"Link"[..], &b"</a>"[..])];
    let body = engine.encode_head(
        &mut out,
        103,
        None,
        b"",
        link.into_iter(),
        ReplyLength::Known(9),
        false,
        DATE,
    );
    assert_eq!(body, ReplyBody::None);
    assert_eq!(out, b"HTTP/1.1 103 EARLY HINTS\r\nLink: </a>\r\n\r\n");
    assert!(engine.will_keep_alive());
}
