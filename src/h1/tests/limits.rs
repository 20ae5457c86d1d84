//! Bounds, on complete and on incomplete input.

use super::{Client, LIMITS, Seen, assert_rejects, heads, request, see};
use crate::h1::{Error, Limits};

#[test]
fn answers_414_past_the_request_line_limit() {
    let line = |len: usize| format!("GET /{} HTTP/1.1", "a".repeat(len - "GET / HTTP/1.1".len()));
    assert_eq!(
        heads(&request(&line(LIMITS.request_line), b"", b"")).len(),
        1
    );
    assert_rejects(
        &request(&line(LIMITS.request_line + 1), b"", b""),
        Error::RequestLineTooLong,
    );
    assert_rejects(
        &request(&line(200_000), b"", b""),
        Error::RequestLineTooLong,
    );
}

#[test]
fn a_request_line_without_end_is_cut() {
    assert_rejects(
        &[b"GET /", &[b'a'; 1100][..]].concat(),
        Error::RequestLineTooLong,
    );
}

#[test]
fn answers_431_past_the_head_limit() {
    let fields = |len: usize| {
        let around = request("GET / HTTP/1.1", b"X: \r\n", b"").len();
        [b"X: ", &vec![b'v'; len - around][..], b"\r\n"].concat()
    };
    assert_eq!(
        heads(&request("GET / HTTP/1.1", &fields(LIMITS.head), b"")).len(),
        1
    );
    let over = request("GET / HTTP/1.1", &fields(LIMITS.head + 1), b"");
    assert_rejects(&over, Error::HeadTooLarge);
    assert_rejects(
        &request("GET / HTTP/1.1", &fields(1_000_000), b""),
        Error::HeadTooLarge,
    );
    assert_rejects(&over[..over.len() - 1], Error::HeadTooLarge);
}

#[test]
fn answers_431_past_the_number_of_fields() {
    let host = 1;
    assert_eq!(
        heads(&request(
            "GET / HTTP/1.1",
            &b"X: 1\r\n".repeat(LIMITS.fields - host),
            b""
        ))
        .len(),
        1
    );
    assert_rejects(
        &request("GET / HTTP/1.1", &b"X: 1\r\n".repeat(LIMITS.fields), b""),
        Error::TooManyFields,
    );
    assert_rejects(
        &request("GET / HTTP/1.1", &b"X: 1\r\n".repeat(20_000), b""),
        Error::TooManyFields,
    );
}

#[test]
fn answers_501_to_a_method_without_end() {
    assert_eq!(
        heads(&request(
            &format!("{} / HTTP/1.1", "M".repeat(64)),
            b"",
            b""
        ))
        .len(),
        1
    );
    assert_rejects(
        &request(&format!("{} / HTTP/1.1", "M".repeat(65)), b"", b""),
        Error::Method,
    );
    assert_rejects(&[b'M'; 70], Error::Method);
}

#[test]
fn answers_413_before_a_declared_body_is_read() {
    let post = |length: u64| {
        request(
            "POST / HTTP/1.1",
            format!("Content-Length: {length}\r\n").as_bytes(),
            b"",
        )
    };
    assert!(matches!(see(&post(LIMITS.body))[..], [Seen::Head { .. }]));
    assert_rejects(&post(LIMITS.body + 1), Error::BodyTooLarge);
    assert_rejects(&post(u64::MAX), Error::BodyTooLarge);
}

#[test]
fn answers_413_to_chunks_that_add_up() {
    let limits = Limits { body: 10, ..LIMITS };
    let mut client = Client::new(limits);
    let head = request("POST / HTTP/1.1", b"Transfer-Encoding: chunked\r\n", b"");
    client.feed(&head);
    client.feed(b"5\r\nhello\r\n5\r\nhello\r\n");
    assert_eq!(client.seen[1], Seen::Data(b"hellohello".to_vec()));
    client.feed(b"1\r\n");
    assert_eq!(client.seen.last(), Some(&Seen::Reject(Error::BodyTooLarge)));
}

#[test]
fn bounds_a_chunk_line() {
    let chunked = |line: &[u8]| {
        request(
            "POST / HTTP/1.1",
            b"Transfer-Encoding: chunked\r\n",
            &[line, b"\r\nz\r\n0\r\n\r\n"].concat(),
        )
    };
    assert_eq!(
        heads(&chunked(&[b"1;", &[b'e'; 252][..]].concat())).len(),
        1
    );
    assert_rejects(
        &chunked(&[b"1;", &[b'e'; 253][..]].concat()),
        Error::ChunkExtension,
    );
    assert_rejects(
        &chunked(&[&[b'0'; 300][..], b"1"].concat()),
        Error::ChunkExtension,
    );
}

#[test]
fn bounds_the_extensions_of_a_body_as_a_whole() {
    let chunk = [b"1;", &[b'e'; 200][..], b"\r\nz\r\n"].concat();
    let wire = request(
        "POST / HTTP/1.1",
        b"Transfer-Encoding: chunked\r\n",
        &chunk.repeat(200),
    );
    assert_rejects(&wire, Error::ChunkExtension);
}

#[test]
fn bounds_the_trailer_section() {
    let chunked = |trailers: &[u8]| {
        request(
            "POST / HTTP/1.1",
            b"Transfer-Encoding: chunked\r\n",
            &[b"0\r\n", trailers, b"\r\n"].concat(),
        )
    };
    let long = |len: usize| [b"X: ", &vec![b't'; len - 5][..], b"\r\n"].concat();
    assert_eq!(heads(&chunked(&long(LIMITS.trailers))).len(), 1);
    assert_rejects(
        &chunked(&long(LIMITS.trailers + 1)),
        Error::TrailersTooLarge,
    );
    assert_rejects(
        &chunked(&b"X: 1\r\n".repeat(LIMITS.fields + 1)),
        Error::TrailersTooLarge,
    );
}

#[test]
fn a_head_that_trickles_in_is_read_once_it_is_there() {
    let fields: Vec<u8> = (0..60)
        .flat_map(|n| format!("X-{n}: {}\r\n", "v".repeat(100)).into_bytes())
        .collect();
    let limits = Limits {
        head: 1 << 20,
        ..LIMITS
    };
    let mut client = Client::new(limits);
    for byte in request("GET / HTTP/1.1", &fields, b"") {
        assert!(client.seen.is_empty());
        client.feed(&[byte]);
    }
    assert!(matches!(client.seen[..], [Seen::Head { .. }]));
}

#[test]
fn a_line_past_its_limit_is_refused_before_its_head_is_complete() {
    // However the bytes come: the line's end is here, the head's is not.
    let method = [&[b'M'; 70][..], b" / HTTP/1.1\r\n"].concat();
    assert_rejects(&method, Error::Method);
}
