"""The server's own way through an application against Flask's: contexts, hooks, teardown, sessions, replaced steps.

Each application is asked over a socket, where requests take the shortest way there is for them, and through the
reference's test client.
"""

from __future__ import annotations

import contextlib
import http.client
from collections.abc import Iterator
from typing import Any, Callable

import pytest

from .flask_pair import OURS, REAL, Face, assert_same, get, post
from .socket_door import serving


def noted(face: Face, prepare: Callable[[Any, list[str], Face], None]) -> Any:
    """An application that keeps notes of what ran; `/notes` returns and forgets them."""
    app = face.Flask(__name__)
    app.secret_key = "key"
    notes: list[str] = []

    @app.get("/notes")
    def read() -> Any:
        taken = list(notes)
        notes.clear()
        return taken

    prepare(app, notes, face)
    return app


def same_notes(prepare: Callable[[Any, list[str], Face], None], *requests: dict[str, Any]) -> None:
    assert_same(
        lambda face: noted(face, prepare), *[step for one in requests for step in (one, get("/notes"))]
    )


def hooks(app: Any, notes: list[str], face: Face) -> None:
    @app.before_request
    def before() -> None:
        notes.append(f"before {face.request.path}")
        face.g.seen = True

    @app.after_request
    def after(response: Any) -> Any:
        notes.append(f"after {response.status_code} {face.g.get('seen')}")
        response.headers["X-After"] = "yes"
        return response

    @app.teardown_request
    def teardown(error: BaseException | None) -> None:
        notes.append(f"teardown {type(error).__name__}")

    @app.get("/plain")
    def plain() -> Any:
        notes.append("view")
        return {"plain": True}

    @app.get("/text")
    def text() -> Any:
        return "text"

    @app.get("/status")
    def status() -> Any:
        return {"made": 1}, 201

    @app.get("/boom")
    def boom() -> Any:
        raise ZeroDivisionError

    @app.get("/handled")
    def handled() -> Any:
        raise LookupError("what")

    @app.errorhandler(LookupError)
    def missing(error: LookupError) -> Any:
        notes.append("handler")
        return {"missing": str(error)}, 404

    @app.get("/abort")
    def aborting() -> Any:
        face.abort(409, "conflict")

    @app.get("/none")
    def none() -> Any:
        return None

    @app.get("/unserialisable")
    def unserialisable() -> Any:
        return {"x": object()}

    @app.get("/session")
    def session() -> Any:
        face.session["n"] = face.session.get("n", 0) + 1
        return {"n": face.session["n"]}

    @app.get("/later")
    def later() -> Any:
        @face.after_this_request
        def once(response: Any) -> Any:
            notes.append("once")
            response.headers["X-Once"] = "yes"
            return response

        return "later"

    @app.get("/url")
    def url() -> Any:
        return face.url_for("session", _external=True)


PATHS = [
    "/plain",
    "/text",
    "/status",
    "/boom",
    "/handled",
    "/abort",
    "/none",
    "/unserialisable",
    "/session",
    "/later",
    "/url",
    "/absent",
]


@pytest.mark.parametrize("path", PATHS)
def test_hooks_see_the_same(path: str) -> None:
    same_notes(hooks, get(path), get(path, method="HEAD"), get(path, method="OPTIONS"), post(path))


def test_a_session_lives_on_through_requests_that_do_not_touch_it() -> None:
    def prepare(app: Any, notes: list[str], face: Face) -> None:
        @app.get("/enter")
        def enter() -> Any:
            face.session.permanent = True
            face.session["who"] = "me"
            return "entered"

        @app.get("/idle")
        def idle() -> Any:
            return "idle"

    same_notes(prepare, get("/enter"), get("/idle"), get("/idle"))


@pytest.mark.parametrize("failing", ["before", "after", "teardown"])
def test_a_hook_that_fails(failing: str) -> None:
    def prepare(app: Any, notes: list[str], face: Face) -> None:
        @app.before_request
        def before() -> None:
            notes.append("before")
            if failing == "before":
                raise ValueError

        @app.after_request
        def after(response: Any) -> Any:
            notes.append("after")
            if failing == "after":
                raise ValueError
            return response

        @app.errorhandler(ValueError)
        def answer(error: ValueError) -> Any:
            notes.append("handler")
            return "handled", 418

        @app.errorhandler(500)
        def last(error: Any) -> Any:
            notes.append("500")
            return "last", 500

        @app.get("/")
        def view() -> Any:
            notes.append("view")
            return "view"

        if failing == "teardown":

            @app.teardown_request
            def teardown(error: Any) -> None:
                notes.append(f"teardown {error!r}")

    same_notes(prepare, get("/"))


def test_a_hook_that_answers_leaves_the_view_out() -> None:
    def prepare(app: Any, notes: list[str], face: Face) -> None:
        @app.before_request
        def first() -> Any:
            notes.append("first")
            return {"stop": face.request.endpoint} if "stop" in face.request.args else None

        @app.before_request
        def second() -> None:
            notes.append("second")

        @app.get("/")
        def view() -> Any:
            notes.append("view")
            return "view"

    same_notes(prepare, get("/"), get("/?stop=1"))


def test_a_teardown_of_the_application_context() -> None:
    def prepare(app: Any, notes: list[str], face: Face) -> None:
        @app.teardown_appcontext
        def teardown(error: BaseException | None) -> None:
            notes.append(f"appcontext {type(error).__name__} {face.g.get('kept')}")

        @app.get("/")
        def view() -> Any:
            face.g.kept = 1
            return "view"

        @app.get("/boom")
        def boom() -> Any:
            raise RuntimeError

    same_notes(prepare, get("/"), get("/boom"))


def test_blueprints_have_hooks_of_their_own() -> None:
    def prepare(app: Any, notes: list[str], face: Face) -> None:
        outer, inner = face.Blueprint("outer", __name__), face.Blueprint("inner", __name__)
        for owner, name in ((app, "app"), (outer, "outer"), (inner, "inner")):
            owner.before_request(lambda name=name: notes.append(f"before {name}"))
            owner.after_request(lambda response, name=name: notes.append(f"after {name}") or response)
            owner.teardown_request(lambda error, name=name: notes.append(f"teardown {name}"))
        app.get("/")(lambda: "app")
        outer.get("/", endpoint="o")(lambda: "outer")
        inner.get("/", endpoint="i")(lambda: face.request.blueprints)
        inner.errorhandler(KeyError)(lambda error: ("inner handler", 400))

        @inner.get("/fail")
        def fail() -> Any:
            raise KeyError("x")

        outer.register_blueprint(inner, url_prefix="/inner")
        app.register_blueprint(outer, url_prefix="/outer")

    same_notes(prepare, get("/"), get("/outer/"), get("/outer/inner/"), get("/outer/inner/fail"))


def test_values_are_preprocessed() -> None:
    def prepare(app: Any, notes: list[str], face: Face) -> None:
        @app.url_value_preprocessor
        def pull(endpoint: str | None, values: dict[str, Any] | None) -> None:
            face.g.lang = values.pop("lang", None) if values else None

        @app.get("/<lang>/page/<int:n>")
        def page(n: int) -> Any:
            return [face.g.lang, n, face.request.view_args]

    same_notes(prepare, get("/de/page/3"), get("/absent"))


def test_signals_are_sent() -> None:
    connected = contextlib.ExitStack()

    def prepare(app: Any, notes: list[str], face: Face) -> None:
        for name in (
            "request_started",
            "request_finished",
            "request_tearing_down",
            "appcontext_pushed",
            "appcontext_popped",
            "appcontext_tearing_down",
            "got_request_exception",
        ):

            def receive(sender: Any, name: str = name, **values: Any) -> None:
                notes.append(f"{name} {sorted(values)}")

            connected.enter_context(getattr(face, name).connected_to(receive, app))

        app.get("/")(lambda: "fine")

        @app.get("/boom")
        def boom() -> Any:
            raise RuntimeError

    with connected:
        same_notes(prepare, get("/"), get("/boom"))


STEPS: dict[str, Callable[[Any, Face], None]] = {
    "handle_exception": lambda app, face: setattr(
        app, "handle_exception", lambda error: app.make_response((repr(error), 500))
    ),
    "make_response": lambda app, face: setattr(
        app, "make_response", lambda value: face.Response(f"made {value}")
    ),
    "process_response": lambda app, face: setattr(
        app, "process_response", lambda response: face.Response("processed")
    ),
    "preprocess_request": lambda app, face: setattr(app, "preprocess_request", lambda: "preprocessed"),
    "dispatch_request": lambda app, face: setattr(app, "dispatch_request", lambda: "dispatched"),
    "full_dispatch_request": lambda app, face: setattr(
        app, "full_dispatch_request", lambda: face.Response("full")
    ),
    "handle_user_exception": lambda app, face: setattr(
        app, "handle_user_exception", lambda error: ("user handler", 502)
    ),
    "view_functions": lambda app, face: app.view_functions.__setitem__("plain", lambda: "other view"),
    "before": lambda app, face: app.before_request_funcs.setdefault(None, []).append(lambda: "from a hook"),
    "wsgi_app": lambda app, face: setattr(
        app, "wsgi_app", lambda environ, start: face.Response("middleware")(environ, start)
    ),
    "response_class": lambda app, face: setattr(
        app, "response_class", type("Own", (face.Response,), {"default_mimetype": "text/x-own"})
    ),
    "json.sort_keys": lambda app, face: setattr(app.json, "sort_keys", False),
    "error_handler_spec": lambda app, face: app.error_handler_spec[None][404].__setitem__(
        face.werkzeug_module("exceptions").NotFound, lambda error: ("gone", 404)
    ),
}


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("moment", ["before the first request", "between two of a connection"])
def test_a_replaced_step_holds_from_the_next_request_on(step: str, moment: str) -> None:
    answers = []
    for face in (REAL, OURS):
        app = face.Flask(__name__)

        @app.get("/plain")
        def plain() -> Any:
            return {"b": 1, "a": 2}

        @app.get("/boom")
        def boom() -> Any:
            raise ZeroDivisionError("boom")

        app._got_first_request = False
        replace = STEPS[step]
        paths = ["/plain", "/boom", "/absent"]
        if moment.startswith("before"):
            replace(app, face)
        if face is REAL:
            client = app.test_client()
            found = [client.get(path) for path in paths if not moment.startswith("before")]
            if found:
                replace(app, face)
            found += [client.get(path) for path in paths]
            answers.append([(one.status_code, one.content_type, one.data) for one in found])
            continue
        with serving(app) as port:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
            seen = []

            def ask(path: str, connection: Any = connection, seen: list[Any] = seen) -> None:
                connection.request("GET", path)
                response = connection.getresponse()
                seen.append((response.status, response.getheader("content-type"), response.read()))

            if not moment.startswith("before"):
                for path in paths:
                    ask(path)
                replace(app, face)
            for path in paths:
                ask(path)
            connection.close()
            answers.append(seen)
    assert answers[1] == answers[0]


def test_a_patched_class_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    app = OURS.Flask(__name__)
    app.get("/")(lambda: "view")
    with serving(app) as port:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)

        def ask() -> bytes:
            connection.request("GET", "/")
            return connection.getresponse().read()

        assert ask() == b"view"
        with monkeypatch.context() as patched:
            patched.setattr(OURS.Flask, "dispatch_request", lambda self: "patched")
            assert ask() == b"patched"
        assert ask() == b"view"
        with monkeypatch.context() as patched:
            patched.setattr(OURS.Response, "default_mimetype", "text/x-patched")
            connection.request("GET", "/")
            response = connection.getresponse()
            response.read()
            assert response.getheader("content-type") == "text/x-patched; charset=utf-8"
        connection.close()


def test_a_streamed_body_keeps_its_context_and_ends_it_once() -> None:
    def prepare(app: Any, notes: list[str], face: Face) -> None:
        @app.teardown_request
        def teardown(error: BaseException | None) -> None:
            notes.append("teardown")

        @app.get("/kept")
        def kept() -> Any:
            face.g.word = "kept"

            def body() -> Iterator[str]:
                notes.append("begin")
                yield f"{face.request.path} "
                yield f"{face.g.word} "
                notes.append("end")

            return face.stream_with_context(body())

        @app.get("/alone")
        def alone() -> Any:
            def body() -> Iterator[str]:
                notes.append("begin")
                yield "a"
                notes.append("end")

            return app.response_class(body())

    same_notes(prepare, get("/kept"), get("/alone"))


def test_a_response_made_by_the_server_is_one_of_the_class() -> None:
    app = OURS.Flask(__name__)
    seen: list[dict[str, Any]] = []

    @app.after_request
    def look(response: Any) -> Any:
        seen.append({**vars(response), "headers": list(response.headers), "type": type(response)})
        return response

    values: dict[str, Any] = {
        "/text": "tëxt",
        "/bytes": b"\x00",
        "/dict": {"a": 1},
        "/list": [1, 2],
        "/empty": "",
    }
    for path, value in values.items():
        app.add_url_rule(path, path, lambda value=value: value)
    with serving(app) as port:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        for path in values:
            connection.request("GET", path)
            connection.getresponse().read()
        connection.close()
    with app.test_request_context():
        made = [app.make_response(value) for value in values.values()]
    assert seen == [{**vars(one), "headers": list(one.headers), "type": type(one)} for one in made]


def test_contexts_within_a_request() -> None:
    def prepare(app: Any, notes: list[str], face: Face) -> None:
        other = face.Flask("other")

        @app.get("/")
        def view() -> Any:
            face.g.outer = 1
            with other.app_context():
                notes.append(f"{face.current_app.name} {face.request.path} {face.g.get('outer')}")
            with app.test_request_context("/inner?x=1"):
                notes.append(f"{face.request.path} {face.request.args['x']} {face.g.get('outer')}")
            notes.append(f"{face.has_request_context()} {face.has_app_context()} {face.g.outer}")

            @face.copy_current_request_context
            def copied() -> str:
                return str(face.request.path)

            import threading

            thread = threading.Thread(target=lambda: notes.append(copied()))
            thread.start()
            thread.join()
            return face.current_app.name

    same_notes(prepare, get("/"))


def test_async_views_and_hooks_take_part() -> None:
    pytest.importorskip("asgiref")

    def prepare(app: Any, notes: list[str], face: Face) -> None:
        @app.before_request
        async def before() -> None:
            notes.append("async before")

        @app.after_request
        def after(response: Any) -> Any:
            notes.append("after")
            return response

        @app.teardown_request
        async def teardown(error: BaseException | None) -> None:
            notes.append(f"async teardown {type(error).__name__}")

        @app.errorhandler(LookupError)
        async def missing(error: LookupError) -> Any:
            return "async handler", 404

        @app.get("/")
        async def view() -> Any:
            return {"async": True}

        @app.get("/missing")
        async def fail() -> Any:
            raise LookupError

        @app.get("/boom")
        async def boom() -> Any:
            raise ZeroDivisionError

        @app.get("/sync")
        def sync() -> Any:
            raise LookupError

    same_notes(prepare, get("/"), get("/missing"), get("/boom"), get("/sync"), get("/absent"))
