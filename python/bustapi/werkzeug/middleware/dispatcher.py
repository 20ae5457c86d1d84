"""Several applications under one, told apart by the beginning of the path."""

from __future__ import annotations

import typing as t

if t.TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment


class DispatcherMiddleware:
    """Passes a request on to the application that is mounted at the longest matching prefix of its path.

    The prefix, which matches whole segments, moves from the path to the application's root.

    Args:
        app: For every other path.
        mounts: Applications by their prefixes, such as `/api`.

    Compatible with: werkzeug.middleware.dispatcher.DispatcherMiddleware (3.1)
    """

    def __init__(self, app: WSGIApplication, mounts: dict[str, WSGIApplication] | None = None) -> None:
        self.app = app
        self.mounts = mounts or {}

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> t.Iterable[bytes]:
        """Answer through the application that the path belongs to."""
        path: str = environ.get("PATH_INFO", "")
        prefix = path
        while prefix not in self.mounts and "/" in prefix:
            prefix = prefix.rpartition("/")[0]
        environ["SCRIPT_NAME"] = environ.get("SCRIPT_NAME", "") + prefix
        environ["PATH_INFO"] = path[len(prefix) :]
        return self.mounts.get(prefix, self.app)(environ, start_response)
