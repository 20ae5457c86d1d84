"""The JSON bridge alone: values that are easy to get wrong, errors, and safety under hostile callbacks."""

from __future__ import annotations

import collections
import dataclasses
import datetime
import decimal
import enum
import gc
import json
import sys
import threading
import tracemalloc
import uuid
from typing import Any

import pytest

from bustapi import _core

COMPACT = (",", ":")


def dumps(value: Any, **options: Any) -> bytes:
    options.setdefault("separators", COMPACT)
    return _core.json_dumps(value, **options)


class Color(enum.IntEnum):
    RED = 1


class LoudInt(int):
    def __repr__(self) -> str:
        return "loud"

    __str__ = __repr__


class LoudFloat(float):
    def __repr__(self) -> str:
        return "loud"


class Text(str):
    pass


class OrderedItems(dict):  # type: ignore[type-arg]
    def items(self) -> Any:
        return [("b", 1), ("a", 2)]


class OwnIteration(list):  # type: ignore[type-arg]
    def __iter__(self) -> Any:
        return iter(["own"])


Point = collections.namedtuple("Point", "x y")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"b": 1, "a": 2}, b'{"a":2,"b":1}'),
        ({"": 0, "\0": 1, "a\0": 2, "a": 3}, rb'{"":0,"\u0000":1,"a":3,"a\u0000":2}'),
        ({"prefix-long-b": 1, "prefix-long-a": 2}, b'{"prefix-long-a":2,"prefix-long-b":1}'),
        (
            {"\U0001f600": 1, "\uffff": 2, "z": 3, "\xe9": 4},
            rb'{"z":3,"\u00e9":4,"\uffff":2,"\ud83d\ude00":1}',
        ),
        ({1: 1, True: 2, 0: 3}, b'{"0":3,"1":2}'),
        ({None: 1}, b'{"null":1}'),
        ({1.5: 1, 0.5: 2}, b'{"0.5":2,"1.5":1}'),
        ({False: 1, 2: 0}, b'{"false":1,"2":0}'),
        ('\x7f\x1f\x00"\\/\b\f\n\r\t', rb'"\u007f\u001f\u0000\"\\/\b\f\n\r\t"'),
        ("\ud800", rb'"\ud800"'),
        ("\U0010ffff", rb'"\udbff\udfff"'),
        (10**40, str(10**40).encode()),
        (-(2**63), b"-9223372036854775808"),
        (2**63, b"9223372036854775808"),
        (Color.RED, b"1"),
        ({Color.RED: Color.RED}, b'{"1":1}'),
        (LoudInt(5), b"5"),
        (LoudInt(2**70), str(2**70).encode()),
        (LoudFloat(1.5), b"1.5"),
        (Text("x"), b'"x"'),
        ({Text("b"): 1, "a": 2}, b'{"a":2,"b":1}'),
        (Point(1, [2]), b"[1,[2]]"),
        (OwnIteration([1, 2]), b'["own"]'),
        (collections.OrderedDict(b=1, a=2), b'{"a":2,"b":1}'),
        (OrderedItems(x=1), b'{"a":2,"b":1}'),
        (float("nan"), b"NaN"),
        (float("inf"), b"Infinity"),
        (-float("inf"), b"-Infinity"),
        (-0.0, b"-0.0"),
        (1e16, b"1e+16"),
        (1e-5, b"1e-05"),
        (0.0001, b"0.0001"),
        (123456789012345680.0, b"1.2345678901234568e+17"),
        (5e-324, b"5e-324"),
        (1.7976931348623157e308, b"1.7976931348623157e+308"),
        (9007199254740993.0, b"9007199254740992.0"),
        ([], b"[]"),
        ({}, b"{}"),
        ([[], {}, ()], b"[[],{},[]]"),
        ([True, False, None], b"[true,false,null]"),
    ],
)
def test_writes_what_the_stdlib_writes(value: Any, expected: bytes) -> None:
    assert json.dumps(value, sort_keys=True, separators=COMPACT).encode() == expected
    assert dumps(value) == expected


def test_options_follow_json_dumps() -> None:
    value = {"b": [1, {"c": []}], "a": "\xe9\x7f\U0001f600"}
    for options in (
        {},
        {"sort_keys": False},
        {"indent": 2},
        {"indent": 0},
        {"indent": -1},
        {"indent": True},
        {"indent": "\t"},
        {"indent": 3, "separators": (" , ", " = ")},
        {"separators": ("\u2028", "\xe9")},
        {"ensure_ascii": False},
        {"ensure_ascii": False, "indent": 1},
    ):
        expected = json.dumps(value, **{"sort_keys": True, **options}).encode()  # type: ignore[arg-type]
        assert _core.json_dumps(value, **options) == expected
        assert _core.json_dumps(value, newline=True, **options) == expected + b"\n"


def test_lone_surrogate_has_no_utf8() -> None:
    with pytest.raises(UnicodeEncodeError):
        dumps(["\ud800\u1234"], ensure_ascii=False)


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize(
    "value",
    [
        {"a": 1, 2: 3},
        {1: 1, None: 2},
        {(1, 2): 3},
        {datetime.date(2020, 1, 1): 3},
        {b"x": 1},
        object(),
        [1, {"a": {1, 2}}],
        b"bytes",
        int,
    ],
)
def test_type_errors_are_worded_as_the_stdlib_words_them(value: Any, indent: int | None) -> None:
    with pytest.raises(TypeError) as expected:
        json.dumps(value, sort_keys=True, indent=indent)
    with pytest.raises(TypeError) as actual:
        _core.json_dumps(value, indent=indent)
    assert str(actual.value) == str(expected.value)


def test_cycles_are_found_near_and_far() -> None:
    cyclic: list[Any] = []
    cyclic.append(cyclic)
    mapping: dict[str, Any] = {}
    mapping["self"] = [mapping]
    far: list[Any] = []
    inner = far
    for _ in range(200):
        inner.append([])
        inner = inner[0]
    inner.append(inner)
    for value in (cyclic, mapping, far):
        with pytest.raises(ValueError, match="^Circular reference detected$"):
            dumps(value)


def test_the_same_object_twice_is_no_cycle() -> None:
    shared = {"a": [1]}
    assert dumps([shared, shared, [shared]]) == b'[{"a":[1]},{"a":[1]},[{"a":[1]}]]'


def nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


def test_depth_within_the_limit_is_written() -> None:
    assert dumps(nested(500)) == b"[" * 501 + b"]" * 501
    assert _core.json_loads(b"[" * 500 + b"]" * 500) == json.loads("[" * 500 + "]" * 500)


def test_depth_beyond_the_limit_is_a_recursion_error() -> None:
    with pytest.raises(RecursionError):
        dumps(nested(200_000))
    for _ in range(20):
        with pytest.raises(RecursionError):
            _core.json_loads(b"[" * 200_000)
    # The levels were given back.
    assert dumps(nested(500)).startswith(b"[[")


def test_depth_on_a_small_thread_stack() -> None:
    outcome: list[Any] = []

    def run() -> None:
        try:
            dumps(nested(300_000))
        except RecursionError as error:
            outcome.append(error)

    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(1_000_000)
    previous = threading.stack_size(256 * 1024)
    try:
        thread = threading.Thread(target=run)
        thread.start()
        thread.join(60)
    finally:
        threading.stack_size(previous)
        sys.setrecursionlimit(limit)
    assert len(outcome) == 1


@pytest.mark.parametrize(
    "document",
    [
        "[" * 200_000,
        '{"a":' * 200_000,
        "[" * 5000 + "]" * 5000,
        '["\\"[{' + "[" * 5000,
        "\u65e5" + "[" * 200_000,
    ],
)
@pytest.mark.parametrize("encoding", [None, "utf-8", "utf-16", "utf-32-be"])
def test_a_deep_document_does_not_end_a_thread_of_a_small_stack(document: str, encoding: str | None) -> None:
    outcome: list[str] = []

    def run() -> None:
        try:
            _core.json_loads(document if encoding is None else document.encode(encoding))
            outcome.append("value")
        except (RecursionError, json.JSONDecodeError) as error:
            outcome.append(type(error).__name__)

    previous = threading.stack_size(512 * 1024)
    try:
        thread = threading.Thread(target=run)
        thread.start()
        thread.join(60)
    finally:
        threading.stack_size(previous)
    # Reached at all: a stack that overflows takes the process with it.
    assert outcome in (["RecursionError"], ["JSONDecodeError"], ["value"])


def test_brackets_within_strings_are_no_depth() -> None:
    document = json.dumps([{"k" + "[" * 3000: '\\"' + "{" * 3000}, float("nan")])
    for data in (document, document.encode(), document.encode("utf-16")):
        assert repr(_core.json_loads(data)) == repr(json.loads(document))


def test_default_that_wraps_for_ever_ends() -> None:
    class Endless:
        pass

    with pytest.raises(RecursionError):
        dumps(Endless(), default=lambda _: [Endless()])
    with pytest.raises(RecursionError):
        dumps(Endless(), default=lambda _: Endless())
    same = Endless()
    with pytest.raises(ValueError, match="Circular"):
        dumps(same, default=lambda o: o)


def test_default_is_called_in_the_order_of_the_text() -> None:
    seen: list[Any] = []

    class Item:
        def __init__(self, name: str) -> None:
            self.name = name

    def default(value: Any) -> Any:
        seen.append(value.name)
        return {"name": value.name}

    text = dumps({"b": Item("B"), "a": [Item("A")]}, default=default)
    assert text == b'{"a":[{"name":"A"}],"b":{"name":"B"}}'
    assert seen == ["A", "B"]


def test_an_exception_of_default_passes() -> None:
    def default(value: Any) -> Any:
        raise KeyError(value)

    with pytest.raises(KeyError):
        dumps([1, {2}], default=default)
    # The buffer of the failed call is not in the next one's answer.
    assert dumps([1]) == b"[1]"


def test_default_may_change_what_is_being_written() -> None:
    items: list[Any] = [object(), *range(5)]
    mapping: dict[str, Any] = {"a": object(), "b": "x" * 100, "c": [1]}

    def clear(value: Any) -> Any:
        items.clear()
        mapping.clear()
        gc.collect()
        return "gone"

    assert dumps(items, default=clear) == b'["gone"]'
    mapping.update({"a": object(), "b": "x" * 100, "c": [1]})
    assert dumps(mapping, default=clear) == b'{"a":"gone","b":"' + b"x" * 100 + b'","c":[1]}'

    growing: list[Any] = [object()]

    def grow(value: Any) -> Any:
        if len(growing) < 50:
            growing.append(object())
        return len(growing)

    assert json.loads(dumps(growing, default=grow)) == [*range(2, 51), 50]


def test_default_may_dump_itself() -> None:
    assert dumps([{1}], default=lambda o: dumps(sorted(o)).decode()) == b'["[1]"]'


@dataclasses.dataclass
class Inner:
    when: datetime.date


@dataclasses.dataclass
class Outer:
    inner: Inner
    ids: list[uuid.UUID]


class Html:
    def __html__(self) -> str:
        return "<b>"


def test_conversions_of_the_default_provider() -> None:
    number = uuid.UUID(int=5)
    zone = datetime.timezone(datetime.timedelta(hours=2))
    assert dumps(decimal.Decimal("1.10")) == b'"1.10"'
    assert dumps(number) == b'"00000000-0000-0000-0000-000000000005"'
    assert dumps(Html()) == b'"<b>"'
    assert dumps(datetime.date(1, 1, 1)) == b'"Mon, 01 Jan 0001 00:00:00 GMT"'
    assert dumps(datetime.datetime(2024, 2, 29, 23, 59, 58)) == b'"Thu, 29 Feb 2024 23:59:58 GMT"'
    assert dumps(datetime.datetime(2024, 3, 1, 1, 0, tzinfo=zone)) == b'"Thu, 29 Feb 2024 23:00:00 GMT"'
    text = dumps(Outer(Inner(datetime.date(2020, 5, 6)), [number]))
    assert text == (
        b'{"ids":["00000000-0000-0000-0000-000000000005"],"inner":{"when":"Wed, 06 May 2020 00:00:00 GMT"}}'
    )


@pytest.mark.parametrize(
    "document",
    [
        "",
        " ",
        "[",
        "[1,]",
        '{"a"}',
        '{"a":}',
        '{"a":1,}',
        "{1:2}",
        "[1] x",
        "01",
        "-",
        "-01",
        "1.",
        "1e",
        "1e+",
        ".5",
        "+1",
        "tru",
        "nul",
        "True",
        "'a'",
        '"a',
        '"\\x"',
        '"\\u12"',
        '"\\u12g4"',
        '"\t"',
        "\ufeff[]",
        "[\x0b1]",
        "\xa01",
        '"a\nb"',
        "[1 2]",
        '{"a":1 "b":2}',
        "]",
        "1" * 5000,
    ],
)
def test_malformed_documents_get_the_stdlibs_exception(document: str) -> None:
    with pytest.raises(ValueError) as expected:
        json.loads(document)
    for data in (document, document.encode()):
        if isinstance(data, bytes) and document.startswith("\ufeff"):
            assert _core.json_loads(data) == []
            continue
        with pytest.raises(ValueError) as actual:
            _core.json_loads(data)
        assert type(actual.value) is type(expected.value)
        assert str(actual.value) == str(expected.value)


@pytest.mark.parametrize(
    "document",
    [
        b"NaN",
        b"[Infinity, -Infinity]",
        b"-0",
        b"-0.0",
        b"1E400",
        b"-1e-400",
        b"123456789012345678",
        b"-9223372036854775808",
        b"9223372036854775808",
        b"18446744073709551616",
        b"1" * 300,
        b"0.1e1",
        b"123456789.123456789012345678901234567890",
        b"2.2250738585072011e-308",
        b"9007199254740993.0",
        rb'"\ud800"',
        rb'"\ud83d\ude00 \u00e9 \/ \" \\ \b\f\n\r\t"',
        rb'"\ud83dx"',
        rb'"\ud83d\u0041"',
        b'"\xed\xa0\x80"',
        '"é\U0001f600"'.encode(),
        b'"\x7f"',
        b"\xef\xbb\xbf[1]",
        "[1]".encode("utf-16"),
        '{"a": "é"}'.encode("utf-32-le"),
        b'{"a":1,"b":2,"a":3}',
        b' \t\r\n{ "a" : [ ] , "b" : { } } \n',
        rb'{"\u0061":1,"a":2}',
        b'{"":1}',
        b"[[],[[]],{},[{}]]",
    ],
)
def test_unusual_documents_read_as_the_stdlib_reads_them(document: bytes) -> None:
    expected = json.loads(document)
    for data in (document, bytearray(document), memoryview(document)):
        actual = _core.json_loads(data)
        assert repr(actual) == repr(expected)
        assert type(actual) is type(expected)


def test_invalid_utf8_is_the_stdlibs_error() -> None:
    with pytest.raises(UnicodeDecodeError):
        _core.json_loads(b'"\xff"')


def test_only_text_and_bytes_are_read() -> None:
    for data in (None, 1, ["x"]):
        with pytest.raises(TypeError, match="the JSON object must be str, bytes or bytearray, not "):
            _core.json_loads(data)


def test_many_different_keys_pass_through_the_key_cache() -> None:
    value = {f"key-{number}" * (number % 4 + 1): number for number in range(5000)}
    text = json.dumps(value)
    assert _core.json_loads(text) == value
    assert list(_core.json_loads(text)) == list(value)


def test_nothing_leaks() -> None:
    key, item = "a key that is not interned", "another value"
    shared = {key: [item, 1.5, 2**80, {"x": (item,)}], "b": datetime.date(2020, 1, 1)}
    cyclic: list[Any] = [item]
    cyclic.append(cyclic)
    document = dumps(shared)
    broken = document[:-1] + b",}"

    def step() -> None:
        dumps(shared)
        dumps(shared, indent=2)
        _core.json_loads(document)
        for call in (
            lambda: dumps(cyclic),
            lambda: dumps([item, {item: {1}}]),
            lambda: dumps({item: 1, 2: 3}),
            lambda: _core.json_loads(broken),
        ):
            with pytest.raises((TypeError, ValueError)):
                call()

    for _ in range(50):
        step()
    gc.collect()
    before = (sys.getrefcount(key), sys.getrefcount(item))
    tracemalloc.start()
    start = tracemalloc.get_traced_memory()[0]
    for _ in range(1000):
        step()
    gc.collect()
    grown = tracemalloc.get_traced_memory()[0] - start
    tracemalloc.stop()
    assert (sys.getrefcount(key), sys.getrefcount(item)) == before
    assert grown < 50_000


def test_threads_share_the_key_cache() -> None:
    document = json.dumps({f"field_{n}": [n, str(n)] for n in range(200)})
    expected = json.loads(document)
    results: list[bool] = []

    def run() -> None:
        results.append(all(_core.json_loads(document) == expected for _ in range(100)))

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert results == [True] * 4
