"""A request's way through the application, where more than the view has to run."""

from __future__ import annotations

import typing as t

from ...kernel.plan import Rendered
from ...werkzeug.exceptions import BadRequestKeyError, GatewayTimeout, InternalServerError
from ...werkzeug.routing import RoutingException
from .._dispatch import _is_http_exception
from ..sessions import NullSession, SecureCookieSession
from ..signals import (
    appcontext_popped,
    appcontext_pushed,
    appcontext_tearing_down,
    got_request_exception,
    request_finished,
    request_started,
    request_tearing_down,
)
from .answer import call_application, render
from .contexts import open_session
from .planning import is_served_natively

if t.TYPE_CHECKING:
    from collections.abc import Callable

    from ...kernel.plan import RequestState
    from ...werkzeug.exceptions import HTTPException
    from ..app import Flask
    from ..wrappers import Request, Response
    from .contexts import NativeRequestContext


def full_dispatch(app: Flask, state: RequestState) -> Rendered:
    """Do what `Flask.wsgi_app` does, with the request as the server holds it.

    Raises:
        BaseException: What the application let through (its own 500 handling in debug mode, a teardown function).
    """
    if not is_served_natively(app):
        return call_application(app, state)
    failure: BaseException | None = None
    try:
        try:
            _enter(app, state)
            response = app.full_dispatch_request()
        except Exception as error:
            failure = error
            response = app.handle_exception(error)
        return render(app, state, response)
    except BaseException as error:
        failure = error
        raise
    finally:
        if failure is not None and app.should_ignore_error(failure):
            failure = None
        end_request(app, state, failure)


def answer_error(
    app: Flask, state: RequestState, error: BaseException, in_view: bool
) -> tuple[Response, BaseException | None]:
    """Answer what a view or a hook raised, as the rest of the pipeline would have.

    Args:
        app: The application.
        state: The request.
        error: The exception.
        in_view: It came from the view or a before-request function, where error handlers are asked first; not from
            the making of the response.

    Returns:
        The response, and the exception that nothing handled or None.
    """
    try:
        # The handlers look at the exception being handled.
        raise error
    except Exception as raised:
        if not in_view:
            return app.handle_exception(raised), raised
        try:
            return app.finalize_request(app.handle_user_exception(raised)), None
        except Exception as unhandled:
            return app.handle_exception(unhandled), unhandled


def timed_out(app: Flask, state: RequestState) -> GatewayTimeout:
    """Return what answers a request whose view's time is up."""
    return GatewayTimeout()


def process_response(app: Flask, state: RequestState, response: Response) -> Response:
    """Run the functions registered for this request, the hooks, and save the session."""
    return app.process_response(response)


def session_varies(app: Flask, state: RequestState) -> bool | None:
    """Return whether the session was read and needs no more than a field of the response; None if it does."""
    session = state.peek("session")
    if type(session) is not SecureCookieSession or session.modified:
        return False if type(session) is NullSession else None
    if "_permanent" in session and session.permanent:
        return None
    return session.accessed


def finish_session(app: Flask, state: RequestState, response: Response) -> Response:
    """Save the session."""
    session = state.peek("session")
    if session is None:
        # Not through the state's attribute, which counts as an access by the view.
        session = state.session = open_session(app, state)
    interface = app.session_interface
    if not interface.is_null_session(session):
        interface.save_session(app, session, response)
    return response


def end_request(app: Flask, state: RequestState, error: BaseException | None) -> None:
    """Leave the contexts that exist, the request's first.

    Args:
        app: The application.
        state: The request.
        error: What ended the request.
    """
    context = state.peek("request_context")
    try:
        if context is not None:
            context.finish(error)
    finally:
        app_context = state.peek("app_context")
        if app_context is not None:
            app_context.finish(error)


def _enter(app: Flask, state: RequestState) -> NativeRequestContext:
    """Do what pushing the contexts does: signal, session, routing."""
    app_context = state.app_context
    context: NativeRequestContext = state.request_context
    if appcontext_pushed.receivers:
        appcontext_pushed.send(app, _async_wrapper=app.ensure_sync)
    assert app_context is not None
    context._session  # noqa: B018  (a session interface of the application's own may look at every request)
    # The adapter is what notices a host that is not trusted.
    look = state.url_rule is None or app.config["TRUSTED_HOSTS"] is not None
    if look and context.url_adapter is not None and state.url_rule is None:
        context.match_request()
    return context


# -- as a coroutine ------------------------------------------------------------------------------------------------
# The same steps, awaiting what is to be awaited. Only for applications that have not replaced a step.


async def full_dispatch_async(app: Flask, state: RequestState) -> Rendered:
    """Run the pipeline as a coroutine: views, hooks and handlers may be coroutine functions or plain ones."""
    failure: BaseException | None = None
    try:
        try:
            response = await _respond(app, state, _enter(app, state))
        except Exception as error:
            failure = error
            response = await _handle_exception(app, state.request_context, error)
        return render(app, state, response)
    except BaseException as error:
        failure = error
        raise
    finally:
        if failure is not None and app.should_ignore_error(failure):
            failure = None
        await _end(app, state, failure)


async def _call(function: Callable[..., t.Any], *args: t.Any, **kwargs: t.Any) -> t.Any:
    value = function(*args, **kwargs)
    # Asked of the value: a plain function around a coroutine function returns an awaitable too.
    return await value if _is_awaitable(value) else value


def _is_awaitable(value: t.Any) -> bool:
    # Not `inspect.isawaitable`, which also takes generators that were made into coroutines by hand.
    return value is not None and hasattr(type(value), "__await__")


async def _send(signal: t.Any, app: Flask, **kwargs: t.Any) -> None:
    if signal.receivers:
        await signal.send_async(app, _sync_wrapper=_as_coroutine_function, **kwargs)


def _as_coroutine_function(function: Callable[..., t.Any]) -> Callable[..., t.Any]:
    async def call(*args: t.Any, **kwargs: t.Any) -> t.Any:
        return function(*args, **kwargs)

    return call


async def _respond(app: Flask, state: RequestState, context: NativeRequestContext) -> Response:
    if not app._got_first_request:
        app._got_first_request = True
    request = context.request
    try:
        await _send(request_started, app)
        value = await _preprocess(app, request)
        if value is None:
            value = await _dispatch(app, request)
    except Exception as error:
        value = await _handle_user_exception(app, request, error)
    except BaseException as error:
        if not (state.expired and _take_cancellation(error)):
            raise
        value = await _handle_user_exception(app, request, timed_out(app, state))
    return await _finalize(app, context, value)


def _take_cancellation(error: BaseException) -> bool:
    """Return whether a task was cancelled; what it does from now on is not."""
    import asyncio

    if not isinstance(error, asyncio.CancelledError):
        return False
    uncancel = getattr(asyncio.current_task(), "uncancel", None)
    if uncancel is not None:  # 3.11
        uncancel()
    return True


async def _preprocess(app: Flask, request: Request) -> t.Any:
    names = (None, *reversed(request.blueprints))
    for name in names:
        for preprocess in app.url_value_preprocessors.get(name, ()):
            preprocess(request.endpoint, request.view_args)
    for name in names:
        for hook in app.before_request_funcs.get(name, ()):
            value = await _call(hook)
            if value is not None:
                return value
    return None


async def _dispatch(app: Flask, request: Request) -> t.Any:
    if request.routing_exception is not None:
        app.raise_routing_exception(request)
    rule: t.Any = request.url_rule
    if request.method == "OPTIONS" and getattr(rule, "provide_automatic_options", False):
        return app.make_default_options_response()
    return await _call(app._whole_view(rule.endpoint), **(request.view_args or {}))


async def _finalize(
    app: Flask, context: NativeRequestContext, value: t.Any, *, from_handler: bool = False
) -> Response:
    response = app.make_response(value)
    try:
        for function in context._after_request_functions:
            response = await _call(function, response)
        for name in (*context.request.blueprints, None):
            for function in reversed(app.after_request_funcs.get(name, ())):
                response = await _call(function, response)
        interface = app.session_interface
        if not interface.is_null_session(context._session):
            interface.save_session(app, context._session, response)
        await _send(request_finished, app, response=response)
    except Exception:
        if not from_handler:
            raise
        app.logger.exception("Request finalizing failed with an error while handling an error")
    return response


async def _handle_user_exception(app: Flask, request: Request, error: Exception) -> t.Any:
    if isinstance(error, BadRequestKeyError) and (app.debug or app.config["TRAP_BAD_REQUEST_ERRORS"]):
        error.show_exception = True
    is_http = _is_http_exception(error) and not app.trap_http_exception(error)
    # No code: the exception carries a response. Routing's are the router's business.
    if is_http and (t.cast("HTTPException", error).code is None or isinstance(error, RoutingException)):
        return error
    handler = app._find_error_handler(error, request.blueprints)
    if handler is not None:
        return await _call(handler, error)
    if is_http:
        return error
    raise error


async def _handle_exception(app: Flask, context: NativeRequestContext, error: Exception) -> Response:
    await _send(got_request_exception, app, exception=error)
    propagate = app.config["PROPAGATE_EXCEPTIONS"]
    if propagate is None:
        propagate = app.testing or app.debug
    if propagate:
        raise error
    app.log_exception(t.cast(t.Any, (type(error), error, error.__traceback__)))
    answer = InternalServerError(original_exception=error)
    handler = app._find_error_handler(answer, context.request.blueprints)
    value = answer if handler is None else await _call(handler, answer)
    return await _finalize(app, context, value, from_handler=True)


async def _end(app: Flask, state: RequestState, error: BaseException | None) -> None:
    context = state.peek("request_context")
    try:
        if context is not None and context.leave():
            for name in (*context.request.blueprints, None):
                for function in reversed(app.teardown_request_funcs.get(name, ())):
                    await _call(function, error)
            await _send(request_tearing_down, app, exc=error)
            context.close_request()
    finally:
        app_context = state.peek("app_context")
        if app_context is not None and app_context.leave():
            for function in reversed(app.teardown_appcontext_funcs):
                await _call(function, error)
            await _send(appcontext_tearing_down, app, exc=error)
            await _send(appcontext_popped, app)
