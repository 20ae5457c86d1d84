"""The server and h11 on the same bytes: recorded ones, and valid requests with faults put into them.

The server is the stricter of the two, by intent.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

import h11
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
    has,
    is_bad_host,
    is_chunked,
    is_coded_1_0,
    is_framed_twice,
    is_listed_length,
    is_other_target,
    is_unknown_expectation,
    needs_corpus,
    path_of,
    read_by_server,
    recorded,
)
from .h1_streams import judge as judge_by


def read_by_h11(stream: bytes) -> Reading:
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=64 * 1024)
    reading = Reading([], None, [stream])
    head: Any = None
    body = b""
    try:
        connection.receive_data(stream)
        while True:
            event = connection.next_event()
            if isinstance(event, h11.Request):
                head, body = event, b""
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                fields = combined((n.decode("latin-1"), v.decode("latin-1")) for n, v in head.headers)
                authority = re.match(rb"(?i:https?)://([^/?]*)", head.target)
                if authority:
                    # RFC 9112 3.2.2: it replaces what Host says.
                    fields["host"] = authority.group(1).decode("latin-1")
                reading.requests.append(
                    Seen(head.method.decode().upper(), path_of(head.target), fields, body)
                )
                connection.send(h11.Response(status_code=200, headers=[("content-length", "0")]))
                connection.send(h11.EndOfMessage())
                if connection.our_state is not h11.DONE or connection.their_state is not h11.DONE:
                    return reading
                connection.start_next_cycle()
                reading.rests.append(bytes(connection.trailing_data[0]))
            else:
                return reading
    except h11.RemoteProtocolError as error:
        reading.refused = str(error)
    return reading


def is_refused_later(message: bytes) -> bool:
    return read_by_h11(message + b"\r\n\r\n").refused is not None


#: Refused by the server, taken by h11: the fault, and what decides it.
STRICTER: list[Row] = [
    (
        "a line ends in a bare LF",
        "9112 2.2: may be taken for a line end; two readers then differ",
        has(rb"(?<!\r)\n"),
    ),
    ("a bare CR", "9112 2.2: invalid, or a space", has(rb"\r(?!\n)")),
    ("a folded line", "9112 5.2: reject, or replace by spaces", has(rb"\r\n[ \t]")),
    ("a target of no form", "9112 3.2: invalid request line", is_other_target),
    ("Host that is no host", "9112 3.2: invalid field value, 400", is_bad_host),
    ("length beside coding", "9112 6.1: ought to be handled as an error", is_framed_twice),
    ("a list of lengths", "9112 6.3 (5): reject, or take the one value", is_listed_length),
    ("a coding in 1.0", "9112 6.1: faulty framing", is_coded_1_0),
    ("an expectation nobody knows", "9110 10.1.1: may be answered with 417", is_unknown_expectation),
    ("another protocol version", "9110 15.6.6: 505", has(rb"\A[^\r\n]* HTTP/(?!1\.)\d\.\d\r?\n")),
    ("a fault in a head that is not complete", "9112 2.2, 5: told when it is seen", is_refused_later),
    ("a chunk line outside of the grammar", "9112 7.1: chunk-ext, CRLF", is_chunked),
    ("an empty line too many", "9112 2.2: at least one is to be ignored", has(rb"\A(\r\n){9}")),
]

#: Taken by the server (or still being read), refused by h11.
LAXER: list[Row] = [
    ("an empty line before a request line", "9112 2.2: should be ignored", has(rb"\A\r\n")),
    ("a higher minor version", "9110 2.5: as the highest one known", has(rb"\A[^\r\n]* HTTP/1\.[2-9]\r\n")),
    (
        "a message that ends within a line",
        "9112 8: incomplete, dropped without an answer",
        lambda m: not m.endswith(b"\n"),
    ),
]


def judge(server: Server, stream: bytes) -> str:
    return judge_by(server, stream, read_by_h11, STRICTER, LAXER)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("h11")
    with started(script(folder, APP), folder) as server:
        yield server
        assert server.process.poll() is None


@pytest.mark.parametrize("seed", range(4))
def test_requests_with_faults_are_read_as_h11_reads_them(server: Server, seed: int) -> None:
    source = random.Random(seed)
    rows = Counter(judge(server, faulty(source)) for _ in range(750))
    assert rows[""] > 600, rows


@pytest.mark.parametrize("message", VALID)
def test_valid_requests_are_read_alike_wherever_they_are_cut_off(server: Server, message: bytes) -> None:
    assert judge(server, message) == ""
    for end in range(1, len(message)):
        judge(server, message[:end])
        assert read_by_server(server, message[:end]).requests == []


@pytest.mark.once
@needs_corpus
@pytest.mark.parametrize("ends", ["as recorded", "with CRLF"])
def test_recorded_requests_are_read_as_h11_reads_them(server: Server, ends: str) -> None:
    rows: Counter[str] = Counter()
    for stream in recorded():
        if ends == "with CRLF":
            stream = re.sub(rb"\r?\n", b"\r\n", stream)
        rows[judge(server, stream)] += 1
    assert sum(rows.values()) > 100
