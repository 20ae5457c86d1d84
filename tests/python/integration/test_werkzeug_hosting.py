"""WSGI applications that are none of ours, over a socket."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from bustapi.flask import Flask, request
from bustapi.werkzeug.middleware.dispatcher import DispatcherMiddleware
from bustapi.werkzeug.middleware.proxy_fix import ProxyFix
from bustapi.werkzeug.middleware.shared_data import SharedDataMiddleware
from bustapi.werkzeug.serving import make_server


@contextmanager
def served(application: Any, threaded: bool = True) -> Iterator[int]:
    server = make_server("127.0.0.1", 0, application, threaded=threaded)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.port
    finally:
        server.shutdown()
        thread.join(10)


def fetch(
    port: int, path: str = "/", method: str = "GET", body: Any = None, **headers: str
) -> tuple[http.client.HTTPResponse, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        return response, response.read()
    finally:
        connection.close()


@pytest.mark.parametrize("threaded", [False, True])
def test_environ_is_the_requests(threaded: bool) -> None:
    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        body = environ["wsgi.input"].read()
        shown = {key: value for key, value in environ.items() if isinstance(value, str)}
        start_response("200 OK", [("Content-Type", "application/json")])
        return [json.dumps({**shown, "body": body.decode()}).encode()]

    with served(app, threaded) as port:
        response, body = fetch(port, "/a%20b%2F%C3%BC?q=1&r", "POST", b"payload", Xyz="1")
    seen = json.loads(body)
    assert response.status == 200
    assert int(response.getheader("Content-Length", "")) == len(body)
    expected = {
        "REQUEST_METHOD": "POST",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/a b/ü".encode().decode("latin1"),
        "QUERY_STRING": "q=1&r",
        "CONTENT_LENGTH": "7",
        "HTTP_XYZ": "1",
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": str(port),
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "wsgi.url_scheme": "http",
        "body": "payload",
    }
    assert {key: seen.get(key) for key in expected} == expected


def generator(environ: Any, start_response: Any) -> Iterator[bytes]:
    start_response("201 Own Words", [("X-A", "1"), ("X-A", "2")])
    yield b""
    yield b"one "
    yield b"two"


def writer(environ: Any, start_response: Any) -> list[bytes]:
    write = start_response("201 Own Words", [("X-A", "1"), ("X-A", "2")])
    write(b"one ")
    return [b"two"]


def late_writer(environ: Any, start_response: Any) -> Iterator[bytes]:
    write = start_response("201 Own Words", [("X-A", "1"), ("X-A", "2")])
    write(b"on")
    yield b"e "
    write(b"two")


def second_thought(environ: Any, start_response: Any) -> Iterator[bytes]:
    start_response("200 OK", [])
    yield b""
    try:
        raise ValueError
    except ValueError:
        import sys

        start_response("201 Own Words", [("X-A", "1"), ("X-A", "2")], sys.exc_info())
    yield b"one two"


@pytest.mark.parametrize("app", [generator, writer, late_writer, second_thought])
def test_ways_to_answer(app: Any) -> None:
    with served(app) as port:
        response, body = fetch(port)
    assert (response.status, response.reason, body) == (201, "Own Words", b"one two")
    assert response.headers.get_all("X-A") == ["1", "2"]


def raising(environ: Any, start_response: Any) -> list[bytes]:
    raise ValueError("from the application")


def never_started(environ: Any, start_response: Any) -> list[bytes]:
    return [b"x"]


def started_twice(environ: Any, start_response: Any) -> list[bytes]:
    start_response("200 OK", [])
    start_response("200 OK", [])
    return [b"x"]


@pytest.mark.parametrize("app", [raising, never_started, started_twice])
def test_failures_are_a_plain_500(app: Any, caplog: pytest.LogCaptureFixture) -> None:
    with served(app) as port:
        response, body = fetch(port, "/here")
        again, _ = fetch(port, "/here")
    assert (response.status, again.status) == (500, 500)
    assert b"from the application" not in body
    assert "Exception on /here [GET]" in caplog.text


# The server reports what it cannot answer any more.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_body_that_fails_is_not_taken_for_whole() -> None:
    closed = threading.Event()

    class Body:
        def __iter__(self) -> Iterator[bytes]:
            yield b"first"
            raise ValueError("middle")

        def close(self) -> None:
            closed.set()

    def app(environ: Any, start_response: Any) -> Body:
        start_response("200 OK", [])
        return Body()

    with served(app) as port:
        with pytest.raises((http.client.IncompleteRead, ConnectionError)):
            fetch(port)
        assert closed.wait(10)


def test_head_has_no_body() -> None:
    with served(generator) as port:
        response, body = fetch(port, method="HEAD")
    assert (response.status, body) == (201, b"")


def test_our_application_behind_middleware(tmp_path: Path) -> None:
    (tmp_path / "file.txt").write_text("content")
    app = Flask("inner")

    @app.post("/echo/<name>")
    def echo(name: str) -> str:
        return f"{name} {request.remote_addr} {request.script_root} {request.get_data(as_text=True)}"

    @app.get("/wait")
    async def wait() -> str:
        return "async"

    stack = ProxyFix(
        DispatcherMiddleware(generator, {"/app": SharedDataMiddleware(app, {"/s": str(tmp_path)})})
    )
    with served(stack) as port:
        _, body = fetch(port, "/app/echo/n", "POST", b"data", **{"X-Forwarded-For": "9.9.9.9"})
        assert body == b"n 9.9.9.9 /app data"
        assert fetch(port, "/app/wait")[1] == b"async"
        assert fetch(port, "/app/s/file.txt")[1] == b"content"
        assert fetch(port, "/app/none")[0].status == 404
        assert fetch(port, "/other")[1] == b"one two"
