"""The stop signals while serving, and the way back from them."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest

from bustapi.serve.signals import SAME, StopSignals
from run_helpers import eventually


class Calls:
    def __init__(self) -> None:
        self.drained = self.aborted = 0
        self.woken = threading.Event()

    def drain(self) -> None:
        self.drained += 1

    def abort(self) -> None:
        self.aborted += 1

    def stopping(self) -> StopSignals:
        return StopSignals(self.drain, self.abort, self.woken.set)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_drains_and_the_second_aborts(number: int) -> None:
    calls = Calls()
    before = {one: signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)}
    with calls.stopping() as signals:
        os.kill(os.getpid(), number)
        assert (calls.drained, calls.aborted, signals.received, signals.aborted) == (1, 0, number, False)
        time.sleep(SAME)
        os.kill(os.getpid(), signal.SIGTERM)
        assert (calls.drained, calls.aborted, signals.aborted) == (1, 1, True)
    assert {one: signal.getsignal(one) for one in before} == before
    assert signal.set_wakeup_fd(-1) == -1


def test_a_signal_and_its_double_are_one() -> None:
    calls = Calls()
    with calls.stopping() as signals:
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGTERM)
        assert (calls.drained, calls.aborted, signals.aborted) == (1, 0, False)


def test_a_signal_wakes_whoever_waits() -> None:
    calls = Calls()
    with calls.stopping():
        assert not calls.woken.is_set()
        os.kill(os.getpid(), signal.SIGTERM)
        assert calls.woken.wait(5)


def test_other_threads_install_nothing() -> None:
    calls = Calls()
    seen: list[object] = []
    before = signal.getsignal(signal.SIGTERM)

    def serve() -> None:
        with calls.stopping():
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=serve)
    thread.start()
    thread.join(5)
    assert seen == [before]


def test_a_former_wakeup_descriptor_hears_of_signals_and_comes_back() -> None:
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    signal.set_wakeup_fd(theirs.fileno())
    try:
        calls = Calls()
        with calls.stopping():
            os.kill(os.getpid(), signal.SIGTERM)
            ours.settimeout(5)
            assert ours.recv(16) == bytes([signal.SIGTERM])
        assert signal.set_wakeup_fd(-1) == theirs.fileno()
    finally:
        signal.set_wakeup_fd(-1)
        ours.close()
        theirs.close()


def test_its_thread_ends_with_it() -> None:
    with Calls().stopping():
        assert any(thread.name == "bustapi-signals" for thread in threading.enumerate())
    eventually(lambda: all(thread.name != "bustapi-signals" for thread in threading.enumerate()))


def test_a_main_thread_that_does_not_come_back_is_left_behind() -> None:
    program = """
import os, signal, time
from bustapi.serve.signals import StopSignals
def give_up(number):
    print("gave up", number, flush=True)
    os._exit(5)
with StopSignals(lambda: None, lambda: None, lambda: None, give_up, 0.1):
    os.kill(os.getpid(), signal.SIGTERM)
    while True:
        time.sleep(1)
"""
    begun = time.monotonic()
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=False
    )
    assert (result.stdout, result.returncode) == (f"gave up {signal.SIGTERM.value}\n", 5)
    assert 1.5 < time.monotonic() - begun < 10
