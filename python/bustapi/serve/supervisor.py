"""The parent of workers: starts them by running the same command again, replaces them, ends them together.

It runs no reactor and imports nothing of the application beyond what its own command did. It holds every listener
open, so that a slot's successor finds the accept queue of the one before.

A slot has up to three kinds of process: one that serves (`current`), one that starts (`starting`, becomes current when
it reports ready), and former ones that drain (`retiring`). Rules:

- A worker that dies is replaced at once after a good while, after a growing pause when it died young; when no worker
  ever served, the supervisor gives up.
- A worker that lives is replaced, for a reload or because it reached a limit, by one that is ready before it drains;
  one slot after the other. When the new one fails, the old one goes on.
- The stop closes the supervisor's listeners, so that the workers' own are the last: they accept until their queues
  are empty. A slot whose queue has connections and whose worker is only starting is drained once it serves.
"""

from __future__ import annotations

import contextlib
import os
import select
import selectors
import signal
import socket
import time
from typing import TYPE_CHECKING, Callable

from .errors import say
from .process import WorkerProcess, ending
from .signals import StopSignals, on_hangup
from .worker import READY, REASONS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

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

RELOAD = "reload"


class Slot:
    """One place for a worker.

    Args:
        index: Its number, from 0.
        groups: The descriptors that whoever is in it inherits.
    """

    def __init__(self, index: int, groups: list[list[int]]) -> None:
        self.index = index
        self.groups = groups
        self.current: WorkerProcess | None = None
        self.starting: WorkerProcess | None = None
        self.retiring: list[WorkerProcess] = []
        #: Why `starting` is to follow a worker that lives.
        self.reason = ""
        self.early_deaths = 0
        #: When the next start may be tried.
        self.retry_at = 0.0

    @property
    def ready(self) -> bool:
        """Whether a worker serves here."""
        return self.current is not None

    def workers(self) -> list[WorkerProcess]:
        """Every process of this slot."""
        return [item for item in (self.current, self.starting, *self.retiring) if item is not None]

    def queued(self) -> bool:
        """Tell whether connections wait in the accept queues of this slot."""
        poll = select.poll()
        for group in self.groups:
            for fd in group:
                poll.register(fd, select.POLLIN)
        with contextlib.suppress(OSError):
            return any(happened & select.POLLIN for _, happened in poll.poll(0))
        return False


class Supervisor:
    """Keeps one worker in each slot until told to stop.

    Args:
        command: What starts a worker.
        groups: `groups[slot][thread]`: the listening descriptors of each reactor.
        grace: Seconds that workers get to drain, before they are killed.
        environ: The environment that workers inherit; `os.environ` by default.
        release: Closes the listening descriptors; called once, when the workers are to drain.
    """

    def __init__(
        self,
        command: list[str],
        groups: list[list[list[int]]],
        grace: float,
        environ: Mapping[str, str] | None = None,
        release: Callable[[], None] | None = None,
    ) -> None:
        self._command = command
        self._grace = grace
        self._environ = dict(os.environ if environ is None else environ)
        self._release = release
        self.slots = [Slot(index, slot) for index, slot in enumerate(groups)]
        #: Slots whose worker lives and is to be replaced, with the reason, in this order.
        self._replace: dict[int, str] = {}
        self._selector = selectors.DefaultSelector()
        self._waker, self._wakened = socket.socketpair()
        for end in (self._waker, self._wakened):
            end.setblocking(False)
        self._selector.register(self._wakened, selectors.EVENT_READ, None)
        # Written by signal handlers: plain flags, looked at by the loop.
        self._stop_asked = False
        self._abort_asked = False
        self._reload_asked = False
        self._stopping = False
        self._ever_ready = False
        self._exit_code = 0

    def run(self) -> int:
        """Supervise until stopped.

        Returns:
            The exit code: 0 after a clean drain, 1 when workers had to be killed or never served.
        """
        signals = StopSignals(self.stop, self.abort)
        with signals, on_hangup(self.reload):
            try:
                while True:
                    self._obey()
                    self._reap()
                    if self._stopping and not any(slot.workers() for slot in self.slots):
                        break
                    if not self._stopping:
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

    def reload(self) -> None:
        """Ask for new workers, from the code as it is on disk now. Safe from a signal handler."""
        self._reload_asked = True
        self._wake()

    def _wake(self) -> None:
        with contextlib.suppress(OSError):
            self._waker.send(b"\0")

    def _obey(self) -> None:
        """Do what the flags ask for, each thing once."""
        if self._stop_asked and not self._stopping:
            self._begin_stop()
        if self._reload_asked:
            self._reload_asked = False
            if not self._stopping:
                self._begin_reload()
        if self._abort_asked:
            for process in self._processes():
                process.send(signal.SIGKILL)
            return
        now = time.monotonic()
        for process in self._processes():
            if process.kill_at is not None and now >= process.kill_at:
                say(f"killing worker {process.slot}, which did not drain within {self._grace:g} s")
                process.kill_at = now + TICK
                process.send(signal.SIGKILL)
                if self._stopping:
                    self._exit_code = 1

    def _processes(self) -> Iterator[WorkerProcess]:
        for slot in self.slots:
            yield from slot.workers()

    def _begin_stop(self) -> None:
        self._stopping = True
        self._replace.clear()
        waited_for = []
        for slot in self.slots:
            if slot.current is None and self._ever_ready and slot.queued():
                # Connections that were taken in are answered: somebody must come who does it.
                if slot.starting is None:
                    self._start(slot)
                waited_for.append(slot.starting)
        if self._release is not None:
            self._release()
        for process in self._processes():
            if process in waited_for:
                process.kill_at = time.monotonic() + self._grace + 1.0
            else:
                process.retire(self._grace)

    def _begin_reload(self) -> None:
        say(f"reloading {len(self.slots)} worker{'s' if len(self.slots) > 1 else ''}")
        for slot in self.slots:
            if slot.starting is not None:
                # It may have read code that has changed since.
                self._retire(slot, slot.starting)
                slot.starting = None
            slot.early_deaths = 0
            slot.retry_at = 0.0
        self._replace = {slot.index: RELOAD for slot in self.slots if slot.current is not None}

    def _fill(self) -> None:
        """Start what is missing, then the next replacement if nothing else starts."""
        now = time.monotonic()
        for slot in self.slots:
            if slot.current is None and slot.starting is None and slot.retry_at <= now:
                self._start(slot)
        if any(slot.starting is not None for slot in self.slots):
            return
        for index, reason in list(self._replace.items()):
            slot = self.slots[index]
            if slot.current is None:
                # It died meanwhile, and was or will be replaced for that.
                del self._replace[index]
            elif slot.retry_at <= now:
                del self._replace[index]
                slot.reason = reason
                self._start(slot)
                return

    def _start(self, slot: Slot) -> None:
        try:
            process = WorkerProcess(self._command, self._environ, slot.index, slot.groups)
        except OSError as error:
            say(f"worker {slot.index} cannot be started: {error.strerror or error}")
            self._missed(slot, None)
            return
        slot.starting = process
        if process.lifeline is not None:
            self._selector.register(process.lifeline, selectors.EVENT_READ, process)

    def _reap(self) -> None:
        for slot in self.slots:
            for process in slot.workers():
                code = process.poll()
                if code is not None:
                    self._bury(slot, process, code)

    def _bury(self, slot: Slot, process: WorkerProcess, code: int) -> None:
        """Note a worker's end and say when its successor may start."""
        # A worker can report and die between two rounds.
        self._read(process)
        self._forget(process)
        if process in slot.retiring:
            slot.retiring.remove(process)
            self._note_drained(slot, code)
        elif process is slot.starting:
            slot.starting = None
            self._missed(slot, code)
        elif process is slot.current:
            slot.current = None
            if self._stopping:
                self._note_drained(slot, code)
            else:
                self._died(slot, process, code)

    def _note_drained(self, slot: Slot, code: int) -> None:
        if code not in (0, -signal.SIGTERM, -signal.SIGKILL):
            say(f"worker {slot.index} {ending(code)} while draining")
            if self._stopping:
                self._exit_code = 1

    def _died(self, slot: Slot, process: WorkerProcess, code: int) -> None:
        """A worker that served is gone."""
        healthy = time.monotonic() - process.started >= HEALTHY
        slot.early_deaths = 0 if healthy else slot.early_deaths + 1
        pause = self._pause(slot, FREE_RETRIES)
        slot.retry_at = time.monotonic() + pause
        say(f"worker {slot.index} {ending(code)}; starting another{_after(pause)}")

    def _missed(self, slot: Slot, code: int | None) -> None:
        """A worker ended before it served."""
        reason, slot.reason = slot.reason, ""
        if self._stopping:
            if code is not None:
                self._note_drained(slot, code)
            return
        slot.early_deaths += 1
        pause = self._pause(slot, 0)
        slot.retry_at = time.monotonic() + pause
        if slot.current is not None:
            if reason == RELOAD:
                self._replace = {index: why for index, why in self._replace.items() if why != RELOAD}
                say(f"reload failed: the new worker {slot.index} {ending(code)}; the old code keeps serving")
            else:
                self._replace[slot.index] = reason
                say(
                    f"the new worker {slot.index} {ending(code)}; the old one goes on, starting another{_after(pause)}"
                )
            return
        if not self._ever_ready and slot.early_deaths >= HOPELESS:
            say(f"worker {slot.index} {ending(code)}; no worker ever served, giving up")
            self._exit_code = 1
            self.stop()
        elif code is not None:
            say(f"worker {slot.index} {ending(code)}; starting another{_after(pause)}")

    @staticmethod
    def _pause(slot: Slot, free: int) -> float:
        # One that had served is replaced at once, unless it keeps dying young.
        if slot.early_deaths <= free:
            return 0.0
        return min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(slot.early_deaths - free - 1, 16))

    def _retire(self, slot: Slot, process: WorkerProcess) -> None:
        slot.retiring.append(process)
        process.retire(self._grace)

    def _wait(self) -> None:
        moments = [process.kill_at for process in self._processes() if process.kill_at is not None]
        if not self._stopping:
            moments += [
                slot.retry_at for slot in self.slots if slot.current is None and slot.starting is None
            ]
        timeout = max(0.0, min([TICK, *(moment - time.monotonic() for moment in moments)]))
        for key, _ in self._selector.select(timeout):
            if key.data is None:
                with contextlib.suppress(OSError):
                    self._wakened.recv(4096)
            else:
                self._read(key.data)

    def _read(self, process: WorkerProcess) -> None:
        """Take what a worker wrote on its lifeline; its end of file means that the process is ending."""
        data = process.read()
        if data is None:
            return
        if not data:
            self._forget(process)
            # The exit status follows the closed descriptor within moments; if not, the tick finds it.
            process.settle()
            return
        slot = self.slots[process.slot]
        for report in (data[i : i + 1] for i in range(len(data))):
            if report == READY:
                self._serves(slot, process)
            elif report in REASONS and process is slot.current and not self._stopping:
                self._replace.setdefault(slot.index, REASONS[report])

    def _serves(self, slot: Slot, process: WorkerProcess) -> None:
        """A worker reported that it serves: the former one of its slot drains."""
        process.ready = self._ever_ready = True
        if process is not slot.starting:
            return
        slot.starting = None
        former, slot.current = slot.current, process
        reason, slot.reason = slot.reason, ""
        if former is not None:
            say(f"worker {slot.index} (process {former.pid}) is replaced by process {process.pid}: {reason}")
            self._retire(slot, former)
        if self._stopping:
            process.kill_at = None
            process.retire(self._grace)

    def _forget(self, process: WorkerProcess) -> None:
        if process.lifeline is not None:
            self._selector.unregister(process.lifeline)
            process.lifeline.close()
            process.lifeline = None

    def _close(self) -> None:
        """Leave no worker behind, whatever ended the loop."""
        for process in list(self._processes()):
            process.end()
            self._forget(process)
        for slot in self.slots:
            slot.current = slot.starting = None
            slot.retiring.clear()
        self._selector.close()
        self._waker.close()
        self._wakened.close()


def _after(pause: float) -> str:
    return f" in {pause:g} s" if pause else ""
