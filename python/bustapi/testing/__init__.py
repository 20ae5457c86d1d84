"""Testing an application: a client, in process or over a socket, and fixtures for pytest (`bustapi.testing.plugin`).

BustAPI only; `app.test_client()` and `app.test_cli_runner()` are there as in Flask.
"""

from __future__ import annotations

import typing as t

if t.TYPE_CHECKING:
    from ..kernel.lifespan import VirtualClock as VirtualClock
    from ..serve.socket_client import HandshakeRefused as HandshakeRefused
    from ..serve.socket_client import SocketClient as SocketClient
    from ..serve.stream_client import Events as Events
    from ..serve.stream_client import EventsClient as EventsClient
    from ..serve.stream_client import ServerEvent as ServerEvent
    from ..serve.stream_client import StreamClient as StreamClient
    from .client import TestClient as TestClient
    from .live import LiveServer as LiveServer

__all__ = [
    "Events",
    "EventsClient",
    "HandshakeRefused",
    "LiveServer",
    "ServerEvent",
    "SocketClient",
    "StreamClient",
    "TestClient",
    "VirtualClock",
]


def __getattr__(name: str) -> t.Any:
    # The plugin is loaded with every pytest; what it does not use stays out.
    if name == "TestClient":
        from .client import TestClient

        return TestClient
    if name == "LiveServer":
        from .live import LiveServer

        return LiveServer
    if name == "VirtualClock":
        from ..kernel.lifespan import VirtualClock

        return VirtualClock
    if name in ("HandshakeRefused", "SocketClient"):
        from ..serve import socket_client

        return getattr(socket_client, name)
    if name in ("Events", "EventsClient", "ServerEvent", "StreamClient"):
        from ..serve import stream_client

        return getattr(stream_client, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
