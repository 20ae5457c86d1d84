"""Writes the table of extensions in the documentation from results: matrix.py EXTENSIONS.xml SUITES.json PAGE.md

The first is pytest's JUnit file of `tests/python/extensions`, the second what `suites.py` wrote; a file that does not
exist leaves its columns empty. Only what stands between the two marks of the page is replaced.
"""

from __future__ import annotations

import json
import re
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

from areas import put

BEGIN, END = "<!-- results: make matrix -->", "<!-- end of results -->"
#: Test, and the distribution that it is about.
TESTS = {
    "flask_caching_with_redis": "flask-caching",
    "flask_cors": "flask-cors",
    "flask_jwt_extended": "flask-jwt-extended",
    "flask_limiter_with_redis": "flask-limiter",
    "flask_login": "flask-login",
    "flask_migrate": "flask-migrate",
    "flask_session_with_redis": "flask-session",
    "flask_sqlalchemy_on_postgresql": "flask-sqlalchemy",
    "flask_sqlalchemy_on_sqlite": "flask-sqlalchemy",
    "flask_wtf": "flask-wtf",
}
ORDERS = ("bustapi", "extension")


def main(tests: Path, suites: Path, page: Path) -> int:
    outcomes, versions = read_tests(tests) if tests.exists() else ({}, {})
    scores = json.loads(suites.read_text()) if suites.exists() else {}
    lines = [
        "| Extension | Version | Same as Flask, BustAPI first | Same as Flask, extension first"
        " | Own suite, no Flask installed | Own suite, BustAPI first | Own suite, extension first |",
        "|---|---|---|---|---|---|---|",
    ]
    for name in sorted(set(TESTS.values())):
        cells = [outcome(outcomes, name, order) for order in ORDERS]
        own = [score(scores.get(name, {}).get(mode)) for mode in ("alias", "bridge", "takeover")]
        lines.append(f"| {name} | {versions.get(name, '')} | {' | '.join([*cells, *own])} |")
    return put(page, BEGIN, END, lines)


def read_tests(path: Path) -> tuple[dict[tuple[str, str], str], dict[str, str]]:
    root = ElementTree.parse(path).getroot()
    outcomes = {}
    for case in root.iter("testcase"):
        found = re.fullmatch(r"test_(\w+)\[(\w+)\]", case.get("name", ""))
        if found is None:
            continue
        kinds = {child.tag for child in case}
        result = "failed" if kinds & {"failure", "error"} else "not run" if "skipped" in kinds else "same"
        outcomes[found[1], found[2]] = result
    versions = {item.get("name", ""): item.get("value", "") for item in root.iter("property")}
    return outcomes, versions


def outcome(outcomes: dict[tuple[str, str], str], name: str, order: str) -> str:
    found = {
        outcomes.get((test, order), "not run") for test, distribution in TESTS.items() if distribution == name
    }
    # The worst of several counts.
    return next(result for result in ("failed", "not run", "same") if result in found)


def score(value: dict[str, int] | None) -> str:
    return "" if value is None else f"{value['passed']} of {value['of']}"


if __name__ == "__main__":
    sys.exit(main(*map(Path, sys.argv[1:])))
