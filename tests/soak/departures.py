"""Clients that go at random points of every kind of request, and what that leaves behind: nothing.

The application counts what it has open: views, generators, tasks, files. When all clients have gone, that, the threads
and the descriptors have to be what they were.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import socket
import struct
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

POOL = 8
APP = """
import asyncio, os, tempfile, threading, time
from collections import Counter
from contextlib import contextmanager
from bustapi import BustAPI, EventStream, request

app = BustAPI(__name__)
now = Counter()
ever = Counter()

@contextmanager
def counted(kind):
    now[kind] += 1
    ever[kind] += 1
    try:
        yield
    finally:
        now[kind] -= 1

@app.get("/plain")
def plain():
    return {"plain": True}

@app.post("/body")
def body():
    with counted("body"):
        return {"size": len(request.get_data())}

@app.post("/form")
def form():
    with counted("form"):
        return {"files": [file.filename for file in request.files.values()]}

@app.post("/streamed", stream_body=True)
def streamed():
    with counted("streamed"), tempfile.TemporaryFile() as file:
        while part := request.stream.read1(65536):
            file.write(part)
        return {"size": file.tell()}

@app.post("/streamed-async", stream_body=True)
async def streamed_async():
    with counted("streamed-async"):
        size = 0
        async for part in request.stream():
            size += len(part)
            await asyncio.sleep(0)
        return {"size": size}

@app.post("/echo", stream_body=True)
async def echo():
    async def each():
        with counted("echo"):
            async for part in request.stream():
                yield part
    return each()

@app.get("/generator")
def generator():
    def each():
        with counted("generator"):
            for number in range(60):
                yield b"x" * 20000
                time.sleep(0.002)
    return each()

@app.get("/async-generator")
async def async_generator():
    async def each():
        with counted("async-generator"):
            for number in range(60):
                yield b"x" * 20000
                await asyncio.sleep(0.005)
    return each()

@app.get("/events")
async def events():
    async def each():
        with counted("events"):
            number = 0
            while True:
                yield {"number": number}
                number += 1
                await asyncio.sleep(0.02)
    return EventStream(each(), heartbeat=1)

@app.get("/events-plain")
def events_plain():
    def each():
        with counted("events-plain"):
            for number in range(50):
                yield {"number": number}
                time.sleep(0.01)
    return EventStream(each(), heartbeat=1)

@app.websocket("/socket")
async def socket(ws):
    with counted("socket"):
        async for message in ws:
            await ws.send(message)

@app.websocket("/socket-plain")
def socket_plain(ws):
    with counted("socket-plain"):
        for message in ws:
            ws.send(message)

@app.get("/pool", execution="pool")
def pool():
    with counted("pool"):
        time.sleep(0.03)
        return {"pool": True}

@app.get("/async")
async def asynchronous():
    with counted("async"):
        await asyncio.sleep(0.05)
        return {"async": True}

@app.get("/state")
async def state():
    import gc
    gc.collect()
    return {
        "open": {kind: count for kind, count in now.items() if count},
        "tasks": len(asyncio.all_tasks()),
        "ever": ever,
    }
"""

_HANDSHAKE = (
    b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)


def _get(path: str, fields: bytes = b"") -> Callable[[random.Random], bytes]:
    whole = f"GET {path} HTTP/1.1\r\nHost: a\r\n".encode() + fields + b"\r\n"
    return lambda draw: whole


def _post(
    path: str, most: int, fields: bytes = b"", around: tuple[bytes, bytes] = (b"", b"")
) -> Callable[[random.Random], bytes]:
    def make(draw: random.Random) -> bytes:
        body = around[0] + b"y" * draw.randrange(1, most) + around[1]
        head = f"POST {path} HTTP/1.1\r\nHost: a\r\n".encode() + fields
        if draw.random() < 0.5:
            return head + b"Content-Length: %d\r\n\r\n" % len(body) + body
        head += b"Transfer-Encoding: chunked\r\n\r\n"
        step = draw.randrange(1, 40_000)
        chunks = [body[at : at + step] for at in range(0, min(len(body), 100 * step), step)]
        return head + b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"

    return make


def _frames(path: str) -> Callable[[random.Random], bytes]:
    head = _get(path, _HANDSHAKE)

    def make(draw: random.Random) -> bytes:
        frames = b""
        for _ in range(draw.randrange(6)):
            size = draw.randrange(126, 5000)
            frames += struct.pack("!BBH4s", 0x82, 0x80 | 126, size, b"\0\0\0\0") + b"z" * size
        return head(draw) + frames

    return make


_FORM = (
    b'--b\r\nContent-Disposition: form-data; name="f"; filename="f"\r\n\r\n',
    b"\r\n--b--\r\n",
)
KINDS: dict[str, Callable[[random.Random], bytes]] = {
    "plain": _get("/plain"),
    "body": _post("/body", 300_000),
    "body-long": _post("/body", 3_000_000),
    "form": _post("/form", 3_000_000, b"Content-Type: multipart/form-data; boundary=b\r\n", _FORM),
    "streamed": _post("/streamed", 3_000_000),
    "streamed-async": _post("/streamed-async", 3_000_000),
    "echo": _post("/echo", 500_000),
    "generator": _get("/generator"),
    "async-generator": _get("/async-generator"),
    "events": _get("/events"),
    "events-plain": _get("/events-plain"),
    "socket": _frames("/socket"),
    "socket-plain": _frames("/socket-plain"),
    "pool": _get("/pool"),
    "async": _get("/async"),
}


def leave(port: int, kind: str, draw: random.Random) -> None:
    """Make a request of a kind, and go at some point of it, in some way."""
    with socket.create_connection(("127.0.0.1", port), 10) as sock, contextlib.suppress(OSError):
        sock.settimeout(2)
        whole = KINDS[kind](draw)
        # Half of the clients go while they send, the others while they receive.
        end = draw.randrange(len(whole)) if draw.random() < 0.5 else len(whole)
        for at in range(0, end, 100_000):
            sock.sendall(whole[at : min(end, at + 100_000)])
        if end == len(whole):
            sock.settimeout(0.5)
            wanted = draw.randrange(1, 200_000)
            while wanted > 0 and draw.random() < 0.95:
                part = sock.recv(min(wanted, 65536))
                if not part:
                    break
                wanted -= len(part)
        time.sleep(draw.random() * 0.05)
        way = draw.random()
        if way < 0.4:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        elif way < 0.6:
            sock.shutdown(socket.SHUT_WR)
            time.sleep(draw.random() * 0.05)


def state(port: int) -> dict[str, object]:
    """What the application has open."""
    with socket.create_connection(("127.0.0.1", port), 20) as sock:
        sock.sendall(b"GET /state HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        raw = b""
        while part := sock.recv(65536):
            raw += part
    return dict(json.loads(raw.partition(b"\r\n\r\n")[2]))


@contextlib.contextmanager
def serving(folder: Path, threads: int) -> Iterator[tuple[int, int]]:
    """Serve the application in a process; its number and its port."""
    script = folder / "departures_app.py"
    script.write_text(f"{APP}\napp.run(port=0, threads={threads}, pool_threads={POOL}, body_timeout=3)\n")
    log = folder / "departures.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-u", str(script)], stdout=output, stderr=subprocess.STDOUT
        )
    try:
        found = None
        end = time.monotonic() + 20
        while found is None and time.monotonic() < end and process.poll() is None:
            found = re.search(r"http://[\d.]+:(\d+)", log.read_text(errors="replace"))
            time.sleep(0.05)
        if found is None:
            raise SystemExit(f"the server did not start:\n{log.read_text(errors='replace')}")
        yield process.pid, int(found.group(1))
        if process.poll() is not None:
            raise SystemExit(f"the server ended:\n{log.read_text(errors='replace')[-3000:]}")
    finally:
        process.kill()
        process.wait()


def counts(pid: int) -> tuple[int, int]:
    """Threads and descriptors."""
    return len(os.listdir(f"/proc/{pid}/task")), len(os.listdir(f"/proc/{pid}/fd"))


def run(folder: Path, seconds: float, threads: int, clients: int = 12) -> list[tuple[str, str, bool]]:
    """Have clients go for a time; what was found, as lines of a report."""
    with serving(folder, threads) as (pid, port):
        gone: Counter[str] = Counter()
        failed: list[str] = []

        def work(seed: int, until: float) -> None:
            draw = random.Random(seed)
            while time.monotonic() < until:
                kind = draw.choice(list(KINDS))
                try:
                    leave(port, kind, draw)
                except OSError as error:
                    failed.append(f"{kind}: {error!r}")
                gone[kind] += 1

        def load(length: float) -> None:
            until = time.monotonic() + length
            workers = [threading.Thread(target=work, args=(seed, until)) for seed in range(clients)]
            for worker in workers:
                worker.start()
            for worker in workers:
                worker.join()

        def settle(files: int) -> dict[str, object]:
            end = time.monotonic() + 30
            while True:
                now = state(port)
                if not now["open"] and now["tasks"] == tasks_before and counts(pid)[1] <= files:
                    return now
                if time.monotonic() > end:
                    return now
                time.sleep(0.5)

        # The server's own task, and the one that counts.
        tasks_before = state(port)["tasks"]
        files_before = counts(pid)[1]
        # All threads of the pool are there after the first clients.
        load(min(5.0, seconds / 4))
        settle(files_before)
        threads_before = counts(pid)[0]
        load(seconds)
        left = settle(files_before)
        threads_after, files_after = counts(pid)
        ever = left["ever"]
        assert isinstance(ever, dict)
        kinds = set(KINDS) - {"plain", "body-long"}
        return [
            (
                "departures",
                f"{sum(gone.values())} clients gone {dict(gone)}",
                not failed and set(gone) == set(KINDS),
            ),
            ("reached", f"views and generators that began: {ever}", kinds <= set(ever)),
            ("connects", f"{len(failed)} failed {failed[:3]}", not failed),
            (
                "left open",
                f"{left['open']}, tasks {tasks_before} before, {left['tasks']} after",
                not left["open"] and left["tasks"] == tasks_before,
            ),
            (
                "threads",
                f"{threads_before} before, {threads_after} after",
                threads_after <= max(threads_before, POOL + threads + 4),
            ),
            ("descriptors", f"{files_before} before, {files_after} after", files_after <= files_before),
        ]
