"""The `flask` command: finding applications, groups, options and the built-in commands."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from bustapi.flask import Blueprint, Flask, current_app
from bustapi.flask import cli as command
from bustapi.flask.cli import AppGroup, FlaskGroup, NoAppException, ScriptInfo, run_command, with_appcontext


@pytest.fixture(autouse=True)
def untouched_process(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Commands set environment variables and the search path, and import: each test begins with none of it."""
    monkeypatch.setattr(sys, "path", sys.path[:])
    for name in ("FLASK_APP", "FLASK_DEBUG", "FLASK_RUN_FROM_CLI", "FLASK_SKIP_DOTENV"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    yield
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", None) or "").startswith(str(tmp_path)):
            del sys.modules[name]


@pytest.fixture
def runner() -> CliRunner:
    return CliRunner()


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


APP = "from bustapi.flask import Flask\n"


@pytest.mark.parametrize(
    ("source", "reference", "expected"),
    [
        ("app = Flask('a')", "", "a"),
        ("application = Flask('b')", "", "b"),
        ("only = Flask('c')", "", "c"),
        ("app = Flask('d')\nother = Flask('e')", ":other", "e"),
        ("def create_app(): return Flask('f')", "", "f"),
        ("def make_app(): return Flask('g')", "", "g"),
        ("def create_app(x, y=2): return Flask(f'h{x}{y}')", ":create_app('1')", "h12"),
        ("def create_app(x, y=2): return Flask(f'h{x}{y}')", ":create_app(1, y=3)", "h13"),
        ("def create_app(): return Flask('i')", ": create_app ( ) ", "i"),
    ],
)
def test_an_application_is_found(source: str, reference: str, expected: str, tmp_path: Path) -> None:
    path = write(tmp_path / f"found_{expected}.py", APP + source)
    assert ScriptInfo(f"{path}{reference}").load_app().name == expected
    assert ScriptInfo(f"{path.name}{reference}").load_app().name == expected
    assert ScriptInfo(f"{path.stem}{reference}").load_app().name == expected


@pytest.mark.parametrize(
    ("source", "reference", "message"),
    [
        ("", "", "no Flask application"),
        ("a = Flask('a')\nb = Flask('b')", "", "several Flask applications"),
        ("def create_app(x): pass", "", "cannot be called without arguments"),
        ("def create_app(x): pass", ":create_app()", "cannot be called with these"),
        ("app = 5", ":app", "not a Flask application"),
        ("app = Flask('a')", ":missing", "no attribute 'missing'"),
        ("app = Flask('a')", ":app.name", "neither the name"),
        ("app = Flask('a')", ":(", "neither the name"),
        ("app = Flask('a')", ":x.y()", "plain name"),
        ("app = Flask('a')", ":create_app(app)", "literal values"),
        ("import not_there_at_all", "", "raised an ImportError"),
    ],
)
def test_what_is_wrong_is_said(source: str, reference: str, message: str, tmp_path: Path) -> None:
    path = write(tmp_path / "wrong.py", APP + source)
    with pytest.raises(NoAppException, match=message):
        ScriptInfo(f"{path}{reference}").load_app()


def test_an_error_inside_of_a_factory_is_its_own(tmp_path: Path) -> None:
    write(tmp_path / "own.py", "def create_app():\n    raise TypeError('mine')")
    with pytest.raises(TypeError, match="mine"):
        ScriptInfo("own").load_app()
    with pytest.raises(TypeError, match="mine"):
        ScriptInfo("own:create_app()").load_app()


def test_a_module_in_a_package_is_imported_by_its_full_name(tmp_path: Path) -> None:
    write(tmp_path / "project" / "package" / "__init__.py", "")
    path = write(tmp_path / "project" / "package" / "inner.py", f"{APP}app = Flask(__name__)")
    assert ScriptInfo(str(path)).load_app().name == "package.inner"
    assert sys.path[0] == str((tmp_path / "project").resolve())


def test_the_usual_files_are_tried_in_order(tmp_path: Path) -> None:
    with pytest.raises(NoAppException, match="Could not locate"):
        ScriptInfo().load_app()
    write(tmp_path / "app.py", f"{APP}app = Flask('from app.py')")
    assert ScriptInfo().load_app().name == "from app.py"
    write(tmp_path / "wsgi.py", f"{APP}app = Flask('from wsgi.py')")
    assert ScriptInfo().load_app().name == "from wsgi.py"


def test_an_application_is_loaded_once() -> None:
    info = ScriptInfo(create_app=lambda: Flask("made"))
    assert info.load_app() is info.load_app()


def test_commands_of_an_application_have_its_context(
    runner: CliRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Not those of extensions that happen to be installed.
    monkeypatch.setattr(command, "_entry_points", lambda group: ())
    app = Flask("commands")

    @app.cli.command("own")
    @click.argument("word", callback=lambda ctx, param, value: f"{value} {current_app.name}")
    def own(word: str) -> None:
        click.echo(f"{word} {current_app.name}")

    @app.cli.group()
    def group() -> None:
        pass

    @group.command()
    def inner() -> None:
        click.echo(f"inner {current_app.name}")

    @app.cli.command("bare", with_appcontext=False)
    def bare() -> None:
        click.echo("bare")

    group_command = FlaskGroup(create_app=lambda: app)
    assert runner.invoke(group_command, ["own", "word"]).output == "word commands commands\n"
    assert runner.invoke(group_command, ["group", "inner"]).output == "inner commands\n"
    assert runner.invoke(group_command, ["bare"]).output == "bare\n"
    listed = runner.invoke(group_command, ["--help"]).output.partition("Commands:")[2]
    assert [line.split()[0] for line in listed.splitlines() if line] == [
        "bare",
        "group",
        "own",
        "routes",
        "run",
        "shell",
    ]
    assert isinstance(group, AppGroup)


def test_blueprint_commands_are_grouped_by_its_name(runner: CliRunner) -> None:
    app = Flask("commands")
    for name, group in {"plain": ..., "renamed": "other", "merged": None}.items():
        options = {} if group is ... else {"cli_group": group}
        blueprint = Blueprint(name, __name__, **options)  # type: ignore[arg-type]
        blueprint.cli.command(f"do-{name}")(lambda name=name: click.echo(name))
        app.register_blueprint(blueprint)
    cli_runner = app.test_cli_runner()
    for args in (["plain", "do-plain"], ["other", "do-renamed"], ["do-merged"]):
        assert cli_runner.invoke(args=args).exit_code == 0


def test_a_command_that_does_not_exist_tells_why_the_application_did_not_load(runner: CliRunner) -> None:
    result = runner.invoke(command.cli, ["missing"])
    assert result.exit_code == 2
    assert "FLASK_APP" in result.output
    assert "No such command 'missing'" in result.output


def test_help_is_shown_even_if_the_application_fails(runner: CliRunner) -> None:
    def create_app() -> Flask:
        raise LookupError("of the factory")

    result = runner.invoke(FlaskGroup(create_app=create_app), ["--help"])
    assert result.exit_code == 0
    assert "LookupError: of the factory" in result.output
    assert "Usage:" in result.output


@pytest.mark.parametrize(
    ("args", "environment", "expected"),
    [
        (["--debug"], {}, True),
        (["--no-debug"], {"FLASK_DEBUG": "1"}, False),
        ([], {"FLASK_DEBUG": "1"}, True),
        ([], {}, False),
    ],
)
def test_debug_mode_comes_from_option_or_environment(
    args: list[str],
    environment: dict[str, str],
    expected: bool,
    monkeypatch: pytest.MonkeyPatch,
    runner: CliRunner,
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    group = FlaskGroup(create_app=lambda: Flask("debug"))
    group.command("show")(lambda: click.echo(str(current_app.debug)))
    assert runner.invoke(group, [*args, "show"]).output == f"{expected}\n"


def test_the_application_is_named_by_option_or_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, runner: CliRunner
) -> None:
    write(
        tmp_path / "one.py", f"{APP}app = Flask('one', static_folder=None)\napp.add_url_rule('/one', 'one')"
    )
    write(
        tmp_path / "two.py", f"{APP}app = Flask('two', static_folder=None)\napp.add_url_rule('/two', 'two')"
    )
    monkeypatch.setenv("FLASK_APP", "one")
    assert "/one" in runner.invoke(FlaskGroup(), ["routes"]).output
    assert "/two" in runner.invoke(FlaskGroup(), ["--app", "two:app", "routes"]).output


def test_env_files_set_variables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, runner: CliRunner) -> None:
    pytest.importorskip("dotenv")
    for name in ("FROM_DOTENV", "FROM_BOTH", "FROM_ENVIRONMENT"):
        monkeypatch.setenv(name, "set")
        monkeypatch.delenv(name)
    monkeypatch.setenv("FROM_ENVIRONMENT", "kept")
    write(tmp_path / ".env", "FROM_DOTENV=env\nFROM_BOTH=env\nFROM_ENVIRONMENT=env\n")
    write(tmp_path / ".flaskenv", "FROM_BOTH=flaskenv\nFLASK_APP=named\n")
    write(tmp_path / "named.py", f"{APP}app = Flask('named')\napp.add_url_rule('/from-flaskenv', 'x')")
    assert "/from-flaskenv" in runner.invoke(FlaskGroup(), ["routes"]).output
    assert [os.environ[name] for name in ("FROM_DOTENV", "FROM_BOTH", "FROM_ENVIRONMENT")] == [
        "env",
        "env",
        "kept",
    ]
    assert not command.load_dotenv("none", load_defaults=False)
    write(tmp_path / "more", "FROM_MORE=more\n")
    monkeypatch.setenv("FROM_MORE", "")
    monkeypatch.delenv("FROM_MORE")
    assert command.load_dotenv("more", load_defaults=False)
    assert os.environ["FROM_MORE"] == "more"


def test_with_appcontext_loads_the_application(runner: CliRunner) -> None:
    @click.command()
    @with_appcontext
    def show() -> None:
        click.echo(current_app.name)

    assert runner.invoke(show, obj=ScriptInfo(create_app=lambda: Flask("shown"))).output == "shown\n"


def routes(app: Flask, *args: str) -> list[list[str]]:
    output = app.test_cli_runner().invoke(FlaskGroup(create_app=lambda: app), ["routes", *args]).output
    return [line.split() for line in output.splitlines()]


def test_routes_are_listed_in_the_order_asked_for() -> None:
    app = Flask("routes", static_folder=None)
    app.add_url_rule("/b/<int:n>", "a", methods=["GET", "POST"])
    app.add_url_rule("/a", "b", methods=["DELETE"])
    assert routes(app) == [
        ["Endpoint", "Methods", "Rule"],
        ["--------", "---------", "----------"],
        ["a", "GET,", "POST", "/b/<int:n>"],
        ["b", "DELETE", "/a"],
    ]
    assert [row[-1] for row in routes(app, "-s", "rule")[2:]] == ["/a", "/b/<int:n>"]
    assert [row[0] for row in routes(app, "-s", "methods")[2:]] == ["b", "a"]
    assert [row[0] for row in routes(app, "-s", "match")[2:]] == [
        r.endpoint for r in app.url_map.iter_rules()
    ]
    assert routes(app, "--all-methods")[2] == ["a", "GET,", "HEAD,", "OPTIONS,", "POST", "/b/<int:n>"]
    assert routes(Flask("none", static_folder=None)) == [["No", "routes", "were", "registered."]]


def test_routes_show_domains_if_there_are_any() -> None:
    app = Flask("routes", static_folder=None, host_matching=True)
    app.add_url_rule("/", "b", host="b.example")
    app.add_url_rule("/", "a", host="c.example")
    assert routes(app)[0] == ["Endpoint", "Methods", "Host", "Rule"]
    assert [row[0] for row in routes(app, "-s", "domain")[2:]] == ["b", "a"]


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        ([], {"use_reloader": False, "use_debugger": False, "threaded": True, "ssl_context": None}),
        (["--debug"], {"use_reloader": True, "use_debugger": True}),
        (["--debug", "--no-reload", "--no-debugger"], {"use_reloader": False, "use_debugger": False}),
        (["--reload", "--without-threads"], {"use_reloader": True, "threaded": False}),
    ],
)
def test_run_serves_with_the_options_given(
    args: list[str], expected: dict[str, Any], monkeypatch: pytest.MonkeyPatch, runner: CliRunner
) -> None:
    served: dict[str, Any] = {}

    def run_simple(host: str, port: int, app: Any, **options: Any) -> None:
        served.update(options, host=host, port=port, app=app)

    monkeypatch.setattr("bustapi.werkzeug.serving.run_simple", run_simple)
    app = Flask("served")
    result = runner.invoke(FlaskGroup(create_app=lambda: app), ["run", "-h", "::1", "-p", "8001", *args])
    assert result.exit_code == 0, result.output
    assert (served["host"], served["port"], served["app"]) == ("::1", 8001, app)
    assert {name: served[name] for name in expected} == expected
    assert "Debug mode: " in result.output


def test_certificate_and_key_belong_together(tmp_path: Path) -> None:
    cert, key = write(tmp_path / "cert.pem", ""), write(tmp_path / "key.pem", "")
    for args in (["--cert", str(cert)], ["--key", str(key)], ["--cert", "not_a_module_or_file"]):
        with pytest.raises(click.BadParameter):
            run_command.make_context("run", args)
    for args in (["--cert", str(cert), "--key", str(key)], ["--key", str(key), "--cert", str(cert)]):
        context = run_command.make_context("run", args)
        assert context.params["cert"] == (str(cert.resolve()), str(key.resolve()))


def test_the_module_is_the_command(tmp_path: Path) -> None:
    write(tmp_path / "app.py", f"{APP}app = Flask('x')\napp.run()\napp.add_url_rule('/served-not', 'x')")
    result = subprocess.run(
        [sys.executable, "-m", "bustapi.flask", "routes"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert "/served-not" in result.stdout
    assert "Ignoring a call to 'app.run()'" in result.stdout


# --- the options of the commands ------------------------------------------------------------------------------------


def test_the_version_names_every_part(runner: CliRunner) -> None:
    result = runner.invoke(FlaskGroup(), ["--version"])
    assert result.exit_code == 0
    assert [line.split()[0] for line in result.output.splitlines()] == [
        "Python",
        "Flask",
        "Werkzeug",
        "BustAPI",
    ]


def test_the_version_without_installed_packages(runner: CliRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib.metadata as metadata

    from bustapi.flask import testing

    def missing(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", missing)
    monkeypatch.setattr(testing, "_werkzeug_version", "")
    result = runner.invoke(FlaskGroup(), ["--version"])
    assert [line.split()[0] for line in result.output.splitlines()] == ["Python", "Flask", "Werkzeug"]
    assert result.output.split("Werkzeug ")[1].startswith("3.1")


@pytest.mark.parametrize("name", [None, ".env", ".flaskenv"])
def test_env_files_need_a_package(
    tmp_path: Path,
    name: str | None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    runner: CliRunner,
) -> None:
    monkeypatch.setitem(sys.modules, "dotenv", None)
    if name:
        write(tmp_path / name, "COLOUR=red\n")
    assert command.load_dotenv() is False
    assert ("install python-dotenv" in capsys.readouterr().err) == (name is not None)
    write(tmp_path / "own.env", "COLOUR=red\n")
    result = runner.invoke(FlaskGroup(), ["-e", str(tmp_path / "own.env"), "routes"])
    assert result.exit_code == 2
    assert "needs python-dotenv" in result.output


def context_module(tmp_path: Path) -> str:
    write(
        tmp_path / "certificates.py",
        "import ssl\ncontext = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)\nother = 5\n",
    )
    sys.path.insert(0, str(tmp_path))
    return "certificates"


def test_a_certificate_may_be_made_on_the_spot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("cryptography")
    assert run_command.make_context("run", ["--cert", "adhoc"]).params["cert"] == "adhoc"
    with pytest.raises(click.BadParameter, match="made on the spot"):
        run_command.make_context("run", ["--cert", "adhoc", "--key", str(write(tmp_path / "key.pem", ""))])
    monkeypatch.setitem(sys.modules, "cryptography", None)
    with pytest.raises(click.BadParameter, match="cryptography"):
        run_command.make_context("run", ["--cert", "adhoc"])


def test_a_certificate_may_be_a_context_that_is_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import ssl

    module = context_module(tmp_path)
    context = run_command.make_context("run", ["--cert", f"{module}:context"])
    assert isinstance(context.params["cert"], ssl.SSLContext)
    with pytest.raises(click.BadParameter, match="an SSLContext"):
        run_command.make_context(
            "run", ["--cert", f"{module}:context", "--key", str(write(tmp_path / "k", ""))]
        )
    with pytest.raises(click.BadParameter, match="does not exist"):
        run_command.make_context("run", ["--cert", f"{module}:other"])
    monkeypatch.setitem(sys.modules, "ssl", None)
    with pytest.raises(click.BadParameter, match="SSL"):
        run_command.make_context("run", ["--cert", "adhoc"])


def test_several_paths_are_one_option(tmp_path: Path) -> None:
    one, two = write(tmp_path / "one", ""), write(tmp_path / "two", "")
    context = run_command.make_context("run", ["--extra-files", os.pathsep.join((str(one), str(two)))])
    assert context.params["extra_files"] == [str(one), str(two)]


# --- the built-in commands ------------------------------------------------------------------------------------------


def broken(info: ScriptInfo | None = None) -> Flask:
    raise ZeroDivisionError("a typing mistake")


def test_an_application_that_fails_is_not_served(monkeypatch: pytest.MonkeyPatch, runner: CliRunner) -> None:
    monkeypatch.setattr("bustapi.werkzeug.serving.run_simple", lambda *args, **options: pytest.fail("served"))
    result = runner.invoke(FlaskGroup(create_app=broken), ["run"])
    assert isinstance(result.exception, ZeroDivisionError)


def test_below_the_reloader_it_is_served_as_its_failure(
    monkeypatch: pytest.MonkeyPatch, runner: CliRunner, capsys: pytest.CaptureFixture[str]
) -> None:
    served: list[Any] = []
    monkeypatch.setenv("WERKZEUG_RUN_MAIN", "true")
    monkeypatch.setattr(
        "bustapi.werkzeug.serving.run_simple", lambda host, port, app, **options: served.append(app)
    )
    result = runner.invoke(FlaskGroup(create_app=broken), ["run"])
    assert result.exit_code == 0
    assert "a typing mistake" in result.output + capsys.readouterr().err
    # The parent has said it already.
    assert "Serving" not in result.output
    with pytest.raises(ZeroDivisionError, match="a typing mistake"):
        served[0]({}, lambda status, headers: None)


@pytest.mark.parametrize("editing", ["with line editing", "without it", "without a hook"])
def test_the_shell_has_the_applications_names(
    tmp_path: Path, editing: str, monkeypatch: pytest.MonkeyPatch, runner: CliRunner
) -> None:
    app = Flask("shelled")
    app.shell_context_processor(lambda: {"answer": 42})
    startup = write(tmp_path / "startup.py", "begun = 'yes'\n")
    monkeypatch.setenv("PYTHONSTARTUP", str(startup))
    hooked: list[bool] = []
    completers: list[Any] = []
    if editing == "without a hook":
        monkeypatch.delattr(sys, "__interactivehook__", raising=False)
    else:
        monkeypatch.setattr(sys, "__interactivehook__", lambda: hooked.append(True), raising=False)
    if editing == "with line editing":
        readline = pytest.importorskip("readline")
        monkeypatch.setattr(readline, "set_completer", completers.append)
    else:
        monkeypatch.setitem(sys.modules, "readline", None)
    result = runner.invoke(
        FlaskGroup(create_app=lambda: app), ["shell"], input="print(answer, begun, app.name, g is not None)\n"
    )
    assert result.exit_code == 0, result.output
    assert "42 yes shelled True" in result.output
    assert hooked == [True] * (editing != "without a hook")
    # rlcompleter sets one of its own when it is imported.
    assert [completer("answ", 0) for completer in completers[-1:]] == ["answer"] * (
        editing == "with line editing"
    )


def test_the_list_of_commands_tells_why_those_of_the_application_are_missing(
    tmp_path: Path, runner: CliRunner
) -> None:
    result = runner.invoke(FlaskGroup(), ["--help"])
    assert result.exit_code == 0
    assert "Error: " in result.output
    assert "routes" in result.output
