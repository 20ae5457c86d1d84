"""Tracebacks as data, as text and as a page."""

from __future__ import annotations

import linecache
import os
import sys
import sysconfig
import traceback
import typing as t
from html import escape as _escape

from ..utils import cached_property

if t.TYPE_CHECKING:
    from types import TracebackType

#: Lines of source shown before and after a call.
_CONTEXT = 5
_CAUSED = "The above exception was the direct cause of the following exception"
_DURING = "During handling of the above exception, another exception occurred"

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem; color: #222; }
h1 { font-size: 1.5rem; margin: 0; } .detail { margin: .3rem 0 1.5rem; font-size: 1.1rem; white-space: pre-wrap; }
ol { list-style: none; padding: 0; } li { margin: .5rem 0; } summary { cursor: pointer; }
.library > details > summary { color: #777; } code { font-weight: 600; }
.exc-divider { margin: 1.5rem 0 .5rem; font-style: italic; }
pre { background: #f6f6f3; border: 1px solid #ddd; margin: .3rem 0; overflow-x: auto; padding: .4rem .6rem; }
pre b { background: #ffe9a8; display: inline-block; min-width: 100%; font-weight: normal; }
@media (prefers-color-scheme: dark) {
  body { background: #1b1b1b; color: #ddd; } pre { background: #262626; border-color: #444; }
  pre b { background: #5a4a12; } }
"""


class Frame(t.NamedTuple):
    """One call in a traceback."""

    #: The source file, or what stands for one.
    filename: str
    #: The line, from 1.
    lineno: int
    #: The function.
    name: str
    #: Globals, by which a loader may find the source.
    namespace: dict[str, t.Any]

    @property
    def is_library(self) -> bool:
        """Whether the file is Python's own or an installed package's."""
        return self.filename.startswith(_LIBRARIES) or self.filename.startswith("<frozen ")

    def source(self) -> list[tuple[int, str]]:
        """Return the lines around the call with their numbers; none if there is no such line."""
        lines = linecache.getlines(self.filename, self.namespace)
        if not 0 < self.lineno <= len(lines):
            return []
        first = max(self.lineno - _CONTEXT, 1)
        shown = lines[first - 1 : self.lineno + _CONTEXT]
        return list(enumerate((line.rstrip("\n") for line in shown), first))

    def render_html(self) -> str:
        """Return the call as an element."""
        place = f'File <cite>"{_text(self.filename)}"</cite>, line <em>{self.lineno}</em>'
        summary = f"<summary>{place}, in <code>{_text(self.name)}</code></summary>"
        rows = [
            f"<b>{number:>5}  {_text(line)}</b>" if number == self.lineno else f"{number:>5}  {_text(line)}"
            for number, line in self.source()
        ]
        state = "" if self.is_library else " open"
        code = "<pre>" + "\n".join(rows) + "</pre>" if rows else ""
        return f"<details{state}>{summary}{code}</details>"


class Raised(t.NamedTuple):
    """One exception of a chain."""

    exception: BaseException
    stack: list[Frame]

    @property
    def title(self) -> str:
        """The type's name, with its module unless that is built in."""
        kind = type(self.exception)
        return (
            kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
        )

    @property
    def message(self) -> str:
        """What the exception says, with its notes."""
        try:
            return "".join(traceback.format_exception_only(type(self.exception), self.exception)).strip()
        except Exception:
            return f"{self.title}: <no message: its __str__ failed>"


class DebugTraceback:
    """An exception with those that led to it.

    Args:
        exc: The exception.
        te: No effect.
        skip: Calls to leave out at the beginning.
        hide: Leave out calls whose function has set `__traceback_hide__`.

    Compatible with: werkzeug.debug.tbtools.DebugTraceback (3.1)
    """

    def __init__(self, exc: BaseException, te: t.Any = None, *, skip: int = 0, hide: bool = True) -> None:
        self._exc = exc
        self._skip = skip
        self._hide = hide

    def __str__(self) -> str:
        return f"<{type(self).__name__} {self.all_tracebacks[0][1].message}>"

    @cached_property
    def all_tracebacks(self) -> list[tuple[str | None, Raised]]:
        """The exceptions, the last first, each with a line on how it followed from the next in the list."""
        found: list[tuple[str | None, Raised]] = []
        seen: set[int] = set()
        current: BaseException | None = self._exc
        while current is not None:
            # A chain can be made circular by hand.
            seen.add(id(current))
            if current.__cause__ is not None:
                link, former = _CAUSED, current.__cause__
            elif current.__context__ is not None and not current.__suppress_context__:
                link, former = _DURING, current.__context__
            else:
                link, former = None, None
            if former is not None and id(former) in seen:
                link, former = None, None
            skip = self._skip if current is self._exc else 0
            found.append((link, Raised(current, _frames(current.__traceback__, skip, self._hide))))
            current = former
        return found

    @cached_property
    def all_frames(self) -> list[Frame]:
        """The calls of all exceptions."""
        return [frame for _, raised in self.all_tracebacks for frame in raised.stack]

    def render_traceback_text(self) -> str:
        """Return the tracebacks as Python prints them."""
        if any(hasattr(raised.exception, "exceptions") for _, raised in self.all_tracebacks):
            # A group has a tree of its own under it, which Python draws.
            return "".join(traceback.format_exception(type(self._exc), self._exc, self._exc.__traceback__))
        parts: list[str] = []
        for link, raised in reversed(self.all_tracebacks):
            if link is not None:
                parts.append(f"\n{link}:\n\n")
            if raised.stack:
                parts.append("Traceback (most recent call last):\n")
            for frame in raised.stack:
                parts.append(f'  File "{frame.filename}", line {frame.lineno}, in {frame.name}\n')
                parts += [
                    f"    {line.strip()}\n" for number, line in frame.source() if number == frame.lineno
                ]
            parts.append(f"{raised.message}\n")
        return "".join(parts)

    def render_traceback_html(self, include_title: bool = True) -> str:
        """Return the tracebacks as an element.

        Args:
            include_title: With a heading above, and the message below.
        """
        rows: list[str] = []
        for link, raised in reversed(self.all_tracebacks):
            if link is not None:
                rows.append(f'<li><div class="exc-divider">{link}:</div></li>')
            for frame in raised.stack:
                kind = ' class="library"' if frame.is_library else ""
                rows.append(f"<li{kind}>{frame.render_html()}</li>")
            rows.append(f"<li><pre>{_text(raised.message)}</pre></li>")
        title = "<h2>Traceback <em>(most recent call last)</em></h2>" if include_title else ""
        listed = "\n".join(rows)
        return f'<div class="traceback">{title}<ol>\n{listed}\n</ol></div>'

    def render_debugger_html(
        self, evalex: bool = False, secret: str = "", evalex_trusted: bool = False
    ) -> str:
        """Return the page.

        Args:
            evalex: No effect: there is no console.
            secret: No effect.
            evalex_trusted: No effect.
        """
        raised: Raised = self.all_tracebacks[0][1]
        return (
            f"<!doctype html>\n<html lang=en>\n<head>\n<meta charset=utf-8>\n<title>{_text(raised.title)}"
            f" // BustAPI</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<h1>{_text(raised.title)}</h1>\n"
            f'<p class="detail">{_text(raised.message)}</p>\n{self.render_traceback_html()}\n'
            f"<details><summary>As text</summary><pre>{_text(self.render_traceback_text())}</pre></details>\n"
            "<p>An exception left the application. This page is shown in debug mode only.</p>\n"
            "</body>\n</html>\n"
        )


def _frames(trace: TracebackType | None, skip: int, hide: bool) -> list[Frame]:
    frames: list[Frame] = []
    for frame, lineno in traceback.walk_tb(trace):
        if skip > 0:
            skip -= 1
        elif not (hide and frame.f_locals.get("__traceback_hide__", False)):
            code = frame.f_code
            frames.append(Frame(code.co_filename, lineno or 0, code.co_name, frame.f_globals))
    return frames


def _text(value: str) -> str:
    # Between tags; quotes are as they are, so that code reads as written.
    return _escape(value, quote=False)


_LIBRARIES = tuple(
    {
        os.path.join(spelled, "")
        for path in (
            *(sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")),
            os.path.join(sys.prefix, "lib"),
        )
        for spelled in (path, os.path.realpath(path))
    }
)
