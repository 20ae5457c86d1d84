"""What a request costs within a turn of the reactor, without sockets' and clients' share: µs by path.

Sixty-four requests are pipelined, and only the turns that answer them are timed; the least of many rounds counts. That
is steady also on a machine with other work, where the figures of `run.py` are not.
"""

from __future__ import annotations

import json
import socket
import time

from app import app
from bustapi import _core

DEPTH = 64
ROUNDS = 400
FORM = b"name=John+Doe&email=john%40example.com&msg=hello+world%21&id=12345"


class Turns:
    """The application's server in this thread, and one client."""

    def __init__(self) -> None:
        listeners = _core.Listener.bind("127.0.0.1", 0)
        port = int(listeners[0].address.rpartition(":")[2])
        self._reactor = _core.Reactor(_core.Dispatcher(app), listeners, {})
        self._client = socket.create_connection(("127.0.0.1", port))
        self._client.setblocking(False)

    def answer(self, request: bytes, count: int = 1) -> tuple[bytes, float]:
        """The answers to so many of a request, and the seconds of the turns."""
        self._client.sendall(request * count)
        answer, spent = b"", 0.0
        while answer.count(b"\r\n\r\n") < count or not is_whole(answer):
            start = time.perf_counter()
            self._reactor.turn(0.0)
            spent += time.perf_counter() - start
            try:
                answer += self._client.recv(1 << 20)
            except BlockingIOError:
                pass
        if answer.count(b"HTTP/1.1 200 ") != count:
            raise SystemExit(answer.decode(errors="replace"))
        return answer, spent

    def microseconds(self, request: bytes) -> float:
        """What one of many costs."""
        return min(self.answer(request, DEPTH)[1] for _ in range(ROUNDS)) / DEPTH * 1e6


def is_whole(answers: bytes) -> bool:
    """Whether the last of some answers has all of its body."""
    head, _, body = answers[answers.rfind(b"HTTP/1.1 ") :].partition(b"\r\n\r\n")
    length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
    return len(body) >= int(length.partition(b":")[2])


def get(path: str, *fields: str) -> bytes:
    return "\r\n".join([f"GET {path} HTTP/1.1", "Host: localhost", *fields, "", ""]).encode()


def main() -> None:
    """Prints the figures."""
    turns = Turns()
    login = turns.answer(get("/login"))[0].decode()
    cookie = next(line for line in login.split("\r\n") if line.lower().startswith("set-cookie: "))
    field = f"Cookie: {cookie.partition(': ')[2].partition(';')[0]}"
    form = f"POST /form HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(FORM)}\r\n"
    form += "Content-Type: application/x-www-form-urlencoded\r\n\r\n"
    found = {path: turns.microseconds(get(path)) for path in ("/bare", "/hooked/json")}
    found.update({path: turns.microseconds(get(path, field)) for path in ("/no-session", "/session")})
    found["/form"] = turns.microseconds(form.encode() + FORM)
    for path, cost in found.items():
        print(f"{path:45} {cost:9.2f}")
    print(f"{'hooks in a blueprint, of the bare view':45} {found['/bare'] / found['/hooked/json']:9.2f}")
    print(f"{'a session read, over none':45} {found['/session'] - found['/no-session']:9.2f}")
    for name, key in (("url_for", "us"), ("render_template", "ratio")):
        body = turns.answer(get(f"/measure/{name}"))[0].partition(b"\r\n\r\n")[2]
        print(f"{name:45} {json.loads(body)[key]:9.2f}")


if __name__ == "__main__":
    main()
