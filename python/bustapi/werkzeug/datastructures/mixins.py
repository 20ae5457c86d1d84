"""Mixins that take a container's mutators away, or report every mutation."""

from __future__ import annotations

import collections.abc as cabc
import typing as t

from .._internal import _missing

if t.TYPE_CHECKING:
    import typing_extensions as te

K = t.TypeVar("K")
V = t.TypeVar("V")


def _immutable_error(self: t.Any, *args: t.Any, **kwargs: t.Any) -> t.NoReturn:
    """Stand in for every mutator of an immutable container."""
    raise TypeError(f"{type(self).__name__!r} objects are immutable")


class ImmutableListMixin:
    """Makes a list subclass immutable and hashable."""

    _hash_cache: int | None = None

    def __hash__(self) -> int:
        if self._hash_cache is None:
            self._hash_cache = hash(tuple(self))  # type: ignore[arg-type]
        return self._hash_cache

    def __reduce_ex__(self, protocol: t.Any) -> t.Any:
        return type(self), (list(self),)  # type: ignore[call-overload]

    __setitem__ = __delitem__ = __iadd__ = __imul__ = _immutable_error
    append = extend = insert = pop = remove = reverse = sort = clear = _immutable_error


class ImmutableDictMixin(t.Generic[K, V]):
    """Makes a dict subclass immutable and hashable."""

    _hash_cache: int | None = None

    @classmethod
    def fromkeys(cls, keys: cabc.Iterable[K], value: V | None = None) -> te.Self:
        """Build an instance with `value` under every key."""
        make: t.Any = cls
        return make(dict.fromkeys(keys, value))  # type: ignore[no-any-return]

    def _iter_hashitems(self) -> cabc.Iterable[t.Any]:
        return self.items()  # type: ignore[attr-defined,no-any-return]

    def __hash__(self) -> int:
        if self._hash_cache is None:
            self._hash_cache = hash(frozenset(self._iter_hashitems()))
        return self._hash_cache

    def __reduce_ex__(self, protocol: t.Any) -> t.Any:
        return type(self), (dict(self),)  # type: ignore[call-overload]

    __setitem__ = __delitem__ = __ior__ = _immutable_error
    setdefault = update = pop = popitem = clear = _immutable_error


class ImmutableMultiDictMixin(ImmutableDictMixin[K, V]):
    """Makes a `MultiDict` subclass immutable and hashable."""

    def __reduce_ex__(self, protocol: t.Any) -> t.Any:
        return type(self), (list(self.items(multi=True)),)  # type: ignore[attr-defined]

    def _iter_hashitems(self) -> cabc.Iterable[t.Any]:
        return self.items(multi=True)  # type: ignore[attr-defined,no-any-return]

    add = setlist = setlistdefault = poplist = popitemlist = _immutable_error


class ImmutableHeadersMixin:
    """Makes a `Headers` subclass read-only. It stays unhashable: its source can change underneath."""

    __setitem__ = __delitem__ = __ior__ = _immutable_error
    set = setlist = setdefault = setlistdefault = _immutable_error
    add = add_header = extend = update = insert = remove = pop = popitem = clear = _immutable_error


class UpdateDictMixin(dict[K, V]):
    """Calls `on_update(self)` after each change of a dict."""

    on_update: t.Any = None

    def _changed(self) -> None:
        if self.on_update is not None:
            self.on_update(self)

    def setdefault(self, key: K, default: t.Any = None) -> V:
        """Set a missing key; a key that is there is no change."""
        size = len(self)
        value = super().setdefault(key, default)
        if len(self) != size:
            self._changed()
        return value

    def pop(self, key: K, default: t.Any = _missing) -> t.Any:
        """Remove a key; a missing one is no change."""
        size = len(self)
        value = super().pop(key) if default is _missing else super().pop(key, default)
        if len(self) != size:
            self._changed()
        return value

    def popitem(self) -> tuple[K, V]:
        """Remove and return the last item."""
        item = super().popitem()
        self._changed()
        return item

    def clear(self) -> None:
        """Remove everything."""
        super().clear()
        self._changed()

    def update(self, arg: t.Any = None, /, **kwargs: t.Any) -> None:
        """Take over the items of a mapping or of pairs."""
        super().update(*(() if arg is None else (arg,)), **kwargs)
        self._changed()

    def __setitem__(self, key: K, value: V) -> None:
        super().__setitem__(key, value)
        self._changed()

    def __delitem__(self, key: K) -> None:
        super().__delitem__(key)
        self._changed()

    def __ior__(self, other: t.Any) -> te.Self:  # type: ignore[override,misc]
        # Not `dict.__ior__`: Python 3.8-level stubs and subclasses with their own update both go through update.
        super().update(other)
        self._changed()
        return self
