"""`run_simple` with the reloader and the debugger, and `make_server`, in processes of their own."""

from __future__ import annotations

import os
import signal
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any as Served
from typing import Callable

import pytest

from run_helpers import edit

APP = """
import sys
from bustapi.flask import Flask
from bustapi.werkzeug.serving import is_running_from_reloader, make_server, run_simple

app = Flask(__name__)

@app.get("/")
def index():
    import os
    return f"{ANSWER} {os.getpid()} {os.getppid()} {is_running_from_reloader()}"

@app.get("/crash")
def crash():
    raise ValueError("<crash>")

@app.get("/long")
def long():
    import time
    print("long began", flush=True)
    time.sleep(60)
"""


def get(port: int, path: str = "/") -> tuple[int, str]:
    """One request; refused connections are tried again, since a reload closes the port for a moment."""
    deadline = time.monotonic() + 20
    while True:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def gone(pid: int, seconds: float = 10.0) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
            with open(f"/proc/{pid}/stat") as file:
                if file.read().rpartition(")")[2].split()[0] == "Z":
                    return True
        except OSError:
            return True
        time.sleep(0.05)
    return False


def reloading(serve: Callable[..., Served], extra: str = "", before: str = "") -> Served:
    call = f'run_simple("127.0.0.1", PORT, app, use_reloader=True, reloader_type="stat", reloader_interval=0.1{extra})'
    return serve(f"ANSWER = 'one'\n{APP}{before}\n{call}")


@pytest.fixture
def served_script(tmp_path: Path) -> Path:
    return tmp_path / "served_0.py"


def change(script: Path) -> None:
    edit(script, "ANSWER = 'one'", "ANSWER = 'two'")


def test_change_is_served_by_a_new_process(serve_source: Callable[..., Served], served_script: Path) -> None:
    server = reloading(serve_source)
    answer, child, parent, inside = get(server.port)[1].split()
    assert (answer, int(parent), inside) == ("one", server.process.pid, "True")
    change(served_script)
    deadline = time.monotonic() + 20
    while answer == "one" and time.monotonic() < deadline:
        time.sleep(0.05)
        answer, successor, parent, _ = get(server.port)[1].split()
    assert answer == "two"
    assert successor != child
    assert int(parent) == server.process.pid
    assert "Detected change in" in server.output


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stop_signal_ends_both_processes(serve_source: Callable[..., Served], number: int) -> None:
    server = reloading(serve_source)
    child = int(get(server.port)[1].split()[1])
    assert server.stop(number) == 0
    assert gone(child)


def test_child_does_not_outlive_its_parent(serve_source: Callable[..., Served]) -> None:
    server = reloading(serve_source)
    child = int(get(server.port)[1].split()[1])
    server.stop(signal.SIGKILL)
    assert gone(child)


# Whether the reloader loses patience first or the server gives up first, as on a busy machine it may.
@pytest.mark.parametrize("patience", ["(0.1, 0.0)", "(0.1, 50.0)"])
def test_view_that_does_not_return_does_not_hold_up_a_reload(
    serve_source: Callable[..., Served], served_script: Path, patience: str
) -> None:
    hasten = f"import bustapi.werkzeug._reloader as reloader; reloader._PATIENCE = {patience}"
    server = reloading(serve_source, ", threaded=True", hasten)
    get(server.port)
    with server.connect() as connection:
        connection.sendall(b"GET /long HTTP/1.1\r\nHost: x\r\n\r\n")
        deadline = time.monotonic() + 10
        while "long began" not in server.output and time.monotonic() < deadline:
            time.sleep(0.05)
        change(served_script)

        def answers_anew() -> bool:
            try:
                return bool(get(server.port)[1].startswith("two"))
            except OSError:
                return False  # between the two children

        deadline = time.monotonic() + 30
        while not answers_anew():
            assert time.monotonic() < deadline, server.output
            time.sleep(0.1)


def test_error_of_the_program_ends_the_reloader(serve_source: Callable[..., Served]) -> None:
    source = (
        "ANSWER = ''\n" + APP + 'run_simple("256.0.0.1", PORT, app, use_reloader=True, reloader_type="stat")'
    )
    server = serve_source(source, wait=False)
    assert server.process.wait(20) == 1
    assert "256.0.0.1" in server.output


def test_debugger_shows_the_traceback(serve_source: Callable[..., Served]) -> None:
    source = (
        "ANSWER = 'one'\n" + APP + 'app.debug = True\nrun_simple("127.0.0.1", PORT, app, use_debugger=True)'
    )
    server = serve_source(source)
    assert get(server.port)[0] == 200
    status, page = get(server.port, "/crash")
    assert status == 500
    assert "<h1>ValueError</h1>" in page
    assert 'raise ValueError("&lt;crash&gt;")' in page
    assert "ValueError: <crash>" in server.output


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_made_server_ends_by_a_signal(serve_source: Callable[..., Served], number: int) -> None:
    source = "ANSWER = 'one'\n" + APP + 'make_server("127.0.0.1", PORT, app).serve_forever()\nprint("after")'
    server = serve_source(source)
    assert get(server.port)[1].startswith("one")
    assert server.stop(number) == 0
    assert "after" in server.output


@pytest.fixture(autouse=True)
def _linux_only() -> None:
    if not sys.platform.startswith("linux"):
        pytest.skip("looks at processes through /proc")
