"""Requests over a socket reach the rule, with the values, that werkzeug's map gives for the decoded path."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from urllib.parse import unquote_to_bytes

import pytest
import werkzeug.routing
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from integration.servers import Served, serving

# Path, methods, defaults. What the core matches alone, with an expression of ours, and what it leaves to Python.
RULES: list[tuple[str, list[str], dict[str, object] | None]] = [
    ("/", ["GET"], None),
    ("/plain", ["GET", "POST"], None),
    ("/branch/", ["GET"], None),
    ("/int/<int:n>", ["GET"], None),
    ("/signed/<int(signed=True,max=5):n>", ["GET"], None),
    ("/float/<float:x>/<uuid:u>", ["GET"], None),
    ("/words/<any(a,'b c'):w>", ["PUT"], None),
    ("/path/<path:p>/end", ["GET"], None),
    ("/path/<path:p>/", ["GET"], None),
    ("/split/<a>-<b>.<int:c>", ["GET"], None),
    ("/page/", ["GET"], {"page": 1}),
    ("/page/<int:page>", ["GET"], None),
    ("/low/<low:name>", ["GET"], None),
    ("/even/<even:n>", ["GET"], None),
    ("/caf\u00e9/<name>", ["GET", "DELETE"], None),
]

CONVERTERS = """
class Low(routing.BaseConverter):
    regex = "[a-z]+"

class Even(routing.IntegerConverter):
    def to_python(self, value):
        number = super().to_python(value)
        if number % 2:
            raise routing.ValidationError()
        return number
"""

SOURCE = f"""
from bustapi import BustAPI, request
from bustapi.werkzeug import routing
{CONVERTERS}
app = BustAPI(__name__)
app.url_map.converters.update(low=Low, even=Even)

def view(**values):
    return {{"endpoint": request.endpoint, "values": repr(sorted(values.items())), "args": request.view_args == values}}

for index, (path, methods, defaults) in enumerate({RULES!r}):
    endpoint = "page" if path.startswith("/page") else str(index)
    app.add_url_rule(path, endpoint, view, methods=methods, defaults=defaults)
"""

PATHS = [
    "/", "/plain", "/plain/", "/branch", "/branch/", "//branch//", "/int/7", "/int/007", "/int/x", "/int/%D9%A3",
    "/int/99999999999999999999999", "/signed/-3", "/signed/6", "/float/1.5/12345678-abcd-4ABC-8123-00ff00ff00ff",
    "/float/1/12345678-abcd-4ABC-8123-00ff00ff00ff", "/words/b%20c", "/words/b", "/path/a/b/end", "/path/a%2Fb/end",
    "/path/a/b", "/path/a/b/", "/path/a//b/", "/split/1-2-3.4.5", "/split/a-b.c", "/page", "/page/", "/page/1", "/page/2",
    "/low/abc", "/low/ABC", "/even/4", "/even/5", "/caf%C3%A9/%ff", "/caf%c3%a9/a%0Ab", "/caf%E9/x", "/plain?q=1", "/%",
    "/%2570lain", "/nowhere",
]  # fmt: skip


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("routing"), SOURCE) as server:
        yield server


@pytest.fixture(scope="module")
def reference() -> werkzeug.routing.Map:
    made: dict[str, type] = {}
    exec(CONVERTERS, {"routing": werkzeug.routing}, made)
    rules = [
        werkzeug.routing.Rule(
            path,
            endpoint="page" if path.startswith("/page") else str(index),
            methods=[*methods, "OPTIONS"],
            defaults=defaults,
        )
        for index, (path, methods, defaults) in enumerate(RULES)
    ]
    return werkzeug.routing.Map(rules, converters={"low": made["Low"], "even": made["Even"]})


def answer(connection: http.client.HTTPConnection, method: str, path: str) -> tuple[object, ...]:
    connection.request(method, path)
    response = connection.getresponse()
    body = response.read()
    if response.status == 200:
        given = json.loads(body)
        assert given["args"] is True
        return 200, given["endpoint"], given["values"]
    if response.status == 405:
        return 405, sorted((response.getheader("Allow") or "").split(", "))
    return response.status, response.getheader("Location")


def expected(url_map: werkzeug.routing.Map, port: int, method: str, target: str) -> tuple[object, ...]:
    path, _, query = target.partition("?")
    adapter = url_map.bind(f"127.0.0.1:{port}", query_args=query, subdomain="")
    try:
        endpoint, values = adapter.match(unquote_to_bytes(path).decode(errors="replace"), method)
    except werkzeug.routing.RequestRedirect as redirect:
        return redirect.code, redirect.new_url
    except MethodNotAllowed as error:
        return 405, sorted(error.valid_methods or ())
    except HTTPException as error:
        return error.code, None
    return 200, endpoint, repr(sorted(values.items()))


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "BREW"])
def test_a_request_reaches_what_werkzeug_matches(
    served: Served, reference: werkzeug.routing.Map, method: str
) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=10)
    try:
        for path in PATHS:
            given = answer(connection, method, path)
            assert given == expected(reference, served.port, method, path), path
    finally:
        connection.close()


def test_a_websocket_request_does_not_reach_a_plain_rule(served: Served) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=10)
    try:
        connection.request("GET", "/plain", headers={"Connection": "Upgrade", "Upgrade": "WebSocket"})
        assert connection.getresponse().status == 400
    finally:
        connection.close()
