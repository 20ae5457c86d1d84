"""An application on a real socket, served by this process while a test runs."""

from __future__ import annotations

import threading
import typing as t

if t.TYPE_CHECKING:
    from types import TracebackType

    from ..kernel.lifespan import VirtualClock
    from .host import ThreadHost

#: How long the server's thread may take to end, in seconds.
_STOP = 10.0
#: How long the application may take to start, in seconds.
_START = 60.0


class LiveServer:
    """The server of an application on a thread of its own, on a free port of 127.0.0.1.

    Used as a context manager: it listens within the block, and what was open is cut off at its end.

    Args:
        app: The application; its `async def` views run on a loop of the thread.
        clock: Calls the application's periodic functions in place of the real time.
        settings: Settings of the server (see `bustapi.serve.settings.Settings`).

    BustAPI only.
    """

    def __init__(self, app: t.Any, *, clock: VirtualClock | None = None, **settings: t.Any) -> None:
        self.app = app
        self._clock = clock
        self.port = 0
        self._settings = settings
        self._thread: threading.Thread | None = None
        self._host: ThreadHost | None = None
        self._failure: BaseException | None = None

    @property
    def url(self) -> str:
        """Scheme, host and port."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Listen, and serve until `stop`.

        Raises:
            RuntimeError: It is serving already, or the application failed to start.
        """
        if self._thread is not None:
            raise RuntimeError("The server is running already.")
        from . import listeners
        from .application import needs_loop
        from .host import ThreadHost
        from .settings import Settings

        settings = Settings.resolve({"host": "127.0.0.1", "port": 0, **self._settings})
        bound = listeners.bind(settings)
        self._host = host = ThreadHost(self.app, bound.groups[0], settings)
        self.port = int(bound.addresses[0].rpartition(":")[2])
        self._failure = None
        loop = settings.loop if settings.loop != "auto" or needs_loop(self.app) else None
        ready = threading.Event()
        host.on_ready = ready.set
        host.clock = self._clock
        self._thread = threading.Thread(
            target=self._run, args=(host, loop, ready), name="bustapi-live-server", daemon=True
        )
        self._thread.start()
        if not ready.wait(_START):
            raise RuntimeError("The application did not start in time.")
        if host.failed:
            self.stop()

    def _run(self, host: ThreadHost, loop: str | None, ready: threading.Event) -> None:
        try:
            with host:
                if loop is not None:
                    from .guest import run_on_loop

                    host.serve_first(lambda reactor: run_on_loop(reactor, host, loop))
                elif host.begin_life():
                    ready.set()
                    host.start(hosted=False)
                    host.serve_first(lambda reactor: reactor.run())
        except BaseException as error:
            self._failure = error
        finally:
            # Whatever kept it from starting: nobody waits for that.
            ready.set()

    def stop(self, *, drain: bool = False) -> None:
        """Close all connections and wait for the thread.

        Args:
            drain: Let what is open end by itself first, within `grace`.

        Raises:
            RuntimeError: The server ended before, or does not end.
        """
        thread, self._thread = self._thread, None
        if thread is None:
            return
        assert self._host is not None
        if drain:
            self._host.drain()
        else:
            self._host.abort()
        thread.join(_STOP)
        if thread.is_alive():
            raise RuntimeError("The server's thread did not end.")
        if self._failure is not None or self._host.failed:
            raise RuntimeError("The server failed.") from self._failure

    def __enter__(self) -> LiveServer:
        self.start()
        return self

    def __exit__(
        self, exc_type: type | None, exc_value: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.stop()
