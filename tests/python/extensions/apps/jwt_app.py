from datetime import timedelta

from flask_jwt_extended import (
    JWTManager,
    create_access_token,
    create_refresh_token,
    current_user,
    get_jwt,
    get_jwt_identity,
    jwt_required,
    set_access_cookies,
    unset_jwt_cookies,
)
from flask import Flask, jsonify, request

app = Flask(__name__)
app.config.update(
    JWT_SECRET_KEY="a key of the tests that is long enough for the algorithm",
    JWT_TOKEN_LOCATION=["headers", "cookies", "query_string", "json"],
    JWT_COOKIE_CSRF_PROTECT=True,
)
jwt = JWTManager(app)
revoked = set()


@jwt.user_lookup_loader
def look_up(header, data):
    return None if data["sub"] == "gone" else {"name": data["sub"], "role": data.get("role")}


@jwt.token_in_blocklist_loader
def is_revoked(header, data):
    return data["jti"] in revoked


@app.post("/login")
def login():
    name = request.json["name"]
    return {
        "access": create_access_token(name, fresh=True, additional_claims={"role": "reader"}),
        "refresh": create_refresh_token(name),
        "old": create_access_token(name, expires_delta=timedelta(seconds=-5)),
    }


@app.post("/cookies")
def cookies():
    response = jsonify(set=True)
    set_access_cookies(response, create_access_token("ann"))
    return response


@app.delete("/cookies")
def no_cookies():
    response = jsonify(set=False)
    unset_jwt_cookies(response)
    return response


@app.route("/me", methods=["GET", "POST"])
@jwt_required()
def me():
    return {"identity": get_jwt_identity(), "user": dict(current_user), "type": get_jwt()["type"]}


@app.get("/later")
@jwt_required()
async def later():
    return {"identity": get_jwt_identity()}


@app.get("/maybe")
@jwt_required(optional=True)
def maybe():
    return {"identity": get_jwt_identity()}


@app.get("/fresh")
@jwt_required(fresh=True)
def fresh():
    return {"fresh": True}


@app.post("/refresh")
@jwt_required(refresh=True)
def refresh():
    return {"access": create_access_token(get_jwt_identity())}


@app.post("/logout")
@jwt_required()
def logout():
    revoked.add(get_jwt()["jti"])
    return {"bye": True}
