"""Background work, start and end, periodic functions: through the test client, in process and over a socket."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from bustapi import BackgroundFull, BackgroundTasks, BustAPI, current_app, g, has_request_context
from bustapi.testing import TestClient, VirtualClock

TIMEOUT = 20


def application() -> BustAPI:
    app = BustAPI("background_app")
    app.config["PROPAGATE_EXCEPTIONS"] = False
    return app


@pytest.fixture(params=["in process", "over a socket", "over a socket, in the pool"])
def options(request: pytest.FixtureRequest) -> dict[str, Any]:
    settings: dict[str, Any] = {
        "in process": {},
        "over a socket": {"served": True, "execution": "inline"},
    }.get(request.param, {"served": True, "execution": "pool"})
    return settings


def test_work_is_done_after_the_request(options: dict[str, Any]) -> None:
    app = application()
    seen: list[Any] = []

    def work(what: str, *, more: int) -> None:
        seen.append((what, more, current_app.name, has_request_context(), "user" in g))

    async def async_work() -> None:
        await asyncio.sleep(0)
        seen.append(("async", current_app.name, has_request_context()))

    @app.get("/")
    def view() -> str:
        g.user = "somebody"
        app.background(work, "work", more=1)
        seen.append("view")
        return "answer"

    @app.get("/async")
    async def async_view() -> str:
        app.background(async_work)
        seen.append("view")
        return "answer"

    @app.get("/coroutine")
    def coroutine() -> str:
        app.background(async_work)
        return "answer"

    @app.teardown_request
    def teardown(error: BaseException | None) -> None:
        seen.append("teardown")

    with TestClient(app, **options) as client:
        assert client.get("/").text == "answer"
        assert seen == ["view", "teardown", ("work", 1, "background_app", False, False)]
        assert client.get("/async").text == "answer"
        # As Flask's the client keeps the contexts of a request until the next, in process.
        assert seen[-3:] == ["view", "teardown", ("async", "background_app", False)]
        assert client.get("/coroutine").text == "answer"
        assert seen[-2:] == ["teardown", ("async", "background_app", False)]


def test_a_failed_request_has_no_background_work(options: dict[str, Any]) -> None:
    app = application()
    seen: list[str] = []

    @app.get("/<how>")
    def view(how: str) -> str:
        app.background(seen.append, how)
        if how == "error":
            raise ValueError(how)
        if how == "abort":
            from bustapi import abort

            abort(409)
        return how

    with TestClient(app, **options) as client:
        assert client.get("/error").status_code == 500
        assert seen == []
        # An error that is answered is an answer.
        assert client.get("/abort").status_code == 409
        assert client.get("/well").status_code == 200
        assert seen == ["abort", "well"]
    assert app._life.background.open == 0


def test_several_calls_are_made_in_order_and_stop_at_the_first_that_fails(
    options: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    app = application()
    seen: list[str] = []

    async def later(name: str) -> None:
        seen.append(name)

    def fail() -> None:
        raise ValueError("in the background")

    @app.post("/orders")
    def orders() -> dict[str, bool]:
        tasks = BackgroundTasks()
        tasks.add_task(seen.append, "one")
        tasks.add_task(later, "two")
        tasks.add_task(seen.append, "three")
        tasks.add_task(fail)
        tasks.add_task(seen.append, "never")
        return {"ok": True}

    with TestClient(app, **options) as client:
        assert client.post("/orders").json == {"ok": True}
    assert seen == ["one", "two", "three"]
    (record,) = [one for one in caplog.records if "background" in one.getMessage()]
    assert record.getMessage() == "background work of POST /orders (endpoint 'orders') failed"
    assert record.exc_info is not None
    assert isinstance(record.exc_info[1], ValueError)


def test_there_is_a_bound(options: dict[str, Any]) -> None:
    app = application()
    app.config["BACKGROUND_LIMIT"] = 2
    go = threading.Event()

    @app.get("/")
    def view() -> dict[str, int]:
        accepted = 0
        for _ in range(3):
            try:
                app.background(go.wait, TIMEOUT)
                accepted += 1
            except BackgroundFull:
                go.set()
        return {"accepted": accepted}

    with TestClient(app, **options) as client:
        assert client.get("/").json == {"accepted": 2}
        go.clear()
        assert client.get("/").json == {"accepted": 2}


def test_threads_are_bounded_and_see_nothing_of_each_other() -> None:
    app = application()
    app.config["BACKGROUND_THREADS"] = 2
    variable: contextvars.ContextVar[int] = contextvars.ContextVar("variable", default=0)
    names: set[str] = set()
    values: set[int] = set()

    def work(number: int) -> None:
        names.add(threading.current_thread().name)
        values.add(variable.get())
        variable.set(number + 1)

    for number in range(50):
        app.background(work, number)
    assert app._life.background.wait(TIMEOUT)
    assert values == {0}
    assert 1 <= len(names) <= 2


def test_work_may_end_its_thread_or_ask_for_more() -> None:
    app = application()
    seen: list[str] = []

    def leave() -> None:
        app.background(seen.append, "more")
        raise SystemExit

    app.background(leave)
    assert app._life.background.wait(TIMEOUT)
    app.background(seen.append, "again")
    assert app._life.background.wait(TIMEOUT)
    assert seen == ["more", "again"]


@pytest.mark.parametrize("asynchronous", [False, True])
def test_start_and_end_run_around_the_requests(options: dict[str, Any], asynchronous: bool) -> None:
    app = application()
    seen: list[str] = []

    def note(what: str) -> Any:
        def plain() -> None:
            seen.append(f"{what} in {current_app.name}")

        async def coroutine() -> None:
            await asyncio.sleep(0)
            plain()

        return coroutine if asynchronous else plain

    app.on_startup(note("one"))
    app.on_startup(note("two"))
    app.on_shutdown(note("three"))
    app.on_shutdown(note("four"))
    if asynchronous:

        @app.lifespan
        async def async_life(given: BustAPI) -> Any:
            seen.append(f"enter {given is app}")
            yield
            seen.append("leave")

    else:

        @app.lifespan
        def life(given: BustAPI) -> Any:
            seen.append(f"enter {given is app}")
            yield
            seen.append("leave")

    @app.get("/")
    def view() -> str:
        seen.append("view")
        return ""

    for _ in range(2):
        seen.clear()
        with TestClient(app, **options) as client:
            client.get("/")
        assert seen == [
            "enter True",
            "one in background_app",
            "two in background_app",
            "view",
            "four in background_app",
            "three in background_app",
            "leave",
        ]


def test_what_fails_at_the_start_keeps_it_from_starting(options: dict[str, Any]) -> None:
    app = application()
    seen: list[str] = []

    @app.lifespan
    @contextlib.contextmanager
    def life(given: BustAPI) -> Iterator[None]:
        try:
            yield
        except KeyError:
            seen.append("told")
            raise

    @app.on_startup
    def start() -> None:
        raise KeyError("no database")

    with pytest.raises((KeyError, RuntimeError)), TestClient(app, **options):
        seen.append("never")
    assert seen == ["told"]


def test_what_fails_at_the_end_does_not_keep_the_rest_from_it(caplog: pytest.LogCaptureFixture) -> None:
    app = application()
    seen: list[str] = []
    app.on_shutdown(lambda: seen.append("first"))

    @app.on_shutdown
    def fail() -> None:
        raise ValueError("at the end")

    with TestClient(app):
        pass
    assert seen == ["first"]
    assert any("while the server ended" in record.getMessage() for record in caplog.records)


class Own(BaseException):
    """What is no `Exception`."""


ENDS = [ValueError, SystemExit, asyncio.CancelledError, Own]


@pytest.mark.parametrize("kind", ENDS)
@pytest.mark.parametrize("asynchronous", [False, True])
def test_whatever_ends_a_part_of_the_end_the_rest_goes_on(
    options: dict[str, Any], kind: type[BaseException], asynchronous: bool, caplog: pytest.LogCaptureFixture
) -> None:
    app = application()
    seen: list[str] = []

    def fail() -> None:
        raise kind("at the end")

    async def fail_async() -> None:
        # Of a task that was cancelled, say.
        await asyncio.sleep(0)
        fail()

    def life(given: BustAPI) -> Any:
        yield
        seen.append("leave")
        fail()

    async def life_async(given: BustAPI) -> Any:
        yield
        seen.append("leave")
        fail()

    app.lifespan(life_async if asynchronous else life)
    app.on_shutdown(lambda: seen.append("first"))
    app.on_shutdown(fail_async if asynchronous else fail)
    with TestClient(app, **options):
        pass
    assert seen == ["first", "leave"]
    failures = [one.exc_info[0] for one in caplog.records if one.exc_info]
    assert failures == [kind, kind]


def test_an_end_that_is_cancelled_itself_ends() -> None:
    if not hasattr(asyncio.Task, "cancelling"):
        pytest.skip("nobody can tell before Python 3.11")
    app = application()
    seen: list[str] = []

    @app.on_shutdown
    async def waits() -> None:
        seen.append("waits")
        await asyncio.sleep(TIMEOUT)

    async def live() -> None:
        await app._life.start()
        task = asyncio.ensure_future(app._life.stop(0))
        while not seen:
            await asyncio.sleep(0)
        task.cancel()
        await task

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(live())
    assert seen == ["waits"]


def test_a_plain_function_that_returns_an_awaitable_at_the_end_is_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = application()
    seen: list[str] = []
    app.on_shutdown(lambda: seen.append("first"))

    class Waits:
        def __await__(self) -> Iterator[None]:
            yield

    app.on_shutdown(lambda: Waits())
    with TestClient(app):
        pass
    assert seen == ["first"]
    (record,) = [one for one in caplog.records if one.exc_info]
    assert "must be a coroutine function" in str(record.exc_info and record.exc_info[1])


@pytest.mark.parametrize("kind", [*ENDS, KeyboardInterrupt])
@pytest.mark.parametrize("returned", [False, True])
def test_whatever_ends_a_coroutine_in_the_background_is_logged(
    options: dict[str, Any], kind: type[BaseException], returned: bool, caplog: pytest.LogCaptureFixture
) -> None:
    app = application()

    async def fail() -> None:
        await asyncio.sleep(0)
        raise kind("in the background")

    @app.post("/orders")
    async def orders() -> str:
        app.background((lambda: fail()) if returned else fail)
        return "ok"

    with TestClient(app, **options) as client:
        for _ in range(2):
            assert client.post("/orders").text == "ok"
    records = [one for one in caplog.records if one.exc_info]
    assert [one.getMessage() for one in records] == [
        "background work of POST /orders (endpoint 'orders') failed"
    ] * 2
    assert [one.exc_info[0] for one in records if one.exc_info] == [kind, kind]


@pytest.mark.parametrize("kind", [*ENDS, KeyboardInterrupt])
def test_whatever_ends_a_periodic_coroutine_it_has_its_next_turn(
    options: dict[str, Any], kind: type[BaseException], caplog: pytest.LogCaptureFixture
) -> None:
    app = application()
    clock = VirtualClock()

    @app.every(10)
    async def fail() -> None:
        raise kind("at intervals")

    with TestClient(app, clock=clock, **options):
        clock.advance(30)
    assert [one.exc_info[0] for one in caplog.records if one.exc_info] == [kind] * 3


def test_periodic_functions_run_on_a_virtual_clock(options: dict[str, Any]) -> None:
    app = application()
    clock = VirtualClock()
    seen: list[str] = []

    @app.every(10)
    def ten() -> None:
        seen.append(f"{clock.time():g}")

    @app.every(25)
    async def other() -> None:
        seen.append(f"async {clock.time():g} in {current_app.name}")

    with TestClient(app, clock=clock, **options):
        clock.advance(9.9)
        assert seen == []
        clock.advance(0.2)
        assert seen == ["10"]
        clock.advance(40)
        assert seen[:5] == ["10", "20", "async 25 in background_app", "30", "40"]
        # At the same moment, on different threads.
        assert sorted(seen[5:]) == ["50", "async 50 in background_app"]
    before = len(seen)
    clock.advance(100)
    assert len(seen) == before
    with pytest.raises(ValueError, match="back"):
        clock.advance(-1)


def test_a_periodic_function_is_not_called_twice_at_a_time(caplog: pytest.LogCaptureFixture) -> None:
    app = application()
    go, begun, calls = threading.Event(), threading.Event(), []

    @app.every(0.01)
    def slow() -> None:
        calls.append(1)
        begun.set()
        go.wait(TIMEOUT)
        if len(calls) == 2:
            raise ValueError("once")

    with TestClient(app):
        assert begun.wait(TIMEOUT)
        begun.clear()
        # Its next turns come and go.
        assert not begun.wait(0.2)
        assert len(calls) == 1
        go.set()
        assert begun.wait(TIMEOUT)
    count = len(calls)
    # A call that failed is not the last, and nothing is called once the client is closed.
    assert count >= 2
    threading.Event().wait(0.05)
    assert len(calls) == count
    assert not [thread for thread in threading.enumerate() if thread.name == "bustapi-every"]


@pytest.mark.parametrize("seconds", [0, -1, None])
def test_an_interval_is_above_zero(seconds: Any) -> None:
    with pytest.raises(ValueError, match="seconds"):
        application().every(seconds)


def test_there_is_one_lifespan() -> None:
    app = application()
    app.lifespan(lambda given: contextlib.nullcontext())
    with pytest.raises(AssertionError, match="already"):
        app.lifespan(lambda given: contextlib.nullcontext())


def test_asgi_servers_start_and_end_the_application() -> None:
    app = application()
    seen: list[str] = []

    @app.lifespan
    async def life(given: BustAPI) -> Any:
        seen.append("enter")
        yield
        seen.append("leave")

    async def work() -> None:
        await asyncio.sleep(0.01)
        seen.append("work")

    async def talk(*, fail: bool = False) -> list[dict[str, Any]]:
        inbox: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        sent: list[dict[str, Any]] = []

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        await inbox.put({"type": "lifespan.startup"})
        task = asyncio.ensure_future(app.asgi_app({"type": "lifespan"}, inbox.get, send))
        while not sent:
            await asyncio.sleep(0)
        app.background(work)
        if not fail:
            await inbox.put({"type": "lifespan.shutdown"})
        await asyncio.wait_for(task, TIMEOUT)
        return sent

    assert [message["type"] for message in asyncio.run(talk())] == [
        "lifespan.startup.complete",
        "lifespan.shutdown.complete",
    ]
    assert seen == ["enter", "work", "leave"]

    @app.on_startup
    def broken() -> None:
        raise ValueError("no database")

    (message,) = asyncio.run(talk(fail=True))
    assert message == {"type": "lifespan.startup.failed", "message": "no database"}
    assert app._life.background.wait(TIMEOUT)


def test_flasks_own_class_has_none_of_it() -> None:
    from bustapi import Flask

    assert not hasattr(Flask("plain"), "background")
