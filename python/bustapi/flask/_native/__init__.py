"""Flask's half of the server: what `bustapi.kernel.plan.Dialect` asks for.

On the fast path no context object exists: the context variable holds the server's own request state, which makes
`request`, `g`, `session` and the contexts through this package when something first asks for them. A view sees no
difference to the full pipeline, and pays only for what it touches.
"""

from __future__ import annotations

from .answer import log_failure, render
from .contexts import make_app_context, make_g, make_input, make_request, make_request_context, open_session
from .pipeline import (
    answer_error,
    end_request,
    finish_session,
    full_dispatch,
    full_dispatch_async,
    process_response,
    session_varies,
    timed_out,
)
from .planning import describe, needs_loop, table
from .sockets import match_socket, socket_dispatch, socket_dispatch_async

__all__ = [
    "answer_error",
    "describe",
    "end_request",
    "finish_session",
    "full_dispatch",
    "full_dispatch_async",
    "log_failure",
    "make_app_context",
    "make_g",
    "make_input",
    "make_request",
    "make_request_context",
    "match_socket",
    "needs_loop",
    "open_session",
    "process_response",
    "render",
    "session_varies",
    "socket_dispatch",
    "socket_dispatch_async",
    "table",
    "timed_out",
]
