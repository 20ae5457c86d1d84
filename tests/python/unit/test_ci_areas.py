"""The table of Flask's areas says what the suites' reports say, and leaves no file out."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def areas() -> Any:
    spec = importlib.util.spec_from_file_location("areas", ROOT / ".ci" / "areas.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def written(folder: Path, **outcomes: str) -> Path:
    path = folder / f"{len(list(folder.iterdir()))}.json"
    tests = {name.replace("__", "::", 1).replace("_PY", ".py"): {"o": o} for name, o in outcomes.items()}
    path.write_text(json.dumps({"tests": {f"tests/{name}": one for name, one in tests.items()}}))
    return path


def test_counts_what_passed_by_area(areas: Any, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{areas.BEGIN}\nwhat was there\n{areas.END}\nafter\n")
    flask = written(tmp_path, test_views_PY__a="passed", test_views_PY__b="failed", test_json_PY__c="passed")
    werkzeug = written(tmp_path, test_exceptions_PY__a="passed", test_exceptions_PY__b="skipped")
    assert areas.main(flask, werkzeug, page) == 0
    text = page.read_text()
    assert text.startswith(f"before\n{areas.BEGIN}\n")
    assert text.endswith(f"{areas.END}\nafter\n")
    assert "what was there" not in text
    for line in [
        "| Views | 1 of 2 |  |",
        "| JSON | 1 of 1 |  |",
        "| Error handlers, HTTP exceptions |  | 1 of 1 |",
        "| **All** | 2 of 3 | 1 of 1 |",
    ]:
        assert line in text


def test_a_file_of_no_area_is_told(areas: Any, tmp_path: Path, capsys: Any) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"{areas.BEGIN}{areas.END}")
    none = written(tmp_path)
    assert areas.main(written(tmp_path, test_new_PY__a="passed"), none, page) == 1
    assert "flask/tests/test_new.py" in capsys.readouterr().err
    page.write_text("no marks")
    assert areas.main(none, none, page) == 1
    assert page.read_text() == "no marks"


def test_the_documentation_has_a_place_for_it(areas: Any) -> None:
    text = (ROOT / "docs" / "flask.md").read_text()
    _, _, rest = text.partition(areas.BEGIN)
    table, end, _ = rest.partition(areas.END)
    assert end
    assert table.count("\n|") == len(areas.AREAS) + 3
