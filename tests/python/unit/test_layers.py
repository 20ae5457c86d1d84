"""The layer rule of the Python package, read from its source, and what importing it must not load.

``_core <- kernel <- serve <- werkzeug <- flask <- app``, ``serve <- starlette <- fastapi``, ``serve <- gateway``;
`cli`, `testing`, `ext`, `bridge` and the package's own names stand on top. An arrow is who may be imported by whom.
Imports inside functions and for type checkers only count as well, and there is no list of exceptions.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[3] / "python" / "bustapi"

ROOT = "<root>"
DIALECT = {"_core", "kernel", "serve"}
BELOW_TOP = DIALECT | {"werkzeug", "flask", "app", "starlette", "fastapi", "gateway"}
TOP = {"cli", "testing", "ext", "bridge", "__main__", ROOT}
MAY_IMPORT: dict[str, set[str]] = {
    "_core": set(),
    "kernel": {"_core"},
    "serve": {"_core", "kernel"},
    "werkzeug": DIALECT,
    "flask": DIALECT | {"werkzeug"},
    "app": DIALECT | {"werkzeug", "flask"},
    "starlette": DIALECT,
    "fastapi": DIALECT | {"starlette"},
    "gateway": DIALECT,
    **dict.fromkeys(TOP, BELOW_TOP | TOP),
}
# The kernel and the server, and of a dialect the classes whose data the core holds.
MAY_IMPORT_CORE = {
    "kernel",
    "serve",
    "werkzeug.datastructures",
    "werkzeug.formparser",
    "werkzeug.routing",
    "werkzeug.wrappers",
    "flask._native",
    "flask.json",
    "flask.wrappers",
    "starlette.datastructures",
    "starlette.requests",
    "starlette.responses",
}
UNWANTED = ["jinja2", "click", "pydantic", "asyncio", "ssl"]


def modules() -> list[tuple[str, Path]]:
    """Dotted name without `bustapi.` (the package itself is empty), and file."""
    found = []
    for path in sorted(PACKAGE.rglob("*.py*")):
        if path.suffix in {".py", ".pyi"}:
            parts = list(path.relative_to(PACKAGE).with_suffix("").parts)
            if parts[-1] == "__init__":
                parts.pop()
            found.append((".".join(parts), path))
    return found


def layer(name: str) -> str:
    return name.split(".")[0] or ROOT


def imported(name: str, is_package: bool, source: str) -> set[str]:
    """The modules of the package that `source`, standing in module `name`, imports, without `bustapi.`."""
    own = ["bustapi", *name.split(".")] if name else ["bustapi"]
    package = own if is_package else own[:-1]
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            targets = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            origin = [*base, *(node.module.split(".") if node.module else [])]
            targets = [".".join([*origin, alias.name]) for alias in node.names]
        else:
            continue
        for target in targets:
            head, _, rest = target.partition(".")
            if head == "bustapi":
                found.add(rest)
    return found


def breaches(name: str, is_package: bool, source: str) -> list[str]:
    own = layer(name)
    found = []
    for target in sorted(imported(name, is_package, source)):
        other = layer(target)
        if other not in MAY_IMPORT:
            # A name of the package itself: `from bustapi import request`.
            other = ROOT
        if other == own:
            continue
        if other not in MAY_IMPORT[own]:
            found.append(f"{name or 'bustapi'} imports {target or 'bustapi'}")
        elif other == "_core" and own not in TOP and not may_import_core(name):
            found.append(f"{name} imports _core and is not one of the hot classes")
        elif other == "_core" and own in TOP - {ROOT}:
            found.append(f"{name} imports _core from the top")
    return found


def may_import_core(name: str) -> bool:
    return any(name == hot or name.startswith(f"{hot}.") for hot in MAY_IMPORT_CORE)


def test_modules_import_only_downwards() -> None:
    found = [
        breach
        for name, path in modules()
        for breach in breaches(name, path.name.startswith("__init__."), path.read_text())
    ]
    assert found == []


def test_every_module_belongs_to_a_layer() -> None:
    assert {layer(name) for name, _ in modules()} <= MAY_IMPORT.keys()


@pytest.mark.parametrize(
    ("name", "source", "expected"),
    [
        ("kernel.plan", "from bustapi.flask import Flask", ["kernel.plan imports flask.Flask"]),
        ("kernel.plan", "import bustapi.serve.run", ["kernel.plan imports serve.run"]),
        ("kernel.plan", "from ..serve import run", ["kernel.plan imports serve.run"]),
        ("kernel.plan", "from .. import app", ["kernel.plan imports app"]),
        (
            "kernel.plan",
            "def f():\n    from bustapi import BustAPI",
            ["kernel.plan imports BustAPI"],
        ),
        ("kernel.plan", "import bustapi", ["kernel.plan imports bustapi"]),
        ("kernel.plan", "from bustapi import _core\nfrom . import other\nimport json", []),
        ("flask.app", "from bustapi.fastapi import FastAPI", ["flask.app imports fastapi.FastAPI"]),
        ("flask.app", "from bustapi.cli import run", ["flask.app imports cli.run"]),
        ("flask.app", "from bustapi.app import BustAPI", ["flask.app imports app.BustAPI"]),
        (
            "flask.app",
            "from bustapi import _core",
            ["flask.app imports _core and is not one of the hot classes"],
        ),
        ("flask.wrappers", "from bustapi._core import Request\nfrom ..werkzeug import http", []),
        ("werkzeug.http", "from ..flask import json", ["werkzeug.http imports flask.json"]),
        ("app", "from .flask.app import Flask", []),
        ("cli.run", "from bustapi._core import x", ["cli.run imports _core from the top"]),
        ("cli.run", "from bustapi import Flask\nfrom bustapi.flask import cli", []),
    ],
)
def test_the_scanner_sees_each_form_of_an_import(name: str, source: str, expected: list[str]) -> None:
    assert breaches(name, False, source) == expected


@pytest.mark.parametrize("statement", ["import bustapi", "from bustapi import BustAPI, request, jsonify"])
def test_importing_loads_nothing_a_request_does_not_need(statement: str) -> None:
    program = f"{statement}\nimport sys\nprint([m for m in {UNWANTED!r} if m in sys.modules])"
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=False
    )
    assert result.stderr == ""
    assert result.stdout.strip() == "[]"
