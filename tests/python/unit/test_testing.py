"""`bustapi.testing`: the client in process and over a socket, and the fixtures that pytest finds."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bustapi import BustAPI, jsonify, redirect, request, session
from bustapi.testing import LiveServer, TestClient, VirtualClock


@pytest.fixture
def shop() -> BustAPI:
    app = BustAPI("shop")
    app.secret_key = "key"

    @app.get("/")
    def index() -> Any:
        return {"name": request.args.get("name", "nobody"), "agent": "User-Agent" in request.headers}

    @app.post("/echo/<path:rest>")
    def echo(rest: str) -> Any:
        return jsonify(rest=rest, body=request.get_data(as_text=True), form=request.form)

    @app.get("/count")
    def count() -> Any:
        session["count"] = session.get("count", 0) + 1
        return str(session["count"])

    @app.post("/move")
    def move() -> Any:
        return redirect("/echo/moved", 307)

    @app.get("/later")
    async def later() -> Any:
        return "awaited"

    @app.get("/broken")
    def broken() -> Any:
        raise ZeroDivisionError

    return app


@pytest.mark.parametrize("served", [False, True])
def test_the_client_asks_the_same_way_in_process_and_over_a_socket(shop: BustAPI, served: bool) -> None:
    with TestClient(shop, served=served) as client:
        answer = client.get("/", query_string={"name": "ü"})
        assert answer.status_code == 200
        assert answer.json == {"name": "ü", "agent": True}
        assert ("Server" in answer.headers, "Date" in answer.headers) == (False, served)
        assert client.post("/echo/a%20b", data={"x": "y"}).json["form"] == {"x": "y"}
        assert client.post("/echo/ü", data="text").json == {"rest": "ü", "body": "text", "form": {}}
        assert [client.get("/count").text for _ in range(3)] == ["1", "2", "3"]
        moved = client.post("/move", data="again", follow_redirects=True)
        assert (moved.status_code, moved.json["body"]) == (200, "again")
        assert client.get("/later").text == "awaited"
        assert client.head("/").get_data() == b""
        assert client.get("/missing").status_code == 404
        shop.config["PROPAGATE_EXCEPTIONS"] = False
        assert client.get("/broken").status_code == 500
        with client.session_transaction() as stored:
            assert stored["count"] == 3
            stored["count"] = 10
        assert client.get("/count").text == "11"


def test_a_served_client_needs_its_block(shop: BustAPI) -> None:
    client = TestClient(shop, served=True)
    with pytest.raises(RuntimeError, match="with"):
        client.get("/")
    with client:
        assert client.get("/count").text == "1"
    with client:
        assert client.get("/count").text == "2"
    with pytest.raises(TypeError, match="served"):
        TestClient(shop, max_body=1)


def test_a_live_server_is_stopped_at_the_end_of_its_block(shop: BustAPI) -> None:
    import urllib.error
    import urllib.request

    server = LiveServer(shop)
    with server:
        with urllib.request.urlopen(f"{server.url}/count", timeout=10) as answer:
            assert answer.read() == b"1"
        with pytest.raises(RuntimeError, match="already"):
            server.start()
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(f"{server.url}/count", timeout=10)
    server.stop()


def living(seen: list[str], *, asynchronous: bool) -> BustAPI:
    """An application that notes its start and end, and whose views use what the start made, on its loop if there is one."""
    app = BustAPI("living")
    made: dict[str, Any] = {}

    def open_it() -> None:
        with contextlib.suppress(RuntimeError):
            made["loop"] = asyncio.get_running_loop()
        made["it"] = "open"
        seen.append("open")

    def close_it() -> None:
        made.clear()
        seen.append("close")

    if asynchronous:

        @app.lifespan
        async def life(given: BustAPI) -> Any:
            await asyncio.sleep(0)
            open_it()
            made["queue"] = asyncio.Queue()
            yield
            close_it()

        @app.websocket("/socket")
        async def socket(ws: Any) -> None:
            assert asyncio.get_running_loop() is made["loop"]
            await ws.send(made["it"])
            async for message in ws:
                made["queue"].put_nowait(message)

        @app.websocket("/queue")
        async def queue(ws: Any) -> None:
            await ws.accept()
            # Waits, which binds it to this loop.
            await ws.send(await made["queue"].get())

        @app.get("/page")
        async def page() -> Any:
            assert asyncio.get_running_loop() is made["loop"]
            return str(made["it"])

        @app.get("/events")
        async def events() -> Any:
            async def each() -> Any:
                yield f"data: {made['it']}\n\n"

            return each(), {"Content-Type": "text/event-stream"}

    else:
        app.on_startup(open_it)
        app.on_shutdown(close_it)

        @app.websocket("/socket")
        def plain_socket(ws: Any) -> None:
            ws.send(made["it"])

        @app.get("/page")
        def plain_page() -> Any:
            return str(made["it"])

        @app.get("/events")
        def plain_events() -> Any:
            return iter([f"data: {made['it']}\n\n"]), {"Content-Type": "text/event-stream"}

    return app


@pytest.mark.parametrize("asynchronous", [False, True])
@pytest.mark.parametrize("served", [False, True])
def test_connections_are_served_by_the_application_that_the_block_started(
    asynchronous: bool, served: bool
) -> None:
    seen: list[str] = []
    client = TestClient(living(seen, asynchronous=asynchronous), served=served)
    for _ in range(2):
        seen.clear()
        with client:
            for _ in range(2):
                with client.websocket("/socket") as ws:
                    assert ws.receive() == "open"
                with client.stream("/page") as stream:
                    assert stream.read() == b"open"
                with client.events("/events") as events:
                    assert next(events).data == "open"
                assert client.get("/page").text == "open"
            assert seen == ["open"]
        assert seen == ["open", "close"]


def test_connections_of_a_block_share_the_loop_of_its_lifespan() -> None:
    seen: list[str] = []
    with (
        TestClient(living(seen, asynchronous=True)) as client,
        client.websocket("/queue", threads=2) as taking,
        client.websocket("/socket", websocket_max_message=100) as giving,
    ):
        assert giving.receive() == "open"
        giving.send("from the other one")
        assert taking.receive() == "from the other one"
    assert seen == ["open", "close"]


def test_async_views_share_a_loop_where_the_start_needs_none() -> None:
    app = BustAPI("plain start")
    seen: list[Any] = []
    app.on_startup(lambda: seen.append("up"))

    @app.websocket("/loop")
    async def loop(ws: Any) -> None:
        seen.append(asyncio.get_running_loop())
        await ws.send("noted")

    with TestClient(app) as client:
        for _ in range(2):
            with client.websocket("/loop") as ws:
                assert ws.receive() == "noted"
    assert seen[:1] == ["up"]
    assert len(seen) == 3
    assert seen[1] is seen[2]
    assert seen[1].is_closed()


def test_a_view_of_a_connection_is_over_when_that_is_left_and_ends_no_loop(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = BustAPI("views")
    seen: list[str] = []

    @app.on_startup
    async def start() -> None:
        seen.append("start")

    @app.on_shutdown
    async def end() -> None:
        seen.append("end")

    @app.websocket("/tidy")
    async def tidy(ws: Any) -> None:
        await ws.accept()
        async for _ in ws:
            pass
        await asyncio.sleep(0.05)
        seen.append("tidy")

    @app.websocket("/asleep")
    async def asleep(ws: Any) -> None:
        await ws.accept()
        try:
            await asyncio.sleep(3600)
        finally:
            seen.append("woken")

    @app.websocket("/leaving")
    async def leaving(ws: Any) -> None:
        async def leave() -> None:
            raise SystemExit(3)

        task = asyncio.create_task(leave())
        await asyncio.wait([task])
        await ws.send(repr(task.exception()))

    with TestClient(app) as client:
        with client.websocket("/leaving") as ws:
            assert ws.receive() == "SystemExit(3)"
        for path in ("/tidy", "/asleep"):
            with client.websocket(path, grace=0.2):
                pass
        seen.append("left")
    assert seen == ["start", "tidy", "woken", "left", "end"]
    # A loop that waits is not one that something holds.
    assert "held" not in caplog.text


def test_a_connection_starts_the_application_where_no_block_does() -> None:
    seen: list[str] = []
    app = living(seen, asynchronous=True)
    client = TestClient(app)
    for opening in (client, app.test_client()):
        seen.clear()
        with opening.websocket("/socket") as ws:
            assert ws.receive() == "open"
        assert seen == ["open", "close"]


def test_a_block_ends_the_connections_that_are_left_open() -> None:
    from bustapi import WebSocketDisconnect

    seen: list[str] = []
    with TestClient(living(seen, asynchronous=True)) as client:
        ws = client.websocket("/socket")
        ws.__enter__()
        assert ws.receive() == "open"
    assert seen == ["open", "close"]
    with pytest.raises(WebSocketDisconnect):
        ws.receive()
    ws.__exit__(None, None, None)


def test_a_connection_leaves_the_clock_of_its_block_alone() -> None:
    app = living([], asynchronous=True)
    ticks: list[int] = []
    app.every(10)(lambda: ticks.append(1))
    clock = VirtualClock()
    with TestClient(app, clock=clock) as client:
        with client.websocket("/socket") as ws:
            ws.receive()
            clock.advance(10)
        clock.advance(20)
    assert len(ticks) == 3


def test_a_connection_of_a_block_has_no_loop_of_its_own() -> None:
    seen: list[str] = []
    with TestClient(living(seen, asynchronous=True)) as client:
        with pytest.raises(TypeError, match="served=True"), client.websocket("/socket", loop="asyncio"):
            pass
        with client.websocket("/socket") as ws:
            assert ws.receive() == "open"
    assert seen == ["open", "close"]


def uploads() -> BustAPI:
    app = BustAPI("uploads")

    @app.route("/size", methods=["GET", "POST"])
    def size() -> Any:
        return {"size": len(request.get_data())}

    return app


def test_a_stream_is_used_within_its_block() -> None:
    stream = uploads().test_client().stream("/size", method="POST")
    uses: list[Any] = [lambda: stream.send(b"x"), stream.end, lambda: stream.status_code, stream.receive]
    for use in uses:
        with pytest.raises(RuntimeError, match="with"):
            use()
    with stream:
        stream.disconnect()
        for use in uses:
            with pytest.raises(RuntimeError, match="gone"):
                use()
    with pytest.raises(RuntimeError, match="with"):
        next(uploads().test_client().events("/size"))


@pytest.mark.parametrize("headers", [{}, {"Content-Length": "5"}])
def test_nothing_is_sent_behind_the_end_of_a_body(headers: dict[str, str]) -> None:
    with uploads().test_client().stream("/size", method="POST", headers=headers) as stream:
        stream.send(b"hello")
        for _ in range(2):
            stream.end()
        with pytest.raises(RuntimeError, match="ended"):
            stream.send(b"late")
        assert stream.json == {"size": 5}


def test_nothing_is_sent_where_there_is_no_body() -> None:
    with uploads().test_client().stream("/size") as stream:
        with pytest.raises(RuntimeError, match="GET without Content-Length"):
            stream.send(b"late")
        assert stream.json == {"size": 0}
    with uploads().test_client().stream("/size", headers={"Content-Length": "2"}) as stream:
        stream.send(b"ok")
        assert stream.json == {"size": 2}


SUITE = """
def test_client(client):
    assert client.get("/").json == {"testing": True}

def test_runner(runner):
    result = runner.invoke(args=["hello"])
    assert result.output == "hello\\n"

def test_app(app):
    assert app.name == "my_app"
"""
APPLICATION = """
from bustapi import BustAPI
import click
app = BustAPI("my_app")

@app.get("/")
def index():
    return {"testing": app.testing}

@app.cli.command("hello")
def hello():
    click.echo("hello")
"""


def run_pytest(folder: Path, *arguments: str, alone: bool = True) -> subprocess.CompletedProcess[str]:
    """Runs pytest there, with our plugin `alone` or with all that are installed, which take long to import."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments]
    if alone or "bustapi.testing.plugin" not in entry_points():
        command += ["-p", "bustapi.testing.plugin"]
    environ = {**os.environ, **({"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"} if alone else {})}
    return subprocess.run(
        command, cwd=folder, env=environ, capture_output=True, text=True, timeout=50, check=False
    )


def entry_points() -> list[str]:
    from importlib.metadata import distribution

    return [point.value for point in distribution("bustapi").entry_points if point.group == "pytest11"]


@pytest.mark.timeout(200)  # three runs of pytest, one after the other
def test_a_project_gets_the_fixtures(tmp_path: Path) -> None:
    (tmp_path / "my_app.py").write_text(APPLICATION)
    (tmp_path / "test_it.py").write_text(SUITE)
    (tmp_path / "pytest.ini").write_text("[pytest]\nbustapi_app = my_app:app\n")
    done = run_pytest(tmp_path, alone=False)
    assert "3 passed" in done.stdout, done.stdout
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    done = run_pytest(tmp_path)
    assert "set bustapi_app" in done.stdout
    assert "3 errors" in done.stdout
    assert "3 passed" in run_pytest(tmp_path, "--bustapi-app", "my_app").stdout
    (tmp_path / "conftest.py").write_text(
        "import pytest\n@pytest.fixture\ndef app():\n    from my_app import app\n    app.testing = True\n    return app\n"
    )
    assert "3 passed" in run_pytest(tmp_path).stdout
