"""An application on a real socket, served by this process while a test runs."""

from __future__ import annotations

from ..serve.live import LiveServer

__all__ = ["LiveServer"]
