"""What can stop a server from starting, each with a message of one line."""

from __future__ import annotations

import sys

#: sysexits.h EX_SOFTWARE: a reactor ended that nobody asked to end.
EXIT_SOFTWARE = 70


class ServeError(Exception):
    """The server cannot start or go on; the message is one line, fit for stderr.

    Compatible with: BustAPI only.
    """


class SettingsError(ServeError, ValueError):
    """A setting has a value that cannot be used.

    Args:
        message: One line that names the option, the value and what would be right.
        source: Where the value came from: ``"argument"``, ``"environment"`` or ``"config"``.

    Compatible with: BustAPI only.
    """

    def __init__(self, message: str, source: str = "argument") -> None:
        super().__init__(message)
        self.source = source


def say(line: str) -> None:
    """Write one line to stderr, where a server's messages about itself go.

    Args:
        line: The text, without a line end.
    """
    stream = sys.stderr
    if stream is None:  # pythonw, or a daemon that closed it
        return
    try:
        stream.write(line + "\n")
        stream.flush()
    except (OSError, ValueError):
        # A closed or full log must not stop a server.
        return
