from flask_cors import CORS, cross_origin
from flask import Blueprint, Flask, abort, jsonify

app = Flask(__name__)
CORS(
    app,
    resources={r"/api/*": {"origins": ["http://one.example", r"http://.*\.two\.example"], "max_age": 600}},
    supports_credentials=True,
    expose_headers=["X-Total"],
)
part = Blueprint("part", __name__, url_prefix="/part")
CORS(part, origins="*", send_wildcard=True)


@app.route("/api/items", methods=["GET", "POST", "DELETE"])
def items():
    response = jsonify([1, 2])
    response.headers["X-Total"] = "2"
    return response


@app.get("/api/later")
async def later():
    return {"later": True}


@app.get("/api/missing")
def missing():
    abort(404)


@app.get("/plain")
def plain():
    return "plain"


@app.route("/decorated", methods=["GET", "PUT"])
@cross_origin(origins="http://three.example", methods=["PUT"], allow_headers="X-Own")
def decorated():
    return {"decorated": True}


@part.get("/")
def in_part():
    return {"part": True}


app.register_blueprint(part)
