"""Where a view runs: the choices, and what the server says when it changes its mind."""

from __future__ import annotations

import typing as t

from .plan import locate

#: What a route, an application or `run()` can ask for.
Execution = t.Literal["auto", "inline", "pool"]

EXECUTIONS: tuple[Execution, ...] = ("auto", "inline", "pool")

#: The name of the logger that tells of views that block.
LOGGER = "bustapi.execution"


def check_execution(value: t.Any) -> t.Any:
    """Return a choice as it is.

    Args:
        value: One of `EXECUTIONS`, or None for no choice.

    Raises:
        ValueError: It is something else.
    """
    if value is not None and value not in EXECUTIONS:
        raise ValueError(f"execution must be one of {', '.join(map(repr, EXECUTIONS))}, not {value!r}.")
    return value


def check_seconds(name: str, value: t.Any) -> float | None:
    """Return a time in seconds as a float.

    Args:
        name: What the time is called, for the error.
        value: A number above zero, or None for no bound.

    Raises:
        ValueError: It is something else.
    """
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not value > 0:
        raise ValueError(f"{name} must be a number of seconds above zero, not {value!r}.")
    return float(value)


def warn(message: str, *args: object) -> None:
    """Log a warning; without any handler it goes to stderr.

    Args:
        message: The text.
        args: What its placeholders stand for.
    """
    import logging  # an application that never blocks does not need it

    logging.getLogger(LOGGER).warning(message, *args)


def tell_demotion(app: t.Any, rule: t.Any, view: t.Any, times: list[float], calls: int, needed: int) -> None:
    """Log that a route's view has blocked too often to be called on a reactor's thread.

    Args:
        app: The application.
        rule: The route.
        view: Its view.
        times: How long the calls took that blocked, in seconds.
        calls: Among how many calls they were.
        needed: Short calls in a row that would bring the route back.
    """
    file, line = locate(view)
    where = f" ({file}:{line})" if file else ""
    warn(
        "%s%s waited in %d of %d calls (%s): it runs in the pool until %d calls in a row were short",
        getattr(rule, "rule", None) or "a request without a route",
        where,
        len(times),
        calls,
        ", ".join(f"{seconds * 1000:.1f} ms" for seconds in times),
        needed,
    )
