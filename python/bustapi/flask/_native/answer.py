"""Responses as the server reads them, and the log of what could not be answered."""

from __future__ import annotations

import typing as t

from ...kernel.context import Frame, current
from ...kernel.pieces import AsyncPieces
from ...kernel.plan import Rendered, locate
from ...werkzeug.wrappers import Response as BaseResponse

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

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
        return call_wsgi(response, state.environ())
    status, reason = split_status(response.status)
    headers = response.headers
    if status in (204, 304) or "Location" in headers or "Content-Location" in headers:
        # Fields are removed, or completed with parts of the request.
        headers = response.get_wsgi_headers(state.environ())
    if response.is_sequence and not response._on_close:
        # No length either: that of a body which was not to be sent is not that of the 200's (RFC 9110 8.6).
        body = b"" if status == 304 else b"".join(response.iter_encoded())
        return status, reason, list(headers), body
    if type(response.response) is AsyncPieces and state.method != "HEAD":
        # As it is: a task of the event loop pulls it.
        response.response.on_close = response.close
        return status, reason, list(headers), response.response
    pieces = response.get_app_iter(state.environ())
    # The server asks for one piece after the other.
    if not hasattr(pieces, "__next__"):
        pieces = _Body((), iter(pieces), pieces)
    return status, reason, list(headers), pieces


def split_status(status: str) -> tuple[int, str | None]:
    """Split a status line's end into code and reason phrase."""
    code, _, reason = status.partition(" ")
    return int(code), reason


def call_application(app: Flask, state: RequestState) -> Rendered:
    """Run the whole request through the application's WSGI interface, with the middleware around it."""
    # The application pushes contexts of its own.
    current.set(Frame(None, None))
    return call_wsgi(app, state.environ())


def call_wsgi(application: t.Any, environ: dict[str, t.Any]) -> Rendered:
    """Call a WSGI application (PEP 3333) and return what it answers.

    Raises:
        RuntimeError: It did not call `start_response`, or called it twice.
    """
    started: list[tuple[str, list[tuple[str, str]]]] = []
    written: list[bytes] = []

    def start_response(
        status: str, headers: list[tuple[str, str]], exc_info: t.Any = None
    ) -> t.Callable[[bytes], None]:
        if started and exc_info is None:
            raise RuntimeError("start_response() was called a second time without exc_info")
        started[:] = [(status, list(headers))]
        return written.append

    body = application(environ, start_response)
    first: list[bytes] = []
    if not started:
        # A generator starts the response when it is first asked for a piece.
        iterator = iter(body)
        for piece in iterator:
            first.append(piece)
            break
        body = _Body(first, iterator, body)
    if not started:
        close = getattr(body, "close", None)
        if close is not None:
            close()
        raise RuntimeError("the WSGI application did not call start_response()")
    status, headers = started[0]
    code, reason = split_status(status)
    if written:
        body = _Body(written, iter(body), body)
    elif isinstance(body, (list, tuple)) and not hasattr(body, "close"):
        whole = b"".join(body)
        if whole or environ["REQUEST_METHOD"] != "HEAD":
            return code, reason, headers, whole
        # Generated, not bytes: the length is what the application says, though there is no body.
        body = _Body((), iter(()), body)
    elif not hasattr(body, "__next__"):
        body = _Body((), iter(body), body)
    return code, reason, headers, body


class _Body:
    """What was written first, then what an iterator yields; closing closes what the application returned."""

    def __init__(self, first: Iterable[bytes], rest: Iterator[bytes], owner: t.Any) -> None:
        self._first = iter(first)
        self._rest = rest
        self._owner = owner

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        for piece in self._first:
            return piece
        return next(self._rest)

    def close(self) -> None:
        """Close what the application returned."""
        close = getattr(self._owner, "close", None)
        if close is not None:
            close()


def log_failure(app: Flask, state: RequestState, error: BaseException) -> None:
    """Log an exception that ended a request, with the view that was to answer it."""
    rule = state.url_rule
    where = ""
    if rule is not None:
        file, line = locate(app.view_functions.get(rule.endpoint))
        where = f" in view {rule.endpoint!r}" + (f" ({file}:{line})" if file else "")
    app.logger.error(
        "Exception on %s [%s]%s",
        state.path,
        state.method,
        where,
        exc_info=(type(error), error, error.__traceback__),
    )
