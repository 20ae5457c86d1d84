"""Passing requests under some paths on to other HTTP servers, for development."""

from __future__ import annotations

import typing as t
from urllib.parse import quote, urlsplit

from ..datastructures import EnvironHeaders
from ..http import is_hop_by_hop_header, parse_list_header
from ..wsgi import ClosingIterator, get_input_stream

if t.TYPE_CHECKING:
    from http.client import HTTPConnection, HTTPResponse

    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_DEFAULTS: dict[str, t.Any] = {"remove_prefix": False, "host": "<auto>", "headers": {}, "ssl_context": None}
# http.client sends these itself, or the proxy does.
_OWN = frozenset({"content-length", "host"})


class ProxyMiddleware:
    """Passes requests on by the beginning of their path, and leaves the others to the application.

    A target is a dict with `target`, the server's URL, and perhaps `remove_prefix` (whether the path is passed on
    without its beginning), `host` (the Host field: `"<auto>"` for the target's, None for the client's, else the
    value), `headers` (fields to add) and `ssl_context` (how to verify an HTTPS server). A server that cannot be
    reached gives a 502.

    Args:
        app: The application.
        targets: Targets by the beginning of the path.
        chunk_size: Bytes that are passed on at once.
        timeout: Seconds that an operation may take.

    Compatible with: werkzeug.middleware.http_proxy.ProxyMiddleware (3.1)
    """

    def __init__(
        self,
        app: WSGIApplication,
        targets: t.Mapping[str, dict[str, t.Any]],
        chunk_size: int = 2 << 13,
        timeout: int = 10,
    ) -> None:
        self.app = app
        self.targets = {
            # An empty one is the root: everything.
            f"/{prefix.strip('/')}/".replace("//", "/"): {**_DEFAULTS, **target}
            for prefix, target in targets.items()
        }
        self.chunk_size = chunk_size
        self.timeout = timeout

    def proxy_to(self, opts: dict[str, t.Any], path: str, prefix: str) -> WSGIApplication:
        """Return an application that passes one request on.

        Args:
            opts: The target.
            path: The request's path.
            prefix: The beginning by which the target was found.
        """
        target = urlsplit(opts["target"])
        if target.scheme not in ("http", "https"):
            raise RuntimeError(f"Target scheme must be 'http' or 'https', got {target.scheme!r}.")
        host = (target.hostname or "").encode("idna").decode("ascii")
        if opts["remove_prefix"]:
            path = f"{target.path.rstrip('/')}/{path[len(prefix) :].lstrip('/')}"
        # The environ's path is decoded bytes; what has a meaning in a path is encoded again.
        url = quote(path.encode("latin1"), safe="!$&'()*+,/:;=@")

        def connect() -> HTTPConnection:
            from http.client import HTTPConnection, HTTPSConnection

            if target.scheme == "http":
                return HTTPConnection(host, target.port or 80, timeout=self.timeout)
            return HTTPSConnection(
                host, target.port or 443, timeout=self.timeout, context=opts["ssl_context"]
            )

        def application(environ: WSGIEnvironment, start_response: StartResponse) -> t.Iterable[bytes]:
            from http.client import HTTPException as ProtocolError

            query = environ.get("QUERY_STRING")
            fields = _end_to_end(EnvironHeaders(environ).items())
            sent_host = {"<auto>": host, None: environ.get("HTTP_HOST", host)}.get(opts["host"], opts["host"])
            fields += [("Connection", "close"), ("Host", sent_host), *opts["headers"].items()]
            connection = connect()
            try:
                self._send(connection, environ, f"{url}?{query}" if query else url, fields)
                response = connection.getresponse()
            except (OSError, ProtocolError):
                connection.close()
                from ..exceptions import BadGateway

                return BadGateway()(environ, start_response)
            received = _end_to_end(response.getheaders(), keep_length=True)
            start_response(
                f"{response.status} {response.reason}", [(name.title(), value) for name, value in received]
            )
            return ClosingIterator(self._blocks(response), [response.close, connection.close])

        return application

    def _send(
        self, connection: HTTPConnection, environ: WSGIEnvironment, url: str, fields: list[tuple[str, str]]
    ) -> None:
        length = environ.get("CONTENT_LENGTH")
        # Without a length, only a body that the server takes apart itself has an end.
        chunked = not length and bool(environ.get("wsgi.input_terminated"))
        chunked = chunked and bool(environ.get("HTTP_TRANSFER_ENCODING"))
        if length:
            fields.append(("Content-Length", length))
        elif chunked:
            fields.append(("Transfer-Encoding", "chunked"))
        connection.putrequest(environ["REQUEST_METHOD"], url, skip_host=True, skip_accept_encoding=True)
        for name, value in fields:
            connection.putheader(name, value)
        connection.endheaders()
        stream = get_input_stream(environ)
        block = stream.read(self.chunk_size)
        while block:
            connection.send(b"%x\r\n%b\r\n" % (len(block), block) if chunked else block)
            block = stream.read(self.chunk_size)
        if chunked:
            connection.send(b"0\r\n\r\n")

    def _blocks(self, response: HTTPResponse) -> t.Iterator[bytes]:
        block = response.read(self.chunk_size)
        while block:
            yield block
            block = response.read(self.chunk_size)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> t.Iterable[bytes]:
        """Answer through a target, or the application."""
        path = environ["PATH_INFO"]
        for prefix, opts in self.targets.items():
            if path.startswith(prefix):
                return self.proxy_to(opts, path, prefix)(environ, start_response)
        return self.app(environ, start_response)


def _end_to_end(fields: t.Iterable[tuple[str, str]], keep_length: bool = False) -> list[tuple[str, str]]:
    """Leave out what belongs to one connection, named by the standard or by Connection (RFC 9110 7.6.1)."""
    listed = list(fields)
    named = {
        option.lower()
        for name, value in listed
        if name.lower() == "connection"
        for option in parse_list_header(value)
    }
    drop = named if keep_length else named | _OWN
    return [
        (name, value) for name, value in listed if name.lower() not in drop and not is_hop_by_hop_header(name)
    ]
