"""Binding: which sockets a server listens on, and how threads and processes share them.

The first bind of an address is exclusive, so that a second server on the port fails instead of taking half of the
connections. On Linux the bound socket is then opened for members (SO_REUSEPORT set after the bind): each reactor has
its own accept queue and the kernel spreads connections over them. Elsewhere, and on unix sockets, all share one.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import stat
import sys
from typing import TYPE_CHECKING

from .errors import ServeError

if TYPE_CHECKING:
    from bustapi._core import Listener

    from .settings import Settings

UNIX_PREFIX = "unix:"


class Bound:
    """The listeners of a server, one group for each reactor of each worker.

    Args:
        groups: `groups[slot][thread]` is the list of listeners of one reactor.
        path: The file of a unix socket, which `close` removes.
    """

    def __init__(self, groups: list[list[list[Listener]]], path: str | None = None) -> None:
        self.groups = groups
        #: The addresses as the system gave them, each once, in order of binding. Noted, since a reactor takes its
        #: listeners over.
        self.addresses = list(dict.fromkeys(listener.address for listener in groups[0][0]))
        self._path = path
        self._inode = _inode(path) if path else None

    def release(self) -> None:
        """Close every listener. Other processes that inherited one keep it."""
        for slot in self.groups:
            for group in slot:
                for listener in group:
                    listener.close()

    def close(self) -> None:
        """Close every listener and remove the unix socket's file, if it is still ours."""
        self.release()
        if self._path is not None and self._inode is not None and _inode(self._path) == self._inode:
            with contextlib.suppress(OSError):
                os.unlink(self._path)


def bind(settings: Settings) -> Bound:
    """Bind what the settings ask for.

    Args:
        settings: `host`, `port`, `backlog`, `workers` and `threads` are read.

    Returns:
        The listeners, one group for each reactor of each worker.

    Raises:
        ServeError: The address is in use, not ours, not known or not allowed.
    """
    path = unix_path(settings.host)
    if path is not None:
        return _bind_unix(path, settings)
    return _bind_tcp(settings)


def unix_path(host: str) -> str | None:
    """Tell the path of a unix socket from a host.

    Args:
        host: ``unix:/path``, ``unix:///path``, or a name or address.

    Returns:
        The absolute path, or None for TCP.
    """
    if not host.startswith(UNIX_PREFIX):
        return None
    path = host[len(UNIX_PREFIX) :]
    if path.startswith("//"):
        path = path[2:]
    if not path:
        raise ServeError(f"host: {host!r} names no path; write unix:/path/to/socket")
    return os.path.abspath(path)


def url(address: str) -> str:
    """Write an address as a URL.

    Args:
        address: As a listener gives it.

    Returns:
        ``http://127.0.0.1:5000``, or the address itself for a unix socket.
    """
    return address if address.startswith(UNIX_PREFIX) else f"http://{address}"


def _bind_tcp(settings: Settings) -> Bound:
    from bustapi._core import Listener

    host, port = settings.host.strip("[]"), settings.port
    try:
        first = Listener.bind(host, port, backlog=settings.backlog)
    except (OSError, ValueError, OverflowError) as error:
        raise ServeError(_reason(error, host, port)) from None
    groups = [[list(first) for _ in range(settings.threads)] for _ in range(settings.workers)]
    if settings.workers * settings.threads == 1:
        return Bound(groups)
    members = _can_have_members(first)
    try:
        for slot in range(settings.workers):
            for thread in range(settings.threads):
                if slot == thread == 0:
                    continue
                groups[slot][thread] = [
                    _member(listener, settings.backlog) if members else listener.duplicate()
                    for listener in first
                ]
    except OSError as error:
        for listener in first:
            listener.close()
        raise ServeError(_reason(error, host, port)) from None
    return Bound(groups)


def _bind_unix(path: str, settings: Settings) -> Bound:
    from bustapi._core import Listener

    _clear_stale(path)
    try:
        first = Listener.bind_unix(path, backlog=settings.backlog)
    except (OSError, ValueError) as error:
        raise ServeError(_reason(error, UNIX_PREFIX + path, None)) from None
    groups = [
        [[first if slot == thread == 0 else first.duplicate()] for thread in range(settings.threads)]
        for slot in range(settings.workers)
    ]
    return Bound(groups, path)


def _can_have_members(first: list[Listener]) -> bool:
    """Open the exclusively bound sockets for members; False where the system has no such thing."""
    if not sys.platform.startswith("linux"):
        # BSD and macOS have the option, but do not spread connections over the members.
        return False
    try:
        for listener in first:
            with socket.socket(fileno=os.dup(listener.fileno())) as handle:
                handle.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    except OSError:
        return False
    return True


def _member(listener: Listener, backlog: int) -> Listener:
    """Bind one more socket to a listener's own address: the number the system chose, not the name asked for."""
    from bustapi._core import Listener as Core

    host, _, port = listener.address.rpartition(":")
    return Core.bind(host.strip("[]"), int(port), backlog=backlog, reuse_port=True)[0]


def _clear_stale(path: str) -> None:
    """Remove a unix socket that nobody listens on; refuse one that somebody does, and any other file."""
    try:
        mode = os.stat(path, follow_symlinks=False).st_mode
    except OSError:
        return
    if not stat.S_ISSOCK(mode):
        raise ServeError(f"cannot listen on {UNIX_PREFIX}{path}: the file exists and is no socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(path)
        except (ConnectionRefusedError, FileNotFoundError):
            pass
        except OSError as error:
            raise ServeError(f"cannot listen on {UNIX_PREFIX}{path}: {error.strerror or error}") from None
        else:
            raise ServeError(f"cannot listen on {UNIX_PREFIX}{path}: another server is listening there")
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)


def _inode(path: str) -> tuple[int, int] | None:
    try:
        found = os.stat(path, follow_symlinks=False)
    except OSError:
        return None
    return found.st_dev, found.st_ino


_REASONS = {
    errno.EADDRINUSE: "the address is in use by another program; stop it or choose another port",
    errno.EACCES: "permission denied; ports below 1024 need privileges",
    errno.EADDRNOTAVAIL: "the address does not belong to this machine",
}


def _reason(error: Exception, host: str, port: int | None) -> str:
    where = host if port is None else f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    code = error.errno if isinstance(error, OSError) else None
    if code == errno.EACCES and port is None:
        text: object = "permission denied"
    elif code in _REASONS:
        text = _REASONS[code]
    else:
        # Resolver failures have no errno of their own on the Rust side; their text is the reason.
        text = (error.strerror if isinstance(error, OSError) else None) or error
    return f"cannot listen on {where}: {' '.join(str(text).split())}"
