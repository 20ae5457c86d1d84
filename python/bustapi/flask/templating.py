"""Templates with Jinja2."""

from __future__ import annotations

import typing as t
from collections import ChainMap

from jinja2 import BaseLoader, TemplateNotFound
from jinja2 import Environment as BaseEnvironment
from jinja2 import Template as BaseTemplate

from .globals import _cv_request, current_app
from .helpers import stream_with_context
from .sansio.scaffold import _default_template_ctx_processor as _default_template_ctx_processor
from .signals import before_render_template, template_rendered

if t.TYPE_CHECKING:
    from jinja2 import Template

    from .app import Flask
    from .sansio.app import App
    from .sansio.scaffold import Scaffold

_Source = tuple[str, t.Optional[str], t.Optional[t.Callable[[], bool]]]


class Environment(BaseEnvironment):
    """A Jinja environment that knows its application.

    Args:
        app: The application; its loader is used unless one is given.
        options: For Jinja's environment.
    """

    def __init__(self, app: App, **options: t.Any) -> None:
        if "loader" not in options:
            options["loader"] = app.create_global_jinja_loader()
        super().__init__(**options)
        self.app = app


class DispatchingJinjaLoader(BaseLoader):
    """Looks for a template in the application's folder, then in those of its blueprints.

    Args:
        app: The application.
    """

    def __init__(self, app: App) -> None:
        self.app = app

    def get_source(self, environment: BaseEnvironment, template: str) -> _Source:
        """Return the source of a template, its file name and a function that tells whether it is up to date.

        Args:
            environment: The environment that asks.
            template: The template's name.

        Raises:
            TemplateNotFound: No loader has it.
        """
        if self.app.config["EXPLAIN_TEMPLATE_LOADING"]:
            return self._get_source_explained(environment, template)
        return self._get_source_fast(environment, template)

    def _get_source_fast(self, environment: BaseEnvironment, template: str) -> _Source:
        for _owner, loader in self._iter_loaders(template):
            try:
                return loader.get_source(environment, template)
            except TemplateNotFound:
                pass
        raise TemplateNotFound(template)

    def _get_source_explained(self, environment: BaseEnvironment, template: str) -> _Source:
        attempts: list[tuple[BaseLoader, Scaffold, _Source | None]] = []
        for owner, loader in self._iter_loaders(template):
            source: _Source | None
            try:
                source = loader.get_source(environment, template)
            except TemplateNotFound:
                source = None
            attempts.append((loader, owner, source))

        from .debughelpers import explain_template_loading_attempts

        explain_template_loading_attempts(self.app, template, attempts)
        for _loader, _owner, source in attempts:
            if source is not None:
                return source
        raise TemplateNotFound(template)

    def _iter_loaders(self, template: str) -> t.Iterator[tuple[Scaffold, BaseLoader]]:
        for owner in (self.app, *self.app.iter_blueprints()):
            loader = owner.jinja_loader
            if loader is not None:
                yield owner, loader

    def list_templates(self) -> list[str]:
        """Return the names of all templates, each once."""
        names: set[str] = set()
        for _owner, loader in self._iter_loaders(""):
            names.update(loader.list_templates())
        return list(names)


def render_template(template_name_or_list: str | Template | list[str | Template], **context: t.Any) -> str:
    """Return the text of a template.

    Args:
        template_name_or_list: The template, or several of which the first that exists is taken.
        context: The template's variables.
    """
    app = _app()
    return _render(app, app.jinja_env.get_or_select_template(template_name_or_list), context)


def render_template_string(source: str, **context: t.Any) -> str:
    """Return the text of a template given as source.

    Args:
        source: The template's source.
        context: The template's variables.
    """
    app = _app()
    return _render(app, app.jinja_env.from_string(source), context)


def stream_template(
    template_name_or_list: str | Template | list[str | Template], **context: t.Any
) -> t.Iterator[str]:
    """Return an iterator of the text of a template, to respond with while it is rendered.

    Args:
        template_name_or_list: The template, or several of which the first that exists is taken.
        context: The template's variables.
    """
    app = _app()
    return _stream(app, app.jinja_env.get_or_select_template(template_name_or_list), context)


def stream_template_string(source: str, **context: t.Any) -> t.Iterator[str]:
    """Return an iterator of the text of a template given as source.

    Args:
        source: The template's source.
        context: The template's variables.
    """
    app = _app()
    return _stream(app, app.jinja_env.from_string(source), context)


def _app() -> Flask:
    return current_app._get_current_object()  # type: ignore[attr-defined,no-any-return]


def _prepare(app: Flask, template: Template, context: dict[str, t.Any]) -> None:
    app.update_template_context(context)
    if before_render_template.receivers:
        before_render_template.send(app, _async_wrapper=app.ensure_sync, template=template, context=context)


def _rendered(app: Flask, template: Template, context: dict[str, t.Any]) -> None:
    if template_rendered.receivers:
        template_rendered.send(app, _async_wrapper=app.ensure_sync, template=template, context=context)


def _render(app: Flask, template: Template, context: dict[str, t.Any]) -> str:
    _prepare(app, template, context)
    text = _text(template, context)
    _rendered(app, template, context)
    return text


def _text(template: Template, context: dict[str, t.Any]) -> str:
    """What `template.render(context)` returns; without a step of it that is a fifth of a small template's time."""
    environment, variables = template.environment, template.globals
    if type(template) is not BaseTemplate or environment.is_async or type(variables) is not ChainMap:
        return template.render(context)
    # A chain of dicts is copied key by key in Python; the dicts themselves are not.
    merged: dict[str, t.Any] = {}
    for layer in reversed(variables.maps):
        merged.update(layer)
    merged.update(context)
    try:
        return environment.concat(template.root_render_func(template.new_context(merged, shared=True)))
    except Exception:
        # As `render` does: the traceback shows lines of the template.
        environment.handle_exception()


def _stream(app: Flask, template: Template, context: dict[str, t.Any]) -> t.Iterator[str]:
    _prepare(app, template, context)

    def pieces() -> t.Iterator[str]:
        yield from template.generate(context)
        _rendered(app, template, context)

    # Without a request there is only an application context, and the template may outlive it.
    if _cv_request.get(None) is None:
        return pieces()
    return t.cast("t.Iterator[str]", stream_with_context(pieces()))
