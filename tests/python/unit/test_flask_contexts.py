"""Contexts and the proxies that read them."""

from __future__ import annotations

import contextvars
import threading
from typing import Any

import pytest

from bustapi.flask import (
    Flask,
    after_this_request,
    copy_current_request_context,
    current_app,
    g,
    has_app_context,
    has_request_context,
    request,
    session,
    stream_with_context,
)
from bustapi.flask.ctx import AppContext, RequestContext
from bustapi.flask.globals import _cv_app, _cv_request, app_ctx, request_ctx
from bustapi.kernel.context import Frame, current


@pytest.fixture
def app() -> Flask:
    app = Flask("contexts")
    app.secret_key = "key"
    return app


def nothing_pushed() -> bool:
    return not has_app_context() and not has_request_context() and current.get(None) is None


@pytest.mark.parametrize(
    ("proxy", "kind"),
    [
        (current_app, "application"),
        (g, "application"),
        (app_ctx, "application"),
        (request, "request"),
        (session, "request"),
        (request_ctx, "request"),
    ],
    ids=["current_app", "g", "app_ctx", "request", "session", "request_ctx"],
)
def test_a_proxy_without_its_context_says_what_is_missing(proxy: Any, kind: str, app: Flask) -> None:
    with pytest.raises(RuntimeError, match=f"^Working outside of {kind} context"):
        proxy.anything  # noqa: B018
    assert not proxy
    if kind == "request":
        with app.app_context(), pytest.raises(RuntimeError, match=r"^Working outside of request context"):
            proxy.anything  # noqa: B018


def test_an_app_context_gives_application_and_namespace(app: Flask) -> None:
    with app.app_context() as context:
        assert current_app._get_current_object() is app  # type: ignore[attr-defined]
        assert app_ctx._get_current_object() is context  # type: ignore[attr-defined]
        g.name = "value"
        assert context.g.name == "value"
        assert has_app_context()
        assert not has_request_context()
    assert nothing_pushed()


def test_a_request_context_brings_an_app_context_of_its_own(app: Flask) -> None:
    with app.test_request_context("/path?q=1") as context:
        assert request.path == "/path"
        assert request.args["q"] == "1"
        assert request_ctx._get_current_object() is context  # type: ignore[attr-defined]
        assert current_app.name == "contexts"
        session["key"] = "value"
        assert context.session["key"] == "value"
    assert nothing_pushed()


def test_a_request_context_uses_the_app_context_below_it_if_it_is_the_same_app(app: Flask) -> None:
    with app.app_context() as below:
        g.kept = True
        with app.test_request_context():
            assert app_ctx._get_current_object() is below  # type: ignore[attr-defined]
            assert g.kept
        assert g.kept
        with Flask("another").test_request_context():
            assert current_app.name == "another"
            assert "kept" not in g
        assert current_app.name == "contexts"


def test_an_app_context_inside_of_a_request_keeps_the_request(app: Flask) -> None:
    other = Flask("other")
    with app.test_request_context("/outer"):
        g.name = "outer"
        with other.app_context():
            assert current_app.name == "other"
            assert "name" not in g
            assert request.path == "/outer"
            with other.test_request_context("/inner"):
                assert request.path == "/inner"
            assert request.path == "/outer"
        assert current_app.name == "contexts"
        assert g.name == "outer"
    assert nothing_pushed()


def test_contexts_can_be_pushed_more_than_once(app: Flask) -> None:
    torn_down: list[str] = []
    app.teardown_appcontext(lambda error: torn_down.append("app"))
    app.teardown_request(lambda error: torn_down.append("request"))
    context = app.test_request_context()
    context.push()
    context.push()
    context.pop()
    assert torn_down == []
    assert has_request_context()
    context.pop()
    assert torn_down == ["request", "app"]
    assert nothing_pushed()


def test_popping_the_wrong_app_context_is_an_error(app: Flask) -> None:
    outer, inner = app.app_context(), app.app_context()

    def run() -> None:
        outer.push()
        inner.push()
        with pytest.raises(AssertionError, match=r"^Popped wrong app context"):
            outer.pop()

    contextvars.copy_context().run(run)


def test_popping_the_wrong_request_context_is_an_error(app: Flask) -> None:
    outer, inner = app.test_request_context(), app.test_request_context()

    def run() -> None:
        outer.push()
        inner.push()
        with pytest.raises(AssertionError, match=r"^Popped wrong request context"):
            outer.pop()

    contextvars.copy_context().run(run)


@pytest.mark.parametrize("error", [None, ValueError("why")])
def test_teardown_is_told_what_ended_the_context(app: Flask, error: Exception | None) -> None:
    told: list[Any] = []
    app.teardown_request(told.append)
    app.teardown_appcontext(told.append)
    try:
        with app.test_request_context():
            if error is not None:
                raise error
    except ValueError:
        pass
    assert told == [error, error]


def test_an_error_of_one_teardown_still_leaves_the_context(app: Flask) -> None:
    def fail(error: BaseException | None) -> None:
        raise ZeroDivisionError

    app.teardown_request(fail)
    with pytest.raises(ZeroDivisionError), app.test_request_context():
        pass
    assert nothing_pushed()


def test_the_facets_look_like_context_variables(app: Flask) -> None:
    with pytest.raises(LookupError):
        _cv_app.get()
    assert _cv_request.get("default") == "default"
    context = app.app_context()
    token = _cv_app.set(context)
    assert _cv_app.get() is context
    _cv_app.reset(token)
    assert _cv_app.get(None) is None
    assert "flask.app_ctx" in repr(_cv_app)


def test_facets_that_are_reset_out_of_order_do_not_lose_the_other_half(app: Flask) -> None:
    def run() -> None:
        app_context, request_context = AppContext(app), app.test_request_context("/kept")
        app_token = _cv_app.set(app_context)
        _cv_request.set(request_context)
        _cv_app.reset(app_token)
        assert _cv_app.get(None) is None
        assert _cv_request.get() is request_context

    contextvars.copy_context().run(run)


def test_the_variable_holds_one_frame(app: Flask) -> None:
    with app.test_request_context("/frame"):
        frame = current.get()
        assert type(frame) is Frame
        assert frame.app is app
        assert frame.request.path == "/frame"


class NativeState:
    """What the server puts into the variable: the same attributes, no `Frame`."""

    def __init__(self, context: RequestContext, app_context: AppContext) -> None:
        self.request_context = context
        self.app_context = app_context
        self.app = context.app
        self.request = context.request
        self.g = app_context.g

    @property
    def session(self) -> Any:
        return self.request_context.session


def test_the_proxies_and_facets_read_the_servers_state_too(app: Flask) -> None:
    context, app_context = app.test_request_context("/native"), app.app_context()
    token = current.set(NativeState(context, app_context))
    try:
        assert request.path == "/native"
        assert current_app.name == "contexts"
        assert _cv_request.get() is context
        assert _cv_app.get() is app_context
        with Flask("inner").app_context():
            assert current_app.name == "inner"
            assert request.path == "/native"
            assert _cv_request.get() is context
        assert current_app.name == "contexts"
        assert app_ctx._get_current_object() is app_context  # type: ignore[attr-defined]
    finally:
        current.reset(token)


def test_a_thread_has_no_context_until_it_is_copied(app: Flask) -> None:
    seen: dict[str, Any] = {}
    with app.test_request_context("/in-thread"):
        session["s"] = 1

        def plain() -> None:
            seen["plain"] = has_request_context()

        @copy_current_request_context
        def copied() -> None:
            seen["path"] = request.path
            seen["session"] = session["s"]

        for target in (plain, copied):
            thread = threading.Thread(target=target)
            thread.start()
            thread.join(10)
    assert seen == {"plain": False, "path": "/in-thread", "session": 1}


def test_functions_of_a_request_need_one() -> None:
    for function in (after_this_request, copy_current_request_context):
        with pytest.raises(RuntimeError, match=function.__name__):
            function(lambda *args: None)
    with pytest.raises(RuntimeError, match="stream_with_context"):
        stream_with_context(iter(()))


def test_a_stream_keeps_its_request_and_closes_its_source(app: Flask) -> None:
    closed: list[bool] = []

    def source() -> Any:
        try:
            yield request.path
            yield request.method
        finally:
            closed.append(True)

    with app.test_request_context("/streamed"):
        stream = stream_with_context(source())
    assert nothing_pushed()
    assert next(stream) == "/streamed"
    stream.close()
    assert closed == [True]


def test_g_is_a_namespace_with_some_of_a_dicts_methods(app: Flask) -> None:
    with app.app_context():
        assert g.get("x") is None
        assert g.get("x", 1) == 1
        assert g.setdefault("x", 2) == 2
        assert g.setdefault("x", 3) == 2
        assert "x" in g
        assert list(g) == ["x"]
        assert g.pop("x") == 2
        assert g.pop("x", "gone") == "gone"
        with pytest.raises(KeyError):
            g.pop("x")
        with pytest.raises(AttributeError):
            g.x  # noqa: B018
        with pytest.raises(AttributeError):
            del g.x
        assert repr(g) == "<flask.g of 'contexts'>"


def test_a_client_keeps_the_context_of_its_last_request(app: Flask) -> None:
    app.add_url_rule("/<name>", "view", lambda name: setattr(g, "name", name) or name)
    with app.test_client() as client:
        client.get("/first")
        assert g.name == "first"
        assert request.view_args == {"name": "first"}
        client.get("/second")
        assert g.name == "second"
    assert nothing_pushed()


def test_a_client_cannot_be_entered_twice(app: Flask) -> None:
    client = app.test_client()
    with client, pytest.raises(RuntimeError):
        client.__enter__()


def test_preserved_and_new_contexts_of_one_app_are_apart(app: Flask) -> None:
    with app.app_context():
        g.outer = True
        app.add_url_rule("/", "index", lambda: str("outer" in g))
        assert app.test_client().get("/").text == "True"
