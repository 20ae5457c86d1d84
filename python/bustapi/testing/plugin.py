"""Fixtures for pytest, there wherever BustAPI is installed: `app`, `client` and `runner`.

A project says which application is meant with `bustapi_app = "package.module:app"` in its pytest settings or with
`--bustapi-app`, or defines a fixture `app` of its own, which the other two then use.
"""

from __future__ import annotations

import typing as t

import pytest

if t.TYPE_CHECKING:
    from ..flask import Flask
    from ..flask.testing import FlaskClient, FlaskCliRunner

_HELP = "the application of the fixture app, as module:name or module:factory()"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the setting and the option that name the application."""
    parser.addini("bustapi_app", _HELP)
    parser.getgroup("bustapi").addoption("--bustapi-app", metavar="MODULE:NAME", help=_HELP)


@pytest.fixture
def app(request: pytest.FixtureRequest) -> t.Iterator[Flask]:
    """The application, with TESTING on for the time of the test."""
    named = request.config.getoption("bustapi_app") or request.config.getini("bustapi_app")
    if not named:
        pytest.fail(
            "BustAPI's fixture 'app' needs to know the application: set bustapi_app in pytest's settings,"
            " pass --bustapi-app, or define a fixture 'app'.",
            pytrace=False,
        )
    from ..cli.locate import locate

    found: Flask = locate(named)
    testing = found.testing
    found.testing = True
    yield found
    found.testing = testing


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    """A client of the application, with cookies of its own."""
    return app.test_client()


@pytest.fixture
def runner(app: Flask) -> FlaskCliRunner:
    """A runner of the application's commands."""
    return app.test_cli_runner()
