"""Server-sent events as text, read back as the standard says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bustapi import BustAPI, EventStream, last_event_id, sse
from bustapi.testing import Events


def events(*items: bytes) -> list[tuple[str, str, str]]:
    """Type, data and last id of each event that a client dispatches."""
    return [(event.type, event.data, event.id) for event in Events(iter(items))]


def test_an_event_has_its_fields_in_lines_of_their_own() -> None:
    whole = sse("text", event="news", id=7, retry=1500, comment="why")
    assert whole == b": why\nevent: news\nid: 7\nretry: 1500\ndata: text\n\n"
    assert sse({"a": 1}) == b'data: {"a": 1}\n\n'
    assert sse() == b""


@pytest.mark.parametrize("end", ["\n", "\r", "\r\n"])
def test_every_line_of_the_data_is_one_of_the_event(end: str) -> None:
    assert sse(f"a{end}{end}b") == b"data: a\ndata: \ndata: b\n\n"
    assert sse(comment=f"a{end}data: b") == b": a\n: data: b\n\n"


@pytest.mark.parametrize("end", ["\n", "\r", "\r\n"])
def test_a_type_or_an_id_cannot_end_its_line(end: str) -> None:
    for wrong in (f"a{end}data: b", end):
        with pytest.raises(ValueError, match="single line"):
            sse("x", event=wrong)
        with pytest.raises(ValueError, match="single line"):
            sse("x", id=wrong)


def test_what_clients_would_not_take_is_refused() -> None:
    with pytest.raises(ValueError, match="NUL"):
        sse("x", id="a\0b")
    for wrong in (-1, True, 1.5):
        with pytest.raises(ValueError, match="milliseconds"):
            sse("x", retry=wrong)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="heartbeat"):
        EventStream([], heartbeat=-1)


texts = st.text(st.characters(exclude_categories=["Cs"]))
lines = texts.filter(lambda text: not set(text) & set("\r\n\0"))


@given(texts, lines, lines, st.lists(st.integers(1, 40), max_size=6))
def test_what_was_sent_is_read_whatever_it_is(data: str, kind: str, id: str, cuts: list[int]) -> None:
    sent = sse(data, event=kind, id=id) + sse("after")
    pieces, at = [], 0
    for cut in cuts:
        pieces.append(sent[at : at + cut])
        at += cut
    pieces.append(sent[at:])
    plain = data.replace("\r\n", "\n").replace("\r", "\n")
    assert events(*pieces) == [(kind or "message", plain, id), ("message", "after", id)]


def test_streams_of_the_standards_examples() -> None:
    assert events(b"data: YHOO\ndata: +2\ndata: 10\n\n") == [("message", "YHOO\n+2\n10", "")]
    stream = b": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n"
    assert events(stream) == [
        ("message", "first event", "1"),
        ("message", "second event", ""),
        ("message", " third event", ""),
    ]
    assert events(b"data\n\ndata\ndata\n\ndata:") == [("message", "", ""), ("message", "\n", "")]
    assert events(b"\xef\xbb\xbfdata: a\r\r", b"id: b\0c\r\ndata: b\r\n\r\n") == [
        ("message", "a", ""),
        ("message", "b", ""),
    ]


def make() -> BustAPI:
    app = BustAPI(__name__)

    @app.get("/plain")
    def plain() -> EventStream:
        def each() -> Iterator[object]:
            yield "one\ntwo"
            yield None
            yield {"n": 2}
            yield sse("three", event="kind", id="ä")

        return EventStream(each(), retry=100)

    @app.get("/async")
    async def asynchronous() -> EventStream:
        async def each() -> AsyncIterator[object]:
            yield last_event_id()
            await asyncio.sleep(0)
            yield [1, 2]

        return EventStream(each(), headers={"X-Own": "1", "Cache-Control": "no-store"})

    return app


def test_a_stream_is_a_response() -> None:
    with make().test_client().get("/plain") as answer:
        assert answer.mimetype == "text/event-stream"
        assert (answer.headers["Cache-Control"], answer.headers["X-Accel-Buffering"]) == ("no-cache", "no")
        assert "Content-Length" not in answer.headers
        assert answer.get_data() == (
            b"retry: 100\n\ndata: one\ndata: two\n\n: \n\n"
            b'data: {"n": 2}\n\nevent: kind\nid: \xc3\xa4\ndata: three\n\n'
        )


def test_a_client_that_comes_back_says_what_it_saw() -> None:
    client = make().test_client()
    with client.events("/async", last_event_id="ä7") as stream:
        assert stream.response.headers["Cache-Control"] == "no-store"
        assert [event.data for event in stream] == ["ä7", "[1, 2]"]
    with client.events("/plain") as stream:
        assert [(event.type, event.data) for event in stream][-1] == ("kind", "three")
        assert (stream.last_event_id, stream.retry) == ("ä", 100)
