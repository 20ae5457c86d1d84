"""Streams of server-sent events as responses."""

from __future__ import annotations

import typing as t

from ..kernel.events import Event, encode
from .globals import current_app, request
from .json import dumps
from .wrappers import Response

if t.TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator

    from ..werkzeug.sansio.response import Fields

_BEAT = encode(comment="")


def sse(
    data: t.Any = None,
    *,
    event: str | None = None,
    id: str | int | None = None,
    retry: int | None = None,
    comment: str | None = None,
) -> Event:
    """Make one event of a stream.

    Args:
        data: A `str` is sent as it is, with any number of lines; anything else as JSON. Without data a client takes
            notice of the other fields and of no event.
        event: Its type; a browser's `EventSource` gives it to the listeners of that type, and without one to `onmessage`.
        id: What a client that comes back sends as `Last-Event-ID`; see `last_event_id`.
        retry: Milliseconds after which a client that lost its connection comes back.
        comment: Text that clients drop.

    Returns:
        The event as bytes, for an `EventStream`.

    Raises:
        ValueError: The type or the id does not fit into a line, or `retry` is no number of milliseconds.

    Compatible with: BustAPI only.
    """
    text = data if data is None or isinstance(data, str) else dumps(data)
    return encode(text, event, id, retry, comment)


def last_event_id() -> str | None:
    """Return the id of the last event that the client of this request has seen; None if it begins anew.

    Compatible with: BustAPI only.
    """
    value = request.headers.get("Last-Event-ID")
    return None if value is None else value.encode("latin-1", "replace").decode("utf-8", "replace")


class EventStream(Response):
    """A response that is a stream of server-sent events, for a browser's `EventSource` among others.

    Each item is an event: what `sse` returns, or its data (`str` as it is, anything else as JSON); None is a comment.
    Where nothing was sent for `heartbeat` seconds the server sends a comment by itself, so that proxies keep the
    connection and a client that has gone is noticed. A server that stops ends the stream, and clients come back.

    Args:
        events: A generator or an async one, or any iterable. It is closed when the client goes. An async one costs no
            thread; a plain one holds a thread of the pool while it waits.
        heartbeat: Seconds of silence; 0 for no comments.
        retry: Milliseconds after which a client that lost its connection comes back.
        status: The status.
        headers: Further header fields.

    Raises:
        ValueError: `heartbeat` is negative.

    Compatible with: BustAPI only.
    """

    default_mimetype = "text/event-stream"

    def __init__(
        self,
        events: Iterable[t.Any] | AsyncIterable[t.Any],
        *,
        heartbeat: float = 15.0,
        retry: int | None = None,
        status: int = 200,
        headers: Fields | None = None,
    ) -> None:
        if not heartbeat >= 0:
            raise ValueError("heartbeat is a number of seconds, not negative")
        #: Seconds of silence after which the server sends a comment; 0 for never.
        self.heartbeat = heartbeat
        # The client's rhythm, and something that is sent at once: it says that the stream is open.
        first = encode(retry=retry) if retry is not None else _BEAT
        provider = current_app.json if current_app else None
        pieces: t.Any
        if hasattr(events, "__aiter__"):
            pieces = _each_async(t.cast("AsyncIterable[t.Any]", events), first, provider)
        else:
            pieces = _each(events, first, provider)
        super().__init__(pieces, status, headers, "text/event-stream")
        # A cache or a proxy that collects answers would hold events back.
        self.headers.setdefault("Cache-Control", "no-cache")
        self.headers.setdefault("X-Accel-Buffering", "no")


def _piece(item: t.Any, provider: t.Any) -> bytes:
    if type(item) is Event:
        return item
    if item is None:
        return _BEAT
    if isinstance(item, str):
        return encode(item)
    return encode(dumps(item) if provider is None else provider.dumps(item))


def _each(events: Iterable[t.Any], first: bytes, provider: t.Any) -> Iterator[bytes]:
    try:
        yield first
        for item in events:
            yield _piece(item, provider)
    finally:
        close = getattr(events, "close", None)
        if close is not None:
            close()


async def _each_async(events: AsyncIterable[t.Any], first: bytes, provider: t.Any) -> AsyncIterator[bytes]:
    try:
        yield first
        async for item in events:
            yield _piece(item, provider)
    finally:
        aclose = getattr(events, "aclose", None)
        if aclose is not None:
            await aclose()
