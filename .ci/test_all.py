"""Builds a wheel for every CPython from 3.9 on that this machine has, and runs the test suite against each.

Interpreters are looked for on PATH and under ~/.pyenv/versions; of several patch releases the newest counts. Each
gets a virtual environment of its own (.venv-3.X) with the built wheel in it, so what is tested is what would be
installed. A version that is not found is named; a suite that fails does not keep the next one from running.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple, Optional

ROOT = Path(__file__).resolve().parent.parent
OLDEST = (3, 9)
EXPECTED = [(3, minor) for minor in range(9, 15)]
PROBE = (
    "import json, sys, sysconfig; print(json.dumps([sys.implementation.name, list(sys.version_info[:3]),"
    " bool(sysconfig.get_config_var('Py_GIL_DISABLED')), sys.executable]))"
)


class Interpreter(NamedTuple):
    version: tuple[int, int, int]
    executable: str

    @property
    def name(self) -> str:
        return f"{self.version[0]}.{self.version[1]}"


def main(pytest_args: list[str]) -> int:
    found = interpreters()
    for series in EXPECTED:
        if series not in found:
            print(f"CPython {series[0]}.{series[1]}: not found, not tested")
    if not found:
        print("no CPython to test with", file=sys.stderr)
        return 1
    failed = []
    with tempfile.TemporaryDirectory(prefix="bustapi-wheels-") as wheels:
        for _, interpreter in sorted(found.items()):
            version = ".".join(map(str, interpreter.version))
            print(f"\n=== CPython {version} ({interpreter.executable})", flush=True)
            started = time.monotonic()
            try:
                python = prepare(interpreter, Path(wheels))
                # What loads a server says nothing about the interpreter: `make test` runs it, once.
                command = [python, "-m", "pytest", "-m", "not load", *pytest_args]
                subprocess.run(command, cwd=ROOT, check=True)
            except subprocess.CalledProcessError as error:
                failed.append(interpreter.name)
                print(f"CPython {version}: failed: {error}", file=sys.stderr)
            else:
                seconds = time.monotonic() - started
                # Before the next heading, never after the last summary line of pytest: that one ends the run.
                if interpreter.version[:2] != max(found):
                    print(f"CPython {version}: passed ({seconds:.0f} s with the build)", flush=True)
    if failed:
        print(f"failed on CPython {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def prepare(interpreter: Interpreter, wheels: Path) -> str:
    """Makes the virtual environment with a fresh wheel in it; returns its python."""
    environment = ROOT / f".venv-{interpreter.name}"
    python = str(environment / "bin" / "python")
    if not os.path.exists(python):
        run(interpreter.executable, "-m", "venv", str(environment))
        run(python, "-m", "pip", "install", "--quiet", "--upgrade", "pip")
    run(python, "-m", "pip", "install", "--quiet", "maturin>=1.9,<2.0")
    out = wheels / interpreter.name
    maturin = str(environment / "bin" / "maturin")
    # The profile of `make test`: its dependencies are compiled already.
    run(maturin, "build", "--quiet", "--profile", "dev", "--interpreter", python, "--out", str(out))
    (wheel,) = out.glob("*.whl")
    run(python, "-m", "pip", "uninstall", "--quiet", "--yes", "bustapi")
    run(python, "-m", "pip", "install", "--quiet", f"bustapi[test] @ {wheel.as_uri()}")
    return python


def run(*command: str) -> None:
    environment = {**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    # Cargo must not be told of another interpreter than the one the wheel is for.
    environment.pop("PYO3_PYTHON", None)
    subprocess.run(command, cwd=ROOT, check=True, env=environment)


def interpreters() -> dict[tuple[int, int], Interpreter]:
    """The newest patch release of each series, by series."""
    found: dict[tuple[int, int], Interpreter] = {}
    for candidate in candidates():
        interpreter = probe(candidate)
        if interpreter is None:
            continue
        series = interpreter.version[:2]
        known = found.get(series)
        if known is None or known.version < interpreter.version:
            found[series] = interpreter
    return found


def candidates() -> list[str]:
    paths = []
    for name in ["python3", *(f"python{major}.{minor}" for major, minor in EXPECTED)]:
        path = shutil.which(name)
        if path is not None:
            paths.append(path)
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    paths.extend(str(path) for path in sorted(pyenv.glob("versions/3.*/bin/python3")))
    return paths


def probe(executable: str) -> Optional[Interpreter]:
    """What an executable is; None if it does not run, is too old, or is no CPython with a GIL."""
    try:
        answer = subprocess.run(
            [executable, "-c", PROBE], capture_output=True, text=True, timeout=30, check=True
        )
        implementation, version, free_threaded, real = json.loads(answer.stdout)
    except (OSError, subprocess.SubprocessError, ValueError):
        # A pyenv shim for a version that is not selected, for example.
        return None
    if implementation != "cpython" or tuple(version[:2]) < OLDEST:
        return None
    if free_threaded:
        print(f"{executable}: free-threaded, designed for and not verified; not tested")
        return None
    return Interpreter(tuple(version), real)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
