"""Mixed HTTP/1.1 traffic for the probe's application, with every answer checked."""

from __future__ import annotations

import os
import random
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence

HOST = b"Host: soak.example\r\n"
GET = b"GET / HTTP/1.1\r\n" + HOST + b"\r\n"
TIMEOUT = 15.0
#: Makes requests, and returns how many answers it has checked.
Scenario = Callable[[int, random.Random], int]


class Wrong(Exception):
    """An answer is not what it must be."""


class Client:
    """One connection and what was read of it ahead."""

    def __init__(self, port: int, timeout: float = TIMEOUT) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._read = b""

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *exc: object) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def answer(self, method: str = "GET") -> tuple[int, dict[str, str], bytes]:
        """Read one response to its end: status, fields in lower case, body."""
        head = self._until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        version, _, rest = head[0].partition(" ")
        if version != "HTTP/1.1" or not rest[:3].isdigit():
            raise Wrong(f"status line {head[0]!r}")
        status = int(rest[:3])
        fields: dict[str, str] = {}
        for line in head[1:]:
            name, colon, value = line.partition(":")
            if not colon or name.lower() in fields:
                raise Wrong(f"field line {line!r}")
            fields[name.lower()] = value.strip()
        if method == "HEAD" or status in (204, 304):
            return status, fields, b""
        if fields.get("transfer-encoding") == "chunked":
            return status, fields, self._chunks()
        return status, fields, self._exactly(int(fields["content-length"]))

    def expect_end(self) -> None:
        """Nothing more comes, and the server closes."""
        try:
            rest = self._read + self.socket.recv(65536)
        except ConnectionResetError:
            return
        if rest:
            raise Wrong(f"more bytes than asked for: {rest[:60]!r}")

    def _chunks(self) -> bytes:
        body = b""
        while True:
            size = int(self._until(b"\r\n"), 16)
            part = self._exactly(size + 2)
            if part[-2:] != b"\r\n":
                raise Wrong(f"chunk ends with {part[-2:]!r}")
            if size == 0:
                return body
            body += part[:-2]

    def _more(self) -> None:
        part = self.socket.recv(1 << 18)
        if not part:
            raise Wrong(f"the connection ended inside an answer, after {self._read[-60:]!r}")
        self._read += part

    def _until(self, end: bytes) -> bytes:
        while end not in self._read:
            self._more()
        found, _, self._read = self._read.partition(end)
        return found

    def _exactly(self, count: int) -> bytes:
        while len(self._read) < count:
            self._more()
        found, self._read = self._read[:count], self._read[count:]
        return found


class Traffic:
    """Threads of clients that each do one scenario after the other.

    Args:
        port: The server's.
        threads: Clients at a time.
    """

    def __init__(self, port: int, threads: int = 8) -> None:
        self.port = port
        self.answers = 0
        self.done: Counter[str] = Counter()
        self.wrong: list[str] = []
        self._threads = threads
        self._lock = threading.Lock()

    def run(self, seconds: float, scenarios: Sequence[Scenario] = ()) -> None:
        """Load the server for a time, with some scenarios or all."""
        end = time.monotonic() + seconds
        chosen = scenarios or SCENARIOS
        clients = [threading.Thread(target=self._client, args=(end, chosen)) for _ in range(self._threads)]
        for client in clients:
            client.start()
        for client in clients:
            client.join()

    def _client(self, end: float, scenarios: Sequence[Scenario]) -> None:
        dice = random.Random(os.urandom(8))
        while time.monotonic() < end:
            scenario = dice.choice(scenarios)
            name = scenario.__name__
            try:
                checked = scenario(self.port, dice)
            except Exception as error:
                with self._lock:
                    self.wrong.append(f"{name}: {type(error).__name__}: {error}")
            else:
                with self._lock:
                    self.answers += checked
                    self.done[name] += 1


def keep_alive(port: int, dice: random.Random) -> int:
    count = dice.randint(1, 50)
    with Client(port) as client:
        for _ in range(count):
            client.send(GET)
            check(client.answer(), b"ok")
    return count


def pipeline(port: int, dice: random.Random) -> int:
    bodies = [some_bytes(dice, 400) for _ in range(dice.randint(2, 40))]
    with Client(port) as client:
        client.send(b"".join(GET + sized(body) for body in bodies))
        for body in bodies:
            check(client.answer(), b"ok")
            check(client.answer(), body)
    return 2 * len(bodies)


def sized_body(port: int, dice: random.Random) -> int:
    body = some_bytes(dice, dice.choice([0, 10, 5_000, 200_000, 2_000_000]))
    with Client(port) as client:
        client.send(sized(body))
        check(client.answer(), body)
    return 1


def chunked_body(port: int, dice: random.Random) -> int:
    body = some_bytes(dice, 30_000)
    with Client(port) as client:
        client.send(b"POST /echo HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n")
        at = 0
        while at < len(body):
            size = dice.randint(1, 9_000)
            part = body[at : at + size]
            client.send(b"%x;ext=1\r\n%b\r\n" % (len(part), part))
            at += size
        client.send(b"0\r\nTrailer: x\r\n\r\n" + GET)
        check(client.answer(), body)
        check(client.answer(), b"ok")
    return 2


def in_pieces(port: int, dice: random.Random) -> int:
    whole = sized(some_bytes(dice, 60)) + GET
    with Client(port) as client:
        at = 0
        while at < len(whole):
            size = dice.randint(1, 20)
            client.send(whole[at : at + size])
            at += size
        client.answer()
        check(client.answer(), b"ok")
    return 2


def streamed(port: int, dice: random.Random) -> int:
    with Client(port) as client:
        for _ in range(3):
            client.send(b"GET /stream HTTP/1.1\r\n" + HOST + b"\r\n")
            check(client.answer(), b"part0\npart1\npart2\n")
    return 3


def without_bodies(port: int, dice: random.Random) -> int:
    with Client(port) as client:
        client.send(
            b"HEAD / HTTP/1.1\r\n" + HOST + b"\r\nGET /status/204 HTTP/1.1\r\n" + HOST + b"\r\n" + GET
        )
        check(client.answer("HEAD"), b"")
        check(client.answer(), b"", 204)
        check(client.answer(), b"ok")
        client.send(b"GET /nothing HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n")
        if client.answer()[0] != 404:
            raise Wrong("a path that is not there was found")
        client.expect_end()
    return 4


def refused(port: int, dice: random.Random) -> int:
    """What must not be guessed at gets one 400, and nothing behind it an answer."""
    with Client(port) as client:
        client.send(dice.choice(BAD) + GET)
        if client.answer()[0] not in (400, 501, 505):
            raise Wrong("a bad request was not refused")
        client.expect_end()
    return 1


def given_up(port: int, dice: random.Random) -> int:
    """Clients that leave half-way, some with a reset."""
    with Client(port) as client:
        client.send(dice.choice(HALVES))
        if dice.random() < 0.5:
            client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    return 0


def unread(port: int, dice: random.Random) -> int:
    """A large answer that the client takes only the beginning of."""
    with Client(port) as client:
        client.send(sized(bytes(1_000_000)))
        client.socket.recv(1000)
    return 0


BAD = [
    b"GET / HTTP/1.1\r\nHost : a\r\n\r\n",
    b"GET / HTTP/1.1\r\n\r\n",
    b"POST /echo HTTP/1.1\r\n" + HOST + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"POST /echo HTTP/1.1\r\n" + HOST + b"Content-Length: +3\r\n\r\nabc",
    b"POST /echo HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"GET / HTTP/1.1\r\n" + HOST + b"A: b\r\n c\r\n\r\n",
    b"GET / HTTP/1.1\n\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
]
HALVES = [
    b"",
    b"GET / HT",
    b"GET / HTTP/1.1\r\nHost: a",
    b"POST /echo HTTP/1.1\r\n" + HOST + b"Content-Length: 5000\r\n\r\nxx",
    b"POST /echo HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\nff\r\nxx",
    GET * 5 + b"GET /stream HTTP/1.1\r\n" + HOST + b"\r\n",
]
SCENARIOS: list[Scenario] = [
    keep_alive,
    pipeline,
    sized_body,
    chunked_body,
    in_pieces,
    streamed,
    without_bodies,
    refused,
    given_up,
    unread,
]


def sized(body: bytes) -> bytes:
    return b"POST /echo HTTP/1.1\r\n" + HOST + b"Content-Length: %d\r\n\r\n%b" % (len(body), body)


def some_bytes(dice: random.Random, most: int) -> bytes:
    return dice.randbytes(dice.randint(0, most))


def check(answer: tuple[int, dict[str, str], bytes], body: bytes, status: int = 200) -> None:
    if answer[0] != status or answer[2] != body:
        raise Wrong(f"{answer[0]} with {len(answer[2])} bytes in the place of {status} with {len(body)}")
