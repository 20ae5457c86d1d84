"""Serving an application: settings, listeners, threads, worker processes, signals.

This layer knows the native core and the shape of an application object, never a dialect: an application is
recognised by what it offers (`serve.application`). Importing the package is cheap; the machinery is loaded by the
first call that serves.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .errors import ServeError as ServeError
    from .errors import SettingsError as SettingsError
    from .running import run as run
    from .running import run_async as run_async
    from .running import run_simple as run_simple
    from .running import serve as serve
    from .settings import Settings as Settings

_HOMES = {
    "ServeError": "errors",
    "SettingsError": "errors",
    "Settings": "settings",
    "run": "running",
    "run_async": "running",
    "run_simple": "running",
    "serve": "running",
}

__all__ = ["ServeError", "Settings", "SettingsError", "run", "run_async", "run_simple", "serve"]


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
