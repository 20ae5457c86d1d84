"""Bodies that are read where the server received them, as streams and as forms."""

from __future__ import annotations

import io
import os
import random
from collections.abc import Iterator
from typing import Any

import pytest

from bustapi import BustAPI, request
from bustapi.testing import TestClient

SIZE = 700_000


def make_app() -> BustAPI:
    app = BustAPI(__name__)

    @app.post("/stream")
    def stream() -> Any:
        stream = request.stream
        reference = io.BytesIO(request._native.get_data())
        dice = random.Random(1)
        # Each method by turns on both.
        for _ in range(60):
            size = dice.randrange(0, 40_000)
            assert stream.read(size) == reference.read(size)
            assert stream.readline() == reference.readline()
            assert stream.readline(100) == reference.readline(100)
            ours, theirs = bytearray(500), bytearray(500)
            assert stream.readinto(ours) == reference.readinto(theirs)  # type: ignore[attr-defined]
            assert ours == theirs
            assert stream.tell() == reference.tell()
            at = dice.randrange(0, SIZE + 9)
            assert stream.seek(at) == reference.seek(at)
        assert stream.seek(-70_000, io.SEEK_END) == reference.seek(-70_000, io.SEEK_END)
        assert stream.seek(10, io.SEEK_CUR) == reference.seek(10, io.SEEK_CUR)
        assert list(stream) == list(reference)
        assert stream.read() == b""
        for offset, whence in ((-1, io.SEEK_SET), (0, 9)):
            with pytest.raises(ValueError, match="no such position"):
                stream.seek(offset, whence)
        stream.seek(0)
        assert stream.readable()
        assert stream.seekable()
        assert not stream.writable()
        stream.close()
        with pytest.raises(ValueError, match="closed"):
            stream.read()
        return {"length": request.content_length, "type": type(stream).__name__}

    @app.post("/body-then-length")
    def body_then_length() -> Any:
        return [len(memoryview(request.body)), request.content_length, len(request.get_data())]

    @app.post("/upload")
    def upload() -> Any:
        file = request.files["file"]
        position = request.stream.tell()
        return {
            "field": request.form["field"],
            "name": file.filename,
            "sum": sum(file.read()),
            "left": len(request.get_data()),
            "read": position,
            "length": request.content_length,
        }

    @app.post("/broken")
    def broken() -> Any:
        # As in Werkzeug, what was not looked at is left in the stream.
        return {"form": len(request.form), "left": len(request.get_data())}

    return app


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient]:
    app = make_app()
    app.testing = True
    with TestClient(app, served=True) as client:
        yield client


def test_a_stream_reads_like_one_in_memory(client: TestClient) -> None:
    lines = random.Random(2).choices([b"\n", b"line\n", b"x" * 9_000 + b"\n"], k=SIZE)
    answer = client.post("/stream", data=b"".join(lines)[:SIZE])
    assert answer.json == {"length": SIZE, "type": "BodyView"}


def test_the_length_is_that_of_the_body_however_it_was_read(client: TestClient) -> None:
    assert client.post("/body-then-length", data=b"x" * SIZE).json == [SIZE] * 3


@pytest.mark.parametrize("size", [1000, SIZE])
def test_a_file_is_read_where_it_was_received(client: TestClient, size: int) -> None:
    content = os.urandom(size)
    answer = client.post("/upload", data={"field": "é", "file": (io.BytesIO(content), "f.bin")})
    found = answer.get_json()
    assert found.pop("length") == found.pop("read") > size
    assert found == {"field": "é", "name": "f.bin", "sum": sum(content), "left": 0}


def test_a_malformed_form_leaves_what_was_not_read(client: TestClient) -> None:
    body = b"--b\r\nX: no disposition\r\n\r\n" + b"x" * SIZE
    answer = client.post("/broken", data=body, content_type="multipart/form-data; boundary=b")
    assert answer.json == {"form": 0, "left": len(body) - 65_536}
    real = pytest.importorskip("werkzeug.wrappers").Request.from_values(
        method="POST", data=body, content_type="multipart/form-data; boundary=b"
    )
    assert len(real.form) == 0
    assert len(real.get_data()) == len(body) - 65_536


@pytest.mark.parametrize(("limit", "status"), [(SIZE - 1, 413), (SIZE, 200)])
def test_a_long_body_is_limited(limit: int, status: int) -> None:
    app = BustAPI(__name__)
    app.config["MAX_CONTENT_LENGTH"] = limit
    app.post("/")(lambda: str(len(request.stream.read())))
    with TestClient(app, served=True) as client:
        assert client.post("/", data=b"x" * SIZE).status_code == status
