"""One worker process as its supervisor sees it: how it is started, told to end, and what it says on its lifeline."""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
import time
from typing import TYPE_CHECKING

from . import worker
from .errors import EXIT_SOFTWARE

if TYPE_CHECKING:
    from collections.abc import Mapping


class WorkerProcess:
    """A started worker.

    Args:
        command: What starts it.
        environ: What it inherits beside its slot's variables.
        slot: The number of its slot.
        groups: The descriptors of each of its reactors' listeners.

    Raises:
        OSError: The system cannot start it.
    """

    def __init__(
        self, command: list[str], environ: Mapping[str, str], slot: int, groups: list[list[int]]
    ) -> None:
        self.slot = slot
        self.started = time.monotonic()
        #: True once it has reported that it serves.
        self.ready = False
        #: When a retired one is killed.
        self.kill_at: float | None = None
        ours, theirs = socket.socketpair()
        try:
            self._process = subprocess.Popen(
                command,
                env={**environ, **worker.environment(slot, groups, theirs.fileno())},
                pass_fds=[theirs.fileno(), *(fd for group in groups for fd in group)],
                stdin=subprocess.DEVNULL,
                # Its own session: Ctrl-C in the terminal reaches the supervisor alone, which tells each once.
                start_new_session=True,
            )
        except OSError:
            ours.close()
            raise
        finally:
            theirs.close()
        ours.setblocking(False)
        self.lifeline: socket.socket | None = ours

    @property
    def pid(self) -> int:
        """The process's number."""
        return self._process.pid

    def poll(self) -> int | None:
        """The exit code as subprocess gives it, None while the process lives."""
        return self._process.poll()

    def send(self, number: int) -> None:
        """Send a signal; nothing happens when the process is gone."""
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(number)

    def retire(self, grace: float) -> None:
        """Have it drain; past the grace it is to be killed, which is up to the caller."""
        if self.kill_at is None:
            self.kill_at = time.monotonic() + grace + 1.0
            self.send(signal.SIGTERM)

    def read(self) -> bytes | None:
        """Take what it wrote on its lifeline.

        Returns:
            Its reports; empty at the end of file; None when there is nothing new.
        """
        if self.lifeline is None:
            return None
        try:
            return self.lifeline.recv(64)
        except (BlockingIOError, InterruptedError):
            return None
        except OSError:
            return b""

    def settle(self) -> None:
        """Give a process that has closed its lifeline a moment to be gone."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=0.2)

    def end(self) -> None:
        """Kill it and wait for its end."""
        self._process.kill()
        self._process.wait()


def ending(code: int | None) -> str:
    """Say how a process ended.

    Args:
        code: As subprocess gives it; None for one that could not be started.

    Returns:
        A predicate for a log line.
    """
    if code is None:
        return "did not start"
    if code == EXIT_SOFTWARE:
        return "ended by a failure of its server"
    if code < 0:
        with contextlib.suppress(ValueError):
            return f"was ended by {signal.Signals(-code).name}"
        return f"was ended by signal {-code}"
    return f"exited with code {code}"
