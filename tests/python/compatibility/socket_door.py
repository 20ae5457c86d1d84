"""Requests of a test client sent over a real socket to the application's own server, in this process."""

from __future__ import annotations

import http.client
import socket
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

from bustapi import _core

#: Headers that a server adds.
ADDED = {"date", "connection", "transfer-encoding", "keep-alive"}


@contextmanager
def serving(app: Any) -> Iterator[int]:
    """Serve an application on a thread of its own; yields the port."""
    listeners = _core.Listener.bind("127.0.0.1", 0)
    port = int(listeners[0].address.rpartition(":")[2])
    reactor = _core.Reactor(_core.Dispatcher(app), listeners, {})
    failed: list[BaseException] = []

    def run() -> None:
        try:
            reactor.run()
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield port
    finally:
        reactor.abort()
        thread.join(10)
    assert not thread.is_alive()
    assert not failed


def expressible(request: dict[str, Any]) -> bool:
    """Whether a request of the test client can be sent over a socket: nothing of it is made up by the client."""
    return not {"base_url", "environ_base", "environ_overrides", "url_scheme"} & request.keys() and (
        request["path"].startswith("/") and not request["path"].startswith("//")
    )


class Proxy:
    """An application that sends what it is asked to the server of another one, and answers what that answers."""

    def __init__(self, app: Any, port: int) -> None:
        self.app = app
        self.port = port

    def __getattr__(self, name: str) -> Any:
        return getattr(self.app, name)

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        target = quote(environ["PATH_INFO"].encode("latin-1"), safe="/:@!$&'()*+,;=~-._")
        if environ["QUERY_STRING"]:
            target += f"?{environ['QUERY_STRING']}"
        lines = [f"{environ['REQUEST_METHOD']} {target} HTTP/1.1"]
        for key, value in environ.items():
            if key.startswith("HTTP_"):
                lines.append(f"{key[5:].replace('_', '-').title()}: {value}")
        if environ.get("CONTENT_TYPE"):
            lines.append(f"Content-Type: {environ['CONTENT_TYPE']}")
        body = environ["wsgi.input"].read()
        # For a redirect that sends it again.
        environ["wsgi.input"].seek(0)
        if body or environ.get("CONTENT_LENGTH"):
            lines.append(f"Content-Length: {len(body)}")
        raw = "\r\n".join([*lines, "", ""]).encode("latin-1") + body
        response, data = self.exchange(environ["REQUEST_METHOD"], raw)
        headers = [(name, value) for name, value in response.getheaders() if name.lower() not in ADDED]
        start_response(f"{response.status} {response.reason}", headers)
        return [data]

    def exchange(self, method: str, raw: bytes) -> tuple[http.client.HTTPResponse, bytes]:
        """Send a request over a connection of its own; return the response and its body."""
        raw = raw.replace(b"\r\n", b"\r\nConnection: close\r\n", 1)
        with socket.create_connection(("127.0.0.1", self.port), 10) as sock:
            sock.sendall(raw)
            response = http.client.HTTPResponse(sock, method=method)
            response.begin()
            return response, response.read()
