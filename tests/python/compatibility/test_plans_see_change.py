"""Everything that extensions and applications replace, replaced at each moment: the next request sees it, as in Flask.

An entry of `FLIPS` is one thing that can be changed, in one way: by appending to a registry, by assigning an item of
one or an attribute of an instance, by patching a class, by connecting a receiver. Each is done before the first
request, taken back and done again between two requests of one connection, taken back before another connection, and
done by a view in the middle of what a client has pipelined. The reference is Flask's own application.
"""

from __future__ import annotations

import http.client
import socket
from collections import defaultdict
from io import BytesIO
from typing import Any, Callable, NamedTuple

import pytest
from werkzeug.test import EnvironBuilder, run_wsgi_app

from .flask_pair import OURS, REAL, Answer, Face, frozen_time, normal, without_order
from .socket_door import ADDED, serving

Undo = Callable[[], Any]
Flip = Callable[[Any, Face, "list[str]"], Undo]

REQUESTS: list[tuple[str, str, dict[str, str], bytes]] = [
    ("GET", "/plain", {}, b""),
    ("HEAD", "/plain", {}, b""),
    ("OPTIONS", "/plain", {}, b""),
    ("POST", "/plain", {}, b""),
    ("GET", "/text", {}, b""),
    ("GET", "/made", {}, b""),
    ("GET", "/boom", {}, b""),
    ("GET", "/handled", {}, b""),
    ("GET", "/absent", {}, b""),
    ("GET", "/api/item/3", {}, b""),
    ("GET", "/api/boom", {}, b""),
    ("GET", "/session", {"Cookie": "session={cookie}; other={cookie}"}, b""),
    ("GET", "/write", {"Cookie": "session={cookie}"}, b""),
    ("POST", "/json", {"Content-Type": "application/json"}, b'{"b": [1, 2.5], "a": "\xc3\xa4"}'),
    ("POST", "/json", {"Content-Type": "application/json"}, b"{broken"),
    ("POST", "/form", {"Content-Type": "application/x-www-form-urlencoded"}, b"a=1&a=2"),
    ("GET", "/read?x=1", {}, b""),
    ("GET", "/url", {}, b""),
    ("GET", "/page", {}, b""),
    ("GET", "/abort", {}, b""),
    ("GET", "/later", {}, b""),
    ("GET", "/added/7", {}, b""),
]


class Subject(NamedTuple):
    """An application to be changed, and what it notes."""

    app: Any
    notes: list[str]


def build(face: Face) -> Subject:
    app = face.Flask(__name__)
    app.secret_key = "key"
    app.logger.disabled = True
    notes: list[str] = []
    api = face.Blueprint("api", __name__, url_prefix="/api")

    @app.get("/plain")
    def plain() -> Any:
        return {"b": 1, "a": "ä"}

    @app.get("/text")
    def text() -> Any:
        return "text"

    @app.get("/made")
    def made() -> Any:
        return face.jsonify([1, {"z": 1, "y": 2}]), 201, {"X-Made": "yes"}

    @app.get("/boom")
    def boom() -> Any:
        raise ZeroDivisionError("boom")

    @app.get("/handled")
    def handled() -> Any:
        raise LookupError("what")

    @app.errorhandler(LookupError)
    def missing(error: LookupError) -> Any:
        return {"missing": str(error)}, 404

    @app.get("/session")
    def session() -> Any:
        return {"n": face.session.get("n")}

    @app.get("/write")
    def write() -> Any:
        face.session["n"] = face.session.get("n", 0) + 1
        return "written"

    @app.post("/json")
    def body() -> Any:
        return {"got": face.request.get_json()}

    @app.post("/form")
    def form() -> Any:
        return face.request.form.to_dict(flat=False)

    @app.get("/read")
    def read() -> Any:
        face.g.seen = face.request.args["x"]
        return {
            "endpoint": face.request.endpoint,
            "seen": face.g.seen,
            "g": type(face.g._get_current_object()).__name__,
            "extensions": sorted(face.current_app.extensions),
        }

    @app.get("/url")
    def url() -> Any:
        return " ".join([face.url_for("plain"), face.url_for("api.item", n=1, _external=True)])

    @app.get("/page")
    def page() -> Any:
        return face.render_template_string("{{ word|default('none') }} {{ 'x'|shown }} {{ request.path }}")

    app.jinja_env.filters["shown"] = lambda value: f"[{value}]"

    @app.get("/abort")
    def aborting() -> Any:
        face.abort(409, "conflict")

    @app.get("/later")
    def later() -> Any:
        @face.after_this_request
        def once(response: Any) -> Any:
            response.headers["X-Once"] = "yes"
            return response

        return "later"

    @api.get("/item/<int:n>")
    def item(n: int) -> Any:
        return {"n": n}

    @api.get("/boom")
    def api_boom() -> Any:
        raise ZeroDivisionError("api")

    app.register_blueprint(api)
    return Subject(app, notes)


# Ways to change something. Each returns the function that takes the change back.


def appended(registry: str, key: Any, function: Callable[[Any, Face, list[str]], Any]) -> Flip:
    def flip(app: Any, face: Face, notes: list[str]) -> Undo:
        held = getattr(app, registry)
        functions = held if key is Ellipsis else held.setdefault(key, [])
        made = function(app, face, notes)
        functions.append(made)
        return lambda: functions.remove(made)

    return flip


def item_set(
    where: Callable[[Any, Face], Any], key: Any, value: Callable[[Any, Face, list[str]], Any]
) -> Flip:
    def flip(app: Any, face: Face, notes: list[str]) -> Undo:
        mapping = where(app, face)
        name = key(face) if callable(key) else key
        had = name in mapping
        before = mapping.get(name)
        mapping[name] = value(app, face, notes)

        def undo() -> None:
            if had:
                mapping[name] = before
            else:
                del mapping[name]

        return undo

    return flip


def assigned(
    where: Callable[[Any, Face], Any], name: str, value: Callable[[Any, Face, list[str]], Any]
) -> Flip:
    def flip(app: Any, face: Face, notes: list[str]) -> Undo:
        owner = where(app, face)
        own = name in owner.__dict__
        before = owner.__dict__.get(name)
        setattr(owner, name, value(app, face, notes))

        def undo() -> None:
            if own:
                setattr(owner, name, before)
            else:
                delattr(owner, name)

        return undo

    return flip


def the_app(app: Any, face: Face) -> Any:
    return app


def connected(name: str) -> Flip:
    def flip(app: Any, face: Face, notes: list[str]) -> Undo:
        signal = getattr(face, name)

        def receive(sender: Any, **values: Any) -> None:
            notes.append(f"{name} {sorted(set(values) - {'_async_wrapper'})}")

        signal.connect(receive, app)
        return lambda: signal.disconnect(receive, app)

    return flip


# What is put in place.


def before(app: Any, face: Face, notes: list[str]) -> Any:
    def hook() -> Any:
        notes.append(f"before {face.request.path}")
        face.g.hooked = True
        return "stopped" if face.request.path == "/text" else None

    return hook


def after(app: Any, face: Face, notes: list[str]) -> Any:
    def hook(response: Any) -> Any:
        notes.append(f"after {response.status_code}")
        response.headers["X-After"] = "yes"
        return response

    return hook


def teardown(app: Any, face: Face, notes: list[str]) -> Any:
    return lambda error: notes.append(f"teardown {type(error).__name__} {face.g.get('seen')}")


def preprocess(app: Any, face: Face, notes: list[str]) -> Any:
    def pull(endpoint: Any, values: Any) -> None:
        notes.append(f"preprocess {endpoint} {values}")
        if values and "n" in values:
            values["n"] += 10

    return pull


def url_default(app: Any, face: Face, notes: list[str]) -> Any:
    return lambda endpoint, values: values.setdefault("lang", "de")


def handler(app: Any, face: Face, notes: list[str]) -> Any:
    def handle(error: Any) -> Any:
        notes.append(f"handler {type(error).__name__}")
        return {"error": type(error).__name__}, 418

    return handle


def around(name: str, note: Callable[..., str] = lambda *args, **kwargs: "") -> Callable[..., Any]:
    """A function that notes the call of the application's method and makes it."""

    def value(app: Any, face: Face, notes: list[str]) -> Any:
        inner = getattr(app, name)

        def wrapped(*args: Any, **kwargs: Any) -> Any:
            notes.append(name)
            return inner(*args, **kwargs)

        return wrapped

    return value


#: What itsdangerous has written to learn whether a serializer writes text.
PROBE = ({},)


def around_method(name: str, shown: str = "") -> Callable[..., Any]:
    """The same for a class."""

    def value_for(owner: Callable[[Any, Face], Any]) -> Callable[[Any, Face, list[str]], Any]:
        def value(app: Any, face: Face, notes: list[str]) -> Any:
            inner = getattr(owner(app, face), name)

            def wrapped(self: Any, *args: Any, **kwargs: Any) -> Any:
                if args[:1] != PROBE:
                    notes.append(f"{shown}{name}")
                return inner(self, *args, **kwargs)

            return wrapped

        return value

    return value_for


def middleware(app: Any, face: Face, notes: list[str]) -> Any:
    inner = app.wsgi_app

    def wrapped(environ: Any, start_response: Any) -> Any:
        notes.append(f"wsgi {environ['PATH_INFO']}")
        environ["HTTP_X_WRAPPED"] = "yes"
        return inner(environ, start_response)

    return wrapped


def own_interface(app: Any, face: Face, notes: list[str]) -> Any:
    class Interface(face.flask_module("sessions").SecureCookieSessionInterface):  # type: ignore[misc]
        def open_session(self, app: Any, request: Any) -> Any:
            notes.append("open")
            return super().open_session(app, request)

        def save_session(self, app: Any, session: Any, response: Any) -> None:
            notes.append("save")
            super().save_session(app, session, response)

    return Interface()


def own_request(app: Any, face: Face, notes: list[str]) -> Any:
    class Own(face.Request):  # type: ignore[misc]
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            notes.append("request")

        @property
        def endpoint(self) -> Any:
            found = super().endpoint
            return f"own {found}" if found == "read" else found

    return Own


def own_response(app: Any, face: Face, notes: list[str]) -> Any:
    class Own(face.Response):  # type: ignore[misc]
        default_mimetype = "text/x-own"

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self.headers["X-Own"] = "yes"

    return Own


def own_provider(app: Any, face: Face, notes: list[str]) -> Any:
    class Own(face.flask_module("json.provider").DefaultJSONProvider):  # type: ignore[misc]
        def dumps(self, obj: Any, **kwargs: Any) -> str:
            return str(super().dumps(obj, **kwargs)).replace("a", "A")

        def loads(self, s: Any, **kwargs: Any) -> Any:
            return [super().loads(s, **kwargs)]

    return Own(app)


def own_globals(app: Any, face: Face, notes: list[str]) -> Any:
    class OwnGlobals(face.flask_module("ctx")._AppCtxGlobals):  # type: ignore[misc]
        pass

    return OwnGlobals


def not_found(face: Face) -> Any:
    return face.werkzeug_module("exceptions").NotFound


def constant(value: Any) -> Callable[[Any, Face, list[str]], Any]:
    return lambda app, face, notes: value


def whole(registry: Callable[[Any, Face, list[str]], Any]) -> Callable[[Any, Face, list[str]], Any]:
    """A registry of one function for the application."""
    return lambda app, face, notes: {None: [registry(app, face, notes)]}


def views(app: Any, face: Face, notes: list[str]) -> Any:
    return {**app.view_functions, "text": lambda: "another text"}


def specs(app: Any, face: Face, notes: list[str]) -> Any:
    spec: Any = defaultdict(lambda: defaultdict(dict))
    spec[None][None][ZeroDivisionError] = handler(app, face, notes)
    return spec


def added_rule(app: Any, face: Face, notes: list[str]) -> Undo:
    endpoint = f"added{len(list(app.url_map.iter_rules()))}"
    app.url_map.add(app.url_rule_class("/added/<int:n>", endpoint=endpoint, methods=["GET"]))
    app.view_functions[endpoint] = lambda n: f"added {n}"
    # A map forgets no rule: taken back is the view.
    return lambda: app.view_functions.__setitem__(endpoint, lambda n: "gone")


FLIPS: dict[str, Flip] = {}

# Registries, by appending to a list of them and by assigning one.
for _registry, _function in {
    "before_request_funcs": before,
    "after_request_funcs": after,
    "teardown_request_funcs": teardown,
    "url_value_preprocessors": preprocess,
    "url_default_functions": url_default,
    "template_context_processors": lambda app, face, notes: lambda: {"word": "processed"},
}.items():

    def _in(name: str) -> Callable[[Any, Face], Any]:
        return lambda app, face: getattr(app, name)

    def _listed(function: Any) -> Any:
        return lambda app, face, notes: [function(app, face, notes)]

    for _key in (None, "api"):
        FLIPS[f"append: {_registry}[{_key}]"] = appended(_registry, _key, _function)
        FLIPS[f"item: {_registry}[{_key}]"] = item_set(_in(_registry), _key, _listed(_function))
    if _registry != "template_context_processors":
        FLIPS[f"attribute: {_registry}"] = assigned(the_app, _registry, whole(_function))

FLIPS |= {
    "append: teardown_appcontext_funcs": appended("teardown_appcontext_funcs", ..., teardown),
    "attribute: teardown_appcontext_funcs": assigned(
        the_app, "teardown_appcontext_funcs", lambda *args: [teardown(*args)]
    ),
    "append: url_build_error_handlers": appended(
        "url_build_error_handlers", ..., lambda app, face, notes: lambda error, endpoint, values: "/built"
    ),
    "item: view_functions": item_set(
        lambda app, face: app.view_functions, "plain", constant(lambda: "other")
    ),
    "item: a blueprint's view": item_set(
        lambda app, face: app.view_functions, "api.item", constant(lambda n: [n])
    ),
    "attribute: view_functions": assigned(the_app, "view_functions", views),
    "item: error_handler_spec[None][404]": item_set(
        lambda app, face: app.error_handler_spec[None][404], not_found, handler
    ),
    "item: error_handler_spec[None][None]": item_set(
        lambda app, face: app.error_handler_spec[None][None], ZeroDivisionError, handler
    ),
    "item: error_handler_spec[api][None]": item_set(
        lambda app, face: app.error_handler_spec["api"][None], ZeroDivisionError, handler
    ),
    "attribute: error_handler_spec": assigned(the_app, "error_handler_spec", specs),
    "item: extensions": item_set(lambda app, face: app.extensions, "own", constant(object())),
    "append: url_map": added_rule,
    "item: jinja_env.globals": item_set(lambda app, face: app.jinja_env.globals, "word", constant("global")),
    "item: jinja_env.filters": item_set(lambda app, face: app.jinja_env.filters, "shown", constant(repr)),
}

for _name, _value in {
    "MAX_CONTENT_LENGTH": 5,
    "MAX_FORM_MEMORY_SIZE": 1,
    "PREFERRED_URL_SCHEME": "https",
    "PERMANENT_SESSION_LIFETIME": 0,
    "SECRET_KEY": None,
    "SECRET_KEY_FALLBACKS": ["other"],
    "SERVER_NAME": "example.org",
    "SESSION_COOKIE_NAME": "other",
    "SESSION_COOKIE_PATH": "/write",
    "SESSION_COOKIE_SECURE": True,
    "TRAP_BAD_REQUEST_ERRORS": True,
    "TRAP_HTTP_EXCEPTIONS": True,
    "TRUSTED_HOSTS": ["example.org"],
}.items():
    FLIPS[f"item: config[{_name}]"] = item_set(lambda app, face: app.config, _name, constant(_value))

# Methods of the application: on the instance, on the class, and what else is looked up there.
_METHODS = (
    "app_context",
    "async_to_sync",
    "create_url_adapter",
    "dispatch_request",
    "do_teardown_appcontext",
    "do_teardown_request",
    "ensure_sync",
    "finalize_request",
    "full_dispatch_request",
    "handle_exception",
    "handle_http_exception",
    "handle_url_build_error",
    "handle_user_exception",
    "inject_url_defaults",
    "log_exception",
    "make_default_options_response",
    "make_response",
    "preprocess_request",
    "process_response",
    "raise_routing_exception",
    "request_context",
    "should_ignore_error",
    "trap_http_exception",
    "update_template_context",
    "url_for",
    "wsgi_app",
)


def flask_class(app: Any, face: Face) -> Any:
    return face.Flask


def class_named(name: str) -> Callable[[Any, Face], Any]:
    """A class of the Flask side, `Request` or `sessions.SessionInterface` say."""

    def find(app: Any, face: Face) -> Any:
        module, _, attribute = name.rpartition(".")
        return getattr(face.flask_module(module) if module else face.flask, attribute)

    return find


for _name in _METHODS:
    FLIPS[f"attribute: app.{_name}"] = assigned(the_app, _name, around(_name))
    FLIPS[f"class: Flask.{_name}"] = assigned(flask_class, _name, around_method(_name)(flask_class))

FLIPS |= {
    "attribute: app.wsgi_app, middleware": assigned(the_app, "wsgi_app", middleware),
    "class: Flask.__call__": assigned(flask_class, "__call__", around_method("__call__")(flask_class)),
    "attribute: app.session_interface": assigned(the_app, "session_interface", own_interface),
    "attribute: app.request_class": assigned(the_app, "request_class", own_request),
    "attribute: app.response_class": assigned(the_app, "response_class", own_response),
    "attribute: app.json": assigned(the_app, "json", own_provider),
    "attribute: app.app_ctx_globals_class": assigned(the_app, "app_ctx_globals_class", own_globals),
    "attribute: app.aborter": assigned(
        the_app,
        "aborter",
        lambda app, face, notes: face.werkzeug_module("exceptions").Aborter(
            extra={409: face.werkzeug_module("exceptions").Gone}
        ),
    ),
    "class: Flask.session_interface": assigned(flask_class, "session_interface", own_interface),
    "class: Flask.request_class": assigned(flask_class, "request_class", own_request),
    "class: Flask.response_class": assigned(flask_class, "response_class", own_response),
    "class: Flask.app_ctx_globals_class": assigned(flask_class, "app_ctx_globals_class", own_globals),
}
for _name in (
    "RequestContext.push",
    "RequestContext.pop",
    "RequestContext.match_request",
    "AppContext.push",
    "AppContext.pop",
):
    _class = class_named(f"ctx.{_name.partition('.')[0]}")
    FLIPS[f"class: {_name}"] = assigned(
        _class, _name.partition(".")[2], around_method(_name.partition(".")[2])(_class)
    )


# Objects and classes behind the application.
def provider(app: Any, face: Face) -> Any:
    return app.json


def interface(app: Any, face: Face) -> Any:
    return app.session_interface


def _bound(owner: Callable[[Any, Face], Any], name: str) -> Callable[[Any, Face, list[str]], Any]:
    def value(app: Any, face: Face, notes: list[str]) -> Any:
        inner = getattr(owner(app, face), name)

        def wrapped(*args: Any, **kwargs: Any) -> Any:
            if args[:1] != PROBE:
                notes.append(name)
            return inner(*args, **kwargs)

        return wrapped

    return value


for _name, _value in {
    "sort_keys": False,
    "ensure_ascii": False,
    "compact": False,
    "mimetype": "text/json",
}.items():
    FLIPS[f"attribute: app.json.{_name}"] = assigned(provider, _name, constant(_value))
    _class = class_named("json.provider.DefaultJSONProvider")
    FLIPS[f"class: DefaultJSONProvider.{_name}"] = assigned(_class, _name, constant(_value))
for _name in ("dumps", "loads", "response"):
    FLIPS[f"attribute: app.json.{_name}"] = assigned(provider, _name, _bound(provider, _name))
    FLIPS[f"class: DefaultJSONProvider.{_name}"] = assigned(_class, _name, around_method(_name)(_class))
for _name in (
    "open_session",
    "save_session",
    "should_set_cookie",
    "is_null_session",
    "make_null_session",
    "get_cookie_name",
    "get_cookie_path",
    "get_signing_serializer",
):
    _class = class_named("sessions.SecureCookieSessionInterface")
    FLIPS[f"attribute: app.session_interface.{_name}"] = assigned(interface, _name, _bound(interface, _name))
    FLIPS[f"class: SecureCookieSessionInterface.{_name}"] = assigned(
        _class, _name, around_method(_name)(_class)
    )
FLIPS["attribute: app.session_interface.get_cookie_name, another"] = assigned(
    interface, "get_cookie_name", constant(lambda app: "other")
)
FLIPS["class: SecureCookieSessionInterface.get_cookie_name, another"] = assigned(
    _class, "get_cookie_name", constant(lambda self, app: "other")
)
FLIPS["attribute: app.session_interface.salt"] = assigned(interface, "salt", constant("other"))
FLIPS["class: SecureCookieSessionInterface.salt"] = assigned(_class, "salt", constant("other"))

for _name in ("__init__", "get_json", "get_data", "on_json_loading_failed", "_load_form_data"):
    _class = class_named("Request")
    FLIPS[f"class: Request.{_name}"] = assigned(_class, _name, around_method(_name, "request ")(_class))
for _name, _value in {"blueprints": ["api"], "max_form_parts": 0, "max_content_length": 5}.items():
    FLIPS[f"class: Request.{_name}"] = assigned(_class, _name, constant(_value))
for _name in (
    "__init__",
    "__call__",
    "get_wsgi_headers",
    "get_wsgi_response",
    "get_app_iter",
    "iter_encoded",
):
    _class = class_named("Response")
    FLIPS[f"class: Response.{_name}"] = assigned(_class, _name, around_method(_name, "response ")(_class))
for _name, _value in {
    "default_mimetype": "text/x-patched",
    "default_status": 203,
    "automatically_set_content_length": False,
}.items():
    FLIPS[f"class: Response.{_name}"] = assigned(class_named("Response"), _name, constant(_value))

for _name in (
    "request_started",
    "request_finished",
    "request_tearing_down",
    "got_request_exception",
    "appcontext_pushed",
    "appcontext_popped",
    "appcontext_tearing_down",
    "template_rendered",
    "before_render_template",
):
    FLIPS[f"signal: {_name}"] = connected(_name)


def with_cookie(headers: dict[str, str], cookie: str) -> dict[str, str]:
    return {"Host": "localhost", **{name: value.format(cookie=cookie) for name, value in headers.items()}}


def read(response: http.client.HTTPResponse) -> Answer:
    body = response.read()
    headers = [field for field in response.getheaders() if field[0].lower() not in ADDED]
    return normal(f"{response.status} {response.reason}", headers, body)


def walk(
    ask: Callable[[], list[Answer]], reconnect: Callable[[], None], flip: Callable[[], Undo]
) -> list[Answer]:
    """The change before the first request, taken back and done again between two requests of one connection, and
    taken back before a new one.
    """
    undo = flip()
    answers = ask()
    undo()
    answers += ask()
    undo = flip()
    try:
        answers += ask()
    finally:
        undo()
    reconnect()
    return answers + ask()


STAGES = ("from the start", "taken back", "done again", "on a new connection")


def expected(subject: Subject, way: str, flip: Callable[[], Undo], cookie: str) -> tuple[Any, list[str]]:
    """What Flask answers and notes."""

    def ask(method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
        sent = with_cookie(headers, cookie)
        builder = EnvironBuilder(
            path, "http://localhost", method=method, headers=sent, input_stream=BytesIO(body)
        )
        builder.content_length = len(body) if body else None
        # Not by the test client, whose responses are made with the classes that are patched.
        pieces, status, fields = run_wsgi_app(subject.app, builder.get_environ(), buffered=True)
        return normal(status, list(fields), b"".join(pieces))

    if way == "pipeline":
        add_flipping_views(subject, flip)
        answers = [ask(*request) for request in PIPELINE]
        return without_flips(answers), without_turning(subject.notes)
    answers = walk(lambda: [ask(*request) for request in REQUESTS], lambda: None, flip)
    return without_order(answers), subject.notes


def add_flipping_views(subject: Subject, flip: Callable[[], Undo]) -> None:
    undo: list[Undo] = []

    def turn() -> str:
        undo.append(flip())
        return "turned"

    def back() -> str:
        undo.pop()()
        return "back"

    def mark() -> str:
        subject.notes.append("mark")
        return "marked"

    subject.app.add_url_rule("/mark", "mark", mark)
    subject.app.add_url_rule("/turn", "turn", turn)
    subject.app.add_url_rule("/back", "back", back)


#: The views that change the application under themselves may see the change or not: what is compared is outside of
#: the marks around them.
MARK, TURN, BACK = (("GET", path, {}, b"") for path in ("/mark", "/turn", "/back"))
PIPELINE = [*REQUESTS, MARK, TURN, MARK, *REQUESTS, MARK, BACK, MARK, *REQUESTS]


def without_flips(answers: list[Answer]) -> list[Answer]:
    left_out = {MARK[1], TURN[1], BACK[1]}
    return without_order([one for one, (_, path, *_) in zip(answers, PIPELINE) if path not in left_out])


def without_turning(notes: list[str]) -> list[str]:
    first, second, third, fourth = (place for place, note in enumerate(notes) if note == "mark")
    return notes[:first] + notes[second:third] + notes[fourth:]


def raw(requests: list[tuple[str, str, dict[str, str], bytes]], cookie: str) -> bytes:
    parts = []
    for method, path, headers, body in requests:
        lines = [f"{method} {path} HTTP/1.1"]
        lines += [f"{name}: {value}" for name, value in with_cookie(headers, cookie).items()]
        if body:
            lines.append(f"Content-Length: {len(body)}")
        parts.append("\r\n".join([*lines, "", ""]).encode() + body)
    return b"".join(parts)


class _Stream:
    """A socket's bytes for `HTTPResponse`, which else would read ahead and forget."""

    def __init__(self, sock: socket.socket) -> None:
        self.file = sock.makefile("rb")

    def makefile(self, mode: str) -> Any:
        return self

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)

    def close(self) -> None:
        pass


def pipelined(port: int, requests: list[tuple[str, str, dict[str, str], bytes]], cookie: str) -> list[Answer]:
    """Send everything at once, then read the answers."""
    with socket.create_connection(("127.0.0.1", port), 20) as sock:
        sock.sendall(raw(requests, cookie))
        stream: Any = _Stream(sock)
        answers = []
        for method, *_ in requests:
            response = http.client.HTTPResponse(stream, method=method)
            response.begin()
            answers.append(read(response))
        stream.file.close()
        return answers


def found(subject: Subject, way: str, flip: Callable[[], Undo], cookie: str) -> tuple[Any, list[str]]:
    """What our server answers, and what the application notes."""
    if way == "pipeline":
        add_flipping_views(subject, flip)
        with serving(subject.app) as port:
            answers = pipelined(port, PIPELINE, cookie)
        return without_flips(answers), without_turning(subject.notes)
    with serving(subject.app) as port:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)

        def ask() -> list[Answer]:
            answers = []
            for method, path, headers, body in REQUESTS:
                connection.request(method, path, body or None, with_cookie(headers, cookie))
                answers.append(read(connection.getresponse()))
            return answers

        try:
            return without_order(walk(ask, connection.close, flip)), subject.notes
        finally:
            connection.close()


#: Flask asks these for every request that has a session; we do when there is a cookie to write or to delete.
ASKED_LESS = {
    f"{kind}.{name}"
    for kind in ("attribute: app.session_interface", "class: SecureCookieSessionInterface")
    for name in ("get_cookie_name", "get_cookie_path", "get_signing_serializer")
}


def without_length(answer: Answer) -> Answer:
    return answer._replace(headers=[field for field in answer.headers if field[0] != "Content-Length"])


def compare(name: str, way: str) -> None:
    told = []
    for face, door in ((REAL, expected), (OURS, found)):
        subject = build(face)
        with frozen_time():
            serializer = subject.app.session_interface.get_signing_serializer(subject.app)
            cookie = serializer.dumps({"n": 1})
            told.append(door(subject, way, lambda s=subject, f=face: FLIPS[name](s.app, f, s.notes), cookie))
    (wanted, wanted_notes), (answers, notes) = told
    if name.endswith("automatically_set_content_length"):
        # Accepted: a server that knows the length says it.
        wanted, answers = ([without_length(one) for one in each] for each in (wanted, answers))
    requests = [(stage, *request[:2]) for stage in STAGES for request in REQUESTS]
    different = [
        f"{where}\n   found: {one}\nexpected: {other}"
        for where, one, other in zip(requests, answers, wanted)
        if one != other
    ]
    assert not different, "\n".join(different)
    assert len(answers) == len(wanted)
    if name not in ASKED_LESS:
        assert notes == wanted_notes


#: What is noticed by the interpreter's own means: tested with each.
OF_THE_INTERPRETER = ("class:", "signal:", "attribute: app.session_interface.")


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=() if name.startswith(OF_THE_INTERPRETER) else pytest.mark.once)
        for name in FLIPS
    ],
)
def test_the_next_request_sees_it(name: str) -> None:
    compare(name, "walk")


#: Classes, receivers and what applications share are looked at once for all requests that have arrived, and a host
#: that is not trusted cannot take the change back.
NOT_WITHIN = ("class:", "signal:", "attribute: app.session_interface.", "item: config[TRUSTED_HOSTS]")


@pytest.mark.once
@pytest.mark.parametrize("name", [name for name in FLIPS if not name.startswith(NOT_WITHIN)])
def test_the_next_request_of_a_pipeline_sees_what_a_view_changed(name: str) -> None:
    compare(name, "pipeline")
