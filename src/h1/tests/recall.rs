//! A head whose fields are known already means what it means to an engine that has not seen them.

use proptest::prelude::*;

use super::{Client, LIMITS, Seen, request};
use crate::h1::{Error, Limits};

/// What an engine sees of `input` that has read `before` twice, which it must take.
fn seen_after(before: &[u8], input: &[u8], limits: Limits) -> Option<Vec<Seen>> {
    let mut client = Client::new(limits);
    client.feed(before);
    client.feed(before);
    let is_taken = client.seen.len() >= 2
        && client.unread() == 0
        && !matches!(client.seen.last(), Some(Seen::Reject(_)))
        && client.engine.will_keep_alive();
    client.seen.clear();
    client.feed(input);
    is_taken.then_some(client.seen)
}

fn seen_first(input: &[u8], limits: Limits) -> Vec<Seen> {
    let mut client = Client::new(limits);
    client.feed(input);
    client.seen
}

#[test]
fn any_request_line_before_known_fields_is_read_alike() {
    let lines = [
        "GET / HTTP/1.1",
        "GET /other?q=1&r=%20 HTTP/1.1",
        "HEAD /x HTTP/1.1",
        "POST /longer/than/the/first HTTP/1.1",
        "OPTIONS * HTTP/1.1",
        "OPTIONS /x HTTP/1.1",
        "PROPFIND /x HTTP/1.1",
        "get /x HTTP/1.1",
        "CONNECT a.example:80 HTTP/1.1",
        "CONNECT /x HTTP/1.1",
        "GET http://b.example/p?q HTTP/1.1",
        "GET /x HTTP/1.0",
        "GET /x HTTP/1.2",
        "GET /x HTTP/2.0",
        "GET /x HTTP/1.10",
        "GET /x  HTTP/1.1",
        "GET  /x HTTP/1.1",
        "GET /x y HTTP/1.1",
        "GET /x#y HTTP/1.1",
        "GET /\"<>\\^`{|} HTTP/1.1",
        "GET /\u{fc} HTTP/1.1",
        "GET x HTTP/1.1",
        "GET",
        "GET /",
        " GET / HTTP/1.1",
        "",
        "\r\nGET / HTTP/1.1",
        "G\u{e9}T / HTTP/1.1",
    ];
    let known: [&[u8]; 6] = [
        b"",
        b"Accept: */*\r\nX-Empty:\r\nCookie: a=b\r\n",
        b"Content-Length: 0\r\n",
        b"Connection: keep-alive\r\n",
        b"Expect: 100-continue\r\n",
        b"X-Space:   around  \r\n",
    ];
    for fields in known {
        for line in lines {
            let input = request(line, fields, b"");
            let first = seen_first(&input, LIMITS);
            let again = seen_after(&request("GET /first HTTP/1.1", fields, b""), &input, LIMITS);
            assert_eq!(again, Some(first), "{line:?} {fields:?}");
        }
    }
}

#[test]
fn bodies_are_framed_as_the_known_fields_say() {
    let framed: [(&[u8], &[u8]); 2] = [
        (b"Content-Length: 5\r\n", b"hello"),
        (
            b"Transfer-Encoding: chunked\r\n",
            b"3\r\nabc\r\n0\r\nT: x\r\n\r\n",
        ),
    ];
    for (fields, body) in framed {
        let input = [
            request("PUT /b HTTP/1.1", fields, body),
            request("GET /c HTTP/1.1", b"", b""),
        ]
        .concat();
        let again = seen_after(&request("POST /a HTTP/1.1", fields, body), &input, LIMITS);
        assert_eq!(again, Some(seen_first(&input, LIMITS)));
    }
}

#[test]
fn the_last_request_is_the_last() {
    let before = request("GET / HTTP/1.1", b"Connection: keep-alive\r\n", b"");
    let input = request("GET / HTTP/1.1", b"Connection: close\r\n", b"");
    let mut client = Client::new(LIMITS);
    for _ in 0..4 {
        client.feed(&before);
    }
    client.feed(&input);
    assert!(!client.engine.will_keep_alive());
}

#[test]
fn limits_hold_before_known_fields() {
    let limits = Limits {
        request_line: 64,
        head: 150,
        ..LIMITS
    };
    let fields = [&b"X: "[..], &[b'x'; 70], b"\r\n"].concat();
    let before = request("GET / HTTP/1.1", &fields, b"");
    for length in 1..200 {
        let line = format!("GET /{} HTTP/1.1", "p".repeat(length));
        let input = request(&line, &fields, b"");
        let first = seen_first(&input, limits);
        let again = seen_after(&before, &input, limits);
        assert_eq!(again, Some(first), "{length}");
    }
    let long = format!("GET /{} HTTP/1.1", "p".repeat(60));
    let refused = seen_first(&request(&long, b"", b""), limits);
    assert_eq!(refused, [Seen::Reject(Error::RequestLineTooLong)]);
}

#[test]
fn fields_that_change_are_read_as_they_are() {
    let mut client = Client::new(LIMITS);
    for number in 0..40 {
        // Now the same as before, now not, and for so long that the engine stops remembering.
        let fields = format!(
            "X-Number: {}\r\n",
            if number < 20 { number / 3 } else { number }
        );
        let input = request("GET / HTTP/1.1", fields.as_bytes(), b"");
        client.seen.clear();
        client.feed(&input);
        assert_eq!(client.seen, seen_first(&input, LIMITS));
    }
}

fn line() -> impl Strategy<Value = Vec<u8>> {
    let methods = prop::sample::select(vec!["GET", "HEAD", "POST", "OPTIONS", "QUERY", "G ET", ""]);
    let versions = prop::sample::select(vec!["HTTP/1.1", "HTTP/1.0", "HTTP/1.9", "HTTP/11", ""]);
    let target = prop_oneof![
        3 => "/[a-z0-9/?%&=._~-]{0,20}".prop_map(String::into_bytes),
        1 => prop::collection::vec(any::<u8>(), 0..12),
    ];
    (methods, target, versions).prop_map(|(method, target, version)| {
        [method.as_bytes(), b" ", &target, b" ", version.as_bytes()].concat()
    })
}

proptest! {
    #[test]
    fn what_is_known_changes_nothing(
        line in line(),
        names in prop::collection::vec("[A-Za-z-]{1,8}", 0..6),
        value in "[ -~\t]{0,12}",
        change in prop::option::of((any::<prop::sample::Index>(), any::<u8>())),
    ) {
        let mut fields = Vec::new();
        for name in names {
            fields.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
        }
        let before = request("GET / HTTP/1.1", &fields, b"");
        let mut input = [&line[..], &before["GET / HTTP/1.1".len()..]].concat();
        if let Some((at, byte)) = change {
            let at = at.index(input.len());
            input[at] = byte;
        }
        if let Some(again) = seen_after(&before, &input, LIMITS) {
            prop_assert_eq!(again, seen_first(&input, LIMITS));
        }
    }
}
