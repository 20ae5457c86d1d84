"""Bodies in and events out, by the server's processor time: not a part of `make bench`, which is about requests.

    python benches/end_to_end/streams.py upload --gigabytes 1
    python benches/end_to_end/streams.py events --clients 5000 --secs 20

`upload` sends one body to a view that counts it, and to a loop that only calls `recv` with a buffer of the same size:
the limit of what any server can do. `events` holds streams open and sends each one an event a second. Linux only.
"""

from __future__ import annotations

import argparse
import os
import re
import resource
import selectors
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
BLOCK = 1024 * 1024

APP = """
import asyncio
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

app.run(port=0)
"""

BARE = """
import socket
listener = socket.create_server(("127.0.0.1", 0))
print(f"on http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
buffer = bytearray(64 * 1024)
while True:
    sock, _ = listener.accept()
    size = sock.recv_into(buffer)
    head, _, first = bytes(buffer[:size]).partition(b"\\r\\n\\r\\n")
    left = int(head.partition(b"Content-Length: ")[2].split(b"\\r\\n")[0]) - len(first)
    while left:
        left -= sock.recv_into(buffer)
    sock.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: 0\\r\\n\\r\\n")
    sock.close()
"""


class Process:
    """A server's process and its port."""

    def __init__(self, process: subprocess.Popen[str], port: int) -> None:
        self.pid = process.pid
        self.port = port

    def seconds(self) -> float:
        """Processor time so far."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def memory(self, name: str = "VmRSS") -> int:
        """Resident bytes."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        found = re.search(rf"^{name}:\s*(\d+)", status, re.MULTILINE)
        return 0 if found is None else int(found.group(1)) * 1024

    def forget_peak(self) -> None:
        """Let `VmHWM` begin anew."""
        Path(f"/proc/{self.pid}/clear_refs").write_text("5")


@contextmanager
def running(source: str) -> Iterator[Process]:
    """Run a program that says where it listens."""
    process = subprocess.Popen(
        [sys.executable, "-u", "-c", source], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        assert process.stdout is not None
        for line in process.stdout:
            if found := re.search(r"http://[\d.]+:(\d+)", line):
                break
        else:
            raise SystemExit("the server did not start")
        yield Process(process, int(found.group(1)))
    finally:
        process.kill()
        process.wait()


def send(server: Process, path: str, size: int) -> tuple[float, float]:
    """Send a body; seconds on the clock and of the server's processor."""
    block = memoryview(b"x" * BLOCK)
    with socket.create_connection(("127.0.0.1", server.port)) as sock:
        begun, used = time.perf_counter(), server.seconds()
        sock.sendall(f"POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: {size}\r\n\r\n".encode())
        for at in range(0, size, BLOCK):
            sock.sendall(block[: min(BLOCK, size - at)])
        answer = sock.recv(4096)
        took = time.perf_counter() - begun
        if b" 200 " not in answer:
            raise SystemExit(f"{path} answered {answer!r}")
        return took, server.seconds() - used


def upload(size: int, rounds: int) -> None:
    """Compare the views with the bare loop, turn by turn."""
    with running(BARE) as bare, running(APP) as served:
        places = {"bare": (bare, "/"), "plain": (served, "/plain"), "async": (served, "/async")}
        for server, path in places.values():
            send(server, path, 64 * BLOCK)
        found: dict[str, list[tuple[float, float]]] = {name: [] for name in places}
        grown = dict.fromkeys(places, 0)
        for _ in range(rounds):
            for name, (server, path) in places.items():
                server.forget_peak()
                before = server.memory()
                found[name].append(send(server, path, size))
                grown[name] = max(grown[name], server.memory("VmHWM") - before)
    best = min(took for took, _ in found["bare"])
    for name, times in found.items():
        took, used = min(times)
        print(
            f"{name:<6} {size / took / 1e9:6.2f} GB/s  {best / took:5.2f} of bare"
            f"  {used / size * 1e9:6.2f} s of processor a GB  grown by {grown[name] / 1e6:5.1f} MB"
        )


def events(clients: int, seconds: float, path: str) -> None:
    """Hold streams open, and count what comes."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    if most < clients + 100:
        raise SystemExit(f"{clients} clients need more than the {most} files that are allowed")
    with running(APP) as served, selectors.DefaultSelector() as selector:
        for _ in range(clients):
            sock = socket.create_connection(("127.0.0.1", served.port))
            sock.sendall(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
            sock.setblocking(False)
            selector.register(sock, selectors.EVENT_READ)
        if path == "/channel":
            with socket.create_connection(("127.0.0.1", served.port)) as sock:
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

        receive(time.monotonic() + 3)
        begun, used = time.monotonic(), served.seconds()
        count = receive(begun + seconds)
        took, used = time.monotonic() - begun, served.seconds() - used
        print(
            f"{clients} clients, {count / took:,.0f} events a second: {used / took:.1%} of a core, "
            f"{used / count * 1e6:.1f} µs an event, {served.memory() / 1e6:.0f} MB"
        )
        for key in list(selector.get_map().values()):
            key.fileobj.close()  # type: ignore[union-attr]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("scenario", choices=("upload", "events"))
    parser.add_argument("--gigabytes", type=float, default=1.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--clients", type=int, default=5000)
    parser.add_argument("--secs", type=float, default=20.0)
    parser.add_argument(
        "--path", default="/channel", choices=("/channel", "/sleep"), help="what the events come from"
    )
    chosen = parser.parse_args()
    if chosen.scenario == "upload":
        upload(int(chosen.gigabytes * 1e9), chosen.rounds)
    else:
        events(chosen.clients, chosen.secs, chosen.path)


if __name__ == "__main__":
    main()
