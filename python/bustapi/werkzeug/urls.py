"""Conversion between URIs and IRIs."""

from __future__ import annotations

import codecs
import re
import typing as t
import urllib.parse
from urllib.parse import quote, urlencode, urlsplit, urlunsplit

_SAFE_PATH = "%!$&'()*+,/:;=@"
_SAFE_USER = "%!$&'()*+,;="


def _codec_error_url_quote(error: UnicodeError) -> tuple[str, int]:
    """Keep bytes that are no UTF-8 percent-encoded."""
    assert isinstance(error, UnicodeDecodeError)
    return quote(error.object[error.start : error.end], safe=""), error.end


codecs.register_error("werkzeug.url_quote", _codec_error_url_quote)

_escapes = re.compile(r"(?:%[0-9A-Fa-f]{2})+")
# Control characters, space, percent sign and DEL never show up decoded.
_ALWAYS_ENCODED = frozenset((*range(33), 37, 127))


def _decoder(reserved: str) -> t.Callable[[str], str]:
    """Return a function that decodes percent escapes but for those of the `reserved` characters."""
    keep = _ALWAYS_ENCODED.union(reserved.encode())

    def decode_run(found: re.Match[str]) -> str:
        run = found.group()
        output: list[str] = []
        pending = bytearray()
        for index in range(1, len(run), 3):
            digits = run[index : index + 2]
            byte = int(digits, 16)
            if byte not in keep:
                pending.append(byte)
                continue
            output.append(pending.decode("utf-8", "werkzeug.url_quote"))
            output.append("%" + digits)
            pending.clear()
        output.append(pending.decode("utf-8", "werkzeug.url_quote"))
        return "".join(output)

    return lambda text: _escapes.sub(decode_run, text) if "%" in text else text


_unquote_fragment = _decoder("")
_unquote_query = _decoder("&=+#")
_unquote_path = _decoder("/?#")
_unquote_user = _decoder(":@/?#")


def _rebuild(
    parts: urllib.parse.SplitResult,
    host: str,
    user: t.Callable[[str], str],
    path: str,
    query: str,
    fragment: str,
) -> str:
    netloc = f"[{host}]" if ":" in host else host
    if parts.port is not None:
        netloc = f"{netloc}:{parts.port}"
    if parts.username is not None:
        login = user(parts.username)
        if parts.password is not None:
            login = f"{login}:{user(parts.password)}"
        netloc = f"{login}@{netloc}"
    return urlunsplit((parts.scheme, netloc, path, query, fragment))


def uri_to_iri(uri: str) -> str:
    """Decode a URI for people to read. What would change its meaning, or is no UTF-8, stays encoded."""
    parts = urlsplit(uri)
    return _rebuild(
        parts,
        _decode_idna(parts.hostname) if parts.hostname else "",
        _unquote_user,
        _unquote_path(parts.path),
        _unquote_query(parts.query),
        _unquote_fragment(parts.fragment),
    )


def iri_to_uri(iri: str) -> str:
    """Encode an IRI as ASCII for the wire. What is encoded already stays as it is."""
    parts = urlsplit(iri)
    return _rebuild(
        parts,
        parts.hostname.encode("idna").decode("ascii") if parts.hostname else "",
        lambda text: quote(text, safe=_SAFE_USER),
        quote(parts.path, safe=_SAFE_PATH),
        quote(parts.query, safe=_SAFE_PATH + "?"),
        quote(parts.fragment, safe=_SAFE_PATH + "#?"),
    )


# Apple's install links have an empty authority, which urlunsplit drops for schemes it does not know.
if "itms-services" not in urllib.parse.uses_netloc:
    urllib.parse.uses_netloc.append("itms-services")


def _decode_idna(domain: str) -> str:
    """Decode each label that is valid IDNA and keep the others."""
    if not domain.isascii():
        return domain
    if "xn--" not in domain.lower():
        try:
            return domain.encode("ascii").decode("idna")
        except UnicodeError:
            return domain
    labels = []
    for label in domain.split("."):
        try:
            labels.append(label.encode("ascii").decode("idna"))
        except UnicodeError:
            labels.append(label)
    return ".".join(labels)


def _urlencode(query: t.Any) -> str:
    """Write a query string, leaving None values out."""
    from .datastructures import iter_multi_items

    return urlencode([item for item in iter_multi_items(query) if item[1] is not None], safe="!$'()*,/:;?@")
