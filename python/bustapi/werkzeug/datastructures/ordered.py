"""`OrderedMultiDict`: a `MultiDict` that also knows in which order values of different keys were added.

Kept for code that still names it; `MultiDict` keeps its keys in order since dicts do.
"""

from __future__ import annotations

import collections.abc as cabc
import typing as t

from ..exceptions import BadRequestKeyError
from .mixins import ImmutableMultiDictMixin
from .structures import MultiDict, iter_multi_items

if t.TYPE_CHECKING:
    import typing_extensions as te

K = t.TypeVar("K")
V = t.TypeVar("V")


class _OrderedMultiDict(MultiDict[K, V]):
    """A `MultiDict` whose `items(multi=True)` gives all pairs in the order of their addition.

    Args:
        mapping: Another `MultiDict`, a mapping, or pairs.

    Compatible with: werkzeug.datastructures.OrderedMultiDict (3.1)
    """

    # INVARIANT: holds each key once for each of its values.
    _order: list[K]

    def __init__(self, mapping: t.Any = None) -> None:
        super().__init__()
        self._order = []
        if mapping is not None:
            _OrderedMultiDict.update(self, mapping)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, _OrderedMultiDict):
            return list(self.items(multi=True)) == list(other.items(multi=True))
        return dict.__eq__(self, other)

    def __ne__(self, other: object) -> bool:
        # A dict has one of its own, which knows of no order.
        return not self == other

    __hash__ = None  # type: ignore[assignment]

    def __reduce_ex__(self, protocol: t.Any) -> t.Any:
        return type(self), (list(self.items(multi=True)),)

    def __getstate__(self) -> t.Any:
        return list(self.items(multi=True))

    def __setstate__(self, value: t.Any) -> None:
        dict.clear(self)
        self._order = []
        for key, one in value:
            self.add(key, one)

    def _forget(self, key: K) -> None:
        self._order = [other for other in self._order if other != key]

    def __setitem__(self, key: K, value: V) -> None:
        self.setlist(key, [value])

    def __delitem__(self, key: K) -> None:
        if key not in self:
            raise BadRequestKeyError(key)
        dict.__delitem__(self, key)
        self._forget(key)

    def clear(self) -> None:
        """Remove everything."""
        dict.clear(self)
        self._order = []

    def add(self, key: K, value: V) -> None:
        """Append a value to those of the key."""
        super().add(key, value)
        self._order.append(key)

    def update(self, mapping: t.Any) -> None:
        """Add (never replace) the values of a mapping or of pairs."""
        for key, value in iter_multi_items(mapping):
            _OrderedMultiDict.add(self, key, value)

    def setlist(self, key: K, new_list: cabc.Iterable[V]) -> None:
        """Replace all values of a key, which becomes the last one."""
        _OrderedMultiDict.poplist(self, key)
        for value in new_list:
            _OrderedMultiDict.add(self, key, value)

    def setlistdefault(self, key: K, default_list: t.Any = None) -> t.NoReturn:
        """Refused: additions to the list that `MultiDict` returns here would have no place in the order."""
        raise TypeError("setlistdefault is unsupported for ordered multi dicts")

    def items(self, multi: bool = False) -> cabc.Iterator[tuple[K, V]]:  # type: ignore[override]
        """Yield (key, value) in the order of addition, first values only unless `multi`."""
        if not multi:
            yield from super().items()
            return
        rest = {key: iter(values) for key, values in self.lists()}
        for key in self._order:
            yield key, next(rest[key])

    def poplist(self, key: K) -> list[V]:
        """Remove a key and return its values, an empty list if it is missing."""
        values = super().poplist(key)
        if values:
            self._forget(key)
        return values

    def popitemlist(self) -> tuple[K, list[V]]:
        """Remove the last key and return it with its values."""
        if not self:
            raise BadRequestKeyError("popitem(): dictionary is empty")
        key, values = super().popitemlist()
        self._forget(key)
        return key, values


class _ImmutableOrderedMultiDict(ImmutableMultiDictMixin[K, V], _OrderedMultiDict[K, V]):  # type: ignore[misc]
    """An `OrderedMultiDict` that cannot change."""

    def _iter_hashitems(self) -> cabc.Iterable[t.Any]:
        return enumerate(self.items(multi=True))

    def copy(self) -> _OrderedMultiDict[K, V]:  # type: ignore[override]
        """Return a changeable copy."""
        return _OrderedMultiDict(self)

    def __copy__(self) -> te.Self:
        return self

    # The mixin's; the ordered dict sets it to None between the two.
    __hash__ = ImmutableMultiDictMixin.__hash__  # type: ignore[assignment]


def find(module: str, name: str) -> t.Any:
    """Return a class of this module for a module's `__getattr__`; the public names are deprecated.

    Args:
        module: The module that was asked.
        name: What it was asked for.

    Raises:
        AttributeError: There is no such class.
    """
    found = globals().get(f"_{name.lstrip('_')}")
    if found is None:
        raise AttributeError(f"module {module!r} has no attribute {name!r}")
    if name[0] != "_":
        import warnings

        replacement = name.replace("Ordered", "")
        warnings.warn(
            f"{name!r} is deprecated and will be removed in Werkzeug 3.2. Use {replacement!r} instead.",
            DeprecationWarning,
            stacklevel=3,
        )
    return found
