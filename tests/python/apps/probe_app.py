"""The application that the HTTP/1.1 probe asks for: see the routes in `h1probe.py`'s header."""

from __future__ import annotations

import os
from collections.abc import Iterator

from bustapi import BustAPI, Response, request

app = BustAPI(__name__)


@app.get("/")
def index() -> str:
    return "ok"


@app.post("/echo")
def echo() -> bytes:
    return request.get_data()


@app.get("/headers")
def headers() -> Response:
    lines = "".join(f"{name}: {value}\n" for name, value in request.headers)
    return Response(lines, mimetype="text/plain")


@app.get("/reflect")
def reflect() -> Response:
    response = Response("reflected")
    response.headers["X-Reflect"] = request.args["v"]
    return response


@app.get("/stream")
def stream() -> Response:
    def parts() -> Iterator[str]:
        for number in range(3):
            yield f"part{number}\n"

    return Response(parts(), mimetype="text/plain")


@app.get("/status/<int:code>")
def status(code: int) -> Response:
    return Response(status=code)


if __name__ == "__main__":
    app.run(port=int(os.environ.get("PORT", "5000")))
