"""Flask's features on our server, beside the same application on Flask and gunicorn (gthread).

Figures are requests per second of the server's CPU time, in interleaved rounds, as in `benches/end_to_end`; each is
asserted against the bound that it has to hold. gunicorn and Flask are installed into an environment of the benchmark's
own (`--venv`), which is made when it is missing.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Optional

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "end_to_end"))

import servers  # noqa: E402
from load import Generator, Measured  # noqa: E402
from quiet import Quiet  # noqa: E402

PACKAGES = ["flask>=3.1,<3.2", "gunicorn>=23,<24"]
THREADS = 8
#: What measures itself takes its time on a machine that is busy otherwise.
ANSWER_SECONDS = 60.0


def main() -> int:
    """Measures, prints and says whether every bound holds."""
    options = arguments()
    python = reference_python(options.venv)
    with contextlib.ExitStack() as stack:
        logs = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bustapi-bench-")))
        subject = stack.enter_context(ours(options, logs))
        reference = stack.enter_context(gunicorn(options, python, logs))
        bench = Bench(subject, reference, options)
        bench.calls()
        bench.pipeline()
        bench.session()
        bench.forms()
    for line in [*bench.lines, bench.quiet.report()]:
        print(line)
    return 1 if bench.missed else 0


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=3, help="of one measurement")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--server-core", default="0")
    parser.add_argument("--load-core", default="1")
    parser.add_argument("--venv", type=Path, default=HERE.parents[1] / "target" / "flask_face_venv")
    Quiet.add_options(parser)
    return parser.parse_args()


def reference_python(folder: Path) -> Path:
    """The interpreter of the environment with Flask and gunicorn."""
    python = folder / "bin" / "python"
    if not (folder / "bin" / "gunicorn").exists():
        venv.create(folder, with_pip=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", *PACKAGES], check=True)
    return python


@contextlib.contextmanager
def ours(options: argparse.Namespace, logs: Path) -> Iterator[servers.Server]:
    port = servers.unused_port()
    command = [sys.executable, str(HERE / "app.py"), str(port)]
    with servers.started("bustapi", command, port, options.server_core, logs) as server:
        yield server


@contextlib.contextmanager
def gunicorn(options: argparse.Namespace, python: Path, logs: Path) -> Iterator[servers.Server]:
    port = servers.unused_port()
    command = ["env", "FACE=flask", str(python), "-m", "gunicorn", "--chdir", str(HERE), "--workers", "1"]
    command += [
        "--worker-class",
        "gthread",
        "--threads",
        str(THREADS),
        "--keep-alive",
        "75",
        "--log-level",
        "warning",
    ]
    command += ["--bind", f"127.0.0.1:{port}", "app:app"]
    with servers.started("gunicorn", command, port, options.server_core, logs) as server:
        yield server


class Bench:
    """The two servers, and what was found."""

    def __init__(
        self, subject: servers.Server, reference: servers.Server, options: argparse.Namespace
    ) -> None:
        self.subject = subject
        self.reference = reference
        self.lines: list[str] = []
        self.missed: list[str] = []
        self.quiet = Quiet.chosen(options)
        self._seconds: int = options.seconds
        self._rounds: int = options.rounds
        self._generator = Generator(options.load_core, Path())
        for server in (subject, reference):
            self._ask(server, "/bare")

    def pipeline(self) -> None:
        """One hook before, one after, one at the end, in a blueprint."""
        ratios, shares = [], []
        for _ in range(self._rounds):
            bare, hooked, other = self._side_by_side(
                (self.subject, "/bare"), (self.subject, "/hooked/json"), (self.reference, "/hooked/json")
            )
            ratios.append(hooked / other)
            shares.append(hooked / bare)
        self._note("hooks in a blueprint, times gunicorn", ratios, 15, at_least=True)
        self._note("hooks in a blueprint, of the bare view", shares, 0.45, at_least=True)

    def session(self) -> None:
        """A signed cookie of two keys that is read."""
        cookie = self._cookie()
        more = []
        for _ in range(self._rounds):
            without, with_session = self._side_by_side(
                (self.subject, "/no-session"), (self.subject, "/session"), script="session.lua", args=[cookie]
            )
            more.append(1e6 / with_session - 1e6 / without)
        self._note("a session read, µs over none", more, 6, at_least=False)

    def forms(self) -> None:
        """A small URL-encoded form, and a field with a small file."""
        for path, script in (("/form", "form.lua"), ("/upload", "upload.lua")):
            ratios, cost = [], []
            for _ in range(self._rounds):
                found, other = self._side_by_side((self.subject, path), (self.reference, path), script=script)
                ratios.append(found / other)
                cost.append(1e6 / found)
            self._note(f"{path}, times gunicorn", ratios, None)
            self._note(f"{path}, µs a request", cost, None)

    def calls(self) -> None:
        """Single calls within a request."""
        for path, key, bound, name in (
            ("/measure/url_for", "us", 2.0, "url_for, µs"),
            ("/measure/render_template", "ratio", 1.05, "render_template, times template.render"),
        ):
            found = [self._ask(self.subject, path)[key] for _ in range(self._rounds)]
            self._note(name, found, bound, at_least=False)
            other = [self._ask(self.reference, path)[key] for _ in range(self._rounds)]
            self._note(f"{name} (Flask)", other, None)

    def _note(
        self, name: str, values: list[float], bound: Optional[float], *, at_least: bool = False
    ) -> None:
        value = statistics.median(values)
        text = f"{name:45} {value:9.2f}  ({min(values):.2f} to {max(values):.2f})"
        if bound is not None:
            holds = value >= bound if at_least else value <= bound
            text += f"  {'>=' if at_least else '<='} {bound:g}: {'holds' if holds else 'MISSED'}"
            if not holds:
                self.missed.append(name)
        self.lines.append(text)

    def _side_by_side(
        self, *places: tuple[servers.Server, str], script: Optional[str] = None, args: Any = ()
    ) -> list[float]:
        """Requests a CPU second at each place, one after the other."""
        return self.quiet.measure(
            lambda: [self._load(server, path, script, args).per_cpu_second for server, path in places]
        )

    def _load(
        self, server: servers.Server, path: str, script: Optional[str] = None, args: Any = ()
    ) -> Measured:
        script = None if script is None else str(HERE / script)
        measured = self._generator.closed(
            server, path, self._seconds, connections=32, script=script, script_args=args
        )
        if measured.errors:
            raise SystemExit(f"{server.name} {path}: {measured.errors} errors")
        return measured

    def _ask(self, server: servers.Server, path: str) -> Any:
        return json.loads(self._exchange(server, path).partition(b"\r\n\r\n")[2])

    def _exchange(self, server: servers.Server, path: str) -> bytes:
        # gunicorn listens before its worker answers.
        for _ in range(50):
            try:
                with socket.create_connection(
                    (servers.HOST, server.port), timeout=ANSWER_SECONDS
                ) as connection:
                    connection.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
                    answer = servers.read_answer(connection)
            except ConnectionError:
                time.sleep(0.1)
                continue
            if not answer.startswith(b"HTTP/1.1 200"):
                raise SystemExit(f"{server.name} {path}: {answer.decode(errors='replace')}")
            return answer
        raise SystemExit(f"{server.name} does not answer")

    def _cookie(self) -> str:
        for line in self._exchange(self.subject, "/login").split(b"\r\n"):
            name, _, value = line.decode().partition(": ")
            if name.lower() == "set-cookie":
                return value.partition(";")[0]
        raise SystemExit("no session cookie")


if __name__ == "__main__":
    os.environ["PYTHONPATH"] = str(HERE)
    sys.exit(main())
