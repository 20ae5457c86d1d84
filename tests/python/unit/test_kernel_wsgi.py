"""The calling of WSGI applications: what PEP 3333 says of `start_response`, `write`, `exc_info` and `close`."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import Any, Callable
from wsgiref.util import setup_testing_defaults

import pytest

from bustapi.kernel.wsgi import call


def environ(method: str = "GET") -> dict[str, Any]:
    made: dict[str, Any] = {"REQUEST_METHOD": method}
    setup_testing_defaults(made)
    return made


class Body:
    """Pieces that note when they are asked for and closed."""

    def __init__(self, pieces: Iterable[Any], notes: list[str]) -> None:
        self.pieces = iter(pieces)
        self.notes = notes

    def __iter__(self) -> Iterator[bytes]:
        for piece in self.pieces:
            self.notes.append("asked")
            yield piece() if callable(piece) else piece

    def close(self) -> None:
        self.notes.append("closed")


def test_a_list_is_one_body() -> None:
    def app(environ: Any, start: Callable[..., Any]) -> list[bytes]:
        start("200 OK", [("X-A", "1")])(b"written ")
        return [b"a", b"", b"b"]

    assert call(app, environ()) == (200, "OK", [("X-A", "1")], b"written ab")


def test_no_more_is_asked_for_than_makes_the_head_known() -> None:
    notes: list[str] = []

    def app(environ: Any, start: Callable[..., Any]) -> Body:
        start("200 OK", [])
        return Body([b"", b"first", b"second"], notes)

    body = call(app, environ())[3]
    assert notes == ["asked", "asked"]
    assert list(body) == [b"", b"first", b"second"]
    body.close()
    assert notes == ["asked"] * 3 + ["closed"]


def test_a_response_that_was_not_sent_is_replaced_and_one_that_was_is_not() -> None:
    start: Any = None

    def fail() -> bytes:
        try:
            raise ZeroDivisionError
        except ZeroDivisionError:
            start("500 Failed", [("X-B", "2")], sys.exc_info())
        return b"error"

    def early(environ: Any, start_response: Callable[..., Any]) -> Body:
        nonlocal start
        start = start_response
        start("200 OK", [("X-A", "1")])
        return Body([b"", fail], [])

    status, reason, headers, body = call(early, environ())
    assert (status, reason, headers, b"".join(body)) == (500, "Failed", [("X-B", "2")], b"error")

    def late(environ: Any, start_response: Callable[..., Any]) -> Body:
        nonlocal start
        start = start_response
        start("200 OK", [])
        return Body([b"sent", fail], [])

    body = call(late, environ())[3]
    assert next(body) == b"sent"
    with pytest.raises(ZeroDivisionError):
        next(body)


def test_what_an_application_does_wrong_is_told_and_its_body_closed() -> None:
    notes: list[str] = []
    with pytest.raises(RuntimeError, match="did not call"):
        call(lambda environ, start: Body([b"x"], notes), environ())
    assert notes[-1] == "closed"

    def twice(environ: Any, start: Callable[..., Any]) -> list[bytes]:
        start("200 OK", [])
        start("201 CREATED", [])
        return []

    with pytest.raises(RuntimeError, match="second time"):
        call(twice, environ())

    def broken() -> bytes:
        raise LookupError

    def fails(environ: Any, start: Callable[..., Any]) -> Body:
        start("200 OK", [])
        return Body([broken], notes)

    with pytest.raises(LookupError):
        call(fails, environ())
    assert notes[-1] == "closed"


def test_a_generator_may_start_the_response_late() -> None:
    def app(environ: Any, start: Callable[..., Any]) -> Iterator[bytes]:
        start("202 ACCEPTED", [])
        yield b"piece"

    status, _, _, body = call(app, environ())
    assert (status, list(body)) == (202, [b"piece"])


def test_an_answer_to_head_keeps_the_length_it_states() -> None:
    def app(environ: Any, start: Callable[..., Any]) -> list[bytes]:
        start("200 OK", [("Content-Length", "7")])
        return []

    assert call(app, environ())[3] == b""
    # Not bytes, of which the server would take the length.
    assert list(call(app, environ("HEAD"))[3]) == []
