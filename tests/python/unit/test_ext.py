"""Extensions written for BustAPI itself."""

from __future__ import annotations

from typing import Any, Optional

import click
import pytest

from bustapi.ext import Extension
from bustapi.flask import Flask


class Register:
    def __init__(self, size: int) -> None:
        self.size = size
        self.ended: list[Optional[BaseException]] = []


class Counted(Extension[Register]):
    """Counts."""

    name = "counted"
    defaults = {"SIZE": 3, "NAME": "x"}

    def setup(self, app: Flask) -> Register:
        return Register(self.setting(app, "SIZE"))

    def teardown(self, state: Register, error: Optional[BaseException]) -> None:
        state.ended.append(error)

    def add_commands(self, group: click.Group) -> None:
        @group.command("size")
        def size() -> None:
            click.echo(self.state.size)


class Silent(Extension[None]):
    name = "silent"


def test_settings_come_from_the_configuration_then_the_constructor_then_the_class() -> None:
    app, other = Flask("one"), Flask("two")
    app.config["COUNTED_SIZE"] = 7
    counted = Counted(SIZE=5)
    counted.init_app(app)
    counted.init_app(other)
    assert (counted.state_of(app).size, counted.state_of(other).size) == (7, 5)
    assert app.config["COUNTED_NAME"] == "x"


def test_the_state_is_that_of_the_current_application() -> None:
    app = Flask("one")
    counted = Counted(app)
    with app.app_context():
        assert counted.state is counted.state_of(app)
    with pytest.raises(RuntimeError, match="outside of application context"):
        counted.state  # noqa: B018


def test_teardown_runs_after_each_request() -> None:
    app = Flask("one")
    counted = Counted(app)
    app.add_url_rule("/", view_func=lambda: "x")
    app.test_client().get("/")
    assert counted.state_of(app).ended == [None]


def test_what_is_not_overridden_costs_nothing() -> None:
    app = Flask("one")
    Silent(app)
    assert app.teardown_appcontext_funcs == []
    assert "silent" not in app.cli.commands
    assert "silent" in app.extensions


def test_commands_run_in_the_application_context() -> None:
    app = Flask("one")
    Counted(app)
    assert app.test_cli_runner().invoke(args=["counted", "size"]).output == "3\n"


def test_mistakes_are_told() -> None:
    app = Flask("one")
    counted = Counted(app)
    with pytest.raises(RuntimeError, match="'counted' is set up for 'one' already"):
        Counted(app)
    with pytest.raises(RuntimeError, match="is not set up for 'two'"):
        counted.state_of(Flask("two"))
    with pytest.raises(RuntimeError, match="is not set up"):
        Counted().state_of(app)
    with pytest.raises(TypeError, match="no setting SIEZ"):
        Counted(SIEZ=1)
    with pytest.raises(TypeError, match="must be an identifier"):
        type("Nameless", (Extension,), {})
    options: dict[str, Any] = {"name": "two words"}
    with pytest.raises(TypeError, match="not 'two words'"):
        type("Odd", (Extension,), options)
