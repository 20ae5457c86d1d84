"""Further cases of the table in `conformance_cases`: methods, versions, targets, expectations, content, and pipelines."""

from __future__ import annotations

from .conformance_cases import GET, H, case, chunked, fields, line, post

# ------------------------------------------------------------------------------------------ versions and methods
case("9112 2.3", "HTTP/1.2", line(b"GET / HTTP/1.2"), 200, "open", shows=(b"HTTP/1.1 200",))
case("9110 15.6.6", "HTTP/3 by its version", line(b"GET / HTTP/3.0"), 505, "closed")
case("9110 15.6.6", "a preface of HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, "closed")
for name, version in [
    ("a version without a minor", b"HTTP/2"),
    ("a version of three parts", b"HTTP/1.1.1"),
    ("a version of two digits and no dot", b"HTTP/11"),
    ("a hexadecimal version", b"HTTP/1.a"),
    ("a word for a version", b"HTTP"),
    ("a slash too many", b"HTTP//1.1"),
    ("a version behind a tab", b"\tHTTP/1.1"),
]:
    case("9112 2.3", name, line(b"GET / " + version), 400, "closed")
for method in (b"PUT", b"PATCH", b"DELETE", b"PROPFIND", b"M-SEARCH", b"!#$%&'*+-.^_`|~"):
    case(
        "9110 15.5.6",
        f"{method.decode()} is not allowed here",
        line(method + b" /headers HTTP/1.1"),
        405,
        "open",
        shows=(b"Allow: ",),
    )
case("9110 9.3.6", "CONNECT to an address", line(b"CONNECT [::1]:80 HTTP/1.1"), 501, "closed")
case("9110 9.3.6", "CONNECT with an empty port", line(b"CONNECT a: HTTP/1.1"), 400, "closed")
case("9110 9.3.6", "CONNECT to a URI", line(b"CONNECT http://a/ HTTP/1.1"), 400, "closed")
case("9110 9.3.6", "nothing behind a CONNECT", line(b"CONNECT a:80 HTTP/1.1") + GET, 501, "closed")
case(
    "9110 9.3.7",
    "OPTIONS of the server with a length of 0",
    b"OPTIONS * HTTP/1.1\r\n" + H + b"Content-Length: 0\r\n\r\n",
    404,
    "open",
)
case(
    "9110 7.6.2",
    "Max-Forwards",
    b"OPTIONS / HTTP/1.1\r\n" + H + b"Max-Forwards: 0\r\n\r\n",
    200,
    "open",
    shows=(b"Allow: ",),
)
case(
    "9110 9.3.8",
    "TRACE tells nothing back",
    b"TRACE / HTTP/1.1\r\n" + H + b"Cookie: secret\r\n\r\n",
    405,
    "open",
    hides=(b"secret",),
)

# -------------------------------------------------------------------------------------------------------- targets
for name, target in [
    ("https", b"https://a/"),
    ("a port", b"http://a:80/"),
    ("an empty port", b"http://a:/"),
    ("an IPv6 address", b"http://[::1]/"),
    ("a query and no path", b"http://a?x=/y"),
    ("an empty query", b"http://a/?"),
]:
    case("9112 3.2.2", f"an absolute form with {name}", line(b"GET " + target + b" HTTP/1.1"), 200, "open")
for name, target in [
    ("an absolute form with a fragment", b"http://a/#b"),
    ("an absolute form with a bad address", b"http://[::1/"),
    ("an absolute form with a space for a host", b"http://%20 /"),
    ("an absolute form of no scheme", b"://a/"),
    ("a fragment and nothing before it", b"#"),
    ("a query alone", b"?x"),
    ("a backslash first", b"\\a"),
]:
    case("9112 3.2", name, line(b"GET " + target + b" HTTP/1.1"), 400, "closed")
for name, target in [
    ("a half percent-encoding", b"/%2"),
    ("a percent-encoding of no digits", b"/%zz"),
    ("an encoded NUL", b"/%00"),
    ("an encoded line end", b"/%0d%0aX-Evil:%20b"),
    ("an encoded slash", b"/..%2f..%2fetc%2fpasswd"),
    ("encoded dots", b"/%2e%2e/%2e%2e/etc/passwd"),
    ("bytes that are no UTF-8", b"/%ff%fe"),
    ("an overlong encoding", b"/%c0%ae%c0%ae/etc/passwd"),
]:
    case(
        "9110 4.2",
        f"a path with {name}",
        line(b"GET " + target + b" HTTP/1.1"),
        404,
        "open",
        hides=(b"root:", b"\r\nX-Evil"),
    )
case("9110 4.2", "a query with bad encodings", line(b"GET /?%zz=%&&=%ff HTTP/1.1"), 200, "open")
case(
    "9110 17",
    "two slashes lead nowhere else",
    line(b"GET //evil.test/ HTTP/1.1"),
    404,
    "open",
    hides=(b"Location: //", b"Location: http://evil"),
)

# ----------------------------------------------------------------------------------------------------------- Host
for name, value, status in [
    ("a tab before a name", b"\ta", 200),
    ("blanks around a name", b" \t a \t ", 200),
    ("a name with an underscore", b"a_b", 200),
    ("a name with a dot behind it", b"a.", 200),
    ("an encoded name", b"%61", 200),
    ("an address of the future", b"[v1.x]", 400),
    ("an address with a zone", b"[fe80::1%25eth0]", 400),
    ("an address and a word", b"[::1]x", 400),
    ("an address without brackets", b"::1", 400),
    ("a port with a sign", b"a:+80", 400),
    ("a port with a blank", b"a: 80", 400),
    ("a scheme", b"http://a", 400),
    ("a query", b"a?b", 400),
    ("a fragment", b"a#b", 400),
    ("a NUL", b"a\x00", 400),
    ("a bracket within", b"a]b", 400),
]:
    end = "open" if status == 200 else "closed"
    case("9110 7.2", f"Host is {name}", b"GET / HTTP/1.1\r\nHost:" + value + b"\r\n\r\n", status, end)
case("9110 7.2", "Host without a blank", b"GET / HTTP/1.1\r\nHost:a\r\n\r\n", 200, "open")
case("9110 7.2", "Host is the last field", b"GET / HTTP/1.1\r\nX: y\r\nHost: a\r\n\r\n", 200, "open")
case("9110 7.2", "a bad Host in 1.0", b"GET / HTTP/1.0\r\nHost: a b\r\n\r\n", 400, "closed")
case(
    "9110 7.2",
    "an absolute form and a bad Host",
    b"GET http://a/ HTTP/1.1\r\nHost: a b\r\n\r\n",
    400,
    "closed",
)
case(
    "9110 7.2",
    "an absolute form and two Hosts",
    b"GET http://a/ HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
    400,
    "closed",
)

# ---------------------------------------------------------------------------------------------------- field lines
for name, text in [
    ("a colon alone", b":"),
    ("a name of blanks", b" : z"),
    ("a tab before a name", b"\tX: y"),
    ("a form feed in a value", b"X: y\x0cz"),
    ("a vertical tab before a value", b"X:\x0by"),
    ("a backspace in a value", b"X: y\x08"),
    ("a line of blanks", b"  "),
    ("two CRs before the line end", b"X: y\r\r"),
    ("a BOM before a name", b"\xef\xbb\xbfX: y"),
    ("a hash before a name", b"#X : y"),
]:
    case("9112 5", name, fields(text), 400, "closed")
case("9110 5.5", "a value of blanks", fields(b"X: \t \t"), 200, "open", shows=(b"X: \n",))
case("9110 5.5", "colons in a value", fields(b"X: a:b::"), 200, "open", shows=(b"X: a:b::\n",))
case("9110 5.5", "every visible character in a value", fields(b"X: " + bytes(range(0x21, 0x7F))), 200, "open")
case("9110 5.1", "a name of 5,000 bytes", fields(b"X" * 5000 + b": y"), 200, "open")
case("9110 5.6.1", "a list with empty members", fields(b"Connection: , ,close, ,"), 200, "closed")
case("9112 2.2", "an empty line too many behind a request", GET + b"\r\n" + GET, (200, 200), "open")
case(
    "9110 5.3",
    "Cookie twice",
    fields(b"Cookie: a=1\r\nCookie: b=2"),
    200,
    "open",
    shows=(b"Cookie: a=1; b=2\n",),
)

# --------------------------------------------------------------------------------------------------- expectations
for name, text, answers, end in [
    ("in capitals", b"Expect: 100-CONTINUE\r\nContent-Length: 2", 200, "open"),
    ("twice", b"Expect: 100-continue\r\nExpect: 100-continue\r\nContent-Length: 2", 200, "open"),
    ("with another", b"Expect: 100-continue, more\r\nContent-Length: 2", 417, "closed"),
    ("with a parameter", b"Expect: 100-continue;q=1\r\nContent-Length: 2", 417, "closed"),
    ("cut short", b"Expect: 100\r\nContent-Length: 2", 417, "closed"),
    ("before a faulty length", b"Expect: 100-continue\r\nContent-Length: -2", 400, "closed"),
    ("before a coding nobody knows", b"Expect: 100-continue\r\nTransfer-Encoding: gzip", 501, "closed"),
]:
    case(
        "9110 10.1.1",
        f"100-continue {name}",
        post(text, b"ok"),
        answers,
        end,
        hides=(b"100 Continue\r\n\r\nHTTP/1.1 4",),
    )
case(
    "9110 10.1.1",
    "100-continue and chunks",
    post(b"Expect: 100-continue\r\nTransfer-Encoding: chunked", b"2\r\nok\r\n0\r\n\r\n"),
    200,
    "open",
)
case(
    "9110 10.1.1",
    "100-continue and a length of 0",
    post(b"Expect: 100-continue\r\nContent-Length: 0"),
    200,
    "open",
    hides=(b"100 Continue",),
)
case(
    "9110 10.1.1",
    "100-continue to nobody",
    b"POST /no HTTP/1.1\r\n" + H + b"Expect: 100-continue\r\nContent-Length: 2\r\n\r\nok",
    404,
    "open",
)

# ---------------------------------------------------------------------------------- content where none is awaited
for method, path, status in [
    (b"GET", b"/", 200),
    (b"HEAD", b"/", 200),
    (b"OPTIONS", b"/", 200),
    (b"DELETE", b"/", 405),
    (b"TRACE", b"/", 405),
    (b"GET", b"/no", 404),
    (b"POST", b"/headers", 405),
]:
    start = method + b" " + path + b" HTTP/1.1\r\n" + H
    name = f"{method.decode()} {path.decode()}"
    case("9112 9.3", f"{name} with a length", start + b"Content-Length: 5\r\n\r\nhello", status, "open")
    case(
        "9112 9.3",
        f"{name} with chunks",
        start + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        status,
        "open",
    )
    case(
        "9112 9.3",
        f"{name} with a request for content",
        start + b"Content-Length: %d\r\n\r\n" % len(GET) + GET,
        status,
        "open",
    )
case("9112 6.3", "POST in 1.0 without a length", b"POST /echo HTTP/1.0\r\n\r\n", 200, "closed")
case(
    "9112 6.3",
    "POST in 1.0 with a length",
    b"POST /echo HTTP/1.0\r\nContent-Length: 5\r\n\r\nhello",
    200,
    "closed",
    shows=(b"hello",),
)
case(
    "9112 9.3",
    "POST in 1.0 with keep-alive",
    b"POST /echo HTTP/1.0\r\nConnection: Keep-Alive\r\nContent-Length: 5\r\n\r\nhello",
    200,
    "open",
    shows=(b"Connection: keep-alive\r\n", b"hello"),
)

# --------------------------------------------------------------------------------------------------------- chunks
for name, body in [
    ("blanks around an extension", b"5 ; a = b\r\nhello\r\n0\r\n\r\n"),
    ("a quoted semicolon", b'5;a=";"\r\nhello\r\n0\r\n\r\n'),
    ("a quoted quote", b'5;a="\\"";b\r\nhello\r\n0\r\n\r\n'),
    ("several extensions", b"5;a;b=c;d\r\nhello\r\n0;e\r\n\r\n"),
    ("sixteen digits", b"0000000000000005\r\nhello\r\n0\r\n\r\n"),
    ("a hundred chunks", b"".join(b"1\r\n%c\r\n" % c for c in b"hello" + b"x" * 95) + b"0\r\n\r\n"),
    ("CRLF as content", b"7\r\nhello\r\n\r\n0\r\n\r\n"),
    ("a last chunk as content", b"a\r\nhello0\r\n\r\n\r\n0\r\n\r\n"),
    ("a trailer of obs-text", b"5\r\nhello\r\n0\r\nX: \xe4\r\n\r\n"),
]:
    case("9112 7.1", f"chunks: {name}", chunked(body), 200, "open", shows=(b"\r\n\r\nhello",))
for name, body in [
    ("a tab behind the size", b"5\t\r\nhello\r\n0\r\n\r\n"),
    ("a tab before the size", b"\t5\r\nhello\r\n0\r\n\r\n"),
    ("a NUL behind the size", b"5\x00\r\nhello\r\n0\r\n\r\n"),
    ("a fraction", b"5.0\r\nhello\r\n0\r\n\r\n"),
    ("a high byte for a size", b"\xb5\r\nhello\r\n0\r\n\r\n"),
    ("a comma for a semicolon", b"5,a\r\nhello\r\n0\r\n\r\n"),
    ("a size of two to the 63rd", b"8000000000000000\r\nhello\r\n0\r\n\r\n"),
    ("a control in an extension", b"5;a\x01\r\nhello\r\n0\r\n\r\n"),
    ("data too short by one", b"6\r\nhello\r\n0\r\n\r\n"),
    ("two CRs behind the size", b"5\r\r\nhello\r\n0\r\n\r\n"),
    ("LFCR behind the data", b"5\r\nhello\n\r0\r\n\r\n"),
    ("an empty trailer name", b"0\r\n: x\r\n\r\n"),
    ("a trailer that begins with a blank", b"0\r\n X: y\r\n\r\n"),
    ("a bad name of a trailer", b"0\r\nX(: y\r\n\r\n"),
    ("a NUL behind the last chunk", b"0\r\n\x00\r\n\r\n"),
]:
    status = 413 if "63rd" in name else 400
    case("9112 7.1", f"chunks: {name}", chunked(body), status, "closed")
case("9112 7.1.2", "101 trailers", chunked(b"0\r\n" + b"X: y\r\n" * 101 + b"\r\n"), 431, "closed")
case("9112 8", "chunks that end within a size", chunked(b"5"), (), "waiting")
case("9112 8", "chunks that end within the trailers", chunked(b"5\r\nhello\r\n0\r\nX: y\r\n"), (), "waiting")
case("9112 8", "a request line and no more", b"GET / HTTP/1.1\r\n", (), "waiting")

# ---------------------------------------------------------------------------------------------------- connections
for name, text, end in [
    ("close on a line of its own", b"Connection: keep-alive\r\nConnection: close", "closed"),
    ("close before keep-alive", b"Connection: close\r\nConnection: keep-alive", "closed"),
    ("close with a parameter", b"Connection: close;x", "open"),
    ("close in quotes", b'Connection: "close"', "open"),
    ("the name of a field", b"Connection: X\r\nX: y", "open"),
    ("Keep-Alive with figures", b"Connection: keep-alive\r\nKeep-Alive: timeout=5, max=1", "open"),
    ("another field", b"Proxy-Connection: close", "open"),
]:
    case("9110 7.6.1", f"Connection: {name}", fields(text), 200, end)
for name, text in [
    ("keep-alive, close", b"Connection: keep-alive, close"),
    ("a field for proxies", b"Proxy-Connection: keep-alive"),
    ("a word", b"Connection: keep-alives"),
]:
    case("9112 9.3", f"1.0 with {name}", b"GET / HTTP/1.0\r\n" + text + b"\r\n\r\n" + GET, 200, "closed")
for name, text in [
    ("nobody knows", b"Connection: upgrade\r\nUpgrade: more/1"),
    ("to HTTP/2", b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__"),
    ("to TLS", b"Connection: Upgrade\r\nUpgrade: TLS/1.0"),
    ("without its option", b"Upgrade: more/1"),
]:
    case("9110 7.8", f"an upgrade {name}", fields(text), 200, "open", hides=(b"HTTP/1.1 101",))
for name, bad, status in [
    ("chunk", chunked(b"5\r\nhello!\r\n"), 400),
    ("coding", post(b"Transfer-Encoding: gzip"), 501),
    ("length", post(b"Content-Length: 2000000"), 413),
    ("expectation", post(b"Expect: more\r\nContent-Length: 2", b"ok"), 417),
    ("version", line(b"GET / HTTP/2.0"), 505),
    ("line", line(b"GET /" + b"a" * 9000 + b" HTTP/1.1"), 414),
    ("head", fields(b"X: " + b"y" * 70_000), 431),
    ("Host", b"GET / HTTP/1.1\r\n\r\n", 400),
]:
    case("9112 9.3.2", f"a pipeline ends at a bad {name}", GET + bad + GET, (200, status), "closed")

# ------------------------------------------------------------------------------------------------------ responses
for name, text in [
    ("a bad field", b"HEAD / HTTP/1.1\r\nHost : a\r\n\r\n"),
    ("no Host", b"HEAD / HTTP/1.1\r\n\r\n"),
]:
    case("9110 9.3.2", f"HEAD with {name}", text, 400, "closed")
for status in (204, 205, 304):
    case(
        f"9110 15.{4 if status == 304 else 3}",
        f"a body of the application's is not sent with {status}",
        line(b"GET /full/%d HTTP/1.1" % status) + GET,
        (status, 200),
        "open",
        hides=(b"a body",),
    )
for status in (100, 101, 103, 199):
    case("9110 15.2", f"{status} is no final answer", line(b"GET /status/%d HTTP/1.1" % status), 500, "open")
for status in (0, 99, 600, 999, 1000):
    expected = status if 200 <= status <= 999 else 500
    case("9112 4", f"a status of {status}", line(b"GET /status/%d HTTP/1.1" % status), expected, "open")
for name, query in [
    ("Date", b"Date&Thu, 01 Jan 1970 00:00:00 GMT"),
    ("Transfer-Encoding", b"Transfer-Encoding&chunked"),
    ("two lengths", b"Content-Length&1"),
    ("a high byte", b"X&\xe4"),
    ("blanks around a value", b"X&  y  "),
]:
    encoded = b"".join(b"%%%02x" % c if c != 0x26 else b"&value=" for c in query)
    case(
        "9112 6",
        f"an application sets {name}",
        line(b"GET /field?name=" + encoded + b" HTTP/1.1") + GET,
        (200, 200),
        "open",
    )
case(
    "9112 9.6",
    "an application closes the connection",
    line(b"GET /field?name=Connection&value=close HTTP/1.1") + GET,
    200,
    "closed",
    shows=(b"Connection: close\r\n",),
)
for name, query in [
    ("an empty name", b"&y"),
    ("a name with a blank", b"X Y&z"),
    ("a name with a colon", b"X:&y"),
    ("a name with a line end", b"X\r\nY&z"),
    ("a value that no byte stands for", "X&\N{EURO SIGN}".encode()),
]:
    encoded = b"".join(b"%%%02x" % c if c != 0x26 else b"&value=" for c in query)
    case(
        "9110 5",
        f"an application sets {name}",
        line(b"GET /field?name=" + encoded + b" HTTP/1.1") + GET,
        (500, 200),
        "open",
        hides=(b"\r\nY: ",),
    )


# ----------------------------------------------------------------------------------------- ranges and preconditions
def file(text: bytes, method: bytes = b"GET") -> bytes:
    return method + b" /static/file.txt HTTP/1.1\r\n" + H + text + b"\r\n\r\n"


case(
    "9110 14.2",
    "a range of what an application makes",
    fields(b"Range: bytes=0-1"),
    200,
    "open",
    shows=(b"Host: a\n",),
)
case(
    "9110 14.2",
    "a file",
    file(b"X: y"),
    200,
    "open",
    shows=(b"0123456789", b"ETag: ", b"Last-Modified: ", b"Accept-Ranges: bytes"),
)
case(
    "9110 14.2",
    "a range of a file",
    file(b"Range: bytes=2-4"),
    206,
    "open",
    shows=(b"Content-Range: bytes 2-4/10\r\n", b"\r\n\r\n234"),
    hides=(b"\r\n\r\n2345",),
)
case(
    "9110 14.2",
    "the end of a file",
    file(b"Range: bytes=-3"),
    206,
    "open",
    shows=(b"Content-Range: bytes 7-9/10\r\n", b"\r\n\r\n789"),
)
case("9110 14.2", "from within a file", file(b"Range: bytes=7-"), 206, "open", shows=(b"\r\n\r\n789",))
case(
    "9110 14.2",
    "past the end of a file",
    file(b"Range: bytes=5-500"),
    206,
    "open",
    shows=(b"Content-Range: bytes 5-9/10\r\n",),
)
case(
    "9110 15.5.17",
    "a range behind a file",
    file(b"Range: bytes=10-"),
    416,
    "open",
    shows=(b"Content-Range: bytes */10\r\n",),
)
case("9110 14.2", "a unit nobody knows", file(b"Range: lines=1-2"), 200, "open")
case("9110 14.1", "a thousand ranges", file(b"Range: bytes=" + b",".join([b"0-1"] * 1000)), 200, "open")
case(
    "9110 13.1.5",
    "If-Range of another",
    file(b'Range: bytes=2-4\r\nIf-Range: "x"'),
    200,
    "open",
    shows=(b"0123456789",),
)
case("9110 13.1.2", "If-None-Match of any", file(b"If-None-Match: *"), 304, "open", hides=(b"01234",))
case("9110 13.1.2", "If-None-Match of another", file(b'If-None-Match: "x"'), 200, "open")
case(
    "9110 13.1.3",
    "If-Modified-Since tomorrow",
    file(b"If-Modified-Since: Fri, 31 Dec 2100 23:59:59 GMT"),
    304,
    "open",
    hides=(b"01234",),
)
case(
    "9110 13.1.3",
    "If-Modified-Since long ago",
    file(b"If-Modified-Since: Thu, 01 Jan 1970 00:00:00 GMT"),
    200,
    "open",
)
case("9110 13.1.3", "If-Modified-Since nothing", file(b"If-Modified-Since: yesterday"), 200, "open")
case("9110 13.1.1", "If-Match of another", file(b'If-Match: "x"'), 412, "open")
case(
    "9110 9.3.2",
    "HEAD of a file",
    file(b"X: y", b"HEAD"),
    200,
    "open",
    shows=(b"Content-Length: 10\r\n",),
    hides=(b"01234",),
)
case("9110 15.5.6", "POST to a file", file(b"Content-Length: 0", b"POST"), 405, "open", shows=(b"Allow: ",))
