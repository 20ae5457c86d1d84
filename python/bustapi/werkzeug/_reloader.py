"""Restarting a program when its source changes.

Two processes run the same command. The parent starts the child, and starts it again whenever it ends with exit code
3. The child, told by `WERKZEUG_RUN_MAIN`, does the work in its main thread, where signals arrive, and watches files in
another; on a change that thread asks the main thread to end with SIGTERM, as an operator would, insists after a
moment, and in the end leaves without it.
"""

from __future__ import annotations

import contextlib
import fnmatch
import os
import signal
import subprocess
import sys
import threading
import time
import typing as t
from importlib import import_module
from importlib.util import find_spec
from pathlib import PurePath

from ._internal import _log

if t.TYPE_CHECKING:
    import typing_extensions as te

#: Set in the child.
ENV_CHILD = "WERKZEUG_RUN_MAIN"
#: How the child asks for its successor.
EXIT_RELOAD = 3
#: Seconds that the work gets to end, after the first and after the second request.
_PATIENCE = (1.0, 0.3)

# Changes to an installed Python are no changes to the program. A virtual environment's packages are watched only
# where they are imported: walking through all of them every second would cost too much.
_NEVER = tuple({sys.base_prefix, sys.base_exec_prefix})
_NOT_WALKED = tuple({*_NEVER, sys.prefix, sys.exec_prefix})
_TOOL_DIRS = frozenset(
    {"__pycache__", ".git", ".hg", ".tox", ".nox", ".pytest_cache", ".mypy_cache", ".ruff_cache"}
)


def _iter_module_paths() -> t.Iterator[str]:
    """Yield the files of imported modules; the archive for a module in one."""
    for module in list(sys.modules.values()):
        path = getattr(module, "__file__", None)
        if not isinstance(path, str) or path.startswith(_NEVER):
            continue
        while not os.path.isfile(path):
            parent = os.path.dirname(path)
            if parent == path:
                break
            path = parent
        else:
            yield path


def _without(paths: set[str], patterns: t.Iterable[str]) -> set[str]:
    for pattern in patterns:
        paths.difference_update(fnmatch.filter(paths, pattern))
    return paths


def _find_stat_paths(extra_files: set[str], exclude_patterns: set[str]) -> t.Iterable[str]:
    """Return the files to look at: those of modules, of the import path and the extra ones."""
    found: set[str] = set()
    for entry in (*sys.path, *extra_files):
        path = os.path.abspath(entry)
        if os.path.isfile(path):
            found.add(path)
        else:
            found.update(_walk_sources(path))
    found.update(_iter_module_paths())
    return _without(found, exclude_patterns)


def _walk_sources(top: str) -> t.Iterator[str]:
    """Yield Python files; two levels without any end the descent, so that a data directory costs little."""
    barren: set[str] = set()
    for folder, subfolders, files in os.walk(top):
        if folder.startswith(_NOT_WALKED) or os.path.basename(folder) in _TOOL_DIRS:
            subfolders.clear()
            continue
        sources = [name for name in files if name.endswith((".py", ".pyc"))]
        for name in sources:
            yield os.path.join(folder, name)
        if not sources:
            barren.add(folder)
            if os.path.dirname(folder) in barren:
                subfolders.clear()


def _find_watchdog_paths(extra_files: set[str], exclude_patterns: set[str]) -> t.Iterable[str]:
    """Return the directories to watch with all that is below them.

    Of installed packages those that are imported, one by one: all of them are more files than the system can watch.
    """
    folders: set[str] = set()
    installed: set[str] = set()
    for entry in (*sys.path, *extra_files):
        path = os.path.abspath(entry)
        if entry not in extra_files and path.startswith(_NOT_WALKED):
            installed.add(path)
        else:
            folders.add(os.path.dirname(path) if os.path.isfile(path) else path)
    folders.update(os.path.dirname(path) for path in _iter_module_paths())
    return _find_common_roots(_without(folders - installed, exclude_patterns))


def _find_common_roots(paths: t.Iterable[str]) -> t.Iterable[str]:
    """Leave out each directory that lies in another of them."""
    roots: set[tuple[str, ...]] = set()
    for parts in sorted((PurePath(path).parts for path in paths), key=len):
        if parts and not any(parts[:length] in roots for length in range(1, len(parts))):
            roots.add(parts)
    return {os.path.join(*parts) for parts in roots}


def _get_args_for_reloading() -> list[str]:
    """Return the command that started this program."""
    from ..serve.command import own_command

    return own_command()


class ReloaderLoop:
    """Watches files; `run` ends with SystemExit(3) on a change.

    Args:
        extra_files: Files, and directories of Python files, to watch too.
        exclude_patterns: Patterns, as of `fnmatch`, of paths not to watch.
        interval: Seconds between two looks.

    Compatible with: werkzeug._reloader.ReloaderLoop (3.1)
    """

    name = ""

    def __init__(
        self,
        extra_files: t.Iterable[str] | None = None,
        exclude_patterns: t.Iterable[str] | None = None,
        interval: float = 1,
    ) -> None:
        self.extra_files: set[str] = {os.path.abspath(path) for path in extra_files or ()}
        self.exclude_patterns: set[str] = set(exclude_patterns or ())
        self.interval = interval
        self._parent = os.getppid()

    def __enter__(self) -> te.Self:
        self.run_step()
        return self

    def __exit__(self, *exc: object) -> None:
        return None

    def run(self) -> None:
        """Watch until something changed.

        Raises:
            SystemExit: 3 on a change, 0 when the parent is gone.
        """
        while True:
            self.run_step()
            self._check_parent()
            time.sleep(self.interval)

    def run_step(self) -> None:
        """Look once; the first look is what later ones are compared with."""

    def _check_parent(self) -> None:
        if os.getppid() != self._parent:
            raise SystemExit(0)

    def restart_with_reloader(self) -> int:
        """Run the child until it ends for good.

        Returns:
            Its exit code.
        """
        while True:
            _log("info", f" * Restarting with {self.name}")
            code = _run_child({**os.environ, ENV_CHILD: "true"})
            if code != EXIT_RELOAD:
                return code

    def trigger_reload(self, filename: str) -> None:
        """Report a change.

        Raises:
            SystemExit: 3, always.
        """
        self.log_reload(filename)
        raise SystemExit(EXIT_RELOAD)

    def log_reload(self, filename: str | bytes) -> None:
        """Log which file changed."""
        _log("info", f" * Detected change in {os.path.abspath(os.fsdecode(filename))!r}, reloading")


class StatReloaderLoop(ReloaderLoop):
    """Compares modification times. Needs nothing installed."""

    name = "stat"

    def __enter__(self) -> te.Self:
        self.mtimes: dict[str, float] = {}
        return super().__enter__()

    def run_step(self) -> None:
        """Look at every file once."""
        for path in _find_stat_paths(self.extra_files, self.exclude_patterns):
            try:
                changed = os.stat(path).st_mtime
            except OSError:
                continue
            if changed > self.mtimes.setdefault(path, changed):
                self.trigger_reload(path)


class WatchdogReloaderLoop(ReloaderLoop):
    """Is told of changes by the system, through the `watchdog` package.

    Args:
        args: As for `ReloaderLoop`.
        kwargs: As for `ReloaderLoop`.
    """

    def __init__(self, *args: t.Any, **kwargs: t.Any) -> None:
        events: t.Any = import_module("watchdog.events")
        observers: t.Any = import_module("watchdog.observers")
        super().__init__(*args, **kwargs)
        # Reading a file is an event too, from watchdog 2 on.
        changes = {events.EVENT_TYPE_CREATED, events.EVENT_TYPE_DELETED, events.EVENT_TYPE_MODIFIED}
        changes |= {events.EVENT_TYPE_MOVED, events.EVENT_TYPE_CLOSED}
        report, concerns = self.trigger_reload, self._concerns

        # The patterns of watchdog's own handlers mean different things from release to release.
        def dispatch(handler: t.Any, event: t.Any) -> None:
            if concerns(event.src_path) or concerns(getattr(event, "dest_path", "")):
                handler.on_any_event(event)

        def on_any_event(handler: t.Any, event: t.Any) -> None:
            if event.event_type in changes:
                # Editors write a new file and rename it.
                target = getattr(event, "dest_path", "")
                report(target if concerns(target) else event.src_path)

        members = {"dispatch": dispatch, "on_any_event": on_any_event}
        self.event_handler: t.Any = type("Handler", (events.FileSystemEventHandler,), members)()
        self.observer: t.Any = observers.Observer()
        kind = observers.Observer.__name__.lower()
        self.name = f"watchdog ({kind[: -len('observer')] if kind.endswith('observer') else kind})"
        self.should_reload = threading.Event()
        self.watches: dict[str, t.Any] = {}

    def __enter__(self) -> te.Self:
        self.observer.start()
        return super().__enter__()

    def __exit__(self, *exc: object) -> None:
        self.observer.stop()
        self.observer.join()

    def _concerns(self, path: str | bytes) -> bool:
        name = os.path.abspath(os.fsdecode(path)) if path else ""
        if not name.endswith((".py", ".pyc", ".zip")) and name not in self.extra_files:
            return False
        if not _TOOL_DIRS.isdisjoint(PurePath(name).parts[:-1]):
            return False
        return not any(fnmatch.fnmatch(name, pattern) for pattern in self.exclude_patterns)

    def trigger_reload(self, filename: str | bytes) -> None:
        """Report a change; called in the observer's thread, which an exception would end in silence."""
        self.should_reload.set()
        self.log_reload(filename)

    def run(self) -> None:
        """Watch until something changed.

        Raises:
            SystemExit: 3 on a change, 0 when the parent is gone.
        """
        while not self.should_reload.wait(self.interval):
            self.run_step()
            self._check_parent()
        raise SystemExit(EXIT_RELOAD)

    def run_step(self) -> None:
        """Follow changes of the import path."""
        wanted = set(_find_watchdog_paths(self.extra_files, self.exclude_patterns))
        for path in wanted - self.watches.keys():
            try:
                self.watches[path] = self.observer.schedule(self.event_handler, path, recursive=True)
            except OSError:
                # Kept as None: it would fail the same way every second.
                self.watches[path] = None
        for path in self.watches.keys() - wanted:
            watch = self.watches.pop(path)
            if watch is not None:
                self.observer.unschedule(watch)


#: The loops by their names in `reloader_type`.
reloader_loops: dict[str, type[ReloaderLoop]] = {
    "stat": StatReloaderLoop,
    "watchdog": WatchdogReloaderLoop,
    "auto": StatReloaderLoop if find_spec("watchdog") is None else WatchdogReloaderLoop,
}


def ensure_echo_on() -> None:
    """Let the terminal show what is typed, which a debugger that was ended may have switched off."""
    if sys.stdin is None or not sys.stdin.isatty():
        return
    try:
        import termios
    except ImportError:
        return
    attributes = termios.tcgetattr(sys.stdin)
    if not attributes[3] & termios.ECHO:
        attributes[3] |= termios.ECHO
        termios.tcsetattr(sys.stdin, termios.TCSANOW, attributes)


def run_with_reloader(
    main_func: t.Callable[[], None],
    extra_files: t.Iterable[str] | None = None,
    exclude_patterns: t.Iterable[str] | None = None,
    interval: float = 1,
    reloader_type: str = "auto",
) -> None:
    """Run a function in a process that is replaced by a new one whenever a source file changes.

    Call it in the main thread.

    Args:
        main_func: The work. It is asked to end by SIGTERM.
        extra_files: As for `ReloaderLoop`.
        exclude_patterns: As for `ReloaderLoop`.
        interval: As for `ReloaderLoop`.
        reloader_type: `auto`, `stat` or `watchdog`.

    Raises:
        SystemExit: In the parent, with the last child's exit code; in a child, on a change.
        ValueError: There is no such type.
        RuntimeError: This is not the main thread.

    Compatible with: werkzeug._reloader.run_with_reloader (3.1), except that `main_func` runs in the main thread.
    """
    if reloader_type not in reloader_loops:
        raise ValueError(f"reloader_type: must be one of {', '.join(reloader_loops)}, not {reloader_type!r}")
    if threading.current_thread() is not threading.main_thread():
        raise RuntimeError(
            "the reloader needs the main thread, where signals arrive; use use_reloader=False here"
        )
    reloader = reloader_loops[reloader_type](extra_files, exclude_patterns, interval)
    if os.environ.get(ENV_CHILD) == "true":
        _work_and_watch(main_func, reloader)
    else:
        raise SystemExit(reloader.restart_with_reloader())


def _work_and_watch(main_func: t.Callable[[], None], reloader: ReloaderLoop) -> None:
    from ..serve.leaving import exit_code

    codes: list[int] = []
    ended = threading.Event()

    def end(number: int, frame: t.Any) -> t.NoReturn:
        # It may come at any moment, before the work has begun and when it is over too.
        raise SystemExit(codes[0] if codes else 0)

    signal.signal(signal.SIGTERM, end)
    ensure_echo_on()
    with reloader:
        try:
            threading.Thread(
                target=_watch, args=(reloader, codes, ended), name="reloader", daemon=True
            ).start()
            # A server with a view that does not return gives up too, and may be the first to do it.
            with exit_code(lambda code: codes[0] if codes else code):
                main_func()
        except (KeyboardInterrupt, SystemExit) as error:
            # Whatever code the work chose on its way out: the watcher asked for it.
            if not codes and isinstance(error, SystemExit):
                raise
        finally:
            ended.set()
    if codes:
        raise SystemExit(codes[0])


def _watch(reloader: ReloaderLoop, codes: list[int], ended: threading.Event) -> None:
    try:
        reloader.run()
    except SystemExit as error:
        codes.append(error.code if isinstance(error.code, int) else 1)
    if not codes:
        return
    main = threading.main_thread()
    for seconds in _PATIENCE:
        if ended.is_set() or main.ident is None:
            return
        # To the thread itself: another one would not interrupt its wait.
        signal.pthread_kill(main.ident, signal.SIGTERM)
        if ended.wait(seconds):
            return
    os._exit(codes[0])


def _run_child(environ: dict[str, str]) -> int:
    """Run this program again and return its exit code, passing stop signals on."""
    child = subprocess.Popen(_get_args_for_reloading(), env=environ, close_fds=False)
    stopping = False

    def pass_on(number: int, frame: t.Any) -> None:
        nonlocal stopping
        stopping = True
        # A terminal has sent its interrupt to the child as well; a second one would cut open requests off.
        if number != signal.SIGINT or not _on_terminal():
            with contextlib.suppress(OSError):
                child.send_signal(number)

    former = {number: signal.signal(number, pass_on) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        code = child.wait()
    except BaseException:
        child.kill()
        child.wait()
        raise
    finally:
        for number, handler in former.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
    if stopping:
        return 0 if code in (EXIT_RELOAD, -signal.SIGINT, -signal.SIGTERM) else code
    return code


def _on_terminal() -> bool:
    try:
        return sys.stdin is not None and os.tcgetpgrp(sys.stdin.fileno()) == os.getpgrp()
    except (OSError, ValueError, AttributeError):
        return False
