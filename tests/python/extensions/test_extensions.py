"""Unmodified Flask extensions, served over a socket, in both import orders, compared with the real Flask.

Each application in `apps` is one that people write: it imports `flask` and its extensions and knows nothing of us.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import pytest

from extensions.harness import ORDERS, Client, compare, need

both_orders = pytest.mark.parametrize("order", ORDERS)


@both_orders
def test_flask_cors(order: str, folder: Path) -> None:
    need("flask_cors", "asgiref")

    def visit(ask: Client) -> None:
        origins = (
            None,
            "http://one.example",
            "https://one.example",
            "http://a.two.example",
            "http://three.example",
        )
        for origin in origins:
            headers = {} if origin is None else {"Origin": origin}
            for path in (
                "/api/items",
                "/api/later",
                "/api/missing",
                "/plain",
                "/decorated",
                "/part/",
                "/nowhere",
            ):
                ask("GET", path, headers=headers)
                ask(
                    "OPTIONS",
                    path,
                    headers={
                        **headers,
                        "Access-Control-Request-Method": "PUT",
                        "Access-Control-Request-Headers": "X-Own, X-Other",
                    },
                )
            ask("POST", "/api/items", headers=headers)
            ask("PUT", "/api/items", headers=headers)

    seen = compare(order, "cors_app", folder, visit).seen
    assert any(("access-control-allow-origin", "http://a.two.example") in what["headers"] for _, what in seen)


def visit_authors(ask: Client) -> None:
    assert ask("POST", "/authors", json={"name": "ann", "notes": ["one", "two"]}).status_code == 201
    for name in ("bob", "cid"):
        ask("POST", "/authors", json={"name": name})
    assert ask("POST", "/authors", json={"name": "ann"}).json() == {"error": "IntegrityError"}
    assert ask("GET", "/authors/1").json() == {"name": "ann", "notes": ["one", "two"]}
    assert ask("GET", "/authors/99").json() == {"error": "no such author"}
    for page in ("", "?page=2", "?page=3", "?page=x", "?per_page=1"):
        ask("GET", f"/authors{page}")
    ask("GET", "/one?name=bob")
    ask("GET", "/one?name=nobody")
    ask("POST", "/lost")
    assert ask("GET", "/later").json() == {"count": 3}


@both_orders
def test_flask_sqlalchemy_on_sqlite(order: str, folder: Path) -> None:
    need("flask_sqlalchemy", "asgiref")
    compare(
        order,
        "sqlalchemy_app",
        folder,
        visit_authors,
        lambda which: {"TEST_DATABASE": f"sqlite:///{folder}/{which}.db"},
    )


@both_orders
def test_flask_sqlalchemy_on_postgresql(order: str, folder: Path, postgres_url: str) -> None:
    need("flask_sqlalchemy", "psycopg", "asgiref")
    compare(order, "sqlalchemy_app", folder, visit_authors, lambda which: {"TEST_DATABASE": postgres_url})


@both_orders
def test_flask_login(order: str, folder: Path) -> None:
    need("flask_login", "asgiref")

    def visit(ask: Client) -> None:
        ask("GET", "/who")
        assert ask("GET", "/me").status_code == 302
        ask("GET", "/later")
        ask("POST", "/login", data={"name": "eve"})
        assert ask("POST", "/login", data={"name": "ann", "remember": "yes"}).json() == {"welcome": "ann"}
        assert ask("GET", "/me").json()["name"] == "ann"
        assert ask("GET", "/later").json() == {"name": "ann"}
        ask("GET", "/secret")
        # Another browser with the stolen cookie is logged out.
        assert ask("GET", "/me", headers={"User-Agent": "another"}).status_code == 302
        ask("GET", "/who")
        ask("POST", "/login", data={"name": "ann", "remember": "yes"})
        # Who is only remembered is not fresh.
        del ask.http.cookies["session"]
        assert ask("GET", "/me").json()["name"] == "ann"
        assert ask("GET", "/secret").status_code == 302
        ask("POST", "/logout")
        assert ask("GET", "/who").json() == {"anonymous": True, "known": False}
        ask("GET", "/me", headers={"X-Key": "bob"})
        ask("GET", "/me", headers={"X-Key": "eve"})

    compare(order, "login_app", folder, visit)


@both_orders
def test_flask_jwt_extended(order: str, folder: Path) -> None:
    need("flask_jwt_extended", "asgiref")

    def visit(ask: Client) -> None:
        tokens = ask("POST", "/login", json={"name": "ann"}).json()
        gone = ask("POST", "/login", json={"name": "gone"}).json()

        def bearer(token: str) -> dict[str, str]:
            return {"Authorization": f"Bearer {token}"}

        for path in ("/me", "/later", "/maybe", "/fresh"):
            ask("GET", path)
            for token in (*tokens.values(), gone["access"], "rubbish", f"{tokens['access']}x"):
                ask("GET", path, headers=bearer(token))
        assert ask("GET", "/me", headers=bearer(tokens["access"])).json()["user"] == {
            "name": "ann",
            "role": "reader",
        }
        ask("GET", "/me", params={"jwt": tokens["access"]})
        ask("POST", "/me", json={"access_token": tokens["access"]})
        stale = ask("POST", "/refresh", headers=bearer(tokens["refresh"])).json()["access"]
        assert ask("GET", "/fresh", headers=bearer(stale)).status_code == 401
        ask("POST", "/cookies")
        ask("GET", "/me")
        ask("POST", "/me")
        assert (
            ask("POST", "/me", headers={"X-CSRF-TOKEN": ask.http.cookies["csrf_access_token"]}).json()[
                "identity"
            ]
            == "ann"
        )
        ask("DELETE", "/cookies")
        ask("POST", "/logout", headers=bearer(tokens["access"]))
        assert ask("GET", "/me", headers=bearer(tokens["access"])).json() == {"msg": "Token has been revoked"}

    compare(order, "jwt_app", folder, visit)


@both_orders
def test_flask_migrate(order: str, folder: Path) -> None:
    """The tables are made by `bustapi db`, and by `flask db` for the real Flask."""
    need("flask_migrate", "flask_sqlalchemy")

    def migrate(which: str) -> dict[str, str]:
        environment = {"TEST_DATABASE": f"sqlite:///{folder}/{which}.db"}
        command = "flask" if which == "flask" else "bustapi"
        for arguments in (["init"], ["migrate", "-m", "things"], ["upgrade"], ["current"], ["check"]):
            result = subprocess.run(
                [
                    sys.executable,
                    "-m",
                    command,
                    "--app",
                    "migrate_app",
                    "db",
                    arguments[0],
                    "-d",
                    which,
                    *arguments[1:],
                ],
                cwd=folder,
                env={
                    **{key: value for key, value in os.environ.items() if key != "BUSTAPI_BRIDGE"},
                    **environment,
                    "PYTHONPATH": str(Path(__file__).parent / "apps"),
                },
                capture_output=True,
                text=True,
                timeout=50,
                check=False,
            )
            assert result.returncode == 0, result.stderr + result.stdout
        assert "No new upgrade operations detected" in result.stdout + result.stderr
        assert list((folder / which / "versions").glob("*_things.py"))
        return environment

    def visit(ask: Client) -> None:
        ask("POST", "/things/one")
        assert ask("POST", "/things/two").json() == {"names": ["one", "two"]}
        ask("GET", "/directory")

    compare(order, "migrate_app", folder, visit, migrate)


@both_orders
def test_flask_wtf(order: str, folder: Path) -> None:
    need("flask_wtf", "asgiref")

    def visit(ask: Client) -> None:
        page = ask("GET", "/note").text
        found = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', page)
        assert found is not None, page
        token = found[1]
        ask("POST", "/note", data={"title": "one", "count": "2"})
        ask("POST", "/note", data={"title": "one", "count": "2", "csrf_token": f"{token}x"})
        sent = {"title": "one", "count": "2", "csrf_token": token}
        assert ask("POST", "/note", data=sent).json() == {"count": 2, "title": "one"}
        ask("POST", "/note", data={**sent, "title": "much too long a title", "count": "9"})
        ask("POST", "/note", data={"csrf_token": token})
        headers = {"X-CSRFToken": token}
        assert (
            ask("POST", "/upload", files={"file": ("a.txt", b"12345")}, headers=headers).json()["size"] == 5
        )
        ask("POST", "/upload", files={"file": ("a.exe", b"12345")}, headers=headers)
        ask("POST", "/upload", headers=headers)
        ask("GET", "/token")
        ask("POST", "/api", json={"a": 1})
        ask("PUT", "/guarded")
        assert ask("PUT", "/guarded", headers=headers).json() == {"guarded": True}
        ask.http.cookies.clear()
        ask("PUT", "/guarded", headers=headers)

    compare(order, "wtf_app", folder, visit)


def own_prefix(redis_url: str) -> dict[str, str]:
    return {"TEST_REDIS": redis_url, "TEST_PREFIX": f"{uuid4().hex}:"}


@both_orders
def test_flask_limiter_with_redis(order: str, folder: Path, redis_url: str) -> None:
    need("flask_limiter", "redis", "asgiref")

    def visit(ask: Client) -> None:
        for path, times in (("/default", 7), ("/two", 4), ("/later", 3), ("/free", 8), ("/part", 3)):
            for _ in range(times):
                ask("GET", path)
        assert ask("GET", "/two").json() == {"limit": "enough"}
        for path in ("/shared-a", "/shared-b", "/shared-a", "/shared-b"):
            ask("GET", path)
        for _ in range(3):
            ask("GET", "/two", headers={"X-Client": "another"})
        ask("GET", "/nowhere")
        # What depends on the clock is not compared.
        for _, what in ask.seen:
            what["headers"] = [
                (name, "*" if name in ("retry-after", "x-ratelimit-reset") else value)
                for name, value in what["headers"]
            ]

    compare(order, "limiter_app", folder, visit, lambda which: own_prefix(redis_url))


@both_orders
def test_flask_caching_with_redis(order: str, folder: Path, redis_url: str) -> None:
    need("flask_caching", "redis", "asgiref")

    def visit(ask: Client) -> None:
        for path in (
            "/view/a",
            "/view/a",
            "/view/b",
            "/view/a",
            "/query?a=1&b=2",
            "/query?b=2&a=1",
            "/query?a=2",
        ):
            ask("GET", path)
        assert ask("GET", "/view/a").json() == {"call": 1, "name": "a"}
        assert ask("GET", "/later").json() == ask("GET", "/later").json()
        for path in ("/square/3", "/square/4", "/square/3"):
            ask("GET", path)
        ask("DELETE", "/square/3")
        ask("GET", "/square/3")
        ask("GET", "/square/4")
        for path in (
            "/unless",
            "/unless",
            "/unless?skip=1",
            "/response?status=500",
            "/response",
            "/response",
        ):
            ask("GET", path)
        ask("POST", "/value", json={"a": [1, None, "x"]})
        ask("HEAD", "/view/a")
        ask("DELETE", "/")
        ask("GET", "/view/a")

    compare(order, "caching_app", folder, visit, lambda which: own_prefix(redis_url))


@both_orders
def test_flask_session_with_redis(order: str, folder: Path, redis_url: str) -> None:
    need("flask_session", "redis", "asgiref")

    def visit(ask: Client) -> None:
        ask("GET", "/")
        ask("PUT", "/a", json={"x": [1, 2]})
        ask("PUT", "/b", json="text")
        ask("PUT", "/later/c", json=3)
        assert ask("GET", "/").json() == {"values": {"a": {"x": [1, 2]}, "b": "text", "c": 3}}
        before = ask.http.cookies["session"]
        ask("POST", "/regenerate")
        assert ask.http.cookies["session"] != before
        ask("GET", "/")
        ask("POST", "/permanent")
        ask("GET", "/", headers={"Cookie": "session=forged"})
        ask("DELETE", "/")
        ask("GET", "/")

    compare(order, "session_app", folder, visit, lambda which: own_prefix(redis_url))
