"""The reloader's two processes: how one starts the other, and how the work in it is ended."""

from __future__ import annotations

import importlib
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
import types
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable

import pytest

from bustapi.werkzeug import _reloader


@pytest.fixture
def handlers() -> Iterator[None]:
    """Puts the handlers of the stop signals back."""
    former = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in former.items():
        signal.signal(number, handler)


@pytest.fixture
def child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Makes the command that is started again a given program; returns where it may take notes."""

    def use(program: str) -> Path:
        script, notes = tmp_path / "child.py", tmp_path / "notes"
        notes.touch()
        script.write_text(f"import os, signal, sys, time\nNOTES = {str(notes)!r}\n{textwrap.dedent(program)}")
        monkeypatch.setattr(_reloader, "_get_args_for_reloading", lambda: [sys.executable, str(script)])
        return notes

    return use


COUNTING = """
    with open(NOTES, "a") as notes:
        notes.write(os.environ["WERKZEUG_RUN_MAIN"] + "\\n")
    with open(NOTES) as notes:
        sys.exit(3 if len(notes.readlines()) < 3 else 7)
"""
SERVING = """
    def end(number, frame):
        sys.exit(3)

    signal.signal(signal.SIGTERM, end)
    with open(NOTES, "w") as notes:
        notes.write("ready")
    time.sleep(30)
"""


def test_the_child_is_started_again_until_it_ends_for_good(
    child: Callable[[str], Path], handlers: None
) -> None:
    notes = child(COUNTING)
    with pytest.raises(SystemExit) as ended:
        _reloader.run_with_reloader(lambda: pytest.fail("the parent does not work"), reloader_type="stat")
    assert ended.value.code == 7
    assert notes.read_text().split() == ["true"] * 3


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_signal_is_passed_on_and_ends_both(
    child: Callable[[str], Path], handlers: None, number: signal.Signals
) -> None:
    notes = child(SERVING.replace("SIGTERM", number.name))

    def stop() -> None:
        deadline = time.monotonic() + 20
        while notes.read_text() != "ready" and time.monotonic() < deadline:
            time.sleep(0.02)
        os.kill(os.getpid(), number)

    thread = threading.Thread(target=stop)
    thread.start()
    # The code that asks for a successor means the end when somebody stopped the program.
    assert _reloader.StatReloaderLoop().restart_with_reloader() == 0
    thread.join(20)


def test_an_interrupted_parent_leaves_no_child(
    child: Callable[[str], Path], handlers: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    child(SERVING)
    made: list[subprocess.Popen[bytes]] = []

    class Interrupted(subprocess.Popen):  # type: ignore[type-arg]
        def wait(self, timeout: float | None = None) -> int:
            if not made:
                made.append(self)
                raise KeyboardInterrupt
            return super().wait(timeout)

    monkeypatch.setattr(subprocess, "Popen", Interrupted)
    with pytest.raises(KeyboardInterrupt):
        _reloader._run_child(dict(os.environ))
    assert made[0].returncode == -signal.SIGKILL


def test_the_watcher_ends_with_its_parent() -> None:
    with _reloader.StatReloaderLoop(interval=0) as loop:
        loop._parent = -1
        with pytest.raises(SystemExit) as ended:
            loop.run()
    assert ended.value.code == 0


class Stub(_reloader.ReloaderLoop):
    """Sees a change when it is told of one."""

    name = "stub"
    change = threading.Event()

    def run(self) -> None:
        if self.change.wait(20):
            self.trigger_reload("module.py")


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch, handlers: None) -> threading.Event:
    """Has this process be a reloader's child whose watcher waits for the event."""
    monkeypatch.setattr(Stub, "change", threading.Event())
    monkeypatch.setitem(_reloader.reloader_loops, "stub", Stub)
    monkeypatch.setenv("WERKZEUG_RUN_MAIN", "true")
    return Stub.change


def test_a_change_ends_the_work_and_asks_for_a_successor(stub: threading.Event) -> None:
    def work() -> None:
        stub.set()
        time.sleep(20)
        pytest.fail("nobody ended the work")

    with pytest.raises(SystemExit) as ended:
        _reloader.run_with_reloader(work, reloader_type="stub")
    assert ended.value.code == 3


def test_whatever_the_work_ends_with_after_a_change(stub: threading.Event) -> None:
    def work() -> None:
        stub.set()
        try:
            time.sleep(20)
        except SystemExit:
            raise SystemExit(1) from None

    with pytest.raises(SystemExit) as ended:
        _reloader.run_with_reloader(work, reloader_type="stub")
    assert ended.value.code == 3


@pytest.mark.parametrize("error", [SystemExit(5), ValueError("of the work's own")])
def test_work_that_ends_by_itself_keeps_its_reason(stub: threading.Event, error: BaseException) -> None:
    def work() -> None:
        raise error

    with pytest.raises(type(error)) as ended:
        _reloader.run_with_reloader(work, reloader_type="stub")
    assert ended.value is error
    stub.set()


def test_work_that_returns_is_done(stub: threading.Event) -> None:
    done: list[bool] = []
    _reloader.run_with_reloader(lambda: done.append(True), reloader_type="stub")
    assert done == [True]
    stub.set()


def test_work_that_does_not_end_is_left(tmp_path: Path) -> None:
    program = """
        import sys, time
        from bustapi.werkzeug import _reloader

        class Hasty(_reloader.ReloaderLoop):
            def run(self):
                self.trigger_reload("module.py")

        def work():
            while True:
                try:
                    time.sleep(30)
                except SystemExit:
                    print("not now", flush=True)

        _reloader.reloader_loops["hasty"] = Hasty
        _reloader._PATIENCE = (0.3, 0.3)
        _reloader.run_with_reloader(work, reloader_type="hasty")
    """
    ended = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        env={**os.environ, "WERKZEUG_RUN_MAIN": "true"},
        stdout=subprocess.PIPE,
        text=True,
        timeout=40,
    )
    assert ended.returncode == 3
    assert set(ended.stdout.split("\n")) <= {"not now", ""}


def test_modules_of_an_archive_are_watched_by_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = tmp_path / "bundle.zip"
    with zipfile.ZipFile(archive, "w") as bundle:
        bundle.writestr("bundled_for_the_reloader.py", "a = 1")
    monkeypatch.syspath_prepend(str(archive))
    module = importlib.import_module("bundled_for_the_reloader")
    ghost = types.ModuleType("ghost")
    ghost.__file__ = "/no/such/place/ghost.py"
    monkeypatch.setitem(sys.modules, "ghost", ghost)
    try:
        paths = set(_reloader._iter_module_paths())
    finally:
        del sys.modules["bundled_for_the_reloader"]
    assert module.a == 1
    assert str(archive) in paths
    assert not any(path.startswith("/no/such") for path in paths)


def test_installed_packages_are_not_watched_as_a_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = tmp_path / "environment" / "lib"
    installed.mkdir(parents=True)
    own = tmp_path / "own"
    own.mkdir()
    extra = own / "settings.cfg"
    extra.touch()
    monkeypatch.setattr(sys, "path", [str(installed)])
    monkeypatch.setattr(_reloader, "_NOT_WALKED", (str(tmp_path / "environment"),))
    monkeypatch.setattr(_reloader, "_iter_module_paths", lambda: iter(()))
    assert set(_reloader._find_watchdog_paths({str(extra)}, set())) == {str(own)}


class FakeObserver:
    def __init__(self, refuses: str) -> None:
        self.refuses = refuses
        self.watched: dict[str, object] = {}

    def schedule(self, handler: object, path: str, recursive: bool) -> object:
        if path == self.refuses:
            raise OSError("too many files")
        self.watched[path] = watch = object()
        return watch

    def unschedule(self, watch: object) -> None:
        self.watched = {path: one for path, one in self.watched.items() if one is not watch}


def test_watches_follow_the_import_path(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("watchdog")
    loop = _reloader.WatchdogReloaderLoop()
    loop.observer = observer = FakeObserver("/refused")
    paths = {"/one", "/refused"}
    monkeypatch.setattr(_reloader, "_find_watchdog_paths", lambda *_: paths)
    loop.run_step()
    assert set(observer.watched) == {"/one"}
    paths = {"/two"}
    loop.run_step()
    assert set(observer.watched) == {"/two"}
    assert set(loop.watches) == {"/two"}


def test_the_terminal_shows_again_what_is_typed(monkeypatch: pytest.MonkeyPatch) -> None:
    termios = pytest.importorskip("termios")
    master, slave = os.openpty()
    try:
        with os.fdopen(slave) as terminal:
            attributes = termios.tcgetattr(terminal)
            attributes[3] &= ~termios.ECHO
            termios.tcsetattr(terminal, termios.TCSANOW, attributes)
            monkeypatch.setattr(sys, "stdin", terminal)
            _reloader.ensure_echo_on()
            assert termios.tcgetattr(terminal)[3] & termios.ECHO
            # It is a terminal, but not the one that controls this process.
            assert not _reloader._on_terminal()
    finally:
        os.close(master)


@pytest.mark.parametrize("stdin", [None, object()])
def test_without_a_terminal_there_is_nothing_to_show(stdin: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", stdin)
    assert not _reloader._on_terminal()
    if stdin is None:
        _reloader.ensure_echo_on()
