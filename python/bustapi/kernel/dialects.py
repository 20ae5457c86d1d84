"""Which dialects are loaded: a dialect says so once, and what stands above the dialects can wait for it.

A dialect must not import what builds on it, yet the bridge has to be there as soon as Flask's dialect is.
"""

from __future__ import annotations

import typing as t

_loaded: set[str] = set()
_waiting: dict[str, list[t.Callable[[], None]]] = {}


def when_loaded(name: str, call: t.Callable[[], None]) -> None:
    """Call a function once a dialect is loaded; at once if it is loaded already.

    Args:
        name: The dialect's package, `"flask"` for example.
        call: What to call; it runs within the import of the dialect.
    """
    if name in _loaded:
        call()
    else:
        _waiting.setdefault(name, []).append(call)


def loaded(name: str) -> None:
    """Say that a dialect is loaded; the last statement of its package.

    Args:
        name: The dialect's package.
    """
    _loaded.add(name)
    for call in _waiting.pop(name, ()):
        call()
