"""Functions around views: in process and over a socket, on applications and blueprints, plain and `async`."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from bustapi import Blueprint, BustAPI, abort, current_app, g, request
from bustapi.flask.views import MethodView
from bustapi.testing import TestClient

DOORS = pytest.mark.parametrize("served", [False, True])


def trace(name: str) -> Any:
    def around(call_next: Any) -> Any:
        value = call_next()
        return {"trace": [name, *value["trace"]]} if isinstance(value, dict) else value

    return around


def application() -> BustAPI:
    app = BustAPI("around")
    outer = Blueprint("outer", "around", url_prefix="/outer")
    inner = Blueprint("inner", "around", url_prefix="/inner")

    def view(**values: Any) -> Any:
        return {"trace": [values]}

    for owner in (app, outer, inner):
        owner.add_url_rule("/<int:id>", "view", view)
    app.middleware(trace("app 1"))
    app.middleware(trace("app 2"))
    outer.middleware(trace("outer"))
    inner.middleware(trace("inner"))
    outer.register_blueprint(inner)
    app.register_blueprint(outer)
    return app


@DOORS
def test_they_stand_around_the_view_from_the_application_inwards(served: bool) -> None:
    with TestClient(application(), served=served) as client:
        for _ in range(2):
            assert client.get("/1").json == {"trace": ["app 1", "app 2", {"id": 1}]}
            assert client.get("/outer/2").json == {"trace": ["app 1", "app 2", "outer", {"id": 2}]}
            found = client.get("/outer/inner/3").json
            assert found == {"trace": ["app 1", "app 2", "outer", "inner", {"id": 3}]}
        assert client.get("/missing").status_code == 404


@DOORS
def test_one_may_answer_itself_change_arguments_and_see_errors(served: bool) -> None:
    app = BustAPI("around")

    @app.get("/<int:id>")
    def view(id: int) -> Any:
        if id == 0:
            raise ZeroDivisionError
        return str(id)

    @app.errorhandler(ZeroDivisionError)
    def handled(error: Any) -> Any:
        return "handled", 418

    @app.before_request
    def before() -> None:
        g.before = True

    @app.middleware
    def around(call_next: Any) -> Any:
        assert g.before
        if "deny" in request.args:
            abort(403)
        if "short" in request.args:
            return "short", 202
        if "twice" in request.args:
            return call_next() + call_next(id=9)
        try:
            return call_next()
        except ZeroDivisionError:
            if "rescue" in request.args:
                return "rescued"
            raise

    with TestClient(app, served=served) as client:
        assert client.get("/5").text == "5"
        assert client.get("/5?deny").status_code == 403
        assert client.get("/5?short").status_code == 202
        assert client.get("/5?twice").text == "59"
        assert client.get("/0?rescue").text == "rescued"
        assert client.get("/0").status_code == 418


@DOORS
def test_plain_and_async_ones_mix(served: bool) -> None:
    app = BustAPI("around")

    @app.get("/plain")
    def plain() -> Any:
        return "plain"

    @app.get("/async")
    async def awaited() -> Any:
        return "async"

    @app.middleware
    def first(call_next: Any) -> Any:
        return call_next()

    @app.middleware
    async def second(call_next: Any) -> Any:
        return f"<{await call_next()}>"

    with TestClient(app, served=served) as client:
        assert client.get("/plain").text == "<plain>"
        assert client.get("/async").text == "<async>"


def test_a_late_one_counts_from_the_next_request_on() -> None:
    app = application()
    with TestClient(app, served=True) as client:
        assert client.get("/1").json["trace"][:2] == ["app 1", "app 2"]
        app.middleware_funcs[None].insert(0, trace("late"))
        assert client.get("/1").json["trace"][:2] == ["late", "app 1"]
        app.view_functions["view"] = lambda id: {"trace": ["other"]}
        assert client.get("/1").json == {"trace": ["late", "app 1", "app 2", "other"]}
        app.middleware_funcs.clear()
        assert client.get("/1").json == {"trace": ["other"]}


@DOORS
def test_a_plain_view_in_an_async_one_runs_where_it_may_block(served: bool) -> None:
    app = BustAPI("around")
    variable: contextvars.ContextVar[list[str]] = contextvars.ContextVar("variable")
    meeting = threading.Barrier(2)

    def guarded(view: Any) -> Any:
        @functools.wraps(view)
        def inner(**values: Any) -> Any:
            return current_app.ensure_sync(view)(**values)

        return inner

    @app.middleware
    async def around(call_next: Any) -> Any:
        variable.set(["around"])
        await asyncio.sleep(0)
        try:
            value = await call_next(name="changed") if "change" in request.args else await call_next()
        except ZeroDivisionError:
            value = {"failed": True}
        value["seen"] = variable.get()
        return value

    @app.get("/plain/<name>")
    def plain(name: str) -> Any:
        with pytest.raises(RuntimeError):
            asyncio.get_running_loop()
        variable.set([*variable.get(), name])
        if name == "divides":
            raise ZeroDivisionError
        return {"ran": asyncio.run(asyncio.sleep(0, "a loop of its own"))}

    @app.get("/meets")
    def meets() -> Any:
        meeting.wait(10)
        return {}

    @app.get("/guarded")
    @guarded
    async def wrapped() -> Any:
        await asyncio.sleep(0)
        return {"path": request.path}

    class Methods(MethodView):
        async def get(self) -> Any:
            await asyncio.sleep(0)
            return {"path": request.path}

    app.add_url_rule("/class", view_func=Methods.as_view("class"))
    with TestClient(app, served=served) as client:
        seen = {"ran": "a loop of its own", "seen": ["around", "x"]}
        assert client.get("/plain/x").json == seen
        assert client.get("/plain/x?change").json == {**seen, "seen": ["around", "changed"]}
        assert client.get("/plain/divides").json == {"failed": True, "seen": ["around", "divides"]}
        for path in ("/guarded", "/class"):
            assert client.get(path).json == {"path": path, "seen": ["around"]}
        if served:
            with ThreadPoolExecutor(2) as clients:
                both = [clients.submit(client.get, "/meets") for _ in range(2)]
                assert [one.result(20).json for one in both] == [{"seen": ["around"]}] * 2
