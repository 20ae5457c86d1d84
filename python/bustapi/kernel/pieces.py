"""Bodies that an async iterator makes, for a server that asks for one piece after the other."""

from __future__ import annotations

import typing as t

from . import loops
from .aio import run_sync
from .context import current

if t.TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Future, Task
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Iterator

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
            # Not all who read to the end close what they read.
            self._finish()
            raise StopIteration from None
        except BaseException:
            self._finish()
            raise

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
            self._finish()
        finally:
            self._closed()

    def _finish(self) -> None:
        """Close the iterator, where its pieces were pulled one by one, and then the loop of its own."""
        pulled, self._pulled = self._pulled, False
        try:
            if pulled:
                self._run(self._aclose)
        finally:
            own_loop, self._own_loop = self._own_loop, None
            if own_loop is not None:
                end_loop(own_loop)

    def _run(self, function: Callable[[], Coroutine[t.Any, t.Any, t.Any]]) -> t.Any:
        if not loops.is_host() and loops.serving_loop() is not None:
            return run_sync(function)()
        # One loop for all pieces: the end of a loop closes the generators that it began.
        import asyncio  # most bodies need none

        # Before there is a coroutine, which would then never be awaited.
        if asyncio._get_running_loop() is not None:
            raise RuntimeError(
                "An async body cannot be read piece by piece in the thread of a running event loop."
            )
        if self._own_loop is None:
            self._own_loop = asyncio.new_event_loop()
        return self._own_loop.run_until_complete(function())

    async def awaited(self) -> AsyncGenerator[bytes, None]:
        """Give the pieces to a coroutine, and close the iterator behind them.

        Raises:
            TypeError: A piece is neither text nor bytes-like.
        """
        try:
            async for piece in self._source:
                yield piece.encode() if isinstance(piece, str) else _bytes_of(piece)
        finally:
            try:
                await self._aclose()
            finally:
                self._closed()

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
                    piece = _bytes_of(piece)
                if not sink.push(piece):
                    taken = loop.create_future()
                    if sink.wait(taken):
                        await taken
            complete = True
        except Exception as error:
            tell_failed(error)
        finally:
            try:
                await self._aclose()
            finally:
                sink.end(complete)
                self._closed()


def _bytes_of(piece: t.Any) -> bytes:
    try:
        # Not `bytes(piece)`, which makes zeros of a number.
        return memoryview(piece).tobytes()
    except TypeError:
        kind = type(piece).__name__
        raise TypeError(f"a streamed body yields str or bytes-like objects, not {kind}") from None


def tell_failed(error: BaseException) -> None:
    """Log what ended a body before its end. Called in the context of its request.

    Args:
        error: What was raised.
    """
    import logging

    state: t.Any = current.get(None)
    of = f" of {state.method} {state.path}" if hasattr(state, "path") else ""
    logging.getLogger("bustapi").error(
        "generating the body%s failed; the client sees it cut off", of, exc_info=error
    )


def tell_taken(taken: Future[None]) -> None:
    """Say that a piece was taken, unless nobody waits for that any more.

    Args:
        taken: What the task waits on.
    """
    if not taken.done():
        taken.set_result(None)


def end_loop(loop: AbstractEventLoop) -> None:
    """Close an event loop, and before that end what is left on it, as `asyncio.run` does.

    Args:
        loop: A loop that does not run.
    """
    import asyncio  # a loop is there, so this is

    try:
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        if left:
            loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.run_until_complete(loop.shutdown_default_executor())
    finally:
        loop.close()
