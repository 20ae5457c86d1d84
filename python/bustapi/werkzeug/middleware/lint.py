"""Checking that an application and its server keep to WSGI (PEP 3333) and HTTP. Findings are warnings."""

from __future__ import annotations

import sys
import typing as t
from urllib.parse import urlsplit
from warnings import warn

from ..datastructures import Headers
from ..http import is_entity_header
from ..wsgi import FileWrapper

if t.TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_REQUIRED = (
    "REQUEST_METHOD",
    "SERVER_NAME",
    "SERVER_PORT",
    "wsgi.version",
    "wsgi.input",
    "wsgi.errors",
    "wsgi.multithread",
    "wsgi.multiprocess",
    "wsgi.run_once",
)


class WSGIWarning(Warning):
    """Something is against WSGI."""


class HTTPWarning(Warning):
    """Something is against HTTP."""


def _report(message: str, category: type[Warning] = WSGIWarning) -> None:
    """Warn at the line outside of this module that led here."""
    level = 2
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename == __file__:
        frame = frame.f_back
        level += 1
    warn(message, category, stacklevel=level)


def check_type(context: str, obj: object, need: type = str) -> None:
    """Warn unless an object is exactly of a type.

    Args:
        context: What the object is.
        obj: The object.
        need: The type.
    """
    if type(obj) is not need:
        _report(f"{context!r} requires {need.__name__!r}, got {type(obj).__name__!r}.")


class InputStream:
    """`wsgi.input`, watched.

    Args:
        stream: The server's.
    """

    def __init__(self, stream: t.IO[bytes]) -> None:
        self._stream = stream

    def read(self, *args: t.Any) -> bytes:
        """Read; without a size it may wait for ever."""
        if not args:
            _report("'wsgi.input.read()' without a size is unsafe: WSGI promises no end of the stream.")
        elif len(args) > 1:
            _report("'wsgi.input.read()' was called with more than a size.")
        return self._stream.read(*args)

    def readline(self, *args: t.Any) -> bytes:
        """Read a line, which may never end.

        Raises:
            TypeError: There is more than a size.
        """
        if len(args) > 1:
            raise TypeError("'wsgi.input.readline()' takes a size at most.")
        if args:
            _report("'wsgi.input.readline()' with a size is not part of WSGI.")
        else:
            _report("'wsgi.input.readline()' without a size is unsafe; use 'wsgi.input.read(size)'.")
        return self._stream.readline(*args)

    def __iter__(self) -> t.Iterator[bytes]:
        try:
            return iter(self._stream)
        except TypeError:
            _report("'wsgi.input' is not iterable.")
            return iter(())

    def close(self) -> None:
        """Close what is the server's to close."""
        _report("The application closed 'wsgi.input', which is the server's.")
        self._stream.close()


class ErrorStream:
    """`wsgi.errors`, watched.

    Args:
        stream: The server's.
    """

    def __init__(self, stream: t.IO[str]) -> None:
        self._stream = stream

    def write(self, s: str) -> None:
        """Write text."""
        check_type("wsgi.error.write()", s, str)
        self._stream.write(s)

    def flush(self) -> None:
        """Flush the stream."""
        self._stream.flush()

    def writelines(self, seq: t.Iterable[str]) -> None:
        """Write pieces of text."""
        for line in seq:
            self.write(line)

    def close(self) -> None:
        """Close what is the server's to close."""
        _report("The application closed 'wsgi.errors', which is the server's.")
        self._stream.close()


class GuardedWrite:
    """What `start_response` returned, watched.

    Args:
        write: The server's function.
        chunks: Takes the size of each piece.
    """

    def __init__(self, write: t.Callable[[bytes], object], chunks: list[int]) -> None:
        self._write = write
        self._chunks = chunks

    def __call__(self, s: bytes) -> None:
        """Write a piece of the body."""
        check_type("write()", s, bytes)
        self._write(s)
        self._chunks.append(len(s))


class GuardedIterator:
    """The response's body, watched.

    Args:
        iterator: The application's.
        headers_set: The status and the header fields, once the response is started.
        chunks: Takes the size of each piece.
    """

    def __init__(
        self, iterator: t.Iterable[bytes], headers_set: t.Sequence[t.Any], chunks: list[int]
    ) -> None:
        self._iterator = iterator
        self._next = iter(iterator).__next__
        self.closed = False
        self.headers_set = headers_set
        self.chunks = chunks

    def __iter__(self) -> GuardedIterator:
        return self

    def __next__(self) -> bytes:
        if self.closed:
            _report("The response was iterated over after it was closed.")
        piece = self._next()
        if not self.headers_set:
            _report("The body began before the response was started.")
        check_type("application iterator items", piece, bytes)
        self.chunks.append(len(piece))
        return piece

    def close(self) -> None:
        """Close the body and compare it with the header fields."""
        self.closed = True
        close = getattr(self._iterator, "close", None)
        if close is not None:
            close()
        if self.headers_set:
            status, headers = self.headers_set
            self._check_length(status, headers, sum(self.chunks))

    def _check_length(self, status: int, headers: Headers, sent: int) -> None:
        declared = headers.get("content-length", type=int)
        if status == 304:
            for name in {name.lower() for name in headers.keys()}:  # noqa: SIM118 - not a mapping
                if is_entity_header(name) and name not in ("expires", "content-location"):
                    _report(f"Entity header {name!r} found in 304 response.", HTTPWarning)
        elif 100 <= status < 200 or status == 204:
            # RFC 9110 8.6: no length at all, of which 0 is the harmless kind.
            if declared:
                _report(f"{status} responses must have an empty content length.", HTTPWarning)
        elif declared is not None and declared != sent:
            _report("Content-Length and the number of bytes sent differ.")
            return
        if sent and (100 <= status < 200 or status in (204, 304)):
            _report(f"{status} responses must not have a body.", HTTPWarning)

    def __del__(self) -> None:
        if not self.closed:
            try:
                _report("The response was dropped before it was closed.")
            except Exception:
                return  # warnings are errors, or the interpreter is ending


class LintMiddleware:
    """Warns of what an application or its server does against WSGI and HTTP.

    It looks at the environ, at the status and the header fields, at what types pass, at unsafe reads of the input,
    at ETag and Location, at the length of bodies and whether they are closed.

    Args:
        app: The application.

    Compatible with: werkzeug.middleware.lint.LintMiddleware (3.1)
    """

    def __init__(self, app: WSGIApplication) -> None:
        self.app = app

    def check_environ(self, environ: WSGIEnvironment) -> None:
        """Look at what the server gives."""
        if type(environ) is not dict:
            _report("WSGI environment is not a standard Python dict.")
        for key in _REQUIRED:
            if key not in environ:
                _report(f"Required environment key {key!r} not found")
        if environ.get("wsgi.version") != (1, 0):
            _report("Environ is not a WSGI 1.0 environ.")
        for key in ("SCRIPT_NAME", "PATH_INFO"):
            path = environ.get(key)
            if path and not path.startswith("/"):
                _report(f"{key!r} does not start with a slash: {path!r}")

    def check_start_response(
        self, status: str, headers: list[tuple[str, str]], exc_info: t.Any
    ) -> tuple[int, Headers]:
        """Look at what `start_response` is called with.

        Returns:
            The status code and the header fields.
        """
        check_type("status", status, str)
        digits = status.split(None, 1)[0]
        if len(digits) != 3 or not digits.isdecimal():
            _report("Status code must be three digits.")
        if len(status) < 4 or status[3] != " ":
            _report(f"Invalid value for status {status!r}: not three digits, a space and a reason.")
        code = int(digits)
        if code < 100:
            _report("Status code < 100 detected.")
        if type(headers) is not list:
            _report("Header list is not a list.")
        for item in headers:
            if type(item) is not tuple or len(item) != 2:
                _report("Header items must be 2-item tuples.")
            name, value = item
            if type(name) is not str or type(value) is not str:
                _report("Header keys and values must be strings.")
            if name.lower() == "status":
                _report("The status header is not supported: CGI gives it a meaning of its own.")
        if exc_info is not None and not isinstance(exc_info, tuple):
            _report("Invalid value for exc_info.")
        checked = Headers(headers)
        self.check_headers(checked)
        return code, checked

    def check_headers(self, headers: Headers) -> None:
        """Look at ETag and Location."""
        etag = headers.get("etag")
        if etag is not None:
            if etag.startswith("w/"):
                _report("Weak etag indicator should be upper case.", HTTPWarning)
            tag = etag[2:] if etag[:2] in ("W/", "w/") else etag
            if not tag[:1] == tag[-1:] == '"':
                _report("Unquoted etag emitted.", HTTPWarning)
        location = headers.get("location")
        if location is not None and not urlsplit(location).netloc:
            _report("Absolute URLs required for location header.", HTTPWarning)

    def check_iterator(self, app_iter: object) -> None:
        """Look at what the application returned."""
        if isinstance(app_iter, str):
            _report("The application returned a string; each character would be sent alone.")

    def __call__(self, *args: t.Any, **kwargs: t.Any) -> t.Iterable[bytes]:
        """Answer through the application, both sides watched."""
        if len(args) != 2:
            _report("A WSGI app takes two arguments.")
        if kwargs:
            _report("A WSGI app does not take keyword arguments.")
        environ: WSGIEnvironment = args[0]
        start_response: StartResponse = args[1]
        self.check_environ(environ)
        environ["wsgi.input"] = InputStream(environ["wsgi.input"])
        environ["wsgi.errors"] = ErrorStream(environ["wsgi.errors"])
        # Not the server's, which would send a file past the check of its length.
        environ["wsgi.file_wrapper"] = FileWrapper
        started: list[t.Any] = []
        chunks: list[int] = []

        def start(*args: t.Any, **kwargs: t.Any) -> t.Callable[[bytes], None]:
            if len(args) not in (2, 3):
                _report(f"Invalid number of arguments: {len(args)}, expected 2 or 3.")
            if kwargs:
                _report("'start_response' does not take keyword arguments.")
            status, headers = args[:2]
            exc_info = args[2] if len(args) > 2 else None
            started[:] = self.check_start_response(status, headers, exc_info)
            return GuardedWrite(start_response(status, headers, exc_info), chunks)

        body = self.app(environ, t.cast("StartResponse", start))
        self.check_iterator(body)
        return GuardedIterator(body, started, chunks)
