"""Writing of header values: tokens, quoted strings, and lists and parameters of them."""

from __future__ import annotations

import re
import typing as t

if t.TYPE_CHECKING:
    from .. import datastructures as ds

# RFC 9110 5.6.2
_token_chars = frozenset("!#$%&'*+-.0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ^_`abcdefghijklmnopqrstuvwxyz|~")


def quote_header_value(value: t.Any, allow_token: bool = True) -> str:
    """Return a value as a quoted string, or bare if it is a token and `allow_token` is set."""
    text = str(value)
    if text and allow_token and _token_chars.issuperset(text):
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


_escaped_char = re.compile(r"\\(.)", re.ASCII)


def unquote_header_value(value: str) -> str:
    """Undo `quote_header_value`; what is not quoted is returned as it is."""
    if len(value) < 2 or value[0] != '"' or value[-1] != '"':
        return value
    inner = value[1:-1]
    return _escaped_char.sub(r"\1", inner) if "\\" in inner else inner


def _dump_param(key: str, value: t.Any) -> str:
    # RFC 8187: the value of `key*` is encoded already and is never quoted.
    return f"{key}={value if key[-1:] == '*' else quote_header_value(value)}"


def dump_options_header(header: str | None, options: t.Mapping[str, t.Any]) -> str:
    """Write `value; key=value; …`. Options that are None are left out.

    Args:
        header: The value; None writes the options alone.
        options: The parameters.
    """
    segments = [] if header is None else [header]
    segments += [_dump_param(key, value) for key, value in options.items() if value is not None]
    return "; ".join(segments)


def dump_header(iterable: dict[str, t.Any] | t.Iterable[t.Any]) -> str:
    """Write a comma-separated list, of `key=value` for a dict (the key alone if the value is None)."""
    if isinstance(iterable, dict):
        return ", ".join(key if value is None else _dump_param(key, value) for key, value in iterable.items())
    return ", ".join(map(quote_header_value, iterable))


def dump_csp_header(header: ds.ContentSecurityPolicy) -> str:
    """Write a Content-Security-Policy value."""
    return "; ".join(f"{directive} {value}" for directive, value in header.items())
