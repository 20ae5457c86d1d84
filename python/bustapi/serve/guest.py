"""A reactor as the guest of a stock event loop: one descriptor that the loop watches.

The reactor takes its turns as the loop's reader and schedules further ones itself (`Reactor.attach_loop`); what is
left here is to make the loop, and to notice the reactor's end.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
import sys
from typing import TYPE_CHECKING, Any

from ..kernel import loops
from .errors import ServeError, SettingsError

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from bustapi._core import Reactor

    from .host import ThreadHost

#: How often the end of the other threads' reactors is looked for, in seconds, once this one has ended.
TICK = 0.02


async def attend(reactor: Reactor, host: ThreadHost, *, first: bool = True) -> None:
    """Serve on the running loop until the reactor is finished.

    Args:
        reactor: The reactor of this thread.
        host: Gets its other reactors started, and tells whether the end was asked for.
        first: This is the first of the host's reactors.
    """
    loop = asyncio.get_running_loop()
    over = asyncio.Event()
    begun, entered = False, None
    loops.add(loop)
    try:
        if first:
            begun = await host.begin_life_on_loop()
        else:
            begun, entered = await host.begin_life_on_another_loop(reactor)
        if not begun:
            return
        views = reactor.attach_loop(loop, over.set)
        if first:
            host.start(hosted=True)
            while host.starts_elsewhere():
                await asyncio.sleep(TICK)
            if not host.draining:
                host.on_ready()
        await over.wait()
        if first and not host.draining:
            host.fail(None, "reactor 1")
        # Their async views are this loop's tasks, and what threads of the pool wait for.
        while first and host.others_serve():
            await asyncio.sleep(TICK)
        # A view whose client has gone may have something to put away: it has the grace, as those that are waited for.
        if views and host.left > 0:
            await asyncio.wait(set(views), timeout=host.left)
    finally:
        if first:
            await host.end_life_on_loop()
        elif begun:
            await host.end_life_on_another_loop(entered)
        loops.remove(loop)


async def serve_on(host: ThreadHost) -> None:
    """Serve with all of a process's threads, the first of which runs this loop.

    Args:
        host: The threads; joined when this returns.

    Raises:
        asyncio.CancelledError: This was cancelled: the server was drained first, and aborted when it was cancelled
            once more.
    """
    loop = asyncio.get_running_loop()
    cancelled: asyncio.CancelledError | None = None
    host.__enter__()
    task = loop.create_task(attend(host.first, host))
    try:
        while not task.done():
            try:
                await asyncio.wait({task})
            except asyncio.CancelledError as error:
                stop = host.drain if cancelled is None else host.abort
                cancelled = error
                stop()
        failure = None if task.cancelled() else task.exception()
        if failure is not None:
            host.fail(failure, "reactor 1")
    finally:
        # Joining blocks, and views that are still open may need this loop to finish.
        await loop.run_in_executor(None, host.finish)
    if cancelled is not None:
        raise cancelled


def run_on_loop(reactor: Reactor, host: ThreadHost, kind: str, *, first: bool = True) -> None:
    """Make an event loop for this thread and serve on it.

    Args:
        reactor: The reactor of this thread.
        host: Tells whether the end was asked for.
        kind: ``auto``, ``asyncio`` or ``uvloop``.
        first: This is the first of the host's reactors, which starts the others.
    """
    loop = new_loop(kind)
    try:
        asyncio.set_event_loop(loop)
        run_guarded(loop, attend(reactor, host, first=first))
    finally:
        try:
            _cancel_tasks(loop, host)
            loop.run_until_complete(loops.close_locals())
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.run_until_complete(loop.shutdown_default_executor())
        finally:
            asyncio.set_event_loop(None)
            loop.close()


def run_guarded(loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine to its end, whatever else ends on its loop.

    A task that ends with `SystemExit` or `KeyboardInterrupt` ends the loop too, wherever it comes from: a view, a hook,
    a task that one of them made. Here a loop serves others as well; who waits for that task is told by the task.

    Args:
        loop: A loop that does not run.
        coroutine: The coroutine.

    Raises:
        BaseException: What it raises.
    """
    task = loop.create_task(coroutine)
    while True:
        try:
            return loop.run_until_complete(task)
        except (SystemExit, KeyboardInterrupt) as error:
            if task.done():
                raise
            logging.getLogger("bustapi").error(
                "a task ended with %r; the server goes on", error, exc_info=error
            )


def new_loop(kind: str) -> asyncio.AbstractEventLoop:
    """Make an event loop.

    Args:
        kind: ``auto`` takes uvloop when it is installed.

    Returns:
        A loop that no thread runs yet.

    Raises:
        SettingsError: ``uvloop`` was asked for and is not installed.
    """
    if kind in ("auto", "uvloop"):
        try:
            # By name: it is optional, also for type checkers.
            uvloop = importlib.import_module("uvloop")
        except ImportError:
            if kind == "uvloop":
                raise SettingsError(
                    "loop: uvloop is not installed; pip install uvloop, or choose asyncio"
                ) from None
        else:
            made: asyncio.AbstractEventLoop = uvloop.new_event_loop()
            return made
    return asyncio.new_event_loop()


def refuse_running_loop() -> None:
    """Refuse to start a loop in a thread that runs one.

    Raises:
        ServeError: A loop runs in this thread.
    """
    if "asyncio" in sys.modules and asyncio._get_running_loop() is not None:
        raise ServeError("an event loop runs in this thread; serve with: await app.run_async()")


def _cancel_tasks(loop: asyncio.AbstractEventLoop, host: ThreadHost) -> None:
    tasks = asyncio.all_tasks(loop)
    if not tasks:
        return
    for task in tasks:
        task.cancel()
    done, left = loop.run_until_complete(asyncio.wait(tasks, timeout=host.patience))
    if left:
        # They have swallowed it, or take long to put things away.
        host.leave_behind([_name(task) for task in left])
    for task in done:
        error: Any = None if task.cancelled() else task.exception()
        if error is not None:
            loop.call_exception_handler(
                {"message": "a task failed while the server ended", "exception": error, "task": task}
            )


def _name(task: asyncio.Task[Any]) -> str:
    coroutine = task.get_coro()
    return f"the coroutine {getattr(coroutine, '__qualname__', None) or repr(coroutine)}"
