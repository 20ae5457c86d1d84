"""What keeps a route off the fast path is named, with the function that is the cause."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Callable

import pytest

from bustapi import BustAPI
from bustapi.flask import Response, request_started, wrappers
from bustapi.flask._native import explaining
from bustapi.flask.ctx import AppContext, RequestContext
from bustapi.flask.sessions import SecureCookieSessionInterface


def make() -> BustAPI:
    app = BustAPI("explained")

    @app.get("/")
    def index() -> str:
        return ""

    @app.websocket("/socket")
    def socket(ws: Any) -> None:
        return None

    return app


def way(app: BustAPI, rule: str = "/") -> explaining.Way:
    return explaining.explain(app, next(one for one in app.url_map.iter_rules() if one.rule == rule))


class Sessions(SecureCookieSessionInterface):
    def open_session(self, app: Any, request: Any) -> Any:
        return super().open_session(app, request)


class Asked(wrappers.Request):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)


class Answered(Response):
    def set_data(self, value: Any) -> None:
        super().set_data(value)


def handle(error: Any) -> Any:
    return "", 500


def dispatch() -> Any:
    return ""


def wrapped(environ: Any, start_response: Any) -> Any:
    return []


def down(error: Any) -> None:
    return None


CAUSES: dict[str, tuple[Callable[[BustAPI], Any], str, Any]] = {
    "session": (lambda app: setattr(app, "session_interface", Sessions()), "session_interface is a {}.Sessions", Sessions.open_session),
    "request": (lambda app: setattr(app, "request_class", Asked), "request_class is {}.Asked", Asked.__init__),
    "response": (
        lambda app: (setattr(app, "response_class", Answered), app.teardown_appcontext(down)),
        "response_class is {}.Answered",
        Answered.set_data,
    ),
    "hosts": (lambda app: app.config.update(TRUSTED_HOSTS=["localhost"]), "TRUSTED_HOSTS is set", None),
    "teardown": (lambda app: app.teardown_appcontext(down), "teardown_appcontext down", down),
    "step": (lambda app: setattr(app, "dispatch_request", dispatch), "dispatch_request is replaced on the application", dispatch),
    "wsgi": (lambda app: setattr(app, "wsgi_app", wrapped), "wsgi_app is replaced on the application", wrapped),
}  # fmt: skip


@pytest.mark.parametrize("name", CAUSES)
def test_a_cause_is_named(name: str) -> None:
    change, text, function = CAUSES[name]
    app = make()
    assert way(app).verdict == "native"
    change(app)
    found = way(app)
    assert found.verdict == "pipeline"
    reasons = {reason.text: reason for reason in found.reasons}
    wanted = text.format(__name__)
    assert wanted in reasons
    if function is not None:
        assert reasons[wanted].function is function
        assert reasons[wanted].place[0] == __file__


def test_an_overridden_method_is_named_by_its_class() -> None:
    class Own(BustAPI):
        def full_dispatch_request(self) -> Any:
            return super().full_dispatch_request()

    app = Own("explained")
    app.add_url_rule("/", view_func=lambda: "", endpoint="index")
    assert "Own.full_dispatch_request overrides Flask's" in [reason.text for reason in way(app).reasons]


@pytest.fixture
def receiver() -> Iterator[Callable[..., None]]:
    def started(sender: Any, **extra: Any) -> None:
        return None

    yield started
    request_started.disconnect(started)


@pytest.mark.parametrize("weak", [True, False])
def test_receivers_of_signals_are_counted(receiver: Callable[..., None], weak: bool) -> None:
    app = make()
    request_started.connect(receiver, weak=weak)
    reasons = {reason.text: reason.function for reason in way(app).reasons}
    assert reasons == {"the signal request-started has 1 receiver(s)": receiver}


@pytest.mark.parametrize("cls", [AppContext, RequestContext])
def test_a_replaced_context_is_named(cls: type, monkeypatch: pytest.MonkeyPatch) -> None:
    stock = cls.push  # type: ignore[attr-defined]

    def push(self: Any, *args: Any) -> Any:
        return stock(self, *args)

    monkeypatch.setattr(cls, "push", push)
    found = way(make())
    assert found.verdict == "pipeline"
    assert [reason.text for reason in found.reasons] == [f"{cls.__qualname__}.push is replaced"]


def test_a_socket_goes_through_the_pipeline_and_needs_the_server_itself() -> None:
    app = make()
    assert way(app, "/socket").verdict == "pipeline"
    app.wsgi_app = wrapped  # type: ignore[method-assign]
    found = way(app, "/socket")
    assert found.verdict == "unsupported"
    assert [reason.text for reason in found.reasons] == ["wsgi_app is replaced on the application"]
