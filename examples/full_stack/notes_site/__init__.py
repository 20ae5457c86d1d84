"""Accounts and notes: pages with forms for people, and a JSON API for programs, on eight Flask extensions.

The extensions are imported by their own names and know nothing of BustAPI.
"""

from __future__ import annotations

import os
from datetime import timedelta
from typing import Any, Optional

from .extensions import cache, cors, csrf, db, jwt, limiter, login, migrate  # isort: skip
from bustapi import BustAPI


def create_app(settings: Optional[dict[str, Any]] = None) -> BustAPI:
    """Make the application; what is not in `settings` comes from the environment, with defaults for a first look."""
    # The views wait for the database: they belong in the pool.
    app = BustAPI(__name__, execution="pool")
    redis = os.environ.get("REDIS_URL")
    secret = os.environ.get("SECRET_KEY", "change me: a key of at least 32 bytes")
    app.config.from_mapping(
        SECRET_KEY=secret,
        JWT_SECRET_KEY=secret,
        JWT_ACCESS_TOKEN_EXPIRES=timedelta(hours=1),
        SQLALCHEMY_DATABASE_URI=os.environ.get("DATABASE_URL", "sqlite:///notes.db"),
        SESSION_COOKIE_SAMESITE="Lax",
        CACHE_TYPE="RedisCache" if redis else "SimpleCache",
        CACHE_REDIS_URL=redis,
        CACHE_DEFAULT_TIMEOUT=30,
        RATELIMIT_STORAGE_URI=redis or "memory://",
        RATELIMIT_HEADERS_ENABLED=True,
        # Per address and minute; how many accounts one address may try.
        LOGIN_LIMIT=os.environ.get("LOGIN_LIMIT", "20 per minute"),
    )
    app.config.update(settings or {})

    db.init_app(app)
    migrate.init_app(app, db)
    login.init_app(app)
    csrf.init_app(app)
    jwt.init_app(app)
    limiter.init_app(app)
    cache.init_app(app)
    cors.init_app(app, resources={r"/api/*": {"origins": "*"}})

    from .api import api
    from .web import web

    # Programs send a token, and no cookie that a foreign page could use.
    csrf.exempt(api)
    app.register_blueprint(api)
    app.register_blueprint(web)
    return app
