"""A Flask application after its move. Before it, the import read `from flask import ...`; nothing else has changed.

bustapi run examples/flask_migration.py:app
"""

import os

from bustapi import Blueprint, Flask, abort, redirect, request, session, url_for

app = Flask(__name__)
app.secret_key = os.environ.get("SECRET_KEY", "for development only")

words = Blueprint("words", __name__, url_prefix="/words")
MEANINGS = {"flask": "a vessel", "bust": "to break"}


@app.before_request
def count() -> None:
    session["visits"] = session.get("visits", 0) + 1


@app.get("/")
def index():
    return {"visits": session["visits"], "words": url_for("words.all_words")}


@words.get("/")
def all_words():
    return sorted(MEANINGS)


@words.get("/<word>")
def one_word(word: str):
    if word not in MEANINGS:
        abort(404, f"nobody has explained {word!r}")
    return {"word": word, "meaning": MEANINGS[word]}


@words.post("/")
def add_word():
    MEANINGS[request.form["word"]] = request.form["meaning"]
    return redirect(url_for("words.one_word", word=request.form["word"]), 303)


@app.errorhandler(404)
def missing(error):
    return {"error": error.description}, 404


app.register_blueprint(words)

if __name__ == "__main__":
    app.run()
