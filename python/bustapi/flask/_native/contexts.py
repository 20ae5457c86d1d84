"""The contexts of a request that the server already runs, and what hangs on them.

Both context classes count the request itself as their first push. It has no token, because nothing was pushed:
the server set the context variable. `finish` takes it back; teardown runs then, or with the last of the pushes
that outlive the request (a body generated under `stream_with_context`).
"""

from __future__ import annotations

import typing as t

from ...werkzeug.exceptions import HTTPException
from ...werkzeug.wrappers.body import ReceivedBody
from ..ctx import AppContext, RequestContext
from ..globals import _cv_app, _cv_request
from ..sessions import SecureCookieSessionInterface
from ..signals import appcontext_popped

if t.TYPE_CHECKING:
    from ..._core import BodyStream
    from ...kernel.plan import RequestState
    from ..app import Flask
    from ..sessions import SessionInterface, SessionMixin
    from ..wrappers import Request

_UNSET: t.Any = object()
_OPEN_COOKIE = SecureCookieSessionInterface.open_session
#: Stands for the request in the lists of tokens.
_THE_REQUEST: t.Any = object()


def make_request(app: Flask, state: RequestState) -> Request:
    """Make the request object, which reads the received bytes as it is asked."""
    request = t.cast("Request", app.request_class._from_native(state))
    request.json_module = app.json
    rule = state.url_rule
    if rule is not None:
        request.url_rule = rule
        # Flask gives a view without variables an empty dict.
        request.view_args = state.view_args or {}
    return request


def make_input(stream: BodyStream) -> ReceivedBody:
    """Make `wsgi.input` of a body that is still to come."""
    return ReceivedBody(stream)


def make_g(app: Flask, state: RequestState) -> t.Any:
    """Make the request's `g`."""
    return app.app_ctx_globals_class()


def is_opened_late(interface: SessionInterface) -> bool:
    """Return whether nobody sees when an interface opens a session: it merely reads the cookie."""
    return type(interface).open_session is _OPEN_COOKIE and "open_session" not in interface.__dict__


def open_session(app: Flask, state: RequestState) -> SessionMixin:
    """Open the session of the request."""
    interface = app.session_interface
    if is_opened_late(interface):
        opened = interface._open_received(app, state)  # type: ignore[attr-defined]
    else:
        opened = interface.open_session(app, state.request)
    return interface.make_null_session(app) if opened is None else opened


def make_app_context(app: Flask, state: RequestState) -> NativeAppContext:
    """Make the application context of the request."""
    return NativeAppContext(app, state)


def make_request_context(app: Flask, state: RequestState) -> NativeRequestContext:
    """Make the request context."""
    return NativeRequestContext(app, state)


class _OfRequest:
    """What both contexts have in common."""

    _cv_tokens: list[t.Any]

    def leave(self) -> bool:
        """Take back the request's own push; return whether it was the last one."""
        tokens = self._cv_tokens
        if _THE_REQUEST not in tokens:
            return False
        tokens.remove(_THE_REQUEST)
        return not tokens


class NativeAppContext(_OfRequest, AppContext):
    """The application context of a request of the server.

    Args:
        app: The application.
        state: The request.
    """

    def __init__(self, app: Flask, state: RequestState) -> None:
        self.app = app
        self.g = state.g
        self._adapter: t.Any = _UNSET
        self._cv_tokens = [_THE_REQUEST]

    @property
    def url_adapter(self) -> t.Any:
        """The map bound to `SERVER_NAME`, or None; made when it is first used."""
        if self._adapter is _UNSET:
            self._adapter = self.app.create_url_adapter(None)
        return self._adapter

    @url_adapter.setter
    def url_adapter(self, value: t.Any) -> None:
        self._adapter = value

    def finish(self, exc: BaseException | None) -> None:
        """The request is over: run the teardown functions unless the context is still pushed.

        Args:
            exc: What ended it.
        """
        if self.leave():
            self.app.do_teardown_appcontext(exc)
            if appcontext_popped.receivers:
                appcontext_popped.send(self.app, _async_wrapper=self.app.ensure_sync)


class NativeRequestContext(_OfRequest, RequestContext):
    """The context of a request of the server: session and URL adapter are made when they are first used.

    Args:
        app: The application.
        state: The request.
    """

    def __init__(self, app: Flask, state: RequestState) -> None:
        self.app = app
        self.request = state.request
        self.flashes = None
        self._state = state
        self._adapter: t.Any = _UNSET
        self._opened: SessionMixin | None = None
        self._after_request_functions = []
        self._cv_tokens = [_THE_REQUEST]

    @property
    def has_adapter(self) -> bool:
        """Whether the URL adapter was made, or one was set."""
        return self._adapter is not _UNSET

    def forget_adapter(self) -> None:
        """Have the URL adapter made again when it is used."""
        self._adapter = _UNSET

    @property
    def url_adapter(self) -> t.Any:
        """The map bound to the request; None if its host is not one that the application answers for."""
        if self._adapter is _UNSET:
            self._adapter = None
            try:
                self._adapter = self.app.create_url_adapter(self.request)
            except HTTPException as error:
                self.request.routing_exception = error
                self.request.url_rule = self.request.view_args = None
        return self._adapter

    @url_adapter.setter
    def url_adapter(self, value: t.Any) -> None:
        self._adapter = value

    @property
    def _session(self) -> SessionMixin:
        opened = self._opened
        if opened is None:
            opened = self._state.peek("session")
            if opened is None:
                # Not through the state's attribute, which counts as an access by the view.
                opened = open_session(self.app, self._state)
                self._state.session = opened
            self._opened = opened
        return opened

    @_session.setter
    def _session(self, value: SessionMixin) -> None:
        self._opened = value
        self._state.session = value

    def copy(self) -> RequestContext:
        """Return a plain context of the same request and session, which outlives this one."""
        return RequestContext(self.app, self.request.environ, request=self.request, session=self._session)

    def push(self) -> None:
        """Make this the current context once more, in another `contextvars.Context` say."""
        below = _cv_app.get(None)
        pushed: AppContext | None = None
        if below is None or below.app is not self.app:
            pushed = self.app.app_context()
            pushed.push()
        self._cv_tokens.append((_cv_request.set(self), pushed))

    def finish(self, exc: BaseException | None) -> None:
        """The request is over: run the teardown functions unless the context is still pushed.

        Args:
            exc: What ended it.
        """
        if self.leave():
            self.app.do_teardown_request(exc)
            self.close_request()
            if self._at_end:
                self._tell_end(exc)

    def close_request(self) -> None:
        """Close the files that the request holds."""
        close = getattr(self.request, "close", None)
        if close is not None:
            close()

    def _forget_request(self, top: RequestContext) -> None:
        """There is no cycle to break: the request refers to the state, which forgets what was made from it."""
