"""The server and httptools (llhttp, which Node.js and uvicorn read with) on the same bytes.

llhttp checks the framing and leaves the meaning to its caller: what it takes and the server refuses is mostly that.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Iterator

import pytest

from run_helpers import Server, script, started

from .h1_streams import (
    APP,
    VALID,
    Reading,
    Row,
    Seen,
    combined,
    faulty,
    first_line,
    has,
    is_bad_host,
    is_other_target,
    is_unknown_expectation,
    needs_corpus,
    path_of,
    recorded,
    values,
)
from .h1_streams import judge as judge_by

httptools = pytest.importorskip("httptools")


class Collector:
    """One message as llhttp tells of it."""

    def __init__(self) -> None:
        self.target = b""
        self.fields: list[tuple[str, str]] = []
        self.body = b""
        self.in_head = True
        self.complete = False
        self.keep_alive = True
        self.parser = httptools.HttpRequestParser(self)

    def on_url(self, data: bytes) -> None:
        self.target += data

    def on_header(self, name: bytes, value: bytes) -> None:
        # Behind the head these are trailers.
        if self.in_head:
            self.fields.append((name.decode("latin-1").lower(), value.decode("latin-1").strip(" \t")))

    def on_headers_complete(self) -> None:
        self.in_head = False

    def on_body(self, data: bytes) -> None:
        self.body += data

    def on_message_complete(self) -> None:
        self.complete = True
        # Its state is for the next message afterwards.
        self.keep_alive = self.parser.should_keep_alive()


def read_by_httptools(stream: bytes) -> Reading:
    """Byte by byte, with a new parser for each message: so it is known where one begins."""
    reading = Reading([], None, [stream])
    at = 0
    while at < len(stream):
        seen = Collector()
        while not seen.complete:
            if at == len(stream):
                return reading
            try:
                seen.parser.feed_data(stream[at : at + 1])
            except httptools.HttpParserUpgrade:
                # What follows is not read as HTTP, its body included.
                return reading
            except httptools.HttpParserError as error:
                reading.refused = str(error)
                return reading
            at += 1
        fields = combined(seen.fields)
        authority = re.match(rb"(?i:https?)://([^/?]*)", seen.target)
        if authority:
            # RFC 9112 3.2.2: it replaces what Host says.
            fields["host"] = authority.group(1).decode("latin-1")
        method = seen.parser.get_method().decode()
        reading.requests.append(Seen(method, path_of(seen.target), fields, seen.body))
        if not seen.keep_alive:
            return reading
        reading.rests.append(stream[at:])
    return reading


def judge(server: Server, stream: bytes) -> str:
    return judge_by(server, stream, read_by_httptools, STRICTER, LAXER)


def is_without_host(message: bytes) -> bool:
    return not first_line(message).endswith(b"HTTP/1.0") and len(values(message, b"host")) == 0


def has_two_hosts(message: bytes) -> bool:
    return len(values(message, b"host")) > 1


def is_unknown_method(message: bytes) -> bool:
    """A token, which is what a method is, and none of those that llhttp has in its table."""
    method = first_line(message).split(b" ")[0]
    return re.fullmatch(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}", method) is not None and method not in METHODS


def is_incomplete(message: bytes) -> bool:
    return b"\r\n\r\n" not in message


METHODS = set(b"DELETE GET HEAD POST PUT CONNECT OPTIONS TRACE PATCH".split())

UPGRADE: Row = ("an upgrade", "9110 7.8: a server may ignore it, and this one does", has(rb"(?im)^upgrade:"))

#: Refused by the server, taken by llhttp: the fault, and what decides it.
STRICTER: list[Row] = [
    ("a bare CR before the request line", "9112 2.2: invalid, or a space", has(rb"\A\r(?!\n)")),
    ("two spaces", "9112 3: single ones; to take more is a choice", has(rb"\A[^\r\n]*  [^\r\n]*\r\n")),
    ("no Host", "9112 3.2: 400 to any HTTP/1.1 request that lacks it", is_without_host),
    ("two Hosts", "9112 3.2: 400 to more than one Host field line", has_two_hosts),
    ("Host that is no host", "9112 3.2: invalid field value, 400", is_bad_host),
    ("no version", "9112 3: a request line ends in one", has(rb"\A(\r\n)*[A-Z]+ [^ \r\n]+\r?\n")),
    ("a target of no form", "9112 3.2: invalid request line", is_other_target),
    ("an expectation nobody knows", "9110 10.1.1: may be answered with 417", is_unknown_expectation),
    UPGRADE,
]

#: Taken by the server (or still being read), refused by llhttp.
LAXER: list[Row] = [
    UPGRADE,
    (
        "a method that is not registered",
        "9110 9.1: a token; whether it is known is the resource's to say",
        is_unknown_method,
    ),
    ("a message that ends early", "9112 8: incomplete, dropped without an answer", is_incomplete),
    (
        "framing among the trailers",
        "9110 6.5.1: of no effect there",
        has(rb"\r\n0+\r\n(.+\r\n)*(?i:transfer-encoding|content-length):"),
    ),
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("httptools")
    with started(script(folder, APP), folder) as server:
        yield server
        assert server.process.poll() is None


@pytest.mark.parametrize("seed", range(4))
def test_requests_with_faults_are_read_as_llhttp_reads_them(server: Server, seed: int) -> None:
    source = random.Random(seed)
    rows = Counter(judge(server, faulty(source)) for _ in range(750))
    assert rows[""] > 500, rows


@pytest.mark.parametrize("message", VALID)
def test_valid_requests_are_read_alike(server: Server, message: bytes) -> None:
    assert judge(server, message * 3) == ""


@pytest.mark.once
@needs_corpus
@pytest.mark.parametrize("ends", ["as recorded", "with CRLF"])
def test_recorded_requests_are_read_as_llhttp_reads_them(server: Server, ends: str) -> None:
    rows: Counter[str] = Counter()
    for stream in recorded():
        if ends == "with CRLF":
            stream = re.sub(rb"\r?\n", b"\r\n", stream)
        rows[judge(server, stream)] += 1
    assert sum(rows.values()) > 100
