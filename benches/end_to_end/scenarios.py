"""What is measured: the scenarios, what each must reach, and the numbers of a scenario over all rounds."""

from __future__ import annotations

import enum
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Callable, Optional

from load import Measured


class Load(enum.Enum):
    """How a scenario asks."""

    CLOSED = "64 connections, each waiting for its answer"
    PIPELINED = "64 connections, 16 requests in one write"
    ECHO = "64 connections, each posting 1 KB of JSON"
    SINGLE = "one connection, waiting for its answer"
    RATE = "a fixed rate on 64 connections, half of our capacity"


@dataclass(frozen=True)
class Goal:
    """What the measured server must reach, relative to its baseline; None where nothing is asked."""

    throughput: Optional[float] = None
    p50: Optional[float] = None
    p99: Optional[float] = None


@dataclass(frozen=True)
class Scenario:
    """One row of the report."""

    name: str
    path: str
    goal: Goal
    load: Load = Load.CLOSED
    app_args: Sequence[str] = ()
    threads: int = 1

    @property
    def against(self) -> str:
        """The baseline: the bare server, or for more threads our own with one."""
        return "bare" if self.threads == 1 else "threads=1"


# An eager task that never suspends costs no turn of the loop; before 3.12 there are none.
EAGER = sys.version_info >= (3, 12)

SCENARIOS = [
    Scenario("json", "/json", Goal(throughput=0.88)),
    Scenario("user", "/users/42", Goal(throughput=0.82)),
    Scenario("hooks", "/hooks", Goal(throughput=0.55), app_args=["--hooks"]),
    Scenario("async", "/async", Goal(throughput=0.82 if EAGER else 0.52), app_args=["--tasks"]),
    Scenario("plaintext", "/plaintext", Goal(throughput=0.40), load=Load.PIPELINED),
    Scenario("echo", "/echo-json", Goal(throughput=1.0), load=Load.ECHO),
    Scenario("single", "/json", Goal(p50=1.15), load=Load.SINGLE),
    Scenario("rate", "/json", Goal(p50=1.15, p99=1.5), load=Load.RATE),
    Scenario("threads2", "/json", Goal(throughput=0.85, p99=2.0), threads=2),
    Scenario("threads4", "/json", Goal(throughput=0.85, p99=2.0), threads=4),
]


@dataclass
class Rounds:
    """A scenario's measurements; the n-th of both lists were taken one right after the other."""

    scenario: Scenario
    baseline: list[Measured] = field(default_factory=list)
    subject: list[Measured] = field(default_factory=list)

    def ratios(self, of: Callable[[Measured], float]) -> list[float]:
        """Subject to baseline, round by round."""
        return [
            of(ours) / of(base) if of(base) else float("nan")
            for base, ours in zip(self.baseline, self.subject)
        ]

    def ratio(self) -> float:
        """The median of the rounds' ratios of throughput."""
        return statistics.median(self.ratios(throughput))

    def latency_ratio(self, of: Callable[[Measured], float]) -> float:
        """The ratio of the medians.

        A round's two tails have nothing in common: they are made by what else ran on the core while each was taken.
        The median of their ratios was between 0.2 and 1.1 for the bare server against itself.
        """
        base = median(self.baseline, of)
        return median(self.subject, of) / base if base else float("nan")

    def errors(self) -> int:
        """Failed requests on both sides."""
        return sum(measured.errors for measured in [*self.baseline, *self.subject])

    def verdicts(self) -> list[tuple[str, float, float, bool]]:
        """Each number asked for: its name, its ratio, its bound, and whether it holds."""
        goal = self.scenario.goal
        found = []
        if goal.throughput is not None:
            ratio = self.ratio()
            found.append(("throughput", ratio, goal.throughput, ratio >= goal.throughput))
        for name, bound, of in [("p50", goal.p50, p50), ("p99", goal.p99, p99)]:
            if bound is not None:
                ratio = self.latency_ratio(of)
                found.append((name, ratio, bound, ratio <= bound))
        return found


def throughput(measured: Measured) -> float:
    """Requests per second of server CPU time."""
    return measured.per_cpu_second


def p50(measured: Measured) -> float:
    """Median latency, microseconds."""
    return measured.p50_us


def p99(measured: Measured) -> float:
    """Latency that one request in a hundred exceeds, microseconds."""
    return measured.p99_us


def median(values: Sequence[Measured], of: Callable[[Measured], float]) -> float:
    """The median of one number over the rounds."""
    return statistics.median(of(value) for value in values)
