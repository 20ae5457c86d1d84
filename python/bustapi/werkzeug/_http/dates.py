"""Dates and counts of seconds."""

from __future__ import annotations

import re
from datetime import date, datetime, time, timedelta, timezone
from time import mktime, struct_time

from .._internal import _dt_as_utc

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_imf_fixdate = re.compile(
    r"[A-Z][a-z]{2}, ([0-9]{2}) ([A-Z][a-z]{2}) ([0-9]{4}) ([0-9]{2}):([0-9]{2}):([0-9]{2}) GMT"
)


def parse_date(value: str | None) -> datetime | None:
    """Parse any of HTTP's date forms into an aware datetime; None if it is none."""
    if value is None:
        return None
    found = _imf_fixdate.fullmatch(value)
    try:
        # Everybody sends this form; the email package is not loaded for it.
        if found is not None and found[2] in _MONTHS and found[3] >= "0100":
            year, month = int(found[3]), _MONTHS.index(found[2]) + 1
            return datetime(
                year, month, int(found[1]), int(found[4]), int(found[5]), int(found[6]), tzinfo=timezone.utc
            )
        from email.utils import parsedate_to_datetime

        parsed = parsedate_to_datetime(value)
    except (TypeError, ValueError, IndexError, OverflowError):
        return None
    return parsed.replace(tzinfo=timezone.utc) if parsed.tzinfo is None else parsed


def http_date(timestamp: datetime | date | float | struct_time | None = None) -> str:
    """Write a date in HTTP's form.

    Args:
        timestamp: A datetime (naive means UTC), date, Unix time or `struct_time` (local); None means now.
    """
    if timestamp is None:
        moment = datetime.now(timezone.utc)
    elif isinstance(timestamp, datetime):
        moment = _dt_as_utc(timestamp)
    elif isinstance(timestamp, date):
        moment = datetime.combine(timestamp, time(), tzinfo=timezone.utc)
    else:
        seconds = mktime(timestamp) if isinstance(timestamp, struct_time) else timestamp
        moment = datetime.fromtimestamp(seconds, timezone.utc)
    day, month = _DAYS[moment.weekday()], _MONTHS[moment.month - 1]
    return f"{day}, {moment.day:02} {month} {moment.year:04} {moment.hour:02}:{moment.minute:02}:{moment.second:02} GMT"


def parse_age(value: str | None = None) -> timedelta | None:
    """Parse Age or another count of seconds; None if it is missing, negative or too large."""
    try:
        seconds = int(value) if value else -1
        return timedelta(seconds=seconds) if seconds >= 0 else None
    except (ValueError, OverflowError):
        return None


def dump_age(age: timedelta | int | None = None) -> str | None:
    """Write a count of seconds; None stays None.

    Raises:
        ValueError: It is negative.
    """
    if age is None:
        return None
    seconds = int(age.total_seconds() if isinstance(age, timedelta) else age)
    if seconds < 0:
        raise ValueError("age cannot be negative")
    return str(seconds)
