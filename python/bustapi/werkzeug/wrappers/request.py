"""The request of a WSGI environment, or of the server's own request state.

Made from an environment it is what Werkzeug makes. Made by the server (`Request._from_native`) it holds the server's
request state and nothing else; each attribute is taken from there when it is first read, and the environment is
built only for code that asks for it. Both have the same attributes with the same meaning.
"""

from __future__ import annotations

import functools
import json
import typing as t
from io import BytesIO

from .._internal import _get_environ as _get_environ
from .._internal import _lazy, _wsgi_decoding_dance
from ..datastructures import (
    CombinedMultiDict,
    EnvironHeaders,
    FileStorage,
    ImmutableMultiDict,
    MultiDict,
    iter_multi_items,
)
from ..exceptions import BadRequest, HTTPException, RequestEntityTooLarge, UnsupportedMediaType
from ..formparser import FormDataParser, default_stream_factory
from ..sansio.request import Request as _SansIORequest
from ..utils import environ_property
from ..wsgi import _get_server, get_input_stream
from .body import BodyView, HeldBody, ReceivedBody
from .received import ReceivedHeaders

if t.TYPE_CHECKING:
    from typing_extensions import Buffer

_STDLIB_LOADS = json.loads
# Bodies over this size are read where they are; below it, a copy costs less than a stream of our own.
_LONG = 64 * 1024
_SHALLOW = "A shallow request reads no body: it was made with 'shallow=True'."
# A subclass that defines one of these sees every JSON body through it.
_JSON_SOURCES = ("content_type", "data", "get_data", "headers", "is_json", "mimetype", "stream")


class _received(_lazy[t.Any]):
    """An attribute that is read from the server's request state on first access."""

    def __get__(self, instance: t.Any, owner: type | None = None) -> t.Any:
        if instance is None:
            return self
        values = instance.__dict__
        name = self.__name__
        if name in values:
            return values[name]
        if "_native" not in values:
            raise AttributeError(f"{type(instance).__name__!r} object has no attribute {name!r}")
        value = values[name] = self.fget(instance)
        return value


class Request(_SansIORequest):
    """A request with its body.

    Args:
        environ: The WSGI environment.
        populate_request: Put the request into the environment as `werkzeug.request`.
        shallow: Refuse to read the body, for code that must leave it to others.

    Compatible with: werkzeug.wrappers.Request (3.1)
    """

    #: Bytes that the body may have; None for any.
    max_content_length: int | None = None
    #: Bytes that a field of a multipart form may have; None for any.
    max_form_memory_size: int | None = 500_000
    #: Parts that a multipart form may have; None for any.
    max_form_parts: int | None = 1000
    #: The class that parses forms.
    form_data_parser_class: type[FormDataParser] = FormDataParser
    #: Reads JSON bodies: a module or an object with `loads`. One that gives what `json.loads` gives can say so with an
    #: attribute `is_plain_json` of the function; then the server parses bodies without copying them.
    json_module: t.Any = json

    #: The WSGI environment.
    environ: dict[str, t.Any]
    #: Whether reading the body is refused.
    shallow: bool = False

    _native: t.Any = None
    _cached_data: bytes | None = None
    _cached_json: tuple[t.Any, t.Any] = (Ellipsis, Ellipsis)
    _stock_json = True

    def __init__(
        self, environ: dict[str, t.Any], populate_request: bool = True, shallow: bool = False
    ) -> None:
        super().__init__(
            method=environ.get("REQUEST_METHOD", "GET"),
            scheme=environ.get("wsgi.url_scheme", "http"),
            server=_get_server(environ),
            root_path=_wsgi_decoding_dance(environ.get("SCRIPT_NAME") or ""),
            path=_wsgi_decoding_dance(environ.get("PATH_INFO") or ""),
            query_string=environ.get("QUERY_STRING", "").encode("latin1"),
            headers=EnvironHeaders(environ),
            remote_addr=environ.get("REMOTE_ADDR"),
        )
        self.environ = environ
        self.shallow = shallow
        if populate_request and not shallow:
            environ["werkzeug.request"] = self

    def __init_subclass__(cls, **kwargs: t.Any) -> None:
        super().__init_subclass__(**kwargs)
        cls._stock_json = not any(
            name in vars(base)
            for base in cls.__mro__
            if base not in _SansIORequest.__mro__ and base is not Request
            for name in _JSON_SOURCES
        )

    @classmethod
    def _from_native(cls, native: t.Any) -> Request:
        """Make a request of the server's request state; nothing is decoded yet.

        Args:
            native: The server's request state.
        """
        if cls.__init__ is not _INIT or cls.__new__ is not object.__new__:
            return cls(native.environ())
        self = object.__new__(cls)
        self._native = native
        return self

    if not t.TYPE_CHECKING:
        # What `__init__` sets for a request with an environment.

        @_received
        def method(self) -> str:
            """The method in upper case."""
            return self._native.method.upper()

        @_received
        def scheme(self) -> str:
            """`http` or `https`."""
            return self._native.scheme

        @_received
        def server(self) -> tuple[str, int | None] | None:
            """Host and port of the server."""
            return self._native.server

        @_received
        def root_path(self) -> str:
            """Where the application is mounted: at the root, unless a trusted proxy says otherwise."""
            return self._native.root_path

        @_received
        def path(self) -> str:
            """The path, decoded."""
            path = self._native.path
            return path if path[:1] == "/" and path[1:2] != "/" else "/" + path.lstrip("/")

        @_received
        def query_string(self) -> bytes:
            """What follows `?`, as sent."""
            return self._native.query_string

        @_received
        def headers(self) -> EnvironHeaders:
            """The header fields."""
            if "environ" in self.__dict__:
                return EnvironHeaders(self.environ)
            return ReceivedHeaders(self._native)

        @_received
        def remote_addr(self) -> str | None:
            """The client's address."""
            return self._native.remote_addr

        @_received
        def environ(self) -> dict[str, t.Any]:
            """The WSGI environment, built on first access."""
            environ = self._native.environ()
            environ["werkzeug.request"] = self
            headers = self.__dict__.get("headers")
            if type(headers) is ReceivedHeaders:
                headers.environ = environ
            return environ

    @classmethod
    def from_values(cls, *args: t.Any, **kwargs: t.Any) -> Request:
        """Return a request of the given values, for tests. See `test.EnvironBuilder` for the arguments."""
        from ..test import EnvironBuilder

        builder = EnvironBuilder(*args, **kwargs)
        try:
            return builder.get_request(cls)
        finally:
            builder.close()

    @classmethod
    def application(cls, f: t.Callable[..., t.Any]) -> t.Callable[..., t.Any]:
        """Turn a function of a request that returns a response into a WSGI application."""

        @functools.wraps(f)
        def application(*args: t.Any) -> t.Any:
            *bound, environ, start_response = args
            with cls(environ) as request:
                try:
                    response = f(*bound, request)
                except HTTPException as error:
                    response = error.get_response(environ)
                return response(environ, start_response)

        return application

    # The body

    @_lazy
    def stream(self) -> t.IO[bytes]:
        """The body as a stream that ends where the body does.

        Called, it gives an async iterator: `async for chunk in request.stream()`. A body that is longer than the
        server keeps in memory arrives while it is read.

        Raises:
            RequestEntityTooLarge: The body is longer than `max_content_length`; reading raises it if that shows late.
            RuntimeError: The request is shallow.
        """
        if self.shallow:
            raise RuntimeError(_SHALLOW)
        limit = self.max_content_length
        native = self._native
        # Someone who has the environment may have replaced the stream in it.
        if native is None or "environ" in self.__dict__:
            return get_input_stream(self.environ, max_content_length=limit)
        if native.is_streamed:
            if limit is not None and (native.content_length or 0) > limit:
                raise RequestEntityTooLarge()
            return t.cast("t.IO[bytes]", ReceivedBody(native.stream, limit))
        length = native.content_length
        if length is not None and length > _LONG:
            if limit is not None and length > limit:
                raise RequestEntityTooLarge()
            return t.cast("t.IO[bytes]", BodyView(native.body))
        data = native.get_data()
        if limit is not None and len(data) > limit:
            raise RequestEntityTooLarge()
        return HeldBody(data)

    @_lazy
    def content_length(self) -> int | None:
        """The declared length of the body; None if there is none or it comes in chunks."""
        native = self._native
        if native is None or "environ" in self.__dict__:
            return super().content_length
        return native.content_length  # type: ignore[no-any-return]

    input_stream = environ_property[t.IO[bytes]](
        "wsgi.input", doc="The stream as the server gave it. It may never end; `stream` does."
    )

    @property
    def body(self) -> Buffer:
        """The body as a read-only buffer; without a copy if the server itself received it. BustAPI only."""
        native = self._native
        if (
            native is None
            or native.is_streamed
            or "environ" in self.__dict__
            or self._cached_data is not None
        ):
            return memoryview(self.get_data())
        self._check_body(native)
        return native.body  # type: ignore[no-any-return]

    def _check_body(self, native: t.Any) -> None:
        if self.shallow:
            raise RuntimeError(_SHALLOW)
        limit = self.max_content_length
        if limit is None:
            return
        length = native.content_length
        if (memoryview(native.body).nbytes if length is None else length) > limit:
            raise RequestEntityTooLarge()

    @_lazy
    def data(self) -> bytes:
        """The body, empty if it was a form. See `get_data`."""
        return self.get_data(parse_form_data=True)

    @t.overload
    def get_data(
        self, cache: bool = True, as_text: t.Literal[False] = False, parse_form_data: bool = False
    ) -> bytes: ...
    @t.overload
    def get_data(
        self, cache: bool = True, *, as_text: t.Literal[True], parse_form_data: bool = False
    ) -> str: ...
    def get_data(
        self, cache: bool = True, as_text: bool = False, parse_form_data: bool = False
    ) -> bytes | str:
        """Read the body into memory. `max_content_length` says how much that can be.

        Args:
            cache: Keep it for further calls.
            as_text: Decode it as UTF-8, with replacement characters.
            parse_form_data: Parse a form first, which leaves an empty body.
        """
        data = self._cached_data
        if data is None:
            if parse_form_data:
                self._load_form_data()
            data = self.stream.read()
            if cache:
                self._cached_data = data
        return data.decode("utf-8", "replace") if as_text else data

    async def load_body(self) -> None:
        """Wait for the whole body in an async view; then `data`, `json`, `form` and `files` have it.

        Only a body that is read while it arrives (`stream_body=True`) has to be waited for. `max_content_length` says
        how much it can be.

        Compatible with: BustAPI only.
        """
        if self._cached_data is None:
            stream = self.stream
            self._cached_data = await stream.load() if isinstance(stream, ReceivedBody) else stream.read()

    # Forms

    def _get_file_stream(
        self,
        total_content_length: int | None,
        content_type: str | None,
        filename: str | None = None,
        content_length: int | None = None,
    ) -> t.IO[bytes]:
        """Return where to put an uploaded file; a subclass can choose.

        Args:
            total_content_length: The length of the whole body, if declared.
            content_type: The file's media type.
            filename: The name that the client gave.
            content_length: The file's length, which clients seldom send.
        """
        return default_stream_factory(
            total_content_length=total_content_length,
            content_type=content_type,
            filename=filename,
            content_length=content_length,
        )

    @property
    def want_form_data_parsed(self) -> bool:
        """Whether there can be a form: a content type was sent."""
        return bool(self.headers.get("Content-Type"))

    def make_form_data_parser(self) -> FormDataParser:
        """Return the parser for this request's form."""
        return self.form_data_parser_class(
            stream_factory=self._get_file_stream,
            max_form_memory_size=self.max_form_memory_size,
            max_content_length=self.max_content_length,
            max_form_parts=self.max_form_parts,
            cls=self.parameter_storage_class,
        )

    def _load_form_data(self) -> None:
        values = self.__dict__
        if "form" in values:
            return
        stream = self._get_stream_for_parsing()
        if self.want_form_data_parsed:
            parser = self.make_form_data_parser()
            parsed = parser.parse(stream, self.mimetype, self.content_length, self.mimetype_params)
        else:
            parsed = (stream, self.parameter_storage_class(), self.parameter_storage_class())
        # Past the attributes' own descriptors, which would load again.
        values["stream"], values["form"], values["files"] = parsed

    def _get_stream_for_parsing(self) -> t.IO[bytes]:
        data = self._cached_data
        return self.stream if data is None else BytesIO(data)

    @_lazy
    def form(self) -> ImmutableMultiDict[str, str]:
        """The fields of the form."""
        self._load_form_data()
        return self.__dict__["form"]  # type: ignore[no-any-return]

    @_lazy
    def files(self) -> ImmutableMultiDict[str, FileStorage]:
        """The files of the form."""
        self._load_form_data()
        return self.__dict__["files"]  # type: ignore[no-any-return]

    @_lazy
    def values(self) -> CombinedMultiDict[str, str]:
        """The fields of the query string and, for POST, PUT and PATCH, of the form."""
        sources = [self.args]
        if self.method in ("POST", "PUT", "PATCH"):
            sources.append(self.form)
        return CombinedMultiDict([d if isinstance(d, MultiDict) else MultiDict(d) for d in sources])

    def close(self) -> None:
        """Close the files of the form."""
        for _, file in iter_multi_items(self.__dict__.get("files") or ()):
            file.close()

    def __enter__(self) -> Request:
        return self

    def __exit__(self, exc_type: t.Any, exc_value: t.Any, tb: t.Any) -> None:
        self.close()

    # The environment

    @property
    def script_root(self) -> str:
        """Where the application is mounted, without a slash at the end."""
        return self.root_path.rstrip("/")

    @_lazy
    def url_root(self) -> str:
        """The URL up to where the application is mounted; `root_url`."""
        return self.root_url

    remote_user = environ_property[str]("REMOTE_USER", doc="The user that the server authenticated.")
    is_multithread = environ_property[bool]("wsgi.multithread", doc="Whether the server uses threads.")
    is_multiprocess = environ_property[bool]("wsgi.multiprocess", doc="Whether the server uses processes.")
    is_run_once = environ_property[bool]("wsgi.run_once", doc="Whether the process ends after this request.")

    # JSON

    @property
    def is_json(self) -> bool:
        """Whether the media type says JSON: `application/json` or `application/*+json`."""
        native = self._native
        # What most clients send, told without parsing.
        if (
            native is not None
            and self._stock_json
            and "environ" not in self.__dict__
            and native.header("content-type") == "application/json"
        ):
            return True
        return super().is_json

    @property
    def json(self) -> t.Any:
        """The body parsed as JSON. See `get_json`."""
        return self.get_json()

    def get_json(self, force: bool = False, silent: bool = False, cache: bool = True) -> t.Any:
        """Parse the body as JSON.

        Args:
            force: Do so whatever the media type says.
            silent: Return None for a body that is no JSON.
            cache: Keep the value, and the body, for further calls.

        Raises:
            UnsupportedMediaType: The media type is not JSON.
            BadRequest: The body is not. Both come from `on_json_loading_failed`, which can answer otherwise.
        """
        if cache:
            kept = self._cached_json[silent]
            if kept is not Ellipsis:
                return kept
            if self._native is not None:
                # What the long way below comes to for a JSON body of a request that nobody has changed.
                value = self._native.plain_json(self)
                if value is not Ellipsis:
                    self._cached_json = (value, value)
                    return value
        if not (force or self.is_json):
            return None if silent else self.on_json_loading_failed(None)
        in_place = cache and self._is_plain_json()
        data = b"" if in_place else self.get_data(cache=cache)
        try:
            value = self._native.json() if in_place else self.json_module.loads(data)
        except ValueError as error:
            value = None if silent else self.on_json_loading_failed(error)
            if cache:
                loud, quiet = self._cached_json
                self._cached_json = (loud, value) if silent else (value, quiet)
        else:
            if cache:
                self._cached_json = (value, value)
        return value

    def _is_plain_json(self) -> bool:
        """Tell whether the server may parse the body where it received it: nobody could see the difference."""
        native = self._native
        if native is None or not self._stock_json or self._cached_data is not None or native.is_streamed:
            return False
        values = self.__dict__
        if "stream" in values or "environ" in values:
            return False
        # Replaced on the class or on this request, after the class was made.
        if getattr(self.get_data, "__func__", None) is not _GET_DATA:
            return False
        loads = self.json_module.loads
        if loads is not _STDLIB_LOADS and not getattr(loads, "is_plain_json", False):
            return False
        self._check_body(native)
        return True

    def on_json_loading_failed(self, e: ValueError | None) -> t.Any:
        """Answer for a body that is not JSON: raise, or return a value to use.

        Args:
            e: What the parser raised; None when the media type is not JSON.
        """
        if e is not None:
            raise BadRequest(f"Failed to decode JSON object: {e}")
        raise UnsupportedMediaType(
            "Did not attempt to load JSON data because the request Content-Type was not 'application/json'."
        )


_INIT = Request.__init__
_GET_DATA = Request.get_data
