"""The real services behind the extensions: Redis and PostgreSQL, started by the tests and ended with them."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

HOST = "127.0.0.1"
START_SECONDS = 30.0


def unused_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.contextmanager
def process(command: list[str], port: int, log: Path, stop: int = signal.SIGTERM) -> Iterator[None]:
    """Runs a program that listens on a port, and ends it by its process id."""
    with log.open("wb") as output:
        child = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, cwd=log.parent
        )
    try:
        deadline = time.monotonic() + START_SECONDS
        while True:
            assert child.poll() is None, log.read_text(errors="replace")
            assert time.monotonic() < deadline, log.read_text(errors="replace")
            try:
                socket.create_connection((HOST, port), 1.0).close()
                break
            except OSError:
                time.sleep(0.05)
        yield
    finally:
        child.send_signal(stop)
        try:
            child.wait(15)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait(15)


@contextlib.contextmanager
def redis(folder: Path) -> Iterator[str]:
    """A Redis of its own; its URL."""
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("redis-server is not installed (Debian: redis-server)")
    port = unused_port()
    options = ["--port", str(port), "--bind", HOST, "--save", "", "--appendonly", "no", "--dir", str(folder)]
    with process([program, *options], port, folder / "redis.log"):
        yield f"redis://{HOST}:{port}/0"


@contextlib.contextmanager
def postgres(folder: Path) -> Iterator[str]:
    """A PostgreSQL cluster of its own; SQLAlchemy's URL of it."""
    programs = {name: _postgres_program(name) for name in ("initdb", "postgres")}
    missing = [name for name, path in programs.items() if path is None]
    if missing:
        pytest.skip(f"{' and '.join(missing)} not installed (Debian: postgresql)")
    # Short: the socket's path has a limit. The server refuses to run as root.
    data = folder / "pg"
    data.mkdir()
    prefix: list[str] = []
    if os.geteuid() == 0:
        try:
            account = pwd.getpwnam("postgres")
        except KeyError:
            pytest.skip("PostgreSQL does not run as root, and there is no user postgres")
        if shutil.which("setpriv") is None:
            pytest.skip("PostgreSQL does not run as root, and there is no setpriv")
        prefix = ["setpriv", f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups"]
        os.chown(data, account.pw_uid, account.pw_gid)
        for parent in data.parents:
            if parent.stat().st_uid == 0 and not parent.stat().st_mode & 0o001:
                parent.chmod(parent.stat().st_mode | 0o011)
    initialise = [
        *prefix,
        str(programs["initdb"]),
        "-D",
        str(data),
        "-U",
        "tests",
        "-A",
        "trust",
        "-N",
        "-E",
        "UTF8",
    ]
    subprocess.run([*initialise, "--locale=C"], check=True, capture_output=True, timeout=60, cwd="/")
    port = unused_port()
    options = ["-D", str(data), "-p", str(port), "-h", HOST, "-k", "", "-F"]
    # SIGINT: disconnects clients; SIGTERM would wait for them.
    with process(
        [*prefix, str(programs["postgres"]), *options], port, folder / "postgres.log", signal.SIGINT
    ):
        yield f"postgresql+psycopg://tests@{HOST}:{port}/postgres"


def _postgres_program(name: str) -> str | None:
    found = shutil.which(name)
    if found is None:
        found = max(map(str, Path("/usr/lib/postgresql").glob(f"*/bin/{name}")), default=None)
    return found
