"""HTTP errors as exceptions that are also WSGI applications.

Raise one, or call `abort` with a status code. Each answers with a small HTML page of its status and description.
The classes import nothing of this package when defined: responses, headers and dates are loaded on first use.
"""

from __future__ import annotations

import typing as t
from datetime import datetime

from markupsafe import escape

from ._internal import _get_environ

if t.TYPE_CHECKING:
    from .datastructures import WWWAuthenticate
    from .wrappers.response import Response

    HeaderList = list[tuple[str, str]]


class HTTPException(Exception):
    """The base of every HTTP error.

    Args:
        description: Text for the body; the class's own when None.
        response: A finished response to send in place of the generated page.

    Compatible with: werkzeug.exceptions.HTTPException (3.1)
    """

    code: int | None = None
    description: str | None = None

    def __init__(self, description: str | None = None, response: Response | None = None) -> None:
        super().__init__()
        if description is not None:
            self.description = description
        self.response = response

    @property
    def name(self) -> str:
        """The reason phrase of the status code."""
        from .http import HTTP_STATUS_CODES

        return HTTP_STATUS_CODES.get(self.code, "Unknown Error")  # type: ignore[arg-type]

    def get_description(self, environ: t.Any = None, scope: dict[str, t.Any] | None = None) -> str:
        """Return the description as an HTML paragraph."""
        text = "" if self.description is None else self.description
        lines = str(escape(text)).split("\n")
        return "<p>" + "<br>".join(lines) + "</p>"

    def get_body(self, environ: t.Any = None, scope: dict[str, t.Any] | None = None) -> str:
        """Return the HTML page."""
        name = escape(self.name)
        head = f"<!doctype html>\n<html lang=en>\n<title>{self.code} {name}</title>\n<h1>{name}</h1>\n"
        return f"{head}{self.get_description(environ)}\n"

    def get_headers(self, environ: t.Any = None, scope: dict[str, t.Any] | None = None) -> HeaderList:
        """Return the header fields of the page."""
        return [("Content-Type", "text/html; charset=utf-8")]

    def get_response(self, environ: t.Any = None, scope: dict[str, t.Any] | None = None) -> Response:
        """Return the response given at creation, or one made of `get_body` and `get_headers`."""
        if self.response is not None:
            return self.response
        from .wrappers.response import Response

        if environ is not None:
            environ = _get_environ(environ)
        return Response(self.get_body(environ, scope), self.code, self.get_headers(environ, scope))

    def __call__(self, environ: dict[str, t.Any], start_response: t.Any) -> t.Iterable[bytes]:
        """Answer a WSGI request with this error."""
        return self.get_response(environ)(environ, start_response)

    def __str__(self) -> str:
        return f"{'???' if self.code is None else self.code} {self.name}: {self.description}"

    def __repr__(self) -> str:
        return f"<{type(self).__name__} '{'???' if self.code is None else self.code}: {self.name}'>"


class BadRequest(HTTPException):
    """400: the request cannot be understood."""

    code = 400
    description = "The browser (or proxy) sent a request that this server could not understand."


class BadRequestKeyError(BadRequest, KeyError):
    """400 that is a `KeyError` too: a form field, argument or header that is not there.

    Set `show_exception` to name the key in the description; it is off because keys can be private.
    """

    _description = BadRequest.description
    show_exception = False

    def __init__(self, arg: object = None, *args: t.Any, **kwargs: t.Any) -> None:
        super().__init__(*args, **kwargs)
        key = () if arg is None else (arg,)
        KeyError.__init__(self, *key)

    @property
    def description(self) -> str:
        """The text of the body, with the key's name if `show_exception` is set."""
        if not self.show_exception:
            return self._description
        return f"{self._description}\nKeyError: {KeyError.__str__(self)}"

    @description.setter
    def description(self, value: str) -> None:
        self._description = value


class ClientDisconnected(BadRequest):
    """400: the client went away before the whole body arrived."""


class SecurityError(BadRequest):
    """400: the request looks like an attack or breaks a security rule."""


class BadHost(BadRequest):
    """400: the Host header is malformed."""


class Unauthorized(HTTPException):
    """401: credentials are missing or wrong.

    Args:
        www_authenticate: One or several challenges for the WWW-Authenticate header.
    """

    code = 401
    description = (
        "The server could not verify that you are authorized to access the URL requested. You either supplied "
        "the wrong credentials (e.g. a bad password), or your browser doesn't understand how to supply the "
        "credentials required."
    )

    def __init__(
        self,
        description: str | None = None,
        response: Response | None = None,
        www_authenticate: WWWAuthenticate | t.Iterable[WWWAuthenticate] | None = None,
    ) -> None:
        super().__init__(description, response)
        from .datastructures import WWWAuthenticate

        single = isinstance(www_authenticate, WWWAuthenticate)
        self.www_authenticate = (www_authenticate,) if single else www_authenticate

    def get_headers(self, environ: t.Any = None, scope: dict[str, t.Any] | None = None) -> HeaderList:
        """Add the challenges."""
        fields = super().get_headers(environ, scope)
        if self.www_authenticate:
            fields += [("WWW-Authenticate", str(challenge)) for challenge in self.www_authenticate]  # type: ignore[union-attr]
        return fields


class Forbidden(HTTPException):
    """403: known, and refused."""

    code = 403
    description = (
        "You don't have the permission to access the requested resource. It is either read-protected or not "
        "readable by the server."
    )


class NotFound(HTTPException):
    """404: nothing at this URL."""

    code = 404
    description = (
        "The requested URL was not found on the server. If you entered the URL manually please check your "
        "spelling and try again."
    )


class MethodNotAllowed(HTTPException):
    """405: the URL exists, but not for this method.

    Args:
        valid_methods: What the Allow header lists.
    """

    code = 405
    description = "The method is not allowed for the requested URL."

    def __init__(
        self,
        valid_methods: t.Iterable[str] | None = None,
        description: str | None = None,
        response: Response | None = None,
    ) -> None:
        super().__init__(description, response)
        self.valid_methods = valid_methods

    def get_headers(self, environ: t.Any = None, scope: dict[str, t.Any] | None = None) -> HeaderList:
        """Add Allow."""
        fields = super().get_headers(environ, scope)
        if self.valid_methods:
            fields.append(("Allow", ", ".join(self.valid_methods)))
        return fields


class NotAcceptable(HTTPException):
    """406: nothing the client accepts can be produced."""

    code = 406
    description = (
        "The resource identified by the request is only capable of generating response entities which have "
        "content characteristics not acceptable according to the accept headers sent in the request."
    )


class RequestTimeout(HTTPException):
    """408: the request did not arrive in time."""

    code = 408
    description = (
        "The server closed the network connection because the browser didn't finish the request within the "
        "specified time."
    )


class Conflict(HTTPException):
    """409: the resource's state forbids the request."""

    code = 409
    description = (
        "A conflict happened while processing the request. The resource might have been modified while the "
        "request was being processed."
    )


class Gone(HTTPException):
    """410: it was here and will not come back."""

    code = 410
    description = (
        "The requested URL is no longer available on this server and there is no forwarding address. If you "
        "followed a link from a foreign page, please contact the author of this page."
    )


class LengthRequired(HTTPException):
    """411: Content-Length is missing."""

    code = 411
    description = "A request with this method requires a valid <code>Content-Length</code> header."


class PreconditionFailed(HTTPException):
    """412: a conditional header was not met."""

    code = 412
    description = "The precondition on the request for the URL failed positive evaluation."


class RequestEntityTooLarge(HTTPException):
    """413: the body is over a limit."""

    code = 413
    description = "The data value transmitted exceeds the capacity limit."


class RequestURITooLarge(HTTPException):
    """414: the URL is over a limit."""

    code = 414
    description = "The length of the requested URL exceeds the capacity limit for this server. The request cannot be processed."


class UnsupportedMediaType(HTTPException):
    """415: the body's type is not one the resource takes."""

    code = 415
    description = "The server does not support the media type transmitted in the request."


class RequestedRangeNotSatisfiable(HTTPException):
    """416: the range lies outside the resource.

    Args:
        length: The resource's length, for Content-Range.
        units: The unit of `length`.
    """

    code = 416
    description = "The server cannot provide the requested range."

    def __init__(
        self,
        length: int | None = None,
        units: str = "bytes",
        description: str | None = None,
        response: Response | None = None,
    ) -> None:
        super().__init__(description, response)
        self.length = length
        self.units = units

    def get_headers(self, environ: t.Any = None, scope: dict[str, t.Any] | None = None) -> HeaderList:
        """Add Content-Range."""
        fields = super().get_headers(environ, scope)
        if self.length is not None:
            fields.append(("Content-Range", f"{self.units} */{self.length}"))
        return fields


class ExpectationFailed(HTTPException):
    """417: Expect cannot be met."""

    code = 417
    description = "The server could not meet the requirements of the Expect header"


class ImATeapot(HTTPException):
    """418: short and stout."""

    code = 418
    description = "This server is a teapot, not a coffee machine"


class MisdirectedRequest(HTTPException):
    """421: this server does not answer for that authority."""

    code = 421
    description = "The server is not able to produce a response."


class UnprocessableEntity(HTTPException):
    """422: well-formed, but wrong in content."""

    code = 422
    description = "The request was well-formed but was unable to be followed due to semantic errors."


class Locked(HTTPException):
    """423: the resource is locked."""

    code = 423
    description = "The resource that is being accessed is locked."


class FailedDependency(HTTPException):
    """424: something this depended on failed."""

    code = 424
    description = (
        "The method could not be performed on the resource because the requested action depended on another "
        "action and that action failed."
    )


class PreconditionRequired(HTTPException):
    """428: the request must be conditional."""

    code = 428
    description = 'This request is required to be conditional; try using "If-Match" or "If-Unmodified-Since".'


class _RetryAfter(HTTPException):
    """An error with an optional Retry-After header: seconds, or a point in time."""

    def __init__(
        self,
        description: str | None = None,
        response: Response | None = None,
        retry_after: datetime | int | None = None,
    ) -> None:
        super().__init__(description, response)
        self.retry_after = retry_after

    def get_headers(self, environ: t.Any = None, scope: dict[str, t.Any] | None = None) -> HeaderList:
        """Add Retry-After."""
        fields = super().get_headers(environ, scope)
        when = self.retry_after
        if isinstance(when, datetime):
            from .http import http_date

            fields.append(("Retry-After", http_date(when)))
        elif when:
            fields.append(("Retry-After", str(when)))
        return fields


class TooManyRequests(_RetryAfter):
    """429: rate limit reached."""

    code = 429
    description = "This user has exceeded an allotted request count. Try again later."


class RequestHeaderFieldsTooLarge(HTTPException):
    """431: the header section is over a limit."""

    code = 431
    description = "One or more header fields exceeds the maximum size."


class UnavailableForLegalReasons(HTTPException):
    """451: the law forbids it."""

    code = 451
    description = "Unavailable for legal reasons."


class InternalServerError(HTTPException):
    """500: the application failed.

    Args:
        original_exception: What it failed with, for an error handler to look at.
    """

    code = 500
    description = (
        "The server encountered an internal error and was unable to complete your request. Either the server is "
        "overloaded or there is an error in the application."
    )

    def __init__(
        self,
        description: str | None = None,
        response: Response | None = None,
        original_exception: BaseException | None = None,
    ) -> None:
        super().__init__(description, response)
        self.original_exception = original_exception


class NotImplemented(HTTPException):
    """501: the server cannot do this at all."""

    code = 501
    description = "The server does not support the action requested by the browser."


class BadGateway(HTTPException):
    """502: an upstream answered nonsense."""

    code = 502
    description = "The proxy server received an invalid response from an upstream server."


class ServiceUnavailable(_RetryAfter):
    """503: not now."""

    code = 503
    description = (
        "The server is temporarily unable to service your request due to maintenance downtime or capacity "
        "problems. Please try again later."
    )


class GatewayTimeout(HTTPException):
    """504: an upstream did not answer in time."""

    code = 504
    description = "The connection to an upstream server timed out."


class HTTPVersionNotSupported(HTTPException):
    """505: unknown protocol version."""

    code = 505
    description = "The server does not support the HTTP protocol version used in the request."


def _classes_by_code() -> dict[int, type[HTTPException]]:
    table: dict[int, type[HTTPException]] = {}
    for value in list(globals().values()):
        if isinstance(value, type) and issubclass(value, HTTPException) and value.code is not None:
            # A more special class of the same status (BadRequestKeyError, SecurityError) is not what abort raises.
            table.setdefault(value.code, value)
    return table


default_exceptions: dict[int, type[HTTPException]] = _classes_by_code()


class Aborter:
    """Raises the exception of a status code.

    Args:
        mapping: Status codes to exception classes; `default_exceptions` when None.
        extra: Entries that add to or replace those of `mapping`.

    Compatible with: werkzeug.exceptions.Aborter (3.1)
    """

    def __init__(
        self,
        mapping: dict[int, type[HTTPException]] | None = None,
        extra: dict[int, type[HTTPException]] | None = None,
    ) -> None:
        self.mapping = dict(default_exceptions if mapping is None else mapping)
        self.mapping.update(extra or {})

    def __call__(self, code: int | Response, *args: t.Any, **kwargs: t.Any) -> t.NoReturn:
        """Raise.

        Args:
            code: A status code, or a response to send as it is.
            *args: For the exception's class.
            **kwargs: For the exception's class.

        Raises:
            HTTPException: Always, unless the code is unknown.
            LookupError: No exception class has this code.
        """
        if not isinstance(code, int):
            from .sansio.response import Response

            if isinstance(code, Response):
                raise HTTPException(response=code)
        kind = self.mapping.get(code)
        if kind is None:
            raise LookupError(f"no exception for {code!r}")
        raise kind(*args, **kwargs)


_aborter = Aborter()


def abort(status: int | Response, *args: t.Any, **kwargs: t.Any) -> t.NoReturn:
    """Raise the `HTTPException` of a status code, or one that carries the given response.

    Args:
        status: A status code or a response.
        *args: Passed to the exception class.
        **kwargs: Passed to the exception class.

    Compatible with: werkzeug.exceptions.abort (3.1)
    """
    _aborter(status, *args, **kwargs)
