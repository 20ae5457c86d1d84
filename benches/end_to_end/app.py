"""The benched app: one route a scenario, nothing else."""

from __future__ import annotations

import argparse
from typing import Any

from bustapi import BustAPI, request


def make_app(hooks: bool = False, tasks: bool = False) -> BustAPI:
    """The routes the bare server answers too.

    Args:
        hooks: Adds one hook before and one after every request.
        tasks: Adds the `async def` view, which makes the server a guest of an event loop.
    """
    app = BustAPI(__name__)

    @app.get("/json")
    def json() -> dict[str, Any]:
        return {"message": "Hello, World!"}

    @app.get("/users/<int:user_id>")
    def user(user_id: int) -> dict[str, Any]:
        return {"id": user_id}

    @app.get("/plaintext")
    def plaintext() -> str:
        return "Hello, World!"

    @app.post("/echo-json")
    def echo_json() -> Any:
        return request.get_json()

    if tasks:

        @app.get("/async")
        async def json_async() -> dict[str, Any]:
            return {"message": "Hello, World!"}

    if hooks:
        seen = 0

        @app.before_request
        def count() -> None:
            nonlocal seen
            seen += 1

        @app.after_request
        def pass_on(response: Any) -> Any:
            return response

    @app.get("/hooks")
    def hooked() -> dict[str, Any]:
        return {"message": "Hello, World!"}

    return app


def main() -> None:
    """Serves until it is told to end."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--hooks", action="store_true")
    parser.add_argument("--tasks", action="store_true")
    args = parser.parse_args()
    make_app(args.hooks, args.tasks).run(host="127.0.0.1", port=args.port, threads=args.threads)


if __name__ == "__main__":
    main()
