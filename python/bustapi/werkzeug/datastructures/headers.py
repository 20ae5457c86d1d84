"""Header fields: an ordered list of names and values, looked up without case.

A value that holds CR, LF or NUL is refused when it is set (RFC 9110 5.5), so no later layer can be made to send a
second header or a second response.
"""

from __future__ import annotations

import collections.abc as cabc
import typing as t

from .._internal import _missing
from ..exceptions import BadRequestKeyError
from .mixins import ImmutableHeadersMixin
from .structures import _SEVERAL, MultiDict, iter_multi_items

if t.TYPE_CHECKING:
    import typing_extensions as te


class Headers:
    """Ordered header fields; a name can occur several times.

    Args:
        defaults: Fields to begin with: another `Headers`, a mapping (lists give repeated fields) or pairs.

    Compatible with: werkzeug.datastructures.Headers (3.1)
    """

    __slots__ = ("__dict__", "__weakref__", "_list")

    _list: list[tuple[str, str]]

    def __init__(self, defaults: t.Any = None) -> None:
        self._list = []
        if defaults is not None:
            self.extend(defaults)

    @classmethod
    def _of_fields(cls, fields: cabc.Iterable[tuple[str, str]]) -> te.Self:
        """Make one of fields as they are: copied, or received, where a value may hold a NUL as on Werkzeug."""
        headers = cls()
        headers._list.extend(fields)
        return headers

    # Reading

    def _get_key(self, key: str) -> str:
        folded = key.lower()
        for name, value in self._list:
            if name == key or name.lower() == folded:
                return value
        raise BadRequestKeyError(key)

    @t.overload
    def __getitem__(self, key: str) -> str: ...
    @t.overload
    def __getitem__(self, key: int) -> tuple[str, str]: ...
    @t.overload
    def __getitem__(self, key: slice) -> te.Self: ...
    def __getitem__(self, key: str | int | slice) -> t.Any:
        """Return a field's first value by name, or fields by position.

        Raises:
            BadRequestKeyError: No field has this name; it is a `KeyError` and a 400.
        """
        if isinstance(key, str):
            return self._get_key(key)
        if isinstance(key, int):
            return self._list[key]
        return self._of_fields(self._list[key])

    def get(self, key: str, default: t.Any = None, type: t.Callable[[str], t.Any] | None = None) -> t.Any:
        """Return a field's first value.

        Args:
            key: The name, in any case.
            default: Returned if the field is missing or does not convert.
            type: Called with the value; ValueError from it gives the default.
        """
        try:
            value = self._get_key(key)
        except KeyError:
            return default
        if type is None:
            return value
        try:
            return type(value)
        except ValueError:
            return default

    def getlist(self, key: str, type: t.Callable[[str], t.Any] | None = None) -> list[t.Any]:
        """Return all values of a field; those that `type` refuses with ValueError are left out."""
        folded = key.lower()
        found: list[t.Any] = [value for name, value in self if name.lower() == folded]
        if type is None:
            return found
        converted = []
        for value in found:
            try:
                converted.append(type(value))
            except ValueError:
                continue
        return converted

    def get_all(self, name: str) -> list[str]:
        """Return all values of a field, under the name the standard library uses."""
        return self.getlist(name)

    def items(self, lower: bool = False) -> cabc.Iterator[tuple[str, str]]:
        """Yield (name, value), names in lower case if asked."""
        for name, value in self:
            yield (name.lower() if lower else name), value

    def keys(self, lower: bool = False) -> cabc.Iterator[str]:
        """Yield the names, repeated ones too."""
        return (name for name, _ in self.items(lower))

    def values(self) -> cabc.Iterator[str]:
        """Yield the values."""
        return (value for _, value in self.items())

    def to_wsgi_list(self) -> list[tuple[str, str]]:
        """Return the fields as the list that `start_response` takes."""
        return list(self)

    def copy(self) -> te.Self:
        """Return a copy."""
        return self._of_fields(self._list)

    def __contains__(self, key: object) -> bool:
        try:
            self._get_key(key)  # type: ignore[arg-type]
        except KeyError:
            return False
        return True

    def __iter__(self) -> cabc.Iterator[tuple[str, str]]:
        return iter(self._list)

    def __len__(self) -> int:
        return len(self._list)

    def __copy__(self) -> te.Self:
        return self.copy()

    def __eq__(self, other: object) -> bool:
        if other.__class__ is not self.__class__:
            return NotImplemented
        mine = {(name.lower(), value) for name, value in self._list}
        return mine == {(name.lower(), value) for name, value in other._list}

    __hash__ = None  # type: ignore[assignment]

    # Writing

    def add(self, key: str, value: t.Any, /, **kwargs: t.Any) -> None:
        """Append a field.

        Args:
            key: The name.
            value: The value, turned into text.
            **kwargs: Parameters of the value; `_` in their names stands for `-`.

        Raises:
            ValueError: The value holds CR, LF or NUL.
        """
        self._list.append((key, _field_value(value, kwargs)))

    def add_header(self, key: str, value: t.Any, /, **kwargs: t.Any) -> None:
        """Append a field, under the name the standard library uses."""
        self.add(key, value, **kwargs)

    def set(self, key: str, value: t.Any, /, **kwargs: t.Any) -> None:
        """Put one field in place of the first of its name, and drop the others. See `add` for the arguments."""
        text = _field_value(value, kwargs)
        fields = self._list
        folded = key.lower()
        for index, (name, _) in enumerate(fields):
            if name.lower() == folded:
                fields[index] = (key, text)
                rest = index + 1
                if rest < len(fields):
                    fields[rest:] = [field for field in fields[rest:] if field[0].lower() != folded]
                return
        fields.append((key, text))

    def setlist(self, key: str, values: cabc.Iterable[t.Any]) -> None:
        """Replace all fields of a name by one for each value; none at all removes them."""
        if not values:
            self.remove(key)
            return
        first, *others = values
        self.set(key, first)
        for value in others:
            self.add(key, value)

    def setdefault(self, key: str, default: t.Any) -> str:
        """Return the first value of a field, added if missing."""
        if key not in self:
            self.set(key, default)
        return self._get_key(key)

    def setlistdefault(self, key: str, default: cabc.Iterable[t.Any]) -> list[str]:
        """Return all values of a field, added if missing."""
        if key not in self:
            self.setlist(key, default)
        return self.getlist(key)

    def extend(self, arg: t.Any = None, /, **kwargs: t.Any) -> None:
        """Append the fields of a `Headers`, a mapping or pairs, then those given by keyword."""
        for source in (arg, kwargs):
            if source:
                for key, value in iter_multi_items(source):
                    self.add(key, value)

    def update(self, arg: t.Any = None, /, **kwargs: t.Any) -> None:
        """Replace fields by those of a `Headers`, a mapping or pairs, then by those given by keyword."""
        if isinstance(arg, (Headers, MultiDict)):
            for key in arg.keys():  # noqa: SIM118 - iterating a `Headers` gives pairs
                self.setlist(key, arg.getlist(key))
        elif arg is not None:
            self._replace(
                arg.items() if isinstance(arg, cabc.Mapping) else arg, isinstance(arg, cabc.Mapping)
            )
        self._replace(kwargs.items(), True)

    def _replace(self, pairs: t.Any, lists: bool) -> None:
        for key, value in pairs:
            if lists and isinstance(value, _SEVERAL):
                self.setlist(key, value)
            else:
                self.set(key, value)

    def __setitem__(self, key: str | int | slice, value: t.Any) -> None:
        if isinstance(key, str):
            self.set(key, value)
        elif isinstance(key, int):
            self._list[key] = (value[0], _field_value(value[1]))
        else:
            self._list[key] = [(name, _field_value(one)) for name, one in value]

    def __or__(self, other: t.Any) -> te.Self:
        if not isinstance(other, cabc.Mapping):
            return NotImplemented
        merged = self.copy()
        merged.update(other)
        return merged

    def __ior__(self, other: t.Any) -> te.Self:
        if not isinstance(other, (cabc.Mapping, cabc.Iterable)):
            return NotImplemented
        self.update(other)
        return self

    # Removing

    def _del_key(self, key: str) -> None:
        folded = key.lower()
        self._list[:] = [field for field in self._list if field[0].lower() != folded]

    def __delitem__(self, key: str | int | slice) -> None:
        if isinstance(key, str):
            self._del_key(key)
        else:
            del self._list[key]

    def remove(self, key: str) -> None:
        """Remove all fields of a name; none is no error."""
        self._del_key(key)

    def pop(self, key: str | int | None = None, default: t.Any = _missing) -> t.Any:
        """Remove and return: the last field, the field at a position, or the first value of a name."""
        if key is None:
            return self._list.pop()
        if isinstance(key, int):
            return self._list.pop(key)
        try:
            value = self._get_key(key)
        except KeyError:
            if default is _missing:
                raise
            return default
        self._del_key(key)
        return value

    def popitem(self) -> tuple[str, str]:
        """Remove and return the last field."""
        return self._list.pop()

    def clear(self) -> None:
        """Remove everything."""
        self._list.clear()

    def __str__(self) -> str:
        return "".join(f"{name}: {value}\r\n" for name, value in self.to_wsgi_list()) + "\r\n"

    def __repr__(self) -> str:
        return f"{type(self).__name__}({list(self)!r})"


def _field_value(value: t.Any, params: dict[str, t.Any] | None = None) -> str:
    """Make the text of a value with its parameters, and refuse what could end the line."""
    if params:
        from ..http import dump_options_header

        value = dump_options_header(value, {key.replace("_", "-"): param for key, param in params.items()})
    text = value if isinstance(value, str) else str(value)
    # Three `in` tests are about a third of the cost of one regular expression search on a short value.
    if "\n" in text or "\r" in text:
        raise ValueError("Header values must not contain newline characters.")
    if "\0" in text:
        raise ValueError("Header values must not contain NUL characters.")
    return text


_UNPREFIXED = frozenset(("CONTENT_TYPE", "CONTENT_LENGTH"))


class EnvironHeaders(ImmutableHeadersMixin, Headers):
    """A live, read-only view of the header fields in a WSGI environ.

    Args:
        environ: The environ.

    Compatible with: werkzeug.datastructures.EnvironHeaders (3.1)
    """

    def __init__(self, environ: dict[str, t.Any]) -> None:
        super().__init__()
        self.environ = environ

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, EnvironHeaders):
            return NotImplemented
        return self.environ is other.environ

    __hash__ = None

    def _get_key(self, key: str) -> str:
        if not isinstance(key, str):
            raise BadRequestKeyError(key)
        name = key.upper().replace("-", "_")
        if name not in _UNPREFIXED:
            name = f"HTTP_{name}"
        return self.environ[name]  # type: ignore[no-any-return]

    def __getitem__(self, key: t.Any) -> str:  # type: ignore[override]
        return self._get_key(key)

    def __iter__(self) -> cabc.Iterator[tuple[str, str]]:
        for key, value in self.environ.items():
            if key in _UNPREFIXED:
                if not value:
                    continue
            elif key.startswith("HTTP_") and key[5:] not in _UNPREFIXED:
                key = key[5:]
            else:
                continue
            yield key.replace("_", "-").title(), value

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def copy(self) -> t.NoReturn:
        """Refused: the view belongs to its environ."""
        raise TypeError(f"cannot create {type(self).__name__!r} copies")

    def __or__(self, other: t.Any) -> t.NoReturn:
        raise TypeError(f"cannot create {type(self).__name__!r} copies")
