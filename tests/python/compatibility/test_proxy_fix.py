"""`ProxyFix` around an application: Werkzeug's results, though the server takes its part over."""

from __future__ import annotations

import http.client
import itertools
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from werkzeug.test import EnvironBuilder, run_wsgi_app

from .flask_pair import OURS, REAL, Face
from .socket_door import serving

KEPT = (
    "REMOTE_ADDR",
    "wsgi.url_scheme",
    "HTTP_HOST",
    "SERVER_NAME",
    "SERVER_PORT",
    "SCRIPT_NAME",
    "PATH_INFO",
)
COUNTS = ("x_for", "x_proto", "x_host", "x_port", "x_prefix")


def build(face: Face, **counts: int) -> Any:
    app = face.Flask(__name__)

    @app.get("/plain/<int:n>")
    def plain(n: int) -> Any:
        request = face.request
        return {
            "n": n,
            "addr": request.remote_addr,
            "route": list(request.access_route),
            "scheme": request.scheme,
            "secure": request.is_secure,
            "host": request.host,
            "root": request.root_path,
            "url": request.url,
            "built": face.url_for("plain", n=1),
            "external": face.url_for("plain", n=1, _external=True),
        }

    @app.get("/environ")
    def environ() -> Any:
        found = face.request.environ
        return {
            "now": {key: found.get(key) for key in KEPT},
            "before": found["werkzeug.proxy_fix.orig"],
        }

    @app.get("/folder/")
    def folder() -> str:
        return "folder"

    fix = face.werkzeug_module("middleware.proxy_fix").ProxyFix
    app.wsgi_app = fix(app.wsgi_app, **counts)
    return app


def expected(app: Any, port: int, path: str, fields: list[tuple[str, str]]) -> Any:
    builder = EnvironBuilder(path, "http://app.test:81", headers=fields)
    environ = builder.get_environ()
    environ.update(SERVER_NAME="127.0.0.1", SERVER_PORT=str(port), REMOTE_ADDR="127.0.0.1")
    pieces, status, headers = run_wsgi_app(app, environ, buffered=True)
    return int(status.split()[0]), headers.get("Location"), b"".join(pieces)


def as_wsgi(app: Any, port: int, path: str, fields: list[tuple[str, str]]) -> Any:
    return expected(app, port, path, fields)


class Socket:
    def __init__(self, port: int) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)

    def ask(self, path: str, fields: list[tuple[str, str]]) -> Any:
        self.connection.putrequest("GET", path, skip_host=True, skip_accept_encoding=True)
        self.connection.putheader("Host", "app.test:81")
        for name, value in fields:
            self.connection.putheader(name, value.encode("latin-1"))
        self.connection.endheaders()
        response = self.connection.getresponse()
        return response.status, response.getheader("Location"), response.read()


def compare(counts: dict[str, int], requests: list[list[tuple[str, str]]]) -> None:
    reference, ours = build(REAL, **counts), build(OURS, **counts)
    with serving(ours) as port:
        door = Socket(port)
        for fields in requests:
            for path in ("/plain/3", "/environ", "/absent", "/folder"):
                wanted = expected(reference, port, path, fields)
                assert door.ask(path, fields) == wanted, (path, fields)
                assert as_wsgi(ours, port, path, fields) == wanted, (path, fields)
        door.connection.close()


VALUES = {
    "X-Forwarded-For": [
        "1.2.3.4",
        "6.6.6.6, 1.2.3.4",
        "2001:db8::1",
        "unknown",
        "1.2.3.4:99",
        '"1.2.3.4"',
        "a,,b",
        "",
    ],
    "X-Forwarded-Proto": ["https", "http", "HTTPS", "https, http", "ws"],
    "X-Forwarded-Host": [
        "example.org",
        "example.org:8080",
        "a, b.test",
        "[::1]:80",
        "::1",
        "exa mple",
        "a:http",
        "a:080",
        "ä",
    ],
    "X-Forwarded-Port": ["443", "80", "8080, 9090", "x", "099", "0"],
    "X-Forwarded-Prefix": ["/app", "/app/", "app", "/a/b", "/a, /b", "//x", "/ä"],
}


@pytest.mark.parametrize("name", VALUES)
def test_each_field(name: str) -> None:
    for number in (0, 1, 2):
        count = dict.fromkeys(COUNTS, 0) | {f"x_{name[12:].lower()}": number}
        compare(count, [[(name, value)] for value in VALUES[name]])


def test_fields_together() -> None:
    first = [(name, values[0]) for name, values in VALUES.items()]
    second = [(name, values[1]) for name, values in VALUES.items()]
    requests = [list(some) for size in range(6) for some in itertools.combinations(first, size)]
    compare(dict.fromkeys(COUNTS, 1), [*requests, second, first + second])


@settings(max_examples=12, deadline=None, derandomize=True, database=None)
@given(
    st.fixed_dictionaries({name: st.integers(0, 2) for name in COUNTS}),
    st.lists(
        st.lists(
            st.sampled_from([(name, value) for name, values in VALUES.items() for value in values]),
            max_size=6,
        ),
        min_size=4,
        max_size=4,
    ),
)
def test_any_fields(counts: dict[str, int], requests: list[list[tuple[str, str]]]) -> None:
    compare(counts, requests)


def test_the_application_is_still_served_natively() -> None:
    from bustapi.flask._native import explaining

    app = build(OURS, x_for=1, x_host=2)
    rules = {rule.endpoint: rule for rule in app.url_map.iter_rules()}
    way = explaining.explain(app, rules["plain"])
    assert way.verdict == "native"
    assert [reason.text for reason in way.reasons] == [
        "ProxyFix(x_for=1, x_proto=1, x_host=2) is applied by the server"
    ]


def test_numbers_changed_later_and_another_wrapper_are_seen() -> None:
    app = build(OURS)
    fields = [("X-Forwarded-For", "6.6.6.6, 1.2.3.4")]

    def asked(door: Socket) -> Any:
        import json

        return json.loads(door.ask("/plain/3", fields)[2])["addr"]

    with serving(app) as port:
        door = Socket(port)
        assert asked(door) == "1.2.3.4"
        app.wsgi_app.x_for = 2
        assert asked(door) == "6.6.6.6"
        app.wsgi_app.x_for = 0
        assert asked(door) == "127.0.0.1"
        fixed = app.wsgi_app
        app.wsgi_app = lambda environ, start: fixed({**environ, "REMOTE_ADDR": "outer"}, start)
        assert asked(door) == "outer"
        app.wsgi_app = fixed
        assert asked(door) == "127.0.0.1"
        door.connection.close()
