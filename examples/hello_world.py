"""The smallest application.

Start it with `python examples/hello_world.py`, then open http://127.0.0.1:5000/ or http://127.0.0.1:5000/hello/you.
"""

from bustapi import BustAPI

app = BustAPI(__name__)


@app.get("/")
def index():
    return "Hello, World!\n"


@app.get("/hello/<name>")
def hello(name):
    return {"hello": name}


if __name__ == "__main__":
    app.run()
