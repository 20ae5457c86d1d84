"""`BustAPI.mount` answers what Werkzeug's dispatcher of applications does, through the client and over a socket."""

from __future__ import annotations

from typing import Any

import flask
import pytest
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from bustapi import BustAPI, Flask, current_app, request, session, url_for
from bustapi.testing import TestClient

PATHS = [
    "/api",
    "/api/",
    "/api/users/5",
    "/api/users/x",
    "/api/a%20b/%C3%BC",
    "/api/redirect",
    "/api/stream",
    "/api/deep/er?q=1",
    "/apiary",
    "/other",
    "/",
]


def inner(face: Any, requests: Any, url: Any) -> Any:
    app = face("inner")

    @app.route("/", methods=["GET", "POST", "PUT"])
    def index() -> Any:
        return {"root": requests.script_root, "path": requests.path, "method": requests.method}

    @app.get("/users/<int:id>")
    def user(id: int) -> Any:
        return {"id": id, "url": url("user", id=id), "external": url("index", _external=True)}

    @app.get("/redirect")
    def redirect() -> Any:
        return "", 302, {"Location": url("index")}

    @app.get("/stream")
    def stream() -> Any:
        return (str(number) for number in range(5))

    @app.post("/upload")
    def upload() -> Any:
        return {"form": requests.form, "length": requests.content_length}

    @app.get("/<path:rest>")
    def rest(rest: str) -> Any:
        return {"rest": rest, "q": requests.args.get("q"), "root": requests.root_path}

    return app


def outer(face: Any) -> Any:
    app = face("outer")
    app.add_url_rule("/", "index", lambda: "outer")
    return app


def ours() -> BustAPI:
    app = outer(BustAPI)
    app.mount("/api/", inner(Flask, request, url_for))
    return app


def reference() -> Any:
    app = outer(flask.Flask)
    mounted = inner(flask.Flask, flask.request, flask.url_for)
    app.wsgi_app = DispatcherMiddleware(app.wsgi_app, {"/api": mounted})
    return app


def seen(answer: Any) -> Any:
    kept = ("Content-Type", "Location", "Allow")
    headers = {name: answer.headers.get(name) for name in kept}
    if headers["Allow"]:
        headers["Allow"] = ", ".join(sorted(headers["Allow"].split(", ")))
    return answer.status, headers, answer.get_data()


@pytest.mark.parametrize("served", [False, True])
def test_a_mounted_application_answers_as_behind_a_dispatcher(served: bool) -> None:
    expected = reference().test_client()
    with TestClient(ours(), served=served) as client:
        for path in PATHS:
            for method in ("GET", "HEAD", "OPTIONS", "PUT", "DELETE"):
                if path == "/":
                    continue
                found = client.open(path, method=method, headers={"Host": "localhost"})
                assert seen(found) == seen(expected.open(path, method=method)), (method, path)
        upload = {"path": "/api/upload", "method": "POST", "data": {"a": "b"}}
        assert seen(client.open(**upload)) == seen(expected.open(**upload))


@pytest.mark.parametrize("served", [False, True])
def test_each_application_keeps_its_own_context_and_session(served: bool) -> None:
    app = BustAPI("outer")
    app.secret_key = "outer"
    mounted = Flask("mounted")
    mounted.secret_key = "mounted"
    mounted.config["SESSION_COOKIE_NAME"] = "mounted"
    names: list[str] = []

    @app.before_request
    def before() -> None:
        session["outer"] = True
        names.append(current_app.name)

    @app.teardown_request
    def teardown(error: Any) -> None:
        names.append(current_app.name)

    @mounted.get("/name")
    def name() -> Any:
        session["mounted"] = True
        names.append(current_app.name)
        return {"session": sorted(session)}

    app.mount("/in", mounted)
    with TestClient(app, served=served) as client:
        answer = client.get("/in/name")
        assert answer.json == {"session": ["mounted"]}
        assert len(answer.headers.getlist("Set-Cookie")) == 2
        # A client in a block keeps the contexts, and leaves them a second time at its end.
        assert names == ["outer", "mounted", "outer"]


@pytest.mark.parametrize("prefix", ["", "/", "api", "/<name>"])
def test_a_prefix_that_cannot_be_one_is_refused(prefix: str) -> None:
    with pytest.raises(ValueError, match="prefix"):
        BustAPI("x").mount(prefix, Flask("y"))


def test_a_prefix_is_mounted_once() -> None:
    app = BustAPI("x")
    app.mount("/a", Flask("y"))
    with pytest.raises(AssertionError, match="already"):
        app.mount("/a/", Flask("z"))
