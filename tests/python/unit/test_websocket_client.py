"""The test client's WebSockets, and what the socket objects say of themselves."""

from __future__ import annotations

import time
from socket import socketpair

import pytest

from bustapi import BustAPI, WebSocketDisconnect, request, session
from bustapi.kernel.websocket import may_connect
from bustapi.serve.served_connection import Dialled
from bustapi.testing import HandshakeRefused, SocketClient, TestClient


@pytest.fixture
def app() -> BustAPI:
    app = BustAPI(__name__)
    app.secret_key = "of the tests"

    @app.websocket("/echo")
    async def echo(ws):
        async for message in ws:
            await ws.send(message)

    @app.websocket("/visits")
    def visits(ws):
        session["visits"] = session.get("visits", 0) + 1
        ws.accept()
        ws.send_json({"visits": session["visits"], "host": request.host, "state": ws.state})
        ws.receive()

    @app.get("/visits")
    def count():
        return {"visits": session.get("visits", 0)}

    @app.websocket("/refused")
    async def refused(ws):
        return {"no": True}, 402

    @app.websocket("/bye", subprotocols=["bye"])
    async def bye(ws):
        await ws.accept()
        await ws.close(4000, "bye")

    return app


def test_messages_of_every_kind_and_size(app):
    with app.test_client().websocket("/echo") as ws:
        for text in ("", "hello", "€" * 200, "x" * 70_000):
            ws.send(text)
            assert ws.receive_text() == text
        for data in (b"", b"hello", bytes(200), bytes(70_000)):
            ws.send_bytes(data)
            assert ws.receive_bytes() == data
        ws.ping(b"are you there?")
        ws.send_json([1, 2])
        assert ws.receive_json() == [1, 2]
        with pytest.raises(TimeoutError):
            ws.receive(timeout=0.05)


@pytest.fixture
def pair():
    """A client whose server's end is in the test's own hands, and that end."""
    ours, theirs = socketpair()
    client = SocketClient(Dialled(None, False, "/", "localhost", {}, list, 5.0))
    client._socket, client._opened = ours, True
    with ours, theirs:
        yield client, theirs


@pytest.mark.parametrize(
    ("size", "length"),
    [
        (1, b"\x01"),
        (125, b"\x7d"),
        (126, b"\x7e\x00\x7e"),
        (65_535, b"\x7e\xff\xff"),
        (65_536, b"\x7f\x00\x00\x00\x00\x00\x01\x00\x00"),
    ],
)
def test_a_wait_that_ends_within_a_message_loses_nothing_of_it(pair, size, length):
    client, server = pair
    # In two frames, and between them a pong.
    rest = b"\x02" + length + b"x" * size + b"\x8a\x00" + b"\x80\x01y"
    while rest:
        with pytest.raises(TimeoutError):
            client.receive(timeout=0)
        # Byte by byte where the lengths are, else no more than any system takes at once.
        cut = 4096 if 4096 < len(rest) <= size else 1
        server.sendall(rest[:cut])
        rest = rest[cut:]
    assert client.receive(timeout=0) == b"x" * size + b"y"
    with pytest.raises(TimeoutError):
        client.receive(timeout=-1)


def test_what_has_arrived_is_received_without_waiting(app):
    with app.test_client().websocket("/echo") as ws:
        ws.send("hello")
        deadline = time.monotonic() + 10
        while True:
            try:
                assert ws.receive(timeout=0) == "hello"
            except TimeoutError:
                assert time.monotonic() < deadline
                time.sleep(0.01)
            else:
                break


@pytest.mark.parametrize(
    ("misuse", "error", "said"),
    [
        (lambda ws: ws.send(5), TypeError, "int"),
        (lambda ws: ws.send([1, 2]), TypeError, "list"),
        (lambda ws: ws.send(None), TypeError, "None"),
        (lambda ws: ws.send_bytes(3), TypeError, "int"),
        (lambda ws: ws.send_bytes("x"), TypeError, "str"),
        (lambda ws: ws.send_text(b"x"), TypeError, "bytes"),
        (lambda ws: ws.ping(bytes(126)), ValueError, "125"),
        (lambda ws: ws.close(99999), ValueError, "99999 is not a close code"),
        (lambda ws: ws.close(1005), ValueError, "1005 is not a close code"),
        (lambda ws: ws.close(1000, "x" * 124), ValueError, "longer than 123"),
    ],
)
def test_what_cannot_be_sent_is_refused_and_harms_nothing(app, misuse, error, said):
    with app.test_client().websocket("/echo") as ws:
        with pytest.raises(error, match=said):
            misuse(ws)
        ws.send(memoryview(b"still open"))
        assert ws.receive() == b"still open"


def test_a_websocket_is_used_within_its_block(app):
    ws = app.test_client().websocket("/echo")
    for use in (lambda: ws.send("x"), ws.ping, ws.receive, lambda: next(ws)):
        with pytest.raises(RuntimeError, match="with"):
            use()
    with ws:
        pass
    with pytest.raises(WebSocketDisconnect):
        ws.send("late")


def test_cookies_are_those_of_the_client(app):
    client = app.test_client()
    for number in (1, 2):
        with client.websocket("/visits") as ws:
            assert ws.receive_json() == {"visits": number, "host": "localhost", "state": "open"}
    assert client.get("/visits").json == {"visits": 2}


def test_a_refused_handshake_is_raised_with_its_answer(app):
    with pytest.raises(HandshakeRefused) as caught, app.test_client().websocket("/refused"):
        pass
    assert (caught.value.status_code, caught.value.json) == (402, {"no": True})
    headers = {"Origin": "http://evil.example"}
    with (
        pytest.raises(HandshakeRefused) as caught,
        app.test_client().websocket("/echo", headers=headers),
    ):
        pass
    assert caught.value.status_code == 403


def test_the_servers_close_is_seen(app):
    with app.test_client().websocket("/bye", subprotocols=["hello", "bye"]) as ws:
        assert ws.subprotocol == "bye"
        with pytest.raises(WebSocketDisconnect) as caught:
            ws.receive()
        assert str(caught.value) == "WebSocket closed with 4000: bye"
        assert (ws.close_code, ws.close_reason) == (4000, "bye")
        assert list(ws) == []
        with pytest.raises(WebSocketDisconnect):
            ws.send("late")


def test_a_subprotocol_may_be_named_alone(app):
    with app.test_client().websocket("/bye", subprotocols="bye") as ws:
        assert ws.subprotocol == "bye"


def test_a_served_client_uses_its_own_server(app):
    with TestClient(app, served=True) as client:
        for _ in range(2):
            with client.websocket("/echo") as ws:
                ws.send("x")
                assert ws.receive() == "x"
        assert client.get("/visits").json == {"visits": 0}
    with pytest.raises(RuntimeError):
        client.websocket("/echo")


def test_plain_requests_to_a_websocket_are_mismatches(app):
    assert app.test_client().get("/echo").status_code == 400


def test_urls_of_websockets_are_whole(app):
    from bustapi import url_for

    with app.test_request_context():
        assert url_for("echo") == "ws://localhost/echo"


@pytest.mark.parametrize(
    ("origin", "host", "allowed", "expected"),
    [
        (None, "example.com", None, True),
        ("https://example.com", "example.com", None, True),
        ("https://EXAMPLE.com", "example.com:443", None, True),
        ("http://example.com:8080", "example.com:8080", None, True),
        ("http://example.com:8080", "example.com:8081", None, False),
        ("http://sub.example.com", "example.com", None, False),
        ("http://example.com.evil", "example.com", None, False),
        ("ftp://example.com", "example.com", None, False),
        ("null", "example.com", None, False),
        ("", "", None, False),
        ("http://", "", None, False),
        ("https://app.example.com", "example.com", ["https://app.example.com/"], True),
        ("http://app.example.com", "example.com", "https://app.example.com", False),
        ("http://any.example", "example.com", "*", True),
    ],
)
def test_origins(origin, host, allowed, expected):
    assert may_connect(origin, host, allowed) is expected
