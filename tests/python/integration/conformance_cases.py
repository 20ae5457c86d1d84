"""What a client may send and what RFC 9110 and 9112 have a server answer: the table of `test_conformance_table`.

A case says which final statuses come back, in order, and whether the connection is then `open` (a further request is
answered), `closed` (it ends, and nothing behind these bytes is answered) or `waiting` (the message is incomplete: there
is nothing to answer yet, and it is dropped if the client goes).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Union

H = b"Host: a\r\n"
GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


@dataclass(frozen=True)
class Case:
    """One exchange."""

    name: str
    rule: str
    send: bytes
    answers: tuple[int, ...]
    ends: str
    #: Each must be in what the server sends.
    shows: tuple[bytes, ...] = ()
    #: None of them may be.
    hides: tuple[bytes, ...] = ()


CASES: list[Case] = []


def case(
    rule: str,
    name: str,
    send: bytes,
    answers: Union[int, tuple[int, ...]],
    ends: str,
    *,
    shows: tuple[bytes, ...] = (),
    hides: tuple[bytes, ...] = (),
) -> None:
    answers = (answers,) if isinstance(answers, int) else answers
    CASES.append(Case(name, rule, send, answers, ends, shows, hides))


def line(text: bytes) -> bytes:
    return text + b"\r\n" + H + b"\r\n"


def fields(text: bytes) -> bytes:
    return b"GET /headers HTTP/1.1\r\n" + H + text + b"\r\n\r\n"


def post(text: bytes, body: bytes = b"") -> bytes:
    return b"POST /echo HTTP/1.1\r\n" + H + text + b"\r\n\r\n" + body


def chunked(body: bytes) -> bytes:
    return post(b"Transfer-Encoding: chunked", body)


# ---------------------------------------------------------------------------------------------- request lines
case("9112 2.2", "an empty line before the request line", b"\r\n" + GET, 200, "open")
case("9112 2.2", "nine empty lines before it", b"\r\n" * 9 + GET, 400, "closed")
case("9112 2.2", "a bare LF before it", b"\n" + GET, 400, "closed")
case("9112 2.2", "a bare LF behind it", b"GET / HTTP/1.1\nHost: a\r\n\r\n", 400, "closed")
case("9112 2.2", "bare LFs everywhere", b"GET / HTTP/1.1\nHost: a\n\n", 400, "closed")
case("9112 2.2", "a bare CR within it", b"GET /a\rb HTTP/1.1\r\n" + H + b"\r\n", 400, "closed")
case("9112 2.2", "a bare CR for a line end", b"GET / HTTP/1.1\rHost: a\r\n\r\n", 400, "closed")
case("9112 2.2", "whitespace before the first field", b"GET / HTTP/1.1\r\n Host: a\r\n\r\n", 400, "closed")
for rule, name, text in [
    ("9112 3", "a space before the method", b" GET / HTTP/1.1"),
    ("9112 3", "two spaces before the target", b"GET  / HTTP/1.1"),
    ("9112 3", "two spaces behind the target", b"GET /  HTTP/1.1"),
    ("9112 3", "a tab for a space", b"GET\t/ HTTP/1.1"),
    ("9112 3", "a vertical tab for a space", b"GET\x0b/ HTTP/1.1"),
    ("9112 3", "a space behind the version", b"GET / HTTP/1.1 "),
    ("9112 3", "a word behind the version", b"GET / HTTP/1.1 x"),
    ("9112 3", "a space in the target", b"GET /a b HTTP/1.1"),
    ("9112 3", "no version", b"GET /"),
    ("9112 3", "no target", b"GET HTTP/1.1"),
    ("9112 3", "the method alone", b"GET"),
    ("9112 3.1", "a colon in the method", b"GE:T / HTTP/1.1"),
    ("9112 3.1", "a control in the method", b"GE\x01T / HTTP/1.1"),
    ("9112 3.1", "a high byte in the method", b"G\xc9T / HTTP/1.1"),
    ("9112 3.1", "a quoted method", b'"GET" / HTTP/1.1'),
    ("9112 2.3", "a version in small letters", b"GET / http/1.1"),
    ("9112 2.3", "another protocol", b"GET / HTTPS/1.1"),
    ("9112 2.3", "two minor digits", b"GET / HTTP/1.10"),
    ("9112 2.3", "a leading zero", b"GET / HTTP/01.1"),
    ("9112 2.3", "no minor version", b"GET / HTTP/1."),
    ("9112 2.3", "a comma for the dot", b"GET / HTTP/1,1"),
    ("9112 2.3", "a space in the version", b"GET / HTTP/ 1.1"),
    ("9112 2.3", "a negative version", b"GET / HTTP/-1.1"),
    ("9112 3.2", "a relative path", b"GET index HTTP/1.1"),
    ("9112 3.2", "a fragment", b"GET /#top HTTP/1.1"),
    ("9112 3.2", "a NUL in the target", b"GET /a\x00b HTTP/1.1"),
    ("9112 3.2", "a DEL in the target", b"GET /a\x7fb HTTP/1.1"),
    ("9112 3.2", "a control in the target", b"GET /a\x1fb HTTP/1.1"),
    ("9112 3.2", "a raw high byte in the target", b"GET /\xc3\xa4 HTTP/1.1"),
    ("9112 3.2.2", "an absolute form without a host", b"GET http:///x HTTP/1.1"),
    ("9110 4.2.4", "an absolute form with a user", b"GET http://u@a/ HTTP/1.1"),
    ("9112 3.2.2", "an absolute form with a bad port", b"GET http://a:x/ HTTP/1.1"),
    ("9112 3.2.3", "an authority form with GET", b"GET a:80 HTTP/1.1"),
    ("9112 3.2.3", "CONNECT without a port", b"CONNECT a HTTP/1.1"),
    ("9112 3.2.3", "CONNECT with a path", b"CONNECT / HTTP/1.1"),
    ("9112 3.2.4", "an asterisk with GET", b"GET * HTTP/1.1"),
    ("9112 3.2.4", "an asterisk and more", b"OPTIONS *x HTTP/1.1"),
]:
    case(rule, name, line(text), 400, "closed")
case("9110 15.6.6", "HTTP/2 by its version", line(b"GET / HTTP/2.0"), 505, "closed")
case("9110 15.6.6", "HTTP/0.9 by its version", line(b"GET / HTTP/0.9"), 505, "closed")
case("9110 2.5", "a higher minor version", line(b"GET / HTTP/1.9"), 200, "open", shows=(b"HTTP/1.1 200",))
case("9110 9.3.6", "CONNECT, well formed", line(b"CONNECT a:80 HTTP/1.1"), 501, "closed")
case("9110 9.1", "a method nobody knows", line(b"BREW / HTTP/1.1"), (405,), "open", shows=(b"Allow: ",))
case("9112 3", "a method of 65 bytes", line(b"A" * 65 + b" / HTTP/1.1"), 501, "closed")
case("9112 3", "a line of 9,000 bytes", line(b"GET /" + b"a" * 9000 + b" HTTP/1.1"), 414, "closed")
case("9112 3", "a line of 7,000 bytes", line(b"GET /" + b"a" * 7000 + b" HTTP/1.1"), 404, "open")
case("9112 3.2.1", "a query alone", line(b"GET /?a=%00 HTTP/1.1"), 200, "open")
case("9112 3.2.1", "a path that leaves the root", line(b"GET /../../etc/passwd HTTP/1.1"), 404, "open")
case("9112 3.2.2", "an absolute form", line(b"GET http://a/ HTTP/1.1"), 200, "open")
case("9112 3.2.2", "an absolute form without a path", line(b"GET http://a HTTP/1.1"), 200, "open")
case("9112 3.2.2", "its scheme in capitals", line(b"GET HTTP://a/ HTTP/1.1"), 200, "open")
case(
    "9112 3.2.2",
    "the target's host before the field's",
    b"GET http://right.test/host HTTP/1.1\r\nHost: wrong.test\r\n\r\n",
    200,
    "open",
    shows=(b"right.test",),
    hides=(b"wrong.test",),
)
# As under any WSGI server: the application is asked, and has no route for the server as a whole.
case("9112 3.2.4", "OPTIONS of the server", line(b"OPTIONS * HTTP/1.1"), 404, "open")

# -------------------------------------------------------------------------------------------------------- Host
for name, value, status in [
    ("a name", b"example.test", 200),
    ("a name and a port", b"example.test:8080", 200),
    ("an empty port", b"example.test:", 200),
    ("an address", b"127.0.0.1:80", 200),
    ("an IPv6 address", b"[::1]:80", 200),
    ("nothing", b"", 200),
    ("a space", b"a b", 400),
    ("a path", b"a/b", 400),
    ("a user", b"u@a", 400),
    ("a port of letters", b"a:b", 400),
    ("two ports", b"a:1:2", 400),
    ("an open bracket", b"[::1", 400),
    ("a name in brackets", b"[name]", 400),
    ("a backslash", b"a\\b", 400),
    ("a quote", b'a"b', 400),
    ("a high byte", b"\xe4", 400),
    ("a bad encoding", b"a%zz", 400),
    ("a list of two spaced", b"a, b", 400),
]:
    end = "open" if status == 200 else "closed"
    case("9112 3.2", f"Host is {name}", b"GET / HTTP/1.1\r\nHost: " + value + b"\r\n\r\n", status, end)
case("9112 3.2", "no Host", b"GET / HTTP/1.1\r\n\r\n", 400, "closed")
case("9112 3.2", "two Hosts", line(b"GET / HTTP/1.1\r\nHost: a"), 400, "closed")
case("9112 3.2", "two Hosts in 1.0", line(b"GET / HTTP/1.0\r\nHost: b"), 400, "closed")
case("9112 3.2", "no Host in 1.0", b"GET / HTTP/1.0\r\n\r\n", 200, "closed")
case("9112 3.2", "an absolute form does not replace it", b"GET http://a/ HTTP/1.1\r\n\r\n", 400, "closed")

# ------------------------------------------------------------------------------------------------ field lines
for byte in b'"(),/;<=>?@[\\]{}':
    case("9110 5.1", f"{chr(byte)} in a name", fields(b"X%cY: z" % byte), 400, "closed")
for name, text in [
    ("a space in a name", b"X Y: z"),
    ("a high byte in a name", b"X\xff: z"),
    ("a control in a name", b"X\x01: z"),
    ("an empty name", b": z"),
    ("no colon", b"XY"),
    ("a space before the colon", b"X : z"),
    ("a tab before the colon", b"X\t: z"),
    ("a folded line", b"X: y\r\n z"),
    ("a folded line by a tab", b"X: y\r\n\tz"),
    ("a fold and no more", b"X: y\r\n "),
    ("a NUL in a value", b"X: y\x00z"),
    ("a bare CR in a value", b"X: y\rz"),
    ("a CR before the line end", b"X: y\r"),
    ("a bare LF in a value", b"X: y\nZ: z"),
    ("a control in a value", b"X: y\x01z"),
    ("a DEL in a value", b"X: y\x7fz"),
    ("an escape in a value", b"X: \x1b[2J"),
]:
    case("9112 5", name, fields(text), 400, "closed")
case("9112 5.1", "whitespace around a value", fields(b"X: \t y \t "), 200, "open", shows=(b"X: y\n",))
case("9112 5.1", "no whitespace before a value", fields(b"X:y"), 200, "open", shows=(b"X: y\n",))
case("9110 5.5", "an empty value", fields(b"X:"), 200, "open", shows=(b"X: \n",))
case("9110 5.5", "a tab within a value", fields(b"X: y\tz"), 200, "open", shows=(b"X: y\tz\n",))
case("9110 5.5", "obs-text in a value", fields(b"X: \xe4"), 200, "open")
case("9110 5.1", "every token character in a name", fields(b"!#$%&'*+-.^_`|~0aZ: y"), 200, "open")
case("9110 5.3", "one name twice", fields(b"X: y\r\nX: z"), 200, "open", shows=(b"y", b"z"))
case("9110 5.4", "100 fields", fields(b"\r\n".join([b"X: y"] * 99)), 200, "open")
case("9110 5.4", "101 fields", fields(b"\r\n".join([b"X: y"] * 100)), 431, "closed")
case("9110 5.4", "a value of 60,000 bytes", fields(b"X: " + b"y" * 60_000), 200, "open")
case("9110 5.4", "a value of 70,000 bytes", fields(b"X: " + b"y" * 70_000), 431, "closed")

# ---------------------------------------------------------------------------------------------- Content-Length
for name, value in [
    ("a sign", b"+5"),
    ("a minus", b"-5"),
    ("hexadecimal", b"0x5"),
    ("a list of equals", b"5, 5"),
    ("a list of others", b"5, 6"),
    ("a list with a gap", b"5,"),
    ("a space within", b"1 5"),
    ("a tab within", b"1\t5"),
    ("a fraction", b"5.0"),
    ("an exponent", b"5e0"),
    ("an underscore", b"1_0"),
    ("quotes", b'"5"'),
    ("a word", b"five"),
    ("nothing", b""),
    ("two to the 64th", b"18446744073709551616"),
    ("two to the 64th and five", b"18446744073709551621"),
    ("thirty digits", b"9" * 30),
    ("other digits", "\N{FULLWIDTH DIGIT FIVE}".encode()),
    ("a parameter", b"5;x"),
]:
    case("9110 8.6", f"Content-Length is {name}", post(b"Content-Length: " + value, b"hello"), 400, "closed")
for rule, name, text in [
    ("9112 6.3", "two lengths", b"Content-Length: 5\r\nContent-Length: 6"),
    ("9112 6.3", "two equal lengths", b"Content-Length: 5\r\nContent-Length: 5"),
    ("9112 6.3", "two lengths in two spellings", b"Content-Length: 5\r\ncontent-length: 6"),
    ("9112 6.1", "length, then coding", b"Content-Length: 5\r\nTransfer-Encoding: chunked"),
    ("9112 6.1", "coding, then length", b"Transfer-Encoding: chunked\r\nContent-Length: 5"),
    ("9112 6.1", "length 0 and coding", b"Content-Length: 0\r\nTransfer-Encoding: chunked"),
    ("9112 6.1", "length and identity", b"Content-Length: 5\r\nTransfer-Encoding: identity"),
    ("9112 5.1", "a space before its colon", b"Content-Length : 5"),
    ("9112 5.2", "its value folded", b"Content-Length:\r\n 5"),
]:
    case(rule, name, post(text, b"0\r\n\r\n"), 400, "closed")
case(
    "9110 8.6",
    "a length with leading zeros",
    post(b"Content-Length: 0005", b"hello"),
    200,
    "open",
    shows=(b"hello",),
)
case(
    "9110 8.6",
    "a length between blanks",
    post(b"Content-Length: \t5 ", b"hello"),
    200,
    "open",
    shows=(b"hello",),
)
case("9112 6.3", "a length of 0", post(b"Content-Length: 0"), 200, "open")
case("9112 6.3", "no length: no body", post(b"X: y") + GET, (200, 200), "open")
case(
    "9112 6.3", "a body with GET", b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello", 200, "open"
)
case(
    "9112 6.3",
    "a length that ends before a request",
    post(b"Content-Length: 5", b"hello" + GET),
    (200, 200),
    "open",
)
case("9112 8", "a body that ends early", post(b"Content-Length: 10", b"hello"), (), "waiting")
case("9112 8", "a head that ends early", b"GET / HTTP/1.1\r\nHost: a\r\n", (), "waiting")
case("9110 15.5.14", "more than the limit", post(b"Content-Length: 2000000"), 413, "closed")

# ------------------------------------------------------------------------------------------- Transfer-Encoding
for name, value, status in [
    ("a list that begins empty", b", chunked", 400),
    ("a list that ends empty", b"chunked,", 400),
    ("chunked twice", b"chunked, chunked", 400),
    ("chunked and then another", b"chunked, gzip", 400),
    ("chunked with a parameter", b"chunked;q=1", 400),
    ("nothing", b"", 400),
    ("a vertical tab behind it", b"chunked\x0b", 400),
    ("a NUL behind it", b"chunked\x00", 400),
    ("identity", b"identity", 501),
    ("gzip", b"gzip", 501),
    ("gzip and then chunked", b"gzip, chunked", 501),
    ("chunkedx", b"chunkedx", 501),
    ("xchunked", b"xchunked", 501),
    ("quoted", b'"chunked"', 501),
]:
    case(
        "9112 6.1",
        f"the coding is {name}",
        post(b"Transfer-Encoding: " + value, b"0\r\n\r\n"),
        status,
        "closed",
    )
for name, text in [
    ("two codings", b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"),
    ("a second coding", b"Transfer-Encoding: chunked\r\nTransfer-Encoding: x, chunked"),
    ("a space before its colon", b"Transfer-Encoding : chunked"),
    ("its value folded", b"Transfer-Encoding:\r\n chunked"),
    ("a hidden one, folded", b"X: y\r\n Transfer-Encoding: chunked"),
]:
    case("9112 6.1", name, post(text, b"0\r\n\r\n"), 400, "closed")
case(
    "9112 6.1",
    "a coding in 1.0",
    b"POST /echo HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    400,
    "closed",
)
case("9112 7", "its name in capitals", post(b"Transfer-Encoding: CHUNKED", b"0\r\n\r\n"), 200, "open")
case("9112 7", "blanks around it", post(b"Transfer-Encoding: \tchunked ", b"0\r\n\r\n"), 200, "open")
case("9112 7.4", "TE is another field", fields(b"TE: trailers"), 200, "open")

# ------------------------------------------------------------------------------------------------------ chunks
for name, body in [
    ("one chunk", b"5\r\nhello\r\n0\r\n\r\n"),
    ("two chunks", b"2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"),
    ("leading zeros", b"0005\r\nhello\r\n0\r\n\r\n"),
    ("a last chunk of zeros", b"5\r\nhello\r\n0000\r\n\r\n"),
    ("an extension", b"5;a=b\r\nhello\r\n0\r\n\r\n"),
    ("an extension without a value", b"5;a\r\nhello\r\n0;b\r\n\r\n"),
    ("a quoted extension", b'5;a="b c"\r\nhello\r\n0\r\n\r\n'),
    ("blanks before an extension", b"5 \t;a=b\r\nhello\r\n0\r\n\r\n"),
    ("a trailer", b"5\r\nhello\r\n0\r\nX: y\r\n\r\n"),
    ("two trailers", b"5\r\nhello\r\n0\r\nX: y\r\nZ:\r\n\r\n"),
    ("a trailer that frames", b"5\r\nhello\r\n0\r\nContent-Length: 9\r\nTransfer-Encoding: gzip\r\n\r\n"),
    ("a trailer that routes", b"5\r\nhello\r\n0\r\nHost: b\r\nConnection: close\r\n\r\n"),
]:
    case("9112 7.1", f"chunks: {name}", chunked(body), 200, "open", shows=(b"\r\n\r\nhello",))
for name, body in [
    ("no size", b"\r\nhello\r\n0\r\n\r\n"),
    ("a sign", b"+5\r\nhello\r\n0\r\n\r\n"),
    ("a minus", b"-5\r\nhello\r\n0\r\n\r\n"),
    ("a prefix", b"0x5\r\nhello\r\n0\r\n\r\n"),
    ("no hexadecimal", b"g\r\nhello\r\n0\r\n\r\n"),
    ("an underscore", b"0_5\r\nhello\r\n0\r\n\r\n"),
    ("a blank before the size", b" 5\r\nhello\r\n0\r\n\r\n"),
    ("a blank behind the size", b"5 \r\nhello\r\n0\r\n\r\n"),
    ("a word behind the size", b"5 x\r\nhello\r\n0\r\n\r\n"),
    ("seventeen digits", b"1" + b"0" * 16 + b"\r\nhello\r\n0\r\n\r\n"),
    ("a size that wraps to five", b"1" + b"0" * 15 + b"5\r\nhello\r\n0\r\n\r\n"),
    ("a bare LF behind the size", b"5\nhello\r\n0\r\n\r\n"),
    ("a bare CR behind the size", b"5\rhello\r\n0\r\n\r\n"),
    ("a bare LF in an extension", b"5;a\nhello\r\n0\r\n\r\n"),
    ("a bare CR in an extension", b"5;a\rb\r\nhello\r\n0\r\n\r\n"),
    ("a NUL in an extension", b"5;\x00\r\nhello\r\n0\r\n\r\n"),
    ("no CRLF behind the data", b"5\r\nhello0\r\n\r\n"),
    ("a bare LF behind the data", b"5\r\nhello\n0\r\n\r\n"),
    ("two other bytes behind the data", b"5\r\nhelloXX0\r\n\r\n"),
    ("data too long by one", b"5\r\nhello!\r\n0\r\n\r\n"),
    ("a bare LF at the end", b"5\r\nhello\r\n0\r\n\n"),
    ("a bare LF behind the last chunk", b"5\r\nhello\r\n0\n\r\n"),
    ("a trailer without a colon", b"0\r\nX\r\n\r\n"),
    ("a trailer with a blank before its colon", b"0\r\nX : y\r\n\r\n"),
    ("a folded trailer", b"0\r\nX: y\r\n z\r\n\r\n"),
    ("a NUL in a trailer", b"0\r\nX: \x00\r\n\r\n"),
    ("a bare CR in a trailer", b"0\r\nX: y\rz\r\n\r\n"),
    ("a bare LF behind a trailer", b"0\r\nX: y\n\r\n"),
    ("an extension of 5,000 bytes", b"5;" + b"e" * 5000 + b"\r\nhello\r\n0\r\n\r\n"),
]:
    case("9112 7.1", f"chunks: {name}", chunked(body), 400, "closed")
case("9112 7.1.2", "trailers of 9,000 bytes", chunked(b"0\r\nX: " + b"y" * 9000 + b"\r\n\r\n"), 431, "closed")
case(
    "9112 7.1.2",
    "trailers are no fields",
    chunked(b"0\r\nX: y\r\n\r\n") + fields(b"Z: z"),
    (200, 200),
    "open",
    hides=(b"X: y",),
)
case("9110 15.5.14", "chunks past the limit", chunked(b"1e8480\r\n"), 413, "closed")
case("9112 8", "chunks without an end", chunked(b"5\r\nhello\r\n"), (), "waiting")
case("9112 7.1", "a request behind the last chunk", chunked(b"0\r\n\r\n") + GET, (200, 200), "open")

# ------------------------------------------------------------------------------------------------ connections
for name, value, end in [
    ("close", b"close", "closed"),
    ("Close", b"Close", "closed"),
    ("close among others", b"x, CLOSE ,y", "closed"),
    ("close and keep-alive", b"keep-alive, close", "closed"),
    ("keep-alive", b"keep-alive", "open"),
    ("a word that begins so", b"closed", "open"),
    ("nothing", b"", "open"),
]:
    case("9112 9.3", f"Connection is {name}", fields(b"Connection: " + value), 200, end)
case(
    "9112 9.6",
    "close is said",
    fields(b"Connection: close"),
    200,
    "closed",
    shows=(b"Connection: close\r\n",),
)
case("9112 9.6", "nothing behind a close", fields(b"Connection: close") + GET, 200, "closed")
case("9112 9.3", "1.0 closes", b"GET / HTTP/1.0\r\n\r\n" + GET, 200, "closed")
case(
    "9112 9.3",
    "1.0 with keep-alive",
    b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n" + GET,
    (200, 200),
    "open",
    shows=(b"Connection: keep-alive\r\n",),
)
case(
    "9112 9.3.2",
    "a pipeline is answered in order",
    GET + line(b"GET /no HTTP/1.1") + GET,
    (200, 404, 200),
    "open",
)
case("9112 9.3.2", "an error ends a pipeline", GET + line(b"GET  / HTTP/1.1") + GET, (200, 400), "closed")
case(
    "9112 9.3.2",
    "bodies in a pipeline",
    post(b"Content-Length: 5", b"hello") + chunked(b"1\r\nx\r\n0\r\n\r\n"),
    (200, 200),
    "open",
)

# ------------------------------------------------------------------------------------- methods and expectations
case(
    "9110 9.3.2",
    "HEAD",
    line(b"HEAD / HTTP/1.1"),
    200,
    "open",
    shows=(b"Content-Length: 2\r\n",),
    hides=(b"\r\n\r\nok",),
)
case("9110 9.3.2", "HEAD of nothing", line(b"HEAD /no HTTP/1.1"), 404, "open", hides=(b"<html",))
case("9110 9.3.2", "HEAD of a stream", line(b"HEAD /stream HTTP/1.1"), 200, "open", hides=(b"part0",))
case("9110 9.3.7", "OPTIONS", line(b"OPTIONS /echo HTTP/1.1"), 200, "open", shows=(b"Allow: ", b"POST"))
case("9110 9.3.8", "TRACE", line(b"TRACE / HTTP/1.1"), 405, "open", shows=(b"Allow: ",))
case(
    "9110 15.5.6",
    "a method not allowed",
    line(b"DELETE /echo HTTP/1.1"),
    405,
    "open",
    shows=(b"Allow: ", b"POST"),
)
case(
    "9110 10.1.1",
    "a body behind its 100",
    post(b"Expect: 100-continue\r\nContent-Length: 5") + b"hello",
    200,
    "open",
    shows=(b"\r\n\r\nhello",),
)
case("9110 10.1.1", "an expectation nobody knows", post(b"Expect: more\r\nContent-Length: 0"), 417, "closed")
case(
    "9110 10.1.1",
    "100-continue without a body",
    fields(b"Expect: 100-continue"),
    200,
    "open",
    hides=(b"100 Continue",),
)
case(
    "9110 10.1.1",
    "100-continue in 1.0",
    b"POST /echo HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhello",
    200,
    "closed",
    hides=(b"100 Continue",),
)
case(
    "9110 10.1.1",
    "a refusal instead of 100",
    post(b"Expect: 100-continue\r\nContent-Length: 2000000"),
    413,
    "closed",
    hides=(b"100 Continue",),
)

# --------------------------------------------------------------------------------------------------- responses
for status in (204, 304):
    case(
        f"9110 15.{3 if status == 204 else 4}.5",
        f"{status} has no body",
        line(b"GET /status/%d HTTP/1.1" % status) + GET,
        (status, 200),
        "open",
        hides=(b"Transfer-Encoding",),
    )
for status in (
    200,
    201,
    202,
    203,
    205,
    206,
    300,
    301,
    302,
    303,
    307,
    308,
    400,
    401,
    403,
    404,
    409,
    410,
    418,
    422,
    429,
    500,
    502,
    503,
    504,
    599,
):
    case(
        "9110 15",
        f"status {status} is framed",
        line(b"GET /status/%d HTTP/1.1" % status) + GET,
        (status, 200),
        "open",
    )
case(
    "9112 7.1",
    "a body of unknown length in 1.1",
    line(b"GET /stream HTTP/1.1"),
    200,
    "open",
    shows=(b"chunked", b"0\r\n\r\n"),
)
case(
    "9112 6.3",
    "a body of unknown length in 1.0",
    b"GET /stream HTTP/1.0\r\n\r\n",
    200,
    "closed",
    hides=(b"chunked",),
)
case(
    "9110 5.5",
    "a value of the application's with a line end",
    line(b"GET /reflect?v=a%0d%0aX-Evil:%20b HTTP/1.1"),
    500,
    "open",
    hides=(b"X-Evil",),
)
case(
    "9110 5.5",
    "a value of the application's with a NUL",
    line(b"GET /reflect?v=a%00b HTTP/1.1"),
    500,
    "open",
    hides=(b"a\x00b",),
)
case(
    "9110 8.6",
    "a length of the application's is not believed",
    line(b"GET /lies HTTP/1.1") + GET,
    (200, 200),
    "open",
    shows=(b"Content-Length: 5\r\n",),
    hides=(b"Content-Length: 3",),
)
