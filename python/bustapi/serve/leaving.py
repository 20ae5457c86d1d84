"""Ending a process of which a thread does not come back from a view.

The interpreter's own way out would freeze that thread at any point, holding whatever it holds.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Iterator
from typing import Callable

from .errors import say

#: Chooses the exit code, given the server's own.
_choose: Callable[[int], int] | None = None


@contextlib.contextmanager
def exit_code(choose: Callable[[int], int]) -> Iterator[None]:
    """Have the exit code chosen by whoever called the server, who is not returned to where a thread is stuck.

    Args:
        choose: Given the code that the server would end with, returns the one to end with.
    """
    global _choose
    former, _choose = _choose, choose
    try:
        yield
    finally:
        _choose = former


def leave(code: int) -> None:
    """End this process now, without waiting for its threads.

    Args:
        code: The exit code, unless somebody else is to choose it.

    Raises:
        SystemExit: This is not the main thread, whose end would not be the process's.
    """
    if threading.current_thread() is not threading.main_thread():
        raise SystemExit(code)
    if "logging" in sys.modules:
        sys.modules["logging"].shutdown()
    _exit(code)


def give_up(number: int, held_by: str) -> None:
    """End a process whose main thread does not come back. Called in a thread of its own.

    Args:
        number: The signal that asked for the end.
        held_by: What it does not come back from.
    """
    say(f"still busy after the grace: {held_by}")
    _exit(128 + number)


def flush() -> None:
    """Write what the program has printed, if it can be written."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, OSError, ValueError):
            stream.flush()


def _exit(code: int) -> None:
    flush()
    os._exit(_choose(code) if _choose is not None else code)
