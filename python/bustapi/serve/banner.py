"""The lines a server prints when it starts."""

from __future__ import annotations

import platform
import sys
from typing import TYPE_CHECKING

from .errors import say
from .listeners import url

if TYPE_CHECKING:
    from .settings import Settings


def version() -> str:
    """Name this package and the interpreter.

    Returns:
        Their versions, in one line.
    """
    from bustapi._core import __version__

    return f"BustAPI {__version__} ({platform.python_implementation()} {platform.python_version()})"


def announce(addresses: list[str], settings: Settings) -> None:
    """Say where and how the server serves.

    Args:
        addresses: What is listened on.
        settings: `threads` and `workers` are named.
    """
    from bustapi._core import __version__

    where = " and ".join(url(address) for address in addresses)
    python = f"{platform.python_implementation()} {platform.python_version()}"
    say(
        f"BustAPI {__version__} on {where} (threads={settings.threads}, workers={settings.workers}, {python})"
    )
    if settings.threads > 1 and shares_gil():
        say(
            f"{settings.threads} threads share one GIL: I/O runs in parallel, Python code does not; "
            "use workers for parallel Python"
        )


def shares_gil() -> bool:
    """Tell whether threads of this interpreter take turns.

    Returns:
        False on a free-threaded interpreter that runs without a GIL.
    """
    enabled = getattr(sys, "_is_gil_enabled", None)
    return True if enabled is None else bool(enabled())
