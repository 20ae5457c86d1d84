"""A WebSocket's way through the application: handshake as a request, then the view for as long as it lasts.

Up to `accept` it is a request like any other, hooks included, and what they or the view return or raise is answered
over HTTP. From there on the answer is sent: the request's contexts stay until the view ends, its teardown functions
run then, and functions after the request do not run at all, since there is no response for them.
"""

from __future__ import annotations

import sys
import typing as t
from functools import partial

from ...kernel.aio import run_sync
from ...kernel.around import compose, in_task
from ...kernel.websocket import (
    GOING_AWAY,
    INTERNAL,
    NORMAL,
    POLICY,
    SocketView,
    SyncWebSocket,
    WebSocket,
    WebSocketDisconnect,
    may_connect,
)
from ...werkzeug.exceptions import Forbidden, HTTPException
from ..app import Flask
from ..signals import got_request_exception, request_started
from .answer import render
from .pipeline import (
    _end,
    _enter,
    _enter_async,
    _finalize,
    _handle_user_exception,
    _is_awaitable,
    _preprocess,
    _send,
    end_request,
    handle_exception_async,
)
from .planning import _is_stock_session

if t.TYPE_CHECKING:
    from ..._core import Socket
    from ...kernel.plan import Rendered, RequestState
    from ..wrappers import Request
    from .contexts import NativeRequestContext

#: The answer to a handshake that was accepted is on its way already: this one goes nowhere.
_ACCEPTED: Rendered = (200, None, [], b"")


def match_socket(app: Flask, state: RequestState) -> t.Any:
    """Return the WebSocket rule of a handshake, matched; None if there is none, which the pipeline answers."""
    context = state.request_context
    adapter = context.url_adapter
    if adapter is None:
        return None
    try:
        rule, values = adapter.match(return_rule=True)
    except HTTPException:
        return None
    if not rule.websocket or not isinstance(app.view_functions.get(rule.endpoint), SocketView):
        # One that was registered as a view is called as a view.
        return None
    state.url_rule, state.view_args = rule, values
    request = context.request
    request.url_rule, request.view_args = rule, values
    if "create_url_adapter" not in app.__dict__ and type(app).create_url_adapter is Flask.create_url_adapter:
        # Made to be matched. A socket may live for days, and most ask for neither again.
        context.forget_adapter()
        request.__dict__.pop("environ", None)
        state.forget_environ()
    return rule


def socket_dispatch(app: Flask, state: RequestState, socket: Socket) -> Rendered:
    """Run a WebSocket whose view is a plain function, on the calling thread.

    One that is around a coroutine function waits here for the coroutine, which runs on the event loop.
    """
    failure: BaseException | None = None
    ws: WebSocket | SyncWebSocket | None = None
    try:
        try:
            context = _enter(app, state)
            view = t.cast("SocketView", app.view_functions[_endpoint(context)])
            kind = WebSocket if view.wraps_async else SyncWebSocket
            ws = kind(socket, **_parts(app, context, view))
            try:
                if not app._got_first_request:
                    app._got_first_request = True
                if request_started.receivers:
                    request_started.send(app, _async_wrapper=app.ensure_sync)
                _check_origin(app, state, context.request, view)
                value = app.preprocess_request()
                if value is None:
                    value = _start(app, context, view, ws)
                    if _is_awaitable(value):
                        value = _wait_for(value, view)
            except Exception as error:
                if ws.accepted:
                    failure = _close_for(ws, error)
                    if failure is not None:
                        _log(app, error)
                    return _ACCEPTED
                value = app.handle_user_exception(error)
            if ws.accepted:
                ws._close(NORMAL, "")
                return _ACCEPTED
            response = app.finalize_request(_refusal(value))
        except Exception as error:
            failure = error
            response = app.handle_exception(error)
        return render(app, state, response)
    except BaseException as error:
        failure = error
        raise
    finally:
        if ws is not None and ws.accepted:
            ws._close(INTERNAL, "")
        if failure is not None and app.should_ignore_error(failure):
            failure = None
        end_request(app, state, failure)


async def socket_dispatch_async(app: Flask, state: RequestState, socket: Socket) -> Rendered:
    """Run a WebSocket whose view is a coroutine function."""
    failure: BaseException | None = None
    ws: WebSocket | None = None
    try:
        try:
            context = await _enter_async(app, state)
            request = context.request
            view = t.cast("SocketView", app.view_functions[_endpoint(context)])
            ws = WebSocket(socket, **_parts(app, context, view))
            try:
                if not app._got_first_request:
                    app._got_first_request = True
                await _send(request_started, app)
                _check_origin(app, state, request, view)
                value = await _preprocess(app, request)
                if value is None:
                    # No frames but the view's own are kept for as long as the connection lasts.
                    value = _start(app, context, view, ws)
                    if _is_awaitable(value):
                        value = await value
            except Exception as error:
                if ws.accepted:
                    failure = _close_for(ws, error)
                    if failure is not None:
                        await _send(got_request_exception, app, exception=error)
                        app.log_exception(t.cast(t.Any, sys.exc_info()))
                    return _ACCEPTED
                value = await _handle_user_exception(app, request, error)
            if ws.accepted:
                await ws.close(NORMAL)
                return _ACCEPTED
            response = await _finalize(app, context, _refusal(value))
        except Exception as error:
            failure = error
            response = await handle_exception_async(app, state.request_context, error)
        return render(app, state, response)
    except BaseException as error:
        failure = error
        raise
    finally:
        if ws is not None and ws.accepted:
            # Only a cancelled task comes here with it open: the server stops.
            ws._close(GOING_AWAY, "")
        if failure is not None and app.should_ignore_error(failure):
            failure = None
        await _end(app, state, failure)


def _endpoint(context: NativeRequestContext) -> str:
    # Matched, or this would not run.
    return t.cast(str, context.request.endpoint)


def _parts(app: Flask, context: NativeRequestContext, view: SocketView) -> dict[str, t.Any]:
    return {
        "speaks": view.subprotocols,
        "json": app.json,
        "on_accept": partial(_session_fields, app, context),
    }


def _start(app: Flask, context: NativeRequestContext, view: SocketView, ws: t.Any) -> t.Any:
    """Call the view with its socket, and with the functions around it."""
    values = context.request.view_args or {}
    around = app._functions_around(_endpoint(context))
    if not around:
        return view.view(ws, **values)
    whole = compose(partial(view.view, ws), around)
    return (in_task(whole) if view.is_async else whole)(**values)


def _wait_for(value: t.Any, view: SocketView) -> t.Any:
    """Run what a plain function around a coroutine function returned.

    Raises:
        TypeError: Nothing says that the function is around one, so that the view has the socket of a plain one.
    """
    if view.wraps_async:

        async def run() -> t.Any:
            return await value

        return run_sync(run)()
    if hasattr(value, "close"):
        value.close()
    name = getattr(view.view, "__name__", repr(view.view))
    raise TypeError(
        f"the WebSocket view {name!r} returned a coroutine, but is a plain function; a decorator around an"
        " `async def` view has to be marked with functools.wraps"
    )


def _session_fields(app: Flask, context: NativeRequestContext) -> list[tuple[str, str]]:
    """The cookies of a session that was changed before the handshake was accepted: its answer takes them along."""
    interface, state = app.session_interface, context._state
    if _is_stock_session(interface) and state.peek("session") is None and state.header("Cookie") is None:
        # Nobody has looked at it, and there is none to be kept alive.
        return []
    session = context._session
    if interface.is_null_session(session):
        return []
    response = app.response_class()
    interface.save_session(app, session, response)
    return [("Set-Cookie", value) for value in response.headers.getlist("Set-Cookie")]


def _check_origin(app: Flask, state: RequestState, request: Request, view: SocketView) -> None:
    allowed = view.origins
    if allowed is None:
        allowed = app.config.get("WEBSOCKET_ORIGINS")
    if not may_connect(state.header("origin"), request.host, allowed):
        raise Forbidden("WebSockets are not opened for pages of this origin.")


def _refusal(value: t.Any) -> t.Any:
    return Forbidden("The WebSocket was not accepted.") if value is None else value


def _close_for(ws: WebSocket | SyncWebSocket, error: Exception) -> Exception | None:
    """Close an accepted socket for an exception of its view; return it if it is one to be told of."""
    if isinstance(error, WebSocketDisconnect):
        ws._close(NORMAL, "")
        return None
    if isinstance(error, HTTPException) and error.code is not None and error.code < 500:
        ws._close(POLICY, error.name)
        return None
    ws._close(INTERNAL, "")
    return error


def _log(app: Flask, error: Exception) -> None:
    if got_request_exception.receivers:
        got_request_exception.send(app, _async_wrapper=app.ensure_sync, exception=error)
    app.log_exception(t.cast(t.Any, sys.exc_info()))
