"""Any WSGI application as one that the server serves: every request goes through its WSGI interface (PEP 3333).

An application of ours inside a middleware is such a one, too: the server does not see its routes.
"""

from __future__ import annotations

import typing as t

from ..kernel.context import Frame, current
from ..kernel.plan import Rendered, Table
from ..kernel.registry import Generation
from ..kernel.wsgi import call
from .routing import Map

if t.TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

    from ..kernel.plan import RequestState


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
            session_reader=None,
            response_class=None,
            plain_urls=False,
            request_class=None,
            json_body_limit=None,
            headers_class=None,
        )

    def full_dispatch(self, app: HostedApplication, state: RequestState) -> Rendered:
        # The application may push contexts of its own.
        current.set(Frame(None, None))
        return call(app.wsgi_app, state.environ())

    def log_failure(self, app: HostedApplication, state: RequestState, error: BaseException) -> None:
        from ._internal import _log

        raised = type(error), error, error.__traceback__
        _log("error", "Exception on %s [%s]", state.path, state.method, exc_info=raised)
