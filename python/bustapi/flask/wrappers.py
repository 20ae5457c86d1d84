"""The request and response classes."""

from __future__ import annotations

import typing as t

from ..kernel.context import current
from ..werkzeug.exceptions import BadRequest, HTTPException
from ..werkzeug.wrappers import Request as RequestBase
from ..werkzeug.wrappers import Response as ResponseBase
from . import json
from .helpers import _split_blueprint_path

if t.TYPE_CHECKING:
    from ..werkzeug.routing import Rule


def _running_app() -> t.Any:
    """Return the application that is running, or None. `_cv_app` would make the context of a request for that."""
    value = current.get(None)
    if value is None:
        return None
    try:
        return value.app
    except RuntimeError:  # a request was pushed without an application
        return None


def _limit(name: str, key: str, doc: str) -> t.Any:
    """Make a property: what was assigned to the request, else the application's setting, else the base's."""
    slot = f"_{name}"
    base = getattr(RequestBase, name, None)

    def get(self: Request) -> int | None:
        own = getattr(self, slot)
        if own is not None:
            return t.cast(int, own)
        app = _running_app()
        if app is not None:
            return app.config[key]  # type: ignore[no-any-return]
        return base

    def set_(self: Request, value: int | None) -> None:
        setattr(self, slot, value)

    return property(get, set_, doc=doc)


class Request(RequestBase):
    """The request, with what routing found out about it.

    Compatible with: flask.Request (3.1)
    """

    json_module: t.Any = json

    #: The rule that matched, or None. With `view_args` set by the request context.
    url_rule: Rule | None = None
    #: The view's keyword arguments.
    view_args: dict[str, t.Any] | None = None
    #: What routing ended with when nothing matched.
    routing_exception: HTTPException | None = None

    @property
    def disconnected(self) -> bool:
        """Whether the client was seen to go while the view runs: its connection was reset, or does not take data.

        A client that has sent all of its request may close its side and still wait for the answer, so this says False
        where it cannot be told, and always within an inline view.

        Compatible with: BustAPI only.
        """
        return self._native is not None and bool(self._native.disconnected)

    _max_content_length: int | None = None
    _max_form_memory_size: int | None = None
    _max_form_parts: int | None = None

    max_content_length = _limit(
        "max_content_length", "MAX_CONTENT_LENGTH", "The largest body, in bytes, that is read; None for any."
    )
    max_form_memory_size = _limit(
        "max_form_memory_size",
        "MAX_FORM_MEMORY_SIZE",
        "The largest form field that is not a file, in bytes; None for any.",
    )
    max_form_parts = _limit(
        "max_form_parts", "MAX_FORM_PARTS", "The most parts that a multipart form may have; None for any."
    )

    @property
    def endpoint(self) -> str | None:
        """The endpoint that matched, or None."""
        rule = self.url_rule
        return None if rule is None else t.cast(str, rule.endpoint)

    @property
    def blueprint(self) -> str | None:
        """The full name of the endpoint's blueprint, or None."""
        endpoint = self.endpoint
        if endpoint is None or "." not in endpoint:
            return None
        return endpoint.rpartition(".")[0]

    @property
    def blueprints(self) -> list[str]:
        """The names of the endpoint's blueprint and of those it is nested in, innermost first."""
        name = self.blueprint
        return [] if name is None else _split_blueprint_path(name)

    def _load_form_data(self) -> None:
        super()._load_form_data()
        app = _running_app()
        if app is not None and app.debug and self.mimetype != "multipart/form-data" and not self.files:
            from .debughelpers import attach_enctype_error_multidict

            attach_enctype_error_multidict(self)

    def on_json_loading_failed(self, e: ValueError | None) -> t.Any:
        """Answer a body that is not JSON with 400; the reason is told in debug mode only.

        Args:
            e: What the parser raised; None when the content type is not JSON.
        """
        try:
            return super().on_json_loading_failed(e)
        except BadRequest as error:
            app = _running_app()
            if app is not None and app.debug:
                raise
            raise BadRequest() from error


class Response(ResponseBase):
    """The response, HTML unless told otherwise.

    Compatible with: flask.Response (3.1)
    """

    default_mimetype: str | None = "text/html"
    json_module = json
    autocorrect_location_header = False

    @property
    def max_cookie_size(self) -> int:  # type: ignore[override]
        """The size, in bytes, above which a cookie gets a warning; 0 for never."""
        app = _running_app()
        if app is not None:
            return app.config["MAX_COOKIE_SIZE"]  # type: ignore[no-any-return]
        return ResponseBase.max_cookie_size
