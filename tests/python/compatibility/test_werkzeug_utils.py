"""The smaller tools of Werkzeug's modules: utils, security, wsgi."""

from __future__ import annotations

import hashlib
import io
import sys
import textwrap
from pathlib import Path
from typing import Any, Callable

import pytest

from .werkzeug_pair import Names, assert_same

Call = Callable[[Names], Any]


def error_of(call: Callable[[], Any]) -> Any:
    try:
        return call()
    except Exception as error:
        return type(error).__name__, str(error)


def same(call: Call) -> Any:
    """Compares, and sees to it that the call itself is right."""
    found = assert_same(call)
    assert not (isinstance(found, tuple) and found and str(found[0]) in ("NameError", "TypeError")), found
    return found


# --- passwords -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "method", ["scrypt:1024:8:1", "pbkdf2:sha1:9", "pbkdf2:sha512:10", "pbkdf2:sha256:1000"]
)
def test_a_password_hash_of_one_is_checked_by_the_other(method: str) -> None:
    real, ours = Names("werkzeug").security, Names("bustapi.werkzeug").security
    for make, check in ((real, ours), (ours, real), (ours, ours)):
        hashed = make.generate_password_hash("pässword", method, salt_length=8)
        assert hashed.partition("$")[0] == method
        assert len(hashed.split("$")[1]) == 8
        assert check.check_password_hash(hashed, "pässword")
        assert not check.check_password_hash(hashed, "passwort")


@pytest.mark.parametrize("method", ["scrypt", "pbkdf2", "pbkdf2:sha1"])
def test_a_method_has_the_same_strength_unless_it_is_given(
    method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What the digest costs is the point of it, but not of this test.
    monkeypatch.setattr(hashlib, "scrypt", lambda password, **given: repr(sorted(given.items())).encode())
    monkeypatch.setattr(hashlib, "pbkdf2_hmac", lambda *given: repr(given[0:2] + given[3:]).encode())
    assert_same(lambda w: w.security.generate_password_hash("x", method).partition("$")[0])
    assert_same(lambda w: w.security._hash_internal(method, "salt", "password"))


@pytest.mark.parametrize(
    "call",
    [
        lambda w: w.security.generate_password_hash("x", "scrypt:1"),
        lambda w: w.security.generate_password_hash("x", "scrypt:a:b:c"),
        lambda w: w.security.generate_password_hash("x", "pbkdf2:sha1:2:3"),
        lambda w: w.security.generate_password_hash("x", "plain"),
        lambda w: w.security.generate_password_hash("x", "pbkdf2:nonsense"),
        lambda w: w.security.generate_password_hash("x", salt_length=0),
        lambda w: w.security.check_password_hash("no hash", "x"),
        lambda w: w.security.check_password_hash("one$two", "x"),
        lambda w: w.security.check_password_hash("plain$salt$x", "x"),
        lambda w: w.security.gen_salt(0),
        lambda w: (len(w.security.gen_salt(20)), w.security.gen_salt(9).isalnum()),
        lambda w: w.security.safe_join("/a", "b", "../../c"),
        lambda w: w.security.safe_join("", "b"),
    ],
)
def test_a_bad_password_hash_is_refused_alike(call: Call) -> None:
    assert_same(call)


# --- utils ---------------------------------------------------------------------------------------------------------


def slots_property(w: Names) -> Any:
    calls: list[int] = []

    class Slotted:
        __slots__ = ("_cache_value",)

        @w.utils.cached_property
        def value(self) -> int:
            calls.append(1)
            return len(calls)

    class Plain:
        @w.utils.cached_property
        def value(self) -> int:
            """The value's text."""
            calls.append(1)
            return len(calls)

    seen: list[Any] = []
    for cls in (Slotted, Plain):
        thing = cls()
        seen += [thing.value, thing.value]
        thing.value = 50
        seen.append(thing.value)
        del thing.value
        seen += [thing.value, thing.value]
    return [*seen, Plain.value.__doc__, type(Slotted.value).__name__]


def environ_property(w: Names) -> Any:
    class Thing:
        header = w.utils.header_property(
            "X-Count", default=1, load_func=int, dump_func=str, doc="how many", read_only=False
        )
        fixed = w.utils.header_property("X-Fixed")
        colour = w.utils.environ_property("colour", default="red", read_only=False)
        frozen = w.utils.environ_property("frozen")

        def __init__(self) -> None:
            self.headers = w.datastructures.Headers()
            self.environ: dict[str, Any] = {}

    thing = Thing()
    seen: list[Any] = [thing.header, thing.colour, thing.frozen, thing.fixed]
    thing.header, thing.colour = 5, "blue"
    seen += [thing.header, list(thing.headers), thing.colour, dict(thing.environ)]
    thing.headers["X-Count"] = "many"
    seen.append(thing.header)
    del thing.header, thing.colour
    seen += [list(thing.headers), thing.environ]
    seen += [error_of(lambda: setattr(thing, "frozen", 1)), error_of(lambda: delattr(thing, "frozen"))]
    thing.fixed = "x"
    return [
        *seen,
        thing.fixed,
        Thing.header.__doc__,
        repr(Thing.header),
        repr(Thing.colour),
        Thing.header is Thing.__dict__["header"],
    ]


@pytest.mark.parametrize("call", [slots_property, environ_property])
def test_properties_do_alike(call: Call) -> None:
    same(call)


@pytest.mark.parametrize(
    "environ",
    [
        {"PATH_INFO": "/a/b", "QUERY_STRING": "x=1"},
        {"PATH_INFO": "/a/b"},
        {"PATH_INFO": "/"},
        {"PATH_INFO": "/a/", "QUERY_STRING": ""},
    ],
)
@pytest.mark.parametrize("code", [308, 301])
def test_a_slash_is_appended_alike(environ: dict[str, str], code: int) -> None:
    same(
        lambda w: (lambda response: [response.status, response.headers["Location"]])(
            w.utils.append_slash_redirect(environ, code)
        )
    )


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """An importable package with a module, a package inside, and one that fails."""
    root = tmp_path / "found_package"
    (root / "inner").mkdir(parents=True)
    (root / "__init__.py").write_text("value = 1\n")
    (root / "module.py").write_text("class Thing:\n    kind = 'thing'\n")
    (root / "broken.py").write_text("import no_such_module_anywhere\n")
    (root / "inner" / "__init__.py").write_text("")
    (root / "inner" / "deep.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "modules", dict(sys.modules))
    return "found_package"


@pytest.mark.parametrize(
    ("name", "silent"),
    [
        ("{}", False), ("{}.module", False), ("{}.module:Thing", False), ("{}.module.Thing", False), ("{}.value", False),
        ("{}.missing", False), ("{}.missing", True), ("{}.module:Missing", False), ("{}.broken", False),
        ("no_such_package", False), ("no_such_package", True), ("no_such_package.at.all", False),
    ],
)  # fmt: skip
def test_a_name_is_imported_alike(package: str, name: str, silent: bool) -> None:
    def call(w: Names) -> Any:
        try:
            return str(w.utils.import_string(name.format(package), silent=silent))
        except ImportError as error:
            return (
                type(error).__name__,
                str(error),
                repr(error),
                error.import_name,
                type(error.exception).__name__,
            )

    assert_same(call)


def test_modules_are_found_alike(package: str) -> None:
    def call(w: Names) -> Any:
        find = w.utils.find_modules
        return [
            sorted(find(package)),
            sorted(find(package, include_packages=True)),
            sorted(find(package, recursive=True)),
            sorted(find(package, include_packages=True, recursive=True)),
            error_of(lambda: list(find(f"{package}.module"))),
        ]

    found = same(call)
    assert "found_package.inner.deep" in str(found)


def sent(w: Names, *args: Any, **kwargs: Any) -> Any:
    """What `send_file` answers, without what tells the time of the file."""
    environ = w.test.create_environ()
    try:
        response = w.utils.send_file(*args, environ, **kwargs)
    except Exception as error:
        return type(error).__name__, str(error)
    response.direct_passthrough = False
    fields = sorted((name, value) for name, value in response.headers if name not in ("Expires", "Date"))
    data = b"" if "X-Sendfile" in response.headers else response.get_data()
    response.close()
    return response.status, fields, data, "Expires" in response.headers


def age_of(path: object) -> int:
    return 5 if path is None else 10


@pytest.mark.parametrize(
    "options",
    [
        {}, {"as_attachment": True}, {"download_name": "näme.txt"}, {"download_name": "a.tar.gz"}, {"mimetype": "text/x-own"},
        {"max_age": 0}, {"max_age": 60}, {"max_age": age_of}, {"etag": False}, {"etag": "own"},
        {"conditional": False}, {"last_modified": 1_000_000_000}, {"use_x_sendfile": True}, {"as_attachment": True, "download_name": "a b.txt"},
        {"download_name": "no suffix"},
    ],
    # A function's address would differ from run to run.
    ids=lambda options: repr(options).partition(" at 0x")[0],
)  # fmt: skip
@pytest.mark.parametrize("kind", ["path", "bytes", "text", "open"])
def test_a_file_is_sent_alike(tmp_path: Path, kind: str, options: dict[str, Any]) -> None:
    path = tmp_path / "file.txt"
    path.write_bytes(b"content")

    def call(w: Names) -> Any:
        if kind == "open":
            with path.open("rb") as file:
                return sent(w, file, **options)
        source: Any = {"path": path, "bytes": io.BytesIO(b"content"), "text": io.StringIO("content")}[kind]
        return sent(w, source, **options)

    assert_same(call)


@pytest.mark.parametrize("path", ["a.txt", "../a.txt", "none.txt", "sub", "/etc/passwd", "a\0b"])
def test_a_file_of_a_folder_is_sent_alike(tmp_path: Path, path: str) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "a.txt").write_text("a")

    def call(w: Names) -> Any:
        try:
            response = w.utils.send_from_directory(tmp_path, path, w.test.create_environ())
        except Exception as error:
            return type(error).__name__
        response.close()
        return response.status

    assert_same(call)


# --- wsgi ----------------------------------------------------------------------------------------------------------


def ranges(w: Names) -> Any:
    class File:
        def __init__(self, data: bytes) -> None:
            self.inner = io.BytesIO(data)
            self.read = self.inner.read

    data = bytes(range(10)) * 3
    wrapper = w.wsgi._RangeWrapper
    seen: list[Any] = []
    for start in (0, 3, 29, 40):
        for length in (None, 0, 5, 100):
            seen += [
                b"".join(wrapper([data[:7], b"", data[7:20], data[20:]], start, length)),
                b"".join(wrapper(w.wsgi.FileWrapper(io.BytesIO(data), 4), start, length)),
                b"".join(wrapper(w.wsgi.FileWrapper(File(data), 4), start, length)),
                b"".join(wrapper(iter([]), start, length)),
            ]
    return seen


def file_wrapper(w: Names) -> Any:
    class Bare:
        def read(self, size: int) -> bytes:
            return b""

    full, bare = w.wsgi.FileWrapper(io.BytesIO(b"abcdef"), 4), w.wsgi.FileWrapper(Bare())
    seen: list[Any] = [full.seekable(), full.tell(), next(full), full.tell()]
    full.seek(1)
    seen += [list(full), bare.seekable(), bare.tell(), bare.seek(0), list(bare), bare.close()]
    full.close()
    return [*seen, full.file.closed]


def limited(w: Names) -> Any:
    class NoReadinto:
        def __init__(self, data: bytes) -> None:
            self.read = io.BytesIO(data).read

    class Failing:
        def readinto(self, target: Any) -> int:
            raise OSError("gone")

    seen: list[Any] = []
    for stream in (io.BytesIO(b"line one\nline two\nrest"), NoReadinto(b"line one\nline two\nrest")):
        limit = w.wsgi.LimitedStream(stream, 15)
        seen += [limit.readable(), limit.tell(), limit.read(4), limit.tell(), limit.is_exhausted]
        seen += [
            limit.readline(),
            limit.readlines(),
            limit.exhaust(),
            limit.read(),
            limit.is_exhausted,
            limit.tell(),
        ]
    seen += [error_of(lambda: w.wsgi.LimitedStream(Failing(), 5).read())]
    seen += [error_of(lambda: w.wsgi.LimitedStream(io.BytesIO(b"ab"), 5).read())]
    seen += [error_of(lambda: w.wsgi.LimitedStream(io.BytesIO(b"abcdef"), 5, is_max=True).read())]
    rest = w.wsgi.LimitedStream(io.BytesIO(b"abcdef"), 5)
    return [*seen, rest.exhaust(), rest.exhaust()]


def responder(w: Names) -> Any:
    @w.wsgi.responder
    def application(environ: Any, start_response: Any) -> Any:
        """An application's text."""
        return w.wrappers.Response(environ["PATH_INFO"])

    return w.test.run_wsgi_app(application, w.test.create_environ("/here"))[1], application.__doc__


@pytest.mark.parametrize("call", [ranges, file_wrapper, limited, responder])
def test_bodies_are_read_and_written_alike(call: Call) -> None:
    same(call)


def test_a_program_explains_a_name_it_cannot_import(tmp_path: Path) -> None:
    """The message names how far the import got."""
    (tmp_path / "half.py").write_text(textwrap.dedent("value = 1"))
    real = error_of(lambda: Names("werkzeug").utils.import_string("json.no.such"))
    ours = error_of(lambda: Names("bustapi.werkzeug").utils.import_string("json.no.such"))
    assert ours == real
