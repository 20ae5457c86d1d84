"""The chat example in a real browser, driven over WebDriver."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from run_helpers import started

EXAMPLES = Path(__file__).resolve().parents[3] / "examples"
WAIT = 40.0
#: How WebDriver names an element in JSON.
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"

pytestmark = pytest.mark.timeout(180)


class Browser:
    def __init__(self, url: str) -> None:
        self.url = url
        arguments = [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--window-size=800,700",
        ]
        chrome = {"binary": shutil.which("chromium"), "args": arguments}
        wanted = {"browserName": "chrome", "goog:chromeOptions": chrome}
        session = self.call("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})
        self.url += f"/session/{session['sessionId']}"

    def call(self, method: str, path: str, body: Any = None) -> Any:
        data = None if method == "GET" else json.dumps(body or {}).encode()
        request = urllib.request.Request(
            self.url + path, data, {"Content-Type": "application/json"}, method=method
        )
        with urllib.request.urlopen(request, timeout=120) as answer:
            return json.load(answer)["value"]

    def run(self, script: str) -> Any:
        return self.call("POST", "/execute/sync", {"script": script, "args": []})

    def type(self, selector: str, text: str) -> None:
        found = self.call("POST", "/element", {"using": "css selector", "value": selector})[ELEMENT]
        self.call("POST", f"/element/{found}/value", {"text": text})

    def until(self, script: str) -> Any:
        end = time.monotonic() + WAIT
        while not (value := self.run(script)):
            assert time.monotonic() < end, f"never true: {script}"
            time.sleep(0.1)
        return value


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    driver = shutil.which("chromedriver")
    if driver is None or shutil.which("chromium") is None:
        pytest.skip("chromium and chromedriver are not installed")
    # The browser leaves files behind; a short name, for its socket.
    own = tempfile.mkdtemp(prefix="b-")
    process = subprocess.Popen(
        [driver, "--port=0"],
        stdout=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "TMPDIR": own},
    )
    try:
        assert process.stdout is not None
        port = next(
            found[1] for line in process.stdout if (found := re.search(r"successfully on port (\d+)", line))
        )
        browser = Browser(f"http://127.0.0.1:{port}")
        try:
            yield browser
        finally:
            browser.call("DELETE", "")
    finally:
        process.terminate()
        process.wait(WAIT)
        shutil.rmtree(own, ignore_errors=True)


@pytest.mark.once
def test_the_chat_page_talks_to_another_client(browser: Browser, tmp_path: Path) -> None:
    from websockets.sync.client import connect

    command = [sys.executable, "-m", "bustapi", "run", f"{EXAMPLES / 'chat.py'}:app", "--port", "0"]
    with started(command, tmp_path) as server:
        browser.call("POST", "/url", {"url": f"http://127.0.0.1:{server.port}/"})
        with connect(f"ws://127.0.0.1:{server.port}/rooms/lobby") as other:
            other.send('"Grace"')
            assert json.loads(other.recv(WAIT)) == {"who": "Grace", "does": "joins", "here": 1}
            browser.type("#name", "Ada\n")
            browser.until("return document.getElementById('state').textContent === 'connected'")
            assert json.loads(other.recv(WAIT)) == {"who": "Ada", "does": "joins", "here": 2}
            browser.type("#text", "Hello <b>Grace</b>\n")
            assert json.loads(other.recv(WAIT)) == {"who": "Ada", "says": "Hello <b>Grace</b>"}
            other.send('"Hello Ada"')
            lines = browser.until(
                "const lines = [...document.querySelectorAll('#log li')].map(line => line.textContent);"
                "return lines.length >= 3 && lines"
            )
            assert lines == ["Ada joins (2 here)", "Ada: Hello <b>Grace</b>", "Grace: Hello Ada"]
            # Compression is what browsers always offer.
            assert "permessage-deflate" in browser.run("return socket.extensions")
            picture = base64.b64decode(browser.call("GET", "/screenshot"))
            keep = os.environ.get("BUSTAPI_SCREENSHOTS")
            (Path(keep) if keep else tmp_path).joinpath("chat.png").write_bytes(picture)
        browser.until("return document.querySelectorAll('#log li').length >= 4")
        server.process.terminate()
        assert (
            browser.until(
                "const state = document.getElementById('state').textContent;"
                "return state.startsWith('closed') && state"
            )
            == "closed (1001)"
        )
