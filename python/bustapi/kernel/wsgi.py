"""Calling a WSGI application (PEP 3333) and reading what it answers."""

from __future__ import annotations

import typing as t

if t.TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication, WSGIEnvironment

    from .plan import Rendered

    Headers = list[tuple[str, str]]


def call(application: WSGIApplication, environ: WSGIEnvironment) -> Rendered:
    """Call an application and return its response.

    Args:
        application: The application.
        environ: The request.

    Returns:
        The response; its body is bytes if all of it is there already.

    Raises:
        RuntimeError: It did not call `start_response`, or called it twice.
    """
    return _Call(environ).run(application)


def split_status(status: str) -> tuple[int, str]:
    """Split a status line's end into code and reason phrase.

    Args:
        status: Such as `404 NOT FOUND`.
    """
    code, _, reason = status.partition(" ")
    return int(code), reason


class _Call:
    """One call of an application, and the body of its response.

    The response is sent when the first piece of its body is there, or what `write` was given: until then it may be
    started anew with `exc_info`.
    """

    def __init__(self, environ: WSGIEnvironment) -> None:
        self._environ = environ
        self._started: tuple[str, Headers] | None = None
        self._sent = False
        self._pieces: list[bytes] = []
        self._body: t.Any = ()
        self._iterator: t.Iterator[bytes] = iter(())

    def run(self, application: WSGIApplication) -> Rendered:
        self._body = application(self._environ, self._start)
        whole = isinstance(self._body, (list, tuple))
        try:
            self._iterator = iter(self._body)
            for piece in self._iterator:
                self._pieces.append(piece)
                # An empty piece lets the application change its mind.
                if piece and self._started is not None:
                    break
            if self._started is None:
                raise RuntimeError("the WSGI application did not call start_response()")
            if whole:
                self._pieces[:] = [b"".join((*self._pieces, *self._iterator))]
        except BaseException:
            self.close()
            raise
        self._sent = True
        status, headers = self._started
        code, reason = split_status(status)
        if whole and (self._pieces[0] or self._environ["REQUEST_METHOD"] != "HEAD"):
            # The server can say how long it is.
            self.close()
            return code, reason, headers, self._pieces[0]
        if whole:
            # Without a body of its own, an answer to HEAD has the length that the application says.
            self._pieces.clear()
        return code, reason, headers, self

    def _start(self, status: str, headers: Headers, exc_info: t.Any = None) -> t.Callable[[bytes], None]:
        if exc_info is not None:
            try:
                if self._sent:
                    raise exc_info[1].with_traceback(exc_info[2])
            finally:
                exc_info = None
        elif self._started is not None:
            raise RuntimeError("start_response() was called a second time without exc_info")
        self._started = status, list(headers)
        return self._pieces.append

    def __iter__(self) -> _Call:
        return self

    def __next__(self) -> bytes:
        # What was written while the next piece was made comes before it.
        if not self._pieces:
            for piece in self._iterator:
                self._pieces.append(piece)
                break
            else:
                if not self._pieces:
                    raise StopIteration
        return self._pieces.pop(0)

    def close(self) -> None:
        """Close what the application returned."""
        close = getattr(self._body, "close", None)
        if close is not None:
            close()
