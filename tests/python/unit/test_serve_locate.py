"""Which application a command line names."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bustapi.cli.locate import locate
from bustapi.serve import ServeError

MODULE = """
from bustapi import BustAPI, current_app, request
from unittest import mock

shown = []
{name} = BustAPI("{name}")

def create(kind="plain", *, size=1):
    made = BustAPI(kind)
    made.size = size
    return made

def fails():
    raise LookupError("inside")

number = 5
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    modules = set(sys.modules)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    for name in ("BUSTAPI_APP", "FLASK_APP", "FLASK_RUN_FROM_CLI"):
        monkeypatch.delenv(name, raising=False)
    yield tmp_path
    for name in set(sys.modules) - modules:
        if name.startswith("located"):
            del sys.modules[name]


def write(path: str, text: str) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(text)


@pytest.mark.parametrize("named", ["located_a:site", "located_a", "located_a.py:site", "./located_a.py"])
def test_a_module_or_file_and_a_name(named: str, folder: Path) -> None:
    write("located_a.py", MODULE.format(name="site"))
    assert locate(named).import_name == "site"


def test_a_file_inside_of_a_package(folder: Path) -> None:
    write("src/located_b/__init__.py", "")
    write("src/located_b/web/__init__.py", "")
    write("src/located_b/web/main.py", "from .. import web\n" + MODULE.format(name="site"))
    assert locate("src/located_b/web/main.py:site").import_name == "site"
    assert "located_b.web.main" in sys.modules


@pytest.mark.parametrize(
    ("expression", "kind", "size"),
    [("create", "plain", 1), ("create()", "plain", 1), ("create('b', size=3)", "b", 3)],
)
def test_a_factory(expression: str, kind: str, size: int) -> None:
    write("located_c.py", MODULE.format(name="site"))
    app = locate(f"located_c:{expression}")
    assert (app.import_name, app.size) == (kind, size)


def test_a_module_with_nothing_but_a_factory() -> None:
    write("located_d.py", "from bustapi import BustAPI\ndef create_app(): return BustAPI('made')\n")
    assert locate("located_d").import_name == "made"


def test_the_usual_name_comes_first() -> None:
    write("located_e.py", MODULE.format(name="app") + "other = BustAPI('other')\n")
    assert locate("located_e").import_name == "app"


@pytest.mark.parametrize("variable", ["BUSTAPI_APP", "FLASK_APP"])
def test_the_environment_names_one(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    write("located_f.py", MODULE.format(name="site"))
    monkeypatch.setenv(variable, "located_f:site")
    assert locate(None).import_name == "site"


@pytest.mark.parametrize(
    ("named", "message"),
    [
        ("located_none:app", r"^there is no module 'located_none'"),
        ("located_g.none:app", r"^there is no module 'located_g.none'"),
        ("no/such.py:app", r"^there is no file 'no/such.py'$"),
        ("located_g:nothing", r"^located_g has no name 'nothing'$"),
        ("located_g:number.x.y", r"^located_g has no name 'number.x.y'$"),
        ("located_g:number()", r"^'number' in located_g cannot be called$"),
        ("located_g:create(1, 2, 3)", r"^'create' in located_g: too many positional arguments"),
        ("located_g:create(colour=1)", r"^'create' in located_g: got an unexpected keyword"),
        ("located_g:fails()", r"^'fails' in located_g failed: LookupError$"),
        ("located_g:1+", r"must be a name"),
        ("located_g:create(name)", r"must be a name"),
        ("located_g:create(**{})", r"must be a name"),
        ("located_g:a[0]", r"must be a name"),
        ("located_two", r"^located_two has several applications; say: located_two:name$"),
        ("located_empty", r"^located_empty has no application; say: located_empty:name$"),
        ("located_raises:app", r"^located_raises cannot be imported: ValueError$"),
        ("located_needs:app", r"^located_needs cannot be imported: No module named 'located_missing'$"),
        (None, r"^which application\?"),
    ],
)
def test_what_cannot_be_found_is_said_in_one_line(named: str | None, message: str) -> None:
    write("located_g.py", MODULE.format(name="site"))
    write("located_two.py", MODULE.format(name="one") + "two = BustAPI('two')\n")
    write("located_empty.py", "from bustapi import current_app, request\nfrom unittest.mock import call\n")
    write("located_raises.py", "raise ValueError('at import')\n")
    write("located_needs.py", "import located_missing\n")
    with pytest.raises(ServeError, match=message) as caught:
        locate(named)
    assert "\n" not in str(caught.value)
    assert "FLASK_RUN_FROM_CLI" not in os.environ


def test_an_error_of_the_module_itself_is_shown_with_its_traceback(capfd: pytest.CaptureFixture[str]) -> None:
    write("located_raises.py", "def deep():\n    raise ValueError('at import')\ndeep()\n")
    with pytest.raises(ServeError):
        locate("located_raises:app")
    shown = capfd.readouterr().err
    assert "ValueError: at import" in shown
    assert "in deep" in shown
    assert "importlib" not in shown


def test_an_unguarded_run_does_nothing_during_the_import(capfd: pytest.CaptureFixture[str]) -> None:
    write("located_h.py", MODULE.format(name="app") + "app.run(port=0)\nshown.append(1)\n")
    assert locate("located_h:app").import_name == "app"
    assert sys.modules["located_h"].shown == [1]
    assert "did nothing" in capfd.readouterr().err
