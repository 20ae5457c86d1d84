"""Form bodies: fields and files out of a request's stream."""

from __future__ import annotations

import typing as t
from io import BytesIO
from urllib.parse import parse_qsl

from .._core import Body, parse_multipart, urlencoded_pairs
from ._internal import _missing, _plain_int
from .datastructures import FileStorage, Headers, MultiDict
from .exceptions import RequestEntityTooLarge
from .http import parse_options_header
from .wsgi import get_content_length, get_input_stream

if t.TYPE_CHECKING:
    from .sansio.multipart import Field, File

_Parsed = tuple[t.IO[bytes], "MultiDict[str, str]", "MultiDict[str, FileStorage]"]
_CHARSETS = frozenset(("ascii", "us-ascii", "utf-8", "iso-8859-1"))
# Files over this size go to the disk.
_SPOOL_SIZE = 500 * 1024
# What is read of a body at a time.
_BLOCK = 64 * 1024


def __getattr__(name: str) -> t.Any:
    # Only requests with files need tempfile, which is slow to import.
    if name != "SpooledTemporaryFile":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from tempfile import SpooledTemporaryFile

    globals()[name] = SpooledTemporaryFile
    return SpooledTemporaryFile


def default_stream_factory(
    total_content_length: int | None,
    content_type: str | None,
    filename: str | None,
    content_length: int | None = None,
) -> t.IO[bytes]:
    """Return where to put a file's content: in memory while it is small, then on disk."""
    spooled = globals().get("SpooledTemporaryFile", _missing)
    if spooled is _missing:
        spooled = __getattr__("SpooledTemporaryFile")
    if spooled is not None:
        return t.cast(t.IO[bytes], spooled(max_size=_SPOOL_SIZE, mode="rb+"))
    # A platform without it: what is or may be long goes to the disk at once.
    if total_content_length is None or total_content_length > _SPOOL_SIZE:
        from tempfile import TemporaryFile

        return t.cast(t.IO[bytes], TemporaryFile("rb+"))
    return BytesIO()


def parse_form_data(
    environ: dict[str, t.Any],
    stream_factory: t.Callable[..., t.IO[bytes]] | None = None,
    max_form_memory_size: int | None = None,
    max_content_length: int | None = None,
    cls: t.Any = None,
    silent: bool = True,
    *,
    max_form_parts: int | None = None,
) -> _Parsed:
    """Parse the form in an environ. See `FormDataParser` for the arguments.

    Returns:
        The stream, the fields and the files.
    """
    parser = FormDataParser(
        stream_factory, max_form_memory_size, max_content_length, cls, silent, max_form_parts=max_form_parts
    )
    return parser.parse_from_environ(environ)


class FormDataParser:
    """Parses forms of both media types.

    Args:
        stream_factory: Returns a file object for each uploaded file, see `default_stream_factory`.
        max_form_memory_size: Bytes that fields of a multipart form may have.
        max_content_length: Bytes that the body may have.
        cls: The class of the results, `MultiDict` by default.
        silent: Take a malformed body as an empty one.
        max_form_parts: Parts that a multipart form may have.

    Compatible with: werkzeug.formparser.FormDataParser (3.1)
    """

    def __init__(
        self,
        stream_factory: t.Callable[..., t.IO[bytes]] | None = None,
        max_form_memory_size: int | None = None,
        max_content_length: int | None = None,
        cls: t.Any = None,
        silent: bool = True,
        *,
        max_form_parts: int | None = None,
    ) -> None:
        self.stream_factory = stream_factory or default_stream_factory
        self.max_form_memory_size = max_form_memory_size
        self.max_content_length = max_content_length
        self.max_form_parts = max_form_parts
        self.cls = MultiDict if cls is None else cls
        self.silent = silent

    def parse_from_environ(self, environ: dict[str, t.Any]) -> _Parsed:
        """Parse the body of a WSGI request."""
        mimetype, options = parse_options_header(environ.get("CONTENT_TYPE"))
        stream = get_input_stream(environ, max_content_length=self.max_content_length)
        return self.parse(stream, mimetype, get_content_length(environ), options)

    def parse(
        self,
        stream: t.IO[bytes],
        mimetype: str,
        content_length: int | None,
        options: dict[str, str] | None = None,
    ) -> _Parsed:
        """Parse a stream.

        Args:
            stream: The body; it is left alone if its type is no form.
            mimetype: The media type.
            content_length: The declared length.
            options: Parameters of the media type.

        Returns:
            The stream, the fields and the files.
        """
        parsers: dict[str, t.Any] = {
            "multipart/form-data": self._parse_multipart,
            "application/x-www-form-urlencoded": self._parse_urlencoded,
        }
        parse = parsers.get(mimetype)
        if parse is not None:
            try:
                return parse(stream, mimetype, content_length, options or {})  # type: ignore[no-any-return]
            except ValueError:
                if not self.silent:
                    raise
        return stream, self.cls(), self.cls()

    def _parse_multipart(
        self, stream: t.IO[bytes], mimetype: str, content_length: int | None, options: dict[str, str]
    ) -> _Parsed:
        boundary = options.get("boundary", "").encode("ascii")
        if not boundary:
            raise ValueError("Missing boundary")
        parser = MultiPartParser(
            self.stream_factory, self.max_form_memory_size, self.cls, max_form_parts=self.max_form_parts
        )
        return (stream, *parser.parse(stream, boundary, content_length))

    def _parse_urlencoded(
        self, stream: t.IO[bytes], mimetype: str, content_length: int | None, options: dict[str, str]
    ) -> _Parsed:
        data = stream.read()
        pairs = urlencoded_pairs(data) if type(data) is bytes else None
        if pairs is None:
            pairs = parse_qsl(data.decode(), keep_blank_values=True, errors="werkzeug.url_quote")
        return stream, self.cls(pairs), self.cls()


class _Part:
    """The part that is being read: its head, and where its content goes."""

    def __init__(self, head: Field | File, target: t.Any, write: t.Callable[[bytes], t.Any]) -> None:
        self.head: t.Any = head
        self.is_field = type(target) is list
        self.target = target
        self.write = write
        self.size = 0


class MultiPartParser:
    """Parses multipart forms.

    Args:
        stream_factory: Returns a file object for each uploaded file.
        max_form_memory_size: Bytes that a field, and what waits in the buffer, may have.
        cls: The class of the results, `MultiDict` by default.
        buffer_size: Bytes a read.
        max_form_parts: Parts allowed.

    Compatible with: werkzeug.formparser.MultiPartParser (3.1)
    """

    def __init__(
        self,
        stream_factory: t.Callable[..., t.IO[bytes]] | None = None,
        max_form_memory_size: int | None = None,
        cls: t.Any = None,
        buffer_size: int = _BLOCK,
        max_form_parts: int | None = None,
    ) -> None:
        self.stream_factory = stream_factory or default_stream_factory
        self.max_form_memory_size = max_form_memory_size
        self.max_form_parts = max_form_parts
        self.cls = MultiDict if cls is None else cls
        self.buffer_size = buffer_size

    def fail(self, message: str) -> t.NoReturn:
        """Reject the body.

        Raises:
            ValueError: Always.
        """
        raise ValueError(message)

    def get_part_charset(self, headers: Headers) -> str:
        """Return the charset of a field: the one it names, if that is a harmless one, else UTF-8."""
        charset = parse_options_header(headers.get("content-type"))[1].get("charset", "").lower()
        return charset if charset in _CHARSETS else "utf-8"

    def start_file_streaming(self, event: File, total_content_length: int | None) -> t.IO[bytes]:
        """Return where a file's content goes."""
        try:
            length = _plain_int(event.headers["content-length"])
        except (KeyError, ValueError):
            length = 0
        return self.stream_factory(
            total_content_length=total_content_length,
            filename=event.filename,
            content_type=event.headers.get("content-type"),
            content_length=length,
        )

    def parse(
        self, stream: t.IO[bytes], boundary: bytes, content_length: int | None
    ) -> tuple[MultiDict[str, str], MultiDict[str, FileStorage]]:
        """Parse a stream to its end.

        Raises:
            ValueError: The body is malformed.
            RequestEntityTooLarge: A limit is reached.
        """
        # The core takes fields without a Content-Type for UTF-8, and finds delimiters however the blocks are cut;
        # Werkzeug does not, which shows with small ones.
        if type(self).get_part_charset is _GET_PART_CHARSET and self.buffer_size == _BLOCK:
            return self._parse_in_core(stream, boundary, content_length)
        return self._parse_here(stream, boundary, content_length)

    def _parse_in_core(
        self, stream: t.IO[bytes], boundary: bytes, content_length: int | None
    ) -> tuple[MultiDict[str, str], MultiDict[str, FileStorage]]:
        def open_file(
            fields: list[tuple[str, str]], name: str, filename: str | None, disposition: str | None
        ) -> tuple[str, str | None, t.Any, t.Any]:
            if disposition is not None:
                options = parse_options_header(disposition)[1]
                name, filename = t.cast(str, options.get("name")), options.get("filename")
            if filename is None:
                return name, None, None, None
            # With the dataclasses it is made of, the decoder is a tenth of what a start-up imports.
            from .sansio.multipart import File

            headers = Headers._of_fields(fields)
            target = self.start_file_streaming(File(name, filename, headers), content_length)
            return name, filename, (headers, target), target.write

        def charset_of(fields: list[tuple[str, str]]) -> str:
            return self.get_part_charset(Headers._of_fields(fields))

        # What is in memory is read where it is, unless a subclass may read otherwise.
        source: t.Any = stream.getvalue() if type(stream) is BytesIO else getattr(stream, "received", None)
        is_memory = type(source) in (bytes, Body)
        start = stream.tell() if is_memory else 0
        fields, opened, size, refused = parse_multipart(
            source if is_memory else stream.read,
            start,
            boundary,
            self.buffer_size,
            self.max_form_memory_size,
            self.max_form_parts,
            open_file,
            charset_of,
        )
        if is_memory:
            stream.seek(start + size)
        if refused is True:
            raise RequestEntityTooLarge()
        if isinstance(refused, bytes):
            refused.decode()  # raises
        if refused is not None:
            raise ValueError(refused)
        files: list[tuple[str, FileStorage]] = []
        for name, filename, (headers, target), _ in opened:
            target.seek(0)
            files.append((name, FileStorage(target, filename, name, headers=headers)))
        return self.cls(fields), self.cls(files)

    def _parse_here(
        self, stream: t.IO[bytes], boundary: bytes, content_length: int | None
    ) -> tuple[MultiDict[str, str], MultiDict[str, FileStorage]]:
        # With the dataclasses it is made of, the decoder is a tenth of what a start-up imports.
        from .sansio.multipart import Data, Epilogue, Field, File, MultipartDecoder, NeedData

        decoder = MultipartDecoder(boundary, self.max_form_memory_size, max_parts=self.max_form_parts)
        fields: list[tuple[str, str]] = []
        files: list[tuple[str, FileStorage]] = []
        part: _Part | None = None
        for block in _blocks(stream.read, self.buffer_size):
            decoder.receive_data(block)
            while True:
                event = decoder.next_event()
                if isinstance(event, (NeedData, Epilogue)):
                    break
                if isinstance(event, Field):
                    chunks: list[bytes] = []
                    part = _Part(event, chunks, chunks.append)
                elif isinstance(event, File):
                    target = self.start_file_streaming(event, content_length)
                    part = _Part(event, target, target.write)
                elif isinstance(event, Data) and part is not None:
                    self._take(part, event.data)
                    if not event.more_data:
                        self._finish(part, fields, files)
        return self.cls(fields), self.cls(files)

    def _take(self, part: _Part, data: bytes) -> None:
        part.size += len(data)
        limit = self.max_form_memory_size
        if limit is not None and part.size > limit and part.is_field:
            raise RequestEntityTooLarge()
        part.write(data)

    def _finish(self, part: _Part, fields: list[t.Any], files: list[t.Any]) -> None:
        head = part.head
        if part.is_field:
            text = b"".join(part.target).decode(self.get_part_charset(head.headers), "replace")
            fields.append((head.name, text))
        else:
            part.target.seek(0)
            files.append(
                (head.name, FileStorage(part.target, head.filename, head.name, headers=head.headers))
            )


_GET_PART_CHARSET = MultiPartParser.get_part_charset


def _blocks(read: t.Callable[[int], bytes], size: int) -> t.Iterator[bytes | None]:
    """Yield what is read, and None at the end."""
    while True:
        block = read(size)
        yield block or None
        if not block:
            return
