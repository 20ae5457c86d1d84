"""Header values are parsed and written as Werkzeug does."""

from __future__ import annotations

import pickle
from datetime import date, datetime, timedelta, timezone
from typing import Any

import pytest

from .werkzeug_pair import Names, assert_same

MOMENT = datetime(2024, 2, 29, 12, 30, 45, tzinfo=timezone.utc)

PARSED: dict[str, list[Any]] = {
    "parse_list_header": ["", "a, b", 'a, "b, c", d', 'a, "b', ' "a\\"b" ,, c ', "a;b=1, c"],
    "parse_dict_header": ["", "a=1, b", 'a="x, y", b=2', "=1, a", "a*=UTF-8''%C3%A9", "a =b", "a==b"],
    "parse_options_header": [
        None,
        "",
        "text/html",
        "text/html; charset=utf-8",
        'form-data; name="a;b"; filename="x\\"y"',
        "attachment; filename*=UTF-8''na%C3%AFve.txt",
        'a; b="unclosed',
        "a; b*0=x; b*1=y",
        "a; b*0*=UTF-8''%C3; b*1*=%A9",
        "; a=b",
        "a;;b=c; B=D; e",
        'multipart/form-data; boundary="----x y"',
    ],
    "parse_accept_header": [
        None,
        "",
        "a",
        "a, b;q=0.5, c;q=0",
        "text/html;level=1, text/*;q=0.3, */*;q=0.1",
        "a;q=1.5, b;q=x, c;q=-1, d;q=0.1234",
        "a;q=.5",
    ],
    "parse_cache_control_header": [
        None,
        "",
        "no-cache",
        "max-age=10, no-store",
        "max-age=x",
        'private="a, b"',
    ],
    "parse_csp_header": [None, "", "default-src 'self'; img-src *", "default-src", " ; a b ;"],
    "parse_set_header": [None, "", "a, B, a", '"x, y", z'],
    "parse_if_range_header": [None, "", '"tag"', 'W/"tag"', "Thu, 29 Feb 2024 12:30:45 GMT"],
    "parse_range_header": [
        None,
        "",
        "bytes=0-1",
        "bytes=5-",
        "bytes=-5",
        "bytes=0-1,5-6",
        "bytes=5-4",
        "bytes=a-b",
        "bytes",
        "bytes=0-1,0-1",
        "items=1-2",
        "bytes = 1-2",
    ],
    "parse_content_range_header": [
        None,
        "",
        "bytes 0-1/5",
        "bytes */5",
        "bytes 0-1/*",
        "bytes 5-1/10",
        "bytes",
        "bytes a-b/c",
    ],
    "parse_etags": [None, "", "*", '"a", W/"b", c', '"a" "b"', "W/"],
    "unquote_etag": [None, "", '"a"', 'W/"a"', "w/a", '"'],
    "quote_etag": ["a", 'a"b'],
    "parse_date": [
        None,
        "",
        "Thu, 29 Feb 2024 12:30:45 GMT",
        "Thursday, 29-Feb-24 12:30:45 GMT",
        "Thu Feb 29 12:30:45 2024",
        "29 Feb 2024 12:30:45 +0200",
        "nonsense",
        "Thu, 31 Feb 2024 12:30:45 GMT",
    ],
    "http_date": [MOMENT, MOMENT.replace(tzinfo=None), date(2024, 2, 29), 0, 1709209845.9],
    "parse_age": [None, "", "0", "10", "-1", "x", "9" * 30],
    "dump_age": [None, 0, 10, timedelta(minutes=2), -1],
    "parse_cookie": [
        None,
        "",
        "a=1; b=2",
        'a="x y"; b="\\"q\\""; c="\\303\\251"',
        "a; b=; =c; d=e=f",
        "a=1;a=2",
        "a b=c; d=e f",
        " a = b ",
        "\xc3\xa9=\xc3\xa9",
        'a="unclosed; b=1',
    ],
    "quote_header_value": ["a", "", "a b", 'a"b\\', "é"],
    "unquote_header_value": ["a", '"a"', '"a\\"b"', '"', '"a'],
    "is_hop_by_hop_header": ["Connection", "te", "content-type"],
    "is_entity_header": ["Allow", "content-type", "etag"],
    "generate_etag": [b"", b"abc"],
}


@pytest.mark.parametrize(
    ("function", "value"), [(name, value) for name, values in PARSED.items() for value in values]
)
def test_a_header_value_is_read_and_written_alike(function: str, value: Any) -> None:
    assert_same(lambda names: getattr(names.http, function)(value))


@pytest.mark.parametrize(
    ("header", "options"),
    [
        ("a", {}),
        (None, {"a": "b"}),
        ("form-data", {"name": "x y", "filename": 'q"', "none": None}),
        ("attachment", {"filename*": "UTF-8''%C3%A9", "filename": "e"}),
        ("a", {"b": "", "c": 1}),
    ],
)
def test_options_are_written_alike(header: str | None, options: dict[str, Any]) -> None:
    assert_same(lambda names: names.http.dump_options_header(header, options))


@pytest.mark.parametrize("value", [[], ["a", "b c"], {"a": None, "b": "c d", "e": 1, "f*": "UTF-8''x"}])
def test_lists_are_written_alike(value: Any) -> None:
    assert_same(lambda names: names.http.dump_header(value))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"value": "plain"},
        {"value": 'quoted "value"; \\ é \x01'},
        {"value": "a,b c"},
        {"max_age": 10},
        {"max_age": timedelta(hours=1)},
        {"max_age": 0, "expires": 0},
        {"expires": MOMENT},
        {"expires": "Thu, 29 Feb 2024 12:30:45 GMT"},
        {"expires": 1709209845},
        {"path": None},
        {"path": "/a b/é"},
        {"domain": "example.com"},
        {"domain": ".example.com"},
        {"domain": "exämple.com:80"},
        {"secure": True, "httponly": True},
        {"samesite": "lax"},
        {"samesite": "None", "secure": True},
        {"samesite": "other"},
        {"partitioned": True},
    ],
)
def test_a_cookie_is_written_alike(options: dict[str, Any]) -> None:
    assert_same(lambda names: names.http.dump_cookie("name", **options))


@pytest.mark.parametrize("name", ["", "a b", "a=b", "a;b", "é", "a\n"])
def test_a_cookie_name_is_taken_alike(name: str) -> None:
    assert_same(lambda names: names.http.dump_cookie(name, "v"))


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"HTTP_IF_NONE_MATCH": '"tag"'},
        {"HTTP_IF_NONE_MATCH": 'W/"tag"'},
        {"HTTP_IF_NONE_MATCH": '"other"'},
        {"HTTP_IF_NONE_MATCH": "*"},
        {"HTTP_IF_MATCH": '"tag"'},
        {"HTTP_IF_MATCH": '"other"'},
        {"HTTP_IF_MODIFIED_SINCE": "Thu, 29 Feb 2024 12:30:45 GMT"},
        {"HTTP_IF_MODIFIED_SINCE": "Thu, 29 Feb 2024 12:30:44 GMT"},
        {"HTTP_IF_NONE_MATCH": '"other"', "HTTP_IF_MODIFIED_SINCE": "Thu, 29 Feb 2024 12:30:45 GMT"},
        {"HTTP_RANGE": "bytes=0-", "HTTP_IF_RANGE": '"tag"'},
        {"HTTP_RANGE": "bytes=0-", "HTTP_IF_RANGE": "Thu, 29 Feb 2024 12:30:45 GMT"},
    ],
)
@pytest.mark.parametrize("ignore_if_range", [True, False])
@pytest.mark.parametrize("etag", ['"tag"', 'W/"tag"', None])
def test_a_condition_is_decided_alike(
    environ: dict[str, str], ignore_if_range: bool, etag: str | None
) -> None:
    def decide(names: Names) -> bool:
        return names.http.is_resource_modified(  # type: ignore[no-any-return]
            {"REQUEST_METHOD": "GET", **environ}, etag, None, MOMENT, ignore_if_range
        )

    assert_same(decide)


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/",
        "http://exämple.com/é?ü=ß#ö",
        "http://example.com/%C3%A9?%C3%BC=%FF",
        "http://user:pw@example.com:81/a b",
        "/a%2Fb%20c?d%26e",
        "//host/path",
        "http://[::1]/",
        "mailto:a@b",
    ],
)
@pytest.mark.parametrize("function", ["iri_to_uri", "uri_to_iri"])
def test_a_url_is_converted_alike(function: str, url: str) -> None:
    assert_same(lambda names: getattr(names.urls, function)(url))


@pytest.mark.parametrize(
    "name",
    [
        "a.txt",
        "../../etc/passwd",
        "a b/c",
        "é.png",
        "..",
        "",
        "a\\b",
        ".hidden",
        "i contain cool ümläuts.txt",
    ],
)
def test_a_file_name_is_made_safe_alike(name: str) -> None:
    assert_same(lambda names: names.utils.secure_filename(name))


@pytest.mark.parametrize(
    "parts", [("a",), ("a", "b"), ("..",), ("a/../../b",), ("/a",), ("",), ("a", "..", "b"), ("a//b",)]
)
def test_paths_are_joined_alike(parts: tuple[str, ...]) -> None:
    assert_same(lambda names: names.security.safe_join("/base", *parts))


def test_every_public_name_is_of_the_public_module() -> None:
    real, ours = Names("werkzeug").http, Names("bustapi.werkzeug").http
    named = [
        name
        for name, value in vars(real).items()
        if not name.startswith("_") and getattr(value, "__module__", None) == "werkzeug.http"
    ]
    assert len(named) > 30
    assert [name for name in named if getattr(ours, name).__module__ != "bustapi.werkzeug.http"] == []
    assert pickle.loads(pickle.dumps(ours.COEP.REQUIRE_CORP)) is ours.COEP.REQUIRE_CORP
