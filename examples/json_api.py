"""A notes API on SQLite: list with paging and filters, create, read, replace, change, delete, search.

    python examples/json_api.py                          # or: bustapi run examples/json_api.py:app --workers 2
    curl -X POST http://127.0.0.1:5000/notes --json '{"title": "Milk", "tags": ["shop"]}'
    curl 'http://127.0.0.1:5000/notes?tag=shop&limit=10'

The database is `instance/notes.db` beside this file; NOTES_DATABASE names another one.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from typing import Any

from bustapi import BustAPI, abort, request, url_for
from bustapi.werkzeug.exceptions import HTTPException

app = BustAPI(__name__)
app.config["DATABASE"] = os.path.join(app.instance_path, "notes.db")
app.config.from_prefixed_env("NOTES")
app.json.sort_keys = False

MAX_TITLE = 200
MAX_TEXT = 100_000
MAX_TAGS = 20
MAX_TAG = 50
MAX_PAGE = 100
# SQLite's largest integer. A larger one in a path is no note, so its URL matches no route.
NOTE = "/notes/<int(max=9223372036854775807):note_id>"

SCHEMA = """
    CREATE TABLE IF NOT EXISTS notes (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        title TEXT NOT NULL,
        text TEXT NOT NULL,
        created TEXT NOT NULL,
        updated TEXT NOT NULL
    );
    CREATE TABLE IF NOT EXISTS tags (
        note INTEGER NOT NULL REFERENCES notes (id) ON DELETE CASCADE,
        name TEXT NOT NULL,
        PRIMARY KEY (note, name)
    ) WITHOUT ROWID;
    CREATE INDEX IF NOT EXISTS tags_by_name ON tags (name, note);
"""


# --- database ---------------------------------------------------------------------------------------------------

# A connection belongs to the thread that made it. Views that wait for the disk say execution="pool": they run on a
# bounded number of threads, each of which keeps its connection.
local = threading.local()


def database() -> sqlite3.Connection:
    """This thread's connection."""
    path = app.config["DATABASE"]
    if getattr(local, "path", None) != path:
        folder = os.path.dirname(path)
        if folder:
            os.makedirs(folder, exist_ok=True)
        # isolation_level=None: transactions begin where `transaction` says, not where the module guesses.
        connection = sqlite3.connect(path, timeout=10, isolation_level=None)
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA foreign_keys = ON")
        connection.executescript(SCHEMA)
        local.connection, local.path = connection, path
    return local.connection


@contextmanager
def transaction() -> Iterator[sqlite3.Connection]:
    """Everything in the block happens, or nothing. IMMEDIATE: a reader that turns writer cannot lose the race."""
    connection = database()
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield connection
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def find(connection: sqlite3.Connection, note_id: int) -> dict[str, Any]:
    row = connection.execute("SELECT * FROM notes WHERE id = ?", (note_id,)).fetchone()
    if row is None:
        abort(404, f"There is no note {note_id}.")
    return shown(connection, [row])[0]


def shown(connection: sqlite3.Connection, rows: list[sqlite3.Row]) -> list[dict[str, Any]]:
    """Rows as the API shows them, with the tags of all of them in one query."""
    tags: dict[int, list[str]] = {row["id"]: [] for row in rows}
    marks = ", ".join("?" * len(tags))
    for tag in connection.execute(
        f"SELECT note, name FROM tags WHERE note IN ({marks}) ORDER BY name", [*tags]
    ):
        tags[tag["note"]].append(tag["name"])
    return [
        {**dict(row), "tags": tags[row["id"]], "url": url_for("read_note", note_id=row["id"])} for row in rows
    ]


def write_tags(connection: sqlite3.Connection, note_id: int, tags: list[str]) -> None:
    connection.execute("DELETE FROM tags WHERE note = ?", (note_id,))
    connection.executemany("INSERT INTO tags (note, name) VALUES (?, ?)", [(note_id, tag) for tag in tags])


def now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds")


# --- input ------------------------------------------------------------------------------------------------------


class Invalid(Exception):
    """What a client sent cannot be used; `fields` says why, field by field."""

    def __init__(self, fields: dict[str, str]) -> None:
        super().__init__(fields)
        self.fields = fields


def note_from_body(*, partial: bool) -> dict[str, Any]:
    """The fields of a note in the request's body, checked; `partial` allows any of them to be absent."""
    body = request.get_json()
    if not isinstance(body, dict):
        raise Invalid({"": "must be an object"})
    wrong = {name: "is not a field of a note" for name in body if name not in ("title", "text", "tags")}
    note = {name: body[name] for name in ("title", "text", "tags") if name in body}
    if not partial:
        note = {"text": "", "tags": [], **note}
        if "title" not in note:
            wrong["title"] = "is required"
    for name, most in (("title", MAX_TITLE), ("text", MAX_TEXT)):
        if name in note and not is_text(note[name], most):
            wrong[name] = f"must be text of at most {most} characters"
    if "title" in note and "title" not in wrong:
        note["title"] = note["title"].strip()
        if not note["title"]:
            wrong["title"] = "must not be empty"
    if "tags" in note:
        tags = note["tags"]
        if (
            isinstance(tags, list)
            and len(tags) <= MAX_TAGS
            and all(is_text(tag, MAX_TAG) and tag for tag in tags)
        ):
            note["tags"] = sorted(set(tags))
        else:
            wrong["tags"] = f"must be a list of at most {MAX_TAGS} names of 1 to {MAX_TAG} characters"
    if wrong:
        raise Invalid(wrong)
    return note


def is_text(value: object, most: int) -> bool:
    # JSON can spell half a surrogate pair, which is no character and cannot be stored.
    return isinstance(value, str) and len(value) <= most and not any("\ud800" <= c <= "\udfff" for c in value)


def number(name: str, default: int, least: int, most: int) -> int:
    """A number of the query string."""
    text = request.args.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= 18 and least <= int(text) <= most):
        raise Invalid({name: f"must be a whole number from {least} to {most}"})
    return int(text)


# --- routes -----------------------------------------------------------------------------------------------------


def page(where: list[str], values: list[Any]) -> dict[str, Any]:
    """One page of the notes that meet every condition, newest first."""
    limit = number("limit", 20, 1, MAX_PAGE)
    offset = number("offset", 0, 0, 10**12)
    condition = " AND ".join(["1", *where])
    connection = database()
    # One transaction: the total and the page are of one moment.
    connection.execute("BEGIN")
    try:
        total = connection.execute(f"SELECT count(*) FROM notes WHERE {condition}", values).fetchone()[0]
        rows = connection.execute(
            f"SELECT * FROM notes WHERE {condition} ORDER BY id DESC LIMIT ? OFFSET ?",
            [*values, limit, offset],
        ).fetchall()
        notes = shown(connection, rows)
    finally:
        connection.execute("COMMIT")
    return {"notes": notes, "total": total, "limit": limit, "offset": offset}


@app.get("/notes", execution="pool")
def list_notes():
    """All notes, or those with every `tag` that is given."""
    tags = request.args.getlist("tag")[:MAX_TAGS]
    return page(["id IN (SELECT note FROM tags WHERE name = ?)"] * len(tags), tags)


@app.get("/notes/search", execution="pool")
def search_notes():
    """Notes with every word of `q` in the title or the text."""
    words = request.args.get("q", "").split()
    if not 1 <= len(words) <= 10:
        raise Invalid({"q": "must be 1 to 10 words"})
    patterns = [f"%{escape_like(word)}%" for word in words]
    matches = "(title LIKE ? ESCAPE '\\' OR text LIKE ? ESCAPE '\\')"
    return page([matches] * len(patterns), [pattern for pattern in patterns for _ in range(2)])


def escape_like(word: str) -> str:
    return word.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


@app.post("/notes", execution="pool")
def create_note():
    note = note_from_body(partial=False)
    moment = now()
    with transaction() as connection:
        note_id = connection.execute(
            "INSERT INTO notes (title, text, created, updated) VALUES (?, ?, ?, ?)",
            (note["title"], note["text"], moment, moment),
        ).lastrowid
        write_tags(connection, note_id, note["tags"])
        created = find(connection, note_id)
    return created, 201, {"Location": created["url"]}


@app.get(NOTE, execution="pool")
def read_note(note_id):
    return find(database(), note_id)


@app.put(NOTE, execution="pool")
def replace_note(note_id):
    return update(note_id, note_from_body(partial=False))


@app.patch(NOTE, execution="pool")
def change_note(note_id):
    return update(note_id, note_from_body(partial=True))


def update(note_id: int, changes: dict[str, Any]) -> dict[str, Any]:
    with transaction() as connection:
        note = {**find(connection, note_id), **changes}
        connection.execute(
            "UPDATE notes SET title = ?, text = ?, updated = ? WHERE id = ?",
            (note["title"], note["text"], now(), note_id),
        )
        write_tags(connection, note_id, note["tags"])
        return find(connection, note_id)


@app.delete(NOTE, execution="pool")
def delete_note(note_id):
    with transaction() as connection:
        if not connection.execute("DELETE FROM notes WHERE id = ?", (note_id,)).rowcount:
            abort(404, f"There is no note {note_id}.")
    return "", 204


# --- errors -----------------------------------------------------------------------------------------------------


@app.errorhandler(HTTPException)
def http_error(error):
    """404, 405, 415 and the others as JSON; their headers (Allow, say) stay."""
    response = error.get_response()
    response.data = app.json.dumps({"error": error.name, "detail": error.description})
    response.content_type = "application/json"
    return response


@app.errorhandler(Invalid)
def invalid(error):
    return {
        "error": "Unprocessable Entity",
        "detail": "The input cannot be used.",
        "fields": error.fields,
    }, 422


if __name__ == "__main__":
    app.run()
