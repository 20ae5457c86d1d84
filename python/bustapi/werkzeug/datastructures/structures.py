"""Dict and list types of the web: several values a key, type conversion on access, immutability, change callbacks."""

from __future__ import annotations

import collections.abc as cabc
import typing as t
from copy import deepcopy

from .._internal import _missing
from ..exceptions import BadRequestKeyError
from .mixins import (
    ImmutableDictMixin,
    ImmutableListMixin,
    ImmutableMultiDictMixin,
    UpdateDictMixin,
)

if t.TYPE_CHECKING:
    import typing_extensions as te

K = t.TypeVar("K")
V = t.TypeVar("V")
_SEVERAL = (list, tuple, set)
# Untyped: a `MultiDict` is a dict of lists, and its type one of single values.
_dict: t.Any = dict


def iter_multi_items(mapping: t.Any) -> cabc.Iterator[tuple[t.Any, t.Any]]:
    """Yield every pair of a mapping or of an iterable of pairs, one pair for each value of a list, tuple or set."""
    if isinstance(mapping, MultiDict):
        yield from mapping.items(multi=True)
    elif isinstance(mapping, cabc.Mapping):
        for key, value in mapping.items():
            if isinstance(value, _SEVERAL):
                for one in value:
                    yield key, one
            else:
                yield key, value
    else:
        yield from mapping


def _converted(values: cabc.Iterable[t.Any], type: t.Callable[[t.Any], t.Any]) -> list[t.Any]:
    """Convert what can be converted and leave the rest out."""
    result = []
    for value in values:
        try:
            result.append(type(value))
        except (ValueError, TypeError):
            continue
    return result


class ImmutableList(ImmutableListMixin, list[V]):  # type: ignore[misc]
    """A list that cannot change."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({list.__repr__(self)})"


class TypeConversionDict(dict[K, V]):
    """A dict whose `get` can convert."""

    def get(self, key: K, default: t.Any = None, type: t.Callable[[V], t.Any] | None = None) -> t.Any:
        """Return the value of a key.

        Args:
            key: The key.
            default: Returned when the key is missing or its value does not convert.
            type: Called with the value; ValueError and TypeError from it give the default.
        """
        try:
            value = self[key]
        except KeyError:
            return default
        if type is None:
            return value
        try:
            return type(value)
        except (ValueError, TypeError):
            return default


class ImmutableTypeConversionDict(ImmutableDictMixin[K, V], TypeConversionDict[K, V]):  # type: ignore[misc]
    """A `TypeConversionDict` that cannot change."""

    def copy(self) -> TypeConversionDict[K, V]:
        """Return a changeable copy."""
        return TypeConversionDict(self)

    def __copy__(self) -> te.Self:
        return self


class MultiDict(TypeConversionDict[K, V]):
    """A dict with several values a key, of which plain access sees the first.

    Args:
        mapping: Another `MultiDict`, a mapping (lists, tuples and sets give several values), or pairs.

    Compatible with: werkzeug.datastructures.MultiDict (3.1)
    """

    def __init__(self, mapping: t.Any = None) -> None:
        store: dict[t.Any, list[t.Any]]
        if mapping is None:
            super().__init__()
            return
        if type(mapping) is list:  # before the tests for abstract classes, which cost more than all the rest
            values_of = _dict.setdefault
            for key, value in mapping:
                values_of(self, key, []).append(value)
            return
        if isinstance(mapping, MultiDict):
            store = {key: list(values) for key, values in mapping.lists()}
        elif isinstance(mapping, cabc.Mapping):
            store = {}
            for key, value in mapping.items():
                values = list(value) if isinstance(value, _SEVERAL) else [value]
                if values:
                    store[key] = values
        else:
            store = {}
            for key, value in mapping:
                store.setdefault(key, []).append(value)
        _dict.__init__(self, store)

    def __getstate__(self) -> t.Any:
        return dict(self.lists())

    def __setstate__(self, value: t.Any) -> None:
        _dict.clear(self)
        _dict.update(self, value)

    def __iter__(self) -> cabc.Iterator[K]:
        # Makes pickle and dict(multi) go through keys() and __getitem__, not through the lists inside.
        return _dict.__iter__(self)  # type: ignore[no-any-return]

    def __getitem__(self, key: K) -> V:
        """Return the first value.

        Raises:
            BadRequestKeyError: The key is missing.
        """
        if key in self:
            values: list[V] = _dict.__getitem__(self, key)
            if values:
                return values[0]
        raise BadRequestKeyError(key)

    def __setitem__(self, key: K, value: V) -> None:
        _dict.__setitem__(self, key, [value])

    def add(self, key: K, value: V) -> None:
        """Append a value to those of the key."""
        _dict.setdefault(self, key, []).append(value)

    def getlist(self, key: K, type: t.Callable[[V], t.Any] | None = None) -> list[t.Any]:
        """Return all values of a key, an empty list if it is missing.

        Args:
            key: The key.
            type: Converts each value; those it refuses are left out.
        """
        values: list[t.Any] = _dict.get(self, key, ())
        return list(values) if type is None else _converted(values, type)

    def setlist(self, key: K, new_list: cabc.Iterable[V]) -> None:
        """Replace all values of a key."""
        _dict.__setitem__(self, key, list(new_list))

    def setdefault(self, key: K, default: t.Any = None) -> V:
        """Return the first value of the key, which is set to `default` if missing."""
        if key not in self:
            self[key] = default
            return default  # type: ignore[no-any-return]
        return self[key]

    def setlistdefault(self, key: K, default_list: cabc.Iterable[V] | None = None) -> list[V]:
        """Return the key's own list, set to a copy of `default_list` if missing."""
        if key not in self:
            _dict.__setitem__(self, key, list(default_list or ()))
        return _dict.__getitem__(self, key)  # type: ignore[no-any-return]

    def items(self, multi: bool = False) -> cabc.Iterator[tuple[K, V]]:  # type: ignore[override]
        """Yield (key, value), first values only unless `multi`."""
        for key, values in self.lists():
            if multi:
                for value in values:
                    yield key, value
            else:
                yield key, values[0]

    def lists(self) -> cabc.Iterator[tuple[K, list[V]]]:
        """Yield (key, copy of its values)."""
        for key, values in _dict.items(self):
            yield key, list(values)

    def values(self) -> cabc.Iterator[V]:  # type: ignore[override]
        """Yield the first value of each key."""
        for values in _dict.values(self):
            yield values[0]

    def listvalues(self) -> cabc.Iterator[list[V]]:
        """Yield the values of each key as a list."""
        return _dict.values(self)  # type: ignore[no-any-return]

    def copy(self) -> te.Self:
        """Return a copy whose lists are its own."""
        return self.__class__(self)

    def deepcopy(self, memo: t.Any = None) -> te.Self:
        """Return a copy whose values are copies too."""
        return self.__class__(deepcopy(self.to_dict(flat=False), memo))

    def to_dict(self, flat: bool = True) -> dict[K, t.Any]:
        """Return a plain dict: of first values if `flat`, else of lists."""
        return dict(self.items()) if flat else dict(self.lists())

    def update(self, mapping: t.Any) -> None:
        """Add (never replace) the values of a mapping or of pairs."""
        for key, value in iter_multi_items(mapping):
            self.add(key, value)

    def __or__(self, other: t.Any) -> te.Self:  # type: ignore[override]
        if not isinstance(other, cabc.Mapping):
            return NotImplemented
        result = self.copy()
        result.update(other)
        return result

    def __ior__(self, other: t.Any) -> te.Self:  # type: ignore[override]
        if not isinstance(other, (cabc.Mapping, cabc.Iterable)):
            return NotImplemented
        self.update(other)
        return self

    def pop(self, key: K, default: t.Any = _missing) -> t.Any:
        """Remove a key and return its first value.

        Raises:
            BadRequestKeyError: The key is missing and there is no default.
        """
        values = self.poplist(key)
        if values:
            return values[0]
        if default is not _missing:
            return default
        raise BadRequestKeyError(key)

    def popitem(self) -> tuple[K, V]:
        """Remove the last key and return it with its first value."""
        key, values = self.popitemlist()
        if not values:
            raise BadRequestKeyError(key)
        return key, values[0]

    def poplist(self, key: K) -> list[V]:
        """Remove a key and return its values, an empty list if it is missing."""
        return list(_dict.pop(self, key, ()))

    def popitemlist(self) -> tuple[K, list[V]]:
        """Remove the last key and return it with its values."""
        try:
            return _dict.popitem(self)  # type: ignore[no-any-return]
        except KeyError as error:
            raise BadRequestKeyError(error.args[0]) from None

    def __copy__(self) -> te.Self:
        return self.copy()

    def __deepcopy__(self, memo: t.Any) -> te.Self:
        return self.deepcopy(memo=memo)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({list(self.items(multi=True))!r})"


class CombinedMultiDict(ImmutableMultiDictMixin[K, V], MultiDict[K, V]):  # type: ignore[misc]
    """A read-only view of several `MultiDict`s as one; the first that has a key wins.

    Args:
        dicts: The dicts, looked at in order and live.

    Compatible with: werkzeug.datastructures.CombinedMultiDict (3.1)
    """

    def __init__(self, dicts: cabc.Iterable[MultiDict[K, V]] | None = None) -> None:
        super().__init__()
        self.dicts: list[MultiDict[K, V]] = list(dicts or ())

    def __reduce_ex__(self, protocol: t.Any) -> t.Any:
        return type(self), (self.dicts,)

    @classmethod
    def fromkeys(cls, keys: t.Any, value: t.Any = None) -> t.NoReturn:
        """Refused: it is unclear which dict the keys would belong to."""
        raise TypeError(f"cannot create {cls.__name__!r} instances by fromkeys")

    def __getitem__(self, key: K) -> V:
        for part in self.dicts:
            if key in part:
                return part[key]
        raise BadRequestKeyError(key)

    def get(self, key: K, default: t.Any = None, type: t.Callable[[V], t.Any] | None = None) -> t.Any:
        """Return the first value of a key that is there and converts, see `MultiDict.get`."""
        for part in self.dicts:
            if key not in part:
                continue
            if type is None:
                return part[key]
            try:
                return type(part[key])
            except (ValueError, TypeError):
                continue
        return default

    def getlist(self, key: K, type: t.Callable[[V], t.Any] | None = None) -> list[t.Any]:
        """Return the values of a key in all the dicts."""
        return [value for part in self.dicts for value in part.getlist(key, type)]

    def _keys_impl(self) -> set[K]:
        return {key for part in self.dicts for key in part}

    def keys(self) -> set[K]:  # type: ignore[override]
        """Return the keys of all the dicts."""
        return self._keys_impl()

    def __iter__(self) -> cabc.Iterator[K]:
        return iter(self._keys_impl())

    def items(self, multi: bool = False) -> cabc.Iterator[tuple[K, V]]:  # type: ignore[override]
        """Yield (key, value); first values only unless `multi`."""
        seen: set[K] = set()
        for part in self.dicts:
            for key, value in part.items(multi):
                if not multi:
                    if key in seen:
                        continue
                    seen.add(key)
                yield key, value

    def values(self) -> cabc.Iterator[V]:  # type: ignore[override]
        """Yield the first value of each key."""
        return (value for _, value in self.items())

    def lists(self) -> cabc.Iterator[tuple[K, list[V]]]:
        """Yield (key, its values in all the dicts)."""
        merged: dict[K, list[V]] = {}
        for part in self.dicts:
            for key, values in part.lists():
                merged.setdefault(key, []).extend(values)
        return iter(merged.items())

    def listvalues(self) -> cabc.Iterator[list[V]]:
        """Yield the values of each key."""
        return (values for _, values in self.lists())

    def copy(self) -> MultiDict[K, V]:  # type: ignore[override]
        """Return a changeable `MultiDict` of what is visible now."""
        return MultiDict(self)

    def __len__(self) -> int:
        return len(self._keys_impl())

    def __contains__(self, key: object) -> bool:
        return any(key in part for part in self.dicts)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.dicts!r})"


class ImmutableDict(ImmutableDictMixin[K, V], dict[K, V]):  # type: ignore[misc]
    """A dict that cannot change."""

    def copy(self) -> dict[K, V]:
        """Return a changeable copy."""
        return dict(self)

    def __copy__(self) -> te.Self:
        return self

    def __repr__(self) -> str:
        return f"{type(self).__name__}({dict.__repr__(self)})"


class ImmutableMultiDict(ImmutableMultiDictMixin[K, V], MultiDict[K, V]):  # type: ignore[misc]
    """A `MultiDict` that cannot change."""

    def copy(self) -> MultiDict[K, V]:  # type: ignore[override]
        """Return a changeable copy."""
        return MultiDict(self)

    def __copy__(self) -> te.Self:
        return self


class CallbackDict(UpdateDictMixin[K, V], dict[K, V]):
    """A dict that calls a function after each change.

    Args:
        initial: First items; setting them is no change.
        on_update: Called with the dict.
    """

    def __init__(self, initial: t.Any = None, on_update: t.Callable[[t.Any], None] | None = None) -> None:
        dict.__init__(self, () if initial is None else initial)
        self.on_update = on_update

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {super().__repr__()}>"


class HeaderSet(cabc.MutableSet[str]):
    """An ordered set of header tokens that compares without case and keeps the case it was given.

    Args:
        headers: First tokens.
        on_update: Called with the set after each change.

    Compatible with: werkzeug.datastructures.HeaderSet (3.1)
    """

    def __init__(
        self,
        headers: cabc.Iterable[str] | None = None,
        on_update: t.Callable[[t.Any], None] | None = None,
    ) -> None:
        self._headers = list(headers or ())
        self._set = {token.lower() for token in self._headers}
        self.on_update = on_update

    def _changed(self) -> None:
        if self.on_update is not None:
            self.on_update(self)

    def add(self, header: str) -> None:
        """Add one token."""
        self.update((header,))

    def update(self, iterable: cabc.Iterable[str]) -> None:
        """Add several tokens, with one callback if any was new."""
        before = len(self._set)
        for token in iterable:
            folded = token.lower()
            if folded not in self._set:
                self._set.add(folded)
                self._headers.append(token)
        if len(self._set) != before:
            self._changed()

    def remove(self, header: str) -> None:
        """Remove a token.

        Raises:
            KeyError: It is not there.
        """
        folded = header.lower()
        if folded not in self._set:
            raise KeyError(header)
        self._set.remove(folded)
        self._headers = [token for token in self._headers if token.lower() != folded]
        self._changed()

    def discard(self, header: str) -> None:
        """Remove a token if it is there."""
        if header in self:
            self.remove(header)

    def find(self, header: str) -> int:
        """Return a token's position, -1 if it is not there."""
        folded = header.lower()
        return next((i for i, token in enumerate(self._headers) if token.lower() == folded), -1)

    def index(self, header: str) -> int:
        """Return a token's position.

        Raises:
            IndexError: It is not there.
        """
        position = self.find(header)
        if position < 0:
            raise IndexError(header)
        return position

    def clear(self) -> None:
        """Remove everything."""
        self._set.clear()
        self._headers.clear()
        self._changed()

    def as_set(self, preserve_casing: bool = False) -> set[str]:
        """Return a plain set, lower-cased unless `preserve_casing`."""
        return set(self._headers if preserve_casing else self._set)

    def to_header(self) -> str:
        """Return the header's text."""
        from ..http import quote_header_value

        return ", ".join(quote_header_value(token) for token in self._headers)

    def __getitem__(self, idx: t.Any) -> str:
        return self._headers[idx]  # type: ignore[no-any-return]

    def __delitem__(self, idx: t.Any) -> None:
        self._set.remove(self._headers.pop(idx).lower())
        self._changed()

    def __setitem__(self, idx: t.Any, value: str) -> None:
        self._set.remove(self._headers[idx].lower())
        self._headers[idx] = value
        self._set.add(value.lower())
        self._changed()

    def __contains__(self, header: object) -> bool:
        return isinstance(header, str) and header.lower() in self._set

    def __len__(self) -> int:
        return len(self._set)

    def __iter__(self) -> cabc.Iterator[str]:
        return iter(self._headers)

    def __bool__(self) -> bool:
        return bool(self._set)

    def __str__(self) -> str:
        return self.to_header()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._headers!r})"


def __getattr__(name: str) -> t.Any:
    if "OrderedMultiDict" in name:
        from .ordered import find

        return find(__name__, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
