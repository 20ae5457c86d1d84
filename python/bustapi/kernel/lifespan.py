"""What an application does when its server starts and ends, and at intervals in between."""

from __future__ import annotations

import contextlib
import threading
import time
import typing as t
from inspect import isasyncgenfunction, isgeneratorfunction

from .aio import is_coroutine_function
from .background import Background, Job, cancellations, is_cancellation

if t.TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

T = t.TypeVar("T")


class Periodic:
    """A function that is called at intervals.

    Args:
        function: The function.
        seconds: The interval.
        everywhere: In each worker process, and not in the first alone.
    """

    def __init__(self, function: Callable[[], t.Any], seconds: float, everywhere: bool) -> None:
        self.function = function
        self.seconds = seconds
        self.everywhere = everywhere
        #: When it is called next, by the clock.
        self.due = 0.0
        self.runs = False

    @property
    def name(self) -> str:
        """What the log calls it."""
        return getattr(self.function, "__qualname__", repr(self.function))


class VirtualClock:
    """Time that passes when a test says so: `TestClient(app, clock=VirtualClock())`.

    What is due is called, and is over, before `advance` returns.
    """

    def __init__(self) -> None:
        self.now = 0.0
        self._life: Life | None = None

    def time(self) -> float:
        """Return the seconds that have passed."""
        return self.now

    def advance(self, seconds: float) -> None:
        """Let time pass.

        Args:
            seconds: How much.

        Raises:
            ValueError: It is negative: time does not go back.
        """
        if seconds < 0:
            raise ValueError("time does not go back")
        end = self.now + seconds
        life = self._life
        while life is not None:
            due = life.next_due()
            if due is None or due > end:
                break
            self.now = max(self.now, due)
            life.run_due(self.now)
            life.background.wait(60.0)
        self.now = end

    def attach(self, life: Life | None) -> None:
        """Drive an application's periodic functions, or none.

        Args:
            life: The application's.
        """
        self._life = life


class Life:
    """The start, the end and the periodic work of an application in one process.

    Args:
        app: The application.
    """

    def __init__(self, app: t.Any) -> None:
        self._app = app
        self.startup: list[Callable[[], t.Any]] = []
        self.shutdown: list[Callable[[], t.Any]] = []
        self.manager: Callable[[t.Any], t.Any] | None = None
        self.periodic: list[Periodic] = []
        self.background = Background(app)
        self._entered: t.Any = None
        self._active: list[Periodic] = []
        self._clock: t.Any = time
        self._changed = threading.Condition()
        self._stopped = False
        self._ticker: threading.Thread | None = None

    def functions(self) -> Iterator[t.Any]:
        """Yield what may be a coroutine function; an async lifespan counts as one."""
        yield from self.startup
        yield from self.shutdown
        for periodic in self.periodic:
            yield periodic.function
        if self.manager is not None and _is_async(self.manager):
            yield _coroutine

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to be done at start and end."""
        return not (self.startup or self.shutdown or self.periodic or self.manager)

    @property
    def needs_loop(self) -> bool:
        """Whether a part of it has to be awaited."""
        return any(map(is_coroutine_function, self.functions()))

    async def start(self, *, slot: int = 0, clock: VirtualClock | None = None) -> None:
        """Run what is to run before the first request.

        Args:
            slot: The number of the worker process.
            clock: Calls the periodic functions; None for the real time.

        Raises:
            BaseException: What one of them raised. What was entered was left again by then.
        """
        self._entered = await self._begin()
        self._clock = time if clock is None else clock
        self._stopped = False
        self._active = [one for one in self.periodic if one.everywhere or slot == 0]
        now = self._now()
        for one in self._active:
            one.due = now + one.seconds
            one.runs = False
        if clock is not None:
            clock.attach(self)
        elif self._active:
            self._ticker = threading.Thread(target=self._tick, name="bustapi-every", daemon=True)
            self._ticker.start()

    async def stop(self, seconds: float, *, blocking: bool = False) -> None:
        """End the periodic functions, wait for background work, and run what is to run at the end.

        Args:
            seconds: How long background work may take.
            blocking: Wait on this thread, in a process without an event loop.
        """
        self._end_ticker()
        background, seconds = self.background, max(0.0, seconds)
        if not (background.wait(seconds) if blocking else await background.wait_async(seconds)):
            self._tell_left()
        entered, self._entered = self._entered, None
        await self._end(entered)

    async def start_on_another_loop(self) -> t.Any:
        """Run what has to be awaited before the first request on one more loop of the process, for what belongs to it.

        Returns:
            What `stop_on_another_loop` is to be given.

        Raises:
            BaseException: What one of the functions raised.
        """
        return await self._begin(awaited_only=True)

    async def stop_on_another_loop(self, entered: t.Any) -> None:
        """Run what has to be awaited at the end on a loop where that was done at the start.

        Args:
            entered: What `start_on_another_loop` returned.
        """
        await self._end(entered, awaited_only=True)

    def next_due(self) -> float | None:
        """Return when the next periodic function is to be called; None if there is none."""
        return min((one.due for one in self._active), default=None)

    def run_due(self, now: float) -> None:
        """Call what is due.

        Args:
            now: The time.
        """
        for one in self._active:
            if one.due > now:
                continue
            missed = int((now - one.due) // one.seconds)
            one.due += (missed + 1) * one.seconds
            if one.runs:
                # It takes longer than its interval: not twice at a time.
                continue
            one.runs = True
            job = Job([(one.function, (), {})], f"every {one.seconds:g} s: {one.name}", _Over(one))
            self.background.admit(limited=False)
            try:
                self.background.start(job)
            except RuntimeError:
                self._app.logger.exception("%s could not be called", one.name)

    def _now(self) -> float:
        return time.monotonic() if self._clock is time else self._clock.time()

    def _tick(self) -> None:
        while True:
            with self._changed:
                due = self.next_due()
                left = 3600.0 if due is None else due - time.monotonic()
                if self._changed.wait_for(lambda: self._stopped, max(0.0, left)):
                    return
            self.run_due(time.monotonic())

    def _end_ticker(self) -> None:
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        ticker, self._ticker = self._ticker, None
        if ticker is not None:
            ticker.join(5.0)
        if isinstance(self._clock, VirtualClock):
            self._clock.attach(None)
        self._active = []

    def _tell_left(self) -> None:
        self._app.logger.error("%d pieces of background work did not end in time", self.background.open)

    async def _begin(self, *, awaited_only: bool = False) -> t.Any:
        """Run what is to run at the start; return the lifespan that was entered."""
        entered = None
        manager = self.manager
        if manager is not None and (_is_async(manager) or not awaited_only):
            entering = _context_manager(manager)(self._app)
            await self._step(_method(entering, "enter"))
            entered = entering
        try:
            for function in self.startup:
                if is_coroutine_function(function) or not awaited_only:
                    await self._step(function)
        except BaseException as error:
            await self._leave(entered, error)
            raise
        return entered

    async def _end(self, entered: t.Any, *, awaited_only: bool = False) -> None:
        for function in reversed(self.shutdown):
            if awaited_only and not is_coroutine_function(function):
                continue
            await self._last_step(self._step(function), f"{function!r}")
        await self._last_step(self._leave(entered, None), "the lifespan")

    async def _last_step(self, step: Coroutine[t.Any, t.Any, None], what: str) -> None:
        """Do a part of the end; what it raises, SystemExit and the like included, does not keep the rest from it."""
        before = cancellations()
        try:
            await step
        except (GeneratorExit, KeyboardInterrupt):
            # Somebody has stopped waiting: a handler of ours that drains is in the place of Python's while we serve.
            raise
        except BaseException as error:
            if is_cancellation(error, before):
                raise
            self._app.logger.exception("%s failed while the server ended", what)

    async def _leave(self, entered: t.Any, error: BaseException | None) -> None:
        if entered is None:
            return
        details = (None, None, None) if error is None else (type(error), error, error.__traceback__)
        leave = _method(entered, "exit")
        await self._step(lambda: leave(*details))

    async def _step(self, function: Callable[[], t.Any]) -> None:
        with self._app.app_context():
            value = function()
            if hasattr(type(value), "__await__"):
                await value


class _Over:
    """Notes that a periodic function has returned."""

    def __init__(self, periodic: Periodic) -> None:
        self._periodic = periodic

    def __call__(self) -> None:
        self._periodic.runs = False


def drive(coroutine: Coroutine[t.Any, t.Any, T]) -> T:
    """Run a coroutine that has nothing to wait for, without an event loop.

    Args:
        coroutine: The coroutine.

    Returns:
        What it returns.

    Raises:
        RuntimeError: It waits for something.
    """
    try:
        coroutine.send(None)
        while True:
            # Raised where it waits: at the end of an application the other functions have their turn.
            coroutine.throw(RuntimeError("a function that has to be awaited must be a coroutine function"))
    except StopIteration as over:
        return t.cast("T", over.value)


def _is_async(manager: Callable[[t.Any], t.Any]) -> bool:
    whole = getattr(manager, "__wrapped__", manager)
    return isasyncgenfunction(whole) or is_coroutine_function(whole)


def _context_manager(function: Callable[[t.Any], t.Any]) -> Callable[[t.Any], t.Any]:
    if isasyncgenfunction(function):
        return contextlib.asynccontextmanager(function)
    if isgeneratorfunction(function):
        return contextlib.contextmanager(function)
    return function


def _method(manager: t.Any, name: str) -> Callable[..., t.Any]:
    """The method of a context manager, of the async kind if it has that."""
    method = getattr(manager, f"__a{name}__", None) or getattr(manager, f"__{name}__")
    return t.cast("Callable[..., t.Any]", method)


async def _coroutine() -> None:
    """Stands for a lifespan that has to be awaited."""
