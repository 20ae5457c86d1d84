"""The load generators: wrk for the closed loop, our own for the open loop, both pinned away from the server."""

from __future__ import annotations

import contextlib
import json
import re
import signal
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

from servers import HOST, Server

HERE = Path(__file__).parent
UNITS = {"us": 1.0, "ms": 1e3, "s": 1e6, "m": 60e6}


@dataclass(frozen=True)
class Measured:
    """One server in one round."""

    requests: int
    rps: float
    cpu_seconds: float
    p50_us: float
    p99_us: float
    errors: int = 0

    @property
    def per_cpu_second(self) -> float:
        """Requests per second of the server's CPU time."""
        return self.requests / self.cpu_seconds if self.cpu_seconds else 0.0


class Generator:
    """Puts load on a server from the cores it is given."""

    def __init__(self, cores: str, openloop: Path) -> None:
        self._cores = cores
        self._openloop = openloop

    def closed(
        self,
        server: Server,
        path: str,
        seconds: float,
        *,
        connections: int = 64,
        script: Optional[str] = None,
        script_args: Sequence[str] = (),
    ) -> Measured:
        """As many requests as `connections` clients, each waiting for its answer, can make."""
        command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds:g}s", "--latency", "--timeout", "10s"]
        if script is not None:
            command += ["-s", str(HERE / script)]
        command.append(f"http://{HOST}:{server.port}{path}")
        if script_args:
            command += ["--", *script_args]
        before = server.cpu_seconds()
        output = self._run(command, seconds)
        return parse_wrk(output, server.cpu_seconds() - before)

    def at_rate(self, server: Server, path: str, rate: float, seconds: float) -> Measured:
        """Requests at a fixed rate whatever the answers do; latency counts from when each was due."""
        before = server.cpu_seconds()
        result = self._native(server, path, seconds, "--rate", f"{rate:.0f}")
        spent = server.cpu_seconds() - before
        return Measured(
            requests=result["answered"],
            rps=result["recorded"] / seconds,
            cpu_seconds=spent,
            p50_us=result["p50_us"],
            p99_us=result["p99_us"],
            errors=result["planned"] - result["answered"],
        )

    def one_by_one(self, server: Server, path: str, seconds: float) -> Measured:
        """One connection in the closed loop; wrk's clock is too coarse for its latency, and wrk sleeps in between."""
        before = server.cpu_seconds()
        result = self._native(server, path, seconds, "--closed", "yes", "--connections", "1")
        spent = server.cpu_seconds() - before
        return Measured(
            requests=result["answered"],
            rps=result["recorded"] / seconds,
            cpu_seconds=spent,
            p50_us=result["p50_us"],
            p99_us=result["p99_us"],
        )

    def fairness(self, server: Server, path: str, seconds: float) -> tuple[int, int]:
        """Answers on the connection that got the fewest and on the one that got the most, in the closed loop."""
        result = self._native(server, path, seconds, "--closed", "yes")
        return result["fewest"], result["most"]

    def _native(self, server: Server, path: str, seconds: float, *mode: str) -> dict[str, Any]:
        command = [str(self._openloop), "--port", str(server.port), "--path", path]
        command += ["--seconds", f"{seconds:g}", *mode]
        result: dict[str, Any] = json.loads(self._run(command, seconds))
        return result

    def _run(self, command: Sequence[str], seconds: float) -> str:
        result = subprocess.run(
            ["taskset", "-c", self._cores, *command],
            capture_output=True,
            text=True,
            timeout=seconds + 60,
            check=False,
        )
        if result.returncode:
            raise SystemExit(f"{command[0]} failed: {result.stderr or result.stdout}")
        return result.stdout


def parse_wrk(output: str, cpu_seconds: float) -> Measured:
    """Reads wrk's report."""

    def find(pattern: str) -> re.Match[str]:
        match = re.search(pattern, output)
        if match is None:
            raise SystemExit(f"wrk's report is not understood:\n{output}")
        return match

    def quantile(percent: int) -> float:
        match = find(rf"\b{percent}%\s+([\d.]+)(us|ms|s|m)\b")
        return float(match[1]) * UNITS[match[2]]

    errors = sum(int(count) for count in re.findall(r"Non-2xx or 3xx responses: (\d+)", output))
    for line in re.findall(r"Socket errors: (.*)", output):
        errors += sum(int(count) for count in re.findall(r"\d+", line))
    return Measured(
        requests=int(find(r"(\d+) requests in")[1]),
        rps=float(find(r"Requests/sec:\s+([\d.]+)")[1]),
        cpu_seconds=cpu_seconds,
        p50_us=quantile(50),
        p99_us=quantile(99),
        errors=errors,
    )


def syscalls_per_request(
    generator: Generator, server: Server, path: str, seconds: float
) -> Optional[dict[str, float]]:
    """System calls of the server a request, by name, as strace counts them; None without strace.

    Under strace the server is slower and so more often finds all connections ready: the number of polls a request is
    that of a saturated server.
    """
    with tempfile.NamedTemporaryFile("r", suffix=".strace") as report:
        command = ["strace", "-f", "-c", "-o", report.name, "-p", str(server.process.pid)]
        try:
            tracer = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        except FileNotFoundError:
            return None
        try:
            assert tracer.stderr is not None
            if "attached" not in tracer.stderr.readline():
                return None
            measured = generator.closed(server, path, seconds)
            time.sleep(0.2)
        finally:
            with contextlib.suppress(ProcessLookupError):
                tracer.send_signal(signal.SIGINT)
            tracer.communicate(timeout=10)
        # % time, seconds, usecs/call, calls, errors (may be empty), name
        rows = re.findall(r"^\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+)\s+(?:\d+\s+)?(\w+)$", report.read(), re.M)
    counts = {name: int(calls) / measured.requests for calls, name in rows if name != "total"}
    return {name: count for name, count in counts.items() if count >= 0.001}
