"""A worker's side of the bond with its supervisor: inherited listeners and the lifeline.

The supervisor leaves descriptors and slot number in the environment. `claim` takes them out again, so that processes
which the application starts inherit neither. The lifeline is one end of a socket pair: the worker reports on it that
it serves and that it should be replaced, and reads its end of file when the supervisor is gone, however it went.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from typing import TYPE_CHECKING

from .errors import SettingsError
from .recycle import SPENT_MEMORY, SPENT_REQUESTS

if TYPE_CHECKING:
    from bustapi._core import Listener

    from .host import ThreadHost
    from .recycle import Quota

ENV_SLOT = "BUSTAPI_WORKER_SLOT"
ENV_FDS = "BUSTAPI_WORKER_FDS"
ENV_LIFELINE = "BUSTAPI_WORKER_LIFELINE"

READY = b"R"
#: Seconds between two looks at a quota.
LOOK = 0.1

#: Reports that ask for a replacement, and what they mean.
REASONS = {SPENT_REQUESTS: "max_requests", SPENT_MEMORY: "max_rss"}


def is_worker() -> bool:
    """Tell whether this process was started by a supervisor and has not claimed its listeners yet."""
    return ENV_FDS in os.environ


def environment(slot: int, groups: list[list[int]], lifeline: int) -> dict[str, str]:
    """Write what a worker inherits.

    Args:
        slot: Number of the worker, from 0.
        groups: The descriptors of each reactor's listeners.
        lifeline: The worker's end of the lifeline.

    Returns:
        Environment variables.
    """
    return {
        ENV_SLOT: str(slot),
        ENV_FDS: ";".join(",".join(str(fd) for fd in group) for group in groups),
        ENV_LIFELINE: str(lifeline),
    }


class Inheritance:
    """What a worker got: its slot, its listeners, its lifeline."""

    def __init__(self, slot: int, groups: list[list[Listener]], lifeline: socket.socket) -> None:
        self.slot = slot
        self.groups = groups
        self._lifeline = lifeline

    def report_ready(self) -> None:
        """Tell the supervisor that this worker serves."""
        self._report(READY)

    def watch(self, host: ThreadHost, grace: float, quota: Quota | None = None) -> None:
        """Drain when the supervisor is gone, and end for good when that does not work; report a used up quota.

        Args:
            host: What to drain.
            grace: Seconds that the drain may take.
            quota: What the process may use; None is without end.
        """

        def wait() -> None:
            self._attend(host, quota)
            if not host.draining:
                host.drain()
            time.sleep(grace + 5.0)
            os._exit(1)

        threading.Thread(target=wait, name="bustapi-lifeline", daemon=True).start()

    def _attend(self, host: ThreadHost, quota: Quota | None) -> None:
        """Read the lifeline to its end, looking at the quota in between until it was reported once."""
        self._lifeline.settimeout(None if quota is None else LOOK)
        while True:
            try:
                if not self._lifeline.recv(64):
                    return
            except socket.timeout:
                report = quota.spent(host.requests) if quota is not None else None
                if report is not None:
                    self._lifeline.settimeout(None)
                    self._report(report)
            except OSError:
                return

    def _report(self, report: bytes) -> None:
        try:
            self._lifeline.send(report)
        except OSError:
            # The supervisor is gone; `watch` finds out.
            return


def claim() -> Inheritance:
    """Take over what the supervisor left in the environment.

    Returns:
        The listeners, ready for reactors.

    Raises:
        SettingsError: The variables are set, but not by a supervisor of this version.
    """
    from bustapi._core import Listener

    values = {name: os.environ.pop(name, "") for name in (ENV_SLOT, ENV_FDS, ENV_LIFELINE)}
    try:
        slot = int(values[ENV_SLOT])
        numbers = [[int(fd) for fd in group.split(",")] for group in values[ENV_FDS].split(";")]
        lifeline_fd = int(values[ENV_LIFELINE])
        for fd in (lifeline_fd, *(fd for group in numbers for fd in group)):
            os.set_inheritable(fd, False)
        lifeline = socket.socket(fileno=lifeline_fd)
        groups = [[Listener.from_fd(fd) for fd in group] for group in numbers]
    except (ValueError, OSError) as error:
        raise SettingsError(
            f"{ENV_FDS}: is for workers only and names no usable descriptors ({error})", "environment"
        ) from None
    return Inheritance(slot, groups, lifeline)
