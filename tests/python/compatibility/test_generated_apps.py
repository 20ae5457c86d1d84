"""Made-up applications asked made-up requests: Flask's answers through the test client, as WSGI and over a socket.

The number of comparisons (one request through one door) is that of `BUSTAPI_COMPARISONS`; the same ones each time, or
others with each number in `BUSTAPI_SEED`.
"""

from __future__ import annotations

import http.client
import os
from collections.abc import Sequence
from io import BytesIO
from typing import Any
from unittest import mock

import pytest
from hypothesis import HealthCheck, given, seed, settings

from bustapi.testing.live import LiveServer

from .flask_pair import (
    OURS,
    REAL,
    Answer,
    Face,
    Validated,
    _check_content_type,
    answer,
    frozen_time,
    without_order,
)
from .generated_apps import REQUESTS, Asked, Built, Shape, build, conversations, request_of, shapes
from .socket_door import Proxy

COMPARISONS = int(os.environ.get("BUSTAPI_COMPARISONS", "10000"))
DOORS = 3
RAISED = "raised"


class Kept(Proxy):
    """Sends requests over one connection."""

    def __init__(self, app: Any, port: int) -> None:
        super().__init__(app, port)
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)

    def exchange(self, method: str, raw: bytes) -> tuple[http.client.HTTPResponse, bytes]:
        connection = self.connection
        if connection.sock is None:
            connection.connect()
        connection.sock.sendall(raw)
        response = http.client.HTTPResponse(connection.sock, method=method)
        response.begin()
        data = response.read()
        if response.will_close:
            connection.close()
        return response, data


def conversation(face: Face, built: Built, door: Any, requests: Sequence[dict[str, Any]]) -> list[Answer]:
    client = built.app.test_client()
    if door is not None:
        client.application = door
    answers = []
    for request in requests:
        sent = dict(request)
        if sent.pop("kind", None):
            sent["data"] = {"q": "1", "file": (BytesIO(sent.pop("content")), "näme.txt")}
        try:
            # Read to the end and closed, as a server does.
            answers.append(answer(client.open(**sent, buffered=True)))
        except Exception as error:
            # What an error handler for everything raised: the server's business.
            answers.append(Answer(RAISED, [], f"{type(error).__name__}: {error}".encode()))
    return answers


def twisted(built: Built, way: str) -> Built:
    app = built.app
    if way == "pool":
        app.execution = "pool"
    elif way == "middleware":
        inner = app.wsgi_app
        app.wsgi_app = lambda environ, start_response: inner(environ, start_response)
    elif way == "task":

        async def nothing() -> None:
            pass

        app.before_request_funcs.setdefault(None, []).append(nothing)
    return built


def compare(shape: Shape, asked: list[Asked]) -> None:
    reference = build_or_refusal(REAL, shape)
    ours = build_or_refusal(OURS, shape)
    if isinstance(reference, str) or isinstance(ours, str):
        assert ours == reference
        return
    rules = sorted({rule.rule for rule in reference.app.url_map.iter_rules()})
    requests = [request_of(one, rules, shape) for one in asked]
    with frozen_time():
        expected = conversation(REAL, reference, None, requests)

        found = conversation(OURS, ours, None, requests)
        assert_alike("test client", requests, found, expected)
        assert ours.log == reference.log, "test client"

        watched = build(OURS, shape)
        with mock.patch("wsgiref.validate.check_content_type", _check_content_type):
            found = conversation(OURS, watched, Validated(watched.app), requests)
        assert_alike("WSGI", requests, found, expected)
        assert watched.log == reference.log, "WSGI"

        served = twisted(build(OURS, shape), shape.way)
        with LiveServer(served.app) as server:
            door = Kept(served.app, server.port)
            found = conversation(OURS, served, door, requests)
            door.connection.close()
        for number, one in enumerate(expected):
            if one.status == RAISED:
                assert found[number].status == "500 INTERNAL SERVER ERROR"
                found[number] = one
        assert_alike("socket", requests, without_order(found), without_order(expected))
        assert served.log == reference.log, f"socket, {shape.way}"


def build_or_refusal(face: Face, shape: Shape) -> Any:
    """The application, or the name of what its building raised."""
    try:
        return build(face, shape)
    except Exception as error:
        return type(error).__name__


def assert_alike(
    door: str, requests: list[dict[str, Any]], found: list[Answer], expected: list[Answer]
) -> None:
    for number, (request, one, other) in enumerate(zip(requests, found, expected)):
        assert one == other, f"{door}, request {number}: {request}\n   found: {one}\nexpected: {other}"


def comparing(comparisons: int) -> Any:
    """A test of so many comparisons."""

    @settings(
        max_examples=max(1, -(-comparisons // (REQUESTS * DOORS))),
        deadline=None,
        derandomize="BUSTAPI_SEED" not in os.environ,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(shapes, conversations)
    def test(shape: Shape, asked: list[Asked]) -> None:
        compare(shape, asked)

    if "BUSTAPI_SEED" in os.environ:
        test = seed(int(os.environ["BUSTAPI_SEED"]))(test)
    return test


pytestmark = pytest.mark.filterwarnings("ignore:Current server name")

test_some_generated_applications = comparing(min(COMPARISONS, 500))
test_generated_applications = pytest.mark.timeout(600)(pytest.mark.once(comparing(COMPARISONS)))
