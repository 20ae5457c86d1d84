"""The README's first app does what the README shows, started in each way the README names."""

from __future__ import annotations

import http.client
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, Callable, Optional

import pytest

ROOT = Path(__file__).resolve().parents[3]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def first_app() -> str:
    """The README's only Python code block."""
    (block,) = re.findall(r"^```python\n(.*?)^```$", README, re.M | re.S)
    return block


@pytest.fixture
def port(tmp_path: Path, serve_source: Callable[..., Any]) -> int:
    """Where the app answers, served by the command line that the README names."""
    (tmp_path / "hello.py").write_text(first_app())
    (command,) = re.findall(r"^\$ bustapi (run hello:app .*)$", README, re.M)
    source = f"""
        import runpy, sys
        arguments = {command.split()!r}
        arguments[arguments.index("--port") + 1] = str(PORT)
        sys.argv = ["bustapi", *arguments]
        runpy.run_module("bustapi", run_name="__main__", alter_sys=True)
    """
    return serve_source(source).port


def ask(port: int, method: str, path: str, value: Optional[Any] = None) -> tuple[int, Any]:
    """Status and JSON of one exchange."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        body = None if value is None else json.dumps(value)
        connection.request(method, path, body, {"Content-Type": "application/json"} if body else {})
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


def test_the_first_app_answers(port: int) -> None:
    assert ask(port, "GET", "/") == (200, {"message": "Hello, World!"})
    assert ask(port, "GET", "/users/7?verbose=1") == (200, {"id": 7, "verbose": True})
    assert ask(port, "POST", "/echo", {"a": [1, None]}) == (200, {"a": [1, None]})


def test_the_first_app_runs_as_a_script(tmp_path: Path, serve_source: Callable[..., Any]) -> None:
    source = first_app()
    assert "app.run()" in source
    server = serve_source(source.replace("app.run()", "app.run(port=PORT)"))
    assert ask(server.port, "GET", "/") == (200, {"message": "Hello, World!"})


def test_the_named_files_and_make_targets_exist() -> None:
    for name in re.findall(r"\]\(([^):]+)\)", README):
        assert (ROOT / name).is_file(), name
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"^\$ make (\w+)", README, re.M):
        assert re.search(rf"^{target}:", makefile, re.M), target


def test_the_bench_options_exist() -> None:
    (options,) = re.findall(r'BENCH_ARGS="([^"]+)"', README)
    bench = ROOT / "benches" / "end_to_end" / "run.py"
    known = subprocess.run(
        [sys.executable, str(bench), "--help"],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
        env={**os.environ, "COLUMNS": "200"},
    ).stdout
    for option in re.findall(r"--\w+", options):
        assert f"{option} " in known, option
