"""Sync and async code in one application, in any order, and the event loops it runs on."""

from __future__ import annotations

import http.client
import json
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from .servers import Served, serving

MIXED = """
    import asyncio
    import contextvars
    import sys
    import threading

    import anyio

    from bustapi import Blueprint, BustAPI, Response, g, render_template_string, request
    from bustapi.flask.views import MethodView

    app = BustAPI(__name__)
    variable = contextvars.ContextVar("variable", default="unset")
    app.secret_key = "a key"

    def task():
        try:
            return asyncio.current_task() is not None
        except RuntimeError:
            return False

    mixed = Blueprint("mixed", __name__, url_prefix="/mixed")

    @mixed.before_request
    async def first():
        variable.set("hook")
        await asyncio.sleep(0)
        g.steps = ["async before"]

    @mixed.before_request
    def second():
        g.steps.append("sync before " + variable.get())

    @mixed.after_request
    def third(response):
        g.steps.append("sync after")
        response.headers["X-Steps"] = "; ".join(g.steps)
        return response

    @mixed.after_request
    async def fourth(response):
        await asyncio.sleep(0)
        g.steps.append("async after")
        return response

    @mixed.teardown_request
    async def last(error):
        await asyncio.sleep(0)

    @mixed.errorhandler(KeyError)
    async def missing(error):
        await asyncio.sleep(0)
        return {"missing": str(error), "steps": g.steps}, 404

    @mixed.errorhandler(ValueError)
    def wrong(error):
        return {"wrong": str(error), "task": task()}, 400

    @mixed.get("/sync")
    def sync():
        g.steps.append("sync view")
        return {"thread": threading.current_thread().name, "variable": variable.get()}

    @mixed.get("/async")
    async def asynchronous():
        await asyncio.sleep(0)
        g.steps.append("async view")
        return {"task": task(), "variable": variable.get()}

    @mixed.get("/sync-missing")
    def sync_missing():
        raise KeyError("sync")

    @mixed.get("/async-missing")
    async def async_missing():
        await asyncio.sleep(0)
        raise KeyError("async")

    @mixed.get("/async-wrong")
    async def async_wrong():
        await asyncio.sleep(0)
        raise ValueError("async")

    app.register_blueprint(mixed)

    class Item(MethodView):
        async def get(self, number):
            await asyncio.sleep(0)
            return {"got": number}

        async def put(self, number):
            return {"put": number}

    app.add_url_rule("/items/<int:number>", view_func=Item.as_view("item"))

    @app.context_processor
    def values():
        return {"told": variable.get()}

    @app.get("/template")
    async def template():
        variable.set("by the view")
        await asyncio.sleep(0)
        return render_template_string("{{ told }} {{ request.path }}")

    @app.get("/first-line")
    async def first_line():
        name = asyncio.current_task().get_name()
        return {"task": True, "same": asyncio.current_task() in asyncio.all_tasks()}

    @app.get("/timeout")
    async def timeout():
        try:
            if sys.version_info >= (3, 11):
                async with asyncio.timeout(0.01):
                    await asyncio.sleep(5)
            else:
                await asyncio.wait_for(asyncio.sleep(5), 0.01)
        except asyncio.TimeoutError:
            return {"timed": "out"}

    @app.get("/group")
    async def group():
        async def double(n):
            await asyncio.sleep(0)
            assert request.path == "/group"
            return 2 * n
        if sys.version_info >= (3, 11):
            async with asyncio.TaskGroup() as tasks:
                made = [tasks.create_task(double(n)) for n in range(3)]
            return [task.result() for task in made]
        return await asyncio.gather(*(double(n) for n in range(3)))

    @app.get("/anyio")
    async def with_anyio():
        found = []
        async def add(n):
            await anyio.sleep(0)
            found.append(n)
        async with anyio.create_task_group() as tasks:
            for n in range(3):
                tasks.start_soon(add, n)
        with anyio.move_on_after(0.01) as scope:
            await anyio.sleep(5)
        name = await anyio.to_thread.run_sync(lambda: request.path)
        return {"found": sorted(found), "moved": scope.cancelled_caught, "path": name}

    @app.get("/runs")
    def runs():
        async def inner():
            await asyncio.sleep(0)
            return request.path
        return {"ran": asyncio.run(inner())}

    @app.get("/returns")
    def returns():
        async def later():
            await asyncio.sleep(0)
            return {"awaited": request.path}, 202
        return later()

    @app.get("/generates")
    async def generates():
        async def parts():
            for n in range(3):
                await asyncio.sleep(0)
                yield f"{n} {request.path};"
        return parts()

    @app.get("/generates-in-a-sync-view")
    def generates_too():
        async def parts():
            for n in range(3):
                await asyncio.sleep(0.001)
                yield b"%d;" % n
        return Response(parts(), mimetype="text/plain", status=201)

    @app.get("/generates-much")
    async def much():
        async def parts():
            for n in range(300):
                yield "x" * 10000
        return Response(parts())

    @app.get("/generates-and-fails")
    async def fails():
        async def parts():
            yield "begun"
            raise ValueError("a secret")
        return Response(parts())
"""


def ask(served: Served, path: str, method: str = "GET") -> tuple[int, Any, dict[str, str]]:
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=20)
    try:
        connection.request(method, path)
        response = connection.getresponse()
        body = response.read()
        is_json = response.headers.get("Content-Type") == "application/json"
        return response.status, json.loads(body) if is_json else body.decode(), dict(response.headers)
    finally:
        connection.close()


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_sync_and_async_mix_in_any_order(tmp_path: Path, loop: str) -> None:
    pytest.importorskip("anyio")
    if loop == "uvloop":
        pytest.importorskip("uvloop")
    with serving(tmp_path, MIXED, run=f"loop={loop!r}") as served:
        status, body, headers = ask(served, "/mixed/sync")
        assert (status, body["variable"]) == (200, "hook")
        assert body["thread"].startswith("bustapi-pool")
        steps = ["async before", "sync before hook", "sync view", "async after", "sync after"]
        assert headers["X-Steps"] == "; ".join(steps)
        status, body, headers = ask(served, "/mixed/async")
        assert (status, body) == (200, {"task": True, "variable": "hook"})
        assert headers["X-Steps"] == "; ".join(steps).replace("sync view", "async view")
        for kind in ("sync", "async"):
            status, body, headers = ask(served, f"/mixed/{kind}-missing")
            assert (status, body["missing"]) == (404, repr(kind))
            assert headers["X-Steps"].endswith("sync after")
        assert ask(served, "/mixed/async-wrong")[:2] == (400, {"wrong": "async", "task": True})
        assert ask(served, "/items/3")[:2] == (200, {"got": 3})
        assert ask(served, "/items/3", "PUT")[:2] == (200, {"put": 3})
        assert ask(served, "/template")[1] == "by the view /template"
        assert ask(served, "/first-line")[1] == {"task": True, "same": True}
        assert ask(served, "/timeout")[1] == {"timed": "out"}
        assert ask(served, "/group")[1] == [0, 2, 4]
        assert ask(served, "/anyio")[1] == {"found": [0, 1, 2], "moved": True, "path": "/anyio"}
        assert ask(served, "/runs")[1] == {"ran": "/runs"}
        assert ask(served, "/returns")[:2] == (202, {"awaited": "/returns"})
        assert served.stop() == 0
        assert "Traceback" not in served.log()


def test_async_generators_are_bodies(tmp_path: Path) -> None:
    pytest.importorskip("anyio")
    with serving(tmp_path, MIXED) as served:
        path = "/generates"
        assert ask(served, path)[1] == f"0 {path};1 {path};2 {path};"
        status, body, headers = ask(served, "/generates-in-a-sync-view")
        assert (status, body) == (201, "0;1;2;")
        assert headers["Content-Type"].startswith("text/plain")
        assert ask(served, "/generates", "HEAD")[:2] == (200, "")
        assert len(ask(served, "/generates-much")[1]) == 3_000_000
        with pytest.raises((http.client.IncompleteRead, ConnectionResetError)):
            ask(served, "/generates-and-fails")
        served.wait_for("ValueError: a secret")
        assert served.stop() == 0


LOOPS = """
    import asyncio

    import httpx

    from bustapi import BustAPI, loop_local, request

    app = BustAPI(__name__)
    closed = []
    counts = {"inside": 0, "most": 0}

    async def close(client):
        await client.aclose()
        print("closed a client", flush=True)

    if PER_THREAD:
        client = loop_local(httpx.AsyncClient, close=close)
        lock = loop_local(asyncio.Lock)
    else:
        made = []
        def client():
            if not made:
                made.append(httpx.AsyncClient())
            return made[0]
        the_lock = asyncio.Lock()
        def lock():
            return the_lock

    @app.get("/plain")
    def plain():
        return "plain"

    @app.get("/loop")
    async def loop():
        return {"loop": id(asyncio.get_running_loop())}

    @app.get("/contends")
    async def contends():
        async with lock():
            await asyncio.sleep(0)
        return {"loop": id(asyncio.get_running_loop())}

    @app.get("/asks")
    async def asks():
        answer = await client().get(request.host_url + "plain")
        async with lock():
            await asyncio.sleep(0)
        return {"answer": answer.text, "loop": id(asyncio.get_running_loop())}
"""


@pytest.mark.load
@pytest.mark.skipif(
    sys.version_info < (3, 10), reason="a lock made at start-up belongs to a loop before 3.10"
)
@pytest.mark.parametrize("loops", ["one", "per-thread"])
def test_one_client_and_one_contended_lock_with_four_threads(tmp_path: Path, loops: str) -> None:
    """`BUSTAPI_TEST_REQUESTS=10000` makes as many as the issue asks for."""
    pytest.importorskip("httpx")
    requests = int(os.environ.get("BUSTAPI_TEST_REQUESTS", "1000"))
    per_thread = loops == "per-thread"
    with serving(
        tmp_path, LOOPS.replace("PER_THREAD", str(per_thread)), run=f"threads=4, loops={loops!r}"
    ) as served:

        def client(number: int) -> set[int]:
            found = set()
            for batch in range(4):
                connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=20)
                for n in range(requests // 32):
                    connection.request("GET", "/asks" if (n + batch) % 4 == 0 else "/contends")
                    response = connection.getresponse()
                    body = json.loads(response.read())
                    assert response.status == 200
                    assert body.get("answer", "plain") == "plain"
                    found.add(body["loop"])
                connection.close()
            return found

        with ThreadPoolExecutor(8) as clients:
            loops_seen = set().union(*clients.map(client, range(8)))
        assert len(loops_seen) == 1 if not per_thread else 1 < len(loops_seen) <= 4
        assert served.stop() == 0
        assert "Traceback" not in served.log()
        if per_thread:
            served.wait_for("closed a client")


STARTS = """
    import asyncio
    import os
    import threading

    from bustapi import BustAPI, current_app

    app = BustAPI(__name__)
    pools = {}

    def say(what):
        # In one piece: several threads write at once.
        line = f"{what} {threading.current_thread().name} {id(asyncio._get_running_loop())} {current_app.name}"
        os.write(1, f"{line}\\n".encode())

    @app.on_startup
    async def connect():
        await asyncio.sleep(0.05)
        if FAILS and threading.current_thread() is not threading.main_thread():
            raise LookupError("no database for this loop")
        say("startup")
        pools[asyncio.get_running_loop()] = asyncio.Lock()

    @app.on_startup
    def once():
        say("plain startup")

    @app.on_shutdown
    async def disconnect():
        await pools.pop(asyncio.get_running_loop()).acquire()
        say("shutdown")

    @app.on_shutdown
    def at_last():
        say("plain shutdown")

    @app.lifespan
    async def life(app):
        say("enter")
        try:
            yield
        finally:
            await asyncio.sleep(0)
            say("leave")

    @app.get("/")
    async def view():
        async with pools[asyncio.get_running_loop()]:
            return str(len(pools))
"""


def said(served: Served, what: str) -> list[str]:
    return [line.split()[-2] for line in served.lines if line.startswith(f"{what} ")]


@pytest.mark.parametrize(("loops", "times"), [("one", 1), ("per-thread", 3)])
def test_what_is_awaited_at_the_start_and_the_end_runs_once_on_each_loop(
    tmp_path: Path, loops: str, times: int
) -> None:
    source = STARTS.replace("FAILS", "False")
    with serving(tmp_path, source, run=f"threads=3, loops={loops!r}") as served:
        served.wait_for("BustAPI .* on http")
        begun = said(served, "startup")
        assert len(begun) == len(set(begun)) == times
        # The loops begin side by side.
        assert sorted(said(served, "enter")) == sorted(begun)
        assert len(said(served, "plain")) == 1
        for _ in range(12):
            connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=10)
            connection.request("GET", "/")
            assert connection.getresponse().read() == str(times).encode()
            connection.close()
        assert served.stop() == 0
    assert sorted(said(served, "shutdown")) == sorted(said(served, "leave")) == sorted(begun)
    assert len(said(served, "plain")) == 2
    assert "Traceback" not in served.log()


def test_a_start_that_fails_on_another_loop_ends_the_server(tmp_path: Path) -> None:
    source = STARTS.replace("FAILS", "True")
    with serving(tmp_path, source, run="threads=2, loops='per-thread'") as served:
        assert served.process.wait(20) == 70
        served.wait_for("LookupError: no database for this loop")
    # What had begun was ended.
    assert len(said(served, "enter")) == len(said(served, "leave")) == 2
    assert "BustAPI 0" not in served.log()


RECEIVERS = """
    from bustapi import BustAPI, after_this_request, got_request_exception
    from bustapi.flask.signals import appcontext_pushed

    app = BustAPI(__name__)
    heard = []

    def listen(name):
        async def receiver(sender, **said):
            heard.append(name)
        return receiver

    failed, pushed = listen("failed"), listen("pushed")

    @app.get("/listen")
    async def listening():
        got_request_exception.connect(failed, app)
        appcontext_pushed.connect(pushed, app)
        return {}

    @app.get("/heard")
    def told():
        return heard

    @app.get("/plain")
    async def plain():
        return {}

    @app.get("/fails")
    async def fails():
        raise LookupError("for the receiver")

    @app.errorhandler(500)
    def answer(error):
        return "my own page", 500

    @app.get("/after")
    async def after():
        @after_this_request
        async def function(response):
            response.headers["X-After"] = "yes"
            return response
        return {}

    @app.get("/after-missing")
    async def missing():
        raise KeyError

    @app.errorhandler(KeyError)
    def handler(error):
        @after_this_request
        async def function(response):
            response.headers["X-After"] = "yes"
            return response
        return {}
"""


def test_coroutine_functions_that_an_async_view_leaves_behind_are_awaited(tmp_path: Path) -> None:
    with serving(tmp_path, RECEIVERS) as served:
        for path in ("/after", "/after-missing"):
            status, _, headers = ask(served, path)
            assert (status, headers.get("X-After")) == (200, "yes")
        # Before anybody listens, and as soon as somebody does.
        assert ask(served, "/fails")[:2] == (500, "my own page")
        assert ask(served, "/listen")[0] == 200
        assert ask(served, "/fails")[:2] == (500, "my own page")
        assert ask(served, "/plain")[0] == 200
        assert ask(served, "/heard")[1] == ["pushed", "failed", "pushed", "pushed"]


TEARDOWN = """
    from bustapi import BustAPI, request, session

    app = BustAPI(__name__)
    app.secret_key = "a key"
    ran = []

    @app.get("/auto")
    def auto():
        return {}

    @app.get("/pool", execution="pool")
    def pool():
        return {}

    @app.get("/inline", execution="inline")
    def inline():
        return {}

    @app.get("/async")
    async def awaited():
        return {}

    @app.get("/ran")
    def told():
        return ran

    @app.teardown_request
    def fails(error):
        ran.append(request.path)
        if request.path != "/ran":
            session.get("anything")
            raise LookupError(f"at the end of {request.path}")
"""


def test_what_fails_at_a_requests_end_is_its_answer(tmp_path: Path) -> None:
    paths = ["/auto", "/pool", "/inline", "/async"]
    with serving(tmp_path, TEARDOWN) as served:
        assert [ask(served, path)[0] for path in paths] == [500] * 4
        assert ask(served, "/ran")[1] == paths
        log = served.log()
        assert [log.count(f"at the end of {path}\n") for path in paths] == [1] * 4
        assert served.stop() == 0
