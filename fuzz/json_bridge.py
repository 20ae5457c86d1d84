"""Fuzzes the JSON bridge against the stdlib's json: values and documents drawn by hypothesis, and coverage-guided
documents where atheris is installed.

Run: ``python fuzz/json_bridge.py [seconds]``; its parts share that time (20 without). Exits with 1 at a difference.
`make fuzz` does. Needs ``pip install hypothesis`` and an installed bustapi; with Flask, also dates and the like are compared.
"""

from __future__ import annotations

import datetime
import importlib.util
import json
import random
import subprocess
import sys
import time
from typing import Any, Callable

from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from bustapi import _core

try:
    from flask.json.provider import _default as flask_default
except ImportError:
    flask_default = None


def outcome(call: Callable[..., Any], *args: Any, **kwargs: Any) -> tuple[str, Any]:
    """The value a call gives, or its exception, comparable."""
    try:
        return "value", call(*args, **kwargs)
    except RecursionError:
        # Where exactly it starts depends on the depth of the caller.
        return "RecursionError", None
    except Exception as error:
        return type(error).__name__, str(error)


def stdlib_dumps(value: Any, **arguments: Any) -> bytes:
    return json.dumps(value, default=flask_default, **arguments).encode()


def compare_loads(data: bytes) -> None:
    """A document reads as the stdlib reads it; what was read is written as the stdlib writes it."""
    expected = outcome(json.loads, data)
    actual = outcome(_core.json_loads, data)
    # repr tells 1 from 1.0 and True, and 0.0 from -0.0; it is equal for NaN.
    if repr(expected) != repr(actual):
        raise AssertionError(f"load {data!r}: {actual!r}, not {expected!r}")
    if expected[0] == "value":
        compare_dumps(expected[1])


def compare_dumps(value: Any) -> None:
    """A value is written as the stdlib writes it."""
    for options in ({"separators": (",", ":")}, {"indent": 2}, {"sort_keys": False}):
        arguments: dict[str, Any] = {"sort_keys": True, **options}
        expected = outcome(stdlib_dumps, value, **arguments)
        actual = outcome(_core.json_dumps, value, **arguments)
        if expected != actual:
            raise AssertionError(f"dump {value!r} {options}: {actual!r}, not {expected!r}")


CHARACTERS = st.characters(exclude_categories=())  # lone surrogates included
TEXTS = st.one_of(
    st.text(CHARACTERS, max_size=60),
    st.text(st.characters(max_codepoint=0x7F), max_size=200),
    st.text(st.sampled_from('ab"\\\x00\x1f\x7f\x80\xff\n'), max_size=80),
)
LEAVES = [st.none(), st.booleans(), st.integers(), st.integers(-(2**70), 2**70), st.floats(), TEXTS, st.just(object())]
if flask_default is not None:
    LEAVES += [st.dates(), st.datetimes(), st.datetimes(timezones=st.just(datetime.timezone.utc)), st.decimals(), st.uuids()]
KEYS = st.one_of(TEXTS, st.integers(), st.floats(), st.none(), st.booleans())
VALUES = st.recursive(
    st.one_of(LEAVES),
    lambda children: st.one_of(
        st.lists(children),
        st.tuples(children, children),
        st.dictionaries(TEXTS, children, max_size=40),
        st.dictionaries(KEYS, children, max_size=6),
    ),
)
TOKENS = st.sampled_from(
    '{ } [ ] , : " \\ \\u \\ud83d \\ude00 0 1 - . e E+ 12345678 1.5 true false null NaN Infinity "a" "a": é 😀'.split()
    + [" ", "\n", "\ufeff", "\x00", "\x1f", "\\n", '""', "[[[[", '{"":']
)
DOCUMENTS = st.one_of(
    st.lists(TOKENS, max_size=20).map(lambda tokens: "".join(tokens).encode()),
    st.binary(max_size=40),
    VALUES.map(lambda value: json.dumps(value, default=str, skipkeys=True).encode()),
    VALUES.map(lambda value: json.dumps(value, default=str, skipkeys=True, ensure_ascii=False).encode("utf-8", "replace")),
    st.from_regex(rb"\[-?[0-9]{0,25}(\.[0-9]{0,25})?([eE][-+]?[0-9]{0,4})?\]", fullmatch=True),
)


def damage(document: bytes, at: int, byte: int) -> bytes:
    """The document with one byte changed."""
    at %= len(document) + 1
    return document[:at] + bytes([byte]) + document[at + 1 :]


def rounds(check: Any, seconds: float) -> int:
    """Runs a property with new seeds until the time is over; the number of examples."""
    count = 0
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        seed(random.getrandbits(64))(check)()
        count += 200
    return count


PROFILE = settings(
    max_examples=200, database=None, deadline=None, suppress_health_check=list(HealthCheck), print_blob=True
)


@PROFILE
@given(VALUES)
def fuzz_dump(value: Any) -> None:
    compare_dumps(value)


@PROFILE
@given(DOCUMENTS, st.integers(0, 4000), st.integers(0, 255))
def fuzz_load(document: bytes, at: int, byte: int) -> None:
    compare_loads(document)
    compare_loads(damage(document, at, byte))


def guided(arguments: list[str]) -> None:
    """The coverage-guided part, in a process of its own: libFuzzer ends it."""
    import atheris

    for name in [name for name in sys.modules if name.partition(".")[0] == "json"]:
        del sys.modules[name]
    with atheris.instrument_imports(include=["json"]):
        import json.decoder
        import json.scanner
    # The coverage is that of the parser in Python; the answers compared are those of the one in C.
    decoder = json.decoder.JSONDecoder()
    decoder.parse_string = json.decoder.py_scanstring
    decoder.scan_once = json.scanner.py_make_scanner(decoder)

    def target(data: bytes) -> None:
        outcome(lambda: decoder.decode(data.decode("utf-8", "surrogatepass")))
        compare_loads(data)

    atheris.Setup([sys.argv[0], *arguments], target)
    atheris.Fuzz()


def main() -> int:
    if sys.argv[1:2] == ["--guided"]:
        guided(sys.argv[2:])
        return 0
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 20.0
    has_atheris = importlib.util.find_spec("atheris") is not None
    share = seconds / (3 if has_atheris else 2)
    for name, check in (("dump", fuzz_dump), ("load", fuzz_load)):
        print(f"json_bridge {name}: {rounds(check, share)} examples, no difference", flush=True)
    if not has_atheris:
        print("json_bridge guided: skipped, atheris is not installed (extra 'fuzz')")
        return 0
    command = [sys.executable, __file__, "--guided", f"-max_total_time={max(1, int(share))}", "-timeout=10", "-verbosity=0"]
    status = subprocess.run(command, check=False).returncode
    print(f"json_bridge guided: {'no difference' if status == 0 else f'ended with {status}'}")
    return int(status != 0)


if __name__ == "__main__":
    sys.exit(main())
