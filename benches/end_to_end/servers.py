"""The two servers under test: started, pinned to their cores, watched through /proc, and ended."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, Optional

HOST = "127.0.0.1"
START_SECONDS = 20.0
STOP_SECONDS = 5.0
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


class Server:
    """A running server process."""

    def __init__(self, name: str, process: subprocess.Popen[bytes], port: int) -> None:
        self.name = name
        self.process = process
        self.port = port

    def cpu_seconds(self) -> float:
        """User and system time of the whole process tree so far, ended children included."""
        ticks = 0
        for pid in tree(self.process.pid):
            fields = stat_fields(pid)
            if fields is not None:
                # proc(5), after the command: utime, stime, cutime, cstime are fields 14 to 17.
                ticks += sum(int(field) for field in fields[11:15])
        return ticks / TICKS_PER_SECOND

    def resident_bytes(self) -> int:
        """VmRSS of the whole process tree."""
        total = 0
        for pid in tree(self.process.pid):
            for line in Path(f"/proc/{pid}/status").read_text().splitlines():
                if line.startswith("VmRSS:"):
                    total += int(line.split()[1]) * 1024
        return total

    def ask(self, request: bytes) -> bytes:
        """One exchange over a connection of its own; the whole answer."""
        with socket.create_connection((HOST, self.port), timeout=5.0) as connection:
            connection.sendall(request)
            return read_answer(connection)


@contextlib.contextmanager
def bare(binary: Path, cores: str, logs: Path) -> Iterator[Server]:
    """The bare mio + httparse server."""
    port = unused_port()
    with started("bare", [str(binary), "--port", str(port)], port, cores, logs) as server:
        yield server


@contextlib.contextmanager
def ours(python: str, cores: str, logs: Path, threads: int = 1, args: Sequence[str] = ()) -> Iterator[Server]:
    """The benched app."""
    port = unused_port()
    app = Path(__file__).with_name("app.py")
    command = [python, str(app), "--port", str(port), "--threads", str(threads), *args]
    name = "ours" if threads == 1 else f"threads={threads}"
    with started(name, command, port, cores, logs) as server:
        yield server


@contextlib.contextmanager
def started(name: str, command: Sequence[str], port: int, cores: str, logs: Path) -> Iterator[Server]:
    log = logs / f"{name}-{port}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            ["taskset", "-c", cores, *command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    server = Server(name, process, port)
    try:
        wait_until_listening(server, log)
        yield server
    finally:
        stop(process)


def stop(process: subprocess.Popen[bytes]) -> None:
    """By signal; by force, with all it started, if that takes too long."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        print(f"{process.args!r} did not stop and is killed", file=sys.stderr)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def wait_until_listening(server: Server, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while server.process.poll() is None and time.monotonic() < deadline:
        try:
            socket.create_connection((HOST, server.port), timeout=1.0).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    text = log.read_text(errors="replace")
    raise SystemExit(f"{server.name} does not listen on {server.port}; its output:\n{text}")


def read_answer(connection: socket.socket) -> bytes:
    """One answer that has a Content-Length, head and body."""
    answer = b""
    while True:
        chunk = connection.recv(65536)
        if not chunk:
            raise ConnectionError("the server closed the connection within its answer")
        answer += chunk
        head, separator, body = answer.partition(b"\r\n\r\n")
        if separator and len(body) >= content_length(head):
            return answer


def content_length(head: bytes) -> int:
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length":
            return int(value)
    raise ValueError(f"an answer without Content-Length: {head!r}")


def unused_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


class Process(NamedTuple):
    """A process and the one that started it."""

    pid: int
    parent: int


def tree(root: int) -> list[int]:
    """`root` and all its live descendants."""
    processes = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            fields = stat_fields(int(entry))
            if fields is not None:
                processes.append(Process(int(entry), int(fields[1])))
    found = [root]
    for pid in found:
        found.extend(process.pid for process in processes if process.parent == pid)
    return found


def stat_fields(pid: int) -> Optional[list[str]]:
    """The fields of /proc/PID/stat after the command, which may itself hold spaces; None once it has ended."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    return text.rpartition(")")[2].split()
