"""What of the real packages has a counterpart in ours: modules, classes, functions, proxies, signals, containers."""

from __future__ import annotations

import inspect
import re
import types
import typing as t
import warnings
from contextvars import ContextVar

from .finder import TREES, counterpart

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_MISSING: t.Any = object()
#: Two equal ones may be one object, which others hold for reasons of their own.
_SHARED = (
    str,
    bytes,
    int,
    float,
    complex,
    tuple,
    frozenset,
    type(None),
    type(...),
    re.Pattern,
    types.BuiltinFunctionType,
)


class Pairs:
    """Objects of the real packages, each with ours.

    Args:
        real: The real modules by their names.
    """

    def __init__(self, real: Mapping[str, types.ModuleType]) -> None:
        self._ours: dict[int, t.Any] = {}
        # An id means its object only while that lives.
        self._real: dict[int, t.Any] = {}
        #: Real classes, each with ours.
        self.classes: dict[type, type] = {}
        #: What code that is running belongs to the real packages, and must not be changed: the cells of `super()`.
        self.kept: set[int] = set()
        #: Real modules that we do not have.
        self.unmatched: list[str] = []
        for name, module in real.items():
            ours = counterpart(name)
            if ours is None:
                self.unmatched.append(name)
            else:
                self.add(module, ours)
                self._add_names(module, ours)

    @property
    def ids(self) -> set[int]:
        """The ids of the real objects, as a set of its own."""
        return set(self._ours)

    def add(self, real: t.Any, ours: t.Any) -> None:
        """Pair two objects; the first counterpart of an object stays."""
        if real is not ours and id(real) not in self._ours:
            self._ours[id(real)] = ours
            self._real[id(real)] = real
            if isinstance(real, type) and isinstance(ours, type):
                self.classes[real] = ours

    def get(self, value: t.Any) -> t.Any:
        """Return the counterpart of an object, and the object itself if there is none."""
        return self._ours.get(id(value), value)

    def __contains__(self, value: t.Any) -> bool:
        return id(value) in self._ours

    def __iter__(self) -> Iterator[tuple[t.Any, t.Any]]:
        return ((self._real[key], ours) for key, ours in list(self._ours.items()))

    def _add_names(self, real: types.ModuleType, ours: types.ModuleType) -> None:
        for name, value in list(vars(real).items()):
            if name.startswith("__") or not _is_own(value):
                continue
            with warnings.catch_warnings():
                # A deprecated name warns when it is looked at.
                warnings.simplefilter("ignore")
                found = getattr(ours, name, _MISSING)
            if found is _MISSING or not _is_alike(value, found):
                continue
            self.add(value, found)
            if isinstance(value, type):
                self._add_methods(value, found)

    def _add_methods(self, real: type, ours: type) -> None:
        for name, value in list(vars(real).items()):
            function = getattr(value, "__func__", value)
            if not isinstance(function, types.FunctionType):
                continue
            self.kept.update(id(cell) for cell in function.__closure__ or ())
            found = inspect.getattr_static(ours, name, None)
            found = getattr(found, "__func__", found)
            if isinstance(found, types.FunctionType):
                self.add(function, found)


def is_real(module_name: object) -> bool:
    """Return whether a `__module__` is one of the real packages'."""
    return isinstance(module_name, str) and module_name.partition(".")[0] in TREES


def _is_own(value: t.Any) -> bool:
    """Whether a module's value is one that belongs to the real packages, and to nobody else."""
    kind = type(value)
    if kind is types.ModuleType or issubclass(kind, _SHARED):
        return False
    if issubclass(kind, type):
        return is_real(value.__module__)
    if kind is types.FunctionType:
        return is_real(value.__module__)
    if is_real(kind.__module__) or kind in (dict, list, set, ContextVar):
        return True
    return kind.__module__.partition(".")[0] in ("blinker", "click")


def _is_alike(real: t.Any, ours: t.Any) -> bool:
    if isinstance(real, types.FunctionType):
        return callable(ours)
    # The type is asked: a proxy answers `isinstance` for what it stands for.
    return issubclass(type(real), type) == issubclass(type(ours), type)
