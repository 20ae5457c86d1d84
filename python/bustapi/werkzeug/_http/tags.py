"""Entity tags, and what they decide (RFC 9110 8.8.3, 13)."""

from __future__ import annotations

import re
import typing as t

if t.TYPE_CHECKING:
    from datetime import datetime

    from .. import datastructures as ds


def quote_etag(etag: str, weak: bool = False) -> str:
    """Write a tag.

    Raises:
        ValueError: The tag holds a quote.
    """
    if '"' in etag:
        raise ValueError("invalid etag")
    return f'W/"{etag}"' if weak else f'"{etag}"'


def unquote_etag(etag: str | None) -> tuple[str, bool] | tuple[None, None]:
    """Return (tag, is it weak), or (None, None) for an empty value."""
    if not etag:
        return None, None
    weak = etag[:2] in ("W/", "w/")
    tag = etag[2:] if weak else etag
    if tag[:1] == '"' and tag[-1:] == '"':
        tag = tag[1:-1]
    return tag, weak


_etag = re.compile(r'[ \t]*([Ww]/)?(?:"([^"]*)"|([^" \t,]+))[ \t]*(?:,|\Z)')


def parse_etags(value: str | None) -> ds.ETags:
    """Parse If-Match or If-None-Match."""
    from ..datastructures import ETags

    if not value:
        return ETags()
    if value == "*":
        return ETags(star_tag=True)
    tags: tuple[list[str], list[str]] = ([], [])
    position = 0
    while position < len(value):
        found = _etag.match(value, position)
        if found is not None:
            weak, quoted, bare = found.groups()
            tags[bool(weak)].append(quoted or bare)
            position = found.end()
            continue
        position = value.find(",", position) + 1
        if not position:
            break
    return ETags(*tags)


def generate_etag(data: bytes) -> str:
    """Return a tag for some content."""
    from hashlib import sha1

    return sha1(data).hexdigest()


def is_resource_modified(
    environ: dict[str, t.Any],
    etag: str | None = None,
    data: bytes | None = None,
    last_modified: datetime | str | None = None,
    ignore_if_range: bool = True,
) -> bool:
    """Tell whether a conditional request is to be answered in full. See `sansio.http.is_resource_modified`."""
    from ..sansio.http import is_resource_modified as decide

    return decide(
        http_range=environ.get("HTTP_RANGE"),
        http_if_range=environ.get("HTTP_IF_RANGE"),
        http_if_modified_since=environ.get("HTTP_IF_MODIFIED_SINCE"),
        http_if_none_match=environ.get("HTTP_IF_NONE_MATCH"),
        http_if_match=environ.get("HTTP_IF_MATCH"),
        etag=etag,
        data=data,
        last_modified=last_modified,
        ignore_if_range=ignore_if_range,
    )
