"""Async views as tasks of the loop whose guest the reactor is, and sync views in the pool."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from .servers import Served, read_all, read_until, serving

APP = """
    import asyncio
    import contextvars
    import threading
    import time

    from bustapi import BustAPI, Response, g, request

    app = BustAPI(__name__)
    variable = contextvars.ContextVar("variable", default="unset")

    @app.get("/inline")
    def inline():
        return {"mode": "inline", "thread": threading.current_thread().name}

    @app.get("/async")
    async def direct():
        return {"mode": "async", "task": asyncio.current_task() is not None}

    @app.get("/sleep/<float:seconds>")
    async def sleep(seconds):
        name = request.args.get("name", "")
        variable.set(name)
        g.name = name
        await asyncio.sleep(seconds)
        assert variable.get() == name and g.name == name and request.args.get("name", "") == name
        return {"slept": seconds, "name": name}

    @app.get("/fails")
    async def fails():
        await asyncio.sleep(0)
        raise ValueError("async secret")

    @app.get("/fails-at-once")
    async def fails_at_once():
        raise ValueError("async secret")

    @app.get("/pool")
    def pool():
        time.sleep(0.05)
        return {"mode": "pool", "thread": threading.current_thread().name}

    pool_view = app.view_functions["pool"]
    app.add_url_rule("/pool/<int:number>", "numbered", lambda number: {"number": number}, execution="pool")
    app.add_url_rule("/blocking/<int:ms>", "blocking", lambda ms: (time.sleep(ms / 1000), {"ms": ms})[1], execution="pool")

    @app.route("/pool-stream", execution="pool")
    def pool_stream():
        def parts():
            for i in range(200):
                yield f"{i};" * 200
        return Response(parts())

    @app.get("/runs-a-loop")
    def runs_a_loop():
        async def inner():
            await asyncio.sleep(0)
            return 5
        return {"result": asyncio.run(inner())}
"""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("async"), APP) as served:
        yield served


def get(served: Served, path: str) -> tuple[int, dict[str, object]]:
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=20)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        body = response.read()
        kind = response.headers.get("Content-Type") == "application/json"
        return response.status, json.loads(body) if kind else {"text": body.decode()}
    finally:
        connection.close()


def test_an_async_view_runs_in_a_task(served: Served) -> None:
    assert get(served, "/async") == (200, {"mode": "async", "task": True})


def test_an_answer_after_a_sleep_comes_on_a_silent_loop(served: Served) -> None:
    begun = time.monotonic()
    assert get(served, "/sleep/0.2?name=x") == (200, {"slept": 0.2, "name": "x"})
    assert 0.15 < time.monotonic() - begun < 5


def test_async_views_overlap_and_keep_their_own_context(served: Served) -> None:
    begun = time.monotonic()
    with ThreadPoolExecutor(20) as clients:
        answers = list(clients.map(lambda n: get(served, f"/sleep/0.5?name=n{n}"), range(20)))
    assert [a[1]["name"] for a in answers] == [f"n{n}" for n in range(20)]
    assert time.monotonic() - begun < 5


@pytest.mark.parametrize("path", ["/fails", "/fails-at-once"])
def test_a_failing_async_view_is_a_500(served: Served, path: str) -> None:
    status, body = get(served, path)
    assert status == 500
    assert "secret" not in str(body)


def test_asyncio_run_works_in_a_sync_view(served: Served) -> None:
    assert get(served, "/runs-a-loop") == (200, {"result": 5})


def test_pool_views_overlap(served: Served) -> None:
    begun = time.monotonic()
    with ThreadPoolExecutor(4) as clients:
        answers = list(clients.map(lambda n: get(served, "/blocking/400"), range(4)))
    assert all(a == (200, {"ms": 400}) for a in answers)
    assert time.monotonic() - begun < 1.5


def test_a_pool_view_does_not_hold_up_an_inline_one(served: Served) -> None:
    with ThreadPoolExecutor(1) as clients:
        slow = clients.submit(get, served, "/blocking/800")
        time.sleep(0.1)
        begun = time.monotonic()
        assert get(served, "/inline")[0] == 200
        assert time.monotonic() - begun < 0.5
        assert slow.result()[0] == 200


def test_a_pool_view_streams_with_backpressure(served: Served) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=20)
    connection.request("GET", "/pool-stream")
    response = connection.getresponse()
    assert response.read() == "".join(f"{i};" * 200 for i in range(200)).encode()
    connection.close()


def test_a_mixed_pipeline_is_answered_in_order(served: Served) -> None:
    paths = ["/sleep/0.1", "/inline", "/pool/1", "/async", "/pool/2", "/inline", "/sleep/0.05", "/pool/3"]
    with served.connect() as sock:
        sock.sendall(b"".join(b"GET %s HTTP/1.1\r\nHost: a\r\n\r\n" % p.encode() for p in paths))
        got = b""
        while got.count(b"HTTP/1.1 200 OK") < len(paths) or not got.endswith(b"}\n"):
            part = sock.recv(65536)
            assert part
            got += part
    kinds = []
    for chunk in got.split(b"HTTP/1.1 200 OK")[1:]:
        body = json.loads(chunk.partition(b"\r\n\r\n")[2])
        kinds.append(body.get("mode") or body.get("number") or body.get("slept"))
    assert kinds == [0.1, "inline", 1, "async", 2, "inline", 0.05, 3]


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_a_guest_with_a_budget_of_one_answers_a_whole_pipeline(tmp_path: Path, loop: str) -> None:
    """Work left over after a turn is not forgotten on an otherwise silent loop."""
    if loop == "uvloop":
        pytest.importorskip("uvloop")
    with serving(tmp_path, APP, run=f"turn_budget=1, loop={loop!r}") as served, served.connect() as sock:
        sock.sendall(b"GET /inline HTTP/1.1\r\nHost: a\r\n\r\n" * 100)
        got = b""
        while got.count(b'"inline"') < 100:
            part = sock.recv(65536)
            assert part
            got += part


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_a_guest_keeps_deadlines_on_an_idle_loop(tmp_path: Path, loop: str) -> None:
    if loop == "uvloop":
        pytest.importorskip("uvloop")
    with serving(tmp_path, APP, run=f"head_timeout=1, loop={loop!r}") as served, served.connect() as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHo")
        begun = time.monotonic()
        assert read_until(sock, b"\r\n\r\n").startswith(b"HTTP/1.1 408 ")
        assert time.monotonic() - begun < 5


@pytest.mark.parametrize("threads", [2, 4])
def test_async_views_of_every_thread_run_on_one_loop(tmp_path: Path, threads: int) -> None:
    app = (
        APP
        + """
    @app.get("/loop")
    async def which():
        await asyncio.sleep(0.001)
        return {"loop": id(asyncio.get_running_loop())}
    """
    )
    with serving(tmp_path, app, run=f"threads={threads}") as served:
        with ThreadPoolExecutor(16) as clients:
            answers = list(clients.map(lambda _: get(served, "/loop"), range(100)))
        assert {a[0] for a in answers} == {200}
        assert len({a[1]["loop"] for a in answers}) == 1


def test_a_full_pool_queue_answers_503(tmp_path: Path) -> None:
    with serving(tmp_path, APP, run="pool_threads=1, pool_queue=2") as served:
        with ThreadPoolExecutor(8) as clients:
            answers = list(clients.map(lambda _: get(served, "/blocking/500")[0], range(8)))
        assert answers.count(503) >= 1
        assert answers.count(200) >= 3
        assert set(answers) <= {200, 503}


def test_a_change_made_while_serving_holds_for_the_next_request(tmp_path: Path) -> None:
    app = (
        APP
        + """
    @app.get("/hook")
    def hook():
        app.after_request_funcs.setdefault(None, []).append(lambda r: (r.headers.set("X-Late", "1"), r)[1])
        return "added"

    @app.get("/swap")
    def swap():
        app.view_functions["inline"] = lambda: "swapped"
        return "done"
    """
    )
    with serving(tmp_path, app) as served, served.connect() as sock:
        request = b"GET %s HTTP/1.1\r\nHost: a\r\n\r\n"
        sock.sendall(
            request % b"/inline"
            + request % b"/hook"
            + request % b"/inline"
            + request % b"/swap"
            + request % b"/inline"
        )
        got = b""
        while b"swapped" not in got:
            part = sock.recv(65536)
            assert part
            got += part
    answers = got.split(b"HTTP/1.1 200 OK")[1:]
    assert [b"X-Late" in a for a in answers] == [False, answers[1].count(b"X-Late") == 1, True, True, True]
    assert b"inline" in answers[2]


def test_two_pool_views_may_wait_for_each_other(tmp_path: Path) -> None:
    app = """
    import threading
    from bustapi import BustAPI

    app = BustAPI(__name__)
    both = threading.Barrier(2)

    @app.route("/meet", execution="pool")
    def meet():
        both.wait(10)
        return "met"
    """
    with serving(tmp_path, app) as served, ThreadPoolExecutor(2) as clients:
        answers = list(clients.map(lambda _: get(served, "/meet"), range(2)))
    assert answers == [(200, {"text": "met"})] * 2


STREAMS = """
from bustapi import BustAPI, Response

app = BustAPI(__name__, execution="pool")


@app.get("/lines/<int:count>")
def lines(count):
    def parts():
        try:
            for number in range(count):
                yield f"{number:015}\\n" * 4096
        finally:
            print("a stream was closed", flush=True)

    return Response(parts())


@app.get("/quick")
def quick():
    return "quick"
"""


def test_clients_that_take_nothing_hold_no_thread_of_the_pool(tmp_path: Path) -> None:
    count, stalled = 100, 6
    with (
        serving(tmp_path, STREAMS, run="pool_threads=2") as served,
        contextlib.ExitStack() as held,
    ):
        clients = [held.enter_context(socket.socket()) for _ in range(stalled)]
        for sock in clients:
            # Before connecting, so that the window stays of this size.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
            sock.settimeout(10)
            sock.connect(("127.0.0.1", served.port))
            sock.sendall(f"GET /lines/{count} HTTP/1.0\r\n\r\n".encode())
        for _ in range(10):
            assert served.send(b"GET /quick HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").endswith(
                b"quick"
            )
        assert "closed" not in served.log()
        expected = b"".join(b"%015d\n" % number * 4096 for number in range(count))
        for sock in clients[1:]:
            assert read_all(sock).partition(b"\r\n\r\n")[2] == expected
        # The one that leaves without having taken all is told to stop where it is parked.
        clients[0].close()
        end = time.monotonic() + 10
        while served.log().count("a stream was closed") < stalled and time.monotonic() < end:
            time.sleep(0.02)
        assert served.log().count("a stream was closed") == stalled
