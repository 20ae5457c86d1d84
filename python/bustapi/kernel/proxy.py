"""What a proxy inherits so that reading an attribute through it costs little more than reading it."""

from __future__ import annotations

import typing as t

try:
    from .._core import ProxyBase as ProxyBase
except ImportError:  # the package without its native part: read by tools, say

    class ProxyBase:  # type: ignore[no-redef]
        """The same in Python."""

        __slots__ = ()

        def _bind(self, variable: t.Any, part: str, message: str) -> None:
            """Nothing is gained by knowing this."""

        def __getattr__(self, name: str) -> t.Any:
            return getattr(object.__getattribute__(self, "_get_current_object")(), name)
