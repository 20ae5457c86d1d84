"""Files over sockets: slow and vanishing clients, files that change while they are sent, descriptors, threads."""

from __future__ import annotations

import http.client
import os
import socket
import sys
import time
from pathlib import Path

import pytest

from integration.servers import Served, read_all, read_until, serving
from run_helpers import script, started

SIZE = 4 * 1024 * 1024

SOURCE = """
import os
from bustapi import BustAPI, Response, send_file
app = BustAPI(__name__)
HERE = os.path.dirname(os.path.abspath(__file__))

@app.get("/sent/<name>")
def sent(name):
    return send_file(os.path.join(HERE, "static", name))

@app.get("/object")
def opened():
    return send_file(open(os.path.join(HERE, "static", "large"), "rb"), mimetype="text/plain")

@app.get("/descriptors")
def descriptors():
    return {"open": len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0}

@app.get("/json")
def json():
    return {"quick": True}
"""

DOORS = ["/static/large", "/sent/large", "/object"]
RUNS = ["", "execution='inline'", "execution='pool', threads=2"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    static = tmp_path / "static"
    static.mkdir()
    (static / "large").write_bytes(os.urandom(SIZE))
    (static / "small").write_bytes(b"small")
    return static


def get(served: Served, path: str) -> bytes:
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=20)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        assert response.status == 200
        return response.read()
    finally:
        connection.close()


def open_descriptors(served: Served) -> int:
    import json

    return int(json.loads(get(served, "/descriptors"))["open"])


def wait_for_descriptors(served: Served, most: int) -> None:
    end = time.monotonic() + 10
    while (count := open_descriptors(served)) > most:
        assert time.monotonic() < end, f"{count} descriptors are open"
        time.sleep(0.05)


@pytest.mark.parametrize("run", RUNS)
def test_files_arrive_whole_however_they_are_taken(folder: Path, run: str) -> None:
    content = (folder / "large").read_bytes()
    with serving(folder.parent, SOURCE, run=run) as served:
        before = open_descriptors(served)
        for path in DOORS:
            assert get(served, path) == content
            # A reader that takes little at a time, with a request behind the file.
            with served.connect(20) as sock:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 * 1024)
                sock.sendall(
                    f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n"
                    "GET /json HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode()
                )
                got = read_all(sock)
            _, _, rest = got.partition(b"\r\n\r\n")
            if path == "/object":
                size, _, rest = rest.partition(b"\r\n")
                assert int(size, 16) == SIZE
                assert rest[SIZE:].startswith(b"\r\n0\r\n\r\nHTTP/1.1 200")
            else:
                assert rest[SIZE:].startswith(b"HTTP/1.1 200")
            assert rest[:SIZE] == content
            assert b'{"quick":true}' in got
            # RFC 9112 6.3: of an old client's answer the end of the connection is the end.
            answer = served.send(f"GET {path} HTTP/1.0\r\n\r\n".encode())
            assert answer.partition(b"\r\n\r\n")[2] == content
            head = served.send(f"HEAD {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
            assert head.startswith(b"HTTP/1.1 200")
            assert head.endswith(b"\r\n\r\n")
        wait_for_descriptors(served, before)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="counts the descriptors of the server")
def test_clients_that_leave_leave_no_file_open(folder: Path) -> None:
    with serving(folder.parent, SOURCE) as served:
        before = open_descriptors(served)
        stalled = []
        for path in DOORS * 5:
            sock = served.connect()
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 * 1024)
            sock.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            assert read_until(sock, b"\r\n\r\n").startswith(b"HTTP/1.1 200")
            stalled.append(sock)
        # While they wait the others are answered, and each file is open once.
        assert b"quick" in get(served, "/json")
        assert before + len(stalled) < open_descriptors(served) <= before + 2 * len(stalled) + 2
        for sock in stalled:
            sock.close()
        wait_for_descriptors(served, before)


@pytest.mark.parametrize("version", ["1.1", "1.0"])
@pytest.mark.parametrize("path", DOORS)
def test_a_file_that_shrinks_while_it_is_sent_breaks_off(folder: Path, path: str, version: str) -> None:
    with serving(folder.parent, SOURCE) as served:
        with served.connect(20) as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 * 1024)
            sock.sendall(f"GET {path} HTTP/{version}\r\nHost: x\r\n\r\n".encode())
            got = read_until(sock, b"\r\n\r\n")
            os.truncate(folder / "large", SIZE // 8)
            try:
                got += read_all(sock)
                was_reset = False
            except ConnectionResetError:
                was_reset = True
        assert len(got) < SIZE
        if path == "/object":
            # No length was told: the end of the connection must not pass for that of the file.
            assert was_reset if version == "1.0" else not got.endswith(b"0\r\n\r\n")
        else:
            assert f"Content-Length: {SIZE}".encode() in got
        # Nothing else has come to harm.
        assert len(get(served, path)) == SIZE // 8


def test_a_large_file_holds_up_nobody(folder: Path) -> None:
    run = "execution='inline'"
    with (
        serving(folder.parent, SOURCE, run=run) as served,
        served.connect(20) as first,
        served.connect(20) as second,
    ):
        first.sendall(b"GET /static/large HTTP/1.1\r\nHost: x\r\n\r\n")
        assert first.recv(1)
        # Nobody takes the file meanwhile.
        for _ in range(20):
            second.sendall(b"GET /json HTTP/1.1\r\nHost: x\r\n\r\n")
            assert b"quick" in read_until(second, b"}\n")


def test_files_are_sent_over_unix_sockets(folder: Path, tmp_path: Path) -> None:
    content = (folder / "large").read_bytes()
    path = tmp_path / "s"
    program = script(tmp_path, SOURCE + f"\napp.run('unix:{path}')\n")
    with started(program, tmp_path):
        for target in DOORS[:2]:
            with socket.socket(socket.AF_UNIX) as sock:
                sock.settimeout(20)
                sock.connect(str(path))
                sock.sendall(f"GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
                assert read_all(sock).partition(b"\r\n\r\n")[2] == content
