"""The application as a registry: everything about it that does no I/O."""

from __future__ import annotations

import os
import sys
import typing as t
from datetime import timedelta
from itertools import chain

from ...kernel.around import compose
from ...kernel.registry import Generation, RegistryDict, RegistryList, watch_map
from ...werkzeug.exceptions import Aborter, BadRequest, BadRequestKeyError
from ...werkzeug.routing import BuildError, Map, Rule
from ...werkzeug.utils import cached_property
from ...werkzeug.utils import redirect as _redirect
from .. import typing as ft
from ..config import Config, ConfigAttribute
from ..ctx import _AppCtxGlobals
from ..helpers import _split_blueprint_path, get_debug_flag
from ..json.provider import DefaultJSONProvider, JSONProvider
from .scaffold import Scaffold, _endpoint_from_view_func, find_package, setupmethod

if t.TYPE_CHECKING:
    import logging

    from ...werkzeug.sansio.response import Response
    from ...werkzeug.wrappers import Response as BaseResponse
    from ..templating import DispatchingJinjaLoader, Environment
    from ..testing import FlaskClient, FlaskCliRunner
    from .blueprints import Blueprint

T_shell_context_processor = t.TypeVar("T_shell_context_processor", bound="ft.ShellContextProcessorCallable")
T_teardown = t.TypeVar("T_teardown", bound="ft.TeardownCallable")
T_template_filter = t.TypeVar("T_template_filter", bound="ft.TemplateFilterCallable")
T_template_global = t.TypeVar("T_template_global", bound="ft.TemplateGlobalCallable")
T_template_test = t.TypeVar("T_template_test", bound="ft.TemplateTestCallable")


def _make_timedelta(value: timedelta | int | None) -> timedelta | None:
    return timedelta(seconds=value) if value is not None and not isinstance(value, timedelta) else value


class _JinjaEnvironmentClass:
    """The default of `App.jinja_environment`; Jinja2 is imported when somebody asks for it."""

    def __get__(self, obj: object, owner: type | None = None) -> type[Environment]:
        from ..templating import Environment

        return Environment


class App(Scaffold):
    """Base of `Flask`: configuration, rules, hooks and error handlers of one application.

    Args:
        import_name: The module or package that the application is defined in, usually `__name__`.
        static_url_path: URL prefix of the static files; the folder's name when not given.
        static_folder: Folder of static files, relative to `root_path`.
        static_host: The host of the static files' rule; needed with `host_matching`.
        host_matching: Match rules by host.
        subdomain_matching: Match rules by subdomain of `SERVER_NAME`.
        template_folder: Folder of templates, relative to `root_path`.
        instance_path: Absolute path of the instance folder; found from where the package is when not given.
        instance_relative_config: Have the configuration's relative file names start from the instance folder.
        root_path: Folder that relative paths start from; the module's own when not given.

    Compatible with: flask.sansio.app.App (3.1)
    """

    aborter_class: type[Aborter] = Aborter
    #: The class of `jinja_env`.
    jinja_environment: t.Any = _JinjaEnvironmentClass()
    app_ctx_globals_class = _AppCtxGlobals
    config_class: type[Config] = Config
    json_provider_class: type[JSONProvider] = DefaultJSONProvider
    #: Options for the Jinja environment, read when it is made.
    jinja_options: dict[str, t.Any] = {}
    url_rule_class: type[Rule] = Rule
    url_map_class: type[Map] = Map
    test_client_class: type[FlaskClient] | None = None
    test_cli_runner_class: type[FlaskCliRunner] | None = None

    default_config: t.Mapping[str, t.Any]
    response_class: type[Response]

    testing = ConfigAttribute[bool]("TESTING")
    secret_key = ConfigAttribute[t.Union[str, bytes, None]]("SECRET_KEY")
    permanent_session_lifetime = ConfigAttribute[timedelta](
        "PERMANENT_SESSION_LIFETIME",
        get_converter=_make_timedelta,  # type: ignore[arg-type]
    )

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
            static_folder=static_folder,
            static_url_path=static_url_path,
            template_folder=template_folder,
            root_path=root_path,
        )
        if instance_path is None:
            instance_path = self.auto_find_instance_path()
        elif not os.path.isabs(instance_path):
            raise ValueError(
                "If an instance path is provided it must be absolute. A relative path was given instead."
            )
        self.instance_path = instance_path
        self.config = self.make_config(instance_relative_config)
        if isinstance(self.config, Config):
            self.config._generation = self._generation
        self.aborter = self.make_aborter()
        self.json: JSONProvider = self.json_provider_class(self)

        generation = self._generation
        self.url_build_error_handlers: list[t.Callable[[Exception, str, dict[str, t.Any]], str]] = []
        self.teardown_appcontext_funcs: list[ft.TeardownCallable] = RegistryList(generation)
        self.shell_context_processors: list[ft.ShellContextProcessorCallable] = []
        self.blueprints: dict[str, Blueprint] = RegistryDict(generation)
        self.extensions: dict[str, t.Any] = RegistryDict(generation)
        self.url_map = self.url_map_class(host_matching=host_matching)
        watch_map(self.url_map, generation)
        self._whole_views: dict[str, tuple[int, t.Any]] = {}
        self.subdomain_matching = subdomain_matching
        self._got_first_request = False

    def __setattr__(self, name: str, value: t.Any) -> None:
        # An attribute of the instance may replace a step of the dispatch: `app.handle_exception = f`.
        super().__setattr__(name, value)
        generation = self.__dict__.get("_generation")
        if generation is not None:
            generation.bump()

    def __delattr__(self, name: str) -> None:
        super().__delattr__(name)
        self._generation.bump()

    @property
    def generation(self) -> Generation:
        """The count of changes that what was compiled from the application compares."""
        return self._generation

    def _check_setup_finished(self, f_name: str) -> None:
        if self._got_first_request:
            raise AssertionError(
                f"The setup method '{f_name}' can no longer be called on the application. It has already handled"
                " its first request, any changes will not be applied consistently.\n"
                "Make sure all imports, decorators, functions, etc. needed to set up the application are done"
                " before running it."
            )

    @cached_property
    def name(self) -> str:
        """The import name; for a script the file's name without its extension."""
        if self.import_name != "__main__":
            return self.import_name
        filename = getattr(sys.modules["__main__"], "__file__", None)
        return "__main__" if filename is None else os.path.splitext(os.path.basename(filename))[0]

    @cached_property
    def logger(self) -> logging.Logger:
        """The logger named after the application."""
        from ..logging import create_logger

        return create_logger(self)

    @cached_property
    def jinja_env(self) -> Environment:
        """The Jinja environment, made when it is first used."""
        return self.create_jinja_environment()

    def create_jinja_environment(self) -> Environment:
        """Return a new Jinja environment; what it is made of is up to the subclass."""
        raise NotImplementedError

    def make_config(self, instance_relative: bool = False) -> Config:
        """Return the first configuration.

        Args:
            instance_relative: Have relative file names start from the instance folder.
        """
        root = self.instance_path if instance_relative else self.root_path
        return self.config_class(root, {**self.default_config, "DEBUG": get_debug_flag()})

    def make_aborter(self) -> Aborter:
        """Return what `abort` raises its exceptions with."""
        return self.aborter_class()

    def auto_find_instance_path(self) -> str:
        """Return the instance folder: beside the package, or below the prefix it is installed under."""
        prefix, package_path = find_package(self.import_name)
        if prefix is None:
            return os.path.join(package_path, "instance")
        return os.path.join(prefix, "var", f"{self.name}-instance")

    def create_global_jinja_loader(self) -> DispatchingJinjaLoader:
        """Return the loader that looks in the application's and the blueprints' template folders."""
        from ..templating import DispatchingJinjaLoader

        return DispatchingJinjaLoader(self)

    def select_jinja_autoescape(self, filename: str | None) -> bool:
        """Return whether a template's expressions are escaped.

        Args:
            filename: The template's name; None for one that comes from a string.
        """
        return filename is None or filename.endswith((".html", ".htm", ".xml", ".xhtml", ".svg"))

    @property
    def debug(self) -> bool:
        """Debug mode: errors are shown, JSON is indented, templates are reloaded."""
        return self.config["DEBUG"]  # type: ignore[no-any-return]

    @debug.setter
    def debug(self, value: bool) -> None:
        self.config["DEBUG"] = value
        if self.config["TEMPLATES_AUTO_RELOAD"] is None and "jinja_env" in self.__dict__:
            self.jinja_env.auto_reload = value

    @setupmethod
    def register_blueprint(self, blueprint: Blueprint, **options: t.Any) -> None:
        """Register a blueprint.

        Args:
            blueprint: The blueprint.
            options: `url_prefix`, `subdomain`, `url_defaults`, `name` and others, instead of the blueprint's own.
        """
        blueprint.register(self, options)

    def iter_blueprints(self) -> t.ValuesView[Blueprint]:
        """Return the blueprints in the order they were registered."""
        return self.blueprints.values()

    @setupmethod
    def add_url_rule(
        self,
        rule: str,
        endpoint: str | None = None,
        view_func: ft.RouteCallable | None = None,
        provide_automatic_options: bool | None = None,
        **options: t.Any,
    ) -> None:
        """Register a rule, and a view for its endpoint.

        Args:
            rule: The URL rule.
            endpoint: The endpoint; the view's name when not given.
            view_func: The view; can be registered later with `endpoint`.
            provide_automatic_options: Answer OPTIONS without the view; by default if it is not in `methods`.
            options: `methods` and everything else that a routing rule takes.

        Raises:
            AssertionError: The endpoint has another view.
        """
        if endpoint is None:
            endpoint = _endpoint_from_view_func(view_func)
        methods = options.pop("methods", None)
        if methods is None:
            methods = getattr(view_func, "methods", None) or ("GET",)
        if isinstance(methods, str):
            raise TypeError(
                'Allowed methods must be a list of strings, for example: @app.route(..., methods=["POST"])'
            )
        allowed = {method.upper() for method in methods}
        required = set(getattr(view_func, "required_methods", ()))

        automatic = provide_automatic_options
        if automatic is None:
            automatic = getattr(view_func, "provide_automatic_options", None)
        if automatic is None:
            automatic = "OPTIONS" not in allowed and bool(self.config["PROVIDE_AUTOMATIC_OPTIONS"])
            if automatic:
                required.add("OPTIONS")

        rule_object = self.url_rule_class(rule, methods=allowed | required, endpoint=endpoint, **options)
        rule_object.provide_automatic_options = automatic  # type: ignore[attr-defined]
        self.url_map.add(rule_object)
        if view_func is None:
            return
        known = self.view_functions.get(endpoint)
        if known is not None and known != view_func:
            raise AssertionError(
                f"View function mapping is overwriting an existing endpoint function: {endpoint}"
            )
        self.view_functions[endpoint] = view_func

    @setupmethod
    def template_filter(self, name: str | None = None) -> t.Callable[[T_template_filter], T_template_filter]:
        """Register the decorated function as a template filter.

        Args:
            name: The filter's name; the function's when not given.
        """

        def register(f: T_template_filter) -> T_template_filter:
            self.add_template_filter(f, name=name)
            return f

        return register

    @setupmethod
    def add_template_filter(self, f: ft.TemplateFilterCallable, name: str | None = None) -> None:
        """Register a template filter; see `template_filter`."""
        self.jinja_env.filters[name or f.__name__] = f

    @setupmethod
    def template_test(self, name: str | None = None) -> t.Callable[[T_template_test], T_template_test]:
        """Register the decorated function as a template test.

        Args:
            name: The test's name; the function's when not given.
        """

        def register(f: T_template_test) -> T_template_test:
            self.add_template_test(f, name=name)
            return f

        return register

    @setupmethod
    def add_template_test(self, f: ft.TemplateTestCallable, name: str | None = None) -> None:
        """Register a template test; see `template_test`."""
        self.jinja_env.tests[name or f.__name__] = f

    @setupmethod
    def template_global(self, name: str | None = None) -> t.Callable[[T_template_global], T_template_global]:
        """Register the decorated function as a global of the templates.

        Args:
            name: The global's name; the function's when not given.
        """

        def register(f: T_template_global) -> T_template_global:
            self.add_template_global(f, name=name)
            return f

        return register

    @setupmethod
    def add_template_global(self, f: ft.TemplateGlobalCallable, name: str | None = None) -> None:
        """Register a global of the templates; see `template_global`."""
        self.jinja_env.globals[name or f.__name__] = f

    @setupmethod
    def teardown_appcontext(self, f: T_teardown) -> T_teardown:
        """Call a function when an application context ends, with the exception that ended it or None."""
        self.teardown_appcontext_funcs.append(f)
        return f

    @setupmethod
    def shell_context_processor(self, f: T_shell_context_processor) -> T_shell_context_processor:
        """Call a function for the interactive shell; the dict it returns is added to the shell's names."""
        self.shell_context_processors.append(f)
        return f

    def _find_error_handler(self, e: Exception, blueprints: list[str]) -> ft.ErrorHandlerCallable | None:
        """Return the handler of an exception: by code before class, blueprint before application.

        Args:
            e: The exception.
            blueprints: The names of the request's blueprints, innermost first.
        """
        exc_class, code = self._get_exc_class_and_code(type(e))
        spec = self.error_handler_spec
        for key in (None,) if code is None else (code, None):
            for name in (*blueprints, None):
                # `get`, not `[]`: looking for a handler must not count as a change of the registry.
                by_code = spec.get(name)
                handlers = None if by_code is None else by_code.get(key)
                if not handlers:
                    continue
                for cls in exc_class.__mro__:
                    handler = handlers.get(cls)
                    if handler is not None:
                        return handler
        return None

    def trap_http_exception(self, e: Exception) -> bool:
        """Return whether an HTTP exception is treated like any other, so that it shows up in the debugger.

        Args:
            e: The exception.
        """
        config = self.config
        if config["TRAP_HTTP_EXCEPTIONS"]:
            return True
        trap_bad_requests = config["TRAP_BAD_REQUEST_ERRORS"]
        if trap_bad_requests:
            return isinstance(e, BadRequest)
        return trap_bad_requests is None and self.debug and isinstance(e, BadRequestKeyError)

    def should_ignore_error(self, error: BaseException | None) -> bool:
        """Return whether teardown functions are not told of an error; a hook for subclasses.

        Args:
            error: What ended the request.
        """
        return False

    def redirect(self, location: str, code: int = 302) -> BaseResponse:
        """Return a redirect of this application's response class.

        Args:
            location: Where to.
            code: The redirect's status code.
        """
        return _redirect(location, code=code, Response=self.response_class)  # type: ignore[arg-type]

    def _whole_view(self, endpoint: str) -> t.Any:
        """The view of an endpoint with the functions around it; composed once for each state of the application."""
        view = self.view_functions[endpoint]
        registry = self.middleware_funcs
        if not registry:
            return view
        now = self._generation.value
        known = self._whole_views.get(endpoint)
        if known is None or known[0] != now:
            known = self._whole_views[endpoint] = (now, compose(view, self._functions_around(endpoint)))
        return known[1]

    def _functions_around(self, endpoint: str) -> list[t.Callable[..., t.Any]]:
        """The functions around the view of an endpoint, outermost first."""
        names: list[str | None] = [None]
        blueprint, dot, _ = endpoint.rpartition(".")
        if dot:
            names += reversed(_split_blueprint_path(blueprint))
        return [function for name in names for function in self.middleware_funcs.get(name, ())]

    def inject_url_defaults(self, endpoint: str, values: dict[str, t.Any]) -> None:
        """Run the `url_defaults` functions for a URL that is to be built.

        Args:
            endpoint: The endpoint.
            values: The URL's values, changed in place.
        """
        registry = self.url_default_functions
        if not registry:
            return
        names: t.Iterable[str | None] = (None,)
        if "." in endpoint:
            names = chain(names, reversed(_split_blueprint_path(endpoint.rpartition(".")[0])))
        for name in names:
            for func in registry.get(name, ()):
                func(endpoint, values)

    def handle_url_build_error(self, error: BuildError, endpoint: str, values: dict[str, t.Any]) -> str:
        """Ask the `url_build_error_handlers` for a URL that could not be built, else raise the error.

        Args:
            error: Why it could not be built.
            endpoint: The endpoint.
            values: The URL's values and options.
        """
        for handler in self.url_build_error_handlers:
            try:
                found = handler(error, endpoint, values)
            except BuildError as another:
                error = another
            else:
                if found is not None:
                    return found
        if error is sys.exc_info()[1]:
            raise  # keeps the traceback of the build
        raise error
