"""Blueprints, class-based views, configuration, JSON provider, sessions, and the package's lazy names."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import bustapi.flask as face
from bustapi.flask import Blueprint, Config, Flask, json, jsonify, render_template, request, session, url_for
from bustapi.flask.json.provider import DefaultJSONProvider, JSONProvider
from bustapi.flask.json.tag import JSONTag, TaggedJSONSerializer
from bustapi.flask.sessions import SecureCookieSession, SessionInterface
from bustapi.flask.views import MethodView, View


def test_every_public_name_can_be_had() -> None:
    for name in face.__all__:
        assert getattr(face, name) is not None
    assert set(face.__all__) <= set(dir(face))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        face.nothing  # noqa: B018


def test_importing_loads_what_a_request_needs_and_no_more() -> None:
    program = (
        "from bustapi.flask import Flask, request, jsonify, Blueprint, session, url_for\n"
        "app = Flask('x')\n"
        "app.add_url_rule('/', 'index', lambda: {'a': 1})\n"
        "import sys\n"
        "print([name for name in ('jinja2', 'click', 'asyncio', 'ssl') if name in sys.modules])"
    )
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=True
    )
    assert result.stdout == "[]\n"


# -- blueprints ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["", "with.dot"])
def test_a_blueprints_name_is_checked(name: str) -> None:
    with pytest.raises(ValueError, match="'name' may not"):
        Blueprint(name, __name__)


def test_a_blueprint_is_registered_once_per_name() -> None:
    app = Flask("blueprints")
    blueprint = Blueprint("bp", __name__)
    blueprint.add_url_rule("/", "index", lambda: request.blueprint)
    app.register_blueprint(blueprint, url_prefix="/one")
    with pytest.raises(ValueError, match="already registered for this blueprint"):
        app.register_blueprint(blueprint, url_prefix="/two")
    with pytest.raises(ValueError, match="already registered for a different blueprint"):
        app.register_blueprint(Blueprint("bp", __name__))
    app.register_blueprint(blueprint, url_prefix="/two", name="again")
    client = app.test_client()
    assert client.get("/one/").text == "bp"
    assert client.get("/two/").text == "again"


def test_a_registered_blueprint_can_no_longer_be_set_up() -> None:
    blueprint = Blueprint("bp", __name__)
    Flask("blueprints").register_blueprint(blueprint)
    with pytest.raises(AssertionError, match="already been registered"):
        blueprint.add_url_rule("/late", "late")


def test_nesting_joins_names_prefixes_and_defaults() -> None:
    app = Flask("blueprints")
    parent = Blueprint("parent", __name__, url_prefix="/<lang>", url_defaults={"extra": 1})
    child = Blueprint("child", __name__, url_prefix="/child")
    child.add_url_rule("/", "view", lambda **values: [values, request.endpoint, request.blueprints])
    parent.register_blueprint(child)
    app.register_blueprint(parent)
    assert app.test_client().get("/en/child/").json == [
        {"lang": "en"},
        "parent.child.view",
        ["parent.child", "parent"],
    ]
    alone = Blueprint("alone", __name__)
    with pytest.raises(ValueError, match="itself"):
        alone.register_blueprint(alone)


def test_recorded_functions_see_the_registration() -> None:
    app = Flask("blueprints")
    blueprint = Blueprint("bp", __name__, url_prefix="/p")
    seen: list[Any] = []
    blueprint.record(lambda state: seen.append((state.app, state.url_prefix, state.first_registration)))
    blueprint.record_once(lambda state: seen.append("once"))
    app.register_blueprint(blueprint)
    app.register_blueprint(blueprint, name="again", url_prefix="/q")
    assert seen == [(app, "/p", True), "once", (app, "/q", False)]


def test_a_blueprint_serves_its_own_files_and_templates(tmp_path: Path) -> None:
    (tmp_path / "static").mkdir()
    (tmp_path / "static" / "a.txt").write_text("static a")
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates" / "a.html").write_text("{{ url_for('.static', filename='a.txt') }}")
    blueprint = Blueprint(
        "bp",
        __name__,
        url_prefix="/p",
        static_folder="static",
        template_folder="templates",
        root_path=str(tmp_path),
    )
    blueprint.add_url_rule("/", "index", lambda: render_template("a.html"))
    app = Flask("blueprints")
    app.register_blueprint(blueprint)
    client = app.test_client()
    assert client.get("/p/").text == "/p/static/a.txt"
    assert client.get("/p/static/a.txt").text == "static a"


# -- views -----------------------------------------------------------------------------------------------------


def test_a_view_class_is_made_for_every_request_or_once() -> None:
    made: list[str] = []

    class Each(View):
        def __init__(self, prefix: str) -> None:
            made.append(prefix)

        def dispatch_request(self, name: str) -> str:
            return name

    class Once(Each):
        init_every_request = False

    app = Flask("views")
    app.add_url_rule("/each/<name>", view_func=Each.as_view("each", "e"))
    app.add_url_rule("/once/<name>", view_func=Once.as_view("once", prefix="o"))
    client = app.test_client()
    for _ in range(2):
        assert client.get("/each/a").text == "a"
        assert client.get("/once/b").text == "b"
    assert sorted(made) == ["e", "e", "o"]


def test_a_method_view_answers_its_methods() -> None:
    class Base(MethodView):
        def get(self) -> str:
            return "got"

    class More(Base):
        async def put(self) -> str:
            return "put"

    app = Flask("views")
    app.add_url_rule("/", view_func=More.as_view("more"))
    client = app.test_client()
    assert More.methods == {"GET", "PUT"}
    assert client.get("/").text == "got"
    assert client.head("/").status_code == 200
    assert client.put("/").text == "put"
    assert client.post("/").status_code == 405


def test_decorators_of_a_view_class_wrap_the_function() -> None:
    def shout(function: Any) -> Any:
        return lambda **values: function(**values).upper()

    class Decorated(View):
        decorators = [shout]

        def dispatch_request(self) -> str:
            return "quiet"

    view = Decorated.as_view("decorated")
    assert view.__name__ == "decorated"
    app = Flask("views")
    app.add_url_rule("/", view_func=view)
    assert app.test_client().get("/").text == "QUIET"


# -- configuration ---------------------------------------------------------------------------------------------


def test_only_upper_case_names_are_settings(tmp_path: Path) -> None:
    class Settings:
        UPPER = 1
        lower = 2

    (tmp_path / "settings.py").write_text("FROM_FILE = 1 + 1\nlower = 3\n")
    config = Config(tmp_path)
    config.from_object(Settings)
    assert config.from_pyfile("settings.py")
    assert config.from_mapping({"MAPPED": 3, "lower": 4}, KEYWORD=5)
    assert config == {"UPPER": 1, "FROM_FILE": 2, "MAPPED": 3, "KEYWORD": 5}


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "FLASK_NUMBER": "5",
        "FLASK_TEXT": "not json",
        "FLASK_LIST": "[1]",
        "FLASK_DEEP__inner__MORE": '"x"',
        "OTHER_X": "1",
    }.items():
        monkeypatch.setenv(name, value)
    config = Config(".", {"DEEP": {"inner": {"kept": True}}})
    assert config.from_prefixed_env()
    assert config["NUMBER"] == 5
    assert config["TEXT"] == "not json"
    assert config["LIST"] == [1]
    assert config["DEEP"] == {"inner": {"kept": True, "MORE": "x"}}
    assert "X" not in config
    assert config.get_namespace("DEEP") == {"": config["DEEP"]}


def test_a_missing_file_is_an_error_unless_it_may_be_missing(tmp_path: Path) -> None:
    config = Config(tmp_path)
    with pytest.raises(FileNotFoundError, match="Unable to load configuration file"):
        config.from_pyfile("none.py")
    assert not config.from_pyfile("none.py", silent=True)
    with pytest.raises(RuntimeError, match="NOT_SET"):
        config.from_envvar("NOT_SET")
    assert not config.from_envvar("NOT_SET", silent=True)


# -- JSON ------------------------------------------------------------------------------------------------------


def test_a_provider_of_ones_own_writes_everything() -> None:
    class Shouting(JSONProvider):
        def dumps(self, obj: Any, **kwargs: Any) -> str:
            return repr(obj).upper()

        def loads(self, s: Any, **kwargs: Any) -> Any:
            return "loaded"

    class Own(Flask):
        json_provider_class = Shouting

    app = Own("provider")
    app.add_url_rule("/", "index", lambda: {"a": "b"})
    app.add_url_rule("/made", "made", lambda: jsonify(["c"]))
    app.add_url_rule("/read", "read", lambda: request.json, methods=["POST"])
    client = app.test_client()
    assert client.get("/").text == "{'A': 'B'}"
    assert client.get("/made").text == "['C']"
    assert client.get("/made").mimetype == "application/json"
    assert client.post("/read", data="?", content_type="application/json").text == "loaded"


def test_a_default_provider_with_its_own_dumps_is_asked() -> None:
    class Own(DefaultJSONProvider):
        def dumps(self, obj: Any, **kwargs: Any) -> str:
            return super().dumps({"wrapped": obj}, **kwargs)

    app = Flask("provider")
    app.json = Own(app)
    app.add_url_rule("/", "index", lambda: {"a": 1})
    assert app.test_client().get("/").data == b'{"wrapped":{"a":1}}\n'


def test_the_json_functions_use_the_current_application() -> None:
    assert json.dumps({"b": 1, "a": 2}) == '{"b": 1, "a": 2}'
    app = Flask("provider")
    with app.app_context():
        assert json.dumps({"b": 1, "a": 2}) == '{"a": 2, "b": 1}'
        assert json.dumps({"b": 1, "a": 2}, sort_keys=False) == '{"b": 1, "a": 2}'
        app.json.ensure_ascii = False  # type: ignore[attr-defined]
        assert json.dumps("ü") == '"ü"'
        assert json.loads(b'{"a": [1.5, null]}') == {"a": [1.5, None]}
        with pytest.raises(TypeError, match="not both"):
            jsonify(1, a=2)
    with pytest.raises(TypeError, match="not JSON serializable"):
        json.dumps(object())


def test_a_tag_of_ones_own_is_written_and_read() -> None:
    class Complex(JSONTag):
        __slots__ = ()
        key = " c"

        def check(self, value: Any) -> bool:
            return isinstance(value, complex)

        def to_json(self, value: Any) -> Any:
            return [value.real, value.imag]

        def to_python(self, value: Any) -> Any:
            return complex(*value)

    serializer = TaggedJSONSerializer()
    serializer.register(Complex)
    text = serializer.dumps({"n": [1 + 2j]})
    assert text == '{"n":[{" c":[1.0,2.0]}]}'
    assert serializer.loads(text) == {"n": [1 + 2j]}
    with pytest.raises(KeyError):
        serializer.register(Complex)
    serializer.register(Complex, force=True, index=0)


@pytest.mark.parametrize(
    "value", [{}, {" t": 1}, {" t__": {" t": 2}}, [(), ((),)], b"", {"a": {" di": 1}}, {" b": "x", "more": 1}]
)
def test_tagged_values_survive(value: Any) -> None:
    serializer = TaggedJSONSerializer()
    assert serializer.loads(serializer.dumps(value)) == value


# -- sessions --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "accessed", "modified"),
    [
        (lambda opened: None, False, False),
        (lambda opened: opened.get("a"), True, False),
        (lambda opened: opened["a"], True, False),
        (lambda opened: opened.__setitem__("b", 1), True, True),
        (lambda opened: opened.pop("a"), True, True),
        (lambda opened: opened.setdefault("a", 1), True, False),
        (lambda opened: opened.setdefault("b", 1), True, True),
        (lambda opened: opened.update(b=1), True, True),
        (lambda opened: opened.clear(), True, True),
    ],
)
def test_a_session_knows_whether_it_was_read_or_changed(change: Any, accessed: bool, modified: bool) -> None:
    app = Flask("sessions")
    app.secret_key = "key"
    with app.test_request_context() as context:
        context._session = SecureCookieSession({"a": [1]})
        change(session) if accessed else change(None)
        assert context._session.accessed is accessed
        assert context._session.modified is modified


def test_an_interface_of_ones_own_stores_sessions() -> None:
    store: dict[str, Any] = {}

    class Stored(dict[str, Any], face.sessions.SessionMixin):  # type: ignore[misc, name-defined]
        pass

    class Interface(SessionInterface):
        def open_session(self, app: Any, request: Any) -> Any:
            return Stored(store)

        def save_session(self, app: Any, session: Any, response: Any) -> None:
            store.update(session)

    app = Flask("sessions")
    app.session_interface = Interface()
    app.add_url_rule("/<name>", "set", lambda name: session.setdefault("name", name))
    client = app.test_client()
    assert client.get("/first").text == "first"
    assert client.get("/second").text == "first"
    assert store == {"name": "first"}


def test_old_keys_still_read_sessions() -> None:
    def client(key: str, *fallbacks: str) -> Any:
        app = Flask("sessions")
        app.config.update(SECRET_KEY=key, SECRET_KEY_FALLBACKS=list(fallbacks) or None)
        app.add_url_rule("/read", "read", lambda: dict(session))
        app.add_url_rule("/write", "write", lambda: session.update(a=1) or "written")
        return app.test_client()

    old = client("old")
    old.get("/write")
    cookie = old.get_cookie("session").value
    for key, fallbacks, expected in [("old", (), {"a": 1}), ("new", ("old",), {"a": 1}), ("new", (), {})]:
        other = client(key, *fallbacks)
        other.set_cookie("session", cookie)
        assert other.get("/read").json == expected


# -- URLs ------------------------------------------------------------------------------------------------------


def test_a_url_outside_of_a_request_needs_a_server_name() -> None:
    app = Flask("urls")
    app.add_url_rule("/x", "x")
    with app.app_context(), pytest.raises(RuntimeError, match="SERVER_NAME"):
        url_for("x")
    app.config.update(SERVER_NAME="example.org", PREFERRED_URL_SCHEME="https", APPLICATION_ROOT="/root")
    with app.app_context():
        assert url_for("x") == "https://example.org/root/x"
        assert url_for("x", _external=False) == "/root/x"
    assert app.url_for("x", _anchor="a") == "https://example.org/root/x#a"
    with app.test_request_context(), pytest.raises(ValueError, match="_scheme"):
        url_for("x", _scheme="https", _external=False)
