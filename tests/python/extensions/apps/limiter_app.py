import os

from flask_limiter import Limiter
from flask_limiter.util import get_remote_address
from flask import Blueprint, Flask, request

app = Flask(__name__)
limiter = Limiter(
    lambda: request.headers.get("X-Client") or get_remote_address(),
    app=app,
    storage_uri=os.environ["TEST_REDIS"],
    headers_enabled=True,
    default_limits=["5 per hour"],
    key_prefix=os.environ["TEST_PREFIX"],
)
part = Blueprint("part", __name__)
limiter.limit("1 per hour")(part)


@app.get("/default")
def default():
    return {"ok": True}


@app.get("/two")
@limiter.limit("2 per hour", error_message="enough")
def two():
    return {"ok": True}


@app.get("/later")
@limiter.limit("1 per hour")
async def later():
    return {"ok": True}


@app.get("/free")
@limiter.exempt
def free():
    return {"ok": True}


@app.get("/shared-a")
@limiter.shared_limit("2 per hour", scope="shared")
def shared_a():
    return "a"


@app.get("/shared-b")
@limiter.shared_limit("2 per hour", scope="shared")
def shared_b():
    return "b"


@part.get("/part")
def in_part():
    return "part"


@app.errorhandler(429)
def too_many(error):
    return {"limit": str(error.description)}, 429


app.register_blueprint(part)
