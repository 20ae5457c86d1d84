"""A page about the server and the interpreter, to look at a new installation with.

It tells everything there is to know: never put it where others reach it.
"""

from __future__ import annotations

import os
import sys
import typing as t

from markupsafe import Markup, escape

from .wrappers.request import Request
from .wrappers.response import Response

_PAGE = Markup(
    "<!doctype html>\n<html lang=en>\n<meta charset=utf-8>\n<title>WSGI Information</title>\n"
    "<style>body {{ font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem }}"
    " th {{ text-align: left; vertical-align: top; padding-right: 1rem }} td {{ word-break: break-all }}"
    "</style>\n<h1>WSGI Information</h1>\n{sections}"
)
_SECTION = Markup("<h2>{title}</h2>\n<table>\n{rows}</table>\n")
_ROW = Markup("<tr><th>{name}<td>{value}\n")


def iter_sys_path() -> t.Iterator[tuple[str, bool, bool]]:
    """Yield the entries of the import path: as shown (the home directory is `~`), whether it
    is no directory, whether it was written otherwise.
    """
    home = os.path.expanduser("~")
    for entry in sys.path:
        path = os.path.normpath(os.path.join(os.getcwd(), entry))
        shown = f"~{path[len(home) :]}" if home != "~" and path.startswith(home + os.sep) else path
        yield shown, not os.path.isdir(path), path != entry


@Request.application
def test_app(req: Request) -> Response:
    """Answer every request with the page.

    Compatible with: werkzeug.testapp.test_app (3.1)
    """
    from importlib.metadata import distributions

    from . import __version__

    installed = sorted({(item.metadata["Name"] or "?", item.version) for item in distributions()})
    system = {
        "Python": f"{sys.version} ({sys.executable})",
        "Platform": f"{sys.platform} ({os.name})",
        "Werkzeug's API": __version__,
        "Byte order": sys.byteorder,
        "Default encoding": sys.getdefaultencoding(),
        "Filesystem encoding": sys.getfilesystemencoding(),
    }
    entries = [
        (str(number), f"{path} (no directory)" if absent else path)
        for number, (path, absent, _) in enumerate(iter_sys_path(), 1)
    ]
    # The request put itself into its environ.
    environ = sorted((key, repr(value)) for key, value in req.environ.items() if key != "werkzeug.request")
    sections = Markup("").join(
        _section(title, rows)
        for title, rows in (
            ("System", system.items()),
            ("WSGI environment", environ),
            ("Packages", installed),
            ("Import path", entries),
        )
    )
    return Response(_PAGE.format(sections=sections), mimetype="text/html")


# pytest takes it for a test by its name.
test_app.__test__ = False  # type: ignore[attr-defined]


def _section(title: str, rows: t.Iterable[tuple[str, str]]) -> Markup:
    shown = Markup("").join(_ROW.format(name=escape(name), value=escape(value)) for name, value in rows)
    return _SECTION.format(title=title, rows=shown)
