"""The command group: what every command shares."""

from __future__ import annotations

import click

from .run import run


def _show_version(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    if not value or ctx.resilient_parsing:
        return
    from bustapi.serve.banner import version

    click.echo(version())
    ctx.exit()


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version",
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=_show_version,
    help="Show the version and exit.",
)
def cli() -> None:
    """BustAPI: Flask's API on a native server."""


cli.add_command(run)
