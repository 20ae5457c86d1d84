"""The threads of one serving process: reactors, the pool, and how all of them end together.

The first reactor belongs to the thread that calls; the others get Python threads of their own, and so does the pool,
because attaching a foreign thread to the interpreter costs more than a request. Whatever ends a reactor ends the
process: planned through `drain` or `abort`, unplanned as a failure that drains the rest.
"""

from __future__ import annotations

import sys
import threading
import time
from typing import TYPE_CHECKING, Any, Callable

from . import leaving
from .errors import ServeError, say
from .spares import Spares
from .watch import Watch

if TYPE_CHECKING:
    from bustapi._core import Listener, Reactor

    from ..kernel.lifespan import VirtualClock
    from .settings import Settings

#: Seconds beyond the grace that threads get to come back from their last call.
SLACK = 2.0
#: Those of them before what the application runs at its end; all there are after an abort.
SETTLING = 0.3
#: Settings that are the application's as well.
_CHOICES = ("execution", "view_timeout", "cancel_on_disconnect", "stream_body")


class ThreadHost:
    """Reactors and pool of one process.

    Use it as a context: entering starts the pool, `start` the other reactors' threads, leaving joins all of them.

    Args:
        app: The application.
        groups: The listeners of each reactor.
        settings: The resolved settings; there is one reactor a group.

    Raises:
        ServeError: The core refused a setting.
    """

    def __init__(self, app: Any, groups: list[list[Listener]], settings: Settings) -> None:
        from bustapi._core import Dispatcher, Pool

        self._settings = settings
        self._app = app
        self._choose()
        self._pool: Pool | None = None
        if settings.pool_threads:
            self._pool = Pool(settings.pool_threads, settings.pool_queue, self._grow)
        self._dispatcher = Dispatcher(app)
        try:
            # For reactors that take over from one that a view holds. Closed with the first word of an end: a queue
            # that is open and that nobody accepts from would keep clients waiting.
            self._doors = [[listener.duplicate() for listener in group] for group in groups]
            # A reactor takes its listeners over: they close when it ends.
            self._reactors = [self._reactor(group) for group in groups]
        except OSError as error:
            raise ServeError(f"cannot set up the server: {error.strerror or error}") from error
        self._spares = Spares(self)
        self._watch = Watch(settings.max_block, self._spares.take_over, self._spares.give_back)
        self._hosted = False
        self._threads: list[threading.Thread] = []
        self._pool_threads: list[threading.Thread] = []
        self._switch_interval: float | None = None
        # Plain attributes, no locks: they are written by signal handlers.
        self._deadline: float | None = None
        self._aborted = False
        self._pool_closed = False
        self._life = getattr(app, "_life", None)
        self._lives = False
        #: What of the application's the calling thread is in; None while it waits for other threads.
        self._held_by: str | None = "a view in the main thread"
        #: Which of the other reactors' loops the application has started on, where they have their own.
        self._started_on: list[Reactor] = []
        #: The number of the worker process.
        self.slot = 0
        #: What calls periodic functions in place of the real time.
        self.clock: VirtualClock | None = None
        #: Called once the application has started and requests are served.
        self.on_ready: Callable[[], None] = _nothing
        #: True once a reactor or a pool thread ended that nobody asked to end.
        self.failed = False
        #: True when a thread did not come back in time.
        self.stuck = False

    @property
    def first(self) -> Reactor:
        """The reactor of the calling thread."""
        return self._reactors[0]

    @property
    def requests(self) -> int:
        """The number of requests that views were called for, in all reactors."""
        return sum(reactor.requests for reactor in self._reactors)

    @property
    def draining(self) -> bool:
        """True once the end was asked for."""
        return self._deadline is not None

    def others_serve(self) -> bool:
        """Tell whether a reactor of another thread is still at work, within its time."""
        if self._deadline is not None and self._left(SETTLING) <= 0:
            return False
        return any(thread.is_alive() for thread in self._threads)

    def __enter__(self) -> ThreadHost:
        from bustapi._core import note_switch_interval

        if self._pool is not None:
            self._switch_interval = sys.getswitchinterval()
            sys.setswitchinterval(self._settings.switch_interval)
            note_switch_interval(self._settings.switch_interval)
        try:
            if self._pool is not None:
                # The others come when they are needed.
                self._grow()
            for reactor in self._reactors:
                self._watch.add(reactor)
            self._watch.start()
        except RuntimeError as error:
            self.abort()
            self.finish()
            raise ServeError(f"pool_threads: the system refused another thread ({error})") from None
        return self

    def __exit__(self, *exc: object) -> None:
        self.finish()

    def start(self, *, hosted: bool) -> None:
        """Start the reactors of the other threads.

        Args:
            hosted: The first reactor is the guest of an event loop: async views of all of them run there. It must be
                attached already, and not have had a turn.

        Raises:
            ServeError: The system refused a thread.
        """
        self._hosted = hosted
        per_thread = hosted and self._settings.loops == "per-thread"
        if hosted and not per_thread:
            for reactor in self._reactors[1:]:
                reactor.use_loop_of(self.first)
        body = self._serve_on_loop if per_thread else self._serve_one
        try:
            for index in range(1, len(self._reactors)):
                self._threads.append(spawn(f"bustapi-reactor-{index + 1}", body, index))
        except RuntimeError as error:
            self.abort()
            raise ServeError(f"threads: the system refused another thread ({error})") from None

    def begin_life(self) -> bool:
        """Run what the application has for the start, where there is no event loop; False: it failed, and so did this."""
        if self._life is None:
            return True
        from ..kernel.lifespan import drive

        return drive(self.begin_life_on_loop())

    async def begin_life_on_loop(self) -> bool:
        """Do what `begin_life` does, on the loop that will serve."""
        if self._life is None:
            return True
        try:
            await self._life.start(slot=self.slot, clock=self.clock)
        except Exception as error:
            self.fail(error, "the start of the application")
            return False
        self._lives = True
        return True

    async def begin_life_on_another_loop(self, reactor: Reactor) -> tuple[bool, Any]:
        """Do for the loop of another reactor what the application has for each of them.

        Args:
            reactor: The reactor.

        Returns:
            Whether that succeeded, and what `end_life_on_another_loop` is to be given.
        """
        entered = None
        if self._life is not None:
            try:
                entered = await self._life.start_on_another_loop()
            except Exception as error:
                self.fail(error, "the start of the application")
                return False, None
        self._started_on.append(reactor)
        return True, entered

    async def end_life_on_another_loop(self, entered: Any) -> None:
        """Do what the application has for the end of each loop.

        Args:
            entered: What `begin_life_on_another_loop` returned.
        """
        if self._life is not None:
            await self._life.stop_on_another_loop(entered)

    def starts_elsewhere(self) -> bool:
        """Tell whether the application has still to start on the loop of another reactor."""
        if self.draining or self._settings.loops != "per-thread":
            return False
        return len(self._started_on) < len(self._threads)

    async def end_life_on_loop(self, *, blocking: bool = False) -> None:
        """Run what the application has for the end: on the loop, before it ends; or, blocking, where there is none."""
        if self._lives and self._life is not None:
            self._lives = False
            self._held_by = "what the application runs at its end"
            # No longer than the grace: what is to run at the end has the slack behind it, before the process is ended.
            await self._life.stop(self.left, blocking=blocking)

    def _end_life(self) -> None:
        if self._lives:
            from ..kernel.lifespan import drive

            drive(self.end_life_on_loop(blocking=True))

    def serve_first(self, body: Callable[[Reactor], None]) -> None:
        """Serve with the first reactor until it is finished.

        Args:
            body: Runs the reactor; its return without a drain counts as a failure, like an exception.
        """
        self._guard(body, 0)

    def drain(self) -> None:
        """Stop accepting, let open requests finish within the grace, then end. Safe from any thread and handler."""
        if self._deadline is None:
            self._deadline = time.monotonic() + self._settings.grace
        self._close_doors()
        for reactor in self._reactors:
            reactor.drain(self._settings.grace)
        self._spares.drain()

    def abort(self) -> None:
        """End now, whatever is open. Safe from any thread and handler."""
        self._aborted = True
        self._deadline = time.monotonic()
        self._close_doors()
        for reactor in self._reactors:
            reactor.abort()
        self._spares.abort()

    def give_up(self, number: int) -> None:
        """End the process, if its main thread is where it may stay for ever: waiting for other threads has an end.

        Args:
            number: The signal that asked for the end.
        """
        if self._held_by is not None:
            leaving.give_up(number, self._held_by)

    def fail(self, error: BaseException | None, what: str) -> None:
        """Record an unplanned end and drain the rest.

        Args:
            error: What was raised, if anything.
            what: The part that ended, for the log line.
        """
        self.failed = True
        say(
            f"{what} ended unexpectedly; the server stops"
            + (f" ({type(error).__name__}: {error})" if error else "")
        )
        if error is not None:
            import traceback

            traceback.print_exception(type(error), error, error.__traceback__)
        self.drain()

    def finish(self) -> None:
        """Join every thread within the grace; what does not come back is named and left behind."""
        self._held_by = None
        if self._deadline is None:
            # The body left without a drain: it was recorded as a failure, or the caller raised.
            self.drain()
        self._join(self._threads, SETTLING)
        spares = self._spares.threads
        self._join(spares, SETTLING)
        if any(thread.is_alive() for thread in spares):
            # One that was to finish what it had, whatever that takes.
            self._spares.abort()
            for thread in spares:
                thread.join(SETTLING)
        if self._pool is not None:
            self._pool_closed = True
            self._pool.close()
            self._join(self._pool_threads, SETTLING)
        # Not behind a thread that never comes back: the process may be killed meanwhile.
        self._end_life()
        self._held_by = None
        self._watch.stop()
        others = [*self._threads, *spares, *self._pool_threads]
        self._join(others, SLACK)
        late = [thread.name for thread in others if thread.is_alive()]
        if late:
            self.leave_behind(late)
        if self._switch_interval is not None:
            sys.setswitchinterval(self._switch_interval)
            self._switch_interval = None
        self._unchoose()

    def spare(self, number: int) -> Reactor | None:
        """Make a reactor that accepts where another one cannot.

        Args:
            number: The other one's.

        Returns:
            None where there can be none: it hosts an event loop, or the server ends.
        """
        doors = self._doors
        hosts_loop = self._hosted and (number == 0 or self._settings.loops == "per-thread")
        # Without a pool no view runs beside another, unless reactors do.
        alone = self._pool is None and self._settings.threads == 1
        if hosts_loop or alone or self.draining or number >= len(doors):
            return None
        try:
            reactor = self._reactor([listener.duplicate() for listener in doors[number]])
        except (OSError, ValueError):
            # Out of descriptors, or closed meanwhile: the server ends.
            return None
        if self._hosted:
            reactor.use_loop_of(self.first)
        return reactor

    @property
    def watch(self) -> Watch:
        """What watches the reactors."""
        return self._watch

    @property
    def grace(self) -> float:
        """Seconds that open requests may take after a stop signal."""
        return self._settings.grace

    @property
    def left(self) -> float:
        """Seconds until the grace of a drain is over; none are left where there is no drain."""
        return max(0.0, (self._deadline or 0.0) - time.monotonic())

    @property
    def patience(self) -> float:
        """Seconds that tasks may take to end once they are cancelled: all but the last of what is beyond the grace."""
        return max(SETTLING, self._left(SLACK - SETTLING))

    def leave_behind(self, names: list[str]) -> None:
        """Tell what is still busy; the process then ends without it.

        Args:
            names: Of threads and tasks.
        """
        self.stuck = True
        waited = "" if self._aborted else f" after the grace of {self._settings.grace:g} s"
        say(f"still busy{waited}: {', '.join(names)}")

    def _reactor(self, listeners: list[Listener]) -> Reactor:
        from bustapi._core import Reactor

        return Reactor(self._dispatcher, listeners, self._settings.for_core(), self._pool)

    def _close_doors(self) -> None:
        doors, self._doors = self._doors, []
        for group in doors:
            for listener in group:
                listener.close()

    def _choose(self) -> None:
        """Tell the application what was asked for when it was run."""
        for name in _CHOICES:
            value = getattr(self._settings, name)
            if value is not None:
                setattr(self._app, f"_run_{name}", value)

    def _unchoose(self) -> None:
        for name in _CHOICES:
            if getattr(self._settings, name) is not None and hasattr(self._app, f"_run_{name}"):
                delattr(self._app, f"_run_{name}")

    def _grow(self) -> None:
        name = f"bustapi-pool-{len(self._pool_threads) + 1}"
        self._pool_threads.append(spawn(name, self._work))

    def _serve_one(self, index: int) -> None:
        self._guard(lambda reactor: reactor.run(), index)

    def _serve_on_loop(self, index: int) -> None:
        from .guest import run_on_loop

        self._guard(lambda reactor: run_on_loop(reactor, self, self._settings.loop, first=False), index)

    def _guard(self, body: Callable[[Reactor], None], index: int) -> None:
        what = f"reactor {index + 1}"
        try:
            body(self._reactors[index])
        except BaseException as error:
            self.fail(error, what)
        else:
            if not self.draining:
                self.fail(None, what)

    def _work(self) -> None:
        pool = self._pool
        if pool is None:
            return
        try:
            pool.worker()
        except BaseException as error:
            self.fail(error, threading.current_thread().name)
        else:
            if not self._pool_closed:
                self.fail(None, threading.current_thread().name)

    def _left(self, slack: float) -> float:
        return (self._deadline or 0.0) + (SETTLING if self._aborted else slack) - time.monotonic()

    def _join(self, threads: list[threading.Thread], slack: float) -> None:
        for thread in threads:
            while thread.is_alive():
                # Looked at again each round: a second signal moves the deadline.
                left = self._left(slack)
                if left <= 0:
                    break
                thread.join(min(left, 0.2))


def _nothing() -> None:
    """What is called when nobody wants to know."""


def spawn(name: str, target: Callable[..., None], *args: object) -> threading.Thread:
    """Start a thread.

    Args:
        name: Its name.
        target: What it runs.
        args: The arguments of that.

    Raises:
        RuntimeError: The system refused it.
    """
    # Daemons, since a view that never returns must not keep the interpreter; `ThreadHost.finish` joins the others.
    thread = threading.Thread(target=target, name=name, args=args, daemon=True)
    thread.start()
    return thread
