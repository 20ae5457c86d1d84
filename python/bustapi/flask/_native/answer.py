"""Responses as the server reads them, and the log of what could not be answered."""

from __future__ import annotations

import typing as t

from ...kernel.context import Frame, current
from ...kernel.pieces import AsyncPieces
from ...kernel.plan import Rendered, place
from ...kernel.wsgi import call, split_status
from ...werkzeug.wrappers import Response as BaseResponse
from .._events import EventStream

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from ...kernel.plan import RequestState
    from ..app import Flask

#: What a response class must not have changed to be read by its attributes.
READ_BY = ("__call__", "get_wsgi_response", "get_wsgi_headers", "get_app_iter", "iter_encoded", "close")
_STOCK = {name: getattr(BaseResponse, name) for name in READ_BY}


def is_stock_response(cls: type) -> bool:
    """Return whether responses of this class can be read by their attributes."""
    return issubclass(cls, BaseResponse) and all(
        getattr(cls, name) is method for name, method in _STOCK.items()
    )


def render(app: Flask, state: RequestState, response: t.Any) -> Rendered:
    """Read a response: by its attributes where that is all there is to it, else as a WSGI application."""
    if not is_stock_response(type(response)):
        return call(response, state.environ())
    status, reason = split_status(response.status)
    headers = response.headers
    if status in (204, 304) or "Location" in headers or "Content-Location" in headers:
        # Fields are removed, or completed with parts of the request.
        headers = response.get_wsgi_headers(state.environ())
    is_whole = response.is_sequence
    if is_whole and response._on_close:
        # Sent as what is generated is, with its length for a HEAD's client to see.
        headers = response.get_wsgi_headers(state.environ())
    elif is_whole:
        # No length either: that of a body which was not to be sent is not that of the 200's (RFC 9110 8.6).
        body = b"" if status == 304 else b"".join(response.iter_encoded())
        return status, reason, list(headers), body
    if type(response.response) is AsyncPieces and state.method != "HEAD":
        # As it is: a task of the event loop pulls it.
        response.response.on_close = response.close
        response.response.silence = _silence(response)
        return status, reason, list(headers), response.response
    if response.direct_passthrough and state.method != "HEAD" and status not in (204, 304):
        from .files import take_file  # most applications send none

        file = take_file(response, headers.get("Content-Length"))
        if file is not None:
            return status, reason, list(headers), file
    pieces = response.get_app_iter(state.environ())
    # The server asks for one piece after the other.
    silence = _silence(response)
    if silence is not None or not hasattr(pieces, "__next__"):
        pieces = _Body(pieces)
        pieces.silence = silence
    return status, reason, list(headers), pieces


def _silence(response: t.Any) -> float | None:
    return response.heartbeat if isinstance(response, EventStream) else None


def call_application(app: Flask, state: RequestState) -> Rendered:
    """Run the whole request through the application's WSGI interface, with the middleware around it."""
    # The application pushes contexts of its own.
    current.set(Frame(None, None))
    return call(app, state.environ())


class _Body:
    """An iterator over a body that closes what it belongs to."""

    #: Seconds after which the server breaks the silence of a stream of events.
    silence: float | None = None

    def __init__(self, owner: t.Any) -> None:
        self._pieces: Iterator[bytes] = iter(owner)
        self._owner = owner

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        return next(self._pieces)

    def close(self) -> None:
        """Close it."""
        close = getattr(self._owner, "close", None)
        if close is not None:
            close()


def log_failure(app: Flask, state: RequestState, error: BaseException) -> None:
    """Log an exception that ended a request, with the view that was to answer it."""
    rule = state.url_rule
    where = "" if rule is None else place(rule.endpoint, app.view_functions.get(rule.endpoint))
    app.logger.error(
        "Exception on %s [%s]%s",
        state.path,
        state.method,
        where,
        exc_info=(type(error), error, error.__traceback__),
    )
