"""What is registered on applications and blueprints reaches templates, URLs and errors as with Flask."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import io
import json
import logging
import sys
import uuid
from pathlib import Path
from typing import Any, Callable

import pytest

from .flask_pair import OURS, REAL, Face, assert_same, get, post

BOTH = [pytest.param(REAL, id="flask"), pytest.param(OURS, id="bustapi")]


def error_of(call: Callable[[], Any]) -> Any:
    try:
        return call()
    except Exception as error:
        return type(error).__name__, str(error)


def alike(call: Callable[[Face], Any]) -> Any:
    expected, found = call(REAL), call(OURS)
    assert found == expected
    return found


TEMPLATE = (
    "{{ 'a'|shout }} {{ 'b'|named }} {{ 'c'|added }} {{ 'd'|from_app }} {{ 2 is even }} {{ 3 is odd_one }} {{ 4 is big }}"
    " {{ twice(2) }} {{ thrice(2) }} {{ four(1) }} {{ one(1) }} {{ injected }} {{ everywhere }}"
)


def templates(face: Face) -> Any:
    app = face.Flask(__name__, template_folder=None, static_folder=None)
    part = face.Blueprint("part", __name__)

    @part.app_template_filter()
    def shout(text: str) -> str:
        return text.upper()

    @part.app_template_filter("named")
    def other(text: str) -> str:
        return text * 2

    part.add_app_template_filter(lambda text: f"<{text}>", "added")
    app.add_template_filter(lambda text: f"({text})", "from_app")

    @part.app_template_test()
    def even(number: int) -> bool:
        return number % 2 == 0

    @part.app_template_test("odd_one")
    def odd(number: int) -> bool:
        return number % 2 == 1

    part.add_app_template_test(lambda number: number > 10, "big")

    @part.app_template_global()
    def twice(number: int) -> int:
        return number * 2

    @part.app_template_global("thrice")
    def three(number: int) -> int:
        return number * 3

    part.add_app_template_global(lambda number: number * 4, "four")

    @app.template_global()
    def one(number: int) -> int:
        return number

    @part.app_context_processor
    def everywhere() -> dict[str, str]:
        return {"everywhere": "yes"}

    @part.context_processor
    def inject() -> dict[str, str]:
        return {"injected": "in the blueprint"}

    @part.get("/part")
    def of_the_part() -> Any:
        return face.render_template_string(TEMPLATE)

    @app.get("/")
    def of_the_app() -> Any:
        return face.render_template_string(TEMPLATE)

    @app.get("/streamed")
    def streamed() -> Any:
        return app.response_class(
            face.stream_template_string("{% for n in range(3) %}{{ n }},{% endfor %}{{ everywhere }}")
        )

    @part.app_url_defaults
    def defaults(endpoint: str, values: dict[str, Any]) -> None:
        values.setdefault("lang", "de")

    @part.app_errorhandler(404)
    def missing(error: Any) -> Any:
        return f"nothing at {face.request.path}", 404

    @part.app_errorhandler(ZeroDivisionError)
    def divided(error: Any) -> Any:
        return "divided", 418

    @app.get("/zero")
    def zero() -> Any:
        return str(1 // 0)

    @app.get("/url")
    def url() -> Any:
        return face.url_for("of_the_app")

    @app.endpoint("late")
    def late() -> Any:
        return "late"

    app.add_url_rule("/late", endpoint="late")
    app.register_blueprint(part)
    return app


def test_a_blueprint_registers_for_the_whole_application() -> None:
    assert_same(templates, *map(get, ("/", "/part", "/streamed", "/zero", "/missing", "/url", "/late")))


def names_and_dots(face: Face) -> Any:
    part = face.Blueprint("part", __name__)

    def dotted() -> str:
        return ""

    dotted.__name__ = "a.b"
    return [
        error_of(lambda: part.add_url_rule("/", "a.b", lambda: "")),
        error_of(lambda: part.add_url_rule("/", view_func=dotted)),
        error_of(lambda: face.Flask("x", instance_path="relative")),
        repr(face.Flask("x")),
        repr(face.Blueprint("y", __name__)),
        face.Flask("x", static_folder=None).static_url_path,
        face.Flask("x", static_url_path="/files").static_url_path,
        face.Flask("x", static_folder="deep/folder").static_url_path,
        face.Flask("x", template_folder=None).jinja_loader,
        error_of(lambda: face.Flask("x").register_error_handler(700, lambda e: "")),
    ]


def test_names_are_checked_alike() -> None:
    alike(names_and_dots)


def shell(face: Face) -> Any:
    app = face.Flask("x")

    @app.shell_context_processor
    def more() -> dict[str, int]:
        return {"answer": 42}

    with app.app_context():
        names = app.make_shell_context()
    return sorted(names), names["answer"], names["app"] is app


def test_a_shell_begins_with_the_same_names() -> None:
    alike(shell)


@pytest.mark.parametrize(
    ("layout", "prefix"),
    [
        ("lib/python3.11/site-packages", ""),
        ("Lib/site-packages", ""),
        ("elsewhere/site-packages", "elsewhere"),
        ("plain", None),
    ],
)
@pytest.mark.parametrize("kind", ["module", "package", "namespace"])
def test_an_installed_application_has_its_instance_folder_beside_the_installation(
    tmp_path: Path, layout: str, prefix: str | None, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / layout
    folder.mkdir(parents=True)
    name = "installed_app"
    if kind == "module":
        (folder / f"{name}.py").write_text("")
    else:
        (folder / name / "inner").mkdir(parents=True)
        (folder / name / "inner" / "__init__.py").write_text("")
        if kind == "package":
            (folder / name / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setattr(sys, "modules", dict(sys.modules))

    def find(face: Face) -> Any:
        imported = f"{name}.inner" if kind == "namespace" else name
        return face.Flask(imported).instance_path

    found = alike(find)
    if prefix is None:
        assert found.endswith("instance")
    else:
        assert found.startswith(str(tmp_path / prefix))


def test_an_installation_of_the_interpreter_has_it_in_var(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "somewhere").mkdir()
    (tmp_path / "somewhere" / "prefixed_app.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path / "somewhere"))
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    monkeypatch.setattr(sys, "modules", dict(sys.modules))
    found = alike(lambda face: face.Flask("prefixed_app").instance_path)
    assert found == str(tmp_path / "var" / "prefixed_app-instance")


def resources(face: Face, folder: Path) -> Any:
    app = face.Flask("x", instance_path=str(folder), root_path=str(folder), template_folder="templates")
    seen: list[Any] = []
    with app.open_instance_resource("data.txt") as file:
        seen.append(file.read())
    with app.open_instance_resource("data.txt", "r") as file:
        seen.append(file.read())
    with app.open_resource("data.txt", "rt") as file:
        seen.append(file.read())
    seen.append(error_of(lambda: app.open_resource("data.txt", "w")))
    seen.append(sorted(app.jinja_env.list_templates()))
    with app.app_context():
        seen.append(face.get_template_attribute("macros.html", "hello")("you"))
        seen.append(error_of(lambda: face.get_template_attribute("macros.html", "none")))
        seen.append("".join(face.stream_template("macros.html")))
    app.debug = True
    return [*seen, app.jinja_env.auto_reload]


def test_files_of_an_application_are_found_alike(tmp_path: Path) -> None:
    (tmp_path / "data.txt").write_text("däta", encoding="utf-8")
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates" / "macros.html").write_text(
        "{% macro hello(name) %}hello {{ name }}{% endmacro %}body"
    )
    alike(lambda face: resources(face, tmp_path))


def configured(face: Face, folder: Path) -> Any:
    config = face.Config(str(folder))
    cls = face.Config
    seen: list[Any] = [
        config.from_file("settings.json", json.load), config.from_file("none.json", json.load, silent=True),
        error_of(lambda: config.from_file("none.json", json.load)), config.from_file("settings.json", json.load, text=True),
        config.from_envvar("SETTINGS_FILE"), config.from_envvar("NO_SUCH_VARIABLE", silent=True), error_of(lambda: config.from_envvar("NO_SUCH_VARIABLE")),
        config.from_object("json.decoder"), error_of(lambda: config.from_object("no.such.module"))[0],
        config.from_pyfile("settings.py"), error_of(lambda: config.from_pyfile("none.py")), config.from_pyfile("none.py", silent=True),
        config.from_mapping({"A": 1}, B=2, c=3), error_of(lambda: config.from_mapping({}, {})),
        config.from_prefixed_env("PRE"), config.get_namespace("IMAGE_"), config.get_namespace("IMAGE_", lowercase=False, trim_namespace=False),
    ]  # fmt: skip
    return [
        *seen,
        {key: config[key] for key in sorted(config) if isinstance(config[key], (str, int, list, dict))},
        cls({}).__class__.__name__,
        repr(cls("/", {"X": 1})),
    ]


def test_settings_are_read_alike(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "settings.json").write_text('{"IMAGE_SIZE": 5, "lower": 1, "LIST": [1]}')
    (tmp_path / "settings.py").write_text("IMAGE_KIND = 'png'\nlower = 2\n")
    monkeypatch.setenv("SETTINGS_FILE", str(tmp_path / "settings.py"))
    for name, value in {
        "PRE_NUMBER": "5",
        "PRE_TEXT": "text",
        "PRE_DEEP__ONE": "true",
        "PRE_DEEP__TWO": "[1]",
    }.items():
        monkeypatch.setenv(name, value)
    alike(lambda face: configured(face, tmp_path))


class Html:
    def __html__(self) -> str:
        return "<b>"


@dataclasses.dataclass
class Point:
    x: int
    y: decimal.Decimal


VALUES: list[Any] = [
    {"when": datetime.datetime(2024, 2, 29, 1, 2, 3), "day": datetime.date(2024, 2, 29)},
    {"number": decimal.Decimal("1.50"), "id": uuid.UUID(int=5)},
    [Point(1, decimal.Decimal(2)), Html()],
    {"b": 1, "a": "ä"},
]


def written(face: Face) -> Any:
    module = face.flask_module("json")
    seen: list[Any] = []

    def all_ways() -> None:
        for value in VALUES:
            out = io.StringIO()
            module.dump(value, out, indent=1)
            seen.append(
                (
                    module.dumps(value),
                    out.getvalue(),
                    module.dumps(value, sort_keys=False, ensure_ascii=False),
                )
            )
        seen.append(module.loads('{"a": 1.5}', parse_float=decimal.Decimal))
        seen.append((module.load(io.StringIO("[1]")), module.load(io.BytesIO(b"[2]")), module.loads(b"[3]")))
        seen.append(error_of(lambda: module.dumps(object())))
        seen.append(error_of(lambda: module.dumps({1, 2})))

    all_ways()
    app = face.Flask("x")
    with app.app_context():
        all_ways()
        app.json.sort_keys = False
        all_ways()
        app.json.compact = False
        seen.append(app.json.response({"b": 1, "a": [1]}).get_data())
        app.json.mimetype = "application/x-json"
        seen.append(app.json.response(1, 2).headers["Content-Type"])
        seen.append(error_of(lambda: app.json.response(1, a=2)))
    provider = face.flask_module("json.provider").JSONProvider(app)
    return [*seen, error_of(lambda: provider.dumps(1)), error_of(lambda: provider.loads("1"))]


def test_json_is_written_alike_with_and_without_an_application() -> None:
    alike(written)


def outside(face: Face) -> Any:
    answer = face.redirect("/there", 303)
    return [
        answer.status,
        answer.headers["Location"],
        error_of(lambda: face.abort(404)),
        error_of(lambda: face.url_for("x")),
        error_of(lambda: face.flash("x")),
        face.has_request_context(),
        face.has_app_context(),
        face.Request({"REQUEST_METHOD": "GET"}).max_content_length,
        face.Response().max_cookie_size,
    ]


def test_functions_outside_of_an_application_do_alike() -> None:
    alike(outside)


# --- debug mode ----------------------------------------------------------------------------------------------------


def debugging(face: Face) -> Any:
    app = face.Flask(__name__)
    app.debug = True
    app.testing = True
    app.config["PROPAGATE_EXCEPTIONS"] = False

    @app.route("/upload", methods=["POST"])
    def upload() -> Any:
        try:
            return str(face.request.files["file"])
        except KeyError as error:
            return f"{type(error).__name__}: {error}", 400

    @app.route("/slash/", methods=["GET", "POST"])
    def slash() -> Any:
        return "slash"

    @app.route("/plain", methods=["GET", "POST"], defaults={"n": 1})
    @app.route("/plain/<int:n>", methods=["GET", "POST"])
    def plain(n: int) -> Any:
        return str(n)

    @app.errorhandler(AssertionError)
    def explained(error: Any) -> Any:
        return f"{type(error).__name__}: {error}", 500

    return app


MULTIPART = b'--b\r\nContent-Disposition: form-data; name="other"; filename="name.txt"\r\n\r\nx\r\n--b--\r\n'


def test_mistakes_with_forms_are_explained_alike() -> None:
    assert_same(
        debugging,
        post("/upload", data={"file": "name.txt"}),
        post("/upload", data={"other": "x"}),
        post("/upload", data=MULTIPART, content_type="multipart/form-data; boundary=b"),
        post("/slash", data={"a": "1"}),
        post("/slash?q=1", data={"a": "1"}),
        get("/slash"),
        post("/plain/1", data={"a": "1"}),
    )


@pytest.mark.parametrize("name", ["one.html", "both.html", "none.html"])
@pytest.mark.parametrize("of_a_part", [True, False])
def test_where_templates_are_looked_for_is_logged_alike(
    tmp_path: Path, name: str, of_a_part: bool, caplog: pytest.LogCaptureFixture
) -> None:
    for folder, names in (("app", ["both.html"]), ("part", ["one.html", "both.html"])):
        (tmp_path / folder / "templates").mkdir(parents=True)
        for one in names:
            (tmp_path / folder / "templates" / one).write_text(folder)

    def lookup(face: Face) -> Any:
        app = face.Flask("lookup", root_path=str(tmp_path / "app"))
        app.config["EXPLAIN_TEMPLATE_LOADING"] = True
        app.logger.setLevel(logging.INFO)
        part = face.Blueprint(
            "part", "lookup.part", root_path=str(tmp_path / "part"), template_folder="templates"
        )

        @part.get("/part")
        @app.get("/app")
        def view() -> Any:
            return face.render_template(name)

        app.register_blueprint(part)
        caplog.clear()
        status = app.test_client().get("/part" if of_a_part else "/app").status_code
        # The wording is ours; what was tried, in which order and with what result is not.
        tried = [
            (line.split("loader of ")[-1].split()[0].strip("'\"") if "loader of " in line else line.strip())
            for record in caplog.records
            for line in record.getMessage().splitlines()
            if "loader of" in line or "-> " in line or line.startswith(("Error", "Warning"))
        ]
        return status, [line.split(".")[0] for line in tried]

    alike(lookup)


@pytest.mark.parametrize("face", BOTH)
def test_a_template_that_fails_shows_its_own_line(face: Face, tmp_path: Path) -> None:
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates" / "fails.html").write_text("one\n{{ 1 // 0 }}\n")
    app = face.Flask("x", root_path=str(tmp_path))
    with app.app_context(), pytest.raises(ZeroDivisionError) as caught:
        face.render_template("fails.html")
    assert [entry.lineno + 1 for entry in caught.traceback if str(entry.path).endswith("fails.html")] == [2]
