"""The JSON bridge beside orjson and the stdlib, on what JSON APIs send. Measures; asserts only that all agree.

Run: ``taskset -c 1 pytest tests/python/performance/test_json_speed.py --benchmark-columns=median,iqr,ops``
"""

from __future__ import annotations

import json
import math
from typing import Any, Callable

import pytest

from bustapi import _core

orjson = pytest.importorskip("orjson")
pytest.importorskip("pytest_benchmark")

NESTED = {
    "id": 184467,
    "name": "Ada Example",
    "email": "ada@example.org",
    "active": True,
    "balance": 1523.75,
    "tags": ["alpha", "beta", "gamma", "delta"],
    "address": {"street": "1 Main Street", "city": "Springfield", "zip": "12345", "country": "NL"},
    "orders": [
        {
            "id": number,
            "sku": f"SKU-{number:05d}",
            "quantity": number % 5 + 1,
            "price": 9.99 + number,
            "shipped": number % 2 == 0,
            "note": None,
            "comment": "left at the front door, as agreed",
        }
        for number in range(6)
    ],
}
VALUES: dict[str, Any] = {
    "hello": {"message": "Hello, World!"},
    "nested_1k": NESTED,
    "list_of_100_dicts": [{"id": n, "name": f"item {n}", "done": n % 3 == 0} for n in range(100)],
    # Full precision, round prices, and the ends of the exponent's range.
    "floats": [math.sin(n) * 1000 for n in range(64)] + [n / 100 for n in range(64)] + [1e300, 5e-324, 1e16],
    "long_ascii": ["The quick brown fox jumps over the lazy dog. " * 40] * 4,
    "escaped_ascii": ['say "hello" to \\\n every \t line of the file\r\n' * 20] * 4,
    "non_ascii": [chr(0xE9) + "t" + chr(0xE9) + " \u65e5\u672c\u8a9e \U0001f600 text" for _ in range(40)],
}


def stdlib_dumps(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def orjson_dumps(value: Any) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def bridge_dumps(value: Any) -> bytes:
    return _core.json_dumps(value, separators=(",", ":"))


DUMPS = {"bridge": bridge_dumps, "orjson": orjson_dumps, "stdlib": stdlib_dumps}
LOADS = {"bridge": _core.json_loads, "orjson": orjson.loads, "stdlib": json.loads}


@pytest.mark.parametrize("name", list(DUMPS))
@pytest.mark.parametrize("shape", list(VALUES))
def test_dump(benchmark: Any, shape: str, name: str) -> None:
    benchmark.group = f"dump {shape}"
    call: Callable[[Any], bytes] = DUMPS[name]
    text = benchmark(call, VALUES[shape])
    # As values: orjson does not escape what is beyond ASCII.
    assert json.loads(text) == VALUES[shape]


@pytest.mark.parametrize("name", list(LOADS))
@pytest.mark.parametrize("shape", list(VALUES))
def test_load(benchmark: Any, shape: str, name: str) -> None:
    benchmark.group = f"load {shape}"
    document = stdlib_dumps(VALUES[shape])
    call: Callable[[Any], Any] = LOADS[name]
    value = benchmark(call, document)
    assert value == VALUES[shape]
