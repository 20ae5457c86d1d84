"""A reactor as the guest of a stock event loop: one descriptor that the loop watches.

The reactor schedules its own further turns and timers on the loop (`Reactor.attach_loop`); what is left here is to
hand it the loop's thread when its descriptor is ready, and to notice its end.
"""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Any

from .errors import ServeError, SettingsError

if TYPE_CHECKING:
    from bustapi._core import Reactor

    from .host import ThreadHost

# A reactor that ends inside a turn it scheduled itself is noticed by looking: often while draining, when somebody
# waits for the end, rarely before, when the end would be a failure.
WATCH_DRAINING = 0.02
WATCH_SERVING = 0.25


async def attend(reactor: Reactor, host: ThreadHost) -> None:
    """Serve on the running loop until the reactor is finished.

    Args:
        reactor: The reactor of this thread.
        host: Tells whether the end was asked for.

    Raises:
        BaseException: What a turn raised, though none should.
    """
    loop = asyncio.get_running_loop()
    over: asyncio.Future[None] = loop.create_future()
    raised: list[BaseException] = []

    def finish() -> None:
        if not over.done():
            over.set_result(None)

    def turn() -> None:
        try:
            if not reactor.turn():
                finish()
        except BaseException as error:
            raised.append(error)
            finish()

    def watch() -> None:
        nonlocal handle
        if reactor.finished:
            finish()
        else:
            handle = loop.call_later(WATCH_DRAINING if host.draining else WATCH_SERVING, watch)

    descriptor = reactor.fileno()
    reactor.attach_loop(loop)
    loop.add_reader(descriptor, turn)
    loop.call_soon(turn)
    handle = loop.call_later(WATCH_DRAINING, watch)
    try:
        await over
    finally:
        handle.cancel()
        loop.remove_reader(descriptor)
    if raised:
        raise raised[0]


def run_on_loop(reactor: Reactor, host: ThreadHost, kind: str) -> None:
    """Make an event loop for this thread and serve on it.

    Args:
        reactor: The reactor of this thread.
        host: Tells whether the end was asked for.
        kind: ``auto``, ``asyncio`` or ``uvloop``.
    """
    loop = new_loop(kind)
    try:
        asyncio.set_event_loop(loop)
        loop.run_until_complete(attend(reactor, host))
    finally:
        try:
            _cancel_tasks(loop)
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.run_until_complete(loop.shutdown_default_executor())
        finally:
            asyncio.set_event_loop(None)
            loop.close()


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
            import uvloop
        except ImportError:
            if kind == "uvloop":
                raise SettingsError("loop: uvloop is not installed; pip install uvloop, or choose asyncio") from None
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


def _cancel_tasks(loop: asyncio.AbstractEventLoop) -> None:
    tasks = asyncio.all_tasks(loop)
    if not tasks:
        return
    for task in tasks:
        task.cancel()
    loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
    for task in tasks:
        error: Any = None if task.cancelled() else task.exception()
        if error is not None:
            loop.call_exception_handler(
                {"message": "a task failed while the server ended", "exception": error, "task": task}
            )
