"""Forms are parsed, limited and refused as Werkzeug does."""

from __future__ import annotations

import importlib
import io
from typing import Any

import pytest

from .werkzeug_pair import Names, assert_same


def part(name: str | None, content: bytes, filename: str | None = None, *fields: str) -> bytes:
    """A part of a multipart form."""
    disposition = "form-data"
    if name is not None:
        disposition += f'; name="{name}"'
    if filename is not None:
        disposition += f'; filename="{filename}"'
    head = "\r\n".join([f"Content-Disposition: {disposition}", *fields])
    return b"--b\r\n" + head.encode() + b"\r\n\r\n" + content + b"\r\n"


FORMS: dict[str, bytes] = {
    "empty": b"--b--\r\n",
    "nothing": b"",
    "field": part("a", b"1") + b"--b--\r\n",
    "fields": part("a", b"1") + part("b", "é".encode()) + part("a", b"") + b"--b--\r\n",
    "file": part("f", b"content", "x.txt", "Content-Type: text/plain") + b"--b--\r\n",
    "file without a name": part("f", b"content", "") + b"--b--\r\n",
    "file with a path": part("f", b"content", "C:\\\\dir\\\\x.txt") + b"--b--\r\n",
    "charset": part("a", b"\xe9", None, "Content-Type: text/plain; charset=iso-8859-1") + b"--b--\r\n",
    "other charset": part("a", b"\xe9", None, "Content-Type: text/plain; charset=utf-16") + b"--b--\r\n",
    "no name": part(None, b"1") + b"--b--\r\n",
    "no disposition": b"--b\r\nX: y\r\n\r\n1\r\n--b--\r\n",
    "preamble": b"preamble\r\n" + part("a", b"1") + b"--b--\r\nepilogue",
    "bare line feeds": part("a", b"1\n2").replace(b"\r\n", b"\n") + b"--b--\n",
    "delimiter look-alikes": part("a", b"\r\n--bx\r\n-b\r\n--\r\n") + b"--b--\r\n",
    "no end": part("a", b"1"),
    "cut off in a head": b'--b\r\nContent-Disposition: form-data; name="a',
    "binary": part("f", bytes(range(256)) * 9, "f.bin") + b"--b--\r\n",
    "carriage returns": part("f", b"\r" * 5000, "f") + b"--b--\r\n",
    "folded head": b'--b\r\nContent-Disposition: form-data;\r\n name="a"\r\n\r\n1\r\n--b--\r\n',
    "spaces after the delimiter": part("a", b"1").replace(b"--b\r\n", b"--b  \r\n") + b"--b-- \r\n",
    "long": part("a", b"x" * 70_000) + part("f", b"y" * 70_000, "y") + b"--b--\r\n",
    "many": part("a", b"1") * 20 + b"--b--\r\n",
}


def parsed(
    names: Names, body: bytes, mimetype: str = "multipart/form-data", options: Any = None, **limits: Any
) -> Any:
    parser = names.formparser.FormDataParser(**limits)
    options = {"boundary": "b"} if options is None else options
    stream, fields, files = parser.parse(io.BytesIO(body), mimetype, len(body), options)
    kept = [
        (key, file.filename, file.content_type, sorted(file.headers), file.read())
        for key, file in files.items(multi=True)
    ]
    return fields, kept, stream.read()


@pytest.mark.parametrize("silent", [True, False])
@pytest.mark.parametrize("name", FORMS)
def test_a_multipart_form_is_parsed_alike(name: str, silent: bool) -> None:
    def summary(names: Names) -> Any:
        try:
            return parsed(names, FORMS[name], silent=silent)
        except ValueError:
            return "refused"

    assert_same(summary)


@pytest.mark.parametrize("name", ["fields", "file", "long", "many", "no end"])
@pytest.mark.parametrize(
    "limits",
    [
        {"max_form_parts": 0},
        {"max_form_parts": 1},
        {"max_form_parts": 20},
        {"max_form_memory_size": 0},
        {"max_form_memory_size": 1},
        {"max_form_memory_size": 69_999},
        {"max_form_memory_size": 70_000},
        {"max_form_memory_size": 80_000},
    ],
)
def test_a_multipart_form_is_limited_alike(name: str, limits: dict[str, int]) -> None:
    assert_same(lambda names: parsed(names, FORMS[name], **limits))


@pytest.mark.parametrize("size", [1, 2, 3, 7, 16, 1000])
@pytest.mark.parametrize(
    "name", ["fields", "file", "delimiter look-alikes", "preamble", "carriage returns", "binary"]
)
def test_a_multipart_form_is_parsed_alike_however_it_is_cut(name: str, size: int) -> None:
    def cut(names: Names) -> Any:
        fields, files = names.formparser.MultiPartParser(buffer_size=size).parse(
            io.BytesIO(FORMS[name]), b"b", len(FORMS[name])
        )
        return fields, [(key, file.filename, file.read()) for key, file in files.items(multi=True)]

    assert_same(cut)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"boundary": ""},
        {"boundary": "other"},
        {"boundary": "é"},
        {"boundary": "b.*"},
        {"boundary": "x" * 300},
    ],
)
def test_a_boundary_is_taken_alike(options: dict[str, str]) -> None:
    assert_same(lambda names: parsed(names, FORMS["field"], options=options))


@pytest.mark.parametrize(
    "body",
    [b"", b"a=1&b=2", b"a=%C3%A9&a=+&b", b"=", b"&&", b"a=%FF", b"\xff=1", b"a=1;b=2", b"a=%zz", b"x" * 100],
)
@pytest.mark.parametrize("limit", [None, 0, 3, 7, 1000])
def test_an_urlencoded_form_is_parsed_and_limited_alike(body: bytes, limit: int | None) -> None:
    kind = "application/x-www-form-urlencoded"
    assert_same(lambda names: parsed(names, body, kind, max_form_memory_size=limit))


@pytest.mark.parametrize(
    "kind", ["", "text/plain", "multipart/mixed", "MULTIPART/FORM-DATA", "application/json"]
)
def test_another_media_type_is_left_alone_alike(kind: str) -> None:
    assert_same(lambda names: parsed(names, FORMS["field"], kind))


def test_events_of_the_encoder_and_decoder_are_alike() -> None:
    def round_trip(names: Names) -> Any:
        m = importlib.import_module(f"{names.root}.sansio.multipart")
        headers = names.datastructures.Headers
        encoder = m.MultipartEncoder(b"b")
        text = b"".join(
            encoder.send_event(event)
            for event in [
                m.Preamble(data=b""),
                m.Field(name="a", headers=headers()),
                m.Data(data=b"1", more_data=True),
                m.Data(data=b"2", more_data=False),
                m.File(name="f", filename="x.txt", headers=headers({"Content-Type": "text/plain"})),
                m.Data(data=b"3", more_data=False),
                m.Epilogue(data=b""),
            ]
        )
        decoder = m.MultipartDecoder(b"b")
        decoder.receive_data(text)
        decoder.receive_data(None)
        events = []
        while not isinstance(event := decoder.next_event(), m.Epilogue):
            events.append(repr(event))
        return text, events

    assert_same(round_trip)
