//! Request line and field syntax (RFC 9112 2 to 5).

use super::{Client, LIMITS, Seen, assert_rejects, heads, request, see};
use crate::h1::Error;

#[test]
fn reads_a_plain_request() {
    let seen = see(b"GET /a?b=c HTTP/1.1\r\nHost: h:80\r\nX-A:  v \t\r\nX-Empty:\r\n\r\n");
    let Seen::Head {
        line, host, fields, ..
    } = &seen[0]
    else {
        panic!("{seen:?}")
    };
    assert_eq!(line, "GET /a?b=c Http11");
    assert_eq!(host.as_deref(), Some("h:80"));
    let expected = [("Host", "h:80"), ("X-A", "v"), ("X-Empty", "")];
    assert_eq!(
        fields.iter().map(|(n, v)| (&**n, &**v)).collect::<Vec<_>>(),
        expected
    );
}

#[test]
fn reads_every_request_of_a_pipeline() {
    let pipeline = request("GET /1 HTTP/1.1", b"", b"").repeat(3);
    assert_eq!(heads(&pipeline).len(), 3);
}

#[test]
fn tolerates_a_few_empty_lines_before_a_request() {
    let get = request("GET / HTTP/1.1", b"", b"");
    assert_eq!(
        heads(&[b"\r\n\r\n", &get[..], b"\r\n", &get[..]].concat()).len(),
        2
    );
    assert_rejects(&[&b"\r\n".repeat(9), &get[..]].concat(), Error::RequestLine);
}

#[test]
fn counts_empty_lines_afresh_for_each_request() {
    let get = [&b"\r\n".repeat(8), &request("GET / HTTP/1.1", b"", b"")[..]].concat();
    assert_eq!(heads(&get.repeat(3)).len(), 3);
}

#[test]
fn rejects_a_lone_line_end_before_a_request() {
    let get = request("GET / HTTP/1.1", b"", b"");
    assert_rejects(&[b"\n", &get[..]].concat(), Error::LineEnd);
    assert_rejects(&[b"\r", &get[..]].concat(), Error::LineEnd);
}

#[test]
fn rejects_a_malformed_request_line() {
    for (line, error) in [
        ("GET  / HTTP/1.1", Error::RequestLine),
        ("GET /  HTTP/1.1", Error::RequestLine),
        ("GET\t/ HTTP/1.1", Error::RequestLine),
        ("GET /\tHTTP/1.1", Error::RequestLine),
        ("GET /a b HTTP/1.1", Error::RequestLine),
        (" GET / HTTP/1.1", Error::RequestLine),
        ("GET / HTTP/1.1 ", Error::LineEnd),
        ("GET / http/1.1", Error::RequestLine),
        ("GET / HTTP/1.10", Error::LineEnd),
        ("GET / HTTP/1.1abc", Error::LineEnd),
        ("GET / HTTP/x.1", Error::RequestLine),
        ("GET / HTTP/1,1", Error::RequestLine),
        ("GET / HTTPS/1.1", Error::RequestLine),
        ("GET / HTTP/2", Error::RequestLine),
        ("GET /", Error::RequestLine),
        ("GET", Error::RequestLine),
        ("G(T / HTTP/1.1", Error::RequestLine),
        ("G\0T / HTTP/1.1", Error::RequestLine),
        ("GÉT / HTTP/1.1", Error::RequestLine),
        ("\"GET\" / HTTP/1.1", Error::RequestLine),
        ("GET@ / HTTP/1.1", Error::RequestLine),
        ("GET /\u{1}a HTTP/1.1", Error::RequestLine),
        ("GET /a\0b HTTP/1.1", Error::RequestLine),
        ("GET /a\rb HTTP/1.1", Error::RequestLine),
        ("GET /a\u{7f}b HTTP/1.1", Error::RequestLine),
        ("GET /café HTTP/1.1", Error::Target),
        ("GET /#top HTTP/1.1", Error::Target),
        ("GET foo HTTP/1.1", Error::Target),
        ("GET * HTTP/1.1", Error::Target),
        ("GET http://u@a/ HTTP/1.1", Error::Target),
        ("GET ftp://a/ HTTP/1.1", Error::Target),
        ("CONNECT / HTTP/1.1", Error::Target),
    ] {
        assert_rejects(&request(line, b"", b""), error);
    }
    assert_rejects(
        &request("GET /x HTTP/1.1", b"", b"").replace_first(b"/x", b"/\xff"),
        Error::RequestLine,
    );
}

#[test]
fn answers_501_to_a_tunnel() {
    assert_rejects(
        &request("CONNECT a.example:443 HTTP/1.1", b"", b""),
        Error::Connect,
    );
}

#[test]
fn answers_505_to_another_major_version() {
    for line in [
        "GET / HTTP/2.0",
        "GET / HTTP/3.0",
        "GET / HTTP/0.9",
        "PRI * HTTP/2.0",
    ] {
        assert_rejects(&request(line, b"", b""), Error::Version);
    }
}

#[test]
fn reads_a_higher_minor_version_as_the_highest_known() {
    assert_eq!(
        heads(&request("GET /a HTTP/1.2", b"", b"")),
        ["GET /a Http11"]
    );
    assert_eq!(
        heads(&request("GET /a HTTP/1.9", b"X: y\r\n", b"")),
        ["GET /a Http11"]
    );
}

#[test]
fn knows_every_form_of_target() {
    for (line, shown) in [
        ("GET //a/../b HTTP/1.1", "GET //a/../b Http11"),
        ("GET http://b.example/p?q HTTP/1.1", "GET /p?q Http11"),
        ("GET HTTP://b.example HTTP/1.1", "GET / Http11"),
        ("GET http://b.example?q HTTP/1.1", "GET /?q Http11"),
        ("OPTIONS * HTTP/1.1", "OPTIONS * Http11"),
        ("PROPFIND /a HTTP/1.1", "PROPFIND /a Http11"),
        ("get / HTTP/1.1", "get / Http11"),
    ] {
        assert_eq!(heads(&request(line, b"", b"")), [shown]);
    }
}

#[test]
fn the_authority_of_an_absolute_target_replaces_host() {
    let seen = see(&request("GET http://b.example:81/ HTTP/1.1", b"", b""));
    assert!(matches!(&seen[0], Seen::Head { host: Some(host), .. } if host == "b.example:81"));
    assert_rejects(b"GET http://b.example/ HTTP/1.1\r\n\r\n", Error::Host);
}

#[test]
fn wants_exactly_one_valid_host() {
    for head in [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nhOST: a\r\n\r\n",
        b"GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.0\r\nHost: a/b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: u@a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a:port\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\xe9\r\n\r\n",
    ] {
        assert_rejects(head, Error::Host);
    }
    assert_eq!(heads(b"GET / HTTP/1.0\r\n\r\n"), ["GET / Http10"]);
    assert_eq!(heads(b"GET / HTTP/1.1\r\nHost:\r\n\r\n"), ["GET / Http11"]);
    assert_eq!(
        heads(b"GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n"),
        ["GET / Http11"]
    );
}

#[test]
fn rejects_malformed_fields() {
    for (fields, error) in [
        (&b"X-A : b\r\n"[..], Error::FieldName),
        (b"X-A\t: b\r\n", Error::FieldName),
        (b"Content-Length : 5\r\n", Error::FieldName),
        (b"Transfer-Encoding : chunked\r\n", Error::FieldName),
        (b"Transfer Encoding: chunked\r\n", Error::FieldName),
        (b"X-A: a\r\n b\r\n", Error::FieldName),
        (b"X-A: a\r\n\tb\r\n", Error::FieldName),
        (b"X-A b\r\n", Error::FieldName),
        (b"X-A\r\n", Error::FieldName),
        (b": b\r\n", Error::FieldName),
        (b"X(A: b\r\n", Error::FieldName),
        (b"X\0A: b\r\n", Error::FieldName),
        (b"X\xe9: b\r\n", Error::FieldName),
        (b"X\rA: b\r\n", Error::FieldName),
        (b"X-A: a\0b\r\n", Error::FieldValue),
        (b"X-A: a\x01b\r\n", Error::FieldValue),
        (b"X-A: a\x7fb\r\n", Error::FieldValue),
        (b"X-A: a\x0bb\r\n", Error::FieldValue),
        (b"X-A: a\rb\r\n", Error::FieldValue),
        (b"X-A: b\r\r\n", Error::FieldValue),
        (b"Transfer-Encoding: chunked\r\r\n", Error::FieldValue),
        (b"X-A:\r b\r\n", Error::FieldValue),
    ] {
        assert_rejects(&request("GET / HTTP/1.1", fields, b""), error);
    }
}

#[test]
fn rejects_whitespace_before_the_first_field() {
    assert_rejects(
        b"GET / HTTP/1.1\r\n X: 1\r\nHost: a\r\n\r\n",
        Error::FieldName,
    );
    assert_rejects(b"GET / HTTP/1.1\r\n\tHost: a\r\n\r\n", Error::FieldName);
}

#[test]
fn rejects_a_bare_line_feed_wherever_a_line_ends() {
    for head in [
        &b"GET / HTTP/1.1\nHost: a\r\n\r\n"[..],
        b"GET / HTTP/1.1\r\nHost: a\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\n\n",
        b"GET / HTTP/1.1\nHost: a\n\n",
        b"GET / HTTP/1.0\n\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX:X\nTransfer-Encoding: chunked\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX:\nY: z\r\n\r\n",
    ] {
        assert_rejects(head, Error::LineEnd);
    }
}

#[test]
fn keeps_bytes_past_ascii_in_values() {
    let seen = see(&request("GET / HTTP/1.1", b"X-A: caf\xc3\xa9\r\n", b""));
    assert!(matches!(&seen[0], Seen::Head { fields, .. } if fields[1].1 == "café"));
}

#[test]
fn underscores_make_another_field() {
    let wire = request(
        "POST / HTTP/1.1",
        b"Content_Length: 5\r\nTransfer_Encoding: chunked\r\n",
        b"",
    );
    assert_eq!(heads(&wire.repeat(2)).len(), 2);
}

#[test]
fn refuses_foreign_protocols_before_their_message_ends() {
    for start in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..],
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"\0\0\0\0",
        b"{\"json\": 1}",
    ] {
        assert!(matches!(see(start)[..], [Seen::Reject(_)]), "{start:?}");
    }
}

#[test]
fn says_the_same_again_after_a_refusal() {
    let mut client = Client::new(LIMITS);
    client.feed(b"GET / HTTP/1.1\r\n\r\n");
    client.feed(&request("GET / HTTP/1.1", b"", b""));
    assert_eq!(client.seen, [Seen::Reject(Error::Host)]);
}

trait ReplaceFirst {
    fn replace_first(self, from: &[u8], to: &[u8]) -> Vec<u8>;
}

impl ReplaceFirst for Vec<u8> {
    fn replace_first(self, from: &[u8], to: &[u8]) -> Vec<u8> {
        let at = self
            .windows(from.len())
            .position(|w| w == from)
            .expect("the pattern is there");
        [&self[..at], to, &self[at + from.len()..]].concat()
    }
}
