"""Session cookies: what the core signs and reads is what itsdangerous does, and the rest is left to it."""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import uuid
from typing import Any
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from itsdangerous import URLSafeTimedSerializer

from bustapi.flask.json.tag import TaggedJSONSerializer
from bustapi.flask.sessions import SecureCookieSessionInterface
from bustapi.kernel.signing import cookie_signer
from bustapi.testing import TestClient

from .flask_pair import NOW, OURS, REAL, Face, assert_same, get, post

DAY = 86_400


def serializer(*keys: Any, salt: str = "cookie-session") -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(
        list(keys),
        salt=salt,
        serializer=TaggedJSONSerializer(),
        signer_kwargs={"key_derivation": "hmac", "digest_method": hashlib.sha1},
    )


def signed(content: Any, *keys: str, age: int = 0, **options: Any) -> str:
    with at(NOW - age):
        return str(serializer(*(keys or ("key",)), **options).dumps(content))


def at(time: int) -> Any:
    return mock.patch("itsdangerous.timed.TimestampSigner.get_timestamp", return_value=time)


keys = st.one_of(st.text(max_size=90).filter(lambda key: key.isascii() or key.isprintable()), st.binary())
contents = st.dictionaries(
    st.text(max_size=8),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=20) | st.binary(max_size=9),
        lambda inner: (
            st.lists(inner, max_size=3) | st.tuples(inner) | st.dictionaries(st.text(max_size=3), inner)
        ),
        max_leaves=6,
    ),
    max_size=5,
)


def is_encodable(value: Any) -> bool:
    try:
        str(value).encode()
    except UnicodeEncodeError:
        return False
    return True


@settings(max_examples=300, deadline=None)
@given(st.lists(keys.filter(is_encodable), min_size=1, max_size=3), contents, st.integers(0, 250_000_000_000))
def test_the_core_signs_what_itsdangerous_signs(secrets: list[Any], content: Any, time: int) -> None:
    reference = serializer(*secrets)
    app = OURS.Flask("x")
    app.secret_key = secrets[-1]
    app.config["SECRET_KEY_FALLBACKS"] = secrets[:-1]
    interface = SecureCookieSessionInterface()
    with at(time):
        if not secrets[-1]:
            assert interface._core_signer(app) is None
            return
        text = reference.dumps(content)
        assert interface._signed(app, content) == text
        signer = interface._core_signer(app)
        assert signer is not None
        octets = signer.verify(text, time, 0)
        assert octets is not None
        assert interface._content(octets) == reference.loads(text)
        assert signer.verify(text, time + 1, 0) is None
        if secrets[0]:
            old = serializer(secrets[0]).dumps(content)
            assert signer.verify(old, time, 0) is not None


@given(st.text(max_size=60))
def test_the_core_knows_no_text_that_nobody_signed(text: str) -> None:
    assert cookie_signer("salt", ("key",)).verify(text, NOW, 1 << 40) is None


def build(face: Face) -> Any:
    app = face.Flask("sessions")
    app.secret_key = "key"
    app.config["SECRET_KEY_FALLBACKS"] = ["old", "older"]

    @app.get("/read")
    def read() -> Any:
        return {"session": repr(sorted(face.session.items(), key=str)), "new": face.session.new}

    @app.get("/untouched")
    def untouched() -> Any:
        return {"ok": True}

    @app.get("/status")
    def status() -> Any:
        face.session.get("a")
        return "text", 201

    @app.get("/object")
    def an_object() -> Any:
        face.session.get("a")
        response = face.make_response("x")
        response.headers["Vary"] = "Accept"
        return response

    @app.post("/write")
    def write() -> Any:
        for key, value in face.request.form.items():
            face.session[key] = value
        return dict(face.session)

    @app.post("/many")
    def many() -> Any:
        face.session["text"] = "so long that it is compressed " * 20
        face.session["tuple"] = (1, "a", b"\x00")
        face.session["when"] = datetime.datetime(2024, 2, 29, tzinfo=datetime.timezone.utc)
        face.session["id"] = uuid.UUID(int=7)
        return ""

    @app.post("/nested")
    def nested() -> Any:
        face.session.setdefault("list", []).append(1)
        return ""

    @app.post("/permanent")
    def permanent() -> Any:
        face.session.permanent = True
        return ""

    @app.post("/clear")
    def clear() -> Any:
        face.session.clear()
        return ""

    @app.post("/late")
    def late() -> Any:
        @face.after_this_request
        def change(response: Any) -> Any:
            face.session["late"] = 1
            return response

        return {}

    @app.get("/broken")
    def broken() -> Any:
        face.session["a"] = 1
        raise ZeroDivisionError

    return app


def with_hooks(face: Face) -> Any:
    app = build(face)

    @app.before_request
    def before() -> None:
        face.g.seen = face.session.get("user") if face.request.args.get("early") else None

    @app.after_request
    def after(response: Any) -> Any:
        if face.request.args.get("after"):
            face.session["after"] = "x"
        return response

    return app


COOKIES = {
    "none": "",
    "valid": f"session={signed({'user': 1, 'name': 'x'})}",
    "tagged": f"session={signed({'t': (1, b'x'), 'd': {' t': 1}, 'u': uuid.UUID(int=3), ' b': 1})}",
    "text": f"session={signed({'ü': 'ü €', 'q': chr(34) + ' '})}",
    "compressed": f"session={signed({'text': 'abc' * 200})}",
    "old key": f"session={signed({'user': 2}, 'old')}",
    "older key": f"session={signed({'user': 2}, 'older')}",
    "wrong key": f"session={signed({'user': 2}, 'wrong')}",
    "wrong salt": f"session={signed({'user': 2}, salt='other')}",
    "permanent": f"session={signed({'user': 3, '_permanent': True})}",
    "not permanent": f"session={signed({'user': 3, '_permanent': False})}",
    "expired": f"session={signed({'user': 4}, age=32 * DAY)}",
    "at the limit": f"session={signed({'user': 4}, age=31 * DAY)}",
    "of the future": f"session={signed({'user': 4}, age=-5)}",
    "changed": f"session={signed({'user': 1})[:-2]}xx",
    "cut": f"session={signed({'user': 1})[:20]}",
    "empty": "session=",
    "quoted": f'session="{signed({"user": 1})}"',
    "padded": f"session={signed({'user': 1})}=",
    "spaces": f"a=b;  session = {signed({'user': 1})} ; c=d",
    "twice": f"session={signed({'user': 1})}; session={signed({'user': 2})}",
    "name within": f"my-session={signed({'user': 1})}; sessions=x",
    "junk": "session=.eJy.ZVPxAA.x; =; ;",
    "empty session": f"session={signed({})}",
}


@pytest.mark.parametrize("app", [build, with_hooks])
@pytest.mark.parametrize("cookie", COOKIES, ids=str)
def test_a_cookie_means_what_it_means_to_flask(app: Any, cookie: str) -> None:
    headers = {"Cookie": COOKIES[cookie]} if COOKIES[cookie] else {}
    requests = [get(path, headers=headers) for path in ("/read", "/untouched", "/status", "/object")]
    requests += [
        get("/read", query_string=query, headers=headers)
        for query in ("early=1", "after=1", "early=1&after=1")
    ]
    requests += [
        post("/write", data={"a": "b"}, headers=headers),
        *[post(path, headers=headers) for path in ("/many", "/nested", "/permanent", "/clear", "/late")],
        get("/broken", headers=headers),
    ]
    assert_same(app, *requests, use_cookies=False)


def test_a_session_lives_on_as_in_flask() -> None:
    for app in (build, with_hooks):
        assert_same(
            app,
            post("/write", data={"user": "x"}),
            get("/read"),
            get("/untouched"),
            post("/permanent"),
            get("/untouched"),
            get("/read"),
            post("/many"),
            get("/read"),
            post("/nested"),
            post("/nested"),
            get("/read"),
            post("/clear"),
            get("/read"),
        )


def changed(name: str) -> Any:
    def build_changed(face: Face) -> Any:
        app = build(face)
        sessions = face.flask_module("sessions")

        if name == "no key":
            app.secret_key = None
        elif name == "salt":
            app.session_interface = type("Own", (sessions.SecureCookieSessionInterface,), {"salt": "other"})()
        elif name == "digest":
            own = {"digest_method": staticmethod(hashlib.sha256)}
            app.session_interface = type("Own", (sessions.SecureCookieSessionInterface,), own)()
        elif name == "derivation":
            own_derivation = {"key_derivation": "django-concat"}
            app.session_interface = type("Own", (sessions.SecureCookieSessionInterface,), own_derivation)()
        elif name == "serializer":
            app.session_interface = sessions.SecureCookieSessionInterface()
            app.session_interface.serializer = serializer("inner")
        elif name == "class":
            cls = type("Session", (sessions.SecureCookieSession,), {"accessed": True})
            app.session_interface = type(
                "Own", (sessions.SecureCookieSessionInterface,), {"session_class": cls}
            )()
        elif name == "name":
            app.config["SESSION_COOKIE_NAME"] = "own"
        elif name == "no refresh":
            app.config["SESSION_REFRESH_EACH_REQUEST"] = False
        elif name == "lifetime":
            app.permanent_session_lifetime = datetime.timedelta(seconds=-1)
        elif name == "attributes":
            app.config.update(
                SESSION_COOKIE_DOMAIN="localhost",
                SESSION_COOKIE_PATH="/read",
                SESSION_COOKIE_SECURE=True,
                SESSION_COOKIE_HTTPONLY=False,
                SESSION_COOKIE_SAMESITE="Lax",
                SESSION_COOKIE_PARTITIONED=True,
            )
        elif name == "opened by another":
            cls = sessions.SecureCookieSessionInterface

            class Own(cls):  # type: ignore[misc, valid-type]
                def open_session(self, app: Any, request: Any) -> Any:
                    opened = super().open_session(app, request)
                    opened["path"] = request.path
                    return opened

            app.session_interface = Own()
        return app

    return build_changed


@pytest.mark.parametrize(
    "name",
    [
        "no key",
        "salt",
        "digest",
        "derivation",
        "serializer",
        "class",
        "name",
        "no refresh",
        "lifetime",
        "attributes",
        "opened by another",
    ],
)
def test_what_an_application_changes_counts(name: str) -> None:
    requests = []
    for cookie in ("none", "valid", "permanent", "wrong key", "wrong salt", "tagged"):
        headers = {"Cookie": COOKIES[cookie].replace("session=", "own=" if name == "name" else "session=")}
        requests += [get(path, headers=headers) for path in ("/read", "/untouched")]
        if name != "no key":
            requests.append(post("/write", data={"a": "b"}, headers=headers))
    assert_same(changed(name), *requests, use_cookies=False)


def append_fallback(app: Any, face: Face) -> None:
    app.config["SECRET_KEY_FALLBACKS"].append("key")


def other_provider(app: Any, face: Face) -> None:
    class Provider(face.flask_module("json.provider").DefaultJSONProvider):  # type: ignore[misc]
        def loads(self, s: Any, **options: Any) -> Any:
            return {"user": "of the provider"}

    app.json = Provider(app)


def other_loads(app: Any, face: Face) -> None:
    app.json.loads = lambda s, **options: {"user": "of the instance"}


def other_salt(app: Any, face: Face) -> None:
    class Interface(face.flask_module("sessions").SecureCookieSessionInterface):  # type: ignore[misc]
        salt = "other"

    app.session_interface = Interface()


def patched(name: str, value: Any) -> Any:
    def change(app: Any, face: Face) -> Any:
        return mock.patch.object(face.flask_module("sessions").SecureCookieSessionInterface, name, value)

    return change


def patched_loads(module: str, cls: str) -> Any:
    def change(app: Any, face: Face) -> Any:
        found = getattr(face.flask_module(module), cls)
        return mock.patch.object(found, "loads", return_value={"user": "patched"})

    return change


def keys_of(secret: str, *fallbacks: str) -> Any:
    def change(app: Any, face: Face) -> None:
        app.config.update(SECRET_KEY=secret, SECRET_KEY_FALLBACKS=list(fallbacks))

    return change


@pytest.mark.parametrize(
    "changes",
    [
        [lambda app, face: setattr(app, "secret_key", "other")],
        [lambda app, face: setattr(app, "secret_key", None)],
        [keys_of("other"), append_fallback],
        [keys_of("other", "key"), keys_of("other")],
        [lambda app, face: setattr(app, "permanent_session_lifetime", datetime.timedelta(seconds=-1))],
        [lambda app, face: setattr(app, "config", type(app.config)("", {**app.config, "SECRET_KEY": "x"}))],
        [other_salt],
        [other_provider],
        [other_loads],
        [patched("salt", "other")],
        [patched("key_derivation", "concat")],
        [patched("get_cookie_name", lambda self, app: "elsewhere")],
        [patched_loads("json.tag", "TaggedJSONSerializer")],
        [patched_loads("json.provider", "DefaultJSONProvider")],
    ],
)
def test_what_sessions_are_read_with_may_change_at_any_time(changes: list[Any]) -> None:
    def walk(face: Face, client_of: Any) -> list[Any]:
        app = face.Flask("changing")
        app.secret_key = "key"

        @app.get("/login")
        def login() -> Any:
            face.session["user"] = "me"
            return "in"

        @app.get("/who")
        def who() -> Any:
            return {"user": face.session.get("user"), "new": face.session.new}

        with contextlib.ExitStack() as undo, client_of(app) as client:
            client.get("/login")
            seen = [client.get("/who").json, client.get("/who").json]
            for change in changes:
                context = change(app, face)
                if context is not None:
                    undo.enter_context(context)
                # Not through the client's own reading, which is patched as well.
                seen += [client.get("/who").data, client.get("/who").data]
            return seen

    expected = walk(REAL, lambda app: app.test_client())
    assert expected[0] == {"user": "me", "new": False}
    assert walk(OURS, lambda app: TestClient(app, served=True)) == expected
