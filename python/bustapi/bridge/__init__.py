"""What lets unmodified Flask extensions work: `flask` and `werkzeug` are names of BustAPI's own modules.

Installing an extension installs the real packages beside this one. An extension that got a class of theirs would
fail at the first `isinstance`, so as soon as Flask's dialect is loaded

- a finder answers `import flask` and `import werkzeug`, and all below them, with our modules: the real ones are
  never loaded (`bridge.finder`);
- if they were loaded before, by an extension that was imported first, their entries in `sys.modules` are replaced,
  and so is what the modules imported so far hold of them (`bridge.takeover`).

`BUSTAPI_BRIDGE=0` in the environment, or `disable()` before the dialect is loaded, leaves both names alone.
"""

from __future__ import annotations

import os
import sys
import threading
import typing as t

from .finder import TREES, AliasFinder, is_ours

__all__ = ["BridgeWarning", "disable", "enable", "is_enabled"]

#: Set to `0`, `false`, `no` or `off`: the bridge is not built by itself.
ENV = "BUSTAPI_BRIDGE"
_OFF = frozenset({"0", "false", "no", "off"})

# Reentrant: the imports of a takeover may end up here again.
_lock = threading.RLock()
_here = threading.local()
_finder = AliasFinder()
_refused = False


class BridgeWarning(UserWarning):
    """Something that holds an object of the real packages could not be given ours instead."""


def enable() -> bool:
    """Have `flask` and `werkzeug` mean BustAPI from now on, whether or not they were imported before.

    Calling it again does nothing, except for real modules that were loaded in between.

    Returns:
        False if it was not done because an application of the real Flask exists in this process.
    """
    global _refused
    # Before the lock is taken, which must not be held by one who waits for an import.
    _here.building = True
    try:
        import bustapi.flask  # noqa: F401
    finally:
        _here.building = False

    with _lock:
        _refused = False
        if any(name.partition(".")[0] in TREES and not is_ours(name) for name in list(sys.modules)):
            from .takeover import take_over

            if not take_over():
                # Not asked again with each name that is imported.
                _refused = True
                return False
        if _finder not in sys.meta_path:
            sys.meta_path.insert(0, _finder)
            _say("`flask` and `werkzeug` are found in bustapi")
        return True


def disable() -> None:
    """Leave `flask` and `werkzeug` to the real packages from now on.

    What was imported through the bridge keeps our objects; only later imports find the real modules.
    """
    global _refused
    with _lock:
        _refused = True
        if _finder in sys.meta_path:
            sys.meta_path.remove(_finder)
        for name in list(sys.modules):
            if name.partition(".")[0] in TREES and is_ours(name):
                del sys.modules[name]


def is_enabled() -> bool:
    """Return whether `import flask` finds BustAPI."""
    return _finder in sys.meta_path


def enable_by_default() -> None:
    """Do as `enable`, unless that was refused by `disable()` or the environment."""
    if _refused or getattr(_here, "building", False) or is_enabled():
        return
    if os.environ.get(ENV, "").strip().lower() in _OFF:
        return
    module = sys.modules.get("bustapi.flask")
    if module is not None and module.__spec__ is not None:
        # The package has nothing left to run; but another thread that imports one of its modules would wait for
        # the end of this call, and a takeover for that module.
        module.__spec__._initializing = False  # type: ignore[attr-defined]
    enable()


def _say(text: str, *args: t.Any) -> None:
    # Nobody asked for a log of an application that has not loaded `logging`, which costs 5 ms.
    logging = sys.modules.get("logging")
    if logging is not None:
        logging.getLogger("bustapi.bridge").debug(text, *args)
