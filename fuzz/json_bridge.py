"""Fuzzes the JSON bridge against the stdlib's json: coverage-guided documents, and values drawn by hypothesis.

Run: ``python fuzz/json_bridge.py [load|dump] [-max_total_time=300 ...]``; other arguments go to libFuzzer. Needs
``pip install atheris hypothesis`` and an installed bustapi.
"""

from __future__ import annotations

import json
import sys
from typing import Any, Callable

import atheris
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

with atheris.instrument_imports(include=["json"]):
    import json.decoder
    import json.encoder
    import json.scanner

from bustapi import _core


def outcome(call: Callable[[], Any]) -> tuple[str, Any]:
    """The value a call gives, or its exception, comparable."""
    try:
        return "value", call()
    except RecursionError:
        # Where exactly it starts depends on the depth of the caller.
        return "RecursionError", None
    except Exception as error:
        return type(error).__name__, str(error)


def fuzz_load(data: bytes) -> None:
    """A document reads as the stdlib reads it; what was read is written as the stdlib writes it."""
    expected = outcome(lambda: json.loads(data))
    actual = outcome(lambda: _core.json_loads(data))
    if repr(expected) != repr(actual):
        raise AssertionError(f"load {data!r}: {actual!r}, not {expected!r}")
    if expected[0] == "value":
        compare_dumps(expected[1])


def compare_dumps(value: Any) -> None:
    for options in ({"separators": (",", ":")}, {"indent": 2}, {"sort_keys": False}):
        arguments = {"sort_keys": True, **options}
        expected = outcome(lambda: json.dumps(value, **arguments).encode())
        actual = outcome(lambda: _core.json_dumps(value, **arguments))
        if expected != actual:
            raise AssertionError(f"dump {value!r} {options}: {actual!r}, not {expected!r}")


TEXTS = st.text(st.characters(exclude_categories=()))
LEAVES = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), TEXTS, st.just(object()))
VALUES = st.recursive(
    LEAVES,
    lambda children: st.one_of(
        st.lists(children),
        st.tuples(children, children),
        st.dictionaries(TEXTS, children),
        st.dictionaries(st.one_of(TEXTS, st.integers(), st.floats(), st.none()), children),
    ),
)


@settings(database=None, deadline=None, suppress_health_check=list(HealthCheck))
@given(VALUES)
def fuzz_dump(value: Any) -> None:
    """A value is written as the stdlib writes it."""
    compare_dumps(value)


def main() -> None:
    targets: dict[str, Callable[[bytes], Any]] = {
        "load": fuzz_load,
        "dump": fuzz_dump.hypothesis.fuzz_one_input,  # type: ignore[attr-defined]
    }
    arguments = sys.argv[:]
    name = arguments.pop(1) if len(arguments) > 1 and arguments[1] in targets else "load"
    atheris.Setup(arguments, targets[name])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
