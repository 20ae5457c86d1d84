"""Cache-Control as a dict with one attribute a directive (RFC 9111 5.2, RFC 5861, RFC 8246)."""

from __future__ import annotations

import typing as t

from .mixins import ImmutableDictMixin
from .structures import CallbackDict


def cache_control_property(
    key: str, empty: t.Any, type: type[t.Any] | None, *, doc: str | None = None
) -> t.Any:
    """Return a property for one directive.

    Args:
        key: The directive.
        empty: The attribute's value if the directive stands without a value.
        type: `bool` for a directive that is there or not; else what converts the text, None for text.
        doc: The docstring.
    """

    def read(self: _CacheControl) -> t.Any:
        return self._get_cache_value(key, empty, type)

    def write(self: _CacheControl, value: t.Any) -> None:
        self._set_cache_value(key, value, type)

    def delete(self: _CacheControl) -> None:
        self._del_cache_value(key)

    kind = "str" if type is None else type.__name__
    return property(read, write, delete, doc or f"The ``{key}`` directive as ``{kind}``.")


class _CacheControl(CallbackDict[str, t.Optional[str]]):
    """What both directions share.

    Args:
        values: Directives; None for a header that was not sent.
        on_update: Called with the dict after each change.
    """

    no_store: t.Any = cache_control_property("no-store", None, bool)
    max_age: t.Any = cache_control_property("max-age", None, int)
    no_transform: t.Any = cache_control_property("no-transform", None, bool)
    stale_if_error: t.Any = cache_control_property("stale-if-error", None, int)

    cache_property = staticmethod(cache_control_property)

    def __init__(self, values: t.Any = (), on_update: t.Callable[[t.Any], None] | None = None) -> None:
        super().__init__(values, on_update)
        self.provided = values is not None

    def _get_cache_value(self, key: str, empty: t.Any, type: type[t.Any] | None) -> t.Any:
        if type is bool:
            return key in self
        if key not in self:
            return None
        value = self[key]
        if value is None:
            return empty
        try:
            return value if type is None else type(value)
        except ValueError:
            return None

    def _set_cache_value(self, key: str, value: t.Any, type: type[t.Any] | None) -> None:
        if value is None or value is False or (type is bool and not value):
            self.pop(key, None)
        elif value is True or type is bool:
            self[key] = None
        else:
            self[key] = str(value if type is None else type(value))

    def _del_cache_value(self, key: str) -> None:
        self.pop(key, None)

    def to_header(self) -> str:
        """Return the header's text."""
        from ..http import dump_header

        return dump_header(self)

    def __str__(self) -> str:
        return self.to_header()

    def __repr__(self) -> str:
        directives = " ".join(f"{key}={self[key]!r}" for key in sorted(self))
        return f"<{type(self).__name__} {directives}>"


class RequestCacheControl(ImmutableDictMixin[str, t.Optional[str]], _CacheControl):  # type: ignore[misc]
    """Cache-Control of a request; it cannot change.

    Compatible with: werkzeug.datastructures.RequestCacheControl (3.1)
    """

    no_cache: t.Any = cache_control_property("no-cache", None, bool)
    max_stale: t.Any = cache_control_property("max-stale", True, int)
    min_fresh: t.Any = cache_control_property("min-fresh", None, int)
    only_if_cached: t.Any = cache_control_property("only-if-cached", None, bool)


class ResponseCacheControl(_CacheControl):
    """Cache-Control of a response; changes are written to its header.

    Compatible with: werkzeug.datastructures.ResponseCacheControl (3.1)
    """

    no_cache: t.Any = cache_control_property("no-cache", True, None)
    public: t.Any = cache_control_property("public", None, bool)
    private: t.Any = cache_control_property("private", True, None)
    must_revalidate: t.Any = cache_control_property("must-revalidate", None, bool)
    proxy_revalidate: t.Any = cache_control_property("proxy-revalidate", None, bool)
    s_maxage: t.Any = cache_control_property("s-maxage", None, int)
    immutable: t.Any = cache_control_property("immutable", None, bool)
    must_understand: t.Any = cache_control_property("must-understand", None, bool)
    stale_while_revalidate: t.Any = cache_control_property("stale-while-revalidate", None, int)
