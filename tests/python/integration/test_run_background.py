"""Start, end, background work and periodic functions of served applications, in one process and in several."""

from __future__ import annotations

import http.client
import signal
import time
from pathlib import Path

import pytest

from integration.servers import Served, serving

SOURCE = """
import asyncio, os, sys, time
from bustapi import BustAPI
app = BustAPI(__name__)

def say(*words):
    os.write(1, (" ".join(map(str, words)) + "\\n").encode())

{more}

@app.on_startup
def start():
    say("started", os.getpid())

@app.on_shutdown
def end():
    say("ended", os.getpid())

@app.get("/")
def index():
    return "served"

def slow(seconds):
    time.sleep(seconds)
    say("slept")

async def slow_async(seconds):
    await asyncio.sleep(seconds)
    say("slept")

@app.get("/slow/<float:seconds>")
def begin(seconds):
    app.background(slow, seconds)
    return "begun"

@app.get("/slow-async/<float:seconds>")
def begin_async(seconds):
    app.background(slow_async, seconds)
    return "begun"
"""

ASYNC = """
@app.lifespan
async def life(app):
    say("entered")
    app.lock = asyncio.Lock()
    try:
        yield
    finally:
        async with app.lock:
            say("left")

@app.get("/lock")
async def lock():
    async with app.lock:
        return "locked"
"""


def source(more: str = "") -> str:
    return SOURCE.replace("{more}", more)


def get(served: Served, path: str) -> bytes:
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=20)
    try:
        connection.request("GET", path)
        return connection.getresponse().read()
    finally:
        connection.close()


def lines(served: Served, word: str) -> list[str]:
    return [line.strip() for line in served.log().splitlines() if line.startswith(word)]


def ended(served: Served, sig: int = signal.SIGTERM) -> int:
    code = served.stop(sig, 30)
    # The reader of its output is a thread.
    end = time.monotonic() + 10
    while not lines(served, "ended") and time.monotonic() < end:
        time.sleep(0.02)
    return code


@pytest.mark.parametrize("more", ["", ASYNC], ids=["plain", "async"])
@pytest.mark.parametrize("run", ["", "threads=2"])
def test_work_is_finished_before_the_application_ends(tmp_path: Path, more: str, run: str) -> None:
    with serving(tmp_path, source(more), run=run) as served:
        assert get(served, "/") == b"served"
        served.wait_for("started")
        if more:
            assert get(served, "/lock") == b"locked"
        for path in ("/slow/0.5", "/slow-async/0.5"):
            assert get(served, path) == b"begun"
        assert lines(served, "slept") == []
        assert ended(served) == 0
        said = [line.split()[0] for line in served.log().splitlines() if line.split()]
        order = [word for word in said if word in ("entered", "started", "slept", "ended", "left")]
        around = (["entered"], ["left"]) if more else ([], [])
        assert order == [*around[0], "started", "slept", "slept", "ended", *around[1]]


def test_work_that_takes_too_long_is_given_up_and_told(tmp_path: Path) -> None:
    with serving(tmp_path, source(), run="grace=0.3") as served:
        assert get(served, "/slow/60.0") == b"begun"
        assert ended(served) == 0
        served.wait_for("1 pieces of background work did not end in time")
        assert lines(served, "slept") == []


def test_every_worker_starts_and_one_of_them_keeps_time(tmp_path: Path) -> None:
    more = """
@app.every(0.05)
def one():
    say("one", os.getpid())

@app.every(0.05, everywhere=True)
async def each():
    say("each", os.getpid())
"""
    with serving(tmp_path, source(more), run="workers=2") as served:
        assert get(served, "/") == b"served"
        end = time.monotonic() + 20
        while len(set(lines(served, "each"))) < 2 or len(lines(served, "one")) < 3:
            assert time.monotonic() < end, served.log()
            time.sleep(0.05)
        assert len(set(lines(served, "started"))) == 2
        assert len(set(lines(served, "one"))) == 1
        assert ended(served) == 0
        served.wait_for("ended")
        end = time.monotonic() + 10
        while len(lines(served, "ended")) < 2:
            assert time.monotonic() < end, served.log()
            time.sleep(0.02)


@pytest.mark.parametrize("more", ["", ASYNC], ids=["plain", "async"])
def test_an_application_that_cannot_start_does_not_serve(tmp_path: Path, more: str) -> None:
    more += """
@app.on_startup
def broken():
    raise ValueError("no database")
"""
    script = tmp_path / "broken_app.py"
    script.write_text(source(more) + "\n\napp.run(port=0)\n")
    import subprocess
    import sys

    done = subprocess.run(
        [sys.executable, str(script)], cwd=tmp_path, capture_output=True, text=True, timeout=30
    )
    assert done.returncode == 70
    assert "ValueError: no database" in done.stderr
    assert "Traceback" in done.stderr
    # Nobody is told of an address where nothing is served.
    assert "http://" not in done.stdout + done.stderr
    assert "started" not in done.stdout
    assert ("left" in done.stdout) is bool("async" in more)


def test_run_async_starts_and_ends_the_application(tmp_path: Path) -> None:
    script = "import asyncio\nasyncio.run(app.run_async('127.0.0.1', PORT))"
    from integration.servers import free_port

    port = free_port()
    text = source(ASYNC) + "\n" + script.replace("PORT", str(port)) + "\nraise SystemExit(0)\n"
    with serving(tmp_path, text, port=port) as served:
        assert get(served, "/lock") == b"locked"
        assert get(served, "/slow-async/0.3") == b"begun"
        assert ended(served) == 0
        served.wait_for("left")
        assert [len(lines(served, word)) for word in ("entered", "started", "slept", "ended", "left")] == [
            1
        ] * 5
