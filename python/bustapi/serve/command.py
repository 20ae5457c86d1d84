"""The command that started this process, to be run again for a worker."""

from __future__ import annotations

import subprocess
import sys

from .errors import ServeError


def own_command() -> list[str]:
    """Give the command line that starts this program anew.

    Returns:
        The interpreter and its arguments.

    Raises:
        ServeError: The program came from standard input or an interactive session.
    """
    original = getattr(sys, "orig_argv", None)
    command = _from_original(list(original)) if original else _reconstructed()
    if command is None or not sys.executable:
        raise ServeError(
            "workers: this program cannot be started again (it has no file); save it as a script"
        )
    return command


def _from_original(original: list[str]) -> list[str] | None:
    """Python 3.10 keeps the command line; only the interpreter's path may have been a search by name."""
    rest = original[1:]
    if not sys.argv or sys.argv[0] in ("", "-"):
        return None
    return [sys.executable, *rest]


def _reconstructed() -> list[str] | None:
    """Python 3.9: flags from the interpreter's state, the program from `__main__`."""
    flags: list[str] = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined]
    main = sys.modules.get("__main__")
    spec = getattr(main, "__spec__", None)
    arguments = sys.argv[1:]
    if spec is not None:
        name = spec.name
        if name == "__main__":
            # A directory or zip file that was run by its path.
            return [sys.executable, *flags, sys.argv[0], *arguments]
        if name.endswith(".__main__"):
            name = name[: -len(".__main__")]
        return [sys.executable, *flags, "-m", name, *arguments]
    if not sys.argv or sys.argv[0] in ("", "-", "-c"):
        return None
    return [sys.executable, *flags, sys.argv[0], *arguments]
