"""What the keywords of Flask's `run` and Werkzeug's `run_simple` mean here.

Each is taken over, mapped to a setting, refused with a word on what to use, or unknown and a TypeError. None is
dropped in silence. Keywords that only qualify the reloader or the debugger (`extra_files`, `use_evalex`, ...) have no
effect without them, in Werkzeug as here, and are covered by their line.
"""

from __future__ import annotations

from typing import Any

from .errors import ServeError, SettingsError
from .settings import Settings

_QUALIFIERS = frozenset(
    {"use_evalex", "extra_files", "exclude_patterns", "reloader_interval", "reloader_type"}
)

_REFUSED = {
    "request_handler": "the HTTP server is native and has no handler class; log requests in an after_request hook",
    "static_files": "give the application a static_folder or a route",
    "passthrough_errors": "an exception never leaves the server; set PROPAGATE_EXCEPTIONS and use the test client",
    "ssl_context": "TLS is not supported yet; put a TLS proxy in front",
}

_TOOLS = ("use_reloader", "use_debugger")

_KNOWN = _QUALIFIERS | _REFUSED.keys() | {*_TOOLS, "threaded", "processes"}


def split(options: dict[str, Any], *, caller: str, threaded: bool) -> tuple[dict[str, Any], list[str]]:
    """Turn keywords into settings.

    Args:
        options: The keywords, Werkzeug's and ours mixed.
        caller: The function's name, for the TypeError.
        threaded: The default of `threaded` in that function.

    Returns:
        Arguments for `Settings.resolve`, and lines to print where there are no development tools.

    Raises:
        TypeError: A keyword is unknown.
        ServeError: A keyword asks for something that is not there.
        SettingsError: Two keywords contradict each other.
    """
    names = Settings.names()
    for name in options:
        if name not in names and name not in _KNOWN:
            raise TypeError(f"{caller}() got an unexpected keyword argument {name!r}")
    for name, instead in _REFUSED.items():
        if options.get(name):
            raise ServeError(f"{name}: {instead}")
    settings = {name: value for name, value in options.items() if name in names and value is not None}
    _map_processes(options.get("processes"), settings)
    if not options.get("threaded", threaded):
        _serialise(settings)
    return settings, _notes(options)


def _map_processes(processes: Any, settings: dict[str, Any]) -> None:
    if processes is None:
        return
    if isinstance(processes, bool) or not isinstance(processes, int) or processes < 1:
        raise SettingsError(f"processes: must be a whole number of at least 1, not {processes!r}")
    if processes == 1:
        # The default of `run_simple`, which says nothing.
        return
    if settings.get("workers", processes) != processes:
        raise SettingsError(
            f"processes={processes} contradicts workers={settings['workers']!r}; give workers alone"
        )
    settings["workers"] = processes


def _serialise(settings: dict[str, Any]) -> None:
    """threaded=False promises that no two views run at once in a process: one thread, and no pool."""
    for name, alone in (("threads", 1), ("pool_threads", 0)):
        if str(settings.setdefault(name, alone)).strip() != str(alone):
            raise SettingsError(f"{name}={settings[name]!r} needs threaded=True")


def tools(options: dict[str, Any]) -> dict[str, Any]:
    """Pick the keywords of the development tools.

    Args:
        options: As for `split`.

    Returns:
        Those that concern the reloader and the debugger; empty if neither is asked for.
    """
    if not any(options.get(name) for name in _TOOLS):
        return {}
    return {name: value for name, value in options.items() if name in _QUALIFIERS or name in _TOOLS}


def _notes(options: dict[str, Any]) -> list[str]:
    asked = [name for name in _TOOLS if options.get(name)]
    if not asked:
        return []
    return [
        f"{' and '.join(asked)}: not available here; use app.run() or bustapi.werkzeug.serving.run_simple()"
    ]
