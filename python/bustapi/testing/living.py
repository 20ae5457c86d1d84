"""An application's start and end around a test, on an event loop of their own where they need one."""

from __future__ import annotations

import threading
import typing as t

if t.TYPE_CHECKING:
    from ..kernel.lifespan import Life, VirtualClock

#: How long start and end may take, in seconds.
_TIMEOUT = 30.0


class Living:
    """Starts an application and ends it.

    Args:
        life: The application's.
        clock: Calls its periodic functions in place of the real time.
    """

    def __init__(self, life: Life, clock: VirtualClock | None) -> None:
        self._life = life
        self._clock = clock
        self._thread: threading.Thread | None = None
        self._ready = threading.Event()
        self._end: t.Callable[[], object] | None = None
        self._failure: BaseException | None = None

    def start(self) -> None:
        """Run what runs before the first request.

        Raises:
            BaseException: What that raised.
        """
        if not self._life.needs_loop:
            from ..kernel.lifespan import drive

            drive(self._life.start(clock=self._clock))
            return
        self._thread = threading.Thread(target=self._run, name="bustapi-test-loop", daemon=True)
        self._thread.start()
        if not self._ready.wait(_TIMEOUT):
            raise RuntimeError("The application did not start in time.")
        if self._failure is not None:
            self._thread.join(_TIMEOUT)
            raise self._failure

    def stop(self) -> None:
        """Run what runs after the last request.

        Raises:
            RuntimeError: It does not end.
        """
        thread, self._thread = self._thread, None
        if thread is None:
            from ..kernel.lifespan import drive

            drive(self._life.stop(_TIMEOUT, blocking=True))
            return
        if self._end is not None:
            self._end()
        thread.join(2 * _TIMEOUT)
        if thread.is_alive():
            raise RuntimeError("The application did not end.")

    def _run(self) -> None:
        import asyncio

        try:
            asyncio.run(self._live())
        except BaseException as error:
            self._failure = error
        finally:
            self._ready.set()

    async def _live(self) -> None:
        # All of it in one task: what is entered in a task has to be left in it.
        import asyncio

        from ..kernel import loops

        loop = asyncio.get_running_loop()
        over = asyncio.Event()
        self._end = lambda: loop.call_soon_threadsafe(over.set)
        loops.add(loop)
        try:
            await self._life.start(clock=self._clock)
            self._ready.set()
            await over.wait()
            await self._life.stop(_TIMEOUT)
        finally:
            loops.remove(loop)
