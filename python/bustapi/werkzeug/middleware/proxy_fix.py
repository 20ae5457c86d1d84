"""Telling an application behind proxies what the client's request was."""

from __future__ import annotations

import typing as t

from ..http import parse_list_header

if t.TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_KEPT = ("REMOTE_ADDR", "wsgi.url_scheme", "HTTP_HOST", "SERVER_NAME", "SERVER_PORT", "SCRIPT_NAME")


class ProxyFix:
    """Takes the client's address, the scheme, host, port and prefix from `X-Forwarded-*` fields.

    Each proxy appends a value to a field. What the outermost of your proxies appended is the one to believe; what is
    further left was sent by the client, who can write anything. So each number says how many of your proxies append
    to that field, and must be 0 for a field that none of them sets.

    The former values are in the environ under `werkzeug.proxy_fix.orig`.

    Args:
        app: The application.
        x_for: How many append to `X-Forwarded-For`.
        x_proto: How many append to `X-Forwarded-Proto`.
        x_host: How many append to `X-Forwarded-Host`.
        x_port: How many append to `X-Forwarded-Port`.
        x_prefix: How many append to `X-Forwarded-Prefix`.

    Compatible with: werkzeug.middleware.proxy_fix.ProxyFix (3.1)
    """

    def __init__(
        self,
        app: WSGIApplication,
        x_for: int = 1,
        x_proto: int = 1,
        x_host: int = 0,
        x_port: int = 0,
        x_prefix: int = 0,
    ) -> None:
        self.app = app
        self.x_for = x_for
        self.x_proto = x_proto
        self.x_host = x_host
        self.x_port = x_port
        self.x_prefix = x_prefix

    def __setattr__(self, name: str, value: t.Any) -> None:
        super().__setattr__(name, value)
        # The server does the same by these numbers, where it serves the application directly.
        generation = getattr(getattr(self.__dict__.get("app"), "__self__", None), "_generation", None)
        if generation is not None:
            generation.bump()

    def _get_real_value(self, trusted: int, value: str | None) -> str | None:
        """Return the value that the outermost trusted proxy appended; None if there are too few."""
        if not trusted or not value:
            return None
        values = parse_list_header(value)
        return values[-trusted] if len(values) >= trusted else None

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> t.Iterable[bytes]:
        """Answer, with the environ set right."""
        environ["werkzeug.proxy_fix.orig"] = {key: environ.get(key) for key in _KEPT}

        def forwarded(name: str, trusted: int) -> str | None:
            return self._get_real_value(trusted, environ.get(f"HTTP_X_FORWARDED_{name}"))

        client = forwarded("FOR", self.x_for)
        if client:
            environ["REMOTE_ADDR"] = client
        scheme = forwarded("PROTO", self.x_proto)
        if scheme:
            environ["wsgi.url_scheme"] = scheme
        host = forwarded("HOST", self.x_host)
        if host:
            name, port = _split_port(host)
            environ["HTTP_HOST"] = host
            environ["SERVER_NAME"] = name
            if port is not None:
                environ["SERVER_PORT"] = port
        port = forwarded("PORT", self.x_port)
        if port:
            if environ.get("HTTP_HOST"):
                environ["HTTP_HOST"] = f"{_split_port(environ['HTTP_HOST'])[0]}:{port}"
            environ["SERVER_PORT"] = port
        prefix = forwarded("PREFIX", self.x_prefix)
        if prefix:
            environ["SCRIPT_NAME"] = prefix
        return self.app(environ, start_response)


def _split_port(host: str) -> tuple[str, str | None]:
    """Split a host and its port; the colons of a bracketed IPv6 address are its own."""
    if ":" not in host or host.endswith("]"):
        return host, None
    name, _, port = host.rpartition(":")
    return name, port
