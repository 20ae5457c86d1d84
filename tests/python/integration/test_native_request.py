"""Through a real socket: the request that the server holds says what one made of its environment says."""

from __future__ import annotations

import json
import socket
from typing import Any, Callable

import pytest

SOURCE = '''
import io
from bustapi import BustAPI, Response, request

app = BustAPI(__name__)
ATTRIBUTES = """
method scheme server root_path path query_string remote_addr full_path url base_url root_url url_root host_url host
script_root is_secure content_type mimetype mimetype_params content_length is_json args cookies access_route referrer
want_form_data_parsed if_match if_none_match accept_mimetypes accept_languages user_agent authorization range form
files values data
""".split()


def said(request):
    found = {name: repr(getattr(request, name)) for name in ATTRIBUTES if name != "files"}
    found["files"] = repr([(k, f.filename, f.content_type, f.read()) for k, f in request.files.items(multi=True)])
    found["values"] = repr(sorted(request.values.items(multi=True)))
    found["headers"] = repr(sorted(request.headers.items()))
    found["text"] = repr(request)
    found["bytes"] = repr(request.get_data())
    found["json"] = repr(request.get_json(silent=True))
    return found


@app.route("/same/", defaults={"path": ""}, methods=["GET", "POST", "PUT", "DELETE"])
@app.route("/same/<path:path>", methods=["GET", "POST", "PUT", "DELETE"])
def same(path):
    # A second request of the same state: an unusual path is routed with the first one's environment.
    native = type(request._get_current_object())._from_native(request._native)
    found = said(native)
    if "environ" in vars(native):
        return {"failure": "an environment was built"}
    environ = dict(native.environ)
    environ["wsgi.input"] = io.BytesIO(native._native.get_data())
    expected = said(type(native)(environ))
    return {key: [found[key], expected[key]] for key in found if found[key] != expected[key]}


@app.post("/json")
def parsed():
    value = request.get_json()
    return {"value": value, "size": len(memoryview(request.body)), "environ": "environ" in vars(request)}


@app.post("/limited")
def limited():
    request.max_content_length = 8
    return {"value": request.get_json()}


@app.post("/stream")
def stream():
    first = request.stream.read(2)
    return {"first": first.decode(), "rest": request.stream.read().decode(), "then": request.get_data(as_text=True)}


@app.get("/assigned")
def assigned():
    request.mine = 1
    request.args = {"replaced": "yes"}
    return {"mine": request.mine, "args": request.args}


app.run(port=PORT)
'''


@pytest.fixture
def ask(serve_source: Callable[..., Any]) -> Callable[[bytes], tuple[int, bytes]]:
    """Sends a raw request and returns status and body."""
    server = serve_source(SOURCE)

    def ask(raw: bytes) -> tuple[int, bytes]:
        connection: socket.socket = server.connect(timeout=10.0)
        with connection, connection.makefile("rb") as reader:
            connection.sendall(raw)
            status = int(reader.readline().split()[1])
            length = 0
            for line in iter(reader.readline, b"\r\n"):
                name, _, value = line.partition(b":")
                if name.lower() == b"content-length":
                    length = int(value)
            return status, reader.read(length)

    return ask


def post(path: str, body: bytes, kind: str = "application/json", chunked: bool = False) -> bytes:
    """The bytes of a POST request."""
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\n"
    if chunked:
        return f"{head}Transfer-Encoding: chunked\r\n\r\n{len(body):x}\r\n".encode() + body + b"\r\n0\r\n\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


HEADS = [
    b"GET /same/ HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET /same/?a=1&b=%C3%A9&a=&c&=d&e=x+y%FF HTTP/1.1\r\nHost: localhost:80\r\n\r\n",
    b"GET /same/%C3%A9/a%20b/%FF?q HTTP/1.1\r\nHost: LOCALHOST:5000\r\n\r\n",
    b"GET /same/?%E9 HTTP/1.1\r\nHost: localhost\r\nX-Latin: \xe9\r\nUser-Agent: \xc3\xa9\r\n\r\n",
    b"GET http://other.example:81/same/x?y=1 HTTP/1.1\r\nHost: ignored.example\r\n\r\n",
    b"GET /same/ HTTP/1.1\r\nHost: [::1]:5000\r\n\r\n",
    b"GET /same/ HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    b'GET /same/ HTTP/1.1\r\nHost: h\r\nCookie: a=1; b="x\\"y"\r\nCookie: c=3\r\n\r\n',
    b"GET /same/ HTTP/1.1\r\nHost: h\r\nX-A: 1\r\nx-a: 2\r\nX_A: 3\r\nX-A1b: 4\r\nx-empty:\r\nContent-Type:\r\n\r\n",
    b"GET /same/ HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: 1.1.1.1\r\nX-Forwarded-For: 2.2.2.2\r\n\r\n",
    b"GET /same/ HTTP/1.1\r\nHost: h\r\nAccept: a/b;q=0.5, c/d\r\nAccept-Language: de-AT\r\nReferer: http://r/\r\n\r\n",
    b"GET /same/ HTTP/1.1\r\nHost: h\r\nAuthorization: Basic dXNlcjpwYXNz\r\nRange: bytes=1-2\r\nIf-Match: *\r\n\r\n",
    b"DELETE /same/ HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n",
]


def differences(ask: Callable[[bytes], tuple[int, bytes]], requests: list[bytes]) -> dict[bytes, Any]:
    """What the server answers other than that nothing differs."""
    found = {}
    for raw in requests:
        status, body = ask(raw)
        if (status, body.strip()) != (200, b"{}"):
            found[raw] = status, body
    return found


def test_every_head_is_told_alike(ask: Callable[[bytes], tuple[int, bytes]]) -> None:
    assert differences(ask, HEADS) == {}


BODIES = {
    "none": b"",
    "form": b"a=1&b=%C3%A9",
    "multipart": b'--b\r\nContent-Disposition: form-data; name="f"; filename="x.txt"\r\n'
    b"Content-Type: text/plain\r\n\r\nhi\r\n--b--\r\n",
    "json": b'{"a": [1, 2.5]}',
}
KINDS = {
    "none": "text/plain",
    "form": "application/x-www-form-urlencoded",
    "multipart": "multipart/form-data; boundary=b",
    "json": "application/json; charset=utf-8",
}


def test_every_body_is_told_alike(ask: Callable[[bytes], tuple[int, bytes]]) -> None:
    requests = [post("/same/", BODIES[kind], KINDS[kind]) for kind in KINDS]
    requests += [post("/same/", BODIES[kind], KINDS[kind], chunked=True) for kind in KINDS if BODIES[kind]]
    assert differences(ask, requests) == {}


def test_bodies_are_read_as_asked(ask: Callable[[bytes], tuple[int, bytes]]) -> None:
    status, body = ask(post("/json", b'{"a": [1, 2.5, "\xc3\xa9"]}'))
    assert (status, json.loads(body)) == (200, {"value": {"a": [1, 2.5, "é"]}, "size": 21, "environ": False})
    assert ask(post("/json", b'{"a": '))[0] == 400
    assert ask(post("/json", b"[1]", "text/plain"))[0] == 415
    assert ask(post("/limited", b"[1, 2]"))[0] == 200
    assert ask(post("/limited", b"[1, 2, 3]"))[0] == 413
    assert ask(post("/limited", b"[1, 2, 3]", chunked=True))[0] == 413
    assert json.loads(ask(post("/stream", b"abcdef"))[1]) == {"first": "ab", "rest": "cdef", "then": ""}
    status, body = ask(b"GET /assigned HTTP/1.1\r\nHost: h\r\n\r\n")
    assert json.loads(body) == {"mine": 1, "args": {"replaced": "yes"}}
