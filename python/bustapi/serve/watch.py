"""The thread that watches the reactors: views that hold one are logged, and their work is taken over.

What it costs is a look at a few counters every 25 ms, without the interpreter; the stack of a thread is taken only of
one that was found to stand still.
"""

from __future__ import annotations

import os
import sys
import threading
import time
import traceback
from typing import TYPE_CHECKING, Callable

if TYPE_CHECKING:
    from types import FrameType

    from bustapi._core import Reactor, Watchdog

#: Seconds in which one place in the code is reported once.
QUIET = 60.0
#: Frames that are shown, the innermost ones.
DEPTH = 12

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
_SERVE = os.path.dirname(os.path.abspath(__file__))


class Watch:
    """Watches reactors with a thread of its own.

    Args:
        limit: Seconds after which a view that holds a reactor's thread is reported; 0: never.
        on_held: Called with the number of a reactor that a sync view holds.
        on_free: Called with its number when the view has returned.
    """

    def __init__(self, limit: float, on_held: Callable[[int], None], on_free: Callable[[int], None]) -> None:
        from bustapi._core import Watchdog

        self._dog: Watchdog = Watchdog(limit or None)
        self._limit = limit
        self._on_held = on_held
        self._on_free = on_free
        self._held: set[int] = set()
        self._told: dict[tuple[str, int], float] = {}
        self._thread: threading.Thread | None = None

    def add(self, reactor: Reactor) -> int:
        """Watch a reactor too.

        Args:
            reactor: The reactor.

        Returns:
            Its number in the calls of `on_held` and `on_free`.
        """
        return self._dog.add(reactor)

    def remove(self, number: int) -> None:
        """Forget a reactor that has ended.

        Args:
            number: Its number.
        """
        self._dog.remove(number)

    def start(self) -> None:
        """Start the thread.

        Raises:
            RuntimeError: The system refused it.
        """
        self._thread = threading.Thread(target=self._run, name="bustapi-watch", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread and join it."""
        self._dog.close()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(2.0)

    def _run(self) -> None:
        while True:
            report = self._dog.watch()
            if report is None:
                return
            try:
                self._take(*report)
            except Exception as error:
                # A log handler that fails must not end the watch.
                traceback.print_exception(type(error), error, error.__traceback__)

    def _take(self, what: str, number: int, thread: int, seconds: float, beat: int) -> None:
        if what == "over":
            if number in self._held:
                self._held.discard(number)
                self._on_free(number)
            return
        # Only what changes: the lines are read from files, which may take longer than what is reported.
        frame = sys._current_frames().get(thread)
        stack = [] if frame is None else list(traceback.walk_stack(frame))
        if not self._dog.is_still(number, beat):
            # It went on while the stack was taken.
            return
        if what == "view":
            self._held.add(number)
            self._on_held(number)
        frames = visible(stack)
        if frames:
            self._tell(what, number, frames, seconds)

    def _tell(self, what: str, number: int, frames: list[traceback.FrameSummary], seconds: float) -> None:
        from ..kernel.execution import warn

        place = (frames[-1].filename, frames[-1].lineno or 0)
        now = time.monotonic()
        if now - self._told.get(place, -QUIET) < QUIET:
            return
        if len(self._told) > 1000:
            self._told.clear()
        self._told[place] = now
        first = next((frame for frame in frames if not _is_ours(frame.filename)), frames[0])
        who = (
            "a sync view that runs inline has held the thread of a reactor"
            if what == "view"
            else "a coroutine has held the event loop"
        )
        warn(
            "%s for %.0f ms (reactor %d, %s:%s in %s); it is at:\n%s",
            who,
            max(seconds, self._limit) * 1000,
            number + 1,
            first.filename,
            first.lineno,
            first.name,
            "".join(traceback.format_list(frames[-DEPTH:])).rstrip("\n"),
        )


def visible(walked: list[tuple[FrameType, int]]) -> list[traceback.FrameSummary]:
    """Give the part of a thread's stack that an application is interested in: what runs below the server.

    Args:
        walked: The frames of the thread and their lines, innermost first, as `traceback.walk_stack` gives them.

    Returns:
        The frames, outermost first; empty if nothing of the application runs.
    """
    stack = list(traceback.StackSummary.extract(reversed(walked)))
    below = 0
    for index, entry in enumerate(stack):
        if os.path.dirname(entry.filename) == _SERVE:
            below = index + 1
    stack = stack[below:]
    while stack and _is_loop(stack[0].filename):
        del stack[0]
    return stack


def _is_ours(filename: str) -> bool:
    return filename.startswith(_PACKAGE + os.sep)


def _is_loop(filename: str) -> bool:
    folder = os.path.basename(os.path.dirname(filename))
    return folder in ("asyncio", "uvloop") or os.path.basename(filename) == "threading.py"
