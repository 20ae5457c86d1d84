"""`bustapi.testing`: the client in process and over a socket, and the fixtures that pytest finds."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bustapi import BustAPI, jsonify, redirect, request, session
from bustapi.testing import LiveServer, TestClient


@pytest.fixture
def shop() -> BustAPI:
    app = BustAPI("shop")
    app.secret_key = "key"

    @app.get("/")
    def index() -> Any:
        return {"name": request.args.get("name", "nobody"), "agent": "User-Agent" in request.headers}

    @app.post("/echo/<path:rest>")
    def echo(rest: str) -> Any:
        return jsonify(rest=rest, body=request.get_data(as_text=True), form=request.form)

    @app.get("/count")
    def count() -> Any:
        session["count"] = session.get("count", 0) + 1
        return str(session["count"])

    @app.post("/move")
    def move() -> Any:
        return redirect("/echo/moved", 307)

    @app.get("/later")
    async def later() -> Any:
        return "awaited"

    @app.get("/broken")
    def broken() -> Any:
        raise ZeroDivisionError

    return app


@pytest.mark.parametrize("served", [False, True])
def test_the_client_asks_the_same_way_in_process_and_over_a_socket(shop: BustAPI, served: bool) -> None:
    with TestClient(shop, served=served) as client:
        answer = client.get("/", query_string={"name": "ü"})
        assert answer.status_code == 200
        assert answer.json == {"name": "ü", "agent": True}
        assert ("Server" in answer.headers, "Date" in answer.headers) == (False, served)
        assert client.post("/echo/a%20b", data={"x": "y"}).json["form"] == {"x": "y"}
        assert client.post("/echo/ü", data="text").json == {"rest": "ü", "body": "text", "form": {}}
        assert [client.get("/count").text for _ in range(3)] == ["1", "2", "3"]
        moved = client.post("/move", data="again", follow_redirects=True)
        assert (moved.status_code, moved.json["body"]) == (200, "again")
        assert client.get("/later").text == "awaited"
        assert client.head("/").get_data() == b""
        assert client.get("/missing").status_code == 404
        shop.config["PROPAGATE_EXCEPTIONS"] = False
        assert client.get("/broken").status_code == 500
        with client.session_transaction() as stored:
            assert stored["count"] == 3
            stored["count"] = 10
        assert client.get("/count").text == "11"


def test_a_served_client_needs_its_block(shop: BustAPI) -> None:
    client = TestClient(shop, served=True)
    with pytest.raises(RuntimeError, match="with"):
        client.get("/")
    with client:
        assert client.get("/count").text == "1"
    with client:
        assert client.get("/count").text == "2"
    with pytest.raises(TypeError, match="served"):
        TestClient(shop, max_body=1)


def test_a_live_server_is_stopped_at_the_end_of_its_block(shop: BustAPI) -> None:
    import urllib.error
    import urllib.request

    server = LiveServer(shop)
    with server:
        with urllib.request.urlopen(f"{server.url}/count", timeout=10) as answer:
            assert answer.read() == b"1"
        with pytest.raises(RuntimeError, match="already"):
            server.start()
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(f"{server.url}/count", timeout=10)
    server.stop()


SUITE = """
def test_client(client):
    assert client.get("/").json == {"testing": True}

def test_runner(runner):
    result = runner.invoke(args=["hello"])
    assert result.output == "hello\\n"

def test_app(app):
    assert app.name == "my_app"
"""
APPLICATION = """
from bustapi import BustAPI
import click
app = BustAPI("my_app")

@app.get("/")
def index():
    return {"testing": app.testing}

@app.cli.command("hello")
def hello():
    click.echo("hello")
"""


def run_pytest(folder: Path, *arguments: str, alone: bool = True) -> subprocess.CompletedProcess[str]:
    """Runs pytest there, with our plugin `alone` or with all that are installed, which take long to import."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments]
    if alone or "bustapi.testing.plugin" not in entry_points():
        command += ["-p", "bustapi.testing.plugin"]
    environ = {**os.environ, **({"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"} if alone else {})}
    return subprocess.run(
        command, cwd=folder, env=environ, capture_output=True, text=True, timeout=50, check=False
    )


def entry_points() -> list[str]:
    from importlib.metadata import distribution

    return [point.value for point in distribution("bustapi").entry_points if point.group == "pytest11"]


@pytest.mark.timeout(200)  # three runs of pytest, one after the other
def test_a_project_gets_the_fixtures(tmp_path: Path) -> None:
    (tmp_path / "my_app.py").write_text(APPLICATION)
    (tmp_path / "test_it.py").write_text(SUITE)
    (tmp_path / "pytest.ini").write_text("[pytest]\nbustapi_app = my_app:app\n")
    done = run_pytest(tmp_path, alone=False)
    assert "3 passed" in done.stdout, done.stdout
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    done = run_pytest(tmp_path)
    assert "set bustapi_app" in done.stdout
    assert "3 errors" in done.stdout
    assert "3 passed" in run_pytest(tmp_path, "--bustapi-app", "my_app").stdout
    (tmp_path / "conftest.py").write_text(
        "import pytest\n@pytest.fixture\ndef app():\n    from my_app import app\n    app.testing = True\n    return app\n"
    )
    assert "3 passed" in run_pytest(tmp_path).stdout
