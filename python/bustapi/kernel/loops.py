"""The event loops of a serving process, and what belongs to each of them."""

from __future__ import annotations

import threading
import typing as t
from weakref import WeakKeyDictionary

if t.TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Awaitable, Callable

T = t.TypeVar("T")

#: The loops that serve, in the order of their reactors. Replaced as a whole, never changed.
_serving: tuple[AbstractEventLoop, ...] = ()
_lock = threading.Lock()
_locals: list[t.Any] = []


_hosts: set[int] = set()


def add(loop: AbstractEventLoop) -> None:
    """Note that a loop of this thread serves async views.

    Args:
        loop: The loop.
    """
    global _serving
    with _lock:
        _serving = (*_serving, loop)
        _hosts.add(threading.get_ident())


def remove(loop: AbstractEventLoop) -> None:
    """Note that a loop of this thread does not serve any more.

    Args:
        loop: The loop.
    """
    global _serving
    with _lock:
        _serving = tuple(other for other in _serving if other is not loop)
        _hosts.discard(threading.get_ident())


def is_host() -> bool:
    """Return whether this is the thread of a serving loop: it must not wait for one."""
    return threading.get_ident() in _hosts


def serving_loop() -> AbstractEventLoop | None:
    """Return the loop that a thread without one may have coroutines run on; None when there is none."""
    for loop in _serving:
        if loop.is_running():
            return loop
    return None


class LoopLocal(t.Generic[T]):
    """One object for each event loop, made when it is first asked for on that loop.

    Call it within a coroutine: `client()` is this loop's client.

    Args:
        factory: Makes the object; called on the loop's thread, while the loop runs.
        close: A coroutine function that gets the object when the server ends its loop.
    """

    def __init__(
        self, factory: Callable[[], T], *, close: Callable[[T], Awaitable[object]] | None = None
    ) -> None:
        self._factory = factory
        self._close = close
        self._made: WeakKeyDictionary[AbstractEventLoop, T] = WeakKeyDictionary()
        self._guard = threading.Lock()
        if close is not None:
            with _lock:
                _locals.append(self)

    def __call__(self) -> T:
        """Return the running loop's object.

        Raises:
            RuntimeError: No event loop runs in this thread.
        """
        import asyncio  # an application without async views does not need it

        loop = asyncio.get_running_loop()
        with self._guard:
            if loop in self._made:
                return self._made[loop]
        # Only this thread runs the loop: nobody else makes the same object meanwhile.
        made = self._factory()
        with self._guard:
            self._made[loop] = made
        return made

    async def close(self) -> None:
        """Close the running loop's object, if it was made."""
        import asyncio

        with self._guard:
            made = self._made.pop(asyncio.get_running_loop(), None)
        if made is not None and self._close is not None:
            await self._close(made)


def loop_local(
    factory: Callable[[], T], *, close: Callable[[T], Awaitable[object]] | None = None
) -> LoopLocal[T]:
    """Return a function that gives each event loop an object of its own.

    With `loops="per-thread"` an application has several loops, and a client, lock or pool belongs to one of them:

        client = loop_local(httpx.AsyncClient, close=httpx.AsyncClient.aclose)

        @app.get("/")
        async def view():
            return (await client().get(url)).json()

    Args:
        factory: Makes the object.
        close: A coroutine function that gets the object when the server ends its loop.

    Compatible with: BustAPI only.
    """
    return LoopLocal(factory, close=close)


async def close_locals() -> None:
    """Close what belongs to the running loop; one that fails does not keep the others from it."""
    with _lock:
        held = tuple(_locals)
    for local in held:
        try:
            await local.close()
        except Exception:
            import logging

            logging.getLogger("bustapi").exception("closing an object of the event loop failed")
