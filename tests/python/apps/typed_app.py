"""A typical Flask application with type hints, under our names: `mypy --strict` has nothing to say (`make check`)."""

from __future__ import annotations

import typing as t
from functools import wraps

from bustapi import (
    Blueprint,
    Flask,
    abort,
    current_app,
    flash,
    g,
    jsonify,
    redirect,
    render_template,
    request,
    session,
    url_for,
)
from bustapi.flask import Response, make_response, send_file, stream_with_context
from bustapi.flask.typing import ResponseReturnValue
from bustapi.flask.views import MethodView
from bustapi.werkzeug.datastructures import FileStorage
from bustapi.werkzeug.exceptions import HTTPException, NotFound

bp = Blueprint("notes", __name__, url_prefix="/notes")
F = t.TypeVar("F", bound=t.Callable[..., t.Any])


def login_required(view: F) -> F:
    @wraps(view)
    def wrapped(*args: t.Any, **kwargs: t.Any) -> t.Any:
        if g.get("user") is None:
            return redirect(url_for("login"))
        return view(*args, **kwargs)

    return t.cast(F, wrapped)


@bp.get("/")
@login_required
def index() -> dict[str, t.Any]:
    page: int | None = request.args.get("page", type=int)
    return {"page": page, "agent": request.headers.get("User-Agent"), "root": current_app.config["ROOT"]}


@bp.post("/<int:note_id>/file")
def upload(note_id: int) -> tuple[Response, int]:
    file: FileStorage | None = request.files.get("file")
    if file is None or file.filename is None:
        abort(400, "no file")
    return jsonify(name=file.filename, id=note_id, title=request.form["title"]), 201


class NoteView(MethodView):
    init_every_request = False

    def get(self, name: str) -> str:
        return render_template("note.html", name=name)

    def delete(self, name: str) -> ResponseReturnValue:
        flash("gone")
        return "", 204


def create_app(config: t.Mapping[str, t.Any] | None = None) -> Flask:
    app = Flask(__name__, instance_relative_config=True)
    app.config.from_mapping(SECRET_KEY="dev", ROOT="/")
    if config is not None:
        app.config.update(config)
    app.register_blueprint(bp)
    app.add_url_rule("/v/<name>", view_func=NoteView.as_view("note"))

    @app.before_request
    def load_user() -> None:
        g.user = session.get("user")

    @app.after_request
    def stamp(response: Response) -> Response:
        response.headers["X-Seen"] = "yes"
        return response

    @app.errorhandler(404)
    def missing(error: NotFound) -> tuple[dict[str, str], int]:
        return {"error": error.description or ""}, 404

    @app.errorhandler(HTTPException)
    def other(error: HTTPException) -> ResponseReturnValue:
        return make_response({"code": error.code}, error.code or 500)

    @app.route("/stream")
    def stream() -> Response:
        def pieces() -> t.Iterator[str]:
            yield "a"

        return Response(stream_with_context(pieces()), mimetype="text/plain")

    @app.route("/login", methods=["GET", "POST"])
    def login() -> ResponseReturnValue:
        if request.method == "POST":
            session["user"] = request.form["user"]
            return redirect(url_for("notes.index"))
        return "<form method=post><input name=user></form>"

    @app.get("/download")
    async def download() -> Response:
        return send_file("x.txt")

    @app.cli.command("init")
    def init() -> None:
        print("done")

    return app


def try_out() -> str:
    client = create_app({"TESTING": True}).test_client()
    response = client.post("/login", data={"user": "ada"}, follow_redirects=True)
    with client.session_transaction() as kept:
        kept["user"] = "b"
    return f"{response.status_code + 0} {response.json}"
