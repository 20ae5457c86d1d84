"""Header fields of a request that the server holds itself, read where they were received.

A field asked for by name costs one look into the received head; nothing else is decoded. As soon as somebody asks
for the WSGI environment the fields are read from it instead, so that changes made there are seen, as in any other
WSGI server.
"""

from __future__ import annotations

import collections.abc as cabc
import typing as t

from .._internal import _lazy
from ..datastructures import EnvironHeaders


class ReceivedHeaders(EnvironHeaders):
    """Read-only header fields of the server's request state.

    Args:
        native: The server's request state.

    BustAPI only.
    """

    def __init__(self, native: t.Any) -> None:
        self._list = []
        self._native = native

    if not t.TYPE_CHECKING:

        @_lazy
        def environ(self) -> dict[str, t.Any]:
            """The WSGI environment; made on first access, and what the fields are read from then."""
            return self._native.environ()

    def _find(self, key: str) -> str | None:
        values = self.__dict__
        if "environ" in values:
            name = key.upper().replace("-", "_")
            if name not in ("CONTENT_TYPE", "CONTENT_LENGTH"):
                name = f"HTTP_{name}"
            return values["environ"].get(name)  # type: ignore[no-any-return]
        if "_" in key:
            key = key.replace("_", "-")
        # An absolute target names the host itself, whatever the field says (RFC 9112 3.2.2).
        if key in ("Host", "host") or key.lower() == "host":
            return self._native.host  # type: ignore[no-any-return]
        return self._native.header(key)  # type: ignore[no-any-return]

    def _get_key(self, key: str) -> str:
        found = self._find(key) if isinstance(key, str) else None
        if found is None:
            raise KeyError(key)
        return found

    def get(self, key: str, default: t.Any = None, type: t.Callable[[str], t.Any] | None = None) -> t.Any:
        """Return a field's value. See `Headers.get`."""
        value = self._find(key) if isinstance(key, str) else None
        if value is None:
            return default
        if type is None:
            return value
        try:
            return type(value)
        except ValueError:
            return default

    def getlist(self, key: str, type: t.Callable[[str], t.Any] | None = None) -> list[t.Any]:
        """Return a field's value in a list, empty if it is missing: repeated fields are one value in WSGI."""
        if "environ" in self.__dict__ or "_" in key:
            return super().getlist(key, type)
        value = self.get(key, None, type)
        return [] if value is None else [value]

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and self._find(key) is not None

    def __iter__(self) -> cabc.Iterator[tuple[str, str]]:
        if "environ" in self.__dict__:
            return super().__iter__()
        if not self._list:
            self._list = list(self._merged().items())
        return iter(self._list)

    def _merged(self) -> dict[str, str]:
        """Return the fields as an environment would give them: one entry a name, repeated values joined."""
        fields: dict[str, str] = {}
        for name, value in self._native.headers_list():
            if "_" in name:
                continue  # one key with its twin that has hyphens; the environment leaves it out too
            name = name.title()
            if name in fields:
                # RFC 9110 5.3, and RFC 9113 8.2.3 for cookies.
                separator = "; " if name == "Cookie" else ","
                fields[name] = f"{fields[name]}{separator}{value}"
            elif value or name not in ("Content-Type", "Content-Length"):
                fields[name] = value
        host = self._native.host
        if host is not None:
            fields["Host"] = host
        return fields
