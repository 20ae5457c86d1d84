"""Sessions that the server opens itself, and what has it leave that to the application."""

from __future__ import annotations

import datetime
import time
from collections.abc import Iterator
from typing import Any

import pytest

from bustapi import BustAPI, session
from bustapi.flask import sessions
from bustapi.flask.json.tag import JSONTag
from bustapi.flask.sessions import SecureCookieSession, SecureCookieSessionInterface
from bustapi.testing import TestClient


class Site:
    def __init__(self) -> None:
        self.opened = 0
        self.app = app = BustAPI(__name__)
        app.secret_key = "first"

        @app.get("/login")
        def login() -> dict[str, Any]:
            session.update(user=7, tags=["a", "b"])
            return {}

        @app.get("/moment")
        def moment() -> dict[str, Any]:
            session["moment"] = datetime.datetime(2026, 1, 2, tzinfo=datetime.timezone.utc)
            return {}

        @app.get("/read")
        def read() -> dict[str, Any]:
            return {
                "user": session.get("user"),
                "moment": str(session.get("moment")),
                "class": type(session._get_current_object()).__name__,
            }  # type: ignore[attr-defined]


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Site:
    site = Site()
    known = SecureCookieSessionInterface._open_received

    def counted(self: Any, *args: Any) -> Any:
        site.opened += 1
        return known(self, *args)

    monkeypatch.setattr(SecureCookieSessionInterface, "_open_received", counted)
    return site


@pytest.fixture
def client(site: Site) -> Iterator[TestClient]:
    with TestClient(site.app, served=True) as client:
        client.get("/login")
        site.opened = 0
        yield client


def user(client: TestClient) -> Any:
    return client.get("/read").json["user"]


def test_a_plain_session_is_opened_by_the_server(site: Site, client: TestClient) -> None:
    answer = client.get("/read")
    assert answer.json == {"user": 7, "moment": "None", "class": "SecureCookieSession"}
    assert answer.headers["Vary"] == "Cookie"
    assert "Set-Cookie" not in answer.headers
    assert site.opened == 0


def test_without_a_cookie_it_is_empty(site: Site) -> None:
    with TestClient(site.app, served=True) as client:
        assert user(client) is None
        assert site.opened == 0


def test_tagged_values_are_read_by_the_application(site: Site, client: TestClient) -> None:
    client.get("/moment")
    site.opened = 0
    assert client.get("/read").json["moment"] == "2026-01-02 00:00:00+00:00"
    assert site.opened == 1


@pytest.mark.parametrize("value", ["", "x", "a.b.c", "eyJ1c2VyIjo3fQ.aaaaaa.AAAA"])
def test_what_is_not_valid_is_looked_at_by_the_application(site: Site, value: str) -> None:
    with TestClient(site.app, served=True, use_cookies=False) as client:
        answer = client.get("/read", headers={"Cookie": f"session={value}"})
        assert answer.json["user"] is None
        assert site.opened == 1


def test_keys_hold_from_the_next_request_on(site: Site, client: TestClient) -> None:
    assert user(client) == 7
    site.app.secret_key = "second"
    assert user(client) is None
    site.app.config["SECRET_KEY_FALLBACKS"] = ["first"]
    assert user(client) == 7
    site.app.config["SECRET_KEY_FALLBACKS"] = None
    assert user(client) is None


def test_the_clock_is_the_one_that_tests_replace(
    client: TestClient, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + 40 * 24 * 3600)
    assert user(client) is None
    monkeypatch.setattr(time, "time", real)
    assert user(client) == 7
    site.app.permanent_session_lifetime = datetime.timedelta(seconds=0)
    monkeypatch.setattr(time, "time", lambda: real() + 5)
    assert user(client) is None


def test_a_changed_part_is_seen(site: Site, client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    assert user(client) == 7
    assert site.opened == 0

    def doubled(self: Any, initial: Any = None) -> None:
        dict.__init__(self, initial or {})
        self.on_update = None
        if "user" in self:
            dict.__setitem__(self, "user", 2 * self["user"])

    with monkeypatch.context() as patch:
        patch.setattr(SecureCookieSession, "__init__", doubled)
        assert user(client) == 14
    assert user(client) == 7
    with monkeypatch.context() as patch:
        patch.setattr(SecureCookieSessionInterface, "salt", "other")
        assert user(client) is None
    assert user(client) == 7


def test_a_tag_of_ones_own_is_seen(site: Site, client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    class Never(JSONTag):
        key = " never"

        def check(self, value: Any) -> bool:
            return False

    serializer = sessions.session_json_serializer
    monkeypatch.setattr(serializer, "tags", dict(serializer.tags))
    monkeypatch.setattr(serializer, "order", list(serializer.order))
    monkeypatch.setattr(serializer, "_spaced", serializer._spaced)
    assert user(client) == 7
    serializer.register(Never)
    assert site.opened == 0
    assert user(client) == 7
    assert site.opened == 1


def test_an_interface_of_ones_own_opens_its_sessions(site: Site, client: TestClient) -> None:
    class Interface(SecureCookieSessionInterface):
        def open_session(self, app: Any, request: Any) -> Any:
            opened = super().open_session(app, request)
            if opened is not None:
                dict.__setitem__(opened, "user", "mine")
            return opened

    site.app.session_interface = Interface()
    assert user(client) == "mine"
