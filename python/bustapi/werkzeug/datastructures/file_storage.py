"""Uploaded files."""

from __future__ import annotations

import collections.abc as cabc
import os
import typing as t
from io import BytesIO

from .._internal import _plain_int
from .headers import Headers
from .structures import MultiDict


class FileStorage:
    """One uploaded file: a stream with a name and header fields. Other attributes are the stream's.

    Args:
        stream: The content, empty if None.
        filename: The name the client gave; never trust it as a path. Taken from the stream if None.
        name: The form field.
        content_type: Sets the Content-Type field.
        content_length: Sets the Content-Length field.
        headers: The part's header fields.

    Compatible with: werkzeug.datastructures.FileStorage (3.1)
    """

    def __init__(
        self,
        stream: t.IO[bytes] | None = None,
        filename: str | None = None,
        name: str | None = None,
        content_type: str | None = None,
        content_length: int | None = None,
        headers: Headers | None = None,
    ) -> None:
        self.name = name
        self.stream: t.Any = stream or BytesIO()
        if filename is None:
            found = getattr(stream, "name", None)
            filename = None if found is None else os.fsdecode(found)
            # `<stdin>` and its like name no file.
            if filename and filename[0] == "<" and filename[-1] == ">":
                filename = None
        else:
            filename = os.fsdecode(filename)
        self.filename: str | None = filename
        self.headers = Headers() if headers is None else headers
        if content_type is not None:
            self.headers["Content-Type"] = content_type
        if content_length is not None:
            self.headers["Content-Length"] = str(content_length)

    def _parse_content_type(self) -> tuple[str, dict[str, str]]:
        parsed: tuple[str, dict[str, str]] | None = self.__dict__.get("_parsed_content_type")
        if parsed is None:
            from ..http import parse_options_header

            parsed = self._parsed_content_type = parse_options_header(self.content_type)
        return parsed

    @property
    def content_type(self) -> str | None:
        """The Content-Type field as sent."""
        return self.headers.get("content-type")  # type: ignore[no-any-return]

    @property
    def content_length(self) -> int:
        """The Content-Length field, 0 if missing or wrong; browsers rarely send it."""
        try:
            return _plain_int(self.headers.get("content-length", ""))
        except ValueError:
            return 0

    @property
    def mimetype(self) -> str:
        """The media type in lower case without parameters."""
        return self._parse_content_type()[0].lower()

    @property
    def mimetype_params(self) -> dict[str, str]:
        """The parameters of the media type."""
        return self._parse_content_type()[1]

    def save(self, dst: str | os.PathLike[str] | t.IO[bytes], buffer_size: int = 16384) -> None:
        """Copy the rest of the stream to a path or a file object.

        Args:
            dst: The path, made safe by the caller (`secure_filename`), or an object with `write`.
            buffer_size: Bytes a read.
        """
        from shutil import copyfileobj

        if isinstance(dst, (str, os.PathLike)):
            with open(dst, "wb") as target:
                copyfileobj(self.stream, target, buffer_size)
        else:
            copyfileobj(self.stream, dst, buffer_size)

    def close(self) -> None:
        """Close the stream; its errors are of no use here and are dropped."""
        try:
            self.stream.close()
        except Exception:
            return

    def __bool__(self) -> bool:
        return bool(self.filename)

    def __getattr__(self, name: str) -> t.Any:
        if name == "stream":
            raise AttributeError(name)  # half-made by copy or pickle
        try:
            return getattr(self.stream, name)
        except AttributeError:
            # A SpooledTemporaryFile lacks some of its file's methods before Python 3.11.
            inner = getattr(self.stream, "_file", None)
            if inner is None:
                raise
            return getattr(inner, name)

    def __iter__(self) -> cabc.Iterator[bytes]:
        return iter(self.stream)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.filename!r} ({self.content_type!r})>"


class FileMultiDict(MultiDict[str, FileStorage]):
    """A `MultiDict` of files."""

    def add_file(
        self,
        name: str,
        file: str | os.PathLike[str] | t.IO[bytes] | FileStorage,
        filename: str | None = None,
        content_type: str | None = None,
    ) -> None:
        """Add a file.

        Args:
            name: The form field.
            file: A path, a file object or a finished `FileStorage`.
            filename: The name to give it; a path is its own name.
            content_type: The media type; guessed of the name if None.
        """
        if isinstance(file, FileStorage):
            self.add(name, file)
            return
        if isinstance(file, (str, os.PathLike)):
            filename = os.fspath(file) if filename is None else filename
            stream: t.IO[bytes] = open(file, "rb")  # noqa: SIM115 - the storage owns it
        else:
            stream = t.cast(t.IO[bytes], file)
        if filename and content_type is None:
            import mimetypes

            content_type = mimetypes.guess_type(filename)[0] or "application/octet-stream"
        self.add(name, FileStorage(stream, filename, name, content_type))
