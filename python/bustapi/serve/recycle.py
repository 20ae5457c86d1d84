"""When a worker is replaced: after a number of requests, or past an amount of memory.

Both are looked at now and then, and the worker serves on until its successor is ready: the bounds are for leaks and
fragmentation, not for a single request.
"""

from __future__ import annotations

import os
import random
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .settings import Settings

SPENT_REQUESTS = b"N"
SPENT_MEMORY = b"M"


class Quota:
    """What one process may use.

    Args:
        max_requests: Requests; None is without end.
        max_rss: Bytes of resident memory; None is without end.
        jitter: Up to this part of both is taken off, so that workers which started together do not end together.
    """

    def __init__(self, max_requests: int | None, max_rss: int | None, jitter: float) -> None:
        self.requests = None if max_requests is None else _earlier(max_requests, jitter)
        self.rss = None if max_rss is None else _earlier(max_rss, jitter)

    @classmethod
    def of(cls, settings: Settings) -> Quota | None:
        """Take the quota from the settings.

        Args:
            settings: `max_requests`, `max_rss` and `recycle_jitter` are read.

        Returns:
            None if nothing is bounded.
        """
        if settings.max_requests is None and settings.max_rss is None:
            return None
        return cls(settings.max_requests, settings.max_rss, settings.recycle_jitter)

    def spent(self, requests: int) -> bytes | None:
        """Tell whether the process should be replaced.

        Args:
            requests: The number that it has answered.

        Returns:
            The report for the supervisor, or None.
        """
        if self.requests is not None and requests >= self.requests:
            return SPENT_REQUESTS
        if self.rss is not None and resident_memory() >= self.rss:
            return SPENT_MEMORY
        return None


def resident_memory() -> int:
    """Measure this process.

    Returns:
        Bytes of resident memory; at its highest where the system tells no more.
    """
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        import resource

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        # macOS counts bytes, the others KiB.
        return peak if sys.platform == "darwin" else peak * 1024


def _earlier(bound: int, jitter: float) -> int:
    return max(1, round(bound * (1.0 - jitter * random.random())))
