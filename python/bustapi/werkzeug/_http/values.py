"""Parsing of header values that are lists and parameters.

Parsers never raise on what a client sent: a broken value reads as missing, or its broken part is left out. Every one
is linear in the length of its input. The data structures they return are imported when a parser is first called,
because those import `http`.
"""

from __future__ import annotations

import re
import typing as t
from urllib.parse import unquote

from .quoting import dump_options_header, unquote_header_value

if t.TYPE_CHECKING:
    from .. import datastructures as ds
    from ..datastructures.cache_control import _CacheControl

    Updated = t.Optional[t.Callable[[t.Any], None]]

# RFC 9110 5.6.2
_TOKEN = r"[\w!#$%&'*+\-.^`|~]+"

_list_item = re.compile(r'(?:[^",]+|"(?:[^"\\]|\\.)*")*', re.DOTALL)


def parse_list_header(value: str) -> list[str]:
    """Split a comma-separated list. Commas in quoted strings do not split; quotes around a whole item are removed.

    An unclosed quote makes the whole list empty.
    """
    if '"' not in value:
        return [item for item in (part.strip(" \t") for part in value.split(",")) if item]
    items = []
    position, length = 0, len(value)
    while position <= length:
        found = _list_item.match(value, position)
        item = "" if found is None else found.group().strip(" \t")
        if item:
            items.append(unquote_header_value(item))
        position = length if found is None else found.end()
        if position < length and value[position] != ",":
            return []
        position += 1
    return items


_CHARSETS = frozenset(("ascii", "us-ascii", "utf-8", "iso-8859-1"))
_charset_part = re.compile(r"[\w!#$%&*+\-.^`|~]*", re.ASCII)
_encoded_part = re.compile(_TOKEN, re.ASCII)


def _split_charset(value: str) -> tuple[str | None, str]:
    """Split `charset'language'value` of RFC 8187; the charset is None if the value has another form."""
    parts = value.split("'", 2)
    if (
        len(parts) == 3
        and _charset_part.fullmatch(parts[0])
        and _charset_part.fullmatch(parts[1])
        and _encoded_part.fullmatch(parts[2])
    ):
        return parts[0].lower(), parts[2]
    return None, value


def _decode_charset(value: str, charset: str | None) -> str:
    # Only charsets that cannot fail or do harm; a client names any codec Python has otherwise.
    return unquote(value, encoding=charset) if charset in _CHARSETS else value


def parse_dict_header(value: str) -> dict[str, str | None]:
    """Parse a list of `key=value`; the value of a key alone is None."""
    result: dict[str, str | None] = {}
    for item in parse_list_header(value):
        key, equals, text = item.partition("=")
        key = key.strip(" \t")
        if not key:
            continue
        if not equals:
            result[key] = None
            continue
        text = text.strip(" \t")
        if key[-1] == "*":
            key = key[:-1]
            charset, text = _split_charset(text)
            text = _decode_charset(text, charset)
        result[key] = unquote_header_value(text)
    return result


_parameter = re.compile(
    rf"""({_TOKEN})=(?:({_TOKEN})|("(?:[^"\\]|\\[\\"]|\\(?![\\"]))*")|(")?)""",
    re.ASCII,
)


def _scan_parameters(text: str) -> t.Iterator[tuple[str, str]]:
    """Yield (lower-cased name, raw value) of `a=b; c="d"`; stop at an unclosed quote, step over other garbage."""
    position = 0
    while position < len(text):
        found = _parameter.match(text, position)
        if found is not None:
            name, token, quoted, unclosed = found.groups()
            if unclosed:
                return
            position = found.end()
            if token or quoted:
                yield name.lower(), token or quoted
        position = text.find(";", position) + 1
        if not position:
            return
        while text.startswith((" ", "\t"), position):
            position += 1


def parse_options_header(value: str | None) -> tuple[str, dict[str, str]]:
    """Parse `value; key=value; …`, with the encodings and continuations of RFC 2231 and RFC 8187.

    Args:
        value: The header; None gives `("", {})`.

    Returns:
        The value and its parameters, whose names are in lower case.
    """
    if value is None:
        return "", {}
    main, _, rest = value.partition(";")
    main = main.strip(" \t")
    rest = rest.strip(" \t")
    if not main or not rest:
        return main, {}
    options: dict[str, str] = {}
    pieces: dict[str, list[str]] = {}
    charsets: dict[str, str] = {}
    for name, raw in _scan_parameters(rest):
        encoded = name[-1] == "*"
        if encoded:
            name = name[:-1]
        stem, star, number = name.rpartition("*")
        continued = bool(star) and number.isdigit()
        if continued:
            name = stem
        charset = None
        if encoded:
            charset, text = _split_charset(raw)
            if continued and not charset:
                charset = charsets.get(name)
            text = _decode_charset(text, charset)
        else:
            # Browsers send a quote in a file name as %22 (HTML, multipart/form-data encoding algorithm).
            text = unquote_header_value(raw).replace("%22", '"')
        if not continued:
            pieces.pop(name, None)
            charsets.pop(name, None)
            options[name] = text
            continue
        options.pop(name, None)
        pieces.setdefault(name, []).append(text)
        if charset:
            charsets[name] = charset
    for name, texts in pieces.items():
        options[name] = "".join(texts)
    return main, options


_quality = re.compile(r"-?[0-9]+(?:\.[0-9]+)?")


def parse_accept_header(value: str | None, cls: t.Any = None) -> t.Any:
    """Parse an Accept-like header into `cls` (an `Accept` class); items with a broken quality are left out."""
    if cls is None:
        from ..datastructures import Accept as cls
    if not value:
        return cls(None)
    pairs: list[tuple[str, float]] = []
    for item in parse_list_header(value):
        name, options = parse_options_header(item)
        quality: float = 1
        if "q" in options:
            text = options.pop("q").strip(" \t")
            if _quality.fullmatch(text) is None:
                continue
            quality = float(text)
            if not 0 <= quality <= 1:
                continue
        pairs.append((dump_options_header(name, options) if options else name, quality))
    return cls(pairs)


def parse_cache_control_header(
    value: str | None, on_update: Updated = None, cls: type[_CacheControl] | None = None
) -> t.Any:
    """Parse Cache-Control into `cls`, `RequestCacheControl` by default."""
    if cls is None:
        from ..datastructures import RequestCacheControl as cls
    return cls(parse_dict_header(value) if value else (), on_update)  # type: ignore[misc]


def parse_csp_header(
    value: str | None, on_update: Updated = None, cls: type[ds.ContentSecurityPolicy] | None = None
) -> t.Any:
    """Parse a Content-Security-Policy; a directive without a value is left out."""
    if cls is None:
        from ..datastructures import ContentSecurityPolicy

        cls = ContentSecurityPolicy
    directives = []
    for policy in (value or "").split(";"):
        name, space, text = policy.strip(" \t").partition(" ")
        if space:
            directives.append((name.strip(" \t"), text.strip(" \t")))
    return cls(directives, on_update)


def parse_set_header(value: str | None, on_update: Updated = None) -> ds.HeaderSet:
    """Parse a comma-separated set of tokens."""
    from ..datastructures import HeaderSet

    return HeaderSet(parse_list_header(value) if value else None, on_update)
