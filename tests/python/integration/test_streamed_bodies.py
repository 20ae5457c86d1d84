"""Bodies that views read while they arrive, over sockets."""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from .servers import MEMORY, Served, read_all, read_until, serving

APP = (
    MEMORY
    + """
    import asyncio
    import io
    import os
    import threading

    from bustapi import BustAPI, request

    app = BustAPI(__name__)
    seen = []

    @app.get("/seen")
    def told():
        return seen

    @app.post("/count")
    def count():
        before, most, size = memory(), 0, 0
        while True:
            part = request.stream.read(64 * 1024)
            if not part:
                break
            size += len(part)
            if size % (4 * 1024 * 1024) < 64 * 1024:
                most = max(most, memory())
        return {"size": size, "grown": most - before}

    @app.post("/count-async", stream_body=True)
    async def count_async():
        before, most, size = memory(), 0, 0
        async for part in request.stream():
            size += len(part)
            if size % (4 * 1024 * 1024) < len(part):
                most = max(most, memory())
        return {"size": size, "grown": most - before}

    @app.post("/lines")
    def lines():
        stream = request.stream
        first = stream.readline()
        short = stream.readline(3)
        rest = list(stream)
        return {"first": first.decode(), "short": short.decode(), "rest": len(rest), "last": rest[-1].decode(),
                "at": stream.tell(), "streamed": request._native.is_streamed}

    @app.post("/into")
    def into():
        stream, buffer, size = request.stream, bytearray(1000), 0
        while True:
            got = stream.readinto(buffer)
            if not got:
                return {"size": size, "end": bytes(buffer[:4]).decode()}
            size += got

    @app.post("/wrapped")
    def wrapped():
        text = io.TextIOWrapper(io.BufferedReader(request.stream), encoding="utf-8")
        return {"lines": sum(1 for line in text)}

    @app.post("/all")
    def everything():
        return {"data": len(request.data), "again": len(request.get_data())}

    @app.post("/json")
    def as_json():
        value = request.get_json()
        return {"keys": len(value)}

    @app.post("/form")
    def form():
        upload = request.files["upload"]
        upload.stream.seek(0, 2)
        return {"size": upload.stream.tell(), "name": request.form["name"]}

    @app.post("/loaded", stream_body=True)
    async def loaded():
        await request.load_body()
        return {"keys": len(request.get_json()), "data": len(request.get_data())}

    @app.post("/wrong", stream_body=True)
    async def wrong():
        try:
            request.get_data()
        except RuntimeError as error:
            return {"error": str(error)}
        return {}

    @app.post("/whole")
    async def whole():
        return {"data": len(request.get_data()), "streamed": request._native.is_streamed}

    @app.post("/inline", execution="inline")
    def inline():
        return {"data": len(request.get_data()), "streamed": request._native.is_streamed,
                "thread": threading.current_thread() is threading.main_thread()}

    @app.post("/buffered", stream_body=False, execution="pool")
    def buffered():
        return {"data": len(request.get_data()), "streamed": request._native.is_streamed}

    @app.post("/early")
    def early():
        return {"early": True}

    @app.post("/some", stream_body=True)
    def some():
        return {"some": request.stream.read(4).decode()}

    @app.post("/echo", stream_body=True)
    async def echo():
        async def upper():
            async for part in request.stream():
                yield part.upper()
        return upper()

    @app.post("/slow")
    def slow():
        stream = request.stream
        try:
            while stream.read1():
                pass
        except Exception as error:
            seen.append(type(error).__name__)
            raise
        return {"size": stream.tell()}

    @app.post("/slow-async", stream_body=True)
    async def slow_async():
        try:
            async for part in request.stream():
                pass
        except Exception as error:
            seen.append(type(error).__name__)
            raise
        return {}

    @app.before_request
    def guard():
        if request.path == "/guarded":
            return "no", 401

    @app.post("/guarded")
    def guarded():
        seen.append("guarded")
        return request.data
"""
)

RUN = "max_body=100_000_000, body_timeout=1, min_body_rate=0"
LARGE = 3_000_000


@pytest.fixture(scope="module", params=["threads=1", "threads=2"])
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    directory = tmp_path_factory.mktemp("streamed")
    with serving(directory, APP, run=f"{RUN}, {request.param}") as served:
        yield served


def head(path: str, *fields: str) -> bytes:
    return "\r\n".join([f"POST {path} HTTP/1.1", "Host: a", *fields, "", ""]).encode()


def answer(sock: socket.socket) -> tuple[int, dict[str, str], bytes]:
    """The next answer; its body by length, or to the end of the connection."""
    raw = read_until(sock, b"\r\n\r\n")
    top, _, rest = raw.partition(b"\r\n\r\n")
    status, *lines = top.decode().split("\r\n")
    fields = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    length = int(fields.get("content-length", -1))
    while length < 0 or len(rest) < length:
        part = sock.recv(65536)
        if not part:
            break
        rest += part
    return int(status.split()[1]), fields, rest


def post(
    served: Served, path: str, body: bytes, *fields: str, chunk: int = 0
) -> tuple[int, dict[str, str], bytes]:
    with served.connect() as sock:
        if chunk:
            sock.sendall(head(path, "Transfer-Encoding: chunked", *fields))
            for at in range(0, len(body), chunk):
                part = body[at : at + chunk]
                sock.sendall(b"%x\r\n%b\r\n" % (len(part), part))
            sock.sendall(b"0\r\n\r\n")
        else:
            sock.sendall(head(path, f"Content-Length: {len(body)}", *fields) + body)
        return answer(sock)


def value(served: Served, path: str, body: bytes, *fields: str, chunk: int = 0) -> dict[str, object]:
    status, _, content = post(served, path, body, *fields, chunk=chunk)
    assert status == 200, content
    return dict(json.loads(content))


def seen(served: Served) -> list[str]:
    return list(json.loads(served.send(b"GET /seen HTTP/1.1\r\nHost: a\r\n\r\n").partition(b"\r\n\r\n")[2]))


@pytest.mark.parametrize("chunk", [0, 50_000])
@pytest.mark.parametrize("path", ["/count", "/count-async"])
def test_a_long_body_is_read_in_constant_memory(served: Served, path: str, chunk: int) -> None:
    post(served, path, b"x" * LARGE)
    got = value(served, path, b"x" * 50_000_000, chunk=chunk)
    assert got["size"] == 50_000_000
    assert int(str(got["grown"])) < 20 * 1024


@pytest.mark.parametrize("chunk", [0, 1000])
@pytest.mark.parametrize("size", [20, LARGE])
def test_the_stream_reads_as_a_file_does(served: Served, size: int, chunk: int) -> None:
    body = b"one\ntwo and\n" + b"0123456789\n" * (size // 11) + b"last"
    got = value(served, "/lines", body, chunk=chunk)
    assert got == {
        "first": "one\n",
        "short": "two",
        "rest": body.count(b"\n"),
        "last": "last",
        "at": len(body),
        "streamed": size == LARGE,
    }
    assert value(served, "/into", body, chunk=chunk)["size"] == len(body)
    assert value(served, "/wrapped", body, chunk=chunk)["lines"] == body.count(b"\n") + 1


@pytest.mark.parametrize("chunk", [0, 60_000])
def test_what_needs_the_whole_body_waits_for_it(served: Served, chunk: int) -> None:
    document = json.dumps({str(number): "x" * 50 for number in range(30_000)}).encode()
    assert len(document) > 1024 * 1024
    kind = "Content-Type: application/json"
    assert value(served, "/json", document, kind, chunk=chunk) == {"keys": 30_000}
    assert value(served, "/loaded", document, kind, chunk=chunk) == {"keys": 30_000, "data": len(document)}
    assert value(served, "/all", document, chunk=chunk) == {"data": len(document), "again": len(document)}
    form = (
        b'--b\r\nContent-Disposition: form-data; name="name"\r\n\r\nvalue\r\n'
        b'--b\r\nContent-Disposition: form-data; name="upload"; filename="f"\r\n\r\n'
        + document
        + b"\r\n--b--\r\n"
    )
    kind = "Content-Type: multipart/form-data; boundary=b"
    assert value(served, "/form", form, kind, chunk=chunk) == {"size": len(document), "name": "value"}


@pytest.mark.parametrize("chunk", [0, 60_000])
@pytest.mark.parametrize("path", ["/whole", "/inline", "/buffered"])
def test_views_that_cannot_wait_get_the_whole_body(served: Served, path: str, chunk: int) -> None:
    got = value(served, path, b"x" * LARGE, chunk=chunk)
    assert (got["data"], got["streamed"]) == (LARGE, False)
    assert got.get("thread", True) is True or path == "/inline"


def test_a_small_body_in_chunks_is_received_before_its_view_is_called(served: Served) -> None:
    with served.connect() as sock:
        sock.sendall(head("/lines", "Transfer-Encoding: chunked") + b"3\r\na\nb\r\n")
        time.sleep(0.1)
        sock.sendall(b"4\r\ncd\ne\r\n0\r\n\r\n")
        assert json.loads(answer(sock)[2])["streamed"] is False


def test_plain_reading_in_a_task_says_how_to_wait(served: Served) -> None:
    with served.connect() as sock:
        sock.sendall(head("/wrong", f"Content-Length: {LARGE}") + b"x")
        status, _, content = answer(sock)
    assert status == 200
    assert "load_body" in json.loads(content)["error"]


def test_an_answer_before_the_end_arrives_and_closes(served: Served) -> None:
    with served.connect() as sock:
        sock.sendall(head("/early", "Content-Length: 90000000"))
        status, fields, content = answer(sock)
        assert (status, fields["connection"], json.loads(content)) == (200, "close", {"early": True})
        sock.settimeout(10)
        # The server still takes what is under way for a while, so that no reset overtakes its answer.
        sock.sendall(b"x" * 3_000_000)
        sock.shutdown(socket.SHUT_WR)
        assert read_all(sock) == b""


def test_a_hook_refuses_before_the_body_has_come(served: Served) -> None:
    with served.connect() as sock:
        sock.sendall(head("/guarded", "Content-Length: 90000000", "Expect: 100-continue"))
        status, fields, content = answer(sock)
    assert (status, fields["connection"], content) == (401, "close", b"no")
    assert "guarded" not in seen(served)


def test_the_client_is_asked_for_the_body_when_the_view_reads_it(served: Served) -> None:
    with served.connect() as sock:
        sock.sendall(head("/count", f"Content-Length: {LARGE}", "Expect: 100-continue"))
        assert read_until(sock, b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        sock.sendall(b"x" * LARGE)
        assert json.loads(answer(sock)[2])["size"] == LARGE
        sock.sendall(b"GET /seen HTTP/1.1\r\nHost: a\r\n\r\n")
        assert answer(sock)[0] == 200, "the connection goes on"


def test_a_view_may_answer_while_the_client_waits_for_more(served: Served) -> None:
    with served.connect() as sock:
        sock.sendall(head("/some", "Transfer-Encoding: chunked") + b"4\r\nfour\r\n")
        assert json.loads(answer(sock)[2]) == {"some": "four"}


def test_both_directions_stream_at_once(served: Served) -> None:
    with served.connect() as sock:
        sock.sendall(head("/echo", "Transfer-Encoding: chunked"))
        for word in (b"one", b"two", b"three"):
            sock.sendall(b"%x\r\n%b\r\n" % (len(word), word))
            assert word.upper() in read_until(sock, word.upper())
        sock.sendall(b"0\r\n\r\n")
        assert read_until(sock, b"0\r\n\r\n").endswith(b"0\r\n\r\n")


@pytest.mark.parametrize("path", ["/slow", "/slow-async"])
def test_a_lost_client_ends_the_reading(served: Served, path: str) -> None:
    for reset in (False, True):
        before = seen(served).count("ClientDisconnected")
        with served.connect() as sock:
            sock.sendall(head(path, "Content-Length: 90000000") + b"x" * 100_000)
            time.sleep(0.1)
            if reset:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            else:
                sock.shutdown(socket.SHUT_WR)
                assert answer(sock)[0] == 400
        end = time.monotonic() + 10
        while seen(served).count("ClientDisconnected") == before:
            assert time.monotonic() < end, "the view was not told"
            time.sleep(0.02)


@pytest.mark.parametrize("path", ["/slow", "/slow-async"])
def test_a_silent_client_is_given_up(served: Served, path: str) -> None:
    with served.connect() as sock:
        sock.sendall(head(path, "Content-Length: 90000000") + b"x" * 1000)
        status, fields, _ = answer(sock)
    assert (status, fields["connection"]) == (408, "close")


def test_a_body_that_breaks_its_framing_is_a_400(served: Served) -> None:
    with served.connect() as sock:
        sock.sendall(head("/slow-async", "Transfer-Encoding: chunked") + b"3\r\nabc\r\n")
        time.sleep(0.05)
        sock.sendall(b"nonsense\r\n")
        assert answer(sock)[0] == 400


def test_the_bound_of_a_body_holds_for_one_in_chunks(tmp_path: Path) -> None:
    with serving(tmp_path, APP, run="max_body=2_000_000, max_body_in_memory=1000") as served:
        with served.connect() as sock:
            sock.sendall(head("/slow", "Transfer-Encoding: chunked"))
            with contextlib.suppress(OSError):
                for _ in range(210):
                    sock.sendall(b"2710\r\n" + b"x" * 10_000 + b"\r\n")
            assert answer(sock)[0] == 413
        assert post(served, "/slow", b"x" * 2_000_001)[0] == 413


def test_the_memory_for_bodies_bounds_what_is_read_as_a_whole(tmp_path: Path) -> None:
    with serving(tmp_path, APP, run="max_body_memory=6_000_000") as served:
        assert post(served, "/all", b"x" * 20_000_000)[0] == 503
        assert value(served, "/count", b"x" * 20_000_000)["size"] == 20_000_000
        assert value(served, "/all", b"x" * 1_500_000)["data"] == 1_500_000


def test_a_view_that_does_not_read_holds_the_client_back(tmp_path: Path) -> None:
    held = """
    import threading
    go = threading.Event()

    @app.post("/held")
    def hold():
        go.wait(20)
        return {"size": sum(len(part) for part in iter(lambda: request.stream.read(65536), b""))}

    @app.post("/go")
    def release():
        go.set()
        return {"rss": memory()}
    """
    size = 80_000_000
    with serving(tmp_path, APP + held) as served:
        sent = []

        def send(sock: socket.socket) -> None:
            sock.sendall(head("/held", f"Content-Length: {size}"))
            block = b"x" * 100_000
            for _ in range(size // len(block)):
                sock.sendall(block)
                sent.append(len(block))

        with served.connect(30) as sock:
            client = threading.Thread(target=send, args=(sock,), daemon=True)
            client.start()
            last = -1
            while last != len(sent):
                last = len(sent)
                time.sleep(0.5)
            # The rest is in the systems' buffers for a connection.
            assert sum(sent) < size
            post(served, "/go", b"")
            status, _, content = answer(sock)
            client.join(20)
        assert (status, json.loads(content)) == (200, {"size": size})
