"""Middleware: what each does to the environ, the response, or the list of warnings."""

from __future__ import annotations

import importlib.util
import io
import os
import threading
import warnings
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from bustapi.werkzeug.datastructures import Headers
from bustapi.werkzeug.middleware.dispatcher import DispatcherMiddleware
from bustapi.werkzeug.middleware.http_proxy import ProxyMiddleware
from bustapi.werkzeug.middleware.lint import HTTPWarning, LintMiddleware, WSGIWarning
from bustapi.werkzeug.middleware.profiler import ProfilerMiddleware
from bustapi.werkzeug.middleware.proxy_fix import ProxyFix
from bustapi.werkzeug.middleware.shared_data import SharedDataMiddleware
from bustapi.werkzeug.test import Client, create_environ, run_wsgi_app
from bustapi.werkzeug.wrappers import Request, Response


def seen_by(middleware: Any, **kwargs: Any) -> dict[str, Any]:
    """The environ that the application behind a middleware gets."""
    environs: list[dict[str, Any]] = []

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        environs.append(environ)
        start_response("200 OK", [])
        return []

    run_wsgi_app(middleware(app), create_environ(**kwargs), buffered=True)
    return environs[0]


# --- ProxyFix ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("trusted", "fields", "expected"),
    [
        ({}, {"X-Forwarded-For": "9.9.9.9, 1.1.1.1"}, {"REMOTE_ADDR": "1.1.1.1"}),
        ({"x_for": 2}, {"X-Forwarded-For": "9.9.9.9, 2.2.2.2, 1.1.1.1"}, {"REMOTE_ADDR": "2.2.2.2"}),
        ({"x_for": 2}, {"X-Forwarded-For": "1.1.1.1"}, {"REMOTE_ADDR": "10.0.0.1"}),
        ({"x_for": 0}, {"X-Forwarded-For": "1.1.1.1"}, {"REMOTE_ADDR": "10.0.0.1"}),
        ({}, {"X-Forwarded-Proto": "https"}, {"wsgi.url_scheme": "https"}),
        ({}, {"X-Forwarded-Host": "evil"}, {"HTTP_HOST": "localhost"}),
        (
            {"x_host": 1},
            {"X-Forwarded-Host": "a.test:8443"},
            {"HTTP_HOST": "a.test:8443", "SERVER_NAME": "a.test", "SERVER_PORT": "8443"},
        ),
        (
            {"x_host": 1},
            {"X-Forwarded-Host": "[::1]"},
            {"HTTP_HOST": "[::1]", "SERVER_NAME": "[::1]", "SERVER_PORT": "80"},
        ),
        (
            {"x_host": 1, "x_port": 1},
            {"X-Forwarded-Host": "[::1]:1", "X-Forwarded-Port": "2"},
            {"HTTP_HOST": "[::1]:2", "SERVER_PORT": "2"},
        ),
        ({"x_port": 1}, {"X-Forwarded-Port": "81"}, {"HTTP_HOST": "localhost:81", "SERVER_PORT": "81"}),
        ({"x_prefix": 1}, {"X-Forwarded-Prefix": "/app"}, {"SCRIPT_NAME": "/app"}),
    ],
)
def test_proxy_fix(trusted: dict[str, int], fields: dict[str, str], expected: dict[str, str]) -> None:
    environ = seen_by(
        lambda app: ProxyFix(app, **trusted), headers=fields, environ_base={"REMOTE_ADDR": "10.0.0.1"}
    )
    assert {key: environ[key] for key in expected} == expected
    assert environ["werkzeug.proxy_fix.orig"] == {
        "REMOTE_ADDR": "10.0.0.1",
        "wsgi.url_scheme": "http",
        "HTTP_HOST": "localhost",
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "SCRIPT_NAME": "",
    }


# --- DispatcherMiddleware ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "app", "root", "rest"),
    [
        ("/", "main", "", "/"),
        ("/api", "api", "/api", ""),
        ("/api/", "api", "/api", "/"),
        ("/api/v2/x/y", "v2", "/api/v2", "/x/y"),
        ("/api/v22", "api", "/api", "/v22"),
        ("/apis", "main", "", "/apis"),
    ],
)
def test_dispatcher(path: str, app: str, root: str, rest: str) -> None:
    def named(name: str) -> Any:
        def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
            start_response("200 OK", [])
            return [f"{name} {environ['SCRIPT_NAME']} {environ['PATH_INFO']}".encode()]

        return application

    combined = DispatcherMiddleware(named("main"), {"/api": named("api"), "/api/v2": named("v2")})
    body = b"".join(run_wsgi_app(combined, create_environ(path, "http://localhost/base"))[0])
    assert body.decode() == f"{app} /base{root} {rest}"


# --- SharedDataMiddleware ---------------------------------------------------------------------------------------


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "sub").mkdir()
    (tmp_path / "page.txt").write_text("page")
    (tmp_path / "sub" / "ü.bin").write_bytes(b"\0\1")
    (tmp_path / "secret.cfg").write_text("secret")
    return tmp_path


def shared(files: Path, **kwargs: Any) -> Client:
    exports = {"/s": str(files), "/one": str(files / "page.txt"), "/pkg": ("json", "tool")}
    exports["/std"] = ("json", "")
    return Client(SharedDataMiddleware(Response("app", 404), exports, disallow="*.cfg", **kwargs))


def test_shared_files_are_served(files: Path) -> None:
    response = shared(files).get("/s/page.txt")
    assert response.get_data() == b"page"
    assert response.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert response.headers["Cache-Control"] == "max-age=43200, public"
    assert response.headers["Content-Length"] == "4"
    response.close()
    for path, data in [("/s/sub/ü.bin", b"\0\1"), ("/one", b"page")]:
        with shared(files).get(path) as other:
            assert other.get_data() == data
    with shared(files).get("/std/__init__.py") as packaged:
        assert b"JSON" in packaged.get_data()


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/s",
        "/s/",
        "/s/none",
        "/s/../page.txt",
        "/s/sub",
        "/s/secret.cfg",
        "/sx/page.txt",
        "/s/%00",
        "/std/no",
    ],
)
def test_everything_else_is_the_applications(files: Path, path: str) -> None:
    assert shared(files).get(path).get_data() == b"app"


def test_shared_file_is_not_sent_again(files: Path) -> None:
    client = shared(files)
    with client.get("/s/page.txt") as first:
        etag = first.headers["Etag"]
    again = client.get("/s/page.txt", headers={"If-None-Match": etag})
    assert (again.status_code, again.get_data()) == (304, b"")
    os.utime(files / "page.txt", (1, 1))
    with client.get("/s/page.txt", headers={"If-None-Match": etag}) as changed:
        assert changed.status_code == 200


def test_shared_without_cache_has_no_etag(files: Path) -> None:
    with shared(files, cache=False).get("/s/page.txt") as response:
        assert "Etag" not in response.headers
        assert response.headers["Cache-Control"] == "public"


def test_shared_package_of_a_loader_without_resources(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = importlib.util.spec_from_loader("json", loader=object())  # type: ignore[arg-type]
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec)
    app = SharedDataMiddleware(Response("app", 404), {"/std": ("json", "")})
    with Client(app).get("/std/__init__.py") as packaged:
        assert b"JSON" in packaged.get_data()


def test_shared_refuses_other_exports() -> None:
    with pytest.raises(TypeError, match="unknown"):
        SharedDataMiddleware(Response(), {"/": 1})  # type: ignore[dict-item]


# --- ProfilerMiddleware -----------------------------------------------------------------------------------------


def test_profiler_writes_statistics_and_files(tmp_path: Path) -> None:
    stream = StringIO()
    app = ProfilerMiddleware(Response("body"), stream, profile_dir=str(tmp_path), restrictions=[5])
    assert Client(app).get("/a/../b").get_data() == b"body"
    assert "PATH: '/a/../b'" in stream.getvalue()
    assert "function calls" in stream.getvalue()
    (file,) = tmp_path.iterdir()
    assert file.name.startswith("GET.a....b.")
    assert file.stat().st_size > 0


def test_profiler_names_files_by_a_function(tmp_path: Path) -> None:
    def name(environ: dict[str, Any]) -> str:
        assert environ["werkzeug.profiler"].keys() == {"elapsed", "time"}
        return "named.prof"

    app = ProfilerMiddleware(Response("x"), None, profile_dir=str(tmp_path), filename_format=name)
    Client(app).get("/")
    assert [file.name for file in tmp_path.iterdir()] == ["named.prof"]


def test_profiler_closes_the_body_of_a_failing_application() -> None:
    closed: list[bool] = []

    class Body:
        def __iter__(self) -> Iterator[bytes]:
            raise ValueError("broken")

        def close(self) -> None:
            closed.append(True)

    with pytest.raises(ValueError, match="broken"):
        run_wsgi_app(ProfilerMiddleware(lambda environ, start: Body(), None), create_environ())
    assert closed == [True]


# --- LintMiddleware ---------------------------------------------------------------------------------------------


class Bare:
    """A stream that can only be read."""

    def read(self, *sizes: int) -> bytes:
        return b""


class Text(str):
    pass


def lint(
    status: str = "200 OK",
    headers: Any = None,
    body: Any = (b"x",),
    environ: dict[str, Any] | None = None,
    before: Any = None,
    without: tuple[str, ...] = (),
    exc_info: Any = None,
    start: Any = None,
    written: Any = None,
    fails: type[Exception] | None = None,
) -> list[str]:
    def app(environ: dict[str, Any], start_response: Any) -> Any:
        if before is not None:
            before(environ)
        more = () if exc_info is None else (exc_info,)
        write = start_response(status, [] if headers is None else headers, *more, **(start or {}))
        if written is not None:
            write(written)
        return body

    given = (
        environ(create_environ()) if isinstance(environ, type) else {**create_environ(), **(environ or {})}
    )
    for name in without:
        del given[name]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            run_wsgi_app(LintMiddleware(app), given, buffered=True)
        except Exception as error:
            # What was found is told all the same.
            if fails is None or not isinstance(error, fails):
                raise
    assert all(issubclass(item.category, (WSGIWarning, HTTPWarning)) for item in caught)
    # The line to blame is never one of the checker's own.
    assert not any(item.filename.endswith("lint.py") for item in caught)
    return [str(item.message) for item in caught]


def test_lint_is_content_with_a_good_application() -> None:
    assert lint(headers=[("Content-Length", "1"), ("ETag", '"a"'), ("Location", "http://localhost/")]) == []


@pytest.mark.parametrize(
    ("case", "finding"),
    [
        ({"status": "20 OK"}, "three digits"),
        ({"status": "200"}, "Invalid value for status"),
        ({"status": "099 X"}, "< 100"),
        ({"headers": ()}, "not a list"),
        ({"headers": [["A", "b"]]}, "2-item tuples"),
        ({"headers": [("Status", "1")]}, "status header"),
        ({"headers": [("ETag", "a")]}, "Unquoted"),
        ({"headers": [("ETag", 'w/"a"')]}, "upper case"),
        ({"headers": [("Location", "/a")]}, "Absolute"),
        ({"headers": [("Content-Length", "2")]}, "bytes sent"),
        ({"status": "304 NOT MODIFIED", "headers": [("Content-Type", "a/b")], "body": []}, "Entity header"),
        ({"status": "304 NOT MODIFIED"}, "must not have a body"),
        ({"status": "204 NO CONTENT"}, "must not have a body"),
        ({"status": "204 NO CONTENT", "headers": [("Content-Length", "1")]}, "empty content length"),
        ({"body": ["text"]}, "requires 'bytes'"),
        ({"environ": {"wsgi.version": (2, 0)}}, "WSGI 1.0"),
        ({"environ": {"SCRIPT_NAME": "x"}}, "'SCRIPT_NAME' does not start"),
        ({"before": lambda environ: environ["wsgi.input"].read()}, "without a size"),
        ({"before": lambda environ: environ["wsgi.input"].readline()}, "unsafe"),
        ({"before": lambda environ: environ["wsgi.input"].close()}, "closed 'wsgi.input'"),
        ({"before": lambda environ: environ["wsgi.errors"].writelines([])}, None),
        ({"before": lambda environ: environ["wsgi.errors"].writelines(["a line\n"])}, None),
        ({"before": lambda environ: environ["wsgi.errors"].flush()}, None),
        (
            {
                "before": lambda environ: environ["wsgi.errors"].close(),
                "environ": {"wsgi.errors": io.StringIO()},
            },
            "closed 'wsgi.errors'",
        ),
        ({"before": lambda environ: environ["wsgi.errors"].write("text")}, None),
        ({"before": lambda environ: list(environ["wsgi.input"])}, None),
        (
            {"before": lambda environ: list(environ["wsgi.input"]), "environ": {"wsgi.input": Bare()}},
            "not iterable",
        ),
        (
            {"before": lambda environ: environ["wsgi.input"].read(1, 2), "environ": {"wsgi.input": Bare()}},
            "more than a size",
        ),
        ({"before": lambda environ: environ["wsgi.input"].readline(1)}, "with a size"),
        ({"headers": [("A", Text("b"))]}, "must be strings"),
        ({"body": "x", "fails": TypeError}, "returned a string"),
        ({"environ": {"wsgi.errors": None}, "without": ("SERVER_NAME",)}, "'SERVER_NAME' not found"),
        ({"exc_info": "wrong", "fails": AttributeError}, "Invalid value for exc_info"),
        ({"start": {"more": 1}, "fails": TypeError}, "keyword arguments"),
        ({"written": b"y"}, None),
        ({"written": "text", "fails": TypeError}, "write()"),
    ],
)
def test_lint_finds(case: dict[str, Any], finding: str | None) -> None:
    found = lint(**case)
    if finding is None:
        assert found == []
    else:
        assert any(finding in message for message in found), found


def test_lint_finds_an_environment_that_is_no_plain_dict() -> None:
    class Environ(dict):  # type: ignore[type-arg]
        pass

    with pytest.warns(WSGIWarning, match="not a standard Python dict"):
        LintMiddleware(lambda environ, start: []).check_environ(Environ(create_environ()))


def test_lint_finds_a_body_that_is_not_closed() -> None:
    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", [])
        return [b"x"]

    bodies = [LintMiddleware(app)(create_environ(), lambda *args: None)]
    with pytest.warns(WSGIWarning, match="before it was closed"):
        bodies.clear()


# --- ProxyMiddleware --------------------------------------------------------------------------------------------


class Target(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.server.seen = (self.command, self.path, Headers(self.headers.items()))  # type: ignore[attr-defined]
        if self.headers.get("Transfer-Encoding") == "chunked":
            body = b""
            while True:
                size = int(self.rfile.readline(), 16)
                block = self.rfile.read(size)
                self.rfile.readline()
                if not size:
                    break
                body += block
        else:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(201, "Made")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Connection", "X-Hop")
        self.send_header("X-Hop", "1")
        self.send_header("X-End", "2")
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST

    def log_message(self, *args: Any) -> None:
        return


@pytest.fixture
def target() -> Iterator[HTTPServer]:
    with HTTPServer(("127.0.0.1", 0), Target) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def proxied(server: HTTPServer, **options: Any) -> Client:
    options["target"] = f"http://127.0.0.1:{server.server_port}/base"
    return Client(ProxyMiddleware(Response("own"), {"/up": options}, timeout=5))


def test_proxy_passes_on(target: HTTPServer) -> None:
    client = proxied(target, remove_prefix=True, headers={"X-Add": "a"}, host="faked.test")
    response = client.post(
        "/up/a%20b/%3F%25?q=1",
        data=b"payload",
        headers={"Connection": "close, X-Secret", "X-Secret": "no", "X-Sent": "yes"},
    )
    assert (response.status, response.get_data()) == ("201 Made", b"payload")
    assert "X-Hop" not in response.headers
    assert response.headers["X-End"] == "2"
    command, path, headers = target.seen  # type: ignore[attr-defined]
    assert (command, path) == ("POST", "/base/a%20b/%3F%25?q=1")
    assert (headers["Host"], headers["X-Add"], headers["X-Sent"]) == ("faked.test", "a", "yes")
    assert "X-Secret" not in headers
    assert headers.getlist("Connection") == ["close"]


def test_proxy_passes_a_chunked_body_on(target: HTTPServer) -> None:
    response = proxied(target).post(
        "/up/x",
        data=b"z" * 50_000,
        environ_overrides={
            "HTTP_TRANSFER_ENCODING": "chunked",
            "wsgi.input_terminated": True,
            "CONTENT_LENGTH": "",
        },
    )
    assert response.get_data() == b"z" * 50_000


def test_proxy_leaves_other_paths_alone(target: HTTPServer) -> None:
    assert proxied(target).get("/upper").get_data() == b"own"


def test_proxy_keeps_the_clients_host(target: HTTPServer) -> None:
    proxied(target, host=None).get("/up/")
    assert target.seen[2]["Host"] == "localhost"  # type: ignore[attr-defined]


def test_unreachable_target_is_a_bad_gateway(target: HTTPServer) -> None:
    client = proxied(target)
    target.server_close()
    assert client.get("/up/").status_code == 502


def test_proxy_refuses_other_schemes() -> None:
    client = Client(ProxyMiddleware(Response(), {"/": {"target": "ftp://x/"}}))
    with pytest.raises(RuntimeError, match="ftp"):
        client.get("/x")


def test_request_is_readable_behind_proxy_fix() -> None:
    @Request.application
    def app(request: Request) -> Response:
        return Response(f"{request.remote_addr} {request.url}")

    response = Client(ProxyFix(app, x_host=1)).get(
        "/p",
        headers={"X-Forwarded-For": "1.2.3.4", "X-Forwarded-Proto": "https", "X-Forwarded-Host": "w.test"},
    )
    assert response.get_data() == b"1.2.3.4 https://w.test/p"
