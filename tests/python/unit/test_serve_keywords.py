"""Keywords of `run` and `run_simple`: taken over, mapped, refused or unknown, and never dropped."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from bustapi.serve import ServeError, SettingsError, run_simple
from bustapi.serve.keywords import split

REFUSED = {
    "request_handler": object,
    "static_files": {"/static": "static"},
    "passthrough_errors": True,
    "ssl_context": "adhoc",
}


def simple(**options: Any) -> tuple[dict[str, Any], list[str]]:
    return split(options, caller="run_simple", threaded=False)


def flask(**options: Any) -> tuple[dict[str, Any], list[str]]:
    return split(options, caller="run", threaded=True)


def test_settings_are_taken_over() -> None:
    assert flask(threads=2, grace=1.5, max_body=None) == ({"threads": 2, "grace": 1.5}, [])


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_what_is_not_there_is_refused_with_what_to_use(name: str) -> None:
    with pytest.raises(ServeError, match=rf"^{name}: \w+") as caught:
        simple(**{name: REFUSED[name]})
    assert "\n" not in str(caught.value)
    assert simple(**{name: None})[1] == []


def test_processes_are_workers() -> None:
    assert flask(processes=3)[0] == {"workers": 3}
    assert flask(processes=1)[0] == {}
    assert flask(processes=3, workers=3)[0] == {"workers": 3}
    with pytest.raises(SettingsError, match=r"processes=3 contradicts workers=2"):
        flask(processes=3, workers=2)


@pytest.mark.parametrize("bad", [0, -1, "2", True, 1.5])
def test_processes_are_a_whole_number(bad: object) -> None:
    with pytest.raises(SettingsError, match=r"^processes: must be "):
        flask(processes=bad)


def test_without_threads_views_run_one_at_a_time() -> None:
    assert simple()[0] == {"threads": 1, "pool_threads": 0}
    assert simple(threaded=True)[0] == {}
    assert flask()[0] == {}
    assert flask(threaded=False)[0] == {"threads": 1, "pool_threads": 0}


@pytest.mark.parametrize("option", [{"threads": 2}, {"pool_threads": 4}, {"threads": "2"}])
def test_threads_contradict_threaded_false(option: dict[str, Any]) -> None:
    with pytest.raises(SettingsError, match=r"needs threaded=True$"):
        flask(threaded=False, **option)


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"use_reloader": True}, "use_reloader: not available here; use app.run()"),
        ({"use_debugger": True}, "use_debugger: not available here; use app.run()"),
        ({"use_reloader": True, "use_debugger": True}, "use_reloader and use_debugger: not available here; "),
    ],
)
def test_reloader_and_debugger_are_answered_by_a_line(options: dict[str, Any], line: str) -> None:
    settings, lines = flask(**options)
    assert settings == {}
    assert len(lines) == 1
    assert lines[0].startswith(line)


def test_what_qualifies_them_is_accepted() -> None:
    qualifiers = {
        "use_evalex": False,
        "extra_files": ["x"],
        "exclude_patterns": ["*.x"],
        "reloader_interval": 2,
    }
    assert flask(**qualifiers, reloader_type="stat") == ({}, [])


@pytest.mark.parametrize("caller", [simple, flask])
def test_an_unknown_keyword_is_a_type_error(caller: Any) -> None:
    with pytest.raises(TypeError, match=r"got an unexpected keyword argument 'colour'"):
        caller(colour="red")


def test_run_simple_has_werkzeugs_signature() -> None:
    serving = pytest.importorskip("werkzeug.serving")
    theirs = list(inspect.signature(serving.run_simple).parameters.values())
    ours = list(inspect.signature(run_simple).parameters.values())
    assert [(p.name, p.default) for p in ours[: len(theirs)]] == [(p.name, p.default) for p in theirs]
    assert [p.kind for p in ours[len(theirs) :]] == [inspect.Parameter.VAR_KEYWORD]


@pytest.mark.parametrize("port", ["5000", None, True])
def test_run_simple_wants_a_number_for_the_port(port: Any) -> None:
    with pytest.raises(TypeError, match="port must be an integer"):
        run_simple("127.0.0.1", port, object())


def test_run_simple_knows_the_host_by_its_own_name_only() -> None:
    with pytest.raises(TypeError, match="'host'"):
        run_simple("127.0.0.1", 5000, object(), host="0.0.0.0")


def test_other_applications_are_refused() -> None:
    with pytest.raises(ServeError, match="other WSGI applications"):
        run_simple("127.0.0.1", 0, lambda environ, start_response: [])
    with pytest.raises(ServeError, match="cannot serve a int"):
        run_simple("127.0.0.1", 0, 5)


def test_an_application_of_flask_itself_is_told_where_to_come_from() -> None:
    real = pytest.importorskip("flask")
    if not real.__file__.endswith("flask/__init__.py") or "bustapi" in real.__file__:
        pytest.skip("the name flask is ours here")
    with pytest.raises(ServeError, match="from bustapi import Flask"):
        run_simple("127.0.0.1", 0, real.Flask("app"))
