"""The dispatch of a request: hooks, view, error handlers, and the making of its response."""

from __future__ import annotations

import collections.abc as cabc
import sys
import typing as t

from ..kernel.aio import is_coroutine_function
from ..werkzeug.datastructures import Headers
from ..werkzeug.exceptions import BadRequestKeyError, HTTPException, InternalServerError
from ..werkzeug.routing import RequestRedirect, RoutingException
from ..werkzeug.wrappers import Response as BaseResponse
from . import typing as ft
from .globals import request, request_ctx
from .sansio.app import App
from .sansio.scaffold import _sentinel
from .signals import (
    appcontext_tearing_down,
    got_request_exception,
    request_finished,
    request_started,
    request_tearing_down,
)
from .wrappers import Request, Response

if t.TYPE_CHECKING:
    from types import TracebackType

    from .app import Flask
    from .sessions import SessionInterface

_BODY_TYPES = (
    "The return type must be a string, dict, list, tuple with headers or status, Response instance, or WSGI"
    " callable, but it was a {}."
)


class Dispatch(App):
    """The steps between a matched request and its response; each can be overridden."""

    response_class: type[Response]
    session_interface: SessionInterface

    if t.TYPE_CHECKING:

        def log_exception(
            self,
            exc_info: tuple[type, BaseException, TracebackType] | tuple[None, None, None],
        ) -> None:
            """Log an exception of the current request."""

    def full_dispatch_request(self) -> Response:
        """Run hooks and view of the current request and return the finished response."""
        if not self._got_first_request:
            self._got_first_request = True
        try:
            if request_started.receivers:
                request_started.send(self, _async_wrapper=self.ensure_sync)
            value = self.preprocess_request()
            if value is None:
                value = self.dispatch_request()
        except Exception as error:
            value = self.handle_user_exception(error)
        return self.finalize_request(value)

    def preprocess_request(self) -> ft.ResponseReturnValue | None:
        """Run the URL value preprocessors and the before-request functions.

        Returns:
            The first value that a before-request function returned instead of None: the response.
        """
        req: Request = request_ctx.request
        names = (None, *reversed(req.blueprints))
        preprocessors = self.url_value_preprocessors
        if preprocessors:
            for name in names:
                for preprocess in preprocessors.get(name, ()):
                    preprocess(req.endpoint, req.view_args)
        hooks = self.before_request_funcs
        if hooks:
            for name in names:
                for hook in hooks.get(name, ()):
                    value = self.ensure_sync(hook)()
                    if value is not None:
                        return t.cast("ft.ResponseReturnValue", value)
        return None

    def dispatch_request(self) -> ft.ResponseReturnValue:
        """Call the view of the current request and return what it returns."""
        req: Request = request_ctx.request
        if req.routing_exception is not None:
            self.raise_routing_exception(req)
        rule: t.Any = req.url_rule
        if req.method == "OPTIONS" and getattr(rule, "provide_automatic_options", False):
            return self.make_default_options_response()
        view = self.ensure_sync(self._whole_view(rule.endpoint))
        return view(**(req.view_args or {}))  # type: ignore[no-any-return]

    def raise_routing_exception(self, request: Request) -> t.NoReturn:
        """Raise what routing ended with; in debug mode a redirect that would lose a form is an error.

        Args:
            request: A request whose `routing_exception` is set.
        """
        error = request.routing_exception
        assert error is not None
        if (
            self.debug
            and isinstance(error, RequestRedirect)
            and error.code not in (307, 308)
            and request.method not in ("GET", "HEAD", "OPTIONS")
        ):
            from .debughelpers import FormDataRoutingRedirect

            raise FormDataRoutingRedirect(request)
        raise error

    def make_default_options_response(self) -> Response:
        """Return the response to OPTIONS that lists the methods of the URL."""
        response = self.response_class()
        response.allow.update(request_ctx.url_adapter.allowed_methods())
        return response

    def finalize_request(
        self, rv: ft.ResponseReturnValue | HTTPException, from_error_handler: bool = False
    ) -> Response:
        """Turn the value of a view into a response and run the after-request functions.

        Args:
            rv: The value.
            from_error_handler: Log an error of an after-request function instead of raising it.
        """
        response = self.make_response(rv)
        try:
            response = self.process_response(response)
            if request_finished.receivers:
                request_finished.send(self, _async_wrapper=self.ensure_sync, response=response)
        except Exception:
            if not from_error_handler:
                raise
            self.logger.exception("Request finalizing failed with an error while handling an error")
        return response

    def process_response(self, response: Response) -> Response:
        """Run the after-request functions and save the session.

        Args:
            response: The response.
        """
        context = request_ctx._get_current_object()  # type: ignore[attr-defined]
        for func in context._after_request_functions:
            response = self.ensure_sync(func)(response)
        hooks = self.after_request_funcs
        if hooks:
            for name in (*context.request.blueprints, None):
                for func in reversed(hooks.get(name, ())):
                    response = self.ensure_sync(func)(response)
        session = context._session
        if not self.session_interface.is_null_session(session):
            self.session_interface.save_session(t.cast("Flask", self), session, response)
        return response

    def do_teardown_request(self, exc: BaseException | None = _sentinel) -> None:
        """Run the teardown functions of the current request.

        Args:
            exc: What ended the request; the exception being handled when it is not given.
        """
        if exc is _sentinel:
            exc = sys.exc_info()[1]
        hooks = self.teardown_request_funcs
        if hooks:
            for name in (*request_ctx.request.blueprints, None):
                for func in reversed(hooks.get(name, ())):
                    self.ensure_sync(func)(exc)
        if request_tearing_down.receivers:
            request_tearing_down.send(self, _async_wrapper=self.ensure_sync, exc=exc)

    def do_teardown_appcontext(self, exc: BaseException | None = _sentinel) -> None:
        """Run the teardown functions of the current application context.

        Args:
            exc: What ended the context; the exception being handled when it is not given.
        """
        if exc is _sentinel:
            exc = sys.exc_info()[1]
        for func in reversed(self.teardown_appcontext_funcs):
            self.ensure_sync(func)(exc)
        if appcontext_tearing_down.receivers:
            appcontext_tearing_down.send(self, _async_wrapper=self.ensure_sync, exc=exc)

    def ensure_sync(self, func: t.Callable[..., t.Any]) -> t.Callable[..., t.Any]:
        """Return a function that can be called without awaiting it.

        Args:
            func: A plain function, returned as it is, or a coroutine function.
        """
        return self.async_to_sync(func) if is_coroutine_function(func) else func

    def async_to_sync(
        self, func: t.Callable[..., t.Coroutine[t.Any, t.Any, t.Any]]
    ) -> t.Callable[..., t.Any]:
        """Return a plain function that runs a coroutine function to its end; a hook for subclasses.

        Args:
            func: The coroutine function.
        """
        from ..kernel.aio import run_sync

        return run_sync(func)

    # -- errors ----------------------------------------------------------------------------------------------

    def handle_user_exception(self, e: Exception) -> HTTPException | ft.ResponseReturnValue:
        """Answer an exception of a view or hook with its handler; re-raise it if there is none.

        Args:
            e: The exception, which must be the one being handled.
        """
        if isinstance(e, BadRequestKeyError) and (self.debug or self.config["TRAP_BAD_REQUEST_ERRORS"]):
            e.show_exception = True
        if _is_http_exception(e) and not self.trap_http_exception(e):
            return self.handle_http_exception(t.cast(HTTPException, e))
        handler = self._find_error_handler(e, request_ctx.request.blueprints)
        if handler is None:
            raise
        return self.ensure_sync(handler)(e)  # type: ignore[no-any-return]

    def handle_http_exception(self, e: HTTPException) -> HTTPException | ft.ResponseReturnValue:
        """Answer an HTTP exception with its handler, or with itself.

        Args:
            e: The exception.
        """
        # No code: the exception carries a response (`abort(response)`). Routing's are the router's business.
        if e.code is None or isinstance(e, RoutingException):
            return e
        handler = self._find_error_handler(e, request_ctx.request.blueprints)
        if handler is None:
            return e
        return self.ensure_sync(handler)(e)  # type: ignore[no-any-return]

    def handle_exception(self, e: Exception) -> Response:
        """Answer an exception that nothing handled: log it and respond with 500, or let it through to the tests.

        Args:
            e: The exception.
        """
        exc_info = sys.exc_info()
        if got_request_exception.receivers:
            got_request_exception.send(self, _async_wrapper=self.ensure_sync, exception=e)
        propagate = self.config["PROPAGATE_EXCEPTIONS"]
        if propagate is None:
            propagate = self.testing or self.debug
        if propagate:
            if exc_info[1] is e:
                raise  # keeps the traceback as it is
            raise e

        self.log_exception(exc_info)
        error = InternalServerError(original_exception=e)
        handler = self._find_error_handler(error, request_ctx.request.blueprints)
        value = error if handler is None else self.ensure_sync(handler)(error)
        return self.finalize_request(value, from_error_handler=True)

    # -- responses -------------------------------------------------------------------------------------------

    def make_response(self, rv: ft.ResponseReturnValue) -> Response:
        """Turn the value of a view into a response of `response_class`.

        Args:
            rv: A body, or a tuple of a body with a status, headers or both. A body is text, bytes, a dict or list
                (sent as JSON), an iterator, a response or a WSGI application.

        Raises:
            TypeError: It is none of these.
        """
        if type(rv) is dict or type(rv) is list:
            # What most views return; the checks below end with one against an abstract class.
            return t.cast("Response", self.json.response(rv))
        value: t.Any = rv
        status: t.Any = None
        headers: t.Any = None
        if isinstance(value, tuple):
            if len(value) == 3:
                value, status, headers = value
            elif len(value) == 2:
                if isinstance(value[1], (Headers, dict, tuple, list)):
                    value, headers = value
                else:
                    value, status = value
            else:
                raise TypeError(
                    "The view function did not return a valid response tuple. The tuple must have the form"
                    " (body, status, headers), (body, status), or (body, headers)."
                )

        if not isinstance(value, self.response_class):
            # The usual types first: asking whether something is an iterator is slow.
            kind = type(value)
            if kind is dict or kind is list:
                value = self.json.response(value)
            elif isinstance(value, (str, bytes, bytearray, cabc.Iterator)):
                # Given to the constructor, so that a class can treat a status of its own making.
                value = self.response_class(t.cast("str", value), status=status, headers=headers)
                status = headers = None
            elif isinstance(value, (dict, list)):
                value = self.json.response(value)
            elif value is None:
                raise TypeError(
                    f"The view function for {request.endpoint!r} did not return a valid response."
                    " The function either returned None or ended without a return statement."
                )
            elif hasattr(type(value), "__aiter__"):
                value = self.response_class(value, status=status, headers=headers)
                status = headers = None
            elif hasattr(type(value), "__await__"):
                # A plain function around a coroutine function: what that returns is the view's value.
                value = self.make_response(self.async_to_sync(_awaiting)(value))
            else:
                value = self._force_response(value)

        response: Response = value
        if status is not None:
            if isinstance(status, (str, bytes, bytearray)):
                response.status = status  # type: ignore[assignment]
            else:
                response.status_code = status
        if headers:
            response.headers.update(headers)
        return response

    def _force_response(self, value: t.Any) -> Response:
        problem = "The view function did not return a valid response. " + _BODY_TYPES.format(
            type(value).__name__
        )
        if not isinstance(value, BaseResponse) and not callable(value):
            raise TypeError(problem)
        try:
            return t.cast(Response, self.response_class.force_type(value, request.environ))
        except TypeError as error:
            raise TypeError(f"{error}\n{problem}").with_traceback(error.__traceback__) from None


async def _awaiting(value: t.Any) -> t.Any:
    return await value


def _is_http_exception(error: Exception) -> bool:
    if isinstance(error, HTTPException):
        return True
    # Raised by code that got hold of the real class before the names were ours.
    return any(
        cls.__name__ == "HTTPException" and cls.__module__ == "werkzeug.exceptions"
        for cls in type(error).__mro__
    )
