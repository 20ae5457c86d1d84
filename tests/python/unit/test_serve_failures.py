"""What the server does when the system refuses it something, or is less than it expects."""

from __future__ import annotations

import errno
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

import bustapi._core
from bustapi import BustAPI
from bustapi.serve import ServeError, Settings, banner, dotenv, errors, leaving, limits, listeners
from bustapi.serve.host import ThreadHost
from bustapi.serve.live import LiveServer
from bustapi.serve.process import WorkerProcess, ending


class Stream:
    """A log that is full."""

    def write(self, text: str) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    def flush(self) -> None:
        raise ValueError("I/O operation on closed file")


@pytest.mark.parametrize("stream", [None, Stream()])
def test_a_log_that_cannot_be_written_stops_nothing(stream: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setattr(sys, "stdout", stream)
    errors.say("a line")
    leaving.flush()


# --- .env ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("COLOUR", "SHAPE"):
        # So that what is loaded is taken back.
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    return tmp_path


def test_env_files_are_loaded_and_the_private_one_wins(folder: Path) -> None:
    pytest.importorskip("dotenv")
    (folder / ".flaskenv").write_text("COLOUR=red\nSHAPE=round\n")
    (folder / ".env").write_text("COLOUR=blue\n")
    dotenv.load_files()
    assert (os.environ["COLOUR"], os.environ["SHAPE"]) == ("blue", "round")


@pytest.mark.parametrize("name", [".env", ".flaskenv", "other"])
def test_without_the_package_its_files_are_mentioned(
    folder: Path, name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "dotenv", None)
    (folder / name).write_text("COLOUR=red\n")
    dotenv.load_files()
    assert "COLOUR" not in os.environ
    assert ("pip install python-dotenv" in capsys.readouterr().err) == (name != "other")


# --- listeners -----------------------------------------------------------------------------------------------------


def test_where_sockets_cannot_share_a_port_all_threads_share_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listeners.sys, "platform", "darwin")
    bound = listeners.bind(Settings.resolve({"port": 0, "threads": 3}, {}))
    try:
        addresses = {listener.address for group in bound.groups[0] for listener in group}
        assert len(addresses) == 1
    finally:
        bound.close()


def test_a_system_that_refuses_the_option_is_taken_for_one_without(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(descriptor: int) -> int:
        raise OSError(errno.EMFILE, "Too many open files")

    bound = listeners.bind(Settings.resolve({"port": 0}, {}))
    try:
        monkeypatch.setattr(listeners.os, "dup", refuse)
        assert not listeners._can_have_members(bound.groups[0][0])
    finally:
        bound.close()


def test_when_a_member_cannot_be_bound_nothing_stays_open(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[int] = []

    def refuse(listener: Any, backlog: int) -> Any:
        taken.append(int(listener.address.rpartition(":")[2]))
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(listeners, "_member", refuse)
    with pytest.raises(ServeError, match=r"^cannot listen on 127\.0\.0\.1:0: Too many open files$"):
        listeners.bind(Settings.resolve({"port": 0, "threads": 2}, {}))
    with socket.socket() as again:
        again.bind(("127.0.0.1", taken[0]))


def test_a_unix_socket_that_nobody_may_look_at_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.sock"
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))

        def refuse(sock: socket.socket, address: object) -> None:
            raise PermissionError(errno.EACCES, "Permission denied")

        monkeypatch.setattr(socket.socket, "connect", refuse)
        with pytest.raises(ServeError, match=rf"^cannot listen on unix:{path}: Permission denied$"):
            listeners.bind(Settings(host=f"unix:{path}"))
    assert path.exists()


def test_the_reason_names_privileges_for_a_port_only() -> None:
    denied = PermissionError(errno.EACCES, "Permission denied")
    assert "privileges" in listeners._reason(denied, "127.0.0.1", 80)
    assert listeners._reason(denied, "unix:/a", None) == "cannot listen on unix:/a: permission denied"


# --- limits and banner ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("missing", ["module", "permission"])
def test_a_limit_that_cannot_be_raised_is_left(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    if missing == "module":
        monkeypatch.setitem(sys.modules, "resource", None)
    else:
        asked: list[object] = []

        def refuse(*wanted: object) -> None:
            asked.append(wanted)
            raise ValueError("current limit exceeds maximum limit")

        monkeypatch.setattr(resource, "setrlimit", refuse)
        monkeypatch.setattr(resource, "getrlimit", lambda which: (1024, 4096))
    limits.allow_connections(100_000)
    monkeypatch.undo()
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == before
    if missing == "permission":
        assert asked == [(resource.RLIMIT_NOFILE, (4096, 4096))]


@pytest.mark.parametrize("gil", [True, False])
def test_threads_that_share_a_gil_are_told_of(
    gil: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "_is_gil_enabled", lambda: gil, raising=False)
    banner.announce(["127.0.0.1:80"], Settings.resolve({"threads": 2}, {}))
    lines = capsys.readouterr().err.splitlines()
    assert "on http://127.0.0.1:80 (threads=2, workers=1," in lines[0]
    assert [("share one GIL" in line) for line in lines[1:]] == [True] * gil


def test_the_version_names_both() -> None:
    assert banner.version().startswith(f"BustAPI {bustapi._core.__version__} (")


# --- threads and processes -----------------------------------------------------------------------------------------


def test_a_core_that_refuses_the_listeners_is_one_error(monkeypatch: pytest.MonkeyPatch) -> None:
    class Door:
        def duplicate(self) -> Any:
            raise OSError(errno.EMFILE, "Too many open files")

    with pytest.raises(ServeError, match=r"^cannot set up the server: Too many open files$"):
        ThreadHost(BustAPI("x"), [[Door()]], Settings())  # type: ignore[list-item]


def test_a_live_server_that_failed_says_so_when_it_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    failure = RuntimeError("the poll is gone")

    def fail(self: ThreadHost, body: object) -> None:
        raise failure

    monkeypatch.setattr(ThreadHost, "serve_first", fail)
    server = LiveServer(BustAPI("x"))
    server.start()
    with pytest.raises(RuntimeError, match=r"^The server failed\.$") as caught:
        server.stop()
    assert caught.value.__cause__ is failure


def test_a_live_server_that_does_not_end_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    release = threading.Event()
    monkeypatch.setattr(ThreadHost, "serve_first", lambda self, body: release.wait(20))
    monkeypatch.setattr("bustapi.serve.live._STOP", 0.05)
    server = LiveServer(BustAPI("x"))
    server.start()
    thread = server._thread
    assert thread is not None
    with pytest.raises(RuntimeError, match="did not end"):
        server.stop()
    release.set()
    thread.join(20)
    assert not thread.is_alive()


def test_a_worker_that_is_killed_closes_its_lifeline() -> None:
    worker = WorkerProcess([sys.executable, "-c", "import time; time.sleep(30)"], dict(os.environ), 0, [])
    assert worker.read() is None
    assert worker.poll() is None
    worker.end()
    assert ending(worker.poll()) == "was ended by SIGKILL"
    deadline = time.monotonic() + 10
    while worker.read() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    assert worker.read() == b""
    worker.send(signal.SIGTERM)
    assert worker.lifeline is not None
    worker.lifeline.close()
    assert worker.read() == b""


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (None, "did not start"),
        (70, "ended by a failure of its server"),
        (-15, "was ended by SIGTERM"),
        (-250, "was ended by signal 250"),
        (3, "exited with code 3"),
    ],
)
def test_how_a_process_ended_in_words(code: int | None, text: str) -> None:
    assert ending(code) == text


def test_a_thread_leaves_only_itself_when_a_view_is_stuck() -> None:
    codes: list[object] = []

    def leave() -> None:
        try:
            leaving.leave(70)
        except SystemExit as error:
            codes.append(error.code)

    thread = threading.Thread(target=leave)
    thread.start()
    thread.join(10)
    assert codes == [70]


def test_the_main_thread_leaves_at_once_and_closes_its_log() -> None:
    program = """
import atexit, logging, sys, threading, time
from bustapi.serve import leaving
class Log(logging.StreamHandler):
    def close(self):
        print("log closed", flush=True)
        super().close()
logging.getLogger().addHandler(Log())
threading.Thread(target=time.sleep, args=(30,)).start()
sys.stdout.write("unflushed\\n")
leaving.leave(70)
"""
    ended = subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, timeout=20)
    assert ended.returncode == 70
    assert ended.stdout.splitlines() == ["unflushed", "log closed"]


def test_whoever_called_the_server_chooses_the_exit_code_of_a_process_that_is_left() -> None:
    program = """
from bustapi.serve import leaving
with leaving.exit_code(lambda code: 1):
    pass
with leaving.exit_code(lambda code: code - 67):
    leaving.leave(70)
"""
    assert subprocess.run([sys.executable, "-c", program], timeout=20).returncode == 3


def test_a_process_whose_main_thread_is_stuck_is_ended() -> None:
    program = "from bustapi.serve import leaving; leaving.give_up(15, 'a view in the main thread')"
    ended = subprocess.run([sys.executable, "-c", program], stderr=subprocess.PIPE, text=True, timeout=20)
    assert ended.returncode == 128 + 15
    assert ended.stderr == "still busy after the grace: a view in the main thread\n"
