"""Python's side of a request that the server holds as its own request state.

The server sets `kernel.context.current` to the state and calls the view; nothing below exists until something asks
for it. Each function fills one slot of the state (`request`, `g`, `session`, `app_context`, `request_context`) and
returns what it put there. What a view sees is the same as in the full pipeline.
"""

from __future__ import annotations

import typing as t

from ..flask.ctx import AppContext, RequestContext
from ..flask.sessions import SecureCookieSessionInterface
from ..werkzeug.exceptions import HTTPException
from .context import app_facet, request_facet

if t.TYPE_CHECKING:
    from ..flask.app import Flask

_UNSET: t.Any = object()
