"""The counter example in a real browser: its `EventSource` loses the server and comes back."""

from __future__ import annotations

import base64
import os
import sys
import urllib.request
from pathlib import Path

import pytest

from run_helpers import started

from .test_websocket_browser import EXAMPLES, WAIT, Browser, browser

__all__ = ["browser"]

pytestmark = pytest.mark.timeout(180)


def free_port() -> int:
    import socket

    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def shows(count: int) -> str:
    return f"return document.getElementById('count').textContent === '{count}'"


@pytest.mark.load
def test_the_counter_page_follows_and_comes_back(browser: Browser, tmp_path: Path) -> None:
    port = free_port()
    command = [sys.executable, "-m", "bustapi", "run", f"{EXAMPLES / 'counter.py'}:app", "--port", str(port)]

    def increase() -> None:
        request = urllib.request.Request(f"http://127.0.0.1:{port}/increase", b"", method="POST")
        with urllib.request.urlopen(request, timeout=WAIT) as answer:
            assert answer.status == 200

    with started(command, tmp_path) as server:
        browser.call("POST", "/url", {"url": f"http://127.0.0.1:{port}/"})
        browser.until("return document.getElementById('state').textContent === 'connected'")
        browser.until(shows(0))
        browser.run("document.getElementById('more').click()")
        browser.until(shows(1))
        for _ in range(3):
            increase()
        browser.until(shows(4))
        assert browser.run("return seen") == ["0", "1", "2", "3", "4"]
        picture = base64.b64decode(browser.call("GET", "/screenshot"))
        keep = os.environ.get("BUSTAPI_SCREENSHOTS")
        (Path(keep) if keep else tmp_path).joinpath("counter.png").write_bytes(picture)
        # An end of the stream, and no error: the browser comes back of itself.
        server.process.terminate()
        assert server.wait() == 0
        browser.until("return document.getElementById('state').textContent === 'connecting again'")
    with started(command, tmp_path):
        browser.until("return document.getElementById('state').textContent === 'connected'")
        browser.until(shows(0))
        increase()
        browser.until(shows(1))
        assert browser.run("return source.readyState === EventSource.OPEN")
