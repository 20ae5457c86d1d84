"""Request bodies as streams that are both: files to read from, and callables that give an async iterator.

`request.stream.read()` waits for what has not arrived, on the thread that calls it; `async for chunk in
request.stream()` lets the event loop go on meanwhile.
"""

from __future__ import annotations

import io
import typing as t

from ..._core import BodyLost
from ..exceptions import (
    BadRequest,
    ClientDisconnected,
    HTTPException,
    RequestEntityTooLarge,
    RequestTimeout,
    ServiceUnavailable,
)

if t.TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from ..._core import BodyStream

#: Bytes of a chunk at most.
CHUNK = 64 * 1024

_BY_STATUS: dict[int | None, type[HTTPException]] = {
    None: ClientDisconnected,
    408: RequestTimeout,
    413: RequestEntityTooLarge,
    503: ServiceUnavailable,
}


class HeldBody(io.BytesIO):
    """A body that has arrived.

    Calling it gives an async iterator over what was not read yet.

    Compatible with: BustAPI only.
    """

    def __call__(self) -> AsyncIterator[bytes]:
        """Return an async iterator over the rest."""
        return chunks_of(self)


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

    def __call__(self) -> AsyncIterator[bytes]:
        """Return an async iterator over the rest."""
        return chunks_of(self)

    def _check(self) -> None:
        if self.closed:
            raise ValueError("I/O operation on closed file.")


class ReceivedBody(io.BufferedIOBase):
    """A body that is read while it arrives.

    Reading waits for the client; `read1` and iterating by `async for chunk in stream()` take what is there. A client
    that goes, or is too slow, ends it with an exception, which is answered as any other of the view.

    Args:
        source: The server's side.
        limit: Bytes that it may have; None for any.

    Raises:
        ClientDisconnected: The body will not be whole; from each method that reads, as the following.
        RequestTimeout: The client is too slow.
        RequestEntityTooLarge: It is longer than the limit, or than the server allows.
        BadRequest: What the client sends is no body.
        ServiceUnavailable: All of it was asked for, and it is more than the server keeps in memory.

    Compatible with: BustAPI only. The methods are those of a binary file.
    """

    def __init__(self, source: BodyStream, limit: int | None = None) -> None:
        self._source = source
        self._position = 0
        #: Bytes that the body may have; None for any.
        self.limit = limit

    def readable(self) -> bool:
        """Always true."""
        return True

    def read(self, size: int | None = -1, /) -> bytes:
        """Wait for `size` bytes, or all of them, or the end."""
        try:
            if size is not None and size >= 0:
                return self._count(self._source.read(size))
            if self.limit is None:
                return self._count(self._source.read())
            # One byte more tells that there is more.
            return self._count(self._source.read(max(0, self.limit - self._position) + 1))
        except BodyLost as error:
            raise _answer(error) from None

    def read1(self, size: int = -1, /) -> bytes:
        """Wait for a first byte, and return what is there."""
        try:
            return self._count(self._source.read1(CHUNK if size < 0 else size))
        except BodyLost as error:
            raise _answer(error) from None

    def readline(self, size: int | None = -1, /) -> bytes:
        """Wait for a line, or the end."""
        try:
            return self._count(self._source.readline(None if size is None or size < 0 else size))
        except BodyLost as error:
            raise _answer(error) from None

    def exhaust(self) -> bytes:
        """Read and return what is left."""
        return self.read()

    def tell(self) -> int:
        """Return how many bytes were read."""
        return self._position

    def __call__(self) -> AsyncIterator[bytes]:
        """Return an async iterator over the rest, as it arrives."""
        return _Chunks(self)

    def _count(self, data: bytes) -> bytes:
        self._position += len(data)
        if self.limit is not None and self._position > self.limit:
            raise RequestEntityTooLarge()
        return data

    async def load(self) -> bytes:
        """Wait for the rest without holding the event loop."""
        parts: list[bytes] = []
        try:
            async for part in self():
                parts.append(part)
                self._source.reserve(self._position)
        except BodyLost as error:
            raise _answer(error) from None
        return b"".join(parts)

    async def _next(self) -> bytes:
        try:
            data = self._source.take(CHUNK)
            while data is None:
                await self._source.wait()
                data = self._source.take(CHUNK)
        except BodyLost as error:
            raise _answer(error) from None
        return self._count(data)


class _Chunks:
    """An async iterator over a body while it arrives."""

    def __init__(self, body: ReceivedBody) -> None:
        self._body = body

    def __aiter__(self) -> _Chunks:
        return self

    async def __anext__(self) -> bytes:
        data = await self._body._next()
        if not data:
            raise StopAsyncIteration
        return data


async def chunks_of(stream: t.Any) -> AsyncIterator[bytes]:
    """Iterate over what a file-like stream has.

    Args:
        stream: Has `read`.
    """
    while True:
        chunk = stream.read(CHUNK)
        if not chunk:
            return
        yield chunk


def _answer(error: BodyLost) -> HTTPException:
    return _BY_STATUS.get(error.args[0] if error.args else None, BadRequest)()
