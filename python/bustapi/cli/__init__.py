"""The `bustapi` command. One module a command; click and the application are loaded when one is called."""

from __future__ import annotations

import sys


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and leave the interpreter with its exit code.

    Args:
        arguments: What follows the program's name; `sys.argv` by default.

    Raises:
        SystemExit: Always; 0 is success, 1 an error of which one line was written, 2 a wrong call.
    """
    from .group import cli

    # `python -m bustapi` names a file of the package otherwise.
    name = "python -m bustapi" if sys.argv[0].endswith("__main__.py") else None
    cli.main(args=arguments, prog_name=name)
