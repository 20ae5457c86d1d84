"""Password hashes and safe paths."""

from __future__ import annotations

import os
import posixpath

SALT_CHARS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
DEFAULT_PBKDF2_ITERATIONS = 1_000_000
# RFC 7914 parameters: CPU/memory cost, block size, parallelisation.
_DEFAULT_SCRYPT = (2**15, 8, 1)

_os_alt_seps: list[str] = [sep for sep in (os.sep, os.altsep) if sep is not None and sep != "/"]
# Windows opens the device whatever directory or extension the name has.
_windows_device_files = frozenset(
    {"AUX", "CON", "CONIN$", "CONOUT$", "NUL", "PRN"}
    | {f"{port}{digit}" for port in ("COM", "LPT") for digit in "123456789¹²³"}
)


def gen_salt(length: int) -> str:
    """Return a random salt.

    Raises:
        ValueError: The length is under 1.
    """
    if length < 1:
        raise ValueError("Salt length must be at least 1.")
    from secrets import choice

    return "".join(choice(SALT_CHARS) for _ in range(length))


def _hash_internal(method: str, salt: str, password: str) -> tuple[str, str]:
    """Return the hash in hex and the method with all its parameters spelled out."""
    import hashlib

    name, *args = method.split(":")
    if name == "scrypt":
        try:
            n, r, p = [int(arg) for arg in args] if args else _DEFAULT_SCRYPT
        except ValueError:
            raise ValueError("'scrypt' takes 3 arguments.") from None
        digest = hashlib.scrypt(password.encode(), salt=salt.encode(), n=n, r=r, p=p, maxmem=132 * n * r * p)
        return digest.hex(), f"scrypt:{n}:{r}:{p}"
    if name == "pbkdf2":
        if len(args) > 2:
            raise ValueError("'pbkdf2' takes 2 arguments.")
        hash_name = args[0] if args else "sha256"
        iterations = int(args[1]) if len(args) == 2 else DEFAULT_PBKDF2_ITERATIONS
        digest = hashlib.pbkdf2_hmac(hash_name, password.encode(), salt.encode(), iterations)
        return digest.hex(), f"pbkdf2:{hash_name}:{iterations}"
    raise ValueError(f"Invalid hash method '{name}'.")


def generate_password_hash(password: str, method: str = "scrypt", salt_length: int = 16) -> str:
    """Hash a password for storage.

    Args:
        password: The password.
        method: `scrypt[:n:r:p]` or `pbkdf2[:hash[:iterations]]`.
        salt_length: Characters of salt.

    Returns:
        `method$salt$hash`.

    Compatible with: werkzeug.security.generate_password_hash (3.1)
    """
    salt = gen_salt(salt_length)
    digest, spelled = _hash_internal(method, salt, password)
    return f"{spelled}${salt}${digest}"


def check_password_hash(pwhash: str, password: str) -> bool:
    """Tell whether a password belongs to a hash of `generate_password_hash`, in constant time."""
    method, *rest = pwhash.split("$", 2)
    if len(rest) != 2:
        return False
    from hmac import compare_digest

    salt, expected = rest
    return compare_digest(_hash_internal(method, salt, password)[0], expected)


def _is_device(path: str) -> bool:
    """Tell whether any part of a path names a Windows device."""
    return any(
        part.partition(":")[0].partition(".")[0].strip().upper() in _windows_device_files
        for part in path.split("/")
    )


def safe_join(directory: str, *untrusted: str) -> str | None:
    """Join untrusted parts below a directory.

    Args:
        directory: The trusted base.
        *untrusted: Parts that must not lead out of it.

    Returns:
        The path, or None if a part would escape or names a device.
    """
    path = directory or "."
    for part in untrusted:
        if not part:
            continue
        part = posixpath.normpath(part)
        if part.startswith(("/", "../")) or os.path.isabs(part) or part == "..":
            return None
        if any(sep in part for sep in _os_alt_seps) or (os.name == "nt" and _is_device(part)):
            return None
        path = posixpath.join(path, part)
    return path
