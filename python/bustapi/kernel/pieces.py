"""Bodies that an async iterator makes, for a server that asks for one piece after the other."""

from __future__ import annotations

import typing as t

from . import loops
from .aio import run_sync

if t.TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Future, Task
    from collections.abc import AsyncIterator, Callable, Coroutine, Iterator

#: The tasks under way: an event loop keeps weak references only.
_tasks: set[Task[None]] = set()


class AsyncPieces:
    """An async iterator's pieces: pulled by a task where the server has an event loop, else one by one.

    Args:
        source: An async iterator, such as an async generator.
    """

    def __init__(self, source: t.Any) -> None:
        self._source: AsyncIterator[t.Any] = source.__aiter__()
        #: Called when the body is over, however that came.
        self.on_close: Callable[[], object] | None = None
        #: Of a stream of events: seconds after which the server breaks its silence.
        self.silence: float | None = None
        #: Pieces were asked for one by one, so that the iterator has to be closed that way too.
        self._pulled = False
        self._own_loop: AbstractEventLoop | None = None

    def __iter__(self) -> Iterator[t.Any]:
        return self

    def __next__(self) -> t.Any:
        self._pulled = True
        try:
            return self._run(self._next)
        except StopAsyncIteration:
            raise StopIteration from None

    async def _next(self) -> t.Any:
        return await self._source.__anext__()

    async def _aclose(self) -> None:
        aclose = getattr(self._source, "aclose", None)
        if aclose is not None:
            await aclose()

    def _closed(self) -> None:
        on_close, self.on_close = self.on_close, None
        if on_close is not None:
            on_close()

    def close(self) -> None:
        """Close the iterator, where its pieces were pulled one by one."""
        try:
            if self._pulled:
                self._run(self._aclose)
        finally:
            own_loop, self._own_loop = self._own_loop, None
            if own_loop is not None:
                own_loop.close()
            self._closed()

    def _run(self, function: Callable[[], Coroutine[t.Any, t.Any, t.Any]]) -> t.Any:
        if not loops.is_host() and loops.serving_loop() is not None:
            return run_sync(function)()
        # One loop for all pieces: the end of a loop closes the generators that it began.
        if self._own_loop is None:
            import asyncio  # most bodies need none

            self._own_loop = asyncio.new_event_loop()
        return self._own_loop.run_until_complete(function())

    def begin(self, sink: t.Any) -> None:
        """Start the task that pulls the pieces. Called by the running loop.

        Args:
            sink: The server's side: takes pieces, and tells which of them was taken.
        """
        import asyncio  # runs already

        task = asyncio.get_running_loop().create_task(self._pump(sink))
        _tasks.add(task)
        task.add_done_callback(_tasks.discard)
        if not sink.begin(task):
            task.cancel()

    async def _pump(self, sink: t.Any) -> None:
        import asyncio

        loop = asyncio.get_running_loop()
        complete = False
        try:
            async for piece in self._source:
                if isinstance(piece, str):
                    piece = piece.encode()
                elif not isinstance(piece, bytes):
                    piece = bytes(piece)
                if not sink.push(piece):
                    taken = loop.create_future()
                    if sink.wait(taken):
                        await taken
            complete = True
        except Exception:
            import logging

            logging.getLogger("bustapi").exception("generating a body failed")
        finally:
            try:
                await self._aclose()
            finally:
                sink.end(complete)
                self._closed()


def tell_taken(taken: Future[None]) -> None:
    """Say that a piece was taken, unless nobody waits for that any more.

    Args:
        taken: What the task waits on.
    """
    if not taken.done():
        taken.set_result(None)
