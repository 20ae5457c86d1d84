"""Async code where no server runs: bodies, wrapped coroutines and objects of a loop."""

from __future__ import annotations

import asyncio
import contextvars
import functools
from collections.abc import AsyncIterator
from typing import Any

import pytest

from bustapi import BustAPI, Response, loop_local, request
from bustapi.kernel.aio import run_sync, wraps_coroutine
from bustapi.kernel.pieces import AsyncPieces


def generating(closed: list[str]) -> BustAPI:
    app = BustAPI(__name__)

    async def parts() -> AsyncIterator[str]:
        try:
            for n in range(3):
                await asyncio.sleep(0)
                yield f"{n} {request.path};"
        finally:
            closed.append("closed")

    @app.get("/returned")
    def returned() -> Any:
        return parts()

    @app.get("/wrapped")
    async def wrapped() -> Response:
        return Response(parts(), status=202)

    return app


@pytest.mark.parametrize(("path", "status"), [("/returned", 200), ("/wrapped", 202)])
def test_an_async_generator_is_a_body_for_the_test_client(path: str, status: int) -> None:
    closed: list[str] = []
    app = generating(closed)
    with app.test_request_context(path):
        answer = app.make_response(app.ensure_sync(app.view_functions[path[1:]])())
        assert answer.status_code == status
        assert answer.get_data(as_text=True) == f"0 {path};1 {path};2 {path};"
    assert closed == ["closed"]


def test_a_body_that_is_not_read_to_its_end_is_closed() -> None:
    closed: list[str] = []
    app = generating(closed)
    with app.test_request_context("/returned"):
        answer = app.make_response(app.view_functions["returned"]())
        assert next(answer.iter_encoded()) == b"0 /returned;"
        answer.close()
    assert closed == ["closed"]


@pytest.mark.parametrize("fails", [False, True])
def test_a_body_that_is_over_leaves_no_event_loop(fails: bool) -> None:
    """Nobody closes the pieces here, as a client that reads to the end need not."""
    used: list[asyncio.AbstractEventLoop] = []
    ended: list[str] = []

    async def linger() -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            ended.append("task")

    async def parts() -> AsyncIterator[bytes]:
        used.append(asyncio.get_running_loop())
        task = asyncio.ensure_future(linger())
        await asyncio.to_thread(ended.append, "thread")
        yield b"x"
        if fails:
            raise ValueError(task)

    pieces = AsyncPieces(parts())
    told: list[str] = []
    pieces.on_close = lambda: told.append("closed")
    assert next(pieces) == b"x"
    with pytest.raises(ValueError if fails else StopIteration):
        next(pieces)
    assert used[0].is_closed()
    assert ended == ["thread", "task"]
    assert told == []
    with pytest.raises(StopIteration):
        next(pieces)
    for _ in range(2):
        pieces.close()
    assert told == ["closed"]


@pytest.mark.filterwarnings("error")
def test_a_body_is_not_pulled_where_a_loop_runs() -> None:
    async def read() -> None:
        with pytest.raises(RuntimeError, match="running event loop"):
            next(AsyncPieces(_nothing()))

    asyncio.run(read())


async def _nothing() -> AsyncIterator[bytes]:
    return
    yield b""


def test_an_iterator_of_async_pieces_is_closed_at_its_end() -> None:
    class Once:
        closed = 0

        def __aiter__(self) -> Once:
            return self

        async def __anext__(self) -> bytes:
            raise StopAsyncIteration

        async def aclose(self) -> None:
            self.closed += 1

    once = Once()
    pieces = AsyncPieces(once)
    assert list(pieces) == []
    pieces.close()
    assert once.closed == 1


def test_what_an_awaitable_says_is_the_views_value() -> None:
    app = BustAPI(__name__)

    @app.get("/")
    def view() -> Any:
        async def later() -> tuple[dict[str, str], int]:
            await asyncio.sleep(0)
            return {"path": request.path}, 203

        return later()

    answer = app.test_client().get("/")
    assert (answer.status_code, answer.json) == (203, {"path": "/"})


def test_a_wrapped_coroutine_function_is_seen_through_the_wrappers() -> None:
    async def view() -> None: ...

    def plain() -> None: ...

    def wrap(function: Any) -> Any:
        @functools.wraps(function)
        def wrapper() -> Any:
            return function()

        return wrapper

    assert wraps_coroutine(wrap(wrap(view)))
    assert not wraps_coroutine(wrap(wrap(plain)))
    circular = wrap(plain)
    circular.__wrapped__ = circular
    assert not wraps_coroutine(circular)


def test_what_a_coroutine_sets_stays_set_after_it_was_run() -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable")

    async def sets() -> None:
        await asyncio.sleep(0)
        variable.set("within")

    run_sync(sets)()
    assert variable.get() == "within"


def test_each_loop_has_an_object_of_its_own() -> None:
    closed: list[object] = []

    async def close(made: object) -> None:
        closed.append(made)

    local = loop_local(object, close=close)

    async def twice() -> tuple[object, object]:
        return local(), local()

    first, again = asyncio.run(twice())
    assert first is again

    async def closes() -> tuple[object, object]:
        made = local()
        await local.close()
        return made, local()

    made, anew = asyncio.run(closes())
    assert made is not first
    assert closed == [made]
    assert anew is not made
    with pytest.raises(RuntimeError, match="no running event loop"):
        local()


@pytest.mark.parametrize("value", ["always", "task", 3])
def test_an_execution_is_one_of_three(value: Any) -> None:
    with pytest.raises(ValueError, match="execution must be one of 'auto', 'inline', 'pool'"):
        BustAPI(__name__, execution=value)
    app = BustAPI(__name__)
    with pytest.raises(ValueError, match="execution must be one of"):
        app.add_url_rule("/", "view", lambda: "", execution=value)


@pytest.mark.parametrize("value", [0, -1, "3", True, float("nan")])
def test_a_deadline_is_a_number_of_seconds(value: Any) -> None:
    with pytest.raises(ValueError, match="view_timeout must be a number of seconds above zero"):
        BustAPI(__name__, view_timeout=value)
    app = BustAPI(__name__)
    with pytest.raises(ValueError, match="view_timeout must be"):
        app.view_timeout = value
