"""Every method of a view's WebSocket, of the coroutine functions' one and of the plain functions'."""

from __future__ import annotations

from typing import Any, Callable

import pytest

from bustapi import BustAPI, WebSocketDisconnect
from bustapi.kernel.websocket import SocketView


def told(error: BaseException) -> list[str]:
    return [type(error).__name__, str(error)]


async def collect(iterator: Any) -> list[Any]:
    return [one async for one in iterator]


def misuses(ws: Any) -> list[Callable[[], Any]]:
    return [
        lambda: ws.send_text(b"x"),
        lambda: ws.send_bytes("x"),
        lambda: ws.accept(),
        lambda: ws.close(1005),
        lambda: ws.close(1000, "x" * 200),
    ]


@pytest.fixture
def app() -> BustAPI:
    app = BustAPI(__name__)
    app.notes = []  # type: ignore[attr-defined]

    @app.websocket("/sync/kinds")
    def kinds(ws: Any) -> None:
        ws.send_text(ws.receive_text())
        ws.send_bytes(ws.receive_bytes())
        ws.send_json(ws.receive_json())

    @app.websocket("/async/kinds")
    async def kinds_later(ws: Any) -> None:
        await ws.send_text(await ws.receive_text())
        await ws.send_bytes(await ws.receive_bytes())
        await ws.send_json(await ws.receive_json())

    @app.websocket("/sync/iterate/<kind>")
    def iterate(ws: Any, kind: str) -> None:
        app.notes.append(list(getattr(ws, f"iter_{kind}")()))  # type: ignore[attr-defined]

    @app.websocket("/async/iterate/<kind>")
    async def iterate_later(ws: Any, kind: str) -> None:
        app.notes.append(await collect(getattr(ws, f"iter_{kind}")()))  # type: ignore[attr-defined]

    @app.websocket("/sync/misuse")
    def misuse(ws: Any) -> None:
        ws.ping(b"first")
        for call in misuses(ws):
            with pytest.raises((TypeError, RuntimeError, ValueError)) as caught:
                call()
            ws.send_json(told(caught.value))
        ws.send_json([ws.state, ws.closed, ws.compression, repr(ws)])
        ws.close(4000, "enough")
        app.notes += [ws.state, ws.closed, ws.close_code, ws.close_reason]  # type: ignore[attr-defined]
        for call in (lambda: ws.send("x"), lambda: ws.ping()):
            with pytest.raises(WebSocketDisconnect) as gone:
                call()
            app.notes.append(gone.value.code)  # type: ignore[attr-defined]

    @app.websocket("/async/misuse")
    async def misuse_later(ws: Any) -> None:
        await ws.ping(b"first")
        for call in misuses(ws):
            with pytest.raises((TypeError, RuntimeError, ValueError)) as caught:
                await call()
            await ws.send_json(told(caught.value))
        await ws.send_json([ws.state, ws.closed, ws.compression, repr(ws)])
        await ws.close(4000, "enough")
        app.notes += [ws.state, ws.closed, ws.close_code, ws.close_reason]  # type: ignore[attr-defined]
        for call in (lambda: ws.send("x"), lambda: ws.ping()):
            with pytest.raises(WebSocketDisconnect) as gone:
                await call()
            app.notes.append(gone.value.code)  # type: ignore[attr-defined]

    return app


def read_to_the_end(ws: Any) -> None:
    while True:
        ws.receive()


FLAVOURS = pytest.mark.parametrize("flavour", ["sync", "async"])


@FLAVOURS
def test_each_kind_of_message_has_its_methods(app: BustAPI, flavour: str) -> None:
    with app.test_client().websocket(f"/{flavour}/kinds") as ws:
        ws.send("text")
        assert ws.receive() == "text"
        ws.send(b"bytes")
        assert ws.receive() == b"bytes"
        ws.send_json({"a": 1})
        assert ws.receive_json() == {"a": 1}


@FLAVOURS
@pytest.mark.parametrize(
    ("sent", "code", "reason"),
    [
        ([b"x"], 1003, "a text was expected"),
        (["x", "y"], 1003, "bytes were expected"),
        (["x", b"y", "{"], 1007, "JSON was expected"),
    ],
)
def test_a_message_of_the_wrong_kind_ends_the_connection(
    app: BustAPI, flavour: str, sent: list[Any], code: int, reason: str
) -> None:
    with app.test_client().websocket(f"/{flavour}/kinds") as ws:
        for message in sent:
            ws.send(message)
        with pytest.raises(WebSocketDisconnect) as caught:
            read_to_the_end(ws)
    assert (caught.value.code, caught.value.reason) == (code, reason)


@FLAVOURS
@pytest.mark.parametrize(
    ("kind", "sent", "seen"),
    [("text", ["a", "b"], ["a", "b"]), ("bytes", [b"a"], [b"a"]), ("json", ["[1]", b"2"], [[1], 2])],
)
def test_messages_are_iterated_over_until_the_end(
    app: BustAPI, flavour: str, kind: str, sent: list[Any], seen: list[Any]
) -> None:
    with app.test_client().websocket(f"/{flavour}/iterate/{kind}") as ws:
        for message in sent:
            ws.send(message)
        ws.close()
    assert app.notes == [seen]  # type: ignore[attr-defined]


@FLAVOURS
def test_what_cannot_be_done_is_said(app: BustAPI, flavour: str) -> None:
    with app.test_client().websocket(f"/{flavour}/misuse") as ws:
        found = [ws.receive_json() for _ in range(6)]
        with pytest.raises(WebSocketDisconnect) as caught:
            ws.receive()
    assert [name for name, *_ in found[:5]] == [
        "TypeError",
        "TypeError",
        "RuntimeError",
        "ValueError",
        "ValueError",
    ]
    assert found[5][:3] == ["open", False, None]
    assert found[5][3].endswith(" open>")
    assert (caught.value.code, caught.value.reason) == (4000, "enough")
    assert app.notes[1:] == [True, 4000, "enough", 4000, 4000]  # type: ignore[attr-defined]


def test_two_registrations_of_one_view_are_equal() -> None:
    def view(ws: Any) -> None:
        return None

    one, other = SocketView(view, "http://a.example"), SocketView(view, ["http://a.example"])
    assert one == other
    assert hash(one) == hash(other)
    assert one != SocketView(view)
    assert one != view
