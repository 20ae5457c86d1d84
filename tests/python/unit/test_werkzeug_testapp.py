"""The page about server and interpreter."""

from __future__ import annotations

import os
import sys

import pytest

from bustapi.werkzeug.test import Client
from bustapi.werkzeug.testapp import iter_sys_path
from bustapi.werkzeug.testapp import test_app as application


def test_page_shows_environ_and_system_escaped() -> None:
    response = Client(application).get("/p?<script>", headers={"X-Attack": "<b>"})
    text = response.get_data(as_text=True)
    assert response.status_code == 200
    assert sys.executable in text
    assert "REQUEST_METHOD" in text
    assert "<script>" not in text
    assert "<b>" not in text
    assert "pytest" in text


def test_import_path_is_shortened(monkeypatch: pytest.MonkeyPatch) -> None:
    home = os.path.expanduser("~")
    monkeypatch.setattr(sys, "path", [os.path.join(home, "nowhere"), "", f"{home}-other"])
    assert list(iter_sys_path()) == [
        (f"~{os.sep}nowhere", True, False),
        (os.getcwd(), False, True),
        (f"{home}-other", True, False),
    ]
