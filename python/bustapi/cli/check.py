"""`bustapi check`: how an application will run here, route by route."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from .report import Report

_MARKS = {"native": "native", "pipeline": "full pipeline", "unsupported": "NOT SUPPORTED"}


@click.command()
@click.argument("application", required=False, metavar="[MODULE:APP]")
@click.option("--json", "as_json", is_flag=True, help="Write the report as JSON.")
@click.option(
    "--require-native", is_flag=True, help="Fail as well if a route's requests take the full pipeline."
)
@click.pass_context
def check(ctx: click.Context, application: str | None, as_json: bool, require_native: bool) -> None:
    """Load a Flask application as it is, and report how its routes, hooks and extensions will run.

    Every route is 'native' (nothing in Python runs besides the view and its plain hooks), 'full pipeline' (all of
    Flask's steps, with the reasons), or 'not supported'. The exit code is 0 if everything is supported, 1 if
    something is not, 2 if the application cannot be loaded.
    """
    from .report import examine

    report = examine(application or getattr(ctx.obj, "app_import_path", None))
    if as_json:
        import json

        click.echo(json.dumps(report.as_json(), indent=2))
    else:
        show(report)
    sys.exit(report.exit_code(require_native))


def show(report: Report) -> None:
    """Write a report for a reader.

    Args:
        report: The report.
    """
    click.echo(report.application)
    for problem in report.problems:
        click.echo(f"  NOT SUPPORTED  {problem['text']}{_place(problem)}")
    if report.error:
        click.echo(f"  cannot be loaded: {report.error}")
        return
    _section(
        "Routes",
        report.routes,
        lambda item: f"{','.join(item['methods']):<12} {item['rule']}  -> {item['endpoint']}",
    )
    _section("Hooks", report.hooks, lambda item: f"{item['kind']} {item['name']}")
    _section(
        "Extensions",
        report.extensions,
        lambda item: f"{item['name']} ({item['class']} {item['version'] or ''})",
    )
    counts = report.counts()
    click.echo(
        f"\n{counts['native']} native, {counts['pipeline']} full pipeline,"
        f" {counts['unsupported']} not supported, of {len(report.routes)} routes"
    )


def _section(title: str, items: list[dict[str, Any]], text: Any) -> None:
    if not items:
        return
    click.echo(f"\n{title}")
    for item in items:
        mode = f" ({item['mode']})" if item.get("mode") else ""
        click.echo(f"  {_MARKS[item['verdict']] + mode:<24} {text(item)}{_place(item)}")
        for reason in item.get("reasons", ()):
            click.echo(f"  {'':<24}   - {reason['text']}{_place(reason)}")


def _place(item: dict[str, Any]) -> str:
    return f"  [{item['file']}:{item['line']}]" if item.get("file") else ""
