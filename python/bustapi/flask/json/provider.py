"""JSON providers: how an application reads and writes JSON.

The default provider writes through the native encoder, which gives the standard library's bytes; whatever is
customised beyond the provider's own attributes goes through the standard library itself.
"""

from __future__ import annotations

import typing as t
import weakref

from ..._core import json_dumps as _json_dumps
from ..._core import json_loads

if t.TYPE_CHECKING:
    from ...werkzeug.sansio.response import Response
    from ..sansio.app import App


class JSONProvider:
    """Base of what an application reads and writes JSON with.

    Args:
        app: The application; referred to weakly.

    Compatible with: flask.json.provider.JSONProvider (3.1)
    """

    def __init__(self, app: App) -> None:
        self._app: App = weakref.proxy(app)

    def __setattr__(self, name: str, value: t.Any) -> None:
        # What the server writes on its own depends on attributes such as `sort_keys`.
        super().__setattr__(name, value)
        self._changed()

    def __delattr__(self, name: str) -> None:
        super().__delattr__(name)
        self._changed()

    def _changed(self) -> None:
        try:
            self._app._generation.bump()
        except (AttributeError, ReferenceError):  # still being made, or used without an application
            pass

    def dumps(self, obj: t.Any, **kwargs: t.Any) -> str:
        """Return `obj` as JSON text; a subclass must define it.

        Args:
            obj: The value.
            kwargs: For the JSON library.
        """
        raise NotImplementedError

    def dump(self, obj: t.Any, fp: t.IO[str], **kwargs: t.Any) -> None:
        """Write `obj` as JSON text to a file.

        Args:
            obj: The value.
            fp: A file open for text.
            kwargs: For the JSON library.
        """
        fp.write(self.dumps(obj, **kwargs))

    def loads(self, s: str | bytes, **kwargs: t.Any) -> t.Any:
        """Return the value of a JSON text; a subclass must define it.

        Args:
            s: The text.
            kwargs: For the JSON library.
        """
        raise NotImplementedError

    def load(self, fp: t.IO[t.AnyStr], **kwargs: t.Any) -> t.Any:
        """Return the value of the JSON text in a file.

        Args:
            fp: A file open for text or bytes.
            kwargs: For the JSON library.
        """
        return self.loads(fp.read(), **kwargs)

    def _prepare_response_obj(self, args: tuple[t.Any, ...], kwargs: dict[str, t.Any]) -> t.Any:
        if args and kwargs:
            raise TypeError("app.json.response() takes either args or kwargs, not both")
        if kwargs:
            return kwargs
        if not args:
            return None
        return args[0] if len(args) == 1 else args

    def response(self, *args: t.Any, **kwargs: t.Any) -> Response:
        """Return a JSON response of one value, of a list of values or of a dict of keyword arguments.

        Args:
            args: The value, or the values of a list.
            kwargs: The entries of a dict.
        """
        value = self._prepare_response_obj(args, kwargs)
        return self._app.response_class(self.dumps(value), mimetype="application/json")


def _default(o: t.Any) -> t.Any:
    """Turn a value that JSON has no type for into one that it has."""
    import dataclasses
    from datetime import date
    from decimal import Decimal
    from uuid import UUID

    if isinstance(o, date):
        from ...werkzeug.http import http_date

        return http_date(o)
    if isinstance(o, (Decimal, UUID)):
        return str(o)
    if dataclasses.is_dataclass(o):
        return dataclasses.asdict(t.cast(t.Any, o))
    if hasattr(o, "__html__"):
        return str(o.__html__())
    raise TypeError(f"Object of type {type(o).__name__} is not JSON serializable")


class DefaultJSONProvider(JSONProvider):
    """Reads and writes JSON as the standard library does, and knows a few more types.

    Dates become HTTP dates, `Decimal` and `UUID` text, dataclasses dicts, and objects with `__html__` markup.

    Compatible with: flask.json.provider.DefaultJSONProvider (3.1)
    """

    #: Turns a value of an unknown type into one of a known type, or raises `TypeError`.
    default: t.Callable[[t.Any], t.Any] = staticmethod(_default)
    #: Whether characters beyond ASCII are escaped.
    ensure_ascii = True
    #: Whether the keys of dicts are sorted; then they must be of one type.
    sort_keys = True
    #: Whether responses are written without indentation; None: except in debug mode.
    compact: bool | None = None
    #: The content type of responses.
    mimetype = "application/json"

    def dumps(self, obj: t.Any, **kwargs: t.Any) -> str:
        """Return `obj` as JSON text.

        Args:
            obj: The value.
            kwargs: For `json.dumps`; they win over the provider's attributes.
        """
        kwargs.setdefault("default", self.default)
        kwargs.setdefault("ensure_ascii", self.ensure_ascii)
        kwargs.setdefault("sort_keys", self.sort_keys)
        import json

        return json.dumps(obj, **kwargs)

    def loads(self, s: str | bytes, **kwargs: t.Any) -> t.Any:
        """Return the value of a JSON text.

        Args:
            s: The text; bytes in UTF-8, UTF-16 or UTF-32.
            kwargs: For `json.loads`.
        """
        if not kwargs and type(s) in (bytes, str):
            return json_loads(s)
        import json

        return json.loads(s, **kwargs)

    # See `Request.json_module`; a subclass that defines `loads` has a function without it.
    loads.is_plain_json = True  # type: ignore[attr-defined]

    def response(self, *args: t.Any, **kwargs: t.Any) -> Response:
        """Return a JSON response; indented in debug mode unless `compact` says otherwise.

        Args:
            args: The value, or the values of a list.
            kwargs: The entries of a dict.
        """
        value = self._prepare_response_obj(args, kwargs)
        app = self._app
        indented = app.debug if self.compact is None else not self.compact
        body: str | bytes
        if self._stock_dumps():
            default = self.default
            body = _json_dumps(
                value,
                sort_keys=self.sort_keys,
                ensure_ascii=self.ensure_ascii,
                indent=2 if indented else None,
                separators=None if indented else (",", ":"),
                default=None if default is _default else default,
                newline=True,
            )
        elif indented:
            body = f"{self.dumps(value, indent=2)}\n"
        else:
            body = f"{self.dumps(value, separators=(',', ':'))}\n"
        make: t.Any = app.response_class
        return make(body, mimetype=self.mimetype)  # type: ignore[no-any-return]

    def _stock_dumps(self) -> bool:
        return type(self).dumps is _STOCK_DUMPS and "dumps" not in self.__dict__


_STOCK_DUMPS = DefaultJSONProvider.dumps
