"""Whatever a client sends, it is read as Werkzeug reads it."""

from __future__ import annotations

import importlib
import io
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from .werkzeug_pair import OURS, REAL, Names, outcome

# Pieces that headers are made of, so that random ones come near to valid.
TOKENS = [
    *(
        "a",
        "B",
        "name",
        "filename",
        "charset",
        "utf-8",
        "UTF-8''x%C3%A9",
        "=",
        ";",
        ",",
        '"',
        "\\",
        "*",
        "*0",
        "*1*",
    ),
    *(
        " ",
        "\t",
        "q=0.5",
        "q=1",
        "/",
        "html",
        "-",
        "0",
        "10",
        "bytes",
        "W/",
        "max-age",
        "no-cache",
        "%20",
        "%zz",
    ),
    *("Basic", "Thu, 29 Feb 2024 12:30:45 GMT", "{", "\x00", "\n", "$", "_", ".", "\xc3\xa9"),
]
headers = st.lists(st.sampled_from(TOKENS), max_size=10).map("".join)
FUNCTIONS = [
    *("parse_list_header", "parse_dict_header", "parse_options_header", "parse_accept_header", "parse_etags"),
    *(
        "parse_cache_control_header",
        "parse_csp_header",
        "parse_set_header",
        "parse_if_range_header",
        "parse_cookie",
    ),
    *("parse_range_header", "parse_content_range_header", "parse_date", "parse_age", "unquote_etag"),
]

few = settings(max_examples=150, deadline=None)


def same(call: Any) -> None:
    expected = outcome(call, REAL)
    # Where the reference fails on bytes that are no UTF-8, there is nothing to be equal to.
    if not (isinstance(expected, tuple) and expected[0] == "UnicodeDecodeError"):
        assert outcome(call, OURS) == expected


@pytest.mark.parametrize("function", FUNCTIONS)
@few
@given(value=headers)
def test_a_header_value_is_read_alike(function: str, value: str) -> None:
    same(lambda names: getattr(names.http, function)(value))


@few
@given(
    scheme=st.sampled_from(["http", "https", "ws"]),
    host=st.sampled_from(["a", "a.b:80", "UPPER", "xn--bcher-kva.ch", "[::1]:5", ""]),
    mount=st.none() | st.text("/aZ%é :?#", max_size=5),
    path=st.none() | st.text("/aZ0.-_~%é+ ?#@:[]", max_size=9),
    query=st.none() | st.text("aZ=&%é+ ?#;\xff", max_size=9).map(str.encode),
)
def test_a_url_is_put_together_alike(scheme: str, host: str, mount: str, path: str, query: bytes) -> None:
    def build(names: Names) -> Any:
        try:
            utils = importlib.import_module(f"{names.root}.sansio.utils")
            return utils.get_current_url(scheme, host, mount, path, query)
        except ValueError:
            return "refused"

    same(build)


@few
@given(query=st.text("ab=&+%;20C3A9é", max_size=20))
def test_a_query_is_split_alike(query: str) -> None:
    environ = {"REQUEST_METHOD": "GET", "wsgi.url_scheme": "http", "HTTP_HOST": "h"}
    text = query.encode().decode("latin1")
    same(lambda names: names.wrappers.Request({**environ, "QUERY_STRING": text}).args)


@few
@given(pairs=st.lists(st.tuples(st.text(max_size=4), st.text(max_size=6)), max_size=5))
def test_an_urlencoded_form_comes_back(pairs: list[tuple[str, str]]) -> None:
    pairs = [
        (key.encode("utf-8", "ignore").decode(), value.encode("utf-8", "ignore").decode())
        for key, value in pairs
    ]
    body = "&".join(f"{quote(key)}={quote(value)}" for key, value in pairs).encode()

    def parse(names: Names) -> Any:
        parser = names.formparser.FormDataParser()
        _, fields, _ = parser.parse(io.BytesIO(body), "application/x-www-form-urlencoded", len(body), {})
        return list(fields.items(multi=True))

    same(parse)
    assert sorted(parse(Names(OURS))) == sorted(pairs)


@few
@given(
    content=st.lists(
        st.sampled_from([b"\r", b"\n", b"-", b"--b", b"\r\n--b", b"\r\n--bc", b"x", b"\0"]), max_size=12
    ),
    size=st.integers(1, 40),
)
def test_a_multipart_body_is_cut_alike(content: list[bytes], size: int) -> None:
    body = b'--b\r\nContent-Disposition: form-data; name="a"\r\n\r\n' + b"".join(content) + b"\r\n--b--\r\n"

    def parse(names: Names) -> Any:
        try:
            fields, files = names.formparser.MultiPartParser(buffer_size=size).parse(
                io.BytesIO(body), b"b", len(body)
            )
        except ValueError:
            return "refused"
        return fields, len(files)

    same(parse)
