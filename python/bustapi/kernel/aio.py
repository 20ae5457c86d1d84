"""Run a coroutine function from synchronous code, and synchronous code from such a coroutine."""

from __future__ import annotations

import typing as t
from contextvars import Context, copy_context
from functools import partial, update_wrapper
from types import FunctionType

if t.TYPE_CHECKING:
    from concurrent.futures import Future

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

        _refuse_running_loop()
        ran = _Run(partial(func, *args, **kwargs))
        loop = _loop_of_another_thread()
        if loop is None:
            return ran.finish(lambda: asyncio.run(ran.run()))
        return ran.finish(lambda: _start(loop, ran).result())

    return update_wrapper(call, func)


#: Calls a plain function on the thread that waits, and is awaited for what it returns.
CallHere = t.Callable[[t.Callable[[], t.Any]], t.Awaitable[t.Any]]


def run_with_calls(func: t.Callable[[CallHere], t.Coroutine[t.Any, t.Any, t.Any]]) -> t.Any:
    """Run a coroutine to its end as `run_sync` does; meanwhile this thread calls what the coroutine has it call.

    Both are in the same context one after the other: what one of them sets, the other sees from then on.

    Args:
        func: Makes the coroutine, with what it has functions called by. Elsewhere than on the server's loop it runs on
            another thread too, since a function may want to run a coroutine in its turn.
    """
    from queue import SimpleQueue

    _refuse_running_loop()
    calls: SimpleQueue[t.Callable[[], None] | None] = SimpleQueue()

    async def call_here(function: t.Callable[[], t.Any]) -> t.Any:
        import asyncio

        loop = asyncio.get_running_loop()
        called = loop.create_future()
        context = copy_context()

        def call() -> None:
            value, error = None, None
            try:
                value = context.run(function)
            except BaseException as raised:
                error = raised
            loop.call_soon_threadsafe(tell, value, error)

        def tell(value: t.Any, error: BaseException | None) -> None:
            # The coroutine may have been cancelled meanwhile.
            if not called.done():
                called.set_result((value, error))

        calls.put(call)
        value, error = await called
        _adopt(context)
        if error is not None:
            raise error
        return value

    ran = _Run(partial(func, call_here))
    loop = _loop_of_another_thread()

    def serve() -> t.Any:
        future = _start_apart(ran) if loop is None else _start(loop, ran)
        future.add_done_callback(lambda _: calls.put(None))
        while (call := calls.get()) is not None:
            call()
        return future.result()

    return ran.finish(serve)


class _Run:
    """A coroutine that is run on behalf of a thread, in a copy of whose context.

    Args:
        begin: Makes it.
    """

    def __init__(self, begin: t.Callable[[], t.Coroutine[t.Any, t.Any, t.Any]]) -> None:
        self._begin = begin
        self._context: Context | None = None
        self._error: BaseException | None = None

    async def run(self) -> t.Any:
        try:
            return await self._begin()
        except (SystemExit, KeyboardInterrupt) as error:
            # They would end the loop, and with it all that it serves; meant is whoever waits here.
            self._error = error
            return None
        finally:
            self._context = copy_context()

    def finish(self, wait: t.Callable[[], t.Any]) -> t.Any:
        """Wait for it; its variables are then the caller's."""
        try:
            value = wait()
        finally:
            if self._context is not None:
                _adopt(self._context)
        if self._error is not None:
            raise self._error
        return value


def _refuse_running_loop() -> None:
    import asyncio

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise RuntimeError(
        "A coroutine cannot be run to its end in the thread of a running event loop: await it instead."
    )


def _loop_of_another_thread() -> t.Any:
    """The loop that serves async views, unless this is a thread that one is a guest of."""
    from .loops import is_host, serving_loop

    return None if is_host() else serving_loop()


def _start(loop: t.Any, ran: _Run) -> Future[t.Any]:
    """Run a coroutine on another thread's loop, in this thread's context."""
    from concurrent.futures import Future

    future: Future[t.Any] = Future()
    context = copy_context()

    def begin() -> None:
        # Entered here: a task takes a copy of the current context.
        task = context.run(loop.create_task, ran.run())
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
    return future


def _start_apart(ran: _Run) -> Future[t.Any]:
    """Run a coroutine on a loop and a thread of its own, in this thread's context."""
    import asyncio
    import threading
    from concurrent.futures import Future

    future: Future[t.Any] = Future()
    context = copy_context()

    def run() -> None:
        try:
            value = context.run(asyncio.run, ran.run())
        except BaseException as error:
            future.set_exception(error)
        else:
            future.set_result(value)

    threading.Thread(target=run, name="bustapi-coroutine", daemon=True).start()
    return future


def _adopt(context: Context) -> None:
    """Set every variable that differs in `context`; a task's context is a copy, which would lose them."""
    for variable, value in context.items():
        try:
            if variable.get() is value:
                continue
        except LookupError:
            pass
        variable.set(value)
