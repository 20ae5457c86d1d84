"""The supervisor with small programs in the place of workers."""

from __future__ import annotations

import os
import signal
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bustapi.serve import supervisor as module
from bustapi.serve.supervisor import Supervisor
from run_helpers import eventually

# A worker that reports, says that it lives with a file of its own, and drains at SIGTERM.
GOOD = """
    import os, signal, socket, sys, time
    lifeline = socket.socket(fileno=int(os.environ["BUSTAPI_WORKER_LIFELINE"]))
    slot = os.environ["BUSTAPI_WORKER_SLOT"]
    def write(name, text):
        # By the system's calls: a signal may come at any moment, within an import too.
        file = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.write(file, text.encode("ascii"))
        os.close(file)
    def drain(*_):
        write(f"drained-{slot}", "x")
        sys.exit(0)
    signal.signal(signal.SIGTERM, drain)
    write(f"started-{slot}-{os.getpid()}", os.environ["BUSTAPI_WORKER_FDS"])
    lifeline.send(b"R")
    # A signal that comes just before a wait does not end it: no wait is long.
    lifeline.settimeout(0.05)
    while True:
        try:
            if not lifeline.recv(1):
                break
        except socket.timeout:
            pass
"""


def program(folder: Path, source: str) -> list[str]:
    path = folder / "worker.py"
    path.write_text(f"import os\nos.chdir({str(folder)!r})\n" + textwrap.dedent(source))
    return [sys.executable, "-S", "-E", str(path)]


class Run:
    """A supervisor at work in a thread."""

    def __init__(self, supervisor: Supervisor) -> None:
        self.supervisor = supervisor
        self.code: int | None = None
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        self.code = self.supervisor.run()

    def wait(self, seconds: float = 15.0) -> int | None:
        self.thread.join(seconds)
        assert not self.thread.is_alive(), "the supervisor does not end"
        return self.code


@contextmanager
def supervising(command: list[str], slots: int = 2, grace: float = 5.0) -> Iterator[Run]:
    run = Run(Supervisor(command, [[[]] for _ in range(slots)], grace, os.environ))
    try:
        yield run
    finally:
        run.supervisor.abort()
        run.wait()


def pids(folder: Path, slot: int) -> set[int]:
    return {int(path.name.rpartition("-")[2]) for path in folder.glob(f"started-{slot}-*")}


def test_every_slot_gets_a_worker_and_a_stop_drains_them(tmp_path: Path) -> None:
    with supervising(program(tmp_path, GOOD), slots=3) as run:
        eventually(lambda: all(pids(tmp_path, slot) for slot in range(3)))
        eventually(lambda: all(slot.ready for slot in run.supervisor.slots))
        run.supervisor.stop()
        assert run.wait() == 0
    assert sorted(path.name for path in tmp_path.glob("drained-*")) == ["drained-0", "drained-1", "drained-2"]


def test_a_killed_worker_is_replaced_within_a_second(tmp_path: Path) -> None:
    with supervising(program(tmp_path, GOOD)) as run:
        eventually(lambda: all(slot.ready for slot in run.supervisor.slots))
        (first,) = pids(tmp_path, 0)
        other = pids(tmp_path, 1)
        begun = time.monotonic()
        os.kill(first, signal.SIGKILL)
        eventually(lambda: len(pids(tmp_path, 0)) == 2)
        assert time.monotonic() - begun < 1.0
        assert pids(tmp_path, 1) == other
        eventually(lambda: all(slot.ready for slot in run.supervisor.slots))
        run.supervisor.stop()
        assert run.wait() == 0


def test_workers_that_never_serve_are_given_up(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with supervising(program(tmp_path, "raise SystemExit(3)"), slots=1) as run:
        begun = time.monotonic()
        assert run.wait(30) == 1
        # With a pause between the attempts, not as fast as the system can.
        assert time.monotonic() - begun > 1
    lines = capfd.readouterr().err.splitlines()
    assert "worker 0 exited with code 3; starting another" in lines[0]
    assert lines[-1] == "worker 0 exited with code 3; no worker ever served, giving up"


def test_a_slot_that_keeps_dying_young_is_given_pauses(tmp_path: Path) -> None:
    dies = GOOD.replace("while True:", "time.sleep(0.05); os._exit(9)\n    while True:")
    with supervising(program(tmp_path, dies), slots=1) as run:
        eventually(lambda: len(pids(tmp_path, 0)) >= 3)
        begun = time.monotonic()
        eventually(lambda: len(pids(tmp_path, 0)) >= 5)
        assert time.monotonic() - begun > 0.9
        run.supervisor.stop()
        assert run.wait() == 0


def test_a_worker_that_does_not_drain_is_killed_after_the_grace(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    deaf = GOOD.replace("sys.exit(0)", "time.sleep(60)")
    with supervising(program(tmp_path, deaf), slots=1, grace=0.2) as run:
        eventually(lambda: run.supervisor.slots[0].ready)
        begun = time.monotonic()
        run.supervisor.stop()
        assert run.wait() == 1
        assert time.monotonic() - begun < 5
    assert "killing worker 0, which did not drain within 0.2 s" in capfd.readouterr().err


def test_an_abort_waits_for_nobody(tmp_path: Path) -> None:
    deaf = GOOD.replace("sys.exit(0)", "time.sleep(60)")
    with supervising(program(tmp_path, deaf), grace=60) as run:
        eventually(lambda: all(slot.ready for slot in run.supervisor.slots))
        run.supervisor.stop()
        time.sleep(0.2)
        begun = time.monotonic()
        run.supervisor.abort()
        run.wait()
        assert time.monotonic() - begun < 3


def test_a_failure_while_draining_is_the_supervisors_exit_code(tmp_path: Path) -> None:
    with supervising(program(tmp_path, GOOD.replace("sys.exit(0)", "os._exit(70)")), slots=1) as run:
        eventually(lambda: run.supervisor.slots[0].ready)
        run.supervisor.stop()
        assert run.wait() == 1


def test_workers_inherit_their_slots_descriptors_and_no_others(tmp_path: Path) -> None:
    lists = GOOD + "\n    open('never', 'w')\n"
    source = lists.replace(
        "lifeline.send",
        "open(f'fds-{slot}', 'w').write(' '.join(sorted(os.listdir('/proc/self/fd'), key=int)))\n    lifeline.send",
    )
    if not sys.platform.startswith("linux"):
        pytest.skip("reads /proc")
    read, write = os.pipe()
    try:
        run = Run(Supervisor(program(tmp_path, source), [[[read]], [[write]]], 5.0, os.environ))
        try:
            eventually(lambda: all(slot.ready for slot in run.supervisor.slots))
            eventually(lambda: len(list(tmp_path.glob("fds-*"))) == 2)
        finally:
            run.supervisor.stop()
            assert run.wait() == 0
        for slot, (own, other) in enumerate([(read, write), (write, read)]):
            open_ones = {int(fd) for fd in (tmp_path / f"fds-{slot}").read_text().split()}
            assert own in open_ones
            assert other not in open_ones
    finally:
        os.close(read)
        os.close(write)


def test_a_command_that_cannot_be_started_is_given_up(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with supervising([str(tmp_path / "nothing")], slots=1) as run:
        assert run.wait(30) == 1
    assert "worker 0 cannot be started: No such file or directory" in capfd.readouterr().err


#: Takes a while until it is ready, and asks for a replacement when its file says so.
SLOW = GOOD.replace("lifeline.send", "time.sleep(0.3)\n    lifeline.send").replace(
    "pass",
    """if os.path.exists(f"spent-{os.getpid()}"):
                os.unlink(f"spent-{os.getpid()}")
                lifeline.send(b"N")""",
)


def current(run: Run, slot: int) -> int:
    process = run.supervisor.slots[slot].current
    assert process is not None
    return process.pid


def wait_until_ready(run: Run) -> list[int]:
    eventually(lambda: all(slot.ready for slot in run.supervisor.slots))
    return [current(run, slot.index) for slot in run.supervisor.slots]


def test_a_reload_replaces_one_worker_after_the_other(tmp_path: Path) -> None:
    with supervising(program(tmp_path, SLOW), slots=3) as run:
        former = wait_until_ready(run)
        run.supervisor.reload()
        most = 0

        def replaced() -> bool:
            nonlocal most
            slots = run.supervisor.slots
            assert all(slot.ready for slot in slots)
            most = max(most, sum(slot.starting is not None for slot in slots))
            return not set(former) & {current(run, slot.index) for slot in slots}

        eventually(replaced)
        assert most == 1
        eventually(lambda: len(list(tmp_path.glob("drained-*"))) == 3)
        run.supervisor.stop()
        assert run.wait() == 0


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the supervisor says. To ask for captured output again and again loses what is written meanwhile."""
    lines: list[str] = []
    monkeypatch.setattr(module, "say", lines.append)
    return lines


def test_a_failed_reload_is_given_up_and_keeps_the_old_workers(tmp_path: Path, said: list[str]) -> None:
    command = program(tmp_path, SLOW)
    with supervising(command) as run:
        former = wait_until_ready(run)
        program(tmp_path, "raise SystemExit(3)")
        run.supervisor.reload()
        all_of_it = [
            "reloading 2 workers",
            "reload failed: the new worker 0 exited with code 3; the old code keeps serving",
        ]
        eventually(lambda: len(said) >= len(all_of_it))
        time.sleep(1.0)
        assert [current(run, slot) for slot in (0, 1)] == former
        assert said == all_of_it
        run.supervisor.stop()
        assert run.wait() == 0


def test_another_reload_drops_the_start_that_is_under_way(tmp_path: Path) -> None:
    with supervising(program(tmp_path, SLOW), slots=1) as run:
        wait_until_ready(run)
        never = program(tmp_path, GOOD.replace("lifeline.send", "time.sleep(60)\n    lifeline.send"))
        run.supervisor.reload()
        eventually(lambda: len(pids(tmp_path, 0)) == 2)
        stuck = run.supervisor.slots[0].starting
        assert stuck is not None
        assert never == program(tmp_path, GOOD)
        run.supervisor.reload()
        eventually(lambda: len(pids(tmp_path, 0)) == 3 and run.supervisor.slots[0].starting is None)
        assert stuck.poll() is not None
        run.supervisor.stop()
        assert run.wait() == 0


def test_a_worker_that_has_used_up_its_quota_is_replaced(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with supervising(program(tmp_path, SLOW)) as run:
        first, second = wait_until_ready(run)
        (tmp_path / f"spent-{second}").touch()
        eventually(lambda: current(run, 1) != second)
        assert current(run, 0) == first
        run.supervisor.stop()
        assert run.wait() == 0
    assert f"worker 1 (process {second}) is replaced by process " in capfd.readouterr().err


def test_a_replacement_that_fails_is_tried_again(tmp_path: Path, said: list[str]) -> None:
    with supervising(program(tmp_path, SLOW), slots=1) as run:
        (first,) = wait_until_ready(run)
        program(tmp_path, "raise SystemExit(3)")
        (tmp_path / f"spent-{first}").touch()
        failed = "the new worker 0 exited with code 3; the old one goes on, starting another in 0.5 s"
        eventually(lambda: failed in said)
        assert current(run, 0) == first
        program(tmp_path, SLOW)
        eventually(lambda: current(run, 0) != first)
        run.supervisor.stop()
        assert run.wait() == 0


def test_the_listeners_are_let_go_before_workers_are_told_to_drain(tmp_path: Path) -> None:
    released: list[int] = []
    seen: list[bool] = []

    def release() -> None:
        released.append(len(list(tmp_path.glob("drained-*"))))
        seen.append(all(slot.ready for slot in supervisor.slots))

    supervisor = Supervisor(program(tmp_path, GOOD), [[[]], [[]]], 5.0, os.environ, release)
    run = Run(supervisor)
    try:
        wait_until_ready(run)
    finally:
        supervisor.stop()
        assert run.wait() == 0
    assert (released, seen) == ([0], [True])
