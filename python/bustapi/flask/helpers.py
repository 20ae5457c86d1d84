"""Functions that views use: responses, URLs, redirects, flashed messages, files."""

from __future__ import annotations

import os
import sys
import typing as t
from functools import cache, update_wrapper

from ..kernel.context import RequestState as _RequestState
from ..kernel.context import current as _current
from ..werkzeug import utils as _utils
from ..werkzeug.exceptions import abort as _abort
from .globals import _cv_app, _cv_request, current_app, request, request_ctx, session
from .signals import message_flashed

if t.TYPE_CHECKING:
    from datetime import datetime

    from ..werkzeug.wrappers import Response as BaseResponse
    from .wrappers import Response

_OFF = frozenset({"0", "false", "no"})


def get_debug_flag() -> bool:
    """Return whether `FLASK_DEBUG` asks for debug mode."""
    value = os.environ.get("FLASK_DEBUG", "")
    return value != "" and value.lower() not in _OFF


def get_load_dotenv(default: bool = True) -> bool:
    """Return whether dotenv files are to be loaded.

    Args:
        default: The answer when `FLASK_SKIP_DOTENV` is not set.
    """
    value = os.environ.get("FLASK_SKIP_DOTENV", "")
    return value.lower() in _OFF if value else default


def stream_with_context(generator_or_function: t.Any) -> t.Any:
    """Keep the current contexts alive while a response is generated.

    Args:
        generator_or_function: An iterator or an async one, or a function that returns one.

    Returns:
        An iterator of the same kind, or a function like the one given.

    Raises:
        RuntimeError: There is no current request.

    Compatible with: flask.stream_with_context (3.1), which takes no async iterators.
    """
    is_async = hasattr(type(generator_or_function), "__aiter__")
    try:
        body = generator_or_function if is_async else iter(generator_or_function)
    except TypeError:

        def wrapped(*args: t.Any, **kwargs: t.Any) -> t.Any:
            return stream_with_context(generator_or_function(*args, **kwargs))

        return update_wrapper(wrapped, generator_or_function)

    request_context = _cv_request.get(None)
    if request_context is None:
        raise RuntimeError(
            "'stream_with_context' can only be used when a request context is active, such as in a view function."
        )
    app_context = _cv_app.get()
    if is_async:
        from ._async_stream import AsyncStream  # most applications have none

        return AsyncStream(body, app_context, request_context)

    def in_context() -> t.Iterator[t.Any]:
        # Pushed when the body is first asked for, not now: a token of the context variable is only good in the
        # `contextvars.Context` that it was made in, and the server may iterate in another one.
        with app_context, request_context:
            try:
                yield from body
            finally:
                close = getattr(body, "close", None)
                if close is not None:
                    close()

    return in_context()


def make_response(*args: t.Any) -> Response:
    """Turn what a view could return into a response, to go on working with it.

    Args:
        args: Nothing for an empty response, one value, or the parts of a tuple.
    """
    if not args:
        return current_app.response_class()
    return current_app.make_response(args[0] if len(args) == 1 else args)


# Set by the module of the application's class.
_stock_url_for: t.Any = None
_stock_defaults: t.Any = None


def url_for(
    endpoint: str,
    *,
    _anchor: str | None = None,
    _method: str | None = None,
    _scheme: str | None = None,
    _external: bool | None = None,
    **values: t.Any,
) -> str:
    """Build the URL of an endpoint of the current application; see `Flask.url_for`."""
    context = _current.get(None)
    # Without the proxy's own look-up, which is a fifth of the whole.
    app = current_app if context is None else context.app
    if _anchor is None and _method is None and _scheme is None and _external is None:
        if type(context) is _RequestState and endpoint[:1] != "." and not app.url_default_functions:
            cls, own = type(app), app.__dict__
            if (
                cls.url_for is _stock_url_for
                and cls.inject_url_defaults is _stock_defaults
                and "url_for" not in own
                and "inject_url_defaults" not in own
            ):
                # What `Flask.url_for` comes to, without its call and the copy of the values.
                prefix = context.url_prefix
                path = None if prefix is None else app.url_map.quick_path(endpoint, values)
                if path is not None:
                    return f"{prefix}/{path}"
        return app.url_for(endpoint, **values)
    return app.url_for(
        endpoint, _anchor=_anchor, _method=_method, _scheme=_scheme, _external=_external, **values
    )


def redirect(location: str, code: int = 302, Response: type[BaseResponse] | None = None) -> BaseResponse:
    """Return a response that sends the client elsewhere.

    Args:
        location: Where to.
        code: The redirect's status code.
        Response: The response class, used outside of an application context only.
    """
    if _cv_app.get(None) is not None:
        return current_app.redirect(location, code=code)
    return _utils.redirect(location, code=code, Response=Response)


def abort(code: int | BaseResponse, *args: t.Any, **kwargs: t.Any) -> t.NoReturn:
    """Raise the HTTP exception of a status code, or one that carries a response.

    Args:
        code: A status code registered with the application's aborter, or a WSGI response.
        args: Passed to the exception.
        kwargs: Passed to the exception.
    """
    if _cv_app.get(None) is not None:
        current_app.aborter(code, *args, **kwargs)
    _abort(code, *args, **kwargs)


def get_template_attribute(template_name: str, attribute: str) -> t.Any:
    """Return a macro or variable that a template exports.

    Args:
        template_name: The template.
        attribute: The name in it.
    """
    return getattr(current_app.jinja_env.get_template(template_name).module, attribute)


def flash(message: str, category: str = "message") -> None:
    """Keep a message for the next page that the client sees.

    Args:
        message: The text.
        category: What `get_flashed_messages` can filter by.
    """
    # Assigned rather than appended to: only then does every session notice the change.
    waiting = session.get("_flashes", [])
    waiting.append((category, message))
    session["_flashes"] = waiting
    app = current_app._get_current_object()  # type: ignore[attr-defined]
    message_flashed.send(app, _async_wrapper=app.ensure_sync, message=message, category=category)


def get_flashed_messages(
    with_categories: bool = False, category_filter: t.Iterable[str] = ()
) -> list[str] | list[tuple[str, str]]:
    """Take the flashed messages out of the session; the same ones again within one request.

    Args:
        with_categories: Return pairs of category and message.
        category_filter: Return these categories only.
    """
    flashes = request_ctx.flashes
    if flashes is None:
        flashes = session.pop("_flashes") if "_flashes" in session else []
        request_ctx.flashes = flashes
    if category_filter:
        flashes = [pair for pair in flashes if pair[0] in category_filter]
    return flashes if with_categories else [message for _, message in flashes]


def send_file(
    path_or_file: os.PathLike[t.AnyStr] | str | t.IO[bytes],
    mimetype: str | None = None,
    as_attachment: bool = False,
    download_name: str | None = None,
    conditional: bool = True,
    etag: bool | str = True,
    last_modified: datetime | int | float | None = None,
    max_age: int | t.Callable[[str | None], int | None] | None = None,
) -> Response:
    """Respond with the content of a file that the application chose.

    Never pass a path that came from the client: use `send_from_directory` for that.

    Args:
        path_or_file: A path, relative to the application's `root_path`, or an open binary file.
        mimetype: The content type; guessed from the name when not given.
        as_attachment: Have the client save the file rather than show it.
        download_name: The name the client sees.
        conditional: Answer conditional and range requests.
        etag: An ETag, or whether to compute one.
        last_modified: When the file changed, if not what the file system says.
        max_age: How long the client may cache it, in seconds, or a function of the path that tells.
    """
    from ._files import send_file

    options = {
        "mimetype": mimetype,
        "as_attachment": as_attachment,
        "download_name": download_name,
        "conditional": conditional,
        "etag": etag,
        "last_modified": last_modified,
        "max_age": max_age,
    }
    return send_file(current_app, path_or_file, _file_options(options))


def send_from_directory(
    directory: os.PathLike[str] | str, path: os.PathLike[str] | str, **kwargs: t.Any
) -> Response:
    """Respond with a file below a folder, or with 404.

    Args:
        directory: The folder, relative to the application's `root_path`.
        path: The file in it, as the client asked for it.
        kwargs: As for `send_file`.
    """
    from ._files import send_from_directory

    return send_from_directory(current_app, directory, path, _file_options(kwargs))


def _file_options(options: dict[str, t.Any]) -> dict[str, t.Any]:
    app = current_app
    if options.get("max_age") is None:
        options["max_age"] = app.get_send_file_max_age
    return {
        **options,
        "environ": request.environ,
        "use_x_sendfile": app.config["USE_X_SENDFILE"],
        "response_class": app.response_class,
        "_root_path": app.root_path,
    }


def get_root_path(import_name: str) -> str:
    """Return the folder that a module or package lives in; the working directory when there is none.

    Args:
        import_name: The module's or package's name.

    Raises:
        RuntimeError: It can be imported, but nothing tells where its files are.
    """
    module = sys.modules.get(import_name)
    filename = getattr(module, "__file__", None)
    if filename is None:
        from importlib.util import find_spec

        try:
            spec = find_spec(import_name)
        except (ImportError, ValueError):  # ValueError: a module without a spec
            spec = None
        loader = None if spec is None else spec.loader
        if loader is None:  # a `__main__` typed in by hand, or no such module
            return os.getcwd()
        if hasattr(loader, "get_filename"):
            filename = loader.get_filename(import_name)
        else:
            __import__(import_name)
            filename = getattr(sys.modules[import_name], "__file__", None)
    if filename is None:
        raise RuntimeError(
            f"No root path can be found for the provided module {import_name!r}. This can happen because the"
            " module came from an import hook that does not provide file name information or because it's a"
            " namespace package. In this case the root path needs to be explicitly provided."
        )
    return os.path.dirname(os.path.abspath(t.cast(str, filename)))


@cache
def _split_blueprint_path(name: str) -> list[str]:
    """Return a blueprint's full name and those of the blueprints around it, innermost first."""
    parts = name.split(".")
    return [".".join(parts[:end]) for end in range(len(parts), 0, -1)]
