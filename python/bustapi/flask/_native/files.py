"""Files that responses send: handed to the server as descriptors, which it sends without Python."""

from __future__ import annotations

import io
import os
import posixpath
import stat
import typing as t
from functools import partial
from types import MethodType

from ..._core import FileBody
from ...kernel.plan import Folder
from ...werkzeug import utils
from ...werkzeug.wsgi import FileWrapper, _RangeWrapper
from .._files import Multipart, codings, follows_links, send_encoded
from ..app import Flask
from ..blueprints import Blueprint, _default_max_age

if t.TYPE_CHECKING:
    from ..wrappers import Response

#: Files whose content is what their descriptor reads. A class derived from one of them may do otherwise.
_PLAIN = (io.FileIO, io.BufferedReader, io.BufferedRandom)


def take_file(response: t.Any, length: str | None) -> FileBody | None:
    """Hand a response's file to the server, and close it.

    Args:
        response: A response whose body is sent as it is (`direct_passthrough`), for a request that wants a body.
        length: The Content-Length that it declares.

    Returns:
        The body to send; None if it is not just a file's, and Python has to read it. It is not closed then.
    """
    body = response.response
    if type(body) is Multipart:
        return _take_ranges(body)
    wrapper, start, wanted = body, None, None
    if type(body) is _RangeWrapper:
        wrapper, start, wanted = body.iterable, body.start_byte, body.byte_range
        if body._sought or not body.seekable or body.end_reached:
            return None
    if type(wrapper) is not FileWrapper or type(wrapper.file) not in _PLAIN:
        return None
    file: t.Any = wrapper.file
    try:
        descriptor = file.fileno()
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or not file.readable():
            return None
        if file.writable():
            file.flush()
            status = os.fstat(descriptor)
        if start is None:
            start = file.tell()
        left = max(0, status.st_size - start)
        declared = length is not None and length.isascii() and length.isdigit()
        if declared:
            # A file that is shorter by now breaks the answer off: its length was told.
            left = int(length)  # type: ignore[arg-type]
        elif wanted is not None:
            left = min(wanted, left)
        taken = FileBody(descriptor, [(b"", start, left)], declared=declared)
    except (OSError, ValueError, OverflowError):
        # No descriptor left, say, or a closed file: read by Python, which says so in its own words.
        return None
    wrapper.close()
    return taken


def _take_ranges(body: Multipart) -> FileBody | None:
    if type(body.file) not in _PLAIN:
        return None
    try:
        taken = FileBody(body.file.fileno(), body.parts, body.tail)
    except (OSError, ValueError, OverflowError):
        return None
    body.close()
    return taken


#: What the answers of a static rule come from; replaced, the view has to be called.
FILE_STEPS = ("send_static_file", "get_send_file_max_age")
_STOCK = {cls: [getattr(cls, name) for name in FILE_STEPS] for cls in (Flask, Blueprint)}


def owner_of_files(app: Flask, view: t.Any) -> t.Any:
    """Return the application or blueprint whose folder a view sends files of, as it was delivered; else None.

    Args:
        app: The application.
        view: The view, with all that is around it.
    """
    owner: t.Any = None
    # By identity: a decorated one may have taken over every attribute of it.
    if view is app._static_view and view is not None:
        owner = app
    elif type(view) is MethodType and view.__func__ is Blueprint.send_static_file:
        owner = view.__self__
    cls = Flask if owner is app else Blueprint
    if not isinstance(owner, cls) or any(name in owner.__dict__ for name in FILE_STEPS):
        return None
    if [getattr(type(owner), name) for name in FILE_STEPS] != _STOCK[cls]:
        return None
    return owner


def folder(app: Flask, owner: t.Any) -> Folder | None:
    """Return what the server needs to know of a folder to send its files itself; None if the view has to.

    Args:
        app: The application.
        owner: It, or the blueprint that has the folder.
    """
    path = owner.static_folder
    if path is None or not os.path.isabs(path) or app.config["USE_X_SENDFILE"] or os.name != "posix":
        return None
    try:
        path.encode()
        offered = codings(app)
    except ValueError:
        # The view says what is wrong with the setting; a path may have no text.
        return None
    return Folder(path, partial(_fields, app, path), follows_links(app), offered)


#: What differs from answer to answer.
_CHANGING = frozenset({"content-length", "date", "etag", "expires", "last-modified"})


def _fields(
    app: Flask, path: str, filename: str, coding: str | None
) -> tuple[list[tuple[str, str]], int | None] | None:
    max_age = _default_max_age(app.config["SEND_FILE_MAX_AGE_DEFAULT"])
    options = {
        "environ": {},
        "conditional": False,
        "max_age": max_age,
        "response_class": app.response_class,
    }
    whole = posixpath.join(path, filename)
    try:
        response = _send(whole, options) if coding is None else send_encoded(whole, coding, options, _send)
    except OSError:
        return None
    response.close()
    if coding is None and codings(app):
        response.vary.add("Accept-Encoding")
    fields = [(name, value) for name, value in response.headers if name.lower() not in _CHANGING]
    return fields, None if max_age is None else int(max_age)


def _send(path: str, options: dict[str, t.Any]) -> Response:
    return utils.send_file(path, **options)  # type: ignore[return-value]
