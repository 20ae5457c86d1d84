"""Any WSGI application as one that the server serves: every request goes through its WSGI interface (PEP 3333).

An application of ours inside a middleware is such a one, too: the server does not see its routes.
"""

from __future__ import annotations

import typing as t

from ..kernel.context import Frame, current
from ..kernel.plan import Rendered, Table
from ..kernel.registry import Generation
from .routing import Map

if t.TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication, WSGIEnvironment

    from ..kernel.plan import RequestState

    Headers = list[tuple[str, str]]


def hosted(application: t.Any) -> t.Any:
    """Return an application that can be served: the given one, or one around it.

    Args:
        application: An application of ours, or a WSGI callable. Everything else is returned as it is, for the
            server to refuse.
    """
    from ..serve.application import is_application

    if is_application(application) or not callable(application) or _is_flasks(application):
        return application
    return HostedApplication(application)


def _is_flasks(application: object) -> bool:
    # It would work, on the wrong Flask: the server's refusal says how to have the right one.
    return any(base.__module__ == "flask.app" for base in type(application).__mro__)


class HostedApplication:
    """A WSGI application with what the server asks an application for.

    Args:
        wsgi_app: The application; can be replaced, by one around it for example.
    """

    def __init__(self, wsgi_app: WSGIApplication) -> None:
        self.wsgi_app = wsgi_app
        self.debug = False
        self.config: dict[str, t.Any] = {}
        self.view_functions: dict[str, t.Any] = {}
        self.url_map = Map()
        self._generation = Generation()
        self._dialect = _Dialect()

    def full_dispatch_request(self) -> t.NoReturn:
        """Part of what the server tells its applications by; never called."""
        raise RuntimeError("a hosted application is called through its WSGI interface")

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.wsgi_app!r}>"


class _Dialect:
    """The functions of `kernel.plan.Dialect` that are called for an application without rules."""

    def table(self, app: HostedApplication) -> Table:
        return Table(
            rules=[],
            router=app.url_map.native_router(),
            json=None,
            unmatched_mode="pool",
            # Python has every answer.
            host_matching=True,
            watch=[],
            receivers=[],
            session_cookie=None,
            session_is_json=False,
            response_class=None,
            plain_urls=False,
            request_class=None,
            json_body_limit=None,
            headers_class=None,
        )

    def full_dispatch(self, app: HostedApplication, state: RequestState) -> Rendered:
        # The application may push contexts of its own.
        current.set(Frame(None, None))
        return _Call(state.environ()).run(app.wsgi_app)

    def log_failure(self, app: HostedApplication, state: RequestState, error: BaseException) -> None:
        from ._internal import _log

        raised = type(error), error, error.__traceback__
        _log("error", "Exception on %s [%s]", state.path, state.method, exc_info=raised)


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
        try:
            self._iterator = iter(self._body)
            for piece in self._iterator:
                self._pieces.append(piece)
                # An empty piece lets the application change its mind.
                if piece and self._started is not None:
                    break
            if self._started is None:
                raise RuntimeError("the WSGI application did not call start_response()")
        except BaseException:
            self.close()
            raise
        self._sent = True
        status, headers = self._started
        code, _, reason = status.partition(" ")
        if isinstance(self._body, (list, tuple)):
            # All of it is there: the server can say how long it is.
            return int(code), reason, headers, b"".join((*self._pieces, *self._iterator))
        return int(code), reason, headers, self

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
