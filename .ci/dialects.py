"""Runs Flask's and Werkzeug's own published test suites against the package, and compares with the recorded scores.

The suites are run by a tool beside the checkout (`../shared/tools/compat/run_suite.py`), which installs a wheel
where the real packages are not, and answers their names with ours. Without the tool there is nothing to do. A score
below the one in `tests/python/compatibility/scores.json` fails; a better one asks to be recorded. With `--page PAGE.md`
the table of Flask's areas is written into that page (see `areas.py`).
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Optional

import areas

ROOT = Path(__file__).resolve().parent.parent
RUNNER = ROOT.parent / "shared" / "tools" / "compat" / "run_suite.py"
SCORES = ROOT / "tests" / "python" / "compatibility" / "scores.json"
#: The version that the tool's own records are of.
PYTHON = "python3.11"
SECONDS = 600
TOOL_HOME = Path(os.environ.get("COMPAT_HOME") or Path.home() / ".cache" / "bustapi-compat")
TOOL_ENVIRONMENT = TOOL_HOME / "venv" / "dl" / "bin" / "uv"
_SCORE = re.compile(r"^\S+: passed (\d+) of (\d+) ", re.MULTILINE)
_REPORT = re.compile(r"^\s*json: (\S+)", re.MULTILINE)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--page", type=Path, help="write the table of areas into this page")
    page: Optional[Path] = parser.parse_args().page
    if not RUNNER.exists():
        print(f"{RUNNER} is not here: suites not run")
        return 0
    python = shutil.which(PYTHON)
    if python is None:
        print(f"no {PYTHON} here: suites not run")
        return 0
    recorded = json.loads(SCORES.read_text())
    with tempfile.TemporaryDirectory(prefix="bustapi-suites-") as wheels:
        wheel = build(Path(wheels))
        # The first call of the tool makes what all of them share.
        lanes = 2 if TOOL_ENVIRONMENT.exists() else 1
        with ThreadPoolExecutor(lanes) as executor:
            results = executor.map(lambda name: run(python, name, recorded[name], wheel), recorded)
            outputs = dict(zip(recorded, results))
    below = [name for name, output in outputs.items() if not holds(name, recorded[name], output)]
    for name in below:
        print(f"{name}: below the recorded score", file=sys.stderr)
    reports = [_REPORT.search(outputs.get(name, "")) for name in areas.SUITES]
    if page is not None:
        if None in reports:
            print("a suite left no report: the page stays as it is", file=sys.stderr)
            return 1
        below += [str(page)] * areas.main(*(Path(found[1]) for found in reports if found), page)
    return 1 if below else 0


def build(folder: Path) -> Path:
    """A wheel of the checkout, in the profile of `make test`: its dependencies are compiled already."""
    maturin = ROOT / ".venv" / "bin" / "maturin"
    command = [
        str(maturin),
        "build",
        "--quiet",
        "--profile",
        "dev",
        "--interpreter",
        str(maturin.with_name("python")),
    ]
    subprocess.run([*command, "--out", str(folder)], cwd=ROOT, check=True)
    return next(folder.glob("*.whl"))


def run(python: str, name: str, record: dict[str, object], wheel: Path) -> str:
    """Run a suite; what the tool printed."""
    tests = record["tests"]
    assert isinstance(tests, list)
    command = [python, str(RUNNER), name, "--wheel", str(wheel), "--cpu", "", "--hard-timeout", "60", *tests]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=SECONDS, check=False)
    print(done.stdout, end="", flush=True)
    return done.stdout


def holds(name: str, record: dict[str, object], output: str) -> bool:
    """Whether a suite passed as many tests as it did."""
    found = _SCORE.search(output)
    if found is None:
        print(f"{name}: the suite did not run", file=sys.stderr)
        return False
    passed, of = map(int, found.groups())
    if passed > int(str(record["passed"])):
        print(f"{name}: {passed} of {of} is better than recorded; put it into {SCORES.relative_to(ROOT)}")
    return passed >= int(str(record["passed"]))


if __name__ == "__main__":
    sys.exit(main())
