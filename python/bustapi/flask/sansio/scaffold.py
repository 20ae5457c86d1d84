"""What applications and blueprints have in common: a place on disk, routes, hooks and error handlers."""

from __future__ import annotations

import os
import sys
import typing as t
from functools import update_wrapper

from ...kernel.registry import Generation, RegistryDefaultDict, RegistryDict
from ...kernel.websocket import SocketView
from ...werkzeug.exceptions import HTTPException, default_exceptions
from ...werkzeug.utils import cached_property
from .. import typing as ft
from ..globals import _cv_app, _cv_request
from ..helpers import get_root_path

if t.TYPE_CHECKING:
    from jinja2 import BaseLoader

    from ..cli import AppGroup

F = t.TypeVar("F", bound=t.Callable[..., t.Any])
T_after_request = t.TypeVar("T_after_request", bound="ft.AfterRequestCallable[t.Any]")
T_before_request = t.TypeVar("T_before_request", bound="ft.BeforeRequestCallable")
T_error_handler = t.TypeVar("T_error_handler", bound="ft.ErrorHandlerCallable")
T_middleware = t.TypeVar("T_middleware", bound=t.Callable[..., t.Any])
T_teardown = t.TypeVar("T_teardown", bound="ft.TeardownCallable")
T_template_context_processor = t.TypeVar(
    "T_template_context_processor", bound="ft.TemplateContextProcessorCallable"
)
T_url_defaults = t.TypeVar("T_url_defaults", bound="ft.URLDefaultCallable")
T_url_value_preprocessor = t.TypeVar("T_url_value_preprocessor", bound="ft.URLValuePreprocessorCallable")
T_route = t.TypeVar("T_route", bound="ft.RouteCallable")

_sentinel: t.Any = object()


def setupmethod(f: F) -> F:
    """Make a method refuse to run once the object it configures is in use."""
    name = f.__name__

    def checked(self: Scaffold, *args: t.Any, **kwargs: t.Any) -> t.Any:
        self._check_setup_finished(name)
        return f(self, *args, **kwargs)

    return t.cast(F, update_wrapper(checked, f))


def _default_template_ctx_processor() -> dict[str, t.Any]:
    """Give templates `g` and, in a request, `request` and `session`'s owner without the proxies."""
    context: dict[str, t.Any] = {}
    app_context = _cv_app.get(None)
    if app_context is not None:
        context["g"] = app_context.g
    request_context = _cv_request.get(None)
    if request_context is not None:
        # The session stays a proxy (a global of the environment), so that its use is seen.
        context["request"] = request_context.request
    return context


class Scaffold:
    """Base of `Flask` and `Blueprint`.

    Args:
        import_name: The module or package it is defined in, usually `__name__`.
        static_folder: Folder of static files, relative to `root_path`.
        static_url_path: URL prefix of the static files; the folder's name when not given.
        template_folder: Folder of templates, relative to `root_path`.
        root_path: Folder that relative paths start from; the module's own when not given.
    """

    name: str
    _static_folder: str | None = None
    _static_url_path: str | None = None

    def __init__(
        self,
        import_name: str,
        static_folder: str | os.PathLike[str] | None = None,
        static_url_path: str | None = None,
        template_folder: str | os.PathLike[str] | None = None,
        root_path: str | None = None,
    ) -> None:
        # First of all: every assignment that follows is counted by it.
        self._generation = generation = Generation()
        self.import_name = import_name
        self.static_folder = static_folder
        self.static_url_path = static_url_path
        self.template_folder = template_folder
        self.root_path = get_root_path(import_name) if root_path is None else root_path

        self.view_functions: dict[str, ft.RouteCallable] = RegistryDict(generation)
        # Handlers: [blueprint name or None][HTTP code or None][exception class].
        self.error_handler_spec: dict[
            ft.AppOrBlueprintKey, dict[int | None, dict[type[Exception], ft.ErrorHandlerCallable]]
        ] = RegistryDefaultDict(
            generation,
            lambda: RegistryDefaultDict(generation, lambda: RegistryDict(generation)),
        )
        # Hooks: [blueprint name or None] -> functions in the order they were registered.
        self.before_request_funcs: dict[ft.AppOrBlueprintKey, list[ft.BeforeRequestCallable]] = self._hooks()
        self.after_request_funcs: dict[ft.AppOrBlueprintKey, list[ft.AfterRequestCallable[t.Any]]] = (
            self._hooks()
        )
        self.teardown_request_funcs: dict[ft.AppOrBlueprintKey, list[ft.TeardownCallable]] = self._hooks()
        #: Functions around views (`middleware`); BustAPI only.
        self.middleware_funcs: dict[ft.AppOrBlueprintKey, list[t.Callable[..., t.Any]]] = self._hooks()
        self.template_context_processors: dict[
            ft.AppOrBlueprintKey, list[ft.TemplateContextProcessorCallable]
        ] = self._hooks({None: [_default_template_ctx_processor]})
        self.url_value_preprocessors: dict[ft.AppOrBlueprintKey, list[ft.URLValuePreprocessorCallable]] = (
            self._hooks()
        )
        self.url_default_functions: dict[ft.AppOrBlueprintKey, list[ft.URLDefaultCallable]] = self._hooks()

    def _hooks(self, items: t.Any = ()) -> t.Any:
        return RegistryDefaultDict(self._generation, list, items)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r}>"

    def _check_setup_finished(self, f_name: str) -> None:
        """Raise when it is too late for setup method `f_name`; the base class never refuses."""

    @cached_property
    def cli(self) -> AppGroup:
        """The click group of this object's commands; click is imported when it is first used."""
        from ..cli import AppGroup

        group = AppGroup()
        group.name = self.name
        return group

    def _cli_in_use(self) -> bool:
        return "cli" in self.__dict__ and bool(self.cli.commands)

    @property
    def static_folder(self) -> str | None:
        """The absolute path of the folder of static files, or None."""
        folder = self._static_folder
        return None if folder is None else os.path.join(self.root_path, folder)

    @static_folder.setter
    def static_folder(self, value: str | os.PathLike[str] | None) -> None:
        self._static_folder = None if value is None else os.fspath(value).rstrip(r"\/")

    @property
    def has_static_folder(self) -> bool:
        """Whether a folder of static files is set; it need not exist."""
        return self.static_folder is not None

    @property
    def static_url_path(self) -> str | None:
        """The URL prefix of the static files, or None."""
        if self._static_url_path is not None:
            return self._static_url_path
        folder = self.static_folder
        if folder is None:
            return None
        return f"/{os.path.basename(folder)}".rstrip("/")

    @static_url_path.setter
    def static_url_path(self, value: str | None) -> None:
        self._static_url_path = None if value is None else value.rstrip("/")

    @cached_property
    def jinja_loader(self) -> BaseLoader | None:
        """The loader of this object's own templates, or None."""
        folder = self.template_folder
        if folder is None:
            return None
        from jinja2 import FileSystemLoader  # not needed by an app without templates

        return FileSystemLoader(os.path.join(self.root_path, folder))

    def _method_route(
        self, method: str, rule: str, options: dict[str, t.Any]
    ) -> t.Callable[[T_route], T_route]:
        if "methods" in options:
            raise TypeError("Use the 'route' decorator to use the 'methods' argument.")
        return self.route(rule, methods=[method], **options)

    @setupmethod
    def get(self, rule: str, **options: t.Any) -> t.Callable[[T_route], T_route]:
        """Register the decorated view for GET; options as for `route`."""
        return self._method_route("GET", rule, options)

    @setupmethod
    def post(self, rule: str, **options: t.Any) -> t.Callable[[T_route], T_route]:
        """Register the decorated view for POST; options as for `route`."""
        return self._method_route("POST", rule, options)

    @setupmethod
    def put(self, rule: str, **options: t.Any) -> t.Callable[[T_route], T_route]:
        """Register the decorated view for PUT; options as for `route`."""
        return self._method_route("PUT", rule, options)

    @setupmethod
    def delete(self, rule: str, **options: t.Any) -> t.Callable[[T_route], T_route]:
        """Register the decorated view for DELETE; options as for `route`."""
        return self._method_route("DELETE", rule, options)

    @setupmethod
    def patch(self, rule: str, **options: t.Any) -> t.Callable[[T_route], T_route]:
        """Register the decorated view for PATCH; options as for `route`."""
        return self._method_route("PATCH", rule, options)

    @setupmethod
    def route(self, rule: str, **options: t.Any) -> t.Callable[[T_route], T_route]:
        """Register the decorated function as a view.

        Args:
            rule: The URL rule, such as `/users/<int:id>`.
            options: `endpoint`, `methods` and everything a routing rule takes.
        """

        def register(f: T_route) -> T_route:
            self.add_url_rule(rule, options.pop("endpoint", None), f, **options)
            return f

        return register

    @setupmethod
    def websocket(
        self,
        rule: str,
        *,
        endpoint: str | None = None,
        origins: str | t.Iterable[str] | None = None,
        subprotocols: t.Iterable[str] = (),
        **options: t.Any,
    ) -> t.Callable[[F], F]:
        """Register the decorated function for WebSockets: it gets the socket, then the URL's values by name.

        A coroutine function gets a `WebSocket`, a plain one, which runs in the pool, a `SyncWebSocket`. Functions
        before the request run at the handshake, and an answer of theirs, or of the view before it accepts, is sent as
        plain HTTP. BustAPI only.

        Args:
            rule: The URL rule, such as `/ws/<room>`.
            endpoint: The endpoint; the function's name when not given.
            origins: Origins besides the own host's whose pages may connect, such as `["https://example.com"]`; `"*"`
                lets all in. `app.config["WEBSOCKET_ORIGINS"]` when not given, and the own host's alone without that.
            subprotocols: What the function speaks, the preferred one first.
            options: What a routing rule takes.
        """

        def register(f: F) -> F:
            view = SocketView(f, origins, subprotocols)
            self.add_url_rule(
                rule,
                endpoint,
                view,
                provide_automatic_options=False,
                websocket=True,
                **options,
            )
            return f

        return register

    @setupmethod
    def add_url_rule(
        self,
        rule: str,
        endpoint: str | None = None,
        view_func: ft.RouteCallable | None = None,
        provide_automatic_options: bool | None = None,
        **options: t.Any,
    ) -> None:
        """Register a rule; what it means is up to applications and blueprints."""
        raise NotImplementedError

    @setupmethod
    def endpoint(self, endpoint: str) -> t.Callable[[F], F]:
        """Register the decorated function as the view of an endpoint that a rule names.

        Args:
            endpoint: The endpoint's name.
        """

        def register(f: F) -> F:
            self.view_functions[endpoint] = f
            return f

        return register

    @setupmethod
    def before_request(self, f: T_before_request) -> T_before_request:
        """Call a function before each request; what it returns, if not None, is the response."""
        self.before_request_funcs.setdefault(None, []).append(f)
        return f

    @setupmethod
    def after_request(self, f: T_after_request) -> T_after_request:
        """Call a function with each response; it returns the response to go on with."""
        self.after_request_funcs.setdefault(None, []).append(f)
        return f

    @setupmethod
    def teardown_request(self, f: T_teardown) -> T_teardown:
        """Call a function when a request ends, with the exception that ended it or None."""
        self.teardown_request_funcs.setdefault(None, []).append(f)
        return f

    @setupmethod
    def middleware(self, f: T_middleware) -> T_middleware:
        """Call a function around each view; of a blueprint, around its own.

        It runs inside of the before-request functions and error handlers, the application's around the blueprint's,
        in the order they were registered. BustAPI only.

        Args:
            f: Takes `call_next` and returns what the view is to have returned. `call_next()` calls the view, or what
                stands around it next, with the URL's values; keyword arguments replace them. A coroutine function
                awaits it.

        Returns:
            `f`, so that this can be used as a decorator.
        """
        self.middleware_funcs.setdefault(None, []).append(f)
        return f

    @setupmethod
    def context_processor(self, f: T_template_context_processor) -> T_template_context_processor:
        """Call a function for each rendered template; the dict it returns is added to the context."""
        self.template_context_processors[None].append(f)
        return f

    @setupmethod
    def url_value_preprocessor(self, f: T_url_value_preprocessor) -> T_url_value_preprocessor:
        """Call a function with the endpoint and the view arguments of each request; it may change the latter."""
        self.url_value_preprocessors[None].append(f)
        return f

    @setupmethod
    def url_defaults(self, f: T_url_defaults) -> T_url_defaults:
        """Call a function with the endpoint and the values of each URL that is built; it may add values."""
        self.url_default_functions[None].append(f)
        return f

    @setupmethod
    def errorhandler(
        self, code_or_exception: type[Exception] | int
    ) -> t.Callable[[T_error_handler], T_error_handler]:
        """Register the decorated function as the handler of an error.

        Args:
            code_or_exception: An HTTP status code or an exception class.
        """

        def register(f: T_error_handler) -> T_error_handler:
            self.register_error_handler(code_or_exception, f)
            return f

        return register

    @setupmethod
    def register_error_handler(
        self, code_or_exception: type[Exception] | int, f: ft.ErrorHandlerCallable
    ) -> None:
        """Register a function as the handler of an error.

        Args:
            code_or_exception: An HTTP status code or an exception class.
            f: Takes the exception and returns a response.
        """
        exc_class, code = self._get_exc_class_and_code(code_or_exception)
        self.error_handler_spec[None][code][exc_class] = f

    @staticmethod
    def _get_exc_class_and_code(
        exc_class_or_code: type[Exception] | int,
    ) -> tuple[type[Exception], int | None]:
        """Return the exception class that a registration is for, and its HTTP code if it has one."""
        wanted: t.Any = exc_class_or_code
        if isinstance(wanted, int):
            if wanted not in default_exceptions:
                raise ValueError(
                    f"'{wanted}' is not a recognized HTTP error code."
                    " Use a subclass of HTTPException with that code instead."
                )
            wanted = default_exceptions[wanted]
        if isinstance(wanted, Exception):
            raise TypeError(
                f"{wanted!r} is an instance, not a class."
                " Handlers can only be registered for Exception classes or HTTP error codes."
            )
        if not issubclass(wanted, Exception):
            raise ValueError(
                f"'{wanted.__name__}' is not a subclass of Exception."
                " Handlers can only be registered for Exception classes or HTTP error codes."
            )
        return wanted, wanted.code if issubclass(wanted, HTTPException) else None


def _endpoint_from_view_func(view_func: ft.RouteCallable | None) -> str:
    """Return the default endpoint of a view: its name."""
    assert view_func is not None, "expected view func if endpoint is not provided."
    return view_func.__name__


def find_package(import_name: str) -> tuple[str | None, str]:
    """Find where a package is installed.

    Args:
        import_name: The package or module.

    Returns:
        The prefix it is installed under (None for code that is not installed), and the folder that contains it.
    """
    path = _find_package_path(import_name)
    prefix = os.path.abspath(sys.prefix)
    if _is_within(path, prefix):
        return prefix, path
    parent, folder = os.path.split(path)
    if folder.lower() != "site-packages":
        return None, path
    above, name = os.path.split(parent)
    if name.lower() == "lib":  # Windows: PREFIX/lib/site-packages
        return above, path
    if os.path.basename(above).lower() == "lib":  # elsewhere: PREFIX/lib/pythonX.Y/site-packages
        return os.path.dirname(above), path
    return parent, path


def _find_package_path(import_name: str) -> str:
    """Return the folder that contains the top-level package or module of `import_name`."""
    from importlib.util import find_spec

    try:
        root = find_spec(import_name.partition(".")[0])
    except (ImportError, ValueError):  # ValueError: a `__main__` without a spec
        root = None
    if root is None:
        return os.getcwd()
    locations = root.submodule_search_locations
    if not locations:
        return os.path.dirname(t.cast(str, root.origin))
    if root.origin is not None and root.origin != "namespace":
        return os.path.dirname(os.path.dirname(root.origin))
    # A namespace package has several folders: the one that this package's code is below counts.
    spec = find_spec(import_name)
    if spec is not None and spec.submodule_search_locations:
        code = os.path.commonpath(list(spec.submodule_search_locations))
        found = next(place for place in locations if _is_within(code, place))
    else:
        found = next(iter(locations))
    return os.path.dirname(found)


def _is_within(path: str, parent: str) -> bool:
    from pathlib import PurePath

    try:
        PurePath(path).relative_to(parent)
    except ValueError:
        return False
    return True
