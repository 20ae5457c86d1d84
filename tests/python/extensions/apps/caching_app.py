import os
from itertools import count

from flask_caching import Cache
from flask import Flask, request

app = Flask(__name__)
cache = Cache(
    app,
    config={
        "CACHE_TYPE": "RedisCache",
        "CACHE_REDIS_URL": os.environ["TEST_REDIS"],
        "CACHE_KEY_PREFIX": os.environ["TEST_PREFIX"],
        "CACHE_DEFAULT_TIMEOUT": 300,
    },
)
calls = count(1)


@app.get("/view/<name>")
@cache.cached()
def view(name):
    return {"name": name, "call": next(calls)}


@app.get("/query")
@cache.cached(query_string=True)
def query():
    return {"query": sorted(request.args.items(multi=True)), "call": next(calls)}


@app.get("/later")
@cache.cached(timeout=60)
async def later():
    return {"call": next(calls)}


@cache.memoize()
def square(number):
    return {"square": number * number, "call": next(calls)}


@app.get("/square/<int:number>")
def squared(number):
    return square(number)


@app.delete("/square/<int:number>")
def forget(number):
    cache.delete_memoized(square, number)
    return {"forgotten": number}


@app.get("/unless")
@cache.cached(unless=lambda: "skip" in request.args)
def unless():
    return {"call": next(calls)}


@app.get("/response")
@cache.cached(response_filter=lambda response: response[1] == 200)
def response():
    status = int(request.args.get("status", 200))
    return {"call": next(calls)}, status, {"X-Own": "yes"}


@app.post("/value")
def put():
    cache.set("value", request.json)
    return {"value": cache.get("value"), "missing": cache.get("missing")}


@app.delete("/")
def clear():
    return {"cleared": cache.clear()}
