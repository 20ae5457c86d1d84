"""Accounts and their notes."""

from __future__ import annotations

from datetime import datetime, timezone

from flask_login import UserMixin
from werkzeug.security import check_password_hash, generate_password_hash

from .extensions import db, jwt, login


def _now() -> datetime:
    return datetime.now(timezone.utc)


class Account(UserMixin, db.Model):
    id = db.Column(db.Integer, primary_key=True)
    name = db.Column(db.String(40), unique=True, nullable=False)
    password_hash = db.Column(db.String(255), nullable=False)
    notes = db.relationship(
        "Note", back_populates="account", cascade="all, delete-orphan", order_by="Note.id.desc()"
    )

    def __init__(self, name: str, password: str) -> None:
        self.name = name
        self.password_hash = generate_password_hash(password)

    def has_password(self, password: str) -> bool:
        return check_password_hash(self.password_hash, password)

    @classmethod
    def named(cls, name: str) -> Account | None:
        return db.session.scalar(db.select(cls).filter_by(name=name))


class Note(db.Model):
    id = db.Column(db.Integer, primary_key=True)
    account_id = db.Column(db.ForeignKey("account.id"), nullable=False, index=True)
    text = db.Column(db.String(500), nullable=False)
    made = db.Column(db.DateTime(timezone=True), nullable=False, default=_now)
    account = db.relationship(Account, back_populates="notes")

    def as_json(self) -> dict[str, object]:
        return {"id": self.id, "text": self.text, "made": self.made.isoformat()}


@login.user_loader
def _account_of_session(key: str) -> Account | None:
    return db.session.get(Account, int(key))


@jwt.user_identity_loader
def _identity(account: Account) -> str:
    return str(account.id)


@jwt.user_lookup_loader
def _account_of_token(header: dict[str, object], data: dict[str, str]) -> Account | None:
    return db.session.get(Account, int(data["sub"]))
