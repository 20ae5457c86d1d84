"""Helpers on WSGI environs, input streams and response iterables."""

from __future__ import annotations

import io
import typing as t
from functools import update_wrapper

from .exceptions import ClientDisconnected, RequestEntityTooLarge
from .sansio import utils as _sansio_utils
from .sansio.utils import host_is_trusted as host_is_trusted

Environ = dict[str, t.Any]


def responder(f: t.Callable[..., t.Any]) -> t.Callable[..., t.Any]:
    """Make a function that returns an application act as one."""

    def application(*args: t.Any) -> t.Any:
        return f(*args)(*args[-2:])

    return update_wrapper(application, f)


def get_current_url(
    environ: Environ,
    root_only: bool = False,
    strip_querystring: bool = False,
    host_only: bool = False,
    trusted_hosts: t.Collection[str] | None = None,
) -> str:
    """Return the URL of a request as an IRI.

    Args:
        environ: The environ.
        root_only: Leave the path out.
        strip_querystring: Leave the query out.
        host_only: End after the host.
        trusted_hosts: See `host_is_trusted`.
    """
    root = path = query = None
    if not host_only:
        root = environ.get("SCRIPT_NAME", "")
        if not root_only:
            path = environ.get("PATH_INFO", "")
            if not strip_querystring:
                query = environ.get("QUERY_STRING", "").encode("latin1")
    host = get_host(environ, trusted_hosts)
    return _sansio_utils.get_current_url(environ["wsgi.url_scheme"], host, root, path, query)


def _get_server(environ: Environ) -> tuple[str, int | None] | None:
    """Return the server's name and port; the port of a unix socket is None."""
    name = environ.get("SERVER_NAME")
    if name is None:
        return None
    try:
        return name, int(environ["SERVER_PORT"])
    except (KeyError, TypeError, ValueError):
        return name, None


def get_host(environ: Environ, trusted_hosts: t.Collection[str] | None = None) -> str:
    """Return the host a request is for. See `sansio.utils.get_host`."""
    return _sansio_utils.get_host(
        environ["wsgi.url_scheme"], environ.get("HTTP_HOST"), _get_server(environ), trusted_hosts
    )


def get_content_length(environ: Environ) -> int | None:
    """Return the declared length of the body. See `sansio.utils.get_content_length`."""
    return _sansio_utils.get_content_length(
        environ.get("CONTENT_LENGTH"), environ.get("HTTP_TRANSFER_ENCODING")
    )


def get_path_info(environ: Environ) -> str:
    """Return the decoded path."""
    path: str = environ.get("PATH_INFO", "")
    return path if path.isascii() else path.encode("latin1").decode(errors="replace")


def get_input_stream(
    environ: Environ, safe_fallback: bool = True, max_content_length: int | None = None
) -> t.IO[bytes]:
    """Return the body as a stream that ends where the body does.

    Args:
        environ: The environ.
        safe_fallback: Give an empty stream if nothing says where the body ends.
        max_content_length: Bytes allowed.

    Raises:
        RequestEntityTooLarge: More is declared than allowed. Reading raises it if more arrives.
    """
    stream: t.IO[bytes] = environ["wsgi.input"]
    length = get_content_length(environ)
    limit = max_content_length
    if limit is not None and length is not None and length > limit:
        raise RequestEntityTooLarge()
    if "wsgi.input_terminated" in environ:  # the server ends the stream itself
        return stream if limit is None else t.cast(t.IO[bytes], LimitedStream(stream, limit, is_max=True))
    if length is None:
        return io.BytesIO() if safe_fallback else stream
    return t.cast(t.IO[bytes], LimitedStream(stream, length))


class ClosingIterator:
    """An iterator that runs callbacks when the server closes it, after the iterable's own `close`.

    Args:
        iterable: The response.
        callbacks: One callable or several.
    """

    def __init__(self, iterable: t.Iterable[bytes], callbacks: t.Any = None) -> None:
        self._iterator = iter(iterable)
        own_close = getattr(iterable, "close", None)
        self._callbacks: list[t.Callable[[], t.Any]] = [own_close] if own_close else []
        if callable(callbacks):
            self._callbacks.append(callbacks)
        else:
            self._callbacks += callbacks or ()

    def __iter__(self) -> ClosingIterator:
        return self

    def __next__(self) -> bytes:
        return next(self._iterator)

    def close(self) -> None:
        """Run the callbacks."""
        for callback in self._callbacks:
            callback()


def wrap_file(environ: Environ, file: t.IO[bytes], buffer_size: int = 8192) -> t.Iterable[bytes]:
    """Wrap a file in the server's own wrapper, or in `FileWrapper`."""
    wrapper = environ.get("wsgi.file_wrapper", FileWrapper)
    return wrapper(file, buffer_size)  # type: ignore[no-any-return]


class FileWrapper:
    """Iterates over a file in blocks.

    Args:
        file: An object with `read`.
        buffer_size: Bytes a block.
    """

    def __init__(self, file: t.IO[bytes], buffer_size: int = 8192) -> None:
        self.file = file
        self.buffer_size = buffer_size

    def close(self) -> None:
        """Close the file, if it can be."""
        close = getattr(self.file, "close", None)
        if close is not None:
            close()

    def seekable(self) -> bool:
        """Tell whether the file can be positioned."""
        ask = getattr(self.file, "seekable", None)
        return bool(ask()) if ask is not None else hasattr(self.file, "seek")

    def seek(self, *args: t.Any) -> None:
        """Position the file, if it can be."""
        seek = getattr(self.file, "seek", None)
        if seek is not None:
            seek(*args)

    def tell(self) -> int | None:
        """Return the file's position, None if it has none."""
        tell = getattr(self.file, "tell", None)
        return tell() if tell is not None else None

    def __iter__(self) -> FileWrapper:
        return self

    def __next__(self) -> bytes:
        block = self.file.read(self.buffer_size)
        if not block:
            raise StopIteration
        return block


class _RangeWrapper:
    """Iterates over a part of an iterable, seeking where it can.

    Args:
        iterable: Blocks of bytes.
        start_byte: Where to begin.
        byte_range: How many bytes; None for all.
    """

    def __init__(self, iterable: t.Any, start_byte: int = 0, byte_range: int | None = None) -> None:
        self.iterable: t.Any = iter(iterable)
        self.start_byte = start_byte
        self.byte_range = byte_range
        self.end_byte = None if byte_range is None else start_byte + byte_range
        self.seekable = hasattr(iterable, "seekable") and iterable.seekable()
        self.end_reached = False
        self._skip = start_byte
        self._left = byte_range
        self._sought = False

    def __iter__(self) -> _RangeWrapper:
        return self

    def __next__(self) -> bytes:
        if self.end_reached or self._left == 0:
            self.end_reached = True
            raise StopIteration
        if self.seekable and not self._sought:
            self._sought = True
            self.iterable.seek(self.start_byte)
            self._skip = 0
        try:
            block = next(self.iterable)
            while self._skip:
                taken = min(self._skip, len(block))
                block = block[taken:]
                self._skip -= taken
                if not block:
                    block = next(self.iterable)
        except StopIteration:
            self.end_reached = True
            raise
        if not block:
            self.end_reached = True
            raise StopIteration
        if self._left is not None:
            block = block[: self._left]
            self._left -= len(block)
        return block  # type: ignore[no-any-return]

    def close(self) -> None:
        """Close the iterable, if it can be."""
        if hasattr(self.iterable, "close"):
            self.iterable.close()


class LimitedStream(io.RawIOBase):
    """A stream that ends after a number of bytes, so that no read waits for what will not come.

    Args:
        stream: The server's stream.
        limit: Bytes.
        is_max: The limit is a maximum, past which reading raises, and not the declared length.

    Compatible with: werkzeug.wsgi.LimitedStream (3.1)
    """

    def __init__(self, stream: t.IO[bytes], limit: int, is_max: bool = False) -> None:
        self._stream: t.Any = stream
        self._pos = 0
        self.limit = limit
        self._limit_is_max = is_max

    @property
    def is_exhausted(self) -> bool:
        """Whether the limit is reached."""
        return self._pos >= self.limit

    def on_exhausted(self) -> None:
        """Called on a read past the limit.

        Raises:
            RequestEntityTooLarge: The limit is a maximum.
        """
        if self._limit_is_max:
            raise RequestEntityTooLarge()

    def on_disconnect(self, error: Exception | None = None) -> None:
        """Called when the stream ends or fails before the limit.

        Raises:
            ClientDisconnected: Unless an end is allowed, because the limit is a maximum.
        """
        if error is not None or not self._limit_is_max:
            raise ClientDisconnected()

    def exhaust(self) -> bytes:
        """Read and return what is left."""
        return b"" if self.is_exhausted else self.readall()

    def readinto(self, b: t.Any) -> int | None:
        """Read into a buffer, at most to the limit."""
        wanted = min(len(b), self.limit - self._pos)
        if wanted <= 0:
            self.on_exhausted()
            return 0
        try:
            count = self._read_some(b, wanted)
        except (OSError, ValueError) as error:
            self.on_disconnect(error=error)
            return 0
        if not count:
            self.on_disconnect()
            return 0
        self._pos += count
        return count

    def _read_some(self, target: t.Any, wanted: int) -> int | None:
        if not hasattr(self._stream, "readinto"):
            block = self._stream.read(wanted)
            target[: len(block)] = block
            return len(block)
        if wanted == len(target):
            return self._stream.readinto(target)  # type: ignore[no-any-return]
        part = bytearray(wanted)
        count: int | None = self._stream.readinto(part)
        if count:
            target[:count] = part[:count]
        return count

    def readall(self) -> bytes:
        """Read to the limit or to the end."""
        if self.is_exhausted:
            self.on_exhausted()
            return b""
        blocks = []
        while not self.is_exhausted:
            block = self.read(64 * 1024)
            if not block:
                break
            blocks.append(block)
        return b"".join(blocks)

    def tell(self) -> int:
        """Return how many bytes were read."""
        return self._pos

    def __call__(self) -> t.AsyncIterator[bytes]:
        """Iterate over what was not read yet. BustAPI only."""
        from .wrappers.body import chunks_of

        return chunks_of(self)

    def readable(self) -> bool:
        """Always true."""
        return True
