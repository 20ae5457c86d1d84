"""The same call on Werkzeug and on `bustapi.werkzeug`, and what each gives."""

from __future__ import annotations

import importlib
from typing import Any, Callable

REAL = "werkzeug"
OURS = "bustapi.werkzeug"


class Names:
    """The modules of one of the two implementations: `names.http`, `names.wrappers`, ..."""

    def __init__(self, root: str) -> None:
        self.root = root

    def __getattr__(self, module: str) -> Any:
        return importlib.import_module(f"{self.root}.{module}")


def outcome(call: Callable[[Names], Any], root: str) -> Any:
    """What a call gives: a plain value, or the name and text of the exception."""
    try:
        return plain(call(Names(root)))
    except Exception as error:
        return type(error).__name__, str(error)


def assert_same(call: Callable[[Names], Any]) -> Any:
    """Compare the two implementations; returns the outcome."""
    expected = outcome(call, REAL)
    found = outcome(call, OURS)
    assert found == expected, f"Werkzeug: {expected!r}\nbustapi: {found!r}"
    return found


def same(call: Callable[[Names], Any]) -> Any:
    """Compare them where the call itself is not expected to fail; returns the outcome."""
    found = assert_same(call)
    assert not (isinstance(found, tuple) and found and str(found[0]) in ("NameError", "TypeError")), found
    return found


def error_of(call: Callable[[], Any]) -> Any:
    """What a call within a compared one gives: its value, or the name and text of the exception."""
    try:
        return call()
    except Exception as error:
        # pytest explains assertions on further lines.
        return type(error).__name__, str(error).partition("\n")[0]


def plain(value: Any) -> Any:
    """Replace a package's own classes by their names and contents, so that two packages' values compare."""
    if isinstance(value, dict) and hasattr(value, "lists"):
        return type(value).__name__, [(key, plain(values)) for key, values in value.lists()]
    if isinstance(value, dict):
        return type(value).__name__, [(plain(key), plain(one)) for key, one in value.items()]
    if isinstance(value, (list, tuple)):
        return type(value).__name__, [plain(one) for one in value]
    if isinstance(value, (set, frozenset)):
        return type(value).__name__, sorted(map(repr, value))
    if type(value).__module__.startswith((REAL, OURS)):
        return type(value).__name__, str(value), repr(value)
    return value
