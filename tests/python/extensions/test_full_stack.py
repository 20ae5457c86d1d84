"""`examples/full_stack`: eight extensions in one application, as its README says to run it."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import httpx
import pytest

from extensions.harness import need
from extensions.services import HOST, process, unused_port

FOLDER = Path(__file__).resolve().parents[3] / "examples" / "full_stack"
EXTENSIONS = ("caching", "cors", "jwt_extended", "limiter", "login", "migrate", "sqlalchemy", "wtf")


def load() -> Any:
    spec = spec_from_file_location("full_stack_load", FOLDER / "load.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("services", ["sqlite", "postgresql and redis"])
def test_people_and_programs(services: str, folder: Path, request: pytest.FixtureRequest) -> None:
    need(*(f"flask_{name}" for name in EXTENSIONS))
    environment = {key: value for key, value in os.environ.items() if key != "BUSTAPI_BRIDGE"}
    environment["LOGIN_LIMIT"] = "12 per minute"
    if services == "sqlite":
        environment["DATABASE_URL"] = f"sqlite:///{folder}/notes.db"
    else:
        need("psycopg", "redis")
        environment["DATABASE_URL"] = request.getfixturevalue("postgres_url")
        environment["REDIS_URL"] = request.getfixturevalue("redis_url")
    command = [sys.executable, "-m", "bustapi"]
    for arguments in (["upgrade"], ["check"]):
        result = subprocess.run(
            [*command, "--app", "notes_site", "db", *arguments],
            cwd=FOLDER,
            env=environment,
            capture_output=True,
            text=True,
            timeout=50,
            check=False,
        )
        assert result.returncode == 0, result.stderr
    port = unused_port()
    # The server has the environment of this process.
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("BUSTAPI_BRIDGE", raising=False)
        for key, value in environment.items():
            patch.setenv(key, value)
        patch.chdir(FOLDER)
        patch.setenv("PYTHONPATH", str(FOLDER))
        with process([*command, "run", "notes_site", "--port", str(port)], port, folder / "server.log"):
            url = f"http://{HOST}:{port}"
            visits = load()
            visits.person(url, "ann")
            visits.program(url, "bob")
            totals = httpx.get(f"{url}/api/totals").json()
            assert totals == {"accounts": 2, "notes": 1}
            visits.person(url, "cid")
            assert httpx.get(f"{url}/api/totals").json() == totals, "it is cached"
            answers = [httpx.post(f"{url}/api/token", json={"name": "x", "password": "y"}) for _ in range(13)]
            assert answers[-1].status_code == 429
            assert answers[-1].json() == {"error": "12 per 1 minute"}
