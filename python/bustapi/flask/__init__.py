"""Flask's public API on BustAPI; every name is imported when it is first used."""

from __future__ import annotations

import sys
import typing as t

from ..kernel.dialects import loaded as _loaded

if t.TYPE_CHECKING:
    from . import json as json
    from .app import Flask as Flask
    from .blueprints import Blueprint as Blueprint
    from .config import Config as Config
    from .ctx import after_this_request as after_this_request
    from .ctx import copy_current_request_context as copy_current_request_context
    from .ctx import has_app_context as has_app_context
    from .ctx import has_request_context as has_request_context
    from .globals import current_app as current_app
    from .globals import g as g
    from .globals import request as request
    from .globals import session as session
    from .helpers import abort as abort
    from .helpers import flash as flash
    from .helpers import get_flashed_messages as get_flashed_messages
    from .helpers import get_template_attribute as get_template_attribute
    from .helpers import make_response as make_response
    from .helpers import redirect as redirect
    from .helpers import send_file as send_file
    from .helpers import send_from_directory as send_from_directory
    from .helpers import stream_with_context as stream_with_context
    from .helpers import url_for as url_for
    from .json import jsonify as jsonify
    from .signals import appcontext_popped as appcontext_popped
    from .signals import appcontext_pushed as appcontext_pushed
    from .signals import appcontext_tearing_down as appcontext_tearing_down
    from .signals import before_render_template as before_render_template
    from .signals import got_request_exception as got_request_exception
    from .signals import message_flashed as message_flashed
    from .signals import request_finished as request_finished
    from .signals import request_started as request_started
    from .signals import request_tearing_down as request_tearing_down
    from .signals import template_rendered as template_rendered
    from .templating import render_template as render_template
    from .templating import render_template_string as render_template_string
    from .templating import stream_template as stream_template
    from .templating import stream_template_string as stream_template_string
    from .wrappers import Request as Request
    from .wrappers import Response as Response

_SOURCES = {
    "app": ("Flask",),
    "blueprints": ("Blueprint",),
    "config": ("Config",),
    "ctx": (
        "after_this_request",
        "copy_current_request_context",
        "has_app_context",
        "has_request_context",
    ),
    "globals": ("current_app", "g", "request", "session"),
    "helpers": (
        "abort",
        "flash",
        "get_flashed_messages",
        "get_template_attribute",
        "make_response",
        "redirect",
        "send_file",
        "send_from_directory",
        "stream_with_context",
        "url_for",
    ),
    "json": ("jsonify",),
    "signals": (
        "appcontext_popped",
        "appcontext_pushed",
        "appcontext_tearing_down",
        "before_render_template",
        "got_request_exception",
        "message_flashed",
        "request_finished",
        "request_started",
        "request_tearing_down",
        "template_rendered",
    ),
    "templating": (
        "render_template",
        "render_template_string",
        "stream_template",
        "stream_template_string",
    ),
    "wrappers": ("Request", "Response"),
}
_HOME = {name: module for module, names in _SOURCES.items() for name in names}
_SUBMODULES = frozenset(
    {*_SOURCES, "cli", "debughelpers", "logging", "sansio", "sessions", "testing", "typing", "views"}
)

#: The version of Flask whose API this is.
_FLASK_VERSION = "3.1.3"

__all__ = [*sorted(_HOME), "json"]


def __getattr__(name: str) -> t.Any:
    from importlib import import_module

    home = _HOME.get(name)
    if home is not None:
        value = getattr(import_module(f".{home}", __name__), name)
        # Not `globals()`: the submodule of that name hides the function here.
        setattr(sys.modules[__name__], name, value)
        return value
    if name in _SUBMODULES:
        return import_module(f".{name}", __name__)
    if name == "__version__":
        import warnings

        warnings.warn(
            "The '__version__' attribute is deprecated and will be removed in Flask 3.2. Use feature detection or"
            " 'importlib.metadata.version(\"flask\")' instead.",
            DeprecationWarning,
            stacklevel=2,
        )
        return _FLASK_VERSION
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*vars(sys.modules[__name__]), *__all__, *_SUBMODULES})


# The bridge takes over from the real package here, if that was imported before.
_loaded("flask")
