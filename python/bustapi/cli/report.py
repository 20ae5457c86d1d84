"""What `bustapi check` finds out: loads an application and looks at everything that decides how it runs."""

from __future__ import annotations

import os
import sys
import traceback
import warnings
from typing import TYPE_CHECKING, Any

from bustapi.bridge import BridgeWarning, enable
from bustapi.flask._native.explaining import Reason, explain
from bustapi.flask.app import Flask
from bustapi.serve.errors import ServeError

from . import locate as locating

if TYPE_CHECKING:
    from collections.abc import Iterator

_HOOKS = (
    "before_request_funcs",
    "after_request_funcs",
    "teardown_request_funcs",
    "url_value_preprocessors",
    "url_default_functions",
    "template_context_processors",
)
#: Those that a request with the fast path does not pay for, whoever registers them.
_FREE_HOOKS = ("url_default_functions", "template_context_processors")


class Report:
    """How an application will run.

    Args:
        application: What was asked for.
    """

    def __init__(self, application: str) -> None:
        self.application = application
        self.error: str | None = None
        #: What has no counterpart here.
        self.problems: list[dict[str, Any]] = []
        self.routes: list[dict[str, Any]] = []
        self.hooks: list[dict[str, Any]] = []
        self.extensions: list[dict[str, Any]] = []

    def counts(self) -> dict[str, int]:
        """Return the number of routes by verdict."""
        found = dict.fromkeys(("native", "pipeline", "unsupported"), 0)
        for route in self.routes:
            found[route["verdict"]] += 1
        return found

    def exit_code(self, require_native: bool = False) -> int:
        """Return the exit code of the command.

        Args:
            require_native: Whether a route with the full pipeline is a failure.
        """
        counts = self.counts()
        if self.problems or counts["unsupported"]:
            return 1
        if self.error:
            return 2
        return 1 if require_native and counts["pipeline"] else 0

    def as_json(self) -> dict[str, Any]:
        """Return the report as plain data."""
        return {**vars(self), "counts": self.counts()}


def examine(named: str | None) -> Report:
    """Load an application and report on it.

    Args:
        named: As for `bustapi run`.
    """
    enable()
    report = Report(named or "the application of this folder")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", BridgeWarning)
        app = _load(named, report)
    for warning in caught:
        if issubclass(warning.category, BridgeWarning):
            report.problems.append({"text": str(warning.message)})
    if app is not None:
        _look_at(app, report)
    return report


def _load(named: str | None, report: Report) -> Any:
    shown: list[tuple[BaseException, str]] = []
    former = locating._show
    # The traceback of a module that fails is the report's to tell.
    locating._show = lambda error, name: shown.append((error, name))
    try:
        app = locating.locate(named)
    except ServeError as error:
        report.error = str(error)
        for cause, _ in shown:
            report.error = f"{type(cause).__name__}: {cause}"
            _blame(cause, report)
        return None
    finally:
        locating._show = former
    if not isinstance(app, Flask):
        report.error = f"this is a {type(app).__module__}.{type(app).__qualname__}, not a Flask application"
        return None
    return app


def _blame(cause: BaseException, report: Report) -> None:
    """An import that fails because we lack the module or name is our problem, not the application's."""
    name = getattr(cause, "name", None)
    if not isinstance(cause, ImportError) or not isinstance(name, str):
        return
    if name.partition(".")[0] not in ("flask", "werkzeug") and not name.startswith(
        ("bustapi.flask", "bustapi.werkzeug")
    ):
        return
    frames = [
        frame for frame in traceback.extract_tb(cause.__traceback__) if "importlib" not in frame.filename
    ]
    own = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    outside = [frame for frame in frames if not os.path.abspath(frame.filename).startswith(own)]
    last = outside[-1] if outside else None
    problem: dict[str, Any] = {"text": str(cause)}
    if last is not None:
        problem.update(file=_short(last.filename), line=last.lineno)
    report.problems.append(problem)


def _look_at(app: Flask, report: Report) -> None:
    blamed: dict[str, list[dict[str, Any]]] = {}
    for rule in app.url_map.iter_rules():
        way = explain(app, rule)
        view = app.view_functions.get(rule.endpoint)
        reasons = [_reason(reason) for reason in way.reasons]
        report.routes.append(
            {
                "rule": rule.rule,
                "endpoint": str(rule.endpoint),
                "methods": sorted((rule.methods or {"GET"}) - {"HEAD", "OPTIONS"}) or ["OPTIONS"],
                "verdict": way.verdict,
                "mode": way.mode,
                **_where(Reason("", view)),
                "reasons": reasons,
            }
        )
        for reason in way.reasons if way.verdict == "pipeline" else ():
            package = (getattr(reason.function, "__module__", None) or "").partition(".")[0]
            entry = _reason(reason)
            if entry not in blamed.setdefault(package, []):
                blamed[package].append(entry)
    report.hooks.extend(_hooks(app))
    for key, value in _extensions(app):
        cls = type(value)
        package = _package(value)
        reasons = blamed.get(package, [])
        report.extensions.append(
            {
                "name": key,
                "class": f"{cls.__module__}.{cls.__qualname__}",
                "version": _version(package),
                "verdict": "pipeline" if reasons else "native",
                "reasons": reasons,
            }
        )


def _extensions(app: Flask) -> Iterator[tuple[str, Any]]:
    """Yield what calls itself an extension, and what other packages for Flask left on the application."""
    seen = set()
    for key, value in app.extensions.items():
        seen.add(_package(value))
        yield key, value
    for key, value in vars(app).items():
        package = _package(value)
        if package not in seen and _requires_flask(package):
            seen.add(package)
            yield key, value


def _requires_flask(package: str) -> bool:
    from importlib import metadata

    try:
        required = metadata.requires(package.replace("_", "-")) or ()
    except (metadata.PackageNotFoundError, ValueError):
        return False
    # Its tests may need it where it does not.
    return any(item.lower().startswith("flask") and "extra ==" not in item for item in required)


def _hooks(app: Flask) -> Iterator[dict[str, Any]]:
    for registry in _HOOKS:
        for blueprint, functions in getattr(app, registry).items():
            for function in functions:
                if (getattr(function, "__module__", "") or "").startswith("bustapi."):
                    continue
                yield _hook(registry.replace("_funcs", ""), blueprint, function, registry not in _FREE_HOOKS)
    for function in app.teardown_appcontext_funcs:
        yield _hook("teardown_appcontext", None, function, True)


def _hook(kind: str, blueprint: str | None, function: Any, counts: bool) -> dict[str, Any]:
    import inspect

    plain = kind in ("before_request", "after_request", "teardown_request")
    native = not counts or (plain and not inspect.iscoroutinefunction(function))
    name = getattr(function, "__qualname__", type(function).__qualname__)
    return {
        "kind": kind,
        "blueprint": blueprint,
        "name": name if blueprint is None else f"{name} (blueprint {blueprint})",
        "verdict": "native" if native else "pipeline",
        **_where(Reason("", function)),
    }


def _reason(reason: Reason) -> dict[str, Any]:
    return {"text": reason.text, **_where(reason)}


def _where(reason: Reason) -> dict[str, Any]:
    file, line = reason.place
    return {"file": None if file is None else _short(file), "line": line}


def _short(path: str) -> str:
    """Return a path as seen from here, or from the folder of the installed packages."""
    full = os.path.abspath(path)
    for folder in (os.getcwd(), *sorted(map(os.path.abspath, sys.path), key=len, reverse=True)):
        if full.startswith(folder + os.sep):
            return full[len(folder) + 1 :]
    return path


def _package(value: Any) -> str:
    # An extension may keep a dict of its own instead of an object.
    candidates = value.values() if isinstance(value, dict) else (value,)
    for candidate in candidates:
        package = type(candidate).__module__.partition(".")[0]
        if package != "builtins":
            return str(package)
    return ""


def _version(package: str) -> str | None:
    from importlib import metadata

    try:
        return metadata.version(package.replace("_", "-"))
    except (metadata.PackageNotFoundError, ValueError):
        return None
