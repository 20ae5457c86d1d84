"""`await app.run_async()`: a guest of a loop that the program runs."""

from __future__ import annotations

import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from run_helpers import run_to_end, script, started

APP = """
    import asyncio, signal, sys, threading, time
    from bustapi import BustAPI

    app = BustAPI(__name__)
    ticks = 0

    @app.get("/")
    def index():
        return {"ticks": ticks > 0}

    @app.get("/async/<float:seconds>")
    async def waits(seconds):
        await asyncio.sleep(seconds)
        return str(asyncio.get_running_loop() is loop)

    @app.get("/slow/<float:seconds>", execution="pool")
    def slow(seconds):
        time.sleep(seconds)
        return "slow"

    async def tick():
        global ticks
        while True:
            ticks += 1
            await asyncio.sleep(0.01)

    async def main():
        global loop
        loop = asyncio.get_running_loop()
        ticking = asyncio.create_task(tick())
        {body}
        ticking.cancel()
        print("main went on", flush=True)

    if __name__ == "__main__":
        {run}
        print("ended", flush=True)
"""
ASYNCIO = "asyncio.run(main())"
UVLOOP = "import uvloop; uvloop.run(main())"


def served(folder: Path, body: str = "await app.run_async(port=0)", run: str = ASYNCIO) -> list[str]:
    return script(folder, APP.replace("{body}", body).replace("{run}", run))


@pytest.mark.parametrize("run", [ASYNCIO, UVLOOP], ids=["asyncio", "uvloop"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("threads", [1, 2])
def test_the_loop_goes_on_beside_the_server(tmp_path: Path, run: str, number: int, threads: int) -> None:
    if run == UVLOOP:
        pytest.importorskip("uvloop")
    body = f"await app.run_async(port=0, threads={threads})"
    with started(served(tmp_path, body, run), tmp_path) as server, ThreadPoolExecutor(4) as clients:
        assert server.get() == (200, '{"ticks":true}\n')
        under_way = [clients.submit(server.get, path) for path in ("/async/0.6", "/slow/0.6", "/async/0.6")]
        time.sleep(0.3)
        server.send(number)
        assert [future.result() for future in under_way] == [(200, "True"), (200, "slow"), (200, "True")]
        assert server.wait() == 0
        assert server.output.splitlines()[-2:] == ["main went on", "ended"]


def test_a_cancellation_drains(tmp_path: Path) -> None:
    body = """
        server = asyncio.create_task(app.run_async(port=0))
        await asyncio.sleep(0.8)
        server.cancel()
        try:
            await server
        except asyncio.CancelledError:
            print("cancelled", flush=True)
    """
    with started(served(tmp_path, body), tmp_path) as server, ThreadPoolExecutor(1) as clients:
        assert clients.submit(server.get, "/async/1.0").result() == (200, "True")
        assert server.wait() == 0
        assert server.output.splitlines()[-3:] == ["cancelled", "main went on", "ended"]


def test_handlers_come_back(tmp_path: Path) -> None:
    body = """
        before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
        await app.run_async(port=0)
        assert before == [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
        assert all(not t.name.startswith("bustapi") for t in threading.enumerate()), threading.enumerate()
    """
    with started(served(tmp_path, body), tmp_path) as server:
        assert server.stop() == 0


def test_a_server_in_a_loop_of_another_thread(tmp_path: Path) -> None:
    run = """
        thread = threading.Thread(target=asyncio.run, args=(main(),), daemon=True)
        thread.start()
        thread.join()
    """
    with started(served(tmp_path, run=run), tmp_path) as server:
        assert server.get("/async/0.01") == (200, "True")
        assert server.stop() == -signal.SIGTERM


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (
            "await app.run_async(port=0, workers=2)",
            "SettingsError: workers: run_async serves in this process alone",
        ),
        (
            "await app.run_async(port=0, max_requests=5)",
            "SettingsError: max_requests: run_async has no workers to replace",
        ),
        (
            "app.run(port=0, loop='asyncio')",
            "error: an event loop runs in this thread; serve with: await app.run_async()",
        ),
        ("await app.run_async(host='999.1.1.1', port=0)", "ServeError: cannot listen on 999.1.1.1:0"),
        ("await app.run_async(colour=1)", "TypeError: "),
    ],
)
def test_what_cannot_be_served_is_raised(tmp_path: Path, body: str, error: str) -> None:
    code, output, errors = run_to_end(served(tmp_path, body), tmp_path)
    assert (code, output) == (1, "")
    assert error in errors
