"""Measurements that the machine did not disturb: on a virtual one the host takes processors away when it likes.

Time that was taken counts as the server's own and stands in the tail of its latency, so a measurement in which much of
it was taken says more about the host than about the server. It is made again, and of all attempts the least disturbed
counts, whatever it found.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path
from typing import Callable, TypeVar

from servers import TICKS_PER_SECOND

T = TypeVar("T")


def stolen_seconds() -> float:
    """Time that the host has taken from all processors so far, in seconds; 0 on a machine of its own."""
    # proc_stat(5), first line: "cpu" user nice system idle iowait irq softirq steal ...
    fields = Path("/proc/stat").read_text().partition("\n")[0].split()
    return int(fields[8]) / TICKS_PER_SECOND if len(fields) > 8 else 0.0


class Quiet:
    """Makes measurements again that were disturbed, and says how many.

    Args:
        most: The share of the processors' time that the host may take during a measurement.
        tries: How often one is made at the most.
    """

    def __init__(self, most: float, tries: int) -> None:
        self._most = most
        self._tries = max(1, tries)
        self._made = 0
        self._kept: list[float] = []

    @classmethod
    def add_options(cls, parser: argparse.ArgumentParser) -> None:
        """The options of a benchmark that measures so."""
        parser.add_argument(
            "--most-stolen",
            type=float,
            default=0.05,
            metavar="SHARE",
            help="of the processors' time by the host; what is above is measured again (default: 0.05)",
        )
        parser.add_argument(
            "--tries", type=int, default=6, help="measurements in place of one at the most (default: 6)"
        )

    @classmethod
    def chosen(cls, options: argparse.Namespace) -> Quiet:
        """From the command line."""
        return cls(options.most_stolen, options.tries)

    def measure(self, once: Callable[[], T]) -> T:
        """What `once` returned when it was disturbed least; the first attempt within the bound ends the search.

        Args:
            once: Makes the measurement.
        """
        found: list[tuple[float, T]] = []
        while len(found) < self._tries and (not found or found[-1][0] > self._most):
            begun, before = time.monotonic(), stolen_seconds()
            result = once()
            taken = stolen_seconds() - before
            found.append((taken / ((time.monotonic() - begun) * (os.cpu_count() or 1)), result))
        share, best = min(found, key=lambda one: one[0])
        self._made += len(found)
        self._kept.append(share)
        return best

    def report(self) -> str:
        """One line: what the kept measurements suffered."""
        if not self._kept:
            return "nothing was measured"
        above = sum(share > self._most for share in self._kept)
        line = (
            f"the host took at most {max(self._kept):.1%} of the processors during a measurement that counts;"
            f" {self._made - len(self._kept)} of {self._made} were disturbed more and made again"
        )
        return line + (f" in vain for {above}" if above else "")
