"""Errors and log entries that explain common mistakes; used in debug mode only."""

from __future__ import annotations

import typing as t

from ..werkzeug.routing import RequestRedirect
from .blueprints import Blueprint
from .globals import _cv_request
from .sansio.app import App

if t.TYPE_CHECKING:
    from jinja2.loaders import BaseLoader

    from .sansio.scaffold import Scaffold
    from .wrappers import Request


class UnexpectedUnicodeError(AssertionError, UnicodeError):
    """Text where bytes were expected, or the other way round."""


class DebugFilesKeyError(KeyError, AssertionError):
    """A missing file in a request whose form was not sent as multipart.

    Args:
        request: The request.
        key: The name of the file's field.
    """

    def __init__(self, request: Request, key: str) -> None:
        self.msg = (
            f"You tried to access the file {key!r} in the request.files dictionary but it does not exist."
            f" The mimetype for the request is {request.mimetype!r} instead of 'multipart/form-data' which means"
            " that no file contents were transmitted. To fix this error you should provide"
            ' enctype="multipart/form-data" in your form.'
        )
        sent = request.form.getlist(key)
        if sent:
            names = ", ".join(map(repr, sent))
            self.msg += "\n\nThe browser instead transmitted some file names. This was submitted: " + names

    def __str__(self) -> str:
        return self.msg


class FormDataRoutingRedirect(AssertionError):
    """A redirect by routing that makes the client drop the form it sent.

    Args:
        request: The request.
    """

    def __init__(self, request: Request) -> None:
        error = request.routing_exception
        assert isinstance(error, RequestRedirect)
        target = error.new_url
        text = f"A request was sent to '{request.url}', but routing issued a redirect to the canonical URL '{target}'."
        if target.partition("?")[0] == f"{request.base_url}/":
            text += (
                " The URL was defined with a trailing slash. Flask will redirect to the URL with a trailing slash"
                " if it was accessed without one."
            )
        super().__init__(
            f"{text} Send requests to the canonical URL, or use 307 or 308 for routing redirects."
            " Otherwise, browsers will drop form data.\n\nThis exception is only raised in debug mode."
        )


def attach_enctype_error_multidict(request: Request) -> None:
    """Have `request.files` explain a missing file that was sent as a form field.

    Args:
        request: A request whose form has been read.
    """
    plain: t.Any = type(request.files)

    class Explaining(plain):  # type: ignore[misc]
        def __getitem__(self, key: str) -> t.Any:
            try:
                return super().__getitem__(key)
            except KeyError as error:
                if key not in request.form:
                    raise
                raise DebugFilesKeyError(request, key).with_traceback(error.__traceback__) from None

    Explaining.__name__ = plain.__name__
    Explaining.__module__ = plain.__module__
    request.files.__class__ = Explaining


def explain_template_loading_attempts(
    app: App,
    template: str,
    attempts: list[tuple[BaseLoader, Scaffold, t.Any]],
) -> None:
    """Log where a template was looked for.

    Args:
        app: The application.
        template: The template's name.
        attempts: For each loader that was tried: the loader, its owner and what it found or None.
    """
    lines = [f"Locating template {template!r}:"]
    for number, (loader, owner, found) in enumerate(attempts, 1):
        lines.append(f"{number:5}: trying loader of {_describe_owner(owner)}")
        lines.extend(f"       {line}" for line in _describe_loader(loader))
        result = "no match" if found is None else f"found ({found[1] or '<string>'!r})"
        lines.append(f"       -> {result}")

    hits = sum(found is not None for _, _, found in attempts)
    if hits == 0:
        lines.append("Error: the template could not be found.")
    elif hits > 1:
        lines.append("Warning: multiple loaders returned a match for the template.")
    context = _cv_request.get(None)
    blueprint = None if context is None else context.request.blueprint
    if blueprint is not None and hits != 1:
        lines += [
            f"  The template was looked up from an endpoint that belongs to the blueprint {blueprint!r}.",
            "  Maybe you did not place a template in the right folder?",
            "  See https://flask.palletsprojects.com/blueprints/#templates",
        ]
    app.logger.info("\n".join(lines))


def _describe_owner(owner: t.Any) -> str:
    if isinstance(owner, App):
        return f"application {owner.import_name!r}"
    if isinstance(owner, Blueprint):
        return f"blueprint {owner.name!r} ({owner.import_name})"
    return repr(owner)


def _describe_loader(loader: BaseLoader) -> t.Iterator[str]:
    cls = type(loader)
    yield f"class: {cls.__module__}.{cls.__name__}"
    for name, value in sorted(vars(loader).items()):
        if name.startswith("_"):
            continue
        if isinstance(value, (str, int, float)):
            yield f"{name}: {value!r}"
        elif isinstance(value, (tuple, list)) and all(isinstance(item, str) for item in value):
            yield f"{name}:"
            for item in value:
                yield f"  - {item}"
