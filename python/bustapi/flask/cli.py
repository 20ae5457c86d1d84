"""The `flask` command: groups that load the application, and the commands `run`, `shell` and `routes`."""

from __future__ import annotations

import os
import sys
import traceback
import typing as t
from functools import update_wrapper

import click

from ._cli_options import CertParamType as CertParamType
from ._cli_options import SeparatedPathType as SeparatedPathType
from ._cli_options import _app_option, _debug_option, _env_file_option, _validate_key, version_option
from ._cli_options import get_version as get_version
from ._cli_options import load_dotenv as load_dotenv
from ._discovery import NoAppException as NoAppException
from ._discovery import ScriptInfo as ScriptInfo
from ._discovery import _called_with_wrong_args as _called_with_wrong_args
from ._discovery import find_app_by_string as find_app_by_string
from ._discovery import find_best_app as find_best_app
from ._discovery import locate_app as locate_app
from ._discovery import prepare_import as prepare_import
from .globals import _cv_app, current_app
from .helpers import get_debug_flag

if t.TYPE_CHECKING:
    import ssl

    from _typeshed.wsgi import StartResponse, WSGIEnvironment

    from .app import Flask

F = t.TypeVar("F", bound=t.Callable[..., t.Any])

pass_script_info = click.make_pass_decorator(ScriptInfo, ensure=True)


def with_appcontext(f: F) -> F:
    """Wrap a command's function so that it runs in an application context.

    Args:
        f: The function. Those registered with `app.cli` or `blueprint.cli` are wrapped already.
    """

    @click.pass_context
    def in_context(ctx: click.Context, /, *args: t.Any, **kwargs: t.Any) -> t.Any:
        if _cv_app.get(None) is None:
            app = ctx.ensure_object(ScriptInfo).load_app()
            ctx.with_resource(app.app_context())
        return ctx.invoke(f, *args, **kwargs)

    return t.cast(F, update_wrapper(in_context, f))


class AppGroup(click.Group):
    """A group whose commands run in an application context.

    Compatible with: flask.cli.AppGroup (3.1)
    """

    def command(self, *args: t.Any, **kwargs: t.Any) -> t.Callable[[t.Callable[..., t.Any]], click.Command]:  # type: ignore[override]
        """Register the decorated function as a command.

        Args:
            args: As for `click.Group.command`.
            kwargs: As for `click.Group.command`; `with_appcontext=False` leaves the function as it is.
        """
        wrap = kwargs.pop("with_appcontext", True)
        plain = super().command

        def register(f: t.Callable[..., t.Any]) -> click.Command:
            return plain(*args, **kwargs)(with_appcontext(f) if wrap else f)  # type: ignore[no-any-return]

        return register

    def group(self, *args: t.Any, **kwargs: t.Any) -> t.Callable[[t.Callable[..., t.Any]], click.Group]:  # type: ignore[override]
        """Register the decorated function as a group, an `AppGroup` unless `cls` says otherwise."""
        kwargs.setdefault("cls", AppGroup)
        return super().group(*args, **kwargs)  # type: ignore[no-any-return]


class FlaskGroup(AppGroup):
    """A group that has the application's commands beside its own.

    Args:
        add_default_commands: Add `run`, `shell` and `routes`.
        create_app: A function that returns the application, instead of looking for one.
        add_version_option: Add `--version`.
        load_dotenv: Set environment variables from `.env` and `.flaskenv`.
        set_debug_flag: Set the application's debug mode from the environment.
        extra: For `click.Group`.

    Compatible with: flask.cli.FlaskGroup (3.1)
    """

    def __init__(
        self,
        add_default_commands: bool = True,
        create_app: t.Callable[..., Flask] | None = None,
        add_version_option: bool = True,
        load_dotenv: bool = True,
        set_debug_flag: bool = True,
        **extra: t.Any,
    ) -> None:
        # Options with callbacks, not a callback of the group: that one is the user's.
        params = [*(extra.pop("params", None) or ()), _env_file_option, _app_option, _debug_option]
        if add_version_option:
            params.append(version_option)
        settings = extra.setdefault("context_settings", {})
        settings.setdefault("auto_envvar_prefix", "FLASK")
        super().__init__(params=params, **extra)
        self.create_app = create_app
        self.load_dotenv = load_dotenv
        self.set_debug_flag = set_debug_flag
        if add_default_commands:
            for command in (run_command, shell_command, routes_command):
                self.add_command(command)
        self._loaded_plugin_commands = False

    def _load_plugin_commands(self) -> None:
        if self._loaded_plugin_commands:
            return
        for entry_point in _entry_points("flask.commands"):
            self.add_command(entry_point.load(), entry_point.name)
        self._loaded_plugin_commands = True

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """Return a command: a built-in or plugin one first, since those work without an application.

        Args:
            ctx: The group's context.
            name: The command's name.
        """
        self._load_plugin_commands()
        found = super().get_command(ctx, name)
        if found is not None:
            return found
        info = ctx.ensure_object(ScriptInfo)
        try:
            app = info.load_app()
        except NoAppException as error:
            _complain(error.format_message(), "Error: ")
            return None
        return app.cli.get_command(ctx, name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that the arguments name; one of the application's runs in its context from here on.

        Args:
            ctx: The group's context.
            args: The arguments.
        """
        name, command, rest = super().resolve_command(ctx, args)
        if command is not None and super().get_command(ctx, name or "") is not command:
            app = ctx.ensure_object(ScriptInfo).load_app()
            # The parameters' callbacks may use `current_app`, and it must be this application even if another
            # context is active around the command. Not in `get_command`: a context that only shows help is never
            # closed by click 8.1.
            if not current_app or current_app._get_current_object() is not app:  # type: ignore[attr-defined]
                ctx.with_resource(app.app_context())
        return name, command, rest

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands; an application that fails to load is reported, not raised.

        Args:
            ctx: The group's context.
        """
        self._load_plugin_commands()
        names = set(super().list_commands(ctx))
        try:
            names.update(ctx.ensure_object(ScriptInfo).load_app().cli.list_commands(ctx))
        except NoAppException as error:
            _complain(error.format_message(), "Error: ")
        except Exception:
            _complain(traceback.format_exc())
        return sorted(names)

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: t.Any,
    ) -> click.Context:
        """Return the context of an invocation; from now on `app.run()` does nothing.

        Args:
            info_name: The command's name.
            args: The arguments.
            parent: The context around it.
            extra: For `click.Group.make_context`.
        """
        # A module without a `__main__` guard would serve as soon as it is imported.
        os.environ["FLASK_RUN_FROM_CLI"] = "true"
        if "obj" not in extra and "obj" not in self.context_settings:
            extra["obj"] = ScriptInfo(
                create_app=self.create_app,
                set_debug_flag=self.set_debug_flag,
                load_dotenv_defaults=self.load_dotenv,
            )
        return super().make_context(info_name, args, parent=parent, **extra)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the arguments; where only help is shown, the application named in the environment still counts."""
        only_help = len(args) == 1 and args[0] in self.get_help_option_names(ctx)
        if only_help or (not args and self.no_args_is_help):
            # Click shows the help before it looks at the options that come from the environment.
            for option in (_env_file_option, _app_option):
                option.handle_parse_result(ctx, {}, [])
        return super().parse_args(ctx, args)


def _entry_points(group: str) -> t.Iterable[t.Any]:
    from importlib import metadata

    found: t.Any = metadata.entry_points()
    # Python 3.9 has a dict here.
    return t.cast(
        "t.Iterable[t.Any]", found.select(group=group) if hasattr(found, "select") else found.get(group, ())
    )


def _complain(text: str, prefix: str = "") -> None:
    click.secho(f"{prefix}{text}\n", err=True, fg="red")


def show_server_banner(debug: bool | None, app_import_path: str | None) -> None:
    """Print what is served, unless this process is one that the reloader started.

    Args:
        debug: Whether debug mode is on; None for unknown.
        app_import_path: The application's name.
    """
    from ..werkzeug.serving import is_running_from_reloader

    if is_running_from_reloader():
        return
    if app_import_path is not None:
        click.echo(f" * Serving Flask app '{app_import_path}'")
    if debug is not None:
        click.echo(f" * Debug mode: {'on' if debug else 'off'}")


@click.command("run", short_help="Serve the application.")
@click.option("--host", "-h", default="127.0.0.1", help="The address to listen on.")
@click.option("--port", "-p", default=5000, help="The port to listen on.")
@click.option(
    "--cert",
    type=CertParamType(),
    is_eager=True,
    help="The certificate to serve HTTPS with: a file, 'adhoc', or where to import an SSLContext from.",
)
@click.option(
    "--key",
    type=click.Path(exists=True, dir_okay=False, resolve_path=True),
    callback=_validate_key,
    expose_value=False,
    help="The file of the certificate's key.",
)
@click.option(
    "--reload/--no-reload",
    default=None,
    help="Restart when a source file changes; the default is to do so in debug mode.",
)
@click.option(
    "--debugger/--no-debugger",
    default=None,
    help="Show tracebacks to the client; the default is to do so in debug mode.",
)
@click.option("--with-threads/--without-threads", default=True, help="Answer requests in threads.")
@click.option(
    "--extra-files",
    default=None,
    type=SeparatedPathType(),
    help=f"More files that the reloader watches, separated by {os.path.pathsep!r}.",
)
@click.option(
    "--exclude-patterns",
    default=None,
    type=SeparatedPathType(),
    help=f"Patterns of files that the reloader ignores, separated by {os.path.pathsep!r}.",
)
@pass_script_info
def run_command(
    info: ScriptInfo,
    host: str,
    port: int,
    reload: bool | None,
    debugger: bool | None,
    with_threads: bool,
    cert: ssl.SSLContext | tuple[str, str | None] | str | None,
    extra_files: list[str] | None,
    exclude_patterns: list[str] | None,
) -> None:
    """Serve the application until it is interrupted.

    With '--debug' the application is restarted when its files change.
    """
    from ..werkzeug.serving import is_running_from_reloader, run_simple

    app: t.Any
    try:
        app = info.load_app()
    except Exception as error:
        if not is_running_from_reloader():
            # Without the lines of this function.
            raise error from None
        # A typing mistake must not end the reloader: it is shown here and to the client until it is mended.
        traceback.print_exc()
        app = _failing_app(error)

    debug = get_debug_flag()
    show_server_banner(debug, info.app_import_path)
    run_simple(
        host,
        port,
        app,
        use_reloader=debug if reload is None else reload,
        use_debugger=debug if debugger is None else debugger,
        threaded=with_threads,
        ssl_context=cert,  # type: ignore[arg-type, unused-ignore]
        extra_files=extra_files,
        exclude_patterns=exclude_patterns,
    )


run_command.params.insert(0, _debug_option)


def _failing_app(error: Exception) -> t.Callable[..., t.Iterable[bytes]]:
    def app(environ: WSGIEnvironment, start_response: StartResponse) -> t.Iterable[bytes]:
        raise error from None

    return app


@click.command("shell", short_help="Run a shell with the application's names.")
@with_appcontext
def shell_command() -> None:
    """Run an interactive Python shell in the application's context.

    It begins with the application, 'g' and what the application's shell context processors add.
    """
    import code

    names: dict[str, t.Any] = {}
    startup = os.environ.get("PYTHONSTARTUP")
    if startup and os.path.isfile(startup):
        with open(startup) as file:
            exec(compile(file.read(), startup, "exec"), names)
    names.update(current_app.make_shell_context())

    # What a plain interactive interpreter would run: line editing, history and completion.
    hook = getattr(sys, "__interactivehook__", None)
    if hook is not None:
        try:
            import readline
            from rlcompleter import Completer
        except ImportError:
            pass
        else:
            # Completion is of the shell's names; the default would be those of the `flask` program.
            readline.set_completer(Completer(names).complete)
        hook()

    code.interact(
        banner=(
            f"Python {sys.version} on {sys.platform}\n"
            f"App: {current_app.import_name}\n"
            f"Instance: {current_app.instance_path}"
        ),
        local=names,
    )


@click.command("routes", short_help="Show the application's routes.")
@click.option(
    "--sort",
    "-s",
    type=click.Choice(("endpoint", "methods", "domain", "rule", "match")),
    default="endpoint",
    help="What to sort by; 'match' is the order in which rules are tried.",
)
@click.option("--all-methods", is_flag=True, help="Show HEAD and OPTIONS too.")
@with_appcontext
def routes_command(sort: str, all_methods: bool) -> None:
    """Show every route with its endpoint and methods."""
    url_map = current_app.url_map
    rules = list(url_map.iter_rules())
    if not rules:
        click.echo("No routes were registered.")
        return

    hidden = frozenset() if all_methods else frozenset({"HEAD", "OPTIONS"})
    domains = [(rule.host if url_map.host_matching else rule.subdomain) or "" for rule in rules]
    columns: dict[str, tuple[str, list[str]]] = {
        "endpoint": ("Endpoint", [str(rule.endpoint) for rule in rules]),
        "methods": ("Methods", [", ".join(sorted((rule.methods or set()) - hidden)) for rule in rules]),
    }
    if any(domains):
        columns["domain"] = ("Host" if url_map.host_matching else "Subdomain", domains)
    columns["rule"] = ("Rule", [rule.rule for rule in rules])

    order = list(range(len(rules)))
    if sort in columns:  # 'match' is the order they are in; so is 'domain' without any
        order.sort(key=columns[sort][1].__getitem__)
    widths = [max(map(len, (title, *cells))) for title, cells in columns.values()]

    def show(cells: t.Iterable[str]) -> None:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(cells, widths)))

    show(title for title, _ in columns.values())
    show("-" * width for width in widths)
    for index in order:
        show(cells[index] for _, cells in columns.values())


cli = FlaskGroup(
    name="flask",
    help=(
        "Commands for Flask applications.\n\n"
        "The application is named with the '--app' option or in the 'FLASK_APP' environment variable, or is in"
        " a 'wsgi.py' or 'app.py' file of the current directory."
    ),
)


def main() -> None:
    """Run the `flask` command."""
    cli.main()


if __name__ == "__main__":
    main()
