"""What the server is told about an application, and when a request may leave the full pipeline out."""

from __future__ import annotations

import sys
import typing as t

from ...kernel.aio import is_coroutine_function, wraps_coroutine
from ...kernel.plan import JsonStyle, Mode, SessionReader, Spec, Table
from ...kernel.reading import names, reads_stream
from ...kernel.websocket import SocketView
from ...werkzeug.datastructures import Headers
from ...werkzeug.middleware.proxy_fix import ProxyFix
from .. import signals
from ..app import Flask
from ..ctx import AppContext, RequestContext
from ..globals import request
from ..helpers import _split_blueprint_path
from ..json.provider import DefaultJSONProvider
from ..sessions import SecureCookieSessionInterface, read_by_core
from ..wrappers import Request, Response
from .answer import READ_BY, is_stock_response
from .files import FILE_STEPS, folder, owner_of_files

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: Replaced, the application has to be called as a WSGI application.
_DOOR = ("wsgi_app", "__call__", "request_context", "app_context", "create_url_adapter")
#: Replaced, the pipeline has to call them.
_STEPS = (
    "full_dispatch_request",
    "preprocess_request",
    "dispatch_request",
    "finalize_request",
    "process_response",
    "make_response",
    "do_teardown_request",
    "do_teardown_appcontext",
    "ensure_sync",
    "async_to_sync",
    "should_ignore_error",
)
#: Called by name wherever an exception is answered, but not by the pipeline that runs as a coroutine.
_HANDLERS = ("handle_user_exception", "handle_http_exception", "handle_exception")
_FIX, _REAL_VALUE = ProxyFix.__call__, ProxyFix._get_real_value
_STOCK = {name: getattr(Flask, name) for name in (*_DOOR, *_STEPS, *_HANDLERS)}

#: Replaced on the class, contexts have to be made and pushed as the class says.
_STOCK_CONTEXTS = {
    (cls, name): getattr(cls, name)
    for cls, names in (
        (RequestContext, ("__init__", "push", "pop", "match_request")),
        (AppContext, ("__init__", "push", "pop")),
    )
    for name in names
}
#: What an application is made of, each of which its class may say anew.
_PARTS = ("session_interface", "request_class", "response_class", "app_ctx_globals_class")

_PROVIDER_METHODS = ("response", "dumps", "default", "_prepare_response_obj")
_STOCK_PROVIDER = {name: getattr(DefaultJSONProvider, name) for name in _PROVIDER_METHODS}
#: What the making of a response from text, bytes or JSON depends on.
_MADE_BY = (
    "__init__",
    "set_data",
    "default_mimetype",
    "default_status",
    "automatically_set_content_length",
)
_STOCK_MAKING = {name: getattr(Response, name) for name in _MADE_BY}
#: What the making of a request depends on.
_STOCK_REQUEST = {name: getattr(Request, name) for name in ("__init__", "__new__", "__setattr__")}
#: What the parsing of a JSON body depends on.
_STOCK_READING = {
    name: getattr(Request, name)
    for name in ("get_json", "get_data", "max_content_length", "_check_body", "shallow")
}
_SESSION_METHODS = (
    "open_session",
    "save_session",
    "should_set_cookie",
    "is_null_session",
    "make_null_session",
    "get_cookie_name",
    "session_class",
)
_STOCK_SESSION = {name: getattr(SecureCookieSessionInterface, name) for name in _SESSION_METHODS}

#: Sent within a request; a receiver is a part of the pipeline.
_SIGNALS = (
    signals.request_started,
    signals.request_finished,
    signals.request_tearing_down,
    signals.appcontext_pushed,
    signals.appcontext_popped,
    signals.appcontext_tearing_down,
)


def table(app: Flask) -> Table:
    """Return the application as the server needs it, for its present generation."""
    url_map = app.url_map
    rules = url_map.native_rules()
    interface = app.session_interface
    stock_session = _is_stock_session(interface)
    by_host = url_map.host_matching or app.subdomain_matching or any(_has_domain(app, rule) for rule in rules)
    believed = proxies(app)
    reader = _session_reader(app)
    return Table(
        rules=rules,
        router=url_map.native_router(),
        json=_json_style(app),
        # Through the wrapper an async view is waited for: not on a reactor's thread.
        unmatched_mode="pool" if believed is not None and needs_loop(app) else _execution(app, None),
        host_matching=by_host or believed is not None,
        watch=list(_watched(app, reader)),
        receivers=[
            *(
                t.cast("dict[t.Any, t.Any]", signal.receivers)
                for signal in (*_SIGNALS, signals.got_request_exception)
            ),
            # Shared by applications, so that no application's counter can be told of what is assigned to it.
            *([vars(interface)] if hasattr(interface, "__dict__") else ()),
        ],
        session_cookie=interface.get_cookie_name(app) if stock_session and app.secret_key else None,
        session_is_json=stock_session and interface._core_signer(app) is not None,  # type: ignore[attr-defined]
        session_reader=reader,
        response_class=app.response_class if is_stock_response(app.response_class) else None,
        plain_urls=(
            not by_host and app.config["TRUSTED_HOSTS"] is None and _is_stock(app, ("create_url_adapter",))
        ),
        request_class=app.request_class if _is_stock_request(app.request_class) else None,
        json_body_limit=_json_body_limit(app),
        headers_class=Headers if _makes_plain_responses(app) else None,
        proxies=believed,
        # Where a WSGI middleware stands in front, a handshake must not pass by it.
        sockets=is_served_natively(app) and any(rule.websocket for rule in rules),
    )


def describe(app: Flask, rule: t.Any) -> Spec:
    """Return how the requests of a rule are run."""
    spec = _describe(app, rule)
    if spec.socket:
        # It lives for as long as its client wants, and is told of the client's departure by the socket.
        return spec._replace(timeout=None, cancels=False)
    streams_body = _chosen(app, rule, "stream_body")
    return spec._replace(
        timeout=_chosen(app, rule, "view_timeout"),
        cancels=_chosen(app, rule, "cancel_on_disconnect"),
        streams_body=streams_body,
        reads_stream=streams_body is None and spec.mode == "task" and _reads_stream(app, rule, spec.view),
    )


def _reads_stream(app: Flask, rule: t.Any, view: t.Any) -> bool:
    """Tell whether the view of a task may begin before a long body is there."""
    return (
        is_coroutine_function(view)
        # What runs before the view might want all of the body: functions, and the application's middleware.
        and view is app.view_functions.get(rule.endpoint)
        and not any(_hooks(app.before_request_funcs, rule, outermost_first=True))
        and reads_stream(view, request)
    )


def _describe(app: Flask, rule: t.Any) -> Spec:
    view = app.view_functions.get(rule.endpoint)
    if isinstance(view, SocketView):
        # Whatever the hooks are: they run where the view does.
        return Spec(
            None, "task" if view.is_async else "pool", bare=False, hooks_only=False, socket=rule.websocket
        )
    automatic = bool(getattr(rule, "provide_automatic_options", False))
    mode = _execution(app, rule)
    if view is None:
        # The pipeline says what is missing.
        return Spec(None, mode, bare=False, hooks_only=False)
    view = app._whole_view(rule.endpoint)
    before = tuple(_hooks(app.before_request_funcs, rule, outermost_first=True))
    after = tuple(_hooks(app.after_request_funcs, rule, outermost_first=False))
    teardown = tuple(_hooks(app.teardown_request_funcs, rule, outermost_first=False))
    hooks = (*before, *after, *teardown, *app.teardown_appcontext_funcs)

    is_async = is_coroutine_function(view)
    if not is_async and any(map(is_coroutine_function, app._functions_around(rule.endpoint))):
        # They run on the loop, and what they are around where it is called: that must be another thread.
        return Spec(view, "pool", bare=False, hooks_only=False, automatic_options=automatic)
    if (
        not is_async
        and any(map(is_coroutine_function, hooks))
        and (mode != "inline" or wraps_coroutine(view))
    ):
        # The view may block, which a task must not: in the pool it does, and each hook is waited for there.
        return Spec(view, "pool", bare=False, hooks_only=False, automatic_options=automatic)
    if is_async or any(map(is_coroutine_function, hooks)):
        if is_served_natively(app) and _is_stock(app, (*_STEPS, *_HANDLERS)):
            alone = (
                not hooks
                and _is_simple(app, rule)
                and _makes_plain_responses(app)
                and not any(map(is_coroutine_function, _handlers(app)))
                # A coroutine function of these has to be awaited as well.
                and not signals.got_request_exception.receivers
                and not any(names(function, "after_this_request") for function in (view, *_handlers(app)))
            )
            return Spec(view, "task", bare=alone and is_async, hooks_only=False, automatic_options=automatic)
        # A replaced step is a plain function, which can only wait for the coroutine: not on a reactor's thread.
        return Spec(view, "pool", bare=False, hooks_only=False, automatic_options=automatic)

    if wraps_coroutine(view):
        # It waits for the coroutine, which needs the thread of the event loop.
        mode = "pool"
    if (
        not _is_simple(app, rule)
        or app.teardown_appcontext_funcs
        or not is_served_natively(app)
        or not _is_stock(app, _STEPS)
    ):
        return Spec(view, mode, bare=False, hooks_only=False, automatic_options=automatic)
    bare = not hooks and _makes_plain_responses(app)
    spec = Spec(view, mode, bare, True, before, after, teardown, automatic)
    if bare and (owner := owner_of_files(app, view)) is not None:
        spec = spec._replace(folder=folder(app, owner))
    return spec


def is_served_natively(app: Flask) -> bool:
    """Return whether the server may call the application's steps, and not only its WSGI interface."""
    return (_is_stock(app, _DOOR) or (_is_stock(app, _DOOR[1:]) and proxies(app) is not None)) and all(
        getattr(cls, name) is stock for (cls, name), stock in _STOCK_CONTEXTS.items()
    )


def proxies(app: Flask) -> tuple[int, int, int, int, int] | None:
    """Return how many proxies are believed by a stock `ProxyFix` that is all there is around the application.

    Args:
        app: The application.

    Returns:
        The numbers for `X-Forwarded-For`, `-Proto`, `-Host`, `-Port` and `-Prefix`; None if it is wrapped in nothing
        or in something else.
    """
    fix = app.__dict__.get("wsgi_app")
    if type(fix) is not ProxyFix or app.url_map.host_matching:
        return None
    inner = fix.app
    if (
        getattr(inner, "__self__", None) is not app
        or getattr(inner, "__func__", None) is not _STOCK["wsgi_app"]
    ):
        return None
    if (
        ProxyFix.__call__ is not _FIX
        or ProxyFix._get_real_value is not _REAL_VALUE
        or "_get_real_value" in vars(fix)
    ):
        return None
    numbers = (fix.x_for, fix.x_proto, fix.x_host, fix.x_port, fix.x_prefix)
    return numbers if all(type(number) is int and number >= 0 for number in numbers) else None


def needs_loop(app: Flask) -> bool:
    """Return whether anything of the application is a coroutine function."""
    functions: list[t.Any] = [*app.view_functions.values(), *app.teardown_appcontext_funcs, *_handlers(app)]
    for registry in (
        app.before_request_funcs,
        app.after_request_funcs,
        app.teardown_request_funcs,
        app.middleware_funcs,
    ):
        for registered in registry.values():
            functions.extend(registered)
    return any(map(is_coroutine_function, functions))


def _is_stock(app: Flask, names: tuple[str, ...]) -> bool:
    own, cls = app.__dict__, type(app)
    return all(name not in own and getattr(cls, name) is _STOCK[name] for name in names)


def _is_simple(app: Flask, rule: t.Any) -> bool:
    """Nothing but hooks of the known kinds runs for the rule."""
    return (
        not any(signal.receivers for signal in _SIGNALS)
        and not any(app.url_value_preprocessors.get(name) for name in (None, *_blueprints(rule)))
        and app.config["TRUSTED_HOSTS"] is None
        and _is_stock_session(app.session_interface)
        and _makes_requests_late(app.request_class)
    )


def _makes_requests_late(cls: type) -> bool:
    """Whether nobody sees that a request is made when it is first used."""
    return all(getattr(cls, name) is _STOCK_REQUEST[name] for name in ("__init__", "__new__"))


def _is_stock_request(cls: type) -> bool:
    """Whether requests of the class are made by setting what `_from_native` sets."""
    return issubclass(cls, Request) and (
        all(getattr(cls, name) is stock for name, stock in _STOCK_REQUEST.items())
        and cls._from_native.__func__ is Request._from_native.__func__  # type: ignore[attr-defined]
    )


def _json_body_limit(app: Flask) -> int | None:
    """The largest body that the server may parse as JSON; None if the application has a say in it."""
    cls, provider = app.request_class, app.json
    if (
        not _is_stock_request(cls)
        or not cls._stock_json
        or any(getattr(cls, name) is not stock for name, stock in _STOCK_READING.items())
        or "loads" in provider.__dict__
        or not getattr(type(provider).loads, "is_plain_json", False)
    ):
        return None
    limit = app.config["MAX_CONTENT_LENGTH"]
    return sys.maxsize if limit is None else max(0, int(limit))


def _makes_plain_responses(app: Flask) -> bool:
    """Whether a plain value becomes what the response class as it is delivered makes of it."""
    cls = app.response_class
    return (
        cls is Response
        and is_stock_response(cls)
        and all(getattr(cls, name) is stock for name, stock in _STOCK_MAKING.items())
    )


def _is_stock_session(interface: t.Any) -> bool:
    cls = type(interface)
    return issubclass(cls, SecureCookieSessionInterface) and all(
        name not in interface.__dict__ and getattr(cls, name) is method
        for name, method in _STOCK_SESSION.items()
    )


def _session_reader(app: Flask) -> SessionReader | None:
    """What opens sessions in the core; None if the application has a say in it."""
    interface: t.Any = app.session_interface
    if not app.secret_key or not _is_stock_session(interface):
        return None
    return interface._core_reader(app)  # type: ignore[no-any-return]


def _json_style(app: Flask) -> JsonStyle | None:
    """How the application's provider writes; None if it has to do it itself."""
    provider: t.Any = app.json
    cls = type(provider)
    if not issubclass(cls, DefaultJSONProvider) or not is_stock_response(app.response_class):
        return None
    own = provider.__dict__
    if any(name in own or getattr(cls, name) is not method for name, method in _STOCK_PROVIDER.items()):
        return None
    if provider.mimetype != "application/json":
        return None
    indented = app.debug if provider.compact is None else not provider.compact
    return JsonStyle(bool(provider.sort_keys), bool(provider.ensure_ascii), indented)


def _execution(app: Flask, rule: t.Any) -> Mode:
    mode: Mode = _chosen(app, rule, "execution") or "auto"
    return mode


def _chosen(app: Flask, rule: t.Any, name: str) -> t.Any:
    """What a route asks for, or else who runs the server, or else the application."""
    for value in (getattr(rule, name, None), app.__dict__.get(f"_run_{name}"), getattr(app, name, None)):
        if value is not None:
            return value
    return None


def _has_domain(app: Flask, rule: t.Any) -> bool:
    return bool(rule.host) or (rule.subdomain or "") != (app.url_map.default_subdomain or "")


def _blueprints(rule: t.Any) -> list[str]:
    name, dot, _ = rule.endpoint.rpartition(".")
    return _split_blueprint_path(name) if dot else []


def _hooks(registry: t.Any, rule: t.Any, *, outermost_first: bool) -> Iterator[Callable[..., t.Any]]:
    # Not by subscription: that would add an entry to the registry.
    names: list[str | None] = [*_blueprints(rule), None]
    if outermost_first:
        for name in reversed(names):
            yield from registry.get(name, ())
    else:
        for name in names:
            yield from reversed(registry.get(name, ()))


def _handlers(app: Flask) -> Iterator[Callable[..., t.Any]]:
    for by_code in list(app.error_handler_spec.values()):
        for by_class in list(by_code.values()):
            yield from list(by_class.values())


def _watched(app: Flask, reader: SessionReader | None) -> Iterator[tuple[type, str]]:
    for name in (*_STOCK, *_PARTS, *FILE_STEPS):
        yield type(app), name
    for cls in {type(blueprint) for blueprint in app.blueprints.values()}:
        for name in FILE_STEPS:
            yield cls, name
    if "wsgi_app" in app.__dict__:
        yield ProxyFix, "__call__"
        yield ProxyFix, "_get_real_value"
    yield from _STOCK_CONTEXTS
    for name in (*READ_BY, *_MADE_BY):
        yield app.response_class, name
    for name in (*_PROVIDER_METHODS, "sort_keys", "ensure_ascii", "compact", "mimetype"):
        yield type(app.json), name
    for name in _SESSION_METHODS:
        yield type(app.session_interface), name
    if reader is not None:
        yield from read_by_core(type(app.session_interface))
    yield type(app.json), "loads"
    for name in (*_STOCK_REQUEST, *_STOCK_READING):
        yield app.request_class, name
