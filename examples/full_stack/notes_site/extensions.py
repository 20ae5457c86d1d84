"""The extensions; `create_app` sets them up."""

from __future__ import annotations

from flask_caching import Cache
from flask_cors import CORS
from flask_jwt_extended import JWTManager
from flask_limiter import Limiter
from flask_limiter.util import get_remote_address
from flask_login import LoginManager
from flask_migrate import Migrate
from flask_sqlalchemy import SQLAlchemy
from flask_wtf.csrf import CSRFProtect

cache = Cache()
cors = CORS()
csrf = CSRFProtect()
db = SQLAlchemy()
jwt = JWTManager()
limiter = Limiter(get_remote_address)
login = LoginManager()
migrate = Migrate(render_as_batch=True)

login.login_view = "web.sign_in"
