"""A client for tests: Flask's, in process or over a socket."""

from __future__ import annotations

import typing as t
from http.client import HTTPConnection
from urllib.parse import quote

from ..flask.testing import FlaskClient
from .live import LiveServer
from .living import Living

if t.TYPE_CHECKING:
    from types import TracebackType

    from _typeshed.wsgi import StartResponse, WSGIEnvironment

    from ..flask import Flask
    from ..kernel.lifespan import Life, VirtualClock
    from ..serve.socket_client import SocketClient
    from ..serve.stream_client import StreamClient
    from ..werkzeug.test import TestResponse

#: How long an answer may take, in seconds.
_TIMEOUT = 30.0
#: Fields about the connection and not the answer (RFC 9110 7.6.1).
_OF_THE_CONNECTION = frozenset({"connection", "keep-alive", "transfer-encoding"})
_SAFE = "/:@!$&'()*+,;=~-._"


class TestClient(FlaskClient):
    """Flask's test client as a class to call: `TestClient(app).get("/")`.

    With `served=True` and used as a context manager it starts the application's own server on a free port, and every
    request goes over a socket: what a test sees is what a client sees, fields of the server included.

    As a context manager it also starts and ends the application, once: `on_startup`, `lifespan` and the like. WebSockets
    and streams of the block are served by that application, on the event loop that it was started on. In any case the
    background work of a request is over when its response is returned.

    Args:
        app: The application.
        served: Send requests over a socket.
        use_cookies: Keep cookies between requests.
        clock: Calls the application's periodic functions in place of the real time.
        settings: Settings of the server (see `bustapi.serve.settings.Settings`).

    Raises:
        TypeError: There are settings without a server.

    BustAPI only.
    """

    # Not a test, whatever its name says to pytest.
    __test__ = False

    def __init__(
        self,
        app: Flask,
        *,
        served: bool = False,
        use_cookies: bool = True,
        clock: VirtualClock | None = None,
        **settings: t.Any,
    ) -> None:
        if settings and not served:
            raise TypeError("Settings are for a server: pass served=True.")
        super().__init__(app, app.response_class, use_cookies=use_cookies)
        self.server = LiveServer(app, clock=clock, **settings) if served else None
        self._life: Life | None = getattr(app, "_life", None)
        self._living = None if self._life is None or served else Living(app, self._life, clock)

    def __enter__(self) -> TestClient:
        if self.server is None:
            super().__enter__()
            if self._living is not None:
                try:
                    self._living.start()
                except BaseException:
                    super().__exit__(None, None, None)
                    raise
            return self
        self.server.start()
        self.application = t.cast("Flask", _Wire(self.application, self.server))
        return self

    def __exit__(
        self, exc_type: type | None, exc_value: BaseException | None, tb: TracebackType | None
    ) -> None:
        if self.server is None:
            try:
                super().__exit__(exc_type, exc_value, tb)
            finally:
                if self._living is not None:
                    self._living.stop()
            return
        self.application = self.server.app
        self.server.stop()

    def open(self, *args: t.Any, **kwargs: t.Any) -> TestResponse:
        """Send a request, wait for its background work, and return the response; see the base class.

        Raises:
            RuntimeError: The background work did not end in time.
        """
        response = super().open(*args, **kwargs)
        if self._life is not None and not self._life.background.wait(_TIMEOUT):
            raise RuntimeError("Background work did not end in time.")
        return response

    def websocket(self, path: str, **options: t.Any) -> SocketClient:
        """Open a WebSocket: on the client's server if it has one, else on a server for it; see the base class.

        Within the client's block that server does not start the application once more.
        """
        return super().websocket(path, **self._with_server(options))

    def stream(self, path: str, **options: t.Any) -> StreamClient:
        """Send a request piece by piece: to the client's server if it has one; see `websocket` and the base class."""
        return super().stream(path, **self._with_server(options))

    def _new_server(self, settings: dict[str, t.Any]) -> LiveServer:
        return super()._new_server(settings) if self._living is None else self._living.server(settings)

    def _with_server(self, options: dict[str, t.Any]) -> dict[str, t.Any]:
        if self.server is None:
            return options
        if not isinstance(self.application, _Wire):
            raise RuntimeError("A served client opens connections within its 'with' block.")
        return {**options, "server": self.server}

    def run_wsgi_app(self, environ: WSGIEnvironment, buffered: bool = False) -> t.Any:
        """Send one request; see the base class.

        Raises:
            RuntimeError: The client is to be served and is not used as a context manager.
        """
        if self.server is not None and not isinstance(self.application, _Wire):
            raise RuntimeError("A served client sends requests within its 'with' block.")
        return super().run_wsgi_app(environ, buffered=buffered)


class _Wire:
    """The application, but for being called: then it sends the request to the server and returns what that answers."""

    def __init__(self, app: Flask, server: LiveServer) -> None:
        self._app = app
        self._server = server

    def __getattr__(self, name: str) -> t.Any:
        return getattr(self._app, name)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> t.Iterable[bytes]:
        target = quote(environ["PATH_INFO"].encode("latin-1"), safe=_SAFE) or "/"
        if environ["QUERY_STRING"]:
            target = f"{target}?{environ['QUERY_STRING']}"
        fields = {
            key[5:].replace("_", "-").title(): value
            for key, value in environ.items()
            if key.startswith("HTTP_")
        }
        if environ.get("CONTENT_TYPE"):
            fields["Content-Type"] = environ["CONTENT_TYPE"]
        body = environ["wsgi.input"].read()
        # For a redirect that sends it again.
        environ["wsgi.input"].seek(0)
        connection = HTTPConnection("127.0.0.1", self._server.port, timeout=_TIMEOUT)
        try:
            connection.putrequest(
                environ["REQUEST_METHOD"], target, skip_host=True, skip_accept_encoding=True
            )
            for name, value in fields.items():
                connection.putheader(name, value.encode("latin-1"))
            if body or environ.get("CONTENT_LENGTH"):
                connection.putheader("Content-Length", str(len(body)))
            connection.putheader("Connection", "close")
            connection.endheaders(body or None)
            response = connection.getresponse()
            data = response.read()
        finally:
            connection.close()
        headers = [field for field in response.getheaders() if field[0].lower() not in _OF_THE_CONNECTION]
        start_response(f"{response.status} {response.reason}", headers)
        return [data]
