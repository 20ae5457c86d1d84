"""`bustapi migrate`: rewrites the imports of a Flask application."""

from __future__ import annotations

import sys
from pathlib import Path

import click


@click.command()
@click.argument(
    "paths", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path), metavar="PATH..."
)
@click.option("--write", is_flag=True, help="Change the files; without it only the differences are shown.")
def migrate(paths: tuple[Path, ...], write: bool) -> None:
    """Rewrite imports of flask and werkzeug into imports of bustapi.

    'from flask import Flask, request' becomes 'from bustapi import Flask, request'. PATH is a file or a folder, of
    which every Python file is looked at. Nothing but the names of imported modules changes, and code that uses the
    module itself ('flask.Flask') goes on to work. The extensions' own imports need no change.
    """
    try:
        from .rewrite import differences, rewrite
    except ImportError:
        click.echo("error: bustapi migrate needs libcst (pip install 'bustapi[migrate]')", err=True)
        sys.exit(1)
    changed = failed = 0
    for file in _files(paths):
        try:
            source = file.read_bytes()
            result = rewrite(source)
        except (OSError, ValueError) as error:
            click.echo(f"{file}: left as it is: {error}", err=True)
            failed += 1
            continue
        for note in result.notes:
            click.echo(f"{file}:{note.line}: {note.text}", err=True)
        if result.source == source:
            continue
        changed += 1
        click.echo(differences(str(file), source, result.source), nl=False)
        if write:
            file.write_bytes(result.source)
    click.echo(f"{changed} file(s) {'changed' if write else 'would change (--write changes them)'}", err=True)
    if failed:
        sys.exit(1)


def _files(paths: tuple[Path, ...]) -> list[Path]:
    found: dict[Path, None] = {}
    for path in paths:
        if path.is_dir():
            for file in sorted(path.rglob("*.py")):
                below = file.relative_to(path).parts
                if not any(part.startswith(".") or part in _SKIPPED for part in below):
                    found[file] = None
        else:
            found[path] = None
    return list(found)


_SKIPPED = frozenset({"node_modules", "site-packages", "__pycache__", "venv"})
