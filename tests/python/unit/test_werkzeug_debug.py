"""The page with a traceback."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from io import StringIO
from typing import Any

import pytest

from bustapi.werkzeug.debug import DebuggedApplication, DebugTraceback
from bustapi.werkzeug.test import Client, create_environ, run_wsgi_app
from bustapi.werkzeug.wrappers import Response


def failing(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    secret = "not to be shown"
    try:
        raise ValueError("<inner>")
    except ValueError as error:
        raise KeyError(len(secret)) from error


def page(app: Any) -> Any:
    return Client(DebuggedApplication(app)).get("/", errors_stream=StringIO())


def test_exception_becomes_a_page() -> None:
    response = page(failing)
    text = response.get_data(as_text=True)
    assert response.status_code == 500
    assert response.mimetype == "text/html"
    assert "<h1>KeyError</h1>" in text
    assert 'raise ValueError("&lt;inner&gt;")' in text
    assert '<div class="exc-divider">' in text
    assert "failing" in text


def test_page_shows_no_values_and_runs_nothing() -> None:
    response = page(failing)
    text = response.get_data(as_text=True)
    assert "not to be shown" not in text.replace('secret = "not to be shown"', "")
    assert "<script" not in text
    assert "<form" not in text
    assert "script-src" not in response.headers["Content-Security-Policy"]
    assert response.headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert response.headers["Cache-Control"] == "no-store"


def test_message_is_escaped() -> None:
    def app(environ: object, start_response: object) -> None:
        raise RuntimeError("</pre><script>alert(1)</script>")

    assert "<script>" not in page(app).get_data(as_text=True)


def test_traceback_is_written_to_the_errors_stream() -> None:
    stream = StringIO()
    Client(DebuggedApplication(failing)).get("/", errors_stream=stream)
    written = stream.getvalue()
    assert (
        written.index("ValueError: <inner>") < written.index("direct cause") < written.index("KeyError: 15")
    )


def test_working_application_is_left_alone() -> None:
    response = page(Response("fine", headers={"X-A": "1"}))
    assert (response.status_code, response.get_data(), response.headers["X-A"]) == (200, b"fine", "1")


def test_exception_before_the_start_of_a_streamed_body() -> None:
    def app(environ: object, start_response: object) -> Iterator[bytes]:
        raise ValueError("late")
        yield b""

    assert "ValueError: late" in page(app).get_data(as_text=True)


def test_exception_in_the_middle_of_a_body_goes_on() -> None:
    closed: list[bool] = []

    class Body:
        def __iter__(self) -> Iterator[bytes]:
            yield b"first"
            raise ValueError("middle")

        def close(self) -> None:
            closed.append(True)

    def app(environ: object, start_response: Any) -> Body:
        start_response("200 OK", [])
        return Body()

    environ = create_environ(errors_stream=StringIO())
    body, status, _ = run_wsgi_app(DebuggedApplication(app), environ)
    pieces = iter(body)
    assert (status, next(pieces)) == ("200 OK", b"first")
    with pytest.raises(ValueError, match="middle"):
        next(pieces)
    body.close()  # type: ignore[attr-defined]
    assert closed == [True]
    assert "ValueError: middle" in environ["wsgi.errors"].getvalue()


def test_end_of_the_process_is_no_exception_of_the_application() -> None:
    def app(environ: object, start_response: object) -> None:
        raise SystemExit(3)

    with pytest.raises(SystemExit):
        page(app)


def test_console_is_refused() -> None:
    with pytest.raises(ValueError, match="evalex"):
        DebuggedApplication(failing, evalex=True)
    assert Client(DebuggedApplication(Response("app"))).get("/console").get_data() == b"app"


def test_hidden_frames() -> None:
    def hidden() -> None:
        __traceback_hide__ = True
        assert __traceback_hide__  # It is read from the frame.
        raise ValueError

    try:
        hidden()
    except ValueError as error:
        shown, everything = DebugTraceback(error), DebugTraceback(error, hide=False)
    assert [frame.name for frame in shown.all_frames] == ["test_hidden_frames"]
    assert [frame.name for frame in everything.all_frames] == ["test_hidden_frames", "hidden"]


def test_circular_chain_ends() -> None:
    first, second = ValueError("1"), TypeError("2")
    first.__context__, second.__context__ = second, first
    assert len(DebugTraceback(first).all_tracebacks) == 2


def test_suppressed_context_is_left_out() -> None:
    error = ValueError()
    error.__context__ = TypeError()
    error.__suppress_context__ = True
    assert len(DebugTraceback(error).all_tracebacks) == 1


def test_exception_without_traceback_or_text() -> None:
    class Odd(Exception):
        def __str__(self) -> str:
            raise ZeroDivisionError

    html = DebugTraceback(Odd()).render_debugger_html()
    assert "Odd" in html


def test_source_that_is_gone() -> None:
    namespace: dict[str, Any] = {}
    exec(
        compile("\n" * 50 + "def f():\n    raise ValueError('gone')\n", "/nowhere/at/all.py", "exec"),
        namespace,
    )
    try:
        namespace["f"]()
    except ValueError as error:
        found = DebugTraceback(error)
    assert "/nowhere/at/all.py" in found.render_traceback_html()
    assert found.all_frames[-1].source() == []


def test_installed_frames_are_marked() -> None:
    import json

    try:
        json.loads("{")
    except ValueError as error:
        frames = DebugTraceback(error).all_frames
    assert not frames[0].is_library
    assert frames[1].is_library
    assert frames[1].render_html().startswith("<details><summary>")
    assert frames[0].render_html().startswith("<details open>")


@pytest.mark.skipif(sys.version_info < (3, 11), reason="exception groups are new in 3.11")
def test_group_shows_its_members() -> None:
    group = __builtins__["ExceptionGroup"] if isinstance(__builtins__, dict) else __builtins__.ExceptionGroup
    try:
        raise group("several", [ValueError("one"), TypeError("two")])
    except Exception as error:
        text = DebugTraceback(error).render_traceback_text()
    assert "ValueError: one" in text
    assert "TypeError: two" in text
