"""`bustapi run`: serve an application that is named on the command line."""

from __future__ import annotations

import os
from typing import Any, Callable

import click

from bustapi.serve.errors import ServeError, say
from bustapi.serve.settings import Settings

#: Shown first in the help, in this order.
_FIRST = ("host", "port", "threads", "workers")
_METAVARS = {"text": "NAME", "count": "N|auto", "list": "LIST", "flag": "on|off"}


def _setting_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give the command one option for each setting. Values are checked where all of them are, by `Settings`."""
    described = {item["name"]: item for item in Settings.describe()}
    names = [*_FIRST, *(name for name in described if name not in _FIRST)]
    # Decorators apply from the inside: the last one stands first in the help.
    for name in reversed(names):
        item = described[name]
        unit = f" ({item['unit']})" if item["unit"] else ""
        short = ["-h"] if name == "host" else ["-p"] if name == "port" else []
        command = click.option(
            *short,
            "--" + name.replace("_", "-"),
            name,
            metavar="|".join(item["choices"]) or _METAVARS.get(item["kind"], "N"),
            help=item["about"] + unit,
        )(command)
    return command


@click.command(context_settings={"help_option_names": ["--help"]})
@click.argument("application", required=False, metavar="[MODULE:APP]")
@_setting_options
@click.option("--debug/--no-debug", default=None, help="Debug mode; sets FLASK_DEBUG.")
@click.option(
    "--reload/--no-reload", "use_reloader", default=None, help="Restart on changes; with --debug by default."
)
@click.option(
    "--debugger/--no-debugger", "use_debugger", default=None, help="Show tracebacks; with --debug by default."
)
@click.option("--extra-files", multiple=True, metavar="PATH", help="A file that --reload watches too.")
@click.option(
    "--exclude-patterns", multiple=True, metavar="PATTERN", help="Files that --reload does not watch."
)
def run(application: str | None, debug: bool | None, **options: Any) -> None:
    """Serve an application until SIGINT or SIGTERM.

    MODULE:APP is a module or file and a name in it: package.module:app, app.py, app:create_app("production").
    Without it that of --app, BUSTAPI_APP, FLASK_APP, app.py or wsgi.py is taken. Every option can be set in the environment as
    BUSTAPI_ and its name in capitals.
    """
    from bustapi.serve.dotenv import flag, load_files
    from bustapi.serve.running import ENV_FROM_CLI
    from bustapi.serve.running import run as serve
    from bustapi.werkzeug._development import develop

    from .locate import locate

    if not flag("FLASK_SKIP_DOTENV"):
        load_files()
    if debug is not None:
        os.environ["FLASK_DEBUG"] = "1" if debug else "0"
    try:
        # Before the import of the application, which may take a while, and may have effects.
        Settings.resolve({name: value for name, value in options.items() if name in Settings.names()})
        # Set by the group for commands that only import the application.
        os.environ.pop(ENV_FROM_CLI, None)
        app = locate(application or getattr(click.get_current_context().obj, "app_import_path", None))
        debug = flag("FLASK_DEBUG") if "FLASK_DEBUG" in os.environ else None
        for name in ("use_reloader", "use_debugger"):
            if options[name] is None:
                del options[name]
        serve(app, debug=debug, load_dotenv=False, develop=develop, **options)
    except ServeError as error:
        say(f"error: {error}")
        raise SystemExit(1) from None
