"""Builds a wheel for every CPython from 3.9 on that this machine has, and runs the test suite against each.

Interpreters are looked for on PATH and under ~/.pyenv/versions; of several patch releases the newest counts. Each
gets a virtual environment of its own (.venv-3.X) with the built wheel in it, so what is tested is what would be
installed. A version that is not found is named; a suite that fails does not keep the next one from running.

Wheels are built one after the other, and as many suites run side by side as there are lanes: most of what a suite
does is wait. What one says is shown in one piece when it has ended.

So many processes on few processors stretch every wait. Up to three tests that fail in a suite are run again, one at a
time; if they pass then, so does the suite, and it says which they were. `make test` gives no test a second chance.

    python .ci/test_all.py [--lanes N] [--jobs N] [arguments of pytest]
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import NamedTuple, Optional, TextIO

ROOT = Path(__file__).resolve().parent.parent
OLDEST = (3, 9)
EXPECTED = [(3, minor) for minor in range(9, 15)]
#: Failures of a suite that are run again; more are no matter of time.
FORGIVABLE = 3
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


class Outcome(NamedTuple):
    verdict: str
    output: str
    seconds: float


PASSED, AGAIN, FAILED = "passed", "passed, some tests at the second attempt", "failed"


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lanes", type=int, default=2, help="suites that run side by side (default: 2)")
    parser.add_argument(
        "--jobs", type=int, default=2, help="tests of each that run side by side (default: 2)"
    )
    options, pytest_args = parser.parse_known_args(arguments)
    pytest_args += ["-n", str(options.jobs), "--dist", "loadfile"]
    found = interpreters()
    for series in EXPECTED:
        if series not in found:
            print(f"CPython {series[0]}.{series[1]}: not found, not tested")
    if not found:
        print("no CPython to test with", file=sys.stderr)
        return 1
    failed = []
    # Shown last: the summary line at the end is to be that of a whole suite.
    held: Optional[tuple[Interpreter, Outcome]] = None
    building = threading.Lock()
    with (
        # The name is short, for sockets in it, and not the package's, for tests that look for that in paths.
        tempfile.TemporaryDirectory(prefix="suites-") as folder,
        ThreadPoolExecutor(max(1, options.lanes)) as lanes,
    ):
        under_way = {
            lanes.submit(
                judge, interpreter, Path(folder) / interpreter.name, pytest_args, building
            ): interpreter
            for _, interpreter in sorted(found.items())
        }
        for done in as_completed(under_way):
            interpreter, outcome = under_way[done], done.result()
            if outcome.verdict == FAILED:
                failed.append(interpreter)
            if outcome.verdict != PASSED:
                show(interpreter, outcome)
                continue
            if held is not None:
                show(*held)
            held = interpreter, outcome
    if held is not None:
        show(*held)
    if failed:
        print(
            f"failed on CPython {', '.join(interpreter.name for interpreter in sorted(failed))}",
            file=sys.stderr,
        )
    return 1 if failed else 0


def show(interpreter: Interpreter, outcome: Outcome) -> None:
    version = ".".join(map(str, interpreter.version))
    # The verdict stands before what pytest said, whose summary line is to be the last of all.
    print(
        f"\n=== CPython {version} ({interpreter.executable}): {outcome.verdict} after {outcome.seconds:.0f} s"
    )
    print(outcome.output, end="", flush=True)


def judge(
    interpreter: Interpreter, folder: Path, pytest_args: list[str], building: threading.Lock
) -> Outcome:
    """Builds for one version and tests it; all that was said about it."""
    folder.mkdir()
    started = time.monotonic()
    with (folder / "output").open("a+") as output:
        try:
            # Cargo lets only one build into its folder at a time anyway.
            with building:
                python = prepare(interpreter, folder, output)
            # What loads a server says nothing about the interpreter, nor does what is marked so: `make test` runs it.
            # Folders that two suites at a time would both write to are this suite's own.
            own = [f"--basetemp={folder / 't'}", "-o", f"cache_dir={folder / 'cache'}"]
            tests = (python, "-m", "pytest", "-m", "not load and not once", *own, *pytest_args)
            verdict = PASSED
            try:
                run(*tests, output=output)
            except subprocess.CalledProcessError:
                names = failures(folder / "cache")
                if not 0 < len(names) <= FORGIVABLE:
                    raise
                verdict = AGAIN
                print("\nagain, one at a time:", *names, sep="\n  ", file=output, flush=True)
                run(*tests, "-n", "0", "--dist", "no", "--last-failed", output=output)
        except (subprocess.CalledProcessError, OSError, ValueError) as error:
            verdict = FAILED
            output.write(f"{error}\n")
        output.seek(0)
        return Outcome(verdict, output.read(), time.monotonic() - started)


def failures(cache: Path) -> list[str]:
    """The tests that failed, as pytest remembers them; none if it did not come to its end."""
    try:
        return sorted(json.loads((cache / "v/cache/lastfailed").read_text()))
    except (OSError, ValueError):
        return []


def prepare(interpreter: Interpreter, folder: Path, output: TextIO) -> str:
    """Makes the virtual environment with a fresh wheel in it; returns its python."""
    environment = ROOT / f".venv-{interpreter.name}"
    python = str(environment / "bin" / "python")
    if not os.path.exists(python):
        run(interpreter.executable, "-m", "venv", str(environment), output=output)
        run(python, "-m", "pip", "install", "--quiet", "--upgrade", "pip", output=output)
    run(python, "-m", "pip", "install", "--quiet", "maturin>=1.9,<2.0", output=output)
    wheels = folder / "wheels"
    maturin = str(environment / "bin" / "maturin")
    # The profile of `make test`: its dependencies are compiled already.
    build = ("build", "--quiet", "--profile", "dev", "--interpreter", python, "--out", str(wheels))
    run(maturin, *build, output=output)
    (wheel,) = wheels.glob("*.whl")
    run(python, "-m", "pip", "uninstall", "--quiet", "--yes", "bustapi", output=output)
    run(python, "-m", "pip", "install", "--quiet", f"bustapi[test] @ {wheel.as_uri()}", output=output)
    return python


def run(*command: str, output: TextIO) -> None:
    environment = {**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    # Cargo must not be told of another interpreter than the one the wheel is for.
    environment.pop("PYO3_PYTHON", None)
    subprocess.run(command, cwd=ROOT, check=True, env=environment, stdout=output, stderr=subprocess.STDOUT)


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
