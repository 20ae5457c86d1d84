"""The `bustapi` command as a process."""

from __future__ import annotations

import re
import shutil
import signal
import sys
import sysconfig
from pathlib import Path

import pytest

from run_helpers import run_to_end, started

APP = """
import os
from bustapi import BustAPI

app = BustAPI(__name__)

@app.get("/")
def index():
    return {"debug": app.debug, "name": __name__, "variable": os.environ.get("FROM_FILE")}

def create_app(word="none"):
    made = BustAPI(__name__)
    made.get("/")(lambda: word)
    return made

class Other:
    def __call__(self, environ, start_response):
        return []

other = Other()

app.run(port=0)
"""
MODULE = [sys.executable, "-m", "bustapi"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "site_app.py").write_text(APP)
    (tmp_path / "broken.py").write_text("1 / 0\n")
    return tmp_path


def script() -> str:
    found = shutil.which("bustapi", path=sysconfig.get_path("scripts"))
    assert found, "the package's script is not installed"
    return found


@pytest.mark.parametrize("named", ["site_app:app", "site_app", "site_app.py:app", "./site_app.py"])
def test_an_application_is_served_by_its_name(folder: Path, named: str) -> None:
    with started([script(), "run", named, "--port", "0"], folder) as server:
        assert server.get() == (200, '{"debug":false,"name":"site_app","variable":null}\n')
        assert server.stop(signal.SIGINT) == 0
        # The module's own unguarded app.run() said why it did nothing; nothing else was said.
        assert len(server.output.splitlines()) == 2


def test_a_factory_and_options(folder: Path) -> None:
    command = [*MODULE, "run", "site_app:create_app('made')", "-p", "0", "-h", "127.0.0.1", "--threads", "2"]
    with started([*command, "--max-body", "1000", "--grace", "1"], folder) as server:
        assert "threads=2, workers=1" in server.output
        assert server.get() == (200, "made")
        assert server.stop() == 0


def test_options_come_from_the_environment(folder: Path) -> None:
    env = {"BUSTAPI_APP": "site_app:app", "BUSTAPI_PORT": "0", "BUSTAPI_THREADS": "2"}
    with started([*MODULE, "run"], folder, env) as server:
        assert "threads=2" in server.output


def test_debug_is_set_before_the_import(folder: Path) -> None:
    (folder / "site_app.py").write_text(
        APP.replace("app = BustAPI(__name__)", "app = BustAPI(__name__)\nassert app.debug")
    )
    with started([*MODULE, "run", "site_app", "-p", "0", "--debug"], folder) as server:
        assert '"debug": true' in server.get()[1]


def test_files_set_the_environment(folder: Path) -> None:
    pytest.importorskip("dotenv")
    (folder / ".env").write_text("FROM_FILE=yes\nBUSTAPI_PORT=0\n")
    with started([*MODULE, "run", "site_app"], folder) as server:
        assert '"variable":"yes"' in server.get()[1]


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["nowhere:app"], r"there is no module 'nowhere'.*"),
        (["site_app:nothing"], r"site_app has no name 'nothing'"),
        (["no/file.py"], r"there is no file 'no/file\.py'"),
        (["site_app:other"], r"hosting other WSGI applications is not supported yet; .*"),
        (["site_app:app", "--host", "999.1.1.1"], r"cannot listen on 999\.1\.1\.1:5000: .+"),
        (["site_app:app", "--port", "many"], r"port: must be a whole number, not 'many'"),
        (["site_app:app", "--port", "70000"], r"port: must be at most 65535, not '70000'"),
        (["site_app:app", "--workers", "0"], r"workers: must be at least 1, not '0'"),
        ([], r"which application\? .*"),
    ],
)
def test_what_cannot_be_served_is_one_line(folder: Path, arguments: list[str], error: str) -> None:
    code, output, errors = run_to_end([*MODULE, "run", *arguments], folder)
    assert (code, output) == (1, "")
    last = errors.splitlines()[-1]
    assert re.fullmatch(f"error: {error}", last)
    # Of the application's own app.run() there may be a line before.
    assert len(errors.splitlines()) <= 2
    assert "Traceback" not in errors


def test_a_port_in_use_is_one_line(folder: Path) -> None:
    with started([*MODULE, "run", "site_app", "-p", "0"], folder) as server:
        code, _, errors = run_to_end([*MODULE, "run", "site_app", "-p", str(server.port)], folder)
        assert code == 1
        assert re.search(
            rf"^error: cannot listen on 127\.0\.0\.1:{server.port}: the address is in use", errors, re.M
        )
        assert "Traceback" not in errors


def test_a_broken_module_is_shown_where_it_broke(folder: Path) -> None:
    code, _, errors = run_to_end([*MODULE, "run", "broken:app"], folder)
    assert code == 1
    assert "ZeroDivisionError" in errors
    assert "bustapi" not in errors.partition("error: ")[0]
    assert errors.splitlines()[-1] == "error: broken cannot be imported: ZeroDivisionError"


@pytest.mark.parametrize("command", [MODULE, None], ids=["module", "script"])
def test_the_version(folder: Path, command: list[str] | None) -> None:
    code, output, errors = run_to_end([*(command or [script()]), "--version"], folder)
    assert (code, errors) == (0, "")
    assert re.fullmatch(r"BustAPI \d+\.\d+\S* \(\w+ 3\.\d+\.\d+\S*\)\n", output)


def test_help_names_every_option(folder: Path) -> None:
    from bustapi.serve import Settings

    code, output, _ = run_to_end([*MODULE, "run", "--help"], folder)
    assert code == 0
    for name in Settings.names():
        assert "--" + name.replace("_", "-") in output


def test_a_wrong_call_is_exit_code_two(folder: Path) -> None:
    for arguments in (["walk"], ["run", "--colour", "red"]):
        code, _, errors = run_to_end([*MODULE, *arguments], folder)
        assert code == 2
        assert "Traceback" not in errors
