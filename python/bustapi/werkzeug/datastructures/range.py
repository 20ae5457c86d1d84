"""Range, If-Range and Content-Range (RFC 9110 14)."""

from __future__ import annotations

import collections.abc as cabc
import typing as t

if t.TYPE_CHECKING:
    from datetime import datetime


class IfRange:
    """An If-Range value: a tag, a date, or neither.

    Args:
        etag: The tag without quotes.
        date: The date.
    """

    def __init__(self, etag: str | None = None, date: datetime | None = None) -> None:
        self.etag = etag
        self.date = date

    def to_header(self) -> str:
        """Return the header's text."""
        from ..http import http_date, quote_etag

        if self.date is not None:
            return http_date(self.date)
        return "" if self.etag is None else quote_etag(self.etag)

    def __str__(self) -> str:
        return self.to_header()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {str(self)!r}>"


class Range:
    """A Range value.

    Args:
        units: Usually `bytes`.
        ranges: Pairs (start, end), end exclusive or None for open; a negative start counts from the end.

    Raises:
        ValueError: A pair is no range.

    Compatible with: werkzeug.datastructures.Range (3.1)
    """

    def __init__(self, units: str, ranges: cabc.Sequence[tuple[int, int | None]]) -> None:
        self.units = units
        self.ranges = ranges
        for start, end in ranges:
            if start is None or (end is not None and not 0 <= start < end):
                raise ValueError(f"{(start, end)} is not a valid range.")

    def range_for_length(self, length: int | None) -> tuple[int, int] | None:
        """Return (start, stop) within a resource of `length` bytes.

        None means: not bytes, several ranges, unknown length, or out of the resource.
        """
        from ..http import is_byte_range_valid

        if self.units != "bytes" or length is None or len(self.ranges) != 1:
            return None
        ((start, end),) = self.ranges
        if end is None:
            end = length
            if start < 0:
                start += length
        return (start, min(end, length)) if is_byte_range_valid(start, end, length) else None

    def make_content_range(self, length: int | None) -> ContentRange | None:
        """Return the Content-Range that answers this range, None if it cannot be met."""
        found = self.range_for_length(length)
        return None if found is None else ContentRange(self.units, *found, length)

    def to_content_range_header(self, length: int | None) -> str | None:
        """Return the text of `make_content_range`."""
        found = self.make_content_range(length)
        return None if found is None else found.to_header()

    def to_header(self) -> str:
        """Return the header's text."""
        parts = []
        for start, end in self.ranges:
            if end is not None:
                parts.append(f"{start}-{end - 1}")
            else:
                parts.append(str(start) if start < 0 else f"{start}-")
        return f"{self.units}={','.join(parts)}"

    def __str__(self) -> str:
        return self.to_header()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {str(self)!r}>"


def _watched(name: str, doc: str) -> t.Any:
    slot = f"_{name}"

    def write(self: ContentRange, value: t.Any) -> None:
        setattr(self, slot, value)
        self._changed()

    return property(lambda self: getattr(self, slot), write, doc=doc)


class ContentRange:
    """A Content-Range value.

    Args:
        units: The unit; None for a header that is not there.
        start: First position, None for an unsatisfied range.
        stop: Position after the last.
        length: Length of the whole, None if unknown.
        on_update: Called with the object after each change.

    Compatible with: werkzeug.datastructures.ContentRange (3.1)
    """

    units: t.Any = _watched("units", "The unit, usually ``bytes``.")
    start: t.Any = _watched("start", "The first position, or None.")
    stop: t.Any = _watched("stop", "The position after the last, or None.")
    length: t.Any = _watched("length", "The length of the whole, or None.")

    def __init__(
        self,
        units: str | None,
        start: int | None,
        stop: int | None,
        length: int | None = None,
        on_update: t.Callable[[ContentRange], None] | None = None,
    ) -> None:
        self.on_update = on_update
        self.set(start, stop, length, units)

    def _changed(self) -> None:
        if self.on_update is not None:
            self.on_update(self)

    def set(
        self,
        start: int | None,
        stop: int | None,
        length: int | None = None,
        units: str | None = "bytes",
    ) -> None:
        """Set everything with one callback."""
        from ..http import is_byte_range_valid

        assert is_byte_range_valid(start, stop, length), "Bad range provided"
        self._units, self._start, self._stop, self._length = units, start, stop, length
        self._changed()

    def unset(self) -> None:
        """Remove the header."""
        self.set(None, None, units=None)

    def to_header(self) -> str:
        """Return the header's text, empty if there is no unit."""
        if self._units is None:
            return ""
        whole = "*" if self._length is None else self._length
        part = "*" if self._start is None or self._stop is None else f"{self._start}-{self._stop - 1}"
        return f"{self._units} {part}/{whole}"

    def __bool__(self) -> bool:
        return self._units is not None

    def __str__(self) -> str:
        return self.to_header()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {str(self)!r}>"
