"""The steps of a request: hooks, signals, handlers, teardown, and what becomes of errors in each."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from bustapi.flask import (
    Blueprint,
    Flask,
    Response,
    abort,
    appcontext_popped,
    appcontext_pushed,
    appcontext_tearing_down,
    got_request_exception,
    request,
    request_finished,
    request_started,
    request_tearing_down,
)
from bustapi.werkzeug.exceptions import BadRequestKeyError, HTTPException, InternalServerError, NotFound


@pytest.fixture
def app() -> Flask:
    app = Flask("dispatch")
    app.add_url_rule("/", "index", lambda: "index")
    app.add_url_rule("/fail", "fail", lambda: 1 // 0)
    app.add_url_rule("/<int:code>", "status", abort)
    return app


def test_everything_of_a_request_happens_in_order(app: Flask) -> None:
    log: list[str] = []
    bp = Blueprint("bp", __name__, url_prefix="/bp")
    bp.add_url_rule("/", "view", lambda: log.append("view") or "body")

    def note(name: str, value: Any = None) -> Any:
        return lambda *args, **kwargs: log.append(name) or (args[0] if value == "first" else None)

    for scaffold, name in ((app, "app"), (bp, "bp")):
        scaffold.url_value_preprocessor(note(f"{name} pull"))
        scaffold.before_request(note(f"{name} before"))
        scaffold.after_request(note(f"{name} after", "first"))
        scaffold.teardown_request(note(f"{name} teardown"))
    app.teardown_appcontext(note("context teardown"))
    app.register_blueprint(bp)

    signals = {
        appcontext_pushed: "pushed",
        request_started: "started",
        request_finished: "finished",
        request_tearing_down: "request ends",
        appcontext_tearing_down: "context ends",
        appcontext_popped: "popped",
    }
    receivers = []
    for signal, name in signals.items():
        receivers.append(note(f"signal {name}"))
        signal.connect(receivers[-1], app)
    assert app.test_client().get("/bp/").status_code == 200
    assert log == [
        "signal pushed",
        "signal started",
        "app pull",
        "bp pull",
        "app before",
        "bp before",
        "view",
        "bp after",
        "app after",
        "signal finished",
        "bp teardown",
        "app teardown",
        "signal request ends",
        "context teardown",
        "signal context ends",
        "signal popped",
    ]


def test_before_functions_stop_at_the_first_value(app: Flask) -> None:
    called: list[str] = []
    app.before_request(lambda: called.append("first"))
    app.before_request(lambda: "stop")
    app.before_request(lambda: called.append("third"))
    assert app.test_client().get("/").text == "stop"
    assert called == ["first"]


def test_hooks_run_for_requests_that_match_nothing(app: Flask) -> None:
    called: list[Any] = []
    app.before_request(lambda: called.append(request.endpoint))
    app.after_request(lambda response: called.append(response.status_code) or response)
    client = app.test_client()
    client.get("/none")
    client.post("/")
    client.options("/")
    assert called == [None, 404, None, 405, "index", 200]


def test_an_after_function_replaces_the_response(app: Flask) -> None:
    app.after_request(lambda response: Response("replaced", status=299))
    response = app.test_client().get("/")
    assert (response.status_code, response.text) == (299, "replaced")


@pytest.mark.parametrize("step", ["before_request", "after_request"])
def test_an_error_of_a_hook_is_a_500(app: Flask, step: str) -> None:
    def fail(*args: Any) -> Any:
        raise ZeroDivisionError

    getattr(app, step)(fail)
    assert app.test_client().get("/").status_code == 500


def test_an_error_of_a_before_function_is_handled(app: Flask) -> None:
    def fail() -> None:
        raise ZeroDivisionError

    app.before_request(fail)
    app.register_error_handler(ZeroDivisionError, lambda error: ("handled", 400))
    assert app.test_client().get("/").text == "handled"


def test_teardown_is_told_of_unhandled_errors_only(app: Flask) -> None:
    told: list[Any] = []
    app.teardown_request(told.append)
    client = app.test_client()
    client.get("/")
    client.get("/404")
    client.get("/fail")
    assert told[:2] == [None, None]
    assert isinstance(told[2], ZeroDivisionError)
    app.error_handler_spec[None][None][ZeroDivisionError] = lambda error: "handled"
    client.get("/fail")
    assert told[3] is None


def test_ignored_errors_are_kept_from_teardown() -> None:
    class Ignoring(Flask):
        def should_ignore_error(self, error: BaseException | None) -> bool:
            return isinstance(error, ZeroDivisionError)

    app = Ignoring("ignoring")
    told: list[Any] = []
    app.teardown_request(told.append)
    app.add_url_rule("/fail", "fail", lambda: 1 // 0)
    app.test_client().get("/fail")
    assert told == [None]


def test_an_unhandled_error_is_a_500_that_tells_the_log_where(
    app: Flask, caplog: pytest.LogCaptureFixture
) -> None:
    sent: list[Any] = []

    def receive(sender: Any, exception: Any, **extra: Any) -> None:
        sent.append(exception)

    with got_request_exception.connected_to(receive, app):
        response = app.test_client().get("/fail")
    assert response.status_code == 500
    assert "ZeroDivisionError" not in response.text
    assert [type(error) for error in sent] == [ZeroDivisionError]
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert record.getMessage().startswith("Exception on /fail [GET] in view 'fail'")
    assert f"{__file__}:" in record.getMessage()
    assert record.exc_info is not None
    assert record.exc_info[0] is ZeroDivisionError


def test_a_view_that_returns_none_is_named_in_the_log(app: Flask, caplog: pytest.LogCaptureFixture) -> None:
    def forgetful() -> None:
        pass

    app.add_url_rule("/forgetful", view_func=forgetful)
    response = app.test_client().get("/forgetful")
    assert response.status_code == 500
    assert "forgetful" not in response.text
    assert f"in view 'forgetful' ({__file__}:{forgetful.__code__.co_firstlineno})" in caplog.text


@pytest.mark.parametrize("setting", ["TESTING", "DEBUG", "PROPAGATE_EXCEPTIONS"])
def test_errors_are_let_through_where_somebody_looks(app: Flask, setting: str) -> None:
    app.config[setting] = True
    with pytest.raises(ZeroDivisionError):
        app.test_client().get("/fail")
    app.config["PROPAGATE_EXCEPTIONS"] = False
    assert app.test_client().get("/fail").status_code == 500


def test_the_500_handler_gets_the_original_error(app: Flask) -> None:
    seen: list[Any] = []
    app.register_error_handler(500, lambda error: seen.append(error) or ("sorry", 500))
    assert app.test_client().get("/fail").text == "sorry"
    assert isinstance(seen[0], InternalServerError)
    assert isinstance(seen[0].original_exception, ZeroDivisionError)


def test_an_error_of_an_after_function_during_an_error_is_logged_only(
    app: Flask, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(response: Any) -> Any:
        raise LookupError

    app.after_request(fail)
    assert app.test_client().get("/fail").status_code == 500
    assert "Request finalizing failed" in caplog.text


class Base(Exception):
    pass


class Derived(Base):
    pass


class OwnNotFound(NotFound):
    pass


@pytest.mark.parametrize(
    ("registered", "raised", "expected"),
    [
        ([Base], Derived, Base),
        ([Base, Derived], Derived, Derived),
        ([Exception, Base], Derived, Base),
        ([Exception], NotFound, Exception),
        ([HTTPException, 404], NotFound, 404),
        ([HTTPException], NotFound, HTTPException),
        ([404], OwnNotFound, 404),
        ([OwnNotFound, 404], OwnNotFound, OwnNotFound),
        ([OwnNotFound], NotFound, None),
        ([KeyError], BadRequestKeyError, KeyError),
        ([LookupError], BadRequestKeyError, LookupError),
        ([400, KeyError], BadRequestKeyError, 400),
    ],
)
def test_the_most_specific_handler_answers(registered: list[Any], raised: Any, expected: Any) -> None:
    app = Flask("handlers")
    for key in registered:
        app.register_error_handler(key, lambda error, key=key: (repr(key), 200))

    def view() -> Any:
        raise raised

    app.add_url_rule("/", view_func=view)
    response = app.test_client().get("/")
    assert response.text == repr(expected) if expected is not None else response.status_code == 404


def test_a_blueprints_handler_wins_and_code_wins_over_blueprint() -> None:
    app = Flask("handlers")
    bp = Blueprint("bp", __name__)
    app.register_error_handler(404, lambda error: "app by code")
    bp.register_error_handler(Exception, lambda error: "blueprint by class")
    bp.add_url_rule("/missing", "missing", lambda: abort(404))
    bp.add_url_rule("/fail", "fail", lambda: 1 // 0)
    app.register_blueprint(bp)
    client = app.test_client()
    assert client.get("/missing").text == "app by code"
    assert client.get("/fail").text == "blueprint by class"


@pytest.mark.parametrize(
    ("key", "error"),
    [(ValueError(), TypeError), (99, ValueError), (int, ValueError), (InternalServerError(), TypeError)],
)
def test_a_handler_for_something_that_is_not_an_error_is_refused(key: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        Flask("handlers").register_error_handler(key, lambda error: "")


def test_setup_after_the_first_request_is_refused(app: Flask) -> None:
    app.test_client().get("/")
    for setup in (
        lambda: app.add_url_rule("/late", "late"),
        lambda: app.before_request(lambda: None),
        lambda: app.register_blueprint(Blueprint("late", __name__)),
        lambda: app.register_error_handler(404, lambda error: ""),
        lambda: app.get("/late")(lambda: ""),
    ):
        with pytest.raises(AssertionError, match="can no longer be called"):
            setup()


@pytest.mark.parametrize("method", ["get", "post", "put", "patch", "delete"])
def test_the_method_decorators_take_no_methods(app: Flask, method: str) -> None:
    with pytest.raises(TypeError):
        getattr(app, method)("/x", methods=["GET"])
    getattr(app, method)("/only")(lambda: "only")
    assert app.test_client().open("/only", method=method.upper()).text == "only"


def test_one_endpoint_has_one_view(app: Flask) -> None:
    with pytest.raises(AssertionError, match="overwriting an existing endpoint"):
        app.add_url_rule("/other", "index", lambda: "other")
    app.add_url_rule("/again", "index", app.view_functions["index"])
    assert app.test_client().get("/again").text == "index"


def test_methods_given_as_text_are_refused(app: Flask) -> None:
    with pytest.raises(TypeError, match="list of strings"):
        app.add_url_rule("/text", "text", lambda: "", methods="GET")


@pytest.mark.parametrize(
    "override",
    ["full_dispatch_request", "dispatch_request", "preprocess_request", "make_response", "process_response"],
)
def test_a_step_replaced_on_the_instance_is_used(app: Flask, override: str) -> None:
    plain = getattr(app, override)
    called: list[str] = []
    setattr(app, override, lambda *args, **kwargs: called.append(override) or plain(*args, **kwargs))
    assert app.test_client().get("/").text == "index"
    assert called == [override]


def test_middleware_wraps_wsgi_app(app: Flask) -> None:
    inner = app.wsgi_app

    def middleware(environ: Any, start_response: Any) -> Any:
        environ["PATH_INFO"] = "/"
        return inner(environ, start_response)

    app.wsgi_app = middleware  # type: ignore[method-assign]
    assert app.test_client().get("/anything").text == "index"


def test_a_base_exception_goes_through_and_tears_down(app: Flask) -> None:
    told: list[Any] = []
    app.teardown_request(told.append)

    def leave() -> None:
        raise KeyboardInterrupt

    app.add_url_rule("/leave", view_func=leave)
    with pytest.raises(KeyboardInterrupt):
        app.test_client().get("/leave")
    assert isinstance(told[0], KeyboardInterrupt)


def test_asynchronous_functions_run_where_plain_ones_do(app: Flask) -> None:
    seen: list[str] = []

    async def before() -> None:
        seen.append("before")

    async def teardown(error: BaseException | None) -> None:
        seen.append("teardown")

    async def view() -> str:
        seen.append(request.path)
        return "async"

    app.before_request(before)
    app.teardown_request(teardown)
    app.add_url_rule("/async", view_func=view)
    assert app.test_client().get("/async").text == "async"
    assert seen == ["before", "/async", "teardown"]


def test_what_an_asynchronous_function_sets_stays_set(app: Flask) -> None:
    from contextvars import ContextVar

    variable: ContextVar[str] = ContextVar("variable", default="unset")

    async def set_it() -> None:
        variable.set("set")

    with app.app_context():
        app.ensure_sync(set_it)()
        assert variable.get() == "set"


def test_a_coroutine_is_not_run_inside_of_a_running_loop(app: Flask) -> None:
    import asyncio

    async def inner() -> None:
        pass

    async def outer() -> None:
        app.ensure_sync(inner)()

    with pytest.raises(RuntimeError, match="running event loop"):
        asyncio.run(outer())
