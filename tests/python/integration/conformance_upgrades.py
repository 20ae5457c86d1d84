"""Cases of the table in `conformance_cases` for upgrades, handshakes of WebSockets, and preconditions."""

from __future__ import annotations

from .conformance_cases import GET, H, case, fields, line, post
from .conformance_more import file

UPGRADE = b"Connection: Upgrade\r\nUpgrade: websocket\r\n"
KEY = b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
VERSION = b"Sec-WebSocket-Version: 13\r\n"
SWITCHED = b"HTTP/1.1 101"


def handshake(
    text: bytes,
    target: bytes = b"/socket",
    method: bytes = b"GET",
    version: bytes = b"1.1",
    body: bytes = b"",
) -> bytes:
    return method + b" " + target + b" HTTP/" + version + b"\r\n" + H + text + b"\r\n" + body


# ------------------------------------------------------------------------------------- upgrades that are not followed
for name, send, answers, end in [
    ("of HTTP/1.0", handshake(UPGRADE + KEY + VERSION, b"/", version=b"1.0"), 200, "closed"),
    ("of HTTP/1.0 where there is one", handshake(UPGRADE + KEY + VERSION, version=b"1.0"), 400, "closed"),
    (
        "of HTTP/1.0 with keep-alive",
        handshake(UPGRADE.replace(b"Upgrade\r", b"Upgrade, keep-alive\r") + KEY + VERSION, b"/", version=b"1.0"),
        200,
        "open",
    ),
    ("without its option", handshake(b"Upgrade: websocket\r\n" + KEY + VERSION, b"/"), 200, "open"),
    # As in Flask: what asks for a WebSocket matches none but its rules.
    ("to a plain route", handshake(UPGRADE + KEY + VERSION, b"/"), 400, "open"),
    ("to nothing", handshake(UPGRADE + KEY + VERSION, b"/no"), 404, "open"),
    ("by POST", handshake(UPGRADE + KEY + VERSION, method=b"POST"), 405, "open"),
    ("without a key", handshake(UPGRADE + VERSION), 400, "open"),
    ("with an empty key", handshake(UPGRADE + VERSION + b"Sec-WebSocket-Key:\r\n"), 400, "open"),
    ("with a short key", handshake(UPGRADE + VERSION + b"Sec-WebSocket-Key: YQ==\r\n"), 400, "open"),
    ("with a key that is no base64", handshake(UPGRADE + VERSION + b"Sec-WebSocket-Key: " + b"*" * 24 + b"\r\n"), 400, "open"),
    ("with two keys", handshake(UPGRADE + VERSION + KEY + KEY), 400, "open"),
    ("without a version", handshake(UPGRADE + KEY), 426, "open"),
    ("with content", handshake(UPGRADE + KEY + VERSION + b"Content-Length: 5\r\n", body=b"hello"), 400, "open"),
    ("of a POST with content", post(UPGRADE.strip() + b"\r\nContent-Length: 5", b"hello"), 400, "open"),
    ("to another protocol with content", post(b"Connection: upgrade\r\nUpgrade: x\r\nContent-Length: 5", b"hello"), 200, "open"),
    ("with a faulty length", handshake(UPGRADE + KEY + VERSION + b"Content-Length: x\r\n"), 400, "closed"),
    ("with two framings", handshake(UPGRADE + KEY + VERSION + b"Content-Length: 0\r\nTransfer-Encoding: chunked\r\n"), 400, "closed"),
    ("without a Host", b"GET /socket HTTP/1.1\r\n" + UPGRADE + KEY + VERSION + b"\r\n", 400, "closed"),
    ("from another site", handshake(UPGRADE + KEY + VERSION + b"Origin: http://evil.test\r\n"), 403, "open"),
]:  # fmt: skip
    case("9110 7.8", f"an upgrade to a WebSocket {name}", send, answers, end, hides=(SWITCHED,))
case(
    "6455 4.4",
    "another version is told ours",
    handshake(UPGRADE + KEY + b"Sec-WebSocket-Version: 8\r\n"),
    426,
    "open",
    shows=(b"Sec-WebSocket-Version: 13\r\n", b"Upgrade: websocket\r\n"),
)
case("9112 9.3.2", "nothing is upgraded behind a close", fields(b"Connection: close") + handshake(UPGRADE + KEY + VERSION), 200, "closed", hides=(SWITCHED,))  # fmt: skip

# ------------------------------------------------------------------------------------------------- preconditions
NEVER = b"Fri, 31 Dec 2100 23:59:59 GMT"
for name, text, status in [
    ("If-Modified-Since by the asctime of old", b"If-Modified-Since: Fri Dec 31 23:59:59 2060", 304),
    ("If-Modified-Since by the asctime of long ago", b"If-Modified-Since: Sun Nov  6 08:49:37 1994", 200),
    ("If-Modified-Since by RFC 850", b"If-Modified-Since: Friday, 31-Dec-60 23:59:59 GMT", 304),
    (
        "If-Modified-Since by RFC 850, a century ago",
        b"If-Modified-Since: Sunday, 06-Nov-94 08:49:37 GMT",
        200,
    ),
    ("If-None-Match before If-Modified-Since", b'If-None-Match: "x"\r\nIf-Modified-Since: ' + NEVER, 200),
    ("If-None-Match of a list with any", b'If-None-Match: "x", *', 200),
    ("If-Range without a range", b'If-Range: "x"', 200),
    ("If-Range by a date of long ago", b"Range: bytes=0-1\r\nIf-Range: Thu, 01 Jan 1970 00:00:00 GMT", 200),
    ("If-Range by a weak tag", b'Range: bytes=0-1\r\nIf-Range: W/"x"', 200),
    ("If-Unmodified-Since that is no date", b"If-Unmodified-Since: yesterday", 200),
]:
    case("9110 13", name, file(text), status, "open")
for name, text, status, shown in [
    ("a range in a unit in capitals", b"Range: BYTES=0-1", 206, b"Content-Range: bytes 0-1/10\r\n"),
    ("a range to past what a length can be", b"Range: bytes=8-" + b"9" * 40, 206, b"Content-Range: bytes 8-9/10\r\n"),
    ("a range from past what a length can be", b"Range: bytes=" + b"9" * 40 + b"-", 416, b"Content-Range: bytes */10\r\n"),
    ("a range that ends before it begins", b"Range: bytes=5-2", 200, b"Content-Length: 10\r\n"),
    ("a range of letters", b"Range: bytes=a-b", 200, b"Content-Length: 10\r\n"),
    ("a range of nothing", b"Range: bytes=-0", 416, b"Content-Range: bytes */10\r\n"),
]:  # fmt: skip
    case("9110 14.2", name, file(text), status, "open", shows=(shown,))
case("9110 15.4.5", "304 tells the tag", file(b"If-None-Match: *"), 304, "open", shows=(b"ETag: ",), hides=(b"Content-Length: 10",))  # fmt: skip
case("9110 14.2", "HEAD of a range", file(b"Range: bytes=0-1", b"HEAD"), 200, "open", hides=(b"\r\n\r\n0",))
case("9110 13.1.1", "If-Match of any", file(b"If-Match: *"), 200, "open")
case(
    "9110 13.1.4",
    "If-Unmodified-Since long ago",
    file(b"If-Unmodified-Since: Thu, 01 Jan 1970 00:00:00 GMT"),
    412,
    "open",
)
for name, text in [
    ("If-None-Match", b"If-None-Match: *"),
    ("If-Match", b'If-Match: "x"'),
    ("If-Modified-Since", b"If-Modified-Since: " + NEVER),
    ("a range", b"Range: bytes=0-1"),
]:
    case(
        "9110 13.2.1", f"{name} changes no 404", b"GET /no HTTP/1.1\r\n" + H + text + b"\r\n\r\n", 404, "open"
    )
    case("9110 13.2.1", f"{name} changes no POST", post(text + b"\r\nContent-Length: 2", b"ok"), 200, "open", shows=(b"\r\n\r\nok",))  # fmt: skip
    case("9110 13.2.1", f"{name} changes no 405", b"DELETE /echo HTTP/1.1\r\n" + H + text + b"\r\n\r\n", 405, "open")  # fmt: skip

# --------------------------------------------------------------------------------- what goes to which version of HTTP
for name, send, answers in [
    ("a stream in 1.0 with keep-alive", b"GET /stream HTTP/1.0\r\nConnection: keep-alive\r\n\r\n" + GET, 200),
    ("HEAD of a stream in 1.0", b"HEAD /stream HTTP/1.0\r\n\r\n" + GET, 200),
]:
    case("9112 6.1", name, send, answers, "closed", hides=(b"Transfer-Encoding", b"Connection: keep-alive"))
for status in (204, 304):
    case(
        "9112 6.3",
        f"{status} in 1.0 with keep-alive",
        b"GET /status/%d HTTP/1.0\r\nConnection: keep-alive\r\n\r\n" % status + GET,
        (status, 200),
        "open",
        shows=(b"Connection: keep-alive\r\n",),
    )
case("9110 9.3.7", "OPTIONS says that there is no content", line(b"OPTIONS / HTTP/1.1"), 200, "open", shows=(b"Content-Length: 0\r\n",))  # fmt: skip
for name, text in [
    ("two", b"TE: trailers\r\nTE: gzip;q=0.5"),
    ("nothing", b"TE:"),
    ("a named option", b"Connection: TE\r\nTE: trailers"),
    ("chunked", b"TE: chunked"),
]:
    case("9110 10.1.4", f"TE: {name}", fields(text), 200, "open")
for name, text in [
    ("its own option", b"Connection: Connection"),
    ("Host", b"Connection: Host"),
    ("Content-Length", b"Connection: Content-Length"),
    ("no token", b"Connection: ;,=,/"),
    ("very many", b"Connection: " + b",".join([b"x"] * 2000)),
]:
    case("9110 7.6.1", f"Connection names {name}", fields(text), 200, "open")
case("9110 8.6", "Connection names a length that frames", post(b"Connection: Content-Length\r\nContent-Length: 5", b"hello"), 200, "open", shows=(b"\r\n\r\nhello",))  # fmt: skip
case("9112 6.1", "Connection names a coding that frames", post(b"Connection: Transfer-Encoding\r\nTransfer-Encoding: chunked", b"5\r\nhello\r\n0\r\n\r\n"), 200, "open", shows=(b"\r\n\r\nhello",))  # fmt: skip
case("9110 10.1.1", "an empty expectation", post(b"Expect:\r\nContent-Length: 2", b"ok"), 417, "closed")
case("9110 10.1.1", "an expectation nobody knows in 1.0", b"POST /echo HTTP/1.0\r\nExpect: more\r\nContent-Length: 2\r\n\r\nok", 200, "closed")  # fmt: skip
case("9112 2.2", "two empty lines between requests", GET + b"\r\n\r\n" + GET, (200, 200), "open")
case("9112 2.2", "a blank line with a blank between requests", GET + b" \r\n" + GET, (200, 400), "closed")
case("9112 2.2", "an empty line behind content", post(b"Content-Length: 2", b"ok") + b"\r\n" + GET, (200, 200), "open")  # fmt: skip
case("9112 2.2", "a word behind content", post(b"Content-Length: 2", b"okX") + GET, (200, 405), "open")
case("9112 3", "an old request without a version", b"GET /\r\n\r\n" + GET, 400, "closed")
case("9112 3.2", "a target of 8,000 slashes", line(b"GET " + b"/" * 8000 + b" HTTP/1.1"), 200, "open")
case("9112 3.2.2", "an absolute form of another scheme", line(b"GET ftp://a/ HTTP/1.1"), 400, "closed")
case("9112 3.2.3", "CONNECT to a port past the last", line(b"CONNECT a:99999 HTTP/1.1"), 400, "closed")
case("9112 3.2.3", "CONNECT to port 0", line(b"CONNECT a:0 HTTP/1.1"), 501, "closed")
case("9110 7.2", "Host with a port past the last", b"GET / HTTP/1.1\r\nHost: a:99999\r\n\r\n", 400, "closed")
