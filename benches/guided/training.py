"""What a guided build is trained with: an application that uses a bit of everything, and its clients.

    python benches/guided/training.py --seconds 20

The server runs in this process, which writes its profile when it ends; the clients are another one, and keep as many
requests on their way as they have connections.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bustapi import Blueprint, BustAPI, abort, g, jsonify, redirect, render_template_string, request, session
from bustapi.flask import Response, url_for

CONNECTIONS = 32
#: Longer than anything here takes; a client that hangs is ended.
TIMEOUT = 30.0
RECORD = {
    "id": 7,
    "name": "A name",
    "city": "Zürich",
    "tags": ["a", "b"],
    "price": 12.5,
    "ok": True,
    "none": None,
    "text": 'Some "quoted" words, and more of them.',
    "at": 1e9,
    "owner": {"id": 123, "email": "a@example.org"},
}
PAGE = (
    "<ul>{% for n in numbers %}<li>{{ n }}</li>{% endfor %}</ul><a href='{{ url_for('user', id=1) }}'>1</a>"
)
BOUNDARY = "training"


def make_app(static: str) -> BustAPI:
    """Return the application; `static` is a folder with a file `file.txt`."""
    app = BustAPI(__name__, static_folder=static)
    app.secret_key = "training"
    hooked = Blueprint("hooked", __name__, url_prefix="/hooked")

    @app.get("/json")
    def plain_json() -> dict[str, Any]:
        return {"message": "Hello, World!"}

    @app.get("/text")
    def text() -> str:
        return "Hello, World!"

    @app.get("/users/<int:id>")
    def user(id: int) -> dict[str, Any]:
        return {"id": id}

    @app.get("/files/<path:name>")
    def named(name: str) -> tuple[str, int, dict[str, str]]:
        return name, 201, {"X-Name": "named"}

    @app.post("/echo")
    def echo() -> Any:
        return request.get_json()

    @app.get("/list")
    def records() -> Any:
        return jsonify([RECORD] * 10)

    @app.get("/query")
    def query() -> dict[str, Any]:
        return {"q": request.args.get("q"), "agent": request.headers.get("User-Agent"), "url": request.url}

    @app.get("/session")
    def count() -> str:
        session["count"] = session.get("count", 0) + 1
        return str(session["count"])

    @app.get("/read-session")
    def read() -> str:
        return str(session.get("count"))

    @app.post("/form")
    def form() -> dict[str, Any]:
        return {**request.form, **{name: file.filename for name, file in request.files.items()}}

    @app.get("/page")
    def page() -> str:
        return render_template_string(PAGE, numbers=range(5))

    @app.get("/moved")
    def moved() -> Any:
        return redirect(url_for("text"))

    @app.get("/absent")
    def absent() -> str:
        abort(404)

    @app.get("/pieces")
    def pieces() -> Response:
        return Response(str(number) for number in range(5))

    @app.get("/async")
    async def task() -> dict[str, Any]:
        return {"message": "Hello, World!"}

    @app.errorhandler(404)
    def not_found(error: Exception) -> tuple[dict[str, str], int]:
        return {"error": str(error)}, 404

    @hooked.before_request
    def before() -> None:
        g.seen = True

    @hooked.after_request
    def after(response: Any) -> Any:
        response.headers["X-Seen"] = str(g.seen)
        return response

    @hooked.get("/json")
    def hooked_json() -> dict[str, Any]:
        return {"message": "Hello, World!"}

    app.register_blueprint(hooked)

    @app.websocket("/ws")
    async def talk(ws: Any) -> None:
        async for message in ws:
            await ws.send(message)

    return app


def http(line: str, body: bytes = b"", **fields: str) -> bytes:
    """The bytes of a request."""
    head = {"Host": "127.0.0.1", "User-Agent": "training/1.0", "Accept": "*/*", **fields}
    if body:
        head["Content-Length"] = str(len(body))
    lines = [f"{line} HTTP/1.1", *(f"{name.replace('_', '-')}: {value}" for name, value in head.items())]
    return "\r\n".join([*lines, "", ""]).encode() + body


def requests(cookie: str) -> Iterator[bytes]:
    """One of each kind after the other, the most common ones more often."""
    # As browsers write it, as Python does, and as people like to read it.
    small = json.dumps(RECORD, separators=(",", ":")).encode()
    large = json.dumps([RECORD] * 10).encode()
    pretty = json.dumps(RECORD, indent=2).encode()
    upload = (
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="a"\r\n\r\nvalue\r\n'
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="f"; filename="f.txt"\r\n\r\n{"x" * 3000}\r\n'
        f"--{BOUNDARY}--\r\n"
    ).encode()
    common = [
        http("GET /json"),
        http("GET /text"),
        http("GET /users/123"),
        http("POST /echo", small, Content_Type="application/json"),
        http("GET /hooked/json"),
        http("GET /async"),
    ]
    others = [
        http("POST /echo", large, Content_Type="application/json"),
        http("POST /echo", pretty, Content_Type="application/json"),
        http("GET /list"),
        http("GET /files/some/longer/name.txt"),
        http("GET /query?q=a+b&r=%C3%BC"),
        http("GET /session", Cookie=cookie),
        http("GET /read-session", Cookie=cookie),
        http("POST /form", b"a=b&c=d+e%20f", Content_Type="application/x-www-form-urlencoded"),
        http("POST /form", upload, Content_Type=f"multipart/form-data; boundary={BOUNDARY}"),
        http("GET /page"),
        http("GET /moved"),
        http("GET /absent"),
        http("GET /nowhere"),
        http("GET /pieces"),
        http("GET /static/file.txt"),
        http("OPTIONS /json"),
    ]
    for other in itertools.cycle(others):
        for _ in range(4):
            yield from common
        yield other


def is_whole(data: bytes) -> bool:
    """Whether a response has come to its end."""
    head, found, body = data.partition(b"\r\n\r\n")
    if not found:
        return False
    fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
    if b"content-length" in fields:
        return len(body) >= int(fields[b"content-length"])
    return b"transfer-encoding" not in fields or body.endswith(b"0\r\n\r\n")


def connect(port: int) -> socket.socket:
    """Connect, and wait for a server that is starting."""
    for _ in range(200):
        try:
            return socket.create_connection(("127.0.0.1", port), TIMEOUT)
        except ConnectionRefusedError:
            time.sleep(0.05)
    raise SystemExit("the server did not start")


def exchange(socks: list[socket.socket], sent: Iterator[bytes]) -> list[bytes]:
    """Send a request on each connection, then read the responses."""
    for sock, data in zip(socks, sent):
        sock.sendall(data)
    received = dict.fromkeys(socks, b"")
    with selectors.DefaultSelector() as selector:
        for sock in socks:
            selector.register(sock, selectors.EVENT_READ)
        while selector.get_map():
            ready = selector.select(TIMEOUT)
            if not ready:
                raise SystemExit("a response did not come")
            for key, _ in ready:
                sock = key.fileobj
                assert isinstance(sock, socket.socket)
                piece = sock.recv(65536)
                received[sock] += piece
                if not piece:
                    raise SystemExit("a connection was closed")
                if is_whole(received[sock]):
                    selector.unregister(sock)
    return [received[sock] for sock in socks]


def talk(port: int, rounds: int) -> None:
    """Echo messages over a WebSocket."""
    with connect(port) as sock:
        key = {"Sec_WebSocket_Key": "dGhlIHNhbXBsZSBub25jZQ==", "Sec_WebSocket_Version": "13"}
        sock.sendall(http("GET /ws", Upgrade="websocket", Connection="Upgrade", **key))
        sock.recv(65536)
        # Texts of 64 bytes under a mask of zeros.
        frame = b"\x81" + bytes([0x80 | 64]) + bytes(4) + b"x" * 64
        for _ in range(rounds):
            sock.sendall(frame)
            sock.recv(65536)


def clients(port: int, seconds: float) -> None:
    """Send requests for some time."""
    socks = [connect(port) for _ in range(CONNECTIONS)]
    (first,) = exchange(socks[:1], iter([http("GET /session")]))
    cookie = first.partition(b"Set-Cookie: ")[2].partition(b";")[0].decode()
    endless = requests(cookie)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        # One at a time as well as many.
        exchange(socks, endless)
        exchange(socks[:1], endless)
    talk(port, 5000)


def main() -> None:
    """Serve until the clients have done."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--clients-of", type=int, metavar="PORT", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.clients_of:
        try:
            clients(options.clients_of, options.seconds)
        finally:
            os.kill(os.getppid(), signal.SIGTERM)
        return
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, __file__, "--clients-of", str(port), "--seconds", str(options.seconds)]
    with tempfile.TemporaryDirectory() as static, subprocess.Popen(command) as process:
        (Path(static) / "file.txt").write_text("static\n" * 100)
        make_app(static).run("127.0.0.1", port)
    sys.exit(process.returncode)


if __name__ == "__main__":
    main()
