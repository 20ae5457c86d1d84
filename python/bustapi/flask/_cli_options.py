"""Options of the commands: their types and what they do when they are given. Imported by `cli` only."""

from __future__ import annotations

import os
import platform
import typing as t
from importlib import import_module

import click
from click.core import ParameterSource

from ..werkzeug.utils import import_string
from ._discovery import ScriptInfo


def load_dotenv(path: str | os.PathLike[str] | None = None, load_defaults: bool = True) -> bool:
    """Set environment variables from dotenv files; does nothing without python-dotenv.

    What is in the environment already stays; the given file wins over `.env`, and `.env` over `.flaskenv`.

    Args:
        path: A file.
        load_defaults: Whether `.env` and `.flaskenv` are looked for, from the working directory upwards.

    Returns:
        Whether a file set anything.
    """
    try:
        import dotenv
    except ImportError:
        if path or os.path.isfile(".env") or os.path.isfile(".flaskenv"):
            click.secho(
                " * There are dotenv files; install python-dotenv to have them used.", fg="yellow", err=True
            )
        return False

    files: list[str | os.PathLike[str]] = []
    if load_defaults:
        files += filter(None, (dotenv.find_dotenv(name, usecwd=True) for name in (".flaskenv", ".env")))
    if path is not None and os.path.isfile(path):
        files.append(path)
    values: dict[str, str | None] = {}
    for file in files:
        values.update(dotenv.dotenv_values(file, encoding="utf-8"))
    for key, value in values.items():
        if value is not None:
            os.environ.setdefault(key, value)
    return bool(values)


def get_version(ctx: click.Context, param: click.Parameter, value: t.Any) -> None:
    """Print the versions and end the command: what `--version` does.

    Args:
        ctx: The command's context.
        param: The option.
        value: Whether the option was given.
    """
    if not value or ctx.resilient_parsing:
        return
    from . import _FLASK_VERSION
    from .testing import _get_werkzeug_version

    lines = [
        f"Python {platform.python_version()}",
        f"Flask {_installed('flask') or _FLASK_VERSION}",
        f"Werkzeug {_get_werkzeug_version()}",
    ]
    own = _installed("bustapi")
    if own:
        lines.append(f"BustAPI {own}")
    click.echo("\n".join(lines), color=ctx.color)
    ctx.exit()


def _installed(name: str) -> str | None:
    from importlib import metadata

    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


class CertParamType(click.ParamType):  # type: ignore[type-arg, unused-ignore]
    """A certificate: a file, the word `adhoc`, or where to import an `ssl.SSLContext` from."""

    name = "path"

    def __init__(self) -> None:
        self.path_type = click.Path(exists=True, dir_okay=False, resolve_path=True)

    def convert(self, value: t.Any, param: click.Parameter | None, ctx: click.Context | None) -> t.Any:
        """Return the file's path, `"adhoc"` or the `SSLContext`."""
        try:
            import ssl
        except ImportError:
            raise click.BadParameter("'--cert' needs a Python with SSL.", ctx, param) from None
        try:
            return self.path_type(value, param, ctx)
        except click.BadParameter as not_a_file:
            text = str(value)
            if text.lower() == "adhoc":
                self._require_cryptography(param, ctx)
                return "adhoc"
            found = import_string(text, silent=True)
            if isinstance(found, ssl.SSLContext):
                return found
            raise not_a_file from None

    def _require_cryptography(self, param: click.Parameter | None, ctx: click.Context | None) -> None:
        try:
            import_module("cryptography")
        except ImportError:
            raise click.BadParameter(
                "A certificate made on the spot needs the cryptography library.", ctx, param
            ) from None


def _validate_key(ctx: click.Context, param: click.Parameter, value: t.Any) -> t.Any:
    """Make `--cert` the pair of certificate and key; tell when one of the two is missing or in the way."""
    cert = ctx.params.get("cert")
    is_file = isinstance(cert, str) and cert != "adhoc"
    if value is None:
        if is_file:
            raise click.BadParameter("'--cert' with a file needs a key.", ctx, param)
    elif not cert:
        raise click.BadParameter("A key needs '--cert' too.", ctx, param)
    elif not is_file:
        kind = "made on the spot" if cert == "adhoc" else "an SSLContext"
        raise click.BadParameter(f"'--cert' is {kind}: it has no use for a key.", ctx, param)
    else:
        ctx.params["cert"] = cert, value
    return value


class SeparatedPathType(click.Path):
    """Several paths, separated as in the environment's `PATH`."""

    def convert(self, value: t.Any, param: click.Parameter | None, ctx: click.Context | None) -> t.Any:
        """Return the list of paths."""
        one = super().convert
        return [one(item, param, ctx) for item in self.split_envvar_value(value)]


def _load_env_file(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    if value is not None:
        try:
            import dotenv  # noqa: F401
        except ImportError:
            raise click.BadParameter("An env file needs python-dotenv to be installed.", ctx, param) from None
    defaults = ctx.ensure_object(ScriptInfo).load_dotenv_defaults
    if value is not None or defaults:
        load_dotenv(value, load_defaults=defaults)
    return value


def _set_app(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    if value is not None:
        ctx.ensure_object(ScriptInfo).app_import_path = value
    return value


def _set_debug(ctx: click.Context, param: click.Parameter, value: bool) -> bool | None:
    source = ctx.get_parameter_source(param.name or "")
    if source in (ParameterSource.DEFAULT, ParameterSource.DEFAULT_MAP):
        return None  # not given: the environment decides
    # In the environment, since a factory may read it before there is an application.
    os.environ["FLASK_DEBUG"] = "1" if value else "0"
    return value


# Eager, and first of all: the other options may come from the variables it sets.
_env_file_option = click.Option(
    ["-e", "--env-file"],
    type=click.Path(exists=True, dir_okay=False),
    help=(
        "Set environment variables from this file. It wins over '.env' and '.flaskenv'; variables that are set"
        " already win over all files. Needs python-dotenv."
    ),
    is_eager=True,
    expose_value=False,
    callback=_load_env_file,
)

# Eager, and before --help, which lists the application's commands.
_app_option = click.Option(
    ["-A", "--app"],
    metavar="IMPORT",
    help=(
        "The application as 'module:name'. The module is a dotted name or a file's path. The name may be left out"
        " for 'app', 'application', 'create_app' and 'make_app', and may be a call with literal arguments."
    ),
    is_eager=True,
    expose_value=False,
    callback=_set_app,
)

_debug_option = click.Option(
    ["--debug/--no-debug"],
    help="Set debug mode.",
    expose_value=False,
    callback=_set_debug,
)

version_option = click.Option(
    ["--version"],
    help="Show the versions of Python and of the Flask API.",
    expose_value=False,
    callback=get_version,
    is_flag=True,
    is_eager=True,
)
