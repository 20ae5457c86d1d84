"""Runs the Autobahn test suite against the server and compares what it says with `expected.json`.

    python tests/autobahn [--cases 1.* 2.*] [--mode shared] [--write] [--suite DIR]

The suite is a program for Python 2.7. Unless `--suite` names a folder with its `wstest`, one is installed from the
package index into `--venv` with the `python2.7` that `--python`, PATH or pyenv has; where there is none, this says so
and exits with 3.

A case that `expected.json` has as NON-STRICT may be OK as well: in these a frame that breaks the protocol stands behind
a message, and whether the answer to that is out before the connection fails depends on how the bytes come in.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from bustapi import BustAPI
from bustapi.testing import LiveServer

HERE = Path(__file__).resolve().parent
EXPECTED = HERE / "expected.json"
#: What the suite calls a case that did what it should.
GOOD = {"OK", "NON-STRICT", "INFORMATIONAL", "UNIMPLEMENTED"}
#: Groups 1 to 7 and 10: what a change of the engine could break, in a minute.
QUICK = ["1.*", "2.*", "3.*", "4.*", "5.*", "6.*", "7.*", "10.*"]
SECONDS = 1500
INSTALL_SECONDS = 300


def application() -> BustAPI:
    app = BustAPI("autobahn")

    @app.websocket("/")
    async def echo(ws):
        async for message in ws:
            await ws.send(message)

    @app.websocket("/sync")
    def echo_sync(ws):
        for message in ws:
            ws.send(message)

    return app


def python2(named: str) -> str | None:
    """A Python 2.7 that runs: the one that is named, or one of pyenv's, whose names on PATH may stand for nothing."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    known = [named, *map(str, sorted(pyenv.glob("versions/2.7*/bin/python2.7")))]
    for python in known:
        found = shutil.which(python)
        if found and subprocess.run([found, "-c", ""], stderr=subprocess.DEVNULL).returncode == 0:
            return found
    return None


def install(folder: Path, named: str) -> Path | None:
    """The suite's program, installed if need be; None where it cannot be had."""
    program = folder / "bin" / "wstest"
    if program.exists():
        return program
    python = python2(named)
    if python is None:
        return None
    with tempfile.TemporaryDirectory() as tools:
        quiet = {**os.environ, "PYTHONWARNINGS": "ignore", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
        for command, path in (
            ([python, "-m", "pip", "install", "--quiet", "--target", tools, "virtualenv<20.22"], {}),
            ([python, "-m", "virtualenv", "--quiet", str(folder)], {"PYTHONPATH": tools}),
            ([str(folder / "bin" / "pip"), "install", "--quiet", "autobahntestsuite"], {}),
        ):
            try:
                subprocess.run(
                    command, env={**quiet, **path}, check=True, timeout=INSTALL_SECONDS, stdout=sys.stderr
                )
            except (OSError, subprocess.SubprocessError) as error:
                print(error, file=sys.stderr)
                return None
    # A namespace package of the old kind: without this file its parts do not find each other.
    for packages in folder.glob("lib/python2.7/site-packages/zope"):
        (packages / "__init__.py").touch()
    return program if program.exists() else None


def run(program: Path, port: int, cases: list[str], exclude: list[str], path: str) -> dict[str, dict]:
    with tempfile.TemporaryDirectory() as folder:
        spec = Path(folder) / "spec.json"
        spec.write_text(
            json.dumps(
                {
                    "outdir": folder,
                    "servers": [{"agent": "bustapi", "url": f"ws://127.0.0.1:{port}{path}"}],
                    "cases": cases,
                    "exclude-cases": exclude,
                    "exclude-agent-cases": {},
                }
            )
        )
        subprocess.run(
            [str(program), "-m", "fuzzingclient", "-s", str(spec)],
            check=True,
            timeout=SECONDS,
            stdout=subprocess.DEVNULL,
        )
        return json.loads((Path(folder) / "index.json").read_text())["bustapi"]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", nargs="*", default=QUICK, help="cases of the suite, such as 9.* or 12.1.1")
    parser.add_argument("--exclude", nargs="*", default=[])
    parser.add_argument("--mode", default="shared", choices=["off", "shared", "dedicated"])
    parser.add_argument("--path", default="/", choices=["/", "/sync"])
    parser.add_argument("--write", action="store_true", help="add what was seen to expected.json")
    parser.add_argument("--venv", type=Path, default=HERE.parents[1] / ".venv-autobahn")
    parser.add_argument("--python", default="python2.7")
    options = parser.parse_args()

    program = install(options.venv, options.python)
    if program is None:
        print("skipped: the suite cannot be installed here (it needs python2.7 and the package index)")
        return 3
    # Group 9 sends messages of 16 MiB.
    limits = {"websocket_max_message": 32 * 1024 * 1024, "websocket_compression": options.mode}
    with LiveServer(application(), **limits) as server:
        seen = run(program, server.port, options.cases, options.exclude, options.path)

    expected: dict[str, str] = json.loads(EXPECTED.read_text()) if EXPECTED.exists() else {}
    counts: dict[str, int] = {}
    wrong = []
    for case, result in sorted(seen.items(), key=lambda item: [int(part) for part in item[0].split(".")]):
        said = f"{result['behavior']}, close {result['behaviorClose']}"
        counts[said] = counts.get(said, 0) + 1
        failed = not {result["behavior"], result["behaviorClose"]} <= GOOD
        as_well = expected.get(case, said).replace("NON-STRICT", "OK")
        if failed or (not options.write and said not in {expected.get(case, said), as_well}):
            wrong.append(f"{case}: {said} (expected {expected.get(case, 'nothing')})")
        if options.write:
            expected[case] = said
    if options.write:
        order = sorted(expected.items(), key=lambda item: [int(part) for part in item[0].split(".")])
        EXPECTED.write_text(json.dumps(dict(order), indent=1) + "\n")
    for said, count in sorted(counts.items()):
        print(f"{count:4} {said}")
    print(*wrong, sep="\n", end="\n" if wrong else "")
    print(f"{len(seen) - len(wrong)} passed, {len(wrong)} failed")
    return 1 if wrong or not seen else 0


if __name__ == "__main__":
    sys.exit(main())
