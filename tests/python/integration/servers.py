"""Starts applications in processes of their own and talks to them over raw sockets."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

START = 20.0
"""Seconds within which a server must say where it listens."""


@dataclass
class Served:
    """A running server."""

    process: subprocess.Popen[str]
    port: int
    lines: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def log(self) -> str:
        return "".join(self.lines)

    def wait_for(self, pattern: str, seconds: float = 10.0) -> str:
        """The first line of output that matches; fails after `seconds`."""
        end = time.monotonic() + seconds
        seen = 0
        while time.monotonic() < end:
            while seen < len(self.lines):
                if re.search(pattern, self.lines[seen]):
                    return self.lines[seen]
                seen += 1
            time.sleep(0.02)
        raise AssertionError(f"no line matches {pattern!r} in:\n{self.log()}")

    def connect(self, timeout: float = 10.0) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout)

    def send(self, raw: bytes, timeout: float = 10.0) -> bytes:
        """Sends bytes, half-closes, and reads until the server closes."""
        with self.connect(timeout) as sock:
            sock.sendall(raw)
            sock.shutdown(socket.SHUT_WR)
            return read_all(sock)

    def stop(self, sig: int = signal.SIGTERM, seconds: float = 15.0) -> int:
        self.process.send_signal(sig)
        return self.process.wait(seconds)


def read_all(sock: socket.socket) -> bytes:
    """Everything until the peer closes."""
    parts = []
    while True:
        part = sock.recv(65536)
        if not part:
            return b"".join(parts)
        parts.append(part)


def read_until(sock: socket.socket, end: bytes) -> bytes:
    """Bytes up to and including `end`, or until the peer closes."""
    got = b""
    while end not in got:
        part = sock.recv(65536)
        if not part:
            break
        got += part
    return got


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


#: A function for applications under test: what their process has in memory, in KiB (Linux).
MEMORY = """
    def memory():
        with open("/proc/self/status") as status:
            for line in status:
                if line.startswith("VmRSS"):
                    return int(line.split()[1])
"""


@contextlib.contextmanager
def serving(
    directory: Path, source: str, *, run: str = "", env: dict[str, str] | None = None, port: int | None = None
) -> Iterator[Served]:
    """Serves the application `app` that `source` makes; `run` is the text of further arguments of `app.run`."""
    port = free_port() if port is None else port
    script = directory / "served_app.py"
    script.write_text(
        textwrap.dedent(source)
        + f"\n\nif __name__ == '__main__':\n    app.run(host='127.0.0.1', port={port}{', ' + run if run else ''})\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-u", str(script)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=directory,
        env={**os.environ, **(env or {})},
    )
    served = Served(process, port)

    def collect() -> None:
        assert process.stdout is not None
        for line in process.stdout:
            served.lines.append(line)

    reader = threading.Thread(target=collect, daemon=True)
    reader.start()
    try:
        wait_until_open(served)
        yield served
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(10)
        reader.join(5)
        if process.stdout is not None:
            process.stdout.close()


def wait_until_open(served: Served) -> None:
    end = time.monotonic() + START
    while time.monotonic() < end:
        if served.process.poll() is not None:
            time.sleep(0.1)
            raise AssertionError(f"the server ended with {served.process.returncode}:\n{served.log()}")
        try:
            served.connect(1).close()
            return
        except OSError:
            time.sleep(0.02)
    raise AssertionError(f"the server does not listen:\n{served.log()}")
