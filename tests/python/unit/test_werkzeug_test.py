"""The test client and the builder of its environs."""

from __future__ import annotations

import json
from io import BytesIO
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from bustapi.werkzeug.datastructures import FileStorage, MultiDict
from bustapi.werkzeug.formparser import parse_form_data
from bustapi.werkzeug.test import (
    Client,
    ClientRedirectError,
    Cookie,
    EnvironBuilder,
    TestResponse,
    create_environ,
    encode_multipart,
    run_wsgi_app,
    stream_encode_multipart,
)
from bustapi.werkzeug.utils import redirect
from bustapi.werkzeug.wrappers import Request, Response


@Request.application
def echo(request: Request) -> Response:
    shown = {
        "method": request.method,
        "root": request.root_path,
        "path": request.path,
        "query": request.query_string.decode(),
        "cookies": request.cookies.to_dict(),
        "body": request.get_data(as_text=True),
        "type": request.content_type,
    }
    return Response(json.dumps(shown), mimetype="application/json")


def test_path_and_query_are_split() -> None:
    environ = create_environ("/a b/%3F?x=1&y=2", "https://example.com:8443/root/")
    assert environ["PATH_INFO"] == "/a b/?"
    assert environ["QUERY_STRING"] == "x=1&y=2"
    assert environ["SCRIPT_NAME"] == "/root"
    assert (environ["SERVER_NAME"], environ["SERVER_PORT"]) == ("example.com", "8443")
    assert environ["wsgi.url_scheme"] == "https"


def test_ipv6_host_is_split_at_its_port() -> None:
    builder = EnvironBuilder(base_url="http://[::1]:5000/")
    assert (builder.server_name, builder.server_port) == ("::1", 5000)
    assert builder.get_environ()["HTTP_HOST"] == "[::1]:5000"


def test_query_in_both_places_is_refused() -> None:
    with pytest.raises(ValueError, match="Query string"):
        EnvironBuilder("/?a=1", query_string="b=2")


def test_base_url_with_query_is_refused() -> None:
    with pytest.raises(ValueError, match="base url"):
        EnvironBuilder(base_url="http://localhost/?a=1")


@pytest.mark.parametrize("extra", [{"input_stream": BytesIO(b"y")}, {"json": {}}])
def test_two_bodies_are_refused(extra: dict[str, object]) -> None:
    with pytest.raises(TypeError):
        EnvironBuilder(data=b"x", **extra)  # type: ignore[arg-type]


def test_json_is_dumped_and_typed() -> None:
    request = EnvironBuilder(method="POST", json={"a": [1, None]}).get_request()
    assert request.content_type == "application/json"
    assert request.get_json() == {"a": [1, None]}
    assert request.content_length == len(request.get_data())


def test_form_and_files_choose_the_content_type() -> None:
    builder = EnvironBuilder(method="POST", data={"name": "ö", "many": ["1", "2"]})
    assert builder.content_type == "application/x-www-form-urlencoded"
    builder.files.add_file("file", BytesIO(b"content"), "x.txt")
    assert builder.content_type == "multipart/form-data"
    request = builder.get_request()
    assert request.form.to_dict(flat=False) == {"name": ["ö"], "many": ["1", "2"]}
    assert request.files["file"].read() == b"content"
    assert request.files["file"].mimetype == "text/plain"


def test_file_as_tuple() -> None:
    data = {"file": (BytesIO(b"{}"), "a.json", "application/json")}
    request = EnvironBuilder(method="POST", data=data).get_request()
    assert request.files["file"].filename == "a.json"
    assert request.files["file"].content_type == "application/json"


def test_input_stream_excludes_form() -> None:
    builder = EnvironBuilder(input_stream=BytesIO(b"abc"))
    with pytest.raises(AttributeError):
        builder.form  # noqa: B018
    builder.form = MultiDict({"a": "1"})
    assert builder.input_stream is None
    assert builder.form["a"] == "1"


def test_query_string_excludes_args() -> None:
    builder = EnvironBuilder(query_string="a=1")
    with pytest.raises(AttributeError):
        builder.args  # noqa: B018
    builder.args = MultiDict([("b", "2"), ("b", "3")])
    assert builder.query_string == "b=2&b=3"


def test_stream_that_cannot_be_positioned_keeps_the_given_length() -> None:
    class Pipe:
        def read(self, size: int = -1) -> bytes:
            return b""

    environ = create_environ(input_stream=Pipe(), content_length=7)
    assert environ["CONTENT_LENGTH"] == "7"


def test_content_fields_stand_once_in_the_environ() -> None:
    headers = [("content_type", "a/b"), ("Content-Length", "9"), ("X-A", "1"), ("X-A", "2")]
    environ = create_environ(headers=headers, method="POST", data=b"xyz", content_type="text/plain")
    assert environ["CONTENT_TYPE"] == "text/plain"
    assert "HTTP_CONTENT_TYPE" not in environ
    assert "HTTP_CONTENT_LENGTH" not in environ
    assert environ["CONTENT_LENGTH"] == "3"
    assert environ["HTTP_X_A"] == "1, 2"


def test_overrides_beat_the_request_and_base_does_not() -> None:
    environ = create_environ(
        environ_base={"PATH_INFO": "no", "A": 1}, environ_overrides={"REQUEST_METHOD": "X"}
    )
    assert environ["PATH_INFO"] == "/"
    assert environ["A"] == 1
    assert environ["REQUEST_METHOD"] == "X"


def test_basic_auth_from_a_pair() -> None:
    request = EnvironBuilder(auth=("me", "s3cret")).get_request()
    assert request.authorization is not None
    assert request.authorization.username == "me"
    assert request.authorization.password == "s3cret"


def test_from_environ_keeps_escaped_delimiters() -> None:
    environ = create_environ("/a%3Fb%2541", "http://localhost/r%3Foot", query_string="x=1")
    again = EnvironBuilder.from_environ(environ).get_environ()
    assert again["PATH_INFO"] == "/a?b%41"
    assert again["SCRIPT_NAME"] == "/r?oot"
    assert again["QUERY_STRING"] == "x=1"


def test_from_environ_without_a_host_field() -> None:
    environ = create_environ("/", "http://example.org/")
    del environ["HTTP_HOST"]
    assert EnvironBuilder.from_environ(environ).host == "example.org"


def test_mimetype_params_write_through() -> None:
    builder = EnvironBuilder(content_type="text/plain; charset=latin-1")
    builder.mimetype_params["charset"] = "utf-8"
    assert builder.headers["Content-Type"] == "text/plain; charset=utf-8"


def test_closing_closes_files(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"x")
    builder = EnvironBuilder(method="POST")
    builder.files.add_file("a", str(path))
    file = builder.files["a"]
    builder.close()
    assert file.stream.closed


@pytest.mark.parametrize("threshold", [0, 100, 10**6])
def test_multipart_is_the_same_in_memory_and_on_disk(threshold: int) -> None:
    values = {"text": "v" * 50, "file": FileStorage(BytesIO(b"f" * 40000), "f.bin", "file")}
    stream, length, boundary = stream_encode_multipart(values, threshold=threshold, boundary="b")
    assert boundary == "b"
    body = stream.read()
    assert len(body) == length
    stream.close()
    environ = {
        "wsgi.input": BytesIO(body),
        "CONTENT_LENGTH": str(length),
        "CONTENT_TYPE": 'multipart/form-data; boundary="b"',
        "REQUEST_METHOD": "POST",
    }
    _, form, files = parse_form_data(environ)
    assert form["text"] == "v" * 50
    assert files["file"].read() == b"f" * 40000


def test_multipart_of_a_plain_file_object(tmp_path: Path) -> None:
    path = tmp_path / "note.txt"
    path.write_bytes(b"hello")
    with open(path, "rb") as file:
        boundary, body = encode_multipart({"note": file})
    assert b"text/plain" in body
    assert b"hello" in body
    assert boundary.encode() in body


def test_client_methods_send_their_method() -> None:
    client = Client(echo)
    for name in ("get", "post", "put", "delete", "patch", "options", "trace"):
        assert getattr(client, name)("/x").json["method"] == name.upper()
    assert client.head("/").status_code == 200


def test_client_takes_builder_environ_and_request() -> None:
    client = Client(echo)
    builder = EnvironBuilder("/b", method="PUT")
    for source in (builder, builder.get_environ(), builder.get_request()):
        response = client.open(source)
        assert (response.json["method"], response.json["path"]) == ("PUT", "/b")


def test_response_class_is_extended() -> None:
    class Own(Response):
        def shout(self) -> str:
            return self.get_data(as_text=True).upper()

    response = Client(echo, Own).get("/")
    assert isinstance(response, Own)
    assert isinstance(response, TestResponse)
    assert "PATH" in response.shout()  # type: ignore[attr-defined]
    assert response.request.path == "/"
    assert response.text == response.get_data(as_text=True)


def cookie_app(*set_cookie: str) -> object:
    @Request.application
    def app(request: Request) -> Response:
        response = Response(json.dumps(request.cookies.to_dict()))
        if request.path == "/set":
            for header in set_cookie:
                response.headers.add("Set-Cookie", header)
        return response

    return app


@pytest.mark.parametrize(
    ("header", "url", "sent"),
    [
        ("a=1", "http://localhost/", True),
        ("a=1", "http://sub.localhost/", False),
        ("a=1; Domain=localhost", "http://sub.localhost/", True),
        ("a=1; Domain=.localhost", "http://sub.localhost/", True),
        ("a=1; Domain=localhost", "http://notlocalhost/", False),
        ("a=1; Path=/x", "http://localhost/x/y", True),
        ("a=1; Path=/x", "http://localhost/x", True),
        ("a=1; Path=/x", "http://localhost/xy", False),
        ("a=1; Path=/x/", "http://localhost/x/y", True),
        ("a=1; Max-Age=0", "http://localhost/", False),
        ("a=1; Max-Age=soon", "http://localhost/", True),
        ("a=1; Expires=Thu, 01 Jan 1970 00:00:00 GMT", "http://localhost/", False),
    ],
)
def test_cookie_is_sent_where_it_belongs(header: str, url: str, sent: bool) -> None:
    client = Client(cookie_app(header))  # type: ignore[arg-type]
    client.get("/set")
    parts = urlsplit(url)
    assert client.get(parts.path, f"http://{parts.netloc}").get_data() == (b'{"a": "1"}' if sent else b"{}")


def test_cookie_without_a_name_does_no_harm() -> None:
    client = Client(cookie_app("", "=; Path=/", "b=2"))  # type: ignore[arg-type]
    client.get("/set")
    assert json.loads(client.get("/").get_data())["b"] == "2"


def test_cookies_by_hand() -> None:
    client = Client(echo)
    client.set_cookie("key", "a b", path="/p")
    cookie = client.get_cookie("key", path="/p")
    assert isinstance(cookie, Cookie)
    assert (cookie.decoded_value, cookie.value, cookie.origin_only) == ("a b", '"a b"', True)
    assert client.get("/p/q").json["cookies"] == {"key": "a b"}
    client.delete_cookie("key", path="/p")
    assert client.get_cookie("key", path="/p") is None
    client.set_cookie("key", "x", max_age=0)
    assert client.get_cookie("key") is None


def test_client_without_cookies() -> None:
    client = Client(echo, use_cookies=False)
    assert client.get("/", headers={"Cookie": "a=1"}).json["cookies"] == {"a": "1"}  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="disabled"):
        client.get_cookie("a")


def redirecting(location: str, code: int) -> object:
    @Request.application
    def app(request: Request) -> Response:
        if request.path.startswith("/go"):
            return redirect(location, code)
        shown = [request.method, request.root_path, request.path, request.get_data(as_text=True)]
        text = json.dumps([*shown, request.query_string.decode(), request.host])
        return Response(text, headers={"X-Seen": text})

    return app


@pytest.mark.parametrize(
    ("code", "method", "expected"),
    [
        (301, "POST", ["GET", ""]),
        (302, "HEAD", ["HEAD", ""]),
        (303, "PUT", ["GET", ""]),
        (307, "POST", ["POST", "body"]),
        (308, "PUT", ["PUT", "body"]),
    ],
)
def test_redirect_keeps_or_drops_the_method(code: int, method: str, expected: list[str]) -> None:
    client = Client(redirecting("/there", code))  # type: ignore[arg-type]
    response = client.open("/go", method=method, data="body", follow_redirects=True)
    seen = json.loads(response.headers["X-Seen"])  # a HEAD has no body
    assert [seen[0], seen[3]] == expected
    assert [step.status_code for step in response.history] == [code]


@pytest.mark.parametrize(
    ("location", "root", "path"),
    [
        ("/root/x?y=1", "/root", "/x"),
        ("/rooted", "", "/rooted"),
        ("/root", "/root", "/"),
        ("sibling", "/root", "/go/sibling"),
        ("../up", "/root", "/up"),
    ],
)
def test_redirect_is_resolved_against_the_request(location: str, root: str, path: str) -> None:
    def app(environ: dict[str, object], start_response: object) -> object:
        request = Request(environ)
        if request.path == "/go/":
            return Response(status=302, headers={"Location": location})(environ, start_response)  # type: ignore[arg-type]
        return Response(json.dumps([request.root_path, request.path]))(environ, start_response)  # type: ignore[arg-type]

    response = Client(app).get("/go/", base_url="http://localhost/root", follow_redirects=True)  # type: ignore[arg-type]
    assert json.loads(response.get_data()) == [root, path]


def test_redirect_loop_is_found() -> None:
    client = Client(redirecting("/go", 302))  # type: ignore[arg-type]
    with pytest.raises(ClientRedirectError):
        client.get("/go", follow_redirects=True)


def test_redirect_to_another_host_is_refused() -> None:
    client = Client(redirecting("http://elsewhere.test/", 302))  # type: ignore[arg-type]
    with pytest.raises(RuntimeError, match="external"):
        client.get("/go", follow_redirects=True)


def test_redirect_to_a_subdomain_must_be_allowed() -> None:
    app = redirecting("http://sub.localhost/", 302)
    with pytest.raises(RuntimeError, match="subdomain"):
        Client(app).get("/go", follow_redirects=True)  # type: ignore[arg-type]
    client = Client(app, allow_subdomain_redirects=True)  # type: ignore[arg-type]
    assert json.loads(client.get("/go", follow_redirects=True).get_data())[-1] == "sub.localhost"


def test_body_is_read_only_as_far_as_the_start() -> None:
    steps: list[str] = []

    def app(environ: object, start_response: object) -> object:
        start_response("200 OK", [])  # type: ignore[operator]
        steps.append("first")
        yield b"1"
        steps.append("second")
        yield b"2"

    body, status, _ = run_wsgi_app(app, create_environ())  # type: ignore[arg-type]
    assert (status, steps) == ("200 OK", ["first"])
    assert b"".join(body) == b"12"


def test_written_pieces_come_first() -> None:
    def app(environ: object, start_response: object) -> list[bytes]:
        write = start_response("200 OK", [])  # type: ignore[operator]
        write(b"written ")
        return [b"returned"]

    for buffered in (False, True):
        body, _, _ = run_wsgi_app(app, create_environ(), buffered=buffered)  # type: ignore[arg-type]
        assert b"".join(body) == b"written returned"


def test_body_is_closed_with_the_response() -> None:
    closed: list[bool] = []

    class Body:
        def __iter__(self) -> object:
            return iter([b"x"])

        def close(self) -> None:
            closed.append(True)

    def app(environ: object, start_response: object) -> Body:
        start_response("200 OK", [])  # type: ignore[operator]
        return Body()

    response = Client(app).get("/")  # type: ignore[arg-type]
    assert closed == []
    response.close()
    assert closed == [True]
    Client(app).get("/", buffered=True)  # type: ignore[arg-type]
    assert closed == [True, True]


def test_application_that_does_not_start_is_named() -> None:
    with pytest.raises(RuntimeError, match="start_response"):
        run_wsgi_app(lambda environ, start_response: [], create_environ())


def test_environ_of_the_caller_is_not_changed() -> None:
    def app(environ: dict[str, object], start_response: object) -> list[bytes]:
        environ["touched"] = True
        start_response("200 OK", [])  # type: ignore[operator]
        return []

    environ = create_environ()
    run_wsgi_app(app, environ)  # type: ignore[arg-type]
    assert "touched" not in environ
