import os

from flask_sqlalchemy import SQLAlchemy
from flask import Flask, jsonify, request
from sqlalchemy import ForeignKey
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship


class Base(DeclarativeBase):
    pass


db = SQLAlchemy(model_class=Base)


class Author(db.Model):
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    notes: Mapped[list["Note"]] = relationship(back_populates="author", order_by="Note.id")


class Note(db.Model):
    id: Mapped[int] = mapped_column(primary_key=True)
    text: Mapped[str]
    author_id: Mapped[int] = mapped_column(ForeignKey("author.id"))
    author: Mapped[Author] = relationship(back_populates="notes")


app = Flask(__name__)
app.config["SQLALCHEMY_DATABASE_URI"] = os.environ["TEST_DATABASE"]
app.config["SQLALCHEMY_RECORD_QUERIES"] = True
db.init_app(app)
with app.app_context():
    db.drop_all()
    db.create_all()


@app.post("/authors")
def add_author():
    author = Author(name=request.json["name"])
    author.notes = [Note(text=text) for text in request.json.get("notes", ())]
    db.session.add(author)
    db.session.commit()
    return {"id": author.id, "notes": [note.id for note in author.notes]}, 201


@app.get("/authors/<int:key>")
def author(key):
    found = db.get_or_404(Author, key, description="no such author")
    return {"name": found.name, "notes": [note.text for note in found.notes]}


@app.get("/authors")
def authors():
    page = db.paginate(db.select(Author).order_by(Author.name), per_page=2)
    return jsonify(names=[item.name for item in page], pages=page.pages, total=page.total, next=page.has_next)


@app.get("/one")
def one():
    return {"name": db.one_or_404(db.select(Author).filter_by(name=request.args["name"])).name}


@app.post("/lost")
def lost():
    # Not committed: the session ends with the request.
    db.session.add(Author(name="lost"))
    db.session.flush()
    return {"flushed": True}


@app.get("/later")
async def later():
    return {"count": db.session.scalar(db.select(db.func.count()).select_from(Author))}


@app.errorhandler(404)
def not_found(error):
    return {"error": error.description}, 404


@app.errorhandler(500)
def broken(error):
    db.session.rollback()
    return {"error": type(error.original_exception).__name__}, 500
