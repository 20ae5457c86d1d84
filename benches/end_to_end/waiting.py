"""Views that wait, or hold the interpreter, beside others; and what a coroutine costs more than a function.

    python benches/end_to_end/waiting.py --rounds 5 --secs 3

One server on one core, the clients on another. `tasks`: a coroutine that awaits nothing, against the same function, by
requests per second of the server's processor, in rounds that take turns. `sleeps`: a thousand requests at once, each
awaiting half a second. `waits` and `burns`: what a view that sleeps 10 ms in the pool, and one that computes there for
200 ms, leave to a quick one. Linux, with wrk.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import selectors
import socket
import statistics
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import checks  # noqa: E402
import servers  # noqa: E402
from load import Generator  # noqa: E402
from quiet import Quiet  # noqa: E402
from report import said  # noqa: E402
from scenarios import EAGER  # noqa: E402

POOL_THREADS = 6
APP = f"""
import asyncio, sys, time
from bustapi import BustAPI
app = BustAPI(__name__)

@app.get("/sync")
def function():
    return {{"message": "Hello, World!"}}

@app.get("/async")
async def coroutine():
    return {{"message": "Hello, World!"}}

@app.get("/sleep")
async def sleep():
    await asyncio.sleep(0.5)
    return {{"message": "Hello, World!"}}

@app.get("/wait")
def wait():
    time.sleep(0.01)
    return {{"message": "Hello, World!"}}

@app.get("/burn", execution="pool")
def burn():
    end = time.thread_time() + 0.2
    while time.thread_time() < end:
        pass
    return {{"message": "Hello, World!"}}

app.run("127.0.0.1", int(sys.argv[1]), pool_threads={POOL_THREADS})
"""
SLEEPERS = 1000
ASK_TO_SLEEP = checks.request_bytes("/sleep")
#: What the views beside the quick one have to show what they are.
FIRST_SECONDS = 1.5

SLEEPS_GOAL = 0.6
TASKS_GOAL = 0.90 if EAGER else 0.55
WAITS_GOAL_MS = 2.0
BURNS_GOAL_MS = 8.0
#: Of the pool's threads over the time of a view: what no scheduler gives away.
WAITS_RATE_GOAL = 0.95


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--secs", type=int, default=3, help="of one measurement; whole ones")
    parser.add_argument("--server-core", default="0")
    parser.add_argument("--load-core", default="1")
    Quiet.add_options(parser)
    chosen = parser.parse_args()
    quiet = Quiet.chosen(chosen)
    generator = Generator(chosen.load_core, Path())
    with tempfile.TemporaryDirectory(prefix="bustapi-bench-") as folder:
        # Before the server starts: it inherits the limit.
        checks.allow_descriptors(SLEEPERS + 64)
        port = servers.unused_port()
        command = [sys.executable, "-c", APP, str(port)]
        with servers.started("waiting", command, port, chosen.server_core, Path(folder)) as server:
            for path in ("/sync", "/async"):
                generator.closed(server, path, 1)
            tasks(generator, server, chosen, quiet)
            sleeps(server, chosen.rounds, quiet)
            for path, clients in (("/wait", 64), ("/burn", 1)):
                beside(generator, server, path, clients, chosen, quiet)
            print(quiet.report())
    return 0


def tasks(generator: Generator, server: servers.Server, chosen: argparse.Namespace, quiet: Quiet) -> None:
    """The coroutine against the function."""
    ratios, rates = [], []

    def once(paths: tuple[str, ...]) -> dict[str, float]:
        # A second each in turns: what the machine does for longer than that, it does to both.
        found = [(path, generator.closed(server, path, 1)) for _ in range(chosen.secs) for path in paths]
        return {
            path: sum(one.requests for asked, one in found if asked == path)
            / sum(one.cpu_seconds for asked, one in found if asked == path)
            for path in paths
        }

    for number in range(chosen.rounds):
        paths = ("/sync", "/async") if number % 2 else ("/async", "/sync")
        found = quiet.measure(functools.partial(once, paths))
        ratios.append(found["/async"] / found["/sync"])
        rates.append(found["/async"])
    ratio = statistics.median(ratios)
    print(
        f"tasks: {statistics.median(rates):,.0f} coroutines a CPU second, {ratio:.2f} of the function"
        f" ({min(ratios):.2f} to {max(ratios):.2f}; >= {TASKS_GOAL:g}: {said(ratio >= TASKS_GOAL)})"
    )


def sleeps(server: servers.Server, rounds: int, quiet: Quiet) -> None:
    """All of the sleepers at once, on connections that stand."""
    with contextlib.ExitStack() as stack, selectors.EpollSelector() as selector:
        for _ in range(SLEEPERS):
            sock = stack.enter_context(socket.create_connection((servers.HOST, server.port), 10))
            selector.register(sock, selectors.EVENT_READ)

        def all_at_once() -> float:
            begun = time.perf_counter()
            for key in selector.get_map().values():
                assert isinstance(key.fileobj, socket.socket)
                key.fileobj.sendall(ASK_TO_SLEEP)
            left = SLEEPERS
            while left:
                for key, _ in selector.select(10):
                    assert isinstance(key.fileobj, socket.socket)
                    if not key.fileobj.recv(4096).startswith(b"HTTP/1.1 200"):
                        raise SystemExit("a sleeper was not answered with 200")
                    left -= 1
            return time.perf_counter() - begun

        all_at_once()
        took = [quiet.measure(all_at_once) for _ in range(rounds)]
    middle = statistics.median(took)
    print(
        f"sleeps: {SLEEPERS} requests that await 0.5 s took {middle:.3f} s"
        f" ({min(took):.3f} to {max(took):.3f}; < {SLEEPS_GOAL:g}: {said(middle < SLEEPS_GOAL)})"
    )


def beside(
    generator: Generator,
    server: servers.Server,
    path: str,
    clients: int,
    chosen: argparse.Namespace,
    quiet: Quiet,
) -> None:
    """The quick view while others ask for a slow one."""

    def once() -> tuple[float, float]:
        lasting = chosen.secs + int(2 * FIRST_SECONDS)
        with ThreadPoolExecutor(1) as meanwhile:
            others = meanwhile.submit(generator.closed, server, path, lasting, connections=clients)
            time.sleep(FIRST_SECONDS)
            tail = generator.closed(server, "/sync", chosen.secs, connections=4).p99_us / 1e3
            return tail, others.result().rps

    tails, rates = zip(*(quiet.measure(once) for _ in range(chosen.rounds)))
    tail, rate = statistics.median(tails), statistics.median(rates)
    goal = WAITS_GOAL_MS if path == "/wait" else BURNS_GOAL_MS
    name = "waits" if path == "/wait" else "burns"
    line = (
        f"{name}: the quick view's p99 is {tail:.2f} ms beside {clients} of {path}"
        f" ({min(tails):.2f} to {max(tails):.2f}; < {goal:g}: {said(tail < goal)})"
    )
    if path == "/wait":
        full = POOL_THREADS / 0.01
        line += f"; {rate:,.0f} of {full:,.0f} waits a second (>= {WAITS_RATE_GOAL:g} of that: "
        line += f"{said(rate >= WAITS_RATE_GOAL * full)})"
    print(line)


if __name__ == "__main__":
    sys.exit(main())
