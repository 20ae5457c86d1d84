"""Range, Content-Range and If-Range (RFC 9110 13.1.5, 14)."""

from __future__ import annotations

import typing as t

from .._internal import _plain_int
from .dates import parse_date
from .tags import unquote_etag

if t.TYPE_CHECKING:
    from .. import datastructures as ds
    from .values import Updated


def is_byte_range_valid(start: int | None, stop: int | None, length: int | None) -> bool:
    """Tell whether [start, stop) is a range of a resource of `length` bytes (None: unknown)."""
    if start is None or stop is None:
        return start is stop and (length is None or length >= 0)
    if not 0 <= start < stop:
        return False
    return length is None or start < length


def parse_if_range_header(value: str | None) -> ds.IfRange:
    """Parse If-Range: a date or a tag."""
    from ..datastructures import IfRange

    if not value:
        return IfRange()
    when = parse_date(value)
    return IfRange(date=when) if when is not None else IfRange(unquote_etag(value)[0])


def _plain_int_or_none(text: str) -> int | None:
    try:
        return _plain_int(text)
    except ValueError:
        return None


def parse_range_header(value: str | None, make_inclusive: bool = True) -> ds.Range | None:
    """Parse Range; None if it is missing, malformed, or its parts are not in ascending order."""
    from ..datastructures import Range

    if not value or "=" not in value:
        return None
    units, _, spec = value.partition("=")
    ranges: list[tuple[int, int | None]] = []
    reached: int | None = 0  # where the last part ended; None once one was open-ended
    for part in spec.split(","):
        first, dash, last = part.strip(" \t").partition("-")
        if not dash or reached is None:
            return None
        start = _plain_int_or_none(first or f"-{last}")
        stop: int | None = None
        if start is None:
            return None
        if not first:
            if start >= 0:  # `-0`: nothing, and `--5` is refused as well
                return None
        else:
            if start < reached:
                return None
            if last.strip(" \t"):
                stop = _plain_int_or_none(last)
                if stop is None or stop < start:
                    return None
                stop += 1
        reached = stop
        ranges.append((start, stop))
    return Range(units.strip(" \t").lower(), ranges)


def parse_content_range_header(value: str | None, on_update: Updated = None) -> ds.ContentRange | None:
    """Parse Content-Range; None if it is missing or malformed."""
    from ..datastructures import ContentRange

    units, _, spec = (value or "").strip(" \t").partition(" ")
    part, slash, whole = spec.partition("/")
    if not slash:
        return None
    length = None if whole == "*" else _plain_int_or_none(whole)
    if whole != "*" and length is None:
        return None
    start: int | None = None
    stop: int | None = None
    if part != "*":
        first, _, last = part.partition("-")
        start, stop = _plain_int_or_none(first), _plain_int_or_none(last)
        if start is None or stop is None:
            return None
        stop += 1
    if not is_byte_range_valid(start, stop, length):
        return None
    return ContentRange(units, start, stop, length, on_update=on_update)
