"""What `stream_with_context` makes of an async iterator: one whose pieces are made in the contexts of its request.

The pieces may be asked for by one task or by a task each, and a token of the context variable is only good in the
`contextvars.Context` that it was made in. So every step is taken in one `Context` of the stream's own, a copy of that
which it was made in. The request's contexts are pushed there before the request can end, and left with the last piece
or with `aclose`, when the teardown functions run, as Flask has it.
"""

from __future__ import annotations

import asyncio
import sys
import typing as t
from contextvars import Context, copy_context

from ..kernel.aio import run_sync
from ..kernel.loops import serving_loop
from ._native.pipeline import _end_app_context, _send, pop_async
from .ctx import _innermost
from .globals import _cv_app, _cv_request
from .signals import appcontext_popped

if t.TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Generator

    from .ctx import AppContext, RequestContext


class AsyncStream:
    """An async iterator over pieces that are made in the current contexts.

    Args:
        source: Makes the pieces; closed at the end if it can be.
        app_context: The current application context.
        request_context: The current request context.
    """

    def __init__(
        self, source: AsyncIterable[t.Any], app_context: AppContext, request_context: RequestContext
    ) -> None:
        self._source = source
        self._app_context = app_context
        self._request_context = request_context
        self._context = copy_context()
        #: Made with the first piece, so that a stream nobody asks for is no cycle and goes with its last reference.
        self._pieces: AsyncGenerator[t.Any, None] | None = None
        self._is_over = False
        self._context.run(self._enter)

    def __aiter__(self) -> AsyncStream:
        return self

    def __anext__(self) -> Awaitable[t.Any]:
        if self._pieces is None:
            self._pieces = self._generate()
        return _Step(self._context, self._pieces.__anext__())

    async def aclose(self) -> None:
        """Close the source and leave the contexts."""
        await _Step(self._context, self._leave(None) if self._pieces is None else self._pieces.aclose())

    def __del__(self) -> None:
        if self._pieces is not None or self._is_over or sys.is_finalizing():
            return
        # Of a response that was not sent (to HEAD, say). Teardown functions may have to be awaited, and not here where
        # a loop runs or is waited for.
        loop = asyncio._get_running_loop() or serving_loop()
        if loop is None:
            run_sync(self._give_up)()
        else:
            asyncio.run_coroutine_threadsafe(self._give_up(), loop)

    async def _give_up(self) -> None:
        try:
            await self.aclose()
        except Exception:
            self._app_context.app.logger.exception("ending a request whose body was not sent failed")

    def _enter(self) -> None:
        # Not by `push`, which says that the context begins, and may match the request again.
        self._app_context._cv_tokens.append(_cv_app.set(self._app_context))
        self._request_context._cv_tokens.append((_cv_request.set(self._request_context), None))

    async def _leave(self, error: BaseException | None) -> None:
        if self._is_over:
            return
        self._is_over = True
        app, pushes = self._app_context.app, self._app_context._cv_tokens
        try:
            await pop_async(app, self._request_context, error)
        finally:
            is_last = len(pushes) == 1
            try:
                if is_last:
                    await _end_app_context(app, error)
            finally:
                _cv_app.reset(pushes.pop(_innermost(pushes)))
        if is_last:
            await _send(appcontext_popped, app)

    async def _generate(self) -> AsyncGenerator[t.Any, None]:
        failure: BaseException | None = None
        try:
            async for piece in self._source:
                yield piece
        except BaseException as error:
            failure = error
            raise
        finally:
            try:
                aclose = getattr(self._source, "aclose", None)
                if aclose is not None:
                    await aclose()
            finally:
                await self._leave(failure)


class _Step:
    """An awaitable that is awaited in a `Context` of its own, in whichever task that happens.

    Args:
        context: Where.
        awaitable: What is awaited.
    """

    __slots__ = ("_awaitable", "_context")

    def __init__(self, context: Context, awaitable: Awaitable[t.Any]) -> None:
        self._context = context
        self._awaitable = awaitable

    def __await__(self) -> Generator[t.Any, t.Any, t.Any]:
        steps: t.Any = self._awaitable.__await__()
        resume, value = steps.send, None
        while True:
            try:
                waiting = self._context.run(resume, value)
            except StopIteration as over:
                return over.value
            try:
                resume, value = steps.send, (yield waiting)
            except BaseException as error:
                # Cancelled, say: raised where the source waits.
                resume, value = steps.throw, error
