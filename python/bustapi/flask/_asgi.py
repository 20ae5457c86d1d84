"""The application as an ASGI application: `http` and `lifespan`.

Plain views run on a thread through the WSGI interface, with the middleware around it. Where a view, a hook or an error
handler is a coroutine function, the pipeline runs as a coroutine of the server's own loop, so that clients and locks
which an application makes there can be used.
"""

from __future__ import annotations

import asyncio
import contextvars
import sys
import typing as t
from tempfile import SpooledTemporaryFile

from ..kernel import loops
from ..kernel.pieces import AsyncPieces
from ..kernel.wsgi import call, split_status
from ._native.pipeline import handle_exception_async, pop_async, respond_async
from ._native.planning import describe, needs_loop

if t.TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from _typeshed.wsgi import WSGIEnvironment

    from ..kernel.lifespan import Life
    from ..kernel.plan import Rendered
    from .app import Flask

    Scope = dict[str, t.Any]
    Message = dict[str, t.Any]
    Receive = Callable[[], Awaitable[Message]]
    Send = Callable[[Message], Awaitable[None]]

#: A body up to this size is kept in memory, in bytes: Werkzeug's bound for a part of a form.
_IN_MEMORY = 500 * 1024
_END: t.Any = object()
#: Seconds that background work may take when the server ends; servers have bounds of their own.
_GRACE = 30.0


class AsgiApp:
    """An application's ASGI interface (ASGI 3.0): `http` and `lifespan`; websockets are refused.

    An object rather than a method: servers tell the version of the interface by `__call__`.

    Args:
        app: The application.
    """

    def __init__(self, app: Flask) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer what an ASGI server asks.

        Args:
            scope: The connection.
            receive: Gives the events.
            send: Takes the answers.

        Raises:
            ValueError: The scope is of a type that ASGI does not have.
        """
        kind = scope["type"]
        if kind == "lifespan":
            await _live(self.app, receive, send)
        elif kind == "http":
            await _answer(self.app, scope, receive, send)
        elif kind == "websocket":
            await receive()
            # Before it was accepted this is a response of 403.
            await send({"type": "websocket.close", "code": 1000})
        else:
            raise ValueError(f"unknown scope type {kind!r}")

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self.app.name!r}>"


async def _live(app: Flask, receive: Receive, send: Send) -> None:
    # Flask's own has nothing to start; a server that is told so does not log an error.
    life: Life | None = getattr(app, "_life", None)
    while True:
        message = await receive()
        ends = message["type"] == "lifespan.shutdown"
        if life is not None and ends:
            await life.stop(_GRACE)
            loops.remove(asyncio.get_running_loop())
        elif life is not None:
            # Where background work and what plain views wait for belongs.
            loops.add(asyncio.get_running_loop())
            try:
                await life.start()
            except Exception as error:
                loops.remove(asyncio.get_running_loop())
                app.logger.exception("start-up failed")
                await send({"type": "lifespan.startup.failed", "message": str(error)})
                return
        await send({"type": f"{message['type']}.complete"})
        if ends:
            return


async def _answer(app: Flask, scope: Scope, receive: Receive, send: Send) -> None:
    with SpooledTemporaryFile(_IN_MEMORY) as body:
        if not await _read(body, receive, app.config["MAX_CONTENT_LENGTH"]):
            return
        body.seek(0)
        environ = _environ(scope, body)
        # What is set in it is seen by all that runs for the request, and by nothing else.
        if _has_coroutines(app, environ):
            rendered, context = await asyncio.ensure_future(_dispatch_apart(app, environ))
        else:
            context = contextvars.copy_context()
            rendered = await _on_thread(context, call, app, environ)
        await _send(rendered, send, lambda function, *args: _on_thread(context, function, *args))


async def _read(body: t.IO[bytes], receive: Receive, limit: int | None) -> bool:
    """Store what the client sends; False if it went. Past the limit there is no need for the rest."""
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return False
        piece = message.get("body", b"")
        body.write(piece)
        size += len(piece)
        if not message.get("more_body", False) or (limit is not None and size > limit):
            return True


def _environ(scope: Scope, body: t.IO[bytes]) -> WSGIEnvironment:
    root = scope.get("root_path", "").rstrip("/")
    path = scope["path"]
    # Newer servers leave the root in the path, older ones do not.
    if root and (path == root or path.startswith(f"{root}/")):
        path = path[len(root) :]
    raw = scope.get("raw_path") or path.encode()
    query = scope.get("query_string", b"")
    name, port = scope.get("server") or ("localhost", 80)
    environ: WSGIEnvironment = {
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": root.encode().decode("latin-1"),
        "PATH_INFO": path.encode().decode("latin-1"),
        "QUERY_STRING": query.decode("latin-1"),
        "REQUEST_URI": (raw + b"?" + query if query else raw).decode("latin-1"),
        "SERVER_NAME": name,
        "SERVER_PORT": "" if port is None else str(port),
        "SERVER_PROTOCOL": f"HTTP/{scope.get('http_version', '1.1')}",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope.get("scheme", "http"),
        "wsgi.input": body,
        "wsgi.input_terminated": True,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        "asgi.scope": scope,
    }
    environ["RAW_URI"] = environ["REQUEST_URI"]
    client = scope.get("client")
    if client is not None:
        environ["REMOTE_ADDR"], environ["REMOTE_PORT"] = client[0], str(client[1])
    for field, octets in scope["headers"]:
        if b"_" in field:
            # It would take the place of the one with hyphens.
            continue
        key = field.decode("latin-1").upper().replace("-", "_")
        if key not in ("CONTENT_TYPE", "CONTENT_LENGTH"):
            key = f"HTTP_{key}"
        value = octets.decode("latin-1")
        if key in environ:
            value = f"{environ[key]}{'; ' if key == 'HTTP_COOKIE' else ','}{value}"
        environ[key] = value
    return environ


def _has_coroutines(app: Flask, environ: WSGIEnvironment) -> bool:
    """Whether something is to be awaited for this request."""
    generation = app._generation.value
    seen, found = app.__dict__.get("_asgi_coroutines", (None, False))
    if seen != generation:
        found = "wsgi_app" not in app.__dict__ and needs_loop(app)
        # Not as an attribute, which would be a change of the application.
        app.__dict__["_asgi_coroutines"] = generation, found
    if not found:
        return False
    try:
        adapter = app.create_url_adapter(app.request_class(environ))
        assert adapter is not None
        rule, _ = adapter.match(return_rule=True)
    except Exception:
        # No rule: hooks and error handlers may have to be awaited all the same, and what is not is short.
        return True
    return describe(app, rule).mode == "task"


async def _dispatch(app: Flask, environ: WSGIEnvironment) -> Rendered:
    """Do what `Flask.wsgi_app` does, awaiting what is to be awaited."""
    context = app.request_context(environ)
    failure: BaseException | None = None
    try:
        try:
            context.push()
            response = await respond_async(app, context)
        except Exception as error:
            failure = error
            response = await handle_exception_async(app, context, error)
        except BaseException as error:
            failure = error
            raise
        body = getattr(response, "response", None)
        if isinstance(body, AsyncPieces) and environ["REQUEST_METHOD"] != "HEAD":
            status, reason = split_status(response.status)
            if status not in (204, 304):
                # As it is, to be awaited.
                body.on_close = response.close
                return status, reason, list(response.get_wsgi_headers(environ)), body
        return call(response, environ)
    finally:
        if failure is not None and app.should_ignore_error(failure):
            failure = None
        await pop_async(app, context, failure)


async def _dispatch_apart(app: Flask, environ: WSGIEnvironment) -> tuple[Rendered, contextvars.Context]:
    """Dispatch as a task of its own, which has a context of its own: give it back for what is generated."""
    return await _dispatch(app, environ), contextvars.copy_context()


async def _on_thread(context: contextvars.Context, function: t.Any, *args: t.Any) -> t.Any:
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(None, lambda: context.run(function, *args))


async def _send(rendered: Rendered, send: Send, run: Callable[..., Awaitable[t.Any]]) -> None:
    status, _, headers, body = rendered
    fields = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers]
    try:
        await send({"type": "http.response.start", "status": status, "headers": fields})
        if isinstance(body, bytes):
            await send({"type": "http.response.body", "body": body})
            return
        if isinstance(body, AsyncPieces):
            pieces = body.awaited()
            try:
                async for piece in pieces:
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
            finally:
                await pieces.aclose()
            await send({"type": "http.response.body"})
            return
        while True:
            # It may wait for anything.
            piece = await run(next, body, _END)
            if piece is _END:
                break
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body"})
    finally:
        close = getattr(body, "close", None)
        if close is not None:
            await run(close)
