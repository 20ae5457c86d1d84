"""Where a setting's value comes from, and what is said about a bad one."""

from __future__ import annotations

import math
from typing import Any

import pytest

from bustapi import BustAPI
from bustapi._core import Dispatcher, Listener, Reactor
from bustapi.serve import Settings, SettingsError
from bustapi.serve.settings import cores


def resolve(
    environ: dict[str, str] | None = None, fallbacks: dict[str, Any] | None = None, **given: Any
) -> Settings:
    return Settings.resolve(given, environ or {}, fallbacks)


def test_an_argument_comes_before_the_environment_and_that_before_the_configuration() -> None:
    environ = {"BUSTAPI_PORT": "7000"}
    assert resolve(environ, {"port": 8000}, port=6000).port == 6000
    assert resolve(environ, {"port": 8000}).port == 7000
    assert resolve({}, {"port": 8000}).port == 8000
    assert resolve({}, {}).port == 5000


@pytest.mark.parametrize("empty", ["", "  "])
def test_an_empty_variable_is_none(empty: str) -> None:
    assert resolve({"BUSTAPI_PORT": empty}).port == 5000


def test_none_is_not_given() -> None:
    assert resolve({"BUSTAPI_HOST": "::1"}, host=None).host == "::1"


def test_text_is_parsed_into_the_settings_type() -> None:
    settings = resolve(
        port="81", grace="2.5", max_body="1000", loop=" UVLOOP ", workers="auto", threads="auto"
    )
    assert settings == Settings(
        port=81, grace=2.5, max_body=1000, loop="uvloop", workers=cores(), threads=cores()
    )
    assert resolve(max_body="none").max_body is None


@pytest.mark.parametrize(
    "name",
    sorted(
        Settings.names()
        - {
            "host",
            "max_body",
            "max_requests_per_connection",
            "trusted_hosts",
            "proxy_protocol",
            "cancel_on_disconnect",
            "stream_body",
        }
    ),
)
def test_every_setting_refuses_what_is_none_of_its_values(name: str) -> None:
    for bad in ("x1", "-1", [], True, "nan"):
        with pytest.raises(SettingsError) as caught:
            resolve(**{name: bad})
        message = str(caught.value)
        assert message.startswith(f"{name}: must be ")
        assert message.endswith(f", not {bad!r}")
        assert "\n" not in message
        assert caught.value.source == "argument"


@pytest.mark.parametrize("bad", ["", "a b/c", "example.com:80", ".", [], True, ["ok", "a@b"]])
def test_a_trusted_host_is_a_name_without_a_port(bad: object) -> None:
    with pytest.raises(SettingsError, match=r"^trusted_hosts: must be "):
        resolve(trusted_hosts=bad)


def test_lists_are_text_or_iterables() -> None:
    settings = resolve(
        {"BUSTAPI_TRUSTED_HOSTS": "a, .b"},
        trusted_proxies=["10.0.0.0/8", "::1", 2],
        proxy_headers="forwarded",
    )
    assert settings.trusted_hosts == "a, .b"
    assert settings.trusted_proxies == "10.0.0.0/8, ::1, 2"
    assert settings.proxy_headers == "forwarded"
    assert resolve(trusted_proxies=1).trusted_proxies == "1"
    with pytest.raises(SettingsError, match=r"^BUSTAPI_TRUSTED_PROXIES: must be .*, not '\*'$") as caught:
        resolve({"BUSTAPI_TRUSTED_PROXIES": "*"})
    assert caught.value.source == "environment"


def test_a_flag_is_true_or_false() -> None:
    for yes in (True, "1", "on", "TRUE", " yes "):
        assert resolve(proxy_protocol=yes, trusted_proxies="unix").proxy_protocol is True
    for no in (False, "0", "off", "no", "false"):
        assert resolve(proxy_protocol=no).proxy_protocol is False
    for bad in ("maybe", 1, [], "none"):
        with pytest.raises(SettingsError, match=r"^proxy_protocol: must be true or false, not "):
            resolve(proxy_protocol=bad)


def test_the_proxy_protocol_needs_somebody_to_believe() -> None:
    with pytest.raises(SettingsError, match="proxy_protocol needs trusted_proxies"):
        resolve(proxy_protocol=True)


@pytest.mark.parametrize("bad", ["", "a\nb", 5])
def test_a_host_is_one_line_of_text(bad: object) -> None:
    with pytest.raises(SettingsError, match=r"^host: must be "):
        resolve(host=bad)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("port", 65536),
        ("threads", 0),
        ("workers", 0),
        ("backlog", 0),
        ("grace", -0.1),
        ("grace", math.inf),
        ("grace", math.nan),
        ("head_timeout", 0),
        ("turn_budget", 0),
        ("busy_poll", -0.00001),
        ("busy_poll", 1),
        ("max_body", -1),
        ("max_pinned", 2**60),
        ("switch_interval", 2),
    ],
)
def test_values_out_of_bounds_are_refused(name: str, value: object) -> None:
    with pytest.raises(SettingsError, match=rf"^{name}: must be at (least|most) "):
        resolve(**{name: value})


def test_a_variable_is_named_as_it_is_spelt() -> None:
    with pytest.raises(
        SettingsError, match=r"^BUSTAPI_THREADS: must be a whole number or 'auto', not 'many'$"
    ) as caught:
        resolve({"BUSTAPI_THREADS": "many"})
    assert caught.value.source == "environment"


def test_a_long_value_is_shown_in_part() -> None:
    with pytest.raises(SettingsError) as caught:
        resolve(port="9" * 5000 + "x")
    assert len(str(caught.value)) < 200


def test_a_request_line_must_fit_into_a_head() -> None:
    with pytest.raises(SettingsError, match="max_request_line"):
        resolve(max_request_line=4096, max_head=1024)


def test_an_unknown_name_is_a_type_error() -> None:
    with pytest.raises(TypeError, match="'colour'"):
        resolve(colour="red")


def test_connections_are_shared_out_among_threads() -> None:
    assert resolve(max_connections=10, threads=4).for_core()["max_connections"] == 2
    assert resolve(max_connections=1, threads=4).for_core()["max_connections"] == 1


@pytest.mark.parametrize("name", sorted(resolve().for_core()))
def test_the_core_reads_every_setting_that_is_handed_to_it(name: str) -> None:
    """A key that the core does not know would be dropped in silence: each must be looked at, and refused if bad."""
    listeners = Listener.bind("127.0.0.1", 0)
    try:
        with pytest.raises(ValueError, match=rf"^{name} must be "):
            Reactor(Dispatcher(BustAPI()), listeners, {**resolve().for_core(), name: "b@d"})
    finally:
        for listener in listeners:
            listener.close()


def test_help_describes_every_setting() -> None:
    described = Settings.describe()
    assert {item["name"] for item in described} == Settings.names()
    assert all(item["about"].endswith(".") for item in described)


def test_a_thread_that_shares_the_interpreter_does_not_poll() -> None:
    assert Settings().for_core()["busy_poll"] == 50e-6
    assert Settings(threads=2).for_core()["busy_poll"] == 0
    assert Settings(threads=2, busy_poll=1e-5).for_core()["busy_poll"] == 1e-5
    assert Settings(busy_poll=0.0).for_core()["busy_poll"] == 0
