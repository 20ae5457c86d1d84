"""The one context variable, and the two views of it that Flask's API shows.

`current` holds what the running code belongs to: a `Frame` when contexts were pushed from Python, or the
server's own request state when a request runs on the fast path and no Python context exists yet. Both answer
the same attributes: `app`, `g`, `request`, `session`, `app_context`, `request_context`. One variable is enough
because a frame remembers the request below an application context pushed on top of it, so a proxy costs one
lookup whatever is pushed.
"""

from __future__ import annotations

import typing as t
from contextvars import ContextVar, Token

from .._core import RequestState as RequestState

NO_APP_MESSAGE = (
    "Working outside of application context.\n\n"
    "This typically means that you attempted to use functionality that needed\n"
    "the current application. To solve this, set up an application context\n"
    "with app.app_context(). See the documentation for more information."
)
NO_REQUEST_MESSAGE = (
    "Working outside of request context.\n\n"
    "This typically means that you attempted to use functionality that needed\n"
    "an active HTTP request. Consult the documentation on testing for\n"
    "information about how to avoid this problem."
)

_MISSING: t.Any = object()


class Frame:
    """One immutable state of the context: an application context and a request, either of which may be absent.

    Args:
        app_context: The innermost application context, or None.
        source: What answers for the request: a request context or the server's request state, or None.
    """

    __slots__ = ("_app_context", "_source")

    def __init__(self, app_context: t.Any, source: t.Any) -> None:
        self._app_context = app_context
        self._source = source

    @property
    def app_context(self) -> t.Any:
        """The innermost application context."""
        found = self._app_context
        if found is None:
            raise RuntimeError(NO_APP_MESSAGE)
        return found

    @property
    def app(self) -> t.Any:
        """The application of the innermost application context."""
        return self.app_context.app

    @property
    def g(self) -> t.Any:
        """The namespace of the innermost application context."""
        return self.app_context.g

    @property
    def request_context(self) -> t.Any:
        """The innermost request context; made on first use for a request of the server."""
        source = self._source
        if source is None:
            raise RuntimeError(NO_REQUEST_MESSAGE)
        # A request context answers with itself, the server's state with the context it makes.
        return getattr(source, "request_context", source)

    @property
    def request(self) -> t.Any:
        """The request being answered."""
        source = self._source
        if source is None:
            raise RuntimeError(NO_REQUEST_MESSAGE)
        return source.request

    @property
    def session(self) -> t.Any:
        """The session of the request being answered; reading it marks it as accessed."""
        source = self._source
        if source is None:
            raise RuntimeError(NO_REQUEST_MESSAGE)
        return source.session


#: A `Frame` or the server's request state; unset outside of any context.
current: ContextVar[t.Any] = ContextVar("bustapi.context")


class FacetToken:
    """What `ContextFacet.set` returns and `ContextFacet.reset` takes back."""

    __slots__ = ("frame", "old_value", "token")

    MISSING: t.ClassVar[t.Any] = Token.MISSING

    def __init__(self, token: Token[t.Any], frame: Frame, old_value: t.Any) -> None:
        self.token = token
        self.frame = frame
        self.old_value = old_value


class ContextFacet:
    """One half of `current` with the interface of a `ContextVar`.

    Args:
        name: The name the facet reports.
        kind: `"app"` or `"request"`, the half of the frame that it reads and replaces.
    """

    __slots__ = ("_is_app", "name")

    def __init__(self, name: str, kind: str) -> None:
        self.name = name
        self._is_app = kind == "app"

    def get(self, default: t.Any = _MISSING) -> t.Any:
        """Return the context, `default` when there is none, else raise `LookupError`."""
        value = current.get(None)
        if value is not None:
            found = self._of(value)
            if found is not None:
                return found
        if default is _MISSING:
            raise LookupError(self)
        return default

    def set(self, context: t.Any) -> FacetToken:
        """Replace this half of the frame; the other half stays as it is."""
        value = current.get(None)
        app_context, source = _halves(value)
        if self._is_app:
            old, frame = app_context, Frame(context, source)
        else:
            old, frame = source, Frame(app_context, context)
        return FacetToken(current.set(frame), frame, old)

    def reset(self, token: FacetToken) -> None:
        """Undo a `set`; when the other half changed meanwhile, that change is kept."""
        value = current.get(None)
        if value is token.frame:
            current.reset(token.token)
            return
        app_context, source = _halves(value)
        if self._is_app:
            app_context = token.old_value
        else:
            source = token.old_value
        # Contexts were popped out of order: no earlier value of the variable has exactly these halves.
        current.set(Frame(app_context, source))

    def _of(self, value: t.Any) -> t.Any:
        if type(value) is Frame:
            if self._is_app:
                return value._app_context
            source = value._source
            return None if source is None else getattr(source, "request_context", source)
        return value.app_context if self._is_app else value.request_context

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self.name!r}>"


def _halves(value: t.Any) -> tuple[t.Any, t.Any]:
    if value is None:
        return None, None
    if type(value) is Frame:
        return value._app_context, value._source
    return value.app_context, value


app_facet = ContextFacet("flask.app_ctx", "app")
request_facet = ContextFacet("flask.request_ctx", "request")
