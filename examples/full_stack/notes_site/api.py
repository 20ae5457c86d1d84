"""The JSON API: a token from `/api/token`, then notes."""

from __future__ import annotations

from flask_jwt_extended import create_access_token, current_user, jwt_required

from bustapi import Blueprint, abort, current_app, jsonify, request

from .extensions import cache, db, limiter
from .models import Account, Note

api = Blueprint("api", __name__, url_prefix="/api")


@api.get("/status")
def status():
    return {"status": "fine"}


@api.get("/totals")
@cache.cached()
def totals():
    return {
        "accounts": db.session.scalar(db.select(db.func.count(Account.id))),
        "notes": db.session.scalar(db.select(db.func.count(Note.id))),
    }


@api.post("/token")
@limiter.limit(lambda: current_app.config["LOGIN_LIMIT"])
def token():
    data = _object()
    account = Account.named(_text(data, "name", 40))
    if account is None or not account.has_password(_text(data, "password", 200)):
        abort(401, "name or password is wrong")
    return {"token": create_access_token(account)}


@api.get("/notes")
@jwt_required()
def notes():
    page = db.paginate(
        db.select(Note).filter_by(account_id=current_user.id).order_by(Note.id.desc()), max_per_page=100
    )
    return {"notes": [note.as_json() for note in page], "total": page.total, "pages": page.pages}


@api.post("/notes")
@jwt_required()
def add_note():
    note = Note(account=current_user, text=_text(_object(), "text", 500))
    db.session.add(note)
    db.session.commit()
    return note.as_json(), 201


@api.delete("/notes/<int:key>")
@jwt_required()
def delete_note(key: int):
    note = db.session.get(Note, key)
    if note is None or note.account_id != current_user.id:
        abort(404)
    db.session.delete(note)
    db.session.commit()
    return "", 204


@api.errorhandler(400)
@api.errorhandler(401)
@api.errorhandler(404)
@api.errorhandler(429)
def refused(error):
    return jsonify(error=error.description), error.code


def _object() -> dict[str, object]:
    data = request.get_json()
    if not isinstance(data, dict):
        abort(400, "a JSON object is expected")
    return data


def _text(data: dict[str, object], key: str, limit: int) -> str:
    value = data.get(key)
    if not isinstance(value, str) or not 0 < len(value) <= limit:
        abort(400, f"{key} must be a text of 1 to {limit} characters")
    return value
