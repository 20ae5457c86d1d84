"""The parent of workers: starts them by running the same command again, replaces the dead, ends them together.

It runs no reactor and imports nothing of the application beyond what its own command did. It holds every listener
open, so that a slot's successor finds the accept queue of the dead one.

A slot is empty (waiting for `retry_at`), starting (a process that has not reported), or serving. A death after a
good while is answered at once, an early one with a growing pause; when no worker ever served, the supervisor gives up.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import socket
import subprocess
import time
from typing import TYPE_CHECKING

from . import worker
from .errors import EXIT_SOFTWARE, say
from .signals import StopSignals

if TYPE_CHECKING:
    from collections.abc import Mapping

#: A worker that served this long did not die of its start.
HEALTHY = 5.0
#: Early deaths of a slot that are answered at once.
FREE_RETRIES = 2
#: Deaths before the first worker ever served, after which there is no hope.
HOPELESS = 5
FIRST_PAUSE = 0.5
LONGEST_PAUSE = 30.0
#: A death that no end of file told (a child of the worker holds the lifeline) is noticed within this.
TICK = 0.5


class Slot:
    """One place for a worker.

    Args:
        index: Its number, from 0.
        groups: The descriptors that whoever is in it inherits.
    """

    def __init__(self, index: int, groups: list[list[int]]) -> None:
        self.index = index
        self.groups = groups
        self.process: subprocess.Popen[bytes] | None = None
        self.lifeline: socket.socket | None = None
        self.ready = False
        self.started = 0.0
        self.early_deaths = 0
        self.retry_at: float | None = 0.0


class Supervisor:
    """Keeps one worker in each slot until told to stop.

    Args:
        command: What starts a worker.
        groups: `groups[slot][thread]`: the listening descriptors of each reactor.
        grace: Seconds that workers get to drain, before they are killed.
        environ: The environment that workers inherit; `os.environ` by default.
    """

    def __init__(
        self,
        command: list[str],
        groups: list[list[list[int]]],
        grace: float,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self._command = command
        self._grace = grace
        self._environ = dict(os.environ if environ is None else environ)
        self.slots = [Slot(index, slot) for index, slot in enumerate(groups)]
        self._selector = selectors.DefaultSelector()
        self._waker, self._wakened = socket.socketpair()
        for end in (self._waker, self._wakened):
            end.setblocking(False)
        self._selector.register(self._wakened, selectors.EVENT_READ, None)
        # Written by signal handlers: plain flags, looked at by the loop.
        self._stop_asked = False
        self._abort_asked = False
        self._kill_at: float | None = None
        self._ever_ready = False
        self._exit_code = 0

    def run(self) -> int:
        """Supervise until stopped.

        Returns:
            The exit code: 0 after a clean drain, 1 when workers had to be killed or never served.
        """
        signals = StopSignals(self.stop, self.abort)
        with signals:
            try:
                while True:
                    self._obey()
                    self._reap()
                    if self._stop_asked and all(slot.process is None for slot in self.slots):
                        break
                    if not self._stop_asked:
                        self._fill()
                    self._wait()
            finally:
                self._close()
        if signals.aborted and signals.received is not None:
            return 128 + signals.received
        return self._exit_code

    def stop(self) -> None:
        """Ask for a drain of all workers. Safe from a signal handler."""
        self._stop_asked = True
        self._wake()

    def abort(self) -> None:
        """Ask for the end of all workers at once. Safe from a signal handler."""
        self._stop_asked = self._abort_asked = True
        self._wake()

    def _wake(self) -> None:
        with contextlib.suppress(OSError):
            self._waker.send(b"\0")

    def _obey(self) -> None:
        """Do what the flags ask for, each thing once."""
        now = time.monotonic()
        if self._stop_asked and self._kill_at is None:
            self._kill_at = now + self._grace + 1.0
            self._signal(signal.SIGTERM)
        if self._abort_asked:
            self._signal(signal.SIGKILL)
        elif self._kill_at is not None and now >= self._kill_at:
            late = [str(slot.index) for slot in self.slots if slot.process is not None]
            if late:
                say(f"killing workers that did not drain within {self._grace:g} s: {', '.join(late)}")
                self._exit_code = 1
                self._signal(signal.SIGKILL)
            self._kill_at = now + TICK

    def _signal(self, number: int) -> None:
        for slot in self.slots:
            if slot.process is not None:
                with contextlib.suppress(ProcessLookupError):
                    slot.process.send_signal(number)

    def _fill(self) -> None:
        now = time.monotonic()
        for slot in self.slots:
            if slot.process is None and slot.retry_at is not None and slot.retry_at <= now:
                self._start(slot)

    def _start(self, slot: Slot) -> None:
        ours, theirs = socket.socketpair()
        inherited = [theirs.fileno(), *(fd for group in slot.groups for fd in group)]
        slot.started = time.monotonic()
        slot.ready = False
        slot.retry_at = None
        try:
            slot.process = subprocess.Popen(
                self._command,
                env={**self._environ, **worker.environment(slot.index, slot.groups, theirs.fileno())},
                pass_fds=inherited,
                stdin=subprocess.DEVNULL,
                # Its own session: Ctrl-C in the terminal reaches the supervisor alone, which tells each once.
                start_new_session=True,
            )
        except OSError as error:
            ours.close()
            say(f"worker {slot.index} cannot be started: {error.strerror or error}")
            self._bury(slot, None)
            return
        finally:
            theirs.close()
        ours.setblocking(False)
        slot.lifeline = ours
        self._selector.register(ours, selectors.EVENT_READ, slot)

    def _reap(self) -> None:
        for slot in self.slots:
            if slot.process is None:
                continue
            code = slot.process.poll()
            if code is not None:
                self._bury(slot, code)

    def _bury(self, slot: Slot, code: int | None) -> None:
        """Note a worker's end and say when its successor may start."""
        # A worker can report and die between two rounds.
        self._read(slot)
        if slot.lifeline is not None:
            self._forget(slot)
        slot.process = None
        if self._stop_asked:
            if code not in (0, -signal.SIGTERM, -signal.SIGKILL):
                self._exit_code = self._exit_code or 1
                say(f"worker {slot.index} {_ending(code)} while draining")
            return
        now = time.monotonic()
        healthy = slot.ready and now - slot.started >= HEALTHY
        slot.early_deaths = 0 if healthy else slot.early_deaths + 1
        pause = self._pause(slot)
        slot.retry_at = now + pause
        if not self._ever_ready and slot.early_deaths >= HOPELESS:
            say(f"worker {slot.index} {_ending(code)}; no worker ever served, giving up")
            self._exit_code = 1
            self.stop()
            return
        after = f" in {pause:g} s" if pause else ""
        if code is not None:
            say(f"worker {slot.index} {_ending(code)}; starting another{after}")

    def _pause(self, slot: Slot) -> float:
        # One that had served is replaced at once, unless it keeps dying young.
        free = FREE_RETRIES if slot.ready else 0
        if slot.early_deaths <= free:
            return 0.0
        return min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(slot.early_deaths - free - 1, 16))

    def _wait(self) -> None:
        moments = [slot.retry_at for slot in self.slots if slot.process is None and slot.retry_at is not None]
        if self._kill_at is not None:
            moments.append(self._kill_at)
        timeout = max(0.0, min([TICK, *(moment - time.monotonic() for moment in moments)]))
        for key, _ in self._selector.select(timeout):
            if key.data is None:
                with contextlib.suppress(OSError):
                    self._wakened.recv(4096)
            else:
                self._read(key.data)

    def _read(self, slot: Slot) -> None:
        """Take what a worker wrote on its lifeline; its end of file means that the process is ending."""
        if slot.lifeline is None:
            return
        try:
            data = slot.lifeline.recv(64)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data = b""
        if data:
            slot.ready = self._ever_ready = True
            return
        self._forget(slot)
        if slot.process is not None:
            # The exit status follows the closed descriptor within moments; if not, the tick finds it.
            with contextlib.suppress(subprocess.TimeoutExpired):
                slot.process.wait(timeout=0.2)

    def _forget(self, slot: Slot) -> None:
        if slot.lifeline is not None:
            self._selector.unregister(slot.lifeline)
            slot.lifeline.close()
            slot.lifeline = None

    def _close(self) -> None:
        """Leave no worker behind, whatever ended the loop."""
        for slot in self.slots:
            if slot.process is not None:
                slot.process.kill()
                slot.process.wait()
                slot.process = None
            self._forget(slot)
        self._selector.close()
        self._waker.close()
        self._wakened.close()


def _ending(code: int | None) -> str:
    if code is None:
        return "did not start"
    if code == EXIT_SOFTWARE:
        return "ended by a failure of its server"
    if code < 0:
        with contextlib.suppress(ValueError):
            return f"was ended by {signal.Signals(-code).name}"
        return f"was ended by signal {-code}"
    return f"exited with code {code}"
