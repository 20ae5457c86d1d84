"""Conditional requests and cookies, from plain header values."""

from __future__ import annotations

import re
import typing as t
from datetime import datetime

from .._internal import _dt_as_utc
from ..http import generate_etag, parse_date, parse_etags, parse_if_range_header, unquote_etag


def is_resource_modified(
    http_range: str | None = None,
    http_if_range: str | None = None,
    http_if_modified_since: str | None = None,
    http_if_none_match: str | None = None,
    http_if_match: str | None = None,
    etag: str | None = None,
    data: bytes | None = None,
    last_modified: datetime | str | None = None,
    ignore_if_range: bool = True,
) -> bool:
    """Tell whether a conditional request is to be answered in full (RFC 9110 13).

    Args:
        http_range: The Range header.
        http_if_range: The If-Range header.
        http_if_modified_since: The If-Modified-Since header.
        http_if_none_match: The If-None-Match header.
        http_if_match: The If-Match header.
        etag: The resource's tag.
        data: Content to make the tag of; give this or `etag`.
        last_modified: When the resource changed last.
        ignore_if_range: Leave If-Range out of account.

    Raises:
        TypeError: Both `etag` and `data` are given.
    """
    if data is not None:
        if etag is not None:
            raise TypeError("both data and etag given")
        etag = generate_etag(data)
    changed = parse_date(last_modified) if isinstance(last_modified, str) else last_modified
    if_range = None if ignore_if_range or http_range is None else parse_if_range_header(http_if_range)

    same = False
    if changed is not None:
        since = if_range.date if if_range is not None and if_range.date is not None else None
        since = since or parse_date(http_if_modified_since)
        # Header dates have whole seconds.
        same = since is not None and _dt_as_utc(changed.replace(microsecond=0)) <= since
    if not etag:
        return not same

    # A tag is the stronger evidence and overrides the date.
    tag = t.cast(str, unquote_etag(etag)[0])
    if if_range is not None and if_range.etag is not None:
        return if_range.etag != tag
    none_match = parse_etags(http_if_none_match)
    if none_match:
        same = none_match.contains_weak(tag)
    match = parse_etags(http_if_match)
    if match:
        same = not match.is_strong(tag)
    return not same


_cookie_pair = re.compile(
    r'[ \t]*([^ \t=";]+)(?:[ \t]*=[ \t]*("(?:[^\\"]|\\.)*"|[^ \t";]*))?[ \t]*(?:;|\Z)', re.ASCII
)
_cookie_escape = re.compile(rb"\\([0-3][0-7]{2}|.)", re.DOTALL)


def _unescape_cookie(found: re.Match[bytes]) -> bytes:
    code = found.group(1)
    return code if len(code) == 1 else bytes((int(code, 8),))


def parse_cookie(cookie: str | None = None, cls: t.Any = None) -> t.Any:
    """Parse the text of a Cookie header; pairs that break the grammar are left out.

    Args:
        cookie: The text.
        cls: The class to return, `MultiDict` by default.
    """
    if cls is None:
        from ..datastructures import MultiDict as cls
    if not cookie:
        return cls()
    return cls(_quoted_pairs(cookie) if '"' in cookie else _plain_pairs(cookie))


def _plain_pairs(text: str) -> list[tuple[str, str]]:
    """Split text without quotes, where every `;` ends a pair."""
    pairs = []
    for part in text.split(";"):
        part = part.strip(" \t")
        name, _, value = part.partition("=")
        if " " not in part and "\t" not in part:
            if name:
                pairs.append((name, value))
            continue
        name = name.rstrip(" \t")
        value = value.lstrip(" \t")
        if name and not (" " in name or "\t" in name or " " in value or "\t" in value):
            pairs.append((name, value))
    return pairs


def _quoted_pairs(text: str) -> list[tuple[str, str]]:
    pairs = []
    position, end = 0, len(text)
    while position < end:
        found = _cookie_pair.match(text, position)
        if found is None:
            position = text.find(";", position) + 1
            if not position:
                break
            continue
        position = found.end()
        name, value = found.group(1), found.group(2) or ""
        if value[:1] == '"':
            raw = value[1:-1].encode(errors="surrogatepass")
            value = _cookie_escape.sub(_unescape_cookie, raw).decode(errors="replace")
        pairs.append((name, value))
    return pairs
