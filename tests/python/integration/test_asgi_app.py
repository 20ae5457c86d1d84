"""`app.asgi_app`: the answers of the other doors, through httpx's transport and through uvicorn."""

from __future__ import annotations

import asyncio
import contextvars
import http.client
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from bustapi import BustAPI, Response, g, request, session, stream_with_context
from bustapi.flask import Flask
from bustapi.werkzeug.middleware.proxy_fix import ProxyFix

seen: contextvars.ContextVar[str] = contextvars.ContextVar("seen")


def build(cls: type[Flask] = BustAPI) -> Any:
    app = cls(__name__)
    app.secret_key = "key"
    app.config["MAX_CONTENT_LENGTH"] = 1000
    notes: list[str] = []
    app.extensions["notes"] = notes

    @app.before_request
    def before() -> None:
        g.word = "kept"
        notes.append(f"before {request.path}")

    @app.teardown_request
    def teardown(error: BaseException | None) -> None:
        notes.append(f"teardown {type(error).__name__}")

    @app.route("/echo/<path:rest>", methods=["GET", "POST", "PUT"])
    def echo(rest: str) -> Any:
        return {
            "rest": rest,
            "url": request.url,
            "args": request.args.to_dict(flat=False),
            "form": request.form.to_dict(flat=False),
            "data": request.get_data(as_text=True),
            "agent": request.headers.get("X-One"),
            "cookie": request.cookies.get("c"),
            "remote": request.remote_addr,
            "word": g.word,
            "many": request.headers.get("X-Many"),
        }

    @app.get("/count")
    def count() -> str:
        session["n"] = session.get("n", 0) + 1
        return str(session["n"])

    @app.get("/stream")
    def stream() -> Any:
        def pieces() -> Iterator[str]:
            yield request.path
            yield f" {g.word}"

        return Response(stream_with_context(pieces()), headers={"X-Stream": "yes"})

    @app.get("/boom")
    def boom() -> Any:
        raise ZeroDivisionError

    @app.get("/thread")
    def thread() -> str:
        return threading.current_thread().name

    @app.get("/two")
    def two() -> Any:
        response = Response("two")
        response.set_cookie("a", "1")
        response.set_cookie("b", "2")
        return response

    return app


def build_async(cls: type[Flask] = BustAPI) -> Any:
    app = build(cls)
    notes = app.extensions["notes"]

    @app.teardown_request
    async def late(error: BaseException | None) -> None:
        await asyncio.sleep(0)
        notes.append("late")

    @app.teardown_appcontext
    async def last(error: BaseException | None) -> None:
        notes.append("last")

    @app.get("/loop")
    async def loop() -> Any:
        await asyncio.sleep(0)
        seen.set("by a view")
        return {"same": asyncio.get_running_loop() is app.extensions.get("loop"), "word": g.word}

    @app.get("/fail")
    async def fail() -> Any:
        raise LookupError

    @app.errorhandler(LookupError)
    async def missing(error: LookupError) -> Any:
        return {"missing": True}, 404

    @app.get("/pieces")
    async def pieces() -> Any:
        return stream_with_context(part for part in [request.path, " ", g.word])

    return app


REQUESTS: list[dict[str, Any]] = [
    {"url": "/echo/a/b?x=1&x=2"},
    {"url": "/echo/%C3%A4%20b"},
    {"url": "/echo/p", "method": "POST", "content": b"raw \xc3\xa4"},
    {"url": "/echo/f", "method": "POST", "data": {"a": "1", "b": "ä"}},
    {"url": "/echo/h", "headers": [("X-One", "1"), ("X-Many", "a"), ("Cookie", "c=d")]},
    {"url": "/echo/l", "method": "PUT", "content": b"x" * 2000},
    {"url": "/echo/h", "method": "HEAD"},
    {"url": "/echo/h", "method": "OPTIONS"},
    {"url": "/echo/h", "method": "DELETE"},
    {"url": "/count"},
    {"url": "/stream"},
    {"url": "/boom"},
    {"url": "/absent"},
    {"url": "/two"},
]


def asked(app: Any, requests: list[dict[str, Any]], root: str = "") -> list[httpx.Response]:
    async def ask() -> list[httpx.Response]:
        transport = httpx.ASGITransport(app=app, client=("127.0.0.1", 123), root_path=root)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return [await client.request(one.get("method", "GET"), **without(one)) for one in requests]

    return asyncio.run(ask())


def without(request: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in request.items() if key != "method"}


@pytest.mark.parametrize("cls", [BustAPI, Flask])
@pytest.mark.parametrize("make", [build, build_async])
def test_answers_are_those_of_wsgi(make: Any, cls: type[Flask]) -> None:
    found = asked(make(cls).asgi_app, REQUESTS)
    client = make(cls).test_client(use_cookies=False)
    expected = [
        client.open(
            one["url"],
            method=one.get("method", "GET"),
            headers=one.get("headers"),
            data=one.get("content", one.get("data")),
            buffered=True,
        )
        for one in REQUESTS
    ]
    for request_, one, other in zip(REQUESTS, found, expected):
        fields = [(name, value) for name, value in one.headers.multi_items() if name != "set-cookie"]
        wanted = [(name.lower(), value) for name, value in other.headers if name != "Set-Cookie"]
        assert (one.status_code, sorted(fields)) == (other.status_code, sorted(wanted)), request_
        assert one.content == other.data, request_
        assert len(one.headers.get_list("set-cookie")) == len(other.headers.getlist("Set-Cookie"))


def test_a_session_lives_on() -> None:
    assert [one.text for one in asked(build().asgi_app, [{"url": "/count"}] * 3)] == ["1", "2", "3"]


@pytest.mark.parametrize("cls", [BustAPI, Flask])
def test_async_views_run_on_the_servers_loop_and_plain_ones_beside_it(cls: type[Flask]) -> None:
    app = build_async(cls)

    async def ask() -> None:
        app.extensions["loop"] = asyncio.get_running_loop()
        transport = httpx.ASGITransport(app=app.asgi_app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            assert (await client.get("/loop")).json() == {"same": True, "word": "kept"}
            assert (await client.get("/fail")).status_code == 404
            assert (await client.get("/pieces")).text == "/pieces kept"

    asyncio.run(ask())
    assert seen.get("unset") == "unset"
    ways = "before /loop", "late", "teardown NoneType", "last"
    assert app.extensions["notes"][:4] == list(ways)
    plain = build()
    assert asked(plain.asgi_app, [{"url": "/thread"}])[0].text != threading.current_thread().name


def test_a_body_that_is_awaited_is_awaited_on_the_servers_loop() -> None:
    app = BustAPI(__name__)
    notes: list[Any] = []

    @app.get("/pieces")
    async def pieces() -> Any:
        async def each() -> Any:
            try:
                for piece in ("a", b"b"):
                    notes.append(asyncio.get_running_loop())
                    yield piece
                if "fail" in request.args:
                    yield 5
            finally:
                await asyncio.sleep(0)
                notes.append("closed")

        response = Response(stream_with_context(each()))
        response.call_on_close(lambda: notes.append("sent"))
        return response

    async def ask() -> None:
        loop = asyncio.get_running_loop()
        transport = httpx.ASGITransport(app=app.asgi_app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            assert (await client.get("/pieces")).text == "ab"
            assert notes == [loop, loop, "closed", "sent"]
            notes.clear()
            assert (await client.head("/pieces")).text == ""
            assert "sent" in notes
            notes.clear()
            with pytest.raises(TypeError, match="not int"):
                await client.get("/pieces?fail")
            assert notes == [loop, loop, "closed", "sent"]

    asyncio.run(ask())


def test_middleware_around_either_door_takes_part() -> None:
    app = build()
    app.wsgi_app = ProxyFix(app.wsgi_app)  # type: ignore[method-assign]
    inner = app.asgi_app

    async def wrapped(scope: Any, receive: Any, send: Any) -> None:
        scope["headers"].append((b"x-one", b"wrapped"))
        await inner(scope, receive, send)

    app.asgi_app = wrapped  # type: ignore[assignment]
    answer = asked(app.asgi_app, [{"url": "/echo/x", "headers": {"X-Forwarded-For": "1.2.3.4"}}])[0].json()
    assert (answer["agent"], answer["remote"]) == ("wrapped", "1.2.3.4")


def test_a_root_path_is_the_prefix_of_urls() -> None:
    app = build()
    for path in ("/echo/x", "/root/echo/x"):
        assert (
            asked(app.asgi_app, [{"url": path}], root="/root")[0].json()["url"]
            == "http://localhost/root/echo/x"
        )


def test_the_rest_of_the_protocol() -> None:
    app = build()

    async def talk(scope: dict[str, Any], *events: dict[str, Any]) -> list[dict[str, Any]]:
        told = iter(events)
        sent: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            return next(told)

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        await app.asgi_app(scope, receive, send)
        return sent

    lifespan = talk({"type": "lifespan"}, {"type": "lifespan.startup"}, {"type": "lifespan.shutdown"})
    assert [one["type"] for one in asyncio.run(lifespan)] == [
        "lifespan.startup.complete",
        "lifespan.shutdown.complete",
    ]
    websocket = talk({"type": "websocket"}, {"type": "websocket.connect"})
    assert asyncio.run(websocket) == [{"type": "websocket.close", "code": 1000}]
    scope = {"type": "http", "method": "POST", "path": "/echo/x", "headers": []}
    assert asyncio.run(talk(scope, {"type": "http.disconnect"})) == []
    with pytest.raises(ValueError, match="unknown scope"):
        asyncio.run(talk({"type": "other"}))


def test_uvicorn_serves_it(tmp_path: Path, free_port: int) -> None:
    pytest.importorskip("uvicorn")
    (tmp_path / "served.py").write_text(
        "from bustapi import BustAPI\n"
        "app = BustAPI()\n"
        "@app.get('/')\n"
        "def plain(): return {'plain': True}\n"
        "@app.get('/async')\n"
        "async def view(): return {'async': True}\n"
    )
    command = [
        sys.executable,
        "-m",
        "uvicorn",
        "served:app.asgi_app",
        "--port",
        str(free_port),
        "--lifespan",
        "on",
    ]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=tmp_path, stdout=log, stderr=log)
    try:
        end = time.monotonic() + 30
        while True:
            connection = http.client.HTTPConnection("127.0.0.1", free_port, timeout=20)
            try:
                connection.request("GET", "/")
                break
            except ConnectionRefusedError:
                assert process.poll() is None, (tmp_path / "log").read_text()
                assert time.monotonic() < end, (tmp_path / "log").read_text()
                time.sleep(0.05)
        assert connection.getresponse().read() == b'{"plain":true}\n'
        connection.request("GET", "/async")
        assert connection.getresponse().read() == b'{"async":true}\n'
        connection.close()
    finally:
        process.terminate()
        process.wait(20)
