"""BustAPI: Flask's API on a native server, for JSON APIs that must answer fast.

Every name is imported when it is first used; `import bustapi` itself loads next to nothing.
"""

from __future__ import annotations

import sys
import typing as t

if t.TYPE_CHECKING:
    from .app import BustAPI as BustAPI
    from .flask import Blueprint as Blueprint
    from .flask import Config as Config
    from .flask import Flask as Flask
    from .flask import Request as Request
    from .flask import Response as Response
    from .flask import abort as abort
    from .flask import after_this_request as after_this_request
    from .flask import appcontext_popped as appcontext_popped
    from .flask import appcontext_pushed as appcontext_pushed
    from .flask import appcontext_tearing_down as appcontext_tearing_down
    from .flask import before_render_template as before_render_template
    from .flask import copy_current_request_context as copy_current_request_context
    from .flask import current_app as current_app
    from .flask import flash as flash
    from .flask import g as g
    from .flask import get_flashed_messages as get_flashed_messages
    from .flask import get_template_attribute as get_template_attribute
    from .flask import got_request_exception as got_request_exception
    from .flask import has_app_context as has_app_context
    from .flask import has_request_context as has_request_context
    from .flask import json as json
    from .flask import jsonify as jsonify
    from .flask import make_response as make_response
    from .flask import message_flashed as message_flashed
    from .flask import redirect as redirect
    from .flask import render_template as render_template
    from .flask import render_template_string as render_template_string
    from .flask import request as request
    from .flask import request_finished as request_finished
    from .flask import request_started as request_started
    from .flask import request_tearing_down as request_tearing_down
    from .flask import send_file as send_file
    from .flask import send_from_directory as send_from_directory
    from .flask import session as session
    from .flask import stream_template as stream_template
    from .flask import stream_template_string as stream_template_string
    from .flask import stream_with_context as stream_with_context
    from .flask import template_rendered as template_rendered
    from .flask import url_for as url_for
    from .flask._events import EventStream as EventStream
    from .flask._events import last_event_id as last_event_id
    from .flask._events import sse as sse
    from .kernel.background import BackgroundFull as BackgroundFull
    from .kernel.background import BackgroundTasks as BackgroundTasks
    from .kernel.channel import Channel as Channel
    from .kernel.channel import SlowConsumer as SlowConsumer
    from .kernel.loops import loop_local as loop_local
    from .kernel.redis_channel import RedisChannel as RedisChannel
    from .kernel.websocket import SyncWebSocket as SyncWebSocket
    from .kernel.websocket import WebSocket as WebSocket
    from .kernel.websocket import WebSocketDisconnect as WebSocketDisconnect

#: Flask's public names, and ours.
__all__ = [
    "BackgroundFull",
    "BackgroundTasks",
    "Blueprint",
    "BustAPI",
    "Channel",
    "Config",
    "EventStream",
    "Flask",
    "RedisChannel",
    "Request",
    "Response",
    "SlowConsumer",
    "SyncWebSocket",
    "WebSocket",
    "WebSocketDisconnect",
    "abort",
    "after_this_request",
    "appcontext_popped",
    "appcontext_pushed",
    "appcontext_tearing_down",
    "before_render_template",
    "copy_current_request_context",
    "current_app",
    "flash",
    "g",
    "get_flashed_messages",
    "get_template_attribute",
    "got_request_exception",
    "has_app_context",
    "has_request_context",
    "json",
    "jsonify",
    "last_event_id",
    "loop_local",
    "make_response",
    "message_flashed",
    "redirect",
    "render_template",
    "render_template_string",
    "request",
    "request_finished",
    "request_started",
    "request_tearing_down",
    "send_file",
    "send_from_directory",
    "session",
    "sse",
    "stream_template",
    "stream_template_string",
    "stream_with_context",
    "template_rendered",
    "url_for",
]


#: Names of ours that belong to no dialect, by the module that has them.
_KERNEL = {
    "BackgroundFull": "background",
    "BackgroundTasks": "background",
    "Channel": "channel",
    "RedisChannel": "redis_channel",
    "SlowConsumer": "channel",
    "SyncWebSocket": "websocket",
    "WebSocket": "websocket",
    "WebSocketDisconnect": "websocket",
    "loop_local": "loops",
}


def __getattr__(name: str) -> t.Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("bustapi")
    from importlib import import_module

    if name in _KERNEL:
        value: t.Any = getattr(import_module(f".kernel.{_KERNEL[name]}", __name__), name)
        setattr(sys.modules[__name__], name, value)
        return value
    if name in __all__:
        # Before the dialect is imported, whose import would be under way otherwise while modules are replaced.
        _build_bridge()
    if name in ("EventStream", "last_event_id", "sse"):
        value = getattr(import_module(".flask._events", __name__), name)
    elif name == "BustAPI":
        value = import_module(".app", __name__).BustAPI
    elif name in __all__:
        value = getattr(import_module(".flask", __name__), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    setattr(sys.modules[__name__], name, value)
    return value


def __dir__() -> list[str]:
    return sorted({*vars(sys.modules[__name__]), *__all__})


def _dialect_loaded(name: str) -> None:
    # Not before: who uses another dialect keeps `flask` as it is.
    if name == "flask":
        _build_bridge()


def _build_bridge() -> None:
    from importlib import import_module

    import_module(".bridge", __name__).enable_by_default()
