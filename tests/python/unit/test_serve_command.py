"""The command that starts a worker is the one that started the supervisor, however that was."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import json, sys
{before}
from bustapi.serve.command import own_command
from bustapi.serve.errors import ServeError
try:
    print(json.dumps(own_command()))
except ServeError as error:
    print(json.dumps(str(error)))
"""
# What 3.9 has to work with.
WITHOUT = "sys.orig_argv = None"


def command_of(arguments: list[str], folder: Path, before: str, stdin: str | None = None) -> object:
    (folder / "program.py").write_text(PROGRAM.format(before=before))
    package = folder / "package"
    package.mkdir(exist_ok=True)
    (package / "__init__.py").write_text("")
    (package / "__main__.py").write_text(PROGRAM.format(before=before))
    result = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        input=stdin or "",
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
        # Variables that stand for flags would come back as these.
        env={name: value for name, value in os.environ.items() if not name.startswith("PYTHON")},
    )
    return json.loads(result.stdout)


@pytest.mark.parametrize("before", ["", WITHOUT], ids=["3.10", "3.9"])
@pytest.mark.parametrize(
    "arguments",
    [
        ["program.py"],
        ["program.py", "--port", "0", "a b"],
        ["-m", "program", "x"],
        ["-m", "package", "x"],
        ["package", "x"],
        ["-O", "-W", "ignore", "program.py", "x"],
    ],
)
def test_the_program_is_started_again(arguments: list[str], before: str, tmp_path: Path) -> None:
    again = command_of(arguments, tmp_path, before)
    assert isinstance(again, list)
    assert again[0] == sys.executable
    if "-W" in arguments and (before or sys.version_info < (3, 10)):
        # The same flags in the interpreter's own spelling.
        assert {"-O", "-Wignore", "program.py", "x"} <= set(again)
    else:
        assert again[1:] == arguments


@pytest.mark.parametrize("before", ["", WITHOUT], ids=["3.10", "3.9"])
def test_a_program_without_a_file_cannot_be(before: str, tmp_path: Path) -> None:
    text = PROGRAM.format(before=before)
    for arguments in ([], ["-"]):
        assert "cannot be started again" in str(command_of(arguments, tmp_path, before, stdin=text))
