"""Content-Security-Policy as a dict with one attribute a directive."""

from __future__ import annotations

import typing as t

from .structures import CallbackDict


def csp_property(key: str) -> t.Any:
    """Return a property for one directive; None reads as missing and removes."""

    def read(self: ContentSecurityPolicy) -> str | None:
        return self._get_value(key)

    def write(self: ContentSecurityPolicy, value: str | None) -> None:
        self._set_value(key, value)

    def delete(self: ContentSecurityPolicy) -> None:
        self._del_value(key)

    return property(read, write, delete, f"The ``{key}`` directive.")


class ContentSecurityPolicy(CallbackDict[str, str]):
    """A policy; changes are written to the response's header.

    Args:
        values: Directives; None for a header that was not sent.
        on_update: Called with the policy after each change.

    Compatible with: werkzeug.datastructures.ContentSecurityPolicy (3.1)
    """

    base_uri: t.Any = csp_property("base-uri")
    child_src: t.Any = csp_property("child-src")
    connect_src: t.Any = csp_property("connect-src")
    default_src: t.Any = csp_property("default-src")
    font_src: t.Any = csp_property("font-src")
    form_action: t.Any = csp_property("form-action")
    frame_ancestors: t.Any = csp_property("frame-ancestors")
    frame_src: t.Any = csp_property("frame-src")
    img_src: t.Any = csp_property("img-src")
    manifest_src: t.Any = csp_property("manifest-src")
    media_src: t.Any = csp_property("media-src")
    navigate_to: t.Any = csp_property("navigate-to")
    object_src: t.Any = csp_property("object-src")
    prefetch_src: t.Any = csp_property("prefetch-src")
    plugin_types: t.Any = csp_property("plugin-types")
    report_to: t.Any = csp_property("report-to")
    report_uri: t.Any = csp_property("report-uri")
    sandbox: t.Any = csp_property("sandbox")
    script_src: t.Any = csp_property("script-src")
    script_src_attr: t.Any = csp_property("script-src-attr")
    script_src_elem: t.Any = csp_property("script-src-elem")
    style_src: t.Any = csp_property("style-src")
    style_src_attr: t.Any = csp_property("style-src-attr")
    style_src_elem: t.Any = csp_property("style-src-elem")
    worker_src: t.Any = csp_property("worker-src")

    def __init__(self, values: t.Any = (), on_update: t.Callable[[t.Any], None] | None = None) -> None:
        super().__init__(values, on_update)
        self.provided = values is not None

    def _get_value(self, key: str) -> str | None:
        return self.get(key)

    def _set_value(self, key: str, value: str | None) -> None:
        if value is not None:
            self[key] = value
        else:
            self.pop(key, None)

    def _del_value(self, key: str) -> None:
        self.pop(key, None)

    def to_header(self) -> str:
        """Return the header's text."""
        from ..http import dump_csp_header

        return dump_csp_header(self)

    def __str__(self) -> str:
        return self.to_header()

    def __repr__(self) -> str:
        directives = " ".join(f"{key}={self[key]!r}" for key in sorted(self))
        return f"<{type(self).__name__} {directives}>"
