"""Containers that count their changes, so that compiled plans notice them.

Extensions append to `app.before_request_funcs`, replace entries of `view_functions` and so on at any time. Each
of these containers therefore bumps one shared `Generation` in every method that can change it; whoever compiled
something from them compares the counter. Lists stored in a registry are turned into counting lists as well.
"""

from __future__ import annotations

import typing as t
from collections import defaultdict

from .._core import Generation as Generation

K = t.TypeVar("K")
V = t.TypeVar("V")

_LIST_MUTATORS = (
    "append",
    "clear",
    "extend",
    "insert",
    "pop",
    "remove",
    "reverse",
    "sort",
    "__delitem__",
    "__iadd__",
    "__imul__",
    "__setitem__",
)
_DICT_MUTATORS = ("clear", "pop", "popitem", "__delitem__")
#: Every method of a plain dict that can change it.
DICT_MUTATORS = (*_DICT_MUTATORS, "setdefault", "update", "__setitem__", "__ior__")


class RegistryList(list[V]):
    """A list whose every change is counted.

    Args:
        generation: The counter to bump.
        items: The first content; reading it is not a change.
    """

    __slots__ = ("_generation",)

    def __init__(self, generation: Generation, items: t.Iterable[V] = ()) -> None:
        super().__init__(items)
        self._generation = generation

    def __reduce__(self) -> tuple[t.Any, ...]:
        return list, (list(self),)

    def __copy__(self) -> list[V]:
        return list(self)


def _adopted(self: t.Any, value: t.Any) -> t.Any:
    return adopt(self._generation, value) if self._nested else value


# The methods that both dicts have; functions, since the two have no base in common but `dict`.


def _store(self: t.Any, key: t.Any, value: t.Any) -> None:
    dict.__setitem__(self, key, _adopted(self, value))
    self._generation.bump()


def _store_default(self: t.Any, key: t.Any, default: t.Any = None) -> t.Any:
    """Return the entry of `key`, storing `default` first when there is none."""
    if key not in self:
        self[key] = default
    return self[key]


def _store_all(self: t.Any, *args: t.Any, **kwargs: t.Any) -> None:
    """Store the entries of a mapping or of pairs, and keyword arguments."""
    for key, value in dict(*args, **kwargs).items():
        self[key] = value


def _store_other(self: t.Any, other: t.Any) -> t.Any:
    self.update(other)
    return self


class RegistryDict(dict[K, V]):
    """A dict whose every change is counted.

    Args:
        generation: The counter to bump.
        items: The first content.
        nested: Whether plain lists and dicts stored in it are turned into counting ones. Not for dicts such as
            `app.extensions`, whose values belong to somebody who keeps a reference to them.
    """

    __slots__ = ("_generation", "_nested")

    def __init__(self, generation: Generation, items: t.Any = (), *, nested: bool = False) -> None:
        super().__init__()
        self._generation = generation
        self._nested = nested
        for key, value in dict(items).items():
            dict.__setitem__(self, key, _adopted(self, value))

    __setitem__ = _store
    setdefault = _store_default
    update = _store_all
    __ior__ = _store_other

    def copy(self) -> dict[K, V]:
        """Return a plain dict with the same entries."""
        return dict(self)

    __copy__ = copy

    def __reduce__(self) -> tuple[t.Any, ...]:
        return dict, (dict(self),)


class RegistryDefaultDict(defaultdict[K, V]):
    """A defaultdict whose every change, also in what is stored in it, is counted.

    Args:
        generation: The counter to bump.
        default_factory: Makes the entry of a missing key.
        items: The first content.
    """

    __slots__ = ("_generation", "_nested")

    def __init__(self, generation: Generation, default_factory: t.Callable[[], V], items: t.Any = ()) -> None:
        super().__init__(default_factory)
        self._generation = generation
        self._nested = True
        for key, value in dict(items).items():
            dict.__setitem__(self, key, _adopted(self, value))

    def __missing__(self, key: K) -> V:
        assert self.default_factory is not None
        self[key] = self.default_factory()
        return self[key]

    __setitem__ = _store
    setdefault = _store_default
    update = _store_all
    __ior__ = _store_other

    def copy(self) -> t.Any:
        """Return a plain defaultdict with the same entries."""
        return defaultdict(self.default_factory, self)

    __copy__ = copy

    def __reduce__(self) -> tuple[t.Any, ...]:
        return dict, (dict(self),)


def adopt(generation: Generation, value: t.Any) -> t.Any:
    """Return `value`, or a counting container with its content when it is a plain list or dict."""
    kind = type(value)
    if kind is list:
        return RegistryList(generation, value)
    if kind is dict:
        return RegistryDict(generation, value, nested=True)
    if kind is defaultdict:
        return RegistryDefaultDict(generation, value.default_factory, value)
    return value


def watch_map(url_map: t.Any, generation: Generation) -> None:
    """Bump `generation` whenever a rule is added to `url_map`.

    The map is a plain object that extensions subclass, so the instance is watched, not its class.

    Args:
        url_map: A routing map with an `add` method.
        generation: The counter to bump.
    """
    add = url_map.add

    def counted_add(rulefactory: t.Any) -> None:
        add(rulefactory)
        generation.bump()

    url_map.add = counted_add


def count_changes(cls: type, base: type, names: t.Iterable[str]) -> None:
    """Have methods of a container class bump the instance's `_generation` counter.

    Args:
        cls: The class that gets the methods.
        base: The built-in type whose methods they call.
        names: Their names.
    """

    def make(name: str) -> t.Callable[..., t.Any]:
        plain = getattr(base, name)

        def method(self: t.Any, *args: t.Any, **kwargs: t.Any) -> t.Any:
            # Also after an exception: `extend` and `sort` may have changed something before it.
            try:
                return plain(self, *args, **kwargs)
            finally:
                self._generation.bump()

        method.__name__ = name
        method.__qualname__ = f"{cls.__name__}.{name}"
        method.__doc__ = plain.__doc__
        return method

    for name in names:
        setattr(cls, name, make(name))


count_changes(RegistryList, list, _LIST_MUTATORS)
count_changes(RegistryDict, dict, _DICT_MUTATORS)
count_changes(RegistryDefaultDict, dict, _DICT_MUTATORS)
