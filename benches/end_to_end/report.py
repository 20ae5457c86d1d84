"""The report as text."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any, Optional

from scenarios import Load, Rounds, median, p50, p99, throughput

ROW = "{:<10} {:>9} {:>9} {:>6} {:>13}  {:>15} {:>6}  {:>15} {:>6}  {}"
MIB = 1024 * 1024
RESIDENT_GOAL = 30 * MIB
IDLE_GOAL = 4096
IMPORT_GOAL_MS = 40.0
POLL_GOAL = 0.05


def progress(rounds: Rounds, number: int) -> None:
    """One line a measurement, on stderr."""
    base, ours = rounds.baseline[-1], rounds.subject[-1]
    name = rounds.scenario.name
    ratio = ours.per_cpu_second / base.per_cpu_second if base.per_cpu_second else float("nan")
    errors = f", {base.errors + ours.errors} errors" if base.errors + ours.errors else ""
    print(
        f"round {number + 1}: {name:<10} {ours.per_cpu_second:>9.0f} of {base.per_cpu_second:>9.0f}"
        f" a CPU second: {ratio:.3f}; p50 {ours.p50_us:.0f} of {base.p50_us:.0f} us{errors}",
        file=sys.stderr,
        flush=True,
    )


def print_all(setting: dict[str, Any], results: Sequence[Rounds], facts: Optional[dict[str, Any]]) -> None:
    """Everything, on stdout."""
    print(
        f"\n{setting['cpu']}, {setting['cores']} cores, Linux {setting['kernel']}, CPython {setting['python']};"
        f" medians of {setting['rounds']} rounds of {setting['seconds']:g} s"
    )
    if setting["noise"]:
        print("NOISE: both sides are the bare server")
    if results:
        print_scenarios(results)
        print(setting["disturbed"])
    if "rate" in setting:
        print(f"rate: {setting['rate']} requests/s, half of what ours answers on a whole core")
    if facts is not None:
        print_facts(facts, setting["noise"])


def print_scenarios(results: Sequence[Rounds]) -> None:
    """A row each: baseline and subject, and what was asked for."""
    print("requests per second of server CPU time; latency in microseconds, ours/baseline\n")
    print(ROW.format("scenario", "baseline", "ours", "ratio", "(min-max)", "p50", "", "p99", "", "goals"))
    for rounds in results:
        ratios = rounds.ratios(throughput)
        goals = [
            f"{name} {'>=' if name == 'throughput' else '<='} {bound:g}: {'holds' if holds else f'MISSED ({ratio:.3f})'}"
            for name, ratio, bound, holds in rounds.verdicts()
        ]
        if rounds.errors():
            goals.append(f"{rounds.errors()} ERRORS")
        if rounds.scenario.load is Load.PIPELINED:
            goals.append("latency: of a batch of 16")
        print(
            ROW.format(
                rounds.scenario.name,
                f"{median(rounds.baseline, throughput):.0f}",
                f"{median(rounds.subject, throughput):.0f}",
                f"{rounds.ratio():.3f}",
                f"({min(ratios):.2f}-{max(ratios):.2f})",
                f"{median(rounds.subject, p50):.1f}/{median(rounds.baseline, p50):.1f}",
                f"{rounds.latency_ratio(p50):.2f}",
                f"{median(rounds.subject, p99):.1f}/{median(rounds.baseline, p99):.1f}",
                f"{rounds.latency_ratio(p99):.2f}",
                "; ".join(goals),
            )
        )
    print("\nthe baseline of threads2 and threads4 is our own server with threads=1, on the same core")


def print_facts(facts: dict[str, Any], noise: bool) -> None:
    """What was checked beside speed."""
    print()
    unequal = facts["unequal_answers"]
    print("answer bytes: " + ("the same as the bare server's" if not unequal else "DIFFERENT"))
    for line in unequal:
        print(f"  {line}")
    heap = facts["allocations"]
    print(
        f"bare, heap: {heap['allocations']} allocations, {heap['reallocations']} reallocations"
        f" in {heap['requests']} keep-alive requests"
    )
    for name, calls in facts["syscalls_per_request"].items():
        if calls is None:
            print(f"{name}, system calls: strace is missing or may not attach")
            continue
        listed = ", ".join(
            f"{call} {count:.3f}" for call, count in sorted(calls.items(), key=lambda c: -c[1])
        )
        polls = calls.get("epoll_wait", 0.0) + calls.get("epoll_pwait", 0.0)
        note = f" (epoll_wait <= {POLL_GOAL}: {said(polls <= POLL_GOAL)})" if name == "bare" else ""
        print(f"{name}, system calls a request at 64 connections: {listed}{note}")
    for name, count in facts["resident_after_start"].items():
        goal = f" (<= 30 MiB: {said(count <= RESIDENT_GOAL)})" if name == "ours" and not noise else ""
        print(f"{name}, resident after start: {count / MIB:.1f} MiB{goal}")
    for name, count in facts["bytes_per_idle_connection"].items():
        goal = f" (<= 4096: {said(count <= IDLE_GOAL)})" if name == "ours" and not noise else ""
        print(f"{name}, bytes per idle keep-alive connection: {count:.0f}{goal}")
    if "answers_per_connection_threads2" in facts:
        counts = facts["answers_per_connection_threads2"]
        print(f"threads=2, answers per connection: {counts['fewest']} to {counts['most']}")
    if "import_ms" in facts:
        took = facts["import_ms"]
        print(f"import bustapi: {took:.1f} ms on top of bare Python (<= 40: {said(took <= IMPORT_GOAL_MS)})")
        print(f"from bustapi import BustAPI, request: {facts['import_app_ms']:.1f} ms")


def said(holds: bool) -> str:
    """A verdict."""
    return "holds" if holds else "MISSED"
