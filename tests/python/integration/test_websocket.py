"""WebSockets over sockets, with the `websockets` package as the client."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import threading
import time
from collections.abc import Iterator
from socket import SHUT_RDWR

import httpx
import pytest
import websockets
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from bustapi import Blueprint, BustAPI, WebSocketDisconnect, abort, current_app, g, request, session
from bustapi.testing import LiveServer

WAIT = 10.0

LOOPS = ["asyncio", "uvloop"]


@contextlib.contextmanager
def opened(server: LiveServer, path: str, **options: object) -> Iterator[ClientConnection]:
    options.setdefault("max_size", None)
    with connect(f"ws://127.0.0.1:{server.port}{path}", open_timeout=WAIT, **options) as socket:
        yield socket


def refused(server: LiveServer, path: str, **options: object) -> InvalidStatus:
    with pytest.raises(InvalidStatus) as caught, opened(server, path, **options):
        pass
    return caught.value


def until(condition, seconds: float = WAIT) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come to pass"
        time.sleep(0.01)


@pytest.fixture
def app() -> BustAPI:
    app = BustAPI(__name__)
    app.secret_key = "of the tests"
    app.ended = []

    @app.websocket("/echo")
    async def echo(ws):
        async for message in ws:
            await ws.send(message)
        app.ended.append((ws.close_code, ws.close_reason))

    @app.websocket("/sync")
    def sync(ws):
        for message in ws:
            ws.send(message)
        app.ended.append((ws.close_code, ws.close_reason))

    @app.get("/plain")
    def plain():
        return {"plain": True}

    return app


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("path", ["/echo", "/sync"])
@pytest.mark.parametrize("compression", [None, "deflate"])
def test_messages_come_back_as_they_were(app, path, loop, compression):
    messages = ["hello", b"bytes", "", b"", "€" * 1000, "x" * 70_000, bytes(range(256)) * 3000]
    with LiveServer(app, loop=loop) as server, opened(server, path, compression=compression) as socket:
        for message in messages:
            socket.send(message)
            assert socket.recv(WAIT) == message
        for number in range(300):
            socket.send(str(number))
        assert [socket.recv(WAIT) for _ in range(300)] == [str(number) for number in range(300)]
        # In fragments, and a ping between.
        socket.send(["one ", "two ", "three"])
        assert socket.ping().wait(WAIT)
        assert socket.recv(WAIT) == "one two three"


@pytest.mark.parametrize("mode", ["shared", "dedicated", "off"])
def test_compression_is_what_the_server_says(app, mode):
    with LiveServer(app, websocket_compression=mode) as server, opened(server, "/echo") as socket:
        extensions = socket.response.headers.get("Sec-WebSocket-Extensions")
        expected = {
            "off": None,
            "dedicated": "permessage-deflate",
            "shared": "permessage-deflate; server_no_context_takeover; client_no_context_takeover",
        }
        assert extensions == expected[mode]
        for _ in range(3):
            socket.send("a text that repeats itself, " * 1000)
            assert socket.recv(WAIT) == "a text that repeats itself, " * 1000


@pytest.mark.parametrize("path", ["/echo", "/sync"])
def test_the_view_learns_how_the_client_closed(app, path):
    with LiveServer(app) as server:
        with opened(server, path) as socket:
            socket.close(3001, "done here")
        until(lambda: app.ended)
        assert app.ended == [(3001, "done here")]
        assert socket.close_code == 3001


@pytest.mark.parametrize("path", ["/echo", "/sync"])
def test_a_lost_connection_is_1006(app, path):
    with LiveServer(app) as server:
        socket = connect(f"ws://127.0.0.1:{server.port}{path}")
        socket.send("x")
        assert socket.recv(WAIT) == "x"
        # A thread of the client's waits on the socket, and would hold it open beyond a mere close.
        socket.socket.shutdown(SHUT_RDWR)
        socket.socket.close()
        until(lambda: app.ended)
        assert app.ended == [(1006, "")]


def test_rules_and_blueprints_give_the_view_its_values_and_the_request(app):
    pages = Blueprint("pages", __name__, url_prefix="/pages")

    @pages.websocket("/<int:number>/<name>")
    async def page(ws, number, name):
        await ws.send_json([number, name, request.args["q"], request.endpoint, request.headers["X-Field"]])

    app.register_blueprint(pages)
    with (
        LiveServer(app) as server,
        opened(server, "/pages/7/x?q=1", additional_headers={"X-Field": "v"}) as socket,
    ):
        assert json.loads(socket.recv(WAIT)) == [7, "x", "1", "pages.page", "v"]
        with pytest.raises(ConnectionClosed):
            socket.recv(WAIT)
        assert (socket.close_code, socket.close_reason) == (1000, "")


def test_hooks_run_at_the_handshake_and_teardown_at_the_end(app):
    log = []

    @app.before_request
    def before():
        g.user = request.args.get("user")
        if g.user is None:
            abort(401)

    @app.after_request
    def after(response):
        log.append(("after", response.status_code))
        response.headers["X-After"] = "yes"
        return response

    @app.teardown_request
    def teardown(error):
        log.append(("teardown", error))

    @app.errorhandler(401)
    def unauthorised(error):
        return {"error": "who?"}, 401

    @app.websocket("/user")
    async def user(ws):
        await ws.send(g.user)
        await ws.receive()

    with LiveServer(app) as server:
        error = refused(server, "/user")
        assert error.response.status_code == 401
        assert json.loads(error.response.body) == {"error": "who?"}
        assert error.response.headers["X-After"] == "yes"
        assert log == [("after", 401), ("teardown", None)]
        del log[:]
        with opened(server, "/user?user=me") as socket:
            assert socket.recv(WAIT) == "me"
            assert log == []
        until(lambda: log)
        assert log == [("teardown", None)]


def test_a_view_that_does_not_accept_answers_over_http(app):
    @app.websocket("/no")
    async def no(ws):
        return {"why": "because"}, 418

    @app.websocket("/none")
    def none(ws):
        pass

    @app.websocket("/close")
    async def close(ws):
        await ws.close()

    @app.websocket("/fails")
    async def fails(ws):
        raise ValueError("before accept")

    with LiveServer(app) as server:
        error = refused(server, "/no")
        assert (error.response.status_code, json.loads(error.response.body)) == (418, {"why": "because"})
        for path, status in (("/none", 403), ("/close", 403), ("/fails", 500)):
            assert refused(server, path).response.status_code == status, path


@pytest.mark.parametrize("path", ["/async", "/sync-fails"])
def test_an_error_of_the_view_closes_with_1011(app, path, caplog):
    @app.websocket("/async")
    async def async_fails(ws):
        await ws.accept()
        raise ValueError("after accept")

    @app.websocket("/sync-fails")
    def sync_fails(ws):
        ws.accept()
        raise ValueError("after accept")

    with LiveServer(app) as server, opened(server, path) as socket:
        with pytest.raises(ConnectionClosed):
            socket.recv(WAIT)
        assert socket.close_code == 1011
    assert "after accept" in caplog.text


def test_an_http_error_after_accept_is_a_policy_violation(app, caplog):
    @app.websocket("/abort")
    async def aborts(ws):
        await ws.accept()
        abort(403)

    with LiveServer(app) as server, opened(server, "/abort") as socket:
        with pytest.raises(ConnectionClosed):
            socket.recv(WAIT)
        assert (socket.close_code, socket.close_reason) == (1008, "Forbidden")
    assert not caplog.records


def test_the_answer_carries_subprotocol_headers_and_the_session(app):
    @app.websocket("/protocol", subprotocols=["v2", "v1"])
    async def protocol(ws):
        session["seen"] = True
        await ws.accept(headers={"X-Own": "1"})
        await ws.send(f"{ws.subprotocol} of {ws.subprotocols}")

    with LiveServer(app) as server:
        with opened(server, "/protocol", subprotocols=["v1", "v2", "v3"]) as socket:
            assert socket.recv(WAIT) == "v2 of ['v1', 'v2', 'v3']"
            assert socket.subprotocol == "v2"
            assert socket.response.headers["X-Own"] == "1"
            assert socket.response.headers["Set-Cookie"].startswith("session=")
        with opened(server, "/protocol") as socket:
            assert socket.recv(WAIT) == "None of []"


def test_what_cannot_be_accepted_is_an_error(app):
    raised = []

    @app.websocket("/accept")
    async def accept(ws):
        for arguments in (
            {"subprotocol": "other"},
            {"headers": {"Upgrade": "h2c"}},
            {"headers": {"X": "a\r\nb"}},
        ):
            with pytest.raises(ValueError) as caught:
                await ws.accept(**arguments)
            raised.append(str(caught.value))
        await ws.accept()
        with pytest.raises(RuntimeError):
            await ws.accept()
        await ws.send("accepted")

    with LiveServer(app) as server, opened(server, "/accept", subprotocols=["one"]) as socket:
        assert socket.recv(WAIT) == "accepted"
    assert len(raised) == 3


def test_pages_of_other_origins_are_kept_out(app):
    @app.websocket("/open", origins="*")
    async def everybody(ws):
        await ws.accept()

    @app.websocket("/listed", origins=["https://app.example.com"])
    async def listed(ws):
        await ws.accept()

    with LiveServer(app) as server:
        own = f"http://127.0.0.1:{server.port}"
        for path, origin, allowed in (
            ("/echo", own, True),
            ("/echo", "http://evil.example", False),
            ("/echo", f"http://127.0.0.1.evil.example:{server.port}", False),
            ("/echo", "null", False),
            ("/echo", "http://127.0.0.1", False),
            ("/open", "http://evil.example", True),
            ("/listed", "https://app.example.com", True),
            ("/listed", own, True),
            ("/listed", "http://app.example.com", False),
        ):
            if allowed:
                with opened(server, path, origin=origin):
                    pass
            else:
                assert refused(server, path, origin=origin).response.status_code == 403, (path, origin)
        app.config["WEBSOCKET_ORIGINS"] = ["http://evil.example"]
        with opened(server, "/echo", origin="http://evil.example"):
            pass


def test_handshakes_and_rules_that_do_not_fit(app):
    from http.client import HTTPConnection

    handshake = {
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    }
    with LiveServer(app) as server:
        for path, changes, status in (
            ("/echo", {"Upgrade": None}, 400),
            ("/echo", {"Connection": None}, 400),
            ("/plain", {}, 400),
            ("/nothing", {}, 404),
            ("/echo", {"Sec-WebSocket-Key": "short"}, 400),
            ("/echo", {"Sec-WebSocket-Version": "8"}, 426),
            ("/echo", {"Content-Length": "2"}, 400),
        ):
            fields = {name: value for name, value in {**handshake, **changes}.items() if value}
            connection = HTTPConnection("127.0.0.1", server.port, timeout=WAIT)
            body = b"hi" if "Content-Length" in fields else None
            connection.request("GET", path, body, fields)
            response = connection.getresponse()
            assert response.status == status, (path, changes)
            response.read()
            if status == 426:
                assert response.headers["Sec-WebSocket-Version"] == "13"
            else:
                # The connection is a plain one still.
                connection.request("GET", "/plain")
                assert connection.getresponse().read() == b'{"plain":true}\n'
            connection.close()


def test_limits_close_with_1009(app):
    with LiveServer(app, websocket_max_message=1000, websocket_max_frame=600) as server:
        for message in ("x" * 1001, ["x" * 500, "x" * 501], "x" * 601):
            with opened(server, "/echo", compression=None) as socket:
                # The server closes at the frame that is too much: the frames
                # after it may find the connection closed already.
                with contextlib.suppress(ConnectionClosed):
                    socket.send(message)
                with pytest.raises(ConnectionClosed):
                    socket.recv(WAIT)
                assert socket.close_code == 1009
        with opened(server, "/echo", compression=None) as socket:
            socket.send(["x" * 600, "x" * 400])
            assert len(socket.recv(WAIT)) == 1000
        with opened(server, "/echo") as socket:
            socket.send("x" * 100_000)
            with pytest.raises(ConnectionClosed):
                socket.recv(WAIT)
            assert socket.close_code == 1009


def test_typed_receivers_refuse_the_other_kind(app):
    @app.websocket("/text")
    async def text(ws):
        await ws.receive_text()

    @app.websocket("/bytes")
    def binary(ws):
        ws.receive_bytes()

    @app.websocket("/json")
    async def values(ws):
        async for value in ws.iter_json():
            await ws.send_json({"got": value})

    with LiveServer(app) as server:
        for path, message, code in (("/text", b"x", 1003), ("/bytes", "x", 1003), ("/json", "{", 1007)):
            with opened(server, path) as socket:
                socket.send(message)
                with pytest.raises(ConnectionClosed):
                    socket.recv(WAIT)
                assert socket.close_code == code
        with opened(server, "/json") as socket:
            socket.send('[1, "two"]')
            assert json.loads(socket.recv(WAIT)) == {"got": [1, "two"]}


def test_a_client_that_reads_nothing_makes_the_sender_wait(app):
    sent = []

    @app.websocket("/flood")
    async def flood(ws):
        try:
            while True:
                await ws.send(b"x" * 50_000)
                sent.append(1)
        except WebSocketDisconnect as gone:
            app.ended.append(gone.code)

    @app.websocket("/sync-flood")
    def sync_flood(ws):
        try:
            while True:
                ws.send(b"x" * 50_000)
                sent.append(1)
        except WebSocketDisconnect as gone:
            app.ended.append(gone.code)

    with LiveServer(app) as server:
        for path in ("/flood", "/sync-flood"):
            del sent[:], app.ended[:]
            socket = connect(f"ws://127.0.0.1:{server.port}{path}", max_queue=1, compression=None)
            before = -1
            until(lambda: sent)
            # It comes to a stand: what the kernel buffers of both sides hold, and `max_outbox`.
            while len(sent) != before:
                before = len(sent)
                time.sleep(0.3)
            assert len(sent) * 50_000 < 64 * 1024 * 1024
            socket.socket.close()
            until(lambda: app.ended)
            assert app.ended == [1006]


def test_a_view_that_receives_nothing_makes_the_client_wait(app):
    go = threading.Event()
    got = []

    @app.websocket("/slow")
    def slow(ws):
        ws.accept()
        go.wait(WAIT)
        for message in ws:
            got.append(len(message))

    with (
        LiveServer(app, websocket_max_queue=4) as server,
        opened(server, "/slow", compression=None) as socket,
    ):
        sent = []

        def send() -> None:
            for _ in range(300):
                socket.send(b"x" * 100_000)
                sent.append(1)

        thread = threading.Thread(target=send)
        thread.start()
        time.sleep(0.5)
        assert len(sent) < 300
        go.set()
        thread.join(WAIT)
        assert len(sent) == 300
        until(lambda: len(got) == 300)


def test_silence_is_pinged_and_the_dead_are_dropped(app):
    with LiveServer(app, websocket_ping_interval=0.2, websocket_ping_timeout=0.3) as server:
        with opened(server, "/echo", ping_interval=None) as socket:
            # This client answers pings by itself.
            time.sleep(1.2)
            socket.send("alive")
            assert socket.recv(WAIT) == "alive"
        until(lambda: app.ended)
        del app.ended[:]
        raw = connect(f"ws://127.0.0.1:{server.port}/echo", ping_interval=None)
        # One that does not, since nobody reads for it.
        raw.recv_events_thread  # noqa: B018
        raw.protocol.receive_data = lambda data: None
        until(lambda: app.ended)
        assert app.ended == [(1006, "")]
        raw.socket.close()


def test_one_that_left_behind_more_than_the_queue_holds_is_noticed(app):
    @app.websocket("/deaf")
    async def deaf(ws):
        await ws.accept()
        # Asked for nothing, it is told of nothing but this.
        while not request.disconnected:
            await asyncio.sleep(0.05)
        app.ended.append(ws.close_code)

    with LiveServer(app, websocket_max_queue=4, websocket_ping_interval=0.2) as server:
        client = connect(f"ws://127.0.0.1:{server.port}/deaf", ping_interval=None)
        for _ in range(200):
            client.send("x")
        client.socket.shutdown(SHUT_RDWR)
        client.socket.close()
        until(lambda: app.ended)
    assert app.ended == [1006]


def test_idle_connections_are_closed(app):
    with (
        LiveServer(app, websocket_idle_timeout=0.3, websocket_ping_interval=0.1) as server,
        opened(server, "/echo") as socket,
    ):
        with pytest.raises(ConnectionClosed):
            socket.recv(WAIT)
        assert socket.close_code == 1001
    until(lambda: app.ended)
    assert app.ended[0][0] == 1001


def test_a_drain_says_going_away(app):
    with LiveServer(app, grace=5) as server:
        with opened(server, "/echo") as one, opened(server, "/sync") as two:
            for socket in (one, two):
                socket.send("x")
                assert socket.recv(WAIT) == "x"
            server._host.drain()
            for socket in (one, two):
                with pytest.raises(ConnectionClosed):
                    socket.recv(WAIT)
                assert socket.close_code == 1001
        until(lambda: len(app.ended) == 2)
        assert {code for code, _ in app.ended} == {1001}


def test_receiving_can_be_cancelled_without_losing_a_message(app):
    @app.websocket("/timeouts")
    async def timeouts(ws):
        misses = 0
        while True:
            try:
                message = await asyncio.wait_for(ws.receive(), 0.02)
            except asyncio.TimeoutError:
                misses += 1
                continue
            await ws.send(f"{message} {misses > 0}")

    with LiveServer(app) as server, opened(server, "/timeouts") as socket:
        for number in range(10):
            time.sleep(0.05)
            socket.send(str(number))
            assert socket.recv(WAIT) == f"{number} True"


def test_several_tasks_share_a_socket(app):
    @app.websocket("/tasks")
    async def tasks(ws):
        await ws.accept()

        async def numbers(name):
            for number in range(20):
                await ws.send(f"{name}{number}")
                await asyncio.sleep(0)

        first = asyncio.create_task(ws.receive())
        await asyncio.gather(numbers("a"), numbers("b"))
        await ws.send(f"got {await first}")
        await ws.close(3000, "done")
        with pytest.raises(WebSocketDisconnect):
            await ws.receive()
        with pytest.raises(WebSocketDisconnect):
            await ws.send("late")

    with LiveServer(app) as server, opened(server, "/tasks") as socket:
        got = [socket.recv(WAIT) for _ in range(40)]
        assert sorted(got) == sorted(f"{name}{number}" for name in "ab" for number in range(20))
        socket.send("first")
        assert socket.recv(WAIT) == "got first"
        with pytest.raises(ConnectionClosed):
            socket.recv(WAIT)
        assert (socket.close_code, socket.close_reason) == (3000, "done")


def test_a_sync_receive_times_out(app):
    @app.websocket("/wait")
    def wait(ws):
        ws.accept()
        with pytest.raises(TimeoutError):
            ws.receive(timeout=0.05)
        ws.send("waited")
        assert ws.receive(timeout=WAIT) == "x"
        ws.send("got it")

    with LiveServer(app) as server, opened(server, "/wait") as socket:
        assert socket.recv(WAIT) == "waited"
        socket.send("x")
        assert socket.recv(WAIT) == "got it"


@pytest.mark.parametrize("loop", LOOPS)
def test_sockets_of_every_reactor_use_the_one_loop(app, loop):
    loops = set()

    @app.websocket("/loop")
    async def which(ws):
        loops.add(id(asyncio.get_running_loop()))
        async for message in ws:
            await ws.send(message)

    with LiveServer(app, threads=3, loop=loop) as server, contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(opened(server, "/loop")) for _ in range(12)]
        for round_ in range(20):
            for socket in sockets:
                socket.send(str(round_))
            for socket in sockets:
                assert socket.recv(WAIT) == str(round_)
    assert len(loops) == 1


def test_functions_around_views_stand_around_sockets(app):
    @app.middleware
    async def around(call_next):
        app.ended.append("in")
        try:
            return await call_next()
        finally:
            app.ended.append("out")

    @app.websocket("/around/<name>")
    async def inner(ws, name):
        await ws.send(name)

    with LiveServer(app) as server, opened(server, "/around/me") as socket:
        assert socket.recv(WAIT) == "me"
        with pytest.raises(ConnectionClosed):
            socket.recv(WAIT)
    assert app.ended == ["in", "out"]


def test_a_handshake_does_not_pass_by_wsgi_middleware(app):
    inner = app.wsgi_app
    app.wsgi_app = lambda environ, start: inner(environ, start)
    with LiveServer(app) as server:
        assert refused(server, "/echo").response.status_code == 500


def test_nothing_is_left_of_sockets_that_ended(app):
    import gc

    from bustapi import WebSocket

    def alive() -> int:
        gc.collect()
        return sum(isinstance(thing, WebSocket) for thing in gc.get_objects())

    with LiveServer(app) as server:
        for _ in range(20):
            with opened(server, "/echo") as socket:
                socket.send("x")
                assert socket.recv(WAIT) == "x"
        until(lambda: len(app.ended) == 20)
        until(lambda: alive() == 0)
    assert websockets.__version__


def test_a_plain_function_around_a_coroutine_function(app, caplog):
    def guarded(view):
        @functools.wraps(view)
        def inner(*args, **values):
            if "deny" in request.args:
                abort(401)
            return view(*args, **values)

        return inner

    def ensured(view):
        @functools.wraps(view)
        def inner(*args, **values):
            return current_app.ensure_sync(view)(*args, **values)

        return inner

    def unmarked(view):
        return lambda ws: view(ws)

    class Instance:
        async def __call__(self, ws):
            await echo_one(ws)

    async def echo_one(ws):
        await ws.accept()
        await ws.send(f"{await ws.receive()} {request.path}")

    app.websocket("/guarded", endpoint="guarded")(guarded(echo_one))
    app.websocket("/ensured", endpoint="ensured")(ensured(echo_one))
    app.websocket("/instance", endpoint="instance")(Instance())
    app.websocket("/unmarked", endpoint="unmarked")(unmarked(echo_one))
    with LiveServer(app) as server:
        for path in ("/guarded", "/ensured", "/instance"):
            with opened(server, path) as socket:
                socket.send("a")
                assert socket.recv(WAIT) == f"a {path}"
                with pytest.raises(ConnectionClosed):
                    socket.recv(WAIT)
                assert socket.close_code == 1000
        assert refused(server, "/guarded?deny").response.status_code == 401
        assert refused(server, "/unmarked").response.status_code == 500
    assert "functools.wraps" in caplog.text


def test_async_functions_around_views_stand_around_plain_sockets(app):
    @app.middleware
    async def around(call_next):
        await asyncio.sleep(0)
        return await call_next()

    @app.websocket("/plain-echo")
    def plain_echo(ws):
        for message in ws:
            ws.send(message)

    @app.websocket("/denied")
    def denied(ws):
        abort(401)

    @app.get("/page")
    async def page():
        return "plain"

    with (
        LiveServer(app) as server,
        opened(server, "/plain-echo") as first,
        opened(server, "/plain-echo") as second,
    ):
        for socket in (first, second, first):
            socket.send("a")
            assert socket.recv(WAIT) == "a"
        assert httpx.get(f"http://127.0.0.1:{server.port}/page", timeout=WAIT).text == "plain"
        assert refused(server, "/denied").response.status_code == 401


@pytest.mark.parametrize("leaves", [False, True])
def test_a_view_may_put_things_away_while_the_server_stops(app, leaves):
    seen = []

    @app.websocket("/")
    async def view(ws):
        await ws.accept()
        await ws.send("here")
        try:
            await ws.receive()
        except WebSocketDisconnect:
            seen.append("told")
        finally:
            await asyncio.sleep(0.4)
            seen.append("put away")

    with LiveServer(app, grace=5) as server:
        with opened(server, "/") as socket:
            assert socket.recv(WAIT) == "here"
            if not leaves:
                server.stop(drain=True)
        if leaves:
            until(lambda: "told" in seen)
            server.stop(drain=True)
    assert seen == ["told", "put away"]
