"""HTTP exceptions answer byte for byte what Werkzeug's answer."""

from __future__ import annotations

import inspect
from datetime import datetime, timezone
from typing import Any, Callable

import pytest
import werkzeug.exceptions

from .werkzeug_pair import Names, assert_same

NAMES = sorted(
    name
    for name, kind in vars(werkzeug.exceptions).items()
    if inspect.isclass(kind) and issubclass(kind, werkzeug.exceptions.HTTPException)
)
ENVIRON = {"REQUEST_METHOD": "GET", "wsgi.url_scheme": "http", "HTTP_HOST": "localhost", "PATH_INFO": "/"}


def answer(error: Any) -> Any:
    response = error.get_response(dict(ENVIRON))
    return response.status, list(response.headers), response.get_data()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("description", [None, "a <b> & 'c'\nd", ""])
def test_an_exception_answers_alike(name: str, description: str | None) -> None:
    def make(names: Names) -> Any:
        error = getattr(names.exceptions, name)(description=description)
        return answer(error), str(error), repr(error), error.code, error.name, error.get_description()

    assert_same(make)


MADE: dict[str, Callable[[Any], Any]] = {
    "allowed methods": lambda e: e.MethodNotAllowed(["GET", "POST"]),
    "no methods": lambda e: e.MethodNotAllowed([]),
    "range": lambda e: e.RequestedRangeNotSatisfiable(10, "items"),
    "retry in seconds": lambda e: e.TooManyRequests(retry_after=30),
    "retry at a time": lambda e: e.ServiceUnavailable(retry_after=datetime(2024, 1, 1, tzinfo=timezone.utc)),
    "missing key": lambda e: e.BadRequestKeyError("the <key>"),
    "no key": lambda e: e.BadRequestKeyError(),
    "original": lambda e: e.InternalServerError(original_exception=ValueError("x")),
    "lost client": lambda e: e.ClientDisconnected(),
    "security": lambda e: e.SecurityError("no"),
}


@pytest.mark.parametrize("name", MADE)
def test_an_exception_with_more_to_say_answers_alike(name: str) -> None:
    assert_same(lambda names: (answer(MADE[name](names.exceptions)), str(MADE[name](names.exceptions))))


def test_a_challenge_is_sent_alike() -> None:
    def make(names: Names) -> Any:
        kind = names.datastructures.WWWAuthenticate
        error = names.exceptions.Unauthorized(
            www_authenticate=[kind("basic", {"realm": "x"}), kind("bearer")]
        )
        return answer(error)

    assert_same(make)


def test_a_shown_key_is_told_alike() -> None:
    def make(names: Names) -> Any:
        error = names.exceptions.BadRequestKeyError("secret")
        hidden = error.description
        error.show_exception = True
        return hidden, error.description, answer(error), isinstance(error, KeyError)

    assert_same(make)


@pytest.mark.parametrize(
    "code", [*range(100, 110), *range(200, 210), *range(300, 310), *range(400, 460), *range(500, 512)]
)
def test_aborting_with_a_code_is_alike(code: int) -> None:
    assert_same(lambda names: names.exceptions.abort(code))


def test_aborting_with_a_response_is_alike() -> None:
    def abort(names: Names) -> Any:
        try:
            names.exceptions.abort(names.wrappers.Response("mine", 299))
        except names.exceptions.HTTPException as error:
            return answer(error), error.code, error.name, str(error), repr(error)

    assert_same(abort)


def test_aborting_with_arguments_is_alike() -> None:
    def abort(names: Names) -> Any:
        try:
            names.exceptions.abort(405, valid_methods=["PUT"], description="told")
        except names.exceptions.HTTPException as error:
            return answer(error)

    assert_same(abort)


def test_an_aborter_knows_what_it_was_told() -> None:
    def abort(names: Names) -> Any:
        class Teapot(names.exceptions.ImATeapot):  # type: ignore[name-defined,misc]
            pass

        aborter = names.exceptions.Aborter(extra={418: Teapot, 499: names.exceptions.Gone})
        found = []
        for code in (418, 499, 404, 498):
            try:
                aborter(code)
            except Exception as error:
                found.append((type(error).__name__, str(error)))
        return found, sorted(names.exceptions.default_exceptions)

    assert_same(abort)


def test_an_exception_is_a_wsgi_application_alike() -> None:
    def call(names: Names) -> Any:
        started: list[Any] = []
        body = names.exceptions.NotFound()(dict(ENVIRON), lambda *args: started.append(args))
        return started, b"".join(body)

    assert_same(call)
