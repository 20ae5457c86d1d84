"""A client that calls a WSGI application without a server, and what it is made of."""

from __future__ import annotations

import dataclasses
import typing as t
from itertools import chain
from urllib.parse import urljoin, urlsplit

from ._environ_builder import EnvironBuilder as EnvironBuilder
from ._environ_builder import _iter_data as _iter_data
from ._environ_builder import _quote_path, _split_host
from ._environ_builder import create_environ as create_environ
from ._environ_builder import encode_multipart as encode_multipart
from ._environ_builder import stream_encode_multipart as stream_encode_multipart
from ._internal import _get_environ, _wsgi_decoding_dance
from .datastructures import Headers
from .http import dump_cookie, parse_cookie, parse_date
from .utils import cached_property
from .wrappers.request import Request
from .wrappers.response import Response
from .wsgi import ClosingIterator, get_current_url

if t.TYPE_CHECKING:
    from datetime import datetime

    import typing_extensions as te
    from _typeshed.wsgi import WSGIApplication, WSGIEnvironment

    CookieKey = tuple[str, str, str]

__all__ = [
    "Client",
    "ClientRedirectError",
    "Cookie",
    "EnvironBuilder",
    "TestResponse",
    "create_environ",
    "encode_multipart",
    "run_wsgi_app",
    "stream_encode_multipart",
]

_REDIRECTS = frozenset({301, 302, 303, 305, 307, 308})
# These repeat the request as it was; the others turn it into a GET.
_KEEPS_METHOD = frozenset({307, 308})


class ClientRedirectError(Exception):
    """A redirect led back to where the client has been."""


class Client:
    """Sends requests to a WSGI application in the same thread, keeping cookies as a browser does.

    Of a cookie's attributes, the domain and the path decide where it is sent, and a lifetime of zero deletes it.

    Args:
        application: The application.
        response_wrapper: The class of the responses; combined with `TestResponse` unless derived from it.
        use_cookies: Keep cookies.
        allow_subdomain_redirects: Follow redirects to subdomains of the request's host.

    Compatible with: werkzeug.test.Client (3.1)
    """

    def __init__(
        self,
        application: WSGIApplication,
        response_wrapper: type[Response] | None = None,
        use_cookies: bool = True,
        allow_subdomain_redirects: bool = False,
    ) -> None:
        self.application = application
        self.response_wrapper = _test_response_class(response_wrapper)
        self.allow_subdomain_redirects = allow_subdomain_redirects
        self._cookies: dict[CookieKey, Cookie] | None = {} if use_cookies else None

    def _jar(self) -> dict[CookieKey, Cookie]:
        if self._cookies is None:
            raise TypeError("Cookies are disabled. Create a client with 'use_cookies=True'.")
        return self._cookies

    def get_cookie(self, key: str, domain: str = "localhost", path: str = "/") -> Cookie | None:
        """Return a cookie, None if there is none.

        Args:
            key: Its decoded name.
            domain: The domain it belongs to.
            path: The path it belongs to.

        Raises:
            TypeError: The client keeps no cookies.
        """
        return self._jar().get((domain, path, key))

    def set_cookie(
        self,
        key: str,
        value: str = "",
        *,
        domain: str = "localhost",
        origin_only: bool = True,
        path: str = "/",
        **kwargs: t.Any,
    ) -> None:
        """Set a cookie as if a response had.

        Args:
            key: Its name.
            value: Its value.
            domain: The domain it belongs to.
            origin_only: Do not send it to subdomains.
            path: The path below which it is sent.
            **kwargs: For `dump_cookie`.

        Raises:
            TypeError: The client keeps no cookies.
        """
        jar = self._jar()
        header = dump_cookie(key, value, domain=domain, path=path, **kwargs)
        cookie = Cookie._from_response_header(domain, "/", header)
        cookie.origin_only = origin_only
        _store(jar, cookie)

    def delete_cookie(self, key: str, *, domain: str = "localhost", path: str = "/") -> None:
        """Delete a cookie, if there is one.

        Args:
            key: Its decoded name.
            domain: The domain it belongs to.
            path: The path it belongs to.

        Raises:
            TypeError: The client keeps no cookies.
        """
        self._jar().pop((domain, path, key), None)

    def _add_cookies_to_wsgi(self, environ: WSGIEnvironment) -> None:
        """Put those cookies into an environ that belong to its host and path."""
        if self._cookies is None:
            return
        url = urlsplit(get_current_url(environ))
        host = url.hostname or "localhost"
        pairs = [
            cookie._to_request_header()
            for cookie in self._cookies.values()
            if cookie._matches_request(host, url.path)
        ]
        if pairs:
            environ["HTTP_COOKIE"] = "; ".join(pairs)
        else:
            environ.pop("HTTP_COOKIE", None)

    def _update_cookies_from_response(self, server_name: str, path: str, headers: list[str]) -> None:
        """Keep what a response's Set-Cookie fields say."""
        if self._cookies is None:
            return
        for header in headers:
            _store(self._cookies, Cookie._from_response_header(server_name, path, header))

    def _door(self) -> WSGIApplication:
        """Return what is called for a request."""
        return self.application

    def run_wsgi_app(
        self, environ: WSGIEnvironment, buffered: bool = False
    ) -> tuple[t.Iterable[bytes], str, Headers]:
        """Call the application with the client's cookies and keep those that it sets."""
        self._add_cookies_to_wsgi(environ)
        result = run_wsgi_app(self._door(), environ, buffered=buffered)
        url = urlsplit(get_current_url(environ))
        self._update_cookies_from_response(
            url.hostname or "localhost", url.path, result[2].getlist("Set-Cookie")
        )
        return result

    def resolve_redirect(self, response: TestResponse, buffered: bool = False) -> TestResponse:
        """Send the request that a redirect asks for.

        Args:
            response: The redirect.
            buffered: As for `open`.

        Raises:
            RuntimeError: It leads to another host, or to a subdomain without `allow_subdomain_redirects`.
        """
        environ = response.request.environ
        location = urlsplit(response.location or "")
        path = location.path
        if not location.netloc and not path.startswith("/"):
            # RFC 3986 5.2: relative to the path of the request.
            here = _wsgi_decoding_dance(environ["SCRIPT_NAME"] + environ["PATH_INFO"])
            path = urljoin(_quote_path(here), path)
        builder = EnvironBuilder.from_environ(environ, path=path, query_string=location.query)
        if location.netloc:
            self._check_redirect_host(location.netloc, builder.server_name)
            builder.url_scheme = location.scheme or builder.url_scheme
            builder.host = location.netloc

        root = builder.script_root
        if path == root or path.startswith(f"{root}/"):
            builder.path = path[len(root) :]
        else:
            builder.path = path
            builder.script_root = ""

        if response.status_code not in _KEEPS_METHOD:
            if builder.method != "HEAD":
                builder.method = "GET"
            if builder.input_stream is not None:
                builder.input_stream.close()
                builder.input_stream = None
            builder.content_type = None
            builder.content_length = None
            builder.headers.pop("Transfer-Encoding", None)
        return self.open(builder, buffered=buffered)

    def _check_redirect_host(self, netloc: str, server_name: str) -> None:
        target = _split_host(netloc)[0].split(".")
        origin = server_name.split(".")
        if target == origin:
            return
        if target[-len(origin) :] != origin:
            raise RuntimeError("Following external redirects is not supported.")
        if not self.allow_subdomain_redirects:
            raise RuntimeError("Following subdomain redirects is not enabled.")

    def open(
        self,
        *args: t.Any,
        buffered: bool = False,
        follow_redirects: bool = False,
        **kwargs: t.Any,
    ) -> TestResponse:
        """Send a request and return the response.

        Args:
            args: A builder, an environ or a request; else as for `EnvironBuilder`.
            buffered: Read the whole response and close it.
            follow_redirects: Follow redirects; `TestResponse.history` lists them.
            kwargs: As for `EnvironBuilder`.

        Raises:
            ClientRedirectError: The redirects go round in a circle.
        """
        request = self._request_for(args, kwargs)
        response = self.response_wrapper(
            *self.run_wsgi_app(request.environ, buffered=buffered), request=request
        )
        if not follow_redirects:
            return response

        seen: set[tuple[str | None, int]] = set()
        history: list[TestResponse] = []
        while response.status_code in _REDIRECTS:
            if not buffered:
                # A body that is made while it is read may have work to finish.
                response.make_sequence()
                response.close()
            step = (response.location, response.status_code)
            if step in seen:
                raise ClientRedirectError(
                    f"Loop detected: A {step[1]} redirect to {step[0]} was already made."
                )
            seen.add(step)
            response.history = tuple(history)
            history.append(response)
            response = self.resolve_redirect(response, buffered=buffered)
        response.history = tuple(history)
        # The body of the request can be a temporary file.
        response.call_on_close(request.input_stream.close)
        return response

    def _request_for(self, args: tuple[t.Any, ...], kwargs: dict[str, t.Any]) -> Request:
        if len(args) == 1 and not kwargs:
            source = args[0]
            if isinstance(source, EnvironBuilder):
                return source.get_request()
            if isinstance(source, dict):
                return EnvironBuilder.from_environ(source).get_request()
            if isinstance(source, Request):
                return source
        builder = EnvironBuilder(*args, **kwargs)
        try:
            return builder.get_request()
        finally:
            builder.close()

    def get(self, *args: t.Any, **kw: t.Any) -> TestResponse:
        """`open` with the method GET."""
        return self.open(*args, **{**kw, "method": "GET"})

    def post(self, *args: t.Any, **kw: t.Any) -> TestResponse:
        """`open` with the method POST."""
        return self.open(*args, **{**kw, "method": "POST"})

    def put(self, *args: t.Any, **kw: t.Any) -> TestResponse:
        """`open` with the method PUT."""
        return self.open(*args, **{**kw, "method": "PUT"})

    def delete(self, *args: t.Any, **kw: t.Any) -> TestResponse:
        """`open` with the method DELETE."""
        return self.open(*args, **{**kw, "method": "DELETE"})

    def patch(self, *args: t.Any, **kw: t.Any) -> TestResponse:
        """`open` with the method PATCH."""
        return self.open(*args, **{**kw, "method": "PATCH"})

    def options(self, *args: t.Any, **kw: t.Any) -> TestResponse:
        """`open` with the method OPTIONS."""
        return self.open(*args, **{**kw, "method": "OPTIONS"})

    def head(self, *args: t.Any, **kw: t.Any) -> TestResponse:
        """`open` with the method HEAD."""
        return self.open(*args, **{**kw, "method": "HEAD"})

    def trace(self, *args: t.Any, **kw: t.Any) -> TestResponse:
        """`open` with the method TRACE."""
        return self.open(*args, **{**kw, "method": "TRACE"})

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.application!r}>"


def run_wsgi_app(
    app: WSGIApplication, environ: WSGIEnvironment, buffered: bool = False
) -> tuple[t.Iterable[bytes], str, Headers]:
    """Call a WSGI application and return its body, status and header fields.

    The body is read as far as the application needs to start its response, or to its end when `buffered`. What is
    given to the `write` of an old application comes first.

    Args:
        app: The application.
        environ: The environ, which is copied, or an object that has one.
        buffered: Read all of the body and close it.

    Raises:
        RuntimeError: The application never called `start_response`.

    Compatible with: werkzeug.test.run_wsgi_app (3.1)
    """
    # A middleware's changes must not reach the request that a redirect repeats.
    environ = _get_environ(environ).copy()
    started: list[tuple[str, list[tuple[str, str]]]] = []
    written: list[bytes] = []

    def start_response(status: str, headers: list[tuple[str, str]], exc_info: t.Any = None) -> t.Any:
        if exc_info:
            try:
                raise exc_info[1].with_traceback(exc_info[2])
            finally:
                exc_info = None
        started[:] = [(status, headers)]
        return written.append

    result = app(environ, start_response)
    close = getattr(result, "close", None)
    body: t.Iterable[bytes] = iter(result)
    if buffered:
        try:
            rest = list(body)
            body = [*written, *rest]
        finally:
            if close is not None:
                close()
    else:
        for item in body:
            written.append(item)
            if started:
                break
        if written:
            body = chain(written, body)
        if close is not None and body is not result:
            body = ClosingIterator(body, close)
    if not started:
        raise RuntimeError("The application did not call start_response().")
    status, headers = started[0]
    return body, status, Headers(headers)


class TestResponse(Response):
    """A response that knows its request and the redirects before it.

    Close it if it, or the request, has a file.

    Args:
        response: The body.
        status: The status line.
        headers: The header fields.
        request: The request.
        history: The redirects that led here.
        **kwargs: For the response class.

    Compatible with: werkzeug.test.TestResponse (3.1)
    """

    #: The application's header fields count, and nothing is added.
    default_mimetype = None
    #: The request that was answered.
    request: Request
    #: The redirects that led here, first to last.
    history: tuple[TestResponse, ...]
    # pytest collects classes of this name.
    __test__ = False

    def __init__(
        self,
        response: t.Iterable[bytes],
        status: str,
        headers: Headers,
        request: Request,
        history: tuple[TestResponse, ...] = (),
        **kwargs: t.Any,
    ) -> None:
        super().__init__(response, status, headers, **kwargs)
        self.request = request
        self.history = history

    @cached_property
    def text(self) -> str:
        """The body as text."""
        return self.get_data(as_text=True)


def _test_response_class(wrapper: type[Response] | None) -> type[TestResponse]:
    if wrapper is None or wrapper is Response:
        return TestResponse
    if issubclass(wrapper, TestResponse):
        return wrapper
    return type("WrapperTestResponse", (TestResponse, wrapper), {})


@dataclasses.dataclass
class Cookie:
    """A cookie that a client keeps. Get one with `Client.get_cookie`; only its attributes are public.

    Args:
        key: The name as it is sent.
        value: The value as it is sent.
        decoded_key: The name as the application knows it.
        decoded_value: The value as the application knows it.
        expires: When it ends.
        max_age: The seconds after which it ends.
        domain: The domain it was set for, or the host that set it.
        origin_only: There was no Domain attribute: it is not sent to subdomains.
        path: The path below which it is sent.
        secure: Whether it has the Secure attribute.
        http_only: Whether it has the HttpOnly attribute.
        same_site: The SameSite attribute.

    Compatible with: werkzeug.test.Cookie (3.1)
    """

    key: str
    value: str
    decoded_key: str
    decoded_value: str
    expires: datetime | None
    max_age: int | None
    domain: str
    origin_only: bool
    path: str
    secure: bool | None
    http_only: bool | None
    same_site: str | None

    def _matches_request(self, server_name: str, path: str) -> bool:
        """Tell whether a request takes the cookie (RFC 6265 5.1.3 and 5.1.4)."""
        if server_name != self.domain and (self.origin_only or not server_name.endswith(f".{self.domain}")):
            return False
        return path == self.path or path.startswith(f"{self.path.rstrip('/')}/")

    def _to_request_header(self) -> str:
        return f"{self.key}={self.value}"

    @classmethod
    def _from_response_header(cls, server_name: str, path: str, header: str) -> te.Self:
        pair, _, rest = header.partition(";")
        key, _, value = (part.strip(" \t") for part in pair.partition("="))
        # A pair without a name is none for an application, but the client still has to keep it apart.
        decoded_key, decoded_value = next(iter(parse_cookie(pair).items()), (key, value))
        params: dict[str, str | None] = {}
        for item in rest.split(";"):
            name, separator, setting = item.partition("=")
            params[name.strip(" \t").lower()] = setting.strip(" \t") if separator else None
        return cls(
            key=key,
            value=value,
            decoded_key=decoded_key,
            decoded_value=decoded_value,
            expires=parse_date(params.get("expires")),
            max_age=_seconds(params["max-age"]) if "max-age" in params else None,
            domain=(params.get("domain") or "").lstrip(".") or server_name,
            origin_only="domain" not in params,
            path=params.get("path") or path.rpartition("/")[0] or "/",
            secure="secure" in params,
            http_only="httponly" in params,
            same_site=params.get("samesite"),
        )

    @property
    def _storage_key(self) -> CookieKey:
        return self.domain, self.path, self.decoded_key

    @property
    def _should_delete(self) -> bool:
        return self.max_age == 0 or (self.expires is not None and self.expires.timestamp() == 0)


def _seconds(text: str | None) -> int | None:
    """Parse a Max-Age; RFC 6265 5.2.2 has a malformed one ignored."""
    try:
        return int(text or 0)
    except ValueError:
        return None


def _store(jar: dict[CookieKey, Cookie], cookie: Cookie) -> None:
    if cookie._should_delete:
        jar.pop(cookie._storage_key, None)
    else:
        jar[cookie._storage_key] = cookie
