"""Bodies in and events out: a large upload beside a loop that only receives, and events to many clients.

    python benches/end_to_end/streams.py upload --gigabytes 1
    python benches/end_to_end/streams.py events --clients 5000 --secs 5

`upload` sends one body to a view that counts it, and to a loop that only calls `recv` with a buffer of 64 KiB: the
limit of what any server can do. `events` holds streams open and sends each one an event a second. The server has one
core, the clients another. Linux only.
"""

from __future__ import annotations

import argparse
import functools
import os
import re
import resource
import selectors
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import servers  # noqa: E402
from quiet import Quiet  # noqa: E402
from report import said  # noqa: E402

BLOCK = 1024 * 1024
UPLOAD_GOAL = 0.9
GROWTH_GOAL = 20e6
EVENTS_GOAL = 0.2

APP = """
import asyncio, sys
from bustapi import BustAPI, Channel, EventStream, request

app = BustAPI(__name__)
times = Channel()

@app.post("/plain")
def plain():
    size = 0
    while part := request.stream.read1(64 * 1024):
        size += len(part)
    return {"size": size}

@app.post("/async", stream_body=True)
async def asynchronous():
    size = 0
    async for part in request.stream():
        size += len(part)
    return {"size": size}

@app.get("/channel")
async def channel():
    async def each():
        with times.subscribe() as numbers:
            async for number in numbers:
                yield str(number)
    return EventStream(each())

async def seconds():
    number = 0
    while True:
        await asyncio.sleep(1)
        number += 1
        yield str(number)

@app.get("/sleep")
async def sleep():
    return EventStream(seconds())

ticking = []

@app.get("/start")
async def start():
    async def tick():
        async for number in seconds():
            times.publish(number)
    ticking.append(asyncio.ensure_future(tick()))
    return ""

app.run("127.0.0.1", int(sys.argv[1]))
"""

BARE = """
import socket, sys
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
buffer = bytearray(64 * 1024)
while True:
    sock, _ = listener.accept()
    size = sock.recv_into(buffer)
    if not size:
        continue
    head, _, first = bytes(buffer[:size]).partition(b"\\r\\n\\r\\n")
    left = int(head.partition(b"Content-Length: ")[2].split(b"\\r\\n")[0]) - len(first)
    while left:
        left -= sock.recv_into(buffer)
    sock.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: 0\\r\\n\\r\\n")
    sock.close()
"""


def memory(server: servers.Server, name: str = "VmRSS") -> int:
    """Resident bytes."""
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    found = re.search(rf"^{name}:\s*(\d+)", status, re.MULTILINE)
    return 0 if found is None else int(found.group(1)) * 1024


def forget_peak(server: servers.Server) -> None:
    """Let `VmHWM` begin anew."""
    Path(f"/proc/{server.process.pid}/clear_refs").write_text("5")


@contextmanager
def running(name: str, source: str, core: str) -> Iterator[servers.Server]:
    """Run a program that takes its port."""
    port = servers.unused_port()
    with tempfile.TemporaryDirectory(prefix="bustapi-bench-") as folder:
        command = [sys.executable, "-c", source, str(port)]
        with servers.started(name, command, port, core, Path(folder)) as server:
            yield server


def send(server: servers.Server, path: str, size: int) -> tuple[float, float]:
    """Send a body; seconds on the clock and of the server's processor."""
    block = memoryview(b"x" * BLOCK)
    with socket.create_connection((servers.HOST, server.port)) as sock:
        begun, used = time.perf_counter(), server.cpu_seconds()
        sock.sendall(f"POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: {size}\r\n\r\n".encode())
        for at in range(0, size, BLOCK):
            sock.sendall(block[: min(BLOCK, size - at)])
        answer = sock.recv(4096)
        took = time.perf_counter() - begun
        if b" 200 " not in answer:
            raise SystemExit(f"{path} answered {answer!r}")
        return took, server.cpu_seconds() - used


def upload(size: int, rounds: int, core: str, quiet: Quiet) -> None:
    """Compare the views with the bare loop, turn by turn."""
    with running("bare", BARE, core) as bare, running("ours", APP, core) as served:
        places = {"bare": (bare, "/"), "plain": (served, "/plain"), "async": (served, "/async")}
        for server, path in places.values():
            send(server, path, 64 * BLOCK)
        found: dict[str, list[tuple[float, float]]] = {name: [] for name in places}
        grown = dict.fromkeys(places, 0)

        def once(names: list[str]) -> dict[str, tuple[float, float]]:
            times = {}
            for name in names:
                server, path = places[name]
                forget_peak(server)
                before = memory(server)
                times[name] = send(server, path, size)
                grown[name] = max(grown[name], memory(server, "VmHWM") - before)
            return times

        for number in range(rounds):
            names = list(places) if number % 2 else list(reversed(places))
            for name, one in quiet.measure(functools.partial(once, names)).items():
                found[name].append(one)
    for name, times in found.items():
        took = statistics.median(took for took, _ in times)
        used = statistics.median(used for _, used in times)
        line = f"upload, {name:<5} {size / took / 1e9:5.2f} GB/s, {used / size * 1e9:.2f} s of processor a GB"
        if name != "bare":
            ratios = [base / ours for (base, _), (ours, _) in zip(found["bare"], times)]
            ratio = statistics.median(ratios)
            line += (
                f"; {ratio:.2f} of bare ({min(ratios):.2f} to {max(ratios):.2f};"
                f" >= {UPLOAD_GOAL:g}: {said(ratio >= UPLOAD_GOAL)}), grown by {grown[name] / 1e6:.1f} MB"
                f" (< {GROWTH_GOAL / 1e6:.0f}: {said(grown[name] < GROWTH_GOAL)})"
            )
        print(line)


def events(clients: int, seconds: float, rounds: int, path: str, core: str, quiet: Quiet) -> None:
    """Hold streams open, and count what comes."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    if most < clients + 100:
        raise SystemExit(f"{clients} clients need more than the {most} files that are allowed")
    with running("ours", APP, core) as served, selectors.DefaultSelector() as selector:
        for _ in range(clients):
            sock = socket.create_connection((servers.HOST, served.port))
            sock.sendall(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
            sock.setblocking(False)
            selector.register(sock, selectors.EVENT_READ)
        if path == "/channel":
            with socket.create_connection((servers.HOST, served.port)) as sock:
                sock.sendall(b"GET /start HTTP/1.1\r\nHost: a\r\n\r\n")
                sock.recv(4096)

        def receive(until: float) -> int:
            count = 0
            while (left := until - time.monotonic()) > 0:
                for key, _ in selector.select(left):
                    part = key.fileobj.recv(65536)  # type: ignore[union-attr]
                    if not part:
                        raise SystemExit("a stream was closed")
                    count += part.count(b"data: ")
            return count

        def once() -> tuple[float, float, float]:
            begun, used = time.monotonic(), served.cpu_seconds()
            count = receive(begun + seconds)
            took, used = time.monotonic() - begun, served.cpu_seconds() - used
            return used / took, count / took, used / count

        receive(time.monotonic() + 3)
        shares, rates, costs = zip(*(quiet.measure(once) for _ in range(rounds)))
        share = statistics.median(shares)
        print(
            f"events: {clients} clients, {statistics.median(rates):,.0f} a second: {share:.1%} of a core"
            f" ({min(shares):.1%} to {max(shares):.1%}; < {EVENTS_GOAL:.0%}: {said(share < EVENTS_GOAL)}),"
            f" {statistics.median(costs) * 1e6:.1f} us an event, {memory(served) / 1e6:.0f} MB"
        )
        for key in list(selector.get_map().values()):
            key.fileobj.close()  # type: ignore[union-attr]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("scenario", choices=("upload", "events"))
    parser.add_argument("--gigabytes", type=float, default=1.0)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--clients", type=int, default=5000)
    parser.add_argument("--secs", type=float, default=5.0, help="of a round of events")
    parser.add_argument(
        "--path", default="/channel", choices=("/channel", "/sleep"), help="what the events come from"
    )
    parser.add_argument("--server-core", default="0")
    parser.add_argument("--load-core", type=int, default=1)
    Quiet.add_options(parser)
    chosen = parser.parse_args()
    quiet = Quiet.chosen(chosen)
    os.sched_setaffinity(0, {chosen.load_core})
    if chosen.scenario == "upload":
        upload(int(chosen.gigabytes * 1e9), chosen.rounds, chosen.server_core, quiet)
    else:
        events(chosen.clients, chosen.secs, chosen.rounds, chosen.path, chosen.server_core, quiet)
    print(quiet.report())


if __name__ == "__main__":
    main()
