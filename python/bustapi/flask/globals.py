"""The proxies a view imports: all of them read the kernel's one context variable."""

from __future__ import annotations

import typing as t

from ..kernel.context import NO_APP_MESSAGE as _no_app_msg
from ..kernel.context import NO_REQUEST_MESSAGE as _no_req_msg
from ..kernel.context import app_facet as _cv_app
from ..kernel.context import current as _current
from ..kernel.context import request_facet as _cv_request
from ..werkzeug.local import LocalProxy

if t.TYPE_CHECKING:
    from .app import Flask
    from .ctx import AppContext, RequestContext, _AppCtxGlobals
    from .sessions import SessionMixin
    from .wrappers import Request

__all__ = ["_cv_app", "_cv_request", "app_ctx", "current_app", "g", "request", "request_ctx", "session"]


def _proxy(name: str, message: str) -> t.Any:
    return LocalProxy(_current, name, unbound_message=message)


app_ctx: AppContext = _proxy("app_context", _no_app_msg)
current_app: Flask = _proxy("app", _no_app_msg)
g: _AppCtxGlobals = _proxy("g", _no_app_msg)

request_ctx: RequestContext = _proxy("request_context", _no_req_msg)
request: Request = _proxy("request", _no_req_msg)
session: SessionMixin = _proxy("session", _no_req_msg)
