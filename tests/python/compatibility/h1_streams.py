"""What the differential tests of the HTTP/1 engine share: the input, how the server reads it, and the comparison.

Both readers must see the same requests (method, target, fields, body) and refuse at the same place. Where they do not,
one row of the reader's table must say which sentence of the RFC decides it.
"""

from __future__ import annotations

import base64
import contextlib
import ipaddress
import json
import os
import random
import re
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, NamedTuple, Optional

import pytest

from run_helpers import Server

#: Raw requests, a file each (any number of folders deep).
CORPUS = Path(os.environ.get("BUSTAPI_H1_CORPUS", ""))

needs_corpus = pytest.mark.skipif(
    Path() == CORPUS or not CORPUS.is_dir(),
    reason="no recorded requests (BUSTAPI_H1_CORPUS names their folder)",
)


def recorded() -> list[bytes]:
    return [path.read_bytes() for path in sorted(CORPUS.rglob("*")) if path.is_file()]


APP = """
    import base64, json
    from bustapi import BustAPI, Response, request

    app = BustAPI(__name__)

    @app.before_request
    def tell():
        seen = [request.method, request.environ["RAW_URI"], [[n.lower(), v] for n, v in request.headers],
                base64.b64encode(request.get_data()).decode()]
        return Response("", headers={"X-Seen": base64.b64encode(json.dumps(seen).encode()).decode()})

    app.run(port=0, max_request_line=16384)
"""


class Seen(NamedTuple):
    """One request as a recipient understood it."""

    method: str
    target: str
    fields: dict[str, str]
    body: bytes


@dataclass
class Reading:
    """What a recipient made of a stream."""

    requests: list[Seen]
    refused: Optional[str]
    #: The stream from the start of each message on, where that is known.
    rests: list[bytes]


def read_by_server(server: Server, stream: bytes) -> Reading:
    got = b""
    with server.connect() as sock, contextlib.suppress(ConnectionError):
        sock.sendall(stream)
        sock.shutdown(socket.SHUT_WR)
        while part := sock.recv(65536):
            got += part
    requests: list[Seen] = []
    for answer in got.split(b"HTTP/1.1 ")[1:]:
        found = re.search(rb"\r\nX-Seen: (\S+)", answer)
        if found:
            method, target, fields, body = json.loads(base64.b64decode(found.group(1)))
            requests.append(Seen(method, target, combined(fields), base64.b64decode(body)))
        elif not answer.startswith(b"100"):
            return Reading(requests, answer[:3].decode(), [])
    return Reading(requests, None, [])


def combined(fields: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Fields as an application sees them: one value a name (RFC 9110 5.3), cookies by their own rule.

    Names with an underscore are not shown to it: WSGI cannot tell them from those with a hyphen.
    """
    result: dict[str, str] = {}
    for name, value in fields:
        if "_" in name:
            continue
        comma = "; " if name == "cookie" else ","
        result[name] = result[name] + comma + value if name in result else value
    return result


def path_of(target: bytes) -> str:
    """The target as an application is told it: without the authority, which goes into the host, or an empty query."""
    found = re.fullmatch(rb"(?i:https?)://[^/?]*(.*)", target)
    if found:
        rest = found.group(1)
        target = rest if rest.startswith(b"/") else b"/" + rest
    path, _, query = target.decode("latin-1").partition("?")
    return f"{path}?{query}" if query else path


# --------------------------------------------------------------------------------------------- the differences
Fault = Callable[[bytes], bool]


def head_of(message: bytes) -> bytes:
    return re.split(rb"\r?\n\r?\n", message.lstrip(b"\r\n"), maxsplit=1)[0]


def first_line(message: bytes) -> bytes:
    return re.split(rb"[\r\n]", message.lstrip(b"\r\n"), maxsplit=1)[0]


def target_of(message: bytes) -> bytes:
    parts = first_line(message).split(b" ")
    return parts[1] if len(parts) > 1 else b""


def values(message: bytes, name: bytes) -> list[bytes]:
    return [v.strip(b" \t\r") for v in re.findall(rb"(?im)^" + name + rb"[ \t]*:([^\n]*)", head_of(message))]


def has(pattern: bytes) -> Fault:
    return lambda message: re.search(pattern, message) is not None


def is_other_target(message: bytes) -> bool:
    target = target_of(message)
    method = first_line(message).split(b" ")[0]
    if method == b"OPTIONS" and target == b"*":
        return False
    return method == b"CONNECT" or re.fullmatch(rb"(/|(?i:https?)://[^/?@]+)[^#]*", target) is None


def is_bad_host(message: bytes) -> bool:
    for value in values(message, b"host"):
        literal = re.fullmatch(rb"\[([^\]]*)\](:\d*)?", value)
        if literal:
            try:
                ipaddress.IPv6Address(literal.group(1).decode("latin-1"))
            except ValueError:
                return True
        elif not re.fullmatch(rb"([A-Za-z0-9._~!$&'()*+,;=-]|%[0-9A-Fa-f]{2})*(:\d*)?", value):
            return True
    return False


def is_framed_twice(message: bytes) -> bool:
    return bool(values(message, b"content-length")) and bool(values(message, b"transfer-encoding"))


def is_listed_length(message: bytes) -> bool:
    lengths = values(message, b"content-length")
    return len(lengths) > 1 or any(b"," in length for length in lengths)


def is_coded_1_0(message: bytes) -> bool:
    return first_line(message).endswith(b"HTTP/1.0") and bool(values(message, b"transfer-encoding"))


def is_unknown_expectation(message: bytes) -> bool:
    return any(value.lower() != b"100-continue" for value in values(message, b"expect"))


def is_chunked(message: bytes) -> bool:
    return any(value.lower() == b"chunked" for value in values(message, b"transfer-encoding"))


#: What a difference is called, what decides it, and which messages show it.
Row = tuple[str, str, Fault]


def common(a: list[Seen], b: list[Seen]) -> int:
    count = 0
    while count < min(len(a), len(b)) and a[count] == b[count]:
        count += 1
    return count


def judge(
    server: Server, stream: bytes, read: Callable[[bytes], Reading], stricter: list[Row], laxer: list[Row]
) -> str:
    """The row that the difference belongs to; "" where there is none."""
    ours, theirs = read_by_server(server, stream), read(stream)
    same = common(ours.requests, theirs.requests)
    if len(ours.requests) > same and len(theirs.requests) > same:
        raise AssertionError(f"read differently: {ours.requests[same]} {theirs.requests[same]} in {stream!r}")
    refused, they_refused = ours.refused is not None, theirs.refused is not None
    if len(ours.requests) == len(theirs.requests) and refused == they_refused:
        return ""
    if len(theirs.requests) > same or (refused and not they_refused):
        rows = stricter
        assert refused, f"neither read nor refused: {stream!r}"
    else:
        rows = laxer
    rest = theirs.rests[min(same, len(theirs.rests) - 1)]
    for name, _, fault in rows:
        if fault(rest):
            return name
    raise AssertionError(f"no row tells why: {ours} {theirs} in {stream!r}")


# --------------------------------------------------------------------------------------------------- the input
VALID = [
    b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET /x?y=z HTTP/1.1\r\nHost: a.test:80\r\nAccept: */*\r\nX-Y: a, b\r\n\r\n",
    b"HEAD /h HTTP/1.1\r\nHost: [::1]\r\nConnection: keep-alive\r\n\r\n",
    b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET / HTTP/1.0\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    b"POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
    b"PUT /p HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
    b"POST /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    b"POST /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\na;x=y\r\n0123456789\r\n0\r\nT: u\r\n\r\n",
    b"POST /e HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nok",
]

PIECES = [
    *(bytes([byte]) for byte in b'\r\n\t :;,/0159afHx\x00\x0b\x7f\x80\xff"#%'),
    b"\r\n",
    b"\r\n ",
    b"Content-Length: 5\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Host: b\r\n",
    b"0\r\n\r\n",
    b"HTTP/1.0",
]


def faulty(random: random.Random) -> bytes:
    """One to three valid messages with up to two faults."""
    stream = b"".join(random.choice(VALID) for _ in range(random.randint(1, 3)))
    for _ in range(random.randint(0, 2)):
        at, end = random.randrange(len(stream)), 0
        kind = random.randrange(4)
        if kind == 0:
            stream = stream[:at] + random.choice(PIECES) + stream[at:]
        elif kind == 1:
            stream = stream[:at] + stream[at + random.randint(1, 3) :]
        elif kind == 2:
            stream = stream[:at] + random.choice(PIECES) + stream[at + 1 :]
        else:
            lines = stream.split(b"\r\n")
            at, end = random.randrange(len(lines)), random.randrange(len(lines))
            lines.insert(end, lines[at])
            stream = b"\r\n".join(lines)
    return stream
