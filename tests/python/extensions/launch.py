"""Serves one of the applications in `apps`: python launch.py ORDER APP PORT

ORDER says what is imported first: `flask` (the real packages, and nothing of ours), `bustapi`, or `extension` (the
extensions, with the real packages; then ours).
"""

from __future__ import annotations

import importlib
import os
import sys
import warnings
from pathlib import Path


def main(order: str, name: str, port: int) -> None:
    sys.path.insert(0, str(Path(__file__).parent / "apps"))
    # What the bridge could not replace must not pass unseen.
    warnings.filterwarnings("error", category=UserWarning, message=".*bustapi")
    if order == "flask":
        os.environ["BUSTAPI_BRIDGE"] = "0"
        application = importlib.import_module(name).app
        assert not any(module.partition(".")[0] == "bustapi" for module in sys.modules)
        from werkzeug.serving import run_simple

        run_simple("127.0.0.1", port, application, threaded=True)
        return
    os.environ.pop("BUSTAPI_BRIDGE", None)
    if order == "extension":
        for extension in EXTENSIONS[name]:
            importlib.import_module(extension)
        assert sys.modules["flask"].__name__ == "flask"
    import bustapi.flask

    assert sys.modules.get("flask", bustapi.flask) is bustapi.flask
    application = importlib.import_module(name).app
    real = [
        module
        for module in sys.modules
        if module.partition(".")[0] in ("flask", "werkzeug") and sys.modules[module].__name__ == module
    ]
    assert not real, real
    from bustapi.serve import run

    run(application, "127.0.0.1", port, load_dotenv=False)


#: What an application's own imports would load, above its import of the framework.
EXTENSIONS = {
    "cors_app": ["flask_cors"],
    "sqlalchemy_app": ["flask_sqlalchemy"],
    "login_app": ["flask_login"],
    "jwt_app": ["flask_jwt_extended"],
    "migrate_app": ["flask_sqlalchemy", "flask_migrate"],
    "wtf_app": ["flask_wtf", "flask_wtf.csrf"],
    "limiter_app": ["flask_limiter", "flask_limiter.util"],
    "caching_app": ["flask_caching"],
    "session_app": ["flask_session", "flask_session.redis"],
}


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
