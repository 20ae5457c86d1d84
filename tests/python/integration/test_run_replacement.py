"""Workers come and go under load, and clients do not notice: kill, recycling, reload, stop."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

from run_helpers import Server, eventually, script, started

pytestmark = [
    pytest.mark.load,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks at /proc"),
]

#: The import starts a thread and leaves a lock held by it, as drivers and agents do: a fork would inherit it locked.
APP = """
    import os, sys, threading, time
    from bustapi import BustAPI

    lock = threading.Lock()
    holding = threading.Event()

    def hold():
        lock.acquire()
        holding.set()
        threading.Event().wait()

    threading.Thread(target=hold, daemon=True).start()
    holding.wait()
    free = threading.Lock()

    app = BustAPI(__name__)
    VERSION = 1

    @app.get("/")
    def index():
        with free:
            return {"pid": os.getpid(), "version": VERSION, "held": lock.locked()}

    @app.get("/slow/<float:seconds>")
    def slow(seconds):
        time.sleep(seconds)
        return "slow"

    @app.get("/grow")
    def grow():
        app.ballast = bytearray(os.urandom(1024)) * (80 * 1024)
        return "grown"
"""
RUN = """
    if __name__ == "__main__":
        app.run(port=0, {0})
"""
REQUEST = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
LAST = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
DOORS = ["script", "command"]


def command(folder: Path, door: str, workers: int = 2, source: str = APP, **options: object) -> list[str]:
    """`python served.py`, or `bustapi run` of the same file."""
    given: dict[str, object] = {"workers": workers, **options}
    if door == "script":
        return script(folder, source + RUN.format(", ".join(f"{k}={v!r}" for k, v in given.items())))
    script(folder, source)
    flags = [part for k, v in given.items() for part in ("--" + k.replace("_", "-"), str(v))]
    return [sys.executable, "-m", "bustapi", "run", "served:app", "--port", "0", *flags]


def answer(server: Server) -> dict[str, object]:
    status, body = server.get()
    assert status == 200, body
    found: dict[str, object] = json.loads(body)
    return found


def wait_for_workers(server: Server, count: int) -> set[int]:
    """The workers that answer, once all of them do."""
    found: set[object] = set()

    def all_answer() -> bool:
        found.add(answer(server)["pid"])
        return len(found) == count == len(server.children())

    eventually(all_answer, 20)
    return set(server.children())


def stall(server: Server, workers: set[int]) -> None:
    """Stop the workers, so that whatever is sent from now on stays in the accept queues."""
    for pid in workers:
        os.kill(pid, signal.SIGSTOP)


def resume(workers: set[int]) -> None:
    for pid in workers:
        os.kill(pid, signal.SIGCONT)


def send_ahead(server: Server, count: int = 200) -> list[socket.socket]:
    """Connections whose requests are sent, and that nobody has accepted yet."""
    sockets = []
    for _ in range(count):
        sock = server.connect(20.0)
        sock.sendall(LAST)
        sockets.append(sock)
    return sockets


def outcomes(sockets: list[socket.socket]) -> Counter[str]:
    """What came of each connection."""
    counted: Counter[str] = Counter()
    for sock in sockets:
        received = b""
        try:
            while True:
                part = sock.recv(65536)
                if not part:
                    break
                received += part
        except OSError as error:
            counted[type(error).__name__] += 1
        else:
            counted["answered" if received.startswith(b"HTTP/1.1 200 ") else f"{received[:40]!r}"] += 1
        finally:
            sock.close()
    return counted


@pytest.mark.parametrize("door", DOORS)
def test_a_killed_workers_queue_is_answered_by_its_successor(tmp_path: Path, door: str) -> None:
    with started(command(tmp_path, door), tmp_path) as server:
        workers = wait_for_workers(server, 2)
        stall(server, workers)
        sockets = send_ahead(server)
        victim, other = sorted(workers)
        begun = time.monotonic()
        os.kill(victim, signal.SIGKILL)
        eventually(lambda: len(set(server.children()) - {victim}) == 2, 5)
        assert time.monotonic() - begun < 1.0
        resume({other})
        assert outcomes(sockets) == {"answered": 200}
        assert answer(server)["held"] is True
        assert server.stop() == 0


@pytest.mark.parametrize("door", DOORS)
def test_a_stop_answers_the_accept_queues(tmp_path: Path, door: str) -> None:
    with started(command(tmp_path, door), tmp_path) as server:
        workers = wait_for_workers(server, 2)
        stall(server, workers)
        sockets = send_ahead(server)
        server.send(signal.SIGTERM)
        time.sleep(0.2)
        resume(workers)
        assert outcomes(sockets) == {"answered": 200}
        assert server.wait() == 0


def test_a_stop_answers_the_queue_of_a_slot_that_has_no_worker(tmp_path: Path) -> None:
    with started(command(tmp_path, "script", workers=1, max_requests=1000000), tmp_path) as server:
        (worker,) = wait_for_workers(server, 1)
        stall(server, {worker})
        sockets = send_ahead(server)
        os.kill(worker, signal.SIGKILL)
        eventually(lambda: "was ended by SIGKILL" in server.output)
        server.send(signal.SIGTERM)
        assert outcomes(sockets) == {"answered": 200}
        assert server.wait() == 0


@pytest.mark.parametrize("door", DOORS)
def test_a_reload_brings_new_code_and_loses_nothing(tmp_path: Path, door: str) -> None:
    with started(command(tmp_path, door), tmp_path) as server:
        workers = wait_for_workers(server, 2)
        stall(server, workers)
        sockets = send_ahead(server)
        path = tmp_path / "served.py"
        path.write_text(path.read_text().replace("VERSION = 1", "VERSION = 2"))
        server.send(signal.SIGHUP)
        # New workers take over what nobody had accepted; the old ones are asked to drain and cannot yet.
        assert outcomes(sockets) == {"answered": 200}
        resume(workers)
        eventually(lambda: not workers & set(server.children()), 15)
        assert wait_for_workers(server, 2).isdisjoint(workers)
        assert {answer(server)["version"] for _ in range(20)} == {2}
        assert "reloading 2 workers" in server.output
        assert server.stop() == 0


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("broken", ["def broken(:\n", "raise RuntimeError('not this one')\n"])
def test_a_reload_of_code_that_cannot_be_imported_changes_nothing(
    tmp_path: Path, door: str, broken: str
) -> None:
    with started(command(tmp_path, door), tmp_path) as server:
        workers = wait_for_workers(server, 2)
        path = tmp_path / "served.py"
        sound = path.read_text()
        path.write_text(broken + sound)
        server.send(signal.SIGHUP)
        server.wait_for(
            r"^reload failed: the new worker 0 exited with code 1; the old code keeps serving$", 20
        )
        assert ("SyntaxError" if broken.startswith("def") else "RuntimeError: not this one") in server.output
        assert wait_for_workers(server, 2) == workers
        path.write_text(sound.replace("VERSION = 1", "VERSION = 2"))
        server.send(signal.SIGHUP)
        eventually(lambda: not workers & set(server.children()), 15)
        assert {answer(server)["version"] for _ in range(10)} == {2}
        assert server.stop() == 0


def test_a_recycled_workers_queue_is_answered_by_its_successor(tmp_path: Path) -> None:
    with started(command(tmp_path, "script", workers=1, max_requests=10), tmp_path) as server:
        (worker,) = wait_for_workers(server, 1)
        for _ in range(10):
            answer(server)
        eventually(lambda: len(server.children()) == 2)
        stall(server, {worker})
        sockets = send_ahead(server)
        assert outcomes(sockets) == {"answered": 200}
        resume({worker})
        eventually(lambda: worker not in server.children())
        assert server.stop() == 0


class KeepAliveClient:
    """Asks on one connection for as long as the server keeps it, and never asks twice."""

    def __init__(self, server: Server) -> None:
        self.answers = 0
        self.workers: set[int] = set()
        self.errors: list[str] = []
        self._server = server
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(20)
        assert not self._thread.is_alive()

    def _run(self) -> None:
        connection = None
        while not self._stop.is_set():
            try:
                if connection is None:
                    connection = http.client.HTTPConnection("127.0.0.1", self._server.port, timeout=10)
                    connection.connect()
                connection.request("GET", "/")
                response = connection.getresponse()
                self.workers.add(json.loads(response.read())["pid"])
                self.answers += 1
                if response.will_close:
                    connection.close()
                    connection = None
            except Exception as error:
                self.errors.append(f"after {self.answers} answers: {error!r}")
                connection = None
            time.sleep(0.002)


@pytest.mark.parametrize("how", ["recycling", "reload"])
def test_keep_alive_clients_see_no_error_while_workers_are_replaced(tmp_path: Path, how: str) -> None:
    options = {"max_requests": 300} if how == "recycling" else {}
    with started(command(tmp_path, "script", **options), tmp_path) as server:
        first = wait_for_workers(server, 2)
        clients = [KeepAliveClient(server) for _ in range(6)]
        try:
            if how == "reload":
                time.sleep(0.3)
                server.send(signal.SIGHUP)
            eventually(lambda: not first & set(server.children()), 20)
            time.sleep(0.3)
        finally:
            for client in clients:
                client.stop()
        assert [client.errors for client in clients] == [[]] * 6
        assert sum(client.answers for client in clients) > 300
        assert not set().union(*(client.workers for client in clients)) <= first
        assert server.stop() == 0
        assert "Traceback" not in server.output


def test_every_worker_is_recycled(tmp_path: Path) -> None:
    with started(command(tmp_path, "script", max_requests=20, recycle_jitter=0.0), tmp_path) as server:
        first = wait_for_workers(server, 2)
        deadline = time.monotonic() + 20
        while first & set(server.children()):
            answer(server)
            assert time.monotonic() < deadline
        replaced = re.findall(
            r"^worker (\d) \(process \d+\) is replaced by .*: max_requests$", server.output, re.M
        )
        assert set(replaced) == {"0", "1"}
        assert server.stop() == 0


def test_a_worker_that_has_grown_is_replaced(tmp_path: Path) -> None:
    limit = 90 * 1024 * 1024
    with started(command(tmp_path, "script", workers=1, max_rss=limit), tmp_path) as server:
        (worker,) = wait_for_workers(server, 1)
        assert server.get("/grow") == (200, "grown")
        eventually(lambda: worker not in server.children(), 15)
        assert answer(server)["pid"] != worker
        assert "max_rss" in server.output
        assert server.stop() == 0


def test_a_worker_drains_what_it_has_when_it_is_replaced(tmp_path: Path) -> None:
    with started(command(tmp_path, "script", workers=1, max_requests=1000000), tmp_path) as server:
        wait_for_workers(server, 1)
        sock = server.connect(20)
        sock.sendall(b"GET /slow/1.5 HTTP/1.1\r\nHost: a\r\n\r\n")
        time.sleep(0.2)
        server.send(signal.SIGHUP)
        server.wait_for(r"^worker 0 \(process \d+\) is replaced by process \d+: reload$")
        assert outcomes([sock]) == {"answered": 1}
        assert server.stop() == 0


def test_an_idle_connection_gets_its_last_answer_when_the_server_stops(tmp_path: Path) -> None:
    with started(command(tmp_path, "script"), tmp_path) as server:
        wait_for_workers(server, 2)
        sock = server.connect()
        sock.sendall(REQUEST)
        assert b"Connection: close" not in sock.recv(65536)
        server.send(signal.SIGTERM)
        time.sleep(0.4)
        sock.sendall(REQUEST)
        received = sock.recv(65536)
        assert received.startswith(b"HTTP/1.1 200 ")
        assert b"Connection: close" in received
        assert sock.recv(1) == b""
        sock.close()
        assert server.wait() == 0
