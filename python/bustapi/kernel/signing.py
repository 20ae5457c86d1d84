"""Signed session cookies in the core, for the interface that both dialects' sessions have with it."""

from __future__ import annotations

import typing as t
from functools import lru_cache

from .._core import CookieSigner as CookieSigner


@lru_cache(maxsize=64)
def cookie_signer(salt: str | bytes, keys: tuple[str | bytes, ...]) -> CookieSigner:
    """Return the signer of these keys; deriving them is what a signature costs most.

    Args:
        salt: Sets the signatures apart from others made with the same keys.
        keys: Secret keys, oldest first; the last one signs.
    """
    return CookieSigner([_octets(key) for key in keys], _octets(salt))


def timestamp() -> int:
    """Return the time that signatures carry, from the class that tests replace it on."""
    global _stamp
    if _stamp is None:
        from itsdangerous import TimestampSigner

        _stamp = TimestampSigner
    return _stamp.get_timestamp(None)  # type: ignore[no-any-return]


_stamp: t.Any = None


def _octets(text: str | bytes) -> bytes:
    return text.encode() if isinstance(text, str) else text
