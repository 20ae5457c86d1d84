"""A response with its body, and the answer to a WSGI server."""

from __future__ import annotations

import json
import typing as t
from urllib.parse import urljoin

from .._internal import _get_environ, _lazy
from ..datastructures import Headers
from ..exceptions import RequestedRangeNotSatisfiable
from ..http import (
    generate_etag,
    http_date,
    is_resource_modified,
    parse_etags,
    parse_range_header,
    remove_entity_headers,
)
from ..sansio.response import STATUS_LINES, content_type_field
from ..sansio.response import Response as _SansIOResponse
from ..urls import iri_to_uri
from ..wsgi import ClosingIterator, _RangeWrapper, get_current_url

if t.TYPE_CHECKING:
    from ..sansio.response import Fields, Status
    from .request import Request

    Environ = dict[str, t.Any]
    Body = t.Union[t.Iterable[bytes], t.Iterable[str], bytes, str]

_new_headers = Headers.__new__


def _encoded(blocks: t.Iterable[bytes] | t.Iterable[str]) -> t.Iterator[bytes]:
    for block in blocks:
        yield block.encode() if isinstance(block, str) else block


def _bodiless(status: int) -> bool:
    """Tell whether a response of this status has no content (RFC 9110 6.4.1)."""
    return status in (204, 304) or 100 <= status < 200


class Response(_SansIOResponse):
    """A response. It is also a WSGI application that gives itself.

    Args:
        response: The body: text, bytes, or an iterable of either; None for an empty one.
        status: The code, or the code with a phrase.
        headers: The header fields; a `Headers` object is used itself, not copied.
        mimetype: The media type; text types get a charset.
        content_type: The whole Content-Type field, in place of `mimetype`.
        direct_passthrough: Give `response` to the server as it is, a wrapped file for example.

    Compatible with: werkzeug.wrappers.Response (3.1)
    """

    #: Whether an iterable is turned into a list when the whole body is needed.
    implicit_sequence_conversion = True
    #: Whether a relative Location is made absolute.
    autocorrect_location_header = False
    #: Whether Content-Length is set when the body's length is known.
    automatically_set_content_length = True
    #: Reads JSON bodies: a module or an object with `loads`.
    json_module: t.Any = json

    #: The body: an iterable of text or bytes, a list of one for a body that was given as a whole.
    response: t.Any
    direct_passthrough: bool

    def __init__(
        self,
        response: Body | None = None,
        status: Status | None = None,
        headers: Fields | None = None,
        mimetype: str | None = None,
        content_type: str | None = None,
        direct_passthrough: bool = False,
    ) -> None:
        # The base's `__init__` taken apart: every answer that is not a plain value comes through here, and the calls
        # would cost more than what they do.
        if headers is None and content_type is None:
            fields = _new_headers(Headers)
            if mimetype is None:
                mimetype = self.default_mimetype
            fields._list = [] if mimetype is None else [content_type_field(mimetype)]
        else:
            fields = headers if isinstance(headers, Headers) else Headers(headers or None)
            if content_type is None:
                if mimetype is None and "content-type" not in fields:
                    mimetype = self.default_mimetype
                if mimetype is not None:
                    content_type = content_type_field(mimetype)[1]
            if content_type is not None:
                fields.set("Content-Type", content_type)
        self.headers = fields
        if status is None:
            status = self.default_status
        line = STATUS_LINES.get(status) if type(status) is int else None
        if line is None:
            self.status = status
        else:
            self._status = line
            self._status_code = status  # type: ignore[assignment]
        self.direct_passthrough = direct_passthrough
        self._on_close: list[t.Callable[[], t.Any]] = []
        if response is None:
            self.response = []
        elif isinstance(response, (str, bytes, bytearray)):
            self.set_data(response)
        elif hasattr(type(response), "__aiter__"):
            from ...kernel.pieces import AsyncPieces  # most applications have none

            self.response = AsyncPieces(response)
        else:
            self.response = response

    def __repr__(self) -> str:
        if self.is_sequence:
            body = f"{sum(len(block) for block in self.iter_encoded())} bytes"
        else:
            body = "streamed" if self.is_streamed else "likely-streamed"
        return f"<{type(self).__name__} {body} [{self.status}]>"

    @classmethod
    def force_type(cls, response: t.Any, environ: Environ | None = None) -> Response:
        """Return a response as an instance of this class; another class of response is changed in place.

        Args:
            response: A response, or any WSGI application.
            environ: What to call an application with.

        Raises:
            TypeError: It is no response, and there is no environ.
        """
        if not isinstance(response, Response):
            if environ is None:
                raise TypeError("cannot convert WSGI application into response objects without an environ")
            from ..test import run_wsgi_app

            response = Response(*run_wsgi_app(response, environ))
        response.__class__ = cls
        return t.cast("Response", response)

    @classmethod
    def from_app(cls, app: t.Callable[..., t.Any], environ: Environ, buffered: bool = False) -> Response:
        """Return what a WSGI application answers.

        Args:
            app: The application.
            environ: What to call it with.
            buffered: Run it to its end first.
        """
        from ..test import run_wsgi_app

        return cls(*run_wsgi_app(app, environ, buffered))

    # The body

    @t.overload
    def get_data(self, as_text: t.Literal[False] = False) -> bytes: ...
    @t.overload
    def get_data(self, as_text: t.Literal[True]) -> str: ...
    def get_data(self, as_text: bool = False) -> bytes | str:
        """Return the whole body, as text decoded as UTF-8 if asked; an iterable is run to its end.

        Raises:
            RuntimeError: That is ruled out by `implicit_sequence_conversion` or `direct_passthrough`.
        """
        self._ensure_sequence()
        data = b"".join(self.iter_encoded())
        return data.decode() if as_text else data

    def set_data(self, value: bytes | str) -> None:
        """Set the whole body."""
        data = value if type(value) is bytes else value.encode() if isinstance(value, str) else bytes(value)
        self.response = [data]
        if self.automatically_set_content_length:
            headers = self.headers
            fields = headers._list
            if len(fields) == 1 and fields[0][0] == "Content-Type":
                # As every new response comes: there is no length to look for.
                fields.append(("Content-Length", str(len(data))))
            else:
                headers.set("Content-Length", str(len(data)))

    data = property(
        lambda self: self.get_data(),
        lambda self, value: self.set_data(value),
        doc="The whole body. See `get_data` and `set_data`.",
    )

    def calculate_content_length(self) -> int | None:
        """Return the length of the body; None if it cannot be told without running it."""
        try:
            self._ensure_sequence()
        except RuntimeError:
            return None
        return sum(len(block) for block in self.iter_encoded())

    def _ensure_sequence(self, mutable: bool = False) -> None:
        if self.is_sequence:
            if mutable and not isinstance(self.response, list):
                self.response = list(self.response)
            return
        if self.direct_passthrough:
            raise RuntimeError(
                "Attempted implicit sequence conversion but the response object is in direct passthrough mode."
            )
        if not self.implicit_sequence_conversion:
            raise RuntimeError(
                "The response object required the iterable to be a sequence, but the implicit conversion was disabled."
                " Call make_sequence() yourself."
            )
        self.make_sequence()

    def make_sequence(self) -> None:
        """Turn the body into a list of bytes. The iterable is closed when the response is."""
        if self.is_sequence:
            return
        close = getattr(self.response, "close", None)
        self.response = list(self.iter_encoded())
        if close is not None:
            self.call_on_close(close)

    def iter_encoded(self) -> t.Iterator[bytes]:
        """Return an iterator over the body with text encoded as UTF-8."""
        return _encoded(self.response)

    @property
    def is_streamed(self) -> bool:
        """Whether the body's length is unknown, since it is made as it is sent."""
        try:
            len(self.response)
        except (TypeError, AttributeError):
            return True
        return False

    @property
    def is_sequence(self) -> bool:
        """Whether the body is a list or tuple, so that it can be read twice."""
        return isinstance(self.response, (tuple, list))

    @_lazy
    def stream(self) -> ResponseStream:
        """The body as a file to write to."""
        return ResponseStream(self)

    # Its end

    def call_on_close(self, func: t.Callable[[], t.Any]) -> t.Callable[[], t.Any]:
        """Have a function called when the response was sent. Can be used as a decorator."""
        self._on_close.append(func)
        return func

    def close(self) -> None:
        """Close the body and run the functions of `call_on_close`."""
        close = getattr(self.response, "close", None)
        if close is not None:
            close()
        for func in self._on_close:
            func()

    def __enter__(self) -> Response:
        return self

    def __exit__(self, exc_type: t.Any, exc_value: t.Any, tb: t.Any) -> None:
        self.close()

    def freeze(self) -> None:
        """Make the response fit for pickling and caching: body as a list, with its length and a tag."""
        blocks = list(self.iter_encoded())
        self.response = blocks
        self.headers["Content-Length"] = str(sum(map(len, blocks)))
        self.add_etag()

    # JSON

    @property
    def json(self) -> t.Any:
        """The body parsed as JSON. See `get_json`."""
        return self.get_json()

    def get_json(self, force: bool = False, silent: bool = False) -> t.Any:
        """Parse the body as JSON.

        Args:
            force: Do so whatever the media type says.
            silent: Return None for a body that is no JSON.

        Returns:
            The value; None if the media type is not JSON.
        """
        if not (force or self.is_json):
            return None
        data = self.get_data()
        try:
            return self.json_module.loads(data)
        except ValueError:
            if silent:
                return None
            raise

    # Conditional and range requests

    def add_etag(self, overwrite: bool = False, weak: bool = False) -> None:
        """Set a tag made of the body, if there is none or it is to be replaced."""
        if overwrite or "etag" not in self.headers:
            self.set_etag(generate_etag(self.get_data()), weak)

    def make_conditional(
        self,
        request_or_environ: Environ | Request,
        accept_ranges: bool | str = False,
        complete_length: int | None = None,
    ) -> Response:
        """Become a 304, 412 or 206 where a GET or HEAD request asks for it, by the tag and date that are set.

        Args:
            request_or_environ: The request.
            accept_ranges: Whether ranges are answered; their unit, if it is not bytes. False sets no Accept-Ranges.
            complete_length: The length of the whole content, needed for ranges.

        Returns:
            The response itself.

        Raises:
            RequestedRangeNotSatisfiable: The range is malformed or lies outside.
        """
        environ = _get_environ(request_or_environ)
        if environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
            return self
        headers = self.headers
        if "date" not in headers:
            headers["Date"] = http_date()
        if accept_ranges:
            headers["Accept-Ranges"] = accept_ranges if isinstance(accept_ranges, str) else "bytes"
        if not self._process_range_request(
            environ, complete_length, accept_ranges
        ) and not is_resource_modified(environ, headers.get("etag"), None, headers.get("last-modified")):
            self.status_code = 412 if parse_etags(environ.get("HTTP_IF_MATCH")) else 304
        if self.automatically_set_content_length and "content-length" not in headers:
            length = self.calculate_content_length()
            if length is not None:
                headers["Content-Length"] = str(length)
        return self

    def _process_range_request(
        self, environ: Environ, complete_length: int | None, accept_ranges: bool | str
    ) -> bool:
        if not accept_ranges or not complete_length:
            return False
        if not self._is_range_request_processable(environ):
            return False
        wanted = parse_range_header(environ.get("HTTP_RANGE"))
        bounds = None if wanted is None else wanted.range_for_length(complete_length)
        part = None if wanted is None else wanted.to_content_range_header(complete_length)
        if bounds is None or part is None:
            raise RequestedRangeNotSatisfiable(complete_length)
        start, stop = bounds
        self.headers["Content-Length"] = str(stop - start)
        self.content_range = part
        self.status_code = 206
        self._wrap_range_response(start, stop - start)
        return True

    def _is_range_request_processable(self, environ: Environ) -> bool:
        """Tell whether there is a range, and its condition, if any, holds."""
        if "HTTP_RANGE" not in environ:
            return False
        return "HTTP_IF_RANGE" not in environ or not is_resource_modified(
            environ, self.headers.get("etag"), None, self.headers.get("last-modified"), ignore_if_range=False
        )

    def _wrap_range_response(self, start: int, length: int) -> None:
        if self.status_code == 206:
            self.response = _RangeWrapper(self.response, start, length)

    # WSGI

    def get_wsgi_headers(self, environ: Environ) -> Headers:
        """Return the fields to send: URLs in ASCII, no length where there is no content, a length where it is known.

        Args:
            environ: The request.
        """
        headers = Headers()
        fields = headers._list = list(self.headers)
        location = content_location = length = None
        for name, value in fields:
            folded = name.lower()
            if folded == "location":
                location = value
            elif folded == "content-location":
                content_location = value
            elif folded == "content-length":
                length = value
        if location is not None:
            location = iri_to_uri(location)
            if self.autocorrect_location_header:
                base = iri_to_uri(get_current_url(environ, strip_querystring=True))
                location = urljoin(base, location)
            headers["Location"] = location
        if content_location is not None:
            headers["Content-Location"] = iri_to_uri(content_location)
        status = self.status_code
        if status == 304:
            remove_entity_headers(headers)
        elif _bodiless(status):
            headers.remove("Content-Length")
        elif length is None and self.automatically_set_content_length and self.is_sequence:
            headers["Content-Length"] = str(sum(len(block) for block in self.iter_encoded()))
        return headers

    def get_app_iter(self, environ: Environ) -> t.Iterable[bytes]:
        """Return the blocks to send; none for HEAD and statuses without content.

        Args:
            environ: The request.
        """
        blocks: t.Iterable[bytes] = ()
        if environ["REQUEST_METHOD"] != "HEAD" and not _bodiless(self.status_code):
            if self.direct_passthrough:
                return self.response  # type: ignore[no-any-return]
            blocks = self.iter_encoded()
        # Closed in any case: what is not sent may be an open file.
        return ClosingIterator(blocks, self.close)

    def get_wsgi_response(self, environ: Environ) -> tuple[t.Iterable[bytes], str, list[tuple[str, str]]]:
        """Return what a WSGI server is given: blocks, status line and fields.

        Args:
            environ: The request.
        """
        headers = self.get_wsgi_headers(environ)
        return self.get_app_iter(environ), self.status, headers.to_wsgi_list()

    def __call__(self, environ: Environ, start_response: t.Callable[..., t.Any]) -> t.Iterable[bytes]:
        """Act as a WSGI application.

        Args:
            environ: The request.
            start_response: The server's function.
        """
        blocks, status, headers = self.get_wsgi_response(environ)
        start_response(status, headers)
        return blocks


class ResponseStream:
    """Writes to the body of a response.

    Args:
        response: The response.

    Compatible with: werkzeug.wrappers.response.ResponseStream (3.1)
    """

    mode = "wb+"

    def __init__(self, response: Response) -> None:
        self.response = response
        self.closed = False

    def _check_open(self) -> None:
        if self.closed:
            raise ValueError("I/O operation on closed file")

    def write(self, value: bytes) -> int:
        """Append to the body and return how much that was."""
        self._check_open()
        self.response._ensure_sequence(mutable=True)
        self.response.response.append(value)
        self.response.headers.pop("Content-Length", None)
        return len(value)

    def writelines(self, seq: t.Iterable[bytes]) -> None:
        """Append several blocks."""
        for block in seq:
            self.write(block)

    def close(self) -> None:
        """Refuse further writes."""
        self.closed = True

    def flush(self) -> None:
        """Nothing waits to be written."""
        self._check_open()

    def isatty(self) -> bool:
        """A body is no terminal."""
        self._check_open()
        return False

    def tell(self) -> int:
        """Return the length of the body."""
        self.response._ensure_sequence()
        return sum(map(len, self.response.response))

    @property
    def encoding(self) -> str:
        """The charset of the body."""
        return "utf-8"
