"""Functions around a view: composed once into one function, which is what the server then calls.

A function around a view takes `call_next` and returns what the view would return. `call_next()` runs what is inside
of it, the view in the end, with the arguments of the URL; keyword arguments given to it replace or add to them.
"""

from __future__ import annotations

import typing as t
from functools import update_wrapper
from inspect import isawaitable

from .aio import is_coroutine_function


def compose(view: t.Callable[..., t.Any], around: t.Sequence[t.Callable[..., t.Any]]) -> t.Any:
    """Return a view with functions around it; a coroutine function if any part of it is one.

    Args:
        view: The view.
        around: The functions, outermost first.
    """
    whole = view
    any_async = is_coroutine_function(view) or any(map(is_coroutine_function, around))
    join = _join_async if any_async else _join
    for function in reversed(around):
        whole = join(function, whole)
    return update_wrapper(whole, view) if around else view


def _join(outer: t.Callable[..., t.Any], inner: t.Callable[..., t.Any]) -> t.Callable[..., t.Any]:
    def joined(**values: t.Any) -> t.Any:
        def call_next(**changed: t.Any) -> t.Any:
            return inner(**{**values, **changed})

        return outer(call_next)

    return joined


def _join_async(outer: t.Callable[..., t.Any], inner: t.Callable[..., t.Any]) -> t.Callable[..., t.Any]:
    async def joined(**values: t.Any) -> t.Any:
        async def call_next(**changed: t.Any) -> t.Any:
            value = inner(**{**values, **changed})
            return await value if isawaitable(value) else value

        # A plain function around passes the awaitable on.
        value = outer(call_next)
        return await value if isawaitable(value) else value

    return joined
