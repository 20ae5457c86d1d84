"""The process's limit of open files, which is what limits connections in practice."""

from __future__ import annotations

#: Files that are no connections: listeners, polls, the application's own.
SPARE = 256


def allow_connections(count: int) -> None:
    """Raise the soft limit of open files to what a number of connections needs, as far as the hard limit allows.

    Many systems start a program with 1024, for the sake of `select(2)`, which the server does not use.

    Args:
        count: How many connections the process may have.
    """
    try:
        import resource
    except ImportError:
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count + SPARE
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    except (OSError, ValueError):
        # macOS has a bound of its own below the hard limit. The server then makes connections wait.
        return
