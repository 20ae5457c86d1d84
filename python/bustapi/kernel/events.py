"""Server-sent events as text: fields, lines, and what may be in them (WHATWG HTML, section 9.2)."""

from __future__ import annotations

import re
import typing as t

#: What ends a line for a client that reads events.
_LINE_END = re.compile("\r\n|\n|\r")


class Event(bytes):
    """One event as it is sent; made by `encode`."""

    __slots__ = ()


def encode(
    data: str | None = None,
    event: str | None = None,
    id: str | int | None = None,
    retry: int | None = None,
    comment: str | None = None,
) -> Event:
    """Return an event as bytes.

    Args:
        data: The text; any number of lines.
        event: Its type.
        id: What a client that comes back says in `Last-Event-ID`.
        retry: Milliseconds after which a client that lost its connection comes back.
        comment: Text that clients drop.

    Raises:
        ValueError: The type or the id does not fit into a line, or `retry` is negative.
    """
    only_data = event is None and id is None and retry is None and comment is None
    if only_data and data is not None and "\n" not in data and "\r" not in data:
        return Event(f"data: {data}\n\n".encode())
    lines: list[str] = []
    if comment is not None:
        lines.extend(f": {line}" for line in _LINE_END.split(comment))
    if event is not None:
        lines.append(f"event: {_line('type', event)}")
    if id is not None:
        text = _line("id", str(id))
        if "\0" in text:
            # Clients take no notice of such an id, and would come back with an older one.
            raise ValueError("the id of an event has no NUL")
        lines.append(f"id: {text}")
    if retry is not None:
        if isinstance(retry, bool) or not isinstance(retry, int) or retry < 0:
            raise ValueError("retry is a number of milliseconds, not negative")
        lines.append(f"retry: {retry}")
    if data is not None:
        lines.extend(f"data: {line}" for line in _LINE_END.split(data))
    return Event(("\n".join(lines) + "\n\n").encode() if lines else b"")


def _line(name: str, text: t.Any) -> str:
    if not isinstance(text, str):
        raise TypeError(f"the {name} of an event is a str, not {type(text).__name__}")
    if _LINE_END.search(text):
        raise ValueError(f"the {name} of an event is a single line")
    return text
