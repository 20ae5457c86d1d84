"""Channels: order, bounds, and ends."""

from __future__ import annotations

import asyncio
import shutil
import socket
import subprocess
import threading
import time

import pytest

from bustapi import Channel, RedisChannel, SlowConsumer

WAIT = 10.0


def test_every_subscriber_gets_what_is_published_while_it_is_there():
    channel = Channel[int]()
    assert channel.publish(0) == 0
    with channel.subscribe() as one, channel.subscribe() as two:
        assert len(channel) == 2
        assert channel.publish(1) == 2
        two.close()
        assert channel.publish(2) == 1
        assert [one.get_blocking(WAIT), one.get_blocking(WAIT)] == [1, 2]
        assert list(two) == [1]
    assert len(channel) == 0
    assert channel


def test_coroutines_are_woken_from_any_thread():
    channel = Channel[int]()

    async def main() -> list[int]:
        got: list[int] = []
        async with channel.subscribe() as messages:
            thread = threading.Thread(target=lambda: [channel.publish(number) for number in range(50)])
            thread.start()
            async for message in messages:
                got.append(message)
                if message == 49:
                    break
            thread.join()
            channel.publish(50)
            got.append(await asyncio.wait_for(messages.get(), WAIT))
        return got

    assert asyncio.run(main()) == list(range(51))


def test_a_waiting_coroutine_can_be_cancelled():
    channel = Channel[str]()

    async def main() -> None:
        with channel.subscribe() as messages:
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(messages.get(), 0.01)
            channel.publish("later")
            assert await messages.get() == "later"

    asyncio.run(main())


def test_a_second_coroutine_that_waits_is_told():
    channel = Channel[str]()

    async def main() -> tuple[str, int]:
        with channel.subscribe() as messages:
            first = asyncio.ensure_future(messages.get())
            await asyncio.sleep(0)
            with pytest.raises(RuntimeError, match="another coroutine waits"):
                await messages.get()
            channel.publish("for the first")
            return await asyncio.wait_for(first, WAIT), len(channel)

    assert asyncio.run(main()) == ("for the first", 1)


def test_what_a_lost_message_does_may_use_the_channel():
    channel = Channel[object](queue=1)

    class Goodbye:
        def __del__(self) -> None:
            channel.publish("gone")

    with channel.subscribe() as messages, channel.subscribe() as others:
        channel.publish(Goodbye())
        others.close()
        assert isinstance(others.get_blocking(WAIT), Goodbye)
        channel.publish("another")
        assert messages.get_blocking(WAIT) in ("another", "gone")


def test_a_subscription_can_be_closed_while_the_channel_is_locked():
    """As the garbage collector does it, at any moment."""
    channel = Channel[str]()
    messages = channel.subscribe()
    with channel._lock, messages._lock:
        messages.close()
    assert list(messages) == []
    assert len(channel) == 0


def test_threads_time_out_and_are_ended():
    channel = Channel[str]()
    with channel.subscribe() as messages, pytest.raises(TimeoutError):
        messages.get_blocking(0.01)
    messages = channel.subscribe()
    got: list[str] = []
    thread = threading.Thread(target=lambda: got.extend(messages))
    thread.start()
    channel.publish("one")
    channel.publish("two")
    messages.close()
    thread.join(WAIT)
    assert not thread.is_alive()
    assert got == ["one", "two"]


def test_the_end_wakes_every_thread_that_waits():
    channel = Channel[int]()
    messages = channel.subscribe()
    got: list[int] = []
    threads = [threading.Thread(target=lambda: got.extend(messages), daemon=True) for _ in range(3)]
    for thread in threads:
        thread.start()
    for number in range(5):
        channel.publish(number)
    # So that they wait for more, which no message says.
    time.sleep(0.1)
    messages.close()
    for thread in threads:
        thread.join(WAIT)
    assert not any(thread.is_alive() for thread in threads)
    assert sorted(got) == list(range(5))


@pytest.mark.parametrize(("slow", "kept"), [("drop_oldest", [3, 4]), ("drop_newest", [0, 1])])
def test_a_slow_subscriber_loses_messages(slow, kept):
    channel = Channel[int](queue=2, slow=slow)
    with channel.subscribe() as messages:
        for number in range(5):
            channel.publish(number)
        assert messages.dropped == 3
        assert [messages.get_blocking(WAIT) for _ in range(2)] == kept


def test_a_slow_subscriber_can_be_dropped():
    channel = Channel[int](queue=2, slow="disconnect")
    with channel.subscribe() as messages:
        for number in range(5):
            channel.publish(number)
        assert len(channel) == 0
        assert [messages.get_blocking(WAIT) for _ in range(2)] == [0, 1]
        with pytest.raises(SlowConsumer):
            messages.get_blocking(WAIT)


def test_settings_are_checked():
    with pytest.raises(ValueError, match="at least one"):
        Channel(queue=0)
    with pytest.raises(ValueError, match="slow must be"):
        Channel(slow="never")


@pytest.fixture(scope="module")
def redis_url(tmp_path_factory):
    pytest.importorskip("redis")
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("redis-server is not installed")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"],
        cwd=tmp_path_factory.mktemp("redis"),
        stdout=subprocess.DEVNULL,
    )
    try:
        end = time.monotonic() + WAIT
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                assert time.monotonic() < end, "redis-server did not start"
                time.sleep(0.02)
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        process.terminate()
        process.wait(WAIT)


def test_redis_joins_the_channels_of_several_processes(redis_url):
    import redis

    with RedisChannel(redis_url, "room") as here, RedisChannel(redis_url, "room") as there:
        one, two = here.subscribe(), there.subscribe()
        for channel in (here, there):
            assert channel.wait_until_listening(WAIT)
        assert here.publish({"from": "here"}) == 2
        assert asyncio.run(there.publish_async({"from": "there"})) == 2
        for messages in (one, two):
            assert messages.get_blocking(WAIT) == {"from": "here"}
            assert messages.get_blocking(WAIT) == {"from": "there"}
        # What others put there is skipped when it cannot be read.
        redis.Redis.from_url(redis_url).publish("room", b"{")
        here.publish("after")
        assert one.get_blocking(WAIT) == "after"
        # The other channel hears of it by a thread of its own; then what waits outlasts the end.
        end = time.monotonic() + WAIT
        while not two._messages:
            assert time.monotonic() < end, "the message did not come"
            time.sleep(0.01)
    assert list(two) == ["after"]
    with pytest.raises(RuntimeError):
        here.subscribe()


def test_redis_is_listened_to_until_the_channel_is_closed(redis_url):
    with RedisChannel(redis_url, "kept") as channel:
        with channel.subscribe():
            assert channel.wait_until_listening(WAIT)
        with channel.subscribe() as later:
            assert channel.publish("at once") == 1
            assert later.get_blocking(WAIT) == "at once"
    assert channel._thread is not None
    assert not channel._thread.is_alive()


def test_redis_channels_connect_again(redis_url):
    import redis

    with RedisChannel(redis_url, "again") as channel:
        messages = channel.subscribe()
        assert channel.wait_until_listening(WAIT)
        redis.Redis.from_url(redis_url).client_kill_filter(_type="pubsub")
        end = time.monotonic() + WAIT
        while True:
            assert time.monotonic() < end, "it did not connect again"
            channel.publish("hello")
            try:
                assert messages.get_blocking(0.1) == "hello"
                break
            except TimeoutError:
                continue
