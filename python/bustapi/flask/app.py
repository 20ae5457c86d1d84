"""The application: its files, templates, contexts and URLs, and the WSGI application that it is."""

from __future__ import annotations

import collections.abc as cabc
import os
import typing as t
import weakref
from datetime import timedelta
from functools import cached_property
from urllib.parse import quote

from ..kernel.context import RequestState
from ..kernel.context import current as _current
from ..werkzeug.datastructures import ImmutableDict
from ..werkzeug.exceptions import BadHost
from ..werkzeug.routing import BuildError
from ..werkzeug.wsgi import get_host
from . import helpers as _helpers
from ._dispatch import Dispatch
from .blueprints import _default_max_age, _open_resource, _send_static_file
from .ctx import AppContext, RequestContext
from .globals import _cv_app, _cv_request, current_app, g, request, request_ctx, session
from .helpers import get_debug_flag, get_flashed_messages, get_load_dotenv
from .sansio.app import _make_timedelta as _make_timedelta
from .sessions import SecureCookieSessionInterface, SessionInterface
from .wrappers import Request, Response

if t.TYPE_CHECKING:
    from types import TracebackType

    from _typeshed.wsgi import StartResponse, WSGIEnvironment

    from ..werkzeug.routing import MapAdapter
    from ._asgi import AsgiApp
    from .templating import Environment
    from .testing import FlaskClient, FlaskCliRunner

# RFC 3986 3.5, and what browsers leave alone.
_ANCHOR_SAFE = "%!#$&()*+,/:;=?@'"


class Flask(Dispatch):
    """A web application: a registry of views and hooks, and the WSGI application that calls them.

    Args:
        import_name: The module or package that the application is defined in, usually `__name__`.
        static_url_path: URL prefix of the static files; the folder's name when not given.
        static_folder: Folder of static files, relative to `root_path`.
        static_host: The host of the static files' rule; needed with `host_matching`.
        host_matching: Match rules by host.
        subdomain_matching: Match rules by subdomain of `SERVER_NAME`.
        template_folder: Folder of templates, relative to `root_path`.
        instance_path: Absolute path of the instance folder.
        instance_relative_config: Have the configuration's relative file names start from the instance folder.
        root_path: Folder that relative paths start from; the module's own when not given.

    Compatible with: flask.Flask (3.1)
    """

    default_config = ImmutableDict(
        {
            "APPLICATION_ROOT": "/",
            "DEBUG": None,
            "EXPLAIN_TEMPLATE_LOADING": False,
            "MAX_CONTENT_LENGTH": None,
            "MAX_COOKIE_SIZE": 4093,
            "MAX_FORM_MEMORY_SIZE": 500_000,
            "MAX_FORM_PARTS": 1_000,
            "PERMANENT_SESSION_LIFETIME": timedelta(days=31),
            "PREFERRED_URL_SCHEME": "http",
            "PROPAGATE_EXCEPTIONS": None,
            "PROVIDE_AUTOMATIC_OPTIONS": True,
            "SECRET_KEY": None,
            "SECRET_KEY_FALLBACKS": None,
            "SEND_FILE_MAX_AGE_DEFAULT": None,
            "SERVER_NAME": None,
            "SESSION_COOKIE_DOMAIN": None,
            "SESSION_COOKIE_HTTPONLY": True,
            "SESSION_COOKIE_NAME": "session",
            "SESSION_COOKIE_PARTITIONED": False,
            "SESSION_COOKIE_PATH": None,
            "SESSION_COOKIE_SAMESITE": None,
            "SESSION_COOKIE_SECURE": False,
            "SESSION_REFRESH_EACH_REQUEST": True,
            "TEMPLATES_AUTO_RELOAD": None,
            "TESTING": False,
            "TRAP_BAD_REQUEST_ERRORS": None,
            "TRAP_HTTP_EXCEPTIONS": False,
            "TRUSTED_HOSTS": None,
            "USE_X_SENDFILE": False,
        }
    )

    #: The view of the static rule.
    _static_view: t.Callable[..., Response] | None = None
    request_class: type[Request] = Request
    response_class: type[Response] = Response
    session_interface: SessionInterface = SecureCookieSessionInterface()

    def __init__(
        self,
        import_name: str,
        static_url_path: str | None = None,
        static_folder: str | os.PathLike[str] | None = "static",
        static_host: str | None = None,
        host_matching: bool = False,
        subdomain_matching: bool = False,
        template_folder: str | os.PathLike[str] | None = "templates",
        instance_path: str | None = None,
        instance_relative_config: bool = False,
        root_path: str | None = None,
    ) -> None:
        super().__init__(
            import_name=import_name,
            static_url_path=static_url_path,
            static_folder=static_folder,
            static_host=static_host,
            host_matching=host_matching,
            subdomain_matching=subdomain_matching,
            template_folder=template_folder,
            instance_path=instance_path,
            instance_relative_config=instance_relative_config,
            root_path=root_path,
        )
        if not self.has_static_folder:
            return
        # Added even if the folder does not exist yet: it may be made later.
        assert bool(static_host) == host_matching, "Invalid static_host/host_matching combination"
        # A weak reference, or the application would keep itself alive.
        weak = weakref.ref(self)
        self._static_view = lambda **values: weak().send_static_file(**values)  # type: ignore[union-attr]
        self.add_url_rule(
            f"{self.static_url_path}/<path:filename>",
            endpoint="static",
            host=static_host,
            view_func=self._static_view,
        )

    @property
    def _dialect(self) -> t.Any:
        # What the server calls; imported when it starts to serve.
        from . import _native

        return _native

    # -- files and templates ---------------------------------------------------------------------------------

    def get_send_file_max_age(self, filename: str | None) -> int | None:
        """Return how long a client may cache a file, in seconds; None leaves it to conditional requests.

        Args:
            filename: The file.
        """
        return _default_max_age(current_app.config["SEND_FILE_MAX_AGE_DEFAULT"])

    def send_static_file(self, filename: str) -> Response:
        """Respond with a file of the static folder: the view of the static rule.

        Args:
            filename: The file, relative to the folder.
        """
        return _send_static_file(self, filename)

    def open_resource(self, resource: str, mode: str = "rb", encoding: str | None = None) -> t.IO[t.Any]:
        """Open a file below `root_path` for reading.

        Args:
            resource: The file, relative to the root.
            mode: `"r"`, `"rt"` or `"rb"`.
            encoding: The encoding of text.
        """
        return _open_resource(self, resource, mode, encoding)

    def open_instance_resource(
        self, resource: str, mode: str = "rb", encoding: str | None = "utf-8"
    ) -> t.IO[t.Any]:
        """Open a file of the instance folder, for writing too.

        Args:
            resource: The file, relative to the folder.
            mode: As for `open`.
            encoding: The encoding of text.
        """
        path = os.path.join(self.instance_path, resource)
        return open(path, mode, encoding=None if "b" in mode else encoding)

    def create_jinja_environment(self) -> Environment:
        """Return the Jinja environment, with the globals that templates expect."""
        options = dict(self.jinja_options)
        options.setdefault("autoescape", self.select_jinja_autoescape)
        if "auto_reload" not in options:
            reload = self.config["TEMPLATES_AUTO_RELOAD"]
            options["auto_reload"] = self.debug if reload is None else reload
        environment: Environment = self.jinja_environment(self, **options)
        # Proxies, not values: macros imported without context see them too.
        environment.globals.update(
            config=self.config,
            g=g,
            get_flashed_messages=get_flashed_messages,
            request=request,
            session=session,
            url_for=self.url_for,
        )
        environment.policies["json.dumps_function"] = self.json.dumps
        return environment

    def update_template_context(self, context: dict[str, t.Any]) -> None:
        """Add what the context processors return to a template's variables, which win.

        Args:
            context: The variables, changed in place.
        """
        given = dict(context)
        names: tuple[str | None, ...] = (None,)
        request_context = _cv_request.get(None)
        if request_context is not None:
            names = (None, *reversed(request_context.request.blueprints))
        registry = self.template_context_processors
        for name in names:
            for processor in registry.get(name, ()):
                context.update(self.ensure_sync(processor)())
        context.update(given)

    # -- running ---------------------------------------------------------------------------------------------

    def make_shell_context(self) -> dict[str, t.Any]:
        """Return the names that the interactive shell begins with."""
        names: dict[str, t.Any] = {"app": self, "g": g}
        for processor in self.shell_context_processors:
            names.update(processor())
        return names

    def run(
        self,
        host: str | None = None,
        port: int | None = None,
        debug: bool | None = None,
        load_dotenv: bool = True,
        **options: t.Any,
    ) -> None:
        """Serve the application until it is interrupted.

        Args:
            host: The address to listen on; that of `SERVER_NAME`, or 127.0.0.1.
            port: The port; that of `SERVER_NAME`, or 5000.
            debug: Debug mode, if given.
            load_dotenv: Set environment variables from `.env` and `.flaskenv`.
            options: For `werkzeug.serving.run_simple`.
        """
        from ..werkzeug.serving import is_running_from_reloader, run_simple
        from . import cli

        if os.environ.get("FLASK_RUN_FROM_CLI") == "true":
            if not is_running_from_reloader():
                import click

                click.secho(
                    " * Ignoring a call to 'app.run()' that would block the current 'flask' CLI command.\n"
                    "   Only call 'app.run()' in an 'if __name__ == \"__main__\"' guard.",
                    fg="red",
                )
            return

        if get_load_dotenv(load_dotenv):
            cli.load_dotenv()
            if "FLASK_DEBUG" in os.environ:
                self.debug = get_debug_flag()
        if debug is not None:
            self.debug = bool(debug)

        host, port = self._address(host, port)
        options.setdefault("use_reloader", self.debug)
        options.setdefault("use_debugger", self.debug)
        options.setdefault("threaded", True)
        cli.show_server_banner(self.debug, self.name)
        try:
            run_simple(host, port, self, **options)
        finally:
            # A second run in one process, as in an interactive session, is a first one again.
            self._got_first_request = False

    def _address(self, host: str | None, port: int | None) -> tuple[str, int]:
        named_host, _, named_port = (self.config.get("SERVER_NAME") or "").partition(":")
        if not port and port != 0:
            port = int(named_port or 5000)
        return host or named_host or "127.0.0.1", int(port)

    def test_client(self, use_cookies: bool = True, **kwargs: t.Any) -> FlaskClient:
        """Return a client that sends requests to the application without a server.

        Args:
            use_cookies: Keep cookies between requests.
            kwargs: For the client's class.
        """
        from .testing import FlaskClient

        cls = self.test_client_class or FlaskClient
        return cls(self, self.response_class, use_cookies=use_cookies, **kwargs)

    def test_cli_runner(self, **kwargs: t.Any) -> FlaskCliRunner:
        """Return a runner of the application's commands.

        Args:
            kwargs: For the runner's class.
        """
        from .testing import FlaskCliRunner

        return (self.test_cli_runner_class or FlaskCliRunner)(self, **kwargs)

    # -- contexts --------------------------------------------------------------------------------------------

    def app_context(self) -> AppContext:
        """Return a new application context."""
        return AppContext(self)

    def request_context(self, environ: WSGIEnvironment) -> RequestContext:
        """Return a new request context.

        Args:
            environ: The WSGI environment.
        """
        return RequestContext(self, environ)

    def test_request_context(self, *args: t.Any, **kwargs: t.Any) -> RequestContext:
        """Return the context of a request that is made up; arguments as for `flask.testing.EnvironBuilder`."""
        from .testing import EnvironBuilder

        builder = EnvironBuilder(self, *args, **kwargs)
        try:
            return self.request_context(builder.get_environ())
        finally:
            builder.close()

    def create_url_adapter(self, request: Request | None) -> MapAdapter | None:
        """Return the map bound to a request or, without one, to `SERVER_NAME`; None if there is nothing to bind to.

        Args:
            request: The request.
        """
        config = self.config
        if request is None:
            if config["SERVER_NAME"] is None:
                return None
            return self.url_map.bind(
                config["SERVER_NAME"],
                script_name=config["APPLICATION_ROOT"],
                url_scheme=config["PREFERRED_URL_SCHEME"],
            )
        if config["TRUSTED_HOSTS"] is not None:
            request.trusted_hosts = config["TRUSTED_HOSTS"]
        # Checked here, so that a host that is not trusted becomes the request's routing exception.
        request.host = get_host(request.environ, request.trusted_hosts)
        # RFC 9112 3.2. Names that are merely unusual, such as those with underscores, are let through.
        if not request.host and not request.environ.get("HTTP_HOST", "").isprintable():
            raise BadHost()
        server_name, subdomain = config["SERVER_NAME"], None
        if self.url_map.host_matching:
            server_name = None
        elif not self.subdomain_matching:
            # The server name tells what URLs look like, not which requests are answered.
            subdomain = self.url_map.default_subdomain or ""
        return self.url_map.bind_to_environ(request.environ, server_name=server_name, subdomain=subdomain)

    def url_for(
        self,
        /,
        endpoint: str,
        *,
        _anchor: str | None = None,
        _method: str | None = None,
        _scheme: str | None = None,
        _external: bool | None = None,
        **values: t.Any,
    ) -> str:
        """Build the URL of an endpoint.

        Args:
            endpoint: The endpoint; one that begins with a dot belongs to the request's blueprint.
            _anchor: The fragment.
            _method: The method of the rule, where several have the endpoint.
            _scheme: The scheme; the URL is external then.
            _external: Whether the URL has scheme and host; by default outside of a request only.
            values: The rule's values; what it has no use for goes to the query.

        Raises:
            RuntimeError: There is no request and no `SERVER_NAME`.
            werkzeug.routing.BuildError: No rule fits.
        """
        source = _current.get(None)
        adapter: MapAdapter | None = None
        prefix: str | None = None
        if type(source) is RequestState and _method is None and _scheme is None and not _external:
            # Within a request of the server most URLs need no adapter, which would have to be made first.
            prefix = source.url_prefix if source.app is self else None
        if prefix is None:
            adapter, endpoint, external = self._find_adapter(endpoint, _scheme is not None, _external)
        else:
            external = False
            if endpoint.startswith("."):
                endpoint = _relative(endpoint, source.request)
        if _scheme is not None and not external:
            raise ValueError("When specifying '_scheme', '_external' must be True.")

        self.inject_url_defaults(endpoint, values)
        url: str | None = None
        if prefix is not None:
            path = self.url_map.quick_path(endpoint, values)
            if path is not None:
                url = f"{prefix}/{path}"
        if url is None:
            if adapter is None:
                adapter = self._find_adapter(endpoint, False, False)[0]
            try:
                url = adapter.build(
                    endpoint, values, method=_method, url_scheme=_scheme, force_external=external
                )
            except BuildError as error:
                values.update(_anchor=_anchor, _method=_method, _scheme=_scheme, _external=external)
                return self.handle_url_build_error(error, endpoint, values)
        return url if _anchor is None else f"{url}#{quote(_anchor, safe=_ANCHOR_SAFE)}"

    def _find_adapter(
        self, endpoint: str, has_scheme: bool, external: bool | None
    ) -> tuple[MapAdapter, str, bool]:
        """The adapter that builds URLs here, the whole name of the endpoint, and whether URLs are absolute."""
        request_context = _cv_request.get(None)
        adapter: MapAdapter | None
        if request_context is not None:
            adapter = request_context.url_adapter
            if endpoint.startswith("."):
                endpoint = _relative(endpoint, request_context.request)
            external = has_scheme if external is None else external
        else:
            app_context = _cv_app.get(None)
            # Without any context this is called on the application itself, in a script say.
            adapter = self.create_url_adapter(None) if app_context is None else app_context.url_adapter
            external = True if external is None else external
        if adapter is None:
            raise RuntimeError(
                "Unable to build URLs outside an active request without 'SERVER_NAME' configured."
                " Also configure 'APPLICATION_ROOT' and 'PREFERRED_URL_SCHEME' as needed."
            )
        return adapter, endpoint, external

    # -- log -------------------------------------------------------------------------------------------------

    # Here rather than with the handling of errors: the log names the module.

    def log_exception(
        self,
        exc_info: tuple[type, BaseException, TracebackType] | tuple[None, None, None],
    ) -> None:
        """Log an exception of the current request, with the view that was to answer it.

        Args:
            exc_info: As `sys.exc_info` returns it.
        """
        req: Request = request_ctx.request
        self.logger.error(
            "Exception on %s [%s]%s", req.path, req.method, self._view_location(req), exc_info=exc_info
        )

    def _view_location(self, req: Request) -> str:
        # An error that is raised after the view returned (an unserialisable value, say) has no frame of it.
        from ..kernel.plan import place

        return place(req.endpoint, self.view_functions.get(req.endpoint or ""))

    # -- WSGI ------------------------------------------------------------------------------------------------

    def wsgi_app(self, environ: WSGIEnvironment, start_response: StartResponse) -> cabc.Iterable[bytes]:
        """Answer a request as a WSGI application; middleware wraps this, so that the application stays the object.

        Args:
            environ: The WSGI environment.
            start_response: Takes status and headers.
        """
        context = self.request_context(environ)
        failure: BaseException | None = None
        try:
            try:
                context.push()
                response = self.full_dispatch_request()
            except Exception as error:
                failure = error
                response = self.handle_exception(error)
            except BaseException as error:
                failure = error
                raise
            return response(environ, start_response)
        finally:
            preserve = environ.get("werkzeug.debug.preserve_context")
            if preserve is not None:
                preserve(_cv_app.get())
                preserve(_cv_request.get())
            if failure is not None and self.should_ignore_error(failure):
                failure = None
            context.pop(failure)

    @cached_property
    def asgi_app(self) -> AsgiApp:
        """The application for ASGI servers and test clients, beside `wsgi_app`: `uvicorn module:app.asgi_app`.

        Assign to it to wrap it in ASGI middleware. Async views and hooks run on the server's loop, plain ones on its
        threads, with what is around `wsgi_app`.

        BustAPI only.
        """
        # Only what serves the application over ASGI needs asyncio.
        from ._asgi import AsgiApp

        return AsgiApp(self)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> cabc.Iterable[bytes]:
        """Call `wsgi_app`, with whatever middleware it is wrapped in."""
        return self.wsgi_app(environ, start_response)


def _relative(endpoint: str, request: Request) -> str:
    """The name of an endpoint that begins with a dot, in the blueprint of a request."""
    blueprint = request.blueprint
    return endpoint[1:] if blueprint is None else f"{blueprint}{endpoint}"


_helpers._stock_url_for = Flask.url_for
_helpers._stock_defaults = Flask.inject_url_defaults
