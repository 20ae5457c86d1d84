from flask_login import (
    LoginManager,
    UserMixin,
    current_user,
    fresh_login_required,
    login_required,
    login_user,
    logout_user,
)
from flask import Flask, request

app = Flask(__name__)
app.secret_key = "a key of the tests"
manager = LoginManager(app)
manager.login_view = "login"
manager.session_protection = "strong"


class User(UserMixin):
    def __init__(self, name):
        self.id = name


@manager.user_loader
def load(name):
    return User(name) if name in ("ann", "bob") else None


@manager.request_loader
def load_by_key(request):
    return load(request.headers.get("X-Key", ""))


@app.route("/login", methods=["GET", "POST"])
def login():
    if request.method == "GET":
        return "please log in"
    user = load(request.form["name"])
    if user is None:
        return {"error": "who?"}, 403
    login_user(user, remember=request.form.get("remember") == "yes")
    return {"welcome": user.id}


@app.get("/me")
@login_required
def me():
    return {"name": current_user.id, "fresh": True}


@app.get("/later")
@login_required
async def later():
    return {"name": current_user.id}


@app.get("/secret")
@fresh_login_required
def secret():
    return {"secret": 42}


@app.get("/who")
def who():
    return {"known": current_user.is_authenticated, "anonymous": current_user.is_anonymous}


@app.post("/logout")
@login_required
def logout():
    logout_user()
    return {"bye": True}
