"""The application: contexts, the dispatch of requests and the making of responses."""

from __future__ import annotations

import collections.abc as cabc
import os
import sys
import typing as t
import weakref
from datetime import timedelta
from inspect import iscoroutinefunction

from ..werkzeug.datastructures import Headers, ImmutableDict
from ..werkzeug.exceptions import BadRequestKeyError, HTTPException, InternalServerError
from ..werkzeug.routing import BuildError, RequestRedirect, RoutingException
from ..werkzeug.wrappers import Response as BaseResponse
from ..werkzeug.wsgi import get_host
from . import typing as ft
from .blueprints import _default_max_age, _open_resource, _send_static_file
from .ctx import AppContext, RequestContext
from .globals import _cv_app, _cv_request, current_app, g, request, request_ctx, session
from .helpers import get_debug_flag, get_flashed_messages, get_load_dotenv
from .sansio.app import App
from .sansio.app import _make_timedelta as _make_timedelta
from .sansio.scaffold import _sentinel
from .sessions import SecureCookieSessionInterface, SessionInterface
from .signals import (
    appcontext_tearing_down,
    got_request_exception,
    request_finished,
    request_started,
    request_tearing_down,
)
from .wrappers import Request, Response

if t.TYPE_CHECKING:
    from types import TracebackType

    from _typeshed.wsgi import StartResponse, WSGIEnvironment

    from ..werkzeug.routing import MapAdapter
    from .templating import Environment
    from .testing import FlaskClient, FlaskCliRunner

_BODY_TYPES = (
    "The return type must be a string, dict, list, tuple with headers or status, Response instance, or WSGI"
    " callable, but it was a {}."
)


class Flask(App):
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
        self.add_url_rule(
            f"{self.static_url_path}/<path:filename>",
            endpoint="static",
            host=static_host,
            view_func=lambda **values: weak().send_static_file(**values),  # type: ignore[union-attr]
        )

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
        for name in names:
            for processor in self.template_context_processors.get(name, ()):
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
        if port is None or port == "":
            port = int(named_port or 5000)
        return host or named_host or "127.0.0.1", int(port)

    def test_client(self, use_cookies: bool = True, **kwargs: t.Any) -> FlaskClient:
        """Return a client that sends requests to the application without a server.

        Args:
            use_cookies: Keep cookies between requests.
            kwargs: For the client's class.
        """
        cls = self.test_client_class
        if cls is None:
            from .testing import FlaskClient as cls
        return cls(self, self.response_class, use_cookies=use_cookies, **kwargs)

    def test_cli_runner(self, **kwargs: t.Any) -> FlaskCliRunner:
        """Return a runner of the application's commands.

        Args:
            kwargs: For the runner's class.
        """
        cls = self.test_cli_runner_class
        if cls is None:
            from .testing import FlaskCliRunner as cls
        return cls(self, **kwargs)

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
        request_context = _cv_request.get(None)
        adapter: MapAdapter | None
        if request_context is not None:
            adapter = request_context.url_adapter
            if endpoint.startswith("."):
                blueprint = request_context.request.blueprint
                endpoint = endpoint[1:] if blueprint is None else f"{blueprint}{endpoint}"
            external = _scheme is not None if _external is None else _external
        else:
            app_context = _cv_app.get(None)
            # Without any context this is called on the application itself, in a script say.
            adapter = self.create_url_adapter(None) if app_context is None else app_context.url_adapter
            if adapter is None:
                raise RuntimeError(
                    "Unable to build URLs outside an active request without 'SERVER_NAME' configured."
                    " Also configure 'APPLICATION_ROOT' and 'PREFERRED_URL_SCHEME' as needed."
                )
            external = True if _external is None else _external
        if _scheme is not None and not external:
            raise ValueError("When specifying '_scheme', '_external' must be True.")

        self.inject_url_defaults(endpoint, values)
        try:
            url = adapter.build(  # type: ignore[union-attr]
                endpoint, values, method=_method, url_scheme=_scheme, force_external=external
            )
        except BuildError as error:
            values.update(_anchor=_anchor, _method=_method, _scheme=_scheme, _external=external)
            return self.handle_url_build_error(error, endpoint, values)
        if _anchor is None:
            return url
        from urllib.parse import quote

        return f"{url}#{quote(_anchor, safe='%!#$&()*+,/:;=?@' + chr(39))}"

    # -- dispatch --------------------------------------------------------------------------------------------

    def full_dispatch_request(self) -> Response:
        """Run hooks and view of the current request and return the finished response."""
        if not self._got_first_request:
            self._got_first_request = True
        try:
            if request_started.receivers:
                request_started.send(self, _async_wrapper=self.ensure_sync)
            value = self.preprocess_request()
            if value is None:
                value = self.dispatch_request()
        except Exception as error:
            value = self.handle_user_exception(error)  # type: ignore[assignment]
        return self.finalize_request(value)  # type: ignore[arg-type]

    def preprocess_request(self) -> ft.ResponseReturnValue | None:
        """Run the URL value preprocessors and the before-request functions.

        Returns:
            The first value that a before-request function returned instead of None: the response.
        """
        req: Request = request_ctx.request
        names = (None, *reversed(req.blueprints))
        preprocessors = self.url_value_preprocessors
        if preprocessors:
            for name in names:
                for preprocess in preprocessors.get(name, ()):
                    preprocess(req.endpoint, req.view_args)
        hooks = self.before_request_funcs
        if hooks:
            for name in names:
                for hook in hooks.get(name, ()):
                    value = self.ensure_sync(hook)()
                    if value is not None:
                        return t.cast("ft.ResponseReturnValue", value)
        return None

    def dispatch_request(self) -> ft.ResponseReturnValue:
        """Call the view of the current request and return what it returns."""
        req: Request = request_ctx.request
        if req.routing_exception is not None:
            self.raise_routing_exception(req)
        rule: t.Any = req.url_rule
        if req.method == "OPTIONS" and getattr(rule, "provide_automatic_options", False):
            return self.make_default_options_response()
        view = self.ensure_sync(self.view_functions[rule.endpoint])
        return view(**(req.view_args or {}))  # type: ignore[no-any-return]

    def raise_routing_exception(self, request: Request) -> t.NoReturn:
        """Raise what routing ended with; in debug mode a redirect that would lose a form is an error.

        Args:
            request: A request whose `routing_exception` is set.
        """
        error = request.routing_exception
        assert error is not None
        if (
            self.debug
            and isinstance(error, RequestRedirect)
            and error.code not in (307, 308)
            and request.method not in ("GET", "HEAD", "OPTIONS")
        ):
            from .debughelpers import FormDataRoutingRedirect

            raise FormDataRoutingRedirect(request)
        raise error

    def make_default_options_response(self) -> Response:
        """Return the response to OPTIONS that lists the methods of the URL."""
        response = self.response_class()
        response.allow.update(request_ctx.url_adapter.allowed_methods())
        return response

    def finalize_request(
        self, rv: ft.ResponseReturnValue | HTTPException, from_error_handler: bool = False
    ) -> Response:
        """Turn the value of a view into a response and run the after-request functions.

        Args:
            rv: The value.
            from_error_handler: Log an error of an after-request function instead of raising it.
        """
        response = self.make_response(rv)  # type: ignore[arg-type]
        try:
            response = self.process_response(response)
            if request_finished.receivers:
                request_finished.send(self, _async_wrapper=self.ensure_sync, response=response)
        except Exception:
            if not from_error_handler:
                raise
            self.logger.exception("Request finalizing failed with an error while handling an error")
        return response

    def process_response(self, response: Response) -> Response:
        """Run the after-request functions and save the session.

        Args:
            response: The response.
        """
        context = request_ctx._get_current_object()  # type: ignore[attr-defined]
        for func in context._after_request_functions:
            response = self.ensure_sync(func)(response)
        hooks = self.after_request_funcs
        if hooks:
            for name in (*context.request.blueprints, None):
                for func in reversed(hooks.get(name, ())):
                    response = self.ensure_sync(func)(response)
        session = context._session
        if not self.session_interface.is_null_session(session):
            self.session_interface.save_session(self, session, response)
        return response

    def do_teardown_request(self, exc: BaseException | None = _sentinel) -> None:
        """Run the teardown functions of the current request.

        Args:
            exc: What ended the request; the exception being handled when it is not given.
        """
        if exc is _sentinel:
            exc = sys.exc_info()[1]
        hooks = self.teardown_request_funcs
        if hooks:
            for name in (*request_ctx.request.blueprints, None):
                for func in reversed(hooks.get(name, ())):
                    self.ensure_sync(func)(exc)
        if request_tearing_down.receivers:
            request_tearing_down.send(self, _async_wrapper=self.ensure_sync, exc=exc)

    def do_teardown_appcontext(self, exc: BaseException | None = _sentinel) -> None:
        """Run the teardown functions of the current application context.

        Args:
            exc: What ended the context; the exception being handled when it is not given.
        """
        if exc is _sentinel:
            exc = sys.exc_info()[1]
        for func in reversed(self.teardown_appcontext_funcs):
            self.ensure_sync(func)(exc)
        if appcontext_tearing_down.receivers:
            appcontext_tearing_down.send(self, _async_wrapper=self.ensure_sync, exc=exc)

    def ensure_sync(self, func: t.Callable[..., t.Any]) -> t.Callable[..., t.Any]:
        """Return a function that can be called without awaiting it.

        Args:
            func: A plain function, returned as it is, or a coroutine function.
        """
        return self.async_to_sync(func) if iscoroutinefunction(func) else func

    def async_to_sync(
        self, func: t.Callable[..., t.Coroutine[t.Any, t.Any, t.Any]]
    ) -> t.Callable[..., t.Any]:
        """Return a plain function that runs a coroutine function to its end; a hook for subclasses.

        Args:
            func: The coroutine function.
        """
        from ..kernel.aio import run_sync

        return run_sync(func)

    # -- errors ----------------------------------------------------------------------------------------------

    def handle_user_exception(self, e: Exception) -> HTTPException | ft.ResponseReturnValue:
        """Answer an exception of a view or hook with its handler; re-raise it if there is none.

        Args:
            e: The exception, which must be the one being handled.
        """
        if isinstance(e, BadRequestKeyError) and (self.debug or self.config["TRAP_BAD_REQUEST_ERRORS"]):
            e.show_exception = True
        if _is_http_exception(e) and not self.trap_http_exception(e):
            return self.handle_http_exception(t.cast(HTTPException, e))
        handler = self._find_error_handler(e, request_ctx.request.blueprints)
        if handler is None:
            raise
        return self.ensure_sync(handler)(e)  # type: ignore[no-any-return]

    def handle_http_exception(self, e: HTTPException) -> HTTPException | ft.ResponseReturnValue:
        """Answer an HTTP exception with its handler, or with itself.

        Args:
            e: The exception.
        """
        # No code: the exception carries a response (`abort(response)`). Routing's are the router's business.
        if e.code is None or isinstance(e, RoutingException):
            return e
        handler = self._find_error_handler(e, request_ctx.request.blueprints)
        if handler is None:
            return e
        return self.ensure_sync(handler)(e)  # type: ignore[no-any-return]

    def handle_exception(self, e: Exception) -> Response:
        """Answer an exception that nothing handled: log it and respond with 500, or let it through to the tests.

        Args:
            e: The exception.
        """
        exc_info = sys.exc_info()
        if got_request_exception.receivers:
            got_request_exception.send(self, _async_wrapper=self.ensure_sync, exception=e)
        propagate = self.config["PROPAGATE_EXCEPTIONS"]
        if propagate is None:
            propagate = self.testing or self.debug
        if propagate:
            if exc_info[1] is e:
                raise  # keeps the traceback as it is
            raise e

        self.log_exception(exc_info)
        error = InternalServerError(original_exception=e)
        handler = self._find_error_handler(error, request_ctx.request.blueprints)
        value = error if handler is None else self.ensure_sync(handler)(error)
        return self.finalize_request(value, from_error_handler=True)

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
        view = self.view_functions.get(req.endpoint or "")
        if view is None:
            return ""
        from ..kernel.plan import locate

        file, line = locate(view)
        place = f" ({file}:{line})" if file else ""
        return f" in view {req.endpoint!r}{place}"

    # -- responses -------------------------------------------------------------------------------------------

    def make_response(self, rv: ft.ResponseReturnValue) -> Response:
        """Turn the value of a view into a response of `response_class`.

        Args:
            rv: A body, or a tuple of a body with a status, headers or both. A body is text, bytes, a dict or list
                (sent as JSON), an iterator, a response or a WSGI application.

        Raises:
            TypeError: It is none of these.
        """
        value: t.Any = rv
        status: t.Any = None
        headers: t.Any = None
        if isinstance(value, tuple):
            if len(value) == 3:
                value, status, headers = value
            elif len(value) == 2:
                if isinstance(value[1], (Headers, dict, tuple, list)):
                    value, headers = value
                else:
                    value, status = value
            else:
                raise TypeError(
                    "The view function did not return a valid response tuple. The tuple must have the form"
                    " (body, status, headers), (body, status), or (body, headers)."
                )

        if not isinstance(value, self.response_class):
            if isinstance(value, (str, bytes, bytearray, cabc.Iterator)):
                # Given to the constructor, so that a class can treat a status of its own making.
                value = self.response_class(value, status=status, headers=headers)
                status = headers = None
            elif isinstance(value, (dict, list)):
                value = self.json.response(value)
            elif value is None:
                raise TypeError(
                    f"The view function for {request.endpoint!r} did not return a valid response."
                    " The function either returned None or ended without a return statement."
                )
            else:
                value = self._force_response(value)

        response: Response = value
        if status is not None:
            if isinstance(status, (str, bytes, bytearray)):
                response.status = status  # type: ignore[assignment]
            else:
                response.status_code = status
        if headers:
            response.headers.update(headers)
        return response

    def _force_response(self, value: t.Any) -> Response:
        problem = "The view function did not return a valid response. " + _BODY_TYPES.format(
            type(value).__name__
        )
        if not isinstance(value, BaseResponse) and not callable(value):
            raise TypeError(problem)
        try:
            return self.response_class.force_type(value, request.environ)
        except TypeError as error:
            raise TypeError(f"{error}\n{problem}").with_traceback(error.__traceback__) from None

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

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> cabc.Iterable[bytes]:
        """Call `wsgi_app`, with whatever middleware it is wrapped in."""
        return self.wsgi_app(environ, start_response)


def _is_http_exception(error: Exception) -> bool:
    if isinstance(error, HTTPException):
        return True
    # Raised by code that got hold of the real class before the names were ours.
    return any(
        cls.__name__ == "HTTPException" and cls.__module__ == "werkzeug.exceptions"
        for cls in type(error).__mro__
    )
