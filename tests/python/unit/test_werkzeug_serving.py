"""Werkzeug's names for serving: what they pass on, and how they refuse what there is not."""

from __future__ import annotations

import inspect
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from bustapi.flask import Flask
from bustapi.serve import ServeError
from bustapi.werkzeug import _reloader, serving
from bustapi.werkzeug.debug import DebuggedApplication

PARAMETERS = {
    "hostname": inspect.Parameter.empty,
    "port": inspect.Parameter.empty,
    "application": inspect.Parameter.empty,
    "use_reloader": False,
    "use_debugger": False,
    "use_evalex": True,
    "extra_files": None,
    "exclude_patterns": None,
    "reloader_interval": 1,
    "reloader_type": "auto",
    "threaded": False,
    "processes": 1,
    "request_handler": None,
    "static_files": None,
    "passthrough_errors": False,
    "ssl_context": None,
}


@pytest.fixture
def app() -> Flask:
    app = Flask("served")
    app.add_url_rule("/", "index", lambda: "served")
    return app


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[tuple[Any, ...], dict[str, Any]]]:
    """What reaches the server in place of a server."""
    found: list[tuple[tuple[Any, ...], dict[str, Any]]] = []
    monkeypatch.setattr(
        "bustapi.serve.run_simple", lambda *args, **kwargs: found.append((args, kwargs)), raising=False
    )
    return found


def test_run_simple_has_werkzeugs_signature() -> None:
    parameters = inspect.signature(serving.run_simple).parameters
    positional = {
        name: item.default for name, item in parameters.items() if item.kind is item.POSITIONAL_OR_KEYWORD
    }
    assert positional == PARAMETERS
    assert list(positional) == list(PARAMETERS)


@pytest.mark.parametrize("port", ["5000", None, 5000.0, True])
def test_port_must_be_an_integer(port: Any, app: Flask) -> None:
    with pytest.raises(TypeError, match="port must be an integer"):
        serving.run_simple("127.0.0.1", port, app)


def test_keywords_reach_the_server(app: Flask, calls: list[Any]) -> None:
    serving.run_simple("127.0.0.1", 1, app, threaded=True, processes=2, threads=3)
    ((args, kwargs),) = calls
    assert args == ("127.0.0.1", 1, app)
    assert {name: kwargs[name] for name in ("threaded", "processes", "threads")} == {
        "threaded": True,
        "processes": 2,
        "threads": 3,
    }


@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        ("request_handler", serving.WSGIRequestHandler),
        ("passthrough_errors", True),
        ("ssl_context", "adhoc"),
    ],
)
def test_what_there_is_not_is_refused_by_name(keyword: str, value: Any, app: Flask) -> None:
    with pytest.raises(ServeError, match=keyword):
        serving.run_simple("127.0.0.1", 0, app, **{keyword: value})


def test_debugger_wraps_the_application_once(app: Flask, calls: list[Any]) -> None:
    for _ in range(2):
        serving.run_simple("127.0.0.1", 1, app, use_debugger=True)
    assert isinstance(app.wsgi_app, DebuggedApplication)
    assert not isinstance(app.wsgi_app.app, DebuggedApplication)
    assert len(calls) == 2


def test_reloader_goes_round_the_server(
    app: Flask, calls: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[Any, ...]] = []
    monkeypatch.setattr(_reloader, "run_with_reloader", lambda work, *args: (seen.append(args), work()))
    serving.run_simple(
        "127.0.0.1", 1, app, True, extra_files=["x"], exclude_patterns=["y"], reloader_type="stat"
    )
    assert seen == [(["x"], ["y"], 1, "stat")]
    assert len(calls) == 1


@pytest.mark.parametrize("value", ["true", "false", None])
def test_is_running_from_reloader(value: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WERKZEUG_RUN_MAIN", raising=False)
    if value is not None:
        monkeypatch.setenv("WERKZEUG_RUN_MAIN", value)
    assert serving.is_running_from_reloader() == (value == "true")


def test_any_wsgi_application_is_wrapped(calls: list[Any]) -> None:
    def wsgi(environ: Any, start_response: Any) -> list[bytes]:
        return []

    serving.run_simple("127.0.0.1", 1, wsgi, use_debugger=True)
    wrapped = calls[0][0][2]
    assert isinstance(wrapped.wsgi_app, DebuggedApplication)
    assert wrapped.wsgi_app.app is wsgi


@pytest.mark.parametrize("value", [None, "app", 3])
def test_what_is_no_application_is_refused(value: Any) -> None:
    with pytest.raises(ServeError, match="cannot serve"):
        serving.run_simple("127.0.0.1", 0, value)


def test_handler_can_be_derived_from_but_not_made() -> None:
    class Quiet(serving.WSGIRequestHandler):
        def log_request(self, *args: Any) -> None:
            return

    with pytest.raises(ServeError, match="native"):
        Quiet()


# --- make_server ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("threaded", [False, True])
def test_server_serves_until_it_is_shut_down(threaded: bool, app: Flask) -> None:
    server = serving.make_server("127.0.0.1", 0, app, threaded=threaded)
    assert server.multithread is threaded
    assert server.port == server.server_port == server.server_address[1] > 0
    assert os.fstat(server.fileno())
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/", timeout=10) as response:
        assert response.read() == b"served"
    server.shutdown()
    thread.join(10)
    assert not thread.is_alive()
    with pytest.raises(OSError), socket.create_connection(("127.0.0.1", server.port), timeout=1):
        pytest.fail("the port is still open")
    with pytest.raises(RuntimeError, match="closed"):
        server.serve_forever()


def test_server_closes_without_having_served(app: Flask) -> None:
    with serving.make_server("127.0.0.1", 0, app) as server:
        port = server.port
    server.server_close()
    server.shutdown()
    with socket.socket() as again:
        again.bind(("127.0.0.1", port))


def test_shutdown_before_serving_ends_it_at_once(app: Flask) -> None:
    server = serving.make_server("127.0.0.1", 0, app)
    server.shutdown()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    thread.join(10)
    assert not thread.is_alive()


def test_socketservers_parts_are_named_as_missing(app: Flask) -> None:
    with serving.make_server("127.0.0.1", 0, app) as server:
        with pytest.raises(AttributeError, match="native"):
            server.handle_request()
        with pytest.raises(AttributeError, match="nonsense"):
            server.nonsense  # noqa: B018


def test_address_in_use_is_an_error(app: Flask) -> None:
    with serving.make_server("127.0.0.1", 0, app) as server, pytest.raises(ServeError, match="in use"):
        serving.make_server("127.0.0.1", server.port, app)


@pytest.mark.parametrize(
    ("keywords", "error"),
    [
        ({"processes": 2}, ServeError),
        ({"threaded": True, "processes": 2}, ValueError),
        ({"fd": 0}, ServeError),
        ({"ssl_context": "adhoc"}, ServeError),
        ({"request_handler": serving.WSGIRequestHandler}, ServeError),
    ],
)
def test_make_server_refuses(keywords: dict[str, Any], error: type[Exception], app: Flask) -> None:
    with pytest.raises(error):
        serving.make_server("127.0.0.1", 0, app, **keywords)


# --- addresses --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "family"),
    [
        ("127.0.0.1", socket.AF_INET),
        ("localhost", socket.AF_INET),
        ("::1", socket.AF_INET6),
        ("unix:///tmp/x.sock", socket.AF_UNIX),
        ("unix:x.sock", socket.AF_UNIX),
    ],
)
def test_address_family(host: str, family: int) -> None:
    assert serving.select_address_family(host, 0) == family


def test_socket_addresses() -> None:
    assert serving.get_sockaddr("127.0.0.1", 80, socket.AF_INET) == ("127.0.0.1", 80)
    assert serving.get_sockaddr("unix:///a/b", 0, socket.AF_UNIX) == "/a/b"
    assert serving.get_sockaddr("unix://b", 0, socket.AF_UNIX) == os.path.abspath("b")


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_interface_address_is_one(family: socket.AddressFamily) -> None:
    assert socket.inet_pton(family, serving.get_interface_ip(family).partition("%")[0])


# --- certificates -----------------------------------------------------------------------------------------------


def test_certificates(tmp_path: Path) -> None:
    pytest.importorskip("cryptography")
    import ssl

    certificate, key = serving.make_ssl_devcert(str(tmp_path / "dev"), host="localhost")
    assert (certificate, key) == (str(tmp_path / "dev.crt"), str(tmp_path / "dev.key"))
    assert os.stat(key).st_mode & 0o077 == 0
    assert isinstance(serving.load_ssl_context(certificate, key), ssl.SSLContext)
    assert isinstance(serving.generate_adhoc_ssl_context(), ssl.SSLContext)
    assert serving.is_ssl_error(ssl.SSLError())
    assert not serving.is_ssl_error(OSError())


def test_certificates_name_what_they_need(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("cryptography", "cryptography.x509"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(TypeError, match="cryptography"):
        serving.generate_adhoc_ssl_pair()


def test_import_is_light() -> None:
    code = "import sys, bustapi.werkzeug.serving, bustapi.werkzeug.test; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    unwanted = {
        "ssl",
        "asyncio",
        "jinja2",
        "click",
        "http.client",
        "tempfile",
        "http.server",
        "urllib.request",
    }
    assert unwanted.isdisjoint(loaded)


# --- the reloader -----------------------------------------------------------------------------------------------


def test_stat_loop_sees_a_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "deep" / "module.py"
    source.parent.mkdir()
    source.write_text("a = 1")
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    with _reloader.StatReloaderLoop(interval=0) as loop:
        loop.run_step()
        os.utime(source, (time.time() + 10, time.time() + 10))
        with pytest.raises(SystemExit) as ended:
            loop.run()
    assert ended.value.code == 3


def test_watchdog_loop_sees_a_renamed_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("watchdog.observers")
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    monkeypatch.setattr(_reloader, "_iter_module_paths", lambda: iter(()))
    with _reloader.WatchdogReloaderLoop(interval=0.05) as loop:
        (tmp_path / "note.txt").write_text("of no interest")
        (tmp_path / "new.tmp").write_text("a = 1")
        os.rename(tmp_path / "new.tmp", tmp_path / "module.py")
        assert loop.should_reload.wait(10)
        with pytest.raises(SystemExit) as ended:
            loop.run()
    assert ended.value.code == 3


@pytest.mark.parametrize(
    ("path", "concerns"),
    [
        ("/a/b.py", True),
        ("/a/b.pyc", True),
        ("/a/b.txt", False),
        ("/a/extra.cfg", True),
        ("/a/__pycache__/b.pyc", False),
        ("/a/.git/b.py", False),
        ("/skip/b.py", False),
        (b"/a/b.py", True),
        ("", False),
    ],
)
def test_watchdog_loop_looks_at_sources(path: str | bytes, concerns: bool) -> None:
    pytest.importorskip("watchdog")
    loop = _reloader.WatchdogReloaderLoop(extra_files=["/a/extra.cfg"], exclude_patterns=["/skip/*"])
    assert loop._concerns(path) is concerns


def test_stat_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a.py", "sub/b.py", "sub/c.txt", ".git/d.py", "data/x/y/e.py", "data/z.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    monkeypatch.setattr(_reloader, "_iter_module_paths", lambda: iter(()))
    extra = str(tmp_path / "sub" / "c.txt")
    found = {os.path.relpath(path, tmp_path) for path in _reloader._find_stat_paths({extra}, {"*/b.py"})}
    assert found == {"a.py", os.path.join("sub", "c.txt")}


def test_common_roots() -> None:
    paths = ["/a/b", "/a/b/c", "/a/bc", "/d/e/f", "/d/e"]
    assert set(_reloader._find_common_roots(paths)) == {"/a/b", "/a/bc", "/d/e"}


def test_unknown_reloader_type_is_refused() -> None:
    with pytest.raises(ValueError, match="stat"):
        _reloader.run_with_reloader(lambda: None, reloader_type="nonsense")


def test_reloader_needs_the_main_thread() -> None:
    errors: list[BaseException] = []

    def run() -> None:
        try:
            _reloader.run_with_reloader(lambda: None, reloader_type="stat")
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(10)
    assert isinstance(errors[0], RuntimeError)


# --- made servers and addresses -------------------------------------------------------------------------------------


def test_static_files_are_put_in_front_of_the_application(
    app: Flask, calls: list[tuple[tuple[Any, ...], dict[str, Any]]], tmp_path: Path
) -> None:
    (tmp_path / "a.txt").write_text("a file")
    serving.run_simple("127.0.0.1", 0, app, static_files={"/files": str(tmp_path)})
    application = calls[0][0][2]
    from bustapi.werkzeug.test import Client

    client = Client(application.wsgi_app)
    assert client.get("/files/a.txt").text == "a file"
    assert client.get("/").text == "served"


@pytest.mark.parametrize("kind", ["function", "coroutine"])
def test_a_made_server_serves_in_a_thread_and_knows_where(app: Flask, kind: str) -> None:
    if kind == "coroutine":

        async def later() -> str:
            return "later"

        app.add_url_rule("/later", "later", later)
    server = serving.make_server("127.0.0.1", 0, app)
    assert server.server_name == "127.0.0.1"
    descriptor = server.fileno()
    with socket.fromfd(descriptor, socket.AF_INET, socket.SOCK_STREAM) as listening:
        assert listening.getsockname()[1] == server.port
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        path = "/later" if kind == "coroutine" else "/"
        with urllib.request.urlopen(f"http://127.0.0.1:{server.port}{path}", timeout=20) as answer:
            assert answer.read() == (b"later" if kind == "coroutine" else b"served")
    finally:
        server.shutdown()
        thread.join(20)
        server.server_close()
    with pytest.raises(ValueError, match="closed"):
        server.fileno()


@pytest.mark.parametrize(
    ("host", "lines"),
    [
        ("127.0.0.1", [r" \* Running on http://127\.0\.0\.1:5$"]),
        ("0.0.0.0", [r"all addresses \(0\.0\.0\.0\)", r"http://127\.0\.0\.1:5", r"http://[\d.]+:5"]),
        ("::", [r"all addresses \(::\)", r"http://\[::1\]:5", r"http://\[[0-9a-f:%\w]+\]:5"]),
        ("unix:/a.sock", [r"Running on unix:/a\.sock$"]),
    ],
)
def test_the_lines_of_a_start_name_every_address(app: Flask, host: str, lines: list[str]) -> None:
    import re

    server = serving.make_server("127.0.0.1", 0, app)
    said: list[str] = []
    try:
        server.log = lambda kind, message, *args: said.append(message % args)  # type: ignore[method-assign]
        server.host, server.port = host, 5
        server.address_family = serving.select_address_family(host, 5)
        server.log_startup()
    finally:
        server.server_close()
    assert len(said) == len(lines)
    assert all(re.search(pattern, line) for pattern, line in zip(lines, said)), said


def test_what_a_server_logs_goes_to_the_logger_of_the_package(
    app: Flask, caplog: pytest.LogCaptureFixture
) -> None:
    server = serving.make_server("127.0.0.1", 0, app)
    try:
        with caplog.at_level("INFO", "werkzeug"):
            server.log("info", "told %s", "so")
    finally:
        server.server_close()
    assert [record.getMessage() for record in caplog.records] == ["told so"]


def test_names_that_cannot_be_resolved_stay_names(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "not known")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    assert serving.get_sockaddr("name.invalid", 80, socket.AF_INET) == ("name.invalid", 80)


@pytest.mark.parametrize(("family", "own"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")])
def test_without_a_network_the_own_address_is_this_hosts(
    family: socket.AddressFamily, own: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(sock: socket.socket, address: object) -> None:
        raise OSError("Network is unreachable")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    assert serving.get_interface_ip(family) == own
