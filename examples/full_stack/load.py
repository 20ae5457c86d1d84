"""Serves the example under load: wrk on its JSON routes, people with forms and programs with tokens at the same time.

Ends with 1 if an answer is wrong, an answer is missing, or the server's memory grows.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import httpx

HERE = Path(__file__).resolve().parent
HOST = "127.0.0.1"
#: Growth of resident memory, from a fifth of the time on, that passes as noise of the allocator.
GROWTH_MIB = 8.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=300)
    parser.add_argument("--connections", type=int, default=16)
    arguments = parser.parse_args()
    if shutil.which("wrk") is None:
        print("wrk is not installed", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as folder:
        environment = {
            **os.environ,
            "DATABASE_URL": f"sqlite:///{folder}/load.db",
            "LOGIN_LIMIT": "1000000 per minute",
            "PYTHONUNBUFFERED": "1",
        }
        command = [sys.executable, "-m", "bustapi"]
        subprocess.run(
            [*command, "--app", "notes_site", "db", "upgrade"], cwd=HERE, env=environment, check=True
        )
        port = unused_port()
        with open(f"{folder}/server.log", "wb") as log:
            server = subprocess.Popen(
                [*command, "run", "notes_site", "--host", HOST, "--port", str(port)],
                cwd=HERE,
                env=environment,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
            try:
                failed = measure(server, f"http://{HOST}:{port}", arguments.seconds, arguments.connections)
            finally:
                server.send_signal(signal.SIGTERM)
                code = server.wait(20)
        text = Path(folder, "server.log").read_text(errors="replace")
    if code != 0 or "Traceback" in text:
        print(text[-4000:], f"exit code {code}", file=sys.stderr)
        failed = True
    return 1 if failed else 0


def measure(server: subprocess.Popen[bytes], url: str, seconds: int, connections: int) -> bool:
    wait_for(url)
    errors: list[str] = []
    flows = [0, 0]
    end = time.monotonic() + seconds
    people = threading.Thread(target=repeat, args=(person, url, end, errors, flows, 0))
    programs = threading.Thread(target=repeat, args=(program, url, end, errors, flows, 1))
    people.start()
    programs.start()
    wrk = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency"]
    running = [
        subprocess.Popen([*wrk, f"{url}/api/{path}"], stdout=subprocess.PIPE, text=True)
        for path in ("status", "totals")
    ]
    sizes = []
    while time.monotonic() < end:
        time.sleep(max(0.5, seconds / 60))
        sizes.append(resident(server.pid))
    outputs = [process.communicate(timeout=30)[0] for process in running]
    people.join(30)
    programs.join(30)
    for output in outputs:
        print(output)
        if "Non-2xx" in output or "Socket errors" in output:
            errors.append("wrk saw errors")
    settled = sizes[len(sizes) // 5 :] or [resident(server.pid)]
    growth = settled[-1] - settled[0]
    print(f"people: {flows[0]} visits, programs: {flows[1]} visits, errors: {len(errors)}")
    print(f"memory: {settled[0]:.1f} MiB -> {settled[-1]:.1f} MiB")
    for error in errors[:5]:
        print(error, file=sys.stderr)
    return bool(errors) or growth > GROWTH_MIB or not all(flows)


def repeat(visit, url: str, end: float, errors: list[str], flows: list[int], index: int) -> None:
    while time.monotonic() < end:
        try:
            visit(url, f"{visit.__name__}-{flows[index]}")
        except (AssertionError, httpx.HTTPError) as error:
            errors.append(f"{visit.__name__}: {type(error).__name__}: {error}")
        flows[index] += 1


def person(url: str, name: str) -> None:
    """Registers, writes a note, signs out and in again, all with forms."""
    sent = {"name": name, "password": "correct horse"}
    with httpx.Client(base_url=url, timeout=20) as client:
        assert client.get("/").status_code == 302
        assert client.post("/register", data=sent).status_code == 400, "the form has no token"
        answer = client.post("/register", data={**sent, **token(client.get("/register"))})
        assert answer.status_code == 302, answer.text
        answer = client.post("/", data={"text": "<first>", **token(client.get("/"))})
        assert answer.status_code == 302, answer.text
        page = client.get("/")
        assert "&lt;first&gt;" in page.text
        assert name in page.text
        assert client.post("/sign-out", data=token(page)).status_code == 302
        assert client.get("/").status_code == 302
        answer = client.post("/sign-in", data={**sent, **token(client.get("/sign-in"))})
        assert answer.status_code == 302
        assert "&lt;first&gt;" in client.get("/").text


def program(url: str, name: str) -> None:
    """Uses the API with a token."""
    with httpx.Client(base_url=url, timeout=20) as client:
        sent = {"name": name, "password": "correct horse"}
        assert client.post("/api/token", json=sent).status_code == 401
        assert client.post("/register", data={**sent, **token(client.get("/register"))}).status_code == 302
        given = client.post("/api/token", json=sent, headers={"Origin": "http://elsewhere.example"})
        assert given.headers["Access-Control-Allow-Origin"] == "http://elsewhere.example", given.headers
        headers = {"Authorization": f"Bearer {given.json()['token']}"}
        assert client.get("/api/notes").status_code == 401
        key = client.post("/api/notes", json={"text": "one"}, headers=headers).json()["id"]
        assert [note["text"] for note in client.get("/api/notes", headers=headers).json()["notes"]] == ["one"]
        assert client.delete(f"/api/notes/{key}", headers=headers).status_code == 204
        assert client.delete(f"/api/notes/{key}", headers=headers).status_code == 404
        assert client.get("/api/notes", headers=headers).json()["total"] == 0


def token(page: httpx.Response) -> dict[str, str]:
    found = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', page.text)
    assert found is not None, page.text
    return {"csrf_token": found[1]}


def resident(pid: int) -> float:
    """Resident memory in MiB."""
    with open(f"/proc/{pid}/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmRSS")) / 1024


def unused_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return probe.getsockname()[1]


def wait_for(url: str) -> None:
    for _ in range(300):
        try:
            httpx.get(f"{url}/api/status", timeout=2)
            return
        except httpx.TransportError:
            time.sleep(0.1)
    raise SystemExit("the server does not start")


if __name__ == "__main__":
    sys.exit(main())
