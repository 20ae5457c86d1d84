"""`workers=`: processes that run the same command again, under a supervisor."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from run_helpers import Server, eventually, run_to_end, script, started

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks at /proc")

APP = """
    import os, sys, threading, time
    from bustapi import BustAPI

    app = BustAPI(__name__)
    # In one piece: several processes write to the same file.
    os.write(1, b"imported %d\\n" % os.getpid())

    @app.get("/")
    def index():
        return {"pid": os.getpid(), "environ": [name for name in os.environ if name.startswith("BUSTAPI_WORKER")]}

    @app.get("/slow/<float:seconds>", execution="pool")
    def slow(seconds):
        os.write(1, b"began\\n")
        time.sleep(seconds)
        return "slow"

    @app.get("/async")
    async def waits():
        return "async"
"""
RUN = """
    if __name__ == "__main__":
        app.run(port=0, {0})
"""


def served(folder: Path, options: str = "workers=2", source: str = APP) -> list[str]:
    return script(folder, source + RUN.format(options))


def pids(server: Server, requests: int = 40) -> set[int]:
    """The processes that answer."""
    return {json.loads(server.get()[1])["pid"] for _ in range(requests)}


def wait_for_workers(server: Server, count: int = 2) -> list[int]:
    """The workers, once every one of them serves."""
    eventually(lambda: len(server.children()) == count and len(imported(server)) > count, 20)
    workers = server.children()
    for pid in workers:
        # The lifeline's report comes after the handlers are in place.
        eventually(lambda pid=pid: has_handlers(pid), 20)  # type: ignore[misc]
    return workers


def wait_until_all_answer(server: Server, workers: list[int]) -> None:
    """A tracer has a handler of its own, which says nothing; an answer says that the worker serves."""
    eventually(lambda: pids(server, 10) == set(workers), 20)


def has_handlers(pid: int) -> bool:
    mask = re.search(r"^SigCgt:\s*(\w+)", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    return mask is not None and bool(int(mask.group(1), 16) >> (signal.SIGTERM - 1) & 1)


def imported(server: Server) -> list[int]:
    return [int(pid) for pid in re.findall(r"^imported (\d+)$", server.output, re.MULTILINE)]


def test_one_line_names_the_workers_and_all_of_them_answer(tmp_path: Path) -> None:
    with started(served(tmp_path), tmp_path) as server:
        workers = wait_for_workers(server)
        assert len(re.findall(r"^BustAPI .* \(threads=1, workers=2, ", server.output, re.MULTILINE)) == 1
        assert pids(server) == set(workers)
        assert server.get("/async") == (200, "async")
        assert server.stop() == 0
        assert "Traceback" not in server.output
        assert [pid for pid in workers if Path(f"/proc/{pid}").exists()] == []


def test_workers_import_the_application_anew(tmp_path: Path) -> None:
    with started(served(tmp_path), tmp_path) as server:
        workers = wait_for_workers(server)
        assert sorted(imported(server)) == sorted([server.process.pid, *workers])


def test_what_workers_inherit_is_hidden_from_their_own_children(tmp_path: Path) -> None:
    with started(served(tmp_path), tmp_path) as server:
        wait_for_workers(server)
        assert json.loads(server.get()[1])["environ"] == []


def test_a_killed_worker_is_replaced_within_a_second(tmp_path: Path) -> None:
    with started(served(tmp_path), tmp_path) as server:
        victim, other = wait_for_workers(server)
        begun = time.monotonic()
        os.kill(victim, signal.SIGKILL)
        eventually(lambda: len(set(server.children()) - {victim}) == 2, 5)
        assert time.monotonic() - begun < 1.0
        # Nobody is refused meanwhile: the queue of the dead one waits for its successor.
        assert pids(server) == set(server.children())
        assert other in server.children()
        assert f"worker {0 if victim < other else 1} was ended by SIGKILL; starting another" in server.output
        assert server.stop() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_drains_every_worker(tmp_path: Path, number: int) -> None:
    with started(served(tmp_path), tmp_path) as server, ThreadPoolExecutor(8) as clients:
        wait_until_all_answer(server, wait_for_workers(server))
        under_way = [clients.submit(server.get, "/slow/1.0") for _ in range(8)]
        eventually(lambda: server.output.count("began") == 8)
        server.send(number)
        assert [future.result() for future in under_way] == [(200, "slow")] * 8
        assert server.wait() == 0


def test_a_second_signal_waits_for_nobody(tmp_path: Path) -> None:
    with started(served(tmp_path), tmp_path) as server:
        workers = wait_for_workers(server)
        wait_until_all_answer(server, workers)
        with ThreadPoolExecutor(2) as clients:
            under_way = [clients.submit(server.get, "/slow/30.0") for _ in range(2)]
            eventually(lambda: server.output.count("began") == 2)
            server.send(signal.SIGTERM)
            time.sleep(0.3)
            begun = time.monotonic()
            server.send(signal.SIGTERM)
            assert server.wait(10) == 128 + signal.SIGTERM
            assert time.monotonic() - begun < 3
            assert all(future.exception() for future in under_way)
        assert [pid for pid in workers if Path(f"/proc/{pid}").exists()] == []


def test_workers_do_not_outlive_a_killed_supervisor(tmp_path: Path) -> None:
    with started(served(tmp_path), tmp_path) as server:
        workers = wait_for_workers(server)
        server.send(signal.SIGKILL)
        eventually(lambda: all(is_gone(pid) for pid in workers), 10)


def is_gone(pid: int) -> bool:
    try:
        # Nobody may be there to bury it.
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def test_an_import_that_fails_in_workers_alone_ends_the_server(tmp_path: Path) -> None:
    source = APP + "    if 'BUSTAPI_WORKER_SLOT' in os.environ: raise RuntimeError('in a worker')\n"
    begun = time.monotonic()
    code, _, errors = run_to_end(served(tmp_path, source=source), tmp_path)
    assert code == 1
    assert time.monotonic() - begun < 20
    # One worker is enough to tell; another may end after that.
    assert [line for line in errors.splitlines() if line.endswith("no worker ever served, giving up")]


def test_threads_in_workers(tmp_path: Path) -> None:
    with started(served(tmp_path, "workers=2, threads=2"), tmp_path) as server:
        wait_for_workers(server)
        assert len(pids(server, 80)) == 2
        assert server.get("/async") == (200, "async")
        assert server.stop() == 0


def test_workers_share_a_unix_socket(tmp_path: Path) -> None:
    path = tmp_path / "a.sock"
    with started(served(tmp_path, f"workers=2, host='unix:{path}'"), tmp_path) as server:
        wait_for_workers(server)
        for _ in range(20):
            with socket.socket(socket.AF_UNIX) as sock:
                sock.settimeout(10)
                sock.connect(str(path))
                sock.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
                assert sock.recv(65536).startswith(b"HTTP/1.1 200 ")
        assert server.stop() == 0
        assert not path.exists()


def test_a_port_in_use_is_one_line_and_disturbs_nobody(tmp_path: Path) -> None:
    with started(served(tmp_path), tmp_path) as server:
        workers = wait_for_workers(server)
        second = script(tmp_path, APP + f"\n    app.run(port={server.port}, workers=2)\n", "second.py")
        code, output, errors = run_to_end(second, tmp_path)
        assert code == 1
        assert output.count("imported") == 1
        assert re.fullmatch(
            rf"error: cannot listen on 127\.0\.0\.1:{server.port}: the address is in use.*\n", errors
        )
        assert pids(server) == set(workers)


@pytest.mark.parametrize(
    "command",
    [
        ["-m", "bustapi", "run", "served:app", "--port", "0", "--workers", "2"],
        ["-m", "served"],
        ["-X", "utf8", "served.py"],
    ],
)
def test_the_same_command_is_run_again(tmp_path: Path, command: list[str]) -> None:
    served(tmp_path)
    with started([sys.executable, *command], tmp_path) as server:
        assert pids(server) == set(wait_for_workers(server))
        for pid in server.children():
            line = Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0").split(b"\0")
            # Python 3.9 does not tell a flag from the variable that stands for it.
            assert [part.decode() for part in line[1:] if part != b"-B"] == command
        assert server.stop() == 0


def test_a_program_without_a_file_is_refused_in_one_line(tmp_path: Path) -> None:
    program = "from bustapi import BustAPI; import sys; sys.argv = ['']; BustAPI('x').run(port=0, workers=2)"
    code, _, errors = run_to_end([sys.executable, "-c", program], tmp_path)
    assert code == 1
    assert errors.startswith("error: workers: this program cannot be started again")


def test_the_environment_asks_for_workers_once(tmp_path: Path) -> None:
    with started(served(tmp_path, ""), tmp_path, {"BUSTAPI_WORKERS": "2"}) as server:
        wait_for_workers(server)
        assert server.stop() == 0
