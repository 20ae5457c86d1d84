"""Every limit, timeout and switch of a server, in one place.

A value comes from the first source that has one: the argument of `run()`, the environment (`BUSTAPI_` and the
field's name in capitals), the default here. Whatever the source, a value is checked the same way, and a bad one is
answered by one line that names the option.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

from .errors import SettingsError
from .values import cores, parse, shown

if TYPE_CHECKING:
    from collections.abc import Mapping

ENV_PREFIX = "BUSTAPI_"

#: Seconds; about what it takes to wake a thread that sleeps, and longer than a client on the same machine thinks.
BUSY_POLL = 50e-6

_KIB = 1024
_MIB = 1024 * _KIB
_GIB = 1024 * _MIB


def _pool_threads() -> int:
    # The formula of concurrent.futures: blocked threads cost a stack, not a core.
    return min(32, cores() + 4)


def _option(
    default: Any,
    kind: str,
    about: str,
    *,
    unit: str = "",
    least: float | None = None,
    most: float | None = None,
    choices: tuple[str, ...] = (),
    optional: bool = False,
    core: bool = False,
) -> Any:
    """Describe one setting; `core` marks those that the native reactor reads."""
    metadata = {
        "kind": kind,
        "about": about,
        "unit": unit,
        "least": least,
        "most": most,
        "choices": choices,
        "optional": optional,
        "core": core,
    }
    if callable(default):
        return field(default_factory=default, metadata=metadata)
    return field(default=default, metadata=metadata)


@dataclass(frozen=True)
class Settings:
    """The resolved settings of a server.

    Build it with `Settings.resolve`, which reads the environment and checks every value. The attributes are
    described in `Settings.describe()`, which the command line's help is made from.

    Compatible with: BustAPI only.
    """

    host: str = _option("127.0.0.1", "text", "Address or name to listen on, or unix:/path.")
    port: int = _option(5000, "int", "TCP port; 0 lets the system choose.", least=0, most=65535)
    backlog: int = _option(2048, "int", "Connections the kernel keeps before accept.", least=1, most=65535)
    threads: int = _option(
        1, "count", "Reactor threads in each process, or auto for one a core.", least=1, most=1024
    )
    workers: int = _option(1, "count", "Processes, or auto for one a core.", least=1, most=1024)
    pool_threads: int = _option(
        _pool_threads,
        "int",
        "Most threads for views that may block; 0 runs every sync view inline.",
        least=0,
        most=4096,
    )
    pool_queue: int = _option(1024, "int", "Requests that may wait for a pool thread; past it 503.", least=1)
    max_request_line: int = _option(
        8192, "int", "Longest request line; past it 414.", unit="bytes", least=64, most=_MIB, core=True
    )
    max_head: int = _option(
        64 * _KIB,
        "int",
        "Longest request head; past it 431.",
        unit="bytes",
        least=256,
        most=16 * _MIB,
        core=True,
    )
    max_fields: int = _option(100, "int", "Most header fields; past it 431.", least=1, most=10_000, core=True)
    max_chunk_line: int = _option(
        4 * _KIB, "int", "Longest chunk-size line; past it 400.", unit="bytes", least=16, most=_MIB, core=True
    )
    max_trailers: int = _option(
        8 * _KIB,
        "int",
        "Longest trailer section; past it 431.",
        unit="bytes",
        least=0,
        most=16 * _MIB,
        core=True,
    )
    max_body: int | None = _option(
        None,
        "int",
        "Longest request body; past it 413. Unset: bounded by max_body_memory.",
        unit="bytes",
        least=0,
        optional=True,
        core=True,
    )
    max_body_in_memory: int = _option(
        _MIB,
        "int",
        "Longest body that is received in full before its view is called; a longer one is read as it arrives.",
        unit="bytes",
        least=0,
        core=True,
    )
    max_body_memory: int = _option(
        _GIB,
        "int",
        "Memory for all request bodies of a process; past it 503.",
        unit="bytes",
        least=64 * _KIB,
        core=True,
    )
    max_pinned: int = _option(
        32 * _MIB,
        "int",
        "Received memory that views may keep without a copy.",
        unit="bytes",
        least=0,
        core=True,
    )
    max_outbox: int = _option(
        256 * _KIB,
        "int",
        "Unsent bytes past which a connection is not served.",
        unit="bytes",
        least=_KIB,
        core=True,
    )
    max_pipeline: int = _option(
        64 * _KIB,
        "int",
        "Pipelined bytes that wait behind a request; past it the socket is not read.",
        unit="bytes",
        least=_KIB,
        core=True,
    )
    max_requests_per_connection: int | None = _option(
        None,
        "int",
        "Requests answered on one connection, which then closes. Unset: any number.",
        least=1,
        most=2**32 - 1,
        optional=True,
        core=True,
    )
    max_waiting: int = _option(
        16_384,
        "int",
        "Requests that may wait for the interpreter; past it 503.",
        least=1,
        core=True,
    )
    turn_budget: int = _option(256, "int", "Views called in one turn of a reactor.", least=1, core=True)
    busy_poll: float | None = _option(
        None,
        "float",
        "How long a thread that was woken quickly polls before it sleeps. Unset: 50 µs, 0 with several threads.",
        unit="seconds",
        least=0.0,
        most=0.01,
        optional=True,
        core=True,
    )
    keep_alive_timeout: float = _option(
        75.0, "float", "How long an idle connection is kept.", unit="seconds", least=0.0, core=True
    )
    first_byte_timeout: float = _option(
        10.0, "float", "How long a new connection may say nothing.", unit="seconds", least=0.01, core=True
    )
    head_timeout: float = _option(
        10.0, "float", "How long a request head may take; past it 408.", unit="seconds", least=0.01, core=True
    )
    body_timeout: float = _option(
        30.0, "float", "How long a body may stand still; past it 408.", unit="seconds", least=0.01, core=True
    )
    min_body_rate: int = _option(
        240,
        "int",
        "Slowest body, once body_timeout has passed; below it 408. 0: only silence counts.",
        unit="bytes/s",
        least=0,
        most=2**32 - 1,
        core=True,
    )
    write_timeout: float = _option(
        30.0, "float", "How long a client may not read its response.", unit="seconds", least=0.01, core=True
    )
    min_write_rate: int = _option(
        240,
        "int",
        "Slowest reader, once write_timeout has passed; below it a reset. 0: only standstill counts.",
        unit="bytes/s",
        least=0,
        most=2**32 - 1,
        core=True,
    )
    linger_timeout: float = _option(
        2.0, "float", "How long a closed connection is still read from.", unit="seconds", least=0.0, core=True
    )
    websocket_max_message: int = _option(
        _MIB,
        "int",
        "Longest WebSocket message, decompressed; past it close code 1009.",
        unit="bytes",
        least=1,
        core=True,
    )
    websocket_max_frame: int | None = _option(
        None,
        "int",
        "Longest WebSocket frame; past it close code 1009. Unset: as long as a message.",
        unit="bytes",
        least=1,
        optional=True,
        core=True,
    )
    websocket_max_queue: int = _option(
        32,
        "int",
        "Messages of a WebSocket that wait for its view; past it the socket is not read.",
        least=1,
        core=True,
    )
    websocket_compression: str = _option(
        "shared",
        "choice",
        "Compression of WebSocket messages: by themselves, or with a memory of 300 KB a connection.",
        choices=("off", "shared", "dedicated"),
        core=True,
    )
    websocket_ping_interval: float = _option(
        20.0,
        "float",
        "Silence of a WebSocket's client before it is sent a ping; 0: never.",
        unit="seconds",
        least=0.0,
        core=True,
    )
    websocket_ping_timeout: float = _option(
        20.0, "float", "How long an answer to that ping may take.", unit="seconds", least=0.01, core=True
    )
    websocket_idle_timeout: float = _option(
        0.0,
        "float",
        "How long no message may go over a WebSocket; 0: for ever.",
        unit="seconds",
        least=0.0,
        core=True,
    )
    websocket_close_timeout: float = _option(
        5.0, "float", "How long the answer to a close frame may take.", unit="seconds", least=0.01, core=True
    )
    grace: float = _option(
        30.0, "float", "How long open requests may take after a stop signal.", unit="seconds", least=0.0
    )
    max_requests: int | None = _option(
        None,
        "int",
        "Requests after which a worker is replaced. Unset: never.",
        least=1,
        optional=True,
    )
    max_rss: int | None = _option(
        None,
        "int",
        "Resident memory past which a worker is replaced. Unset: never.",
        unit="bytes",
        least=_MIB,
        optional=True,
    )
    trusted_proxies: str | None = _option(
        None,
        "list",
        "Addresses, networks, unix and a number of hops: the proxies that are believed. Unset: none.",
        optional=True,
        core=True,
    )
    proxy_headers: str | None = _option(
        None,
        "list",
        "Headers that trusted proxies write. Unset: Forwarded, or the X-Forwarded-* ones.",
        optional=True,
        core=True,
    )
    proxy_protocol: bool = _option(
        False, "flag", "Whether trusted proxies send the PROXY protocol, version 1 or 2.", core=True
    )
    trusted_hosts: str | None = _option(
        None,
        "list",
        "Hosts that are answered for, .example.com with subdomains; others get 400. Unset: all.",
        optional=True,
        core=True,
    )
    recycle_jitter: float = _option(
        0.1,
        "float",
        "Part of max_requests and max_rss by which a worker may be replaced earlier.",
        unit="parts of 1",
        least=0.0,
        most=1.0,
    )
    max_connections: int = _option(
        65_536, "int", "Connections open at once in a process; past it they wait.", least=1, core=True
    )
    switch_interval: float = _option(
        0.0005,
        "float",
        "The interpreter's switch interval while a pool serves.",
        unit="seconds",
        least=0.00001,
        most=1.0,
    )
    execution: str | None = _option(
        None,
        "choice",
        "Where sync views run unless their route says otherwise. Unset: as the application says, or auto.",
        choices=("auto", "inline", "pool"),
        optional=True,
    )
    view_timeout: float | None = _option(
        None,
        "float",
        "How long a view may take unless its route says otherwise; past it 504. Unset: any time.",
        unit="seconds",
        least=0.001,
        optional=True,
    )
    cancel_on_disconnect: bool | None = _option(
        None,
        "flag",
        "Whether async views end with their client's connection. Unset: those of GET and HEAD.",
        optional=True,
    )
    stream_body: bool | None = _option(
        None,
        "flag",
        "Whether views read bodies as they arrive. Unset: plain ones, and coroutines that name request.stream, read "
        "those past max_body_in_memory so.",
        optional=True,
    )
    max_block: float = _option(
        0.1,
        "float",
        "How long a view may hold a serving thread before it is logged and worked around; 0: not watched.",
        unit="seconds",
        least=0.0,
    )
    loop: str = _option(
        "auto",
        "choice",
        "Event loop; auto runs one only for async views.",
        choices=("auto", "asyncio", "uvloop"),
    )
    loops: str = _option(
        "one",
        "choice",
        "Event loops of a process: one for all threads, or one per-thread.",
        choices=("one", "per-thread"),
    )

    @classmethod
    def names(cls) -> frozenset[str]:
        """Name every setting.

        Returns:
            The names that `run()` takes and, in capitals after ``BUSTAPI_``, the environment.
        """
        return frozenset(item.name for item in fields(cls))

    @classmethod
    def describe(cls) -> list[dict[str, Any]]:
        """Describe every setting, for help texts.

        Returns:
            One mapping a setting: ``name``, ``about``, ``unit``, ``kind``, ``choices``.
        """
        keys = ("about", "unit", "kind", "choices")
        return [{"name": item.name, **{key: item.metadata[key] for key in keys}} for item in fields(cls)]

    @classmethod
    def resolve(
        cls,
        arguments: Mapping[str, Any],
        environ: Mapping[str, str] | None = None,
        fallbacks: Mapping[str, Any] | None = None,
    ) -> Settings:
        """Take each setting from the first source that has it, and check it.

        Args:
            arguments: Values given by the caller; a missing key or None means "not given".
            environ: The environment; `os.environ` by default. An empty value means "not given".
            fallbacks: Values of the application's configuration, which come before the defaults.

        Returns:
            The settings, every value checked.

        Raises:
            SettingsError: A value cannot be used; the message names the option.
            TypeError: A name in `arguments` is no setting.
        """
        environ = os.environ if environ is None else environ
        unknown = [name for name in arguments if name not in cls.names()]
        if unknown:
            raise TypeError(f"unexpected keyword argument {unknown[0]!r}")
        values: dict[str, Any] = {}
        for item in fields(cls):
            variable = ENV_PREFIX + item.name.upper()
            if arguments.get(item.name) is not None:
                values[item.name] = check(item.name, arguments[item.name])
            elif environ.get(variable, "").strip():
                values[item.name] = check(item.name, environ[variable], label=variable, source="environment")
            elif fallbacks is not None and fallbacks.get(item.name) is not None:
                values[item.name] = check(item.name, fallbacks[item.name], source="config")
        settings = cls(**values)
        if settings.max_request_line > settings.max_head:
            raise SettingsError(
                f"max_request_line ({settings.max_request_line}) cannot be more than max_head ({settings.max_head})"
            )
        if settings.proxy_protocol and settings.trusted_proxies is None:
            raise SettingsError("proxy_protocol needs trusted_proxies: anybody could send it")
        return settings

    def for_core(self) -> dict[str, object]:
        """Give what one reactor reads.

        Returns:
            Names and values; `max_connections` and `max_waiting` are this reactor's share.
        """
        values: dict[str, object] = {
            item.name: getattr(self, item.name) for item in fields(self) if item.metadata["core"]
        }
        for name in ("max_connections", "max_waiting"):
            values[name] = max(1, getattr(self, name) // self.threads)
        if self.busy_poll is None:
            # Threads that share an interpreter have each other to wait for, and the core to give away.
            values["busy_poll"] = BUSY_POLL if self.threads == 1 else 0.0
        return values


def check(name: str, value: Any, *, label: str | None = None, source: str = "argument") -> Any:
    """Check one value and bring it into its type.

    Args:
        name: The setting.
        value: What was given; text is parsed.
        label: What the message calls the option; the name by default.
        source: Where the value came from, for the error.

    Returns:
        The value in the setting's type.

    Raises:
        SettingsError: The value cannot be used.
    """
    rule = _RULES[name]
    label = label or name
    try:
        if rule["optional"] and isinstance(value, str) and value.strip().lower() == "none":
            return None
        parsed = parse(value, rule)
        if rule["kind"] == "list":
            _check_list(name, parsed)
        return parsed
    except ValueError as error:
        raise SettingsError(f"{label}: {error}, not {shown(value)}", source) from None


def _check_list(name: str, text: str) -> None:
    # What an address is, and a host, is known where requests are read.
    from bustapi._core import check_setting

    try:
        check_setting(name, text)
    except ValueError as error:
        raise ValueError(str(error).partition(" ")[2]) from None


_RULES: dict[str, Mapping[str, Any]] = {item.name: item.metadata for item in fields(Settings)}
