"""Coroutine functions as views, hooks and error handlers: everything around them happens as with Flask."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any, Callable

import httpx
import pytest

from bustapi.flask._asgi import AsgiApp

from .flask_pair import OURS, REAL, Face, assert_same, get, post

pytest.importorskip("asgiref")  # what Flask runs them with

Prepare = Callable[[Any, Face], None]


def building(prepare: Prepare | None = None) -> Callable[[Face], Any]:
    def build(face: Face) -> Any:
        app = face.Flask(__name__)
        app.secret_key = "key"
        app.logger.disabled = True
        part = face.Blueprint("part", __name__, url_prefix="/part")

        @app.url_value_preprocessor
        def pull(endpoint: str | None, values: dict[str, Any] | None) -> None:
            face.g.seen = [endpoint, sorted(values or ())]

        @app.before_request
        async def early() -> Any:
            await asyncio.sleep(0)
            return "early" if face.request.args.get("early") else None

        @app.after_request
        async def late(response: Any) -> Any:
            await asyncio.sleep(0)
            response.headers["X-Seen"] = repr(face.g.get("seen"))
            if face.request.args.get("late"):
                raise ValueError("late")
            return response

        @app.teardown_request
        async def down(error: BaseException | None) -> None:
            await asyncio.sleep(0)

        @app.route("/", methods=["GET", "POST"])
        async def index() -> Any:
            face.session["n"] = face.session.get("n", 0) + 1
            return {"n": face.session["n"]}

        @app.get("/once/<int:n>")
        async def once(n: int) -> Any:
            @face.after_this_request
            async def mark(response: Any) -> Any:
                response.headers["X-Once"] = str(n)
                return response

            return "once"

        @app.get("/fails")
        async def fails() -> Any:
            raise ZeroDivisionError

        @app.get("/abort")
        async def aborts() -> Any:
            face.abort(face.Response("a response", 409))

        @app.get("/code")
        async def code() -> Any:
            face.abort(410)

        @app.post("/form")
        async def form() -> Any:
            return face.request.form["missing"]

        @app.get("/none")
        async def none() -> Any:
            return None

        @part.errorhandler(LookupError)
        async def handled(error: LookupError) -> Any:
            return f"handled {error}", 418

        @part.get("/lookup")
        async def lookup() -> Any:
            raise LookupError("it")

        app.register_blueprint(part)
        if prepare is not None:
            prepare(app, face)
        return app

    return build


REQUESTS = [
    get("/"), get("/"), get("/?early=1"), get("/", method="HEAD"), get("/", method="OPTIONS"), get("/once/5"), get("/abort"), get("/code"), post("/form", data={"a": "1"}),
    get("/part/lookup"), get("/absent"), post("/once/5"), get("/part"), get("/none?early=1"),
]  # fmt: skip
FAILING = [get("/fails"), get("/none"), get("/?late=1"), get("/fails?late=1")]


def test_the_way_of_a_request() -> None:
    assert_same(building(), *REQUESTS)


def unpropagated(app: Any, face: Face) -> None:
    app.config["PROPAGATE_EXCEPTIONS"] = False


def with_handler(app: Any, face: Face) -> None:
    unpropagated(app, face)

    @app.errorhandler(500)
    async def last(error: Any) -> Any:
        return f"last: {type(error.original_exception).__name__}", 500


def debugging(app: Any, face: Face) -> None:
    unpropagated(app, face)
    app.config["TRAP_BAD_REQUEST_ERRORS"] = False
    app.debug = True


def trapping(app: Any, face: Face) -> None:
    with_handler(app, face)
    app.config["TRAP_BAD_REQUEST_ERRORS"] = True


def trapping_all(app: Any, face: Face) -> None:
    with_handler(app, face)
    app.config["TRAP_HTTP_EXCEPTIONS"] = True


@pytest.mark.parametrize("prepare", [unpropagated, with_handler, debugging, trapping, trapping_all])
def test_the_way_of_a_failure(prepare: Prepare) -> None:
    assert_same(building(prepare), *FAILING, *REQUESTS)


def test_receivers_of_signals_are_told() -> None:
    told: dict[str, list[Any]] = {}
    connected = contextlib.ExitStack()

    def prepare(app: Any, face: Face) -> None:
        notes = told.setdefault(face.flask.__name__, [])
        notes.clear()
        unpropagated(app, face)
        for name in ("request_started", "request_finished", "got_request_exception", "request_tearing_down"):

            def note(sender: Any, _name: str = name, **extra: Any) -> None:
                notes.append((_name, sorted(extra), face.request.path))

            connected.enter_context(getattr(face, name).connected_to(note, app))

    requests = [get("/"), get("/fails"), get("/?early=1"), get("/code")]
    with connected:
        assert_same(building(prepare), *requests)
    assert told["bustapi.flask"] == told["flask"]
    assert ("got_request_exception", ["exception"], "/fails") in told["flask"]


# --- the same through ASGI ------------------------------------------------------------------------------------------


async def through_asgi(app: Any, requests: list[tuple[str, str]]) -> list[Any]:
    transport = httpx.ASGITransport(AsgiApp(app), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        found = [await client.request(method, url) for method, url in requests]
    return [(one.status_code, one.headers.get("X-Seen"), one.content) for one in found]


@pytest.mark.parametrize("prepare", [unpropagated, with_handler])
def test_an_asgi_server_gets_the_same_answers(prepare: Prepare) -> None:
    requests = [
        (request.get("method", "GET"), request["path"])
        for request in (*REQUESTS, *FAILING)
        if "data" not in request
    ]
    app = building(prepare)(REAL)
    expected = []
    for method, url in requests:
        response = app.test_client().open(url, method=method)
        expected.append((response.status_code, response.headers.get("X-Seen"), response.get_data()))
    app = building(prepare)(OURS)
    found = []
    for request in requests:
        found += asyncio.run(through_asgi(app, [request]))
    assert found == expected


def test_a_failure_that_is_propagated_reaches_the_server() -> None:
    app = building(lambda app, face: app.config.update(PROPAGATE_EXCEPTIONS=True))(OURS)

    async def ask() -> None:
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(AsgiApp(app)), base_url="http://localhost"
        ) as client:
            await client.get("/fails")

    with pytest.raises(ZeroDivisionError):
        asyncio.run(ask())


def test_fields_of_an_asgi_request_that_come_twice_are_one() -> None:
    app = OURS.Flask("x")

    @app.get("/")
    async def show() -> Any:
        request = OURS.request
        return {
            "many": request.headers.get("X-Many"),
            "cookies": dict(request.cookies),
            "under": request.headers.get("X-Under-Score"),
        }

    assert repr(AsgiApp(app)) == "<AsgiApp of 'x'>"
    headers = [
        ("X-Many", "a"),
        ("X-Many", "b"),
        ("Cookie", "c=1"),
        ("Cookie", "d=2"),
        ("X_Under_Score", "forged"),
    ]

    async def ask() -> Any:
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(AsgiApp(app)), base_url="http://localhost"
        ) as client:
            return (await client.get("/", headers=headers)).json()

    assert asyncio.run(ask()) == {"many": "a,b", "cookies": {"c": "1", "d": "2"}, "under": None}
