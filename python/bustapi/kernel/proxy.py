"""What makes reading an attribute through a proxy cost little more than reading it."""

from __future__ import annotations

import typing as t

Resolver: t.Any
try:
    from .._core import Resolver as Resolver
    from .._core import forward_attributes as forward_attributes
except ImportError:  # the package without its native part: read by tools, say
    Resolver = None

    def forward_attributes(cls: type) -> None:
        """Leave it to the class's `__getattr__`."""
