"""RFC 9110 and 9112 by our own table, over TCP, over a unix socket, and with every message sent in small pieces."""

from __future__ import annotations

import contextlib
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Callable

import pytest

from run_helpers import eventually, script, started

from . import conformance_more, conformance_upgrades  # noqa: F401 - add to the table
from .conformance_cases import CASES, Case

APP = (Path(__file__).parents[1] / "apps" / "probe_app.py").read_text().partition("if __name__")[0]

MORE = """

@app.get("/host")
def host() -> str:
    return request.host


@app.get("/full/<int:code>")
def full(code: int) -> Response:
    return Response("a body", status=code)


@app.get("/field")
def field() -> Response:
    response = Response("12345")
    response.headers.add(request.args["name"], request.args["value"])
    return response


@app.get("/lies")
def lies() -> Response:
    response = Response("12345")
    response.headers["Content-Length"] = "3"
    return response


@app.websocket("/socket")
async def echo_messages(ws) -> None:
    async for message in ws:
        await ws.send(message)


app.run(host={host!r}, port=0, max_body=1_000_000)
"""

#: A further request: answered by an open connection, and by no other.
LAST = b"GET /stream HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"

Connect = Callable[[], socket.socket]


# What carries the bytes, and in which pieces, says nothing about the interpreter: once is enough.
ONCE = [pytest.param(name, marks=pytest.mark.once) for name in ("unix", "pieces")]


@pytest.fixture(scope="module", params=["tcp", *ONCE])
def door(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Connect, int]]:
    """How to connect, and how many bytes are sent at a time (0: all)."""
    folder = tmp_path_factory.mktemp("table")
    (folder / "static").mkdir()
    (folder / "static" / "file.txt").write_text("0123456789")
    if request.param == "unix":
        path = folder / "socket"
        command = script(folder, APP + MORE.format(host=f"unix:{path}"))

        def dial() -> socket.socket:
            sock = socket.socket(socket.AF_UNIX)
            sock.settimeout(10)
            sock.connect(str(path))
            return sock

        with started(command, folder, announced=None) as server:
            eventually(lambda: is_open(dial))
            yield dial, 0
            assert server.process.poll() is None
        return
    with started(script(folder, APP + MORE.format(host="127.0.0.1")), folder) as server:
        yield server.connect, 5 if request.param == "pieces" else 0
        assert server.process.poll() is None


def is_open(dial: Connect) -> bool:
    with contextlib.suppress(OSError):
        dial().close()
        return True
    return False


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.rule} {case.name}")
def test_the_table(door: tuple[Connect, int], case: Case) -> None:
    dial, piece = door
    with dial() as sock:
        if case.ends == "waiting":
            send(sock, case.send, piece)
            sock.shutdown(socket.SHUT_WR)
            assert receive(sock) == b""
            return
        # Behind a refusal stands a request too: one that is answered was smuggled.
        send(sock, case.send + LAST, piece)
        got = receive(sock)
    answers, rest = read_answers(got, case.send)
    expected = case.answers + ((200,) if case.ends == "open" else ())
    assert tuple(answers) == expected, got[:300]
    assert rest == b""
    own = got if case.ends == "closed" else got.rpartition(b"HTTP/1.1 200 OK\r\n")[0]
    for text in case.shows:
        assert text in own
    for text in case.hides:
        assert text not in own


def test_the_table_is_of_some_size_and_names_each_case_once() -> None:
    names = [(case.rule, case.name) for case in CASES]
    assert len(names) >= 450
    assert len(set(names)) == len(names)


def send(sock: socket.socket, data: bytes, piece: int) -> None:
    # A server that has refused the message may close while the rest is sent.
    with contextlib.suppress(ConnectionError):
        if not piece or len(data) > 5000:
            sock.sendall(data)
            return
        if sock.family != socket.AF_UNIX:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for at in range(0, len(data), piece):
            sock.sendall(data[at : at + piece])


def receive(sock: socket.socket) -> bytes:
    got = b""
    with contextlib.suppress(ConnectionResetError):
        while True:
            part = sock.recv(65536)
            if not part:
                break
            got += part
    return got


def read_answers(got: bytes, sent: bytes) -> tuple[list[int], bytes]:
    """The final statuses of a stream of responses, each of them checked, and what is left over."""
    statuses = []
    # Only these cases use HEAD, and they begin with it.
    is_head = sent.startswith(b"HEAD ")
    while got.startswith(b"HTTP/1.1 "):
        head, end, got = got.partition(b"\r\n\r\n")
        assert end, "a head without an end"
        first, *lines = head.split(b"\r\n")
        parsed = re.fullmatch(rb"HTTP/1\.1 (\d{3}) [\t -~]*", first)
        assert parsed, first
        status = int(parsed.group(1))
        fields: dict[bytes, list[bytes]] = {}
        for text in lines:
            assert re.fullmatch(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+: [\t -~\x80-\xff]*", text), text
            name, _, value = text.partition(b": ")
            fields.setdefault(name.lower(), []).append(value)
        if status < 200:
            assert not fields.keys() & {b"content-length", b"transfer-encoding"}
            continue
        assert len(fields[b"date"]) == 1
        assert re.fullmatch(rb"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT", fields[b"date"][0])
        got = skip_body(fields, status, got, is_head and not statuses)
        statuses.append(status)
        if b"close" in fields.get(b"connection", []):
            break
    return statuses, got


def skip_body(fields: dict[bytes, list[bytes]], status: int, got: bytes, is_head: bool) -> bytes:
    """What follows the body, whose framing is checked."""
    lengths = fields.get(b"content-length", [])
    codings = fields.get(b"transfer-encoding", [])
    assert len(lengths) + len(codings) <= 1, "one framing at the most"
    if status in (204, 304) or is_head:
        assert not (status == 204 and (lengths or codings))
        return got
    if lengths:
        length = int(lengths[0])
        assert len(got) >= length, "a body shorter than announced"
        return got[length:]
    if codings:
        assert codings == [b"chunked"]
        length = 1
        while length:
            size, _, got = got.partition(b"\r\n")
            length = int(size, 16)
            assert got[length : length + 2] == b"\r\n"
            got = got[length + 2 :]
        return got
    assert fields.get(b"connection") == [b"close"], "a body that only the end of the connection ends"
    return b""
