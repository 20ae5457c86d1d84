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

from ..kernel.websocket import ABNORMAL, NO_STATUS, NORMAL, WebSocketDisconnect
from .served_connection import ServedConnection

if t.TYPE_CHECKING:
    from .served_connection import Dialled

_CONTINUATION, _TEXT, _BINARY, _CLOSE, _PING, _PONG = 0, 1, 2, 8, 9, 10


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

    Iterating over it gives the messages until the connection closes. Pings are answered while it receives.

    BustAPI only.
    """

    def __init__(self, dialled: Dialled, *, subprotocols: tuple[str, ...]) -> None:
        super().__init__(dialled)
        self._offered = subprotocols
        self._socket: socket.socket | None = None
        self._buffer = bytearray()
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

    def close(self, code: int = NORMAL, reason: str = "", *, timeout: float | None = None) -> None:
        """Close the connection and wait for the server's answer; messages that come before it are dropped.

        Args:
            code: The close code.
            reason: The reason.
            timeout: Seconds to wait at most; the client's when not given.
        """
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

    def send(self, data: str | bytes) -> None:
        """Send a message: `str` as a text, bytes as a binary one.

        Raises:
            WebSocketDisconnect: The connection is closed.
        """
        if isinstance(data, str):
            self._send(_TEXT, data.encode())
        else:
            self._send(_BINARY, bytes(data))

    def send_text(self, data: str) -> None:
        """Send a text."""
        self._send(_TEXT, data.encode())

    def send_bytes(self, data: bytes) -> None:
        """Send a binary message."""
        self._send(_BINARY, bytes(data))

    def send_json(self, value: t.Any) -> None:
        """Send a value as JSON, in a text."""
        self.send_text(json.dumps(value))

    def ping(self, data: bytes = b"") -> None:
        """Send a ping."""
        self._send(_PING, data)

    def receive(self, timeout: float | None = None) -> str | bytes:
        """Wait for the next message.

        Args:
            timeout: Seconds to wait at most; the client's when not given.

        Raises:
            TimeoutError: None came in time.
            WebSocketDisconnect: The connection is closed.
        """
        end = time.monotonic() + (self._timeout if timeout is None else timeout)
        kind, parts = 0, bytearray()
        while True:
            fin, opcode, payload = self._frame(end)
            if opcode in (_TEXT, _BINARY):
                kind = opcode
            if opcode in (_TEXT, _BINARY, _CONTINUATION):
                parts += payload
                if fin:
                    return parts.decode() if kind == _TEXT else bytes(parts)

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
        """The next frame; what a control frame asks for is done."""
        if self.close_code is not None:
            raise self._gone()
        first, second = self._read(2, end)
        length = second & 0x7F
        if length == 126:
            (length,) = struct.unpack("!H", self._read(2, end))
        elif length == 127:
            (length,) = struct.unpack("!Q", self._read(8, end))
        payload = self._read(length, end)
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

    def _read(self, size: int, end: float) -> bytes:
        while len(self._buffer) < size:
            if self._socket is None:
                raise self._gone()
            left = end - time.monotonic()
            if left <= 0:
                raise TimeoutError("nothing came in time")
            self._socket.settimeout(left)
            try:
                data = self._socket.recv(65536)
            except socket.timeout:
                raise TimeoutError("nothing came in time") from None
            except ConnectionError:
                data = b""
            finally:
                self._socket.settimeout(self._timeout)
            if not data:
                self.close_code, self.close_reason = ABNORMAL, ""
                raise self._gone()
            self._buffer += data
        taken = bytes(self._buffer[:size])
        del self._buffer[:size]
        return taken

    def _gone(self) -> WebSocketDisconnect:
        code = ABNORMAL if self.close_code is None else self.close_code
        return WebSocketDisconnect(code, self.close_reason or "")
