"""The same application built on Flask and on `bustapi.flask`, and what each answers."""

from __future__ import annotations

import importlib
import re
import time
import wsgiref.validate
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from email.utils import parsedate_to_datetime
from typing import Any, Callable, NamedTuple
from unittest import mock

from .socket_door import Proxy, expressible, serving

#: A moment for everything that writes the time into a response.
NOW = 1_700_000_000

_TIME = r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT"
_DATE = re.compile(rf"(Expires|Date)=?:? ?{_TIME}")


class Face:
    """The names of one of the two implementations."""

    def __init__(self, flask: str, werkzeug: str) -> None:
        self._flask = flask
        self._werkzeug = werkzeug
        self.flask: Any = importlib.import_module(flask)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.flask, name)

    def flask_module(self, name: str) -> Any:
        """A submodule of the Flask side."""
        return importlib.import_module(f"{self._flask}.{name}")

    def werkzeug_module(self, name: str) -> Any:
        """A submodule of the Werkzeug side."""
        return importlib.import_module(f"{self._werkzeug}.{name}")


_stock_check = wsgiref.validate.check_content_type  # type: ignore[attr-defined]

REAL = Face("flask", "werkzeug")
OURS = Face("bustapi.flask", "bustapi.werkzeug")


class Answer(NamedTuple):
    """What a client sees of a response."""

    status: str
    headers: list[tuple[str, str]]
    body: bytes


@contextmanager
def frozen_time() -> Iterator[None]:
    """Have signatures carry the same time on both sides."""
    with mock.patch("itsdangerous.timed.TimestampSigner.get_timestamp", return_value=NOW):
        yield


def answer(response: Any) -> Answer:
    """The parts of a test client's response that must be equal."""
    return normal(response.status, list(response.headers), response.get_data())


def normal(status: str, headers: list[tuple[str, str]], body: bytes) -> Answer:
    """An answer without what differs from run to run: the time, and the order of a set of methods."""
    headers = [(name, _DATE.sub(r"\1=then", value)) for name, value in headers]
    headers = [
        (name, "then" if name == "Date" and re.fullmatch(_TIME, value) else value) for name, value in headers
    ]
    headers = [(name, _from_now(value) if name == "Expires" else value) for name, value in headers]
    headers = [
        (name, ", ".join(sorted(value.split(", "))) if name == "Allow" else value) for name, value in headers
    ]
    return Answer(status, headers, body)


def _from_now(value: str) -> str:
    """A time of today as how far away it is: two answers to one request may fall into two seconds."""
    if not re.fullmatch(_TIME, value):
        return value
    away = parsedate_to_datetime(value).timestamp() - time.time()
    return value if abs(away) > 86_400 else f"{round(away / 30) * 30} s from now"


def ask(
    build: Callable[[Face], Any], face: Face, requests: Sequence[dict[str, Any]], **client: Any
) -> list[Answer]:
    """Send requests with one client to an application made for them."""
    app = build(face)
    with frozen_time():
        session = app.test_client(**client)
        return [answer(session.open(**request)) for request in requests]


def ask_socket(
    build: Callable[[Face], Any], requests: Sequence[dict[str, Any]], **client: Any
) -> list[Answer]:
    """Send requests over a socket to our application, as its test client makes them."""
    app = build(OURS)
    with frozen_time(), serving(app) as port:
        session = app.test_client(**client)
        session.application = Proxy(app, port)
        return [answer(session.open(**request)) for request in requests]


class Validated:
    """An application behind the standard library's judge of WSGI (PEP 3333)."""

    def __init__(self, app: Any) -> None:
        self.app = app

    def __getattr__(self, name: str) -> Any:
        return getattr(self.app, name)

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        return wsgiref.validate.validator(self.app)(environ, start_response)


def _check_content_type(status: str, headers: Any) -> None:
    # Accepted: Flask leaves the type on a response of 204, and servers drop nothing of it.
    if not status.startswith("204"):
        _stock_check(status, headers)


def ask_wsgi(build: Callable[[Face], Any], requests: Sequence[dict[str, Any]], **client: Any) -> list[Answer]:
    """Send requests to our application as a WSGI server that watches it does."""
    app = build(OURS)
    with frozen_time(), mock.patch("wsgiref.validate.check_content_type", _check_content_type):
        session = app.test_client(**client)
        session.application = Validated(app)
        # Read to the end and closed, as a server has to.
        return [answer(session.open(**{**request, "buffered": True})) for request in requests]


def without_order(answers: list[Answer]) -> list[Answer]:
    """What must be equal over a socket: fields of different names may come in any order (RFC 9110 5.3), and the
    server dates every response.
    """
    return [
        answer._replace(
            headers=sorted(
                (field for field in answer.headers if field[0] != "Date"), key=lambda field: field[0].lower()
            )
        )
        for answer in answers
    ]


def assert_same(
    build: Callable[[Face], Any], *requests: dict[str, Any], doors: str = "both", **client: Any
) -> list[Answer]:
    """Compare the reference with ours: through the test client, as WSGI, over a socket; returns the answers."""
    expected = ask(build, REAL, requests, **client)
    found = ask(build, OURS, requests, **client)
    for request, one, other in zip(requests, found, expected):
        assert one == other, f"{request}\n   found: {one}\nexpected: {other}"
    if doors == "both" and all(map(expressible, requests)):
        watched = ask_wsgi(build, requests, **client)
        for request, one, other in zip(requests, watched, expected):
            assert one == other, f"{request}\n watched: {one}\nexpected: {other}"
        served = ask_socket(build, requests, **client)
        for request, one, other in zip(requests, without_order(served), without_order(expected)):
            assert one == other, f"{request}\n  served: {one}\nexpected: {other}"
    return found


def get(path: str, **options: Any) -> dict[str, Any]:
    """A GET request."""
    return {"path": path, **options}


def post(path: str, **options: Any) -> dict[str, Any]:
    """A POST request."""
    return {"path": path, "method": "POST", **options}
