"""The bridge: `flask` and `werkzeug` mean our modules, whichever package is imported first.

Each program runs in a process of its own, since a takeover cannot be undone.
"""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Callable, Optional

import pytest

#: Takes from Flask what extensions take, in every place they keep it.
EXTENSION = """
    import functools
    from collections import deque

    import click
    import flask
    import werkzeug
    from flask import (
        Blueprint, Response, abort, appcontext_pushed, current_app, g, request, request_started, session, url_for
    )
    from flask.cli import AppGroup, with_appcontext
    from flask.sessions import SecureCookieSessionInterface
    from flask.views import MethodView
    from werkzeug.datastructures import Headers, ImmutableDict
    from werkzeug.exceptions import HTTPException, NotFound
    from werkzeug.local import LocalProxy
    from werkzeug.routing import BaseConverter

    BY_KIND = {Response: "response", NotFound: ["gone", NotFound]}
    DEFAULTS = ImmutableDict(one=1)
    TUPLE = (Response, (HTTPException, 1))
    QUEUE = deque([Response])
    SET = {Response, int}
    PARTIAL = functools.partial(isinstance, Response)
    NOT_FOUND = NotFound("prepared")
    user = LocalProxy(lambda: g.user)
    blueprint = Blueprint("extension", __name__)
    group = AppGroup("extension")

    class Own(Blueprint):
        pass

    class Sessions(SecureCookieSessionInterface):
        pass

    class Oops(HTTPException):
        code = 418
        description = "oops"

    class Upper(BaseConverter):
        regex = "[A-Z]+"

    class Config:
        response = Response
        def __init__(self):
            self.made = [Response]
            self.current = request

    own = Own("own", __name__)
    config = Config()

    def default(kind=Response, *, proxy=request):
        return kind, proxy

    def closure():
        kind, current = Response, request
        return lambda: (kind, current)

    held = closure()
    pushed = []
    appcontext_pushed.connect(lambda sender, **_: pushed.append(sender), weak=False)

    @request_started.connect
    def started(sender, **_):
        g.started = True

    @blueprint.before_request
    def before():
        g.user = "ann"

    @blueprint.get("/user")
    def show():
        return {"user": str(user), "started": g.started, "path": request.path}

    @blueprint.errorhandler(404)
    def gone(error):
        return {"gone": type(error).__module__}, 404

    @blueprint.get("/gone")
    def go():
        abort(404)

    @blueprint.get("/oops")
    def oops():
        raise Oops

    class Method(MethodView):
        def get(self):
            return {"url": url_for("own.method")}

    own.add_url_rule("/method", view_func=Method.as_view("method"))

    @group.command("name")
    @with_appcontext
    def name():
        click.echo(current_app.name)
"""

CHECKS = """
    import extension as e
    import bustapi.flask, bustapi.werkzeug
    import bustapi.werkzeug.exceptions, bustapi.werkzeug.datastructures, bustapi.flask.sessions

    F, W = bustapi.flask, bustapi.werkzeug
    assert e.flask is F and e.werkzeug is W
    assert e.Response is F.Response and e.request is F.request and e.Headers is W.datastructures.Headers
    assert e.abort is F.abort and e.url_for is F.url_for
    assert e.appcontext_pushed is F.appcontext_pushed
    assert e.BY_KIND == {F.Response: "response", W.exceptions.NotFound: ["gone", W.exceptions.NotFound]}
    assert list(e.BY_KIND) == [F.Response, W.exceptions.NotFound]
    assert e.TUPLE == (F.Response, (W.exceptions.HTTPException, 1)) and e.SET == {F.Response, int}
    assert e.QUEUE[0] is F.Response and e.PARTIAL.args == (F.Response,)
    assert issubclass(e.Own, F.Blueprint) and isinstance(e.own, F.Blueprint)
    assert issubclass(e.Sessions, F.sessions.SessionInterface) and issubclass(e.Oops, W.exceptions.HTTPException)
    assert isinstance(e.NOT_FOUND, W.exceptions.NotFound) and e.NOT_FOUND.description == "prepared"
    assert type(e.DEFAULTS) is W.datastructures.ImmutableDict and e.DEFAULTS == {"one": 1}
    assert e.Config.response is F.Response and e.config.made == [F.Response] and e.config.current is F.request
    assert e.default() == (F.Response, F.request) and e.held()[0] is F.Response

    from bustapi import BustAPI
    app = BustAPI("served")
    app.url_map.converters["upper"] = e.Upper
    app.session_interface = e.Sessions()
    app.secret_key = "x"
    app.register_blueprint(e.blueprint)
    app.register_blueprint(e.own)
    app.cli.add_command(e.group)

    @app.get("/shout/<upper:word>")
    def shout(word):
        F.session["word"] = word
        return word

    client = app.test_client()
    assert client.get("/user").json == {"user": "ann", "started": True, "path": "/user"}
    assert client.get("/gone").json == {"gone": "bustapi.werkzeug.exceptions"}
    assert client.get("/oops").status_code == 418
    assert client.get("/method").json == {"url": "/method"}
    assert client.get("/shout/HEY").headers["Set-Cookie"].startswith("session=")
    assert client.get("/shout/hey").status_code == 404
    assert e.pushed and all(sender is app for sender in e.pushed)
    with app.test_request_context("/held"):
        assert e.held()[1].path == "/held"
    result = app.test_cli_runner().invoke(args=["extension", "name"])
    assert result.output == "served\\n", result.output
    import sys
    assert [n for n, m in sys.modules.items()
            if n.split(".")[0] in ("flask", "werkzeug") and not m.__name__.startswith("bustapi.")] == []
    print("as one")
"""

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    (tmp_path / "extension.py").write_text(textwrap.dedent(EXTENSION))

    def run(program: str, bridge: Optional[str] = None, *options: str) -> subprocess.CompletedProcess[str]:
        environment = {name: value for name, value in os.environ.items() if name != "BUSTAPI_BRIDGE"}
        if bridge is not None:
            environment["BUSTAPI_BRIDGE"] = bridge
        return subprocess.run(
            [sys.executable, *options, "-c", textwrap.dedent(program)],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=50,
            check=False,
        )

    return run


def says(result: subprocess.CompletedProcess[str]) -> str:
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


@pytest.mark.parametrize(
    "first",
    [
        "from bustapi import BustAPI",
        "import bustapi.flask",
        "import extension",
        "import werkzeug.test, flask.app",
    ],
)
def test_an_extension_cannot_tell_whichever_is_imported_first(run: Run, first: str) -> None:
    result = run(f"{first}\n{textwrap.dedent(CHECKS)}", None, "-W", "error::UserWarning")
    assert says(result) == "as one"


def test_the_package_alone_leaves_the_names_alone(run: Run) -> None:
    program = "import bustapi, flask; print(flask.Flask.__module__, bustapi.bridge if 'bridge' in dir(bustapi) else None)"
    assert says(run(program)) == "flask.app None"


@pytest.mark.parametrize("value", ["0", "false", "Off", "no"])
def test_the_environment_opts_out(run: Run, value: str) -> None:
    assert says(run("import bustapi.flask, flask; print(flask.__name__)", value)) == "flask"


def test_disable_before_the_dialect_opts_out(run: Run) -> None:
    program = (
        "from bustapi import bridge; bridge.disable(); import bustapi.flask, flask; print(flask.__name__)"
    )
    assert says(run(program)) == "flask"


def test_disable_gives_the_names_back(run: Run) -> None:
    program = """
        import bustapi.flask, flask
        from bustapi import bridge
        assert flask is bustapi.flask and bridge.is_enabled()
        bridge.disable()
        import flask
        assert flask is not bustapi.flask and not bridge.is_enabled()
        from flask import Flask
        application = Flask("x")
        assert application.test_client().get("/").status_code == 404
        assert bridge.enable() is False  # there is an application of the real one
        print("back")
    """
    assert says(run(program, None, "-W", "ignore")) == "back"


def test_enabling_again_changes_nothing(run: Run) -> None:
    program = """
        import sys
        import bustapi.flask
        from bustapi import bridge
        before = list(sys.meta_path)
        assert bridge.enable() and bridge.enable()
        assert sys.meta_path == before
        print("same")
    """
    assert says(run(program)) == "same"


def test_an_application_of_the_real_flask_stops_the_takeover(run: Run) -> None:
    program = """
        import flask
        application = flask.Flask("x")
        import bustapi.flask
        import flask as again
        assert again is flask is not bustapi.flask
        assert application.test_client().get("/").status_code == 404
        print("kept")
    """
    result = run(program)
    assert says(result) == "kept"
    assert "__main__.application is an application of the real flask" in result.stderr


def test_what_cannot_be_replaced_is_named(run: Run) -> None:
    program = """
        from werkzeug.routing import Map, Rule
        rules = Map([Rule("/x")])
        import bustapi.flask
    """
    result = run(program)
    assert "BridgeWarning: __main__.rules stays a werkzeug.routing.map.Map" in result.stderr


def test_modules_that_do_not_exist_are_not_taken_from_the_real_package(run: Run) -> None:
    program = """
        import bustapi.flask
        try:
            import flask.nothing
        except ModuleNotFoundError as error:
            print(error.name)
        import flask
        print(flask.app.__spec__.name, flask.__spec__.name)
    """
    assert says(run(program)) == "flask.nothing\nbustapi.flask.app bustapi.flask"


#: Prints the classes and functions of the two packages that a module can be asked for.
SHOW_NAMES = """
    import importlib, types
    for name in ("flask.app", "flask.helpers", "flask.ctx", "flask.cli", "flask.sansio.app", "flask.testing",
                 "flask.json.provider", "werkzeug.http", "werkzeug.formparser", "werkzeug.wrappers.request",
                 "werkzeug.routing.map", "werkzeug.test", "werkzeug.utils", "flask.views", "flask.templating"):
        module = importlib.import_module(name)
        for key, value in vars(module).items():
            if isinstance(value, (type, types.FunctionType)) and not key.startswith("_"):
                if value.__module__.partition(".")[0] in ("flask", "werkzeug"):
                    print(name, key)
"""


def test_what_the_real_modules_import_can_be_imported_from_them(run: Run) -> None:
    wanted = says(run(SHOW_NAMES)).splitlines()
    assert "flask.app Rule" in wanted
    imports = "\n".join("from {} import {}".format(*line.split()) for line in wanted)
    assert says(run(f"import bustapi.flask\n{imports}\nprint('all')")) == "all"
    missing = "import bustapi.flask, flask.app; print(hasattr(flask, 'Markup'), hasattr(flask.app, 'Markup'))"
    assert says(run(missing)) == "False False"


def test_versions_are_those_of_the_installed_packages(run: Run) -> None:
    program = """
        from importlib.metadata import version
        before = version("flask"), version("werkzeug")
        import bustapi.flask
        print(before == (version("flask"), version("werkzeug")))
    """
    assert says(run(program)) == "True"


def test_without_the_real_packages_the_versions_are_those_we_follow(run: Run) -> None:
    # The folder that has them is not on the path: the bridge's finder is asked alone.
    program = """
        import bustapi.flask, bustapi.werkzeug
        from importlib.metadata import DistributionFinder, MetadataPathFinder
        from bustapi.bridge import _finder
        MetadataPathFinder.find_distributions = classmethod(lambda cls, context=None: iter(()))
        found = {name: [d.version for d in _finder.find_distributions(DistributionFinder.Context(name=name))]
                 for name in ("flask", "Werkzeug", "click")}
        assert found == {"flask": [bustapi.flask._FLASK_VERSION], "Werkzeug": [bustapi.werkzeug.__version__],
                         "click": []}
        print("followed")
    """
    assert says(run(program)) == "followed"


def test_threads_that_come_at_once_get_the_same_objects(run: Run) -> None:
    program = """
        import importlib, sys, threading
        import bustapi, extension
        calls = [lambda name=name: getattr(bustapi, name) for name in ("Flask", "BustAPI", "request", "Response")]
        calls.append(lambda: importlib.import_module("bustapi.bridge").enable())
        calls *= 4
        barrier, failed = threading.Barrier(len(calls)), []
        def load(call):
            barrier.wait()
            try:
                call()
            except BaseException as error:
                failed.append(repr(error))
        threads = [threading.Thread(target=load, args=(call,), daemon=True) for call in calls]
        for thread in threads: thread.start()
        for thread in threads: thread.join(10)
        assert not failed and not any(t.is_alive() for t in threads), failed
        import bustapi.flask.sessions, flask.sessions
        assert sys.modules["flask"] is sys.modules["bustapi.flask"]
        assert flask.sessions is bustapi.flask.sessions and extension.Response is bustapi.flask.Response
        print("joined")
    """
    assert says(run(program)) == "joined"


def test_the_cost_is_logged(run: Run) -> None:
    program = """
        import logging
        logging.basicConfig(level=logging.DEBUG)
        import extension
        import bustapi.flask
    """
    result = run(program)
    assert "DEBUG:bustapi.bridge:took over from " in result.stderr


#: Classes whose instances ours lay out in another way, and holders that are empty or cannot be written.
ODD = """
    import types
    from flask import Blueprint, Response, request_started
    from werkzeug.datastructures import Headers

    class Own(Headers):
        kind = Response
        def shout(self):
            return self["x"].upper()

    class Meta(type):
        def __new__(meta, name, bases, namespace):
            if name == "Closed" and any(base.__module__.startswith("bustapi") for base in bases):
                raise TypeError("closed")
            return super().__new__(meta, name, bases, namespace)

    class Closed(Headers, metaclass=Meta):
        pass

    class Slotted:
        __slots__ = ("full", "empty")
        def __init__(self):
            self.full = Response

    slotted = Slotted()

    def unset():
        if False:
            later = None
        held = Response
        return lambda: (held, later)

    half = unset()
    before = Blueprint("before", __name__)
    before.view_functions["kept"] = lambda: Response("")
    before.before_request(lambda: None)
    request_started.connect(print, sender=before)
    HEADERS = Headers([("x", "a")])
"""


def test_a_class_that_cannot_change_its_bases_is_made_anew(run: Run, tmp_path: Path) -> None:
    (tmp_path / "odd.py").write_text(textwrap.dedent(ODD))
    program = """
        import warnings
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            import odd
            import bustapi.flask
        from bustapi.flask import Response
        from bustapi.werkzeug.datastructures import Headers
        assert issubclass(odd.Own, Headers) and odd.Own.kind is Response
        assert odd.Own([("x", "a")]).shout() == "A"
        told = [str(one.message) for one in caught]
        assert any(text.startswith("odd.Closed cannot be derived from bustapi's classes (closed)") for text in told), told
        assert odd.slotted.full is Response and not hasattr(odd.slotted, "empty")
        assert odd.half.__closure__[0].cell_contents is Response
        assert any(text.startswith("odd.HEADERS stays a werkzeug.") for text in told), told
        print("anew")
    """
    assert says(run(program)) == "anew"


def test_what_was_registered_before_the_takeover_is_kept(run: Run, tmp_path: Path) -> None:
    (tmp_path / "odd.py").write_text(textwrap.dedent(ODD))
    program = """
        import odd
        import bustapi.flask
        from bustapi.flask import Flask
        from bustapi.kernel.registry import RegistryDict
        assert type(odd.before.view_functions) is RegistryDict and list(odd.before.view_functions) == ["kept"]
        assert len(odd.before.before_request_funcs[None]) == 1
        odd.before.add_url_rule("/kept", endpoint="kept", view_func=odd.before.view_functions["kept"])
        app = Flask("x")
        app.register_blueprint(odd.before)
        assert app.test_client().get("/kept").status_code == 200
        assert odd.request_started is bustapi.flask.request_started and odd.request_started.receivers
        print("kept")
    """
    assert says(run(program, None, "-W", "ignore")) == "kept"


def test_modules_of_ours_are_described_under_the_other_name(run: Run) -> None:
    program = """
        import importlib.util
        import bustapi.flask
        spec = importlib.util.find_spec("werkzeug.datastructures")
        assert spec.loader.is_package("werkzeug.datastructures")
        assert spec.submodule_search_locations is not None
        loader = importlib.util.find_spec("werkzeug.urls").loader
        assert "def iri_to_uri" in loader.get_source("werkzeug.urls")
        assert loader.get_code("werkzeug.urls").co_filename.endswith("urls.py")
        assert not loader.is_package("werkzeug.urls")
        print("described")
    """
    assert says(run(program)) == "described"


def test_the_module_runs_as_the_command_of_the_other_name(run: Run, tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text("from flask import Flask\napp = Flask(__name__)\n")
    program = """
        import runpy, sys
        import bustapi.flask
        sys.argv = ["flask", "routes"]
        try:
            runpy.run_module("flask", run_name="__main__", alter_sys=True)
        except SystemExit as ended:
            assert not ended.code
    """
    assert "static" in says(run(program, None, "-W", "ignore"))
