"""Runs the test suites that extensions publish against BustAPI, each in three ways.

`alias`: the real flask and werkzeug are uninstalled, and the runner aliases the names. `bridge`: they are installed,
and BustAPI is imported first. `takeover`: the extension is imported first and loads them, then BustAPI. Needs the runner of such suites, which is not
a part of this repository, and the package index. Two suites run side by side. Fails unless every test passes that passes on the real packages.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
#: Suite, and what is imported before BustAPI.
SUITES = {
    "flask-cors": "flask_cors",
    "flask-login": "flask_login",
    "flask-sqlalchemy": "flask_sqlalchemy",
    "flask-jwt-extended": "flask_jwt_extended",
}
MODES = ("alias", "bridge", "takeover")
#: Suites that run side by side.
LANES = 2
DISTRIBUTIONS = "flask=3.1.3,werkzeug=3.1.9"
PLUGIN = """
import importlib
import os

first = os.environ["TAKEOVER_FIRST"]
if first:
    importlib.import_module(first)
    import flask

    assert flask.__name__ == "flask", "the real package must come first"
from bustapi import BustAPI

import flask

assert flask.__name__ == "bustapi.flask", "the bridge is not there"
"""


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runner", type=Path, required=True, help="run_suite.py")
    parser.add_argument("--results", type=Path, required=True, help="where the scores are written, as JSON")
    parser.add_argument("--wheel", type=Path, help="a built wheel; one is built otherwise")
    parser.add_argument("suites", nargs="*", metavar="SUITE", help=f"of {', '.join(SUITES)}; all by default")
    arguments = parser.parse_args()
    home = Path(os.environ.get("COMPAT_HOME") or Path.home() / ".cache" / "bustapi-compat")
    scores: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory(prefix="bustapi-suites-") as folder:
        wheel = arguments.wheel or build(Path(folder))
        plugin = write_plugin(Path(folder))

        def judge(name: str) -> None:
            for mode in MODES:
                if mode not in scores[name]:
                    scores[name][mode] = run(arguments.runner, home, name, mode, wheel, plugin)

        names = arguments.suites or list(SUITES)
        scores.update({name: {} for name in names})
        # The first one makes what the runner's calls share. Then a suite is one thread's, with its environment.
        scores[names[0]][MODES[0]] = run(arguments.runner, home, names[0], MODES[0], wheel, plugin)
        with ThreadPoolExecutor(LANES) as lanes:
            list(lanes.map(judge, names))
    arguments.results.parent.mkdir(parents=True, exist_ok=True)
    arguments.results.write_text(json.dumps(scores, indent=1, sort_keys=True) + "\n")
    failed = [
        f"{name} ({mode})"
        for name, modes in scores.items()
        for mode, score in modes.items()
        if score["passed"] != score["of"]
    ]
    if failed:
        print(f"not whole: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def build(folder: Path) -> Path:
    maturin = Path(sys.executable).with_name("maturin")
    # The profile of `make test`: its dependencies are compiled already.
    command = [
        maturin,
        "build",
        "--quiet",
        "--profile",
        "dev",
        "--interpreter",
        sys.executable,
        "--out",
        folder,
    ]
    subprocess.run(command, cwd=ROOT, check=True)
    (wheel,) = folder.glob("bustapi-*.whl")
    return wheel


def write_plugin(folder: Path) -> Path:
    """A wheel with the pytest plugin that imports the extension first: the runner installs nothing but wheels."""
    wheel = folder / "bustapi_takeover-1-py3-none-any.whl"
    info = "bustapi_takeover-1.dist-info"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("bustapi_takeover.py", PLUGIN)
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: bustapi-takeover\nVersion: 1\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return wheel


def run(runner: Path, home: Path, name: str, mode: str, wheel: Path, plugin: Path) -> dict[str, Any]:
    command = [sys.executable, str(runner), name, "--wheel", str(wheel), "--label", mode, "--cpu", ""]
    if mode == "alias":
        command += ["--dist", DISTRIBUTIONS]
    else:
        # No alias but the bridge's own: the option must name one, so it names a package that nobody imports.
        command += ["--alias", "bustapi_unused=bustapi", "--keep-real", "--wheel", str(plugin)]
        command += ["--pytest-arg=-p", "--pytest-arg=bustapi_takeover"]
    first = SUITES[name] if mode == "takeover" else ""
    report = home / "runs" / f"{name}-alias-{mode}.json"
    # That of a former run must not pass for this one's.
    report.unlink(missing_ok=True)
    done = subprocess.run(
        command,
        check=False,
        env={**os.environ, "TAKEOVER_FIRST": first},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    print(done.stdout, end="")
    score: dict[str, Any] = json.loads(report.read_text())["score"]
    print(f"{name} ({mode}): {score['passed']} of {score['of']}", flush=True)
    return score


if __name__ == "__main__":
    sys.exit(main())
