"""WebSocket echo, beside other servers: messages by the server's processor time, in interleaved rounds.

    python benches/end_to_end/sockets.py --rounds 5 --secs 2 --venv target/sockets_venv

Each server echoes texts of 64 bytes to connections that send the next one when the last has come back. The load is a
program of its own (`benches/bare/src/bin/echoload.rs`) and sleeps when it waits, as wrk does: its share of its processor
stands beside the figures, and near 1 a figure would be the load's and not the server's. The others
(uvicorn with websockets, granian, socketify) are installed into an environment of the benchmark's own, which is made
when it is missing; one that cannot be installed or does not start is named and left out. `--idle` measures what an idle
socket costs instead. Linux only.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import json
import os
import re
import resource
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import servers  # noqa: E402
from quiet import Quiet  # noqa: E402
from report import said  # noqa: E402

OURS = """
import sys
from bustapi import BustAPI
app = BustAPI(__name__)

@app.websocket("/")
async def echo(ws):
    async for message in ws:
        await ws.send(message)

app.run("127.0.0.1", int(sys.argv[1]))
"""
ASGI = """
async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": message["text"]})
"""
SOCKETIFY = """
import sys
from socketify import App
app = App()
app.ws("/*", {"message": lambda ws, message, opcode: ws.send(message, opcode)})
app.listen(int(sys.argv[1]), lambda config: None)
app.run()
"""
PEERS = {
    "uvicorn": (
        ["uvicorn", "websockets", "uvloop"],
        "-m uvicorn --ws websockets --loop uvloop --log-level warning",
    ),
    "granian": (["granian", "uvloop"], "-m granian --interface asgi --loop uvloop --ws --log-level warning"),
    "socketify": (["socketify"], None),
}
HANDSHAKE = (
    b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
ECHO_GOAL = 1.5
IDLE_GOAL = 6000


class Echoed(NamedTuple):
    """One server in one round."""

    #: Messages that came back for each second of the server's processor.
    rate: float
    #: How much of its processor the load used.
    load: float


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--secs", type=float, default=2.0)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--server-core", default="0")
    parser.add_argument("--load-core", type=int, default=1)
    parser.add_argument(
        "--binaries", type=Path, default=HERE.parents[1] / "target" / "release", help="folder of echoload"
    )
    parser.add_argument("--spin", action="store_true", help="the load never sleeps: no server has to wake it")
    parser.add_argument("--venv", type=Path, default=HERE.parents[1] / "target" / "sockets_venv")
    parser.add_argument("--idle", type=int, metavar="N", help="only: bytes that each of N idle sockets takes")
    Quiet.add_options(parser)
    chosen = parser.parse_args()
    quiet = Quiet.chosen(chosen)
    os.sched_setaffinity(0, {chosen.load_core})
    if chosen.idle is not None:
        idle(chosen.idle, chosen.server_core)
        return 0
    python = peers_python(chosen.venv)
    load = [str(chosen.binaries / "echoload"), "--connections", str(chosen.connections)]
    load += ["--spin", "yes"] if chosen.spin else []
    echoes: dict[str, list[Echoed]] = {}
    with tempfile.TemporaryDirectory(prefix="bustapi-bench-") as folder:
        names = ["bustapi", *PEERS]
        for _ in range(chosen.rounds):
            for name in list(names):
                try:
                    with serving(name, python, Path(folder), chosen.server_core) as server:
                        echoed = quiet.measure(functools.partial(echo, server, load, chosen.secs))
                except (RuntimeError, OSError, SystemExit) as error:
                    print(f"{name} is left out: {error}", file=sys.stderr)
                    names.remove(name)
                    continue
                echoes.setdefault(name, []).append(echoed)
    rates = {name: [one.rate for one in found] for name, found in echoes.items()}
    ours = statistics.median(rates["bustapi"])
    for name, found in rates.items():
        middle = statistics.median(found)
        busy = statistics.median(one.load for one in echoes[name])
        print(
            f"{name:<10} {middle:9,.0f} messages a CPU second ({min(found):,.0f} to {max(found):,.0f}),"
            f" ours is {ours / middle:5.2f} times that; the load used {busy:.2f} of its processor"
        )
    best = max((statistics.median(found) for name, found in rates.items() if name != "bustapi"), default=0.0)
    if best:
        print(
            f"of the best of the others: {ours / best:.2f} (>= {ECHO_GOAL:g}: {said(ours >= ECHO_GOAL * best)})"
        )
    print(quiet.report())
    return 0


def peers_python(folder: Path) -> Path:
    """The interpreter of the environment with the other servers; those that cannot be installed are told of later."""
    python = folder / "bin" / "python"
    if not python.exists():
        venv.create(folder, with_pip=True)
        for packages, _ in PEERS.values():
            subprocess.run([str(python), "-m", "pip", "install", "--quiet", *packages], check=False)
    return python


@contextlib.contextmanager
def serving(name: str, python: Path, folder: Path, core: str) -> Iterator[servers.Server]:
    """Start a server."""
    port = servers.unused_port()
    (folder / "peer_app.py").write_text(ASGI)
    options = PEERS.get(name, ([], None))[1]
    if name == "bustapi":
        command = [sys.executable, "-c", OURS, str(port)]
    elif options is None:
        command = [str(python), "-c", SOCKETIFY, str(port)]
    else:
        command = ["env", f"PYTHONPATH={folder}", str(python), *options.split()]
        command += ["--host", servers.HOST, "--port", str(port), "peer_app:app"]
    with servers.started(name, command, port, core, folder) as server:
        yield server


def connect(port: int) -> socket.socket:
    sock = socket.create_connection((servers.HOST, port), 10)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.sendall(HANDSHAKE)
    answer = b""
    while b"\r\n\r\n" not in answer:
        part = sock.recv(4096)
        if not part:
            break
        answer += part
    if not answer.startswith(b"HTTP/1.1 101"):
        raise RuntimeError(f"the handshake was answered with {answer[:60]!r}")
    return sock


def echo(server: servers.Server, command: Sequence[str], length: float) -> Echoed:
    """What `echoload` and the server's processor say of a run."""
    with subprocess.Popen(
        [*command, "--port", str(server.port), "--seconds", f"{length:g}"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as load:
        assert load.stdin is not None
        assert load.stdout is not None
        try:
            if load.stdout.readline() != "ready\n":
                raise RuntimeError("the load does not get ready")
            # The load waits for this line, so the server has nothing to do between the two readings of its clock.
            used = server.cpu_seconds()
            load.stdin.write("\n")
            load.stdin.flush()
            line = load.stdout.readline()
            used = server.cpu_seconds() - used
        finally:
            load.stdin.close()
    if load.returncode:
        raise RuntimeError("the load failed")
    found = json.loads(line)
    busy = found["own_ticks"] / servers.TICKS_PER_SECOND / found["seconds"]
    return Echoed(found["messages"] / max(used, 1 / servers.TICKS_PER_SECOND), busy)


def idle(count: int, core: str) -> None:
    """Print what an idle socket of ours takes."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))

    def memory(server: servers.Server) -> int:
        text = Path(f"/proc/{server.process.pid}/smaps_rollup").read_text()
        found = re.search(r"^Pss:\s+(\d+)", text, re.MULTILINE)
        return int(found[1]) * 1024 if found else 0

    with (
        tempfile.TemporaryDirectory(prefix="bustapi-bench-") as folder,
        serving("bustapi", Path(sys.executable), Path(folder), core) as server,
        contextlib.ExitStack() as stack,
    ):
        for _ in range(200):
            stack.enter_context(connect(server.port))
        time.sleep(0.5)
        before = memory(server)
        for _ in range(count):
            stack.enter_context(connect(server.port))
        time.sleep(1)
        each = (memory(server) - before) / count
        print(f"{each:,.0f} bytes an idle socket (<= {IDLE_GOAL:,}: {said(each <= IDLE_GOAL)})")


if __name__ == "__main__":
    sys.exit(main())
