"""The migration example is a Flask application: with Flask's import in its place it answers the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .flask_pair import Face, assert_same, get, post

SOURCE = (Path(__file__).resolve().parents[3] / "examples" / "flask_migration.py").read_text()


def build(face: Face) -> Any:
    assert SOURCE.count("from bustapi import") == 1
    code = SOURCE.replace("from bustapi import", f"from {face.flask.__name__} import")
    names: dict[str, Any] = {"__name__": "flask_migration"}
    exec(compile(code, "flask_migration.py", "exec"), names)
    return names["app"]


def test_it_answers_as_it_did_on_flask() -> None:
    answers = assert_same(
        build,
        get("/"),
        get("/words/"),
        get("/words"),
        get("/words/flask"),
        get("/words/none"),
        post("/words/", data={"word": "new", "meaning": "not old"}, follow_redirects=True),
        post("/words/", data={"word": "bad"}),
        get("/"),
    )
    assert [answer.status[:3] for answer in answers] == [
        "200",
        "200",
        "308",
        "200",
        "404",
        "200",
        "400",
        "200",
    ]
