"""Ordered dicts, uploads, credentials and policies: the corners of Werkzeug's data structures."""

from __future__ import annotations

import copy
import io
import pickle
import tempfile
import warnings
from pathlib import Path
from typing import Any, Callable

import pytest

from .werkzeug_pair import Names, assert_same, error_of, same

PAIRS = [("b", 1), ("a", 2), ("b", 3), ("c", 4)]


def ordered(w: Names, name: str = "OrderedMultiDict", pairs: Any = PAIRS) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return getattr(w.datastructures, name)(pairs)


def pairs_of(made: Any) -> Any:
    return (
        list(made.items(multi=True)),
        list(made.items()),
        [(key, list(values)) for key, values in made.lists()],
    )


CHANGES: dict[str, Callable[[Any], Any]] = {
    "nothing": lambda d: None,
    "set": lambda d: d.__setitem__("b", 9),
    "delete": lambda d: d.__delitem__("b"),
    "delete missing": lambda d: d.__delitem__("x"),
    "add": lambda d: d.add("a", 5),
    "update": lambda d: d.update([("z", 1), ("a", 6)]),
    "update dict": lambda d: d.update({"z": [1, 2]}),
    "setlist": lambda d: d.setlist("b", [7, 8]),
    "setlist empty": lambda d: d.setlist("b", []),
    "setlistdefault": lambda d: d.setlistdefault("b"),
    "setdefault": lambda d: (d.setdefault("b", 5), d.setdefault("new", 6)),
    "pop": lambda d: d.pop("b"),
    "pop default": lambda d: d.pop("x", 0),
    "pop missing": lambda d: d.pop("x"),
    "poplist": lambda d: (d.poplist("b"), d.poplist("x")),
    "popitem": lambda d: d.popitem(),
    "popitemlist": lambda d: d.popitemlist(),
    "values": lambda d: (list(d.values()), list(d.listvalues()), list(d.keys()), list(d), len(d)),
    "get": lambda d: (d["b"], d.get("b"), d.getlist("b"), d.get("x"), d.getlist("x"), d.get("b", type=str)),
    "missing": lambda d: d["x"],
}


@pytest.mark.parametrize("name", CHANGES)
def test_an_ordered_dict_does_alike(name: str) -> None:
    def call(w: Names) -> Any:
        made = ordered(w)
        return error_of(lambda: CHANGES[name](made)), pairs_of(made)

    assert_same(call)


def test_an_ordered_dict_is_emptied_and_filled() -> None:
    # Not as with Werkzeug, whose class keeps the keys of what was cleared.
    made = ordered(Names("bustapi.werkzeug"))
    made.clear()
    assert pairs_of(made) == ([], [], [])
    assert error_of(made.popitemlist)[0] == "BadRequestKeyError"
    made.add("x", 0)
    made.__setstate__([("s", 1), ("t", 2), ("s", 3)])
    assert pairs_of(made)[0] == [("s", 1), ("t", 2), ("s", 3)]


def test_ordered_dicts_are_copied_and_compared_alike() -> None:
    def call(w: Names) -> Any:
        made, other = ordered(w), ordered(w, pairs=[("a", 2), ("b", 1), ("b", 3), ("c", 4)])
        frozen = ordered(w, "ImmutableOrderedMultiDict")
        plain = w.datastructures.MultiDict(PAIRS)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            copies = [
                copy.copy(made),
                copy.deepcopy(made),
                made.copy(),
                frozen.copy(),
                pickle.loads(pickle.dumps(made)),
            ]
        return [
            [(type(one).__name__.strip("_"), pairs_of(one), one == made, one == other) for one in copies],
            made == other, made == plain, made == {"b": 1}, made != other, made.__getstate__(), error_of(lambda: hash(made)),
            copy.copy(frozen) is frozen, hash(frozen) == hash(ordered(w, "ImmutableOrderedMultiDict")),
            error_of(lambda: frozen.add("a", 1)), error_of(lambda: frozen.__setitem__("a", 1)), frozen == made,
        ]  # fmt: skip

    same(call)


def test_the_name_is_deprecated_alike() -> None:
    def call(w: Names) -> Any:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            w.datastructures.OrderedMultiDict  # noqa: B018
        return [(one.category.__name__, str(one.message)) for one in caught]

    assert len(same(call)[1]) == 1
    assert_same(lambda w: error_of(lambda: w.datastructures.NoSuchName)[0])


# --- other dicts and lists -----------------------------------------------------------------------------------------


def conversions(w: Names) -> Any:
    ds = w.datastructures
    made = ds.MultiDict([("a", "1"), ("a", "x"), ("b", "")])
    headers = ds.Headers([("X-N", "1"), ("X-N", "x"), ("Y", "2")])
    typed = ds.TypeConversionDict(a="1", b="x")
    combined = ds.CombinedMultiDict([ds.MultiDict({"a": 1}), ds.MultiDict({"b": 2})])
    frozen = ds.ImmutableTypeConversionDict(a="1")
    return [
        made.getlist("a", type=int), made.get("a", type=int), made.get("b", -1, type=int), headers.getlist("X-N", type=int),
        headers.get("X-N", type=int), typed.get("a", type=int), typed.get("b", 5, type=int), typed.get("c", type=int),
        "a" in combined, "x" in combined, combined.getlist("a", type=str), combined.copy(), type(frozen.copy()).__name__,
        error_of(lambda: made | 5), error_of(lambda: made.__ior__(5)), made | {"c": "3"}, error_of(lambda: headers | 5),
        headers == 5, headers != headers.copy(), error_of(lambda: headers.__ior__(5)), list(headers | {"Z": "1"}),
        error_of(lambda: ds.MultiDict().popitem()), error_of(lambda: ds.MultiDict().popitemlist()), list(ds.MultiDict({"a": [1, 2], "b": ()}).lists()),
    ]  # fmt: skip


def broken_multi_dict(w: Names) -> Any:
    made = w.datastructures.MultiDict()
    dict.__setitem__(made, "a", [])
    return error_of(lambda: made["a"]), error_of(made.popitem), made.getlist("a")


def header_corners(w: Names) -> Any:
    ds = w.datastructures
    headers = ds.Headers()
    headers.add_header("Content-Disposition", "attachment", filename="a.txt")
    headers.update(ds.MultiDict([("A", "1"), ("A", "2")]))
    headers.update(ds.Headers([("B", "1"), ("B", "2")]), C="3")
    environ = {"HTTP_X_ONE": "1", "CONTENT_TYPE": "a/b", "CONTENT_LENGTH": "5", "OTHER": "x"}
    view = ds.EnvironHeaders(environ)
    return [
        list(headers), list(view), view["x-one"], view == ds.EnvironHeaders(environ), view == ds.EnvironHeaders(dict(environ)), view == 5,
        len(view), "X-One" in view, error_of(lambda: view["none"]), error_of(lambda: view[1]), error_of(view.copy), error_of(lambda: view | {}),
        error_of(lambda: view.add("a", "b")), error_of(lambda: hash(view))[0], "content-type" in view, view.get("Content-Length", type=int),
    ]  # fmt: skip


def header_sets(w: Names) -> Any:
    made = w.datastructures.HeaderSet(["a", "B"])
    made.discard("b")
    made.discard("b")
    return [
        list(made),
        made[0],
        made.index("A"),
        error_of(lambda: made.index("x")),
        made.as_set(preserve_casing=True),
        error_of(lambda: made[5]),
    ]


def callback_dicts(w: Names) -> Any:
    seen: list[Any] = []
    made = w.datastructures.CallbackDict({"a": 1, "b": 2, "c": 3}, on_update=lambda d: seen.append(dict(d)))
    made |= {"d": 4}
    del made["a"]
    made.popitem()
    made.pop("x", None)
    made.pop("b")
    made.setdefault("c", 1)
    made.setdefault("e", 1)
    made.update(f=1)
    made.clear()
    return seen, error_of(lambda: made.pop("x")), error_of(made.popitem), repr(made)


def callback_lists(w: Names) -> Any:
    ds = w.datastructures
    frozen = ds.ImmutableList([1, 2])
    frozen_dict = ds.ImmutableDict(a=1)
    return [
        *(error_of(lambda call=call: call()) for call in (
            lambda: frozen.append(1), lambda: frozen.pop(), lambda: frozen.sort(), lambda: frozen.reverse(), lambda: frozen.insert(0, 1),
            lambda: frozen.extend([1]), lambda: frozen.remove(1), lambda: frozen.__setitem__(0, 1), lambda: frozen.__delitem__(0),
            lambda: frozen.__iadd__([1]), lambda: frozen.__imul__(2), lambda: frozen_dict.setdefault("a"), lambda: frozen_dict.update({}),
            lambda: frozen_dict.popitem(), lambda: frozen_dict.clear(), lambda: frozen_dict.__delitem__("a"), lambda: frozen_dict.__ior__({}),
        )),
        hash(frozen) == hash(ds.ImmutableList([1, 2])), hash(frozen_dict) == hash(ds.ImmutableDict(a=1)), type(frozen_dict.copy()).__name__,
        copy.copy(frozen_dict) is frozen_dict, type(ds.ImmutableMultiDict({'a': 1}).copy()).__name__, repr(frozen), repr(frozen_dict),
    ]  # fmt: skip


def preferences(w: Names) -> Any:
    ds = w.datastructures
    made = ds.MIMEAccept([("text/html", 1), ("application/json", 0.5)])
    again = ds.MIMEAccept(made)
    languages = ds.LanguageAccept([("de-AT", 1), ("en", 0.5)])
    return [
        list(again), made.index("application/json"), made.index(("text/html", 1)), error_of(lambda: made.index("x/y")), error_of(lambda: made.index(("x", 1))),
        made.accept_html, made.accept_xhtml, made.accept_json, ds.MIMEAccept([("application/xml", 1)]).accept_html, ds.MIMEAccept().accept_json,
        made.find("text/*"), made["html"], made.quality("html"), error_of(lambda: made.quality("*/html")), ds.MIMEAccept([("*/html", 1)]).quality("text/html"),
        languages.best_match(["de", "en"]), languages.best_match(["de-DE", "fr"]), languages.best_match(["fr"]), languages.best_match(["en-GB"]),
        repr(made), str(made), ds.Accept().best, error_of(lambda: made.append(1)),
    ]  # fmt: skip


def policies(w: Names) -> Any:
    seen: list[str] = []
    made = w.datastructures.ContentSecurityPolicy(on_update=lambda policy: seen.append(policy.to_header()))
    made.default_src = "'self'"
    made.img_src = "*"
    read = [made.default_src, made.script_src, "img-src" in made]
    made.img_src = None
    del made.default_src
    del made.default_src
    made.font_src = "x"
    return read, seen, repr(made), made.to_header()


def cache_control(w: Names) -> Any:
    ds = w.datastructures
    made = ds.ResponseCacheControl({"max-age": "5", "no-cache": None})
    seen = [made.max_age, made.no_cache, made.public, made.to_header()]
    made.max_age = 7
    made.public = True
    made.no_cache = "field"
    seen += [made.to_header(), made.no_cache]
    made.public = False
    made.max_age = None
    del made.no_cache
    del made.no_cache
    made.private = True
    asked = ds.RequestCacheControl({"max-stale": None, "min-fresh": "x", "only-if-cached": None})
    return [
        *seen,
        made.to_header(),
        repr(made),
        str(made),
        asked.max_stale,
        asked.min_fresh,
        asked.only_if_cached,
        error_of(lambda: setattr(asked, "max_age", 1)),
    ]


def tags(w: Names) -> Any:
    made = w.datastructures.ETags(["a"], ["b"])
    generated = w.http.generate_etag(b"data")
    other = w.datastructures.ETags([generated])
    return [
        made(etag="a"), made(etag="b"), made(etag="b", include_weak=True), error_of(lambda: made()), other(data=b"data"), other(data=b"x"),
        len(made), sorted(made), bool(w.datastructures.ETags()), made.as_set(True), made.contains_raw('W/"b"'), made.contains_weak("b"), made.is_strong("b"),
        made.to_header(), str(w.datastructures.ETags(star_tag=True)), w.datastructures.ETags(star_tag=True).contains("x"), repr(made),
    ]  # fmt: skip


def spans(w: Names) -> Any:
    ds = w.datastructures
    content = ds.ContentRange("bytes", 0, 5, 10)
    seen: list[Any] = [str(content), bool(content), repr(content)]
    content.unset()
    seen += [str(content), bool(content), repr(content), content.start]
    content.set(1, 2, None)
    content.units = "items"
    seen += [
        content.to_header(),
        content.length,
        error_of(lambda: content.set(5, 2)),
        error_of(lambda: ds.ContentRange("bytes", 5, None)),
    ]
    several = ds.Range("bytes", [(0, 5), (6, None)])
    return [
        *seen, several.to_header(), several.range_for_length(10), several.make_content_range(10), str(ds.Range("bytes", [(-5, None)])), repr(several),
        error_of(lambda: ds.Range("bytes", [(5, 2)])), error_of(lambda: ds.Range("bytes", [(None, 2)])), several.to_content_range_header(10),
        ds.Range("items", [(0, 5)]).to_content_range_header(10), ds.Range("bytes", [(0, 5)]).to_content_range_header(10), ds.Range("bytes", [(0, 5)]).range_for_length(None),
    ]  # fmt: skip


def credentials(w: Names) -> Any:
    ds = w.datastructures
    basic = ds.Authorization("basic", {"username": "u", "password": "p"})
    digest = ds.Authorization("digest", {"username": "u", "realm": 'a "b"'})
    bearer = ds.Authorization("bearer", token="t")
    seen: list[Any] = [
        [str(one), repr(one), one.get("username"), "username" in one, one.realm, one.password, error_of(lambda one=one: one["none"])] for one in (basic, digest, bearer)
    ]  # fmt: skip
    changes: list[str] = []
    challenge = ds.WWWAuthenticate("digest", {"realm": "r"})
    challenge._on_update = lambda one: changes.append(one.to_header())
    challenge.type = "basic"
    challenge.nonce = "n"
    challenge["qop"] = None
    challenge["realm"] = "s"
    challenge.realm = None
    del challenge["missing"]
    challenge.parameters["opaque"] = "o"
    challenge.parameters = {"realm": "t"}
    challenge.token = "tok"
    seen += [
        challenge["realm"],
        challenge.nonce,
        challenge.none,
        "realm" in challenge,
        challenge.get("realm"),
        challenge.get("x", 1),
        repr(challenge),
    ]
    challenge.token = None
    del challenge.realm
    del challenge.realm
    return [
        *seen, changes, challenge == ds.WWWAuthenticate("basic"), challenge == 5, basic == ds.Authorization("basic", {"username": "u", "password": "p"}), basic == 5,
        error_of(lambda: challenge._hidden),
        ds.WWWAuthenticate("token68", token="x").to_header(),
    ]  # fmt: skip


CORNERS = [
    conversions, broken_multi_dict, header_corners, header_sets, callback_dicts, callback_lists, preferences, policies, cache_control, tags, spans, credentials,
]  # fmt: skip


@pytest.mark.parametrize("call", CORNERS)
def test_a_corner_is_alike(call: Callable[[Names], Any]) -> None:
    same(call)


# --- uploads -------------------------------------------------------------------------------------------------------


def test_an_upload_is_described_alike(tmp_path: Path) -> None:
    (tmp_path / "named.bin").write_bytes(b"x")

    def call(w: Names) -> Any:
        storage = w.datastructures.FileStorage
        with (tmp_path / "named.bin").open("rb") as named:
            numbered = io.BytesIO(b"")
            numbered.name = "<stdin>"  # type: ignore[attr-defined]
            bytes_name = io.BytesIO(b"")
            bytes_name.name = b"raw.bin"  # type: ignore[attr-defined]
            made = [
                storage(), storage(named), storage(numbered), storage(bytes_name), storage(io.BytesIO(b"abc"), "a.txt", "field", "text/PLAIN; charset=latin-1", 3),
                storage(io.BytesIO(b""), filename="x", content_length=5), storage(headers=w.datastructures.Headers({"Content-Length": "many", "Content-Type": "a/b"})),
            ]  # fmt: skip
            return [
                (
                    str(one.filename).replace(str(tmp_path), ""), one.name, one.content_type, one.content_length, one.mimetype, one.mimetype_params, bool(one),
                    repr(one).replace(str(tmp_path), ""), list(one.headers),
                )
                for one in made
            ]  # fmt: skip

    same(call)


def test_an_upload_is_saved_and_read_alike(tmp_path: Path) -> None:
    def call(w: Names) -> Any:
        def fresh() -> Any:
            return w.datastructures.FileStorage(io.BytesIO(b"line one\nline two"), "a.txt")

        class Stubborn(io.BytesIO):
            def close(self) -> None:
                raise OSError("not now")

        buffer = io.BytesIO()
        fresh().save(buffer)
        fresh().save(tmp_path / "saved")
        fresh().save(str(tmp_path / "saved as"), buffer_size=2)
        spooled = tempfile.SpooledTemporaryFile()  # noqa: SIM115 - the storage owns it
        spooled.write(b"spooled")
        held = w.datastructures.FileStorage(spooled)
        seen = [
            buffer.getvalue(), (tmp_path / "saved").read_bytes(), (tmp_path / "saved as").read_bytes(), list(fresh()), fresh().read(4), fresh().readline(),
            error_of(lambda: fresh().nothing), w.datastructures.FileStorage(Stubborn()).close(), held.seekable(), held.readable(), held.seek(0), held.read(),
            error_of(lambda: held.nothing)[0],
        ]  # fmt: skip
        held.close()
        return seen

    same(call)


def test_files_are_added_alike(tmp_path: Path) -> None:
    (tmp_path / "picture.png").write_bytes(b"png")

    def call(w: Names) -> Any:
        files = w.datastructures.FileMultiDict()
        files.add_file("a", str(tmp_path / "picture.png"))
        files.add_file("a", io.BytesIO(b"x"), "notes.txt")
        files.add_file("b", io.BytesIO(b"x"), "odd.unknownsuffix")
        files.add_file("b", w.datastructures.FileStorage(io.BytesIO(b"y"), "own"))
        files.add_file("c", io.BytesIO(b"x"))
        found = [
            (key, str(one.filename).replace(str(tmp_path), ""), one.content_type, one.name, one.read())
            for key, one in files.items(multi=True)
        ]
        for _, one in files.items(multi=True):
            one.close()
        return found

    same(call)
