"""`.env` and `.flaskenv`, as Flask's `run` reads them: with python-dotenv when it is installed."""

from __future__ import annotations

import importlib
import os

from .errors import say

_FILES = (".env", ".flaskenv")


def flag(name: str) -> bool:
    """Read a switch from the environment by Flask's rule.

    Args:
        name: The variable.

    Returns:
        False when it is unset, empty, or one of 0, false, no.
    """
    value = os.environ.get(name, "")
    return bool(value) and value.lower() not in {"0", "false", "no"}


def load_files() -> None:
    """Load the files nearest to the working directory; what is set already stays, `.env` wins over `.flaskenv`."""
    try:
        # By name: it is optional, also for type checkers.
        dotenv = importlib.import_module("dotenv")
    except ImportError:
        if any(os.path.isfile(name) for name in _FILES):
            say("there are .env or .flaskenv files; to use them: pip install python-dotenv")
        return
    for name in _FILES:
        path = dotenv.find_dotenv(name, usecwd=True)
        if path:
            dotenv.load_dotenv(path, encoding="utf-8")
