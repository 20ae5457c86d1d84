"""A WebSocket as a view sees it: one class for coroutines, one for plain functions, the same names in both.

The native `Socket` holds the queues; these classes wait on it, which is all that differs between the two.
"""

from __future__ import annotations

import typing as t
from functools import update_wrapper

from .aio import is_coroutine_function, wraps_coroutine

if t.TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping

    from typing_extensions import Buffer

    from .._core import Socket

    Headers = t.Union[Mapping[str, str], Iterable[tuple[str, str]]]

#: Close codes with a meaning (RFC 6455 7.4.1).
NORMAL, GOING_AWAY, UNSUPPORTED, NO_STATUS, ABNORMAL, INVALID, POLICY, INTERNAL = (
    1000,
    1001,
    1003,
    1005,
    1006,
    1007,
    1008,
    1011,
)
#: Bytes of a close frame's reason.
MAX_REASON = 123


class WebSocketDisconnect(Exception):
    """The connection is closed: by the client, by this side, or because it was lost.

    A view that lets it through ends as usual: it is no error.

    Args:
        code: The close code; 1005 without one, 1006 when the connection was lost.
        reason: The reason that the closing side gave.

    BustAPI only.
    """

    def __init__(self, code: int = NO_STATUS, reason: str = "") -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = reason

    def __str__(self) -> str:
        return f"WebSocket closed with {self.code}" + (f": {self.reason}" if self.reason else "")


class SocketView:
    """A function registered for a WebSocket's rule, with the options of that registration.

    Args:
        view: Takes the socket and the URL's values; a coroutine function or a plain one.
        origins: Origins besides the own host's whose pages may connect; `"*"` lets all in. None: the application's.
        subprotocols: What the view speaks, the preferred one first.
    """

    def __init__(
        self,
        view: Callable[..., t.Any],
        origins: str | Iterable[str] | None = None,
        subprotocols: Iterable[str] = (),
    ) -> None:
        update_wrapper(self, view)
        self.view = view
        self.origins = None if origins is None else _origins(origins)
        self.subprotocols = (subprotocols,) if isinstance(subprotocols, str) else tuple(subprotocols)
        self.is_async = is_coroutine_function(view) or is_coroutine_function(type(view).__call__)
        #: A plain function, as `functools.wraps` marks it, around a coroutine function: that is who gets the socket.
        self.wraps_async = not self.is_async and wraps_coroutine(view)

    def __call__(self, *args: t.Any, **kwargs: t.Any) -> t.Any:
        """Refuse: the view needs a socket, which a WSGI server does not give.

        Raises:
            RuntimeError: Always.
        """
        raise RuntimeError(
            f"the WebSocket {self.__name__!r} was requested through WSGI; it needs BustAPI's own server, and an"
            " application whose wsgi_app was not replaced"
        )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SocketView):
            return NotImplemented
        return (self.view, self.origins, self.subprotocols) == (other.view, other.origins, other.subprotocols)

    def __hash__(self) -> int:
        return hash((self.view, self.origins, self.subprotocols))

    __name__: str


def _origins(origins: str | Iterable[str]) -> tuple[str, ...]:
    listed = (origins,) if isinstance(origins, str) else tuple(origins)
    return tuple(origin.lower().rstrip("/") for origin in listed)


def may_connect(origin: str | None, host: str, allowed: str | Iterable[str] | None) -> bool:
    """Tell whether a page of an origin may open a WebSocket here.

    A browser sends cookies with a handshake from any page and asks nobody, so the server has to.

    Args:
        origin: The value of `Origin`; None from clients that are no browsers.
        host: The host that was asked, with its port if that is not the usual one.
        allowed: Further origins, such as `https://app.example.com`; `"*"` for all.
    """
    if origin is None:
        return True
    others = () if allowed is None else _origins(allowed)
    origin = origin.lower()
    if "*" in others or origin in others:
        return True
    scheme, mark, address = origin.partition("://")
    if not mark or scheme not in ("http", "https"):
        return False
    return _without_port(address) == _without_port(host.lower()) != ""


def _without_port(address: str) -> str:
    # A proxy that ends TLS asks for the host without a port, or with its own side's usual one.
    for port in (":80", ":443"):
        if address.endswith(port):
            return address[: -len(port)]
    return address


class _Base:
    """What does not wait."""

    def __init__(
        self,
        socket: Socket,
        *,
        speaks: tuple[str, ...] = (),
        json: t.Any = None,
        on_accept: Callable[[], list[tuple[str, str]]] | None = None,
    ) -> None:
        if json is None:
            import json
        self._socket = socket
        self._speaks = speaks
        self._json = json
        self._on_accept = on_accept
        self._ended: tuple[int, str] | None = None
        #: The handshake was accepted: the answer is no longer the view's.
        self.accepted = False
        #: The subprotocol that was agreed on, or None.
        self.subprotocol: str | None = None

    @property
    def subprotocols(self) -> list[str]:
        """The subprotocols that the client offers, the preferred one first."""
        return self._socket.protocols

    @property
    def compression(self) -> str | None:
        """The extension that was agreed on, as the handshake's answer says it."""
        return self._socket.extension

    @property
    def state(self) -> str:
        """`"connecting"` until the handshake is accepted, then `"open"`, in the end `"closed"`."""
        return "closed" if self._ended is not None else self._socket.state

    @property
    def closed(self) -> bool:
        """Whether no message can be sent or received any more."""
        return self.state == "closed"

    @property
    def close_code(self) -> int | None:
        """The code that the connection was closed with; None while it is open."""
        ended = self._ended or self._socket.ended
        return None if ended is None else ended[0]

    @property
    def close_reason(self) -> str | None:
        """The reason that the connection was closed with; None while it is open."""
        ended = self._ended or self._socket.ended
        return None if ended is None else ended[1]

    def _gone(self) -> WebSocketDisconnect:
        code, reason = self._ended or self._socket.ended or (ABNORMAL, "")
        return WebSocketDisconnect(code, reason)

    def _accept(self, subprotocol: str | None, headers: Headers | None) -> None:
        if self.accepted:
            raise RuntimeError("the WebSocket was accepted already")
        if self._ended is not None:
            raise self._gone()
        offered = self._socket.protocols
        if subprotocol is None:
            subprotocol = next((name for name in self._speaks if name in offered), None)
        elif subprotocol not in offered:
            raise ValueError(f"the client does not offer the subprotocol {subprotocol!r}")
        items: list[tuple[str, str]] = []
        if headers is not None:
            pairs = getattr(headers, "items", None)
            items.extend(t.cast("Iterable[tuple[str, str]]", pairs() if pairs is not None else headers))
        if self._on_accept is not None:
            items.extend(self._on_accept())
        if not self._socket.accept(subprotocol, items):
            raise self._gone()
        self._on_accept = None
        self.accepted = True
        self.subprotocol = subprotocol

    def _expect(self) -> None:
        """There is no message: accept the connection if nobody has, and see that one may still come."""
        if not self.accepted:
            self._accept(None, None)
        if self._ended is not None or self._socket.ended is not None:
            raise self._gone()

    def _close(self, code: int, reason: str) -> None:
        if not (code in (1000, 1001, 1002, 1003) or 1007 <= code <= 1014 or 3000 <= code <= 4999):
            raise ValueError(f"{code} is not a close code that can be sent")
        if len(reason.encode()) > MAX_REASON:
            raise ValueError(f"the reason is longer than {MAX_REASON} bytes")
        if self._ended is None and self._socket.ended is None:
            if self.accepted:
                self._socket.close(code, reason)
            self._ended = (code, reason)

    def _text(self, message: str | bytes) -> str:
        if isinstance(message, str):
            return message
        raise self._refused(UNSUPPORTED, "a text was expected")

    def _bytes(self, message: str | bytes) -> bytes:
        if isinstance(message, bytes):
            return message
        raise self._refused(UNSUPPORTED, "bytes were expected")

    def _value(self, message: str | bytes) -> t.Any:
        try:
            return self._json.loads(message)
        except (ValueError, RecursionError):
            raise self._refused(INVALID, "JSON was expected") from None

    def _refused(self, code: int, reason: str) -> WebSocketDisconnect:
        # What a client sends wrong is its own end, and no error of the application.
        self._close(code, reason)
        return self._gone()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.state}>"


class WebSocket(_Base):
    """The connection of a WebSocket, for a view that is a coroutine function.

    Receiving or sending accepts the handshake, if `accept` was not called before. Iterating over it gives the messages
    until the connection closes. Several tasks may send; each message is whole.

    Compatible with: BustAPI only. The names are Starlette's where it has them.
    """

    async def accept(self, subprotocol: str | None = None, headers: Headers | None = None) -> None:
        """Accept the handshake.

        Args:
            subprotocol: One that the client offers. Without it the first of the route's that it offers, if any.
            headers: Header fields for the answer.

        Raises:
            ValueError: The client did not offer the subprotocol, or a header cannot be sent.
            RuntimeError: It was accepted before.
            WebSocketDisconnect: The client has gone.
        """
        self._accept(subprotocol, headers)

    async def receive(self) -> str | bytes:
        """Wait for the next message: `str` for a text, `bytes` for a binary one.

        Raises:
            WebSocketDisconnect: The connection is closed, and every message was received.
        """
        if not self.accepted:
            self._accept(None, None)
        message = await self._socket.receive()
        if message is None:
            raise self._gone()
        return message

    async def receive_text(self) -> str:
        """Wait for a text; a binary message closes the connection with 1003.

        Raises:
            WebSocketDisconnect: The connection is closed.
        """
        return self._text(await self.receive())

    async def receive_bytes(self) -> bytes:
        """Wait for a binary message; a text closes the connection with 1003.

        Raises:
            WebSocketDisconnect: The connection is closed.
        """
        return self._bytes(await self.receive())

    async def receive_json(self) -> t.Any:
        """Wait for a message and parse it; one that is not JSON closes the connection with 1007.

        Raises:
            WebSocketDisconnect: The connection is closed.
        """
        return self._value(await self.receive())

    async def send(self, data: str | Buffer) -> None:
        """Send a message, and wait while more than `max_outbox` bytes are on their way.

        Args:
            data: `str` is sent as a text, anything with a buffer of bytes as a binary message.

        Raises:
            WebSocketDisconnect: The connection is closed.
        """
        if not self.accepted:
            self._accept(None, None)
        room = self._socket.send(data)
        if room is None:
            raise self._gone()
        if not room:
            await self._socket.drain()

    async def send_text(self, data: str) -> None:
        """Send a text.

        Raises:
            TypeError: It is not a `str`.
            WebSocketDisconnect: The connection is closed.
        """
        if not isinstance(data, str):
            raise TypeError(f"a text is a str, not {type(data).__name__}")
        await self.send(data)

    async def send_bytes(self, data: Buffer) -> None:
        """Send a binary message.

        Raises:
            TypeError: It has no buffer of bytes.
            WebSocketDisconnect: The connection is closed.
        """
        if isinstance(data, str):
            raise TypeError("bytes are to be sent, not str")
        await self.send(data)

    async def send_json(self, value: t.Any) -> None:
        """Send a value as JSON, in a text.

        Raises:
            WebSocketDisconnect: The connection is closed.
        """
        await self.send(self._json.dumps(value))

    async def ping(self, data: bytes = b"") -> None:
        """Send a ping; the server sends its own as well (`websocket_ping_interval`).

        Args:
            data: At most 125 bytes.

        Raises:
            WebSocketDisconnect: The connection is closed.
        """
        if not self.accepted:
            self._accept(None, None)
        room = self._socket.ping(data)
        if room is None:
            raise self._gone()
        if not room:
            await self._socket.drain()

    async def close(self, code: int = NORMAL, reason: str = "") -> None:
        """Close the connection; before `accept`, refuse the handshake. Does nothing when it is closed.

        What was sent before is delivered first. This does not wait for the client's answer.

        Args:
            code: 1000 to 1014 where they are defined, or an application's own from 3000 to 4999.
            reason: At most 123 bytes.

        Raises:
            ValueError: The code or the reason cannot be sent.
        """
        self._close(code, reason)

    async def iter_text(self) -> AsyncIterator[str]:
        """Iterate over texts until the connection closes."""
        try:
            while True:
                yield await self.receive_text()
        except WebSocketDisconnect:
            return

    async def iter_bytes(self) -> AsyncIterator[bytes]:
        """Iterate over binary messages until the connection closes."""
        try:
            while True:
                yield await self.receive_bytes()
        except WebSocketDisconnect:
            return

    async def iter_json(self) -> AsyncIterator[t.Any]:
        """Iterate over the values of messages until the connection closes."""
        try:
            while True:
                yield await self.receive_json()
        except WebSocketDisconnect:
            return

    def __aiter__(self) -> AsyncIterator[str | bytes]:
        # Not itself: what comes for each message is native, once it is accepted.
        return self._socket.messages(self.__anext__)

    def __anext__(self) -> Awaitable[str | bytes]:
        # As `receive`, without a coroutine: an idle connection waits here, and there may be many.
        if not self.accepted:
            try:
                self._accept(None, None)
            except WebSocketDisconnect:
                return _over()
        return self._socket.iterate()


async def _over() -> str | bytes:
    """An iteration's end, for who awaits it."""
    raise StopAsyncIteration


class SyncWebSocket(_Base):
    """The connection of a WebSocket, for a view that is a plain function: methods that wait block its thread.

    Each connection holds a thread of the pool for as long as it lasts. Methods are those of `WebSocket`; what waits
    takes a `timeout` in seconds and raises `TimeoutError`.

    Compatible with: BustAPI only.
    """

    def accept(self, subprotocol: str | None = None, headers: Headers | None = None) -> None:
        """Accept the handshake; see `WebSocket.accept`."""
        self._accept(subprotocol, headers)

    def receive(self, timeout: float | None = None) -> str | bytes:
        """Wait for the next message: `str` for a text, `bytes` for a binary one.

        Args:
            timeout: Seconds to wait at most.

        Raises:
            TimeoutError: No message came in time.
            WebSocketDisconnect: The connection is closed, and every message was received.
        """
        socket = self._socket
        message = socket.take()
        while message is None:
            self._expect()
            if not socket.wait_blocking(timeout):
                raise TimeoutError("no message came in time")
            message = socket.take()
        return message

    def receive_text(self, timeout: float | None = None) -> str:
        """Wait for a text; see `WebSocket.receive_text`."""
        return self._text(self.receive(timeout))

    def receive_bytes(self, timeout: float | None = None) -> bytes:
        """Wait for a binary message; see `WebSocket.receive_bytes`."""
        return self._bytes(self.receive(timeout))

    def receive_json(self, timeout: float | None = None) -> t.Any:
        """Wait for a message and parse it; see `WebSocket.receive_json`."""
        return self._value(self.receive(timeout))

    def send(self, data: str | Buffer, timeout: float | None = None) -> None:
        """Send a message, and wait while more than `max_outbox` bytes are on their way.

        Args:
            data: `str` is sent as a text, anything with a buffer of bytes as a binary message.
            timeout: Seconds to wait at most; the message is sent in any case.

        Raises:
            TimeoutError: The client does not take what is sent.
            WebSocketDisconnect: The connection is closed.
        """
        if not self.accepted:
            self._accept(None, None)
        room = self._socket.send(data)
        if room is None:
            raise self._gone()
        if not room and not self._socket.drain_blocking(timeout):
            raise TimeoutError("the client does not take what is sent")

    def send_text(self, data: str, timeout: float | None = None) -> None:
        """Send a text; see `WebSocket.send_text`."""
        if not isinstance(data, str):
            raise TypeError(f"a text is a str, not {type(data).__name__}")
        self.send(data, timeout)

    def send_bytes(self, data: Buffer, timeout: float | None = None) -> None:
        """Send a binary message; see `WebSocket.send_bytes`."""
        if isinstance(data, str):
            raise TypeError("bytes are to be sent, not str")
        self.send(data, timeout)

    def send_json(self, value: t.Any, timeout: float | None = None) -> None:
        """Send a value as JSON, in a text."""
        self.send(self._json.dumps(value), timeout)

    def ping(self, data: bytes = b"") -> None:
        """Send a ping; see `WebSocket.ping`."""
        if not self.accepted:
            self._accept(None, None)
        if self._socket.ping(data) is None:
            raise self._gone()

    def close(self, code: int = NORMAL, reason: str = "") -> None:
        """Close the connection; see `WebSocket.close`."""
        self._close(code, reason)

    def iter_text(self) -> Iterator[str]:
        """Iterate over texts until the connection closes."""
        try:
            while True:
                yield self.receive_text()
        except WebSocketDisconnect:
            return

    def iter_bytes(self) -> Iterator[bytes]:
        """Iterate over binary messages until the connection closes."""
        try:
            while True:
                yield self.receive_bytes()
        except WebSocketDisconnect:
            return

    def iter_json(self) -> Iterator[t.Any]:
        """Iterate over the values of messages until the connection closes."""
        try:
            while True:
                yield self.receive_json()
        except WebSocketDisconnect:
            return

    def __iter__(self) -> SyncWebSocket:
        return self

    def __next__(self) -> str | bytes:
        try:
            return self.receive()
        except WebSocketDisconnect:
            raise StopIteration from None
