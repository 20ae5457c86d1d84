"""Messages to many: a channel hands what is published to every subscriber, each at its own pace.

Nothing here knows WebSockets: a subscriber is whoever iterates, and what is published can be anything.
"""

from __future__ import annotations

import threading
import typing as t
from collections import deque

if t.TYPE_CHECKING:
    import asyncio
    from collections.abc import Coroutine
    from types import TracebackType

T = t.TypeVar("T")

#: What happens to a subscriber that does not keep up.
Slow = t.Literal["drop_oldest", "drop_newest", "disconnect"]
_POLICIES = ("drop_oldest", "drop_newest", "disconnect")


class SlowConsumer(Exception):
    """The subscriber did not keep up and was dropped from its channel.

    BustAPI only.
    """


class Channel(t.Generic[T]):
    """A channel of this process: what is published reaches every subscriber that is there at that moment.

    `publish` never waits and may be called from any thread. Subscribers iterate, in coroutines or threads::

        async with channel.subscribe() as messages:
            async for message in messages:
                await ws.send(message)

    Args:
        queue: Messages that may wait for one subscriber.
        slow: What happens when that is not enough: `"drop_oldest"` and `"drop_newest"` lose a message,
            `"disconnect"` ends the subscription with `SlowConsumer` once the waiting messages are taken.

    Raises:
        ValueError: `queue` is not positive, or `slow` is none of these.

    BustAPI only.
    """

    def __init__(self, queue: int = 100, slow: Slow = "drop_oldest") -> None:
        if queue < 1:
            raise ValueError("a queue has room for at least one message")
        if slow not in _POLICIES:
            raise ValueError(f"slow must be one of {', '.join(map(repr, _POLICIES))}, not {slow!r}")
        self.queue = queue
        self.slow = slow
        # Entered again by the same thread where the garbage collector closes a generator that has a subscription.
        self._lock = threading.RLock()
        self._subscriptions: set[Subscription[T]] = set()

    def subscribe(self) -> Subscription[T]:
        """Return a subscription, which receives from now on; use it as a context manager, or `close` it."""
        subscription = Subscription(self)
        with self._lock:
            self._subscriptions.add(subscription)
        return subscription

    def publish(self, message: T) -> int:
        """Hand a message to every subscriber.

        Args:
            message: The message; subscribers share it.

        Returns:
            How many subscribers there are.
        """
        with self._lock:
            subscriptions = list(self._subscriptions)
        here = _running_loop()
        for subscription in subscriptions:
            subscription._put(message, here)
        return len(subscriptions)

    def __len__(self) -> int:
        """Count the subscribers."""
        return len(self._subscriptions)

    # Not by its length: a channel without subscribers is one.
    def __bool__(self) -> bool:
        return True

    def _forget(self, subscription: Subscription[T]) -> None:
        with self._lock:
            self._subscriptions.discard(subscription)


class Subscription(t.Generic[T]):
    """One subscriber's messages: iterate over it with `async for` or `for`, not both.

    BustAPI only.
    """

    def __init__(self, channel: Channel[T]) -> None:
        self._channel = channel
        self._lock = threading.RLock()
        #: Of the threads that wait, made for the first of them.
        self._changed: threading.Condition | None = None
        self._messages: deque[T] = deque()
        #: Of the coroutine that waits.
        self._waiter: asyncio.Future[None] | None = None
        self._closed = False
        self._too_slow = False
        #: Messages that were lost, because this subscriber did not keep up.
        self.dropped = 0

    def close(self) -> None:
        """Receive no more; iterating ends when what is waiting has been taken."""
        self._channel._forget(self)
        with self._lock:
            self._closed = True
            waiter = self._wake()
        if waiter is not None:
            _release(waiter, _running_loop())

    def _put(self, message: T, here: asyncio.AbstractEventLoop | None) -> None:
        """Take a message from a thread on which the loop `here` runs."""
        lost = None
        with self._lock:
            if self._closed:
                return
            if len(self._messages) >= self._channel.queue:
                self.dropped += 1
                if self._channel.slow == "drop_newest":
                    return
                if self._channel.slow == "disconnect":
                    self._closed = self._too_slow = True
                else:
                    # Let go without the lock.
                    lost = self._messages.popleft()
            if not self._closed:
                self._messages.append(message)
            waiter = self._wake()
        del lost
        if self._too_slow:
            self._channel._forget(self)
        if waiter is not None:
            _release(waiter, here)

    def _wake(self) -> asyncio.Future[None] | None:
        if self._changed is not None:
            # A message is for one of the threads that wait, the end for all of them.
            self._changed.notify_all() if self._closed else self._changed.notify()
        waiter, self._waiter = self._waiter, None
        return waiter

    def _has_news(self) -> bool:
        return bool(self._messages) or self._closed

    def _fail(self) -> None:
        """Say what became of a subscriber that did not keep up."""
        if self._too_slow:
            raise SlowConsumer(f"more than {self._channel.queue} messages were waiting")

    async def get(self) -> T:
        """Wait for the next message.

        Raises:
            StopAsyncIteration: The subscription is closed.
            SlowConsumer: It did not keep up.
            RuntimeError: Another coroutine waits already.
        """
        import asyncio

        while True:
            with self._lock:
                if self._messages:
                    return self._messages.popleft()
                self._fail()
                if self._closed:
                    raise StopAsyncIteration
                if self._waiter is not None and not self._waiter.done():
                    raise RuntimeError("another coroutine waits for this subscription's messages already")
                waiter = self._waiter = asyncio.get_running_loop().create_future()
            await waiter

    def get_blocking(self, timeout: float | None = None) -> T:
        """Wait for the next message on this thread.

        Args:
            timeout: Seconds to wait at most.

        Raises:
            TimeoutError: No message came in time.
            StopIteration: The subscription is closed.
            SlowConsumer: It did not keep up.
        """
        with self._lock:
            if not self._has_news():
                if self._changed is None:
                    self._changed = threading.Condition(self._lock)
                if not self._changed.wait_for(self._has_news, timeout):
                    raise TimeoutError("no message came in time")
            if self._messages:
                return self._messages.popleft()
            self._fail()
            raise StopIteration

    def __aiter__(self) -> Subscription[T]:
        return self

    def __anext__(self) -> Coroutine[t.Any, t.Any, T]:
        return self.get()

    def __iter__(self) -> Subscription[T]:
        return self

    def __next__(self) -> T:
        return self.get_blocking()

    def __enter__(self) -> Subscription[T]:
        return self

    def __exit__(
        self, exc_type: type | None, exc_value: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Subscription[T]:
        return self

    async def __aexit__(
        self, exc_type: type | None, exc_value: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.close()


def _running_loop() -> asyncio.AbstractEventLoop | None:
    """Return the loop that runs on this thread."""
    import asyncio

    return asyncio._get_running_loop()


def _release(waiter: asyncio.Future[None], here: asyncio.AbstractEventLoop | None) -> None:
    """Let a coroutine go on, from a thread on which the loop `here` runs."""
    loop = waiter.get_loop()
    if loop is here:
        _finish(waiter)
        return
    try:
        loop.call_soon_threadsafe(_finish, waiter)
    except RuntimeError:
        # The loop is closed, and nobody waits any more.
        return


def _finish(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
