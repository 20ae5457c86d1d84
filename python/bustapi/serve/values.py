"""Values of settings: from text or objects to the type that a setting has, within its bounds."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Callable, Union

if TYPE_CHECKING:
    from collections.abc import Mapping


def cores() -> int:
    """Count the cores this process may run on.

    Returns:
        At least 1.
    """
    affinity = getattr(os, "sched_getaffinity", None)
    if affinity is not None:
        return max(1, len(affinity(0)))
    return max(1, os.cpu_count() or 1)


def parse(value: Any, rule: Mapping[str, Any]) -> Any:
    """Bring a value into its setting's type.

    Args:
        value: What was given; text is parsed.
        rule: The setting's kind, unit, bounds and choices.

    Raises:
        ValueError: It is not such a value; the message says what one is.
    """
    return _within(_PARSERS[rule["kind"]](value, rule), rule)


def shown(value: object) -> str:
    """Return what a message shows of a value.

    Args:
        value: What was given.
    """
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _within(value: Any, rule: Mapping[str, Any]) -> Any:
    if isinstance(value, str):
        return value
    least, most = rule["least"], rule["most"]
    unit = f" {rule['unit']}" if rule["unit"] else ""
    # Written so that NaN is refused too.
    if least is not None and not value >= least:
        raise ValueError(f"must be at least {least:g}{unit}")
    if not value <= (most if most is not None else 2**53):
        raise ValueError(f"must be at most {most if most is not None else 2**53:g}{unit}")
    return value


def _parse_int(value: Any, rule: Mapping[str, Any]) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        raise ValueError("must be a whole number")
    try:
        return int(value)
    except ValueError:
        raise ValueError("must be a whole number") from None


def _parse_count(value: Any, rule: Mapping[str, Any]) -> int:
    if isinstance(value, str) and value.strip().lower() == "auto":
        return cores()
    try:
        return _parse_int(value, rule)
    except ValueError:
        raise ValueError("must be a whole number or 'auto'") from None


def _parse_float(value: Any, rule: Mapping[str, Any]) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise ValueError(f"must be a number of {rule['unit']}")
    try:
        return float(value)
    except (ValueError, OverflowError):
        raise ValueError(f"must be a number of {rule['unit']}") from None


def _parse_text(value: Any, rule: Mapping[str, Any]) -> str:
    if not isinstance(value, str) or not value.strip() or any(ord(char) < 32 for char in value):
        raise ValueError("must be a name or an address")
    return value.strip()


def _parse_choice(value: Any, rule: Mapping[str, Any]) -> str:
    if not isinstance(value, str) or value.strip().lower() not in rule["choices"]:
        raise ValueError(f"must be one of {', '.join(rule['choices'])}")
    return value.strip().lower()


def _parse_flag(value: Any, rule: Mapping[str, Any]) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.strip().lower() in _FLAGS:
        return _FLAGS[value.strip().lower()]
    raise ValueError("must be true or false")


def _parse_list(value: Any, rule: Mapping[str, Any]) -> str:
    """Text as it is, and any iterable of items: the core reads what is in it."""
    if isinstance(value, bool):
        raise ValueError("must be a list")
    if isinstance(value, int):
        value = str(value)
    elif not isinstance(value, str):
        try:
            value = ", ".join(str(item) for item in value)
        except TypeError:
            raise ValueError("must be a list") from None
    if not value.strip() or any(ord(char) < 32 for char in value):
        raise ValueError("must be a list")
    return str(value).strip()


_FLAGS = {
    "1": True,
    "true": True,
    "yes": True,
    "on": True,
    "0": False,
    "false": False,
    "no": False,
    "off": False,
}

_Parser = Callable[[Any, "Mapping[str, Any]"], Union[int, float, str, bool]]

_PARSERS: dict[str, _Parser] = {
    "int": _parse_int,
    "count": _parse_count,
    "float": _parse_float,
    "text": _parse_text,
    "choice": _parse_choice,
    "flag": _parse_flag,
    "list": _parse_list,
}
