"""A page with the traceback, in place of the bare error that a server gives for an exception.

Werkzeug's debugger can also run what is typed into that page. This one cannot, by decision: a server that evaluates
what a browser sends is one mistake away from giving the machine away.
"""

from __future__ import annotations

import typing as t

from .tbtools import DebugTraceback as DebugTraceback

if t.TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

__all__ = ["DebugTraceback", "DebuggedApplication"]


class DebuggedApplication:
    """Answers an exception of the application with its traceback, and writes it to `wsgi.errors`.

    The page has source lines around each call, no values of variables, no script, and nothing to type into. It is
    for development: anyone who can reach the server sees it.

    Args:
        app: The application.
        evalex: Must be False: there is no console.
        request_key: No effect.
        console_path: No effect, without a console.
        console_init_func: No effect, without a console.
        show_hidden_frames: Show frames that have set `__traceback_hide__`, too.
        pin_security: No effect, without a console.
        pin_logging: No effect, without a console.

    Raises:
        ValueError: `evalex` is asked for.

    Compatible with: werkzeug.debug.DebuggedApplication (3.1), without the console.
    """

    def __init__(
        self,
        app: WSGIApplication,
        evalex: bool = False,
        request_key: str = "werkzeug.request",
        console_path: str = "/console",
        console_init_func: t.Callable[[], dict[str, t.Any]] | None = None,
        show_hidden_frames: bool = False,
        pin_security: bool = True,
        pin_logging: bool = True,
    ) -> None:
        if evalex:
            raise ValueError(
                "evalex: this debugger never runs code sent by a browser; leave it out, and use breakpoint() to"
                " look into a running view"
            )
        self.app = app
        self.evalex = False
        self.request_key = request_key
        self.console_path = console_path
        self.console_init_func = console_init_func
        self.show_hidden_frames = show_hidden_frames
        self.pin_logging = pin_logging
        #: There is no console, hence no PIN.
        self.pin: str | None = None
        #: The hosts that Werkzeug's console could be used by; kept for code that adds to it.
        self.trusted_hosts: list[str] = [".localhost", "127.0.0.1"]

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> t.Iterable[bytes]:
        """Answer through the application, or with what it raised."""
        return _Attempt(self, environ, start_response)

    def _answer(
        self, error: Exception, environ: WSGIEnvironment, start_response: StartResponse
    ) -> t.Iterable[bytes]:
        from ..wrappers.response import Response

        found = DebugTraceback(error, skip=1, hide=not self.show_hidden_frames)
        environ["wsgi.errors"].write(found.render_traceback_text())
        response = Response(found.render_debugger_html(), 500, mimetype="text/html")
        response.headers["Cache-Control"] = "no-store"
        response.headers["Content-Security-Policy"] = "default-src 'none'; style-src 'unsafe-inline'"
        response.headers["X-Content-Type-Options"] = "nosniff"
        return response(environ, start_response)


class _Attempt:
    """The body of one response: the application's, or from the exception on, the page's.

    Once the response is started there is no page: the exception goes on to the server, which breaks the connection
    off, so that what was sent is not taken for the whole.
    """

    def __init__(
        self, debugged: DebuggedApplication, environ: WSGIEnvironment, start_response: StartResponse
    ) -> None:
        self._debugged = debugged
        self._environ = environ
        self._start_response = start_response
        self._started = False
        self._body: t.Any = None
        try:
            self._body = debugged.app(environ, self._start)
            self._pieces = iter(self._body)
        except Exception as error:
            self._replace(error)

    def _start(self, status: str, headers: list[tuple[str, str]], exc_info: t.Any = None) -> t.Any:
        self._started = True
        if exc_info is None:
            return self._start_response(status, headers)
        return self._start_response(status, headers, exc_info)

    def _replace(self, error: Exception) -> None:
        if self._started:
            text = DebugTraceback(error, skip=1, hide=not self._debugged.show_hidden_frames)
            self._environ["wsgi.errors"].write(text.render_traceback_text())
            raise error
        self.close()
        self._started = True
        self._body = self._debugged._answer(error, self._environ, self._start_response)
        self._pieces = iter(self._body)

    def __iter__(self) -> _Attempt:
        return self

    def __next__(self) -> bytes:
        try:
            return t.cast(bytes, next(self._pieces))
        except StopIteration:
            raise
        except Exception as error:
            self._replace(error)
        return t.cast(bytes, next(self._pieces))

    def close(self) -> None:
        """Close the body."""
        close = getattr(self._body, "close", None)
        self._body = None
        if close is not None:
            close()
