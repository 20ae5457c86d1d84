"""A small HTTP client for tests of streams: bodies sent piece by piece, answers and events read as they come."""

from __future__ import annotations

import json
import re
import socket
import struct
import typing as t
from http.client import HTTPConnection, HTTPResponse

from .served_connection import ServedConnection

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from types import TracebackType

    from .served_connection import Dialled

_PIECE = 64 * 1024
_LINE = re.compile(b"\r\n|\n|\r")


class ServerEvent(t.NamedTuple):
    """An event as a client sees it.

    BustAPI only.
    """

    data: str
    #: `message`, unless it was sent with another type.
    type: str
    #: The last id that was sent, by this event or before it.
    id: str


class Events:
    """An iterator over the events of a stream, read as a browser reads them.

    Args:
        pieces: The stream in pieces, of any size.

    BustAPI only.
    """

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = iter(pieces)
        self._rest = b""
        self._data: list[str] = []
        self._type = ""
        self._id = ""
        self._is_first = True
        #: The id that the client would come back with.
        self.last_event_id = ""
        #: Milliseconds after which it would.
        self.retry: int | None = None
        #: The comments so far.
        self.comments: list[str] = []

    def __iter__(self) -> Iterator[ServerEvent]:
        return self

    def __next__(self) -> ServerEvent:
        while True:
            line = self._line().decode("utf-8", "replace")
            if line:
                self._take(line)
                continue
            data, kind = self._data, self._type
            self._data, self._type = [], ""
            self.last_event_id = self._id
            if data:
                return ServerEvent("\n".join(data), kind or "message", self._id)

    def _line(self) -> bytes:
        while True:
            found = _LINE.search(self._rest)
            # The second half of a line's end may be in the next piece.
            if found and (found.group() != b"\r" or found.end() < len(self._rest)):
                line, self._rest = self._rest[: found.start()], self._rest[found.end() :]
                return self._without_mark(line)
            try:
                self._rest += next(self._pieces)
            except StopIteration:
                if found is None:
                    # What is not ended is no event.
                    raise
                line, self._rest = self._rest[: found.start()], b""
                return self._without_mark(line)

    def _without_mark(self, line: bytes) -> bytes:
        is_first, self._is_first = self._is_first, False
        return line[3:] if is_first and line.startswith(b"\xef\xbb\xbf") else line

    def _take(self, line: str) -> None:
        name, colon, value = line.partition(":")
        value = value[1:] if value.startswith(" ") else value
        if not name and colon:
            self.comments.append(value)
        elif name == "data":
            self._data.append(value)
        elif name == "event":
            self._type = value
        elif name == "id" and "\0" not in value:
            self._id = value
        elif name == "retry" and value.isascii() and value.isdigit():
            self.retry = int(value)


class StreamClient(ServedConnection):
    """One request and its answer, as `test_client().stream(path)` opens them within a `with` block.

    Iterating over it gives the pieces of the answer's body as they come. Before its block is entered, and after it has
    gone, sending and receiving raise `RuntimeError`.

    Args:
        dialled: Where to.
        method: The method.

    BustAPI only.
    """

    def __init__(self, dialled: Dialled, *, method: str) -> None:
        super().__init__(dialled)
        self._method = method
        self._is_chunked = False
        #: Why no more of a body can be sent; None while it can.
        self._refusal: str | None = None
        self._connection: HTTPConnection | None = None
        self._socket: socket.socket | None = None
        self._answer: HTTPResponse | None = None

    def _leave(self, failed: bool) -> None:
        self.disconnect(reset=False)

    def _open(self) -> None:
        fields = dict(self._dialled.fields)
        names = {name.lower() for name in fields}
        has_length = not names.isdisjoint({"content-length", "transfer-encoding"})
        has_body = has_length or self._method not in ("GET", "HEAD")
        self._refusal = None if has_body else f"a {self._method} without Content-Length has no body"
        self._is_chunked = self._method not in ("GET", "HEAD") and "content-length" not in names
        if self._is_chunked:
            fields["Transfer-Encoding"] = "chunked"
        self._connection = connection = self._request(self._method, fields)
        self._socket = connection.sock

    def send(self, data: bytes) -> None:
        """Send a piece of the body.

        Args:
            data: The bytes; in chunks unless `Content-Length` was given.

        Raises:
            OSError: The server does not take it.
            RuntimeError: The request has no body, or it was ended; or the connection is not open.
        """
        connection = self._connected()
        if self._refusal is not None:
            raise RuntimeError(f"Nothing can be sent: {self._refusal}.")
        if self._is_chunked and data:
            data = b"%x\r\n%b\r\n" % (len(data), data)
        if data:
            connection.send(data)

    def end(self) -> None:
        """End the body: nothing can be sent behind it. Does nothing the second time.

        Raises:
            RuntimeError: The connection is not open.
        """
        connection = self._connected()
        self._refusal = self._refusal or "the body was ended"
        if self._is_chunked:
            self._is_chunked = False
            connection.send(b"0\r\n\r\n")

    @property
    def answer(self) -> HTTPResponse:
        """The answer; waits for its head, also while the body is not complete.

        Raises:
            RuntimeError: The connection is not open.
        """
        if self._answer is None:
            # `getresponse` of the connection would not be asked before the body's end.
            self._answer = HTTPResponse(self._connected().sock, method=self._method)
            self._answer.begin()
            self._keep_cookies(self._answer.getheaders())
        return self._answer

    def _connected(self) -> HTTPConnection:
        """The connection; it would connect again by itself once it was closed."""
        if self._connection is None:
            raise self._unopened()
        if self._socket is None:
            raise RuntimeError("The client has gone.")
        return self._connection

    @property
    def status_code(self) -> int:
        """The answer's status."""
        return self.answer.status

    @property
    def headers(self) -> t.Any:
        """The answer's header fields, a `http.client.HTTPMessage`."""
        return self.answer.headers

    def __iter__(self) -> Iterator[bytes]:
        while True:
            piece = self.receive()
            if not piece:
                return
            yield piece

    def receive(self) -> bytes:
        """Wait for a piece of the answer's body; empty at its end.

        Raises:
            http.client.IncompleteRead: The answer was cut short.
        """
        return self.answer.read1(_PIECE)

    def read(self) -> bytes:
        """Wait for the rest of the answer's body."""
        return self.answer.read()

    @property
    def json(self) -> t.Any:
        """The rest of the answer's body, parsed."""
        return json.loads(self.read())

    def disconnect(self, *, reset: bool = True) -> None:
        """Go away.

        Args:
            reset: Reset the connection; else close it.
        """
        connected, self._socket = self._socket, None
        if connected is None:
            return
        if reset:
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        else:
            # A plain close would wait for whoever else has the descriptor.
            try:
                connected.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # the server was first
        if self._answer is not None:
            self._answer.close()
        if self._connection is not None:
            self._connection.close()
        connected.close()


class EventsClient(Events):
    """The events of an answer, as `test_client().events(path)` opens them within a `with` block.

    Iterating over it gives each `ServerEvent` as it comes.

    BustAPI only.
    """

    def __init__(self, stream: StreamClient) -> None:
        super().__init__(stream)
        #: The answer.
        self.response = stream

    def __enter__(self) -> EventsClient:
        self.response.__enter__()
        self._pieces = iter(self.response)
        return self

    def __exit__(
        self, exc_type: type | None, exc_value: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.response.__exit__(exc_type, exc_value, tb)

    def disconnect(self, *, reset: bool = True) -> None:
        """Go away; see `StreamClient.disconnect`."""
        self.response.disconnect(reset=reset)
