"""Parsing and writing of HTTP header values.

Parsers never raise on what a client sent: a broken value reads as missing, or its broken part is left out. Every one
is linear in the length of its input. The data structures they return are imported when a parser is first called,
because those import this module.
"""

from __future__ import annotations

import re
import typing as t
import warnings
from datetime import date, datetime, time, timedelta, timezone
from enum import Enum
from time import mktime, struct_time
from urllib.parse import quote, unquote

from ._internal import _dt_as_utc, _plain_int

if t.TYPE_CHECKING:
    from . import datastructures as ds
    from .datastructures.cache_control import _CacheControl

    Updated = t.Optional[t.Callable[[t.Any], None]]

_STATUS_LINES = """
100 Continue;101 Switching Protocols;102 Processing;103 Early Hints
200 OK;201 Created;202 Accepted;203 Non Authoritative Information;204 No Content;205 Reset Content
206 Partial Content;207 Multi Status;208 Already Reported;226 IM Used
300 Multiple Choices;301 Moved Permanently;302 Found;303 See Other;304 Not Modified;305 Use Proxy;306 Switch Proxy
307 Temporary Redirect;308 Permanent Redirect
400 Bad Request;401 Unauthorized;402 Payment Required;403 Forbidden;404 Not Found;405 Method Not Allowed
406 Not Acceptable;407 Proxy Authentication Required;408 Request Timeout;409 Conflict;410 Gone;411 Length Required
412 Precondition Failed;413 Request Entity Too Large;414 Request URI Too Long;415 Unsupported Media Type
416 Requested Range Not Satisfiable;417 Expectation Failed;418 I'm a teapot;421 Misdirected Request
422 Unprocessable Entity;423 Locked;424 Failed Dependency;425 Too Early;426 Upgrade Required
428 Precondition Required;429 Too Many Requests;431 Request Header Fields Too Large;449 Retry With
451 Unavailable For Legal Reasons
500 Internal Server Error;501 Not Implemented;502 Bad Gateway;503 Service Unavailable;504 Gateway Timeout
505 HTTP Version Not Supported;506 Variant Also Negotiates;507 Insufficient Storage;508 Loop Detected
510 Not Extended;511 Network Authentication Failed
"""
#: Status codes and their reason phrases.
HTTP_STATUS_CODES: dict[int, str] = {
    int(line[:3]): line[4:] for line in _STATUS_LINES.strip().replace("\n", ";").split(";")
}

# RFC 9110 5.6.2
_token_chars = frozenset("!#$%&'*+-.0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ^_`abcdefghijklmnopqrstuvwxyz|~")
_TOKEN = r"[\w!#$%&'*+\-.^`|~]+"

_entity_headers = frozenset(
    (
        "allow",
        "content-encoding",
        "content-language",
        "content-length",
        "content-location",
        "content-md5",
        "content-range",
        "content-type",
        "expires",
        "last-modified",
    )
)
_hop_by_hop_headers = frozenset(
    (
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    )
)


class COEP(Enum):
    """Cross-Origin-Embedder-Policy."""

    UNSAFE_NONE = "unsafe-none"
    REQUIRE_CORP = "require-corp"


class COOP(Enum):
    """Cross-Origin-Opener-Policy."""

    UNSAFE_NONE = "unsafe-none"
    SAME_ORIGIN_ALLOW_POPUPS = "same-origin-allow-popups"
    SAME_ORIGIN = "same-origin"


# Quoting


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


# Lists and parameters

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
        from .datastructures import Accept as cls
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
        from .datastructures import RequestCacheControl as cls
    return cls(parse_dict_header(value) if value else (), on_update)  # type: ignore[misc]


def parse_csp_header(
    value: str | None, on_update: Updated = None, cls: type[ds.ContentSecurityPolicy] | None = None
) -> t.Any:
    """Parse a Content-Security-Policy; a directive without a value is left out."""
    if cls is None:
        from .datastructures import ContentSecurityPolicy

        cls = ContentSecurityPolicy
    directives = []
    for policy in (value or "").split(";"):
        name, space, text = policy.strip(" \t").partition(" ")
        if space:
            directives.append((name.strip(" \t"), text.strip(" \t")))
    return cls(directives, on_update)


def parse_set_header(value: str | None, on_update: Updated = None) -> ds.HeaderSet:
    """Parse a comma-separated set of tokens."""
    from .datastructures import HeaderSet

    return HeaderSet(parse_list_header(value) if value else None, on_update)


# Ranges


def is_byte_range_valid(start: int | None, stop: int | None, length: int | None) -> bool:
    """Tell whether [start, stop) is a range of a resource of `length` bytes (None: unknown)."""
    if start is None or stop is None:
        return start is stop and (length is None or length >= 0)
    if not 0 <= start < stop:
        return False
    return length is None or start < length


def parse_if_range_header(value: str | None) -> ds.IfRange:
    """Parse If-Range: a date or a tag."""
    from .datastructures import IfRange

    if not value:
        return IfRange()
    when = parse_date(value)
    return IfRange(date=when) if when is not None else IfRange(unquote_etag(value)[0])


def _plain_int_or_none(text: str) -> int | None:
    try:
        return _plain_int(text)
    except ValueError:
        return None


def parse_range_header(value: str | None, make_inclusive: bool = True) -> ds.Range | None:
    """Parse Range; None if it is missing, malformed, or its parts are not in ascending order."""
    from .datastructures import Range

    if not value or "=" not in value:
        return None
    units, _, spec = value.partition("=")
    ranges: list[tuple[int, int | None]] = []
    reached: int | None = 0  # where the last part ended; None once one was open-ended
    for part in spec.split(","):
        first, dash, last = part.strip(" \t").partition("-")
        if not dash or reached is None:
            return None
        start = _plain_int_or_none(first or f"-{last}")
        stop: int | None = None
        if start is None:
            return None
        if not first:
            if start >= 0:  # `-0`: nothing, and `--5` is refused as well
                return None
        else:
            if start < reached:
                return None
            if last.strip(" \t"):
                stop = _plain_int_or_none(last)
                if stop is None or stop < start:
                    return None
                stop += 1
        reached = stop
        ranges.append((start, stop))
    return Range(units.strip(" \t").lower(), ranges)


def parse_content_range_header(value: str | None, on_update: Updated = None) -> ds.ContentRange | None:
    """Parse Content-Range; None if it is missing or malformed."""
    from .datastructures import ContentRange

    units, _, spec = (value or "").strip(" \t").partition(" ")
    part, slash, whole = spec.partition("/")
    if not slash:
        return None
    length = None if whole == "*" else _plain_int_or_none(whole)
    if whole != "*" and length is None:
        return None
    start: int | None = None
    stop: int | None = None
    if part != "*":
        first, _, last = part.partition("-")
        start, stop = _plain_int_or_none(first), _plain_int_or_none(last)
        if start is None or stop is None:
            return None
        stop += 1
    if not is_byte_range_valid(start, stop, length):
        return None
    return ContentRange(units, start, stop, length, on_update=on_update)


# Entity tags


def quote_etag(etag: str, weak: bool = False) -> str:
    """Write a tag.

    Raises:
        ValueError: The tag holds a quote.
    """
    if '"' in etag:
        raise ValueError("invalid etag")
    return f'W/"{etag}"' if weak else f'"{etag}"'


def unquote_etag(etag: str | None) -> tuple[str, bool] | tuple[None, None]:
    """Return (tag, is it weak), or (None, None) for an empty value."""
    if not etag:
        return None, None
    weak = etag[:2] in ("W/", "w/")
    tag = etag[2:] if weak else etag
    if tag[:1] == '"' and tag[-1:] == '"':
        tag = tag[1:-1]
    return tag, weak


_etag = re.compile(r'[ \t]*([Ww]/)?(?:"([^"]*)"|([^" \t,]+))[ \t]*(?:,|\Z)')


def parse_etags(value: str | None) -> ds.ETags:
    """Parse If-Match or If-None-Match."""
    from .datastructures import ETags

    if not value:
        return ETags()
    if value == "*":
        return ETags(star_tag=True)
    tags: tuple[list[str], list[str]] = ([], [])
    position = 0
    while position < len(value):
        found = _etag.match(value, position)
        if found is not None:
            weak, quoted, bare = found.groups()
            tags[bool(weak)].append(quoted or bare)
            position = found.end()
            continue
        position = value.find(",", position) + 1
        if not position:
            break
    return ETags(*tags)


def generate_etag(data: bytes) -> str:
    """Return a tag for some content."""
    from hashlib import sha1

    return sha1(data).hexdigest()


def is_resource_modified(
    environ: dict[str, t.Any],
    etag: str | None = None,
    data: bytes | None = None,
    last_modified: datetime | str | None = None,
    ignore_if_range: bool = True,
) -> bool:
    """Tell whether a conditional request is to be answered in full. See `sansio.http.is_resource_modified`."""
    from .sansio.http import is_resource_modified as decide

    return decide(
        http_range=environ.get("HTTP_RANGE"),
        http_if_range=environ.get("HTTP_IF_RANGE"),
        http_if_modified_since=environ.get("HTTP_IF_MODIFIED_SINCE"),
        http_if_none_match=environ.get("HTTP_IF_NONE_MATCH"),
        http_if_match=environ.get("HTTP_IF_MATCH"),
        etag=etag,
        data=data,
        last_modified=last_modified,
        ignore_if_range=ignore_if_range,
    )


# Dates and ages

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_imf_fixdate = re.compile(
    r"[A-Z][a-z]{2}, ([0-9]{2}) ([A-Z][a-z]{2}) ([0-9]{4}) ([0-9]{2}):([0-9]{2}):([0-9]{2}) GMT"
)


def parse_date(value: str | None) -> datetime | None:
    """Parse any of HTTP's date forms into an aware datetime; None if it is none."""
    if value is None:
        return None
    found = _imf_fixdate.fullmatch(value)
    try:
        # Everybody sends this form; the email package is not loaded for it.
        if found is not None and found[2] in _MONTHS and found[3] >= "0100":
            year, month = int(found[3]), _MONTHS.index(found[2]) + 1
            return datetime(
                year, month, int(found[1]), int(found[4]), int(found[5]), int(found[6]), tzinfo=timezone.utc
            )
        from email.utils import parsedate_to_datetime

        parsed = parsedate_to_datetime(value)
    except (TypeError, ValueError, IndexError, OverflowError):
        return None
    return parsed.replace(tzinfo=timezone.utc) if parsed.tzinfo is None else parsed


def http_date(timestamp: datetime | date | float | struct_time | None = None) -> str:
    """Write a date in HTTP's form.

    Args:
        timestamp: A datetime (naive means UTC), date, Unix time or `struct_time` (local); None means now.
    """
    if timestamp is None:
        moment = datetime.now(timezone.utc)
    elif isinstance(timestamp, datetime):
        moment = _dt_as_utc(timestamp)
    elif isinstance(timestamp, date):
        moment = datetime.combine(timestamp, time(), tzinfo=timezone.utc)
    else:
        seconds = mktime(timestamp) if isinstance(timestamp, struct_time) else timestamp
        moment = datetime.fromtimestamp(seconds, timezone.utc)
    day, month = _DAYS[moment.weekday()], _MONTHS[moment.month - 1]
    return f"{day}, {moment.day:02} {month} {moment.year:04} {moment.hour:02}:{moment.minute:02}:{moment.second:02} GMT"


def parse_age(value: str | None = None) -> timedelta | None:
    """Parse Age or another count of seconds; None if it is missing, negative or too large."""
    try:
        seconds = int(value) if value else -1
        return timedelta(seconds=seconds) if seconds >= 0 else None
    except (ValueError, OverflowError):
        return None


def dump_age(age: timedelta | int | None = None) -> str | None:
    """Write a count of seconds; None stays None.

    Raises:
        ValueError: It is negative.
    """
    if age is None:
        return None
    seconds = int(age.total_seconds() if isinstance(age, timedelta) else age)
    if seconds < 0:
        raise ValueError("age cannot be negative")
    return str(seconds)


# Header kinds


def is_entity_header(header: str) -> bool:
    """Tell whether a header describes the content."""
    return header.lower() in _entity_headers


def is_hop_by_hop_header(header: str) -> bool:
    """Tell whether a header belongs to one connection and must not be forwarded."""
    return header.lower() in _hop_by_hop_headers


def remove_entity_headers(headers: t.Any, allowed: t.Iterable[str] = ("expires", "content-location")) -> None:
    """Remove, in place, the headers that describe content, but for the allowed ones."""
    doomed = _entity_headers - {name.lower() for name in allowed}
    headers[:] = [field for field in headers if field[0].lower() not in doomed]


def remove_hop_by_hop_headers(headers: t.Any) -> None:
    """Remove, in place, the headers of the connection."""
    headers[:] = [field for field in headers if field[0].lower() not in _hop_by_hop_headers]


# Cookies


def parse_cookie(header: dict[str, t.Any] | str | None, cls: t.Any = None) -> t.Any:
    """Parse Cookie.

    Args:
        header: The header as latin-1 text, or a WSGI environ.
        cls: The class to return, `MultiDict` by default.
    """
    from .sansio.http import parse_cookie as parse

    text = header.get("HTTP_COOKIE") if isinstance(header, dict) else header
    if text and not text.isascii():
        text = text.encode("latin1", "replace").decode(errors="replace")
    return parse(text, cls)


_cookie_plain = re.compile(r"[\w!#$%&'()*+\-./:<=>?@\[\]^`{|}~]*", re.ASCII)
_cookie_unsafe = re.compile(rb'[\x00-\x1f",;\\\x7f-\xff]')


def _escape_cookie_byte(found: re.Match[bytes]) -> bytes:
    char = found.group()
    return b"\\" + char if char in b'"\\' else b"\\%03o" % ord(char)


def dump_cookie(
    key: str,
    value: str = "",
    max_age: timedelta | int | None = None,
    expires: str | datetime | float | None = None,
    path: str | None = "/",
    domain: str | None = None,
    secure: bool = False,
    httponly: bool = False,
    sync_expires: bool = True,
    max_size: int = 4093,
    samesite: str | None = None,
    partitioned: bool = False,
) -> str:
    """Write a Set-Cookie value.

    Args:
        key: The cookie's name.
        value: The cookie's value; quoted and escaped where needed.
        max_age: Seconds to live; None ends it with the browser's session.
        expires: When it ends.
        path: Below which path it is sent; None leaves it to the browser.
        domain: The domain, with its subdomains, that it is sent to.
        secure: Send over HTTPS only.
        httponly: Hide from scripts.
        sync_expires: Set `expires` from `max_age` if only that is given.
        max_size: Warn if the result is longer than this; 0 never warns.
        samesite: `Strict`, `Lax` or `None`.
        partitioned: Keep apart for each top-level site; implies `secure`.

    Raises:
        ValueError: `samesite` is something else.

    Compatible with: werkzeug.http.dump_cookie (3.1)
    """
    if path is not None and path != "/":
        path = quote(path, safe="%!$&'()*+,/:=@")
    if domain:
        domain = domain.partition(":")[0].lstrip(".").encode("idna").decode("ascii")
    if isinstance(max_age, timedelta):
        max_age = int(max_age.total_seconds())
    if expires is None:
        if max_age is not None and sync_expires:
            expires = http_date(datetime.now(timezone.utc).timestamp() + max_age)
    elif not isinstance(expires, str):
        expires = http_date(expires)
    if samesite is not None:
        samesite = samesite.title()
        if samesite not in ("Strict", "Lax", "None"):
            raise ValueError("SameSite must be 'Strict', 'Lax', or 'None'.")
    if _cookie_plain.fullmatch(value) is None:
        value = f'"{_cookie_unsafe.sub(_escape_cookie_byte, value.encode()).decode("ascii")}"'
    # A browser takes the name's bytes; a header carries them as latin-1.
    cookie = f"{key if key.isascii() else key.encode().decode('latin1')}={value}"
    for attribute, setting in (("Domain", domain), ("Expires", expires), ("Max-Age", max_age)):
        if setting is not None:
            cookie += f"; {attribute}={setting}"
    if secure or partitioned:
        cookie += "; Secure"
    if httponly:
        cookie += "; HttpOnly"
    if path is not None:
        cookie += f"; Path={path}"
    if samesite is not None:
        cookie += f"; SameSite={samesite}"
    if partitioned:
        cookie += "; Partitioned"
    if max_size and len(cookie) > max_size:
        warnings.warn(
            f"The '{key}' cookie is too large: the value was {len(value)} bytes but the header required"
            f" {len(cookie) - len(value)} extra bytes. The final size was {len(cookie)} bytes but the limit is"
            f" {max_size} bytes. Browsers may silently ignore cookies larger than this.",
            stacklevel=2,
        )
    return cookie
