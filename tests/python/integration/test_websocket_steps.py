"""A WebSocket's view is a task like any other, although most of its steps are taken without asyncio's task.

The first message of a view comes through the task; what is tested comes with later ones.
"""

from __future__ import annotations

import asyncio
import contextvars
import gc
import json
import sys
import threading
import time
import weakref
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from bustapi import BustAPI, g, request
from bustapi.testing import LiveServer

from .test_websocket import WAIT, until

variable: contextvars.ContextVar[int] = contextvars.ContextVar("variable", default=0)


@pytest.fixture(params=["asyncio", "uvloop"])
def loop(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def ask(socket: ClientConnection, what: Any) -> Any:
    socket.send(json.dumps(what))
    return json.loads(socket.recv(WAIT))


def serve(app: BustAPI, loop: str = "asyncio", **options: Any) -> LiveServer:
    return LiveServer(app, loop=loop, **options)


def join(server: LiveServer, path: str = "/") -> ClientConnection:
    return connect(f"ws://127.0.0.1:{server.port}{path}", open_timeout=WAIT, compression=None)


@pytest.mark.parametrize("threads", [1, 2])
def test_every_step_is_of_the_same_task_in_its_context(loop: str, threads: int) -> None:
    app = BustAPI(__name__)

    @app.websocket("/<name>")
    async def view(ws: Any, name: str) -> None:
        first = asyncio.current_task()
        g.count = 0
        async for message in ws:
            variable.set(variable.get() + 1)
            g.count += 1
            task = asyncio.current_task()
            assert task is not None
            await ws.send_json(
                {
                    "same": task is first and task in asyncio.all_tasks() and not task.done(),
                    "loop": task.get_loop() is asyncio.get_running_loop(),
                    "count": [variable.get(), g.count],
                    "path": request.path,
                    "message": message,
                }
            )

    with serve(app, loop, threads=threads) as server, join(server, "/a") as one, join(server, "/b") as two:
        for number in range(1, 6):
            for socket, path in ((one, "/a"), (two, "/b")):
                socket.send(str(number))
                assert json.loads(socket.recv(WAIT)) == {
                    "same": True,
                    "loop": True,
                    "count": [number, number],
                    "path": path,
                    "message": str(number),
                }


def test_no_task_runs_after_a_step(loop: str) -> None:
    app = BustAPI(__name__)
    seen: list[Any] = []

    @app.websocket("/")
    async def view(ws: Any) -> None:
        running = asyncio.get_running_loop()
        async for _ in ws:
            running.call_soon(lambda: seen.append(asyncio.current_task(running)))
            await ws.send("done")

    with serve(app, loop) as server, join(server) as socket:
        for _ in range(5):
            socket.send("")
            socket.recv(WAIT)
    assert seen == [None] * 5


def test_other_waits_between_messages(loop: str) -> None:
    app = BustAPI(__name__)

    @app.websocket("/")
    async def view(ws: Any) -> None:
        running = asyncio.get_running_loop()
        async for message in ws:
            what, values = json.loads(message)
            if what == "sleep":
                for seconds in values:
                    await asyncio.sleep(seconds)
            elif what == "future":
                future = running.create_future()
                running.call_later(0.01, future.set_result, values)
                values = await future
            elif what == "fails":
                future = running.create_future()
                running.call_soon(future.set_exception, LookupError("lost"))
                try:
                    await future
                except LookupError as error:
                    values = str(error)
            elif what == "gather":
                values = await asyncio.gather(*(asyncio.sleep(0.001, value) for value in values))
            elif what == "thread":
                values = await running.run_in_executor(None, lambda: [value + 1 for value in values])  # noqa: B023
            await ws.send_json(values)

    with serve(app, loop) as server, join(server) as socket:
        for _ in range(3):
            assert ask(socket, ["plain", 1]) == 1
            assert ask(socket, ["sleep", [0, 0.001, 0]]) == [0, 0.001, 0]
            assert ask(socket, ["plain", 2]) == 2
            assert ask(socket, ["future", "heard"]) == "heard"
            assert ask(socket, ["fails", None]) == "lost"
            assert ask(socket, ["gather", [1, 2, 3]]) == [1, 2, 3]
            assert ask(socket, ["thread", [1, 2]]) == [2, 3]


def test_a_wait_that_is_cancelled_from_outside(loop: str) -> None:
    app = BustAPI(__name__)
    tasks: list[asyncio.Task[Any]] = []

    @app.websocket("/")
    async def view(ws: Any) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.append(task)
        while True:
            try:
                await ws.send(await ws.receive())
            except asyncio.CancelledError as error:
                if hasattr(task, "uncancel"):
                    assert task.cancelling() == 1
                    task.uncancel()
                await ws.send(f"cancelled {error.args}")

    with serve(app, loop) as server, join(server) as socket:
        for number in range(4):
            socket.send(str(number))
            assert socket.recv(WAIT) == str(number)
        for _ in range(3):
            tasks[0].get_loop().call_soon_threadsafe(tasks[0].cancel)
            assert socket.recv(WAIT).startswith("cancelled")
            socket.send("still here")
            assert socket.recv(WAIT) == "still here"


def test_a_time_limit_on_a_message(loop: str) -> None:
    app = BustAPI(__name__)

    @app.websocket("/")
    async def view(ws: Any) -> None:
        while True:
            try:
                await ws.send(await asyncio.wait_for(ws.receive(), 0.05))
            except asyncio.TimeoutError:
                await ws.send("late")
                await ws.send(await ws.receive())

    with serve(app, loop) as server, join(server) as socket:
        for number in range(3):
            assert socket.recv(WAIT) == "late"
            for text in ("after", "at once", "again"):
                socket.send(f"{text} {number}")
                assert socket.recv(WAIT) == f"{text} {number}"


@pytest.mark.skipif(sys.version_info < (3, 11), reason="asyncio.timeout and TaskGroup are of 3.11")
def test_time_limits_and_groups_around_many_messages(loop: str) -> None:
    app = BustAPI(__name__)

    @app.websocket("/")
    async def view(ws: Any) -> None:
        async def fails() -> None:
            raise LookupError("of a child")

        while True:
            try:
                async with asyncio.timeout(0.2):
                    while True:
                        message = await ws.receive()
                        if message == "group":
                            break
                        await ws.send(message)
            except TimeoutError:
                await ws.send("late")
                continue
            try:
                async with asyncio.TaskGroup() as group:
                    await ws.send("in the group")
                    await ws.receive()
                    group.create_task(fails())
                    await ws.receive()
            except BaseExceptionGroup as errors:  # noqa: F821
                await ws.send(str(errors.exceptions[0]))
            assert asyncio.current_task().cancelling() == 0

    with serve(app, loop) as server, join(server) as socket:
        for _ in range(2):
            for number in range(3):
                socket.send(str(number))
                assert socket.recv(WAIT) == str(number)
            assert socket.recv(WAIT) == "late"
            socket.send("group")
            assert socket.recv(WAIT) == "in the group"
            socket.send("start the child")
            assert socket.recv(WAIT) == "of a child"


@pytest.mark.parametrize("how", ["receive", "iterate", "sleep"])
def test_a_task_that_cancels_itself(loop: str, how: str) -> None:
    app = BustAPI(__name__)

    @app.websocket("/")
    async def view(ws: Any) -> None:
        task = asyncio.current_task()
        assert task is not None
        async for message in ws:
            if message != "cancel":
                await ws.send(message)
                continue
            task.cancel()
            try:
                if how == "receive":
                    await ws.receive()
                elif how == "iterate":
                    async for _ in ws:
                        pass
                else:
                    await asyncio.sleep(WAIT)
            except asyncio.CancelledError:
                getattr(task, "uncancel", int)()
                await ws.send("cancelled")

    with serve(app, loop) as server, join(server) as socket:
        for number in range(3):
            for message in ("one", "two"):
                socket.send(message)
                assert socket.recv(WAIT) == message
            socket.send("cancel")
            assert socket.recv(WAIT) == "cancelled"
            # Nothing is lost: not the message that came where a wait was cancelled, nor the next.
            socket.send(f"after {number}")
            assert socket.recv(WAIT) == f"after {number}"


def test_a_task_that_is_cancelled_in_its_last_step(loop: str) -> None:
    app = BustAPI(__name__)
    ends: list[tuple[bool, bool]] = []

    @app.websocket("/")
    async def view(ws: Any) -> None:
        task = asyncio.current_task()
        assert task is not None
        task.add_done_callback(lambda task: ends.append((task.done(), task.cancelled())))
        await ws.receive()
        await ws.receive()
        task.cancel()

    with serve(app, loop) as server:
        with join(server) as socket:
            socket.send("")
            socket.send("")
            with pytest.raises(ConnectionClosed):
                socket.recv(WAIT)
        until(lambda: ends)
    assert ends == [(True, True)]


@pytest.mark.parametrize(("error", "code"), [(LookupError, 1011), (None, 1000), ("close", 4000)])
def test_the_view_ends_in_a_later_step(loop: str, error: Any, code: int) -> None:
    app = BustAPI(__name__)
    app.logger.disabled = True

    @app.websocket("/")
    async def view(ws: Any) -> None:
        for _ in range(3):
            await ws.send(await ws.receive())
        if error == "close":
            await ws.close(4000, "enough")
        elif error is not None:
            raise error("in a later step")

    with serve(app, loop) as server, join(server) as socket:
        for number in range(2):
            socket.send(str(number))
            assert socket.recv(WAIT) == str(number)
        socket.send("last")
        assert socket.recv(WAIT) == "last"
        with pytest.raises(ConnectionClosed) as caught:
            socket.recv(WAIT)
        assert caught.value.rcvd is not None
        assert caught.value.rcvd.code == code


def test_several_tasks_take_messages_of_one_socket(loop: str) -> None:
    app = BustAPI(__name__)

    @app.websocket("/")
    async def view(ws: Any) -> None:
        async def take(name: str) -> None:
            async for message in ws:
                await ws.send_json([name, message])

        while await ws.receive() != "begin":
            await ws.send("not yet")
        workers = [asyncio.ensure_future(take(name)) for name in "abc"]
        await asyncio.sleep(0.01)
        await ws.send("begun")
        await asyncio.sleep(0.1)
        workers[1].cancel()
        await asyncio.gather(*workers, take("view"), return_exceptions=True)

    with serve(app, loop) as server, join(server) as socket:
        for _ in range(2):
            socket.send("no")
            assert socket.recv(WAIT) == "not yet"
        socket.send("begin")
        assert socket.recv(WAIT) == "begun"
        for after in (0.0, 0.3):
            time.sleep(after)
            for number in range(30):
                socket.send(str(number))
            taken = [json.loads(socket.recv(WAIT)) for _ in range(30)]
            assert sorted(int(message) for _, message in taken) == list(range(30))
            if after:
                assert "b" not in {name for name, _ in taken}


def test_a_view_that_listens_to_two_sockets(loop: str) -> None:
    app = BustAPI(__name__)
    waiting: list[tuple[Any, asyncio.Event]] = []

    @app.websocket("/left")
    async def left(ws: Any) -> None:
        over = asyncio.Event()
        await ws.accept()
        waiting.append((ws, over))
        await over.wait()

    @app.websocket("/right")
    async def right(ws: Any) -> None:
        await ws.accept()
        other, over = waiting.pop()
        try:
            while True:
                await other.send(await ws.receive())
                await ws.send(await other.receive())
        finally:
            over.set()

    with serve(app, loop) as server, join(server, "/left") as one, join(server, "/right") as two:
        for number in range(20):
            two.send(f"to the left {number}")
            assert one.recv(WAIT) == f"to the left {number}"
            one.send(f"to the right {number}")
            assert two.recv(WAIT) == f"to the right {number}"


def test_what_is_awaited_later_or_never(loop: str) -> None:
    app = BustAPI(__name__)

    @app.websocket("/")
    async def view(ws: Any) -> None:
        await ws.send(await ws.receive())
        while True:
            ws.__anext__()
            awaited = ws.__anext__()
            await asyncio.sleep(0)
            await ws.send(await awaited)
            later = ws.__anext__()

            async def wait(later: Any = later) -> Any:
                return await later

            await ws.send(await asyncio.ensure_future(wait()))

    with serve(app, loop) as server, join(server) as socket:
        for number in range(12):
            socket.send(str(number))
            assert socket.recv(WAIT) == str(number)


@pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks are of 3.12")
def test_a_task_that_begins_eagerly_within_a_step() -> None:
    app = BustAPI(__name__)

    @app.websocket("/")
    async def view(ws: Any) -> None:
        running = asyncio.get_running_loop()
        await ws.send(await ws.receive())
        while True:
            message = await ws.receive()
            child = asyncio.Task(ws.receive(), loop=running, eager_start=True)
            if message == "cancel":
                child.cancel()
                await asyncio.wait([child])
                await ws.send(f"cancelled {child.cancelled()}")
            elif message == "both":
                await ws.send_json([await ws.receive(), await child])
            else:
                await ws.send(await child)

    with serve(app) as server, join(server) as socket:
        socket.send("first")
        assert socket.recv(WAIT) == "first"
        for number in range(5):
            socket.send("child")
            socket.send(str(number))
            assert socket.recv(WAIT) == str(number)
            socket.send("cancel")
            assert socket.recv(WAIT) == "cancelled True"
            socket.send("both")
            time.sleep(0.02)
            socket.send("1")
            socket.send("2")
            assert sorted(json.loads(socket.recv(WAIT))) == ["1", "2"]


def test_a_waiting_task_can_be_looked_at(loop: str) -> None:
    app = BustAPI(__name__)
    tasks: list[asyncio.Task[Any]] = []

    @app.websocket("/")
    async def a_view_of_a_name(ws: Any) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks[:] = [task]
        async for message in ws:
            await ws.send(message)

    with serve(app, loop) as server, join(server) as socket:
        for number in range(3):
            socket.send(str(number))
            assert socket.recv(WAIT) == str(number)
        task = tasks[0]
        looked = threading.Event()
        found: dict[str, Any] = {}

        def look() -> None:
            found.update(repr=repr(task), stack=len(task.get_stack()), done=task.done())
            looked.set()

        task.get_loop().call_soon_threadsafe(look)
        assert looked.wait(WAIT)
        assert "pending" in found["repr"]
        assert found["stack"] == 1
        assert not found["done"]
        socket.send("and goes on")
        assert socket.recv(WAIT) == "and goes on"


def test_nothing_keeps_a_task_that_has_ended(loop: str) -> None:
    app = BustAPI(__name__)
    tasks: list[weakref.ref[Any]] = []

    @app.websocket("/")
    async def view(ws: Any) -> None:
        tasks.append(weakref.ref(asyncio.current_task()))
        async for message in ws:
            await ws.send(message)

    gc.collect()
    gc.disable()
    try:
        with serve(app, loop) as server:
            for _ in range(5):
                with join(server) as socket:
                    for number in range(3):
                        socket.send(str(number))
                        assert socket.recv(WAIT) == str(number)
            until(lambda: all(task() is None for task in tasks))
            assert [task() for task in tasks] == [None] * 5
    finally:
        gc.enable()


@pytest.mark.skipif(sys.version_info < (3, 10), reason="anext is of 3.10")
def test_anext(loop: str) -> None:
    app = BustAPI(__name__)
    ended: list[Any] = []

    @app.websocket("/")
    async def view(ws: Any) -> None:
        for _ in range(3):
            await ws.send(await anext(ws))  # noqa: F821
        ended.append(await anext(ws, "nothing"))  # noqa: F821
        try:
            await ws.__anext__()
        except StopAsyncIteration:
            ended.append("stopped")

    with serve(app, loop) as server:
        with join(server) as socket:
            for number in range(3):
                socket.send(str(number))
                assert socket.recv(WAIT) == str(number)
        until(lambda: len(ended) >= 2)
    assert ended == ["nothing", "stopped"]


def test_a_full_client_and_one_that_leaves_meanwhile(loop: str) -> None:
    app = BustAPI(__name__)
    ended: list[tuple[str, int]] = []

    @app.websocket("/<name>")
    async def view(ws: Any, name: str) -> None:
        try:
            async for message in ws:
                for _ in range(int(message)):
                    await ws.send(b"x" * 65536)
                await ws.send(message)
        finally:
            ended.append((name, ws.close_code))

    with serve(app, loop, max_outbox=256 * 1024) as server:
        with join(server, "/full") as socket:
            for many in ("1", "200", "0", "50"):
                socket.send(many)
                time.sleep(0.1)
                sizes = [len(socket.recv(WAIT)) for _ in range(int(many))]
                assert sizes == [65536] * int(many)
                assert socket.recv(WAIT) == many
        with join(server, "/leaves") as socket:
            socket.send("1")
            socket.recv(WAIT)
            socket.recv(WAIT)
            socket.send("2000")
            socket.socket.close()
        until(lambda: len(ended) >= 2)
    assert ended == [("full", 1000), ("leaves", 1006)]


def test_an_iterator_of_ones_own(loop: str) -> None:
    app = BustAPI(__name__)
    seen: list[Any] = []

    @app.websocket("/")
    async def view(ws: Any) -> None:
        messages = ws.__aiter__()
        assert messages.__aiter__() is messages
        # Asking for the iterator has accepted nothing.
        await ws.accept()
        async for message in messages:
            await ws.send(message)
        async for message in messages:
            seen.append(message)
        seen.append(ws.close_code)

    @app.websocket("/refused")
    async def refused(ws: Any) -> None:
        await ws.close(4000, "no")
        async for message in ws:
            seen.append(message)
        seen.append("refused")

    with serve(app, loop) as server:
        with join(server) as socket:
            for message in ("", "é", "日本", "\U0001f600", "a" * 70_000, b"", b"\0\xff"):
                socket.send(message)
                assert socket.recv(WAIT) == message
        until(lambda: seen == [1000])
        with pytest.raises(InvalidStatus):
            join(server, "/refused")
        until(lambda: seen == [1000, "refused"])


def test_a_cancellation_keeps_its_message(loop: str) -> None:
    anyio = pytest.importorskip("anyio")
    app = BustAPI(__name__)

    @app.websocket("/")
    async def view(ws: Any) -> None:
        # The first wait through the task, the second in a step that it does not know of.
        for _ in range(2):
            with anyio.move_on_after(0.05) as scope:
                await ws.receive()
            await ws.send_json(scope.cancelled_caught)
            await ws.receive()
        waiting = asyncio.ensure_future(ws.receive())
        await asyncio.sleep(0)
        waiting.cancel("why")
        try:
            await waiting
        except asyncio.CancelledError as error:
            # 3.9 and 3.10 put another in its place.
            await ws.send_json(list(error.args) if sys.version_info >= (3, 11) else ["why"])

    with serve(app, loop) as server, join(server) as socket:
        for _ in range(2):
            assert json.loads(socket.recv(WAIT)) is True
            socket.send("go on")
        assert json.loads(socket.recv(WAIT)) == ["why"]
