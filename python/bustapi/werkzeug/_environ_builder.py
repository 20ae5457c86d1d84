"""The builder of WSGI environs for tests; its public home is `bustapi.werkzeug.test`.

What a builder is given stays apart until `get_environ` puts it together: form and files, or one input stream; query
arguments, or one query string. Setting one of a pair drops the other.
"""

from __future__ import annotations

import json as _json
import sys
import typing as t
from io import BytesIO
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from ._internal import _wsgi_decoding_dance, _wsgi_encoding_dance
from .datastructures import (
    Authorization,
    CallbackDict,
    CombinedMultiDict,
    EnvironHeaders,
    FileMultiDict,
    Headers,
    MultiDict,
)
from .http import dump_options_header, parse_options_header
from .urls import _urlencode, iri_to_uri
from .utils import get_content_type
from .wrappers.request import Request
from .wsgi import get_host

if t.TYPE_CHECKING:
    import typing_extensions as te
    from _typeshed.wsgi import WSGIEnvironment

_FORM = "application/x-www-form-urlencoded"
_MULTIPART = "multipart/form-data"
_READ_SIZE = 16384


def stream_encode_multipart(
    data: t.Mapping[str, t.Any],
    use_tempfile: bool = True,
    threshold: int = 1024 * 500,
    boundary: str | None = None,
) -> tuple[t.IO[bytes], int, str]:
    """Encode values and files as multipart/form-data. For tests only: the boundary can be guessed.

    Args:
        data: Field names and their values; what has a `read` is a file, a list is several values.
        use_tempfile: Move a large body to a temporary file.
        threshold: Bytes that stay in memory then.
        boundary: The boundary; made up if None.

    Returns:
        The body, to be read from its start, its length and the boundary.

    Compatible with: werkzeug.test.stream_encode_multipart (3.1)
    """
    from .sansio.multipart import Data, Epilogue, Event, Field, File, MultipartEncoder, Preamble

    if boundary is None:
        from random import random
        from time import time

        boundary = f"---------------WerkzeugFormPart_{time()}{random()}"
    encoder = MultipartEncoder(boundary.encode())
    spool = _Spool(threshold if use_tempfile else None)

    def send(event: Event) -> None:
        spool.write(encoder.send_event(event))

    send(Preamble(data=b""))
    for name, value in _iter_data(data):
        read = getattr(value, "read", None)
        if read is None:
            text = value if isinstance(value, str) else str(value)
            send(Field(name=name, headers=Headers()))
            send(Data(data=text.encode(), more_data=False))
            continue
        filename, headers = _file_head(value)
        send(Field(name=name, headers=headers) if filename is None else File(name, filename, headers))
        block = read(_READ_SIZE)
        while block:
            send(Data(data=block, more_data=True))
            block = read(_READ_SIZE)
        send(Data(data=b"", more_data=False))
    send(Epilogue(data=b""))

    length = spool.stream.tell()
    spool.stream.seek(0)
    return spool.stream, length, boundary


def encode_multipart(values: t.Mapping[str, t.Any], boundary: str | None = None) -> tuple[str, bytes]:
    """Encode values and files as multipart/form-data in memory. For tests only.

    Args:
        values: As for `stream_encode_multipart`.
        boundary: The boundary; made up if None.

    Returns:
        The boundary and the body.

    Compatible with: werkzeug.test.encode_multipart (3.1)
    """
    stream, _, boundary = stream_encode_multipart(values, use_tempfile=False, boundary=boundary)
    return boundary, stream.read()


class _Spool:
    """Bytes in memory until they are more than `threshold`, then in a file."""

    def __init__(self, threshold: int | None) -> None:
        self.stream: t.IO[bytes] = BytesIO()
        self._threshold = threshold

    def write(self, data: bytes) -> None:
        if self._threshold is not None and self.stream.tell() + len(data) > self._threshold:
            from tempfile import TemporaryFile

            in_memory = t.cast(BytesIO, self.stream)
            self.stream = t.cast("t.IO[bytes]", TemporaryFile("wb+"))  # noqa: SIM115 - the caller closes it
            self.stream.write(in_memory.getvalue())
            self._threshold = None
        self.stream.write(data)


def _iter_data(data: t.Mapping[str, t.Any]) -> t.Iterator[tuple[str, t.Any]]:
    """Yield names and values. Only a list is several values: a tuple describes a file."""
    if isinstance(data, MultiDict):
        yield from data.items(multi=True)
        return
    for name, value in data.items():
        if isinstance(value, list):
            for single in value:
                yield name, single
        else:
            yield name, value


def _file_head(file: t.Any) -> tuple[str | None, Headers]:
    """Return a file's name and the header fields of its part."""
    filename = getattr(file, "filename", getattr(file, "name", None))
    content_type = getattr(file, "content_type", None)
    if content_type is None:
        import mimetypes

        guessed = mimetypes.guess_type(filename)[0] if filename else None
        content_type = guessed or "application/octet-stream"
    headers = Headers(getattr(file, "headers", None))
    headers["Content-Type"] = content_type
    return filename, headers


def _split_host(host: str) -> tuple[str, str]:
    """Split `name:port`; an IPv6 address loses its brackets."""
    if host.startswith("["):
        name, _, rest = host[1:].partition("]")
        return name, rest.lstrip(":")
    name, _, port = host.partition(":")
    return name, port


class EnvironBuilder:
    """Builds a WSGI environ, or a request, from what a test wants to send.

    `data` may be text, bytes or an object with `read`: the body as it is, or a mapping of form fields. A field's
    value is text, a file (an object with `read`, or a tuple of arguments for `FileMultiDict.add_file`), or a list
    of these.

    Args:
        path: The path; what follows a question mark is the query string.
        base_url: Scheme, host and the application's root; `http://localhost/` if None.
        query_string: The query, as text or as arguments.
        method: The method.
        input_stream: The body. Not together with `data`.
        content_type: The media type; that of the form if None.
        content_length: The body's length; computed where it can be.
        errors_stream: For `wsgi.errors`; stderr if None.
        multithread: For `wsgi.multithread`.
        multiprocess: For `wsgi.multiprocess`.
        run_once: For `wsgi.run_once`.
        headers: Header fields.
        data: The body or the form; see above.
        environ_base: Keys that the request's own replace.
        environ_overrides: Keys that replace the request's own.
        mimetype: The media type; a charset is added to a text type.
        json: A value to send as JSON. Not together with `data`.
        auth: Credentials, or name and password for the Basic scheme.

    Raises:
        TypeError: Two of `data`, `json` and `input_stream` are given.
        ValueError: The query is in the path and in `query_string`.

    Compatible with: werkzeug.test.EnvironBuilder (3.1)
    """

    #: For `SERVER_PROTOCOL`.
    server_protocol = "HTTP/1.1"
    #: For `wsgi.version`.
    wsgi_version = (1, 0)
    #: The class that `get_request` makes.
    request_class: type[Request] = Request
    #: Writes the value of `json`.
    json_dumps: t.Callable[..., str] = staticmethod(_json.dumps)

    _args: MultiDict[str, str] | None
    _query_string: str | None
    _input_stream: t.IO[bytes] | None
    _form: MultiDict[str, str] | None
    _files: FileMultiDict | None

    def __init__(
        self,
        path: str = "/",
        base_url: str | None = None,
        query_string: t.Mapping[str, str] | str | None = None,
        method: str = "GET",
        input_stream: t.IO[bytes] | None = None,
        content_type: str | None = None,
        content_length: int | None = None,
        errors_stream: t.IO[str] | None = None,
        multithread: bool = False,
        multiprocess: bool = False,
        run_once: bool = False,
        headers: Headers | t.Iterable[tuple[str, str]] | None = None,
        data: t.IO[bytes] | str | bytes | t.Mapping[str, t.Any] | None = None,
        environ_base: t.Mapping[str, t.Any] | None = None,
        environ_overrides: t.Mapping[str, t.Any] | None = None,
        mimetype: str | None = None,
        json: t.Any = None,
        auth: Authorization | tuple[str, str] | None = None,
    ) -> None:
        target = urlsplit(path)
        if "?" in path:
            if query_string is not None:
                raise ValueError("Query string is defined in the path and as an argument")
            query_string = target.query
        self.closed = False
        self.path = iri_to_uri(target.path)
        self.request_uri = path
        self.base_url = None if base_url is None else iri_to_uri(base_url)
        if isinstance(query_string, str):
            self.query_string = query_string
        else:
            self.args = query_string if isinstance(query_string, MultiDict) else MultiDict(query_string or ())
        self.method = method
        self.headers = headers if isinstance(headers, Headers) else Headers(headers)
        if content_type is not None:
            self.content_type = content_type
        self.errors_stream = sys.stderr if errors_stream is None else errors_stream
        self.multithread = multithread
        self.multiprocess = multiprocess
        self.run_once = run_once
        self.environ_base = environ_base
        self.environ_overrides = environ_overrides
        self.input_stream = input_stream
        self.content_length = content_length
        if auth is not None:
            if isinstance(auth, tuple):
                auth = Authorization("basic", {"username": auth[0], "password": auth[1]})
            self.headers.set("Authorization", auth.to_header())
        if json is not None:
            if data is not None:
                raise TypeError("can't provide both json and data")
            data = self.json_dumps(json)
            if self.content_type is None:
                self.content_type = "application/json"
        if data:
            if input_stream is not None:
                raise TypeError("can't provide input stream and data")
            self._take_data(data)
        if mimetype is not None:
            self.mimetype = mimetype

    @classmethod
    def from_environ(cls, environ: WSGIEnvironment, **kwargs: t.Any) -> te.Self:
        """Make a builder of a finished environ.

        Args:
            environ: The environ.
            **kwargs: Arguments of the class that replace what the environ says.
        """
        headers = Headers(EnvironHeaders(environ))
        host = headers.pop("Host", None) or get_host(environ)
        root = _wsgi_decoding_dance(environ["SCRIPT_NAME"])
        arguments: dict[str, t.Any] = {
            # The environ's path is decoded: a `?` or `%` in it is a plain character and must not count again.
            "path": _quote_path(_wsgi_decoding_dance(environ["PATH_INFO"])),
            "base_url": cls._make_base_url(environ["wsgi.url_scheme"], host, _quote_path(root)),
            "query_string": _wsgi_decoding_dance(environ["QUERY_STRING"]),
            "method": environ["REQUEST_METHOD"],
            "input_stream": environ["wsgi.input"],
            "content_type": headers.pop("Content-Type", None),
            "content_length": headers.pop("Content-Length", None),
            "errors_stream": environ["wsgi.errors"],
            "multithread": environ["wsgi.multithread"],
            "multiprocess": environ["wsgi.multiprocess"],
            "run_once": environ["wsgi.run_once"],
            "headers": headers,
        }
        builder = cls(**{**arguments, **kwargs})
        if "path" not in kwargs and "REQUEST_URI" in environ:
            builder.request_uri = _wsgi_decoding_dance(environ["REQUEST_URI"])
        return builder

    def _take_data(self, data: t.Any) -> None:
        if hasattr(data, "read"):
            data = data.read()
        if isinstance(data, str):
            data = data.encode()
        if isinstance(data, (bytes, bytearray, memoryview)):
            self.input_stream = BytesIO(data)
            if self.content_length is None:
                self.content_length = len(bytes(data))
            return
        for name, value in _iter_data(data):
            if isinstance(value, (tuple, dict)) or hasattr(value, "read"):
                self._add_file_from_data(name, value)
            else:
                self.form.setlistdefault(name).append(value)

    def _add_file_from_data(self, key: str, value: t.Any) -> None:
        if isinstance(value, tuple):
            self.files.add_file(key, *value)
        else:
            self.files.add_file(key, value)

    @staticmethod
    def _make_base_url(scheme: str, host: str, script_root: str) -> str:
        return urlunsplit((scheme, host, script_root, "", "")).rstrip("/") + "/"

    @property
    def base_url(self) -> str:
        """Scheme, host and root in one; None sets the default."""
        return self._make_base_url(self.url_scheme, self.host, self.script_root)

    @base_url.setter
    def base_url(self, value: str | None) -> None:
        parts = urlsplit("http://localhost" if value is None else value)
        if parts.query or parts.fragment:
            raise ValueError("base url must not contain a query string or fragment")
        self.url_scheme = parts.scheme
        self.host = parts.netloc
        self.script_root = parts.path.rstrip("/")

    @property
    def content_type(self) -> str | None:
        """The Content-Type field, or what the form and the files ask for; None removes it."""
        sent: str | None = self.headers.get("Content-Type")
        if sent is None and not self._input_stream:
            return _MULTIPART if self._files else _FORM if self._form else None
        return sent

    @content_type.setter
    def content_type(self, value: str | None) -> None:
        if value is None:
            self.headers.pop("Content-Type", None)
        else:
            self.headers["Content-Type"] = value

    @property
    def mimetype(self) -> str | None:
        """The media type without its parameters; a text type is set with a charset."""
        content_type = self.content_type
        return content_type.partition(";")[0].strip() if content_type else None

    @mimetype.setter
    def mimetype(self, value: str) -> None:
        self.content_type = get_content_type(value, "utf-8")

    @property
    def mimetype_params(self) -> CallbackDict[str, str]:
        """The media type's parameters; a change is written to the header field."""

        def write(params: t.Any) -> None:
            self.headers["Content-Type"] = dump_options_header(self.mimetype, params)

        return CallbackDict(parse_options_header(self.headers.get("Content-Type", ""))[1], write)

    @property
    def content_length(self) -> int | None:
        """The Content-Length field; None removes it."""
        return self.headers.get("Content-Length", type=int)  # type: ignore[no-any-return]

    @content_length.setter
    def content_length(self, value: int | None) -> None:
        if value is None:
            self.headers.pop("Content-Length", None)
        else:
            self.headers["Content-Length"] = str(value)

    def _need_form(self) -> None:
        if self._input_stream is not None:
            raise AttributeError("an input stream is defined")

    @property
    def form(self) -> MultiDict[str, str]:
        """The form's values; an AttributeError when there is an input stream."""
        self._need_form()
        if self._form is None:
            self._form = MultiDict()
        return self._form

    @form.setter
    def form(self, value: MultiDict[str, str]) -> None:
        self._input_stream = None
        self._form = value

    @property
    def files(self) -> FileMultiDict:
        """The form's files, see `FileMultiDict.add_file`; an AttributeError when there is an input stream."""
        self._need_form()
        if self._files is None:
            self._files = FileMultiDict()
        return self._files

    @files.setter
    def files(self, value: FileMultiDict) -> None:
        self._input_stream = None
        self._files = value

    @property
    def input_stream(self) -> t.IO[bytes] | None:
        """The body as a stream; setting it drops form and files."""
        return self._input_stream

    @input_stream.setter
    def input_stream(self, value: t.IO[bytes] | None) -> None:
        self._input_stream = value
        self._form = None
        self._files = None

    @property
    def query_string(self) -> str:
        """The query; setting it drops `args`."""
        if self._query_string is not None:
            return self._query_string
        return "" if self._args is None else _urlencode(self._args)

    @query_string.setter
    def query_string(self, value: str | None) -> None:
        self._query_string = value
        self._args = None

    @property
    def args(self) -> MultiDict[str, str]:
        """The query's arguments; an AttributeError when there is a query string."""
        if self._query_string is not None:
            raise AttributeError("a query string is defined")
        if self._args is None:
            self._args = MultiDict()
        return self._args

    @args.setter
    def args(self, value: MultiDict[str, str] | None) -> None:
        self._query_string = None
        self._args = value

    @property
    def server_name(self) -> str:
        """The name in `host`."""
        return _split_host(self.host)[0]

    @property
    def server_port(self) -> int:
        """The port in `host`, else the scheme's."""
        try:
            return int(_split_host(self.host)[1])
        except ValueError:
            return 443 if self.url_scheme == "https" else 80

    def __del__(self) -> None:
        try:
            self.close()
        except Exception:
            return  # half-made, or the interpreter is ending

    def close(self) -> None:
        """Close the form's files."""
        if self.closed:
            return
        for file in () if self._files is None else self._files.values():
            try:
                file.close()
            except Exception:
                continue
        self.closed = True

    def get_environ(self) -> WSGIEnvironment:
        """Return the environ."""
        body, content_length, content_type = self._encode_body()
        uri = _wsgi_encoding_dance(self.request_uri)
        environ: WSGIEnvironment = {
            **(self.environ_base or {}),
            "REQUEST_METHOD": self.method,
            "SCRIPT_NAME": _wsgi_encoding_dance(unquote(self.script_root)),
            "PATH_INFO": _wsgi_encoding_dance(unquote(self.path)),
            "QUERY_STRING": _wsgi_encoding_dance(self.query_string),
            # Not WSGI: the undecoded target, under the names that uWSGI and gunicorn give it.
            "REQUEST_URI": uri,
            "RAW_URI": uri,
            "SERVER_NAME": self.server_name,
            "SERVER_PORT": str(self.server_port),
            "HTTP_HOST": self.host,
            "SERVER_PROTOCOL": self.server_protocol,
            "wsgi.version": self.wsgi_version,
            "wsgi.url_scheme": self.url_scheme,
            "wsgi.input": body,
            "wsgi.errors": self.errors_stream,
            "wsgi.multithread": self.multithread,
            "wsgi.multiprocess": self.multiprocess,
            "wsgi.run_once": self.run_once,
        }
        if content_type is not None:
            environ["CONTENT_TYPE"] = content_type
        if content_length is not None:
            environ["CONTENT_LENGTH"] = str(content_length)
        fields: dict[str, list[str]] = {}
        for name, value in self.headers.to_wsgi_list():
            key = name.upper().replace("-", "_")
            if key not in ("CONTENT_TYPE", "CONTENT_LENGTH"):
                fields.setdefault(f"HTTP_{key}", []).append(value)
        environ.update((key, ", ".join(values)) for key, values in fields.items())
        environ.update(self.environ_overrides or {})
        return environ

    def _encode_body(self) -> tuple[t.IO[bytes], int | None, str | None]:
        """Return the body, its length and its Content-Type."""
        mimetype, content_type = self.mimetype, self.content_type
        if self._input_stream is not None:
            length = _bytes_left(self._input_stream)
            return self._input_stream, self.content_length if length is None else length, content_type
        if mimetype == _MULTIPART:
            stream, size, boundary = stream_encode_multipart(CombinedMultiDict([self.form, self.files]))
            return stream, size, f'{mimetype}; boundary="{boundary}"'
        if mimetype == _FORM:
            encoded = _urlencode(self.form).encode("ascii")
            return BytesIO(encoded), len(encoded), content_type
        return BytesIO(), self.content_length, content_type

    def get_request(self, cls: type[Request] | None = None) -> Request:
        """Return a request on the environ.

        Args:
            cls: Its class; `request_class` if None.
        """
        return (self.request_class if cls is None else cls)(self.get_environ())


def create_environ(*args: t.Any, **kwargs: t.Any) -> WSGIEnvironment:
    """Return the environ of a request; the arguments are those of `EnvironBuilder`.

    Compatible with: werkzeug.test.create_environ (3.1)
    """
    builder = EnvironBuilder(*args, **kwargs)
    try:
        return builder.get_environ()
    finally:
        builder.close()


def _quote_path(path: str) -> str:
    return quote(path, safe="!$&'()*+,/:;=@")


def _bytes_left(stream: t.IO[bytes]) -> int | None:
    """Return how much of a stream is unread; None if it cannot be positioned."""
    try:
        position = stream.tell()
        end = stream.seek(0, 2)
        end = stream.tell() if end is None else end
        stream.seek(position)
    except (AttributeError, OSError):
        return None
    return end - position
