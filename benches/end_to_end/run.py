"""Measures our server against the bare one, which is the limit of its kind, in interleaved rounds.

The server under test has one core, the load generator another. The figure is requests per second of *server CPU
time*: with a core each the generator is often the slower side, and then plain requests per second measure it. Its
ratios are taken round by round, between measurements that follow each other, and the median of them counts; of
latencies the medians are compared. A round that the host of a virtual machine disturbed is made again.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import json
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Optional

import checks
import report
import servers
from load import Generator, Measured, syscalls_per_request
from quiet import Quiet
from scenarios import SCENARIOS, Load, Rounds, Scenario, median, throughput
from servers import Server

ROOT = Path(__file__).resolve().parents[2]
CHECKS = "checks"
CALIBRATION_SECONDS = 2.0


class Bench:
    """The servers of one run, started when a scenario first needs them, and its generator."""

    def __init__(self, options: argparse.Namespace, stack: contextlib.ExitStack, logs: Path) -> None:
        self._options = options
        self._stack = stack
        self._logs = logs
        self._running: dict[tuple[Any, ...], Server] = {}
        self.quiet = Quiet.chosen(options)
        self.generator = Generator(options.load_core, options.binaries / "openloop")

    @functools.cached_property
    def bare(self) -> Server:
        """The bare server."""
        return self.start_bare()

    def start_bare(self) -> Server:
        """One more bare server."""
        binary = self._options.binaries / "bare"
        return self._stack.enter_context(servers.bare(binary, self._options.server_core, self._logs))

    def ours(self, threads: int = 1, args: Sequence[str] = ()) -> Server:
        """Our server with these settings; the same process for every scenario that asks for the same."""
        key = (threads, *args)
        if key not in self._running:
            if self._options.noise:
                self._running[key] = self.start_bare()
            else:
                options = self._options
                context = servers.ours(options.python, options.server_core, self._logs, threads, args)
                self._running[key] = self._stack.enter_context(context)
        return self._running[key]

    def pair(self, scenario: Scenario) -> tuple[Server, Server]:
        """Baseline and subject."""
        baseline = self.bare if scenario.threads == 1 else self.ours()
        return baseline, self.ours(scenario.threads, scenario.app_args)

    @functools.cached_property
    def half_capacity(self) -> float:
        """Half of the requests a second that our server answers on a whole core."""
        measured = self.generator.closed(self.ours(), "/json", CALIBRATION_SECONDS)
        return measured.per_cpu_second / 2

    def measure(self, scenario: Scenario, server: Server) -> Measured:
        """One measurement."""
        path, seconds = scenario.path, self._options.secs
        if scenario.load is Load.PIPELINED:
            return self.generator.closed(server, path, seconds, script="pipelined.lua")
        if scenario.load is Load.ECHO:
            return self.generator.closed(
                server, path, seconds, script="echo.lua", script_args=[str(checks.PAYLOAD)]
            )
        if scenario.load is Load.SINGLE:
            return self.generator.one_by_one(server, path, seconds)
        if scenario.load is Load.RATE:
            # One in a hundred is made by the few moments in which something else ran on the core: more of them.
            return self.generator.at_rate(server, path, self.half_capacity, 3 * seconds)
        return self.generator.closed(server, path, seconds)

    def round(self, rounds: Rounds, number: int) -> None:
        """One measurement of each side; who goes first changes with each round."""
        sides = self.pair(rounds.scenario)

        def once() -> list[Measured]:
            if number % 2 == 0:
                return [self.measure(rounds.scenario, server) for server in sides]
            return [self.measure(rounds.scenario, server) for server in reversed(sides)][::-1]

        baseline, subject = self.quiet.measure(once)
        rounds.baseline.append(baseline)
        rounds.subject.append(subject)

    def facts(self) -> dict[str, Any]:
        """What is checked beside speed."""
        options = self._options
        # Before any server starts: they inherit the limit.
        checks.allow_descriptors(2 * (checks.IDLE_CONNECTIONS + checks.WARM_CONNECTIONS))
        bare, fresh = self.start_bare(), self._fresh()
        resident = {server.name: server.resident_bytes() for server in (bare, fresh)}
        # Until a view has proved quick it runs in the pool, and under strace it never would.
        self.generator.closed(fresh, "/json", 1)
        found: dict[str, Any] = {
            "resident_after_start": resident,
            "unequal_answers": checks.unequal_answers(
                bare, fresh, ["/json", "/users/42", "/hooks", "/plaintext", "/echo-json"]
            ),
            "allocations": checks.allocations(options.binaries / "allocations"),
            "syscalls_per_request": {
                "bare": syscalls_per_request(self.generator, bare, "/json", 2.0),
                "ours": syscalls_per_request(self.generator, fresh, "/json", 2.0),
            },
        }
        found["bytes_per_idle_connection"] = {
            "bare": checks.bytes_per_idle_connection(bare),
            "ours": checks.bytes_per_idle_connection(fresh),
        }
        if not options.noise:
            fewest, most = self.generator.fairness(self.ours(threads=2), "/json", 2.0)
            found["answers_per_connection_threads2"] = {"fewest": fewest, "most": most}
            for name, statement in [
                ("import_ms", "import bustapi"),
                ("import_app_ms", "from bustapi import BustAPI, request"),
            ]:
                found[name] = checks.import_milliseconds(options.python, options.server_core, statement)
        return found

    def _fresh(self) -> Server:
        """A server of ours that has answered nothing yet."""
        if self._options.noise:
            return self.start_bare()
        options = self._options
        return self._stack.enter_context(servers.ours(options.python, options.server_core, self._logs))


def main() -> int:
    """Runs what was asked for and prints the report."""
    options = parse_arguments()
    chosen = [scenario for scenario in SCENARIOS if scenario.name in options.scenario]
    with contextlib.ExitStack() as stack:
        logs = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bustapi-bench-")))
        bench = Bench(options, stack, logs)
        facts = bench.facts() if CHECKS in options.scenario else None
        results = [Rounds(scenario) for scenario in chosen]
        for number in range(options.rounds):
            for rounds in results:
                bench.round(rounds, number)
                report.progress(rounds, number)
        setting = describe(options, bench if any(s.load is Load.RATE for s in chosen) else None)
        setting["disturbed"] = bench.quiet.report()
        report.print_all(setting, results, facts)
        if options.json is not None:
            options.json.write_text(json.dumps(as_json(setting, results, facts), indent=2) + "\n")
    failed = any(rounds.errors() for rounds in results) or bool(facts and facts["unequal_answers"])
    return 1 if failed else 0


def parse_arguments() -> argparse.Namespace:
    """The command line, with what is missing on this machine said at once."""
    names = [scenario.name for scenario in SCENARIOS]
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--scenario", action="append", choices=[*names, CHECKS], help="may be repeated (default: all)")
    add("--rounds", type=int, default=9)
    add("--secs", type=int, default=2, help="of one measurement; whole ones, as wrk takes no others")
    add("--json", type=Path, metavar="FILE", help="write every measurement there")
    add("--python", default=sys.executable, help="an interpreter with bustapi (default: this one)")
    add("--binaries", type=Path, default=target / "release", help="folder of bare and openloop")
    add("--server-core", default=str(cores[0]) if cores else "0")
    add("--load-core", default=str(cores[-1]) if cores else "0")
    add(
        "--noise",
        action="store_true",
        help="measure the bare server against itself: what a ratio is worth here",
    )
    Quiet.add_options(parser)
    options = parser.parse_args()
    options.scenario = options.scenario or [*names, CHECKS]
    if not sys.platform.startswith("linux"):
        parser.error("needs Linux: CPU time and memory are read from /proc")
    for command in ["wrk", "taskset"]:
        if shutil.which(command) is None:
            parser.error(f"{command} is not installed")
    if not (options.binaries / "bare").exists():
        parser.error(f"{options.binaries}/bare does not exist; `make bench` builds it")
    if len(cores) < 2:
        print("only one core: the load generator takes the server's time", file=sys.stderr)
    return options


def describe(options: argparse.Namespace, rated: Optional[Bench]) -> dict[str, Any]:
    """What the numbers depend on."""
    model = "unknown CPU"
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    setting = {
        "cpu": model,
        "cores": os.cpu_count(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "rounds": options.rounds,
        "seconds": options.secs,
        "noise": options.noise,
    }
    if rated is not None:
        setting["rate"] = round(rated.half_capacity)
    return setting


def as_json(
    setting: dict[str, Any], results: Sequence[Rounds], facts: Optional[dict[str, Any]]
) -> dict[str, Any]:
    """Everything that was measured."""
    scenarios = {}
    for rounds in results:
        scenarios[rounds.scenario.name] = {
            "against": rounds.scenario.against,
            "baseline": [asdict(measured) for measured in rounds.baseline],
            "subject": [asdict(measured) for measured in rounds.subject],
            "throughput_ratios": rounds.ratios(throughput),
            "throughput": median(rounds.subject, throughput),
            "goals": [
                {"name": name, "ratio": ratio, "bound": bound, "holds": holds}
                for name, ratio, bound, holds in rounds.verdicts()
            ],
        }
    return {"setting": setting, "scenarios": scenarios, "checks": facts}


if __name__ == "__main__":
    sys.exit(main())
