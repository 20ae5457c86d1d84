"""SIGINT and SIGTERM while serving: the first asks for a drain, the second aborts.

A handler only calls thread-safe, non-blocking methods: it may run between any two bytecodes of a view. Python runs
handlers in the main thread alone, so elsewhere nothing is installed and the caller keeps its own.

The main thread waits in a poll outside of the interpreter. A signal that arrives just before the wait, or that the
system gives to another thread, does not end it; so the interpreter's C handler also writes to a wakeup descriptor,
and a thread of ours that reads it ends the wait. The same thread ends a process whose main thread does not come back
from a view: nobody else could.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
import time
from typing import TYPE_CHECKING, Any, Callable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)

#: Seconds in which a second signal counts as the first: timeout(1) and others signal a process and then its group.
SAME = 0.05
#: Seconds beyond the grace, and after a second signal, in which the main thread must have come back.
PATIENCE = 2.0
ABORT_PATIENCE = 0.5


class StopSignals:
    """A context in which the stop signals are ours; the former handlers come back at its end.

    Args:
        drain: Called at the first signal.
        abort: Called at every further one.
        wake: Ends the main thread's wait, so that the handlers run; called from a thread of its own.
        give_up: Ends the process if the main thread is held; called with the signal, again and again, when this context
            is not left within the grace, nor after a second signal. None: never.
        grace: Seconds that a drain may take.
    """

    def __init__(
        self,
        drain: Callable[[], None],
        abort: Callable[[], None],
        wake: Callable[[], None] | None = None,
        give_up: Callable[[int], None] | None = None,
        grace: float = 0.0,
    ) -> None:
        self._drain = drain
        self._abort = abort
        self._wake = wake
        self._give_up = give_up
        self._grace = grace
        self._former: list[tuple[signal.Signals, Any]] = []
        self._watch: _Watch | None = None
        self._came_at = 0.0
        self._over_at: float | None = None
        #: The last stop signal that came, if any.
        self.received: int | None = None
        #: True once a second one came.
        self.aborted = False

    def __enter__(self) -> StopSignals:
        if threading.current_thread() is threading.main_thread():
            if self._wake is not None:
                self._watch = _Watch(self._wake, self._check)
            for number in STOP_SIGNALS:
                self._former.append((number, signal.signal(number, self._handle)))
        return self

    def __exit__(self, *exc: object) -> None:
        if self.received is not None and self._former:
            # The signal's double must find our handler, however fast the drain was.
            time.sleep(max(0.0, self._came_at + SAME - time.monotonic()))
        while self._former:
            number, former = self._former.pop()
            # None: the former handler was not installed from Python and cannot be put back.
            signal.signal(number, signal.SIG_DFL if former is None else former)
        if self._watch is not None:
            self._watch.close()
            self._watch = None

    def _handle(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if self.received is None:
            self.received = number
            self._came_at = now
            self._over_at = now + self._grace + PATIENCE
            self._drain()
        elif now - self._came_at >= SAME:
            self.received = number
            if not self.aborted:
                self._over_at = now + ABORT_PATIENCE
            self.aborted = True
            self._abort()
        if self._watch is not None:
            # An event loop that has put its own descriptor in the place of ours hears of signals alone.
            self._watch.poke()

    def _check(self) -> bool:
        """Tell whether somebody must go on watching the clock, and end the process when its time is up."""
        if self._over_at is None or self._give_up is None:
            return False
        if self.received is not None and time.monotonic() >= self._over_at:
            self._give_up(self.received)
        return True


@contextlib.contextmanager
def on_hangup(act: Callable[[], None]) -> Iterator[None]:
    """A context in which SIGHUP is ours; the former handler comes back at its end.

    Nothing is installed outside of the main thread, and where the system has no such signal.

    Args:
        act: Called at every SIGHUP; it must be safe in a signal handler.

    Yields:
        Nothing.
    """
    number = getattr(signal, "SIGHUP", None)
    if number is None or threading.current_thread() is not threading.main_thread():
        yield
        return
    former = signal.signal(number, lambda *_: act())
    try:
        yield
    finally:
        signal.signal(number, signal.SIG_DFL if former is None else former)


class _Watch:
    """The thread behind the wakeup descriptor.

    Args:
        wake: Called at every signal.
        check: Called now and then after the first signal, as long as it returns True.
    """

    def __init__(self, wake: Callable[[], None], check: Callable[[], bool]) -> None:
        self._wake = wake
        self._check = check
        self._ours, self._theirs = socket.socketpair()
        self._theirs.setblocking(False)
        self._former = signal.set_wakeup_fd(self._theirs.fileno(), warn_on_full_buffer=False)
        self._thread = threading.Thread(target=self._run, name="bustapi-signals", daemon=True)
        self._thread.start()

    def poke(self) -> None:
        """Make the thread look at the clock. Safe from a signal handler."""
        with contextlib.suppress(OSError):
            self._theirs.send(b"\0")

    def close(self) -> None:
        """Give the wakeup descriptor back. In the main thread, like the constructor."""
        current = signal.set_wakeup_fd(-1)
        # An event loop may have put its own in the place of ours: that one goes back as it was found.
        ours = current in (-1, self._theirs.fileno())
        signal.set_wakeup_fd(self._former if ours else current, warn_on_full_buffer=False)
        self._theirs.close()
        self._thread.join(1.0)
        self._ours.close()

    def _run(self) -> None:
        watching = False
        while True:
            self._ours.settimeout(0.1 if watching else None)
            data = None
            with contextlib.suppress(socket.timeout, OSError):
                data = self._ours.recv(64)
            if data == b"":
                return
            if data:
                signals = data.replace(b"\0", b"")
                if signals and self._former >= 0:
                    # What an event loop that runs already listens on.
                    with contextlib.suppress(OSError):
                        os.write(self._former, signals)
                self._wake()
                # The handler runs after this byte: looked for again.
                watching = True
            else:
                watching = self._check()
