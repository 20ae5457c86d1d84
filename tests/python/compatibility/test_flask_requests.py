"""What a view sees of a request, sessions, URLs, templates and the test client: as in Flask."""

from __future__ import annotations

import io
from typing import Any

import pytest

from .flask_pair import NOW, OURS, REAL, Face, answer, ask, assert_same, frozen_time, get, post


def mirror(face: Face) -> Any:
    """Every view answers with what it was asked."""
    app = face.Flask(__name__)
    request = face.request

    @app.route("/about", methods=["GET", "POST", "PUT", "PATCH", "DELETE"])
    def about() -> Any:
        return {
            "accept": [list(pair) for pair in request.accept_mimetypes],
            "args": request.args.to_dict(flat=False),
            "authorization": None if request.authorization is None else request.authorization.type,
            "base_url": request.base_url,
            "best": request.accept_mimetypes.best_match(["text/html", "application/json"]),
            "blueprint": request.blueprint,
            "content_length": request.content_length,
            "content_type": request.content_type,
            "cookies": request.cookies.to_dict(),
            "endpoint": request.endpoint,
            "full_path": request.full_path,
            "host": request.host,
            "host_url": request.host_url,
            "is_json": request.is_json,
            "is_secure": request.is_secure,
            "languages": [list(pair) for pair in request.accept_languages],
            "method": request.method,
            "mimetype": request.mimetype,
            "parameters": request.mimetype_params,
            "path": request.path,
            "query": request.query_string.decode("latin-1"),
            "range": str(request.range),
            "referrer": request.referrer,
            "remote": request.remote_addr,
            "root_url": request.root_url,
            "script_root": request.script_root,
            "url": request.url,
            "url_root": request.url_root,
            "user_agent": request.user_agent.string,
            "values": request.values.to_dict(flat=False),
        }

    @app.post("/form")
    def form() -> Any:
        return {
            "form": request.form.to_dict(flat=False),
            "files": [
                [name, file.filename, file.content_type, len(file.read())]
                for name, file in request.files.items(multi=True)
            ],
        }

    @app.post("/json")
    def json() -> Any:
        return face.jsonify(request.json)

    @app.post("/json-silent")
    def json_silent() -> Any:
        return face.jsonify(request.get_json(silent=True))

    @app.post("/json-forced")
    def json_forced() -> Any:
        return face.jsonify(request.get_json(force=True))

    @app.post("/data")
    def data() -> Any:
        return request.get_data()

    @app.post("/stream")
    def stream() -> Any:
        return f"{request.stream.read(3)!r} {request.stream.read()!r}"

    @app.get("/headers")
    def headers() -> Any:
        return {"x": request.headers.getlist("X-Many"), "host": request.headers.get("host")}

    @app.get("/key")
    def key() -> Any:
        return request.args["missing"]

    @app.get("/typed")
    def typed() -> Any:
        return repr(request.args.get("n", 5, type=int))

    return app


JSON = {"content_type": "application/json"}
REQUESTS = [
    get("/about"),
    get("/about?a=1&a=2&b=%C3%BC&c=&d&=e&+f+=%2B"),
    get("/about?broken=%FF%zz"),
    get("/about", query_string={"x": "1 2", "y": ["3", "4"]}),
    get("/about", headers={"Accept": "text/html;q=0.5, application/json, */*;q=0.1"}),
    get("/about", headers={"Accept-Language": "de-CH, de;q=0.9, en;q=0.1"}),
    get("/about", headers={"Cookie": 'a=1; b="two; 2"; c=ü; =x; d'}),
    get("/about", headers={"User-Agent": "Some/1.0", "Referer": "http://elsewhere/"}),
    get("/about", headers={"Authorization": "Basic dXNlcjpwYXNz"}),
    get("/about", headers={"Authorization": "Bearer token"}),
    get("/about", headers={"Range": "bytes=0-10"}),
    get("/about", base_url="https://example.org:8443/root/"),
    get("/about", base_url="https://example.org:443/"),
    get("/about", headers={"Host": "Other.Example:80"}),
    get("/about", environ_base={"REMOTE_ADDR": "::1"}),
    get("http://absolute.example/about?q=1"),
    post("/about", data={"f": "1"}, query_string="f=2&g=3"),
    {"path": "/about", "method": "DELETE"},
    post("/form", data={"a": ["1", "2"], "b": "ü &=+"}),
    post("/form", data="a=1&a=2&=&b", content_type="application/x-www-form-urlencoded"),
    post("/form", data="a=%FF", content_type="application/x-www-form-urlencoded; charset=utf-8"),
    post("/form", data="a=1", content_type="text/plain"),
    post("/form", data="--x\r\nbroken", content_type="multipart/form-data; boundary=x"),
    post("/form", data="", content_type="multipart/form-data"),
    post("/json", json={"b": [1, 2.5, None], "a": "ü"}),
    post("/json", data="5", **JSON),
    post("/json", data='"\\ud800"', **JSON),
    post("/json", data="[NaN, 1e400]", **JSON),
    post("/json", data="{broken", **JSON),
    post("/json", data="", **JSON),
    post("/json", data=b"\xff\xfe", **JSON),
    post("/json", data="{}", content_type="text/plain"),
    post("/json", data="{}", content_type="application/vnd.own+json; charset=utf-8"),
    post("/json", data='{"a": 1, "a": 2}', **JSON),
    post("/json", data="[" * 50 + "]" * 50, **JSON),
    post("/json-silent", data="{broken", **JSON),
    post("/json-silent", data="{}", content_type="text/plain"),
    post("/json-forced", data='{"n": 123456789012345678901234567890}', content_type="text/plain"),
    post("/data", data=b"\x00\x01\xff"),
    post("/data", data={"form": "is read"}),
    post("/stream", data=b"0123456789"),
    get("/headers", headers=[("X-Many", "1"), ("X-Many", "2")]),
    get("/key"),
    get("/typed?n=12"),
    get("/typed?n=twelve"),
    get("/typed"),
]


@pytest.mark.parametrize("request_", REQUESTS, ids=lambda request: request["path"])
def test_a_view_sees_the_same_request(request_: dict[str, Any]) -> None:
    assert_same(mirror, request_)


def test_files_are_uploaded_alike() -> None:
    def uploading() -> dict[str, Any]:
        return post(
            "/form",
            data={
                "field": "text",
                "one": (io.BytesIO(b"content"), "one.txt"),
                "two": [(io.BytesIO(b"a" * 70_000), "ü.bin"), (io.BytesIO(b""), "empty.png", "image/x-own")],
            },
        )

    (expected,) = ask(mirror, REAL, [uploading()])
    (found,) = ask(mirror, OURS, [uploading()])
    assert found == expected
    assert b"70000" in found.body


@pytest.mark.parametrize("debug", [False, True])
@pytest.mark.parametrize(
    "config",
    [{}, {"MAX_CONTENT_LENGTH": 10}, {"MAX_FORM_MEMORY_SIZE": 10}, {"MAX_FORM_PARTS": 1}],
    ids=lambda config: next(iter(config), "no limit"),
)
@pytest.mark.parametrize(
    "request_",
    [
        post("/form", data={"a": "1" * 30}),
        post("/form", data={"a": "1" * 30, "b": "2"}, content_type="multipart/form-data"),
        post("/data", data=b"1" * 30),
        post("/json", json=["1" * 30]),
        post("/json", data="{", content_type="application/json"),
        get("/key"),
        get("/form"),
    ],
    ids=lambda request: f"{request['path']} {request.get('content_type', '')}",
)
def test_limits_and_debug_mode_act_alike(
    request_: dict[str, Any], config: dict[str, Any], debug: bool
) -> None:
    def limited(face: Face) -> Any:
        app = mirror(face)
        app.config.update(config, PROPAGATE_EXCEPTIONS=False)
        app.debug = debug
        return app

    assert_same(limited, request_)


def sessions(face: Face, **config: Any) -> Any:
    app = face.Flask(__name__)
    app.config.update(SECRET_KEY="a secret of tests", **config)
    session = face.session

    @app.get("/set/<name>/<value>")
    def set_(name: str, value: str) -> Any:
        session[name] = value
        return dict(session)

    @app.get("/read")
    def read() -> Any:
        return {name: repr(value) for name, value in session.items()}

    @app.get("/untouched")
    def untouched() -> str:
        return "untouched"

    @app.get("/types")
    def types() -> str:
        import datetime
        import uuid

        from markupsafe import Markup

        session["types"] = {
            "tuple": (1, (2, "3")),
            "bytes": b"\x00\xff",
            "uuid": uuid.UUID(int=9),
            "moment": datetime.datetime(2024, 2, 29, 12, 0, 1, tzinfo=datetime.timezone.utc),
            "markup": Markup("<b>"),
            "looks tagged": {" t": [1]},
            "none": None,
        }
        return "types"

    @app.get("/permanent")
    def permanent() -> str:
        session.permanent = True
        return "permanent"

    @app.get("/pop/<name>")
    def pop(name: str) -> str:
        return repr(session.pop(name, "nothing"))

    @app.get("/clear")
    def clear() -> str:
        session.clear()
        return "cleared"

    @app.get("/in-place")
    def in_place() -> str:
        session.setdefault("list", []).append(1)
        session.modified = True
        return "changed"

    @app.get("/flash/<message>")
    def flash(message: str) -> str:
        face.flash(message)
        face.flash(f"{message}!", "urgent")
        return "flashed"

    @app.get("/flashed")
    def flashed() -> Any:
        return face.jsonify(
            face.get_flashed_messages(),
            face.get_flashed_messages(with_categories=True),
            face.get_flashed_messages(category_filter=["urgent"]),
        )

    return app


WALK = [
    get(path)
    for path in [
        "/untouched",
        "/read",
        "/set/a/1",
        "/set/b/ü",
        "/read",
        "/untouched",
        "/types",
        "/read",
        "/permanent",
        "/read",
        "/untouched",
        "/in-place",
        "/read",
        "/pop/a",
        "/pop/a",
        "/flash/hello",
        "/flashed",
        "/flashed",
        "/clear",
        "/read",
        "/nowhere",
    ]
]


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"SESSION_COOKIE_NAME": "own", "SESSION_COOKIE_PATH": "/", "SESSION_COOKIE_HTTPONLY": False},
        {"SESSION_COOKIE_SAMESITE": "Lax", "SESSION_COOKIE_DOMAIN": "localhost"},
        {"SESSION_REFRESH_EACH_REQUEST": False, "PERMANENT_SESSION_LIFETIME": 60},
        {"SECRET_KEY_FALLBACKS": ["an older one"]},
        {"APPLICATION_ROOT": "/"},
    ],
    ids=lambda config: next(iter(config), "defaults"),
)
def test_a_session_lives_through_the_same_cookies(config: dict[str, Any]) -> None:
    assert_same(lambda face: sessions(face, **config), *WALK)


def test_a_session_of_one_is_read_by_the_other() -> None:
    with frozen_time():
        clients = {face: sessions(face).test_client() for face in (REAL, OURS)}
        for face, other in ((REAL, OURS), (OURS, REAL)):
            for path in ("/types", "/set/a/1", "/permanent", "/flash/x"):
                clients[face].get(path)
            cookie = clients[face].get_cookie("session")
            clients[other].set_cookie("session", cookie.value)
            assert answer(clients[other].get("/read")) == answer(clients[face].get("/read"))


@pytest.mark.parametrize(
    "value", ["", "garbage", "e30.ZVQy.wrong", "eyJhIjoxfQ.ZVQy.AAAA", "a.b.c.d", "é"], ids=repr
)
def test_a_forged_session_is_empty(value: str) -> None:
    found = assert_same(sessions, get("/read", headers={"Cookie": f"session={value}"}))
    assert found[0].body == b"{}\n"


def test_a_session_without_a_key_cannot_be_written() -> None:
    def keyless(face: Face) -> Any:
        app = sessions(face)
        app.config["SECRET_KEY"] = None
        app.config["PROPAGATE_EXCEPTIONS"] = False
        return app

    assert_same(keyless, get("/read"), get("/set/a/1"), get("/permanent"), get("/untouched"))


def test_a_transaction_of_the_client_changes_the_session() -> None:
    cookies = []
    for face in (REAL, OURS):
        with frozen_time():
            client = sessions(face).test_client()
            with client.session_transaction() as session:
                session["from"] = ["the", "test"]
            cookies.append(client.get_cookie("session").value)
            assert b"['the', 'test']" in client.get("/read").data
    assert cookies[0] == cookies[1]


def test_an_old_session_has_expired() -> None:
    found = []
    for face in (REAL, OURS):
        app = sessions(face, PERMANENT_SESSION_LIFETIME=1)
        client = app.test_client()
        with frozen_time():
            client.get("/permanent")
            client.get("/set/a/1")
        found.append(client.get("/read").data)
        assert NOW < 2_000_000_000
    assert found == [b"{}\n", b"{}\n"]


def urls(face: Face) -> Any:
    app = face.Flask(__name__, subdomain_matching=True)
    app.config["SERVER_NAME"] = "example.org:8080"
    app.add_url_rule("/user/<name>/<int:n>", "user", lambda name, n: f"{name} {n}")
    app.add_url_rule("/sub", "sub", lambda: "sub", subdomain="api")
    app.add_url_rule("/sub/<who>", "who", lambda domain, who: f"{domain} {who}", subdomain="<domain>")
    blueprint = face.Blueprint("bp", __name__, url_prefix="/bp/<lang>")

    @blueprint.url_value_preprocessor
    def pull(endpoint: Any, values: Any) -> None:
        face.g.lang = values.pop("lang")

    @blueprint.url_defaults
    def add(endpoint: str, values: dict[str, Any]) -> None:
        values.setdefault("lang", face.g.get("lang", "en"))

    @blueprint.get("/here")
    def here() -> Any:
        return {
            "lang": face.g.lang,
            "relative": face.url_for(".there"),
            "absolute": face.url_for("bp.there", lang="fr", _external=True),
            "other": face.url_for("user", name="ü/x", n=3, q=["1", "2"], _anchor="é #"),
            "scheme": face.url_for("user", name="a", n=1, _scheme="https", _external=True),
            "sub": face.url_for("sub"),
            "static": face.url_for("static", filename="a b.txt"),
        }

    @blueprint.get("/there")
    def there() -> str:
        return "there"

    @app.get("/build/<endpoint>")
    def build(endpoint: str) -> str:
        return face.url_for(endpoint, **face.request.args.to_dict())

    @app.url_build_error_handlers.append
    def unknown(error: Any, endpoint: str, values: dict[str, Any]) -> Any:
        return f"/built/{endpoint}" if endpoint.startswith("own") else None

    app.register_blueprint(blueprint)
    app.register_blueprint(blueprint, name="again", url_prefix="/again/<lang>")
    return app


BASE = "http://example.org:8080"


@pytest.mark.filterwarnings("ignore:Current server name")
@pytest.mark.parametrize(
    "request_",
    [
        get("/bp/de/here"),
        get("/again/de/here"),
        get("/user/x/1"),
        get("/sub", base_url="http://api.example.org:8080"),
        get("/sub", base_url=BASE),
        get("/sub/me", base_url="http://x.example.org:8080"),
        get("/sub/me", base_url="http://x.y.example.org:8080"),
        get("/user/x/1", base_url="http://other.org"),
        get("/build/user?name=a&n=1&extra=2"),
        get("/build/user?name=a"),
        get("/build/user?name=a&n=x"),
        get("/build/own-name"),
        get("/build/nothing"),
        get("/build/bp.there"),
        get("/build/who?domain=d&who=w"),
    ],
    ids=lambda request: f"{request.get('base_url', '')}{request['path']}",
)
def test_urls_are_built_and_matched_alike(request_: dict[str, Any]) -> None:
    assert_same(urls, request_)


@pytest.mark.filterwarnings("ignore:Current server name")
@pytest.mark.parametrize("host", ["", "example.org", "[::1]:80", "a b", "x" * 300, "exa_mple", "ex%41mple"])
def test_any_host_header_is_answered_alike(host: str) -> None:
    # A server has to refuse what is no host at all (RFC 9112 3.2).
    assert_same(mirror, get("/headers", headers={"Host": host}), doors="client" if " " in host else "both")


def templates(face: Face) -> Any:
    from jinja2 import DictLoader

    app = face.Flask(__name__)
    app.secret_key = "templates"
    app.jinja_loader = DictLoader(
        {
            "base.html": "<title>{% block title %}{% endblock %}</title>{{ url_for('page', name='x') }}",
            "page.html": "{% extends 'base.html' %}{% block title %}{{ name }} {{ added }} {{ 3|double }}{% endblock %}",
            "page.txt": "{{ name }}",
            "json.html": "{{ value|tojson }} {{ config.TESTING }} {{ session.x }} {{ g.y }} {{ 4 is even_number }}",
        }
    )

    @app.context_processor
    def add() -> dict[str, Any]:
        return {"added": "by the processor", "name": "loses"}

    @app.template_filter()
    def double(value: int) -> int:
        return 2 * value

    @app.template_test("even_number")
    def even(value: int) -> bool:
        return value % 2 == 0

    @app.get("/page/<name>")
    def page(name: str) -> Any:
        return face.render_template("page.html", name=name)

    @app.get("/text/<name>")
    def text(name: str) -> Any:
        return face.render_template("page.txt", name=name), {"Content-Type": "text/plain"}

    @app.get("/json")
    def json() -> Any:
        face.session["x"], face.g.y = "in session", "in g"
        return face.render_template("json.html", value={"a": "</script>", "b": [1, None]})

    @app.get("/stream/<name>")
    def stream(name: str) -> Any:
        return face.stream_template("page.html", name=name)

    @app.get("/first")
    def first() -> Any:
        return face.render_template(["none.html", "page.txt"], name="second choice")

    @app.get("/missing")
    def missing() -> Any:
        return face.render_template("none.html")

    return app


@pytest.mark.parametrize("path", ["/page/<b>", "/text/<b>", "/json", "/stream/n", "/first", "/missing"])
def test_templates_are_rendered_alike(path: str) -> None:
    assert_same(templates, get(path))


def test_async_views_and_hooks_answer_alike() -> None:
    pytest.importorskip("asgiref")  # what Flask runs them with

    def asynchronous(face: Face) -> Any:
        app = face.Flask(__name__)

        @app.before_request
        async def before() -> None:
            face.g.seen = "before"

        @app.after_request
        async def after(response: Any) -> Any:
            response.headers["X-After"] = "async"
            return response

        @app.errorhandler(ValueError)
        async def failed(error: Any) -> Any:
            return f"async handler: {error}", 400

        @app.get("/")
        async def view() -> Any:
            return {"seen": face.g.seen, "path": face.request.path}

        @app.get("/fail")
        async def fail() -> Any:
            raise ValueError("asked for")

        return app

    assert_same(asynchronous, get("/"), get("/fail"), get("/nowhere"))


def test_redirects_are_followed_alike() -> None:
    def redirecting(face: Face) -> Any:
        app = sessions(face)

        @app.post("/login")
        def login() -> Any:
            face.session["who"] = face.request.form["who"]
            return face.redirect(face.url_for("read"))

        @app.post("/keep")
        def keep() -> Any:
            return face.redirect("/target", 307)

        @app.post("/target")
        def target() -> Any:
            return face.request.form["who"]

        return app

    data = {"who": "me"}
    assert_same(
        redirecting,
        post("/login", data=data, follow_redirects=True),
        post("/keep", data=data, follow_redirects=True),
        post("/login", data=data),
    )
