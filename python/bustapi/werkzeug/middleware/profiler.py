"""Profiling an application request by request."""

from __future__ import annotations

import os
import sys
import time
import typing as t
from cProfile import Profile
from pstats import Stats

if t.TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment


class ProfilerMiddleware:
    """Profiles each request, with its whole body, and writes what it found to a stream, to files or both.

    A file's name is made by `str.format` from `method`, `path` (with dots for slashes, or `root`), `elapsed`
    (milliseconds) and `time` (seconds since the epoch), or by a function of the environ, where the latter two are
    under `werkzeug.profiler`.

    One profiler can run at a time in a thread, so do not nest it.

    Args:
        app: The application.
        stream: Where statistics are written; None for nowhere.
        sort_by: Columns to sort by, as for `pstats.Stats.sort_stats`.
        restrictions: What to print, as for `pstats.Stats.print_stats`.
        profile_dir: The directory of the files; None for none.
        filename_format: See above.

    Compatible with: werkzeug.middleware.profiler.ProfilerMiddleware (3.1)
    """

    def __init__(
        self,
        app: WSGIApplication,
        stream: t.IO[str] | None = sys.stdout,
        sort_by: t.Iterable[str] = ("time", "calls"),
        restrictions: t.Iterable[str | int | float] = (),
        profile_dir: str | None = None,
        filename_format: str
        | t.Callable[[WSGIEnvironment], str] = "{method}.{path}.{elapsed:.0f}ms.{time:.0f}.prof",
    ) -> None:
        self._app = app
        self._stream = stream
        self._sort_by = sort_by
        self._restrictions = restrictions
        self._profile_dir = profile_dir
        self._filename_format = filename_format

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> t.Iterable[bytes]:
        """Answer, profiled."""
        pieces: list[bytes] = []

        def start(status: str, headers: list[tuple[str, str]], exc_info: t.Any = None) -> t.Any:
            start_response(status, headers, exc_info)
            return pieces.append

        def run() -> None:
            body = self._app(environ, t.cast("StartResponse", start))
            try:
                pieces.extend(body)
            finally:
                close = getattr(body, "close", None)
                if close is not None:
                    close()

        profile = Profile()
        began = time.time()
        profile.runcall(run)
        elapsed = (time.time() - began) * 1000.0
        if self._profile_dir is not None:
            profile.dump_stats(os.path.join(self._profile_dir, self._filename(environ, elapsed)))
        if self._stream is not None:
            self._write(profile, environ.get("PATH_INFO", ""))
        return [b"".join(pieces)]

    def _filename(self, environ: WSGIEnvironment, elapsed: float) -> str:
        now = time.time()
        if not isinstance(self._filename_format, str):
            environ["werkzeug.profiler"] = {"elapsed": elapsed, "time": now}
            return self._filename_format(environ)
        path = environ["PATH_INFO"].strip("/").replace("/", ".") or "root"
        # NUL and a backslash of the client's would not be part of a plain file name.
        path = path.replace("\0", "_").replace(os.sep, "_")
        return self._filename_format.format(
            method=environ["REQUEST_METHOD"], path=path, elapsed=elapsed, time=now
        )

    def _write(self, profile: Profile, path: str) -> None:
        rule = "-" * 80
        print(rule, file=self._stream)
        print(f"PATH: {path!r}", file=self._stream)
        stats = Stats(profile, stream=self._stream)
        stats.sort_stats(*self._sort_by)
        stats.print_stats(*self._restrictions)
        print(f"{rule}\n", file=self._stream)
