"""A request's way through the application, where more than the view has to run."""

from __future__ import annotations

import typing as t

from ...kernel.around import in_task
from ...kernel.plan import Rendered
from ...werkzeug.exceptions import BadRequestKeyError, GatewayTimeout, InternalServerError
from ...werkzeug.routing import RoutingException
from .._dispatch import _is_http_exception
from ..globals import _cv_app, _cv_request
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
from .contexts import is_opened_late, open_session
from .planning import is_served_natively

if t.TYPE_CHECKING:
    from collections.abc import Callable

    from ...kernel.plan import RequestState
    from ...werkzeug.exceptions import HTTPException
    from ..app import Flask
    from ..ctx import RequestContext
    from ..sessions import SessionMixin
    from ..wrappers import Request, Response
    from .contexts import NativeRequestContext


def full_dispatch(app: Flask, state: RequestState) -> Rendered:
    """Do what `Flask.wsgi_app` does, with the request as the server holds it.

    Raises:
        BaseException: What the application let through (its own 500 handling in debug mode, a teardown function).
    """
    if not is_served_natively(app) or ("wsgi_app" in app.__dict__ and not state.is_fixed):
        return call_application(app, state)
    failure: BaseException | None = None
    try:
        try:
            _enter(app, state)
            response = app.full_dispatch_request()
        except Exception as error:
            # Told to the teardown functions also if what handles it raises something else.
            failure = error
            response = app.handle_exception(error)
        except BaseException as error:
            failure = error
            raise
        return render(app, state, response)
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
    context = _make_contexts(state)
    if appcontext_pushed.receivers:
        appcontext_pushed.send(app, _async_wrapper=app.ensure_sync)
    return _open(app, state, context)


async def _enter_async(app: Flask, state: RequestState) -> NativeRequestContext:
    context = _make_contexts(state)
    await _send(appcontext_pushed, app)
    return _open(app, state, context)


def _make_contexts(state: RequestState) -> NativeRequestContext:
    app_context = state.app_context
    context: NativeRequestContext = state.request_context
    assert app_context is not None
    return context


def _open(app: Flask, state: RequestState, context: NativeRequestContext) -> NativeRequestContext:
    if not is_opened_late(app.session_interface):
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
            response = await respond_async(app, await _enter_async(app, state), state)
        except Exception as error:
            failure = error
            response = await handle_exception_async(app, state.request_context, error)
        except BaseException as error:
            failure = error
            raise
        return render(app, state, response)
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


async def respond_async(app: Flask, context: RequestContext, state: RequestState | None = None) -> Response:
    """Do what `Flask.full_dispatch_request` does.

    Args:
        app: The application.
        context: The request's context, pushed.
        state: The request as the server has it, if it does: then its time may be up.
    """
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
        if state is None or not (state.expired and _take_cancellation(error)):
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
    return await _call(in_task(app._whole_view(rule.endpoint)), **(request.view_args or {}))


async def _finalize(
    app: Flask, context: RequestContext, value: t.Any, *, from_handler: bool = False
) -> Response:
    response = app.make_response(value)
    try:
        # All of the functions or none: when one fails, the response is what it was before the first.
        response = await _process_response(app, context, response)
        await _send(request_finished, app, response=response)
    except Exception:
        if not from_handler:
            raise
        app.logger.exception("Request finalizing failed with an error while handling an error")
    return response


async def _process_response(app: Flask, context: RequestContext, response: Response) -> Response:
    for function in context._after_request_functions:
        response = await _call(function, response)
    for name in (*context.request.blueprints, None):
        for function in reversed(app.after_request_funcs.get(name, ())):
            response = await _call(function, response)
    interface = app.session_interface
    session = t.cast("SessionMixin", context._session)
    if not interface.is_null_session(session):
        interface.save_session(app, session, response)
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


async def handle_exception_async(app: Flask, context: RequestContext, error: Exception) -> Response:
    """Do what `Flask.handle_exception` does.

    Args:
        app: The application.
        context: The request's context.
        error: What nothing handled.
    """
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
            await _end_request(app, context, error)
    finally:
        app_context = state.peek("app_context")
        if app_context is not None and app_context.leave():
            await _end_app_context(app, error)
            await _send(appcontext_popped, app)


async def _end_request(app: Flask, context: RequestContext, error: BaseException | None) -> None:
    for name in (*context.request.blueprints, None):
        for function in reversed(app.teardown_request_funcs.get(name, ())):
            await _call(function, error)
    await _send(request_tearing_down, app, exc=error)
    close = getattr(context.request, "close", None)
    if close is not None:
        close()
    if context._at_end:
        context._tell_end(error)


async def _end_app_context(app: Flask, error: BaseException | None) -> None:
    for function in reversed(app.teardown_appcontext_funcs):
        await _call(function, error)
    await _send(appcontext_tearing_down, app, exc=error)


async def pop_async(app: Flask, context: RequestContext, error: BaseException | None) -> None:
    """Pop a context, awaiting the teardown functions.

    Args:
        app: The application.
        context: The context on top.
        error: What ended the request.
    """
    if len(context._cv_tokens) != 1:
        # A body that is generated within the context keeps it.
        context.pop(error)
        return
    try:
        await _end_request(app, context, error)
    finally:
        token, below = context._cv_tokens.pop()
        _cv_request.reset(token)
        context._forget_request(context)
        if below is not None:
            try:
                await _end_app_context(app, error)
            finally:
                _cv_app.reset(below._cv_tokens.pop())
            await _send(appcontext_popped, app)
