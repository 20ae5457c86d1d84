"""`examples/queue_app.py`, as docs/background.md shows it: work that outlives the processes that were to do it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from extensions.harness import need
from extensions.services import HOST, process, unused_port

ROOT = Path(__file__).resolve().parents[3]
SOURCE = (ROOT / "examples" / "queue_app.py").read_text()


def code(text: str) -> str:
    """A program without what a page leaves out of it."""
    text = re.sub(r'^\s*"""(?:.|\n)*?"""\n', "", text, flags=re.M)
    text = re.sub(r"  # type: ignore\[.*\]$| -> Any|^from (typing|__future__) .*\n", "", text, flags=re.M)
    return "\n".join(line for line in text.splitlines() if line.strip())


def test_the_page_shows_the_example() -> None:
    page = (ROOT / "docs" / "background.md").read_text()
    (shown,) = re.findall(r"^```python\n(import os\n.*?)^```$", page, re.M | re.S)
    assert code(shown) == code(SOURCE)


@contextmanager
def worker(folder: Path, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "celery", "-A", "slow_queue:queue", "worker", "-c", "1", "-l", "INFO"]
    with log.open("ab") as output:
        child = subprocess.Popen(command, cwd=folder, stdout=output, stderr=output, start_new_session=True)
    try:
        yield child
    finally:
        if child.poll() is None:
            # It and the processes that it has started.
            os.killpg(child.pid, signal.SIGKILL)
        child.wait(15)


def wait_for(text: str, log: Path, count: int = 1) -> None:
    end = time.monotonic() + 40
    while log.read_text(errors="replace").count(text) < count:
        assert time.monotonic() < end, log.read_text(errors="replace")
        time.sleep(0.05)


def test_a_task_outlives_a_worker_that_is_killed(
    folder: Path, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    need("celery", "redis")
    (folder / "queue_app.py").write_text(SOURCE)
    # The same queue, with a task that waits until it may end and is given back at once when its worker dies.
    (folder / "slow_queue.py").write_text(
        "import os, time\n"
        "import queue_app\n"
        "from queue_app import add, queue\n"
        "queue.conf.broker_transport_options = {'visibility_timeout': 2}\n"
        "run = add.run\n"
        "def slowly(a, b):\n"
        "    print('begun', flush=True)\n"
        "    while not os.path.exists('go'):\n"
        "        time.sleep(0.05)\n"
        "    return run(a, b)\n"
        "add.run = slowly\n"
        "add.__trace__ = None\n"
    )
    log, port = folder / "worker.log", unused_port()
    log.touch()
    monkeypatch.setenv("REDIS_URL", redis_url)
    monkeypatch.setenv("PYTHONUNBUFFERED", "1")
    monkeypatch.chdir(folder)
    serve = [sys.executable, "-m", "bustapi", "run", "queue_app:app", "--port", str(port)]
    with httpx.Client(base_url=f"http://{HOST}:{port}", timeout=20) as client:
        with worker(folder, log) as first, process(serve, port, folder / "server.log"):
            answer = client.post("/sums/20/22")
            assert answer.status_code == 202
            id = answer.json()["id"]
            wait_for("begun", log)
            assert client.get(f"/sums/{id}").json()["value"] is None
            os.killpg(first.pid, signal.SIGKILL)
            first.wait(15)
        # Server and worker are gone; the task is not.
        with process(serve, port, folder / "server.log"), worker(folder, log):
            (folder / "go").touch()
            wait_for("begun", log, 2)
            end = time.monotonic() + 30
            while client.get(f"/sums/{id}").json() != {"state": "SUCCESS", "value": 42}:
                assert time.monotonic() < end, log.read_text(errors="replace")
                time.sleep(0.1)
