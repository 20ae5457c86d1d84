"""Work that goes on after its response: bounded, on threads of its own or on the server's event loop.

It lives in the process and ends with it. What must survive a crash belongs in a queue outside of the process.
"""

from __future__ import annotations

import sys
import threading
import time
import typing as t
from collections import deque
from contextvars import Context

from .aio import is_coroutine_function
from .loops import is_host, serving_loop

if t.TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Task
    from collections.abc import Callable

#: Pieces of work that may be open at a time unless `BACKGROUND_LIMIT` says otherwise.
LIMIT = 1000
#: Threads for plain functions unless `BACKGROUND_THREADS` says otherwise.
THREADS = 4
#: Seconds after which a thread without work ends.
_IDLE = 5.0
#: Seconds between two looks at what is open, where an event loop must not be blocked.
_LOOK = 0.02

Call = tuple["Callable[..., t.Any]", tuple[t.Any, ...], dict[str, t.Any]]


class BackgroundFull(RuntimeError):
    """There is as much background work open as there may be (`BACKGROUND_LIMIT`)."""


class Job:
    """Calls that are made one after the other; one that fails is the last.

    Args:
        calls: Functions with their arguments.
        origin: What asked for it, for the log.
        done: Called when it is over, however it ended.
    """

    def __init__(self, calls: list[Call], origin: str, done: Callable[[], object] | None = None) -> None:
        self.calls = calls
        self.origin = origin
        self.done = done

    @property
    def is_async(self) -> bool:
        """Whether a part of it has to be awaited."""
        return any(is_coroutine_function(function) for function, _, _ in self.calls)

    def run(self) -> t.Any:
        """Make the calls; returns an awaitable that makes the rest where one has to be awaited."""
        for index, (function, args, kwargs) in enumerate(self.calls):
            value = function(*args, **kwargs)
            if hasattr(type(value), "__await__"):
                return self._go_on(value, index + 1)
        return None

    async def _go_on(self, value: t.Any, index: int) -> None:
        await value
        await self.run_async(index)

    async def run_async(self, index: int = 0) -> None:
        """Make the calls from one on, the plain ones on a thread."""
        import asyncio

        for function, args, kwargs in self.calls[index:]:
            if is_coroutine_function(function):
                await function(*args, **kwargs)
            else:
                value = await asyncio.to_thread(function, *args, **kwargs)
                if hasattr(type(value), "__await__"):
                    await value


class Background:
    """The background work of an application.

    Args:
        app: The application: gives the limits, the log, and the context that work runs in.
    """

    def __init__(self, app: t.Any) -> None:
        self._app = app
        self._changed = threading.Condition()
        #: Accepted and not over, or not even begun because their requests are not over.
        self._open = 0
        self._queue: deque[Job] = deque()
        self._threads = 0
        self._idle = 0
        # An event loop itself has but weak references to its tasks.
        self._tasks: set[Task[None]] = set()

    @property
    def open(self) -> int:
        """How much is accepted and not over."""
        return self._open

    def admit(self, *, limited: bool = True) -> None:
        """Count a job that will be started or forgotten.

        Args:
            limited: Refuse it when there are too many.

        Raises:
            BackgroundFull: There are too many.
        """
        limit = int(self._app.config.get("BACKGROUND_LIMIT", LIMIT))
        with self._changed:
            if limited and self._open >= limit:
                raise BackgroundFull(
                    f"{limit} pieces of background work are open; BACKGROUND_LIMIT allows no more"
                )
            self._open += 1

    def forget(self, job: Job) -> None:
        """Give up a job that was admitted and is not to be started; also called for each that is over.

        Args:
            job: The job.
        """
        with self._changed:
            self._open -= 1
            self._changed.notify_all()
        if job.done is not None:
            job.done()

    def start(self, job: Job) -> None:
        """Run a job that was admitted, on the server's event loop or on a thread.

        Args:
            job: The job.
        """
        if job.is_async:
            loop = serving_loop()
            if loop is not None:
                try:
                    loop.call_soon_threadsafe(self._begin, loop, job, context=Context())
                    return
                except RuntimeError:
                    # Closed meanwhile.
                    pass
        most = max(1, int(self._app.config.get("BACKGROUND_THREADS", THREADS)))
        with self._changed:
            self._queue.append(job)
            if self._idle >= len(self._queue) or self._threads >= most:
                self._changed.notify_all()
                return
            self._threads += 1
            number = self._threads
        # A daemon: work that never ends must not keep the interpreter. The server waits for it within its grace.
        thread = threading.Thread(target=self._work, name=f"bustapi-background-{number}", daemon=True)
        try:
            thread.start()
        except RuntimeError:
            with self._changed:
                self._threads -= 1
                if self._threads:
                    return
                self._queue.remove(job)
            self.forget(job)
            raise

    def wait(self, seconds: float) -> bool:
        """Wait until nothing is open, and return whether that is so.

        Args:
            seconds: How long at the most.
        """
        with self._changed:
            return self._changed.wait_for(lambda: not self._open, seconds)

    async def wait_async(self, seconds: float) -> bool:
        """Wait until nothing is open without blocking the event loop, and return whether that is so.

        Args:
            seconds: How long at the most.
        """
        import asyncio

        end = time.monotonic() + seconds
        while self._open and time.monotonic() < end:
            await asyncio.sleep(_LOOK)
        return not self._open

    def _begin(self, loop: AbstractEventLoop, job: Job) -> None:
        task = loop.create_task(self._run_async(job))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run_async(self, job: Job) -> None:
        try:
            with self._app.app_context():
                await job.run_async()
        except GeneratorExit:
            raise
        except BaseException as error:
            if is_cancellation(error):
                self._app.logger.warning("background work of %s was cancelled", job.origin)
                raise
            # SystemExit and KeyboardInterrupt too: out of a task they end the event loop.
            self._log(job)
        finally:
            self.forget(job)

    def _work(self) -> None:
        while True:
            with self._changed:
                self._idle += 1
                there = self._changed.wait_for(lambda: self._queue, _IDLE)
                self._idle -= 1
                if not there:
                    self._threads -= 1
                    return
                job = self._queue.popleft()
            # In a context of its own: nothing that it sets is seen by the next.
            Context().run(self._run, job)

    def _run(self, job: Job) -> None:
        try:
            with self._app.app_context():
                rest = job.run()
                if rest is not None:
                    self._finish(rest)
        except BaseException:
            # SystemExit too: it is the thread's that others wait for.
            self._log(job)
        finally:
            self.forget(job)

    def _finish(self, rest: t.Any) -> None:
        """Await what a plain function returned, on a loop of this thread or on the server's."""
        import asyncio

        async def run() -> BaseException | None:
            try:
                with self._app.app_context():
                    await rest
            except BaseException as error:
                # Raised on this thread: out of a task SystemExit ends the event loop.
                return error
            return None

        loop = None if is_host() else serving_loop()
        error = asyncio.run(run()) if loop is None else asyncio.run_coroutine_threadsafe(run(), loop).result()
        if error is not None:
            raise error

    def _log(self, job: Job) -> None:
        self._app.logger.exception("background work of %s failed", job.origin)


def cancellations() -> int:
    """Return how often the running task was asked to end; 0 where nobody can tell (before Python 3.11)."""
    asyncio = sys.modules.get("asyncio")
    if asyncio is None or asyncio._get_running_loop() is None:
        # A coroutine that is driven by hand belongs to no task.
        return 0
    cancelling = getattr(asyncio.current_task(), "cancelling", None)
    return 0 if cancelling is None else int(cancelling())


def is_cancellation(error: BaseException, before: int = 0) -> bool:
    """Return whether the running task was asked to end; a `CancelledError` can also be that of something it awaits.

    Args:
        error: What was raised.
        before: How often it had been asked already.
    """
    asyncio = sys.modules.get("asyncio")
    return asyncio is not None and isinstance(error, asyncio.CancelledError) and cancellations() > before


class BackgroundTasks:
    """Several pieces of work for after one response, made one after the other; what fails is the last.

    Made within a view; with the first `add_task` it counts as one piece of `app.background`.

    Args:
        app: The application; the current one if not given.

    Compatible with: fastapi.BackgroundTasks, but for where it comes from.
    """

    def __init__(self, app: t.Any = None) -> None:
        self._app = app
        #: Functions with their arguments.
        self.tasks: list[Call] = []

    def add_task(self, func: Callable[..., object], *args: t.Any, **kwargs: t.Any) -> None:
        """Add a call.

        Args:
            func: A plain or coroutine function.
            args: Its arguments.
            kwargs: Its keyword arguments.

        Raises:
            BackgroundFull: There is too much open work.
        """
        self.tasks.append((func, args, kwargs))
        if len(self.tasks) > 1:
            return
        app = self._app
        if app is None:
            from .context import app_facet

            context = app_facet.get(None)
            if context is None:
                raise RuntimeError("BackgroundTasks needs an application where no request is under way")
            app = context.app
        try:
            app._submit(self.tasks)
        except BaseException:
            self.tasks.clear()
            raise
