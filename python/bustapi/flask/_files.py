"""Sending files beyond what Flask does: HTTP's own rules for conditions and ranges, encoded forms, links.

Off where nothing asks for it: with none of the settings below set, files are sent as Flask sends them.

* `SEND_FILE_STRICT_HTTP`: conditions and ranges as RFC 9110 has them (13.2.2, 14); the default of `BustAPI`.
* `SEND_FILE_PRECOMPRESSED`: send `style.css.br` for `style.css` to clients that take it.
* `SEND_FILE_FOLLOW_LINKS`: False refuses links that lead out of a folder.
"""

from __future__ import annotations

import io
import os
import typing as t
from datetime import timezone
from functools import partial

from ..werkzeug import utils as _utils
from ..werkzeug.exceptions import NotFound, PreconditionFailed, RequestedRangeNotSatisfiable
from ..werkzeug.http import (
    http_date,
    parse_accept_header,
    parse_date,
    parse_etags,
    parse_if_range_header,
    unquote_etag,
)
from ..werkzeug.security import safe_join
from ..werkzeug.wsgi import FileWrapper, _RangeWrapper

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .app import Flask
    from .wrappers import Response

#: The endings of files in these content codings.
ENDINGS = {"br": ".br", "zstd": ".zst", "gzip": ".gz"}

#: More ranges than this in one request are answered with the whole.
_RANGES = 16


def is_strict(app: Flask) -> bool:
    """Return whether conditions and ranges are HTTP's and not only Flask's."""
    return bool(app.config.get("SEND_FILE_STRICT_HTTP"))


def codings(app: Flask) -> list[tuple[str, str]]:
    """Return the content codings whose files are looked for beside a file, and the endings of their names.

    Raises:
        ValueError: `SEND_FILE_PRECOMPRESSED` names another one than `br`, `zstd` and `gzip`.
    """
    wanted = app.config.get("SEND_FILE_PRECOMPRESSED")
    if not wanted:
        return []
    names = list(ENDINGS) if wanted is True else [wanted] if isinstance(wanted, str) else list(wanted)
    unknown = [name for name in names if name not in ENDINGS]
    if unknown:
        raise ValueError(f"SEND_FILE_PRECOMPRESSED has {unknown[0]!r}; known are {', '.join(ENDINGS)}")
    return [(name, ENDINGS[name]) for name in names]


def follows_links(app: Flask) -> bool:
    """Return whether links that lead out of a folder are followed."""
    return bool(app.config.get("SEND_FILE_FOLLOW_LINKS", True))


def send_file(app: Flask, source: t.Any, options: dict[str, t.Any]) -> Response:
    """Do what `werkzeug.utils.send_file` does, by the application's settings.

    Args:
        app: The application.
        source: A path or a file.
        options: Its keyword arguments.
    """
    if not (options.get("conditional", True) and is_strict(app)):
        return _utils.send_file(source, **options)  # type: ignore[return-value]
    response = t.cast("Response", _utils.send_file(source, **{**options, "conditional": False}))
    return _make_conditional(response, options["environ"])


def send_from_directory(
    app: Flask, directory: t.Any, path: os.PathLike[str] | str, options: dict[str, t.Any]
) -> Response:
    """Do what `werkzeug.utils.send_from_directory` does, by the application's settings.

    Args:
        app: The application.
        directory: The folder.
        path: The file in it, as the client asked for it.
        options: The keyword arguments.

    Raises:
        NotFound: There is no such file there.
    """
    offered = codings(app)
    follows = follows_links(app)
    if follows and not offered and not is_strict(app):
        return _utils.send_from_directory(directory, path, **options)  # type: ignore[return-value]
    found = safe_join(os.fspath(directory), os.fspath(path))
    if found is None:
        raise NotFound()
    found = os.path.join(options["_root_path"], found)
    base = os.path.join(options["_root_path"], os.fspath(directory))
    if not _is_file(found) or not (follows or _is_inside(base, found)):
        raise NotFound()
    if not offered:
        return send_file(app, found, options)
    accepted = options["environ"].get("HTTP_ACCEPT_ENCODING", "")
    for coding, ending in offered:
        form = found + ending
        if _accepts(accepted, coding) and _is_file(form) and (follows or _is_inside(base, form)):
            return send_encoded(found, coding, options, partial(send_file, app))
    response = send_file(app, found, options)
    response.vary.add("Accept-Encoding")
    return response


def send_encoded(
    path: str, coding: str, options: dict[str, t.Any], send: t.Callable[[str, dict[str, t.Any]], Response]
) -> Response:
    """Send a file in an encoded form that is there beside it.

    Args:
        path: The file.
        coding: The content coding of the form.
        options: Keyword arguments of `send_file`.
        send: Called with the path of the form and the options.
    """
    name = options.get("download_name") or os.path.basename(path)
    options = {**options, "download_name": name}
    if options.get("mimetype") is None:
        from mimetypes import guess_type

        options["mimetype"] = guess_type(name)[0] or "application/octet-stream"
    tag = options.get("etag")
    if isinstance(tag, str):
        # A strong tag is of one sequence of bytes (RFC 9110 8.8.3.3).
        options["etag"] = f"{tag}-{coding}"
    response = send(path + ENDINGS[coding], options)
    if response.status_code != 304:
        response.headers["Content-Encoding"] = coding
    response.vary.add("Accept-Encoding")
    return response


def _is_file(path: str) -> bool:
    try:
        return os.path.isfile(path)
    except ValueError:  # a NUL in the path
        return False


def _is_inside(base: str, path: str) -> bool:
    base = os.path.realpath(base)
    return os.path.commonpath((base, os.path.realpath(path))) == base


def _accepts(accepted: str, coding: str) -> bool:
    weights = {value.lower(): weight for value, weight in reversed(list(parse_accept_header(accepted)))}
    return t.cast("float", weights.get(coding, weights.get("*", 0))) > 0


def _make_conditional(response: Response, environ: dict[str, t.Any]) -> Response:
    """Answer the request's conditions and ranges (RFC 9110 13.2.2 says in which order)."""
    if environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
        return response
    headers = response.headers
    if "date" not in headers:
        headers["Date"] = http_date()
    headers["Accept-Ranges"] = "bytes"
    try:
        if _is_not_modified(response, environ):
            response.status_code = 304
            headers.pop("x-sendfile", None)
        elif _is_range_wanted(response, environ):
            _make_partial(response, environ["HTTP_RANGE"])
    except Exception:
        response.close()
        raise
    return response


def _is_not_modified(response: Response, environ: dict[str, t.Any]) -> bool:
    """Tell whether it is a 304.

    Raises:
        PreconditionFailed: The client wants another version of it, or none.
    """
    tag, is_weak = unquote_etag(response.headers.get("etag"))
    # As it will be sent: in whole seconds.
    changed = parse_date(response.headers.get("last-modified"))
    wanted = parse_etags(environ.get("HTTP_IF_MATCH"))
    if wanted:
        if not wanted.star_tag and (tag is None or is_weak or not wanted.is_strong(tag)):
            raise PreconditionFailed()
    elif "HTTP_IF_MATCH" not in environ:
        since = parse_date(environ.get("HTTP_IF_UNMODIFIED_SINCE"))
        if since is not None and changed is not None and changed > since:
            raise PreconditionFailed()
    known = parse_etags(environ.get("HTTP_IF_NONE_MATCH"))
    if known:
        return tag is not None and known.contains_weak(tag)
    if "HTTP_IF_NONE_MATCH" in environ:
        return False
    since = parse_date(environ.get("HTTP_IF_MODIFIED_SINCE"))
    return since is not None and changed is not None and changed <= since


def _is_range_wanted(response: Response, environ: dict[str, t.Any]) -> bool:
    # Ranges are of GET alone, and the names of their units in any case (RFC 9110 14.1, 14.2).
    if not response.content_length or environ["REQUEST_METHOD"] != "GET":
        return False
    if environ.get("HTTP_RANGE", "").partition("=")[0].lower() != "bytes":
        return False
    if "HTTP_IF_RANGE" not in environ:
        return True
    condition = parse_if_range_header(environ["HTTP_IF_RANGE"])
    if condition.date is not None:
        # Exactly that date (RFC 9110 13.1.5).
        changed = parse_date(response.headers.get("last-modified"))
        return changed is not None and changed == condition.date.astimezone(timezone.utc)
    tag, is_weak = unquote_etag(response.headers.get("etag"))
    return tag is not None and not is_weak and environ["HTTP_IF_RANGE"].strip() == f'"{tag}"'


def _make_partial(response: Response, wanted: str) -> None:
    """Become a 206 of the ranges.

    Raises:
        RequestedRangeNotSatisfiable: None of them is within the file.
    """
    length = response.content_length or 0
    ranges = parse_ranges(wanted, length)
    if ranges is None:
        return
    if not ranges:
        raise RequestedRangeNotSatisfiable(length)
    body = response.response
    if len(ranges) == 1:
        ((start, stop),) = ranges
        response.response = _RangeWrapper(body, start, stop - start)
        response.content_length = stop - start
        response.headers["Content-Range"] = f"bytes {start}-{stop - 1}/{length}"
    elif type(body) is FileWrapper and body.seekable():
        whole = Multipart(body.file, ranges, length, response.headers.get("content-type"))
        response.response = whole
        response.content_length = whole.length
        response.headers["Content-Type"] = f"multipart/byteranges; boundary={whole.boundary}"
    else:
        return
    response.status_code = 206


def parse_ranges(value: str, length: int) -> list[tuple[int, int]] | None:
    """Return the ranges of a Range field that lie within `length` bytes, as pairs of start and stop.

    Args:
        value: The field, of the unit `bytes`.
        length: The length of the whole, not 0.

    Returns:
        None if the field is malformed, or asks for so much that the whole is less (RFC 9110 14.2).
    """
    found: list[tuple[int, int]] = []
    asked = value.partition("=")[2].split(",")
    for part in asked:
        first, dash, last = part.strip(" \t").partition("-")
        if not dash or not all(not text or (text.isascii() and text.isdigit()) for text in (first, last)):
            return None
        if not first:
            if not last:
                return None
            start, stop = max(0, length - _number(last)), length
        else:
            start, stop = _number(first), min(_number(last) + 1 if last else length, length)
            if last and _number(last) < start:
                return None
        if start < min(stop, length):
            found.append((start, stop))
    if len(asked) > _RANGES or (len(found) > 1 and sum(stop - start for start, stop in found) > length):
        return None
    return found


def _number(digits: str) -> int:
    """Return a number, or one past the end of any file: there may be thousands of digits."""
    digits = digits.lstrip("0")
    return int(digits or "0") if len(digits) < 20 else 10**20


class Multipart:
    """Several ranges of a file as one body (RFC 9110 14.6).

    Args:
        file: The file, which can seek. Closed with the body.
        ranges: Pairs of start and stop.
        length: The length of the whole.
        content_type: That of the whole.
    """

    def __init__(
        self, file: t.IO[bytes], ranges: Sequence[tuple[int, int]], length: int, content_type: str | None
    ) -> None:
        self.file = file
        self.boundary = os.urandom(16).hex()
        kind = f"Content-Type: {content_type}\r\n" if content_type else ""
        #: What precedes each part, where the part is in the file, and its length.
        self.parts = [
            (
                f"\r\n--{self.boundary}\r\n{kind}Content-Range: bytes {start}-{stop - 1}/{length}\r\n\r\n".encode(),
                start,
                stop - start,
            )
            for start, stop in ranges
        ]
        self.tail = f"\r\n--{self.boundary}--\r\n".encode()
        self.length = sum(len(before) + size for before, _, size in self.parts) + len(self.tail)
        self._pieces = self._read()

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        return next(self._pieces)

    def _read(self) -> Iterator[bytes]:
        for before, start, size in self.parts:
            yield before
            self.file.seek(start, io.SEEK_SET)
            while size > 0:
                piece = self.file.read(min(size, 64 * 1024))
                if not piece:
                    # The end of the answer is then too early, which its length tells.
                    return
                size -= len(piece)
                yield piece
        yield self.tail

    def close(self) -> None:
        """Close the file."""
        self.file.close()
