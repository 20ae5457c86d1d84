"""Views' values, errors, hooks and routing: what Flask answers is what `bustapi.flask` answers, byte for byte."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import io
import uuid
from pathlib import Path
from typing import Any

import pytest

from .flask_pair import OURS, REAL, Face, ask, assert_same, get, post


@dataclasses.dataclass
class Point:
    x: int
    y: float


class Markup:
    def __html__(self) -> str:
        return "<b>bold</b>"


def values(face: Face) -> Any:
    app = face.Flask(__name__, static_folder=None)
    Response = face.Response

    def view(name: str, value: Any) -> None:
        app.add_url_rule(f"/{name}", name, value if callable(value) else lambda: value)

    view("text", "café €")
    view("empty", "")
    view("bytes", b"\x00\xff")
    view("bytearray", lambda: bytearray(b"array"))
    view("dict", {"b": 1, "a": [True, None, 1.5, "ü"]})
    view("empty-dict", {})
    view("list", [1, "two", {"three": 3}])
    view("nested", {"z": {"y": {"x": []}}, "a": ()})
    view("generator", lambda: (part for part in ["one ", "two ", b"three"]))
    view("iterator", lambda: iter(["a", "b"]))
    view("status", ("made", 201))
    view("status-text", ("tea", "418 I'm a teapot"))
    view("status-odd", ("odd", 799))
    view("status-string", ("text", "299"))
    view("headers-dict", ("h", {"X-One": "1", "X-Two": "2"}))
    view("headers-list", ("h", [("X-Many", "1"), ("X-Many", "2")]))
    view("headers-values", ("h", {"X-Many": ["1", "2"]}))
    view("all-three", ("all", 202, {"X-Three": "3"}))
    view("replaced-type", ("{}", {"Content-Type": "application/x-own"}))
    view("dict-status", ({"error": "no"}, 422))
    view("dict-status-headers", ({"error": "no"}, 422, {"X-Why": "because"}))
    view("list-status", ([1], 203))
    view("response", lambda: Response("r", status=299, headers={"X-R": "r"}, mimetype="text/x-own"))
    view("response-in-tuple", lambda: (Response("r", status=299), 298, {"X-T": "t"}))
    view("response-none", lambda: Response())
    view("made", lambda: face.make_response("m", 204))
    view("made-nothing", lambda: face.make_response())
    view("wsgi", lambda: face.werkzeug_module("wrappers").Response("from werkzeug", status=207))
    view("callable", lambda: _wsgi)
    view("jsonify-keywords", lambda: face.jsonify(b=1, a=2))
    view("jsonify-many", lambda: face.jsonify(1, 2, 3))
    view("jsonify-one", lambda: face.jsonify("one"))
    view("jsonify-none", lambda: face.jsonify())
    view(
        "json-types",
        lambda: {
            "date": datetime.date(2024, 2, 29),
            "moment": datetime.datetime(2024, 2, 29, 12, 30, 15, 999),
            "aware": datetime.datetime(
                2024, 2, 29, 12, tzinfo=datetime.timezone(datetime.timedelta(hours=5))
            ),
            "decimal": decimal.Decimal("1.10"),
            "uuid": uuid.UUID(int=7),
            "point": Point(1, 2.5),
            "markup": Markup(),
            "tuple": (1, 2),
        },
    )
    view(
        "json-floats", {"nan": float("nan"), "inf": float("inf"), "big": 1e300, "small": 5e-324, "neg": -0.0}
    )
    view("json-integers", [2**63, -(2**63), 2**64, 10**40, 0, -1, True])
    view("json-strings", ["\u2028", "\U0001f600", "\ud800", "\x7f", '"\\/\b\f\n\r\t', "</script>"])
    view("json-keys", {1: "int", 2: "int", 10: "int"})
    view("json-bool-keys", {True: 1, False: 0})
    view("json-deep", _deep(60))
    view("redirect", lambda: face.redirect("/elsewhere?a=ü&b=<c>"))
    view("redirect-code", lambda: face.redirect("http://example.org/", 308))
    view("none", lambda: None)
    view("integer", lambda: 5)
    view("float", lambda: 1.5)
    view("set", lambda: {1})
    view("long-tuple", lambda: ("a", 200, {}, 4))
    view("short-tuple", lambda: ("a",))
    view("mixed-keys", lambda: {1: 1, "a": 2})
    view("unserialisable", lambda: {"o": object()})
    view("send-file", lambda: face.send_file(io.BytesIO(b"file body"), mimetype="text/plain", etag=False))
    view(
        "attachment",
        lambda: face.send_file(
            io.BytesIO(b"0123456789"), download_name="naïve file.bin", as_attachment=True, etag="tag"
        ),
    )
    view("cookies", _cookies(face))
    view("after", _after(face))
    view("headers-kept", lambda: ("kept", {"Server": "own", "Date": "never", "Content-Length": "4"}))
    view("stream", _stream(face))
    view("template", lambda: face.render_template_string("{{ x }} {{ x|safe }} {{ request.path }}", x="<&>"))
    return app


def _wsgi(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    start_response("288 Own", [("X-Wsgi", "yes"), ("Content-Type", "text/x-wsgi")])
    return [b"wsgi ", environ["PATH_INFO"].encode()]


def _deep(levels: int) -> Any:
    value: Any = "bottom"
    for level in range(levels):
        value = [value] if level % 2 else {"v": value}
    return value if isinstance(value, dict) else {"v": value}


def _cookies(face: Face) -> Any:
    def view() -> Any:
        response = face.make_response("c")
        response.set_cookie("plain", "value")
        response.set_cookie(
            "full", "ü; x", max_age=60, path="/p", domain="example.org", secure=True, httponly=True
        )
        response.set_cookie("strict", "s", samesite="Strict", partitioned=False)
        response.delete_cookie("gone")
        return response

    return view


def _after(face: Face) -> Any:
    def view() -> str:
        @face.after_this_request
        def add(response: Any) -> Any:
            response.headers["X-After"] = "this"
            return response

        return "after"

    return view


def _stream(face: Face) -> Any:
    def view() -> Any:
        @face.stream_with_context
        def parts() -> Any:
            yield face.request.path
            yield " and "
            yield face.request.args.get("q", "nothing")

        return parts()

    return view


VALUES = sorted(str(rule.rule) for rule in values(REAL).url_map.iter_rules())


@pytest.mark.parametrize("path", VALUES)
def test_a_view_value_becomes_the_same_response(path: str) -> None:
    assert_same(values, get(path), get(f"{path}?q=1", method="HEAD"))


@pytest.mark.parametrize("path", ["/dict", "/json-types", "/nested", "/list"])
def test_debug_mode_indents_json(path: str) -> None:
    def debugging(face: Face) -> Any:
        app = values(face)
        app.debug = True
        return app

    (found,) = assert_same(debugging, get(path))
    assert b"\n  " in found.body


@pytest.mark.parametrize(
    "attributes",
    [
        {"sort_keys": False},
        {"ensure_ascii": False},
        {"compact": False},
        {"mimetype": "application/x-json"},
        {"default": lambda value: "replaced"},
    ],
    ids=lambda attributes: next(iter(attributes)),
)
@pytest.mark.parametrize("path", ["/dict", "/json-types", "/unserialisable", "/mixed-keys"])
def test_attributes_of_the_json_provider_are_honoured(path: str, attributes: dict[str, Any]) -> None:
    def customised(face: Face) -> Any:
        app = values(face)
        for name, value in attributes.items():
            setattr(app.json, name, value)
        return app

    assert_same(customised, get(path))


def test_the_error_of_an_unsupported_value_names_the_view() -> None:
    def propagating(face: Face) -> Any:
        app = values(face)
        app.testing = True
        return app

    messages = []
    for face in (REAL, OURS):
        with pytest.raises(TypeError) as raised:
            ask(propagating, face, [get("/none")])
        messages.append(str(raised.value))
    assert messages[0] == messages[1]


def errors(face: Face) -> Any:
    exceptions = face.werkzeug_module("exceptions")
    app = face.Flask(__name__)
    inner = face.Blueprint("inner", __name__, url_prefix="/inner")
    outer = face.Blueprint("outer", __name__, url_prefix="/outer")

    class Own(Exception):
        pass

    class Derived(Own):
        pass

    class Teapot(exceptions.HTTPException):
        code = 418
        description = "short and stout"

    class Unused(exceptions.HTTPException):
        code = 510
        description = "own code"

    @app.errorhandler(404)
    def not_found(error: Any) -> Any:
        return {"error": error.name, "description": error.description}, 404

    @app.errorhandler(Own)
    def own(error: Any) -> Any:
        return f"{type(error).__name__}: {error}", 400

    @app.errorhandler(LookupError)
    def lookup(error: Any) -> Any:
        return f"lookup {type(error).__name__}", 404

    @app.errorhandler(500)
    def failed(error: Any) -> Any:
        return f"failed with {type(error.original_exception).__name__}", 500

    @app.errorhandler(Teapot)
    def teapot(error: Any) -> Any:
        return error.get_response()

    @outer.errorhandler(404)
    def outer_not_found(error: Any) -> Any:
        return "outer's 404", 404

    @outer.errorhandler(Own)
    def outer_own(error: Any) -> Any:
        return "outer's own", 409

    @inner.errorhandler(Derived)
    def inner_derived(error: Any) -> Any:
        return "inner's derived", 410

    @app.get("/abort/<int:code>")
    def aborting(code: int) -> Any:
        face.abort(code)

    @app.get("/abort-text/<int:code>")
    def aborting_with(code: int) -> Any:
        face.abort(code, "since <it> is so")

    @app.get("/abort-response")
    def aborting_response() -> Any:
        face.abort(face.Response("own response", status=499))

    def raiser(error: type[BaseException], *args: Any) -> Any:
        def view() -> Any:
            raise error(*args)

        return view

    for scaffold in (app, outer, inner):
        for name, error, args in [
            ("own", Own, ("text",)),
            ("derived", Derived, ("more",)),
            ("key", KeyError, ("k",)),
            ("index", IndexError, ()),
            ("value", ValueError, ("secret",)),
            ("teapot", Teapot, ()),
            ("unused", Unused, ()),
            ("missing", exceptions.NotFound, ("own text",)),
            ("allowed", exceptions.MethodNotAllowed, (["PUT", "GET"],)),
            ("later", exceptions.ServiceUnavailable, ("busy", None, 120)),
            ("range", exceptions.RequestedRangeNotSatisfiable, (100,)),
            ("login", exceptions.Unauthorized, ("who", None, face_auth(face))),
        ]:
            scaffold.add_url_rule(f"/raise-{name}", f"raise-{name}", raiser(error, *args))

    @app.get("/form-key")
    def form_key() -> Any:
        return face.request.form["missing"]

    outer.register_blueprint(inner)
    app.register_blueprint(outer)
    return app


def face_auth(face: Face) -> Any:
    return face.werkzeug_module("datastructures").WWWAuthenticate("basic", {"realm": "here"})


ERRORS = [
    get("/nothing-here"),
    get("/outer/nothing-here"),
    get("/form-key"),
    get("/abort-response"),
    *(
        get(f"/abort/{code}")
        for code in (400, 401, 403, 404, 405, 409, 410, 413, 415, 418, 422, 429, 500, 501, 503)
    ),
    *(get(f"/abort-text/{code}") for code in (400, 404, 429, 451, 502, 504)),
    get("/abort/999"),
    *(
        get(f"{prefix}/raise-{name}")
        for prefix in ("", "/outer", "/outer/inner")
        for name in (
            "own",
            "derived",
            "key",
            "index",
            "value",
            "teapot",
            "unused",
            "missing",
            "allowed",
            "later",
            "range",
            "login",
        )
    ),
    post("/abort/404"),
]


@pytest.mark.parametrize(
    "request_", ERRORS, ids=lambda request: f"{request.get('method', 'GET')} {request['path']}"
)
def test_an_error_is_handled_by_the_same_handler(request_: dict[str, Any]) -> None:
    assert_same(errors, request_)


@pytest.mark.parametrize(
    "config",
    [
        {"TRAP_HTTP_EXCEPTIONS": True},
        {"TRAP_BAD_REQUEST_ERRORS": True},
        {"PROPAGATE_EXCEPTIONS": False, "DEBUG": True},
    ],
    ids=lambda config: next(iter(config)),
)
@pytest.mark.parametrize("path", ["/form-key", "/abort/403", "/raise-own", "/raise-value", "/raise-missing"])
def test_trapped_errors_are_handled_alike(path: str, config: dict[str, Any]) -> None:
    def trapping(face: Face) -> Any:
        app = errors(face)
        app.config.update(config)
        return app

    assert_same(trapping, get(path))


def hooks(face: Face) -> Any:
    """Every hook notes its name; the notes are the body."""
    app = face.Flask(__name__)
    parent = face.Blueprint("parent", __name__, url_prefix="/p")
    child = face.Blueprint("child", __name__, url_prefix="/c")

    def note(name: str) -> None:
        face.g.setdefault("notes", []).append(name)

    def observe(scaffold: Any, name: str, app_wide: bool = False) -> None:
        infix = "app_" if app_wide else ""

        def before() -> Any:
            note(f"before {name}")
            if face.request.args.get("stop") == name:
                return f"stopped by {name}"
            return None

        def after(response: Any) -> Any:
            note(f"after {name}")
            response.headers.add("X-Notes", ",".join(face.g.notes))
            return response

        def pull(endpoint: Any, arguments: Any) -> None:
            note(f"pull {name} {endpoint} {sorted(arguments or {})}")

        getattr(scaffold, f"before_{infix}request")(before)
        getattr(scaffold, f"after_{infix}request")(after)
        getattr(scaffold, "app_url_value_preprocessor" if app_wide else "url_value_preprocessor")(pull)

    observe(app, "app")
    observe(app, "app again")
    observe(parent, "parent")
    observe(parent, "parent's app", app_wide=True)
    observe(child, "child")

    def view(**arguments: Any) -> Any:
        note("view")
        if face.request.args.get("fail"):
            raise ValueError("asked for")
        return ",".join(face.g.notes)

    @app.errorhandler(ValueError)
    def failed(error: Any) -> Any:
        note("handler")
        return "handled", 418

    for scaffold in (app, parent, child):
        scaffold.add_url_rule("/v", "view", view)
        scaffold.add_url_rule("/v/<int:number>", "numbered", view)
    parent.register_blueprint(child)
    app.register_blueprint(parent)
    return app


HOOKS = [
    f"{prefix}/v{rest}"
    for prefix in ("", "/p", "/p/c")
    for rest in (
        "",
        "/7",
        "?fail=1",
        "?stop=app",
        "?stop=parent",
        "?stop=child",
        "?stop=app+again",
        "/no-number",
    )
]


@pytest.mark.parametrize("path", HOOKS)
def test_hooks_run_in_the_same_order(path: str) -> None:
    assert_same(hooks, get(path))


def rules(face: Face) -> Any:
    app = face.Flask(__name__)
    view = face.flask_module("views")

    def show(**arguments: Any) -> Any:
        return {
            "endpoint": face.request.endpoint,
            "arguments": {name: repr(value) for name, value in arguments.items()},
            "rule": face.request.url_rule.rule,
            "url": face.url_for(face.request.endpoint, **arguments),
            "external": face.url_for(
                face.request.endpoint, _external=True, _anchor="a b", q="ü", **arguments
            ),
        }

    for rule in [
        "/",
        "/slash/",
        "/no-slash",
        "/int/<int:n>",
        "/signed/<int(signed=True):n>",
        "/float/<float:x>",
        "/path/<path:rest>",
        "/path/<path:rest>/edit",
        "/any/<any(one, two):word>",
        "/uuid/<uuid:id>",
        "/sized/<string(length=2):code>",
        "/two/<a>-<b>",
        "/deep/<a>/<b>/<int:c>",
        "/ü/<name>",
    ]:
        app.add_url_rule(rule, rule.strip("/").replace("/", "_").replace(".", "_") or "index", show)
    app.add_url_rule("/defaults/", "defaults", show, defaults={"page": 1})
    app.add_url_rule("/defaults/<int:page>", "defaults", show)
    app.add_url_rule("/posted", "posted", show, methods=["POST", "PUT"])
    app.add_url_rule("/own-options", "own_options", show, methods=["GET", "OPTIONS"])
    app.add_url_rule("/no-options", "no_options", show, provide_automatic_options=False)
    app.add_url_rule("/loose/", "loose", show, strict_slashes=False)
    app.add_url_rule("/old/<int:n>", "old", redirect_to="/int/<n>")

    class Methods(view.MethodView):
        def get(self) -> str:
            return "got"

        def post(self) -> str:
            return "posted"

        def delete(self) -> Any:
            return "", 204

    app.add_url_rule("/methods", view_func=Methods.as_view("methods"))
    return app


RULES = [
    *(
        get(path)
        for path in [
            "/",
            "//",
            "/slash",
            "/slash/",
            "/slash?q=1&q=2",
            "/no-slash",
            "/no-slash/",
            "/int/0",
            "/int/007",
            "/int/-1",
            "/int/x",
            "/signed/-12",
            "/float/1.5",
            "/float/1",
            "/path/a/b/c",
            "/path/a//b",
            "/path/a/edit",
            "/any/one",
            "/any/three",
            "/uuid/00000000-0000-0000-0000-000000000007",
            "/uuid/7",
            "/sized/ab",
            "/sized/abc",
            "/two/x-y",
            "/two/x-y-z",
            "/deep/x/y/3",
            "/deep/x/y/z",
            "/%C3%BC/n%C3%A4me",
            "/ü/%2F",
            "/two/a%20b-c%2Bd",
            "/defaults/",
            "/defaults/1",
            "/defaults/2",
            "/posted",
            "/loose",
            "/loose/",
            "/old/5",
            "/methods",
            "/static/none.txt",
        ]
    ),
    *(
        {"path": path, "method": method}
        for path, method in [
            ("/", "POST"),
            ("/", "OPTIONS"),
            ("/", "HEAD"),
            ("/", "TRACE"),
            ("/posted", "POST"),
            ("/posted", "PUT"),
            ("/posted", "OPTIONS"),
            ("/own-options", "OPTIONS"),
            ("/no-options", "OPTIONS"),
            ("/methods", "DELETE"),
            ("/methods", "HEAD"),
            ("/methods", "OPTIONS"),
            ("/methods", "PATCH"),
            ("/slash", "POST"),
            ("/nowhere", "OPTIONS"),
            ("/", "BREW"),
        ]
    ),
]


@pytest.mark.parametrize(
    "request_", RULES, ids=lambda request: f"{request.get('method', 'GET')} {request['path']}"
)
def test_a_url_is_routed_alike(request_: dict[str, Any]) -> None:
    assert_same(rules, request_)


@pytest.fixture
def site(tmp_path: Path) -> Path:
    folder = tmp_path / "static"
    folder.mkdir()
    (folder / "a.txt").write_bytes(b"0123456789" * 10)
    (folder / "ü b.css").write_bytes(b"body {}")
    (folder / "nothing").write_bytes(b"")
    (tmp_path / "outside.txt").write_bytes(b"secret")
    return tmp_path


@pytest.mark.parametrize(
    "request_",
    [
        get("/static/a.txt"),
        get("/static/a.txt", method="HEAD"),
        get("/static/a.txt", headers={"Range": "bytes=10-19"}),
        get("/static/a.txt", headers={"Range": "bytes=-5"}),
        get("/static/a.txt", headers={"Range": "bytes=200-"}),
        get("/static/a.txt", headers={"Range": "bytes=0-1,3-4"}),
        get("/static/a.txt", headers={"If-Modified-Since": "Fri, 01 Jan 2100 00:00:00 GMT"}),
        get("/static/a.txt", headers={"If-None-Match": "*"}),
        get("/static/%C3%BC%20b.css"),
        get("/static/nothing"),
        get("/static/none"),
        get("/static/../outside.txt"),
        get("/static/%2e%2e/outside.txt"),
        get("/static/"),
        get("/static/a.txt/x"),
        get("/static/a%00.txt"),
        post("/static/a.txt"),
        get("/resource"),
        get("/aged"),
    ],
    ids=lambda request: f"{request['path']} {request.get('headers', '')}",
)
def test_files_are_served_alike(site: Path, request_: dict[str, Any]) -> None:
    def files(face: Face) -> Any:
        app = face.Flask(__name__, root_path=str(site))

        @app.get("/resource")
        def resource() -> Any:
            with app.open_resource("outside.txt") as file:
                return file.read()

        @app.get("/aged")
        def aged() -> Any:
            return face.send_from_directory("static", "a.txt", max_age=60, download_name="b.txt")

        return app

    assert_same(files, request_)
