"""Fixtures shared by every Python test: free ports, and apps served in a process of their own."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Callable, Optional

import pytest
from hypothesis import settings

# The same code has the same verdict: examples are drawn from the tests' own names and code. Others are drawn, as many
# times as one likes, with `--hypothesis-profile=explore`.
settings.register_profile("same", derandomize=True, database=None)
settings.register_profile("explore", print_blob=True)
settings.load_profile("same")

# The tests compare with the real packages in one process, so both names must keep meaning these. Tests of the bridge
# switch it on in processes of their own.
os.environ["BUSTAPI_BRIDGE"] = "0"

HOST = "127.0.0.1"
START_SECONDS = 20.0
STOP_SECONDS = 10.0
# Tests that run side by side must not draw the same numbers, whatever they seed.
CHANCE = random.SystemRandom()


class Served:
    """An app that answers on `port`, and the process it runs in."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, log: Path) -> None:
        self.process = process
        self.port = port
        self.url = f"http://{HOST}:{port}"
        self._log = log

    @property
    def output(self) -> str:
        """What the process has written to stdout and stderr so far."""
        return self._log.read_text(errors="replace")

    def connect(self, timeout: float = 5.0) -> socket.socket:
        """A new raw connection."""
        return socket.create_connection((HOST, self.port), timeout=timeout)

    def stop(self, signum: int = signal.SIGTERM) -> int:
        """Ends the process, by force if it does not end in time; returns its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signum)
        try:
            return self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            # The whole group: workers must not outlive a supervisor that hangs.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(STOP_SECONDS)
            raise AssertionError(f"the server did not stop; its output:\n{self.output}") from None


def unused_port() -> int:
    """A port that was free a moment ago, and that no client of another test is given meanwhile.

    Systems take the ports of clients from 32768 on, or from 49152 on.
    """
    while True:
        port = CHANCE.randrange(15000, 32000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind((HOST, port))
            return port


@pytest.fixture
def free_port() -> int:
    """A port of 127.0.0.1 on which nothing listens."""
    return unused_port()


@pytest.fixture
def serve_source(tmp_path: Path) -> Iterator[Callable[..., Served]]:
    """Serves an app given as source text, in a process of its own that ends with the test.

    The source finds its port in the global `PORT` and must call `run` itself::

        server = serve_source('''
            from bustapi import BustAPI
            app = BustAPI()
            app.run(port=PORT)
        ''')
    """
    servers: list[Served] = []

    def serve(source: str, *, env: Optional[dict[str, str]] = None, wait: bool = True) -> Served:
        port = unused_port()
        number = len(servers)
        script = tmp_path / f"served_{number}.py"
        text = textwrap.dedent(source)
        script.write_text(f"PORT = {port}\n{text}")
        log = tmp_path / f"served_{number}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, str(script)],
                cwd=tmp_path,
                env={**os.environ, "PYTHONUNBUFFERED": "1", **(env or {})},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        server = Served(process, port, log)
        servers.append(server)
        if wait:
            wait_until_listening(server)
        return server

    try:
        yield serve
    finally:
        # Every one is stopped, whatever stopping the one before it said.
        with contextlib.ExitStack() as stack:
            for server in servers:
                stack.callback(server.stop)


def wait_until_listening(server: Served) -> None:
    """Returns once a connection is accepted; fails when the process ends or the time is over."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if server.process.poll() is not None:
            break
        try:
            server.connect(timeout=1.0).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    pytest.fail(f"the server does not listen on {server.port}; its output:\n{server.output}")
