"""The application class: Flask's, with where views run, and a server of its own."""

from __future__ import annotations

import sys
import typing as t

from .flask.app import Flask
from .flask.globals import _cv_request, request
from .kernel.background import Job
from .kernel.execution import check_execution, check_seconds
from .kernel.lifespan import Life, Periodic
from .werkzeug.datastructures import ImmutableDict
from .werkzeug.routing import Rule as _Rule

if t.TYPE_CHECKING:
    from collections.abc import Callable

    from _typeshed.wsgi import WSGIApplication

    from .kernel.background import Call
    from .kernel.execution import Execution

F = t.TypeVar("F", bound="Callable[..., t.Any]")


class Rule(_Rule):
    """A routing rule that also says where its view runs, and for how long.

    Args:
        string: The rule.
        execution: `"auto"`, `"inline"`, `"pool"` or None for the application's choice.
        view_timeout: Seconds after which a request is answered with 504; None for the application's choice.
        cancel_on_disconnect: Whether an async view is cancelled when its client has gone; None for the application's
            choice.
        stream_body: Whether the view reads a body while it arrives; None for the application's choice.
        options: As for `bustapi.werkzeug.routing.Rule`.

    Raises:
        ValueError: `execution` or `view_timeout` is not one of these.
    """

    def __init__(
        self,
        string: str,
        *,
        execution: Execution | None = None,
        view_timeout: float | None = None,
        cancel_on_disconnect: bool | None = None,
        stream_body: bool | None = None,
        **options: t.Any,
    ) -> None:
        super().__init__(string, **options)
        self.execution = check_execution(execution)
        self.view_timeout = check_seconds("view_timeout", view_timeout)
        self.cancel_on_disconnect = cancel_on_disconnect
        self.stream_body = stream_body

    def get_empty_kwargs(self) -> dict[str, t.Any]:
        """Return the options of a copy that is not bound to a map."""
        return {
            **super().get_empty_kwargs(),
            "execution": self.execution,
            "view_timeout": self.view_timeout,
            "cancel_on_disconnect": self.cancel_on_disconnect,
            "stream_body": self.stream_body,
        }


class BustAPI(Flask):
    """A web application served by BustAPI's own server: Flask's class, with views placed on threads.

    A plain view begins in a pool of threads, where it may wait (for a database, say); one that has shown that it is
    quick runs on the thread of the reactor that received the request, where nothing costs less. `execution=` chooses
    one of the two for good, for a route (`@app.get("/", execution="pool")`) or for all of them. An `async def` view
    runs as a task of the event loop. `docs/execution.md` tells the rest.

    Args:
        import_name: The module or package that the application is defined in; the caller's module when not given.
        execution: Where plain views run unless their route says otherwise: `"auto"` (the default), `"inline"` or
            `"pool"`.
        view_timeout: Seconds after which a request is answered with 504 unless its route says otherwise; None: never.
        cancel_on_disconnect: Whether async views are cancelled when their client has gone, unless their route says
            otherwise; None: those of GET and HEAD.
        stream_body: Whether views read a body while it arrives, unless their route says otherwise; None: plain ones
            read one so that is longer than `max_body_in_memory`, and coroutine functions whose code names
            `request.stream` and nothing that needs all of it.
        options: As for `bustapi.flask.Flask`.

    Raises:
        ValueError: `execution` or `view_timeout` is not one of these.
    """

    url_rule_class = Rule
    default_config = ImmutableDict({**Flask.default_config, "SEND_FILE_STRICT_HTTP": True})

    def __init__(
        self,
        import_name: str | None = None,
        *args: t.Any,
        execution: Execution = "auto",
        view_timeout: float | None = None,
        cancel_on_disconnect: bool | None = None,
        stream_body: bool | None = None,
        **options: t.Any,
    ):
        if import_name is None:
            import_name = sys._getframe(1).f_globals.get("__name__", "__main__")
        self._execution: Execution = check_execution(execution) or "auto"
        self._view_timeout = check_seconds("view_timeout", view_timeout)
        self.cancel_on_disconnect = cancel_on_disconnect
        self.stream_body = stream_body
        super().__init__(import_name, *args, **options)
        self._life = Life(self)

    @property
    def execution(self) -> Execution:
        """Where plain views run unless their route says otherwise: `"auto"` (the default), `"inline"` or `"pool"`."""
        return self._execution

    @execution.setter
    def execution(self, value: Execution) -> None:
        self._execution = check_execution(value) or "auto"

    @property
    def view_timeout(self) -> float | None:
        """Seconds after which a request is answered with 504 unless its route says otherwise; None: never."""
        return self._view_timeout

    @view_timeout.setter
    def view_timeout(self, value: float | None) -> None:
        self._view_timeout = check_seconds("view_timeout", value)

    def mount(self, prefix: str, app: WSGIApplication) -> None:
        """Answer every path below a prefix with another application.

        That application sees the rest of the path, and the prefix as its root: URLs that it builds begin with it.
        Hooks and error handlers of this application run around it as around a view; rules of this application
        below the prefix that say more than it come first.

        Args:
            prefix: The path, such as `/api`, without variables; a slash at its end does not count.
            app: Another `BustAPI` or `Flask`, or any WSGI application.

        Raises:
            ValueError: The prefix does not begin with a slash, is the root or has variables.
            AssertionError: Something is mounted there already.
        """
        prefix = prefix.rstrip("/")
        if not prefix.startswith("/") or "<" in prefix:
            raise ValueError("a mount's prefix begins with a slash and has no variables")
        self._check_setup_finished("mount")
        endpoint = f"mount:{prefix}"
        if endpoint in self.view_functions:
            raise AssertionError(f"{prefix!r} is mounted already")
        length = len(prefix.encode())

        def mounted(rest: str = "") -> t.Any:
            environ = dict(request.environ)
            path = environ["PATH_INFO"]
            environ["SCRIPT_NAME"] = environ.get("SCRIPT_NAME", "") + path[:length]
            environ["PATH_INFO"] = path[length:]
            # This application's request, and the test client's wish to see its contexts, are not the other's.
            environ.pop("werkzeug.request", None)
            environ.pop("werkzeug.debug.preserve_context", None)
            return self.response_class.from_app(app, environ)

        for path in (prefix, f"{prefix}/", f"{prefix}/<path:rest>"):
            # Whatever the method, and with slashes as they are: they are the other application's business.
            rule = self.url_rule_class(path, endpoint=endpoint, strict_slashes=True, merge_slashes=False)
            rule.provide_automatic_options = False  # type: ignore[attr-defined]
            self.url_map.add(rule)
        self.view_functions[endpoint] = mounted

    def background(self, func: Callable[..., object], *args: t.Any, **kwargs: t.Any) -> None:
        """Call a function once the response is made, in the application context and without the request.

        A coroutine function runs on the server's event loop, a plain one on one of a few threads of its own. Nothing
        is called for a request that ended with an exception which nothing handled; outside of requests the work
        begins at once. It is lost if the process is: see `docs/background.md`.

        Args:
            func: The function.
            args: Its arguments.
            kwargs: Its keyword arguments.

        Raises:
            BackgroundFull: `BACKGROUND_LIMIT` pieces of work are open.
        """
        self._submit([(func, args, kwargs)])

    def _submit(self, calls: list[Call]) -> None:
        background = self._life.background
        context = _cv_request.get(None)
        if context is None:
            background.admit()
            background.start(Job(calls, getattr(calls[0][0], "__qualname__", repr(calls[0][0]))))
            return
        asked = context.request
        where = "" if asked.endpoint is None else f" (endpoint {asked.endpoint!r})"
        job = Job(calls, f"{asked.method} {asked.path}{where}")
        background.admit()
        # Not before the request is over: the work may need what the request has locked.
        context.at_end(lambda error: background.forget(job) if error is not None else background.start(job))

    def on_startup(self, func: F) -> F:
        """Call a function before the first request is served, once in each process. Can be used as a decorator.

        Args:
            func: A plain or coroutine function without arguments. What it raises keeps the server from starting.
        """
        self._check_setup_finished("on_startup")
        self._life.startup.append(func)
        return func

    def on_shutdown(self, func: F) -> F:
        """Call a function after the last request, in reverse order of registration. Can be used as a decorator.

        Args:
            func: A plain or coroutine function without arguments. What it raises is logged.
        """
        self._check_setup_finished("on_shutdown")
        self._life.shutdown.append(func)
        return func

    def lifespan(self, func: F) -> F:
        """Have the server run within a context manager. Can be used as a decorator.

        Args:
            func: A generator or async generator function that takes the application and yields once, or a function
                that returns a context manager.

        Raises:
            AssertionError: There is one already.
        """
        self._check_setup_finished("lifespan")
        if self._life.manager is not None:
            raise AssertionError("the application has a lifespan already")
        self._life.manager = func
        return func

    def every(self, seconds: float, *, everywhere: bool = False) -> Callable[[F], F]:
        """Call a function at intervals while the server runs, the first time after one. Used as a decorator.

        It is not called while its last call is still under way.

        Args:
            seconds: The interval.
            everywhere: In each worker process, and not in the first alone.

        Raises:
            ValueError: The interval is not above zero.
        """
        interval = check_seconds("seconds", seconds)
        if interval is None:
            raise ValueError("seconds must be a number above zero.")
        self._check_setup_finished("every")

        def register(func: F) -> F:
            self._life.periodic.append(Periodic(func, interval, everywhere))
            return func

        return register

    def run(
        self,
        host: str | None = None,
        port: int | None = None,
        debug: bool | None = None,
        load_dotenv: bool = True,
        *,
        threads: int | str | None = None,
        workers: int | str | None = None,
        **options: t.Any,
    ) -> None:
        """Serve the application until SIGINT or SIGTERM; requests under way are answered first.

        Args:
            host: Address, host name or `unix:/path` to listen on; that of `SERVER_NAME`, or 127.0.0.1.
            port: The port; that of `SERVER_NAME`, or 5000.
            debug: Debug mode, if given.
            load_dotenv: Read `.env` and `.flaskenv` first.
            threads: Reactors of each process, or `"auto"` for one a core; 1 by default.
            workers: Processes, or `"auto"` for one a core; 1 by default.
            options: Settings of the server (see `bustapi.serve.settings.Settings`) and keywords of Werkzeug's
                `run_simple`.

        Raises:
            TypeError: An option is not known.
            ValueError: An option's value is not one it can have.
        """
        from . import serve
        from .werkzeug._development import develop

        serve.run(self, host, port, debug, load_dotenv, threads, workers, develop=develop, **options)

    async def run_async(
        self,
        host: str | None = None,
        port: int | None = None,
        debug: bool | None = None,
        load_dotenv: bool = True,
        **options: t.Any,
    ) -> None:
        """Serve the application as a guest of the running event loop, until the task is cancelled.

        Args:
            host: As for `run`.
            port: As for `run`.
            debug: As for `run`.
            load_dotenv: As for `run`.
            options: As for `run`, without workers.
        """
        from . import serve

        await serve.run_async(self, host, port, debug, load_dotenv, **options)
