"""WebSockets beside what is for requests: deadlines, departures, late answers, proxies, the pool and the watch."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import select
import socket as sockets
import struct
import threading
import time
from collections.abc import Iterator

import pytest
from websockets.exceptions import ConnectionClosed

from bustapi import BustAPI, WebSocketDisconnect, has_request_context, request, url_for
from bustapi.testing import LiveServer
from bustapi.werkzeug.middleware.proxy_fix import ProxyFix

from .test_websocket import LOOPS, WAIT, opened, refused, until

HANDSHAKE = (
    "GET {} HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
HELD = "a coroutine has held the event loop"


@contextlib.contextmanager
def raw(server: LiveServer) -> Iterator[sockets.socket]:
    with sockets.create_connection(("127.0.0.1", server.port), timeout=WAIT) as peer:
        yield peer


def reset(peer: sockets.socket) -> None:
    """Go away without a word."""
    peer.setsockopt(sockets.SOL_SOCKET, sockets.SO_LINGER, struct.pack("ii", 1, 0))
    peer.close()


def answer(peer: sockets.socket) -> bytes:
    """An answer's head and its body, of known length."""
    got = b""
    while b"\r\n\r\n" not in got:
        piece = peer.recv(4096)
        assert piece, got
        got += piece
    head, _, body = got.partition(b"\r\n\r\n")
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            while len(body) < int(line[15:]):
                body += peer.recv(4096)
    return head + b"\r\n\r\n" + body


@pytest.fixture
def app() -> BustAPI:
    app = BustAPI(__name__, view_timeout=0.2, cancel_on_disconnect=True)
    app.seen = []

    @app.websocket("/async")
    async def in_task(ws):
        try:
            await asyncio.sleep(0.5)
            async for message in ws:
                await ws.send(message)
        finally:
            app.seen.append((ws.close_code, request.disconnected))

    @app.websocket("/sync")
    def in_pool(ws):
        try:
            time.sleep(0.5)
            for message in ws:
                ws.send(message)
        finally:
            app.seen.append((ws.close_code, request.disconnected))

    @app.get("/plain")
    def plain():
        return {"plain": True}

    return app


@pytest.mark.parametrize("path", ["/async", "/sync"])
def test_neither_the_handshake_nor_the_view_has_a_deadline(app, path):
    with LiveServer(app) as server, opened(server, path) as socket:
        for _ in range(3):
            time.sleep(0.4)
            socket.send("still here")
            assert socket.recv(WAIT) == "still here"
        assert app.seen == []


@pytest.mark.parametrize("path", ["/async", "/sync"])
def test_a_view_whose_client_went_is_told_and_not_cancelled(app, path):
    with LiveServer(app) as server:
        with opened(server, path) as socket:
            socket.send("x")
            assert socket.recv(WAIT) == "x"
            reset(socket.socket)
        until(lambda: app.seen)
    assert app.seen == [(1006, True)]


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("path", ["/early", "/early-sync"])
def test_a_client_may_go_during_its_handshake(app, path, loop):
    @app.websocket("/early")
    async def early(ws):
        app.seen.append("begun")
        end = time.monotonic() + WAIT
        while not request.disconnected and time.monotonic() < end:
            await asyncio.sleep(0.01)
        try:
            await ws.accept()
        except WebSocketDisconnect as error:
            app.seen.append(error.code)

    @app.websocket("/early-sync")
    def early_sync(ws):
        app.seen.append("begun")
        end = time.monotonic() + WAIT
        while not request.disconnected and time.monotonic() < end:
            time.sleep(0.01)
        try:
            ws.accept()
        except WebSocketDisconnect as error:
            app.seen.append(error.code)

    with LiveServer(app, loop=loop) as server, raw(server) as peer:
        peer.sendall(HANDSHAKE.format(path).encode())
        until(lambda: app.seen == ["begun"])
        reset(peer)
        until(lambda: len(app.seen) == 2)
        assert app.seen == ["begun", 1006]


def test_a_late_answer_is_not_taken_for_that_of_a_handshake(app):
    over = threading.Event()

    @app.get("/late", execution="pool")
    def late():
        over.wait(WAIT)
        return "late"

    @app.websocket("/after")
    async def after(ws):
        over.set()
        # The late answer comes while the handshake is under way.
        await asyncio.sleep(0.3)
        await ws.send("hello")

    with LiveServer(app) as server, raw(server) as peer:
        peer.sendall(b"GET /late HTTP/1.1\r\nHost: a\r\n\r\n")
        assert answer(peer).startswith(b"HTTP/1.1 504 ")
        peer.sendall(HANDSHAKE.format("/after").encode())
        got = b""
        while b"\x81\x05hello" not in got:
            piece = peer.recv(4096)
            assert piece, got
            got += piece
        assert got.startswith(b"HTTP/1.1 101 ")


def test_a_connection_goes_on_after_a_handshake_that_was_refused(app):
    @app.websocket("/no")
    async def no(ws):
        return "not today", 403

    @app.get("/wait")
    async def wait():
        app.seen.append("begun")
        try:
            await asyncio.sleep(WAIT)
        except asyncio.CancelledError:
            app.seen.append("cancelled")
            raise
        return "never"

    app.view_timeout = None
    with LiveServer(app) as server, raw(server) as peer:
        for _ in range(3):
            peer.sendall(HANDSHAKE.format("/no").encode())
            refusal = answer(peer)
            assert refusal.startswith(b"HTTP/1.1 403 ")
            assert refusal.endswith(b"not today")
            peer.sendall(b"GET /plain HTTP/1.1\r\nHost: a\r\n\r\n")
            assert answer(peer).startswith(b"HTTP/1.1 200 ")
        # It is a connection like any other again: a request's view is cancelled when its client goes.
        peer.sendall(b"GET /wait HTTP/1.1\r\nHost: a\r\n\r\n")
        until(lambda: app.seen == ["begun"])
        reset(peer)
        until(lambda: len(app.seen) == 2)
        assert app.seen == ["begun", "cancelled"]


def test_handshakes_through_a_stock_proxy_fix(app):
    @app.websocket("/who")
    async def who(ws):
        assert has_request_context()
        await ws.send(f"{request.host} {request.remote_addr} {request.is_secure}")

    app.wsgi_app = ProxyFix(app.wsgi_app, x_for=1, x_proto=1, x_host=1)
    fields = {
        "X-Forwarded-For": "192.0.2.7",
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Host": "shop.example",
    }
    with LiveServer(app) as server:
        with opened(server, "/who", additional_headers=fields, origin="https://shop.example") as socket:
            assert socket.recv(WAIT) == "shop.example 192.0.2.7 True"
        with opened(server, "/who") as socket:
            assert socket.recv(WAIT) == f"127.0.0.1:{server.port} 127.0.0.1 False"
        other = refused(server, "/who", additional_headers=fields, origin="https://other.example")
        assert other.response.status_code == 403


def test_a_full_pool_refuses_handshakes(app):
    @app.websocket("/hold")
    def hold(ws):
        for message in ws:
            ws.send(message)

    with LiveServer(app, pool_threads=1, pool_queue=1) as server, contextlib.ExitStack() as stack:
        with opened(server, "/hold") as socket:
            socket.send("x")
            assert socket.recv(WAIT) == "x"
            waiting = [stack.enter_context(raw(server)) for _ in range(3)]
            for peer in waiting:
                peer.sendall(HANDSHAKE.format("/hold").encode())
            for _ in range(2):
                peer = select.select(waiting, [], [], WAIT)[0][0]
                waiting.remove(peer)
                refusal = answer(peer)
                assert refusal.startswith(b"HTTP/1.1 503 ")
                assert b"\r\nRetry-After: 1\r\n" in refusal
            socket.send("y")
            assert socket.recv(WAIT) == "y"
        # The view has returned: its thread is for the one that waited, which opens when it has something to say.
        waiting[0].sendall(b"\x81\x81\0\0\0\0z")
        assert answer(waiting[0]).startswith(b"HTTP/1.1 101 ")


def test_views_that_wait_are_no_views_that_block(app, caplog):
    with LiveServer(app, max_block=0.05) as server, caplog.at_level(logging.WARNING):
        with opened(server, "/sync") as one, opened(server, "/async") as two:
            for socket in (one, two):
                socket.send("x")
                assert socket.recv(WAIT) == "x"
            time.sleep(0.5)
            for socket in (one, two):
                socket.send("y")
                assert socket.recv(WAIT) == "y"
        assert "has held" not in caplog.text


def test_a_coroutine_that_blocks_when_a_message_wakes_it_is_reported(app, caplog):
    @app.websocket("/blocks")
    async def blocks(ws):
        await ws.accept()
        await ws.receive()
        until(lambda: HELD in caplog.text)
        await ws.send("done")

    with LiveServer(app, max_block=0.05) as server, caplog.at_level(logging.WARNING):
        with opened(server, "/blocks") as socket:
            # Its first step is over: what follows runs when the message wakes it.
            time.sleep(0.1)
            socket.send("x")
            assert socket.recv(WAIT) == "done"
        assert "a sync view" not in caplog.text


def test_sockets_live_on_the_loop_of_their_thread(app):
    loops = set()

    @app.websocket("/loop")
    async def which(ws):
        loops.add(id(asyncio.get_running_loop()))
        async for message in ws:
            await ws.send(message)

    with LiveServer(app, threads=2, loops="per-thread") as server, contextlib.ExitStack() as stack:
        # The kernel spreads connections by their ports.
        opening = [stack.enter_context(opened(server, "/loop")) for _ in range(16)]
        for round_ in range(5):
            for socket in opening:
                socket.send(str(round_))
            for socket in opening:
                assert socket.recv(WAIT) == str(round_)
        server._host.drain()
        for socket in opening:
            with pytest.raises(ConnectionClosed):
                socket.recv(WAIT)
            assert socket.close_code == 1001
    assert 1 <= len(loops) <= 2


def test_the_environment_is_there_when_it_is_asked_for(app):
    @app.get("/named/<name>")
    def named(name):
        return name

    @app.websocket("/asks/<name>")
    async def asks(ws, name):
        environ = request.environ
        path = url_for("named", name=name, _external=False)
        await ws.send(f"{environ['PATH_INFO']} {environ is request.environ} {path}")

    with LiveServer(app) as server, opened(server, "/asks/a") as socket:
        assert socket.recv(WAIT).startswith("/asks/a True ")
