import os

from flask_sqlalchemy import SQLAlchemy
from flask_migrate import Migrate
from flask import Flask

db = SQLAlchemy()
app = Flask(__name__)
app.config["SQLALCHEMY_DATABASE_URI"] = os.environ["TEST_DATABASE"]
db.init_app(app)
migrate = Migrate(app, db)


class Thing(db.Model):
    id = db.Column(db.Integer, primary_key=True)
    name = db.Column(db.String(40), nullable=False)


@app.post("/things/<name>")
def add(name):
    db.session.add(Thing(name=name))
    db.session.commit()
    return {"names": [thing.name for thing in db.session.scalars(db.select(Thing).order_by(Thing.id))]}


@app.get("/directory")
def directory():
    return {"directory": app.extensions["migrate"].directory}
