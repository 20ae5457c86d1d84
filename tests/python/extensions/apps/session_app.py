import os

import redis

from flask_session import Session
from flask import Flask, request, session

app = Flask(__name__)
app.config.update(
    SESSION_TYPE="redis",
    SESSION_REDIS=redis.Redis.from_url(os.environ["TEST_REDIS"]),
    SESSION_KEY_PREFIX=os.environ["TEST_PREFIX"],
    SESSION_COOKIE_SAMESITE="Lax",
)
Session(app)


@app.get("/")
def show():
    return {"values": {name: value for name, value in session.items() if not name.startswith("_")}}


@app.put("/<name>")
def put(name):
    session[name] = request.json
    return {"size": len([key for key in session if not key.startswith("_")]), "new": session.new}


@app.put("/later/<name>")
async def later(name):
    session[name] = request.json
    return {"put": name}


@app.delete("/")
def clear():
    session.clear()
    return {"cleared": True}


@app.post("/permanent")
def permanent():
    session.permanent = True
    return {"permanent": session.permanent}


@app.post("/regenerate")
def regenerate():
    app.session_interface.regenerate(session)
    return {"regenerated": True}
