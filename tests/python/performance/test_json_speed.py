"""The JSON bridge beside orjson and the stdlib, on what JSON APIs send. Measures; asserts only that all agree.

Run: ``taskset -c 1 pytest tests/python/performance/test_json_speed.py --benchmark-columns=median,iqr,ops``
"""

from __future__ import annotations

import json
from typing import Any, Callable

import pytest

from bustapi import _core

orjson = pytest.importorskip("orjson")
pytest.importorskip("pytest_benchmark")

SMALL = {"message": "hello"}
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
VALUES = {"small": SMALL, "nested_1k": NESTED}


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
    assert text == stdlib_dumps(VALUES[shape])


@pytest.mark.parametrize("name", list(LOADS))
@pytest.mark.parametrize("shape", list(VALUES))
def test_load(benchmark: Any, shape: str, name: str) -> None:
    benchmark.group = f"load {shape}"
    document = stdlib_dumps(VALUES[shape])
    call: Callable[[Any], Any] = LOADS[name]
    value = benchmark(call, document)
    assert value == VALUES[shape]
