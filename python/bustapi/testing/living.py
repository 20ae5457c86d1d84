"""An application's start and end around a test, and its connections in between.

What has to be awaited, of the start and of every connection, runs on one event loop in a thread of its own: what a
lifespan made there is usable by the views, and by all of them together. In a block that needs no loop there is none.
"""

from __future__ import annotations

import threading
import typing as t

from .live import LiveServer

if t.TYPE_CHECKING:
    from asyncio import AbstractEventLoop

    from ..kernel.lifespan import Life, VirtualClock
    from ..serve.host import ThreadHost

#: How long start and end may take, in seconds.
_TIMEOUT = 30.0
#: How often the end of a server's other threads is looked for, in seconds.
_TICK = 0.02


class Living:
    """Starts an application and ends it.

    Args:
        app: The application.
        life: What it has for that.
        clock: Calls its periodic functions in place of the real time.
    """

    def __init__(self, app: t.Any, life: Life, clock: VirtualClock | None) -> None:
        self._app = app
        self._life = life
        self._clock = clock
        #: The application has started, and has not ended.
        self.lives = False
        #: Servers that serve it meanwhile.
        self.servers: set[ConnectionServer] = set()
        self._loop: LoopThread | None = None
        self._guard = threading.Lock()

    def start(self) -> None:
        """Run what runs before the first request.

        Raises:
            BaseException: What that raised.
        """
        if self._life.needs_loop:
            self._loop = LoopThread(self._life, self._clock)
            self._loop.start()
        else:
            from ..kernel.lifespan import drive

            drive(self._life.start(clock=self._clock))
        self.lives = True

    def stop(self) -> None:
        """Close the connections that are open, and run what runs after the last request.

        Raises:
            RuntimeError: It does not end.
        """
        self.lives = False
        try:
            for server in tuple(self.servers):
                server.stop()
        finally:
            loop, self._loop = self._loop, None
            try:
                if loop is None or loop.life is None:
                    from ..kernel.lifespan import drive

                    drive(self._life.stop(_TIMEOUT, blocking=True))
            finally:
                if loop is not None:
                    loop.stop()

    def server(self, settings: dict[str, t.Any]) -> LiveServer:
        """Make the server of one connection.

        Args:
            settings: Its settings (see `bustapi.serve.settings.Settings`).
        """
        return ConnectionServer(self._app, self, settings)

    def event_loop(self) -> AbstractEventLoop:
        """Return the loop of this block; it is made when it is first asked for."""
        with self._guard:
            if self._loop is None:
                self._loop = LoopThread(None, None)
                self._loop.start()
            return self._loop.event_loop


class ConnectionServer(LiveServer):
    """The server of one connection: within the client's block it serves the application as that has started it.

    Args:
        app: The application.
        living: Its start and end; before and after them this server starts and ends the application itself.
        settings: Settings of the server (see `bustapi.serve.settings.Settings`).
    """

    def __init__(self, app: t.Any, living: Living, settings: dict[str, t.Any]) -> None:
        super().__init__(app, **settings)
        self._living = living

    def start(self) -> None:
        """Listen, and serve until `stop`; see the base class.

        Raises:
            TypeError: A loop was asked for, and the application has one.
        """
        if self._living.lives and "loop" in self._settings:
            raise TypeError(
                "loop: within the client's 'with' block the application has its event loop already;"
                " pass served=True and loop to the client"
            )
        super().start()
        self._living.servers.add(self)

    def stop(self, *, drain: bool = False) -> None:
        """Close all connections and wait for the thread; see the base class."""
        self._living.servers.discard(self)
        super().stop(drain=drain)

    def _run(self, host: ThreadHost, loop: str | None, ready: threading.Event) -> None:
        if not self._living.lives:
            super()._run(host, loop, ready)
            return
        try:
            with host:
                if loop is None:
                    ready.set()
                    host.start(hosted=False)
                    host.serve_first(lambda reactor: reactor.run())
                else:
                    import asyncio

                    # This thread waits for the loop's, and joins what must not be joined there.
                    attending = asyncio.run_coroutine_threadsafe(_attend(host), self._living.event_loop())
                    host.serve_first(lambda reactor: attending.result())
        except BaseException as error:
            self._failure = error
        finally:
            ready.set()


async def _attend(host: ThreadHost) -> None:
    """Serve on the running loop, whose application was started and will be ended by somebody else."""
    import asyncio

    over = asyncio.Event()
    views = host.first.attach_loop(asyncio.get_running_loop(), over.set)
    host.start(hosted=True)
    while host.starts_elsewhere():
        await asyncio.sleep(_TICK)
    host.on_ready()
    await over.wait()
    # Their async views are this loop's tasks.
    while host.others_serve():
        await asyncio.sleep(_TICK)
    # As where a server has a loop of its own: views have the grace, and none is left when the connection's block is.
    if views and host.left > 0:
        await asyncio.wait(set(views), timeout=host.left)
    left = set(views)
    for view in left:
        view.cancel()
    if left:
        await asyncio.wait(left)


class LoopThread:
    """A thread that runs an event loop where async views run.

    Args:
        life: What is started on it before anything else, and ended on it; None for nothing.
        clock: Calls the periodic functions of that in place of the real time.
    """

    def __init__(self, life: Life | None, clock: VirtualClock | None) -> None:
        self.life = life
        self._clock = clock
        self.event_loop: AbstractEventLoop
        self._ready = threading.Event()
        self._over: t.Callable[[], object] | None = None
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="bustapi-test-loop", daemon=True)

    def start(self) -> None:
        """Start the thread, and wait until the loop runs and what is started on it has.

        Raises:
            BaseException: What that raised.
            RuntimeError: It took too long.
        """
        self._thread.start()
        if not self._ready.wait(_TIMEOUT):
            raise RuntimeError("The application did not start in time.")
        if self._failure is not None:
            self._thread.join(_TIMEOUT)
            raise self._failure

    def stop(self) -> None:
        """End the loop and wait for the thread.

        Raises:
            RuntimeError: It does not end.
        """
        if self._over is not None:
            self._over()
        self._thread.join(2 * _TIMEOUT)
        if self._thread.is_alive():
            raise RuntimeError("The application did not end.")

    def _run(self) -> None:
        from ..serve.served_connection import run_serving

        try:
            run_serving(self._live())
        except BaseException as error:
            self._failure = error
        finally:
            self._ready.set()

    async def _live(self) -> None:
        # All of it in one task: what is entered in a task has to be left in it.
        import asyncio

        from ..kernel import loops

        self.event_loop = loop = asyncio.get_running_loop()
        over = asyncio.Event()
        self._over = lambda: loop.call_soon_threadsafe(over.set)
        loops.add(loop)
        try:
            if self.life is not None:
                await self.life.start(clock=self._clock)
            self._ready.set()
            await over.wait()
            if self.life is not None:
                await self.life.stop(_TIMEOUT)
            await loops.close_locals()
        finally:
            loops.remove(loop)
