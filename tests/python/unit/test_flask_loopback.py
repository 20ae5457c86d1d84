"""The test client's requests go through the server's core, on the caller's thread: how, and which do not."""

from __future__ import annotations

import threading
from contextvars import ContextVar
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from bustapi import Flask, g, request, session
from bustapi.flask import send_file, stream_with_context
from bustapi.flask._native import loopback
from bustapi.kernel.context import Frame, current
from bustapi.werkzeug.middleware.proxy_fix import ProxyFix
from bustapi.werkzeug.test import EnvironBuilder

BY_CORE = "RequestState"
BY_WSGI = Frame.__name__


@pytest.fixture
def app() -> Flask:
    app = Flask("loopback")
    app.secret_key = "key"
    # Told before anything makes a context.
    app.add_url_rule("/way", view_func=lambda: type(current.get()).__name__, methods=["GET", "POST"])
    return app


def test_a_request_is_the_servers(app: Flask) -> None:
    client = app.test_client()
    assert client.get("/way").text == BY_CORE
    assert client.post("/way", json={"a": 1}).text == BY_CORE
    assert client.get("/way", base_url="https://example.org", query_string={"a": "ü"}).text == BY_CORE
    assert client.post("/way", data={"file": (BytesIO(b"x" * 70_000), "x.txt")}).text == BY_CORE
    assert client.get("/way", headers={"Host": "a b"}).text == BY_WSGI


@pytest.mark.parametrize(
    "options",
    [
        {"environ_overrides": {"SCRIPT_NAME": "/below"}},
        {"environ_overrides": {"SERVER_PROTOCOL": "HTTP/1.0"}},
        {"environ_overrides": {"REMOTE_ADDR": "nobody"}},
        {"environ_overrides": {"HTTP_UPGRADE": "h2c"}},
        {"environ_overrides": {"HTTP_X": "b\rreak"}},
        {"environ_overrides": {"HTTP_X": " around "}},
        {"environ_overrides": {"HTTP_X": "\u20ac"}},
        {"environ_overrides": {"HTTP_X?": "name"}},
        {"environ_overrides": {"PATH_INFO": "way"}},
        {"environ_overrides": {"QUERY_STRING": "a b"}},
        {"environ_overrides": {"CONTENT_LENGTH": "5"}},
        {"method": "Get"},
    ],
    ids=str,
)
def test_what_no_client_would_send_goes_through_wsgi(app: Flask, options: dict[str, Any]) -> None:
    app.before_request(lambda: type(current.get()).__name__)
    assert app.test_client().open("/way", **options).text == BY_WSGI


def test_a_body_that_cannot_be_read_twice_is_left_to_its_reader(app: Flask) -> None:
    class Once(BytesIO):
        def seekable(self) -> bool:
            return False

    app.add_url_rule("/size", "size", lambda: str(len(request.get_data())), methods=["POST"])
    for stream, length in ((Once(b"abc"), "3"), (BytesIO(b"abc"), "3")):
        environ = EnvironBuilder(method="POST", input_stream=stream, content_length=int(length)).get_environ()
        environ["PATH_INFO"] = "/size"
        assert app.test_client().open(environ).text == length


def test_a_long_body_goes_through_wsgi(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loopback, "_MOST", 3)
    client = app.test_client()
    assert client.post("/way", data=b"abc").text == BY_CORE
    assert client.post("/way", data=b"abcd").text == BY_WSGI


def test_an_application_within_something_goes_through_it(app: Flask) -> None:
    client = app.test_client()
    app.wsgi_app = ProxyFix(app.wsgi_app)  # type: ignore[method-assign]
    assert client.get("/way").text == BY_WSGI


def test_a_context_that_is_pushed_is_the_requests(app: Flask) -> None:
    app.add_url_rule("/g", "named", lambda: g.get("name", "none"))
    client = app.test_client()
    with app.app_context():
        g.name = "outer"
        assert client.get("/g").text == "outer"
    assert client.get("/g").text == "none"


def test_what_nothing_handles_is_raised(app: Flask, caplog: pytest.LogCaptureFixture) -> None:
    @app.get("/fails")
    def fails() -> str:
        raise {"key": KeyError("gone"), "exit": SystemExit(3)}[request.args["how"]]

    client = app.test_client()
    assert client.get("/fails?how=key").status == "500 INTERNAL SERVER ERROR"
    assert len(caplog.records) == 1
    with pytest.raises(SystemExit, match="3"):
        client.get("/fails?how=exit")
    app.testing = True
    with pytest.raises(KeyError, match="gone"):
        client.get("/fails?how=key")
    app._got_first_request = False
    app.before_request(lambda: None)
    with pytest.raises(KeyError, match="gone"):
        client.get("/fails?how=key")
    assert len(caplog.records) == 1


def test_a_teardown_function_that_fails_is_raised(app: Flask) -> None:
    @app.teardown_request
    def fails(error: BaseException | None) -> None:
        raise RuntimeError("in teardown")

    with pytest.raises(RuntimeError, match="in teardown"):
        app.test_client().get("/way")


def test_a_request_sees_the_callers_context_and_leaves_it_alone(app: Flask) -> None:
    seen: ContextVar[str] = ContextVar("seen", default="nothing")

    @app.get("/seen")
    def see() -> str:
        before = seen.get()
        seen.set("the view's")
        return before

    token = seen.set("the caller's")
    client = app.test_client()
    assert [client.get("/seen").text for _ in range(2)] == ["the caller's"] * 2
    seen.reset(token)


def test_a_generated_body_is_read_as_it_is_asked_for(app: Flask) -> None:
    steps: list[str] = []

    @app.get("/pieces")
    def pieces() -> Any:
        def generate() -> Any:
            try:
                for number in range(3):
                    steps.append(f"{number} {request.path}")
                    yield str(number)
            finally:
                steps.append("closed")

        return stream_with_context(generate())

    client = app.test_client()
    response = client.get("/pieces")
    assert steps == ["0 /pieces"]
    assert response.get_data() == b"012"
    assert steps[-1] == "closed"
    assert current.get(None) is None
    del steps[:]
    assert client.head("/pieces").get_data() == b""
    assert steps in ([], ["closed"])
    with client.get("/pieces"):
        pass
    assert steps[-1] == "closed"


def test_a_file_is_sent_as_a_whole(app: Flask, tmp_path: Path) -> None:
    file = tmp_path / "file.bin"
    file.write_bytes(bytes(range(256)) * 300)
    app.add_url_rule("/file", "file", lambda: send_file(file))
    client = app.test_client()
    response = client.get("/file")
    assert response.get_data() == file.read_bytes()
    assert response.headers["Content-Length"] == "76800"
    response.close()
    response = client.head("/file")
    assert (response.get_data(), response.headers["Content-Length"]) == (b"", "76800")
    response.close()
    response = client.get("/file", headers={"Range": "bytes=65-67"})
    assert (response.status, response.get_data()) == ("206 PARTIAL CONTENT", b"ABC")
    response.close()


def test_the_environment_is_the_one_that_the_test_made(app: Flask) -> None:
    @app.get("/environ")
    def environ() -> dict[str, Any]:
        return {
            "user": request.remote_user,
            "mine": request.environ["test.mine"],
            "client": request.remote_addr,
            "server": request.server,
        }

    overrides = {"REMOTE_USER": "ada", "test.mine": 1, "REMOTE_ADDR": "2001:db8::1"}
    response = app.test_client().get("/environ", environ_overrides=overrides)
    assert response.json == {
        "user": "ada",
        "mine": 1,
        "client": "2001:db8::1",
        "server": ["localhost", 80],
    }


def test_contexts_are_kept_where_that_is_asked_for(app: Flask) -> None:
    ended: list[object] = []

    @app.get("/keeps")
    def keeps() -> str:
        g.name = "kept"
        session["seen"] = True
        return ""

    client = app.test_client()
    with client:
        client.get("/way?first")
        assert request.query_string == b"first"
        client.get("/keeps")
        assert (request.path, g.name, session["seen"]) == ("/keeps", "kept", True)
    app._got_first_request = False
    app.teardown_request(ended.append)
    with client:
        client.get("/keeps")
        # As in Flask: when the request ends, and when the client leaves its contexts.
        assert ended == [None]
    assert ended == [None, None]
    assert current.get(None) is None


def test_a_view_may_send_requests_itself(app: Flask) -> None:
    @app.get("/asks")
    def asks() -> str:
        mine = request.path
        return f"{app.test_client().get('/way').text} {request.path == mine}"

    assert app.test_client().get("/asks").text == f"{BY_WSGI} True"


def test_many_threads_may_use_one_client(app: Flask) -> None:
    client = app.test_client(use_cookies=False)
    wrong: list[str] = []

    def work() -> None:
        wrong.extend(text for text in (client.get("/way").text for _ in range(50)) if text != BY_CORE)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert not any(thread.is_alive() for thread in threads)
    assert wrong == []


def test_a_coroutine_runs_here(app: Flask) -> None:
    async def view() -> str:
        return threading.current_thread().name

    app.add_url_rule("/async", view_func=view)
    assert app.test_client().get("/async").status == "200 OK"


@pytest.mark.parametrize("reads", [False, True])
@pytest.mark.parametrize("is_async", [False, True])
def test_contexts_are_kept_beside_a_body_that_has_them_too(app: Flask, reads: bool, is_async: bool) -> None:
    def respond() -> Any:
        session["seen"] = "body"
        return stream_with_context(iter([session["seen"], "!"]))

    async def respond_async() -> Any:
        return respond()

    app.add_url_rule("/body", view_func=respond_async if is_async else respond)
    client = app.test_client()
    for _ in range(2):
        with client:
            response = client.get("/body")
            if reads:
                assert response.text == "body!"
            response.close()
            assert request.path == "/body"
        assert current.get(None) is None
    with client:
        response = client.get("/body")
    assert current.get(None) is None
    response.close()
    assert current.get(None) is None
