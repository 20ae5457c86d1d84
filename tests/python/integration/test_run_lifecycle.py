"""`app.run()` in a script: the start-up line, where it listens, and how it ends."""

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
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from run_helpers import Server, eventually, run_to_end, script, started

LINUX = sys.platform.startswith("linux")
HAS_IPV6 = socket.has_ipv6 and os.path.exists("/proc/net/if_inet6")

APP = """
    import asyncio, os, signal, sys, threading, time
    from bustapi import BustAPI

    app = BustAPI(__name__)

    @app.get("/")
    def index():
        return {"pid": os.getpid(), "thread": threading.current_thread().name}

    @app.get("/slow/<float:seconds>", execution="pool")
    def slow(seconds):
        time.sleep(seconds)
        return "slow"

    @app.get("/until/<name>", execution="pool")
    def until(name):
        while not os.path.exists(name):
            time.sleep(0.02)
        return name

    @app.get("/inline/<float:seconds>")
    def inline(seconds):
        time.sleep(seconds)
        return "inline"
"""
ASYNC = """
    @app.get("/async/<float:seconds>")
    async def waits(seconds):
        await asyncio.sleep(seconds)
        return "async"
"""
RUN = """
    if __name__ == "__main__":
        app.run(port=0, {0})
        print("run() came back")
"""


def served(folder: Path, options: str = "", source: str = APP) -> list[str]:
    return script(folder, source + RUN.format(options))


def test_one_line_says_where_and_how(tmp_path: Path) -> None:
    with started(served(tmp_path), tmp_path) as server:
        version = ".".join(map(str, sys.version_info[:3]))
        assert re.fullmatch(
            rf"BustAPI \S+ on http://127\.0\.0\.1:{server.port} \(threads=1, workers=1, \w+ {re.escape(version)}\S*\)\n",
            server.output,
        )
        assert server.get()[0] == 200


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_on_an_idle_server_ends_it_at_once(tmp_path: Path, number: int) -> None:
    with started(served(tmp_path), tmp_path) as server:
        begun = time.monotonic()
        assert server.stop(number) == 0
        assert time.monotonic() - begun < 2
        # No traceback, and the program goes on after run().
        assert server.output.splitlines()[1:] == ["run() came back"]


def idle_connection(server: Server) -> socket.socket:
    """One that has had its first answer and is kept."""
    sock = server.connect()
    sock.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert sock.recv(65536).startswith(b"HTTP/1.1 200 ")
    return sock


@pytest.mark.parametrize(
    ("path", "body"), [("/slow/0.6", "slow"), ("/inline/0.6", "inline"), ("/async/0.6", "async")]
)
@pytest.mark.parametrize("options", ["", "threads=2", "loop='asyncio'"])
def test_a_drain_answers_what_is_under_way(tmp_path: Path, path: str, body: str, options: str) -> None:
    with (
        started(served(tmp_path, options, APP + ASYNC), tmp_path) as server,
        ThreadPoolExecutor(4) as clients,
    ):
        kept = idle_connection(server)
        under_way = [clients.submit(server.get, path) for _ in range(2)]
        time.sleep(0.3)
        server.send(signal.SIGTERM)
        assert [future.result() for future in under_way] == [(200, body)] * 2
        assert server.wait() == 0
        assert kept.recv(1) == b""
        kept.close()
        assert "Traceback" not in server.output


def test_a_draining_server_takes_no_new_connections(tmp_path: Path) -> None:
    with started(served(tmp_path), tmp_path) as server, ThreadPoolExecutor(1) as clients:
        under_way = clients.submit(server.get, "/until/told")
        time.sleep(0.3)
        server.send(signal.SIGTERM)

        def refused() -> bool:
            try:
                server.connect(1).close()
            except ConnectionRefusedError:
                return True
            except ConnectionResetError:
                pass  # The listener was closed meanwhile.
            return False

        try:
            eventually(refused)
            assert not under_way.done()
        finally:
            (tmp_path / "told").touch()
        assert under_way.result() == (200, "told")
        assert server.wait() == 0


@pytest.mark.parametrize("path", ["/slow/30.0", "/inline/30.0", "/async/30.0"])
def test_a_second_signal_waits_for_nobody(tmp_path: Path, path: str) -> None:
    with started(served(tmp_path, "", APP + ASYNC), tmp_path) as server, ThreadPoolExecutor(1) as clients:
        under_way = clients.submit(server.get, path)
        time.sleep(0.4)
        server.send(signal.SIGTERM)
        time.sleep(0.4)
        assert server.process.poll() is None
        begun = time.monotonic()
        server.send(signal.SIGINT)
        assert server.wait(10) != 0
        assert time.monotonic() - begun < 3
        with pytest.raises((OSError, http.client.HTTPException)):
            under_way.result()


def test_the_grace_bounds_a_drain(tmp_path: Path) -> None:
    with started(served(tmp_path, "grace=0.3"), tmp_path) as server, ThreadPoolExecutor(1) as clients:
        under_way = clients.submit(server.get, "/slow/30.0")
        time.sleep(0.3)
        begun = time.monotonic()
        server.send(signal.SIGTERM)
        assert server.wait(10) != 0
        assert time.monotonic() - begun < 5
        assert "still busy after the grace of 0.3 s: bustapi-pool-" in server.output
        with pytest.raises((OSError, http.client.HTTPException)):
            under_way.result()


ENDS = """
    @app.on_shutdown
    def last():
        print("the end begins")
        time.sleep({0})
        print("the end is over")
"""


@pytest.mark.parametrize("options", ["", "threads=2", "loop='asyncio'"])
def test_a_view_that_does_not_come_back_keeps_no_application_from_ending(
    tmp_path: Path, options: str
) -> None:
    command = served(tmp_path, f"grace=0.3, {options}", APP + ENDS.format(0.7))
    with started(command, tmp_path) as server, ThreadPoolExecutor(1) as clients:
        under_way = clients.submit(server.get, "/slow/30.0")
        time.sleep(0.3)
        server.send(signal.SIGTERM)
        assert server.wait(10) == 70
        # The application's end comes before what may take the rest of the time.
        *_, begins, over, late = server.output.splitlines()
        assert (begins, over) == ("the end begins", "the end is over")
        assert late == "still busy after the grace of 0.3 s: bustapi-pool-1"
        with pytest.raises((OSError, http.client.HTTPException)):
            under_way.result()


STUBBORN = """
    import asyncio

    @app.get("/stubborn")
    async def stubborn():
        while True:
            try:
                await asyncio.sleep(0.05)
            except asyncio.CancelledError:
                pass
"""


def test_a_coroutine_that_does_not_end_is_named(tmp_path: Path) -> None:
    command = served(tmp_path, "grace=0.3", APP + STUBBORN + ENDS.format(0))
    with started(command, tmp_path) as server, ThreadPoolExecutor(1) as clients:
        under_way = clients.submit(server.get, "/stubborn")
        time.sleep(0.3)
        server.send(signal.SIGTERM)
        assert server.wait(10) == 70
        assert "the end is over" in server.output
        assert "still busy after the grace of 0.3 s: the coroutine stubborn" in server.output
        with pytest.raises((OSError, http.client.HTTPException)):
            under_way.result()


@pytest.mark.parametrize("options", ["", "loop='asyncio'"])
def test_an_end_that_does_not_come_is_named(tmp_path: Path, options: str) -> None:
    command = served(tmp_path, f"grace=0.3, {options}", APP + ENDS.format(30))
    with started(command, tmp_path) as server:
        server.send(signal.SIGTERM)
        assert server.wait(10) == 128 + signal.SIGTERM
        *_, begins, late = server.output.splitlines()
        assert begins == "the end begins"
        assert late == "still busy after the grace: what the application runs at its end"


def test_a_signal_that_another_thread_gets_stops_the_server(tmp_path: Path) -> None:
    if not hasattr(signal, "pthread_kill"):
        pytest.skip("signals cannot be sent to threads here")
    source = (
        APP
        + """
    @app.get("/signal", execution="pool")
    def send():
        signal.pthread_kill(threading.get_ident(), signal.SIGTERM)
        return "sent"
    """
    )
    with started(served(tmp_path, "", source), tmp_path) as server:
        assert server.get("/signal") == (200, "sent")
        assert server.wait() == 0


def test_handlers_come_back_and_the_application_can_run_again(tmp_path: Path) -> None:
    source = (
        APP
        + """
    if __name__ == "__main__":
        before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
        interval = sys.getswitchinterval()
        for _ in range(2):
            app.run(port=0)
            assert before == [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
            assert interval == sys.getswitchinterval()
        print("both came back")
        print([t.name for t in threading.enumerate()])
    """
    )
    with started(script(tmp_path, source), tmp_path) as server:
        assert server.get()[0] == 200
        server.send(signal.SIGTERM)
        eventually(lambda: server.output.count("BustAPI ") == 2)
        server.port = int(re.findall(r"http://127\.0\.0\.1:(\d+)", server.output)[1])
        assert server.get()[0] == 200
        assert server.stop() == 0
        assert server.output.splitlines()[-2:] == ["both came back", "['MainThread']"]


@pytest.mark.parametrize("asynchronous", ["", ASYNC], ids=["plain", "guest"])
def test_threads_share_the_work(tmp_path: Path, asynchronous: str) -> None:
    with started(served(tmp_path, "threads=2, execution='inline'", APP + asynchronous), tmp_path) as server:
        assert "2 threads share one GIL" in server.output or not sys._is_gil_enabled()  # type: ignore[attr-defined]
        with ThreadPoolExecutor(8) as clients:
            answers = list(clients.map(lambda _: server.get(), range(64)))
        assert {status for status, _ in answers} == {200}
        names = {json.loads(body)["thread"] for _, body in answers}
        assert names == {"MainThread", "bustapi-reactor-2"} if LINUX else names
        assert server.stop() == 0


def test_serving_outside_of_the_main_thread_leaves_signals_alone(tmp_path: Path) -> None:
    source = (
        APP
        + """
    if __name__ == "__main__":
        before = signal.getsignal(signal.SIGTERM)
        thread = threading.Thread(target=app.run, kwargs={"port": 0}, daemon=True)
        thread.start()
        sys.stdin.close()
        while thread.is_alive():
            time.sleep(0.05)
            assert signal.getsignal(signal.SIGTERM) == before
    """
    )
    with started(script(tmp_path, source), tmp_path) as server:
        assert server.get()[0] == 200
        assert server.stop() == -signal.SIGTERM


@pytest.mark.skipif(not HAS_IPV6, reason="this machine has no IPv6")
def test_ipv6(tmp_path: Path) -> None:
    with started(served(tmp_path, "host='::1'"), tmp_path) as server:
        assert f"on http://[::1]:{server.port} " in server.output
        assert server.get(host="::1")[0] == 200
        assert server.stop() == 0


@pytest.mark.parametrize("threads", [1, 2])
def test_a_unix_socket(tmp_path: Path, threads: int) -> None:
    path = tmp_path / "a.sock"
    with started(served(tmp_path, f"host='unix:{path}', threads={threads}"), tmp_path) as server:
        assert f"on unix:{path} " in server.output
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(10)
            sock.connect(str(path))
            sock.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            assert sock.recv(65536).startswith(b"HTTP/1.1 200 ")
        code, _, errors = run_to_end(served(tmp_path, f"host='unix:{path}'"), tmp_path)
        assert (code, errors) == (
            1,
            f"error: cannot listen on unix:{path}: another server is listening there\n",
        )
        assert server.stop() == 0
        assert not path.exists()


def test_environment_and_server_name_tell_where(tmp_path: Path) -> None:
    port = free_port()
    named = APP + f"\n    app.config['SERVER_NAME'] = 'localhost:{port}'\n    app.run()\n"
    with started(script(tmp_path, named), tmp_path) as server:
        assert server.port == port
    with started(
        script(tmp_path, named), tmp_path, {"BUSTAPI_PORT": "0", "BUSTAPI_HOST": "127.0.0.1"}
    ) as server:
        assert server.port != port


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ("host='999.1.1.1'", r"error: cannot listen on 999\.1\.1\.1:0: .+"),
        (
            "host='192.0.2.1'",
            r"error: cannot listen on 192\.0\.2\.1:0: the address does not belong to this machine",
        ),
        (
            "ssl_context='adhoc'",
            r"bustapi\.serve\.errors\.ServeError: ssl_context: TLS is not supported yet; .+",
        ),
        ("colour=1", r"TypeError: run\(\) got an unexpected keyword argument 'colour'"),
        ("threads=0", r"bustapi\.serve\.errors\.SettingsError: threads: must be at least 1, not 0"),
    ],
)
def test_what_cannot_be_served_is_said_in_one_line(tmp_path: Path, options: str, error: str) -> None:
    code, output, errors = run_to_end(served(tmp_path, options), tmp_path)
    assert (code, output) == (1, "")
    assert re.fullmatch(error, errors.splitlines()[-1])
    # What the operator has to set right is a line; what the programmer has, an exception.
    assert ("Traceback" in errors) == (not errors.startswith("error: "))


def test_a_port_in_use_is_one_line(tmp_path: Path) -> None:
    with started(served(tmp_path, "threads=2"), tmp_path) as server:
        second = script(tmp_path, APP + f"\n    app.run(port={server.port}, threads=2)\n", "second.py")
        code, output, errors = run_to_end(second, tmp_path)
        assert (code, output) == (1, "")
        assert re.fullmatch(
            rf"error: cannot listen on 127\.0\.0\.1:{server.port}: the address is in use.*\n", errors
        )
        assert server.get()[0] == 200


def test_a_bad_variable_is_one_line(tmp_path: Path) -> None:
    code, _, errors = run_to_end(served(tmp_path), tmp_path, BUSTAPI_THREADS="many")
    assert (code, errors) == (1, "error: BUSTAPI_THREADS: must be a whole number or 'auto', not 'many'\n")


@pytest.mark.parametrize(
    ("keywords", "said"),
    [
        ("", ""),
        ("threaded=True", ""),
        ("use_reloader=True", "use_reloader: not available here; "),
        ("use_debugger=True", "use_debugger: not available here; "),
        ("threaded=True, head_timeout=5, max_body=100", ""),
    ],
)
def test_run_simple(tmp_path: Path, keywords: str, said: str) -> None:
    run = f"\n    from bustapi.serve import run_simple\n    run_simple('127.0.0.1', 0, app, {keywords})\n"
    with started(script(tmp_path, APP + run), tmp_path) as server:
        assert server.get()[0] == 200
        assert server.get("/slow/0.0") == (200, "slow")
        lines = server.output.splitlines()
        assert len(lines) == (2 if said else 1)
        assert lines[0].startswith(said or "BustAPI ")
        assert server.stop() == 0


def test_without_threads_one_view_runs_at_a_time(tmp_path: Path) -> None:
    run = "\n    from bustapi.serve import run_simple\n    run_simple('127.0.0.1', 0, app)\n"
    with started(script(tmp_path, APP + run), tmp_path) as server, ThreadPoolExecutor(3) as clients:
        begun = time.monotonic()
        answers = list(clients.map(lambda _: server.get("/slow/0.3"), range(3)))
        assert answers == [(200, "slow")] * 3
        assert time.monotonic() - begun > 0.85


def test_many_clients_while_threads_come_and_go(tmp_path: Path) -> None:
    with started(served(tmp_path, "threads=2", APP + ASYNC), tmp_path) as server:
        stop = threading.Event()
        failures: list[object] = []

        def client(path: str) -> None:
            while not stop.is_set():
                try:
                    if server.get(path)[0] != 200:
                        failures.append(path)
                except OSError as error:
                    failures.append(error)

        threads = [threading.Thread(target=client, args=(p,)) for p in ("/", "/slow/0.01", "/async/0.01") * 2]
        for thread in threads:
            thread.start()
        time.sleep(1)
        stop.set()
        for thread in threads:
            thread.join(10)
        assert failures == []
        assert server.stop() == 0
