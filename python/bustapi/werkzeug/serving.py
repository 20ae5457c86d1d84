"""Serving an application under Werkzeug's names. The server behind them is BustAPI's own (`bustapi.serve`).

What Werkzeug's development server is made of - a handler class for each request, socketserver's loop - has no
counterpart. Its names are here, so that code which only mentions them can be imported; using them says what to do.
"""

from __future__ import annotations

import os
import socket
import typing as t

from ._certificates import generate_adhoc_ssl_context as generate_adhoc_ssl_context
from ._certificates import generate_adhoc_ssl_pair as generate_adhoc_ssl_pair
from ._certificates import is_ssl_error as is_ssl_error
from ._certificates import load_ssl_context as load_ssl_context
from ._certificates import make_ssl_devcert as make_ssl_devcert

if t.TYPE_CHECKING:
    import ssl

    import typing_extensions as te

    SSLContextArgument = t.Union[ssl.SSLContext, tuple[str, t.Optional[str]], te.Literal["adhoc"]]

__all__ = [
    "BaseWSGIServer",
    "ForkingWSGIServer",
    "ThreadedWSGIServer",
    "WSGIRequestHandler",
    "generate_adhoc_ssl_context",
    "generate_adhoc_ssl_pair",
    "get_interface_ip",
    "get_sockaddr",
    "is_running_from_reloader",
    "is_ssl_error",
    "load_ssl_context",
    "make_server",
    "make_ssl_devcert",
    "run_simple",
    "select_address_family",
]

LISTEN_QUEUE = 128
can_fork = hasattr(os, "fork")
af_unix = getattr(socket, "AF_UNIX", None)


def run_simple(
    hostname: str,
    port: int,
    application: t.Any,
    use_reloader: bool = False,
    use_debugger: bool = False,
    use_evalex: bool = True,
    extra_files: t.Iterable[str] | None = None,
    exclude_patterns: t.Iterable[str] | None = None,
    reloader_interval: float = 1,
    reloader_type: str = "auto",
    threaded: bool = False,
    processes: int = 1,
    request_handler: type[WSGIRequestHandler] | None = None,
    static_files: dict[str, str | tuple[str, str]] | None = None,
    passthrough_errors: bool = False,
    ssl_context: SSLContextArgument | None = None,
    **settings: t.Any,
) -> None:
    """Serve an application until SIGINT or SIGTERM: one of ours by its routes, any other WSGI callable by calling it.

    Args:
        hostname: Address or name to listen on, or `unix:///path`.
        port: The port; 0 for any.
        application: The application.
        use_reloader: Restart when a source file changes.
        use_debugger: Show tracebacks in the browser; see `bustapi.werkzeug.debug.DebuggedApplication`.
        use_evalex: No effect: the debugger never runs what a browser sends.
        extra_files: Files that the reloader watches too.
        exclude_patterns: Paths that the reloader does not watch.
        reloader_interval: Seconds between the reloader's looks.
        reloader_type: `auto`, `stat` or `watchdog`.
        threaded: Whether views may run at the same time.
        processes: The number of worker processes.
        request_handler: Not supported: the server is native.
        static_files: Directories to serve by their paths, as for `SharedDataMiddleware`. An application of ours is
            better off with a static folder: behind the middleware it is any WSGI application.
        passthrough_errors: Not supported: no exception leaves the server.
        ssl_context: Not supported yet.
        **settings: Any setting of the server (`bustapi.serve.Settings`), BustAPI only.

    Raises:
        TypeError: The port is no integer, or a setting is unknown.
        bustapi.serve.ServeError: The application or an argument is not supported.
        SystemExit: The server could not start, or ended in failure; with the reloader always.

    Compatible with: werkzeug.serving.run_simple (3.1)
    """
    if not isinstance(port, int) or isinstance(port, bool):
        raise TypeError("port must be an integer")
    from ..serve import run_simple as serve
    from ._development import develop
    from ._hosting import hosted

    if static_files:
        from .middleware.shared_data import SharedDataMiddleware

        application = SharedDataMiddleware(application, static_files)
    application = hosted(application)

    def work() -> None:
        serve(
            hostname,
            port,
            application,
            threaded=threaded,
            processes=processes,
            request_handler=request_handler,
            passthrough_errors=passthrough_errors,
            ssl_context=ssl_context,
            **settings,
        )

    develop(
        application,
        hostname,
        work,
        use_reloader=use_reloader and not _is_worker(),
        use_debugger=use_debugger and hasattr(application, "wsgi_app"),
        extra_files=extra_files,
        exclude_patterns=exclude_patterns,
        reloader_interval=reloader_interval,
        reloader_type=reloader_type,
    )


def is_running_from_reloader() -> bool:
    """Tell whether this is the process that the reloader restarts.

    Compatible with: werkzeug.serving.is_running_from_reloader (3.1)
    """
    return os.environ.get("WERKZEUG_RUN_MAIN") == "true"


def make_server(
    host: str,
    port: int,
    app: t.Any,
    threaded: bool = False,
    processes: int = 1,
    request_handler: type[WSGIRequestHandler] | None = None,
    passthrough_errors: bool = False,
    ssl_context: SSLContextArgument | None = None,
    fd: int | None = None,
) -> BaseWSGIServer:
    """Make a server that listens, to be run and stopped by hand, in a thread for example.

    Args:
        host: As for `run_simple`.
        port: As for `run_simple`; the server's `port` is the one that 0 became.
        app: The application.
        threaded: Whether views may run at the same time.
        processes: Not more than 1.
        request_handler: Not supported.
        passthrough_errors: Not supported.
        ssl_context: Not supported yet.
        fd: Not supported.

    Raises:
        ValueError: `threaded` together with `processes`.
        bustapi.serve.ServeError: It cannot listen there, or an argument is not supported.

    Compatible with: werkzeug.serving.make_server (3.1)
    """
    if threaded and processes > 1:
        raise ValueError("Cannot have a multi-thread and multi-process server.")
    if processes > 1:
        return ForkingWSGIServer(
            host, port, app, processes, request_handler, passthrough_errors, ssl_context, fd
        )
    server = ThreadedWSGIServer if threaded else BaseWSGIServer
    return server(host, port, app, request_handler, passthrough_errors, ssl_context, fd)


class BaseWSGIServer:
    """A server that listens from its making on, serves in `serve_forever` and ends by `shutdown`.

    Args:
        host: As for `make_server`.
        port: As for `make_server`.
        app: The application.
        handler: Not supported.
        passthrough_errors: Not supported.
        ssl_context: Not supported yet.
        fd: Not supported.

    Raises:
        bustapi.serve.ServeError: It cannot listen there, or an argument is not supported.

    Compatible with: werkzeug.serving.BaseWSGIServer (3.1), without what socketserver gave it.
    """

    #: Whether views may run at the same time.
    multithread = False
    #: Whether there are several processes.
    multiprocess = False
    request_queue_size = LISTEN_QUEUE
    ssl_context: ssl.SSLContext | None = None

    def __init__(
        self,
        host: str,
        port: int,
        app: t.Any,
        handler: type[WSGIRequestHandler] | None = None,
        passthrough_errors: bool = False,
        ssl_context: SSLContextArgument | None = None,
        fd: int | None = None,
    ) -> None:
        import threading

        from ..serve import listeners
        from ..serve.application import check_application
        from ..serve.errors import ServeError
        from ..serve.keywords import split
        from ..serve.settings import Settings
        from ._hosting import hosted

        if fd is not None:
            raise ServeError("fd: the server binds its own sockets; give it host and port")
        options = {
            "request_handler": handler,
            "passthrough_errors": passthrough_errors,
            "ssl_context": ssl_context,
            "threaded": self.multithread,
        }
        arguments, _ = split(options, caller="make_server", threaded=self.multithread)
        self._application = hosted(app)
        check_application(self._application)
        self._settings = Settings.resolve(
            {**arguments, "host": host, "port": port, "backlog": self.request_queue_size, "workers": 1}
        )
        self.app = app
        self.host = host
        self.passthrough_errors = False
        self.address_family = select_address_family(host, port)
        self._bound = listeners.bind(self._settings)
        first = self._bound.groups[0][0][0]
        self._fileno = os.dup(first.fileno())
        #: The address as `getsockname` gives it.
        self.server_address = _socket_name(self._fileno)
        self.port = self.server_address[1] if isinstance(self.server_address, tuple) else port
        self._host: t.Any = None
        self._stop = threading.Event()
        self._ended = threading.Event()
        self._ended.set()
        self._closed = False

    @property
    def server_name(self) -> str:
        """The host that the server was made for."""
        return self.host

    @property
    def server_port(self) -> int:
        """The port that the server listens on."""
        return self.port

    def fileno(self) -> int:
        """Return a descriptor of the listening socket; it is closed with the server."""
        if self._closed:
            raise ValueError("the server is closed")
        return self._fileno

    def serve_forever(self, poll_interval: float = 0.5) -> None:
        """Serve until `shutdown` is called or, in the main thread, SIGINT or SIGTERM arrives; then close.

        Args:
            poll_interval: No effect: the server does not poll.

        Raises:
            RuntimeError: The server is closed.
        """
        from ..serve.application import needs_loop
        from ..serve.host import ThreadHost
        from ..serve.signals import StopSignals

        if self._closed:
            raise RuntimeError("the server is closed; make a new one")
        self._ended.clear()
        try:
            host = self._host = ThreadHost(self._application, self._bound.groups[0], self._settings)
            with StopSignals(host.drain, host.abort, host.first.wake), host:
                if self._stop.is_set():
                    host.drain()
                if needs_loop(self._application):
                    from ..serve.guest import run_on_loop

                    host.serve_first(lambda reactor: run_on_loop(reactor, host, self._settings.loop))
                else:
                    host.start(hosted=False)
                    host.serve_first(lambda reactor: reactor.run())
        finally:
            self._host = None
            self.server_close()
            self._ended.set()

    def shutdown(self) -> None:
        """Let open requests finish, end `serve_forever`, and wait until it has. Call it from another thread."""
        self._stop.set()
        host = self._host
        if host is not None:
            host.drain()
        self._ended.wait()

    def server_close(self) -> None:
        """Stop listening."""
        if not self._closed:
            self._closed = True
            self._bound.close()
            os.close(self._fileno)

    def log(self, type: str, message: str, *args: t.Any) -> None:
        """Log through the `werkzeug` logger.

        Args:
            type: The level's name in lower case.
            message: The message.
            *args: Values to format into it.
        """
        from ._internal import _log

        _log(type, message, *args)

    def log_startup(self) -> None:
        """Log where the server listens."""
        if af_unix is not None and self.address_family == af_unix:
            self.log("info", " * Running on %s", self.host)
            return
        names = [self.host]
        if self.host in ("0.0.0.0", "::"):
            self.log("info", " * Running on all addresses (%s)", self.host)
            names = ["127.0.0.1" if self.host == "0.0.0.0" else "::1", get_interface_ip(self.address_family)]
        for name in names:
            self.log("info", " * Running on http://%s:%s", f"[{name}]" if ":" in name else name, self.port)

    def __enter__(self) -> te.Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.server_close()

    def __getattr__(self, name: str) -> t.Any:
        if name in _SOCKETSERVER:
            raise AttributeError(
                f"{name}: the server is native and none of socketserver's; use serve_forever(), shutdown() and"
                " fileno()"
            )
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")


class ThreadedWSGIServer(BaseWSGIServer):
    """A server whose views may run at the same time. Made by `make_server(threaded=True)`."""

    multithread = True
    daemon_threads = True


class ForkingWSGIServer(BaseWSGIServer):
    """Not supported: worker processes run the program anew, and a server object cannot be taken along.

    Args:
        host: As for `make_server`.
        port: As for `make_server`.
        app: The application.
        processes: The number of processes.
        handler: Not supported.
        passthrough_errors: Not supported.
        ssl_context: Not supported.
        fd: Not supported.

    Raises:
        bustapi.serve.ServeError: Always.
    """

    multiprocess = True

    def __init__(
        self,
        host: str,
        port: int,
        app: t.Any,
        processes: int = 40,
        handler: type[WSGIRequestHandler] | None = None,
        passthrough_errors: bool = False,
        ssl_context: SSLContextArgument | None = None,
        fd: int | None = None,
    ) -> None:
        from ..serve.errors import ServeError

        raise ServeError("processes: a server object is one process; use run_simple(processes=...)")


class WSGIRequestHandler:
    """The name of Werkzeug's handler class, which the native server has no use for.

    A class may derive from it; `request_handler=` refuses it, and so does making one.

    Raises:
        bustapi.serve.ServeError: Always.
    """

    protocol_version = "HTTP/1.1"

    def __init__(self, *args: t.Any, **kwargs: t.Any) -> None:
        from ..serve.errors import ServeError

        raise ServeError(
            "request_handler: the HTTP server is native and has no handler class; log requests in an"
            " after_request hook, and change the environ in a wsgi_app middleware"
        )


def select_address_family(host: str, port: int) -> socket.AddressFamily:
    """Return the address family of a host.

    Args:
        host: A name, an address or `unix:///path`.
        port: Not looked at.

    Compatible with: werkzeug.serving.select_address_family (3.1)
    """
    if host.startswith("unix:"):
        return socket.AF_UNIX
    return socket.AF_INET6 if ":" in host and hasattr(socket, "AF_INET6") else socket.AF_INET


def get_sockaddr(host: str, port: int, family: socket.AddressFamily) -> tuple[str, int] | str:
    """Return an address that `socket.bind` takes.

    Args:
        host: As for `select_address_family`.
        port: The port.
        family: The address family.

    Compatible with: werkzeug.serving.get_sockaddr (3.1)
    """
    if family == af_unix:
        # Absolute, and without a host: a leading dot would be taken for an empty label of a host name.
        path = host[len("unix:") :]
        return os.path.abspath(path[2:] if path.startswith("//") else path)
    try:
        found = socket.getaddrinfo(host, port, family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    except socket.gaierror:
        return host, port
    return t.cast("tuple[str, int]", found[0][4])


def get_interface_ip(family: socket.AddressFamily) -> str:
    """Return the address that others reach this machine at, as far as the system tells.

    Args:
        family: `AF_INET` or `AF_INET6`.

    Compatible with: werkzeug.serving.get_interface_ip (3.1)
    """
    # Any private address will do: connecting a datagram socket chooses a route and sends nothing.
    target, fallback = ("fd00::1", "::1") if family == socket.AF_INET6 else ("10.255.255.254", "127.0.0.1")
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((target, 9))
        except OSError:
            return fallback
        return t.cast(str, probe.getsockname()[0])


_SOCKETSERVER = frozenset(
    {
        "RequestHandlerClass",
        "finish_request",
        "get_request",
        "handle_error",
        "handle_request",
        "handle_timeout",
        "process_request",
        "server_activate",
        "server_bind",
        "service_actions",
        "shutdown_request",
        "socket",
        "timeout",
        "verify_request",
    }
)


def _is_worker() -> bool:
    """A worker is restarted by its supervisor, which is the process that the reloader restarts."""
    from ..serve.worker import is_worker

    return is_worker()


def _socket_name(fileno: int) -> t.Any:
    with socket.socket(fileno=os.dup(fileno)) as listening:
        return listening.getsockname()
