//! What goes out (RFC 9112 4, 6, 7; RFC 9110 6.6.1, 8.6).

use super::{DATE, LIMITS, request};
use crate::h1::{Engine, Error, Event, Next, ReplyBody, ReplyLength, encode_error};
use crate::http::Head;

type Fields<'a> = &'a [(&'a str, &'a str)];

const NOW: &str = "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n";

fn engine_after(line: &str) -> Engine {
    let mut engine = Engine::new(LIMITS);
    let step = engine.handle(
        &request(line, b"Connection: keep-alive\r\n", b""),
        &mut Head::default(),
    );
    assert!(matches!(step.event, Event::Head { complete: true, .. }));
    engine
}

fn encode(
    engine: &mut Engine,
    status: u16,
    fields: Fields<'_>,
    length: ReplyLength,
) -> (String, ReplyBody) {
    let mut out = Vec::new();
    let fields = fields
        .iter()
        .map(|(name, value)| (name.as_bytes(), value.as_bytes()));
    let body = engine.encode_head(&mut out, status, None, b"", fields, length, true, DATE);
    (String::from_utf8(out).expect("ASCII"), body)
}

#[track_caller]
fn assert_reply(
    line: &str,
    status: u16,
    fields: Fields<'_>,
    length: ReplyLength,
    head: &str,
    body: ReplyBody,
) {
    let mut engine = engine_after(line);
    assert_eq!(
        encode(&mut engine, status, fields, length),
        (head.to_owned(), body)
    );
}

#[test]
fn writes_line_fields_length_and_date_in_order() {
    assert_reply(
        "GET / HTTP/1.1",
        200,
        &[
            ("Content-Type", "application/json"),
            ("Set-Cookie", "a=b"),
            ("Set-Cookie", "c=d"),
        ],
        ReplyLength::Known(17),
        &format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nSet-Cookie: a=b\r\nSet-Cookie: c=d\r\n\
             Content-Length: 17\r\n{NOW}\r\n"
        ),
        ReplyBody::Raw,
    );
}

#[test]
fn framing_fields_of_the_application_are_dropped() {
    assert_reply(
        "GET / HTTP/1.1",
        200,
        &[
            ("content-length", "99"),
            ("TRANSFER-ENCODING", "gzip"),
            ("Connection", "X-Secret"),
            ("X", "y"),
        ],
        ReplyLength::Known(1),
        &format!("HTTP/1.1 200 OK\r\nX: y\r\nContent-Length: 1\r\n{NOW}\r\n"),
        ReplyBody::Raw,
    );
}

#[test]
fn close_and_date_of_the_application_are_honoured() {
    let mut engine = engine_after("GET / HTTP/1.1");
    let (head, _) = encode(
        &mut engine,
        200,
        &[("connection", "x, Close"), ("date", "then")],
        ReplyLength::Known(0),
    );
    assert_eq!(
        head,
        "HTTP/1.1 200 OK\r\ndate: then\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    );
    assert_eq!(engine.finish(), Next::Close);
}

#[test]
fn a_field_that_would_split_the_reply_is_not_sent() {
    assert_reply(
        "GET / HTTP/1.1",
        200,
        &[
            ("X-A", "a\r\nX-Inj: 1"),
            ("X-B", "a\nb"),
            ("X-C", "a\rb"),
            ("X-D", "a\0b"),
            ("X E", "f"),
            ("", "g"),
            ("X:", "h"),
        ],
        ReplyLength::Known(0),
        &format!("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n{NOW}\r\n"),
        ReplyBody::None,
    );
}

#[test]
fn no_body_where_none_may_be() {
    let length = |n| format!("Content-Length: {n}\r\n");
    for (line, status, reply, field) in [
        ("HEAD / HTTP/1.1", 200, ReplyLength::Known(5), length(5)),
        ("HEAD / HTTP/1.1", 200, ReplyLength::Known(0), length(0)),
        ("HEAD / HTTP/1.1", 200, ReplyLength::Unknown, String::new()),
        ("GET / HTTP/1.1", 304, ReplyLength::Known(5), length(5)),
        ("GET / HTTP/1.1", 304, ReplyLength::Known(0), String::new()),
        ("GET / HTTP/1.1", 304, ReplyLength::Unknown, String::new()),
        ("GET / HTTP/1.1", 204, ReplyLength::Known(5), String::new()),
        ("GET / HTTP/1.1", 204, ReplyLength::Unknown, String::new()),
    ] {
        let mut engine = engine_after(line);
        let (head, body) = encode(&mut engine, status, &[], reply);
        assert_eq!(body, ReplyBody::None, "{line} {status}");
        assert!(head.ends_with(&format!("\r\n{field}{NOW}\r\n")), "{head:?}");
        let mut out = Vec::new();
        engine.encode_data(&mut out, b"hello");
        engine.encode_end(&mut out);
        assert!(out.is_empty(), "{line} {status}");
        assert_eq!(engine.finish(), Next::KeepAlive);
    }
}

#[test]
fn an_unknown_length_is_chunked() {
    let mut engine = engine_after("GET / HTTP/1.1");
    let (head, body) = encode(&mut engine, 200, &[], ReplyLength::Unknown);
    assert_eq!(
        head,
        format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n{NOW}\r\n")
    );
    assert_eq!(body, ReplyBody::Chunked);
    let mut out = Vec::new();
    engine.encode_data(&mut out, b"hello");
    engine.encode_data(&mut out, b"");
    engine.encode_data(&mut out, &[b'z'; 16]);
    engine.encode_end(&mut out);
    engine.encode_end(&mut out);
    assert_eq!(out, b"5\r\nhello\r\n10\r\nzzzzzzzzzzzzzzzz\r\n0\r\n\r\n");
    assert_eq!(engine.finish(), Next::KeepAlive);
}

#[test]
fn an_unknown_length_closes_a_1_0_connection() {
    let mut engine = engine_after("GET / HTTP/1.0");
    let (head, body) = encode(&mut engine, 200, &[], ReplyLength::Unknown);
    assert_eq!(
        head,
        format!("HTTP/1.1 200 OK\r\n{NOW}Connection: close\r\n\r\n")
    );
    assert_eq!(body, ReplyBody::Raw);
    let mut out = Vec::new();
    engine.encode_data(&mut out, b"hello");
    engine.encode_end(&mut out);
    assert_eq!(out, b"hello");
    assert_eq!(engine.finish(), Next::Close);
}

#[test]
fn a_chunked_body_without_its_end_closes() {
    let mut engine = engine_after("GET / HTTP/1.1");
    let _ = encode(&mut engine, 200, &[], ReplyLength::Unknown);
    engine.encode_data(&mut Vec::new(), b"hello");
    assert_eq!(engine.finish(), Next::Close);
}

#[test]
fn a_body_is_cut_at_its_announced_length() {
    let mut engine = engine_after("GET / HTTP/1.1");
    let _ = encode(&mut engine, 200, &[], ReplyLength::Known(5));
    let mut out = Vec::new();
    engine.encode_data(&mut out, b"hel");
    engine.encode_data(&mut out, b"lo world");
    engine.encode_end(&mut out);
    assert_eq!(out, b"hello");
    assert_eq!(engine.finish(), Next::KeepAlive);
}

#[test]
fn a_body_shorter_than_announced_closes() {
    let mut engine = engine_after("GET / HTTP/1.1");
    let _ = encode(&mut engine, 200, &[], ReplyLength::Known(5));
    engine.encode_data(&mut Vec::new(), b"hel");
    engine.encode_end(&mut Vec::new());
    assert_eq!(engine.finish(), Next::Close);
}

#[test]
fn a_raw_body_may_be_sent_by_the_caller() {
    let mut engine = engine_after("GET / HTTP/1.1");
    assert_eq!(
        encode(&mut engine, 200, &[], ReplyLength::Known(5)).1,
        ReplyBody::Raw
    );
    assert_eq!(engine.finish(), Next::KeepAlive);
}

#[test]
fn an_upgrade_keeps_the_connection_option_of_the_application() {
    assert_reply(
        "GET / HTTP/1.1",
        101,
        &[("Connection", "Upgrade"), ("Upgrade", "websocket")],
        ReplyLength::Unknown,
        &format!(
            "HTTP/1.1 101 SWITCHING PROTOCOLS\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n{NOW}\r\n"
        ),
        ReplyBody::None,
    );
}

#[test]
fn status_lines_of_every_kind() {
    for (status, reason, line) in [
        (404, None, "HTTP/1.1 404 NOT FOUND\r\n"),
        (200, Some(&b"Fine"[..]), "HTTP/1.1 200 Fine\r\n"),
        (200, Some(b""), "HTTP/1.1 200 \r\n"),
        (200, Some(b"a\r\nb"), "HTTP/1.1 200 OK\r\n"),
        (599, None, "HTTP/1.1 599 \r\n"),
        (99, None, "HTTP/1.1 500 INTERNAL SERVER ERROR\r\n"),
        (1000, None, "HTTP/1.1 500 INTERNAL SERVER ERROR\r\n"),
    ] {
        let mut out = Vec::new();
        let mut engine = engine_after("GET / HTTP/1.1");
        engine.encode_head(
            &mut out,
            status,
            reason,
            b"",
            std::iter::empty(),
            ReplyLength::Known(0),
            true,
            DATE,
        );
        assert!(
            out.starts_with(line.as_bytes()),
            "{status}: {:?}",
            String::from_utf8_lossy(&out)
        );
    }
}

#[test]
fn an_error_answer_is_complete_and_closes() {
    let mut out = Vec::new();
    encode_error(&mut out, Error::HeadTooLarge.status_hint(), false, DATE);
    let text = String::from_utf8(out).expect("ASCII");
    assert_eq!(
        text,
        format!(
            "HTTP/1.1 431 REQUEST HEADER FIELDS TOO LARGE\r\nContent-Type: text/plain; charset=utf-8\r\n\
             Content-Length: 32\r\n{NOW}Connection: close\r\n\r\nREQUEST HEADER FIELDS TOO LARGE\n"
        )
    );
    let mut head = Vec::new();
    encode_error(&mut head, Error::HeadTooLarge.status_hint(), true, DATE);
    assert!(text.as_bytes().starts_with(&head) && head.ends_with(b"\r\n\r\n"));
}
