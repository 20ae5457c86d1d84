"""The command group: our commands, those of installed extensions and those of the application."""

from __future__ import annotations

from typing import Any

import click

from bustapi.flask.cli import FlaskGroup, NoAppException, ScriptInfo, routes_command, shell_command

from .check import check
from .migrate import migrate
from .run import run


def _show_version(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    if not value or ctx.resilient_parsing:
        return
    from bustapi.serve.banner import version

    click.echo(version())
    ctx.exit()


def _set_app(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    if value is not None:
        ctx.ensure_object(ScriptInfo).app_import_path = value
    return value


class CommandGroup(FlaskGroup):
    """`bustapi`: what the `flask` command does, with our own commands first.

    Extensions add commands with entry points of the group `flask.commands`, applications with `app.cli`.

    Compatible with: flask.cli.FlaskGroup (3.1)
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(add_default_commands=False, add_version_option=False, **options)
        for command in (run, check, migrate, routes_command, shell_command):
            self.add_command(command)
        # Ours can be named by a variable of ours.
        app = click.Option(
            ["-A", "--app"],
            envvar=["BUSTAPI_APP", "FLASK_APP"],
            metavar="IMPORT",
            help="The application as 'module:name', for commands that need one.",
            is_eager=True,
            expose_value=False,
            callback=_set_app,
        )
        self.params = [app if param.name == "app" else param for param in self.params]

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """Return a command. Ours do not wait until every extension's module is imported.

        Args:
            ctx: The group's context.
            name: The command's name.
        """
        return self.commands.get(name) or super().get_command(ctx, name)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands; without an application those of ours and of extensions.

        Args:
            ctx: The group's context.
        """
        info = ctx.ensure_object(ScriptInfo)
        if info.app_import_path is None and info.create_app is None:
            try:
                info.load_app()
            except NoAppException:
                self._load_plugin_commands()
                return sorted(self.commands)
            except Exception:
                # Reported below.
                pass
        return super().list_commands(ctx)


cli = CommandGroup(
    name="bustapi",
    help="BustAPI: Flask's API on a native server.",
    context_settings={"help_option_names": ["-h", "--help"]},
    params=[
        click.Option(
            ["--version"],
            is_flag=True,
            expose_value=False,
            is_eager=True,
            callback=_show_version,
            help="Show the version and exit.",
        )
    ],
)
