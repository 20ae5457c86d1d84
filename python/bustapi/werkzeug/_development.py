"""The development tools around a server: the reloader and the debugger, for whoever starts one."""

from __future__ import annotations

import typing as t


def develop(
    application: t.Any,
    hostname: str,
    work: t.Callable[[], None],
    *,
    use_reloader: bool = False,
    use_debugger: bool = False,
    use_evalex: bool = True,
    extra_files: t.Iterable[str] | None = None,
    exclude_patterns: t.Iterable[str] | None = None,
    reloader_interval: float = 1,
    reloader_type: str = "auto",
) -> None:
    """Serve with the tools.

    Args:
        application: What is served.
        hostname: What it is served on: the debugger shows itself there.
        work: Serves until it is told to end.
        use_reloader: Restart when a source file changes.
        use_debugger: Show tracebacks in the browser.
        use_evalex: No effect: the debugger never runs what a browser sends.
        extra_files: Files that the reloader watches too.
        exclude_patterns: Paths that the reloader does not watch.
        reloader_interval: Seconds between the reloader's looks.
        reloader_type: `auto`, `stat` or `watchdog`.

    Raises:
        SystemExit: With the reloader always.
    """
    if use_debugger:
        from .debug import DebuggedApplication

        # Once, also when the same application is served again.
        if not isinstance(application.wsgi_app, DebuggedApplication):
            application.wsgi_app = DebuggedApplication(application.wsgi_app)
        application.wsgi_app.trusted_hosts.append(hostname)
    if not use_reloader:
        work()
        return
    from ._reloader import run_with_reloader

    run_with_reloader(work, extra_files, exclude_patterns, reloader_interval, reloader_type)
