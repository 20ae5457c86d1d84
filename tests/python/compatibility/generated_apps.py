"""Applications as data: strategies that make them up, and the building of one on either implementation.

Left out, because the difference is meant: a Content-Length that is not the body's (a server cuts the body or closes the
connection, WSGI passes it on), and teardown functions that raise (after which a test client raises and a server, which
has the answer by then, logs).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple, Optional

from hypothesis import strategies as st

from .flask_pair import Face

#: Requests of one application; each is compared through every door.
REQUESTS = 14

Action = tuple[Any, ...]


class Route(NamedTuple):
    """A rule, its view and its options."""

    rule: str
    methods: Optional[tuple[str, ...]]
    options: tuple[tuple[str, Any], ...]
    effects: tuple[Action, ...]
    result: Action


class Part(NamedTuple):
    """What an application and a blueprint have in common."""

    routes: tuple[Route, ...]
    before: tuple[tuple[str, Action], ...]
    after: tuple[tuple[str, Action], ...]
    teardown: tuple[str, ...]
    handlers: tuple[tuple[Any, Action], ...]
    preprocess: bool
    defaults: bool


class Prefixed(NamedTuple):
    """A blueprint, where it is registered, and those in it."""

    part: Part
    url_prefix: Optional[str]
    subdomain: Optional[str]
    children: tuple[Any, ...]


class Shape(NamedTuple):
    """An application."""

    part: Part
    blueprints: tuple[Prefixed, ...]
    strict_slashes: bool
    merge_slashes: bool
    subdomains: bool
    secret: bool
    config: tuple[tuple[str, Any], ...]
    #: How our server runs it, which must not show: as it is, in the pool, behind middleware, as tasks.
    way: str


class Asked(NamedTuple):
    """A request, told by what is known of an application before it is built."""

    rule: int
    values: tuple[int, ...]
    mangled: str
    method: str
    query: str
    body: tuple[str, Any]
    host: int
    headers: tuple[tuple[str, str], ...]


# -- strategies ------------------------------------------------------------------------------------------------------

_SEGMENTS = (
    "a",
    "b",
    "item",
    "a-b",
    "ä",
    "<int:{}>",
    "<{}>",
    "<string(length=2):{}>",
    "<string(minlength=2,maxlength=4):{}>",
    "<path:{}>",
    "<float:{}>",
    "<int(signed=True):{}>",
    "<int(fixed_digits=3):{}>",
    "<int(min=2,max=9):{}>",
    "<any(a,item,x):{}>",
    "<uuid:{}>",
    "v<int:{}>",
    "<{}>.html",
    "<int:{}>-<int:{}>",
)
_METHODS = ("GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH")
_CODES = (400, 401, 403, 404, 405, 409, 410, 413, 418, 429, 500, 503)
_EXCEPTIONS = ("Base", "Child", "KeyError", "LookupError", "ZeroDivisionError")

_words = st.sampled_from(["", "text", "tëxt", "<b>", "a\nb", "x" * 50])
_json_values = st.sampled_from([1, -2.5, None, True, "ä", [1, [2]], {"b": 1, "a": [None]}, {}, "</script>"])
_headers = st.sampled_from(
    [
        {"X-A": "1"},
        [("X-A", "1"), ("X-A", "2")],
        {"Content-Type": "text/x-own"},
        {"Location": "/next"},
        {"Content-Location": "here"},
        {"Vary": "Accept"},
        {"Cache-Control": "no-store", "ETag": '"e"'},
    ]
)
_statuses = st.sampled_from([200, 201, 202, 204, 301, 304, 400, 404, 418, 500, 599, "203 Odd", "299 A b"])

_values = st.one_of(
    st.tuples(st.just("echo")),
    st.tuples(st.just("echo")),
    st.tuples(st.just("text"), _words),
    st.tuples(st.just("json"), _json_values.filter(lambda value: isinstance(value, (dict, list)))),
    st.tuples(st.just("bytes"), st.sampled_from([b"", b"\x00\xff", b"abc"])),
    st.tuples(st.just("status"), _words, _statuses),
    st.tuples(st.just("headers"), _words, _headers),
    st.tuples(st.just("both"), _words, _statuses, _headers),
    st.tuples(st.just("response"), _words, _statuses, _headers),
    st.tuples(st.just("generator"), st.lists(_words, max_size=3).map(tuple)),
    st.tuples(st.just("stream"), _words),
    st.tuples(st.just("jsonify"), _json_values),
    st.tuples(st.just("wsgi"), _words),
    st.tuples(st.just("template"), _words),
    st.tuples(st.just("redirect"), st.sampled_from(["/a", "b?c=d", "http://other/ä", "//x"])),
    st.tuples(st.just("url_for")),
)
_failures = st.one_of(
    st.tuples(st.just("raise"), st.sampled_from(_EXCEPTIONS)),
    st.tuples(st.just("raise"), st.sampled_from(_EXCEPTIONS)),
    st.tuples(st.just("abort"), st.sampled_from(_CODES)),
    st.tuples(st.just("abort with response"), _words),
    st.tuples(st.just("abort with text"), st.sampled_from(_CODES), _words),
    st.tuples(st.just("nothing")),
    st.tuples(st.just("number")),
    st.tuples(st.just("unserialisable")),
    st.tuples(st.just("missing key")),
)
_results = st.one_of(_values, _values, _values, _failures)
_effects = st.one_of(
    st.tuples(st.just("g"), st.sampled_from("kl")),
    st.tuples(st.just("session"), st.sampled_from("kl"), _json_values),
    st.tuples(st.just("permanent")),
    st.tuples(st.just("forget")),
    st.tuples(st.just("look"), st.sampled_from("kl")),
    st.tuples(st.just("flash"), _words),
    st.tuples(st.just("after this"), st.sampled_from("xy")),
)
#: What a hook does: nothing but noting it was there, most of the time.
_before = st.one_of(
    st.tuples(st.just("none")),
    st.tuples(st.just("none")),
    _effects,
    _effects,
    st.tuples(st.just("if"), st.sampled_from(["stop", "q"]), _results),
)
_after = st.one_of(
    st.tuples(st.just("none")),
    st.tuples(st.just("none")),
    st.tuples(st.just("header"), st.sampled_from(["X-After", "Vary", "Content-Type"])),
    st.tuples(st.just("status"), st.sampled_from([200, 202, 204, 304, 500])),
    st.tuples(st.just("data"), _words),
    st.tuples(st.just("another"), _words),
    st.tuples(st.just("cookie")),
    st.tuples(st.just("if"), st.sampled_from(["stop", "q"]), _failures),
)
_handler_keys = st.one_of(
    st.sampled_from(_CODES), st.sampled_from([*_EXCEPTIONS, "HTTPException", "Exception"])
)


@st.composite
def rules(draw: Any) -> str:
    segments = draw(st.lists(st.sampled_from(_SEGMENTS), max_size=3))
    names = iter("xyzuvw")
    path = "".join("/" + re.sub(r"\{\}", lambda _: next(names), segment) for segment in segments)
    return (path or "") + ("/" if not path or draw(st.booleans()) else "")


routes = st.builds(
    Route,
    rules(),
    st.one_of(
        st.none(),
        st.none(),
        st.lists(st.sampled_from(_METHODS), min_size=1, max_size=3, unique=True).map(tuple),
    ),
    st.one_of(
        st.just(()),
        st.just(()),
        st.sampled_from(
            [
                (("strict_slashes", False),),
                (("strict_slashes", True),),
                (("merge_slashes", False),),
                (("provide_automatic_options", False),),
                (("defaults", {"extra": 1}),),
                (("redirect_to", "/a"),),
            ]
        ),
    ),
    st.lists(_effects, max_size=2).map(tuple),
    _results,
)


def parts(least: int) -> Any:
    scopes = st.sampled_from(["own", "own", "app"])
    return st.builds(
        Part,
        st.lists(routes, min_size=least, max_size=4).map(tuple),
        st.lists(st.tuples(scopes, _before), max_size=2).map(tuple),
        st.lists(st.tuples(scopes, _after), max_size=2).map(tuple),
        st.lists(scopes, max_size=1).map(tuple),
        st.lists(st.tuples(_handler_keys, _results), max_size=2).map(tuple),
        st.sampled_from([False, False, False, True]),
        st.sampled_from([False, False, False, True]),
    )


_prefixes = st.sampled_from([None, "/p", "/q/", "/<int:n>", "/p/a", "/<lang>"])
_subdomains = st.sampled_from([None, None, "api", "<tenant>"])
_leaves = st.builds(Prefixed, parts(1), _prefixes, _subdomains, st.just(()))
_trees = st.builds(Prefixed, parts(0), _prefixes, _subdomains, st.lists(_leaves, max_size=1).map(tuple))

shapes = st.builds(
    Shape,
    parts(2),
    st.lists(_trees, max_size=2).map(tuple),
    st.sampled_from([True, True, False]),
    st.sampled_from([True, True, False]),
    st.sampled_from([False, False, False, True]),
    st.sampled_from([True, True, True, False]),
    st.sampled_from(
        [
            (),
            (),
            (),
            (("TRAP_BAD_REQUEST_ERRORS", True),),
            (("TRAP_HTTP_EXCEPTIONS", True),),
            (("MAX_CONTENT_LENGTH", 8),),
            (("MAX_FORM_MEMORY_SIZE", 4),),
            (("APPLICATION_ROOT", "/root"),),
            (("SESSION_REFRESH_EACH_REQUEST", False),),
            (("SESSION_COOKIE_PATH", "/p"), ("SESSION_COOKIE_SAMESITE", "Lax")),
            (("PROVIDE_AUTOMATIC_OPTIONS", False),),
        ]
    ),
    st.sampled_from(["as it is", "as it is", "pool", "middleware", "task"]),
)

_bodies = st.sampled_from(
    [
        ("none", None),
        ("none", None),
        ("form", {"q": "1", "ä": "x y"}),
        ("form", {"q": ["1", "2"]}),
        ("json", b'{"q": [1, 2.5, null]}'),
        ("json", b"{broken"),
        ("json", b""),
        ("raw", b"some bytes \xff"),
        ("file", b"content"),
    ]
)
asked = st.builds(
    Asked,
    st.integers(0, 30),
    st.lists(st.integers(0, 60), min_size=4, max_size=4).map(tuple),
    st.sampled_from(["", "", "", "", "slash", "double", "longer", "upper", "absent", "root", "encoded"]),
    st.sampled_from(["GET", "GET", "GET", "GET", "GET", "POST", "POST", "HEAD", "OPTIONS", "PUT", "DELETE"]),
    st.sampled_from(["", "", "", "q=1", "stop=1", "q=a&q=%C3%A4&x=", "q=%ff", "stop&q"]),
    _bodies,
    st.integers(0, 5),
    st.sampled_from(
        [
            (),
            (),
            (),
            (("Accept", "application/json"),),
            (("X-Forwarded-For", "1.2.3.4"),),
            (("If-None-Match", '"e"'),),
            (("Range", "bytes=0-1"),),
        ]
    ),
)
conversations = st.lists(asked, min_size=REQUESTS, max_size=REQUESTS)


# -- building --------------------------------------------------------------------------------------------------------


class Built(NamedTuple):
    """An application, and what was noted beside its answers."""

    app: Any
    log: list[str]


def build(face: Face, shape: Shape) -> Built:
    app = face.Flask("generated", static_folder=None, subdomain_matching=shape.subdomains, root_path="/")
    app.logger.disabled = True
    app.url_map.strict_slashes = shape.strict_slashes
    app.url_map.merge_slashes = shape.merge_slashes
    if shape.secret:
        app.secret_key = "key"
    if shape.subdomains:
        app.config["SERVER_NAME"] = "example.org"
    app.config.update(dict(shape.config))
    maker = _Maker(face, app)
    for number, blueprint in enumerate(shape.blueprints):
        made = maker.blueprint(blueprint, f"bp{number}")
        app.register_blueprint(made)
    maker.fill(app, shape.part, "app")
    return Built(app, maker.log)


class _Base(Exception):
    pass


class _Child(_Base):
    pass


class _Maker:
    def __init__(self, face: Face, app: Any) -> None:
        self.face = face
        self.app = app
        self.log: list[str] = []

    def blueprint(self, tree: Prefixed, name: str) -> Any:
        made = self.face.Blueprint(name, "generated", url_prefix=tree.url_prefix, subdomain=tree.subdomain)
        self.fill(made, tree.part, name)
        for number, child in enumerate(tree.children):
            made.register_blueprint(self.blueprint(child, f"in{number}"))
        return made

    def fill(self, target: Any, part: Part, name: str) -> None:
        of_app = name != "app"
        for number, route in enumerate(part.routes):
            endpoint = f"{name}_{number}"
            target.add_url_rule(
                route.rule,
                endpoint,
                self.view(route),
                methods=None if route.methods is None else list(route.methods),
                **dict(route.options),
            )
        for number, (scope, action) in enumerate(part.before):
            register = target.before_app_request if of_app and scope == "app" else target.before_request
            register(self.before(f"before {name} {number}", action))
        for number, (scope, action) in enumerate(part.after):
            register = target.after_app_request if of_app and scope == "app" else target.after_request
            register(self.after(f"after {name} {number}", action))
        for scope in part.teardown:
            register = target.teardown_app_request if of_app and scope == "app" else target.teardown_request
            register(self.teardown(f"teardown {name}"))
        for key, action in part.handlers:
            target.register_error_handler(self.exception(key), self.handler(f"handler {name} {key}", action))
        if part.preprocess:
            target.url_value_preprocessor(self.preprocess)
        if part.defaults:
            target.url_defaults(lambda endpoint, values: values.setdefault("lang", "de"))

    def exception(self, key: Any) -> Any:
        if key in ("HTTPException",):
            return self.face.werkzeug_module("exceptions").HTTPException
        own = {"Base": _Base, "Child": _Child, "KeyError": KeyError, "LookupError": LookupError}
        return {**own, "ZeroDivisionError": ZeroDivisionError, "Exception": Exception}.get(key, key)

    def note(self, text: str) -> None:
        self.log.append(text)
        self.face.g.setdefault("notes", []).append(text)

    def view(self, route: Route) -> Any:
        def view(**values: Any) -> Any:
            self.note("view")
            for effect in route.effects:
                self.act(effect)
            return self.result(route.result, values)

        return view

    def before(self, name: str, action: Action) -> Any:
        def before() -> Any:
            self.note(name)
            if action[0] == "if":
                return self.result(action[2]) if action[1] in self.face.request.args else None
            return self.act(action)

        return before

    def after(self, name: str, action: Action) -> Any:
        def after(response: Any) -> Any:
            self.log.append(f"{name} {response.status_code}")
            kind = action[0]
            if kind == "header":
                response.headers[action[1]] = "text/x-after"
            elif kind == "status":
                response.status_code = action[1]
            elif kind == "data":
                response.data = action[1]
            elif kind == "another":
                return self.face.Response(action[1], 203)
            elif kind == "cookie":
                response.set_cookie("c", "v", path="/p")
            elif kind == "if" and action[1] in self.face.request.args:
                self.result(action[2])
            return response

        return after

    def teardown(self, name: str) -> Any:
        return lambda error: self.log.append(
            f"{name} {type(error).__name__} {self.face.g.get('notes')} {self.face.request.path}"
        )

    def handler(self, name: str, action: Action) -> Any:
        def handle(error: Any) -> Any:
            original = type(getattr(error, "original_exception", None)).__name__
            self.note(f"{name} {type(error).__name__} {original}")
            return self.result(action)

        return handle

    def preprocess(self, endpoint: Any, values: Any) -> None:
        self.note(f"preprocess {endpoint} {values}")
        if values:
            values.pop("lang", None)

    def act(self, action: Action) -> None:
        face, kind = self.face, action[0]
        if kind == "g":
            setattr(face.g, action[1], face.request.method)
        elif kind == "session":
            face.session[action[1]] = action[2]
        elif kind == "permanent":
            face.session.permanent = True
        elif kind == "forget":
            face.session.clear()
        elif kind == "look":
            self.note(f"look {face.session.get(action[1])}")
        elif kind == "flash":
            face.flash(action[1])
        elif kind == "after this":

            @face.after_this_request
            def after(response: Any) -> Any:
                response.headers.add("X-After-This", action[1])
                return response

    def result(self, action: Action, values: Any = None) -> Any:
        face, kind = self.face, action[0]
        if kind == "echo":
            return self.echo(values)
        if kind in ("text", "bytes", "json"):
            return action[1]
        if kind in ("status", "headers", "both"):
            return action[1:]
        if kind == "response":
            return face.Response(action[1], status=action[2], headers=action[3])
        if kind == "generator":
            return (piece for piece in action[1])
        if kind == "stream":
            return face.stream_with_context(self.stream(action[1]))
        if kind == "jsonify":
            return face.jsonify(action[1])
        if kind == "wsgi":
            return self.wsgi(action[1])
        if kind == "template":
            return face.render_template_string("{{ word }} {{ request.path }} {{ g.k }}", word=action[1])
        if kind == "redirect":
            return face.redirect(action[1])
        if kind == "url_for":
            built = face.url_for(face.request.endpoint, _external=True, **(values or {}), more="ä b")
            return f"{built} {face.url_for('app_0', x=1, y='é', z=2)}"
        if kind == "raise":
            raise self.exception(action[1])("raised")
        if kind == "abort":
            face.abort(action[1])
        if kind == "abort with text":
            face.abort(action[1], action[2])
        if kind == "abort with response":
            face.abort(face.Response(action[1], 402))
        if kind == "number":
            return 7
        if kind == "unserialisable":
            return {"x": object()}
        if kind == "missing key":
            return face.request.form["absent"]
        return None

    def echo(self, values: Any) -> Any:
        request, session = self.face.request, self.face.session
        return {
            "values": repr(values),
            "endpoint": request.endpoint,
            "blueprints": request.blueprints,
            "rule": str(request.url_rule),
            "view_args": repr(request.view_args),
            "url": request.url,
            "root": request.root_url,
            "path": request.full_path,
            "args": request.args.to_dict(flat=False),
            "form": request.form.to_dict(flat=False),
            "files": [
                (name, file.filename, file.read().decode()) for name, file in request.files.items(True)
            ],
            "data": repr(request.get_data()),
            "json": request.get_json(silent=True),
            # The boundary between files is another one each time.
            "length": request.content_length if not request.files else None,
            "type": request.mimetype,
            "notes": self.face.g.get("notes"),
            "session": dict(session),
            "flashed": self.face.get_flashed_messages(),
        }

    def stream(self, word: str) -> Iterator[str]:
        yield f"{self.face.request.path} "
        yield word

    def wsgi(self, word: str) -> Any:
        def application(environ: Any, start_response: Any) -> Any:
            start_response(
                "202 From WSGI", [("X-Path", environ["SCRIPT_NAME"]), ("Content-Type", "text/x-wsgi")]
            )
            return [word.encode()]

        return application


# -- requests --------------------------------------------------------------------------------------------------------

_VARIABLE = re.compile(r"<(?:([a-z]+)(?:\([^)]*\))?:)?[a-z]+>")
_SAMPLES = {
    None: ["x", "ab", "abc", "ä", "a b", "a.b", "x%y"],
    "string": ["ab", "abc", "a", "äö"],
    "int": ["1", "3", "007", "42", "100"],
    "float": ["1.5", "0.0", "22.25"],
    "path": ["a", "a/b", "x/y/z", "a//b"],
    "any": ["a", "item", "x"],
    "uuid": ["12345678-1234-5678-1234-567812345678", "A2345678-1234-5678-1234-567812345678"],
}
#: What does not fit everywhere.
_ODD = ["", "-1", "1.", "é/", "%2F", "9" * 25, "+1", "٣", "nope", "12345678"]
_HOSTS = (
    "example.org",
    "api.example.org",
    "shop.example.org",
    "a.b.example.org",
    "other.net",
    "example.org:81",
)


def request_of(one: Asked, rule_strings: list[str], shape: Shape) -> dict[str, Any]:
    """The request as `FlaskClient.open` takes it."""
    rule = rule_strings[one.rule % len(rule_strings)]
    picks = iter(one.values)

    def value(match: re.Match[str]) -> str:
        pick = next(picks, 0)
        samples = _SAMPLES.get(match[1], _SAMPLES[None])
        return _ODD[pick % len(_ODD)] if pick > 50 else samples[pick % len(samples)]

    path = _VARIABLE.sub(value, rule)
    if one.mangled == "slash":
        path = path[:-1] if path.endswith("/") and path != "/" else f"{path}/"
    elif one.mangled == "double":
        path = path[:1] + path[1:].replace("/", "//")
    elif one.mangled == "longer":
        path += "/more"
    elif one.mangled == "upper":
        path = path.upper()
    elif one.mangled == "absent":
        path = "/absent"
    elif one.mangled == "root":
        path = "/"
    elif one.mangled == "encoded":
        path += "%41%2f"
    # What begins so is taken for a host.
    path = "/" + path.lstrip("/")
    request: dict[str, Any] = {"path": path, "method": one.method, "headers": dict(one.headers)}
    if one.query:
        request["query_string"] = one.query
    kind, content = one.body
    if kind == "form":
        request["data"] = content
    elif kind == "json":
        request.update(data=content, content_type="application/json")
    elif kind == "raw":
        request.update(data=content, content_type="application/x-own")
    elif kind == "file":
        request.update(kind=kind, content=content)
    if shape.subdomains:
        request["base_url"] = f"http://{_HOSTS[one.host]}/"
    return request
