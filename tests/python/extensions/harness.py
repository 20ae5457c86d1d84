"""Serves an application three ways and asks all of them the same."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import httpx
import pytest

from extensions.services import HOST, START_SECONDS, unused_port

ORDERS = ("bustapi", "extension")
LAUNCH = Path(__file__).with_name("launch.py")
#: The server's own; everything else must be the same.
OWN_HEADERS = {"connection", "date", "keep-alive", "server", "transfer-encoding"}
#: Made of sets, whose order is another one in each process.
SETS = {"allow", "vary"}
VOLATILE = [
    (re.compile(r"(Expires)=[^;]+"), r"\1=*"),
    (re.compile(r"\b(session|remember_token|access_token_cookie|csrf_access_token)=[^;\s]{8,}"), r"\1=*"),
    (re.compile(r"\beyJ[\w-]+\.[\w-]+\.[\w-]+"), "<jwt>"),
    (re.compile(r'value="[\w.-]{60,}"'), 'value="*"'),
    (re.compile(r'"token":\s*"[\w.-]{60,}"'), '"token":"*"'),
]

Observation = dict[str, Any]


class Client:
    """A client that writes down what it was told.

    Args:
        url: Where the application answers.
    """

    def __init__(self, url: str) -> None:
        self.http = httpx.Client(base_url=url, timeout=15)
        self.seen: list[tuple[str, Observation]] = []

    def __call__(self, method: str, path: str, **options: Any) -> httpx.Response:
        response = self.http.request(method, path, **options)
        headers = sorted(
            (name, _in_order(value) if name in SETS else _steady(value))
            for name, value in response.headers.multi_items()
            if name not in OWN_HEADERS
            and not (name == "content-length" and _steady(response.text) != response.text)
        )
        self.seen.append(
            (
                f"{method} {path}",
                {"status": response.status_code, "headers": headers, "body": _steady(response.text)},
            )
        )
        return response


def _in_order(value: str) -> str:
    return ", ".join(sorted(value.split(", ")))


def _steady(text: str) -> str:
    for pattern, replacement in VOLATILE:
        text = pattern.sub(replacement, text)
    return text


@contextmanager
def served(order: str, name: str, folder: Path, environment: dict[str, str]) -> Iterator[str]:
    """The application in a process of its own; its address."""
    port = unused_port()
    log = folder / f"{name}-{order}-{port}.log"
    with log.open("wb") as output:
        child = subprocess.Popen(
            [sys.executable, str(LAUNCH), order, name, str(port)],
            cwd=folder,
            env={**os.environ, "PYTHONUNBUFFERED": "1", **environment},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    url = f"http://{HOST}:{port}"
    try:
        deadline = time.monotonic() + START_SECONDS
        while True:
            if child.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"{name} ({order}) does not start:\n{log.read_text(errors='replace')}")
            try:
                httpx.get(f"{url}/probe-that-is-no-route", timeout=5)
                break
            except httpx.TransportError:
                time.sleep(0.05)
        yield url
    except BaseException:
        print(log.read_text(errors="replace"))
        raise
    finally:
        child.send_signal(signal.SIGTERM)
        try:
            child.wait(10)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait(10)
            raise AssertionError(f"{name} ({order}) did not end on SIGTERM") from None


def need(*modules: str) -> None:
    """Skips a test whose packages are not installed."""
    missing = [name for name in ("flask", *modules) if find_spec(name) is None]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)} (pip install 'bustapi[extensions]')")


def compare(
    order: str,
    name: str,
    folder: Path,
    visit: Callable[[Client], None],
    environment: Callable[[str], dict[str, str]] = lambda order: {},
) -> Client:
    """Visits the application on the real Flask and on ours; fails at the first answer that differs."""
    seen = {}
    client = None
    for which in ("flask", order):
        with served(which, name, folder, environment(which)) as url:
            client = Client(url)
            with client.http:
                visit(client)
            seen[which] = client.seen
    assert [step for step, _ in seen[order]] == [step for step, _ in seen["flask"]]
    for (step, ours), (_, real) in zip(seen[order], seen["flask"]):
        assert ours == real, f"{step}\n  ours: {ours}\n  real: {real}"
    assert client is not None
    return client
