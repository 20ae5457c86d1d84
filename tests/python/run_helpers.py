"""Starts servers as their users do, by a command line, and looks after their processes."""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Callable, Optional

START_SECONDS = 20.0
STOP_SECONDS = 15.0


class Server:
    """A server's process; `port` is read from its start-up line."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self.process = process
        self._log = log
        self.port = 0

    @property
    def output(self) -> str:
        return self._log.read_text(errors="replace")

    def wait_for(self, pattern: str, seconds: float = START_SECONDS) -> re.Match[str]:
        """The first match in what was written so far; fails when the time is over or the process ends without it."""
        deadline = time.monotonic() + seconds
        while True:
            ended = self.process.poll() is not None
            found = re.search(pattern, self.output, re.MULTILINE)
            if found:
                return found
            if ended or time.monotonic() > deadline:
                raise AssertionError(f"no {pattern!r} (exit code {self.process.poll()}) in:\n{self.output}")
            time.sleep(0.02)

    def send(self, number: int) -> None:
        self.process.send_signal(number)

    def wait(self, seconds: float = STOP_SECONDS) -> int:
        """The exit code; fails when the process does not end in time."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the server did not end; its output:\n{self.output}") from None

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.send(number)
        return self.wait()

    def connect(self, timeout: float = 10.0) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout)

    def get(self, path: str = "/", host: str = "127.0.0.1", timeout: float = 10.0) -> tuple[int, str]:
        """Status and body, on a connection of its own."""
        connection = http.client.HTTPConnection(host, self.port, timeout=timeout)
        try:
            connection.request("GET", path, headers={"Connection": "close"})
            response = connection.getresponse()
            return response.status, response.read().decode()
        finally:
            connection.close()

    def children(self) -> list[int]:
        """The processes that this one has started and that live (Linux)."""
        found = []
        for task in Path(f"/proc/{self.process.pid}/task").iterdir():
            found += [int(pid) for pid in (task / "children").read_text().split()]
        return found


@contextlib.contextmanager
def started(
    command: list[str],
    folder: Path,
    env: Optional[Mapping[str, str]] = None,
    *,
    announced: Optional[str] = r"^BustAPI \S+ on .*$",
) -> Iterator[Server]:
    """Runs a command that serves; the process and what it started are gone when the block ends.

    `announced` is waited for before the block begins; None: nothing is.
    """
    log = folder / f"server-{time.monotonic_ns()}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env={**os.environ, "PYTHONUNBUFFERED": "1", **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    server = Server(process, log)
    try:
        if announced is not None:
            line = server.wait_for(announced).group()
            port = re.search(r"http://\S+?:(\d+)(?=[ ,/]|$)", line)
            if port:
                server.port = int(port.group(1))
        yield server
    finally:
        end(process)


def end(process: subprocess.Popen[bytes]) -> None:
    """Ends a process and its children, by force where they do not end by themselves."""
    children: list[int] = []
    if process.poll() is None:
        with contextlib.suppress(OSError):
            children = Server(process, Path(os.devnull)).children()
        process.terminate()
        try:
            process.wait(5.0)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(5.0)
    # Workers lead sessions of their own.
    for pid in children:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def script(folder: Path, source: str, name: str = "served.py") -> list[str]:
    """Writes a program and gives the command that runs it."""
    path = folder / name
    path.write_text(textwrap.dedent(source))
    return [sys.executable, str(path)]


def run_to_end(command: list[str], folder: Path, **env: str) -> tuple[int, str, str]:
    """Runs a command that should end by itself: exit code, stdout, stderr."""
    result = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, **env},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    return result.returncode, result.stdout, result.stderr


def eventually(true: Callable[[], bool], seconds: float = 10.0) -> None:
    """Returns once `true()`; fails after `seconds`."""
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            raise AssertionError("did not become true in time")
        time.sleep(0.02)


def edit(path: Path, old: str, new: str) -> None:
    """Change a file at once, as editors do: a reload must not find half of it."""
    changed = path.with_suffix(".changed")
    changed.write_text(path.read_text().replace(old, new))
    # A clock that stands still between two writes hides the second.
    os.utime(changed, (time.time() + 5, time.time() + 5))
    os.replace(changed, path)
