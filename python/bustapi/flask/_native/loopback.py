"""The test client's way to its application: through the server's engine, router and plans, without a socket.

A request that a client could send over a connection goes in as its bytes and runs in a copy of the caller's context,
on the caller's thread; what nothing handles is raised. Whatever else a test asks of its application goes through its
WSGI interface: an application within middleware, one whose context is pushed already, an environment that no bytes
would lead to.
"""

from __future__ import annotations

import ipaddress
import re
import typing as t
from contextvars import copy_context
from urllib.parse import quote

from ..._core import Loopback
from ..globals import _cv_app
from .planning import is_served_natively

if t.TYPE_CHECKING:
    from collections.abc import Iterator
    from contextvars import Context

    from _typeshed.wsgi import StartResponse, WSGIEnvironment

    from ..._core import RequestState
    from ..app import Flask

#: What stands unquoted in a path, the rest of RFC 3986 3.3 and of what clients leave alone.
_SAFE = "/:@!$&'()*+,;=~-._"
_METHOD = re.compile(r"[A-Z]{1,20}")
_FIELD = re.compile(r"HTTP_[A-Z0-9_]+")
_VALUE = re.compile(r"[^\x00-\x08\x0a-\x1f\x7f]*")
_QUERY = re.compile(r"[!-~]*")
#: Fields that are the connection's business, or that would not mean what the environment says.
_NOT_SENT = frozenset(
    {
        "HTTP_CONNECTION",
        "HTTP_CONTENT_LENGTH",
        "HTTP_CONTENT_TYPE",
        "HTTP_EXPECT",
        "HTTP_TRANSFER_ENCODING",
        "HTTP_UPGRADE",
    }
)
#: A longer body is not copied: it goes through WSGI, in bytes.
_MOST = 16 * 1024 * 1024
_PRESERVE = "werkzeug.debug.preserve_context"


class Door:
    """An application as a WSGI application whose requests go through the server's core where they can.

    Args:
        app: The application.
    """

    def __init__(self, app: Flask) -> None:
        self.app = app
        self._loopback = Loopback(app)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> t.Iterable[bytes]:
        """Answer a request; see PEP 3333."""
        app = self.app
        sent = None
        if _cv_app.get(None) is None and "wsgi_app" not in vars(app) and is_served_natively(app):
            sent = _as_sent(environ)
        if sent is None:
            return app(environ, start_response)
        if not app._got_first_request:
            app._got_first_request = True
        # Whoever asks for an environment gets this one, as the request was made: without a request object of its own.
        environ.pop("werkzeug.request", None)
        preserve = environ.get(_PRESERVE)
        context = copy_context()
        answer = context.run(
            self._loopback.exchange,
            *sent,
            environ=environ,
            client=environ.get("REMOTE_ADDR"),
            server=(environ["SERVER_NAME"], int(environ["SERVER_PORT"])),
            is_secure=environ["wsgi.url_scheme"] == "https",
            finish=None if preserve is None else _keeper(preserve),
        )
        if answer is None:
            return app(environ, start_response)
        status, reason, headers, body, pieces = answer
        start_response(f"{status} {reason}", headers)
        return [body] if pieces is None else _Pieces(context, pieces)


def _as_sent(environ: WSGIEnvironment) -> tuple[bytes, bytes] | None:
    """Return head and body of the request as a client would send them; None if that is not all there is to it."""
    method, path, query = (environ.get(key, "") for key in ("REQUEST_METHOD", "PATH_INFO", "QUERY_STRING"))
    if (
        environ.get("SCRIPT_NAME")
        or environ.get("SERVER_PROTOCOL") != "HTTP/1.1"
        or environ.get("wsgi.url_scheme") not in ("http", "https")
        or not {"HTTP_HOST", "SERVER_NAME", "wsgi.input"} <= environ.keys()
        or "wsgi.input_terminated" in environ
        or not _METHOD.fullmatch(method)
        or method == "CONNECT"
        or not path.startswith("/")
        or not _QUERY.fullmatch(query)
        or not str(environ.get("SERVER_PORT", "")).isdecimal()
        or not 0 <= int(environ["SERVER_PORT"]) <= 65535
        or not _is_address(environ.get("REMOTE_ADDR"))
        or not _NOT_SENT.isdisjoint(environ)
    ):
        return None
    target = quote(path.encode("latin-1"), safe=_SAFE)
    lines = [f"{method} {target}?{query} HTTP/1.1" if query else f"{method} {target} HTTP/1.1"]
    for key, value in environ.items():
        if key in ("CONTENT_TYPE", "CONTENT_LENGTH"):
            name = key
        elif key.startswith("HTTP_"):
            name = key[5:]
            if not _FIELD.fullmatch(key):
                return None
        else:
            continue
        if value == "" and name is key:
            continue
        # The engine takes off what is around a value.
        if type(value) is not str or not _VALUE.fullmatch(value) or value.strip(" \t") != value:
            return None
        lines.append(f"{name.replace('_', '-').title()}: {value}")
    body = _body(environ)
    if body is None:
        return None
    try:
        return "\r\n".join([*lines, "", ""]).encode("latin-1"), body
    except UnicodeEncodeError:
        return None


def _body(environ: WSGIEnvironment) -> bytes | None:
    """Read the request's body, if it can be read again and has the length that the environment says."""
    stream, length = environ["wsgi.input"], environ.get("CONTENT_LENGTH") or "0"
    seekable = getattr(stream, "seekable", None)
    if seekable is None or not seekable() or not length.isdecimal() or int(length) > _MOST:
        return None
    start = stream.tell()
    body: bytes = stream.read(int(length) + 1)
    stream.seek(start)
    return body if len(body) == int(length) else None


def _is_address(text: str | None) -> bool:
    if text is None:
        return True
    try:
        return str(ipaddress.ip_address(text)) == text
    except ValueError:
        return False


def _keeper(preserve: t.Callable[[t.Any], object]) -> t.Callable[[RequestState], None]:
    """Return what hands the contexts of a request that is over to who asked for them."""

    def keep(state: RequestState) -> None:
        for context in (state.app_context, state.request_context):
            # One that is made only now was never entered.
            context.leave()
            preserve(context)

    return keep


class _Pieces:
    """A body that is generated, in the context of its request."""

    def __init__(self, context: Context, pieces: Iterator[bytes]) -> None:
        self._context = context
        self._pieces = pieces

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        return self._context.run(next, self._pieces)

    def close(self) -> None:
        """Close it."""
        close = getattr(self._pieces, "close", None)
        if close is not None:
            self._context.run(close)
