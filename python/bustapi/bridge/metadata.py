"""The answer to `importlib.metadata.version("flask")` where the real package is not installed."""

from __future__ import annotations

import typing as t
from importlib.metadata import Distribution

if t.TYPE_CHECKING:
    import os
    from pathlib import Path


class StandIn(Distribution):
    """A distribution with a name and a version, and no files.

    Args:
        name: The package.
        version: The release whose interface we have.
    """

    def __init__(self, name: str, version: str) -> None:
        self._text = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"

    def read_text(self, filename: str | os.PathLike[str]) -> str | None:
        """Return the text of a metadata file, None if there is no such file.

        Args:
            filename: The file's name.
        """
        return self._text if filename in ("METADATA", "PKG-INFO") else None

    def locate_file(self, path: str | os.PathLike[str]) -> Path:
        """Return the path itself: there are no files.

        Args:
            path: A path.
        """
        from pathlib import Path

        return Path(path)


def stand_in(name: str) -> Distribution:
    """Return the distribution that answers for a package.

    Args:
        name: `"flask"` or `"werkzeug"`.
    """
    if name == "flask":
        from bustapi.flask import _FLASK_VERSION as version
    else:
        from bustapi.werkzeug import __version__ as version
    return StandIn(name, version)
