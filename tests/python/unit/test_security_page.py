"""The tables of docs/security.md, the settings and the core's configuration say the same."""

from __future__ import annotations

import ast
import re
from dataclasses import fields
from pathlib import Path

import pytest

from bustapi import BustAPI
from bustapi.serve import Settings

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "security.md"
CONFIG = ROOT / "src" / "config.rs"

pytestmark = pytest.mark.skipif(not PAGE.exists() or not CONFIG.exists(), reason="not in a checkout")

#: What bounds nothing that a client could exhaust.
OTHERS = {"host", "port", "threads", "workers", "pool_threads", "switch_interval", "busy_poll", "loop"}


def rows() -> dict[str, str]:
    return dict(re.findall(r"^\| `(\w+)` \| (\S+) \|", PAGE.read_text(), re.MULTILINE))


def defaults() -> dict[str, object]:
    settings = Settings()
    return {item.name: getattr(settings, item.name) for item in fields(Settings)}


def bounds_of_the_core() -> dict[str, object]:
    numbers = {item.name for item in fields(Settings) if item.metadata["kind"] in ("int", "float")}
    return {name: defaults()[name] for name in Settings().for_core() if name in numbers - OTHERS}


def test_the_page_gives_every_limit_and_deadline_with_its_default() -> None:
    told = {name: value for name, value in rows().items() if name.islower()}
    bounds = {name: value for name, value in defaults().items() if name in told}
    assert told == {name: "none" if value is None else str(value) for name, value in bounds.items()}


def test_no_limit_of_the_core_is_missing_from_the_page() -> None:
    assert bounds_of_the_core().keys() | {"backlog", "pool_queue", "grace"} <= rows().keys()
    assert not OTHERS & rows().keys()


def test_the_page_gives_the_limits_of_forms() -> None:
    told = {name: value for name, value in rows().items() if name.isupper()}
    config = BustAPI("bare").config
    assert len(told) == 3
    assert told == {name: "none" if config[name] is None else str(config[name]) for name in told}


def test_the_core_has_the_same_defaults() -> None:
    body = CONFIG.read_text().partition("fn default() -> Self")[2].partition("\n    }\n")[0]
    lines = dict(re.findall(r"^ +(\w+): (.+),$", body, re.MULTILINE))
    for name, default in bounds_of_the_core().items():
        text = lines[name]
        if text.endswith("::MAX"):
            assert default is None, name
            continue
        seconds = re.fullmatch(r"Duration::from_secs\((.+)\)", text)
        assert value_of(seconds.group(1) if seconds else text) == default, name


def value_of(text: str) -> int:
    """A product of whole numbers."""
    result = 1
    for factor in text.split("*"):
        result *= ast.literal_eval(factor.strip())
    return result
