"""Serving files beside an application, for where no web server in front does it."""

from __future__ import annotations

import collections.abc as cabc
import importlib
import importlib.util
import mimetypes
import os
import posixpath
import typing as t
from datetime import datetime, timezone
from io import BytesIO
from time import time
from zlib import adler32

from ..http import http_date, is_resource_modified, quote_etag
from ..security import safe_join
from ..utils import get_content_type
from ..wsgi import get_path_info, wrap_file

if t.TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

    Export = t.Union[str, tuple[str, str]]
    #: Opens a file: its content, its time of change and its size.
    Opener = t.Callable[[], tuple[t.IO[bytes], datetime, int]]
    #: Finds a file by the path below the export, or by None for the export itself.
    Loader = t.Callable[[t.Optional[str]], tuple[t.Optional[str], t.Optional[Opener]]]


class SharedDataMiddleware:
    """Serves files of directories and packages under paths, and leaves everything else to the application.

    Args:
        app: The application.
        exports: What is served by its path: a directory, a file, or a package and a directory in it.
        disallow: A pattern, as of `fnmatch`, of file names that are not served.
        cache: Send an ETag and let clients cache.
        cache_timeout: Seconds that they may.
        fallback_mimetype: For names that say nothing.

    Raises:
        TypeError: An export is something else.

    Compatible with: werkzeug.middleware.shared_data.SharedDataMiddleware (3.1)
    """

    def __init__(
        self,
        app: WSGIApplication,
        exports: cabc.Mapping[str, Export] | t.Iterable[tuple[str, Export]],
        disallow: str | None = None,
        cache: bool = True,
        cache_timeout: int = 60 * 60 * 12,
        fallback_mimetype: str = "application/octet-stream",
    ) -> None:
        self.app = app
        self.cache = cache
        self.cache_timeout = cache_timeout
        self.fallback_mimetype = fallback_mimetype
        pairs = exports.items() if isinstance(exports, cabc.Mapping) else exports
        self.exports: list[tuple[str, Loader]] = [(path, self._loader_for(what)) for path, what in pairs]
        if disallow is not None:
            from fnmatch import fnmatch

            self.is_allowed = lambda filename: not fnmatch(filename, disallow)  # type: ignore[method-assign]

    def is_allowed(self, filename: str) -> bool:
        """Tell whether a file is served. For subclasses; `disallow` takes its place.

        Args:
            filename: The file's name, without its directory.
        """
        return True

    def _loader_for(self, export: t.Any) -> Loader:
        if isinstance(export, tuple):
            return self.get_package_loader(*export)
        if not isinstance(export, str):
            raise TypeError(f"unknown def {export!r}")
        return self.get_file_loader(export) if os.path.isfile(export) else self.get_directory_loader(export)

    def get_file_loader(self, filename: str) -> Loader:
        """Return a loader that finds one file, whatever the path.

        Args:
            filename: The file.
        """
        return lambda path: (os.path.basename(filename), _file_opener(filename))

    def get_directory_loader(self, directory: str) -> Loader:
        """Return a loader of the files below a directory.

        Args:
            directory: The directory.
        """

        def load(path: str | None) -> tuple[str | None, Opener | None]:
            found = directory if path is None else safe_join(directory, path)
            if found is None or not os.path.isfile(found):
                return None, None
            return os.path.basename(found), _file_opener(found)

        return load

    def get_package_loader(self, package: str, package_path: str) -> Loader:
        """Return a loader of the files below a directory of a package, which may be in an archive.

        Args:
            package: The package's name.
            package_path: The directory in it.
        """
        loaded = datetime.now(timezone.utc)
        spec = importlib.util.find_spec(package)
        loader: t.Any = None if spec is None else spec.loader
        if loader is None:
            raise ModuleNotFoundError(f"No module named {package!r}", name=package)
        if not hasattr(loader, "get_resource_reader"):
            # A loader that knows modules only; the package itself knows where it is.
            folder = next(iter(importlib.import_module(package).__path__))
            return self.get_directory_loader(os.path.join(folder, package_path))
        reader = loader.get_resource_reader(package)

        def load(path: str | None) -> tuple[str | None, Opener | None]:
            found = None if path is None else safe_join(package_path, path)
            if found is None:
                return None, None
            try:
                resource = reader.open_resource(found)
            except OSError:
                return None, None
            name = posixpath.basename(found)
            if isinstance(resource, BytesIO):
                return name, lambda: (resource, loaded, resource.getbuffer().nbytes)
            # Opened again when it is sent: it may turn out not to be allowed.
            resource.close()
            return name, _file_opener(resource.name)

        return load

    def generate_etag(self, mtime: datetime, file_size: int, real_filename: str) -> str:
        """Return the tag of a file.

        Args:
            mtime: When it changed.
            file_size: Its size.
            real_filename: Its name.
        """
        return f"wzsdm-{mtime.timestamp()}-{file_size}-{adler32(os.fsencode(real_filename)) & 0xFFFFFFFF}"

    def _find(self, path: str) -> tuple[str, Opener] | None:
        for prefix, load in self.exports:
            rests: list[str | None] = [None] if path == prefix else []
            folder = prefix if prefix.endswith("/") else f"{prefix}/"
            if path.startswith(folder):
                rests.append(path[len(folder) :])
            for rest in rests:
                name, opener = load(rest)
                if name is not None and opener is not None:
                    return name, opener
        return None

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> t.Iterable[bytes]:
        """Answer with a file, or through the application."""
        found = self._find(get_path_info(environ))
        if found is None or not self.is_allowed(found[0]):
            return self.app(environ, start_response)
        name, opener = found
        file, changed, size = opener()
        headers = [("Date", http_date())]
        if self.cache:
            etag = quote_etag(self.generate_etag(changed, size, name))
            headers += [("Etag", etag), ("Cache-Control", f"max-age={self.cache_timeout}, public")]
            if not is_resource_modified(environ, etag, last_modified=changed):
                file.close()
                start_response("304 Not Modified", headers)
                return []
            headers.append(("Expires", http_date(time() + self.cache_timeout)))
        else:
            headers.append(("Cache-Control", "public"))
        mimetype = mimetypes.guess_type(name)[0] or self.fallback_mimetype
        headers += [
            ("Content-Type", get_content_type(mimetype, "utf-8")),
            ("Content-Length", str(size)),
            ("Last-Modified", http_date(changed)),
        ]
        start_response("200 OK", headers)
        return wrap_file(environ, file)


def _file_opener(path: str) -> Opener:
    def open_file() -> tuple[t.IO[bytes], datetime, int]:
        file = open(path, "rb")  # noqa: SIM115 - the response closes it
        # Of the open file: the path may name another one by now.
        found = os.fstat(file.fileno())
        return file, datetime.fromtimestamp(found.st_mtime, timezone.utc), found.st_size

    return open_file
