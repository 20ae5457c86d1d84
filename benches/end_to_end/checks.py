"""What is true of the servers beside their speed: the bytes they send, the system calls and the memory they use."""

from __future__ import annotations

import contextlib
import json
import re
import resource
import socket
import statistics
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from servers import HOST, Server, read_answer

PAYLOAD = Path(__file__).with_name("payload.json")
WARM_CONNECTIONS = 256
IDLE_CONNECTIONS = 4096


def request_bytes(path: str) -> bytes:
    """What the generators send for a scenario's path."""
    if path != "/echo-json":
        return f"GET {path} HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode()
    body = PAYLOAD.read_bytes()
    head = f"POST {path} HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    return head.encode() + b"\r\n\r\n" + body


def unequal_answers(one: Server, other: Server, paths: Sequence[str]) -> list[str]:
    """The paths whose answers differ in any byte but the Date's value, with both answers."""
    found = []
    for path in paths:
        answers = [undated(server.ask(request_bytes(path))) for server in (one, other)]
        if answers[0] != answers[1]:
            found.append(f"{path}: {one.name} {answers[0]!r}, {other.name} {answers[1]!r}")
    return found


def undated(answer: bytes) -> bytes:
    """The answer with a fixed Date."""
    return re.sub(rb"\r\nDate: [^\r]{29}\r\n", b"\r\nDate: \r\n", answer, count=1)


def allocations(binary: Path) -> dict[str, Any]:
    """Heap operations of the bare server on a keep-alive connection."""
    output = subprocess.run([str(binary)], capture_output=True, text=True, timeout=60, check=True).stdout
    result: dict[str, Any] = json.loads(output)
    return result


def bytes_per_idle_connection(server: Server, path: str = "/json") -> float:
    """Resident memory that a keep-alive connection costs after its first answer, over some thousand of them."""
    allow_descriptors(IDLE_CONNECTIONS + WARM_CONNECTIONS + 64)
    request = request_bytes(path)
    with contextlib.ExitStack() as stack:

        def open_many(count: int) -> None:
            for _ in range(count):
                connection = stack.enter_context(socket.create_connection((HOST, server.port), timeout=5.0))
                connection.sendall(request)
                read_answer(connection)

        open_many(WARM_CONNECTIONS)
        before = server.resident_bytes()
        open_many(IDLE_CONNECTIONS)
        # Whatever a turn leaves to the next one is done by then.
        time.sleep(0.5)
        return (server.resident_bytes() - before) / IDLE_CONNECTIONS


def allow_descriptors(count: int) -> None:
    """Raises the limit of this process, and so of the servers it starts from now on."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < count:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(count, hard) if hard > 0 else count, hard))


def import_milliseconds(python: str, cores: str, statement: str, rounds: int = 21) -> float:
    """CPU time of `statement` on top of a start of the interpreter: the median of alternating pairs.

    It runs in one thread and waits for nothing, so on an idle machine this is its wall time too.
    """

    def start(program: str) -> float:
        begin = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(["taskset", "-c", cores, python, "-c", program], timeout=60, check=True)
        end = resource.getrusage(resource.RUSAGE_CHILDREN)
        return (end.ru_utime - begin.ru_utime + end.ru_stime - begin.ru_stime) * 1e3

    # The first start reads files that the others find in memory.
    start(statement)
    return statistics.median(start(statement) - start("pass") for _ in range(rounds))
