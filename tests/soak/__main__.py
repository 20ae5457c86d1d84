"""`make soak`: mixed traffic for a given time, every answer checked; then faults.

    python tests/soak --secs 600

1. load: wrong answers must be 0, memory after the warm-up must not grow, and descriptors must be back to the start;
2. descriptors: more connections than the process may have files: no busy loop, an answer soon after they are gone;
3. stop: SIGTERM with requests under way and waiting: all are answered, the exit code is 0;
4. kill: a worker killed with -9 is replaced within a second, and its accept queue is answered.

`--departures SECS` does something else: clients go at random points of every kind of request for so long, and no view,
generator, task, thread or descriptor may be left.

Linux only (it reads /proc). Exits with 1 when a bound does not hold.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import departures
from traffic import GET, Client, Traffic, Wrong, check, keep_alive

APP = Path(__file__).resolve().parent.parent / "python" / "apps" / "probe_app.py"
LAST = GET[:-2] + b"Connection: close\r\n\r\n"
TICKS = os.sysconf("SC_CLK_TCK")


class Server:
    """A server's process and its workers."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self.process = process
        self.log = log
        self.port = self._port()

    def _port(self) -> int:
        for _ in range(400):
            found = re.search(r"http://127\.0\.0\.1:(\d+)", self.log.read_text(errors="replace"))
            if found:
                return int(found.group(1))
            if self.process.poll() is not None:
                break
            time.sleep(0.05)
        raise SystemExit(f"the server did not start:\n{self.log.read_text(errors='replace')}")

    def workers(self) -> list[int]:
        return children(self.process.pid)

    def pids(self) -> list[int]:
        return [self.process.pid, *self.workers()]

    def memory(self) -> int:
        """Resident bytes."""
        return sum(int(read(pid, "statm").split()[1]) for pid in self.pids()) * resource.getpagesize()

    def descriptors(self) -> int:
        return sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in self.pids())

    def seconds_of_cpu(self) -> float:
        fields = [read(pid, "stat").rpartition(")")[2].split() for pid in self.pids()]
        return sum(int(item[11]) + int(item[12]) for item in fields) / TICKS

    def answers(self) -> None:
        with Client(self.port, 5.0) as client:
            client.send(LAST)
            check(client.answer(), b"ok")

    def stop(self) -> int:
        self.process.terminate()
        return self.process.wait(40)


def read(pid: int, name: str) -> str:
    return Path(f"/proc/{pid}/{name}").read_text()


def children(pid: int) -> list[int]:
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        found += [int(child) for child in (task / "children").read_text().split()]
    return found


@contextlib.contextmanager
def serving(folder: Path, files: int | None = None, **settings: object) -> Iterator[Server]:
    environ = {f"BUSTAPI_{name.upper()}": str(value) for name, value in settings.items()}
    log = folder / f"{time.monotonic_ns()}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "bustapi", "run", f"{APP}:app", "--port", "0"],
            env={**os.environ, **environ, "PYTHONUNBUFFERED": "1"},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    if files is not None:
        resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (files, files))
    try:
        yield Server(process, log)
    finally:
        if process.poll() is None:
            left = children(process.pid)
            process.kill()
            process.wait()
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)


class Report:
    """Prints what was found, and remembers whether it may be."""

    def __init__(self) -> None:
        self.failed = False

    def line(self, step: str, text: str, good: bool) -> None:
        self.failed = self.failed or not good
        print(f"{'ok  ' if good else 'FAIL'} {step:<12} {text}", flush=True)


def settled(server: Server, descriptors: int) -> int:
    """The number of descriptors, once connections that linger are over."""
    deadline = time.monotonic() + 10
    while (now := server.descriptors()) > descriptors and time.monotonic() < deadline:
        time.sleep(0.2)
    return now


def load(folder: Path, report: Report, seconds: float, growth: float, **settings: object) -> None:
    with serving(folder, **settings) as server:
        server.answers()
        begun = server.descriptors()
        traffic = Traffic(server.port)
        # Buffers, free lists and the allocator's own store reach their size in the warm-up.
        warm = max(5.0, seconds / 5)
        traffic.run(warm)
        settled(server, begun)
        memory = []
        for _ in range(8):
            traffic.run(max(1.0, (seconds - warm) / 8))
            # Small requests let the allocator give back what large bodies took, which varies with the last of them.
            traffic.run(1.0, [keep_alive])
            settled(server, begun)
            memory.append(server.memory())
        # What is in use is the least that was seen: a leak raises that too.
        grown = (min(memory[4:]) - min(memory[:4])) / 1e6
        shown = " ".join(f"{item / 1e6:.1f}" for item in memory)
        wrong = len(traffic.wrong)
        report.line("answers", f"{traffic.answers} checked, {wrong} wrong {traffic.wrong[:3]}", wrong == 0)
        report.line(
            "memory",
            f"{shown} MB in eighths after the warm-up, least of halves grown by {grown:.2f} MB",
            grown < growth,
        )
        now = settled(server, begun)
        report.line("descriptors", f"{begun} before, {now} after", now <= begun)
        code = server.stop()
        output = server.log.read_text(errors="replace")
        clean = "Traceback" not in output and "panicked" not in output
        report.line(
            "end", f"exit code {code}, log {'clean' if clean else output[-500:]}", code == 0 and clean
        )


def full(folder: Path, report: Report) -> None:
    files = 128
    with serving(folder, files=files) as server:
        server.answers()
        held: list[Client] = []
        with contextlib.suppress(OSError):
            for _ in range(files + 100):
                held.append(Client(server.port, 2.0))
        begun = server.seconds_of_cpu()
        time.sleep(3.0)
        busy = (server.seconds_of_cpu() - begun) / 3.0 * 100
        for client in held:
            client.socket.close()
        since = time.monotonic()
        took = None
        while took is None and time.monotonic() - since < 10:
            with contextlib.suppress(OSError, Wrong):
                server.answers()
                took = time.monotonic() - since
        good = took is not None and took < 2.0 and busy < 5.0
        after = "never" if took is None else f"after {took:.2f} s"
        report.line(
            "files", f"{len(held)} connections, {files} files: {busy:.1f} % CPU, answers {after}", good
        )


def stop(folder: Path, report: Report, **settings: object) -> None:
    with serving(folder, **settings) as server:
        time.sleep(1.0)
        idle = Client(server.port)
        idle.send(GET)
        check(idle.answer(), b"ok")
        under_way = [Client(server.port) for _ in range(20)]
        for client in under_way:
            client.send(b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhe")
        time.sleep(0.3)
        since = time.monotonic()
        server.process.terminate()
        time.sleep(0.3)
        lost = []
        for client in [*under_way, idle]:
            try:
                client.send(b"llo" if client is not idle else GET)
                status, fields, body = client.answer()
                check((status, fields, body), b"hello" if client is not idle else b"ok")
                if fields.get("connection") != "close":
                    lost.append("no Connection: close")
            except (OSError, Wrong) as error:
                lost.append(repr(error))
            client.socket.close()
        code = server.process.wait(40)
        took = time.monotonic() - since
        text = (
            f"{settings or ''} 21 under way, {len(lost)} lost {lost[:2]}, exit code {code} after {took:.1f} s"
        )
        report.line("stop", text, not lost and code == 0)


def kill(folder: Path, report: Report) -> None:
    with serving(folder, workers=2) as server:
        deadline = time.monotonic() + 20
        while len(server.workers()) < 2 and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(1.0)
        before = server.workers()
        for pid in before:
            os.kill(pid, signal.SIGSTOP)
        waiting = [Client(server.port) for _ in range(200)]
        for client in waiting:
            client.send(LAST)
        since = time.monotonic()
        os.kill(before[0], signal.SIGKILL)
        while len(set(server.workers()) - {before[0]}) < 2 and time.monotonic() - since < 10:
            time.sleep(0.01)
        took = time.monotonic() - since
        os.kill(before[1], signal.SIGCONT)
        lost = 0
        for client in waiting:
            try:
                check(client.answer(), b"ok")
            except (OSError, Wrong):
                lost += 1
            client.socket.close()
        code = server.stop()
        text = f"another process after {took:.2f} s, {lost} of 200 waiting requests lost, exit code {code}"
        report.line("kill -9", text, took < 1.0 and lost == 0 and code == 0)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--secs", type=float, default=60.0, help="length of the load (60)")
    parser.add_argument("--growth", type=float, default=1.0, help="most MB of growth after the warm-up (1)")
    parser.add_argument("--workers", type=int, default=1, help="processes under load (1)")
    parser.add_argument("--threads", type=int, default=1, help="reactors under load (1)")
    parser.add_argument("--departures", type=float, metavar="SECS", help="only: clients that go, for so long")
    given = parser.parse_args()
    if not sys.platform.startswith("linux"):
        parser.error("needs Linux")
    report = Report()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if given.departures is not None:
            for line in departures.run(folder, given.departures, given.threads):
                report.line(*line)
            return int(report.failed)
        load(folder, report, given.secs, given.growth, workers=given.workers, threads=given.threads)
        full(folder, report)
        stop(folder, report)
        stop(folder, report, workers=2)
        kill(folder, report)
    return int(report.failed)


if __name__ == "__main__":
    sys.exit(main())
