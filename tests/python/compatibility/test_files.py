"""Files over a socket: what the server sends itself, what Python hands to it, and what Flask answers."""

from __future__ import annotations

import contextlib
import io
import mimetypes
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bustapi import BustAPI, send_from_directory

from .flask_pair import OURS, REAL, Face
from .socket_door import Proxy, serving

LARGE = bytes(range(256)) * 1024
TIME = 1_700_000_000.123456
#: The engine's own, or in whatever order.
_LEFT_OUT = {"date", "expires"}


def make_folder(path: Path) -> Path:
    folder = path / "static"
    (folder / "sub dir").mkdir(parents=True)
    for name, content in {
        "small.txt": b"hello, files\n",
        "large.bin": LARGE,
        "empty.css": b"",
        "page.html": b"<p>page</p>",
        "data.json": b"{}",
        "archive.tar.gz": b"not really",
        "odd.unknown-type": b"?",
        "noending": b"!",
        "sub dir/übung.txt": b"umlaut",
        "medium.js": b"x" * 20_000,
    }.items():
        file = folder / name
        file.write_bytes(content)
        os.utime(file, (TIME, TIME))
    os.utime(folder / "page.html", (1_600_000_000, 1_600_000_000))
    (path / "secret.txt").write_text("secret")
    (folder / "link.txt").symlink_to(folder / "small.txt")
    (folder / "out.txt").symlink_to(path / "secret.txt")
    return folder


def build(face: Face, folder: Path, **config: Any) -> Any:
    """An application with a static folder, a blueprint with one, and views that send files."""
    app = face.Flask("files", static_folder=str(folder), root_path=str(folder.parent))
    app.config.update(config)
    blueprint = face.Blueprint("blue", "blue", static_folder=str(folder), static_url_path="/blue-files")
    app.register_blueprint(blueprint, url_prefix="/blue")

    @app.get("/path/<name>")
    def path(name: str) -> Any:
        return face.send_file(folder / name)

    @app.get("/attachment")
    def attachment() -> Any:
        return face.send_file(folder / "large.bin", as_attachment=True, download_name="grüße.bin", max_age=60)

    @app.get("/plain")
    def plain() -> Any:
        return face.send_file(folder / "large.bin", conditional=False, etag=False)

    @app.get("/object")
    def opened() -> Any:
        return face.send_file(open(folder / "large.bin", "rb"), mimetype="text/plain")

    @app.get("/positioned")
    def positioned() -> Any:
        file = open(folder / "large.bin", "rb")  # noqa: SIM115 - the response closes it
        file.seek(1000)
        return face.send_file(file, mimetype="text/plain")

    @app.get("/unbuffered")
    def unbuffered() -> Any:
        return face.send_file(open(folder / "small.txt", "rb", buffering=0), mimetype="text/plain")

    @app.get("/written")
    def written() -> Any:
        file = open(folder.parent / "written.txt", "w+b")  # noqa: SIM115 - the response closes it
        file.write(b"not flushed")
        file.seek(0)
        return face.send_file(file, mimetype="text/plain")

    @app.get("/memory")
    def memory() -> Any:
        return face.send_file(io.BytesIO(b"in memory"), mimetype="text/plain")

    @app.get("/directory/<path:name>")
    def directory(name: str) -> Any:
        return face.send_from_directory(folder, name)

    @app.get("/changed")
    def changed() -> Any:
        response = face.send_file(folder / "medium.js")
        response.headers["X-Mine"] = "yes"
        response.set_cookie("a", "b")
        return response

    @app.get("/data")
    def data() -> Any:
        response = face.send_file(folder / "medium.js")
        response.direct_passthrough = False
        response.set_data(response.get_data().upper())
        return response

    return app


NAMES = [
    "small.txt",
    "large.bin",
    "empty.css",
    "page.html",
    "data.json",
    "archive.tar.gz",
    "odd.unknown-type",
    "noending",
    "sub%20dir/%C3%BCbung.txt",
    "medium.js",
    "link.txt",
    "out.txt",
    "missing.txt",
    "sub%20dir",
    "sub%20dir/",
    "",
    "../secret.txt",
    "..%2fsecret.txt",
    "sub%20dir/../small.txt",
    "./small.txt",
    "sub%20dir//%C3%BCbung.txt",
    "%2e%2e/secret.txt",
    "small.txt%00",
    "small.txt/",
    "%FF.txt",
    "C:small.txt",
    "..%5csecret.txt",
]
VIEWS = [
    "/path/small.txt",
    "/path/large.bin",
    "/path/empty.css",
    "/attachment",
    "/plain",
    "/object",
    "/positioned",
    "/unbuffered",
    "/written",
    "/memory",
    "/directory/large.bin",
    "/directory/../secret.txt",
    "/directory/missing",
    "/changed",
    "/data",
]


def conditions(answer: dict[str, Any]) -> list[dict[str, str]]:
    """Conditions and ranges, with the tag and time that an answer has."""
    tag, changed = answer.get("etag", '"none"'), answer.get("last-modified", "")
    past, future = "Sun, 06 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 2095 08:49:37 GMT"
    return [
        {},
        {"If-None-Match": tag},
        {"If-None-Match": f"W/{tag}"},
        {"If-None-Match": f'"other", {tag}'},
        {"If-None-Match": '"other"'},
        {"If-None-Match": "*"},
        {"If-None-Match": "garbage"},
        {"If-None-Match": '"other"', "If-Modified-Since": changed},
        {"If-Modified-Since": changed},
        {"If-Modified-Since": past},
        {"If-Modified-Since": future},
        {"If-Modified-Since": "Sunday, 06-Nov-94 08:49:37 GMT"},
        {"If-Modified-Since": "never"},
        {"If-Match": tag},
        {"If-Match": '"other"'},
        {"If-Unmodified-Since": past},
        {"Range": "bytes=0-0"},
        {"Range": "bytes=3-"},
        {"Range": "bytes=-4"},
        {"Range": "bytes=2-5"},
        {"Range": "bytes=0-99999999"},
        {"Range": "bytes=99999999-"},
        {"Range": "bytes=-99999999"},
        {"Range": "bytes=5-2"},
        {"Range": "bytes=0-1,4-5"},
        {"Range": "lines=0-1"},
        {"Range": "bytes=a-b"},
        {"Range": "bytes=0-3", "If-Range": tag},
        {"Range": "bytes=0-3", "If-Range": '"other"'},
        {"Range": "bytes=0-3", "If-Range": changed},
        {"Range": "bytes=0-3", "If-Range": past},
        {"Range": "bytes=0-3", "If-None-Match": tag},
        {"Range": "bytes=0-3", "If-Modified-Since": changed},
    ]


def ask(
    app: Any, path: str, headers: dict[str, str], method: str = "GET"
) -> tuple[str, dict[str, Any], bytes]:
    client = app.test_client()
    with client.open(path, method=method, headers=headers) as response:
        fields = {name.lower(): value for name, value in response.headers if name.lower() not in _LEFT_OUT}
        if "allow" in fields:
            fields["allow"] = sorted(fields["allow"].split(", "))
        assert len(fields) + sum(name in response.headers for name in _LEFT_OUT) == len(response.headers)
        return response.status, fields, response.get_data()


@contextlib.contextmanager
def over_a_socket(app: Any) -> Iterator[Any]:
    """The application, its test client's requests sent over a socket to its own server."""
    with serving(app) as port:
        proxy = Proxy(app, port)
        client_class = app.test_client_class

        class Door:
            def test_client(self) -> Any:
                from bustapi.flask.testing import FlaskClient

                return (client_class or FlaskClient)(proxy, app.response_class, use_cookies=False)

        yield Door()


def same(real: Any, ours: Any, path: str, headers: dict[str, str], method: str) -> None:
    (status, fields, body) = ask(real, path, headers, method)
    (our_status, our_fields, our_body) = ask(ours, path, headers, method)
    where = f"{method} {path} {headers}"
    assert our_status == status, where
    if "content-length" in fields and int(status[:3]) >= 400:
        # The pages of errors have the same text; lengths follow.
        assert our_body == body, where
    if "content-length" not in fields:
        # Where Flask declares no length, a server may find one.
        our_fields.pop("content-length", None)
    assert our_fields == fields, where
    assert our_body == body, where


TWISTS = {
    "by the server": lambda app: None,
    "behind a hook": lambda app: app.before_request(lambda: None),
    "with a teardown": lambda app: app.teardown_request(lambda error: None),
}


@pytest.mark.parametrize("twist", TWISTS)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_static_files_are_flasks(tmp_path: Path, twist: str, method: str) -> None:
    folder = make_folder(tmp_path)
    real, ours = build(REAL, folder), build(OURS, folder)
    TWISTS[twist](ours)
    with over_a_socket(ours) as door:
        for name in NAMES:
            same(real, door, f"/static/{name}", {}, method)
        for path in ("/static/small.txt", "/static/large.bin", "/static/empty.css"):
            answer = ask(real, path, {}, method)[1]
            for headers in conditions(answer):
                same(real, door, path, headers, method)
        same(real, door, "/blue/blue-files/small.txt", {}, method)
        for other in ("OPTIONS", "POST"):
            same(real, door, "/static/small.txt", {}, other)
        for app in (real, ours):
            app.config["SEND_FILE_MAX_AGE_DEFAULT"] = 3600
        for headers in conditions(ask(real, "/static/small.txt", {}, method)[1]):
            same(real, door, "/static/small.txt", headers, method)
        for app in (real, ours):
            app.config["SEND_FILE_MAX_AGE_DEFAULT"] = 0
        same(real, door, "/static/small.txt", {}, method)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_sent_files_are_flasks(tmp_path: Path, method: str) -> None:
    folder = make_folder(tmp_path)
    real, ours = build(REAL, folder), build(OURS, folder)
    with over_a_socket(ours) as door:
        for path in VIEWS:
            answer = ask(real, path, {}, method)[1]
            for headers in conditions(answer):
                same(real, door, path, headers, method)


def test_the_view_of_a_static_file_does_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make_folder(tmp_path)
    app = build(OURS, folder)
    called: list[str] = []

    def send(owner: Any, filename: str) -> str:
        called.append(filename)
        return "from the view"

    monkeypatch.setattr("bustapi.flask.app._send_static_file", send)
    monkeypatch.setattr("bustapi.flask.blueprints._send_static_file", send)
    with over_a_socket(app) as door:
        for path in ("/static/large.bin", "/blue/blue-files/large.bin"):
            assert ask(door, path, {})[2] == LARGE
            status, fields, body = ask(door, path, {"Range": "bytes=1-2"})
            assert (status, fields["content-range"], body) == (
                "206 PARTIAL CONTENT",
                f"bytes 1-2/{len(LARGE)}",
                LARGE[1:3],
            )
            assert ask(door, path, {"If-None-Match": fields["etag"]})[0] == "304 NOT MODIFIED"
        assert called == []
        # What it cannot answer is the view's.
        assert ask(door, "/static/missing", {})[2] == b"from the view"
        assert called == ["missing"]


CHANGES: dict[str, Any] = {
    "a hook": lambda app: app.before_request(lambda: "hooked"),
    "a hook after": lambda app: app.after_request(lambda response: app.response_class("hooked")),
    "another view": lambda app: app.view_functions.update(static=lambda filename: "hooked"),
    "a decorated view": lambda app: app.view_functions.update(static=decorated(app.view_functions["static"])),
    "the method of the application": lambda app: setattr(
        app, "send_static_file", lambda filename: app.response_class("hooked")
    ),
    "make_response": lambda app: setattr(app, "make_response", lambda rv: app.response_class("hooked")),
    "middleware": lambda app: setattr(
        app, "wsgi_app", lambda environ, start: app.response_class("hooked")(environ, start)
    ),
    "the folder": lambda app: setattr(app, "static_folder", str(Path(app.static_folder).parent / "other")),
    "another session interface": lambda app: setattr(
        app,
        "session_interface",
        type("I", (type(app.session_interface),), {"save_session": hooked_session})(),
    ),
}


def decorated(view: Any) -> Any:
    import functools

    @functools.wraps(view)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return "hooked"

    return wrapper


def hooked_session(self: Any, app: Any, session: Any, response: Any) -> None:
    response.direct_passthrough = False
    response.set_data("hooked")


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_is_seen_by_the_next_file(tmp_path: Path, change: str) -> None:
    folder = make_folder(tmp_path)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "small.txt").write_text("hooked")
    app = build(OURS, folder)
    app._check_setup_finished = lambda name: None
    app.secret_key = "for sessions"
    with over_a_socket(app) as door:
        assert ask(door, "/static/small.txt", {})[2] == b"hello, files\n"
        CHANGES[change](app)
        assert ask(door, "/static/small.txt", {})[2] == b"hooked"


def test_a_blueprint_may_change_what_it_says_of_files(tmp_path: Path) -> None:
    folder = make_folder(tmp_path)
    app = build(OURS, folder)
    blueprint = app.blueprints["blue"]
    with over_a_socket(app) as door:
        assert ask(door, "/blue/blue-files/small.txt", {})[1]["cache-control"] == "no-cache"
        blueprint.get_send_file_max_age = lambda filename: 7
        assert ask(door, "/blue/blue-files/small.txt", {})[1]["cache-control"] == "public, max-age=7"
        del blueprint.get_send_file_max_age
        assert ask(door, "/blue/blue-files/small.txt", {})[1]["cache-control"] == "no-cache"
        app.config["SEND_FILE_MAX_AGE_DEFAULT"] = 9
        assert ask(door, "/blue/blue-files/small.txt", {})[1]["cache-control"] == "public, max-age=9"


def test_a_file_and_its_type_may_change(tmp_path: Path) -> None:
    folder = make_folder(tmp_path)
    app = build(OURS, folder)
    with over_a_socket(app) as door:
        before = ask(door, "/static/odd.unknown-type", {})[1]
        assert before["content-type"] == "application/octet-stream"
        (folder / "odd.unknown-type").write_bytes(b"longer than it was")
        mimetypes.add_type("text/x-known", ".unknown-type")
        try:
            after = ask(door, "/static/odd.unknown-type", {"If-None-Match": before["etag"]})
            assert (after[0], after[2]) == ("200 OK", b"longer than it was")
            end = time.monotonic() + 10
            while (
                ask(door, "/static/odd.unknown-type", {})[1]["content-type"] != "text/x-known; charset=utf-8"
            ):
                assert time.monotonic() < end
                time.sleep(0.05)
        finally:
            mimetypes.init()


def strict(folder: Path, **config: Any) -> Any:
    app = BustAPI("strict", static_folder=str(folder), root_path=str(folder.parent))
    app.config.update(config)
    return app


RULES = [
    # What is asked, the status, and the body or None.
    ({"If-Match": "{tag}"}, 200, LARGE),
    ({"If-Match": "*"}, 200, LARGE),
    ({"If-Match": "W/{tag}"}, 412, None),
    ({"If-Match": '"other"'}, 412, None),
    ({"If-Unmodified-Since": "Sun, 06 Nov 1994 08:49:37 GMT"}, 412, None),
    ({"If-Unmodified-Since": "{changed}"}, 200, LARGE),
    ({"If-Unmodified-Since": "Sun, 06 Nov 1994 08:49:37 GMT", "If-Match": "{tag}"}, 200, LARGE),
    ({"If-None-Match": "{tag}", "Range": "bytes=0-1"}, 304, b""),
    ({"If-None-Match": '"other"', "If-Modified-Since": "{changed}"}, 200, LARGE),
    ({"If-None-Match": '"other"', "Range": "bytes=0-1"}, 206, LARGE[:2]),
    ({"Range": "bytes=-99999999"}, 206, LARGE),
    ({"Range": "bytes=5-2"}, 200, LARGE),
    ({"Range": "lines=0-1"}, 200, LARGE),
    ({"Range": "bytes=99999999-"}, 416, None),
    ({"Range": "bytes=0-1,99999999-"}, 206, LARGE[:2]),
    ({"Range": "bytes=0-,0-"}, 200, LARGE),
    ({"Range": "bytes=" + ",".join(f"{i}-{i}" for i in range(40))}, 200, LARGE),
    ({"Range": "bytes=0-1", "If-Range": "{tag}"}, 206, LARGE[:2]),
    ({"Range": "bytes=0-1", "If-Range": "{changed}"}, 206, LARGE[:2]),
    ({"Range": "bytes=0-1", "If-Range": "Sun, 06 Nov 2095 08:49:37 GMT"}, 200, LARGE),
    ({"Range": "bytes=0-1", "If-Range": "W/{tag}"}, 200, LARGE),
]


@pytest.mark.parametrize("hooked", [False, True])
def test_conditions_and_ranges_are_https_in_bustapi(tmp_path: Path, hooked: bool) -> None:
    app = strict(make_folder(tmp_path))
    if hooked:
        app.before_request(lambda: None)
    with over_a_socket(app) as door:
        known = ask(door, "/static/large.bin", {})[1]
        for template, status, body in RULES:
            headers = {
                name: value.format(tag=known["etag"], changed=known["last-modified"])
                for name, value in template.items()
            }
            answered, fields, got = ask(door, "/static/large.bin", headers)
            assert int(answered[:3]) == status, headers
            if body is not None:
                assert got == body, headers
            else:
                assert "etag" not in fields, headers
                assert LARGE[:64] not in got, headers


@pytest.mark.parametrize("path", ["/static/large.bin", "/memory"])
def test_several_ranges_are_sent_in_parts(tmp_path: Path, path: str) -> None:
    import email

    app = strict(make_folder(tmp_path))

    @app.get("/memory")
    def memory() -> Any:
        from bustapi import send_file

        return send_file(io.BytesIO(LARGE), mimetype="application/octet-stream")

    with over_a_socket(app) as door:
        for client in (door, app):
            status, fields, body = ask(client, path, {"Range": "bytes=0-4, 100-50099 ,-3"})
            assert status == "206 PARTIAL CONTENT"
            assert int(fields["content-length"]) == len(body)
            message = email.message_from_bytes(
                b"Content-Type: " + fields["content-type"].encode() + b"\r\n\r\n" + body
            )
            parts = message.get_payload()
            assert [part["Content-Range"] for part in parts] == [
                f"bytes {start}-{stop - 1}/{len(LARGE)}"
                for start, stop in ((0, 5), (100, 50_100), (len(LARGE) - 3, len(LARGE)))
            ]
            assert {part["Content-Type"] for part in parts} == {"application/octet-stream"}
            whole = b"".join(part.encode() for part in fields["content-type"].split("boundary=")[1:])
            pieces = body.split(b"\r\n--" + whole)[1:-1]
            contents = [piece.partition(b"\r\n\r\n")[2] for piece in pieces]
            assert contents == [LARGE[:5], LARGE[100:50_100], LARGE[-3:]]


@pytest.mark.parametrize("hooked", [False, True])
def test_encoded_forms_beside_a_file(tmp_path: Path, hooked: bool) -> None:
    folder = make_folder(tmp_path)
    for ending, content in ((".br", b"brotli " * 5000), (".gz", b"gzip")):
        (folder / f"medium.js{ending}").write_bytes(content)
    app = strict(folder, SEND_FILE_PRECOMPRESSED=True)
    if hooked:
        app.before_request(lambda: None)
    plain = (folder / "medium.js").read_bytes()
    cases = [
        ("br, gzip", "br", b"brotli " * 5000),
        ("gzip", "gzip", b"gzip"),
        ("gzip;q=1, br;q=0", "gzip", b"gzip"),
        # No weights: as if the coding were not named.
        ("gzip;q=2", None, plain),
        ("gzip;q=abc, br;q=x", None, plain),
        ("*", "br", b"brotli " * 5000),
        ("zstd", None, plain),
        ("identity", None, plain),
        ("", None, plain),
    ]
    tags = set()
    with over_a_socket(app) as door:
        for accepted, coding, content in cases:
            status, fields, body = ask(door, "/static/medium.js", {"Accept-Encoding": accepted})
            assert (status, fields.get("content-encoding"), body) == ("200 OK", coding, content), accepted
            assert fields["vary"] == "Accept-Encoding"
            assert fields["content-type"] == ask(app, "/static/medium.js", {})[1]["content-type"]
            assert fields["content-disposition"] == "inline; filename=medium.js"
            tags.add(fields["etag"])
            again = {"Accept-Encoding": accepted, "If-None-Match": fields["etag"]}
            status, fields, body = ask(door, "/static/medium.js", again)
            assert (status, fields["vary"], body) == ("304 NOT MODIFIED", "Accept-Encoding", b"")
            part = ask(door, "/static/medium.js", {"Accept-Encoding": accepted, "Range": "bytes=1-2"})
            assert part[2] == content[1:3]
        assert len(tags) == 3
        # Its own name is another file.
        own = ask(door, "/static/medium.js.gz", {"Accept-Encoding": "gzip"})[1]
        assert own["content-disposition"] == "inline; filename=medium.js.gz"
        assert ask(door, "/static/missing.js", {"Accept-Encoding": "br"})[0] == "404 NOT FOUND"
        # Off, as it is by default.
        app.config["SEND_FILE_PRECOMPRESSED"] = False
        status, fields, body = ask(door, "/static/medium.js", {"Accept-Encoding": "br"})
        assert ("vary" in fields, "content-encoding" in fields, body) == (False, False, plain)


@pytest.mark.parametrize("hooked", [False, True])
def test_links_out_of_the_folder_can_be_refused(tmp_path: Path, hooked: bool) -> None:
    folder = make_folder(tmp_path)
    app = strict(folder)
    if hooked:
        app.before_request(lambda: None)
    with over_a_socket(app) as door:
        assert ask(door, "/static/out.txt", {})[2] == b"secret"
        app.config["SEND_FILE_FOLLOW_LINKS"] = False
        assert ask(door, "/static/out.txt", {})[0] == "404 NOT FOUND"
        assert ask(door, "/static/link.txt", {})[2] == b"hello, files\n"
        # An encoded form that may not be sent is none.
        app.config["SEND_FILE_PRECOMPRESSED"] = True
        (folder / "small.txt.gz").symlink_to(folder / "out.txt")
        status, fields, body = ask(door, "/static/small.txt", {"Accept-Encoding": "gzip"})
        assert (status, "content-encoding" in fields, body) == ("200 OK", False, b"hello, files\n")


def test_forms_of_a_file_do_not_share_a_tag(tmp_path: Path) -> None:
    folder = make_folder(tmp_path)
    (folder / "small.txt.gz").write_bytes(b"gzip")
    app = strict(folder, SEND_FILE_PRECOMPRESSED=True)

    @app.get("/own-tag")
    def own_tag() -> Any:
        return send_from_directory(folder, "small.txt", etag="own")

    with over_a_socket(app) as door:
        tags = [ask(door, "/own-tag", {"Accept-Encoding": coding})[1]["etag"] for coding in ("", "gzip")]
    assert tags == ['"own"', '"own-gzip"']


def test_what_cannot_be_read_is_flasks_error(tmp_path: Path) -> None:
    folder = make_folder(tmp_path)
    os.mkfifo(folder / "pipe")
    (folder / "loop").symlink_to(folder / "loop")
    real, ours = build(REAL, folder), build(OURS, folder)
    (folder / "small.txt").chmod(0)
    names = ["pipe", "loop"] if os.geteuid() == 0 else ["pipe", "loop", "small.txt"]
    with over_a_socket(ours) as door:
        for name in names:
            status, _, body = ask(real, f"/static/{name}", {})
            assert ask(door, f"/static/{name}", {})[::2] == (status, body), name
