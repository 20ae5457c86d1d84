"""The server over real sockets, with clients that share no code with it."""

from __future__ import annotations

import http.client
import json
import socket
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from .servers import Served, read_all, read_until, serving

APP = """
    import contextvars
    import decimal
    import sys

    from bustapi import BustAPI, Response, abort, g, jsonify, redirect, request, url_for

    app = BustAPI(__name__)
    seen = contextvars.ContextVar("seen", default=None)

    @app.get("/json")
    def get_json():
        return {"message": "Hello, World!"}

    @app.route("/text")
    def text():
        return "plain"

    @app.get("/bytes")
    def raw():
        return b"raw"

    @app.get("/tuple")
    def pair():
        return {"made": True}, 201, {"X-Made": "yes"}

    @app.get("/list")
    def items():
        return [1, 2, 3], 202

    @app.get("/users/<int:user_id>")
    def user(user_id):
        return {"id": user_id}

    @app.get("/files/<path:name>")
    def files(name):
        return name

    @app.post("/echo")
    def echo():
        return Response(request.get_data(), mimetype="application/octet-stream")

    @app.post("/parse")
    def parse():
        return jsonify(request.get_json())

    @app.post("/buffer")
    def buffer():
        body = request.body
        view = memoryview(body)
        return {"length": len(view), "readonly": view.readonly, "text": bytes(view).decode()}

    @app.route("/form", methods=["POST"])
    def form():
        return {"form": request.form.to_dict(flat=False), "args": request.args.to_dict(flat=False)}

    @app.get("/context")
    def context():
        before = seen.get()
        seen.set("set by an earlier request")
        return {"before": before}

    @app.get("/boom")
    def boom():
        raise RuntimeError("secret internals")

    @app.get("/none")
    def none():
        return None

    @app.get("/unserialisable")
    def unserialisable():
        return {"value": object()}

    @app.get("/exit")
    def leave():
        sys.exit(3)

    @app.get("/interrupt")
    def interrupt():
        raise KeyboardInterrupt

    @app.get("/abort")
    def aborted():
        abort(418)

    @app.get("/redirect")
    def away():
        return redirect(url_for("user", user_id=7))

    @app.get("/generated")
    def generated():
        return Response((f"{i}," for i in range(1000)), mimetype="text/plain")

    @app.get("/breaks")
    def breaks():
        def parts():
            yield "begun"
            raise RuntimeError("in the middle")
        return Response(parts())

    @app.route("/known-length")
    def known_length():
        response = Response(["a", "bc"]) if "list" in request.args else Response(part for part in ("a", "bc"))
        response.call_on_close(lambda: None)
        response.make_sequence()
        return response

    @app.get("/number")
    def number():
        def parts():
            yield "begun"
            yield 5
        return Response(parts())

    @app.get("/number-async")
    async def number_async():
        async def parts():
            yield "begun"
            yield 5
        return Response(parts())

    @app.get("/split")
    def split():
        response = Response("x")
        response.headers["X-Injected"] = "a\\r\\nSet-Cookie: stolen=1"
        return response

    @app.get("/large")
    def large():
        return b"x" * 3_000_000

    @app.get("/slash/")
    def slash():
        return "slash"

    @app.get("/info")
    def info():
        return {
            "method": request.method, "path": request.path, "full_path": request.full_path, "url": request.url,
            "base_url": request.base_url, "host": request.host, "scheme": request.scheme,
            "query": request.query_string.decode(), "remote": request.remote_addr, "endpoint": request.endpoint,
            "rule": str(request.url_rule), "args": request.args.getlist("a"), "cookie": request.cookies.get("c"),
            "header": request.headers.get("X-Thing"), "all": request.headers.getlist("X-Twice"),
        }

    @app.errorhandler(ZeroDivisionError)
    def divided(error):
        return {"error": "division"}, 422

    @app.get("/divide")
    def divide():
        return 1 // 0
"""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("http"), APP) as served:
        yield served


def get(
    served: Served, path: str, method: str = "GET", body: bytes | None = None, **headers: str
) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=10)
    try:
        connection.request(method, path, body, {k.replace("_", "-"): v for k, v in headers.items()})
        response = connection.getresponse()
        return response.status, {k.lower(): v for k, v in response.getheaders()}, response.read()
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("path", "status", "content_type", "body"),
    [
        ("/json", 200, "application/json", b'{"message":"Hello, World!"}\n'),
        ("/text", 200, "text/html; charset=utf-8", b"plain"),
        ("/bytes", 200, "text/html; charset=utf-8", b"raw"),
        ("/tuple", 201, "application/json", b'{"made":true}\n'),
        ("/list", 202, "application/json", b"[1,2,3]\n"),
        ("/users/42", 200, "application/json", b'{"id":42}\n'),
        ("/files/a/b%20c", 200, "text/html; charset=utf-8", b"a/b c"),
        ("/divide", 422, "application/json", b'{"error":"division"}\n'),
    ],
)
def test_a_return_value_becomes_the_response_flask_makes(
    served: Served, path: str, status: int, content_type: str, body: bytes
) -> None:
    got_status, headers, got_body = get(served, path)
    assert (got_status, headers["content-type"], got_body) == (status, content_type, body)
    assert headers["content-length"] == str(len(body))
    assert "date" in headers


def test_json_goes_in_and_out(served: Served) -> None:
    document = {"name": "Ada", "tags": ["x", "ü", "\N{GRINNING FACE}"], "n": 1.5, "deep": {"none": None}}
    status, _, body = get(
        served, "/parse", "POST", json.dumps(document).encode(), Content_Type="application/json"
    )
    assert status == 200
    assert json.loads(body) == document


def test_invalid_json_is_a_400_and_a_wrong_type_a_415(served: Served) -> None:
    status, _, body = get(served, "/parse", "POST", b"{nope", Content_Type="application/json")
    assert status == 400
    assert b"could not understand" in body
    assert get(served, "/parse", "POST", b"{}", Content_Type="text/plain")[0] == 415


def test_the_body_is_a_read_only_buffer(served: Served) -> None:
    _, _, body = get(served, "/buffer", "POST", b"some bytes")
    assert json.loads(body) == {"length": 10, "readonly": True, "text": "some bytes"}


def test_forms_and_queries_keep_repeated_values(served: Served) -> None:
    _, _, body = get(
        served,
        "/form?a=1&a=2&b=%C3%BC",
        "POST",
        b"x=1&x=2&y=+z",
        Content_Type="application/x-www-form-urlencoded",
    )
    assert json.loads(body) == {"form": {"x": ["1", "2"], "y": [" z"]}, "args": {"a": ["1", "2"], "b": ["ü"]}}


def test_a_chunked_body_arrives_whole(served: Served) -> None:
    raw = (
        b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
        b"4\r\nWiki\r\n6;ext=1\r\npedia \r\nd\r\nin\r\nchunks.\r\n\r\n0\r\nX-Trailer: y\r\n\r\n"
    )
    assert served.send(raw).endswith(b"\r\n\r\nWikipedia in\r\nchunks.\r\n")


def test_pipelined_requests_are_answered_in_order_and_in_one_write(served: Served) -> None:
    with served.connect() as sock:
        sock.sendall(b"".join(b"GET /users/%d HTTP/1.1\r\nHost: a\r\n\r\n" % i for i in range(16)))
        got = b""
        while got.count(b"HTTP/1.1 200 OK") < 16 or not got.endswith(b'{"id":15}\n'):
            part = sock.recv(65536)
            assert part, "the server closed"
            got += part
    bodies = list(got.split(b"\r\n\r\n")[1:])
    assert [body.split(b"\n")[0] for body in bodies] == [b'{"id":%d}' % i for i in range(16)]


def test_head_has_the_length_and_no_body(served: Served) -> None:
    answer = served.send(b"HEAD /json HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"Content-Length: 28" in head
    assert body == b""


def test_options_and_405_name_the_methods(served: Served) -> None:
    status, headers, _ = get(served, "/json", "OPTIONS")
    assert status == 200
    assert {m.strip() for m in headers["allow"].split(",")} == {"GET", "HEAD", "OPTIONS"}
    status, headers, _ = get(served, "/json", "POST")
    assert status == 405
    assert {m.strip() for m in headers["allow"].split(",")} == {"GET", "HEAD", "OPTIONS"}


def test_what_is_not_there_is_a_404_with_flasks_page(served: Served) -> None:
    status, headers, body = get(served, "/missing")
    assert status == 404
    assert headers["content-type"] == "text/html; charset=utf-8"
    assert body.startswith(
        b"<!doctype html>\n<html lang=en>\n<title>404 Not Found</title>\n<h1>Not Found</h1>"
    )


def test_a_missing_slash_redirects(served: Served) -> None:
    status, headers, _ = get(served, "/slash?x=1")
    assert status == 308
    assert headers["location"].endswith("/slash/?x=1")


def test_redirect_and_abort(served: Served) -> None:
    status, headers, _ = get(served, "/redirect")
    assert (status, headers["location"]) == (302, "/users/7")
    assert get(served, "/abort")[0] == 418


def test_a_view_sees_the_request_as_flask_shows_it(served: Served) -> None:
    raw = (
        b"GET /info?a=1&a=%32 HTTP/1.1\r\nHost: example.test:81\r\nCookie: c=v\r\nX-Thing: one\r\n"
        b"x-twice: 1\r\nX-TWICE: 2\r\nConnection: close\r\n\r\n"
    )
    info = json.loads(served.send(raw).partition(b"\r\n\r\n")[2])
    assert info == {
        "method": "GET", "path": "/info", "full_path": "/info?a=1&a=%32", "url": "http://example.test:81/info?a=1&a=2",
        "base_url": "http://example.test:81/info", "host": "example.test:81", "scheme": "http", "query": "a=1&a=%32",
        "remote": "127.0.0.1", "endpoint": "info", "rule": "/info", "args": ["1", "2"], "cookie": "v",
        "header": "one", "all": info["all"],
    }  # fmt: skip


def test_a_context_variable_is_not_seen_by_the_next_request(served: Served) -> None:
    with served.connect() as sock:
        for _ in range(3):
            sock.sendall(b"GET /context HTTP/1.1\r\nHost: a\r\n\r\n")
            assert read_until(sock, b"}\n").endswith(b'{"before":null}\n')


@pytest.mark.parametrize("path", ["/boom", "/none", "/unserialisable", "/exit", "/interrupt", "/split"])
def test_a_failing_view_is_a_500_without_internals_and_the_connection_lives(
    served: Served, path: str
) -> None:
    with served.connect() as sock:
        sock.sendall(b"GET %s HTTP/1.1\r\nHost: a\r\n\r\n" % path.encode())
        answer = read_until(sock, b"</p>\n")
        assert answer.startswith(b"HTTP/1.1 500 ")
        for leak in (b"secret", b"Traceback", b"served_app", b"stolen"):
            assert leak not in answer
        sock.sendall(b"GET /text HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        assert read_all(sock).endswith(b"plain")


def test_the_log_names_the_view_that_returned_nothing(served: Served) -> None:
    get(served, "/none")
    served.wait_for(r"none")
    served.wait_for(r"served_app\.py")
    get(served, "/boom")
    served.wait_for("secret internals")


def test_a_generator_is_streamed_in_chunks(served: Served) -> None:
    status, headers, body = get(served, "/generated")
    assert (status, headers["transfer-encoding"]) == (200, "chunked")
    assert body == "".join(f"{i}," for i in range(1000)).encode()


@pytest.mark.parametrize("query", ["", "?list"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_body_of_known_length_is_sent_with_it(served: Served, query: str, method: str) -> None:
    status, headers, body = get(served, f"/known-length{query}", method)
    assert (status, headers["content-length"], body) == (200, "3", b"abc" if method == "GET" else b"")
    assert "transfer-encoding" not in headers


@pytest.mark.parametrize("path", ["/breaks", "/number", "/number-async"])
def test_an_error_in_the_middle_of_a_stream_is_visible(served: Served, path: str) -> None:
    answer = served.send(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
    assert b"begun" in answer
    # A number of zeros is not what `yield 5` means.
    assert b"\0" not in answer
    assert not answer.endswith(b"0\r\n\r\n")
    with pytest.raises((http.client.IncompleteRead, ConnectionError, http.client.RemoteDisconnected)):
        get(served, path)
    served.wait_for(f"generating the body of GET {path} failed")


def test_a_large_answer_reaches_a_slow_reader_whole(served: Served) -> None:
    with served.connect() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        sock.sendall(b"GET /large HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        time.sleep(0.2)
        body = read_all(sock).partition(b"\r\n\r\n")[2]
    assert body == b"x" * 3_000_000


def test_a_large_upload_is_echoed(served: Served) -> None:
    payload = bytes(range(256)) * 20_000
    assert get(served, "/echo", "POST", payload)[2] == payload


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GARBAGE\r\n\r\n", 400),
        (b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: a\x00b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\nHost: a\n\n", 400),
        (
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            400,
        ),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\na", 400),
        (b"GET / HTTP/2.7\r\nHost: a\r\n\r\n", 505),
        (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 70_000 + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 101 + b"\r\n", 431),
    ],
)
def test_a_malformed_request_is_refused_and_the_connection_closed(
    served: Served, raw: bytes, status: int
) -> None:
    answer = served.send(raw + b"GET /text HTTP/1.1\r\nHost: a\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 %d " % status), answer[:80]
    assert answer.count(b"HTTP/1.1 ") == 1


def test_a_truncated_body_calls_no_view(served: Served) -> None:
    assert served.send(b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc") == b""


def test_expect_continue_is_answered_before_the_body(served: Served) -> None:
    with served.connect() as sock:
        sock.sendall(b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n")
        assert read_until(sock, b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        sock.sendall(b"abc")
        assert read_until(sock, b"abc").startswith(b"HTTP/1.1 200 OK")


def test_many_clients_at_once(served: Served) -> None:
    failures: list[object] = []

    def client(number: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=20)
        for i in range(50):
            connection.request("GET", f"/users/{number * 1000 + i}")
            body = json.loads(connection.getresponse().read())
            if body != {"id": number * 1000 + i}:
                failures.append(body)
        connection.close()

    threads = [threading.Thread(target=client, args=(n,)) for n in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert not failures


def test_a_declared_body_over_the_limit_is_refused_before_it_is_read(tmp_path: Path) -> None:
    with serving(tmp_path, APP, run="max_body=1000") as served:
        with served.connect() as sock:
            sock.sendall(b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1001\r\n\r\n")
            assert read_all(sock).startswith(b"HTTP/1.1 413 ")
        chunked = (
            b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
            + b"100\r\n"
            + b"a" * 256
            + b"\r\n"
        )
        assert served.send(chunked + (b"100\r\n" + b"a" * 256 + b"\r\n") * 4 + b"0\r\n\r\n").startswith(
            b"HTTP/1.1 413 "
        )
        assert get(served, "/echo", "POST", b"a" * 1000)[2] == b"a" * 1000


def test_heads_that_declare_much_cost_little(tmp_path: Path) -> None:
    # prctl(PR_SET_THP_DISABLE): huge pages come when the system has time for them, and would be what is measured.
    small_pages = "import ctypes\nctypes.CDLL(None).prctl(41, 1, 0, 0, 0)\n"
    with serving(tmp_path, small_pages + textwrap.dedent(APP)) as served:

        def memory() -> int:
            return int(Path(f"/proc/{served.process.pid}/statm").read_text().split()[1]) * 4096

        def hold(count: int) -> list[socket.socket]:
            held = []
            for _ in range(count):
                sock = served.connect()
                sock.sendall(b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 16777216\r\n\r\n")
                held.append(sock)
            time.sleep(0.3)
            return held

        # What the first connections make room for once (in huge pages) is not what a connection costs.
        held = hold(250)
        before = memory()
        held += hold(500)
        used = memory() - before
        for sock in held:
            sock.close()
        assert used < 500 * 5_000 + 2_097_152
