"""Why a rule's requests take the way they take: the conditions of `planning`, in words, with where to look."""

from __future__ import annotations

import typing as t
import weakref
from inspect import iscoroutinefunction, unwrap

from ...kernel.plan import locate
from ...kernel.websocket import SocketView
from ..wrappers import Response
from .answer import is_stock_response
from .planning import (
    _DOOR,
    _HANDLERS,
    _MADE_BY,
    _SESSION_METHODS,
    _SIGNALS,
    _STEPS,
    _STOCK,
    _STOCK_CONTEXTS,
    _STOCK_MAKING,
    _STOCK_SESSION,
    _blueprints,
    _is_stock_session,
    _makes_requests_late,
    describe,
    is_served_natively,
    proxies,
)

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from ..app import Flask

Verdict = t.Literal["native", "pipeline", "unsupported"]


class Reason(t.NamedTuple):
    """One cause, and the function that is it, if it is one."""

    text: str
    function: t.Any = None

    @property
    def place(self) -> tuple[str | None, int | None]:
        """File and line of the function."""
        return (None, None) if self.function is None else locate(self.function)


class Way(t.NamedTuple):
    """How the requests of a rule are run."""

    verdict: Verdict
    #: `auto`, `inline`, `pool` or `task`.
    mode: str
    reasons: list[Reason]


def explain(app: Flask, rule: t.Any) -> Way:
    """Say how the requests of a rule are run, and why not on the fast path.

    Args:
        app: The application.
        rule: One of its rules.
    """
    if getattr(rule, "websocket", False):
        if not isinstance(app.view_functions.get(rule.endpoint), SocketView):
            return Way(
                "unsupported", "inline", [Reason("a WebSocket's view is registered with app.websocket")]
            )
        if not is_served_natively(app):
            return Way("unsupported", "inline", list(_replaced(app, _DOOR)))
        reason = Reason("a WebSocket's handshake goes through the pipeline, its messages do not")
        return Way("pipeline", describe(app, rule).mode, [reason])
    view = app.view_functions.get(rule.endpoint)
    if view is None:
        # A common way to have a second name for a URL, of which another rule answers the requests.
        text = f"there is no view for {rule.endpoint!r}: it builds URLs, and a request for it fails as with Flask"
        return Way("pipeline", "inline", [Reason(text)])
    spec = describe(app, rule)
    if not is_served_natively(app):
        return Way("pipeline", spec.mode, [*_replaced(app, _DOOR), *_contexts()])
    # Replaced handlers are called by name in the pipeline of functions, but not in that of coroutines.
    steps = _STEPS if spec.mode != "task" and not iscoroutinefunction(view) else (*_STEPS, *_HANDLERS)
    found = [*_replaced(app, steps), *_around(app, rule), *_responses(app)]
    believed = proxies(app)
    if believed is not None:
        names = ("x_for", "x_proto", "x_host", "x_port", "x_prefix")
        numbers = ", ".join(f"{name}={number}" for name, number in zip(names, believed) if number)
        found.insert(0, Reason(f"ProxyFix({numbers}) is applied by the server"))
    if spec.bare:
        return Way("native", spec.mode, found if believed is not None else [])
    if spec.hooks_only:
        hooks = [Reason(f"{kind} hook {_name(hook)}", hook) for kind, hook in _hooks(spec)]
        return Way("native", spec.mode, [*hooks, *found])
    if iscoroutinefunction(unwrap(view)):
        found.insert(0, Reason("the view is a coroutine function", view))
    found.extend(Reason(f"{kind} hook {_name(hook)}", hook) for kind, hook in _hooks(spec))
    return Way("pipeline", spec.mode, found or [Reason("an async hook or error handler")])


def _hooks(spec: t.Any) -> Iterator[tuple[str, t.Any]]:
    for kind, hooks in (("before", spec.before), ("after", spec.after), ("teardown", spec.teardown)):
        for hook in hooks:
            yield kind, hook


def _replaced(app: Flask, names: tuple[str, ...]) -> Iterator[Reason]:
    own, cls = app.__dict__, type(app)
    for name in names:
        if name in own:
            yield Reason(f"{name} is replaced on the application", own[name])
        elif getattr(cls, name) is not _STOCK[name]:
            yield Reason(f"{cls.__name__}.{name} overrides Flask's", getattr(cls, name))


def _contexts() -> Iterator[Reason]:
    for (cls, name), stock in _STOCK_CONTEXTS.items():
        if getattr(cls, name) is not stock:
            yield Reason(f"{cls.__qualname__}.{name} is replaced", getattr(cls, name))


def _around(app: Flask, rule: t.Any) -> Iterator[Reason]:
    for signal in _SIGNALS:
        if signal.receivers:
            first = next(iter(list(signal.receivers.values())), None)
            yield Reason(f"the signal {signal.name} has {len(signal.receivers)} receiver(s)", _target(first))
    for name in (None, *_blueprints(rule)):
        for function in app.url_value_preprocessors.get(name, ()):
            yield Reason(f"url_value_preprocessor {_name(function)}", function)
    if app.config["TRUSTED_HOSTS"] is not None:
        yield Reason("TRUSTED_HOSTS is set")
    for teardown in app.teardown_appcontext_funcs:
        yield Reason(f"teardown_appcontext {_name(teardown)}", teardown)
    interface = app.session_interface
    if not _is_stock_session(interface):
        cls = type(interface)
        changed = (
            getattr(cls, name)
            for name in _SESSION_METHODS
            if getattr(cls, name, None) is not _STOCK_SESSION[name]
        )
        yield Reason(f"session_interface is a {cls.__module__}.{cls.__qualname__}", next(changed, None))
    if not _makes_requests_late(app.request_class):
        made = app.request_class
        yield Reason(f"request_class is {made.__module__}.{made.__qualname__}", made.__init__)


def _responses(app: Flask) -> Iterator[Reason]:
    cls = app.response_class
    if cls is not Response or not is_stock_response(cls):
        changed = (getattr(cls, name) for name in _MADE_BY if getattr(cls, name) is not _STOCK_MAKING[name])
        yield Reason(f"response_class is {cls.__module__}.{cls.__qualname__}", next(changed, None))


def _target(held: t.Any) -> t.Any:
    """Return the receiver that a signal holds, mostly by a weak reference."""
    return held() if isinstance(held, weakref.ref) else held


def _name(function: t.Any) -> str:
    return getattr(function, "__qualname__", None) or type(function).__qualname__
