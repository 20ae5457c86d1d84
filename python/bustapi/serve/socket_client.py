"""A small WebSocket client for tests: blocking, on the standard library, against a server of this process."""

from __future__ import annotations

import base64
import json
import os
import socket
import struct
import time
import typing as t
from http.client import HTTPResponse

from ..kernel.websocket import ABNORMAL, MAX_REASON, NO_STATUS, NORMAL, WebSocketDisconnect
from .served_connection import ServedConnection

if t.TYPE_CHECKING:
    from typing_extensions import Buffer

    from .served_connection import Dialled

_CONTINUATION, _TEXT, _BINARY, _CLOSE, _PING, _PONG = 0, 1, 2, 8, 9, 10
#: Bytes of a control frame's payload (RFC 6455 5.5).
_MAX_CONTROL = 125


class HandshakeRefused(Exception):
    """The application answered a handshake over HTTP.

    BustAPI only.
    """

    def __init__(self, status: int, headers: list[tuple[str, str]], data: bytes) -> None:
        super().__init__(f"the handshake was answered with {status}")
        self.status_code = status
        self.headers = headers
        self.data = data

    @property
    def json(self) -> t.Any:
        """The answer's body, parsed."""
        return json.loads(self.data)

    @property
    def text(self) -> str:
        """The answer's body as text."""
        return self.data.decode()


class SocketClient(ServedConnection):
    """The client's end of a WebSocket, as `test_client().websocket(path)` opens it within a `with` block.

    Iterating over it gives the messages until the connection closes. Pings are answered while it receives. Before its
    block is entered, sending and receiving raise `RuntimeError`.

    Args:
        dialled: Where to.
        subprotocols: What the client speaks, the preferred one first; a `str` is one of them.

    BustAPI only.
    """

    def __init__(self, dialled: Dialled, *, subprotocols: str | t.Iterable[str] = ()) -> None:
        super().__init__(dialled)
        self._offered = (subprotocols,) if isinstance(subprotocols, str) else tuple(subprotocols)
        self._socket: socket.socket | None = None
        self._opened = False
        #: What was read and is not yet a whole frame: a wait that ends in the middle of one loses nothing.
        self._buffer = bytearray()
        #: What came of a message that is not yet whole, and whether that is a text.
        self._parts = bytearray()
        self._is_text = False
        self._close_sent = False
        #: The subprotocol that was agreed on.
        self.subprotocol: str | None = None
        #: The header fields of the answer to the handshake.
        self.headers: list[tuple[str, str]] = []
        #: The code and reason that the server closed with.
        self.close_code: int | None = None
        self.close_reason: str | None = None

    # -- the connection ----------------------------------------------------------------------------------------

    def _leave(self, failed: bool) -> None:
        # After a failure nobody is kept waiting.
        self.close(timeout=0.0 if failed else None)

    def _open(self) -> None:
        fields = {
            "Upgrade": "websocket",
            "Connection": "Upgrade",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode(),
            **self._dialled.fields,
        }
        if self._offered:
            fields["Sec-WebSocket-Protocol"] = ", ".join(self._offered)
        connection = self._request("GET", fields)
        connected = t.cast(socket.socket, connection.sock)
        # Unbuffered, so that nothing of the first message is taken.
        answer = HTTPResponse(connected, method="GET")
        answer.fp.close()
        answer.fp = connected.makefile("rb", buffering=0)  # type: ignore[assignment]
        try:
            answer.begin()
            headers = answer.getheaders()
            self._keep_cookies(headers)
            if answer.status != 101:
                raise HandshakeRefused(answer.status, headers, answer.read())
        except BaseException:
            connected.close()
            raise
        finally:
            answer.close()
        self.headers = headers
        self.subprotocol = answer.getheader("Sec-WebSocket-Protocol")
        self._socket = connected
        self._opened = True

    def close(self, code: int = NORMAL, reason: str = "", *, timeout: float | None = None) -> None:
        """Close the connection and wait for the server's answer; messages that come before it are dropped.

        Does nothing when it is closed, or not open yet.

        Args:
            code: 1000 to 1014 where they are defined, or an application's own from 3000 to 4999.
            reason: At most 123 bytes.
            timeout: Seconds to wait at most; the client's when not given.

        Raises:
            ValueError: The code or the reason cannot be sent.
        """
        # As the server's own; RFC 6455 7.4.1 and 7.4.2.
        if not (code in (1000, 1001, 1002, 1003) or 1007 <= code <= 1014 or 3000 <= code <= 4999):
            raise ValueError(f"{code} is not a close code that can be sent")
        if len(reason.encode()) > MAX_REASON:
            raise ValueError(f"the reason is longer than {MAX_REASON} bytes")
        if self._socket is None:
            return
        try:
            if self.close_code is None:
                if not self._close_sent:
                    self._close_sent = True
                    self._send(_CLOSE, struct.pack("!H", code) + reason.encode())
                end = time.monotonic() + (self._timeout if timeout is None else timeout)
                while self.close_code is None and end > time.monotonic():
                    self._frame(end)
        except (OSError, WebSocketDisconnect):
            pass
        finally:
            self._socket.close()
            self._socket = None

    @property
    def closed(self) -> bool:
        """Whether no message can be sent any more."""
        return self._socket is None or self.close_code is not None

    # -- messages ----------------------------------------------------------------------------------------------

    def send(self, data: str | Buffer) -> None:
        """Send a message.

        Args:
            data: `str` is sent as a text, anything with a buffer of bytes as a binary message.

        Raises:
            TypeError: It is neither.
            RuntimeError: The block was not entered.
            WebSocketDisconnect: The connection is closed.
        """
        if isinstance(data, str):
            self._send(_TEXT, data.encode())
        else:
            # Not `bytes`, which makes a number so many zeros.
            self._send(_BINARY, memoryview(data).tobytes())

    def send_text(self, data: str) -> None:
        """Send a text.

        Raises:
            TypeError: It is not a `str`.
            RuntimeError: The block was not entered.
            WebSocketDisconnect: The connection is closed.
        """
        if not isinstance(data, str):
            raise TypeError(f"a text is a str, not {type(data).__name__}")
        self.send(data)

    def send_bytes(self, data: Buffer) -> None:
        """Send a binary message.

        Raises:
            TypeError: It has no buffer of bytes.
            RuntimeError: The block was not entered.
            WebSocketDisconnect: The connection is closed.
        """
        if isinstance(data, str):
            raise TypeError("bytes are to be sent, not str")
        self.send(data)

    def send_json(self, value: t.Any) -> None:
        """Send a value as JSON, in a text."""
        self.send_text(json.dumps(value))

    def ping(self, data: bytes = b"") -> None:
        """Send a ping.

        Args:
            data: At most 125 bytes.

        Raises:
            ValueError: It is longer.
            RuntimeError: The block was not entered.
            WebSocketDisconnect: The connection is closed.
        """
        if len(data) > _MAX_CONTROL:
            raise ValueError(f"a ping has at most {_MAX_CONTROL} bytes")
        self._send(_PING, data)

    def receive(self, timeout: float | None = None) -> str | bytes:
        """Wait for the next message.

        Args:
            timeout: Seconds to wait at most; 0 gives what has arrived. The client's when not given.

        Raises:
            TimeoutError: None came in time; what came of one is kept for the next call.
            RuntimeError: The block was not entered.
            WebSocketDisconnect: The connection is closed.
        """
        end = time.monotonic() + (self._timeout if timeout is None else timeout)
        while True:
            fin, opcode, payload = self._frame(end)
            if opcode in (_TEXT, _BINARY):
                self._is_text = opcode == _TEXT
            if opcode in (_TEXT, _BINARY, _CONTINUATION):
                self._parts += payload
                if fin:
                    message, self._parts = self._parts, bytearray()
                    return message.decode() if self._is_text else bytes(message)

    def receive_text(self, timeout: float | None = None) -> str:
        """Wait for a text; anything else fails the test."""
        message = self.receive(timeout)
        assert isinstance(message, str), f"a text was expected, not {message!r}"
        return message

    def receive_bytes(self, timeout: float | None = None) -> bytes:
        """Wait for a binary message; anything else fails the test."""
        message = self.receive(timeout)
        assert isinstance(message, bytes), f"bytes were expected, not {message!r}"
        return message

    def receive_json(self, timeout: float | None = None) -> t.Any:
        """Wait for a message and parse it."""
        return json.loads(self.receive(timeout))

    def __iter__(self) -> SocketClient:
        return self

    def __next__(self) -> str | bytes:
        try:
            return self.receive()
        except WebSocketDisconnect:
            raise StopIteration from None

    # -- frames ------------------------------------------------------------------------------------------------

    def _send(self, opcode: int, payload: bytes) -> None:
        if not self._opened:
            raise self._unopened()
        if self._socket is None or self.close_code is not None:
            raise self._gone()
        length = len(payload)
        head = bytes([0x80 | opcode])
        if length < 126:
            head += bytes([0x80 | length])
        elif length < 0x10000:
            head += struct.pack("!BH", 0x80 | 126, length)
        else:
            head += struct.pack("!BQ", 0x80 | 127, length)
        # RFC 6455 5.3 wants masks that cannot be guessed for the sake of proxies, of which there are none here.
        self._socket.sendall(head + bytes(4) + payload)

    def _frame(self, end: float) -> tuple[bool, int, bytes]:
        """The next frame, taken only when all of it has come; what a control frame asks for is done."""
        if not self._opened:
            raise self._unopened()
        if self.close_code is not None:
            raise self._gone()
        begin, stop = _payload(self._buffer)
        while len(self._buffer) < stop:
            self._read(end)
            begin, stop = _payload(self._buffer)
        first, payload = self._buffer[0], bytes(self._buffer[begin:stop])
        del self._buffer[:stop]
        opcode = first & 0x0F
        if opcode == _PING:
            self._send(_PONG, payload)
        elif opcode == _CLOSE:
            if not self._close_sent:
                self._close_sent = True
                self._send(_CLOSE, payload[:2])
            self.close_code = struct.unpack("!H", payload[:2])[0] if payload else NO_STATUS
            self.close_reason = payload[2:].decode()
            raise self._gone()
        return bool(first & 0x80), opcode, payload

    def _read(self, end: float) -> None:
        """Put into the buffer what comes next; when the time is up, what is there already."""
        if self._socket is None:
            raise self._gone()
        self._socket.settimeout(max(0.0, end - time.monotonic()))
        try:
            data = self._socket.recv(65536)
        except (socket.timeout, BlockingIOError):
            raise TimeoutError("nothing came in time") from None
        except ConnectionError:
            data = b""
        finally:
            self._socket.settimeout(self._timeout)
        if not data:
            self.close_code, self.close_reason = ABNORMAL, ""
            raise self._gone()
        self._buffer += data

    def _gone(self) -> WebSocketDisconnect:
        code = ABNORMAL if self.close_code is None else self.close_code
        return WebSocketDisconnect(code, self.close_reason or "")


def _payload(frame: bytearray) -> tuple[int, int]:
    """Where the payload of a frame begins and ends, as far as its first bytes tell (RFC 6455 5.2)."""
    length = frame[1] & 0x7F if len(frame) > 1 else 0
    begin = {126: 4, 127: 10}.get(length, 2)
    if length > 125:
        length = int.from_bytes(frame[2:begin], "big") if len(frame) >= begin else 0
    return begin, begin + length
