"""Sessions: the interface that opens and saves them, and the default one, a signed cookie."""

from __future__ import annotations

import typing as t
from collections.abc import MutableMapping

from ..kernel.plan import SessionReader
from ..kernel.signing import cookie_signer, timestamp
from ..werkzeug.datastructures import CallbackDict
from .json.provider import DefaultJSONProvider
from .json.tag import TaggedJSONSerializer

if t.TYPE_CHECKING:
    import collections.abc as c
    from datetime import datetime

    from itsdangerous import URLSafeTimedSerializer

    from ..kernel.plan import RequestState
    from ..kernel.signing import CookieSigner
    from .app import Flask
    from .wrappers import Request, Response


class SessionMixin(MutableMapping):  # type: ignore[type-arg]
    """What a session has beyond a dict.

    Compatible with: flask.sessions.SessionMixin (3.1)
    """

    #: Whether the session began with this request.
    new = False
    #: Whether it must be saved; a session that cannot tell says yes.
    modified = True
    #: Whether it was read through the request context; then the response varies with the cookie.
    accessed = False

    @property
    def permanent(self) -> bool:
        """Whether the session outlives the client's window, for the application's session lifetime."""
        return t.cast(bool, self.get("_permanent", False))

    @permanent.setter
    def permanent(self, value: bool) -> None:
        self["_permanent"] = bool(value)


class SecureCookieSession(CallbackDict, SessionMixin):  # type: ignore[type-arg]
    """A session that notices changes of its own entries, not those inside of mutable values.

    Args:
        initial: The first content.
    """

    modified = False

    def __init__(self, initial: c.Mapping[str, t.Any] | None = None) -> None:
        # What the base does, without two calls a request.
        dict.__init__(self, () if initial is None else initial)
        self.on_update = _mark_modified


class NullSession(SecureCookieSession):
    """The session of an application without a secret key: empty, and an error to change."""

    def _fail(self, *args: t.Any, **kwargs: t.Any) -> t.NoReturn:
        raise RuntimeError(
            "The session is unavailable because no secret key was set."
            "  Set the secret_key on the application to something unique and secret."
        )

    __setitem__ = __delitem__ = clear = pop = popitem = update = setdefault = _fail
    del _fail


class SessionInterface:
    """Opens the session of a request and saves it with the response.

    Compatible with: flask.sessions.SessionInterface (3.1)
    """

    #: Made when `open_session` returns None, and never saved.
    null_session_class = NullSession
    #: Whether sessions are pickled, for code that must know.
    pickle_based = False

    def make_null_session(self, app: Flask) -> NullSession:
        """Return the session of a request that has none."""
        return self.null_session_class()

    def is_null_session(self, obj: object) -> bool:
        """Return whether `obj` is a null session."""
        return isinstance(obj, self.null_session_class)

    def get_cookie_name(self, app: Flask) -> str:
        """Return the name of the session cookie."""
        return t.cast(str, app.config["SESSION_COOKIE_NAME"])

    def get_cookie_domain(self, app: Flask) -> str | None:
        """Return the cookie's domain; None for the host that sets it only."""
        return t.cast("str | None", app.config["SESSION_COOKIE_DOMAIN"])

    def get_cookie_path(self, app: Flask) -> str:
        """Return the cookie's path; the application's root if none is configured."""
        return t.cast(str, app.config["SESSION_COOKIE_PATH"] or app.config["APPLICATION_ROOT"])

    def get_cookie_httponly(self, app: Flask) -> bool:
        """Return whether scripts cannot read the cookie."""
        return t.cast(bool, app.config["SESSION_COOKIE_HTTPONLY"])

    def get_cookie_secure(self, app: Flask) -> bool:
        """Return whether the cookie is sent over HTTPS only."""
        return t.cast(bool, app.config["SESSION_COOKIE_SECURE"])

    def get_cookie_samesite(self, app: Flask) -> str | None:
        """Return the cookie's SameSite value: `"Strict"`, `"Lax"` or None."""
        return t.cast("str | None", app.config["SESSION_COOKIE_SAMESITE"])

    def get_cookie_partitioned(self, app: Flask) -> bool:
        """Return whether the cookie is partitioned by top-level site."""
        return t.cast(bool, app.config["SESSION_COOKIE_PARTITIONED"])

    def get_expiration_time(self, app: Flask, session: SessionMixin) -> datetime | None:
        """Return when the cookie expires; None with the client's window."""
        if not session.permanent:
            return None
        from datetime import datetime, timezone

        return datetime.now(timezone.utc) + app.permanent_session_lifetime

    def should_set_cookie(self, app: Flask, session: SessionMixin) -> bool:
        """Return whether the response carries the cookie: after a change, or to move a permanent one's expiry."""
        if session.modified:
            return True
        return session.permanent and t.cast(bool, app.config["SESSION_REFRESH_EACH_REQUEST"])

    def open_session(self, app: Flask, request: Request) -> SessionMixin | None:
        """Return the session of a request; a subclass must define it.

        Args:
            app: The application.
            request: The request.

        Returns:
            The session, or None when there can be none.
        """
        raise NotImplementedError

    def save_session(self, app: Flask, session: SessionMixin, response: Response) -> None:
        """Save a session; a subclass must define it.

        Args:
            app: The application.
            session: The session; never a null session.
            response: The response, to set cookies on.
        """
        raise NotImplementedError


session_json_serializer = TaggedJSONSerializer()


class SecureCookieSessionInterface(SessionInterface):
    """Keeps the session in a signed cookie, which the client can read but not change.

    Compatible with: flask.sessions.SecureCookieSessionInterface (3.1)
    """

    #: Sets the signature apart from others made with the same secret key.
    salt = "cookie-session"
    key_derivation = "hmac"
    #: Writes and reads the session's content.
    serializer = session_json_serializer
    session_class = SecureCookieSession

    @staticmethod
    def digest_method(string: bytes = b"") -> t.Any:
        """Return the hash of the signature; SHA-1 as a keyed hash, for cookies that stay valid."""
        # Looked up on each call: a build of Python without SHA-1 fails only where sessions are used.
        import hashlib

        return hashlib.sha1(string)

    def get_signing_serializer(self, app: Flask) -> URLSafeTimedSerializer | None:
        """Return what signs and checks cookies; None without a secret key.

        Args:
            app: The application; its fallback keys are accepted, its secret key signs.
        """
        secret = app.secret_key
        if not secret:
            return None
        from itsdangerous import URLSafeTimedSerializer

        # The last key signs.
        keys = [*(app.config["SECRET_KEY_FALLBACKS"] or ()), secret]
        return URLSafeTimedSerializer(
            keys,
            salt=self.salt,
            serializer=self.serializer,
            signer_kwargs={"key_derivation": self.key_derivation, "digest_method": self.digest_method},
        )

    def _core_signer(self, app: Flask) -> CookieSigner | None:
        """The core's signer, if it writes what `get_signing_serializer` would; None for one that is the user's."""
        cls = type(self)
        secret = app.secret_key
        if (
            not secret
            or self.__dict__
            or cls.get_signing_serializer is not _GET_SERIALIZER
            or cls.digest_method is not _SHA1
            or cls.serializer is not session_json_serializer
            or cls.key_derivation != "hmac"
        ):
            return None
        return cookie_signer(self.salt, (*(app.config["SECRET_KEY_FALLBACKS"] or ()), secret))

    def _content(self, octets: bytes | None, app: Flask | None = None) -> dict[str, t.Any] | None:
        """What a cookie's verified content says; None for one that the reference has to read.

        Without an application, the running one's provider reads it, for which its context is made.
        """
        if not octets:
            return None
        try:
            if octets[0] == _COMPRESSED:
                import zlib

                octets = zlib.decompress(octets[1:])
            if app is None or type(self.serializer).loads is not _READ_TAGGED:
                return self.serializer.loads(octets.decode())  # type: ignore[no-any-return]
            return self.serializer._read(octets.decode(), app.json.loads)  # type: ignore[no-any-return]
        except Exception:
            # It is signed all the same: the long way says what is wrong with it.
            return None

    def _open_received(self, app: Flask, state: RequestState) -> SessionMixin | None:
        """`open_session` of a request that the server holds, which need not be made for it."""
        signer = self._core_signer(app)
        if signer is not None and type(self).get_cookie_name is SessionInterface.get_cookie_name:
            max_age = int(app.permanent_session_lifetime.total_seconds())
            octets = state.session_content(signer, timestamp(), max_age)
            if octets is None:
                return self.session_class()
            content = self._content(octets, app)
            if content is not None:
                return self.session_class(content)
        return self.open_session(app, state.request)

    def _core_reader(self, app: Flask) -> SessionReader | None:
        """What the core opens the application's sessions with, where all that takes part is the stock one."""
        from .app import Flask
        from .config import Config

        signer, owner, tagged = self._core_signer(app), type(app), session_json_serializer
        if (
            signer is None
            or type(app.config) is not Config
            # A list may change without being assigned.
            or app.config["SECRET_KEY_FALLBACKS"] is not None
            or any(getattr(owner, name) is not getattr(Flask, name) for name in _READ_OF_APP)
            or getattr(app.json.loads, "__func__", None) is not _PLAIN_LOADS
            or type(tagged) is not TaggedJSONSerializer
            or TaggedJSONSerializer.loads is not _READ_TAGGED
            or tagged._spaced != len(tagged.tags)
            or any(getattr(SecureCookieSession, name) is not method for name, method in _MAKING.items())
        ):
            return None
        max_age = int(app.permanent_session_lifetime.total_seconds())
        return SessionReader(signer, max_age, SecureCookieSession, _mark_modified, tagged, len(tagged.tags))

    def open_session(self, app: Flask, request: Request) -> SecureCookieSession | None:
        """Return the session in the request's cookie, an empty one if it is missing or not ours.

        Args:
            app: The application.
            request: The request.
        """
        serializer = self.get_signing_serializer(app)
        if serializer is None:
            return None
        text = request.cookies.get(self.get_cookie_name(app))
        if not text:
            return self.session_class()
        from itsdangerous import BadSignature

        max_age = int(app.permanent_session_lifetime.total_seconds())
        try:
            return self.session_class(serializer.loads(text, max_age=max_age))
        except BadSignature:
            return self.session_class()

    def save_session(self, app: Flask, session: SessionMixin, response: Response) -> None:
        """Set, refresh or delete the cookie where the session asks for it.

        Args:
            app: The application.
            session: The session.
            response: The response.
        """
        if session.accessed:
            _vary_by_cookie(response)
        empty = not session
        if not (session.modified if empty else self.should_set_cookie(app, session)):
            return
        name = self.get_cookie_name(app)
        options: dict[str, t.Any] = {
            "domain": self.get_cookie_domain(app),
            "path": self.get_cookie_path(app),
            "secure": self.get_cookie_secure(app),
            "partitioned": self.get_cookie_partitioned(app),
            "samesite": self.get_cookie_samesite(app),
            "httponly": self.get_cookie_httponly(app),
        }
        if empty:
            response.delete_cookie(name, **options)
        else:
            value = self._signed(app, dict(session))
            response.set_cookie(name, value, expires=self.get_expiration_time(app, session), **options)
        _vary_by_cookie(response)

    def _signed(self, app: Flask, content: dict[str, t.Any]) -> str:
        signer = self._core_signer(app)
        if signer is None:
            serializer = self.get_signing_serializer(app)
            assert serializer is not None, "only a null session has no secret key, and it is never saved"
            return serializer.dumps(content)
        import zlib

        octets = self.serializer.dumps(content).encode()
        compressed = zlib.compress(octets)
        if len(compressed) < len(octets) - 1:
            octets = bytes((_COMPRESSED,)) + compressed
        return signer.sign(octets, timestamp())


_GET_SERIALIZER = SecureCookieSessionInterface.get_signing_serializer
_SHA1 = SecureCookieSessionInterface.digest_method
_COMPRESSED = ord(".")
_READ_OF_APP = ("secret_key", "permanent_session_lifetime")
_PLAIN_LOADS = DefaultJSONProvider.loads
_READ_TAGGED = TaggedJSONSerializer.loads
_MAKING = {name: getattr(SecureCookieSession, name) for name in ("__init__", "__new__", "__setattr__")}


def read_by_core(cls: type) -> c.Iterator[tuple[type, str]]:
    """Yield the methods and attributes that what the core reads sessions with depends on.

    Args:
        cls: The class of the interface.
    """
    from itsdangerous import TimestampSigner

    for name in ("salt", "key_derivation", "digest_method", "serializer", "get_signing_serializer"):
        yield cls, name
    for name in _MAKING:
        yield SecureCookieSession, name
    yield TaggedJSONSerializer, "loads"
    yield DefaultJSONProvider, "loads"
    yield TimestampSigner, "get_timestamp"


def _vary_by_cookie(response: Response) -> None:
    headers = response.headers
    if "Vary" in headers:
        response.vary.add("Cookie")
    else:
        headers["Vary"] = "Cookie"


def _mark_modified(session: t.Any) -> None:
    session.modified = True
