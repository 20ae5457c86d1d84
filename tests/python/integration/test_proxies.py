"""Who a request comes from: nobody can say it but the peer, unless it is a proxy that the server was told to trust."""

from __future__ import annotations

import contextlib
import json
import socket
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from run_helpers import Server, run_to_end, script, started

APP = """
    from bustapi import BustAPI, redirect, request, url_for

    app = BustAPI(__name__)

    @app.get("/who")
    def who():
        return {
            "addr": request.remote_addr,
            "scheme": request.scheme,
            "secure": request.is_secure,
            "host": request.host,
            "header": request.headers.get("Host"),
            "url": request.url,
            "root": request.root_path,
        }

    @app.get("/environ")
    def environ():
        names = "REMOTE_ADDR REMOTE_PORT wsgi.url_scheme HTTP_HOST SERVER_NAME SERVER_PORT SCRIPT_NAME PATH_INFO"
        found = {name: request.environ.get(name) for name in names.split()}
        return {**found, "external": url_for("who", _external=True), "forwarded": request.headers.get("X-Forwarded-For")}

    @app.get("/slashed/")
    def slashed():
        return "slashed"

    @app.post("/body")
    def body():
        return {"addr": request.remote_addr, "length": len(request.get_data())}

    if __name__ == "__main__":
        app.run(port=0, {0})
"""
CLIENT = "203.0.113.9"


@contextlib.contextmanager
def serving(folder: Path, **options: object) -> Iterator[Server]:
    given = ", ".join(f"{name}={value!r}" for name, value in options.items())
    with started(script(folder, APP.replace("{0}", given)), folder) as server:
        yield server


def exchange(
    server: Server, fields: dict[str, str] | list[tuple[str, str]], path: str = "/who", ahead: bytes = b""
) -> tuple[int, bytes, bytes]:
    """Status, head and body of one request with these fields; `ahead` is sent before it."""
    pairs = list(fields.items()) if isinstance(fields, dict) else fields
    if not any(name == "Host" for name, _ in pairs):
        pairs.insert(0, ("Host", "own.example:8000"))
    lines = "".join(f"{name}: {value}\r\n" for name, value in pairs)
    with server.connect() as sock:
        sock.sendall(ahead + f"GET {path} HTTP/1.1\r\n{lines}Connection: close\r\n\r\n".encode("latin-1"))
        received = b""
        with contextlib.suppress(ConnectionResetError):
            while part := sock.recv(65536):
                received += part
    if not received:
        return 0, b"", b""
    head, _, body = received.partition(b"\r\n\r\n")
    return int(head.split()[1]), head, body


def who(server: Server, fields: dict[str, str], path: str = "/who", ahead: bytes = b"") -> dict[str, Any]:
    status, _, body = exchange(server, fields, path, ahead)
    assert status == 200, body
    found: dict[str, Any] = json.loads(body)
    return found


FORGED: list[dict[str, str]] = [
    {"X-Forwarded-For": CLIENT},
    {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "evil.example", "X-Forwarded-Port": "1"},
    {"X-Forwarded-Prefix": "/evil"},
    {"Forwarded": f"for={CLIENT};proto=https;host=evil.example"},
    {"X-Real-IP": CLIENT, "X-Forwarded-For": "not an address", "X-Forwarded-Host": "a b"},
    {"X_Forwarded_For": CLIENT},
]
OWN = {
    "addr": "127.0.0.1",
    "scheme": "http",
    "secure": False,
    "host": "own.example:8000",
    "header": "own.example:8000",
    "url": "http://own.example:8000/who",
    "root": "",
}


@pytest.mark.parametrize("options", [{}, {"trusted_proxies": "10.0.0.0/8, ::1, unix"}])
def test_fields_of_a_peer_that_is_not_trusted_say_nothing(tmp_path: Path, options: dict[str, str]) -> None:
    with serving(tmp_path, **options) as server:
        for fields in FORGED:
            assert who(server, fields) == OWN
            found = who(server, fields, "/environ")
            assert found["REMOTE_ADDR"] == "127.0.0.1"
            assert found["wsgi.url_scheme"] == "http"
            assert found["HTTP_HOST"] == "own.example:8000"
            assert found["SCRIPT_NAME"] == ""
            assert found["external"] == "http://own.example:8000/who"


def test_a_trusted_proxy_says_who_the_client_is(tmp_path: Path) -> None:
    with serving(tmp_path, trusted_proxies=["127.0.0.1", "10.0.0.0/8"]) as server:
        assert who(server, {}) == OWN
        # What stands left of the client's address is the client's word.
        assert who(server, {"X-Forwarded-For": f"6.6.6.6, {CLIENT}, 10.0.0.7"})["addr"] == CLIENT
        assert who(server, {"X-Forwarded-For": "6.6.6.6, unknown"})["addr"] is None
        fields = {
            "X-Forwarded-For": CLIENT,
            "X-Forwarded-Proto": "https",
            "X-Forwarded-Host": "www.example",
            "X-Forwarded-Prefix": "/api/",
        }
        assert who(server, fields) == {
            "addr": CLIENT,
            "scheme": "https",
            "secure": True,
            "host": "www.example",
            "header": "www.example",
            "url": "https://www.example/api/who",
            "root": "/api",
        }
        assert who(server, fields, "/environ") == {
            "REMOTE_ADDR": CLIENT,
            "REMOTE_PORT": None,
            "wsgi.url_scheme": "https",
            "HTTP_HOST": "www.example",
            "SERVER_NAME": "www.example",
            "SERVER_PORT": "443",
            "SCRIPT_NAME": "/api",
            "PATH_INFO": "/environ",
            "external": "https://www.example/api/who",
            "forwarded": CLIENT,
        }
        found = who(
            server, {"Forwarded": f'for="{CLIENT}:4711";proto=https;host="www.example:8443"'}, "/environ"
        )
        assert (found["REMOTE_ADDR"], found["REMOTE_PORT"], found["SERVER_PORT"]) == (CLIENT, 4711, "8443")
        assert found["external"] == "https://www.example:8443/who"
        _, head, _ = exchange(server, fields, "/slashed")
        assert b"\r\nLocation: https://www.example/api/slashed/\r\n" in head


def test_a_body_that_comes_later_belongs_to_the_same_client(tmp_path: Path) -> None:
    with serving(tmp_path, trusted_proxies="127.0.0.1") as server, server.connect() as sock:
        sock.sendall(
            b"POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\nX-Forwarded-For: 203.0.113.9\r\n"
            b"Connection: close\r\n\r\n"
        )
        for _ in range(10):
            sock.sendall(b"x" * 10_000)
        received = b""
        while part := sock.recv(65536):
            received += part
        assert json.loads(received.partition(b"\r\n\r\n")[2]) == {"addr": CLIENT, "length": 100_000}


def test_what_cannot_be_told_is_refused(tmp_path: Path) -> None:
    with serving(tmp_path, trusted_proxies=1) as server:
        for fields in (
            {"X-Forwarded-For": CLIENT, "Forwarded": f"for={CLIENT}"},
            {"X-Forwarded-Host": "a b"},
            {"X-Forwarded-Proto": "gopher"},
            {"X-Forwarded-Prefix": "//evil.example"},
            {"Forwarded": 'for="unclosed'},
        ):
            assert exchange(server, fields)[0] == 400, fields
        assert who(server, {"X-Forwarded-For": f"6.6.6.6, {CLIENT}"})["addr"] == CLIENT


def test_only_the_named_headers_are_believed(tmp_path: Path) -> None:
    options = {"trusted_proxies": "127.0.0.1", "proxy_headers": "x-forwarded-for, x-forwarded-proto"}
    with serving(tmp_path, **options) as server:
        found = who(
            server,
            {
                "X-Forwarded-For": CLIENT,
                "X-Forwarded-Proto": "https",
                "X-Forwarded-Host": "evil.example",
                "Forwarded": "for=6.6.6.6;host=evil.example",
            },
        )
        assert (found["addr"], found["scheme"], found["header"]) == (CLIENT, "https", "own.example:8000")


def test_trusted_hosts(tmp_path: Path) -> None:
    with serving(
        tmp_path, trusted_hosts=["www.example", ".sub.example"], trusted_proxies="127.0.0.1"
    ) as server:
        for host in ("www.example", "WWW.EXAMPLE:8000", "sub.example", "a.sub.example:1"):
            assert exchange(server, {"Host": host})[0] == 200, host
        for host in ("", "evil.example", "www.example.evil", "xsub.example", "127.0.0.1"):
            assert exchange(server, {"Host": host})[0] == 400, host
        # An absolute target names the host, whatever the field says; so does a trusted proxy.
        assert exchange(server, {"Host": "www.example"}, "http://evil.example/who")[0] == 400
        assert exchange(server, {"Host": "evil.example"}, "http://www.example/who")[0] == 200
        assert exchange(server, {"Host": "internal", "X-Forwarded-Host": "www.example"})[0] == 200
        assert exchange(server, {"Host": "www.example", "X-Forwarded-Host": "evil.example"})[0] == 400
        with server.connect() as sock:
            sock.sendall(b"GET /who HTTP/1.0\r\n\r\n")
            assert sock.recv(65536).startswith(b"HTTP/1.1 400 ")


V1 = b"PROXY TCP4 203.0.113.9 192.0.2.1 4711 443\r\n"


def v2(command: int = 0x21, family: int = 0x11, rest: bytes | None = None) -> bytes:
    if rest is None:
        rest = socket.inet_aton(CLIENT) + socket.inet_aton("192.0.2.1") + struct.pack(">HH", 4711, 443)
    return b"\r\n\r\n\0\r\nQUIT\n" + struct.pack(">BBH", command, family, len(rest)) + rest


def test_the_proxy_protocol(tmp_path: Path) -> None:
    with serving(tmp_path, trusted_proxies="127.0.0.1", proxy_protocol=True) as server:
        for ahead in (V1, v2()):
            found = who(server, {}, "/environ", ahead)
            assert (found["REMOTE_ADDR"], found["REMOTE_PORT"]) == (CLIENT, 4711)
            assert (found["SERVER_NAME"], found["SERVER_PORT"]) == ("192.0.2.1", "443")
            assert found["wsgi.url_scheme"] == "http"
            # The client is no proxy: its own fields say nothing.
            assert who(server, {"X-Forwarded-For": "6.6.6.6"}, "/who", ahead)["addr"] == CLIENT
        tls = v2(rest=v2()[16:] + b"\x20\0\x05\x01\0\0\0\0")
        assert who(server, {}, "/who", tls)["scheme"] == "https"
        # The proxy's own requests.
        assert who(server, {}, "/who", b"PROXY UNKNOWN\r\n")["addr"] == "127.0.0.1"
        assert who(server, {}, "/who", v2(0x20, 0, b""))["addr"] == "127.0.0.1"
        # Byte by byte, then two requests.
        with server.connect() as sock:
            for byte in V1:
                sock.sendall(bytes([byte]))
            for _ in range(2):
                sock.sendall(b"GET /who HTTP/1.1\r\nHost: a\r\n\r\n")
                assert b'"addr":"203.0.113.9"' in sock.recv(65536)


@pytest.mark.parametrize(
    "ahead", [b"", b"PROXY TCP4 nonsense\r\n", V1[:-2] + b"\n", v2(0x11), b"\r\n\r\n\0\r\nQUIX"]
)
def test_a_trusted_peer_without_a_preamble_is_not_answered(tmp_path: Path, ahead: bytes) -> None:
    with serving(tmp_path, trusted_proxies="127.0.0.1", proxy_protocol=True) as server:
        assert exchange(server, {}, "/who", ahead) == (0, b"", b"")
        assert who(server, {}, "/who", V1)["addr"] == CLIENT


@pytest.mark.parametrize(
    "options",
    [{}, {"trusted_proxies": "127.0.0.1"}, {"trusted_proxies": "10.0.0.0/8", "proxy_protocol": True}],
)
def test_a_preamble_that_nobody_asked_for_is_a_bad_request(
    tmp_path: Path, options: dict[str, object]
) -> None:
    with serving(tmp_path, **options) as server:
        for ahead in (V1, v2()):
            assert exchange(server, {}, "/who", ahead)[0] == 400
        assert who(server, {})["addr"] == "127.0.0.1"


def test_a_preamble_names_the_next_proxy(tmp_path: Path) -> None:
    options = {"trusted_proxies": "127.0.0.1, 203.0.113.0/24", "proxy_protocol": True}
    with serving(tmp_path, **options) as server:
        assert who(server, {"X-Forwarded-For": "6.6.6.6, 198.51.100.5"}, "/who", V1)["addr"] == "198.51.100.5"


def test_a_unix_socket_is_trusted_by_its_name(tmp_path: Path) -> None:
    request = b"GET /who HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 203.0.113.9\r\nConnection: close\r\n\r\n"
    for number, (trusted, address) in enumerate(
        [("unix", f'"{CLIENT}"'), ("127.0.0.1", "null"), (1, f'"{CLIENT}"')]
    ):
        path = tmp_path / f"{number}.sock"
        source = APP.replace("port=0, {0}", f"host='unix:{path}', trusted_proxies={trusted!r}")
        with started(script(tmp_path, source), tmp_path), socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(10)
            sock.connect(str(path))
            sock.sendall(request)
            received = b""
            while part := sock.recv(65536):
                received += part
            assert f'"addr":{address}'.encode() in received


def test_a_bad_setting_is_one_line(tmp_path: Path) -> None:
    for options, line in (
        ("trusted_proxies='*'", "trusted_proxies: must be "),
        ("proxy_protocol=True", "proxy_protocol needs trusted_proxies"),
    ):
        code, _, errors = run_to_end(script(tmp_path, APP.replace("{0}", options)), tmp_path)
        assert code == 1
        assert line in errors.splitlines()[-1]
    source = APP.replace("{0}", "")
    code, _, errors = run_to_end(script(tmp_path, source), tmp_path, BUSTAPI_TRUSTED_HOSTS="a b/c")
    assert code == 1
    assert errors == "error: BUSTAPI_TRUSTED_HOSTS: must be names or addresses without a port, not 'a b/c'\n"
