"""The data structures hold, show and refuse what Werkzeug's do."""

from __future__ import annotations

import copy
import pickle
from datetime import datetime, timezone
from typing import Any, Callable

import pytest

from .werkzeug_pair import Names, assert_same

PAIRS = [("a", "1"), ("B", "2"), ("a", "3"), ("c", "")]

# Each is done to a fresh object; its result and the object after it are compared.
HEADERS: dict[str, Callable[[Any], Any]] = {
    "get": lambda h: (h.get("A"), h.get("x"), h.get("x", 5), h.get("a", type=int), h.get("c", 7, type=int)),
    "getitem": lambda h: (h["A"], h[0], h[1:3]),
    "missing": lambda h: h["x"],
    "far": lambda h: h[99],
    "getlist": lambda h: (h.getlist("A"), h.getlist("x"), h.getlist("a", type=int), h.get_all("a")),
    "contains": lambda h: ("A" in h, "x" in h, len(h), list(h)),
    "iterate": lambda h: (list(h.keys()), list(h.values()), list(h.items()), list(h.keys(lower=True))),
    "add": lambda h: h.add("New", "x", filename="a b", q=None),
    "add number": lambda h: h.add("N", 5),
    "add underscore": lambda h: h.add("N", "v", max_age=5),
    "add newline": lambda h: h.add("N", "a\r\nb"),
    "set": lambda h: h.set("A", "9"),
    "set option": lambda h: h.set("A", "9", x="y"),
    "setitem": lambda h: h.__setitem__("a", "9"),
    "setitem index": lambda h: h.__setitem__(0, ("z", "9")),
    "setitem slice": lambda h: h.__setitem__(slice(0, 2), [("z", 9)]),
    "setitem newline": lambda h: h.__setitem__("a", "9\n"),
    "setlist": lambda h: h.setlist("a", ["7", "8"]),
    "setlist empty": lambda h: h.setlist("a", []),
    "setdefault": lambda h: (h.setdefault("a", "0"), h.setdefault("n", "0")),
    "setlistdefault": lambda h: (h.setlistdefault("a", ["0"]), h.setlistdefault("n", ["0", "1"])),
    "extend": lambda h: h.extend({"x": ["1", "2"], "y": "3"}, z="4"),
    "update": lambda h: h.update({"a": ["7", "8"], "y": "3"}, z="4"),
    "update pairs": lambda h: h.update([("a", "7"), ("a", "8")]),
    "delete": lambda h: h.__delitem__("A"),
    "delete index": lambda h: h.__delitem__(0),
    "delete missing": lambda h: h.__delitem__("x"),
    "remove": lambda h: h.remove("a"),
    "pop": lambda h: (h.pop("a"), h.pop("x", None), h.pop(), h.pop(0)),
    "pop missing": lambda h: h.pop("x"),
    "popitem": lambda h: h.popitem(),
    "clear": lambda h: h.clear(),
    "or": lambda h: (h | {"a": "5"}, list(h)),
    "ior": lambda h: h.__ior__({"a": "5"}),
    "or list": lambda h: h | [("a", "5")],
    "copy": lambda h: (copy.copy(h), h.copy() == h),
    "text": lambda h: (str(h), repr(h), h.to_wsgi_list()),
    "hash": lambda h: hash(h),
}


@pytest.mark.parametrize("name", HEADERS)
def test_headers_do_alike(name: str) -> None:
    def do(names: Names) -> Any:
        headers = names.datastructures.Headers(PAIRS)
        try:
            result = HEADERS[name](headers)
        except Exception as error:
            result = type(error).__name__
        return result, list(headers)

    assert_same(do)


MULTI: dict[str, Callable[[Any], Any]] = {
    "get": lambda d: (d.get("a"), d.get("x"), d.get("a", type=int), d.get("c", 7, type=int)),
    "getitem": lambda d: (d["a"], d["c"]),
    "missing": lambda d: d["x"],
    "getlist": lambda d: (d.getlist("a"), d.getlist("x"), d.getlist("a", type=int)),
    "iterate": lambda d: (
        list(d),
        list(d.keys()),
        list(d.values()),
        list(d.items()),
        list(d.items(multi=True)),
    ),
    "lists": lambda d: (list(d.lists()), list(d.listvalues())),
    "to_dict": lambda d: (d.to_dict(), d.to_dict(flat=False)),
    "add": lambda d: d.add("a", "9"),
    "setitem": lambda d: d.__setitem__("a", "9"),
    "setlist": lambda d: d.setlist("a", ["7"]),
    "setlist empty": lambda d: (d.setlist("a", []), d.getlist("a"), d.get("a", "default")),
    "setdefault": lambda d: (d.setdefault("a", "0"), d.setdefault("n", "0")),
    "setlistdefault": lambda d: (d.setlistdefault("a", ["0"]), d.setlistdefault("n", ["0"])),
    "update": lambda d: d.update({"a": ["7", "8"], "y": "3"}),
    "update pairs": lambda d: d.update([("a", "7")]),
    "pop": lambda d: (d.pop("a"), d.pop("x", None)),
    "pop missing": lambda d: d.pop("x"),
    "poplist": lambda d: (d.poplist("a"), d.poplist("x")),
    "popitem": lambda d: d.popitem(),
    "popitemlist": lambda d: d.popitemlist(),
    "delete": lambda d: d.__delitem__("a"),
    "delete missing": lambda d: d.__delitem__("x"),
    "clear": lambda d: d.clear(),
    "or": lambda d: d | {"a": "5"},
    "ior": lambda d: d.__ior__({"a": ["5"]}),
    "copies": lambda d: (copy.copy(d), copy.deepcopy(d), d.copy(), d.deepcopy()),
    "pickle": lambda d: pickle.loads(pickle.dumps(d)),
    "equal": lambda d: (d == d.copy(), d == {"a": ["1", "3"], "B": ["2"], "c": [""]}, d == dict(d)),
    "fromkeys": lambda d: type(d).fromkeys(["p", "q"], "v"),
    "repr": repr,
    "hash": lambda d: isinstance(hash(d), int),
}


@pytest.mark.parametrize("kind", ["MultiDict", "ImmutableMultiDict", "CombinedMultiDict", "FileMultiDict"])
@pytest.mark.parametrize("name", MULTI)
def test_multi_dicts_do_alike(kind: str, name: str) -> None:
    def do(names: Names) -> Any:
        ds = names.datastructures
        if kind == "CombinedMultiDict":
            made = ds.CombinedMultiDict([ds.MultiDict(PAIRS[:2]), ds.MultiDict(PAIRS[2:])])
        else:
            made = getattr(ds, kind)(PAIRS)
        try:
            result = MULTI[name](made)
        except Exception as error:
            result = type(error).__name__
        # A combination has its keys in no particular order.
        return (
            name if kind == "CombinedMultiDict" and name in ("iterate", "lists") else result
        ), made.to_dict(False)

    assert_same(do)


ACCEPTS = {
    "MIMEAccept": (
        "text/html;level=1, text/html;q=0.7, text/*;q=0.3, application/json, */*;q=0.1",
        ["text/html", "text/html;level=1", "text/plain", "application/json", "image/png", "x", "*/*"],
    ),
    "LanguageAccept": (
        "de-AT, de;q=0.8, en_GB;q=0.5, *;q=0.1",
        ["de", "de-AT", "en", "en-US", "fr", "DE_at"],
    ),
    "CharsetAccept": ("utf-8, iso-8859-1;q=0.5, bad;q=0", ["utf8", "latin1", "ascii", "bad", "nonsense"]),
    "Accept": ("gzip, br;q=0.5, *;q=0", ["gzip", "BR", "deflate", "*"]),
}


@pytest.mark.parametrize("kind", ACCEPTS)
def test_preferences_are_weighed_alike(kind: str) -> None:
    header, offers = ACCEPTS[kind]

    def weigh(names: Names) -> Any:
        accept = names.http.parse_accept_header(header, getattr(names.datastructures, kind))
        found = [
            (accept.quality(offer), offer in accept, accept[offer], accept.find(offer)) for offer in offers
        ]
        best = [accept.best_match(offers[start:], "none") for start in range(len(offers) + 1)]
        return list(accept), found, best, accept.best, accept.to_header(), str(accept), list(accept.values())

    assert_same(weigh)


@pytest.mark.parametrize(
    "header",
    [
        *(
            "Basic dXNlcjpwYTpzcw==",
            "Basic x",
            "basic",
            "",
            "Bearer a.b=",
            'Digest username="u", realm=r, nc=1',
        ),
        *("Custom a=1, b", "Token token", "Basic dXNlcg==", "Bearer"),
    ],
)
@pytest.mark.parametrize("kind", ["Authorization", "WWWAuthenticate"])
def test_credentials_and_challenges_are_read_alike(kind: str, header: str) -> None:
    def read(names: Names) -> Any:
        made = getattr(names.datastructures, kind).from_header(header)
        if made is None:
            return None
        given = [
            made.type,
            made.parameters,
            made.token,
            made.to_header(),
            made.get("realm"),
            made.username if kind == "Authorization" else made.realm,
        ]
        return given, made == getattr(names.datastructures, kind).from_header(header)

    assert_same(read)


def test_sets_of_tokens_do_alike() -> None:
    def do(names: Names) -> Any:
        seen: list[str] = []
        tokens = names.datastructures.HeaderSet(
            ["a", "B", "c"], on_update=lambda s: seen.append(s.to_header())
        )
        tokens.add("A")
        tokens.update(["d", "D"])
        tokens.discard("x")
        tokens.remove("b")
        tokens[0] = "z"
        del tokens[1]
        found = (
            tokens.find("D"),
            tokens.find("x"),
            tokens.index("z"),
            "Z" in tokens,
            list(tokens),
            tokens.as_set(),
        )
        try:
            tokens.remove("missing")
        except KeyError:
            seen.append("refused")
        tokens.clear()
        return found, seen, bool(tokens), repr(tokens)

    assert_same(do)


@pytest.mark.parametrize("length", [None, 0, 1, 10])
@pytest.mark.parametrize(
    "header", ["bytes=0-4", "bytes=5-", "bytes=-3", "bytes=0-0,2-3", "bytes=20-30", "items=0-1"]
)
def test_ranges_are_resolved_alike(header: str, length: int | None) -> None:
    def resolve(names: Names) -> Any:
        asked = names.http.parse_range_header(header)
        if asked is None:
            return None
        return (
            asked.range_for_length(length),
            asked.to_header(),
            asked.to_content_range_header(length),
            repr(asked),
        )

    assert_same(resolve)


def test_cache_control_does_alike() -> None:
    def do(names: Names) -> Any:
        made = names.datastructures.ResponseCacheControl()
        for name, value in [
            *(("max_age", 5), ("public", True), ("private", "x"), ("no_cache", True), ("s_maxage", "7")),
            *(
                ("must_revalidate", False),
                ("immutable", True),
                ("stale_while_revalidate", 3),
                ("no_store", None),
            ),
        ]:
            setattr(made, name, value)
        first = made.to_header(), made.max_age, made.private, made.no_cache, made.must_revalidate, repr(made)
        del made.public
        made.no_cache = None
        return first, made.to_header(), dict(made)

    assert_same(do)


def test_tags_do_alike() -> None:
    def do(names: Names) -> Any:
        tags = names.http.parse_etags('"a", W/"b"')
        every = names.http.parse_etags("*")
        return (
            [(tags.is_strong(t), tags.is_weak(t), t in tags, tags.contains_weak(t)) for t in "abc"],
            tags.contains_raw('W/"b"'),
            tags.contains_raw('"b"'),
            "x" in every,
            bool(tags),
            every.to_header(),
            sorted(tags.as_set(include_weak=True)),
        )

    assert_same(do)


def test_if_range_is_written_alike() -> None:
    moment = datetime(2024, 2, 29, tzinfo=timezone.utc)

    def write(names: Names) -> Any:
        kind = names.datastructures.IfRange
        return kind("tag").to_header(), kind(date=moment).to_header(), kind().to_header(), repr(kind("x"))

    assert_same(write)


@pytest.mark.parametrize("kind", ["ImmutableList", "ImmutableDict", "ImmutableTypeConversionDict"])
def test_immutable_things_refuse_alike(kind: str) -> None:
    def do(names: Names) -> Any:
        made = getattr(names.datastructures, kind)({"a": 1} if "Dict" in kind else [1])
        results: list[Any] = [repr(made), isinstance(hash(made), int), copy.copy(made) is made]
        for name in ("append", "pop", "update", "setdefault", "sort", "insert", "popitem", "extend"):
            if hasattr(made, name):
                try:
                    getattr(made, name)()
                except TypeError as error:
                    results.append((name, str(error) if "argument" not in str(error) else "refused"))
        return results[:3], [name for name, _ in results[3:]], pickle.loads(pickle.dumps(made)) == made

    assert_same(do)
