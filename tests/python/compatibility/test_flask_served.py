"""The applications of the comparisons on the native server: over a socket, the answers are Flask's too."""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from werkzeug.test import EnvironBuilder, run_wsgi_app

from . import test_flask_requests, test_flask_responses
from .flask_pair import REAL, Answer, frozen_time, normal

HERE = Path(__file__).parent
START_SECONDS = 30.0
#: What belongs to the connection or to the server, unless the application set it.
SERVERS_OWN = {"connection", "content-length", "date", "keep-alive", "server", "transfer-encoding"}

_QUERY = "/?%&=+:;,@!$'()*~"

SCRIPT = """
import sys
sys.path.insert(0, {tests!r})
from compatibility.{module} import {build}
from compatibility.flask_pair import OURS, frozen_time
app = {build}(OURS)
{twist}
with frozen_time():
    app.run("127.0.0.1", {port})
"""
#: The other ways that a request can go through the server; none of them may show.
TWISTS = {
    "as it is": "",
    "in the pool": "app.execution = 'pool'",
    "behind middleware": "inner = app.wsgi_app\napp.wsgi_app = lambda environ, start: inner(environ, start)",
    "as a task": "async def nothing(): pass\napp.before_request(nothing)",
}


@contextlib.contextmanager
def served(module: Any, build: str, directory: Path, twist: str) -> Iterator[int]:
    """Serve what `build` makes, in a process of its own; gives the port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    script = directory / f"{build}.py"
    name = Path(module.__file__).stem
    script.write_text(SCRIPT.format(tests=str(HERE.parent), module=name, build=build, port=port, twist=twist))
    log = directory / f"{build}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, str(script)], stdout=output, stderr=output, env=os.environ.copy()
        )
    try:
        end = time.monotonic() + START_SECONDS
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                running = process.poll() is None
                if not running or time.monotonic() > end:
                    pytest.fail(f"the server does not listen:\n{log.read_text()}")
                time.sleep(0.02)
        yield port
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(15)


def environ_of(request: dict[str, Any], port: int, cookies: dict[str, str] | None = None) -> dict[str, Any]:
    """The environment of a request as the test client would send it to the server."""
    builder = EnvironBuilder(**{"base_url": f"http://127.0.0.1:{port}/", **request})
    environ = builder.get_environ()
    environ["REMOTE_ADDR"] = "127.0.0.1"
    if cookies:
        environ["HTTP_COOKIE"] = "; ".join(f"{name}={value}" for name, value in cookies.items())
    return environ


def expected_of(app: Any, environ: dict[str, Any]) -> Answer:
    parts, status, headers = run_wsgi_app(app, environ, buffered=True)
    return normal(status, list(headers), b"".join(parts))


def found_at(port: int, environ: dict[str, Any]) -> Answer:
    body = environ["wsgi.input"].read()
    target = quote(environ["PATH_INFO"], safe="/:@!$&'()*+,;=~", encoding="latin-1")
    if environ["QUERY_STRING"]:
        target += f"?{quote(environ['QUERY_STRING'], safe=_QUERY, encoding='latin-1')}"
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    with contextlib.closing(connection):
        connection.putrequest(environ["REQUEST_METHOD"], target, skip_host=True, skip_accept_encoding=True)
        for name, value in environ.items():
            if name.startswith("HTTP_"):
                connection.putheader(name[5:].replace("_", "-").title(), value.encode("latin-1"))
        if environ.get("CONTENT_TYPE"):
            connection.putheader("Content-Type", environ["CONTENT_TYPE"])
        if body or environ["REQUEST_METHOD"] in ("POST", "PUT", "PATCH"):
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body or None)
        response = connection.getresponse()
        data = response.read()
        status = f"{response.status} {response.reason}"
        return normal(status, response.getheaders(), data)


def assert_served_alike(
    app: Any, port: int, request: dict[str, Any], cookies: dict[str, str] | None = None
) -> Answer:
    with frozen_time():
        expected = expected_of(app, environ_of(request, port, cookies))
    found = found_at(port, environ_of(request, port, cookies))
    named = {name.lower() for name, _ in expected.headers}
    headers = [
        (name, value)
        for name, value in found.headers
        if name.lower() in named or name.lower() not in SERVERS_OWN
    ]
    # The order of fields with different names has no meaning (RFC 9110 5.3).
    assert sorted(headers, key=lambda field: field[0]) == sorted(expected.headers, key=lambda field: field[0])
    assert (found.status, found.body) == (expected.status, expected.body)
    return found


def apps(module: Any, name: str, twists: Sequence[str] = ("as it is",)) -> Any:
    """A fixture: the real application and the port of ours."""

    @pytest.fixture(scope="module", name=name, params=twists)
    def both(request: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, int]]:
        with served(module, name, tmp_path_factory.mktemp(name), TWISTS[request.param]) as port:
            yield getattr(module, name)(REAL), port

    return both


values = apps(test_flask_responses, "values", list(TWISTS))
errors = apps(test_flask_responses, "errors")
hooks = apps(test_flask_responses, "hooks", list(TWISTS))
rules = apps(test_flask_responses, "rules")
mirror = apps(test_flask_requests, "mirror")
sessions = apps(test_flask_requests, "sessions", list(TWISTS))
templates = apps(test_flask_requests, "templates")


def named(request: dict[str, Any]) -> str:
    return f"{request.get('method', 'GET')} {request['path']}"


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("path", test_flask_responses.VALUES)
def test_view_values(values: Any, path: str, method: str) -> None:
    assert_served_alike(*values, {"path": path, "method": method})


@pytest.mark.parametrize("request_", test_flask_responses.ERRORS, ids=named)
def test_errors(errors: Any, request_: dict[str, Any]) -> None:
    assert_served_alike(*errors, request_)


@pytest.mark.parametrize("path", test_flask_responses.HOOKS)
def test_hooks(hooks: Any, path: str) -> None:
    assert_served_alike(*hooks, {"path": path})


@pytest.mark.parametrize(
    "request_",
    # The test client makes an empty path of it, which no client can send.
    [request for request in test_flask_responses.RULES if request["path"] != "//"],
    ids=named,
)
def test_rules(rules: Any, request_: dict[str, Any]) -> None:
    assert_served_alike(*rules, request_)


@pytest.mark.parametrize(
    "request_",
    [
        request
        for request in test_flask_requests.REQUESTS
        # Those that do not name another host or client.
        if not request.keys() & {"base_url", "environ_base"}
        and "Host" not in request.get("headers", {})
        and request["path"].startswith("/")
    ],
    ids=named,
)
def test_requests(mirror: Any, request_: dict[str, Any]) -> None:
    assert_served_alike(*mirror, request_)


@pytest.mark.parametrize("path", ["/page/<b>", "/text/<b>", "/json", "/stream/n", "/first", "/missing"])
def test_templates(templates: Any, path: str) -> None:
    assert_served_alike(*templates, {"path": path})


def test_a_walk_with_a_session(sessions: Any) -> None:
    cookies: dict[str, str] = {}
    for request in test_flask_requests.WALK:
        answer = assert_served_alike(*sessions, request, cookies=cookies)
        for name, value in answer.headers:
            if name == "Set-Cookie":
                key, _, rest = value.partition("=")
                cookies[key] = rest.partition(";")[0]
                if re.search("Max-Age=0", value):
                    del cookies[key]
    assert not cookies.get("session")
