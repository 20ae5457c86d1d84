"""The threads of a process: whatever ends one of them ends all, and nobody waits for ever."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

import bustapi._core
from bustapi.serve import Settings
from bustapi.serve.host import ThreadHost


class FakeReactor:
    """Serves until it is told to end, or until `behaviour` returns or raises."""

    behaviour: dict[int, Callable[[], None]] = {}
    made: list[FakeReactor] = []

    def __init__(
        self, dispatcher: object, listeners: list[Any], settings: dict[str, object], pool: object
    ) -> None:
        self.index = len(self.made)
        self.made.append(self)
        self.over = threading.Event()
        self.drained: list[float] = []
        self.aborted = False
        self.host_of: FakeReactor | None = None

    def run(self) -> None:
        self.behaviour.get(self.index, lambda: self.over.wait(20))()

    def drain(self, grace: float) -> None:
        self.drained.append(grace)
        self.over.set()

    def abort(self) -> None:
        self.aborted = True
        self.over.set()

    def use_loop_of(self, host: FakeReactor) -> None:
        self.host_of = host


class FakePool:
    work: Callable[[FakePool], None] = staticmethod(lambda pool: pool.closed.wait(20))

    def __init__(self, threads: int, queue: int) -> None:
        self.closed = threading.Event()

    def worker(self) -> None:
        FakePool.work(self)

    def close(self) -> None:
        self.closed.set()


@pytest.fixture(autouse=True)
def fakes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FakeReactor, "made", [])
    monkeypatch.setattr(FakeReactor, "behaviour", {})
    monkeypatch.setattr(bustapi._core, "Reactor", FakeReactor)
    monkeypatch.setattr(bustapi._core, "Pool", FakePool)
    monkeypatch.setattr(bustapi._core, "Dispatcher", lambda app: app)


def make(threads: int = 3, **given: Any) -> ThreadHost:
    settings = Settings.resolve({"threads": threads, "pool_threads": 2, "grace": 0.2, **given}, {})
    return ThreadHost(object(), [[] for _ in range(threads)], settings)


def serve(host: ThreadHost) -> None:
    with host:
        host.start(hosted=False)
        host.serve_first(lambda reactor: reactor.run())


def names() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("bustapi")]


def test_a_drain_ends_every_thread() -> None:
    host = make()
    threading.Timer(0.1, host.drain).start()
    serve(host)
    assert not host.failed
    assert [reactor.drained[0] for reactor in FakeReactor.made] == [0.2] * 3
    assert names() == []


@pytest.mark.parametrize("index", [0, 1])
def test_a_reactor_that_raises_takes_the_process_down_through_a_drain(
    index: int, capfd: pytest.CaptureFixture[str]
) -> None:
    def fails() -> None:
        raise OSError("the poll is gone")

    FakeReactor.behaviour[index] = fails
    host = make()
    serve(host)
    assert host.failed
    assert all(reactor.drained for reactor in FakeReactor.made)
    assert (
        f"reactor {index + 1} ended unexpectedly; the server stops (OSError: the poll is gone)"
        in capfd.readouterr().err
    )
    assert names() == []


@pytest.mark.parametrize("index", [0, 2])
def test_a_reactor_that_just_ends_does_so_too(index: int, capfd: pytest.CaptureFixture[str]) -> None:
    FakeReactor.behaviour[index] = lambda: None
    host = make()
    serve(host)
    assert host.failed
    assert f"reactor {index + 1} ended unexpectedly; the server stops\n" in capfd.readouterr().err


def test_a_pool_thread_that_ends_does_so_too(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(FakePool, "work", lambda pool: None)
    host = make()
    serve(host)
    assert host.failed
    assert "bustapi-pool-1 ended unexpectedly" in capfd.readouterr().err


def test_a_thread_that_does_not_come_back_is_named_and_left(capfd: pytest.CaptureFixture[str]) -> None:
    release = threading.Event()
    FakeReactor.behaviour[1] = lambda: release.wait(20) and None
    host = make(threads=2)
    threading.Timer(0.05, host.abort).start()
    begun = time.monotonic()
    serve(host)
    assert host.stuck
    assert time.monotonic() - begun < 2
    assert "still busy after the grace of 0.2 s: bustapi-reactor-2" in capfd.readouterr().err
    release.set()


def test_async_views_of_every_thread_share_the_first_ones_loop() -> None:
    host = make()
    with host:
        host.start(hosted=True)
        first, *others = FakeReactor.made
        assert [reactor.host_of for reactor in others] == [first, first]
        host.drain()


def test_the_switch_interval_is_the_pools() -> None:
    before = sys.getswitchinterval()
    host = make(switch_interval=0.002)
    with host:
        assert sys.getswitchinterval() == pytest.approx(0.002)
        host.drain()
    assert sys.getswitchinterval() == before
    host = make(pool_threads=0)
    with host:
        assert sys.getswitchinterval() == before
        host.drain()


def test_a_system_without_threads_is_one_error(monkeypatch: pytest.MonkeyPatch) -> None:
    from bustapi.serve import ServeError

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    host = make()
    monkeypatch.setattr(threading.Thread, "start", refuse)
    with pytest.raises(ServeError, match=r"^pool_threads: the system refused another thread"):
        host.__enter__()
    assert all(reactor.aborted for reactor in FakeReactor.made)
