"""Writes the table of Flask's areas in the documentation from results: areas.py FLASK.json WERKZEUG.json PAGE.md

The reports are those of the tool that runs the published suites (see `dialects.py`). An area is a set of the suites'
test files, and every file that ran belongs to one: a file that is in none is an error, so that nothing is left out.
Only what stands between the two marks of the page is replaced.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path

BEGIN, END = "<!-- areas: .ci/dialects.py --page -->", "<!-- end of areas -->"
#: Area, and where its tests are: files and folders of the two suites.
AREAS: dict[str, tuple[str, ...]] = {
    "Application, hooks, responses": (
        "flask/tests/test_basic.py",
        "flask/tests/test_regression.py",
        "flask/tests/test_subclassing.py",
    ),
    "Blueprints": ("flask/tests/test_blueprints.py",),
    "Views": ("flask/tests/test_views.py",),
    "Async views": ("flask/tests/test_async.py",),
    "Error handlers, HTTP exceptions": (
        "flask/tests/test_user_error_handler.py",
        "werkzeug/tests/test_exceptions.py",
    ),
    "Contexts, globals": (
        "flask/tests/test_appctx.py",
        "flask/tests/test_reqctx.py",
        "werkzeug/tests/test_local.py",
    ),
    "Configuration, instance folders": (
        "flask/tests/test_config.py",
        "flask/tests/test_instance_config.py",
    ),
    "Routing, converters, URLs": (
        "flask/tests/test_converters.py",
        "werkzeug/tests/test_routing.py",
        "werkzeug/tests/test_urls.py",
    ),
    "Requests and responses": (
        "flask/tests/test_request.py",
        "werkzeug/tests/test_wrappers.py",
        "werkzeug/tests/sansio/test_request.py",
        "werkzeug/tests/sansio/test_utils.py",
        "werkzeug/tests/test_wsgi.py",
        "werkzeug/tests/test_internal.py",
    ),
    "Header fields, data structures": (
        "werkzeug/tests/test_http.py",
        "werkzeug/tests/test_datastructures.py",
    ),
    "Forms and uploads": (
        "werkzeug/tests/test_formparser.py",
        "werkzeug/tests/sansio/test_multipart.py",
    ),
    "Sessions": ("flask/tests/test_session_interface.py", "flask/tests/test_json_tag.py"),
    "JSON": ("flask/tests/test_json.py",),
    "Templates": ("flask/tests/test_templating.py",),
    "Signals": ("flask/tests/test_signals.py",),
    "Logging": ("flask/tests/test_logging.py",),
    "Files, helpers": (
        "flask/tests/test_helpers.py",
        "werkzeug/tests/test_send_file.py",
        "werkzeug/tests/test_utils.py",
        "werkzeug/tests/test_security.py",
    ),
    "Test client and runner": ("flask/tests/test_testing.py", "werkzeug/tests/test_test.py"),
    "Command line": ("flask/tests/test_cli.py",),
    "WSGI middleware": ("werkzeug/tests/middleware",),
}
SUITES = ("flask", "werkzeug")

Outcomes = dict[str, bool]


def main(flask: Path, werkzeug: Path, page: Path) -> int:
    outcomes: Outcomes = {}
    for suite, path in zip(SUITES, (flask, werkzeug)):
        outcomes.update(read(suite, json.loads(path.read_text())))
    return write(outcomes, page)


def read(suite: str, report: dict[str, object]) -> Outcomes:
    """Whether each test of a report passed; those that were skipped are left out."""
    tests = report["tests"]
    assert isinstance(tests, dict)
    return {f"{suite}/{name}": one["o"] == "passed" for name, one in tests.items() if one["o"] != "skipped"}


def write(outcomes: Outcomes, page: Path) -> int:
    """Replace the table of a page; 1 if a file belongs to no area, or the page has no place for the table."""
    unknown = {
        name.partition("::")[0]
        for name in outcomes
        if not any(belongs(name, places) for places in AREAS.values())
    }
    if unknown:
        print(f"in no area: {', '.join(sorted(unknown))}", file=sys.stderr)
        return 1
    return put(page, BEGIN, END, table(outcomes))


def put(page: Path, begin: str, end: str, lines: Iterable[str]) -> int:
    """Replace what stands between two marks of a page; 1 if it has not both of them."""
    before, found, rest = page.read_text().partition(begin)
    _, ended, after = rest.partition(end)
    if not found or not ended:
        print(f"{page} has not both of {begin} and {end}", file=sys.stderr)
        return 1
    page.write_text(before + begin + "\n\n" + "\n".join(lines) + "\n\n" + end + after)
    return 0


def belongs(name: str, places: tuple[str, ...]) -> bool:
    """Whether a test is in one of an area's files or folders."""
    return any(name.startswith((f"{place}::", f"{place}/")) for place in places)


def table(outcomes: Outcomes) -> Iterable[str]:
    yield "| Area | Flask's own tests | Werkzeug's own tests |"
    yield "|---|---|---|"
    for area, places in AREAS.items():
        own = {name: passed for name, passed in outcomes.items() if belongs(name, places)}
        yield f"| {area} | {' | '.join(score(own, suite) for suite in SUITES)} |"
    yield f"| **All** | {' | '.join(score(outcomes, suite) for suite in SUITES)} |"


def score(outcomes: Outcomes, suite: str) -> str:
    found = [passed for name, passed in outcomes.items() if name.startswith(f"{suite}/")]
    return f"{sum(found)} of {len(found)}" if found else ""


if __name__ == "__main__":
    sys.exit(main(*map(Path, sys.argv[1:])))
