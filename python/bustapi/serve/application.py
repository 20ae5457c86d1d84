"""What can be served: telling an application of ours from other callables, and what it will need.

An application is told by what it offers, since this layer imports no dialect.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .errors import ServeError

if TYPE_CHECKING:
    from collections.abc import Iterator

_OFFERS = ("url_map", "view_functions", "full_dispatch_request", "config", "_generation")
_METHODS = ("dispatch_request", "get", "head", "post", "put", "patch", "delete", "options", "trace")


def is_application(value: object) -> bool:
    """Tell an application of ours from anything else.

    Args:
        value: Any object; a class is no application.

    Returns:
        True for what `check_application` accepts.
    """
    # The type is asked first: an unbound proxy raises for any attribute, and a mock has every one.
    return hasattr(type(value), "full_dispatch_request") and all(hasattr(value, name) for name in _OFFERS)


def check_application(app: object) -> None:
    """Refuse what cannot be served.

    Args:
        app: What the caller wants served.

    Raises:
        ServeError: With what to do instead.
    """
    if any(base.__module__ == "flask.app" for base in type(app).__mro__):
        raise ServeError(
            "this is an application of the flask package; make it with: from bustapi import Flask"
        )
    if is_application(app):
        return
    if callable(app):
        raise ServeError("hosting other WSGI applications is not supported yet; serve a bustapi application")
    raise ServeError(f"cannot serve a {type(app).__name__}: it is not a bustapi application")


def needs_loop(app: Any) -> bool:
    """Tell whether an application has code that must run on an event loop.

    Args:
        app: The application.

    Returns:
        True when a view, hook or error handler is a coroutine function, wrapped or not.
    """
    return any(_is_async(function) for function in _functions(app))


def _functions(app: Any) -> Iterator[Any]:
    life = getattr(app, "_life", None)
    if life is not None:
        yield from life.functions()
    for view in app.view_functions.values():
        yield view
        view_class = getattr(view, "view_class", None)
        if view_class is not None:
            for name in _METHODS:
                yield getattr(view_class, name, None)
    for name in (
        "before_request_funcs",
        "after_request_funcs",
        "teardown_request_funcs",
        "teardown_appcontext_funcs",
        "url_value_preprocessors",
        "error_handler_spec",
    ):
        yield from _leaves(getattr(app, name, None))


def _leaves(registry: Any) -> Iterator[Any]:
    """Walk the dicts and lists that hooks are kept in, down to the functions."""
    if isinstance(registry, dict):
        for value in registry.values():
            yield from _leaves(value)
    elif isinstance(registry, (list, tuple)):
        for value in registry:
            yield from _leaves(value)
    elif registry is not None:
        yield registry


def _is_async(function: Any) -> bool:
    import inspect

    # A sync wrapper around a coroutine function waits for it on the loop. Bounded: the chain may be circular.
    for _ in range(64):
        if function is None:
            return False
        # Not whether it can be called, but what is called then.
        call = getattr(type(function), "__call__", None)  # noqa: B004
        if inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(call):
            return True
        function = getattr(function, "__wrapped__", None) or getattr(function, "func", None)
    return False
