"""`bustapi check`, `bustapi migrate`, and the commands that extensions and applications add."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any, Callable

import pytest

Run = Callable[..., "subprocess.CompletedProcess[str]"]

SITE = """
    from flask import Blueprint, Flask, request_started

    app = Flask(__name__)
    part = Blueprint("part", __name__, url_prefix="/part")

    class Counter:
        def __init__(self, app):
            app.extensions["counter"] = self
            app.after_request(self.count)
        def count(self, response):
            return response

    Counter(app)

    @app.get("/plain")
    def plain():
        return {}

    @app.get("/later")
    async def later():
        return {}

    @part.url_value_preprocessor
    def pull(endpoint, values):
        pass

    @part.get("/in")
    def inside():
        return {}

    app.register_blueprint(part)
    app.add_url_rule("/empty", endpoint="empty")
    app.add_url_rule("/socket", view_func=lambda: "", endpoint="socket", websocket=True)
"""


@pytest.fixture
def run(tmp_path: Path) -> Run:
    (tmp_path / "site_app.py").write_text(textwrap.dedent(SITE))

    def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        inherited = {
            key: value for key, value in os.environ.items() if key not in ("BUSTAPI_BRIDGE", "FLASK_APP")
        }
        return subprocess.run(
            [sys.executable, "-m", "bustapi", *arguments],
            cwd=tmp_path,
            env={**inherited, **environment},
            capture_output=True,
            text=True,
            timeout=50,
            check=False,
        )

    return run


@pytest.fixture
def report(run: Run) -> dict[str, Any]:
    result = run("check", "site_app:app", "--json")
    assert result.returncode == 1, result.stderr
    loaded: dict[str, Any] = json.loads(result.stdout)
    return loaded


def route(report: dict[str, Any], rule: str) -> dict[str, Any]:
    found: dict[str, Any] = next(item for item in report["routes"] if item["rule"] == rule)
    return found


def test_a_route_with_plain_hooks_is_native(report: dict[str, Any]) -> None:
    found = route(report, "/plain")
    assert (found["verdict"], found["mode"], found["file"]) == ("native", "auto", "site_app.py")
    source = textwrap.dedent(SITE).splitlines()
    assert source[found["line"] - 1] == '@app.get("/plain")'
    assert [reason["text"] for reason in found["reasons"]] == ["after hook Counter.count"]


def test_a_coroutine_function_with_hooks_takes_the_full_pipeline(report: dict[str, Any]) -> None:
    found = route(report, "/later")
    assert (found["verdict"], found["mode"]) == ("pipeline", "task")
    assert found["reasons"][0]["text"] == "the view is a coroutine function"


def test_the_reason_is_named_with_its_place(report: dict[str, Any]) -> None:
    found = route(report, "/part/in")
    assert found["verdict"] == "pipeline"
    reason = found["reasons"][0]
    assert reason["text"] == "url_value_preprocessor pull"
    assert reason["file"] == "site_app.py"


def test_a_rule_without_a_view_does_what_it_does_in_flask(report: dict[str, Any]) -> None:
    assert route(report, "/empty")["verdict"] == "pipeline"
    assert "no view for 'empty'" in route(report, "/empty")["reasons"][0]["text"]


def test_what_is_not_supported_is_counted(report: dict[str, Any]) -> None:
    assert route(report, "/socket")["verdict"] == "unsupported"
    assert report["counts"] == {"native": 2, "pipeline": 3, "unsupported": 1}


def test_hooks_and_extensions_are_listed(report: dict[str, Any]) -> None:
    hooks = {(item["kind"], item["name"]): item["verdict"] for item in report["hooks"]}
    assert hooks == {
        ("after_request", "Counter.count"): "native",
        ("url_value_preprocessors", "pull (blueprint part)"): "pipeline",
    }
    assert [(item["name"], item["class"]) for item in report["extensions"]] == [
        ("counter", "site_app.Counter")
    ]


def test_the_exit_code_tells_what_was_found(run: Run, tmp_path: Path) -> None:
    source = textwrap.dedent(SITE)
    (tmp_path / "fine.py").write_text(source[: source.index("app.add_url_rule")])
    assert run("check", "fine:app").returncode == 0
    assert run("check", "fine:app", "--require-native").returncode == 1
    assert run("check", "site_app:app").returncode == 1
    assert run("check", "missing:app").returncode == 2
    assert run("--app", "fine:app", "check").returncode == 0


def test_a_name_that_is_missing_here_is_a_finding(run: Run, tmp_path: Path) -> None:
    (tmp_path / "odd.py").write_text("import os\nfrom flask import Flask, nonsense\napp = Flask(__name__)\n")
    result = run("check", "odd:app", "--json")
    assert result.returncode == 1
    (problem,) = json.loads(result.stdout)["problems"]
    assert (problem["file"], problem["line"]) == ("odd.py", 2)
    assert "nonsense" in problem["text"]


def test_the_text_is_for_a_reader(run: Run) -> None:
    result = run("check", "site_app:app")
    assert "  full pipeline (auto)     GET          /part/in  -> part.inside  [site_app.py:" in result.stdout
    assert result.stdout.endswith("2 native, 3 full pipeline, 1 not supported, of 6 routes\n")


def test_commands_of_the_application_are_ours_too(run: Run, tmp_path: Path) -> None:
    (tmp_path / "commands.py").write_text(
        textwrap.dedent(
            """
            import click
            from flask import Flask, current_app

            app = Flask(__name__)

            @app.cli.command("greet")
            @click.argument("name")
            def greet(name):
                click.echo(f"{name} in {current_app.name}")
            """
        )
    )
    assert run("--app", "commands", "greet", "ann").stdout == "ann in commands\n"
    assert run("greet", "ann", BUSTAPI_APP="commands:app").stdout == "ann in commands\n"
    assert "greet" in run("--app", "commands", "--help").stdout
    assert run("--app", "site_app", "routes").stdout.startswith("Endpoint")
    assert "Error" not in run("--help").stderr


def test_entry_points_of_extensions_are_commands(run: Run, tmp_path: Path) -> None:
    (tmp_path / "plugin.py").write_text(
        "import click\n\n@click.command()\ndef hello():\n    click.echo('from a plugin')\n"
    )
    info = tmp_path / "plugin-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: plugin\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[flask.commands]\nhello = plugin:hello\n")
    assert run("hello", PYTHONPATH=str(tmp_path)).stdout == "from a plugin\n"


BEFORE = """\
'''Keeps its doc.'''
import os, flask
import flask.json as fj  # a remark
import werkzeug.exceptions
from flask import (
    Flask,
    request,   # the request
)
from flask import Markup as M
from flask.views import MethodView
from werkzeug.exceptions import NotFound, \\
    abort
from flask_cors import CORS
from .flask import local
x = "from flask import Flask"
\tif_odd = 1 if True else 2
""".replace("\tif", "if")

AFTER = """\
'''Keeps its doc.'''
import os, bustapi.flask as flask
import bustapi.flask.json as fj  # a remark
import bustapi.werkzeug.exceptions, bustapi.werkzeug as werkzeug
from bustapi import (
    Flask,
    request,   # the request
)
from bustapi.flask import Markup as M
from bustapi.flask.views import MethodView
from bustapi.werkzeug.exceptions import NotFound, \\
    abort
from flask_cors import CORS
from .flask import local
x = "from flask import Flask"
if_odd = 1 if True else 2
"""


def test_migrate_changes_imports_and_nothing_else(run: Run, tmp_path: Path) -> None:
    pytest.importorskip("libcst")
    file = tmp_path / "old.py"
    file.write_bytes(BEFORE.replace("\n", "\r\n").encode())
    shown = run("migrate", "old.py")
    assert shown.returncode == 0, shown.stderr
    assert "-from flask import (" in shown.stdout.replace("\r", "")
    assert "+from bustapi import (" in shown.stdout.replace("\r", "")
    assert file.read_bytes() == BEFORE.replace("\n", "\r\n").encode()
    assert run("migrate", "--write", "old.py").returncode == 0
    assert file.read_bytes() == AFTER.replace("\n", "\r\n").encode()
    assert "0 file(s)" in run("migrate", "old.py").stderr


def test_migrate_walks_folders_and_leaves_what_it_cannot_read(run: Run, tmp_path: Path) -> None:
    pytest.importorskip("libcst")
    folder = tmp_path / "project"
    (folder / "package").mkdir(parents=True)
    (folder / ".venv").mkdir()
    (folder / "package" / "one.py").write_text("from flask import Flask\n")
    (folder / "package" / "late.py").write_text("import importlib\nimportlib.import_module('flask.app')\n")
    (folder / ".venv" / "two.py").write_text("from flask import Flask\n")
    (folder / "broken.py").write_text("from flask import (\n")
    result = run("migrate", "project", "--write")
    assert result.returncode == 1
    assert "broken.py: left as it is" in result.stderr
    assert "late.py:2: import_module('flask.app') was left as it is" in result.stderr
    assert (folder / "package" / "one.py").read_text() == "from bustapi import Flask\n"
    assert (folder / ".venv" / "two.py").read_text() == "from flask import Flask\n"
    assert (folder / "broken.py").read_text() == "from flask import (\n"


def test_a_migrated_application_runs(run: Run, tmp_path: Path) -> None:
    pytest.importorskip("libcst")
    assert run("migrate", "--write", "site_app.py").returncode == 0
    assert "from bustapi import Blueprint, Flask, request_started" in (tmp_path / "site_app.py").read_text()
    assert run("check", "site_app:app", BUSTAPI_BRIDGE="0").returncode == 1
