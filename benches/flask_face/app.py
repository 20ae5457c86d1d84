"""The benched application, on either implementation: `FACE=flask` or `FACE=bustapi.flask`.

`python app.py PORT` serves it with our server; gunicorn imports `app:app`.
"""

from __future__ import annotations

import importlib
import os
import sys
import time
from typing import Any, Callable

flask: Any = importlib.import_module(os.environ.get("FACE", "bustapi.flask"))
PAGE = "page.html"
CONTEXT = {"title": "Items", "items": [{"name": f"item {n}", "price": n} for n in range(20)]}
#: A cookie of two keys.
CONTENT = {"user_id": 42, "theme": "dark"}


def make_app() -> Any:
    """The application."""
    app = flask.Flask(__name__)
    app.secret_key = "a key of the benchmark"
    # None of the views waits. Left to itself, the server would find that out, and on a busy machine late.
    app.execution = "inline"
    seen = {"before": 0, "teardown": 0}

    @app.get("/bare")
    def bare() -> dict[str, Any]:
        return {"message": "Hello, World!"}

    hooked = flask.Blueprint("hooked", __name__, url_prefix="/hooked")

    @hooked.before_request
    def before() -> None:
        seen["before"] += 1

    @hooked.after_request
    def after(response: Any) -> Any:
        return response

    @hooked.teardown_request
    def teardown(error: Any) -> None:
        seen["teardown"] += 1

    @hooked.get("/json")
    def hooked_json() -> dict[str, Any]:
        return {"message": "Hello, World!"}

    app.register_blueprint(hooked)

    @app.get("/login")
    def login() -> dict[str, Any]:
        flask.session.update(CONTENT)
        return {}

    @app.get("/session")
    def session() -> dict[str, Any]:
        return {"user": flask.session["user_id"], "theme": flask.session["theme"]}

    @app.get("/no-session")
    def no_session() -> dict[str, Any]:
        return {"user": 42, "theme": "dark"}

    @app.post("/form")
    def form() -> dict[str, Any]:
        return {"name": flask.request.form["name"]}

    @app.post("/upload")
    def upload() -> dict[str, Any]:
        return {"name": flask.request.files["file"].filename}

    @app.context_processor
    def site() -> dict[str, Any]:
        return {"site": "bench"}

    # What a call costs, measured by the view in its request.

    @app.get("/items/<int:item_id>")
    def item(item_id: int) -> dict[str, Any]:
        return {"id": item_id}

    @app.get("/measure/url_for")
    def url_for() -> dict[str, Any]:
        function = flask.url_for
        return {"us": microseconds(lambda: function("item", item_id=7))}

    @app.get("/measure/render_template")
    def render_template() -> dict[str, Any]:
        template = app.jinja_env.get_template(PAGE)
        context = dict(CONTEXT)
        app.update_template_context(context)
        assert template.render(context) == flask.render_template(PAGE, **CONTEXT)
        # By turns: what slows the machine down slows both.
        rounds = [
            (
                microseconds(lambda: template.render(context), 10, 30),
                microseconds(lambda: flask.render_template(PAGE, **CONTEXT), 10, 30),
            )
            for _ in range(31)
        ]
        return {"ratio": sorted(ours / alone for alone, ours in rounds)[len(rounds) // 2]}

    return app


def microseconds(call: Callable[[], Any], calls: int = 50, rounds: int = 200) -> float:
    """Time of a call: the least of many short rounds, some of which nothing else disturbs."""
    best = float("inf")
    for _ in range(rounds):
        start = time.perf_counter()
        for _ in range(calls):
            call()
        best = min(best, time.perf_counter() - start)
    return best / calls * 1e6


app = make_app()

if __name__ == "__main__":
    from bustapi.serve import run

    run(app, "127.0.0.1", int(sys.argv[1]))
