"""Coroutine functions that read a long body piece by piece, without an option that says so."""

from __future__ import annotations

import http.client
import json
import socket
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest

from .servers import MEMORY, Served, serving

APP = (
    MEMORY
    + """
    import functools

    from bustapi import BustAPI, g, request
    from bustapi.flask import Blueprint

    app = BustAPI(__name__)

    @app.post("/count")
    async def count():
        before, most, size = memory(), 0, 0
        async for part in request.stream():
            size += len(part)
            if size % (4 * 1024 * 1024) < len(part):
                most = max(most, memory())
        return {"size": size, "grown": most - before, "streamed": request._native.is_streamed}

    @app.post("/first")
    async def first():
        async for part in request.stream():
            return {"first": part[:4].decode(), "streamed": request._native.is_streamed}

    @app.post("/whole")
    async def whole():
        return {"size": len(request.get_data()), "streamed": request._native.is_streamed}

    @app.post("/refused", stream_body=True)
    async def refused():
        assert request.stream is not None
        return {}

    @app.post("/small", execution="inline")
    def small():
        return {"read": request.stream.read(30).decode(), "streamed": request._native.is_streamed}

    def length():
        return len(request.get_data())

    @app.post("/elsewhere")
    async def elsewhere():
        return {"size": length(), "streamed": request._native.is_streamed}

    @app.post("/asked-not", stream_body=False)
    async def asked_not():
        size = 0
        async for part in request.stream():
            size += len(part)
        return {"size": size, "streamed": request._native.is_streamed}

    guarded = Blueprint("guarded", __name__, url_prefix="/guarded")

    @guarded.before_request
    def look():
        # Who knows what it needs.
        g.length = length()

    @guarded.post("/count")
    async def count_guarded():
        async for part in request.stream():
            g.length = "read twice"
        return {"size": g.length, "streamed": request._native.is_streamed}

    app.register_blueprint(guarded)
"""
)

LARGE = 3_000_000
LONG = 192 * 1024 * 1024


@pytest.fixture(scope="module", params=["threads=1", "threads=2"])
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    directory = tmp_path_factory.mktemp("unasked")
    with serving(directory, APP, run=f"max_body={2 * LONG}, {request.param}") as served:
        yield served


def post(served: Served, path: str, size: int) -> Any:
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=30)
    block = b"x" * 65536

    def pieces() -> Iterator[bytes]:
        left = size
        while left > 0:
            yield block[:left]
            left -= len(block)

    connection.request("POST", path, body=pieces(), headers={"Content-Length": str(size)})
    answer = connection.getresponse()
    assert answer.status == 200
    return json.loads(answer.read())


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_an_upload_takes_constant_memory(served: Served) -> None:
    said = post(served, "/count", LONG)
    assert (said["size"], said["streamed"]) == (LONG, True)
    assert said["grown"] < 20 * 1024


def test_a_small_body_is_there(served: Served) -> None:
    assert post(served, "/count", 1000)["streamed"] is False


def test_the_view_runs_before_the_body_is_there(served: Served) -> None:
    with socket.create_connection(("127.0.0.1", served.port), timeout=20) as client:
        client.sendall(b"POST /first HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % LARGE)
        client.sendall(b"abcd" * 300_000)
        head, _, body = client.recv(65536).partition(b"\r\n\r\n")
        end = time.monotonic() + 20
        while not body.strip().endswith(b"}") and time.monotonic() < end:
            body += client.recv(65536)
        assert json.loads(body) == {"first": "abcd", "streamed": True}
        assert b"connection: close" in head.lower()


@pytest.mark.parametrize("path", ["/whole", "/elsewhere", "/asked-not", "/guarded/count"])
def test_what_may_need_all_of_the_body_has_it(served: Served, path: str) -> None:
    assert post(served, path, LARGE) == {"size": LARGE, "streamed": False}


def test_the_rest_of_an_upload_is_nothing_to_the_next_client(served: Served) -> None:
    for _ in range(20):
        with socket.create_connection(("127.0.0.1", served.port), timeout=20) as client:
            client.sendall(b"POST /refused HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % LARGE)
            client.sendall(b"secret" * (LARGE // 6))
            assert client.recv(65536).startswith(b"HTTP/1.1 200 ")
        assert post(served, "/small", 4) == {"read": "xxxx", "streamed": False}
