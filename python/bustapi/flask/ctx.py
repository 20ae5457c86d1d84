"""Application and request contexts, and the namespace `g`."""

from __future__ import annotations

import sys
import typing as t
from functools import update_wrapper

from ..kernel.context import FacetToken, current
from ..werkzeug.exceptions import HTTPException
from .globals import _cv_app, _cv_request
from .signals import appcontext_popped, appcontext_pushed

if t.TYPE_CHECKING:
    from types import TracebackType

    from _typeshed.wsgi import WSGIEnvironment

    from . import typing as ft
    from .app import Flask
    from .sessions import SessionMixin
    from .wrappers import Request

F = t.TypeVar("F", bound=t.Callable[..., t.Any])
_sentinel: t.Any = object()


def _innermost(pushes: t.Sequence[t.Any]) -> int:
    """Return which of a context's pushes to take back: the one that is current here, else the last.

    They differ where it was pushed in several `contextvars.Context`s, as by a body that is generated in its request's.
    """
    if len(pushes) > 1:
        value = current.get(None)
        for at in range(len(pushes) - 1, -1, -1):
            push = pushes[at]
            token = push[0] if type(push) is tuple else push
            if type(token) is FacetToken and token.frame is value:
                return at
    return -1


class AppContext:
    """What `current_app` and `g` refer to while it is pushed.

    Args:
        app: The application it belongs to.

    Compatible with: flask.ctx.AppContext (3.1)
    """

    def __init__(self, app: Flask) -> None:
        self.app = app
        self.url_adapter = app.create_url_adapter(None)
        self.g: _AppCtxGlobals = app.app_ctx_globals_class()
        self._cv_tokens: list[FacetToken] = []

    def push(self) -> None:
        """Make this the current application context; it may be pushed several times."""
        self._cv_tokens.append(_cv_app.set(self))
        if appcontext_pushed.receivers:
            appcontext_pushed.send(self.app, _async_wrapper=self.app.ensure_sync)

    def pop(self, exc: BaseException | None = _sentinel) -> None:
        """Leave the context; the last of several pops runs the teardown functions.

        Args:
            exc: What ended the context; the exception being handled when it is not given.

        Raises:
            AssertionError: Another context was on top of this one.
        """
        try:
            if len(self._cv_tokens) == 1:
                self.app.do_teardown_appcontext(sys.exc_info()[1] if exc is _sentinel else exc)
        finally:
            top = _cv_app.get()
            _cv_app.reset(self._cv_tokens.pop(_innermost(self._cv_tokens)))
        if top is not self:
            raise AssertionError(f"Popped wrong app context. ({top!r} instead of {self!r})")
        if appcontext_popped.receivers:
            appcontext_popped.send(self.app, _async_wrapper=self.app.ensure_sync)

    def __enter__(self) -> AppContext:
        self.push()
        return self

    def __exit__(
        self, exc_type: type | None, exc_value: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.pop(exc_value)


class RequestContext:
    """What `request` and `session` refer to while it is pushed.

    Args:
        app: The application that answers the request.
        environ: The WSGI environment.
        request: A request object to use instead of a new one.
        session: A session to use instead of the one of the request.

    Compatible with: flask.ctx.RequestContext (3.1)
    """

    _at_end: t.Sequence[t.Callable[[BaseException | None], object]] = ()

    def __init__(
        self,
        app: Flask,
        environ: WSGIEnvironment,
        request: Request | None = None,
        session: SessionMixin | None = None,
    ) -> None:
        self.app = app
        if request is None:
            request = app.request_class(environ)
            request.json_module = app.json
        self.request: Request = request
        self.url_adapter: t.Any = None
        try:
            self.url_adapter = app.create_url_adapter(request)
        except HTTPException as error:
            request.routing_exception = error
        self.flashes: list[tuple[str, str]] | None = None
        self._session: SessionMixin | None = session
        self._after_request_functions: list[ft.AfterRequestCallable[t.Any]] = []
        # One entry a push: its token, and the application context that had to be pushed with it.
        self._cv_tokens: list[tuple[FacetToken, AppContext | None]] = []

    @property
    def request_context(self) -> RequestContext:
        """The context itself: what a frame of the context variable asks its source for."""
        return self

    @property
    def session(self) -> SessionMixin:
        """The session; reading it marks it as accessed."""
        opened = self._session
        assert opened is not None, "The session has not yet been opened."
        opened.accessed = True
        return opened

    def copy(self) -> RequestContext:
        """Return a context of the same request, to be pushed elsewhere (in another greenlet, say)."""
        return type(self)(self.app, environ=self.request.environ, request=self.request, session=self._session)

    def match_request(self) -> None:
        """Find the rule of the request, or keep the exception that routing ended with."""
        try:
            self.request.url_rule, self.request.view_args = self.url_adapter.match(return_rule=True)
        except HTTPException as error:
            self.request.routing_exception = error

    def push(self) -> None:
        """Make this the current request context, with an application context below it, and match the request."""
        below = _cv_app.get(None)
        pushed: AppContext | None = None
        if below is None or below.app is not self.app:
            pushed = self.app.app_context()
            pushed.push()
        self._cv_tokens.append((_cv_request.set(self), pushed))
        # Opened only now, so that a session interface can use the contexts.
        if self._session is None:
            interface = self.app.session_interface
            opened = interface.open_session(self.app, self.request)
            self._session = interface.make_null_session(self.app) if opened is None else opened
        if self.url_adapter is not None:
            self.match_request()

    def pop(self, exc: BaseException | None = _sentinel) -> None:
        """Leave the context; the last of several pops runs the teardown functions.

        Args:
            exc: What ended the request; the exception being handled when it is not given.

        Raises:
            AssertionError: Another context was on top of this one.
        """
        last = len(self._cv_tokens) == 1
        try:
            if last:
                if exc is _sentinel:
                    exc = sys.exc_info()[1]
                self.app.do_teardown_request(exc)
                close = getattr(self.request, "close", None)
                if close is not None:
                    close()
                if self._at_end:
                    self._tell_end(exc)
        finally:
            top = _cv_request.get()
            token, pushed = self._cv_tokens.pop(_innermost(self._cv_tokens))
            _cv_request.reset(token)
            if last:
                self._forget_request(top)
            if pushed is not None:
                pushed.pop(exc)
            if top is not self:
                raise AssertionError(f"Popped wrong request context. ({top!r} instead of {self!r})")

    def at_end(self, function: t.Callable[[BaseException | None], object]) -> None:
        """Have a function called when the request is over, with what ended it unless that was handled; BustAPI only.

        Args:
            function: The function; it must not raise.
        """
        self._at_end = [*self._at_end, function]

    def _tell_end(self, exc: BaseException | None) -> None:
        waiting, self._at_end = self._at_end, ()
        for function in waiting:
            function(exc)

    def _forget_request(self, top: RequestContext) -> None:
        # The environment holds the request and the request its environment: break the cycle.
        top.request.environ["werkzeug.request"] = None

    def __enter__(self) -> RequestContext:
        self.push()
        return self

    def __exit__(
        self, exc_type: type | None, exc_value: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.pop(exc_value)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.request.url!r} [{self.request.method}] of {self.app.name}>"


class _AppCtxGlobals:
    """The namespace `g`: plain attributes, with a few of a dict's methods."""

    def get(self, name: str, default: t.Any = None) -> t.Any:
        """Return an attribute, or `default`."""
        return self.__dict__.get(name, default)

    def pop(self, name: str, default: t.Any = _sentinel) -> t.Any:
        """Remove an attribute and return it, or `default`; without one a missing name raises `KeyError`."""
        return self.__dict__.pop(name) if default is _sentinel else self.__dict__.pop(name, default)

    def setdefault(self, name: str, default: t.Any = None) -> t.Any:
        """Return an attribute, setting it to `default` first when it is missing."""
        return self.__dict__.setdefault(name, default)

    def __getattr__(self, name: str) -> t.Any:
        # Reached only for a missing attribute. It also tells type checkers that any name may be there.
        raise AttributeError(name)

    if t.TYPE_CHECKING:

        def __setattr__(self, name: str, value: t.Any) -> None: ...

    def __delattr__(self, name: str) -> None:
        if name not in self.__dict__:
            raise AttributeError(name)
        del self.__dict__[name]

    def __contains__(self, item: str) -> bool:
        return item in self.__dict__

    def __iter__(self) -> t.Iterator[str]:
        return iter(self.__dict__)

    def __repr__(self) -> str:
        context = _cv_app.get(None)
        return object.__repr__(self) if context is None else f"<flask.g of '{context.app.name}'>"


def after_this_request(f: ft.AfterRequestCallable[t.Any]) -> ft.AfterRequestCallable[t.Any]:
    """Call a function with the response of the current request.

    Args:
        f: Takes the response and returns the one to go on with.

    Returns:
        `f`, so that this can be used as a decorator.

    Raises:
        RuntimeError: There is no current request.
    """
    _active("after_this_request")._after_request_functions.append(f)
    return f


def copy_current_request_context(f: F) -> F:
    """Wrap a function so that it runs in the current request's context, wherever it is called later.

    Args:
        f: The function.

    Raises:
        RuntimeError: There is no current request.
    """
    context = _active("copy_current_request_context").copy()

    def in_context(*args: t.Any, **kwargs: t.Any) -> t.Any:
        with context:
            return context.app.ensure_sync(f)(*args, **kwargs)

    return t.cast(F, update_wrapper(in_context, f))


def has_request_context() -> bool:
    """Return whether `request` can be used here."""
    return _cv_request.get(None) is not None


def has_app_context() -> bool:
    """Return whether `current_app` and `g` can be used here."""
    return _cv_app.get(None) is not None


def _active(user: str) -> RequestContext:
    context: RequestContext | None = _cv_request.get(None)
    if context is None:
        raise RuntimeError(
            f"'{user}' can only be used when a request context is active, such as in a view function."
        )
    return context
