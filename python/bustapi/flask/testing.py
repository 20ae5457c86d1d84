"""The test client, the builder of its requests and the runner of commands."""

from __future__ import annotations

import typing as t
from contextlib import ExitStack, contextmanager
from copy import copy
from urllib.parse import urlsplit

from click.testing import CliRunner

from ..werkzeug import test as _test
from ..werkzeug.test import Client
from ..werkzeug.wrappers import Request as BaseRequest
from ._native.loopback import Door
from .app import Flask

if t.TYPE_CHECKING:
    from types import TracebackType

    from _typeshed.wsgi import WSGIApplication, WSGIEnvironment
    from click.testing import Result

    from ..serve.live import LiveServer
    from ..serve.served_connection import Dialled
    from ..serve.socket_client import SocketClient
    from ..serve.stream_client import EventsClient, StreamClient
    from ..werkzeug.test import TestResponse
    from .sessions import SessionMixin


#: Seconds that a view may go on once its client has left: fewer than the end of the server's thread is waited for.
_GRACE = 5.0


class EnvironBuilder(_test.EnvironBuilder):
    """Builds the environment of a request to an application, with defaults from its configuration.

    Args:
        app: The application.
        path: The URL's path; may be a whole URL.
        base_url: What the path is relative to. Not together with `subdomain` or `url_scheme`.
        subdomain: A subdomain of `SERVER_NAME`.
        url_scheme: The scheme, instead of `PREFERRED_URL_SCHEME`.
        args: For Werkzeug's builder.
        kwargs: For Werkzeug's builder.

    Compatible with: flask.testing.EnvironBuilder (3.1)
    """

    def __init__(
        self,
        app: Flask,
        path: str = "/",
        base_url: str | None = None,
        subdomain: str | None = None,
        url_scheme: str | None = None,
        *args: t.Any,
        **kwargs: t.Any,
    ) -> None:
        assert base_url is None or not (subdomain or url_scheme), (
            'Cannot pass "subdomain" or "url_scheme" with "base_url".'
        )
        if base_url is None:
            parts = urlsplit(path)
            host = app.config.get("SERVER_NAME") or "localhost"
            if subdomain:
                host = f"{subdomain}.{host}"
            scheme = parts.scheme or url_scheme or app.config["PREFERRED_URL_SCHEME"]
            root = app.config["APPLICATION_ROOT"].lstrip("/")
            base_url = f"{scheme}://{parts.netloc or host}/{root}"
            path = f"{parts.path}?{parts.query}" if parts.query else parts.path
        self.app = app
        super().__init__(path, base_url, *args, **kwargs)

    def json_dumps(self, obj: t.Any, **kwargs: t.Any) -> str:
        """Return a request's JSON body, as the application's provider writes it."""
        return self.app.json.dumps(obj, **kwargs)


_werkzeug_version = ""


def _get_werkzeug_version() -> str:
    """Return the version in the client's user agent: that of the Werkzeug whose API this is."""
    global _werkzeug_version
    if not _werkzeug_version:
        import importlib.metadata

        try:
            _werkzeug_version = importlib.metadata.version("werkzeug")
        except importlib.metadata.PackageNotFoundError:
            from ..werkzeug import __version__

            _werkzeug_version = str(__version__)
    return _werkzeug_version


class FlaskClient(Client):
    """A client that sends requests to the application without a server.

    Used as a context manager, it keeps the contexts of the last request, so that a test can look at `request`,
    `session` and `g`.

    Compatible with: flask.testing.FlaskClient (3.1)
    """

    application: Flask

    def __init__(self, *args: t.Any, **kwargs: t.Any) -> None:
        super().__init__(*args, **kwargs)
        self.preserve_context = False
        self._new_contexts: list[t.ContextManager[t.Any]] = []
        self._context_stack = ExitStack()
        self._served: Door | None = None
        self.environ_base = {
            "REMOTE_ADDR": "127.0.0.1",
            "HTTP_USER_AGENT": f"Werkzeug/{_get_werkzeug_version()}",
        }

    def websocket(
        self,
        path: str,
        *,
        headers: t.Mapping[str, str] | None = None,
        subprotocols: str | t.Iterable[str] = (),
        timeout: float = 10.0,
        server: LiveServer | None = None,
        **settings: t.Any,
    ) -> SocketClient:
        """Open a WebSocket with the client's cookies; to be used as a context manager.

        The application is served on a free port of 127.0.0.1 while the block runs: WebSockets are the server's.

        Args:
            path: Path and query.
            headers: Further header fields of the handshake, such as `Origin`.
            subprotocols: What the client speaks, the preferred one first; a `str` is one of them.
            timeout: How long anything may take, in seconds.
            server: A server that runs already, to be left running.
            settings: Settings of the server (see `bustapi.serve.settings.Settings`). `grace` is 5 seconds when not
                given: what is left of views by then is cancelled.

        Raises:
            HandshakeRefused: When the block is entered: the application answered over HTTP.

        BustAPI only.
        """
        # Not needed by tests of views.
        from ..serve.socket_client import SocketClient

        dialled = self._dial(path, headers, timeout, server, settings)
        return SocketClient(dialled, subprotocols=subprotocols)

    def stream(
        self,
        path: str,
        *,
        method: str = "GET",
        headers: t.Mapping[str, str] | None = None,
        timeout: float = 10.0,
        server: LiveServer | None = None,
        **settings: t.Any,
    ) -> StreamClient:
        """Send a request whose body and answer are handled piece by piece; to be used as a context manager.

        The application is served on a free port of 127.0.0.1 while the block runs, and the request has the client's
        cookies.

        Args:
            path: Path and query.
            method: The method; other than GET and HEAD there is a body, in chunks unless its length is given.
            headers: Header fields, such as `Content-Length`.
            timeout: How long anything may take, in seconds.
            server: A server that runs already, to be left running.
            settings: Settings of the server, as for `websocket`.

        BustAPI only.
        """
        from ..serve.stream_client import StreamClient

        return StreamClient(self._dial(path, headers, timeout, server, settings), method=method)

    def events(
        self,
        path: str,
        *,
        last_event_id: str | None = None,
        headers: t.Mapping[str, str] | None = None,
        **options: t.Any,
    ) -> EventsClient:
        """Open a stream of server-sent events; to be used as a context manager.

        Args:
            path: Path and query.
            last_event_id: What a client says that comes back.
            headers: Further header fields.
            options: As for `stream`.

        BustAPI only.
        """
        from ..serve.stream_client import EventsClient

        fields = {"Accept": "text/event-stream", **(headers or {})}
        if last_event_id is not None:
            fields["Last-Event-ID"] = last_event_id
        return EventsClient(self.stream(path, headers=fields, **options))

    def _dial(
        self,
        path: str,
        headers: t.Mapping[str, str] | None,
        timeout: float,
        server: LiveServer | None,
        settings: dict[str, t.Any],
    ) -> Dialled:
        """Prepare a connection that has the client's cookies, and keeps those it is given."""
        from ..serve.served_connection import Dialled

        environ = EnvironBuilder(self.application, path).get_environ()
        self._add_cookies_to_wsgi(environ)
        fields = dict(headers or {})
        if "HTTP_COOKIE" in environ:
            fields.setdefault("Cookie", environ["HTTP_COOKIE"])

        def keep_cookies(set_cookies: list[str]) -> None:
            self._update_cookies_from_response(environ["SERVER_NAME"], environ["PATH_INFO"], set_cookies)

        owns_server = server is None
        server = server or self._new_server({"grace": _GRACE, **settings})
        return Dialled(server, owns_server, path, environ["HTTP_HOST"], fields, keep_cookies, timeout)

    def _new_server(self, settings: dict[str, t.Any]) -> LiveServer:
        """Make the server of one connection, which starts and ends the application."""
        from ..serve.live import LiveServer

        return LiveServer(self.application, **settings)

    @contextmanager
    def session_transaction(self, *args: t.Any, **kwargs: t.Any) -> t.Iterator[SessionMixin]:
        """Open the client's session; what is changed in the block is saved in its cookies.

        Args:
            args: For the request context that the session is opened in.
            kwargs: For the request context that the session is opened in.

        Raises:
            TypeError: The client keeps no cookies.
            RuntimeError: The application has no sessions.
        """
        if self._cookies is None:
            raise TypeError("Cookies are disabled. Create a client with 'use_cookies=True'.")
        app = self.application
        context = app.test_request_context(*args, **kwargs)
        self._add_cookies_to_wsgi(context.request.environ)
        with context:
            session = app.session_interface.open_session(app, context.request)
        if session is None:
            raise RuntimeError("Session backend did not open a session.")

        yield session

        if app.session_interface.is_null_session(session):
            return
        response = app.response_class()
        with context:
            app.session_interface.save_session(app, session, response)
        self._update_cookies_from_response(
            context.request.host.partition(":")[0],
            context.request.path,
            response.headers.getlist("Set-Cookie"),
        )

    def _door(self) -> WSGIApplication:
        # What has only the interface of an application is called as one.
        application: t.Any = self.application
        if not isinstance(application, Flask):
            return t.cast("WSGIApplication", application)
        if self._served is None or self._served.app is not application:
            self._served = Door(application)
        return self._served

    def _copy_environ(self, other: t.Mapping[str, t.Any]) -> WSGIEnvironment:
        environ = {**self.environ_base, **other}
        if self.preserve_context:
            environ["werkzeug.debug.preserve_context"] = self._new_contexts.append
        return environ

    def _request_from_builder_args(self, args: tuple[t.Any, ...], kwargs: dict[str, t.Any]) -> BaseRequest:
        kwargs["environ_base"] = self._copy_environ(kwargs.get("environ_base", {}))
        builder = EnvironBuilder(self.application, *args, **kwargs)
        try:
            return builder.get_request()
        finally:
            builder.close()

    def _request_from(self, source: t.Any) -> BaseRequest:
        if isinstance(source, _test.EnvironBuilder):
            builder = copy(source)
            builder.environ_base = self._copy_environ(builder.environ_base or {})
            return builder.get_request()
        if isinstance(source, dict):
            return EnvironBuilder.from_environ(
                source, app=self.application, environ_base=self._copy_environ({})
            ).get_request()
        request = copy(source)
        request.environ = self._copy_environ(request.environ)
        return t.cast(BaseRequest, request)

    def open(
        self,
        *args: t.Any,
        buffered: bool = False,
        follow_redirects: bool = False,
        **kwargs: t.Any,
    ) -> TestResponse:
        """Send a request and return the response.

        Args:
            args: A builder, an environment or a request; else as for `EnvironBuilder`.
            buffered: Read the whole response and close it.
            follow_redirects: Follow redirects.
            kwargs: As for `EnvironBuilder`.
        """
        if args and isinstance(args[0], (_test.EnvironBuilder, dict, BaseRequest)):
            request = self._request_from(args[0])
        else:
            request = self._request_from_builder_args(args, kwargs)

        # The contexts of the request before this one are left only now.
        self._context_stack.close()
        response = super().open(request, buffered=buffered, follow_redirects=follow_redirects)
        response.json_module = self.application.json
        for context in self._new_contexts:
            self._context_stack.enter_context(context)
        self._new_contexts.clear()
        return response

    def __enter__(self) -> FlaskClient:
        if self.preserve_context:
            raise RuntimeError("Cannot nest client invocations")
        self.preserve_context = True
        return self

    def __exit__(
        self, exc_type: type | None, exc_value: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.preserve_context = False
        self._context_stack.close()


class FlaskCliRunner(CliRunner):
    """Runs commands of an application, as click's runner does.

    Args:
        app: The application.
        kwargs: For click's runner.

    Compatible with: flask.testing.FlaskCliRunner (3.1)
    """

    def __init__(self, app: Flask, **kwargs: t.Any) -> None:
        self.app = app
        super().__init__(**kwargs)

    def invoke(  # type: ignore[override]
        self, cli: t.Any = None, args: t.Any = None, **kwargs: t.Any
    ) -> Result:
        """Run a command.

        Args:
            cli: The command; the application's group of commands when not given.
            args: Its arguments, as a list or one string.
            kwargs: For click's `invoke`.
        """
        from .cli import ScriptInfo

        kwargs.setdefault("obj", ScriptInfo(create_app=lambda: self.app))
        return super().invoke(self.app.cli if cli is None else cli, args, **kwargs)
