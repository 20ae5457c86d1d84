"""A task's first step runs within the turn that starts it, on Pythons with eager tasks and on those without."""

from __future__ import annotations

import http.client
import json
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from .servers import Served, serving

APP = """
    import asyncio
    import contextvars

    from bustapi import BustAPI, g, request

    app = BustAPI(__name__)
    variable = contextvars.ContextVar("variable", default="unset")
    loop = None
    own_calls = []

    @app.on_startup
    async def look():
        global loop
        loop = asyncio.get_running_loop()

    @app.get("/plain")
    async def plain():
        before = variable.get()
        variable.set("of a view")
        g.seen = request.path
        task = asyncio.current_task()
        return {
            "task": task is not None and task in asyncio.all_tasks() and not task.done(),
            "loop": task.get_loop() is loop and asyncio.get_running_loop() is loop,
            "own": "call_soon" in vars(loop),
            "before": before,
        }

    @app.get("/waits")
    async def waits():
        first = asyncio.current_task()
        variable.set("of a view")
        g.seen = request.path
        heard = loop.create_future()
        # In its own context, which is that of this task.
        loop.call_soon(lambda: heard.set_result(variable.get()))
        said = await heard
        return {"same": asyncio.current_task() is first, "said": said, "seen": g.seen, "path": request.path}

    @app.get("/exits")
    async def exits():
        raise SystemExit(3)

    @app.get("/fails")
    async def fails():
        raise LookupError("in the first step")

    @app.get("/cancelled")
    async def cancelled():
        asyncio.current_task().cancel()
        await asyncio.sleep(5)

    @app.get("/inner")
    async def inner():
        # A task of the application's own begins in the loop's next round, as ever.
        steps = []
        async def other():
            steps.append("other")
        task = asyncio.ensure_future(other())
        steps.append("view")
        await task
        return {"steps": steps}

    @app.get("/debug")
    async def debug():
        # What a task's constructor asks calls `call_soon` itself: the loop's own hears it, with its arguments.
        asking = False
        def get_debug():
            nonlocal asking
            if not asking:
                asking = True  # a handle asks too
                own_calls.append("asked")
                loop.call_soon(own_calls.append, "called")
                asking = False
            return False
        loop.get_debug = get_debug
        return {}

    @app.get("/debugged")
    async def debugged():
        asked = own_calls.count("asked")
        vars(loop).pop("get_debug", None)
        await asyncio.sleep(0)
        return {"asked": asked, "called": own_calls.count("called")}

    @app.get("/instrument")
    async def instrument():
        usual = loop.call_soon
        def call_soon(callback, *args, **options):
            own_calls.append("instrumented")
            return usual(callback, *args, **options)
        loop.call_soon = call_soon
        return {}

    @app.get("/instrumented")
    async def instrumented():
        return {"own": "call_soon" in vars(loop), "calls": own_calls.count("instrumented")}

    @app.get("/nested")
    async def nested():
        # A loop that is run from within a task, as some tools do: the next request arrives in it.
        await asyncio.sleep(0)
        loop.call_later(5, setattr, g, "late", True)
        print("nested begins", flush=True)
        while "nested" not in own_calls and not hasattr(g, "late"):
            loop._run_once()
        return {"nested": own_calls.count("nested")}

    @app.get("/inside")
    async def inside():
        own_calls.append("nested")
        return {"task": asyncio.current_task() is not None}
"""


@pytest.fixture(params=["asyncio", "uvloop"])
def served(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Served]:
    if request.param == "uvloop":
        pytest.importorskip("uvloop")
    with serving(tmp_path, APP, run=f"loop={request.param!r}") as server:
        yield server


def get(server: Served, path: str) -> Any:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        body = response.read()
        return json.loads(body) if response.status == 200 else response.status
    finally:
        connection.close()


def test_the_first_step_is_the_tasks_in_the_requests_context(served: Served) -> None:
    for _ in range(3):
        assert get(served, "/plain") == {"task": True, "loop": True, "own": False, "before": "unset"}


def test_a_view_that_waits_goes_on_in_its_task_and_context(served: Served) -> None:
    for _ in range(3):
        seen = {"same": True, "said": "of a view", "seen": "/waits", "path": "/waits"}
        assert get(served, "/waits") == seen
    assert get(served, "/plain")["before"] == "unset"


def test_what_a_first_step_raises_is_an_answer(served: Served) -> None:
    for path in ("/fails", "/exits", "/cancelled"):
        assert get(served, path) == 500
    assert get(served, "/plain")["task"]
    log = served.log()
    assert "in the first step" in log
    assert "was never awaited" not in log
    # An eager start that ends the program drops Python's own task, with what it raised.
    told = log.count("exception was never retrieved")
    assert told <= (1 if sys.version_info >= (3, 12) else 0)


EXITS = """
    import asyncio

    from bustapi import Blueprint, BustAPI, Response, request

    app = BustAPI(__name__)

    @app.get("/later")
    async def later():
        await asyncio.sleep(0)
        raise SystemExit(3)

    @app.get("/elsewhere")
    async def elsewhere():
        async def other():
            raise KeyboardInterrupt
        task = asyncio.ensure_future(other())
        await asyncio.wait({task})
        return {"raised": repr(task.exception())}

    hooked = Blueprint("hooked", __name__, url_prefix="/hooked")

    @hooked.after_request
    async def exits(response):
        await asyncio.sleep(0)
        raise SystemExit(3)

    @hooked.get("/plain")
    def plain():
        return {}

    @hooked.get("/async")
    async def awaited():
        return {}

    app.register_blueprint(hooked)

    @app.get("/body")
    async def body():
        async def parts():
            yield "begun"
            await asyncio.sleep(0)
            raise SystemExit(3)
        return Response(parts())

    @app.get("/slow")
    async def slow():
        await asyncio.sleep(0.5)
        return {"slow": True}
"""


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
@pytest.mark.parametrize("threads", [1, 2])
def test_no_step_of_a_task_ends_the_server(tmp_path: Path, loop: str, threads: int) -> None:
    if loop == "uvloop":
        pytest.importorskip("uvloop")
    with serving(tmp_path, EXITS, run=f"loop={loop!r}, threads={threads}") as served:
        with ThreadPoolExecutor(1) as clients:
            beside = clients.submit(get, served, "/slow")
            for path in ("/later", "/hooked/plain", "/hooked/async"):
                assert get(served, path) == 500
            assert get(served, "/elsewhere") == {"raised": "KeyboardInterrupt()"}
            assert not served.send(b"GET /body HTTP/1.1\r\nHost: a\r\n\r\n").endswith(b"0\r\n\r\n")
            assert beside.result(20) == {"slow": True}
        assert served.stop() == 0


def test_tasks_of_the_application_begin_as_ever(served: Served) -> None:
    assert get(served, "/inner") == {"steps": ["view", "other"]}


def test_others_reach_the_loops_call_soon_while_a_task_is_made(served: Served) -> None:
    assert get(served, "/debug") == {}
    found = get(served, "/debugged")
    assert found["asked"] >= 1
    assert found["called"] == found["asked"]


def test_a_loop_with_a_call_soon_of_somebodys_is_left_alone(tmp_path: Path) -> None:
    with serving(tmp_path, APP, run="loop='asyncio'") as served:
        assert get(served, "/instrument") == {}
        found = get(served, "/instrumented")
        assert found["own"]
        assert get(served, "/waits")["same"]


def test_a_request_that_arrives_in_a_nested_loop_is_answered(tmp_path: Path) -> None:
    with serving(tmp_path, APP, run="loop='asyncio'") as served, served.connect() as outer:
        outer.sendall(b"GET /nested HTTP/1.1\r\nHost: a\r\n\r\n")
        served.wait_for("nested begins")
        assert get(served, "/inside") == {"task": True}
        assert b'{"nested":1}' in outer.recv(65536)


# --- a task that serves many requests --------------------------------------------------------------------------------

AGAIN = """
    import asyncio
    import weakref

    from bustapi import BustAPI, request

    app = BustAPI(__name__)
    kept = {}
    told = []
    marked = weakref.WeakKeyDictionary()

    def requests(loop):
        # The server has a task of its own.
        return {task for task in asyncio.all_tasks(loop) if not task.get_name().startswith("Task-")}

    def look():
        task = asyncio.current_task()
        return {
            "one": requests(asyncio.get_running_loop()) == {task},
            "plain": (
                not task.done()
                and task.get_name() == "request"
                and not task.cancelling()
                and task not in marked
                and not hasattr(task, "noted")
            ),
        }

    @app.get("/quick")
    async def quick():
        return look()

    @app.get("/alone")
    def alone():
        # Without a running loop: nobody's.
        loop = kept.get("loop")
        return {"tasks": 0 if loop is None else len(requests(loop)), "kept": len(told)}

    @app.get("/keeps")
    async def keeps():
        kept["loop"] = asyncio.get_running_loop()
        kept["task"] = asyncio.current_task()
        return look()

    @app.get("/kept")
    async def what_was_kept():
        task = kept.pop("task")
        return {
            "other": asyncio.current_task() is not task,
            "done": task.done(),
            "result": task.result()["one"],
            "coroutine": asyncio.iscoroutine(task.get_coro()),
        }

    @app.get("/callback")
    async def callback():
        asyncio.current_task().add_done_callback(lambda task: told.append(task.result()["plain"]))
        return look()

    @app.get("/told")
    async def what_was_told():
        return {**look(), "told": told}

    @app.get("/marks")
    async def marks():
        found = look()
        marked[asyncio.current_task()] = request.path
        return found

    @app.get("/notes")
    async def notes():
        found = look()
        # As libraries do that have something for each task.
        asyncio.current_task().noted = request.path
        return found

    @app.get("/named")
    async def named():
        found = look()
        asyncio.current_task().set_name("another")
        return found

    @app.get("/cancels")
    async def cancels():
        asyncio.current_task().cancel("enough")
        return "not sent"

    @app.get("/waits")
    async def waits():
        task = asyncio.current_task()
        coroutine = task.get_coro()
        found = look()
        await asyncio.sleep(0.001)
        return {
            **found,
            "same": asyncio.current_task() is task and task in asyncio.all_tasks(),
            "coroutine": coroutine.__qualname__ if coroutine.cr_frame else "",
            "repr": "waits" in repr(task),
        }

    @app.get("/sleeps")
    async def sleeps():
        found = look()
        await asyncio.sleep(0)
        return found

    @app.get("/limited")
    async def limited():
        found = look()
        try:
            async with asyncio.timeout(0.01):
                await asyncio.sleep(20)
        except TimeoutError:
            return found
        return "it slept"

    @app.get("/group")
    async def group():
        found = look()
        async with asyncio.TaskGroup() as tasks:
            one = tasks.create_task(asyncio.sleep(0.001, "one"))
        return {**found, "one": one.result() == "one"}

    @app.get("/stops")
    async def stops():
        asyncio.current_task().cancel()
        await asyncio.sleep(20)

    @app.get("/catches/<float:seconds>")
    async def catches(seconds):
        asyncio.current_task().cancel("enough")
        try:
            await asyncio.sleep(seconds)
        except asyncio.CancelledError as error:
            asyncio.current_task().uncancel()
            return {"caught": error.args}

    @app.get("/fails")
    async def fails():
        raise LookupError("as ever")

    @app.get("/exits")
    async def exits():
        raise SystemExit(3)
"""

FINE = {"one": True, "plain": True}


@pytest.fixture(scope="module")
def again(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("again"), AGAIN) as server:
        yield server


class Kept:
    """Requests of one connection, each after some that leave a task for it."""

    def __init__(self, port: int) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)

    def ask(self, path: str) -> Any:
        self.connection.request("GET", path)
        answer = self.connection.getresponse()
        body = answer.read()
        return json.loads(body) if answer.status == 200 else answer.status

    def warm(self) -> None:
        # More than the longest pause that the tests before this one can have earned.
        for _ in range(100):
            assert self.ask("/quick") == FINE


needs_3_12 = pytest.mark.skipif(
    sys.version_info < (3, 12), reason="earlier Pythons make a task for each request"
)


@needs_3_12
@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/keeps", FINE),
        ("/callback", FINE),
        ("/marks", FINE),
        ("/notes", FINE),
        ("/named", FINE),
        ("/cancels", 500),
        ("/waits", {**FINE, "same": True, "coroutine": "waits", "repr": True}),
        ("/sleeps", FINE),
        ("/limited", FINE),
        ("/group", FINE),
        ("/stops", 500),
        ("/catches/20.0", {"caught": ["enough"]}),
        ("/catches/0.0", {"caught": ["enough"]}),
        ("/fails", 500),
        ("/exits", 500),
    ],
)
def test_no_request_sees_what_another_did_with_its_task(again: Served, path: str, expected: Any) -> None:
    client = Kept(again.port)
    for _ in range(3):
        client.warm()
        found = client.ask(path)
        if path == "/waits":
            # By its own name where a task was made for it alone.
            found["coroutine"] = found["coroutine"].rpartition(".")[2]
        assert found == expected
        assert client.ask("/quick") == FINE


@needs_3_12
def test_a_task_that_somebody_kept_is_ended(again: Served) -> None:
    client = Kept(again.port)
    client.warm()
    assert client.ask("/keeps") == FINE
    assert client.ask("/kept") == {"other": True, "done": True, "result": True, "coroutine": True}
    client.warm()
    assert client.ask("/callback") == FINE
    client.warm()
    told = client.ask("/told")
    assert told["told"]
    assert all(told["told"])


@needs_3_12
def test_between_requests_the_loop_has_no_task(again: Served) -> None:
    client = Kept(again.port)
    client.warm()
    assert client.ask("/keeps") == FINE
    client.warm()
    assert client.ask("/alone")["tasks"] == 0


@needs_3_12
def test_tasks_of_another_class_are_made_for_each_request(tmp_path: Path) -> None:
    # As libraries do that let loops be nested: asyncio's own classes and books in Python.
    source = """
    import asyncio

    tasks = asyncio.tasks
    asyncio.Task = tasks.Task = tasks._PyTask
    asyncio.current_task = tasks._py_current_task
    for name in [name for name in vars(tasks) if name.startswith("_py_")]:
        own = name.removeprefix("_py_")
        setattr(tasks, own if hasattr(tasks, own) else f"_{own}", getattr(tasks, name))
    """
    with serving(tmp_path, source + AGAIN) as server:
        client = Kept(server.port)
        client.warm()
        assert client.ask("/waits")["same"] is True
        assert client.ask("/marks") == client.ask("/quick") == FINE
        assert server.stop() == 0
    assert "Traceback" not in server.log()


@needs_3_12
def test_a_server_with_a_spare_task_ends_in_silence(tmp_path: Path) -> None:
    with serving(tmp_path, AGAIN) as server:
        Kept(server.port).warm()
        assert server.stop() == 0
    assert "Task" not in server.log()
    assert "Traceback" not in server.log()
