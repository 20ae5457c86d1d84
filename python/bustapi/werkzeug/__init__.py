"""Werkzeug's public API, implemented on BustAPI's own code under Werkzeug's module names.

Nothing is imported here beyond what a name access asks for, so that `import bustapi` stays light.
"""

from __future__ import annotations

import typing as t

if t.TYPE_CHECKING:
    from .serving import run_simple as run_simple
    from .test import Client as Client
    from .wrappers import Request as Request
    from .wrappers import Response as Response

_HOMES = {"run_simple": "serving", "Client": "test", "Request": "wrappers", "Response": "wrappers"}

#: The Werkzeug release whose public behaviour this package follows.
__version__ = "3.1.9"


def __getattr__(name: str) -> t.Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value
