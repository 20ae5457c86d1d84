"""Views whose time is up, and views whose client has gone."""

from __future__ import annotations

import http.client
import json
import socket
import struct
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from .servers import Served, read_until, serving

DEADLINES = """
    import asyncio
    import time

    from bustapi import Blueprint, BustAPI, request

    app = BustAPI(__name__, view_timeout=0.3)
    seen = []

    @app.get("/seen")
    def told():
        return seen

    @app.route("/pool/<float:seconds>", execution="pool", methods=["GET", "POST"])
    def pool(seconds):
        time.sleep(seconds)
        seen.append("pool view went on")
        return {"slept": seconds}

    @app.get("/bare/<float:seconds>")
    async def bare(seconds):
        try:
            await asyncio.sleep(seconds)
        except asyncio.CancelledError:
            seen.append("bare view cancelled")
            raise
        return {"slept": seconds}

    @app.get("/longer/<float:seconds>", view_timeout=5)
    async def longer(seconds):
        await asyncio.sleep(seconds)
        return {"slept": seconds}

    @app.get("/stubborn")
    async def stubborn():
        end = time.monotonic() + 2.5
        while time.monotonic() < end:
            try:
                await asyncio.sleep(0.1)
            except asyncio.CancelledError:
                seen.append("stubborn view cancelled")
        return "too late"

    hooked = Blueprint("hooked", __name__)

    @hooked.after_request
    async def after(response):
        response.headers["X-After"] = "1"
        return response

    @hooked.errorhandler(504)
    async def slow(error):
        async def answer():
            await asyncio.sleep(0.01)
            return {"handled": error.code}, 504
        return await asyncio.wait_for(answer(), 5)

    @hooked.get("/hooked/<float:seconds>")
    async def view(seconds):
        await asyncio.sleep(seconds)
        return {"slept": seconds}

    app.register_blueprint(hooked)
"""


def test_deadlines(tmp_path: Path) -> None:
    with serving(tmp_path, DEADLINES) as served:
        connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=20)

        def get(path: str, method: str = "GET") -> tuple[int, bytes]:
            connection.request(method, path)
            response = connection.getresponse()
            return response.status, response.read()

        # One connection throughout: a late answer is not taken for the next request's.
        assert get("/pool/0.0")[0] == 200
        assert get("/pool/1.0")[0] == 504
        assert get("/bare/0.01") == (200, b'{"slept":0.01}\n')
        status, body = get("/bare/5.0")
        assert (status, b"Gateway Timeout" in body) == (504, True)
        assert get("/longer/0.6") == (200, b'{"slept":0.6}\n')
        assert get("/hooked/0.01") == (200, b'{"slept":0.01}\n')
        assert get("/hooked/5.0") == (504, b'{"handled":504}\n')
        assert get("/pool/0.9", "POST")[0] == 504
        begun = time.monotonic()
        assert get("/stubborn")[0] == 504
        assert time.monotonic() - begun < 2.4
        time.sleep(1.5)
        assert get("/longer/0.01") == (200, b'{"slept":0.01}\n')
        seen = json.loads(get("/seen")[1])
        assert seen.count("pool view went on") == 3
        assert seen.count("bare view cancelled") == 1
        assert "stubborn view cancelled" in seen
        connection.close()
        assert served.stop() == 0


def test_a_run_bounds_what_has_no_bound_of_its_own(tmp_path: Path) -> None:
    app = DEADLINES.replace(", view_timeout=0.3", "")
    with serving(tmp_path, app, run="view_timeout=0.2") as served:
        assert served.send(b"GET /bare/5.0 HTTP/1.1\r\nHost: a\r\n\r\n").startswith(b"HTTP/1.1 504 ")
        assert served.send(b"GET /longer/0.5 HTTP/1.1\r\nHost: a\r\n\r\n").startswith(b"HTTP/1.1 200 ")


DISCONNECTS = """
    import asyncio
    import time

    from bustapi import BustAPI, Response, request

    app = BustAPI(__name__)
    seen = []

    @app.get("/seen")
    async def told():
        return seen

    async def wait(name):
        seen.append(name + " begun")
        try:
            await asyncio.sleep(1)
        except asyncio.CancelledError:
            seen.append(name + " cancelled")
            raise
        seen.append(name + " finished")
        return name

    @app.route("/view", methods=["GET", "POST"])
    async def view():
        return await wait(request.method)

    @app.route("/kept", cancel_on_disconnect=False)
    async def kept():
        return await wait("kept")

    @app.post("/given-up", cancel_on_disconnect=True)
    async def given_up():
        return await wait("given up")

    @app.before_request
    async def hook():
        pass

    @app.get("/sync")
    def sync():
        seen.append("sync begun")
        end = time.monotonic() + 10
        while not request.disconnected and time.monotonic() < end:
            time.sleep(0.02)
        seen.append(f"sync disconnected {request.disconnected}")
        return ""

    @app.get("/numbers")
    async def numbers():
        async def parts():
            try:
                seen.append("numbers begun")
                while True:
                    yield "x" * 10000
                    await asyncio.sleep(0)
            finally:
                seen.append("numbers closed")
        return Response(parts())

    @app.get("/made")
    def made():
        def parts():
            try:
                seen.append("made begun")
                while True:
                    yield "x" * 10000
            finally:
                seen.append("made closed")
        return Response(parts())
"""


def seen(served: Served) -> list[str]:
    answer = served.send(b"GET /seen HTTP/1.1\r\nHost: a\r\n\r\n")
    found: list[str] = json.loads(answer.partition(b"\r\n\r\n")[2])
    return found


def wait_for(served: Served, entry: str) -> None:
    end = time.monotonic() + 10
    while entry not in seen(served):
        assert time.monotonic() < end, (entry, seen(served), served.log())
        time.sleep(0.02)


def reset(sock: socket.socket) -> None:
    """Closes with a RST."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("gone"), DISCONNECTS) as served:
        yield served


@pytest.mark.parametrize(
    ("request_line", "begun", "end"),
    [
        (b"GET /view", "GET begun", "GET cancelled"),
        (b"HEAD /view", "HEAD begun", "HEAD cancelled"),
        (b"POST /view", "POST begun", "POST finished"),
        (b"GET /kept", "kept begun", "kept finished"),
        (b"POST /given-up", "given up begun", "given up cancelled"),
        (b"GET /sync", "sync begun", "sync disconnected True"),
    ],
)
def test_a_reset_ends_what_only_its_client_wants(
    served: Served, request_line: bytes, begun: str, end: str
) -> None:
    sock = served.connect()
    sock.sendall(request_line + b" HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
    wait_for(served, begun)
    reset(sock)
    wait_for(served, end)
    name = begun.partition(" begun")[0]
    assert len([entry for entry in seen(served) if entry.startswith(f"{name} ")]) == 2


@pytest.mark.parametrize("name", ["numbers", "made"])
def test_a_reset_closes_a_body_that_is_generated(served: Served, name: str) -> None:
    sock = served.connect()
    sock.sendall(f"GET /{name} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
    assert read_until(sock, b"xxxx").startswith(b"HTTP/1.1 200 ")
    reset(sock)
    wait_for(served, f"{name} closed")


def test_a_half_close_is_no_departure(tmp_path: Path) -> None:
    with serving(tmp_path, DISCONNECTS) as served:
        assert served.send(b"GET /view HTTP/1.1\r\nHost: a\r\n\r\n").endswith(b"\r\n\r\nGET")
        assert seen(served) == ["GET begun", "GET finished"]
        assert "Traceback" not in served.log()


def test_a_departure_is_no_error(served: Served) -> None:
    assert "Traceback" not in served.log()
