"""Environs, multipart bodies and cookies of the test client, compared with Werkzeug's."""

from __future__ import annotations

import types
from io import BytesIO
from typing import Any

import pytest

theirs = pytest.importorskip("werkzeug.test")
import werkzeug.datastructures  # noqa: E402

import bustapi.werkzeug.datastructures  # noqa: E402
from bustapi.werkzeug import test as ours  # noqa: E402

if "bustapi" in (theirs.__spec__.origin or ""):
    pytest.skip("werkzeug is an alias of the package under test", allow_module_level=True)

ENVIRONS: list[tuple[tuple[Any, ...], dict[str, Any]]] = [
    ((), {}),
    (("/path",), {}),
    (("/a b/ü?q=ö&r",), {}),
    (("/%20%2F%3F%FF",), {}),
    (("//double", "http://localhost:8080/app/"), {}),
    (("/", "https://exämple.test/wurzel/ü"), {}),
    (("/x",), {"base_url": "https://example.test:443", "query_string": {"a": "1 2", "b": "ü&"}}),
    (("/x",), {"query_string": "raw=%20&ü"}),
    (("/x",), {"method": "POST", "data": {"a": "1", "b": ["2", "ü"]}}),
    (("/x",), {"method": "POST", "data": "text ü"}),
    (("/x",), {"method": "PUT", "data": b"bytes", "content_type": "application/octet-stream"}),
    (("/x",), {"method": "POST", "data": BytesIO(b"stream"), "mimetype": "text/plain"}),
    (("/x",), {"method": "POST", "input_stream": BytesIO(b"abcdef"), "content_length": 3}),
    (("/x",), {"method": "POST", "json": {"k": [1, "ü", None]}}),
    (("/x",), {"method": "POST", "json": [], "content_type": "application/vnd.x+json"}),
    (("/x",), {"auth": ("user", "pass:word")}),
    (("/x",), {"headers": [("X-A", "1"), ("X-A", "2"), ("Content-Type", "a/b"), ("Accept", "*/*")]}),
    (("/x",), {"headers": {"Cookie": "a=b", "X_Under": "c"}}),
    (("/x",), {"multithread": True, "multiprocess": True, "run_once": True}),
    (
        ("/x",),
        {"environ_base": {"a": 1, "wsgi.url_scheme": "x"}, "environ_overrides": {"REMOTE_ADDR": "::1"}},
    ),
    (("http://other.test/path?x=1",), {}),
]


def plain(environ: dict[str, Any]) -> dict[str, Any]:
    shown = dict(environ)
    body = shown.pop("wsgi.input")
    shown.pop("wsgi.errors")
    return {**shown, "body": body.read()}


def rewound(kwargs: dict[str, Any]) -> dict[str, Any]:
    return {key: BytesIO(v.getvalue()) if isinstance(v, BytesIO) else v for key, v in kwargs.items()}


@pytest.mark.parametrize(("args", "kwargs"), ENVIRONS)
def test_environs_are_equal(args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    made = plain(ours.create_environ(*args, **rewound(kwargs)))
    assert made == plain(theirs.create_environ(*args, **rewound(kwargs)))


# An escaped question mark begins a query on Werkzeug's way back.
@pytest.mark.parametrize(("args", "kwargs"), [case for case in ENVIRONS if "%3F" not in "".join(case[0])])
def test_environs_survive_the_way_back_alike(args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    def there_and_back(module: types.ModuleType) -> dict[str, Any]:
        environ = module.create_environ(*args, **rewound(kwargs))
        again = plain(module.EnvironBuilder.from_environ(environ).get_environ())
        # Werkzeug makes them up of the decoded path; here they stay what they were.
        for name in ("REQUEST_URI", "RAW_URI"):
            again.pop(name)
        return again

    assert there_and_back(ours) == there_and_back(theirs)


def test_multipart_bodies_are_equal() -> None:
    def encoded(module: types.ModuleType, data: types.ModuleType) -> bytes:
        upload = data.FileStorage(
            BytesIO(b"\x00content\r\n"), "ä.png", "file", headers=data.Headers({"X-P": "1"})
        )
        values = data.MultiDict([("a", "1"), ("a", "ü"), ("n", 3), ("file", upload)])
        return bytes(module.encode_multipart(values, boundary="limit")[1])

    assert encoded(ours, bustapi.werkzeug.datastructures) == encoded(theirs, werkzeug.datastructures)


COOKIES = [
    "a=1",
    'a="b\\054c"; Path=/x; Secure; HttpOnly; SameSite=Lax',
    "a=1; Domain=example.test; Max-Age=10",
    "a=1; expires=Thu, 01 Jan 1970 00:00:00 GMT",
    "a=; Path=",
    "ä=ü".encode().decode("latin1"),
    " a = 1 ; Path = /y ",
]


@pytest.mark.parametrize("header", COOKIES)
@pytest.mark.parametrize("path", ["/", "/x", "/x/y"])
def test_cookies_are_read_alike(header: str, path: str) -> None:
    made = ours.Cookie._from_response_header("localhost", path, header)
    reference = theirs.Cookie._from_response_header("localhost", path, header)
    assert vars(made) == vars(reference)
    for server in ("localhost", "a.localhost", "example.test", "b.example.test", "notexample.test"):
        for asked in ("/", "/x", "/xy", "/x/y", "/y/z"):
            assert made._matches_request(server, asked) == reference._matches_request(server, asked)
