"""The threads of a process: whatever ends one of them ends all, and nobody waits for ever."""

from __future__ import annotations

import queue
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

    def __init__(self, threads: int, queue: int, grow: Callable[[], None]) -> None:
        self.closed = threading.Event()
        self.grow = grow

    def worker(self) -> None:
        FakePool.work(self)

    def close(self) -> None:
        self.closed.set()


class FakeWatchdog:
    """Reports what a test puts in, to the host's own thread."""

    made: list[FakeWatchdog] = []

    def __init__(self, limit: float | None) -> None:
        self.limit = limit
        self.reports: queue.Queue[tuple[str, int, int, float, int] | None] = queue.Queue()
        self.watched: list[object] = []
        self.made.append(self)

    def add(self, reactor: object) -> int:
        self.watched.append(reactor)
        return len(self.watched) - 1

    def remove(self, number: int) -> None:
        self.watched[number] = None

    def watch(self) -> tuple[str, int, int, float, int] | None:
        return self.reports.get(timeout=20)

    def is_still(self, number: int, beat: int) -> bool:
        return True

    def close(self) -> None:
        self.reports.put(None)


#: The threads there were when the test began.
BEFORE: set[threading.Thread] = set()


@pytest.fixture(autouse=True)
def others() -> None:
    BEFORE.clear()
    BEFORE.update(threading.enumerate())


@pytest.fixture(autouse=True)
def fakes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FakeReactor, "made", [])
    monkeypatch.setattr(FakeReactor, "behaviour", {})
    monkeypatch.setattr(bustapi._core, "Reactor", FakeReactor)
    monkeypatch.setattr(bustapi._core, "Pool", FakePool)
    monkeypatch.setattr(FakeWatchdog, "made", [])
    monkeypatch.setattr(bustapi._core, "Watchdog", FakeWatchdog)
    monkeypatch.setattr(bustapi._core, "Dispatcher", lambda app: app)


def make(threads: int = 3, **given: Any) -> ThreadHost:
    settings = Settings.resolve({"threads": threads, "pool_threads": 2, "grace": 0.2, **given}, {})
    return ThreadHost(object(), [[] for _ in range(threads)], settings)


def serve(host: ThreadHost) -> None:
    with host:
        host.start(hosted=False)
        host.serve_first(lambda reactor: reactor.run())


def names() -> list[str]:
    """Of the threads that the test has started; other tests' servers may leave some that end when they are idle."""
    return [
        thread.name
        for thread in threading.enumerate()
        if thread.name.startswith("bustapi") and thread not in BEFORE
    ]


def test_a_drain_ends_every_thread() -> None:
    host = make()
    threading.Timer(0.1, host.drain).start()
    serve(host)
    assert not host.failed
    assert [reactor.drained[0] for reactor in FakeReactor.made] == [0.2] * 3
    until(lambda: names() == [])


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
    until(lambda: names() == [])


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
    assert "still busy: bustapi-reactor-2" in capfd.readouterr().err
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


class FakeListener:
    def __init__(self) -> None:
        self.copies: list[FakeListener] = []
        self.closed = False

    def duplicate(self) -> FakeListener:
        self.copies.append(FakeListener())
        return self.copies[-1]

    def close(self) -> None:
        self.closed = True


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


def report(what: str, number: int) -> None:
    FakeWatchdog.made[0].reports.put((what, number, threading.get_ident(), 0.1, 1))


def doors(threads: int = 1, **given: Any) -> tuple[ThreadHost, list[FakeListener]]:
    listeners = [FakeListener() for _ in range(threads)]
    settings = Settings.resolve({"threads": threads, "pool_threads": 2, "grace": 0.2, **given}, {})
    return ThreadHost(object(), [[listener] for listener in listeners], settings), listeners  # type: ignore[list-item]


def test_a_reactor_that_a_view_holds_gets_a_spare_until_it_is_free() -> None:
    host, listeners = doors()
    with host:
        host.start(hosted=False)
        report("view", 0)
        until(lambda: "bustapi-spare-2" in names())
        report("view", 0)
        report("over", 0)
        until(lambda: "bustapi-spare-2" not in names())
        assert len(FakeReactor.made) == 2
        assert FakeReactor.made[1].drained == [3600.0]
        host.drain()
    assert all(copy.closed for copy in listeners[0].copies[:1])
    # Within the grace, which is short here, if the machine has time for it.
    until(lambda: names() == [])


def test_a_spare_that_is_held_gets_a_spare_too_and_all_end_with_the_server() -> None:
    host, _ = doors()
    with host:
        host.start(hosted=False)
        report("view", 0)
        until(lambda: "bustapi-spare-2" in names())
        report("view", 1)
        until(lambda: "bustapi-spare-3" in names())
        host.drain()
    # One that is made while the drain begins may be told twice.
    assert [set(reactor.drained) for reactor in FakeReactor.made] == [{0.2}] * 3
    until(lambda: names() == [])


def test_there_is_no_spare_for_the_host_of_an_event_loop() -> None:
    host, _ = doors(threads=2)
    with host:
        host.start(hosted=True)
        report("view", 0)
        report("view", 1)
        until(lambda: "bustapi-spare-3" in names())
        assert len(FakeReactor.made) == 3
        assert FakeReactor.made[2].host_of is FakeReactor.made[0]
        host.drain()
    until(lambda: names() == [])


def test_the_pools_threads_come_when_they_are_needed() -> None:
    host = make()
    with host:
        assert [name for name in names() if "pool" in name] == ["bustapi-pool-1"]
        pool: Any = host._pool
        pool.grow()
        assert [name for name in names() if "pool" in name] == ["bustapi-pool-1", "bustapi-pool-2"]
        host.drain()
    until(lambda: names() == [])


def test_what_was_chosen_for_the_run_is_told_to_the_application_and_taken_back() -> None:
    class App:
        pass

    app: Any = App()
    host = ThreadHost(app, [[]], Settings.resolve({"execution": "pool", "view_timeout": 2, "grace": 0.2}, {}))
    assert (app._run_execution, app._run_view_timeout) == ("pool", 2.0)
    with host:
        host.drain()
    assert vars(app) == {}
