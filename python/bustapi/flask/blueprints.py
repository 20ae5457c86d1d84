"""Blueprints with files: static folder and resources."""

from __future__ import annotations

import os
import typing as t
from datetime import timedelta

from .globals import current_app
from .helpers import send_from_directory
from .sansio.blueprints import Blueprint as SansioBlueprint
from .sansio.blueprints import BlueprintSetupState as BlueprintSetupState

if t.TYPE_CHECKING:
    from .wrappers import Response


class Blueprint(SansioBlueprint):
    """A part of an application, with its own static files and resources.

    Compatible with: flask.Blueprint (3.1)
    """

    def get_send_file_max_age(self, filename: str | None) -> int | None:
        """Return how long a client may cache a file, in seconds; None leaves it to conditional requests.

        Args:
            filename: The file.
        """
        return _default_max_age(current_app.config["SEND_FILE_MAX_AGE_DEFAULT"])

    def send_static_file(self, filename: str) -> Response:
        """Respond with a file of the static folder: the view of the static rule.

        Args:
            filename: The file, relative to the folder.
        """
        return _send_static_file(self, filename)

    def open_resource(self, resource: str, mode: str = "rb", encoding: str | None = "utf-8") -> t.IO[t.Any]:
        """Open a file below `root_path` for reading.

        Args:
            resource: The file, relative to the root.
            mode: `"r"`, `"rt"` or `"rb"`.
            encoding: The encoding of text.
        """
        return _open_resource(self, resource, mode, encoding)


def _default_max_age(value: timedelta | int | None) -> int | None:
    return int(value.total_seconds()) if isinstance(value, timedelta) else value


def _send_static_file(owner: t.Any, filename: str) -> Response:
    folder = owner.static_folder
    if folder is None:
        raise RuntimeError("'static_folder' must be set to serve static_files.")
    # Asked of the owner, not of the application: a blueprint can have its own age.
    return send_from_directory(folder, filename, max_age=owner.get_send_file_max_age(filename))


def _open_resource(owner: t.Any, resource: str, mode: str, encoding: str | None) -> t.IO[t.Any]:
    if mode not in ("r", "rt", "rb"):
        raise ValueError("Resources can only be opened for reading.")
    return open(os.path.join(owner.root_path, resource), mode, encoding=None if mode == "rb" else encoding)
