"""What a dialect tells the server about an application: its routing table, and how each rule's view is run.

The server asks once for each value of the application's generation (`Dialect.table`) and once for each rule that
gets a request (`Dialect.describe`). What it learns decides how much of Python a request passes through: a `bare`
plan is the view alone, `hooks_only` adds plain functions around it, and everything else is the dialect's own
pipeline, whole.
"""

from __future__ import annotations

import typing as t
from inspect import unwrap

if t.TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from .._core import BodyStream, CookieSigner, Router, Socket
    from .._core import RequestState as RequestState

#: Where views run: on the reactor's thread, on a thread of the pool, on one of these as they prove to be quick, or as
#: tasks of the event loop.
Mode = t.Literal["inline", "pool", "auto", "task"]

#: A response, read: status, reason phrase (None for the usual one), header fields, and the body's bytes or an
#: iterator over its pieces.
Rendered = tuple[int, t.Optional[str], "list[tuple[str, str]]", t.Any]


class JsonStyle(t.NamedTuple):
    """How the server writes the dicts and lists that views return, as `json.dumps` names it."""

    sort_keys: bool
    ensure_ascii: bool
    indented: bool


class SessionReader(t.NamedTuple):
    """How a session is opened that is a dict of plain values in a signed cookie."""

    signer: CookieSigner
    #: Seconds that a signature is good for.
    max_age: int
    #: A class of dicts. One that is opened has the content, and `on_update`.
    session_class: type
    on_update: t.Any
    #: Its `tags` are what it knows besides JSON; more of them than this many, and the dialect opens sessions.
    serializer: t.Any
    known_tags: int


class Table(t.NamedTuple):
    """An application at one generation."""

    #: The rules by the router's numbers.
    rules: list[t.Any]
    router: Router
    #: None: dicts and lists go through the application's own provider.
    json: JsonStyle | None
    #: How requests run that no rule answers (404, 405, redirects).
    unmatched_mode: Mode
    #: Rules depend on the host: Python matches.
    host_matching: bool
    #: Methods whose replacement on a class makes the table stale.
    watch: list[tuple[type, str]]
    #: The receivers of signals that a request sends, and the attributes of what applications share; the table is
    #: stale when one becomes empty or stops being so.
    receivers: list[dict[t.Any, t.Any]]
    #: A request that carries this cookie has a session to be looked after even if the view does not touch it.
    session_cookie: str | None
    #: That cookie is read by the core (`RequestState.session_content`): JSON in base64, signed.
    session_is_json: bool
    #: What opens that session in the core; None: `Dialect.open_session` does.
    session_reader: SessionReader | None
    #: Responses of exactly this class are read by their attributes; None: all through `Dialect.render`.
    response_class: type | None
    #: Nothing but the rules decides about the paths of URLs, neither the request's host nor the application.
    plain_urls: bool
    #: The class of requests, if the server may make them of its own state; None: through `Dialect.make_request`.
    request_class: type | None
    #: The server may parse JSON bodies up to this many bytes itself; None: it may not.
    json_body_limit: int | None
    #: The class of a response's headers, if the server may make responses of plain values itself.
    headers_class: type | None
    #: How many proxies the application believes: for, proto, host, port, prefix. `host_matching` is true then; a
    #: request of which the server cannot say what they mean is not `RequestState.is_fixed`, and has no rule.
    proxies: tuple[int, int, int, int, int] | None = None
    #: Some of the rules are for WebSockets that the server may open (`Dialect.match_socket`).
    sockets: bool = False


class Folder(t.NamedTuple):
    """The files that a rule's view sends, where that is all there is to it: the server sends them without the view."""

    #: The folder, absolute; the view's only argument, `filename`, is a path below it.
    path: str
    #: Called with that argument and the content coding of what is sent (or None); returns the fields of a 200 that
    #: depend on neither request nor content, and the seconds that a client may keep it. None: the view has to answer.
    fields: Callable[[str, str | None], tuple[list[tuple[str, str]], int | None] | None]
    #: Links that lead out of the folder are followed.
    follows_links: bool
    #: Content codings that are looked for beside a file, the best first, and the endings of their names.
    codings: list[tuple[str, str]]


class Spec(t.NamedTuple):
    """How one rule's requests are run."""

    view: Callable[..., t.Any] | None
    mode: Mode
    #: Nothing in Python would run besides the view.
    bare: bool
    #: Nothing besides the view and the functions below.
    hooks_only: bool
    before: tuple[Callable[..., t.Any], ...] = ()
    after: tuple[Callable[..., t.Any], ...] = ()
    teardown: tuple[Callable[..., t.Any], ...] = ()
    #: OPTIONS is answered for the view.
    automatic_options: bool = False
    #: Seconds after which the request is answered without the view; None: never.
    timeout: float | None = None
    #: The view is cancelled when its client has gone; None: if the method is GET or HEAD.
    cancels: bool | None = None
    #: A WebSocket's: run by `Dialect.socket_dispatch` or, as a task, `Dialect.socket_dispatch_async`.
    socket: bool = False
    #: The view reads a body while it arrives; None: a large one, on a thread of the pool or as `reads_stream` says.
    streams_body: bool | None = None
    #: Of a task: its own code reads the body piece by piece (`kernel.reading`).
    reads_stream: bool = False
    #: Of a bare view that sends the files of a folder.
    folder: Folder | None = None


class Dialect(t.Protocol):
    """The functions that the server calls; a module of the dialect. `state` is the request as the server holds it.

    None of them is called for a bare view that touches nothing but its arguments.
    """

    def table(self, app: t.Any) -> Table:
        """Return the application as it is now."""

    def describe(self, app: t.Any, rule: t.Any) -> Spec:
        """Return how a rule's requests are run."""

    def full_dispatch(self, app: t.Any, state: RequestState) -> Rendered:
        """Run the dialect's whole pipeline. What it raises is answered with a plain 500."""

    def full_dispatch_async(self, app: t.Any, state: RequestState) -> Coroutine[t.Any, t.Any, Rendered]:
        """Run the dialect's whole pipeline as a coroutine."""

    def match_socket(self, app: t.Any, state: RequestState) -> t.Any:
        """Match a WebSocket's handshake and return its rule; None if it is for none."""

    def socket_dispatch(self, app: t.Any, state: RequestState, socket: Socket) -> Rendered:
        """Run a WebSocket from its handshake to its end; the answer counts if it was not accepted."""

    def socket_dispatch_async(
        self, app: t.Any, state: RequestState, socket: Socket
    ) -> Coroutine[t.Any, t.Any, Rendered]:
        """Run a WebSocket as a coroutine."""

    def answer_error(
        self, app: t.Any, state: RequestState, error: BaseException, in_view: bool
    ) -> tuple[t.Any, BaseException | None]:
        """Return the response to an exception, and the exception again if nothing handled it."""

    def process_response(self, app: t.Any, state: RequestState, response: t.Any) -> t.Any:
        """Run what follows the view: functions registered for this request, hooks, the session."""

    def session_varies(self, app: t.Any, state: RequestState) -> bool | None:
        """Return whether the session was merely read; None if it has to be saved or there is more to it."""

    def finish_session(self, app: t.Any, state: RequestState, response: t.Any) -> t.Any:
        """Save the session only."""

    def end_request(self, app: t.Any, state: RequestState, error: BaseException | None) -> None:
        """Leave the contexts that were made for the request; runs the teardown functions."""

    def render(self, app: t.Any, state: RequestState, response: t.Any) -> Rendered:
        """Read a response."""

    def timed_out(self, app: t.Any, state: RequestState) -> BaseException:
        """Return what a view whose time is up is said to have raised."""

    def log_failure(self, app: t.Any, state: RequestState, error: BaseException) -> None:
        """Log what nothing handled."""

    def make_request(self, app: t.Any, state: RequestState) -> t.Any:
        """Make the request object."""

    def make_input(self, stream: BodyStream) -> t.Any:
        """Make the file-like object that reads a body while it arrives."""

    def make_g(self, app: t.Any, state: RequestState) -> t.Any:
        """Make the request's namespace."""

    def open_session(self, app: t.Any, state: RequestState) -> t.Any:
        """Open the session."""

    def make_app_context(self, app: t.Any, state: RequestState) -> t.Any:
        """Make the application context."""

    def make_request_context(self, app: t.Any, state: RequestState) -> t.Any:
        """Make the request context."""


def locate(view: t.Any) -> tuple[str | None, int | None]:
    """Return file and first line of a view's code, or `(None, None)`.

    Args:
        view: A function, possibly decorated, or an object with a `__call__` method.
    """
    function = unwrap(view)
    code = getattr(function, "__code__", None)
    if code is None:
        code = getattr(getattr(type(function), "__call__", None), "__code__", None)  # noqa: B004
    return (None, None) if code is None else (code.co_filename, code.co_firstlineno)


def place(endpoint: str | None, view: t.Any) -> str:
    """Return the view that a log line is about, in words that follow it; nothing if there is none.

    Args:
        endpoint: Its endpoint.
        view: The function.
    """
    if view is None:
        return ""
    file, line = locate(view)
    return f" in view {endpoint!r}" + (f" ({file}:{line})" if file else "")
