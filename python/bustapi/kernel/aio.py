"""Run a coroutine function from synchronous code."""

from __future__ import annotations

import typing as t
from contextvars import Context, copy_context
from functools import update_wrapper
from types import FunctionType

_IS_COROUTINE = 0x80  # inspect.CO_COROUTINE


def is_coroutine_function(func: t.Any) -> bool:
    """Return what `inspect.iscoroutinefunction` does, for a plain function in a tenth of its time.

    Args:
        func: Anything.
    """
    if type(func) is FunctionType:
        if func.__code__.co_flags & _IS_COROUTINE:
            return True
        if not func.__dict__:
            return False  # not marked as one either
    from inspect import iscoroutinefunction

    return iscoroutinefunction(func)


def wraps_coroutine(func: t.Any) -> bool:
    """Return whether a plain function was made around a coroutine function, as `functools.wraps` marks it.

    Args:
        func: Anything.
    """
    return any(map(is_coroutine_function, wrapped_by(func)))


def wrapped_by(func: t.Any) -> t.Iterator[t.Any]:
    """Yield what a callable was made around, the next one first, as `functools.wraps` and `functools.partial` mark it.

    Args:
        func: Anything.
    """
    # Bounded: the chain may be circular.
    for _ in range(64):
        func = getattr(func, "__wrapped__", None) or getattr(func, "func", None)
        if func is None:
            return
        yield func


def run_sync(func: t.Callable[..., t.Coroutine[t.Any, t.Any, t.Any]]) -> t.Callable[..., t.Any]:
    """Return a plain function that runs a coroutine function to its end.

    The coroutine runs in the caller's context, and what it sets there stays set, as after a plain call. In a thread of
    the pool it runs on the event loop that the server runs async views on, where the application's clients and locks
    belong; elsewhere on a loop of its own.

    Args:
        func: The coroutine function.
    """

    def call(*args: t.Any, **kwargs: t.Any) -> t.Any:
        import asyncio  # not needed by an app without async views

        try:
            asyncio.get_running_loop()
        except RuntimeError:
            pass
        else:
            raise RuntimeError(
                "A coroutine cannot be run to its end in the thread of a running event loop: await it instead."
            )
        context = copy_context()

        async def run() -> t.Any:
            nonlocal context
            try:
                return await func(*args, **kwargs)
            finally:
                context = copy_context()

        loop = _loop_of_another_thread()
        try:
            return asyncio.run(run()) if loop is None else _wait_for(loop, run)
        finally:
            _adopt(context)

    return update_wrapper(call, func)


def _loop_of_another_thread() -> t.Any:
    """The loop that serves async views, unless this is a thread that one is a guest of."""
    from .loops import is_host, serving_loop

    return None if is_host() else serving_loop()


def _wait_for(loop: t.Any, run: t.Callable[[], t.Coroutine[t.Any, t.Any, t.Any]]) -> t.Any:
    """Run a coroutine on another thread's loop in this thread's context, and wait for it."""
    from concurrent.futures import Future

    future: Future[t.Any] = Future()
    context = copy_context()

    def begin() -> None:
        # Entered here: a task takes a copy of the current context.
        task = context.run(loop.create_task, run())
        task.add_done_callback(finish)

    def finish(task: t.Any) -> None:
        if task.cancelled():
            future.cancel()
            future.set_running_or_notify_cancel()
        elif task.exception() is not None:
            future.set_exception(task.exception())
        else:
            future.set_result(task.result())

    loop.call_soon_threadsafe(begin)
    return future.result()


def _adopt(context: Context) -> None:
    """Set every variable that differs in `context`; a task's context is a copy, which would lose them."""
    for variable, value in context.items():
        try:
            if variable.get() is value:
                continue
        except LookupError:
            pass
        variable.set(value)
