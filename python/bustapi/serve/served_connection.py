"""What the test clients of streams and of WebSockets share: a connection to a server that may be theirs to start."""

from __future__ import annotations

import typing as t
from http.client import HTTPConnection
from urllib.parse import quote

if t.TYPE_CHECKING:
    from collections.abc import Coroutine
    from types import TracebackType

    import typing_extensions as te

    from .live import LiveServer

_SAFE = "/:@!$&'()*+,;=~-._?%"


class Dialled(t.NamedTuple):
    """Whom to connect to, and what of the client's goes along."""

    server: LiveServer
    #: The server is started and stopped with the connection.
    owns_server: bool
    path: str
    host: str
    fields: dict[str, str]
    #: Called with the Set-Cookie values of the answer.
    keep_cookies: t.Callable[[list[str]], None]
    #: Seconds that anything may take.
    timeout: float


class ServedConnection:
    """A connection for the time of a `with` block; used outside of one, it raises `RuntimeError`.

    Args:
        dialled: Where to.
    """

    def __init__(self, dialled: Dialled) -> None:
        self._dialled = dialled
        self._timeout = dialled.timeout

    def __enter__(self) -> te.Self:
        if self._dialled.owns_server:
            self._dialled.server.start()
        try:
            self._open()
        except BaseException:
            if self._dialled.owns_server:
                self._dialled.server.stop()
            raise
        return self

    def __exit__(
        self, exc_type: type | None, exc_value: BaseException | None, tb: TracebackType | None
    ) -> None:
        try:
            self._leave(exc_type is not None)
        finally:
            if self._dialled.owns_server:
                self._dialled.server.stop(drain=exc_type is None)

    def _unopened(self) -> RuntimeError:
        """What is raised where the block was not entered."""
        return RuntimeError("The client opens its connection with its 'with' block, and is used within that.")

    def _open(self) -> None:
        raise NotImplementedError

    def _leave(self, failed: bool) -> None:
        raise NotImplementedError

    def _request(self, method: str, fields: t.Mapping[str, str]) -> HTTPConnection:
        """Send the head of a request."""
        dialled = self._dialled
        connection = HTTPConnection("127.0.0.1", dialled.server.port, timeout=dialled.timeout)
        target = quote(dialled.path, safe=_SAFE)
        connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
        for name, value in {"Host": dialled.host, **fields}.items():
            connection.putheader(name, value.encode())
        connection.endheaders()
        return connection

    def _keep_cookies(self, fields: list[tuple[str, str]]) -> None:
        self._dialled.keep_cookies([value for name, value in fields if name.lower() == "set-cookie"])


def run_serving(coroutine: Coroutine[t.Any, t.Any, None]) -> None:
    """Run a coroutine on an event loop of this thread, made as a server's, on which connections are served meanwhile.

    In this folder, since the watch shows a stack from the server's last file on (`watch.visible`).

    Args:
        coroutine: The coroutine; what else is on the loop at its end is cancelled.

    Raises:
        BaseException: What it raises.
    """
    import asyncio  # a client of plain views needs none

    from ..kernel.pieces import end_loop
    from .guest import new_loop, run_guarded

    loop = new_loop("auto")
    try:
        asyncio.set_event_loop(loop)
        run_guarded(loop, coroutine)
    finally:
        asyncio.set_event_loop(None)
        end_loop(loop)
