"""A request that the server holds answers what one made of its environment answers, and builds none to do so."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest

from bustapi.werkzeug.exceptions import BadRequest, RequestEntityTooLarge, UnsupportedMediaType
from bustapi.werkzeug.wrappers import Request


class State:
    """The server's request state, in Python, counting what is asked of it."""

    scheme = "http"
    is_streamed = False

    def __init__(self, path: str = "/", query: bytes = b"", body: bytes = b"", **fields: Any) -> None:
        self.method = fields.pop("method", "POST" if body else "GET")
        self.path = path
        self.query_string = query
        self.server = ("127.0.0.1", 5000)
        self.root_path = fields.pop("root_path", "")
        self.remote_addr = "10.0.0.1"
        self.body = body
        self.fields: list[tuple[str, str]] = [("Host", "example.com:5000")]
        for name, value in fields.items():
            values = value if isinstance(value, list) else [value]
            self.fields += [(name.replace("_", "-").title(), one) for one in values]
        if body and not self.header("Transfer-Encoding"):
            self.fields.append(("Content-Length", str(len(body))))
        self.asked: list[str] = []
        self.made: dict[str, Any] | None = None

    @property
    def host(self) -> str | None:
        return self.header("Host")

    @property
    def content_length(self) -> int | None:
        return len(self.body) if self.header("Content-Length") else None

    def header(self, name: str) -> str | None:
        found = [value for field, value in self.fields if field.lower() == name.lower()]
        return ("; " if name.lower() == "cookie" else ",").join(found) if found else None

    def headers_list(self) -> list[tuple[str, str]]:
        self.asked.append("headers_list")
        return list(self.fields)

    def get_data(self) -> bytes:
        self.asked.append("get_data")
        return self.body

    def plain_json(self, request: Any) -> Any:
        # The shortest way is the server's own, and tested there.
        return ...

    def json(self) -> Any:
        self.asked.append("json")
        return json.loads(self.body)

    def environ(self) -> dict[str, Any]:
        if self.made is None:
            self.asked.append("environ")
            environ: dict[str, Any] = {
                "REQUEST_METHOD": self.method,
                "SCRIPT_NAME": self.root_path,
                "PATH_INFO": self.path.encode().decode("latin1"),
                "QUERY_STRING": self.query_string.decode("latin1"),
                "SERVER_NAME": self.server[0],
                "SERVER_PORT": str(self.server[1]),
                "REMOTE_ADDR": self.remote_addr,
                "wsgi.url_scheme": self.scheme,
                "wsgi.input": io.BytesIO(self.body),
                "wsgi.multithread": True,
            }
            for name, _ in self.fields:
                if "_" not in name:
                    key = name.upper().replace("-", "_")
                    key = key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}"
                    environ[key] = self.header(name)
            if self.header("Transfer-Encoding"):
                environ["wsgi.input_terminated"] = True
            self.made = environ
        return self.made


STATES: dict[str, dict[str, Any]] = {
    "plain": {},
    "unicode path": {"path": "/é/ü x", "query": b"a=%C3%A9&b=1&b=2"},
    "double slash": {"path": "//a//b"},
    "asterisk": {"path": "*", "method": "OPTIONS"},
    "lower case method": {"method": "get"},
    "cookies": {"cookie": ["a=1; b=2", "c=3"]},
    "repeated": {"x_forwarded_for": ["1.1.1.1", "2.2.2.2"], "accept": ["a/b", "c/d;q=0.5"]},
    "form": {"body": b"a=1&b=2", "content_type": "application/x-www-form-urlencoded"},
    "json": {"body": b'{"a": [1]}', "content_type": "application/json; charset=utf-8"},
    "chunked": {"body": b"[1]", "content_type": "application/json", "transfer_encoding": "chunked"},
    "empty type": {"content_type": "", "x_a1b": "v"},
    "other host": {"host": "other"},
    "mounted": {"root_path": "/api", "path": "/x"},
}
ATTRIBUTES = [
    *("method", "scheme", "server", "root_path", "path", "query_string", "remote_addr", "full_path", "url"),
    *("base_url", "root_url", "url_root", "host_url", "host", "script_root", "is_secure", "args", "cookies"),
    *(
        "access_route",
        "content_type",
        "mimetype",
        "mimetype_params",
        "content_length",
        "is_json",
        "form",
        "files",
    ),
    *("values", "data", "accept_mimetypes", "user_agent", "want_form_data_parsed", "authorization", "range"),
]


@pytest.mark.parametrize("name", STATES)
@pytest.mark.parametrize("attribute", ATTRIBUTES)
def test_an_attribute_is_the_same_and_builds_no_environment(name: str, attribute: str) -> None:
    state = State(**STATES[name])
    found = getattr(Request._from_native(state), attribute)
    assert "environ" not in state.asked
    expected = getattr(Request(State(**STATES[name]).environ()), attribute)
    assert type(found) is type(expected)
    assert repr(found) == repr(expected)


@pytest.mark.parametrize("name", STATES)
def test_header_fields_are_the_same(name: str) -> None:
    found = Request._from_native(State(**STATES[name])).headers
    expected = Request(State(**STATES[name]).environ()).headers
    assert sorted(found) == sorted(expected)
    assert len(found) == len(expected)
    for key, value in expected:
        for spelling in (key, key.lower(), key.upper(), key.replace("-", "_")):
            assert found[spelling] == value
            assert spelling in found
        assert found.getlist(key) == expected.getlist(key) == [value]
    assert found.get("missing", 5) == 5
    assert "missing" not in found
    assert found.getlist("missing") == []
    with pytest.raises(KeyError):
        found["missing"]
    with pytest.raises(TypeError):
        found["X"] = "1"


def test_nothing_is_decoded_before_it_is_asked_for() -> None:
    state = State(body=b"abc")
    request = Request._from_native(state)
    assert vars(request) == {"_native": state}
    assert state.asked == []
    assert request.headers.get("Host") == "example.com:5000"
    assert state.asked == []


def test_a_field_whose_name_has_an_underscore_is_not_taken_for_its_twin() -> None:
    state = State()
    state.fields.append(("X_User", "forged"))
    headers = Request._from_native(state).headers
    assert headers.get("X-User") is None
    assert "X_User" not in dict(headers)


def test_the_environment_is_built_on_request_and_seen_from_then_on() -> None:
    request = Request._from_native(State(body=b"abc", x="1"))
    before = request.headers
    assert before["X"] == "1"
    request.environ["HTTP_X"] = "2"
    assert before["X"] == "2"
    assert dict(request.headers)["X"] == "2"
    assert request.environ["werkzeug.request"] is request
    request.environ["wsgi.input"] = io.BytesIO(b"new")
    assert request.get_data() == b"new"


def test_header_fields_taken_after_the_environment_come_from_it() -> None:
    request = Request._from_native(State(x="1"))
    request.environ["HTTP_X"] = "2"
    assert request.headers["x"] == "2"
    assert request.headers.environ is request.environ


def test_attributes_can_be_assigned_and_deleted() -> None:
    request = Request._from_native(State(path="/a"))
    request.path = "/b"
    assert request.path == "/b"
    assert request.full_path == "/b?"
    del request.path
    assert request.path == "/a"


def test_a_request_of_an_environment_without_an_attribute_says_so() -> None:
    request = Request(State().environ())
    del request.method
    with pytest.raises(AttributeError, match="method"):
        request.method  # noqa: B018


def test_json_is_parsed_where_it_was_received() -> None:
    state = State(body=b'{"a": 1}', content_type="application/json")
    request = Request._from_native(state)
    assert request.get_json() == {"a": 1}
    assert request.get_json() is request.json
    assert state.asked == ["json"]
    assert request.get_data() == b'{"a": 1}'


def test_json_that_was_read_as_data_is_parsed_of_that() -> None:
    state = State(body=b"[1]", content_type="application/json")
    request = Request._from_native(state)
    assert request.get_data() == b"[1]"
    assert request.json == [1]
    assert "json" not in state.asked


def test_a_stream_that_was_read_leaves_no_json() -> None:
    request = Request._from_native(State(body=b"[1]", content_type="application/json"))
    assert request.stream.read() == b"[1]"
    with pytest.raises(BadRequest):
        request.get_json()


class Decoder:
    """A JSON module of its own."""

    @staticmethod
    def loads(data: Any) -> Any:
        return "own", bytes(data)


class Marked:
    """A JSON module that says that it means what `json.loads` means."""

    def loads(self, data: Any) -> Any:
        return json.loads(data)

    loads.is_plain_json = True  # type: ignore[attr-defined]


def test_another_json_module_gets_the_bytes() -> None:
    state = State(body=b"[1]", content_type="application/json")
    request = Request._from_native(state)
    request.json_module = Decoder
    assert request.json == ("own", b"[1]")


def test_a_json_module_that_means_the_same_need_not_be_called() -> None:
    state = State(body=b"[1]", content_type="application/json")
    request = Request._from_native(state)
    request.json_module = Marked()
    assert request.json == [1]
    assert state.asked == ["json"]


@pytest.mark.parametrize("source", ["get_data", "mimetype", "stream"])
def test_a_subclass_that_replaces_a_source_sees_every_json_body(source: str) -> None:
    def get_data(self: Any, *args: Any, **kwargs: Any) -> bytes:
        return b"[2]"

    replacements: dict[str, Any] = {
        "get_data": get_data,
        "mimetype": property(lambda self: "text/plain"),
        "stream": property(lambda self: io.BytesIO(b"[2]")),
    }
    kind = type("Own", (Request,), {source: replacements[source]})
    request = kind._from_native(State(body=b"[1]", content_type="application/json"))
    if source == "mimetype":
        with pytest.raises(UnsupportedMediaType):
            request.get_json()
    else:
        assert request.get_json() == [2]


def test_a_replaced_method_sees_every_json_body(monkeypatch: pytest.MonkeyPatch) -> None:
    request = Request._from_native(State(body=b"[1]", content_type="application/json"))
    request.get_data = lambda **options: b"[2]"  # type: ignore[assignment,misc]
    assert request.get_json() == [2]
    monkeypatch.setattr(Request, "get_data", lambda self, **options: b"[3]")
    assert Request._from_native(State(body=b"[1]", content_type="application/json")).get_json() == [3]


def test_errors_of_json_bodies() -> None:
    with pytest.raises(BadRequest, match="Failed to decode JSON object: Expecting value"):
        Request._from_native(State(body=b"[", content_type="application/json")).get_json()
    with pytest.raises(BadRequest):
        Request._from_native(State(content_type="application/json")).get_json()
    with pytest.raises(UnsupportedMediaType):
        Request._from_native(State(body=b"[1]", content_type="text/plain")).get_json()
    assert (
        Request._from_native(State(body=b"[", content_type="application/json")).get_json(silent=True) is None
    )


@pytest.mark.parametrize("how", ["get_data", "get_json", "body", "form"])
@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_past_the_limit_is_refused_however_it_is_read(how: str, chunked: bool) -> None:
    kind = "application/x-www-form-urlencoded" if how == "form" else "application/json"
    coding = {"transfer_encoding": "chunked"} if chunked else {}
    request = Request._from_native(State(body=b"[1, 2]", content_type=kind, **coding))
    request.max_content_length = 5
    reads = {
        "get_data": request.get_data,
        "get_json": request.get_json,
        "body": lambda: request.body,
        "form": lambda: request.form,
    }
    with pytest.raises(RequestEntityTooLarge):
        reads[how]()


def test_a_shallow_request_reads_no_body() -> None:
    request = Request._from_native(State(body=b"[1]", content_type="application/json"))
    request.shallow = True
    for read in (request.get_data, request.get_json, lambda: request.body):
        with pytest.raises(RuntimeError):
            read()


def test_the_body_is_the_servers_buffer_until_it_was_read() -> None:
    state = State(body=b"abc")
    request = Request._from_native(state)
    assert request.body is state.body
    request.get_data()
    assert bytes(request.body) == b"abc"
    assert memoryview(request.body).readonly


def test_a_subclass_with_its_own_constructor_gets_an_environment() -> None:
    class Own(Request):
        def __init__(self, environ: dict[str, Any]) -> None:
            super().__init__(environ)
            self.extra = environ["REQUEST_METHOD"]

    request = Own._from_native(State(method="PUT"))
    assert isinstance(request, Own)
    assert request.extra == "PUT"


def test_a_lazy_value_asked_for_through_super_is_computed_once() -> None:
    class Own(Request):
        @property
        def args(self) -> Any:  # type: ignore[override]
            return super().args

    request = Own._from_native(State(query=b"a=1"))
    assert request.args is request.args
