"""Streams of server-sent events over sockets, with the client for tests."""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections.abc import AsyncIterator, Iterator

import pytest

from bustapi import BustAPI, Channel, EventStream, request, sse
from bustapi.testing import TestClient

WAIT = 10.0


class Site:
    def __init__(self) -> None:
        self.app = BustAPI(__name__)
        self.closed: queue.Queue[str] = queue.Queue()
        self.go = threading.Event()
        self.began = threading.Event()
        self.numbers: Channel[int] = Channel()
        app = self.app

        @app.get("/plain")
        def plain() -> EventStream:
            def each() -> Iterator[object]:
                try:
                    self.began.set()
                    yield sse("first", id=1)
                    while not self.go.wait(0.05):
                        yield None
                    yield "last"
                finally:
                    self.closed.put("plain")

            return EventStream(each(), heartbeat=0)

        @app.get("/silent/<kind>")
        def silent(kind: str) -> EventStream:
            def each() -> Iterator[object]:
                try:
                    self.go.wait(WAIT)
                    yield "last"
                finally:
                    self.closed.put("silent")

            async def each_async() -> AsyncIterator[object]:
                try:
                    self.began.set()
                    while not self.go.is_set():
                        await asyncio.sleep(0.05)
                    yield "last"
                finally:
                    self.closed.put("silent")

            return EventStream(each() if kind == "plain" else each_async(), heartbeat=0.6)

        @app.get("/silent-task")
        async def silent_task() -> EventStream:
            return silent("async")

        @app.get("/numbers")
        async def numbers() -> EventStream:
            async def each() -> AsyncIterator[object]:
                try:
                    self.began.set()
                    with self.numbers.subscribe() as numbers:
                        yield {"ready": True}
                        async for number in numbers:
                            yield sse({"number": number}, id=number)
                finally:
                    self.closed.put("numbers")

            return EventStream(each(), heartbeat=0.6)

        @app.get("/broken")
        async def broken() -> EventStream:
            async def each() -> AsyncIterator[object]:
                yield "one"
                raise RuntimeError("no more")

            return EventStream(each())

        @app.post("/publish/<int:number>")
        async def publish(number: int) -> dict[str, int]:
            return {"to": self.numbers.publish(number)}

        @app.post("/upload", stream_body=True)
        async def upload() -> dict[str, object]:
            try:
                size = 0
                async for part in request.stream():
                    size += len(part)
                    self.began.set()
                return {"size": size}
            except Exception as error:
                self.closed.put(type(error).__name__)
                raise


@pytest.fixture
def site() -> Site:
    return Site()


@pytest.fixture
def client(site: Site) -> Iterator[TestClient]:
    with TestClient(site.app, served=True) as client:
        yield client
        site.go.set()


def test_events_come_one_by_one_from_a_generator(site: Site, client: TestClient) -> None:
    with client.events("/plain") as stream:
        assert stream.response.headers["Content-Type"].startswith("text/event-stream")
        first = next(stream)
        assert (first.data, first.id) == ("first", "1")
        assert not site.go.is_set()
        site.go.set()
        assert next(stream).data == "last"
        assert list(stream) == []
    assert site.closed.get(timeout=WAIT) == "plain"


def test_events_reach_every_client_of_a_channel(site: Site, client: TestClient) -> None:
    with client.events("/numbers") as one, client.events("/numbers") as other:
        assert next(one).data == next(other).data == '{"ready": true}'
        client.post("/publish/7")
        for stream in (one, other):
            event = next(stream)
            assert (event.data, event.id) == ('{"number": 7}', "7")


@pytest.mark.parametrize("path", ["/silent/plain", "/silent-task"])
def test_the_server_breaks_a_silence(site: Site, client: TestClient, path: str) -> None:
    with client.events(path) as stream:
        pieces = iter(stream.response)
        # The one that opens the stream, then those of the server.
        assert [next(pieces) for _ in range(3)] == [b": \n\n", b":\n\n", b":\n\n"]
        site.go.set()
        rest = b"".join(pieces)
        assert rest.endswith(b"data: last\n\n")


@pytest.mark.parametrize("reset", [True, False])
@pytest.mark.parametrize(
    ("path", "name"), [("/plain", "plain"), ("/silent-task", "silent"), ("/numbers", "numbers")]
)
def test_a_client_that_goes_ends_its_stream(
    site: Site, client: TestClient, path: str, name: str, reset: bool
) -> None:
    with client.events(path, timeout=WAIT) as stream:
        # The head comes before the first step of the generator, and closing one that never began runs none of its code.
        assert site.began.wait(WAIT)
        stream.disconnect(reset=reset)
        assert site.closed.get(timeout=WAIT) == name


def test_a_generator_that_fails_does_not_look_complete(client: TestClient) -> None:
    from http.client import HTTPException

    with client.events("/broken") as stream:
        assert next(stream).data == "one"
        with pytest.raises((HTTPException, OSError)):
            stream.response.read()


def test_a_server_that_stops_ends_its_streams(site: Site) -> None:
    client = TestClient(site.app, served=True)
    with client, client.events("/numbers") as stream:
        assert next(stream).data == '{"ready": true}'
        assert client.server is not None
        begun = time.monotonic()
        stopping = threading.Thread(target=client.server.stop, kwargs={"drain": True})
        stopping.start()
        assert list(stream) == []
        stopping.join(WAIT)
        assert not stopping.is_alive()
        assert time.monotonic() - begun < WAIT
    assert site.closed.get(timeout=WAIT) == "numbers"


def test_a_body_is_sent_piece_by_piece(site: Site, client: TestClient) -> None:
    with client.stream("/upload", method="POST") as upload:
        for _ in range(3):
            upload.send(b"x" * 100_000)
        upload.end()
        assert (upload.status_code, upload.json) == (200, {"size": 300_000})
    with client.stream("/upload", method="POST", headers={"Content-Length": "5000000"}) as upload:
        site.began.clear()
        upload.send(b"x" * 1000)
        # A reset takes with it what the server has not read.
        assert site.began.wait(WAIT)
        upload.disconnect()
        assert site.closed.get(timeout=WAIT) == "ClientDisconnected"
