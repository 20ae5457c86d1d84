"""More than there is room for: stalled clients by the thousand, no descriptors left, a queue that is full."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import statistics
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Callable

import pytest

from .servers import Served, read_all, read_until, serving

pytestmark = [
    pytest.mark.load,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc"),
]

APP = """
    import time
    from bustapi import BustAPI, Response, request

    app = BustAPI(__name__)
    large = b"x" * 1_000_000
    called = 0

    @app.get("/")
    def index():
        return "ok"

    @app.get("/large")
    def get_large():
        return large

    @app.post("/echo")
    def echo():
        return request.get_data()

    @app.get("/slow")
    def slow():
        global called
        called += 1
        time.sleep(0.02)
        return "slow"

    @app.get("/called")
    def get_called():
        return {"called": called}

    @app.get("/pooled", execution="pool")
    def pooled():
        global called
        called += 1
        time.sleep(0.2)
        return "pooled"

    @app.get("/endless")
    def endless():
        def parts():
            try:
                while True:
                    yield b"y" * 65536
            finally:
                print("the stream was closed", flush=True)
        return Response(parts())

    @app.get("/breaks")
    def breaks():
        def parts():
            yield b"begun"
            raise RuntimeError("in the middle")
        return Response(parts())
"""

MANY = 1000


@pytest.fixture(autouse=True, scope="module")
def enough_descriptors() -> Iterator[None]:
    import resource

    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MANY + 500
    if limits[1] != resource.RLIM_INFINITY and limits[1] < wanted:
        pytest.skip("too few descriptors for a thousand clients")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(limits[0], wanted), limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def answer_time(served: Served) -> float:
    """The median of what a client with a new connection for each request waits, in seconds."""
    times = []
    for _ in range(21):
        begun = time.monotonic()
        with served.connect() as sock:
            sock.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            assert read_all(sock).endswith(b"ok")
        times.append(time.monotonic() - begun)
    return statistics.median(times)


def descriptors(served: Served) -> int:
    return len(os.listdir(f"/proc/{served.process.pid}/fd"))


def seconds_of_cpu(served: Served) -> float:
    fields = Path(f"/proc/{served.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def wait(true: Callable[[], bool], seconds: float = 15.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "not in time"
        time.sleep(0.02)


@pytest.mark.parametrize(
    "begun",
    [
        b"",
        b"GET / HTTP/1.1\r\nHost: a\r\nX-Begun: ",
        b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\nbegun",
        b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n" * 8,
        b"GET /endless HTTP/1.1\r\nHost: a\r\n\r\n",
    ],
    ids=["nothing", "heads", "bodies", "readers", "streams"],
)
def test_a_thousand_stalled_clients_slow_nobody_and_are_closed_in_time(tmp_path: Path, begun: bytes) -> None:
    timeouts = "first_byte_timeout=3, head_timeout=3, body_timeout=3, write_timeout=3, linger_timeout=0.2"
    with serving(tmp_path, APP, run=timeouts) as served, contextlib.ExitStack() as held:
        answer_time(served)
        before = descriptors(served)
        for _ in range(MANY):
            sock = held.enter_context(served.connect())
            # Small windows: the answers must not fit into the kernel's buffers.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            sock.sendall(begun)
        wait(lambda: descriptors(served) > before + MANY // 2)
        assert answer_time(served) < 0.05
        wait(lambda: descriptors(served) <= before + 5)
        assert answer_time(served) < 0.05


def test_without_descriptors_the_server_rests_and_comes_back(tmp_path: Path) -> None:
    limited = "\nimport resource\nresource.setrlimit(resource.RLIMIT_NOFILE, (100, 100))\n"
    with serving(tmp_path, APP.replace("\n    ", "\n") + limited) as served:
        told = 0
        with contextlib.ExitStack() as held:
            clients = [held.enter_context(served.connect()) for _ in range(300)]
            time.sleep(0.5)
            begun, used = time.monotonic(), seconds_of_cpu(served)
            time.sleep(2)
            share = (seconds_of_cpu(served) - used) / (time.monotonic() - begun)
            for sock in clients:
                sock.setblocking(False)
                with contextlib.suppress(BlockingIOError):
                    told += sock.recv(1000).startswith(b"HTTP/1.1 503 ")
        assert share < 0.05
        assert told >= 150
        begun = time.monotonic()
        while True:
            with contextlib.suppress(OSError), served.connect(2) as sock:
                sock.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
                if read_all(sock).endswith(b"ok"):
                    break
            assert time.monotonic() - begun < 2
        assert time.monotonic() - begun < 2


@pytest.mark.parametrize(
    ("path", "options"),
    [("/slow", "max_waiting=4, pool_threads=0"), ("/pooled", "pool_threads=1, pool_queue=1")],
    ids=["inline", "pool"],
)
def test_past_the_bound_requests_are_refused_without_a_call(tmp_path: Path, path: str, options: str) -> None:
    with serving(tmp_path, APP, run=options) as served:
        answers: list[bytes] = []

        def client() -> None:
            with served.connect() as sock:
                sock.sendall(f"GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
                answers.append(read_all(sock))

        threads = [threading.Thread(target=client) for _ in range(40)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        served_ones = [answer for answer in answers if answer.startswith(b"HTTP/1.1 200 ")]
        refused = [answer for answer in answers if answer.startswith(b"HTTP/1.1 503 ")]
        assert len(served_ones) + len(refused) == 40
        assert len(refused) >= 10
        assert all(b"\r\nRetry-After: " in answer for answer in refused)
        with served.connect() as sock:
            sock.sendall(b"GET /called HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            called = json.loads(read_all(sock).partition(b"\r\n\r\n")[2])["called"]
        assert called == len(served_ones)


def test_clients_wait_in_the_queue_of_a_server_that_is_busy(tmp_path: Path) -> None:
    if int(Path("/proc/sys/net/core/somaxconn").read_text()) < 1200:
        pytest.skip("the system's bound on accept queues is lower")
    with serving(tmp_path, APP) as served, contextlib.ExitStack() as held:
        served.process.send_signal(signal.SIGSTOP)
        try:
            clients = [held.enter_context(served.connect()) for _ in range(1100)]
            for sock in clients:
                sock.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        finally:
            served.process.send_signal(signal.SIGCONT)
        assert all(read_all(sock).endswith(b"ok") for sock in clients)


def test_a_stream_is_closed_when_its_client_goes_though_nobody_else_comes(tmp_path: Path) -> None:
    with serving(tmp_path, APP) as served:
        with served.connect() as sock:
            sock.sendall(b"GET /endless HTTP/1.1\r\nHost: a\r\n\r\n")
            sock.recv(1000)
        served.wait_for("the stream was closed", 5)


def test_a_cut_answer_that_only_the_end_would_end_is_reset(tmp_path: Path) -> None:
    with serving(tmp_path, APP) as served, served.connect() as sock:
        sock.sendall(b"GET /breaks HTTP/1.0\r\n\r\n")
        with pytest.raises(ConnectionResetError):
            read_all(sock)


def test_many_requests_on_one_connection_end_where_the_operator_says(tmp_path: Path) -> None:
    env = {"BUSTAPI_MAX_REQUESTS_PER_CONNECTION": "3"}
    with serving(tmp_path, APP, env=env) as served, served.connect() as sock:
        for number in (1, 2, 3):
            sock.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            answer = read_until(sock, b"ok")
            assert (b"Connection: close" in answer) == (number == 3)
        assert read_all(sock) == b""
