"""`stream_with_context` with async generators: contexts, teardown and ends, through every door of an application."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import http.client
import time
from collections.abc import AsyncIterator
from contextvars import ContextVar
from typing import Any

import pytest

from bustapi import (
    BustAPI,
    Response,
    current_app,
    g,
    has_request_context,
    request,
    session,
    stream_with_context,
)
from bustapi.flask.testing import FlaskClient
from bustapi.kernel.context import current
from bustapi.serve.live import LiveServer
from bustapi.testing import TestClient

TIMEOUT = 20.0


@pytest.fixture
def seen() -> list[str]:
    return []


@pytest.fixture(params=["plain", "async"])
def app(request: pytest.FixtureRequest, seen: list[str]) -> BustAPI:
    """An application whose teardown functions are of either kind."""
    app = BustAPI("streaming")
    app.secret_key = "secret"
    app.config["PROPAGATE_EXCEPTIONS"] = False

    def teardown(error: BaseException | None) -> None:
        seen.append(f"teardown {path()} {type(error).__name__}")

    def teardown_app(error: BaseException | None) -> None:
        seen.append(f"teardown {current_app.name} {type(error).__name__}")

    for register, function in ((app.teardown_request, teardown), (app.teardown_appcontext, teardown_app)):
        register(function if request.param == "plain" else as_coroutine_function(function))
    return app


def path() -> str:
    return request.path


def as_coroutine_function(function: Any) -> Any:
    async def call(*args: Any) -> None:
        await asyncio.sleep(0)
        function(*args)

    return call


ENDED = ["teardown /way NoneType", "teardown streaming NoneType"]


def add_view(app: BustAPI, seen: list[str], *, decorated: bool, asynchronous: bool) -> None:
    async def pieces(last: str) -> AsyncIterator[str]:
        try:
            yield request.path
            await asyncio.sleep(0.01)
            yield f" {g.word} {session['word']} {current_app.name}"
            yield last
        finally:
            await asyncio.sleep(0)
            seen.append(f"closed {request.path}")

    def view() -> Response:
        g.word = session["word"] = "word"
        made = stream_with_context(pieces)("!") if decorated else stream_with_context(pieces("!"))
        return Response(made, mimetype="text/plain")

    async def async_view() -> Response:
        await asyncio.sleep(0)
        return view()

    app.add_url_rule("/way", "way", async_view if asynchronous else view)


@contextlib.contextmanager
def client_of(app: BustAPI, door: str) -> Any:
    if door == "in process":
        yield app.test_client()
    elif door == "wsgi":
        inner = app.wsgi_app
        app.wsgi_app = lambda environ, start: inner(environ, start)  # type: ignore[method-assign]
        yield app.test_client()
    else:
        settings: dict[str, Any] = {"threads": 2} if door == "two threads" else {"execution": "inline"}
        with TestClient(app, served=True, **settings) as client:
            yield client


def wait_for(seen: list[str], count: int) -> None:
    end = time.monotonic() + TIMEOUT
    while len(seen) < count:
        assert time.monotonic() < end, seen
        time.sleep(0.01)


@pytest.mark.parametrize("door", ["in process", "wsgi", "a socket", "two threads"])
@pytest.mark.parametrize("decorated", [False, True])
@pytest.mark.parametrize("asynchronous", [False, True])
def test_the_request_lasts_as_long_as_its_body(
    app: BustAPI, seen: list[str], door: str, decorated: bool, asynchronous: bool
) -> None:
    add_view(app, seen, decorated=decorated, asynchronous=asynchronous)
    with client_of(app, door) as client:
        for _ in range(2):
            del seen[:]
            assert client.get("/way").text == "/way word word streaming!"
            wait_for(seen, 3)
            assert seen == ["closed /way", *ENDED]
    assert current.get(None) is None


@pytest.mark.parametrize("door", ["in process", "wsgi", "a socket"])
@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_body_that_is_not_sent_keeps_nothing(
    app: BustAPI, seen: list[str], door: str, asynchronous: bool
) -> None:
    add_view(app, seen, decorated=False, asynchronous=asynchronous)
    with client_of(app, door) as client:
        answer = client.head("/way")
        assert (answer.status_code, answer.text) == (200, "")
        answer.close()
        del answer
        gc.collect()
        wait_for(seen, 2)
    assert seen == ENDED


def test_what_a_generator_raises_reaches_the_teardown_functions(app: BustAPI, seen: list[str]) -> None:
    @app.get("/way")
    async def way() -> Any:
        @stream_with_context
        async def pieces() -> AsyncIterator[str]:
            yield "begun"
            raise KeyError("in a body")

        return pieces()

    with TestClient(app, served=True) as client, pytest.raises(http.client.IncompleteRead):
        client.get("/way")
    assert seen == ["teardown /way KeyError", "teardown streaming KeyError"]


def test_a_client_that_leaves_has_the_generator_closed_in_its_request(app: BustAPI, seen: list[str]) -> None:
    @app.get("/way")
    async def way() -> Any:
        async def pieces() -> AsyncIterator[bytes]:
            try:
                while True:
                    yield b"x" * 65536
            finally:
                await asyncio.sleep(0)
                seen.append(f"closed {request.path}")

        return stream_with_context(pieces())

    with LiveServer(app) as server:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=TIMEOUT)
        connection.request("GET", "/way")
        response = connection.getresponse()
        assert response.read(10) == b"x" * 10
        response.close()
        connection.close()
        wait_for(seen, 3)
    assert seen[0] == "closed /way"
    assert [line.rsplit(" ", 1)[0] for line in seen[1:]] == ["teardown /way", "teardown streaming"]


def test_pieces_may_be_asked_for_by_a_task_each(app: BustAPI, seen: list[str]) -> None:
    kept: ContextVar[int] = ContextVar("kept")

    async def pieces() -> AsyncIterator[str]:
        kept.set(1)
        yield request.path
        yield f"{request.method} {kept.get()}"

    with app.test_request_context("/way"):
        stream = stream_with_context(pieces())
    assert current.get(None) is None
    assert seen == []

    async def main() -> list[str]:
        got = [await asyncio.ensure_future(stream.__anext__()) for _ in range(2)]
        assert not has_request_context()
        await asyncio.ensure_future(stream.aclose())
        await stream.aclose()
        return got

    assert asyncio.run(main()) == ["/way", "GET 1"]
    assert [line.rsplit(" ", 1)[0] for line in seen] == ["teardown /way", "teardown streaming"]


def test_a_generator_can_be_cancelled_where_it_waits(app: BustAPI) -> None:
    async def pieces() -> AsyncIterator[str]:
        try:
            await asyncio.sleep(TIMEOUT)
        except asyncio.CancelledError:
            yield request.path

    with app.test_request_context("/way"):
        stream = stream_with_context(pieces())

    async def main() -> str:
        task = asyncio.ensure_future(stream.__anext__())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel()
        got = await task
        await stream.aclose()
        return str(got)

    assert asyncio.run(main()) == "/way"


def test_an_async_generator_needs_a_request() -> None:
    async def pieces() -> AsyncIterator[str]:
        yield ""

    with pytest.raises(RuntimeError, match="stream_with_context"):
        stream_with_context(pieces())


def test_a_client_keeps_the_contexts_beside_such_a_body(app: BustAPI, seen: list[str]) -> None:
    add_view(app, seen, decorated=True, asynchronous=True)
    client: FlaskClient = app.test_client()
    with client:
        response = client.get("/way")
        assert response.text == "/way word word streaming!"
        response.close()
        assert request.path == "/way"
        assert g.word == "word"
        assert seen == ["closed /way"]
    assert current.get(None) is None
    assert seen == ["closed /way", *ENDED]
