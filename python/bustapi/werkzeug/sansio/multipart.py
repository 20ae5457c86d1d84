"""multipart/form-data (RFC 7578) as bytes in, events out.

The decoder is fed with `receive_data` and asked with `next_event`: Preamble, then for each part a Field or File and
its Data, then the Epilogue; NeedData in between when it wants more input. Its states:

    PREAMBLE -> PART -> DATA_START -> DATA -> (PART | EPILOGUE) -> COMPLETE

No byte is looked at more than a fixed number of times, whatever the input: a search that failed goes on where it
stopped, and data is passed on as soon as it cannot belong to a delimiter.
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass
from enum import Enum, auto

from ..datastructures import Headers
from ..exceptions import RequestEntityTooLarge
from ..http import parse_options_header


class Event:
    """What the decoder yields and the encoder takes."""


@dataclass(frozen=True)
class Preamble(Event):
    """What comes before the first delimiter; it has no meaning."""

    data: bytes


@dataclass(frozen=True)
class Field(Event):
    """The head of a part that is a plain field."""

    name: str
    headers: Headers


@dataclass(frozen=True)
class File(Event):
    """The head of a part that is a file."""

    name: str
    filename: str
    headers: Headers


@dataclass(frozen=True)
class Data(Event):
    """A piece of the current part's content; `more_data` tells whether another follows."""

    data: bytes
    more_data: bool


@dataclass(frozen=True)
class Epilogue(Event):
    """What comes after the last delimiter; it has no meaning."""

    data: bytes


class NeedData(Event):
    """The decoder waits for input."""


NEED_DATA = NeedData()


class State(Enum):
    """Where in a body the decoder or encoder stands."""

    PREAMBLE = auto()
    PART = auto()
    DATA = auto()
    DATA_START = auto()
    EPILOGUE = auto()
    COMPLETE = auto()


# Some clients end lines with CR or LF alone.
LINE_BREAK = rb"(?:\r\n|\n|\r)"
LINE_BREAK_RE = re.compile(LINE_BREAK)
BLANK_LINE_RE = re.compile(rb"(?:\r\n\r\n|\r\r|\n\n)")
HEADER_CONTINUATION_RE = re.compile(LINE_BREAK + rb"[ \t]")
# CRLF, `--` at both ends of the boundary and a little padding: what of a delimiter can be cut off at the buffer's end.
SEARCH_EXTRA_LENGTH = 8


class MultipartDecoder:
    """Decodes one body.

    Args:
        boundary: The boundary of the Content-Type.
        max_form_memory_size: Bytes that may wait in the buffer.
        max_parts: Parts allowed.

    Compatible with: werkzeug.sansio.multipart.MultipartDecoder (3.1)
    """

    def __init__(
        self,
        boundary: bytes,
        max_form_memory_size: int | None = None,
        *,
        max_parts: int | None = None,
    ) -> None:
        self.buffer = bytearray()
        self.complete = False
        self.max_form_memory_size = max_form_memory_size
        self.max_parts = max_parts
        self.state = State.PREAMBLE
        self.boundary = boundary
        self._delimiter = b"--" + boundary
        # RFC 2046 5.1.1: padding may follow the boundary; the last one has `--` and need not end the line.
        tail = rb"(--[^\S\n\r]*%b?|[^\S\n\r]*%b)" % (LINE_BREAK, LINE_BREAK)
        line = re.escape(self._delimiter) + tail
        self.preamble_re = re.compile(LINE_BREAK + b"?" + line)
        self.boundary_re = re.compile(LINE_BREAK + line)
        self._search_position = 0
        self._parts_decoded = 0

    def receive_data(self, data: bytes | None) -> None:
        """Take input; None means that the body ended.

        Raises:
            RequestEntityTooLarge: The buffer would be over its limit.
        """
        if data is None:
            self.complete = True
            return
        if self.max_form_memory_size is not None and len(self.buffer) + len(data) > self.max_form_memory_size:
            raise RequestEntityTooLarge()
        self.buffer += data

    def next_event(self) -> Event:
        """Return the next event.

        Raises:
            ValueError: The body is malformed, or ended too early.
            RequestEntityTooLarge: There are too many parts.
        """
        step = self._STEPS.get(self.state)
        event = NEED_DATA if step is None else step(self)
        if self.complete and event is NEED_DATA:
            raise ValueError(f"Invalid form-data cannot parse beyond {self.state}")
        return event

    def _after_delimiter(self, found: re.Match[bytes]) -> None:
        self.state = State.EPILOGUE if found.group(1).startswith(b"--") else State.PART
        self._search_position = 0

    def _preamble(self) -> Event:
        found = self.preamble_re.search(self.buffer, self._search_position)
        if found is None:
            self._search_position = max(0, len(self.buffer) - len(self.boundary) - SEARCH_EXTRA_LENGTH)
            return NEED_DATA
        event = Preamble(bytes(self.buffer[: found.start()]))
        self._after_delimiter(found)
        del self.buffer[: found.end()]
        return event

    def _part(self) -> Event:
        found = BLANK_LINE_RE.search(self.buffer, self._search_position)
        if found is None:
            self._search_position = max(0, len(self.buffer) - SEARCH_EXTRA_LENGTH)
            return NEED_DATA
        headers = self._parse_headers(self.buffer[: found.start()])
        # Half of the blank line stays: it is the line break that a delimiter right behind an empty part needs.
        del self.buffer[: (found.start() + found.end()) // 2]
        if "content-disposition" not in headers:
            raise ValueError("Missing Content-Disposition header")
        self._parts_decoded += 1
        if self.max_parts is not None and self._parts_decoded > self.max_parts:
            raise RequestEntityTooLarge()
        params = parse_options_header(headers["content-disposition"])[1]
        name = t.cast(str, params.get("name"))
        self.state = State.DATA_START
        self._search_position = 0
        if "filename" in params:
            return File(name=name, filename=params["filename"], headers=headers)
        return Field(name=name, headers=headers)

    def _data_start(self) -> Event:
        found = LINE_BREAK_RE.match(self.buffer)
        self.state = State.DATA
        return self._data(0 if found is None else found.end(), first=True)

    def _data(self, start: int = 0, first: bool = False) -> Event:
        buffer = self.buffer
        found = self.boundary_re.search(buffer) if self._delimiter in buffer else None
        if found is None:
            end = consumed = self._last_partial_boundary_index(start)
        else:
            end, consumed = found.start(), found.end()
            self._after_delimiter(found)
        piece = bytes(buffer[start:end])
        del buffer[:consumed]
        if piece or first or found is not None:
            return Data(data=piece, more_data=found is None)
        return NEED_DATA

    def _epilogue(self) -> Event:
        if not self.complete:
            return NEED_DATA
        event = Epilogue(bytes(self.buffer))
        self.buffer.clear()
        self.state = State.COMPLETE
        return event

    _STEPS: t.ClassVar[dict[State, t.Callable[[MultipartDecoder], Event]]] = {
        State.PREAMBLE: _preamble,
        State.PART: _part,
        State.DATA_START: _data_start,
        State.DATA: _data,
        State.EPILOGUE: _epilogue,
    }

    def _parse_headers(self, data: bytes | bytearray) -> Headers:
        fields: list[tuple[str, str]] = []
        for line in HEADER_CONTINUATION_RE.sub(b" ", data).splitlines():
            text = line.strip(b" \t").decode()
            if text:
                name, _, value = text.partition(":")
                fields.append((name.strip(" \t"), value.strip(" \t")))
        return Headers._of_fields(fields)

    def _last_partial_boundary_index(self, start: int) -> int:
        """Return where in the buffer a delimiter may begin that has not fully arrived: at one of its last line breaks.

        A line break further from the end than a delimiter's length cannot begin one: it would have been found.
        """
        buffer = self.buffer
        size = len(buffer)
        earliest = max(start, size - len(self._delimiter) - 2)
        # The last of each kind is enough: within a delimiter there is no other line break before its boundary.
        spots = [spot for spot in (buffer.rfind(b"\n", earliest), buffer.rfind(b"\r", earliest)) if spot >= 0]
        return min(spots, default=size)


class MultipartEncoder:
    """Encodes events into a body.

    Args:
        boundary: The boundary; the caller makes sure that no part contains it.

    Compatible with: werkzeug.sansio.multipart.MultipartEncoder (3.1)
    """

    def __init__(self, boundary: bytes) -> None:
        self.boundary = boundary
        self.state = State.PREAMBLE

    def send_event(self, event: Event) -> bytes:
        """Return the bytes of an event.

        Raises:
            ValueError: The event cannot come at this point.
        """
        state = self.state
        if isinstance(event, Epilogue):
            self.state = State.COMPLETE
            return b"\r\n--%b--\r\n%b" % (self.boundary, event.data)
        if isinstance(event, Preamble) and state is State.PREAMBLE:
            self.state = State.PART
            return event.data
        if isinstance(event, (Field, File)) and state in (State.PREAMBLE, State.PART, State.DATA):
            self.state = State.DATA_START
            return self._head(event)
        if isinstance(event, Data) and state is State.DATA_START:
            self.state = State.DATA
            return b"\r\n" + event.data if event.data else b""
        if isinstance(event, Data) and state is State.DATA:
            return event.data
        raise ValueError(f"Cannot generate {event} in state: {state}")

    def _head(self, event: Field | File) -> bytes:
        filename = f'; filename="{event.filename}"' if isinstance(event, File) else ""
        lines = [f'Content-Disposition: form-data; name="{event.name}"{filename}\r\n']
        lines += [
            f"{name}: {value}\r\n" for name, value in event.headers if name.lower() != "content-disposition"
        ]
        return b"\r\n--%b\r\n%b" % (self.boundary, "".join(lines).encode())
