"""Header fields and long bodies of a request that the server holds itself, read where they were received.

A field asked for by name costs one look into the received head; nothing else is decoded. As soon as somebody asks
for the WSGI environment the fields are read from it instead, so that changes made there are seen, as in any other
WSGI server.
"""

from __future__ import annotations

import collections.abc as cabc
import io
import typing as t

from .._internal import _lazy
from ..datastructures import EnvironHeaders
from .body import chunks_of


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


class BodyView(io.BufferedIOBase):
    """A body as a stream that copies what is read, and nothing else. For long ones: `io.BytesIO` copies all of it.

    Args:
        body: The server's buffer.

    BustAPI only.
    """

    def __init__(self, body: t.Any) -> None:
        #: The buffer, for a parser that reads it without the stream.
        self.received = body
        self._view = memoryview(body)
        self._position = 0

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Return the position."""
        self._check()
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move the position.

        Args:
            offset: By how much.
            whence: From the start, from the position or from the end.

        Raises:
            ValueError: There is no such position.
        """
        self._check()
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: len(self._view)}
        if whence not in base or base[whence] + offset < 0:
            raise ValueError(f"no such position: {offset} from {whence}")
        self._position = base[whence] + offset
        return self._position

    def read(self, size: int | None = -1, /) -> bytes:
        """Return the next bytes, all of them if there is no size."""
        piece = self.peek(len(self._view) if size is None or size < 0 else size)
        self._position += len(piece)
        return piece

    read1 = read

    def readinto(self, buffer: t.Any, /) -> int:
        """Fill a buffer; return how many bytes there were."""
        self._check()
        target = memoryview(buffer).cast("B")
        piece = self._view[self._position : self._position + len(target)]
        target[: len(piece)] = piece
        self._position += len(piece)
        return len(piece)

    readinto1 = readinto

    def peek(self, size: int = 8192, /) -> bytes:
        """Return the next bytes and stay there; what `readline` looks at."""
        self._check()
        return bytes(self._view[self._position : self._position + size])

    def __call__(self) -> cabc.AsyncIterator[bytes]:
        """Return an async iterator over the rest."""
        return chunks_of(self)

    def _check(self) -> None:
        if self.closed:
            raise ValueError("I/O operation on closed file.")
