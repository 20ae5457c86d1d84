"""Cookie and Set-Cookie."""

from __future__ import annotations

import re
import typing as t
import warnings
from datetime import datetime, timedelta, timezone
from urllib.parse import quote

from .dates import http_date


def parse_cookie(header: dict[str, t.Any] | str | None, cls: t.Any = None) -> t.Any:
    """Parse Cookie.

    Args:
        header: The header as latin-1 text, or a WSGI environ.
        cls: The class to return, `MultiDict` by default.
    """
    from ..sansio.http import parse_cookie as parse

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
