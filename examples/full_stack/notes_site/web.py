"""The pages: registering, signing in and out, and the notes of who is signed in."""

from __future__ import annotations

from flask_login import current_user, login_required, login_user, logout_user
from flask_wtf import FlaskForm
from wtforms import PasswordField, StringField
from wtforms.validators import InputRequired, Length

from bustapi import Blueprint, current_app, redirect, render_template, request, url_for

from .extensions import db, limiter
from .models import Account, Note

web = Blueprint("web", __name__)


class AccountForm(FlaskForm):
    name = StringField("Name", [InputRequired(), Length(max=40)])
    password = PasswordField("Password", [InputRequired(), Length(min=8, max=200)])


class NoteForm(FlaskForm):
    text = StringField("Note", [InputRequired(), Length(max=500)])


@web.route("/register", methods=["GET", "POST"])
@limiter.limit(lambda: current_app.config["LOGIN_LIMIT"], methods=["POST"])
def register():
    form = AccountForm()
    if form.validate_on_submit():
        if Account.named(form.name.data) is None:
            account = Account(form.name.data, form.password.data)
            db.session.add(account)
            db.session.commit()
            login_user(account)
            return redirect(url_for("web.notes"))
        form.name.errors = [*form.name.errors, "this name is taken"]
    return render_template(
        "account.html", form=form, title="Register"
    ), 400 if request.method == "POST" else 200


@web.route("/sign-in", methods=["GET", "POST"])
@limiter.limit(lambda: current_app.config["LOGIN_LIMIT"], methods=["POST"])
def sign_in():
    form = AccountForm()
    if form.validate_on_submit():
        account = Account.named(form.name.data)
        if account is not None and account.has_password(form.password.data):
            login_user(account)
            return redirect(url_for("web.notes"))
        form.password.errors = [*form.password.errors, "name or password is wrong"]
    return render_template(
        "account.html", form=form, title="Sign in"
    ), 400 if request.method == "POST" else 200


@web.post("/sign-out")
@login_required
def sign_out():
    logout_user()
    return redirect(url_for("web.sign_in"))


@web.route("/", methods=["GET", "POST"])
@login_required
def notes():
    form = NoteForm()
    if form.validate_on_submit():
        db.session.add(Note(account=current_user._get_current_object(), text=form.text.data))
        db.session.commit()
        return redirect(url_for("web.notes"))
    return render_template("notes.html", form=form)
