"""Descriptors, redirects, files to send, and importing by name."""

from __future__ import annotations

import io
import os
import re
import sys
import typing as t
from time import time

from ._internal import _DictAccessorProperty, _missing

if t.TYPE_CHECKING:
    from datetime import datetime

    from .wrappers.response import Response

_T = t.TypeVar("_T")


class cached_property(property, t.Generic[_T]):
    """A property that computes its value once and keeps it on the instance.

    It can be set, which replaces the value, and deleted, which makes the next access compute again. A class with
    `__slots__` needs a slot `_cache_<name>`.

    Args:
        fget: Computes the value.
        name: The property's name; the function's if None.
        doc: The docstring.

    Compatible with: werkzeug.utils.cached_property (3.1)
    """

    def __init__(
        self, fget: t.Callable[[t.Any], _T], name: str | None = None, doc: str | None = None
    ) -> None:
        super().__init__(fget, doc=doc)
        self.__name__ = name or fget.__name__
        self.slot_name = f"_cache_{self.__name__}"
        self.__module__ = fget.__module__

    def __get__(self, obj: t.Any, type: t.Any = None) -> _T:  # type: ignore[override]
        if obj is None:
            return self  # type: ignore[return-value]
        value: t.Any
        try:
            values = obj.__dict__
        except AttributeError:
            value = getattr(obj, self.slot_name, _missing)
        else:
            value = values.get(self.__name__, _missing)
        if value is _missing:
            value = self.fget(obj)  # type: ignore[misc]
            self.__set__(obj, value)
        return value  # type: ignore[no-any-return]

    def __set__(self, obj: t.Any, value: _T) -> None:
        try:
            values = obj.__dict__
        except AttributeError:
            setattr(obj, self.slot_name, value)
        else:
            values[self.__name__] = value

    def __delete__(self, obj: t.Any) -> None:
        try:
            values = obj.__dict__
        except AttributeError:
            setattr(obj, self.slot_name, _missing)
        else:
            del values[self.__name__]


class environ_property(_DictAccessorProperty[_T]):
    """An attribute that reads a key of `self.environ`; read-only unless told otherwise."""

    read_only = True

    def lookup(self, instance: t.Any) -> t.Any:
        """Return the environ."""
        return instance.environ


class header_property(_DictAccessorProperty[_T]):
    """An attribute that reads and writes a field of `self.headers`."""

    def lookup(self, instance: t.Any) -> t.Any:
        """Return the headers."""
        return instance.headers


# Text in spite of their names; other `application/…` types are not sent with a charset.
_charset_mimetypes = frozenset(
    f"application/{name}"
    for name in ("ecmascript", "javascript", "sql", "xml", "xml-dtd", "xml-external-parsed-entity")
)


def get_content_type(mimetype: str, charset: str) -> str:
    """Return a media type with a charset, if it is a text type."""
    if mimetype.startswith("text/") or mimetype in _charset_mimetypes or mimetype.endswith("+xml"):
        return f"{mimetype}; charset={charset}"
    return mimetype


_unsafe_in_filename = re.compile(r"[^A-Za-z0-9_.-]")


def secure_filename(filename: str) -> str:
    """Return an ASCII file name that is safe on every file system; it can be empty.

    Compatible with: werkzeug.utils.secure_filename (3.1)
    """
    name = _to_ascii(filename)
    for separator in (os.sep, os.path.altsep):
        if separator:
            name = name.replace(separator, " ")
    name = _unsafe_in_filename.sub("", "_".join(name.split())).strip("._")
    if os.name == "nt":
        from .security import _windows_device_files

        if name.partition(".")[0].strip().upper() in _windows_device_files:
            return f"_{name}"
    return name


def _to_ascii(text: str) -> str:
    if text.isascii():
        return text
    from unicodedata import normalize

    return normalize("NFKD", text).encode("ascii", "ignore").decode("ascii")


def redirect(location: str, code: int = 302, Response: type[Response] | None = None) -> Response:
    """Return a response that sends the client elsewhere.

    Args:
        location: The URL.
        code: 301, 302, 303, 305, 307 or 308.
        Response: The class to return.

    Compatible with: werkzeug.utils.redirect (3.1)
    """
    if Response is None:
        from .wrappers.response import Response
    from markupsafe import escape

    shown = escape(location)
    page = (
        "<!doctype html>\n<html lang=en>\n<title>Redirecting...</title>\n<h1>Redirecting...</h1>\n"
        "<p>You should be redirected automatically to the target URL: "
        f'<a href="{shown}">{shown}</a>. If not, click the link.\n'
    )
    response = Response(page, code, mimetype="text/html")  # type: ignore[misc]
    response.headers["Location"] = location
    return response


def append_slash_redirect(environ: dict[str, t.Any], code: int = 308) -> Response:
    """Return a redirect to the same URL with a slash at its end, relative so that no host is needed."""
    tail = environ["PATH_INFO"].rpartition("/")[2]
    target = f"{tail}/" if tail else "./"
    query = environ.get("QUERY_STRING")
    return redirect(f"{target}?{query}" if query else target, code)


def _disposition(name: str) -> dict[str, str]:
    """Return the parameters of Content-Disposition for a file name (RFC 6266 4.3)."""
    if name.isascii():
        return {"filename": name}
    from urllib.parse import quote

    return {"filename": _to_ascii(name), "filename*": f"UTF-8''{quote(name, safe='!#$&+-.^_`|~')}"}


def send_file(
    path_or_file: os.PathLike[str] | str | t.IO[bytes],
    environ: dict[str, t.Any],
    mimetype: str | None = None,
    as_attachment: bool = False,
    download_name: str | None = None,
    conditional: bool = True,
    etag: bool | str = True,
    last_modified: datetime | float | None = None,
    max_age: int | t.Callable[[str | None], int | None] | None = None,
    use_x_sendfile: bool = False,
    response_class: type[Response] | None = None,
    _root_path: os.PathLike[str] | str | None = None,
) -> Response:
    """Return a response with a file's content.

    Args:
        path_or_file: A path, never one that a client chose (see `send_from_directory`), or a binary file object.
        environ: The request's environ.
        mimetype: The media type; guessed of the name if None.
        as_attachment: Ask the browser to save and not to show it.
        download_name: The name to save as; the path's own if None.
        conditional: Answer conditional and range requests.
        etag: Make a tag, or the tag itself.
        last_modified: When the content changed; the file's own time if None.
        max_age: Seconds a client may cache it, or a function of the path that tells.
        use_x_sendfile: Leave the sending to the proxy in front.
        response_class: The class to return.

    Raises:
        TypeError: No name says what `mimetype` or the attachment's name is.
        ValueError: The file is in text mode.
        RequestedRangeNotSatisfiable: The requested range lies outside.

    Compatible with: werkzeug.utils.send_file (3.1)
    """
    from .datastructures import Headers
    from .exceptions import RequestedRangeNotSatisfiable
    from .wsgi import wrap_file

    if response_class is None:
        from .wrappers.response import Response

        response_class = Response
    path: str | None = None
    file: t.Any = None
    size: int | None = None
    mtime: float | None = None
    if isinstance(path_or_file, str) or hasattr(path_or_file, "__fspath__"):
        relative = os.fspath(t.cast("str", path_or_file))
        path = os.path.abspath(relative) if _root_path is None else os.path.join(_root_path, relative)
        stat = os.stat(path)
        size, mtime = stat.st_size, stat.st_mtime
        if download_name is None:
            download_name = os.path.basename(path)
    else:
        file = path_or_file

    headers = Headers()
    if mimetype is None:
        if download_name is None:
            raise TypeError(
                "Unable to detect the MIME type because a file name is not available. Either set 'download_name',"
                " pass a path instead of a file, or set 'mimetype'."
            )
        from mimetypes import guess_type

        mimetype, encoding = guess_type(download_name)
        mimetype = mimetype or "application/octet-stream"
        # A client that saves the file must not have the browser unpack it.
        if encoding is not None and not as_attachment:
            headers.set("Content-Encoding", encoding)
    if download_name is not None:
        headers.set(
            "Content-Disposition", "attachment" if as_attachment else "inline", **_disposition(download_name)
        )
    elif as_attachment:
        raise TypeError(
            "No name provided for attachment. Either set 'download_name' or pass a path instead of a file."
        )

    data = None
    if use_x_sendfile and path is not None:
        headers["X-Sendfile"] = path
    else:
        if file is None:
            file = open(t.cast(str, path), "rb")  # noqa: SIM115 - the response closes it
        elif isinstance(file, io.BytesIO):
            size = file.getbuffer().nbytes
        elif isinstance(file, io.TextIOBase):
            raise ValueError("Files must be opened in binary mode or use BytesIO.")
        data = wrap_file(environ, file)

    response: t.Any = response_class(data, mimetype=mimetype, headers=headers, direct_passthrough=True)
    if size is not None:
        response.content_length = size
    modified = mtime if last_modified is None else last_modified
    if modified is not None:
        response.last_modified = modified
    response.cache_control.no_cache = True
    age = max_age(path) if callable(max_age) else max_age
    if age is not None:
        if age > 0:
            response.cache_control.no_cache = None
            response.cache_control.public = True
        response.cache_control.max_age = age
        response.expires = int(time() + age)
    if isinstance(etag, str):
        response.set_etag(etag)
    elif etag and path is not None:
        from zlib import adler32

        response.set_etag(f"{mtime}-{size}-{adler32(path.encode()) & 0xFFFFFFFF}")
    if conditional:
        try:
            response = response.make_conditional(environ, accept_ranges=True, complete_length=size)
        except RequestedRangeNotSatisfiable:
            if file is not None:
                file.close()
            raise
        # Some proxies send the file for this header even with a 304.
        if response.status_code == 304:
            response.headers.pop("x-sendfile", None)
    return response  # type: ignore[no-any-return]


def send_from_directory(
    directory: os.PathLike[str] | str,
    path: os.PathLike[str] | str,
    environ: dict[str, t.Any],
    **kwargs: t.Any,
) -> Response:
    """Send a file below a directory by a path that a client chose.

    Args:
        directory: The trusted base.
        path: The untrusted path.
        environ: The request's environ.
        **kwargs: For `send_file`.

    Raises:
        NotFound: The path leads out of the directory or to no regular file.

    Compatible with: werkzeug.utils.send_from_directory (3.1)
    """
    from .exceptions import NotFound
    from .security import safe_join

    found = safe_join(os.fspath(directory), os.fspath(path))
    if found is None:
        raise NotFound()
    if "_root_path" in kwargs:
        found = os.path.join(kwargs["_root_path"], found)
    try:
        if not os.path.isfile(found):
            raise NotFound()
    except ValueError:  # a NUL in the path, before Python 3.8's change reached every platform
        raise NotFound() from None
    return send_file(found, environ, **kwargs)


def import_string(import_name: str, silent: bool = False) -> t.Any:
    """Import a module or an object in one, named `a.b.c` or `a.b:c`.

    Args:
        import_name: The name.
        silent: Return None in place of raising.

    Raises:
        ImportStringError: It cannot be imported.
    """
    name = import_name.replace(":", ".")
    try:
        try:
            __import__(name)
            return sys.modules[name]
        except ImportError:
            if "." not in name:
                raise
        module_name, _, attribute = name.rpartition(".")
        module = __import__(module_name, None, None, [attribute])
        try:
            return getattr(module, attribute)
        except AttributeError as error:
            raise ImportError(error) from None
    except ImportError as error:
        if silent:
            return None
        raise ImportStringError(name, error).with_traceback(sys.exc_info()[2]) from None


def find_modules(
    import_path: str, include_packages: bool = False, recursive: bool = False
) -> t.Iterator[str]:
    """Yield the names of the modules in a package.

    Args:
        import_path: The package.
        include_packages: Yield packages too.
        recursive: Go into packages.

    Raises:
        ValueError: It is no package.
    """
    from pkgutil import iter_modules

    module = import_string(import_path)
    places = getattr(module, "__path__", None)
    if places is None:
        raise ValueError(f"{import_path!r} is not a package")
    for info in iter_modules(places, f"{import_path.replace(':', '.')}."):
        if not info.ispkg or include_packages:
            yield info.name
        if info.ispkg and recursive:
            yield from find_modules(info.name, include_packages, True)


class ImportStringError(ImportError):
    """Says how far the import of a dotted name came."""

    #: What was to be imported.
    import_name: str
    #: Why it failed.
    exception: BaseException

    def __init__(self, import_name: str, exception: BaseException) -> None:
        self.import_name = import_name
        self.exception = exception
        super().__init__(self._explain())

    def _explain(self) -> str:
        trail: list[str] = []
        parts = self.import_name.replace(":", ".").split(".")
        for count in range(1, len(parts) + 1):
            name = ".".join(parts[:count])
            found = import_string(name, silent=True)
            if found:
                trail.append(f"- {name!r} found in {getattr(found, '__file__', None)!r}.")
                continue
            trail.append(f"- {name!r} not found.")
            return (
                f"import_string() failed for {self.import_name!r}. Possible reasons are:\n\n"
                "- missing __init__.py in a package;\n"
                "- package or module path not included in sys.path;\n"
                "- duplicated package or module name taking precedence in sys.path;\n"
                "- missing module, class, function or variable;\n\n"
                f"Debugged import:\n\n" + "\n".join(trail) + "\n\n"
                f"Original exception:\n\n{type(self.exception).__name__}: {self.exception}"
            )
        return self.import_name

    def __repr__(self) -> str:
        return f"<{type(self).__name__}({self.import_name!r}, {self.exception!r})>"
