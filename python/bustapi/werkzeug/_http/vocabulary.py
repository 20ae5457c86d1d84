"""Status codes, kinds of header fields, and the values of two security headers."""

from __future__ import annotations

import typing as t
from enum import Enum

_STATUS_LINES = """
100 Continue;101 Switching Protocols;102 Processing;103 Early Hints
200 OK;201 Created;202 Accepted;203 Non Authoritative Information;204 No Content;205 Reset Content
206 Partial Content;207 Multi Status;208 Already Reported;226 IM Used
300 Multiple Choices;301 Moved Permanently;302 Found;303 See Other;304 Not Modified;305 Use Proxy;306 Switch Proxy
307 Temporary Redirect;308 Permanent Redirect
400 Bad Request;401 Unauthorized;402 Payment Required;403 Forbidden;404 Not Found;405 Method Not Allowed
406 Not Acceptable;407 Proxy Authentication Required;408 Request Timeout;409 Conflict;410 Gone;411 Length Required
412 Precondition Failed;413 Request Entity Too Large;414 Request URI Too Long;415 Unsupported Media Type
416 Requested Range Not Satisfiable;417 Expectation Failed;418 I'm a teapot;421 Misdirected Request
422 Unprocessable Entity;423 Locked;424 Failed Dependency;425 Too Early;426 Upgrade Required
428 Precondition Required;429 Too Many Requests;431 Request Header Fields Too Large;449 Retry With
451 Unavailable For Legal Reasons
500 Internal Server Error;501 Not Implemented;502 Bad Gateway;503 Service Unavailable;504 Gateway Timeout
505 HTTP Version Not Supported;506 Variant Also Negotiates;507 Insufficient Storage;508 Loop Detected
510 Not Extended;511 Network Authentication Failed
"""
#: Status codes and their reason phrases.
HTTP_STATUS_CODES: dict[int, str] = {
    int(line[:3]): line[4:] for line in _STATUS_LINES.strip().replace("\n", ";").split(";")
}

_entity_headers = frozenset(
    (
        "allow",
        "content-encoding",
        "content-language",
        "content-length",
        "content-location",
        "content-md5",
        "content-range",
        "content-type",
        "expires",
        "last-modified",
    )
)
_hop_by_hop_headers = frozenset(
    (
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    )
)


class COEP(Enum):
    """Cross-Origin-Embedder-Policy."""

    UNSAFE_NONE = "unsafe-none"
    REQUIRE_CORP = "require-corp"


class COOP(Enum):
    """Cross-Origin-Opener-Policy."""

    UNSAFE_NONE = "unsafe-none"
    SAME_ORIGIN_ALLOW_POPUPS = "same-origin-allow-popups"
    SAME_ORIGIN = "same-origin"


def is_entity_header(header: str) -> bool:
    """Tell whether a header describes the content."""
    return header.lower() in _entity_headers


def is_hop_by_hop_header(header: str) -> bool:
    """Tell whether a header belongs to one connection and must not be forwarded."""
    return header.lower() in _hop_by_hop_headers


def remove_entity_headers(headers: t.Any, allowed: t.Iterable[str] = ("expires", "content-location")) -> None:
    """Remove, in place, the headers that describe content, but for the allowed ones."""
    doomed = _entity_headers - {name.lower() for name in allowed}
    headers[:] = [field for field in headers if field[0].lower() not in doomed]


def remove_hop_by_hop_headers(headers: t.Any) -> None:
    """Remove, in place, the headers of the connection."""
    headers[:] = [field for field in headers if field[0].lower() not in _hop_by_hop_headers]
