"""The HTTP/1.1 probe against the server, where the probe is at hand (`../shared/tools/h1probe.py`)."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from .servers import serving

PROBE = Path(__file__).parents[4] / "shared" / "tools" / "h1probe.py"
APP = Path(__file__).parents[1] / "apps" / "probe_app.py"

#: SHOULD cases that are not met, by intent. A05: Flask answers `get` as GET, because Werkzeug upper-cases methods.
DECLINED = {"A05-method-case"}


@pytest.mark.load
@pytest.mark.timeout(600)
@pytest.mark.skipif(not PROBE.exists(), reason="the probe is not beside this checkout")
def test_the_probe_finds_nothing_that_is_not_declined(tmp_path: Path) -> None:
    source = APP.read_text().partition("if __name__")[0]
    report = tmp_path / "probe.json"
    with serving(tmp_path, source) as served:
        subprocess.run(
            [sys.executable, str(PROBE), f"127.0.0.1:{served.port}", "--json", str(report)],
            timeout=580,
            check=False,
            stdout=subprocess.DEVNULL,
        )
    outcome = json.loads(report.read_text())
    assert outcome["alive"]
    failed = {
        name: f"{case['level']} {case['desc']}: {case['obs']}"
        for name, case in outcome["cases"].items()
        if not case["ok"] and case["level"] != "INFO"
    }
    assert len(outcome["cases"]) > 200
    assert failed.keys() <= DECLINED, failed
