"""The application's logger."""

from __future__ import annotations

import logging
import sys
import typing as t

from ..werkzeug.local import LocalProxy
from .globals import _cv_request

if t.TYPE_CHECKING:
    from .sansio.app import App


@LocalProxy
def wsgi_errors_stream() -> t.TextIO:
    """The error stream of the WSGI server in a request, else `sys.stderr`."""
    context = _cv_request.get(None)
    if context is None:
        return sys.stderr
    return context.request.environ["wsgi.errors"]  # type: ignore[no-any-return]


def has_level_handler(logger: logging.Logger) -> bool:
    """Return whether a handler of the logger, or of one it propagates to, takes records of its level.

    Args:
        logger: The logger.
    """
    level = logger.getEffectiveLevel()
    node: logging.Logger | None = logger
    while node is not None:
        if any(handler.level <= level for handler in node.handlers):
            return True
        node = node.parent if node.propagate else None
    return False


default_handler = logging.StreamHandler(t.cast(t.TextIO, wsgi_errors_stream))
default_handler.setFormatter(logging.Formatter("[%(asctime)s] %(levelname)s in %(module)s: %(message)s"))


def create_logger(app: App) -> logging.Logger:
    """Return the logger named after the application, with a handler if nothing else would show its records.

    Args:
        app: The application; in debug mode the level is DEBUG unless one is set.
    """
    logger = logging.getLogger(app.name)
    if app.debug and not logger.level:
        logger.setLevel(logging.DEBUG)
    if not has_level_handler(logger):
        logger.addHandler(default_handler)
    return logger
