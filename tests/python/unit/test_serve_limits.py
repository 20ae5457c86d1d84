"""The limit of open files follows the number of connections."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytest.importorskip("resource")

PROGRAM = """
import resource
from bustapi.serve.limits import SPARE, allow_connections
resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard}))
allow_connections({count})
print(resource.getrlimit(resource.RLIMIT_NOFILE)[0] - SPARE)
"""


@pytest.mark.parametrize(
    ("soft", "hard", "count", "left"),
    [(300, 2000, 1000, 1000), (300, 1000, 5000, 1000 - 256), (1500, 2000, 100, 1500 - 256)],
    ids=["raised", "as far as it goes", "never lowered"],
)
def test_the_soft_limit(soft: int, hard: int, count: int, left: int) -> None:
    program = PROGRAM.format(soft=soft, hard=hard, count=count)
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=True
    )
    assert int(result.stdout) == left
