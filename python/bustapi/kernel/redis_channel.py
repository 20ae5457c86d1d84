"""A channel over Redis: what one process publishes reaches the subscribers of all.

Needs the `redis` package (`pip install bustapi[redis]`). Redis hands on what is published and keeps nothing: a message
that is published while a process has lost its connection does not reach that process.
"""

from __future__ import annotations

import json
import threading
import typing as t
from importlib import import_module

from .channel import Channel, Slow

if t.TYPE_CHECKING:
    from types import TracebackType

#: How long the listening thread waits before it connects again, in seconds; doubled up to the second one.
_RETRY, _RETRY_MOST = 0.1, 5.0
#: How often the listening thread looks whether it is to end, in seconds.
_LOOK = 0.2


class RedisChannel(Channel[t.Any]):
    """A channel whose subscribers may be in any process.

    Publishing goes to Redis alone, and each process hands what it hears from there to its own subscribers, so that
    all of them see the same order. A thread listens from the first subscription until `close`, so that a later subscriber
    misses nothing while a connection is made.

    Args:
        url: Where Redis is, such as `redis://127.0.0.1:6379/0`.
        name: The channel's name there.
        queue: As for `Channel`.
        slow: As for `Channel`.
        dumps: Makes text or bytes of a message; JSON by default.
        loads: Makes a message of bytes; JSON by default.

    Raises:
        ImportError: The `redis` package is not installed.

    BustAPI only.
    """

    def __init__(
        self,
        url: str,
        name: str,
        *,
        queue: int = 100,
        slow: Slow = "drop_oldest",
        dumps: t.Callable[[t.Any], str | bytes] = json.dumps,
        loads: t.Callable[[bytes], t.Any] = json.loads,
    ) -> None:
        super().__init__(queue, slow)
        try:
            # By name: it is optional, also for type checkers.
            redis = import_module("redis")
        except ImportError:
            raise ImportError("RedisChannel needs the redis package: pip install 'bustapi[redis]'") from None
        self.name = name
        self._dumps = dumps
        self._loads = loads
        self._errors = (redis.RedisError, OSError)
        self._redis: t.Any = redis.Redis.from_url(url)
        self._thread: threading.Thread | None = None
        self._start = threading.Lock()
        self._ended = threading.Event()
        self._listening = threading.Event()

    def subscribe(self) -> t.Any:
        """Return a subscription; the first one starts the listening thread.

        Raises:
            RuntimeError: The channel is closed.
        """
        if self._ended.is_set():
            raise RuntimeError("the channel is closed")
        subscription = super().subscribe()
        with self._start:
            if self._thread is None:
                self._thread = threading.Thread(target=self._listen, name=f"channel-{self.name}", daemon=True)
                self._thread.start()
        return subscription

    def publish(self, message: t.Any) -> int:
        """Publish to every process.

        This waits for Redis: in a coroutine use `publish_async`.

        Args:
            message: What `dumps` takes.

        Returns:
            How many processes listen.

        Raises:
            redis.RedisError: Redis cannot be reached.
        """
        return int(self._redis.publish(self.name, self._dumps(message)))

    async def publish_async(self, message: t.Any) -> int:
        """Publish to every process from a coroutine; see `publish`."""
        import asyncio

        return await asyncio.get_running_loop().run_in_executor(None, self.publish, message)

    def wait_until_listening(self, timeout: float | None = None) -> bool:
        """Wait until Redis has confirmed that this process listens.

        Args:
            timeout: Seconds to wait at most.

        Returns:
            Whether it does.
        """
        return self._listening.wait(timeout)

    def close(self) -> None:
        """Stop listening, end all subscriptions, and close the connections to Redis."""
        self._ended.set()
        with self._lock:
            subscriptions = list(self._subscriptions)
        for subscription in subscriptions:
            subscription.close()
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join()
        self._redis.close()

    def __enter__(self) -> RedisChannel:
        return self

    def __exit__(
        self, exc_type: type | None, exc_value: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.close()

    def _listen(self) -> None:
        wait = _RETRY
        while not self._ended.is_set():
            try:
                with self._redis.pubsub() as heard:
                    heard.subscribe(self.name)
                    while not self._ended.is_set():
                        event = heard.get_message(timeout=_LOOK)
                        if event is None:
                            continue
                        if event["type"] == "subscribe":
                            self._listening.set()
                            wait = _RETRY
                        elif event["type"] == "message":
                            self._hand_out(event["data"])
            except self._errors as error:
                self._listening.clear()
                _log(f"channel {self.name!r}: {error}; connecting again in {wait:g} s")
                self._ended.wait(wait)
                wait = min(wait * 2, _RETRY_MOST)
        self._listening.clear()

    def _hand_out(self, data: bytes) -> None:
        try:
            message = self._loads(data)
        except Exception as error:
            # Somebody else publishes there as well; the others must go on.
            _log(f"channel {self.name!r}: a message cannot be read ({error})")
            return
        super().publish(message)


def _log(text: str) -> None:
    import logging

    logging.getLogger("bustapi.channel").warning(text)
