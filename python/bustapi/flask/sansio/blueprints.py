"""Blueprints: rules, hooks and handlers that are recorded first and registered with an application later."""

from __future__ import annotations

import typing as t
from collections import defaultdict
from functools import update_wrapper

from ...kernel.registry import Generation
from .. import typing as ft
from .scaffold import Scaffold, _endpoint_from_view_func, _sentinel, setupmethod

if t.TYPE_CHECKING:
    import os

    from .app import App

DeferredSetupFunction = t.Callable[["BlueprintSetupState"], None]
T_after_request = t.TypeVar("T_after_request", bound="ft.AfterRequestCallable[t.Any]")
T_before_request = t.TypeVar("T_before_request", bound="ft.BeforeRequestCallable")
T_error_handler = t.TypeVar("T_error_handler", bound="ft.ErrorHandlerCallable")
T_teardown = t.TypeVar("T_teardown", bound="ft.TeardownCallable")
T_template_context_processor = t.TypeVar(
    "T_template_context_processor", bound="ft.TemplateContextProcessorCallable"
)
T_template_filter = t.TypeVar("T_template_filter", bound="ft.TemplateFilterCallable")
T_template_global = t.TypeVar("T_template_global", bound="ft.TemplateGlobalCallable")
T_template_test = t.TypeVar("T_template_test", bound="ft.TemplateTestCallable")
T_url_defaults = t.TypeVar("T_url_defaults", bound="ft.URLDefaultCallable")
T_url_value_preprocessor = t.TypeVar("T_url_value_preprocessor", bound="ft.URLValuePreprocessorCallable")


class BlueprintSetupState:
    """One registration of a blueprint, as its recorded functions see it.

    Args:
        blueprint: The blueprint.
        app: The application.
        options: The options of the registration.
        first_registration: Whether the application had not registered the blueprint before.
    """

    def __init__(self, blueprint: Blueprint, app: App, options: t.Any, first_registration: bool) -> None:
        self.app = app
        self.blueprint = blueprint
        self.options = options
        self.first_registration = first_registration

        self.subdomain: str | None = _first_not_none(options.get("subdomain"), blueprint.subdomain)
        self.url_prefix: str | None = _first_not_none(options.get("url_prefix"), blueprint.url_prefix)
        self.name = options.get("name", blueprint.name)
        self.name_prefix = options.get("name_prefix", "")
        self.url_defaults = dict(blueprint.url_values_defaults)
        self.url_defaults.update(options.get("url_defaults", ()))

    def add_url_rule(
        self,
        rule: str,
        endpoint: str | None = None,
        view_func: ft.RouteCallable | None = None,
        **options: t.Any,
    ) -> None:
        """Register a rule with the application, below the blueprint's prefix and name.

        Args:
            rule: The rule, relative to the prefix.
            endpoint: The endpoint, without the blueprint's name.
            view_func: The view.
            options: As for `Flask.add_url_rule`.
        """
        if self.url_prefix is not None:
            rule = f"{self.url_prefix.rstrip('/')}/{rule.lstrip('/')}" if rule else self.url_prefix
        options.setdefault("subdomain", self.subdomain)
        if endpoint is None:
            endpoint = _endpoint_from_view_func(view_func)
        defaults = self.url_defaults
        if "defaults" in options:
            defaults = {**defaults, **options.pop("defaults")}
        full_name = f"{self.name_prefix}.{self.name}.{endpoint}".lstrip(".")
        self.app.add_url_rule(rule, full_name, view_func, defaults=defaults, **options)


class Blueprint(Scaffold):
    """A part of an application that can be registered, more than once if need be, with a prefix.

    Args:
        name: Its name, which its endpoints begin with.
        import_name: The module or package it is defined in, usually `__name__`.
        static_folder: Folder of static files, relative to `root_path`.
        static_url_path: URL prefix of the static files.
        template_folder: Folder of templates, relative to `root_path`.
        url_prefix: What the URLs of its rules begin with.
        subdomain: The subdomain of its rules.
        url_defaults: Default values of its rules.
        root_path: Folder that relative paths start from.
        cli_group: The name of its group of commands; None adds them to the application's own.

    Compatible with: flask.sansio.blueprints.Blueprint (3.1)
    """

    _got_registered_once = False

    def __init__(
        self,
        name: str,
        import_name: str,
        static_folder: str | os.PathLike[str] | None = None,
        static_url_path: str | None = None,
        template_folder: str | os.PathLike[str] | None = None,
        url_prefix: str | None = None,
        subdomain: str | None = None,
        url_defaults: dict[str, t.Any] | None = None,
        root_path: str | None = None,
        cli_group: str | None = _sentinel,
    ) -> None:
        super().__init__(
            import_name=import_name,
            static_folder=static_folder,
            static_url_path=static_url_path,
            template_folder=template_folder,
            root_path=root_path,
        )
        if not name:
            raise ValueError("'name' may not be empty.")
        if "." in name:
            raise ValueError("'name' may not contain a dot '.' character.")
        self.name = name
        self.url_prefix = url_prefix
        self.subdomain = subdomain
        self.deferred_functions: list[DeferredSetupFunction] = []
        self.url_values_defaults = {} if url_defaults is None else url_defaults
        self.cli_group = cli_group
        self._blueprints: list[tuple[Blueprint, dict[str, t.Any]]] = []
        #: The counters of the applications that it is registered with: what it serves may be compiled into theirs.
        self._counters: set[Generation] = set()

    def __setattr__(self, name: str, value: t.Any) -> None:
        super().__setattr__(name, value)
        for counter in self.__dict__.get("_counters", ()):
            counter.bump()

    def __delattr__(self, name: str) -> None:
        super().__delattr__(name)
        for counter in self._counters:
            counter.bump()

    def _check_setup_finished(self, f_name: str) -> None:
        if self._got_registered_once:
            raise AssertionError(
                f"The setup method '{f_name}' can no longer be called on the blueprint '{self.name}'. It has"
                " already been registered at least once, any changes will not be applied consistently.\n"
                "Make sure all imports, decorators, functions, etc. needed to set up the blueprint are done before"
                " registering it."
            )

    @setupmethod
    def record(self, func: DeferredSetupFunction) -> None:
        """Call a function at each registration.

        Args:
            func: Takes the `BlueprintSetupState`.
        """
        self.deferred_functions.append(func)

    @setupmethod
    def record_once(self, func: DeferredSetupFunction) -> None:
        """Call a function at the first registration with an application only.

        Args:
            func: Takes the `BlueprintSetupState`.
        """

        def once(state: BlueprintSetupState) -> None:
            if state.first_registration:
                func(state)

        self.record(update_wrapper(once, func))

    def make_setup_state(
        self, app: App, options: dict[str, t.Any], first_registration: bool = False
    ) -> BlueprintSetupState:
        """Return the state that recorded functions are called with; a hook for subclasses.

        Args:
            app: The application.
            options: The options of the registration.
            first_registration: Whether it is the first with the application.
        """
        return BlueprintSetupState(self, app, options, first_registration)

    @setupmethod
    def register_blueprint(self, blueprint: Blueprint, **options: t.Any) -> None:
        """Nest a blueprint in this one.

        Args:
            blueprint: The blueprint to nest.
            options: As for `Flask.register_blueprint`.
        """
        if blueprint is self:
            raise ValueError("Cannot register a blueprint on itself")
        self._blueprints.append((blueprint, options))

    def register(self, app: App, options: dict[str, t.Any]) -> None:
        """Register everything recorded with an application; called by its `register_blueprint`.

        Args:
            app: The application.
            options: The options of the registration.

        Raises:
            ValueError: The name is taken.
        """
        own_name = options.get("name", self.name)
        name = f"{options.get('name_prefix', '')}.{own_name}".lstrip(".")
        if name in app.blueprints:
            which = "this" if app.blueprints[name] is self else "a different"
            where = "" if own_name == name else f" '{name}'"
            raise ValueError(
                f"The name '{own_name}' is already registered for {which} blueprint{where}."
                " Use 'name=' to provide a unique name."
            )
        first = all(known is not self for known in app.blueprints.values())
        app.blueprints[name] = self
        self._got_registered_once = True
        self._counters.add(app.generation)
        state = self.make_setup_state(app, options, first)

        if self.has_static_folder:
            state.add_url_rule(
                f"{self.static_url_path}/<path:filename>",
                view_func=self.send_static_file,  # type: ignore[attr-defined]
                endpoint="static",
            )
        # The name is new (it was checked above), so nothing has been merged under it.
        self._merge_blueprint_funcs(app, name)
        for deferred in self.deferred_functions:
            deferred(state)
        if self._cli_in_use():
            self._register_commands(app, name, options.get("cli_group", self.cli_group))
        for child, child_options in self._blueprints:
            child.register(app, _nested_options(state, name, child, child_options))

    def _register_commands(self, app: App, name: str, group: str | None) -> None:
        if group is None:
            app.cli.commands.update(self.cli.commands)
            return
        self.cli.name = name if group is _sentinel else group
        app.cli.add_command(self.cli)

    def _merge_blueprint_funcs(self, app: App, name: str) -> None:
        """Copy hooks, handlers and views into the application's registries.

        Args:
            app: The application.
            name: The full name that the blueprint is registered under.
        """

        def full(key: str | None) -> str:
            return name if key is None else f"{name}.{key}"

        for key, by_code in self.error_handler_spec.items():
            app.error_handler_spec[full(key)] = defaultdict(
                dict, {code: dict(handlers) for code, handlers in by_code.items()}
            )
        for endpoint, view in self.view_functions.items():
            app.view_functions[endpoint] = view
        for attribute in (
            "before_request_funcs",
            "after_request_funcs",
            "teardown_request_funcs",
            "middleware_funcs",
            "url_default_functions",
            "url_value_preprocessors",
            "template_context_processors",
        ):
            target = getattr(app, attribute)
            for key, functions in getattr(self, attribute).items():
                if functions:
                    target[full(key)].extend(functions)

    @setupmethod
    def add_url_rule(
        self,
        rule: str,
        endpoint: str | None = None,
        view_func: ft.RouteCallable | None = None,
        provide_automatic_options: bool | None = None,
        **options: t.Any,
    ) -> None:
        """Record a rule, to be registered with the blueprint; arguments as for `Flask.add_url_rule`."""
        if endpoint and "." in endpoint:
            raise ValueError("'endpoint' may not contain a dot '.' character.")
        if view_func and "." in getattr(view_func, "__name__", ""):
            raise ValueError("'view_func' name may not contain a dot '.' character.")
        self.record(
            lambda state: state.add_url_rule(
                rule, endpoint, view_func, provide_automatic_options=provide_automatic_options, **options
            )
        )

    def _record_jinja(self, registry: str, name: str, f: t.Callable[..., t.Any]) -> None:
        def register(state: BlueprintSetupState) -> None:
            getattr(state.app.jinja_env, registry)[name] = f

        self.record_once(register)

    def _record_app_hook(self, registry: str, f: t.Callable[..., t.Any]) -> None:
        self.record_once(lambda state: getattr(state.app, registry).setdefault(None, []).append(f))

    @setupmethod
    def app_template_filter(
        self, name: str | None = None
    ) -> t.Callable[[T_template_filter], T_template_filter]:
        """Register the decorated function as a template filter of the application.

        Args:
            name: The filter's name; the function's when not given.
        """

        def register(f: T_template_filter) -> T_template_filter:
            self.add_app_template_filter(f, name=name)
            return f

        return register

    @setupmethod
    def add_app_template_filter(self, f: ft.TemplateFilterCallable, name: str | None = None) -> None:
        """Register a template filter of the application; see `app_template_filter`."""
        self._record_jinja("filters", name or f.__name__, f)

    @setupmethod
    def app_template_test(self, name: str | None = None) -> t.Callable[[T_template_test], T_template_test]:
        """Register the decorated function as a template test of the application.

        Args:
            name: The test's name; the function's when not given.
        """

        def register(f: T_template_test) -> T_template_test:
            self.add_app_template_test(f, name=name)
            return f

        return register

    @setupmethod
    def add_app_template_test(self, f: ft.TemplateTestCallable, name: str | None = None) -> None:
        """Register a template test of the application; see `app_template_test`."""
        self._record_jinja("tests", name or f.__name__, f)

    @setupmethod
    def app_template_global(
        self, name: str | None = None
    ) -> t.Callable[[T_template_global], T_template_global]:
        """Register the decorated function as a template global of the application.

        Args:
            name: The global's name; the function's when not given.
        """

        def register(f: T_template_global) -> T_template_global:
            self.add_app_template_global(f, name=name)
            return f

        return register

    @setupmethod
    def add_app_template_global(self, f: ft.TemplateGlobalCallable, name: str | None = None) -> None:
        """Register a template global of the application; see `app_template_global`."""
        self._record_jinja("globals", name or f.__name__, f)

    @setupmethod
    def before_app_request(self, f: T_before_request) -> T_before_request:
        """Like `before_request`, for every request of the application."""
        self._record_app_hook("before_request_funcs", f)
        return f

    @setupmethod
    def after_app_request(self, f: T_after_request) -> T_after_request:
        """Like `after_request`, for every request of the application."""
        self._record_app_hook("after_request_funcs", f)
        return f

    @setupmethod
    def teardown_app_request(self, f: T_teardown) -> T_teardown:
        """Like `teardown_request`, for every request of the application."""
        self._record_app_hook("teardown_request_funcs", f)
        return f

    @setupmethod
    def app_context_processor(self, f: T_template_context_processor) -> T_template_context_processor:
        """Like `context_processor`, for every template of the application."""
        self._record_app_hook("template_context_processors", f)
        return f

    @setupmethod
    def app_errorhandler(self, code: type[Exception] | int) -> t.Callable[[T_error_handler], T_error_handler]:
        """Like `errorhandler`, for every request of the application.

        Args:
            code: An HTTP status code or an exception class.
        """

        def register(f: T_error_handler) -> T_error_handler:
            def from_blueprint(state: BlueprintSetupState) -> None:
                state.app.errorhandler(code)(f)

            self.record_once(from_blueprint)
            return f

        return register

    @setupmethod
    def app_url_value_preprocessor(self, f: T_url_value_preprocessor) -> T_url_value_preprocessor:
        """Like `url_value_preprocessor`, for every request of the application."""
        self._record_app_hook("url_value_preprocessors", f)
        return f

    @setupmethod
    def app_url_defaults(self, f: T_url_defaults) -> T_url_defaults:
        """Like `url_defaults`, for every URL of the application."""
        self._record_app_hook("url_default_functions", f)
        return f


def _first_not_none(*values: t.Any) -> t.Any:
    return next((value for value in values if value is not None), None)


def _nested_options(
    state: BlueprintSetupState, name: str, child: Blueprint, options: dict[str, t.Any]
) -> dict[str, t.Any]:
    """Return the options of a nested blueprint: its prefix and subdomain go below its parent's."""
    nested = {**options, "name_prefix": name}
    subdomain = _first_not_none(options.get("subdomain"), child.subdomain)
    if state.subdomain is not None:
        subdomain = state.subdomain if subdomain is None else f"{subdomain}.{state.subdomain}"
    if subdomain is not None:
        nested["subdomain"] = subdomain
    prefix = _first_not_none(options.get("url_prefix"), child.url_prefix)
    if state.url_prefix is not None:
        prefix = (
            state.url_prefix if prefix is None else f"{state.url_prefix.rstrip('/')}/{prefix.lstrip('/')}"
        )
    if prefix is not None:
        nested["url_prefix"] = prefix
    return nested
