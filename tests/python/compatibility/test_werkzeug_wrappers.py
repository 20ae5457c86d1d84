"""Requests and responses show and send what Werkzeug's do."""

from __future__ import annotations

import io
from datetime import datetime, timedelta, timezone
from typing import Any, Callable

import pytest

from .werkzeug_pair import Names, assert_same

MOMENT = datetime(2024, 2, 29, 12, 30, 45, tzinfo=timezone.utc)

REQUEST_ATTRIBUTES = [
    *(
        "accept_charsets",
        "accept_encodings",
        "accept_languages",
        "accept_mimetypes",
        "access_control_request_headers",
    ),
    *("access_control_request_method", "access_route", "args", "authorization", "base_url", "cache_control"),
    *(
        "content_encoding",
        "content_length",
        "content_md5",
        "content_type",
        "cookies",
        "data",
        "date",
        "files",
        "form",
    ),
    *("full_path", "host", "host_url", "if_match", "if_modified_since", "if_none_match", "if_range"),
    *("if_unmodified_since", "is_json", "is_multithread", "is_secure", "max_forwards", "method", "mimetype"),
    *("mimetype_params", "origin", "path", "pragma", "query_string", "range", "referrer", "remote_addr"),
    *(
        "remote_user",
        "root_path",
        "root_url",
        "scheme",
        "script_root",
        "server",
        "url",
        "url_root",
        "user_agent",
    ),
    *("values", "want_form_data_parsed"),
]

ENVIRONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "query": {"QUERY_STRING": "a=1&b=%C3%A9&a=&c&=d&e=x+y%FF", "PATH_INFO": "/p"},
    "mounted": {"SCRIPT_NAME": "/app/", "PATH_INFO": "//x/y z", "QUERY_STRING": "q=1"},
    "latin1 path": {"PATH_INFO": "/\xc3\xa9/\xff"},
    "no host": {"HTTP_HOST": None, "SERVER_NAME": "server", "SERVER_PORT": "8080"},
    "ipv6": {"HTTP_HOST": "[::1]:5000"},
    "default port": {"HTTP_HOST": "example.com:443", "wsgi.url_scheme": "https"},
    "bad host": {"HTTP_HOST": "a b/c"},
    "unix socket": {"HTTP_HOST": None, "SERVER_NAME": "/run/x.sock", "SERVER_PORT": ""},
    "proxied": {"HTTP_X_FORWARDED_FOR": "1.2.3.4, 5.6.7.8", "REMOTE_ADDR": "9.9.9.9"},
    "cookies": {"HTTP_COOKIE": 'a=1; b="x\\"y"; a=2; \xc3\xa9=\xc3\xa9'},
    "accept": {
        "HTTP_ACCEPT": "text/html;q=0.5, application/json, */*;q=0.1",
        "HTTP_ACCEPT_LANGUAGE": "de-AT, en;q=0.5",
        "HTTP_ACCEPT_ENCODING": "gzip, *;q=0",
        "HTTP_ACCEPT_CHARSET": "utf-8;q=0.9",
    },
    "conditions": {
        "HTTP_IF_NONE_MATCH": '"a", W/"b"',
        "HTTP_IF_MATCH": "*",
        "HTTP_IF_MODIFIED_SINCE": "Thu, 29 Feb 2024 12:30:45 GMT",
        "HTTP_IF_UNMODIFIED_SINCE": "nonsense",
        "HTTP_IF_RANGE": '"a"',
        "HTTP_RANGE": "bytes=1-5",
        "HTTP_CACHE_CONTROL": "no-cache, max-age=5",
        "HTTP_PRAGMA": "no-cache, x",
        "HTTP_MAX_FORWARDS": "x",
        "HTTP_DATE": "Thu, 29 Feb 2024 12:30:45 GMT",
    },
    "basic auth": {"HTTP_AUTHORIZATION": "Basic dXNlcjpwYXNz", "REMOTE_USER": "user"},
    "broken auth": {"HTTP_AUTHORIZATION": "Basic !!!"},
    "token": {"HTTP_AUTHORIZATION": "Bearer abc.def"},
    "preflight": {
        "REQUEST_METHOD": "OPTIONS",
        "HTTP_ORIGIN": "http://o",
        "HTTP_ACCESS_CONTROL_REQUEST_METHOD": "PUT",
        "HTTP_ACCESS_CONTROL_REQUEST_HEADERS": "a, b",
    },
    "browser": {"HTTP_USER_AGENT": "Mozilla/5.0", "HTTP_REFERER": "http://r/"},
    "json": {"body": b'{"a": [1]}', "CONTENT_TYPE": "application/json; charset=utf-8"},
    "problem json": {"body": b"[]", "CONTENT_TYPE": "Application/Problem+JSON"},
    "form": {"body": b"a=1&b=%C3%A9&a=2&c", "CONTENT_TYPE": "application/x-www-form-urlencoded"},
    "bad form": {"body": b"\xff=1", "CONTENT_TYPE": "application/x-www-form-urlencoded"},
    "text": {"body": b"a=1", "CONTENT_TYPE": "text/plain"},
    "chunked": {"body": b"abc", "CONTENT_LENGTH": None, "HTTP_TRANSFER_ENCODING": "chunked"},
    "terminated": {"body": b"abc", "CONTENT_LENGTH": None, "wsgi.input_terminated": True},
    "too short": {"body": b"abc", "CONTENT_LENGTH": "10"},
    "too long": {"body": b"abcdef", "CONTENT_LENGTH": "3"},
    "strange length": {"body": b"abc", "CONTENT_LENGTH": "+3"},
    "multipart": {
        "CONTENT_TYPE": "multipart/form-data; boundary=b",
        "body": b'--b\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n--b\r\n'
        b'Content-Disposition: form-data; name="f"; filename="x.txt"\r\nContent-Type: text/plain\r\n\r\nfile\r\n--b--\r\n',
    },
    "multipart without boundary": {"CONTENT_TYPE": "multipart/form-data", "body": b"--b"},
    "multipart cut off": {
        "CONTENT_TYPE": "multipart/form-data; boundary=b",
        "body": b'--b\r\nContent-Disposition: form-data; name="a"\r\n\r\n1',
    },
}


def environ(**changes: Any) -> dict[str, Any]:
    """A WSGI environment; None removes a key, `body` is the input and its length."""
    body = changes.pop("body", b"")
    made = {
        "REQUEST_METHOD": "POST" if body else "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/",
        "QUERY_STRING": "",
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "HTTP_HOST": "localhost",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(body),
        "wsgi.multithread": True,
    }
    if body:
        made["CONTENT_LENGTH"] = str(len(body))
    made.update(changes)
    return {key: value for key, value in made.items() if value is not None}


def request(names: Names, **changes: Any) -> Any:
    return names.wrappers.Request(environ(**changes))


@pytest.mark.parametrize("name", ENVIRONS)
@pytest.mark.parametrize("attribute", REQUEST_ATTRIBUTES)
def test_an_attribute_of_a_request_is_alike(name: str, attribute: str) -> None:
    def read(names: Names) -> Any:
        value = getattr(request(names, **ENVIRONS[name]), attribute)
        if attribute == "files":
            return [(key, f.filename, f.content_type, f.read()) for key, f in value.items(multi=True)]
        if attribute == "values":
            return sorted(value.items(multi=True))
        return value

    assert_same(read)


@pytest.mark.parametrize("name", ENVIRONS)
def test_a_request_and_its_headers_are_shown_alike(name: str) -> None:
    assert_same(lambda names: repr(request(names, **ENVIRONS[name])))
    assert_same(lambda names: sorted(request(names, **ENVIRONS[name]).headers))


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b'{"a": 1}', "application/json"),
        (b"", "application/json"),
        (b"{", "application/json"),
        (b"\xff", "application/json"),
        (b"1", "text/plain"),
        (b"1", None),
        (b"null", "application/x+json"),
    ],
)
@pytest.mark.parametrize("options", [{}, {"force": True}, {"silent": True}, {"force": True, "silent": True}])
def test_a_json_body_is_read_alike(body: bytes, content_type: str | None, options: dict[str, bool]) -> None:
    def read(names: Names) -> Any:
        made = request(names, body=body, CONTENT_TYPE=content_type)
        return made.get_json(**options), made.get_json(**options), made.get_data()

    assert_same(read)


def test_a_failed_silent_read_leaves_the_loud_one_failing() -> None:
    def read(names: Names) -> Any:
        made = request(names, body=b"{", CONTENT_TYPE="application/json")
        assert made.get_json(silent=True) is None
        return made.json

    assert assert_same(read)[0] == "BadRequest"


@pytest.mark.parametrize("limit", [0, 5, 100])
@pytest.mark.parametrize("name", ["json", "form", "multipart", "chunked", "terminated", "too short"])
def test_a_body_is_limited_alike(name: str, limit: int) -> None:
    def read(names: Names) -> Any:
        made = request(names, **ENVIRONS[name])
        made.max_content_length = limit
        return made.get_data()

    assert_same(read)


@pytest.mark.parametrize(
    "limits", [{"max_form_memory_size": 0}, {"max_form_parts": 1}, {"max_form_parts": 0}]
)
def test_a_form_is_limited_alike(limits: dict[str, int]) -> None:
    def read(names: Names) -> Any:
        made = request(names, **ENVIRONS["multipart"])
        for limit, value in limits.items():
            setattr(made, limit, value)
        return made.form

    assert_same(read)


def test_a_shallow_request_reads_no_body_alike() -> None:
    def read(names: Names) -> Any:
        try:
            return names.wrappers.Request(environ(body=b"abc"), shallow=True).get_data()
        except RuntimeError:
            return "refused"

    assert assert_same(read) == "refused"


def trusting(names: Names) -> Any:
    made = request(names, HTTP_HOST="evil.example")
    made.trusted_hosts = ["localhost", ".good.example"]
    return made


def test_an_untrusted_host_is_refused_alike() -> None:
    assert assert_same(lambda names: trusting(names).host)[0] == "SecurityError"
    assert_same(lambda names: repr(trusting(names)))


# Responses


def sent(names: Names, response: Any, **changes: Any) -> Any:
    """What a response gives a WSGI server."""
    given = environ(**changes)
    blocks, status, headers = response.get_wsgi_response(given)
    body = b"".join(blocks)
    if hasattr(blocks, "close"):
        blocks.close()
    return body, status, headers


BODIES: list[Any] = [None, "", "text é", b"bytes", bytearray(b"array"), ["a", "b"], ("a", b"b"), [b"\xff"]]


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("status", [None, 200, 204, 304, 101, 404, 799, "201 Made", "418", "Strange", 0])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_response_is_sent_alike(body: Any, status: Any, method: str) -> None:
    assert_same(lambda names: sent(names, names.wrappers.Response(body, status), REQUEST_METHOD=method))


@pytest.mark.parametrize("status", ["", " ", b"200 OK"])
def test_a_strange_status_is_refused_alike(status: Any) -> None:
    assert assert_same(lambda names: names.wrappers.Response("", status).status)[0] in (
        "ValueError",
        "TypeError",
    )


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"mimetype": "application/json"},
        {"mimetype": "text/css"},
        {"mimetype": "image/svg+xml"},
        {"content_type": "x/y; z=1"},
        {"content_type": "x/y", "mimetype": "a/b"},
        {"headers": {"X": "1", "Y": ["2", "3"]}},
        {"headers": [("Content-Type", "a/b")]},
        {"headers": [("content-type", "a/b")], "mimetype": "text/plain"},
        {"headers": [("Content-Length", "99")]},
        {"headers": {"X": "a\r\nb"}},
        {"mimetype": "a/b\r\nX: 1"},
        {"content_type": "a/b\nX: 1"},
    ],
)
def test_a_response_is_made_alike(options: dict[str, Any]) -> None:
    assert_same(lambda names: sent(names, names.wrappers.Response("body", **options)))


def test_a_headers_object_is_shared() -> None:
    def share(names: Names) -> Any:
        headers = names.datastructures.Headers({"A": "1"})
        response = names.wrappers.Response("x", headers=headers)
        response.headers["B"] = "2"
        return headers is response.headers, list(headers)

    assert assert_same(share)[1][0] is True


def setting(name: str, value: Any) -> Callable[[Any], None]:
    return lambda response: setattr(response, name, value)


CHANGES: dict[str, Callable[[Any], Any]] = {
    "location": setting("location", "/é?a=b c"),
    "content location": setting("content_location", "http://exämple.com/"),
    "age": setting("age", timedelta(minutes=1)),
    "content length": setting("content_length", 4),
    "date": setting("date", MOMENT),
    "expires": setting("expires", 1709209845),
    "last modified": setting("last_modified", MOMENT.replace(tzinfo=None)),
    "retry after seconds": setting("retry_after", 10),
    "retry after date": setting("retry_after", MOMENT),
    "vary": lambda r: r.vary.update(["Cookie", "Accept"]),
    "vary text": setting("vary", "Cookie"),
    "vary emptied": lambda r: (setattr(r, "vary", ["a"]), r.vary.clear()),
    "languages": setting("content_language", ["de", "en"]),
    "allow": lambda r: r.allow.add("GET"),
    "cache control": lambda r: (
        setattr(r.cache_control, "max_age", 5),
        setattr(r.cache_control, "public", True),
    ),
    "cache control emptied": lambda r: (setattr(r.cache_control, "public", True), r.cache_control.clear()),
    "etag": lambda r: r.set_etag("tag"),
    "weak etag": lambda r: r.set_etag("tag", weak=True),
    "made etag": lambda r: r.add_etag(),
    "frozen": lambda r: r.freeze(),
    "range": lambda r: r.content_range.set(0, 3, 10),
    "range text": setting("content_range", "bytes 0-1/2"),
    "no range": lambda r: (setattr(r, "content_range", "bytes 0-1/2"), setattr(r, "content_range", None)),
    "csp": lambda r: setattr(r.content_security_policy, "default_src", "'self'"),
    "csp text": setting("content_security_policy", "img-src *"),
    "credentials": setting("access_control_allow_credentials", True),
    "no credentials": setting("access_control_allow_credentials", False),
    "allowed headers": setting("access_control_allow_headers", ["a", "b"]),
    "allowed methods": setting("access_control_allow_methods", ["GET"]),
    "allowed origin": setting("access_control_allow_origin", "*"),
    "exposed": setting("access_control_expose_headers", ["a"]),
    "allowed for": setting("access_control_max_age", 60),
    "mimetype": setting("mimetype", "text/html"),
    "mimetype parameter": lambda r: r.mimetype_params.update(x="y z"),
    "data": setting("data", "other é"),
    "status": setting("status", "302 Gone there"),
    "status code": setting("status_code", 404),
    "cookie": lambda r: r.set_cookie("a", "b c", max_age=10, path="/p", secure=True, samesite="Lax"),
    "no cookie": lambda r: r.delete_cookie("a", path="/p", domain="d"),
    "stream": lambda r: (r.stream.write(b"more"), r.stream.writelines([b"1", b"2"])),
    "sequence": lambda r: r.make_sequence(),
    "accept ranges": setting("accept_ranges", "bytes"),
    "encoding": setting("content_encoding", "gzip"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_of_a_response_is_sent_alike(name: str) -> None:
    def change(names: Names) -> Any:
        response = names.wrappers.Response("body")
        CHANGES[name](response)
        read = [
            *(
                "age",
                "allow",
                "cache_control",
                "content_language",
                "content_range",
                "date",
                "expires",
                "is_json",
            ),
            *("is_sequence", "is_streamed", "last_modified", "mimetype", "mimetype_params", "status", "vary"),
            *("content_security_policy", "access_control_allow_headers", "access_control_max_age", "json"),
            *(
                "cross_origin_opener_policy",
                "cross_origin_embedder_policy",
                "access_control_allow_credentials",
            ),
        ]
        return sent(names, response), {key: str(getattr(response, key)) for key in read}, response.get_etag()

    assert_same(change)


def test_challenges_are_written_alike() -> None:
    def challenge(names: Names) -> Any:
        response = names.wrappers.Response(status=401)
        kind = names.datastructures.WWWAuthenticate
        response.www_authenticate = kind("basic", {"realm": "x y"})
        first = list(response.headers)
        response.www_authenticate.realm = "other"
        second = list(response.headers)
        response.www_authenticate = [kind("digest", {"nonce": "n"}), kind("bearer", token="t")]
        third = list(response.headers)
        del response.www_authenticate
        return first, second, third, list(response.headers)

    assert_same(challenge)


def test_policies_of_origins_are_written_alike() -> None:
    def isolate(names: Names) -> Any:
        response = names.wrappers.Response()
        response.cross_origin_opener_policy = names.http.COOP.SAME_ORIGIN
        response.cross_origin_embedder_policy = names.http.COEP.REQUIRE_CORP
        return list(response.headers), response.cross_origin_opener_policy.value

    assert_same(isolate)


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"HTTP_IF_NONE_MATCH": '"tag"'},
        {"HTTP_IF_NONE_MATCH": '"other"'},
        {"HTTP_IF_MATCH": '"other"'},
        {"HTTP_IF_MODIFIED_SINCE": "Thu, 29 Feb 2024 12:30:45 GMT"},
        {"HTTP_RANGE": "bytes=1-2"},
        {"HTTP_RANGE": "bytes=2-"},
        {"HTTP_RANGE": "bytes=-2"},
        {"HTTP_RANGE": "bytes=99-"},
        {"HTTP_RANGE": "bytes=0-1,3-4"},
        {"HTTP_RANGE": "nonsense"},
        {"HTTP_RANGE": "bytes=1-2", "HTTP_IF_RANGE": '"tag"'},
        {"HTTP_RANGE": "bytes=1-2", "HTTP_IF_RANGE": '"other"'},
        {"HTTP_RANGE": "bytes=1-2", "REQUEST_METHOD": "POST"},
        {"HTTP_RANGE": "bytes=1-2", "REQUEST_METHOD": "HEAD"},
    ],
)
@pytest.mark.parametrize("accept", [False, True, "bytes", "none", "items"])
@pytest.mark.parametrize("length", [None, 0, 10])
def test_a_conditional_request_is_answered_alike(
    asked: dict[str, str], accept: Any, length: int | None
) -> None:
    def answer(names: Names) -> Any:
        response = names.wrappers.Response("0123456789")
        response.set_etag("tag")
        response.last_modified = MOMENT
        response.date = MOMENT
        response.make_conditional(environ(**asked), accept_ranges=accept, complete_length=length)
        return sent(names, response, **asked)

    assert_same(answer)


def test_an_iterator_is_streamed_and_closed_alike() -> None:
    def stream(names: Names) -> Any:
        seen: list[str] = []

        def blocks() -> Any:
            try:
                yield "a"
                yield b"b"
            finally:
                seen.append("closed")

        response = names.wrappers.Response(blocks())
        response.call_on_close(lambda: seen.append("called"))
        before = (
            response.is_streamed,
            response.is_sequence,
            repr(response),
            response.headers.get("content-length"),
        )
        return before, sent(names, response), seen

    assert_same(stream)


@pytest.mark.parametrize("attribute", ["implicit_sequence_conversion", "automatically_set_content_length"])
def test_a_switched_off_convenience_is_off_alike(attribute: str) -> None:
    def off(names: Names) -> Any:
        kind = type("Own", (names.wrappers.Response,), {attribute: False})
        response = kind(iter(["a"]))
        length = response.calculate_content_length()
        return length, sent(names, kind("abc")), response.get_data()

    assert_same(off)


@pytest.mark.parametrize("location", ["/a", "b", "http://other/x", "?q", "//host/p"])
def test_a_location_is_completed_alike(location: str) -> None:
    def complete(names: Names) -> Any:
        kind = type("Own", (names.wrappers.Response,), {"autocorrect_location_header": True})
        return sent(names, kind(headers={"Location": location}), PATH_INFO="/dir/page", QUERY_STRING="z=1")

    assert_same(complete)


def test_a_response_of_an_application_is_alike() -> None:
    def app(environ: Any, start_response: Any) -> Any:
        start_response("201 MADE", [("X", "1"), ("X", "2")])
        return [b"first ", b"second"]

    def take(names: Names) -> Any:
        kind = type("Own", (names.wrappers.Response,), {})
        forced = kind.force_type(app, environ())
        return (
            type(forced).__name__,
            sent(names, forced),
            sent(names, kind.from_app(app, environ(), buffered=True)),
        )

    assert_same(take)


def test_an_application_of_a_request_answers_alike() -> None:
    def answer(names: Names) -> Any:
        @names.wrappers.Request.application
        def app(request: Any) -> Any:
            if request.path == "/missing":
                raise names.exceptions.NotFound("gone")
            return names.wrappers.Response(request.url)

        return [
            sent(names, names.wrappers.Response.from_app(app, environ(PATH_INFO=path), True))
            for path in ("/here", "/missing")
        ]

    assert_same(answer)


@pytest.mark.parametrize("code", [301, 302, 303, 305, 307, 308, 300, 404])
@pytest.mark.parametrize("location", ["/a", "http://x/?a=b&c='\"<>", "/é"])
def test_a_redirect_is_written_alike(location: str, code: int) -> None:
    assert_same(lambda names: sent(names, names.utils.redirect(location, code)))
