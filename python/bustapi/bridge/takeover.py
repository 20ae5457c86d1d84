"""Puts our modules in the place of real ones that are loaded already, and our objects where theirs are held.

A module that was imported before holds what it took from the real packages in its globals, in containers, as bases
and attributes of its classes, in defaults and closures. All of these are found by one walk over what the garbage
collector knows; immutable holders (tuples, partials) are made anew and replaced in turn. It is done once, and costs
in the order of a quarter of a second where several hundred modules are loaded.

What is left over is named in a `BridgeWarning`. Nothing is done at all if an application of the real Flask exists:
it would lose the ground it stands on.
"""

from __future__ import annotations

import gc
import sys
import time
import types
import typing as t
import warnings

from . import BridgeWarning, _say
from .finder import TREES, counterpart, is_ours
from .pairs import Pairs, is_real

if t.TYPE_CHECKING:
    from collections.abc import Iterator

_ROUNDS = 4


def take_over() -> bool:
    """Replace the real modules and what others hold of them.

    Returns:
        False if an application of the real Flask exists; nothing was changed then.
    """
    started = time.perf_counter()
    real = {
        name: module
        for name, module in list(sys.modules.items())
        if name.partition(".")[0] in TREES and module is not None and not is_ours(name)
    }
    application = _application(real)
    if application is not None:
        warnings.warn(
            f"{application} is an application of the real flask, made before bustapi was imported: `flask` and"
            " `werkzeug` stay the real packages. Import bustapi first.",
            BridgeWarning,
            stacklevel=2,
        )
        return False
    pairs = Pairs(real)
    from .adopt import share
    from .rebind import rebind

    share(pairs)
    for name in real:
        ours = counterpart(name)
        if ours is None:
            sys.modules.pop(name, None)
        else:
            sys.modules[name] = ours
    left = rebind(pairs, rounds=_ROUNDS)
    for text in left:
        warnings.warn(f"{text}. Import bustapi before the extension.", BridgeWarning, stacklevel=2)
    _say(
        "took over from %d real modules, %d objects, in %.0f ms (%d modules loaded)",
        len(real),
        len(pairs.ids),
        (time.perf_counter() - started) * 1000,
        len(sys.modules),
    )
    return True


def _application(real: dict[str, types.ModuleType]) -> str | None:
    """Name an application of the real Flask, if there is one."""
    module = real.get("flask.app")
    base = getattr(module, "Flask", None)
    if not isinstance(base, type):
        return None
    kinds = set(_with_subclasses(base))
    # The type, not `isinstance`: that would ask every proxy in the process for its object.
    found = next((value for value in gc.get_objects() if type(value) in kinds), None)
    if found is None:
        return None
    for name, holder in list(sys.modules.items()):
        if isinstance(holder, types.ModuleType) and not is_real(name):
            for attribute, value in list(vars(holder).items()):
                if value is found:
                    return f"{name}.{attribute}"
    return repr(found)


def _with_subclasses(cls: type[t.Any]) -> Iterator[type[t.Any]]:
    yield cls
    for subclass in type.__subclasses__(cls):
        yield from _with_subclasses(subclass)
