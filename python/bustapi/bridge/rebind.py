"""The walk over everything alive that replaces one object by another wherever it is held."""

from __future__ import annotations

import functools
import gc
import sys
import types
import typing as t
from collections import deque

from .adopt import adopt, complete
from .pairs import Pairs, is_real

_HEAP_TYPE = 1 << 9
_Cell = types.CellType
_Member = types.MemberDescriptorType
#: Holders that need no change: what they hold is found elsewhere, or they last no longer than this call.
_PASSED_OVER: tuple[type, ...] = (
    types.FrameType,
    types.ModuleType,
    types.GeneratorType,
    types.GetSetDescriptorType,
    types.MethodWrapperType,
    types.TracebackType,
    property,
    classmethod,
    staticmethod,
    type(iter([])),
    type(iter(())),
)


def rebind(pairs: Pairs, rounds: int) -> list[str]:
    """Replace the real objects wherever they are held.

    Args:
        pairs: What is replaced by what; grows by the holders that were made anew.
        rounds: At most how many walks; a second one is needed for what the first one made anew.

    Returns:
        What could not be replaced, in words.
    """
    left = _Leftovers()
    wanted = done = pairs.ids
    for _ in range(rounds):
        _Walk(pairs, left, wanted).run()
        # Only what was made anew has to be looked for again.
        wanted = pairs.ids - done
        if not wanted:
            break
        done = pairs.ids
    return left.names()


class _Leftovers:
    """What keeps an object of the real packages."""

    def __init__(self) -> None:
        self._held: dict[int, tuple[t.Any, str]] = {}
        self._texts: dict[str, None] = {}

    def add(self, value: t.Any, what: str) -> None:
        self._held[id(value)] = (value, what)

    def say(self, text: str) -> None:
        self._texts[text] = None

    def names(self) -> list[str]:
        """Say what the modules and their classes show of it: nothing else has a name."""
        for name, module in list(sys.modules.items()):
            # Those inside of the real packages are nobody's, and the real modules themselves are gone.
            if not isinstance(module, types.ModuleType) or is_real(module.__name__):
                continue
            for attribute, value in list(vars(module).items()):
                self._look(f"{name}.{attribute}", value)
                if isinstance(value, type) and value.__module__ == name:
                    for own, held in list(vars(value).items()):
                        self._look(f"{name}.{attribute}.{own}", held)
        return list(self._texts)

    def _look(self, name: str, value: t.Any) -> None:
        found = self._held.get(id(value))
        if found is not None:
            self.say(f"{name} {found[1]}")


class _Walk:
    def __init__(self, pairs: Pairs, left: _Leftovers, ids: set[int]) -> None:
        self.pairs = pairs
        self.left = left
        self.ids = ids

    def run(self) -> None:
        everything = gc.get_objects()
        refers = gc.get_referents
        # The dict of a class must be changed through the class, which knows what it has cached.
        namespaces: set[int] = set()
        hits = []
        free, ids = self.ids.isdisjoint, self.ids
        for value in everything:
            kind = type(value)
            if issubclass(kind, type):
                namespaces.update(id(held) for held in refers(value) if type(held) is dict)
                if not free(map(id, value.__bases__)) or not free(map(id, vars(value).values())):
                    hits.append(value)
            elif id(value) not in ids and not free(map(id, refers(value))):
                hits.append(value)
        del everything
        kept = {*self.pairs.kept, *namespaces, id(sys.modules), id(hits)}
        kept.update(id(own) for own in vars(self.pairs).values())
        hits = [value for value in hits if id(value) not in kept]
        # Bases first: what a class inherits decides what its instances are.
        for value in hits:
            if issubclass(type(value), type):
                self._class(value)
        for value in hits:
            if not issubclass(type(value), type):
                self._value(value)

    def _value(self, value: t.Any) -> None:
        kind = type(value)
        if issubclass(kind, dict):
            self._dict(value)
        elif issubclass(kind, (list, deque)):
            for index, item in enumerate(tuple(value)):
                if item in self.pairs:
                    value[index] = self.pairs.get(item)
        elif issubclass(kind, set):
            replaced = [item for item in set.copy(value) if item in self.pairs]
            set.difference_update(value, replaced)
            set.update(value, map(self.pairs.get, replaced))
        elif kind is tuple or kind is frozenset:
            self.pairs.add(value, kind(map(self.pairs.get, value)))
        elif kind is types.FunctionType:
            self._function(value)
        elif kind is _Cell:
            self._cell(value)
        elif issubclass(kind, functools.partial):
            self._partial(value)
        elif kind.__flags__ & _HEAP_TYPE:
            self._instance(value)
        elif not issubclass(kind, _PASSED_OVER):
            self.left.add(value, "holds an object of the real packages that cannot be replaced")
            return
        ours = self.pairs.classes.get(kind)
        if ours is not None and not adopt(value, ours):
            self.left.add(value, f"stays a {kind.__module__}.{kind.__qualname__}")

    def _dict(self, value: dict[t.Any, t.Any]) -> None:
        if not self.ids.isdisjoint(map(id, dict.keys(value))):
            items = [(self.pairs.get(key), self.pairs.get(item)) for key, item in dict.items(value)]
            # In the same order, which hooks and converters may depend on.
            value.clear()
            value.update(items)
            return
        for key, item in list(dict.items(value)):
            if item in self.pairs:
                dict.__setitem__(value, key, self.pairs.get(item))

    def _function(self, value: types.FunctionType) -> None:
        if value.__defaults__ and any(item in self.pairs for item in value.__defaults__):
            value.__defaults__ = tuple(map(self.pairs.get, value.__defaults__))

    def _partial(self, value: functools.partial[t.Any]) -> None:
        get = self.pairs.get
        keywords = {key: get(item) for key, item in value.keywords.items()}
        value.__setstate__((get(value.func), tuple(map(get, value.args)), keywords, vars(value)))  # type: ignore[attr-defined]

    def _cell(self, value: types.CellType) -> None:
        try:
            held = value.cell_contents
        except ValueError:
            return
        if held in self.pairs:
            value.cell_contents = self.pairs.get(held)

    def _instance(self, value: t.Any) -> None:
        """Replace attributes of an instance of a Python class, in its dict or in slots."""
        try:
            attributes = object.__getattribute__(value, "__dict__")
        except (AttributeError, TypeError):
            attributes = None
        if type(attributes) is dict:
            self._dict(attributes)
        for cls in type(value).__mro__:
            for member in list(vars(cls).values()):
                if type(member) is not _Member:
                    continue
                try:
                    held = member.__get__(value)
                    if held in self.pairs:
                        member.__set__(value, self.pairs.get(held))
                except (AttributeError, TypeError):
                    # An empty slot, or one that is read-only.
                    continue

    def _class(self, cls: type) -> None:
        if cls in self.pairs or is_real(cls.__dict__.get("__module__")):
            return
        get = self.pairs.get
        if any(base in self.pairs for base in cls.__bases__):
            # What the class has of the same name already, it keeps.
            bases = tuple(dict.fromkeys(map(get, cls.__bases__)))
            try:
                cls.__bases__ = bases
            except TypeError:
                self._rebuild(cls, bases)
                return
            _complete_instances(cls)
        for name, held in list(vars(cls).items()):
            if held in self.pairs:
                type.__setattr__(cls, name, get(held))

    def _rebuild(self, cls: type, bases: tuple[type, ...]) -> None:
        namespace = {
            name: self.pairs.get(held)
            for name, held in vars(cls).items()
            if name not in ("__dict__", "__weakref__")
        }
        try:
            self.pairs.add(cls, type(cls)(cls.__name__, bases, namespace))
        except TypeError as error:
            name = f"{cls.__module__}.{cls.__qualname__}"
            self.left.say(f"{name} cannot be derived from bustapi's classes ({error})")


def _complete_instances(cls: type) -> None:
    from bustapi.flask.blueprints import Blueprint

    if issubclass(cls, Blueprint):
        for value in gc.get_objects():
            if type(value) is cls and "name" in vars(value):
                complete(value)
