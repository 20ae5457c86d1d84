"""The HTTP/1.1 probe against the server, where the probe is at hand (`../shared/tools/h1probe.py`).

Over TCP each case runs three times, which finds races. The probe speaks TCP only: a relay carries it to a unix socket.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from run_helpers import eventually, script, started

BESIDE = Path(__file__).parents[4] / "shared" / "tools" / "h1probe.py"
PROBE = Path(os.environ.get("BUSTAPI_H1_PROBE", BESIDE))
APP = (Path(__file__).parents[1] / "apps" / "probe_app.py").read_text().partition("if __name__")[0]

#: SHOULD cases that are not met, by intent. A05: Flask answers `get` as GET, because Werkzeug upper-cases methods.
DECLINED = {"A05-method-case"}

pytestmark = [
    pytest.mark.load,
    pytest.mark.timeout(900),
    pytest.mark.skipif(not PROBE.exists(), reason="the probe is not beside this checkout"),
]


def test_the_probe_finds_nothing_that_is_not_declined(tmp_path: Path) -> None:
    with started(script(tmp_path, f"{APP}\napp.run(port=0)\n"), tmp_path) as server:
        judge(probe(tmp_path, server.port, "--repeat", "3"))


def test_the_probe_finds_nothing_over_a_unix_socket(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    command = script(tmp_path, f"{APP}\napp.run(host='unix:{path}')\n")
    with started(command, tmp_path, announced=None):
        eventually(path.exists)
        with relaying(path) as port:
            judge(probe(tmp_path, port))


def probe(folder: Path, port: int, *options: str) -> Any:
    report = folder / "probe.json"
    subprocess.run(
        [sys.executable, str(PROBE), f"127.0.0.1:{port}", "--json", str(report), *options],
        timeout=880,
        check=False,
        stdout=subprocess.DEVNULL,
    )
    return json.loads(report.read_text())


def judge(outcome: Any) -> None:
    assert outcome["alive"]
    failed = {
        name: f"{case['level']} {case['desc']}: {case['obs']}"
        for name, case in outcome["cases"].items()
        if not case["ok"] and case["level"] != "INFO"
    }
    assert len(outcome["cases"]) > 200
    assert failed.keys() <= DECLINED, failed


@contextlib.contextmanager
def relaying(path: Path) -> Iterator[int]:
    """The port of a relay to the unix socket, which keeps half-closes and resets."""
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listener:
        threading.Thread(target=accept, args=(listener, path), daemon=True).start()
        try:
            yield int(listener.getsockname()[1])
        finally:
            listener.shutdown(socket.SHUT_RDWR)


def accept(listener: socket.socket, path: Path) -> None:
    with contextlib.suppress(OSError):
        while True:
            client, _ = listener.accept()
            server = socket.socket(socket.AF_UNIX)
            server.connect(str(path))
            pair = Pair(client, server)
            for source, sink in ((client, server), (server, client)):
                threading.Thread(target=pair.carry, args=(source, sink), daemon=True).start()


class Pair:
    """Two sockets, and how many of their directions are open."""

    def __init__(self, client: socket.socket, server: socket.socket) -> None:
        self.sockets = (client, server)
        self.lock = threading.Lock()
        self.open = 2

    def carry(self, source: socket.socket, sink: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            # One side is gone without a word: so is the other then.
            for sock in self.sockets:
                with contextlib.suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)
        with self.lock:
            self.open -= 1
            if not self.open:
                for sock in self.sockets:
                    sock.close()
