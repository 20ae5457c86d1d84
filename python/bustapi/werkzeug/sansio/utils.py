"""Host, URL and length of a request, from plain values."""

from __future__ import annotations

import re
import typing as t
from functools import lru_cache
from urllib.parse import quote

from .._internal import _plain_int
from ..exceptions import SecurityError
from ..urls import uri_to_iri

# RFC 3986 3.2.2, with names as DNS has them; ports without leading zeros.
_authority = re.compile(
    r"([a-z0-9.-]+|\[[a-f0-9]*:[a-f0-9.:]+\])(?::([1-9][0-9]{0,4}))?", re.ASCII | re.IGNORECASE
)
_DEFAULT_PORTS = {"http": ":80", "ws": ":80", "https": ":443", "wss": ":443"}
_SAFE = "!$&'()*+,/:;=@%"
# What neither quoting nor `uri_to_iri` changes.
_plain_host = re.compile(r"(?!.*xn--)[a-z0-9.-]+(?::[0-9]+)?")
_plain_path = re.compile(r"[A-Za-z0-9_.~!$&'()*+,/:;=@-]*")
_plain_query = re.compile(r"[A-Za-z0-9_.~!$&'()*+,/:;=@?-]*")


@lru_cache(maxsize=256)
def _name_in(authority: str) -> str | None:
    """Return the name in a well-formed authority; a server is asked under a handful of them."""
    found = _authority.fullmatch(authority)
    if found is None:
        return None
    name, port = found.groups()
    return None if port and int(port) > 65535 else name


def host_is_trusted(hostname: str | None, trusted_list: t.Collection[str] | None = None) -> bool:
    """Tell whether a host is well formed and, if there is a list, in it.

    Args:
        hostname: The host with an optional port, which is not compared.
        trusted_list: Names; a leading dot allows subdomains too.
    """
    name = _name_in(hostname) if hostname else None
    if name is None:
        return False
    if not trusted_list:
        return True
    for entry in (trusted_list,) if isinstance(trusted_list, str) else trusted_list:
        below = entry.startswith(".")
        try:
            wanted = entry[below:].partition(":")[0].encode("idna").decode("ascii")
        except UnicodeError:
            return False
        if name == wanted or (below and name.endswith("." + wanted)):
            return True
    return False


def get_host(
    scheme: str,
    host_header: str | None,
    server: tuple[str, int | None] | None = None,
    trusted_hosts: t.Collection[str] | None = None,
) -> str:
    """Return the host a request is for, without the scheme's default port.

    Args:
        scheme: The scheme.
        host_header: The Host header.
        server: The server's own address, used if there is no header.
        trusted_hosts: See `host_is_trusted`.

    Returns:
        The host, empty if it is missing or malformed and no list is given.

    Raises:
        SecurityError: The host is not in the list.
    """
    if host_header is not None:
        host = host_header
    elif server is not None and server[1] is not None:
        name, port = server
        host = f"[{name}]:{port}" if ":" in name and name[0] != "[" else f"{name}:{port}"
    else:
        return ""  # no header, and a unix socket has no name
    default = _DEFAULT_PORTS.get(scheme)
    if default is not None and host.endswith(default):
        host = host[: -len(default)]
    if host_is_trusted(host, trusted_hosts):
        return host
    if trusted_hosts:
        raise SecurityError(f"Host {host!r} is not trusted.")
    return ""


def get_current_url(
    scheme: str,
    host: str,
    root_path: str | None = None,
    path: str | None = None,
    query_string: bytes | None = None,
) -> str:
    """Put a request's URL together, as an IRI.

    Args:
        scheme: The scheme.
        host: The host, see `get_host`.
        root_path: Where the app is mounted; None ends the URL after the host.
        path: The path below it; None ends the URL before it.
        query_string: The query as sent.
    """
    plain = _plain_host.fullmatch(host) is not None
    url = f"{scheme.lower()}://{host}/"
    if root_path is not None:
        mount = root_path.rstrip("/")
        if _plain_path.fullmatch(mount) is None:
            mount = quote(mount, safe=_SAFE)
            plain = False
        elif mount[:1] != "/":
            plain = plain and not mount  # it would continue the host
        url = f"{url[:-1]}{mount}/"
        if path is not None:
            tail = path.lstrip("/")
            if _plain_path.fullmatch(tail) is None:
                tail = quote(tail, safe=_SAFE)
                plain = False
            url += tail
            if query_string:
                query = query_string.decode("latin1")
                if _plain_query.fullmatch(query) is None:
                    query = quote(query_string, safe=_SAFE + "?")
                    plain = False
                url += "?" + query
    return url if plain else uri_to_iri(url)


def get_content_length(
    http_content_length: str | None = None, http_transfer_encoding: str | None = None
) -> int | None:
    """Return the declared length of a body.

    Args:
        http_content_length: The Content-Length header.
        http_transfer_encoding: The Transfer-Encoding header.

    Returns:
        The length, 0 for a value that is no number, None if it is not declared or the body is chunked.
    """
    if http_content_length is None:
        return None
    if http_transfer_encoding is not None:
        from ..http import parse_set_header

        if "chunked" in parse_set_header(http_transfer_encoding):
            return None
    try:
        return max(0, _plain_int(http_content_length))
    except ValueError:
        return 0
