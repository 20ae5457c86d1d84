"""SIGINT and SIGTERM while serving: the first asks for a drain, the second aborts.

A handler only calls thread-safe, non-blocking methods: it may run between any two bytecodes of a view. Python runs
handlers in the main thread alone, so elsewhere nothing is installed and the caller keeps its own.
"""

from __future__ import annotations

import signal
import threading
from typing import TYPE_CHECKING, Any, Callable

if TYPE_CHECKING:
    from types import FrameType

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopSignals:
    """A context in which the stop signals are ours; the former handlers come back at its end.

    Args:
        drain: Called at the first signal.
        abort: Called at every further one.
    """

    def __init__(self, drain: Callable[[], None], abort: Callable[[], None]) -> None:
        self._drain = drain
        self._abort = abort
        self._former: list[tuple[signal.Signals, Any]] = []
        #: The last stop signal that came, if any.
        self.received: int | None = None
        #: True once a second one came.
        self.aborted = False

    def __enter__(self) -> StopSignals:
        if threading.current_thread() is threading.main_thread():
            for number in STOP_SIGNALS:
                self._former.append((number, signal.signal(number, self._handle)))
        return self

    def __exit__(self, *exc: object) -> None:
        while self._former:
            number, former = self._former.pop()
            # None: the former handler was not installed from Python and cannot be put back.
            signal.signal(number, signal.SIG_DFL if former is None else former)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        first = self.received is None
        self.received = number
        if first:
            self._drain()
        else:
            self.aborted = True
            self._abort()
