//! Body length and the chunked coding (RFC 9112 6, 7).

use super::{Client, LIMITS, Seen, assert_rejects, heads, request, see, see_bytewise};
use crate::h1::{BodyLength, Eof, Error};

fn chunked(body: &[u8]) -> Vec<u8> {
    request("POST / HTTP/1.1", b"Transfer-Encoding: chunked\r\n", body)
}

/// The payload of a message that is complete, however it is cut.
#[track_caller]
fn payload(input: &[u8]) -> Vec<u8> {
    let seen = see(input);
    assert_eq!(seen, see_bytewise(input));
    assert_eq!(seen.last(), Some(&Seen::End));
    match &seen[1..] {
        [Seen::Data(data), Seen::End] => data.clone(),
        [Seen::End] => Vec::new(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn reads_as_many_bytes_as_content_length_says() {
    for value in ["11", "  11  ", "\t11\t", "0011"] {
        let fields = format!("cOnTeNt-LeNgTh:{value}\r\n");
        assert_eq!(
            payload(&request(
                "POST / HTTP/1.1",
                fields.as_bytes(),
                b"hello world"
            )),
            b"hello world"
        );
    }
}

#[test]
fn a_length_of_zero_is_no_body() {
    let post = request("POST / HTTP/1.1", b"Content-Length: 0\r\n", b"");
    assert!(matches!(
        see(&post)[..],
        [Seen::Head {
            body: BodyLength::None,
            ..
        }]
    ));
    assert_eq!(heads(&post.repeat(2)).len(), 2);
}

#[test]
fn rejects_a_content_length_that_is_no_number() {
    for value in [
        "",
        "+5",
        "-5",
        "0x5",
        "5 5",
        "5,5",
        "5, 5",
        "5;",
        "5.0",
        "5e1",
        "five",
        "\"5\"",
        "5_0",
        "٥",
        "18446744073709551621",
        "99999999999999999999999",
    ] {
        let fields = format!("Content-Length: {value}\r\n");
        assert_rejects(
            &request("POST / HTTP/1.1", fields.as_bytes(), b"hello"),
            Error::ContentLength,
        );
    }
}

#[test]
fn rejects_a_repeated_content_length() {
    for second in ["5", "6", "0"] {
        let fields = format!("Content-Length: 5\r\nContent-Length: {second}\r\n");
        assert_rejects(
            &request("POST / HTTP/1.1", fields.as_bytes(), b"hello"),
            Error::ContentLength,
        );
    }
}

#[test]
fn rejects_content_length_beside_transfer_encoding() {
    for fields in [
        &b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"[..],
        b"Transfer-Encoding: chunked\r\nContent-Length: 0\r\n",
        b"Transfer-Encoding: xchunked\r\nContent-Length: 5\r\n",
        b"Transfer-Encoding:\r\nContent-Length: 5\r\n",
    ] {
        assert_rejects(
            &request("POST / HTTP/1.1", fields, b"0\r\n\r\n"),
            Error::FramingConflict,
        );
        assert_rejects(
            &request("GET / HTTP/1.1", fields, b"0\r\n\r\n"),
            Error::FramingConflict,
        );
    }
}

#[test]
fn rejects_a_transfer_coding_in_http_1_0() {
    let wire = b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    assert_rejects(wire, Error::TransferEncoding);
}

#[test]
fn tells_unknown_codings_from_faulty_lists() {
    for (fields, error) in [
        ("Transfer-Encoding: gzip, chunked\r\n", Error::UnknownCoding),
        (
            "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n",
            Error::UnknownCoding,
        ),
        ("Transfer-Encoding: xchunked\r\n", Error::UnknownCoding),
        ("Transfer-Encoding: identity\r\n", Error::UnknownCoding),
        ("Transfer-Encoding: \"chunked\"\r\n", Error::UnknownCoding),
        (
            "Transfer-Encoding: chunked, gzip\r\n",
            Error::TransferEncoding,
        ),
        (
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
            Error::TransferEncoding,
        ),
        (
            "Transfer-Encoding: chunked, chunked\r\n",
            Error::TransferEncoding,
        ),
        (
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
            Error::TransferEncoding,
        ),
        (
            "Transfer-Encoding: chunked;q=1\r\n",
            Error::TransferEncoding,
        ),
        ("Transfer-Encoding: ,chunked\r\n", Error::TransferEncoding),
        ("Transfer-Encoding: chunked,\r\n", Error::TransferEncoding),
        ("Transfer-Encoding:\r\n", Error::TransferEncoding),
    ] {
        assert_rejects(
            &request("POST / HTTP/1.1", fields.as_bytes(), b"0\r\n\r\n"),
            error,
        );
    }
}

#[test]
fn an_odd_byte_beside_the_coding_is_never_chunked() {
    for byte in (1..0x20).chain([0x7f, 0x80, 0x85, 0xa0, 0xad, 0xff]) {
        if matches!(byte, b'\t' | b'\n') {
            continue;
        }
        for fields in [
            [&b"Transfer-Encoding:"[..], &[byte], b"chunked\r\n"].concat(),
            [&b"Transfer-Encoding: chunked"[..], &[byte], b"\r\n"].concat(),
            [&b"Transfer-Encoding"[..], &[byte], b": chunked\r\n"].concat(),
            [&[byte][..], b"Transfer-Encoding: chunked\r\n"].concat(),
        ] {
            let seen = see(&request("POST / HTTP/1.1", &fields, b"0\r\n\r\n"));
            assert!(matches!(seen[..], [Seen::Reject(_)]), "{byte:#x}: {seen:?}");
        }
    }
}

#[test]
fn decodes_chunks() {
    for (wire, text) in [
        (
            &b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n"[..],
            &b"hello world"[..],
        ),
        (
            b"A\r\n0123456789\r\na\r\n0123456789\r\n0\r\n\r\n",
            b"01234567890123456789",
        ),
        (b"0005\r\nhello\r\n000\r\n\r\n", b"hello"),
        (b"0\r\n\r\n", b""),
        (b"5;foo=bar;q=\"a;b\"\r\nhello\r\n0;last\r\n\r\n", b"hello"),
        (b"5 \t ; foo = bar\r\nhello\r\n0\r\n\r\n", b"hello"),
        (b"5\r\nhello\r\n0\r\nX-T: 1\r\nX-U:\r\n\r\n", b"hello"),
        (b"5\r\nhello\r\n0\r\nContent-Length: 44\r\n\r\n", b"hello"),
    ] {
        assert_eq!(payload(&chunked(wire)), text);
    }
    let wire = request(
        "POST / HTTP/1.1",
        b"Transfer-Encoding: cHuNkEd\r\n",
        b"1\r\nz\r\n0\r\n\r\n",
    );
    assert_eq!(payload(&wire), b"z");
}

#[test]
fn a_trailer_frames_nothing() {
    let first = chunked(b"0\r\nContent-Length: 44\r\nTransfer-Encoding: chunked\r\n\r\n");
    assert_eq!(
        heads(&[first, request("GET / HTTP/1.1", b"", b"")].concat()).len(),
        2
    );
}

#[test]
fn rejects_faulty_chunk_lines() {
    for (body, error) in [
        (&b"0x5\r\nhello\r\n0\r\n\r\n"[..], Error::ChunkSize),
        (b"+5\r\nhello\r\n", Error::ChunkSize),
        (b"-5\r\nhello\r\n", Error::ChunkSize),
        (b"0_5\r\nhello\r\n", Error::ChunkSize),
        (b"\r\nhello\r\n", Error::ChunkSize),
        (b"5g\r\nhello\r\n", Error::ChunkSize),
        (b" 5\r\nhello\r\n", Error::ChunkSize),
        (b"5 5\r\nhello\r\n", Error::ChunkSize),
        (b"5 \r\nhello\r\n", Error::ChunkSize),
        (b"5\0\r\nhello\r\n", Error::ChunkSize),
        (b"5,\r\nhello\r\n", Error::ChunkSize),
        (b";5\r\nhello\r\n", Error::ChunkSize),
        (b"10000000000000005\r\nhello\r\n", Error::ChunkSize),
        (b"ffffffffffffffff\r\nhello\r\n", Error::BodyTooLarge),
        (b"7ffffffffffffffe\r\nhello\r\n", Error::BodyTooLarge),
        (b"5\nhello\r\n", Error::ChunkSize),
        (b"0\n\r\n", Error::ChunkSize),
        (b"5;a\nhello\r\n", Error::ChunkExtension),
        (b"5;a\0\r\nhello\r\n", Error::ChunkExtension),
        (b"5;a\rb\r\nhello\r\n", Error::ChunkEnd),
        (b"5\rX\nhello\r\n", Error::ChunkEnd),
        (b"5\r\r\nhello\r\n", Error::ChunkEnd),
        (b"5;a=\"\r\nhello\r\n\"\r\n", Error::ChunkSize),
        (b"5\r\nhello\n0\r\n\r\n", Error::ChunkEnd),
        (b"3\r\nhello\r\n0\r\n\r\n", Error::ChunkEnd),
        (b"5\r\nhelloXX0\r\n\r\n", Error::ChunkEnd),
        (b"7\r\nhello\r\n0\r\n\r\n", Error::ChunkEnd),
    ] {
        assert_rejects(&chunked(body), error);
    }
}

#[test]
fn rejects_faulty_trailers() {
    for trailers in [
        &b"\n"[..],
        b"X-T : 1\r\n\r\n",
        b"X-T: 1\n\r\n",
        b"X-T: 1\r\n folded\r\n\r\n",
        b" X-T: 1\r\n\r\n",
        b": 1\r\n\r\n",
        b"X-T\r\n\r\n",
        b"X-T: a\0\r\n\r\n",
        b"X-T: a\rb\r\n\r\n",
        b"X-T: 1\r\n\rX",
        b"\rX",
    ] {
        assert_rejects(&chunked(&[b"0\r\n", trailers].concat()), Error::Trailer);
    }
}

#[test]
fn the_end_of_input_inside_a_message_is_a_truncation() {
    for (input, eof) in [
        (&b""[..], Eof::Clean),
        (b"\r\n", Eof::Clean),
        (b"GET / HT", Eof::Truncated),
        (
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhell",
            Eof::Truncated,
        ),
        (
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
            Eof::Clean,
        ),
        (
            b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n",
            Eof::Truncated,
        ),
        (
            b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            Eof::Clean,
        ),
        (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", Eof::Clean),
    ] {
        let mut client = Client::new(LIMITS);
        client.feed(input);
        let unread = client.unread();
        assert_eq!(
            client.engine.handle_eof(unread),
            eof,
            "{:?}",
            String::from_utf8_lossy(input)
        );
    }
}
