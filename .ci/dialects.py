"""Runs Flask's and Werkzeug's own published test suites against the package, and compares with the recorded scores.

The suites are run by a tool beside the checkout (`../shared/tools/compat/run_suite.py`), which installs a wheel
where the real packages are not, and answers their names with ours. Without the tool there is nothing to do. A score
below the one in `tests/python/compatibility/scores.json` fails; a better one asks to be recorded.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RUNNER = ROOT.parent / "shared" / "tools" / "compat" / "run_suite.py"
SCORES = ROOT / "tests" / "python" / "compatibility" / "scores.json"
#: The version that the tool's own records are of.
PYTHON = "python3.11"
SECONDS = 600
TOOL_HOME = Path(os.environ.get("COMPAT_HOME") or Path.home() / ".cache" / "bustapi-compat")
TOOL_ENVIRONMENT = TOOL_HOME / "venv" / "dl" / "bin" / "uv"
_SCORE = re.compile(r"^\S+: passed (\d+) of (\d+) ", re.MULTILINE)


def main() -> int:
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
        with ThreadPoolExecutor(lanes) as pool:
            held = pool.map(lambda name: holds(python, name, recorded[name], wheel), recorded)
            below = [name for name, is_held in zip(recorded, held) if not is_held]
    for name in below:
        print(f"{name}: below the recorded score", file=sys.stderr)
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


def holds(python: str, name: str, record: dict[str, object], wheel: Path) -> bool:
    """Whether a suite passes as many tests as it did."""
    tests = record["tests"]
    assert isinstance(tests, list)
    command = [python, str(RUNNER), name, "--wheel", str(wheel), "--cpu", "", "--hard-timeout", "60", *tests]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=SECONDS, check=False)
    print(done.stdout, end="", flush=True)
    found = _SCORE.search(done.stdout)
    if found is None:
        print(f"{name}: the suite did not run", file=sys.stderr)
        return False
    passed, of = map(int, found.groups())
    if passed > int(str(record["passed"])):
        print(f"{name}: {passed} of {of} is better than recorded; put it into {SCORES.relative_to(ROOT)}")
    return passed >= int(str(record["passed"]))


if __name__ == "__main__":
    sys.exit(main())
