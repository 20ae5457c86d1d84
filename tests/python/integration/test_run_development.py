"""Debug mode: the reloader and the debugger around the server."""

from __future__ import annotations

import re
import signal
import sys
from pathlib import Path

import pytest

from run_helpers import Server, edit, eventually, run_to_end, script, started

APP = """
    import os
    from bustapi import BustAPI

    app = BustAPI(__name__)

    @app.get("/")
    def index():
        return "first"

    @app.get("/fails")
    def fails():
        raise ValueError("told in the page")
"""
RUN = """
    if __name__ == "__main__":
        app.run(port={0}, debug=True{1})
"""
COMMANDS = {
    "run": lambda port: ["served.py"],
    "cli": lambda port: ["-m", "bustapi", "run", "served", "--debug", "-p", port],
}


def change(folder: Path) -> None:
    edit(folder / "served.py", "first", "second")


def answers(server: Server, body: str) -> bool:
    try:
        return server.get() == (200, body)
    except OSError:
        return False


@pytest.mark.parametrize("kind", ["run", "cli"])
@pytest.mark.parametrize("workers", [1, 2])
def test_a_change_restarts_the_server(tmp_path: Path, free_port: int, kind: str, workers: int) -> None:
    script(tmp_path, APP + RUN.format(free_port, ""))
    env = {"BUSTAPI_WORKERS": str(workers)}
    with started([sys.executable, *COMMANDS[kind](str(free_port))], tmp_path, env) as server:
        assert "Restarting with " in server.output
        eventually(lambda: answers(server, "first"))
        change(tmp_path)
        eventually(lambda: answers(server, "second"), 20)
        assert re.search(r"Detected change in '.*served\.py'", server.output)
        assert server.stop(signal.SIGINT) == 0
        assert "Traceback" not in server.output


def test_the_debugger_shows_where_a_view_failed(tmp_path: Path, free_port: int) -> None:
    with started(script(tmp_path, APP + RUN.format(free_port, ", use_reloader=False")), tmp_path) as server:
        assert "Restarting" not in server.output
        status, page = server.get("/fails")
        assert status == 500
        assert "told in the page" in page
        assert "served.py" in page
        assert server.get() == (200, "first")
        assert server.stop() == 0


def test_debug_mode_without_the_tools(tmp_path: Path, free_port: int) -> None:
    options = ", use_reloader=False, use_debugger=False"
    with started(script(tmp_path, APP + RUN.format(free_port, options)), tmp_path) as server:
        status, page = server.get("/fails")
        assert status == 500
        assert "told in the page" not in page


def test_a_server_that_cannot_start_ends_the_reloader_too(tmp_path: Path) -> None:
    command = script(tmp_path, APP + RUN.format(0, ", host='999.1.1.1'"))
    code, _, errors = run_to_end(command, tmp_path)
    assert code == 1
    assert errors.splitlines()[-1].startswith("error: cannot listen on 999.1.1.1:0: ")
    assert "Traceback" not in errors
