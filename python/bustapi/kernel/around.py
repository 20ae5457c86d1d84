"""Functions around a view: composed once into one function, which is what the server then calls.

A function around a view takes `call_next` and returns what the view would return. `call_next()` runs what is inside
of it, the view in the end, with the arguments of the URL; keyword arguments given to it replace or add to them.
"""

from __future__ import annotations

import typing as t
from functools import partial, update_wrapper
from inspect import isawaitable

from .aio import CallHere, is_coroutine_function, run_with_calls


def compose(view: t.Callable[..., t.Any], around: t.Sequence[t.Callable[..., t.Any]]) -> t.Any:
    """Return a view with functions around it; a coroutine function if the view is one.

    A plain view may block, which the thread of an event loop must not: whatever is around it, it is called on the
    thread that calls the whole, and coroutine functions around it run on the loop meanwhile. Who has no thread to spare,
    because it is a task itself, calls what `in_task` gives.

    Args:
        view: The view.
        around: The functions, outermost first.
    """
    if not around:
        return view
    if is_coroutine_function(view):
        return _joined(view, around, _join_async)
    if not any(map(is_coroutine_function, around)):
        return _joined(view, around, _join)
    whole = _joined(view, around, _join_apart)
    whole._in_task = _joined(view, around, _join_async)
    return whole


def in_task(whole: t.Callable[..., t.Any]) -> t.Callable[..., t.Any]:
    """Return a view with functions around it as a task calls it, on the loop's thread.

    Args:
        whole: What `compose` returned.
    """
    return getattr(whole, "_in_task", whole)


def _joined(view: t.Callable[..., t.Any], around: t.Sequence[t.Callable[..., t.Any]], join: t.Any) -> t.Any:
    whole = view
    for function in reversed(around):
        whole = join(function, whole)
    return update_wrapper(whole, view)


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


def _join_apart(outer: t.Callable[..., t.Any], inner: t.Callable[..., t.Any]) -> t.Callable[..., t.Any]:
    if not is_coroutine_function(outer):
        return _join(outer, inner)

    def joined(**values: t.Any) -> t.Any:
        async def run(call_here: CallHere) -> t.Any:
            async def call_next(**changed: t.Any) -> t.Any:
                value = await call_here(partial(inner, **{**values, **changed}))
                return await value if isawaitable(value) else value

            return await outer(call_next)

        return run_with_calls(run)

    return joined
