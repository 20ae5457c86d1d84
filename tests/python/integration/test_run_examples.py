"""The examples, as their readers run them."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Callable

import pytest

from run_helpers import started

EXAMPLES = Path(__file__).resolve().parents[3] / "examples"

Call = Callable[..., "tuple[int, Any, http.client.HTTPMessage]"]


@pytest.fixture(scope="module")
def notes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Call]:
    folder = tmp_path_factory.mktemp("notes")
    command = [sys.executable, "-m", "bustapi", "run", f"{EXAMPLES / 'json_api.py'}:app", "--port", "0"]
    with started(command, folder, env={"NOTES_DATABASE": str(folder / "deep" / "notes.db")}) as server:

        def call(method: str, path: str, body: object = None, **headers: str) -> tuple[int, Any, Any]:
            connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
            try:
                if body is not None and not isinstance(body, bytes):
                    body = json.dumps(body).encode()
                    headers.setdefault("Content-Type", "application/json")
                connection.request(method, path, body=body, headers=headers)
                response = connection.getresponse()
                data = response.read()
                return response.status, json.loads(data) if data else None, response.headers
            finally:
                connection.close()

        yield call


def test_a_note_is_created_read_replaced_changed_and_deleted(notes: Call) -> None:
    status, made, headers = notes("POST", "/notes", {"title": " Milk ", "tags": ["shop", "shop", "a"]})
    assert (status, made["title"], made["text"], made["tags"]) == (201, "Milk", "", ["a", "shop"])
    url = headers["Location"]
    assert url == made["url"]
    assert notes("GET", url)[:2] == (200, made)
    status, replaced, _ = notes("PUT", url, {"title": "Bread", "text": "rye"})
    assert (status, replaced["title"], replaced["text"], replaced["tags"]) == (200, "Bread", "rye", [])
    status, changed, _ = notes("PATCH", url, {"tags": ["new"]})
    assert (status, changed["title"], changed["text"], changed["tags"]) == (200, "Bread", "rye", ["new"])
    assert changed["created"] == made["created"]
    assert notes("DELETE", url)[:2] == (204, None)
    assert notes("DELETE", url)[0] == 404
    assert notes("GET", url)[0] == 404


def test_lists_are_paged_and_filtered(notes: Call) -> None:
    for number in range(5):
        notes("POST", "/notes", {"title": f"page {number}", "tags": ["paged", f"n{number % 2}"]})
    status, first, _ = notes("GET", "/notes?tag=paged&limit=2")
    assert status == 200
    assert (first["total"], [note["title"] for note in first["notes"]]) == (5, ["page 4", "page 3"])
    rest = notes("GET", "/notes?tag=paged&limit=2&offset=4")[1]
    assert [note["title"] for note in rest["notes"]] == ["page 0"]
    both = notes("GET", "/notes?tag=paged&tag=n1")[1]
    assert [note["title"] for note in both["notes"]] == ["page 3", "page 1"]
    assert notes("GET", "/notes?tag=nothing")[1]["notes"] == []


def test_search_takes_words_literally(notes: Call) -> None:
    notes("POST", "/notes", {"title": "Discount", "text": "100% of search_words"})
    notes("POST", "/notes", {"title": "Searchxwords", "text": "100 of them"})
    found = notes("GET", "/notes/search?q=100%25+search_words")[1]
    assert [note["title"] for note in found["notes"]] == ["Discount"]
    assert notes("GET", "/notes/search?q=")[0] == 422


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "title"),
        ({"title": "  "}, "title"),
        ({"title": 5}, "title"),
        ({"title": "x" * 201}, "title"),
        ({"title": "x", "text": None}, "text"),
        ({"title": "x", "text": "\ud800"}, "text"),
        ({"title": "x", "tags": "shop"}, "tags"),
        ({"title": "x", "tags": [""]}, "tags"),
        ({"title": "x", "tags": ["t"] * 21}, "tags"),
        ({"title": "x", "colour": "red"}, "colour"),
        (["title"], ""),
    ],
)
def test_bad_input_is_named_field_by_field(notes: Call, body: object, field: str) -> None:
    status, answer, _ = notes("POST", "/notes", body)
    assert status == 422
    assert field in answer["fields"]


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "limit=x", "offset=-1", "offset=9" * 9, "limit="])
def test_bad_pages_are_refused(notes: Call, query: str) -> None:
    assert notes("GET", f"/notes?{query}")[0] == 422


def test_http_errors_are_json(notes: Call) -> None:
    assert notes("GET", "/nowhere")[:2][0] == 404
    status, answer, headers = notes("DELETE", "/notes")
    assert (status, answer["error"]) == (405, "Method Not Allowed")
    assert {"GET", "POST"} <= {method.strip() for method in headers["Allow"].split(",")}
    assert notes("POST", "/notes", b"{", **{"Content-Type": "application/json"})[0] == 400
    assert notes("POST", "/notes", b"title=x", **{"Content-Type": "text/plain"})[0] == 415
    assert notes("GET", "/notes/99999999999999999999999")[0] == 404
    assert notes("GET", "/notes/9223372036854775807")[0] == 404


def test_writers_at_the_same_time_lose_nothing(notes: Call) -> None:
    with ThreadPoolExecutor(8) as clients:
        made = list(
            clients.map(lambda n: notes("POST", "/notes", {"title": f"w{n}", "tags": ["race"]})[0], range(40))
        )
    assert made == [201] * 40
    assert notes("GET", "/notes?tag=race")[1]["total"] == 40


def test_hello_world_runs_as_a_script(tmp_path: Path) -> None:
    env = {**os.environ, "BUSTAPI_PORT": "0"}
    with started([sys.executable, str(EXAMPLES / "hello_world.py")], tmp_path, env=env) as server:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
        try:
            connection.request("GET", "/")
            assert connection.getresponse().read() == b"Hello, World!\n"
            connection.request("GET", "/hello/you")
            assert json.loads(connection.getresponse().read()) == {"hello": "you"}
        finally:
            connection.close()
        assert server.stop(signal.SIGINT) == 0


def test_examples_do_nothing_when_imported(tmp_path: Path) -> None:
    program = (
        f"import sys; sys.path.insert(0, {str(EXAMPLES)!r}); import hello_world, json_api; print('imported')"
    )
    result = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=30, check=False
    )
    assert (result.stdout, result.stderr, result.returncode) == ("imported\n", "", 0)
    assert list(tmp_path.iterdir()) == []
