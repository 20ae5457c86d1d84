"""The functions that serve an application: Flask's `run`, Werkzeug's `run_simple`, and `run_async` for a running loop.

They differ in their keywords alone. Each resolves the settings and comes to `serve`, which is a worker, a supervisor
or the only process.
"""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Callable

from . import banner, listeners, worker
from .application import check_application, needs_loop
from .dotenv import flag, load_files
from .errors import EXIT_SOFTWARE, ServeError, SettingsError, say
from .host import ThreadHost
from .keywords import split, tools
from .leaving import leave
from .limits import allow_connections
from .recycle import Quota
from .settings import Settings
from .signals import StopSignals, on_hangup

if TYPE_CHECKING:
    from bustapi._core import Listener

#: Set while the command line imports the application: an unguarded `app.run()` must not serve then.
ENV_FROM_CLI = "FLASK_RUN_FROM_CLI"


def run(
    app: Any,
    host: str | None = None,
    port: int | None = None,
    debug: bool | None = None,
    load_dotenv: bool = True,
    threads: int | str | None = None,
    workers: int | str | None = None,
    *,
    develop: Callable[..., None] | None = None,
    **options: Any,
) -> None:
    """Serve an application until SIGINT or SIGTERM.

    Args:
        app: The application.
        host: Address or name to listen on, or ``unix:/path``. Default: `BUSTAPI_HOST`, the host of `SERVER_NAME`,
            ``127.0.0.1``.
        port: TCP port, 0 for any. Default: `BUSTAPI_PORT`, the port of `SERVER_NAME`, 5000.
        debug: Sets `app.debug`.
        load_dotenv: Load `.env` and `.flaskenv` first, unless `FLASK_SKIP_DOTENV` says no.
        threads: Reactor threads, or ``"auto"`` for one a core. Default: `BUSTAPI_THREADS`, 1.
        workers: Processes, or ``"auto"`` for one a core. Default: `BUSTAPI_WORKERS`, 1.
        develop: Puts the development tools around a server, which this layer has none of: called with the
            application, the host, a function that serves, and the keywords of the reloader and the debugger.
        **options: Any other setting (see `Settings`) or keyword of Werkzeug's `run_simple`.

    Raises:
        SettingsError: An argument has a value that cannot be used.
        ServeError: The application or an option is not supported.
        TypeError: An option is unknown.
        SystemExit: 1 when the address cannot be listened on, 70 when the server failed while serving.

    Compatible with: flask.Flask.run (3.1); threads, workers and the settings are BustAPI only.
    """
    if os.environ.get(ENV_FROM_CLI) == "true":
        say(
            "app.run() was called while the command line imported the app, and did nothing; guard it with __name__"
        )
        return
    options.update(threads=threads, workers=workers)
    arguments, notes = _prepare(app, host, port, debug, load_dotenv, options)
    asked = tools(options)
    if develop is None or not asked:
        _run(app, arguments, notes)
        return
    if worker.is_worker():
        # Its supervisor is what the reloader restarts.
        asked["use_reloader"] = False
    resolved = _resolve(app, arguments)
    develop(app, resolved.host, lambda: _run(app, arguments, []), **asked)


def run_simple(
    hostname: str,
    port: int,
    application: Any,
    use_reloader: bool = False,
    use_debugger: bool = False,
    use_evalex: bool = True,
    extra_files: Any = None,
    exclude_patterns: Any = None,
    reloader_interval: int = 1,
    reloader_type: str = "auto",
    threaded: bool = False,
    processes: int = 1,
    request_handler: Any = None,
    static_files: Any = None,
    passthrough_errors: bool = False,
    ssl_context: Any = None,
    **settings: Any,
) -> None:
    """Serve an application with Werkzeug's keywords.

    Args:
        hostname: Address or name to listen on, or ``unix:/path``.
        port: TCP port, 0 for any.
        application: The application.
        use_reloader: Not available here; a line says what to use.
        use_debugger: Not available here; a line says what to use.
        use_evalex: Of the debugger.
        extra_files: Of the reloader.
        exclude_patterns: Of the reloader.
        reloader_interval: Of the reloader.
        reloader_type: Of the reloader.
        threaded: Whether views may run at the same time; False is one thread and no pool.
        processes: The number of worker processes.
        request_handler: Refused.
        static_files: Refused.
        passthrough_errors: Refused.
        ssl_context: Refused until there is TLS.
        **settings: Any setting (see `Settings`), BustAPI only.

    Raises:
        SettingsError: An argument has a value that cannot be used.
        ServeError: The application or a keyword is not supported.
        TypeError: A keyword is unknown, or the port is no integer.
        SystemExit: 1 when the address cannot be listened on, 70 when the server failed while serving.

    Compatible with: werkzeug.serving.run_simple (3.1).
    """
    if not isinstance(port, int) or isinstance(port, bool):
        raise TypeError("port must be an integer")
    options: dict[str, Any] = {
        "use_reloader": use_reloader,
        "use_debugger": use_debugger,
        "use_evalex": use_evalex,
        "extra_files": extra_files,
        "exclude_patterns": exclude_patterns,
        "reloader_interval": reloader_interval,
        "reloader_type": reloader_type,
        "threaded": threaded,
        "processes": processes,
        "request_handler": request_handler,
        "static_files": static_files,
        "passthrough_errors": passthrough_errors,
        "ssl_context": ssl_context,
    }
    clash = [name for name in ("host",) if name in settings]
    if clash:
        raise TypeError(f"run_simple() got an unexpected keyword argument {clash[0]!r}")
    arguments, notes = split({**options, **settings}, caller="run_simple", threaded=False)
    arguments.update(host=hostname, port=port)
    check_application(application)
    _run(application, arguments, notes)


async def run_async(
    app: Any,
    host: str | None = None,
    port: int | None = None,
    debug: bool | None = None,
    load_dotenv: bool = True,
    threads: int | str | None = None,
    **options: Any,
) -> None:
    """Serve an application on the running event loop, until SIGINT, SIGTERM or cancellation.

    A cancellation drains the server before it takes effect; a second one aborts.

    Args:
        app: The application.
        host: As for `run`.
        port: As for `run`.
        debug: As for `run`.
        load_dotenv: As for `run`.
        threads: Reactor threads; the first is this loop's thread.
        **options: As for `run`. There are no workers: the loop is in this process.

    Raises:
        ServeError: The server cannot start, or failed while serving.
        TypeError: An option is unknown.

    Compatible with: BustAPI only.
    """
    from .guest import serve_on

    for name in ("use_reloader", "use_debugger"):
        # In debug mode too: the program and its loop are not ours to restart.
        options.setdefault(name, False)
    arguments, notes = _prepare(app, host, port, debug, load_dotenv, {"threads": threads, **options})
    settings = Settings.resolve({"workers": 1, **arguments}, fallbacks=_server_name(app))
    if settings.workers > 1:
        raise SettingsError("workers: run_async serves in this process alone; use app.run(workers=...)")
    for name in ("max_requests", "max_rss"):
        if getattr(settings, name) is not None:
            raise SettingsError(f"{name}: run_async has no workers to replace; use app.run({name}=...)")
    for line in notes:
        say(line)
    bound = listeners.bind(settings)
    try:
        allow_connections(settings.max_connections)
        thread_host = ThreadHost(app, bound.groups[0], settings)
        with StopSignals(
            thread_host.drain, thread_host.abort, thread_host.first.wake, thread_host.give_up, settings.grace
        ):
            thread_host.on_ready = lambda: banner.announce(bound.addresses, settings)
            await serve_on(thread_host)
    finally:
        bound.close()
    if thread_host.failed:
        raise ServeError("the server failed while serving")


def serve(app: Any, settings: Settings) -> None:
    """Serve an application with resolved settings.

    Args:
        app: The application.
        settings: The settings.

    Raises:
        ServeError: The server cannot start.
        SystemExit: 70 when the server failed while serving, 128 + n when a second signal n ended it.
    """
    check_application(app)
    if worker.is_worker():
        _serve_as_worker(app, settings)
    elif settings.workers > 1 or settings.max_requests is not None or settings.max_rss is not None:
        _supervise(app, settings)
    else:
        bound = listeners.bind(settings)
        try:
            _serve_here(app, bound.groups[0], settings, bound.addresses)
        finally:
            bound.close()


def _resolve(app: Any, arguments: dict[str, Any]) -> Settings:
    """Resolve the settings; what an operator did wrong is one line and exit code 1, what a caller did is raised."""
    try:
        return Settings.resolve(arguments, fallbacks=_server_name(app))
    except SettingsError as error:
        if error.source == "environment":
            say(f"error: {error}")
            raise SystemExit(1) from None
        raise


def _run(app: Any, arguments: dict[str, Any], notes: list[str]) -> None:
    """Resolve and serve; what keeps the server from starting is one line and exit code 1."""
    settings = _resolve(app, arguments)
    if not worker.is_worker():
        for line in notes:
            say(line)
    try:
        serve(app, settings)
    except ServeError as error:
        say(f"error: {error}")
        raise SystemExit(1) from None
    finally:
        # As Flask: the application may be changed and run once more.
        if hasattr(app, "_got_first_request"):
            app._got_first_request = False


def _prepare(
    app: Any,
    host: str | None,
    port: int | None,
    debug: bool | None,
    load_dotenv: bool,
    options: dict[str, Any],
) -> tuple[dict[str, Any], list[str]]:
    check_application(app)
    if load_dotenv and not flag("FLASK_SKIP_DOTENV"):
        load_files()
        if "FLASK_DEBUG" in os.environ:
            app.debug = flag("FLASK_DEBUG")
    if debug is not None:
        app.debug = bool(debug)
    for name in ("use_reloader", "use_debugger"):
        options.setdefault(name, bool(getattr(app, "debug", False)))
    arguments, notes = split(options, caller="run", threaded=True)
    arguments.update(host=host or None, port=port)
    return arguments, notes


def _server_name(app: Any) -> dict[str, Any]:
    """Flask's fallback for host and port."""
    name = app.config.get("SERVER_NAME")
    if not name:
        return {}
    if name.startswith("["):
        host, _, port = name[1:].partition("]")
        port = port[1:] if port.startswith(":") else ""
    else:
        host, _, port = name.partition(":")
    return {"host": host or None, "port": port or None}


def _serve_as_worker(app: Any, settings: Settings) -> None:
    inheritance = worker.claim()
    settings = replace(settings, threads=len(inheritance.groups), workers=1)
    # A reload is the supervisor's: a SIGHUP that was sent to the whole group must not end its workers.
    with on_hangup(lambda: None):
        _serve_here(app, inheritance.groups, settings, [], inheritance)


def _supervise(app: Any, settings: Settings) -> None:
    import threading

    from bustapi._core import Dispatcher

    from .command import own_command
    from .supervisor import Supervisor

    if threading.current_thread() is not threading.main_thread():
        raise ServeError(
            "workers: a supervisor needs the main thread, where signals arrive; serve with workers=1 here"
        )
    command = own_command()
    # For its errors: they are the same in every worker.
    Dispatcher(app)
    bound = listeners.bind(settings)
    try:
        banner.announce(bound.addresses, settings)
        groups = [[[item.fileno() for item in group] for group in slot] for slot in bound.groups]
        code = Supervisor(command, groups, settings.grace, release=bound.release).run()
    finally:
        bound.close()
    if code:
        raise SystemExit(code)


def _serve_here(
    app: Any,
    groups: list[list[Listener]],
    settings: Settings,
    addresses: list[str],
    inheritance: worker.Inheritance | None = None,
) -> None:
    wants_loop = settings.loop != "auto" or needs_loop(app)
    if wants_loop:
        from .guest import new_loop, refuse_running_loop, run_on_loop

        refuse_running_loop()
        # Before anything is started: a loop that is not installed is found out here.
        new_loop(settings.loop).close()
    allow_connections(settings.max_connections)
    host = ThreadHost(app, groups, settings)
    with StopSignals(host.drain, host.abort, host.first.wake, host.give_up, settings.grace) as signals, host:
        if inheritance is not None:
            inheritance.watch(host, settings.grace, Quota.of(settings))
            host.slot = inheritance.slot
            host.on_ready = inheritance.report_ready
        else:
            host.on_ready = lambda: banner.announce(addresses, settings)
        if wants_loop:
            host.serve_first(lambda reactor: run_on_loop(reactor, host, settings.loop))
        elif host.begin_life():
            host.on_ready()
            host.start(hosted=False)
            host.serve_first(lambda reactor: reactor.run())
    code = (
        EXIT_SOFTWARE
        if host.failed
        else 128 + signals.received
        if signals.aborted and signals.received
        else 0
    )
    if host.stuck:
        leave(code or EXIT_SOFTWARE)
    if code:
        raise SystemExit(code)
