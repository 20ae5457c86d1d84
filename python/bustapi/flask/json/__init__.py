"""JSON through the current application's provider, or plain outside of an application."""

from __future__ import annotations

import typing as t

from ...kernel.context import current as _current
from ..globals import current_app
from .provider import _default

if t.TYPE_CHECKING:
    from ..wrappers import Response
    from .provider import JSONProvider


def dumps(obj: t.Any, **kwargs: t.Any) -> str:
    """Return `obj` as JSON text.

    Args:
        obj: The value.
        kwargs: Passed to the provider, or to the standard library outside of an application.
    """
    provider = _provider()
    if provider is not None:
        return provider.dumps(obj, **kwargs)
    import json

    return json.dumps(obj, **{"default": _default, **kwargs})


def dump(obj: t.Any, fp: t.IO[str], **kwargs: t.Any) -> None:
    """Write `obj` as JSON text to a file.

    Args:
        obj: The value.
        fp: A file open for text.
        kwargs: As for `dumps`.
    """
    provider = _provider()
    if provider is not None:
        provider.dump(obj, fp, **kwargs)
        return
    import json

    json.dump(obj, fp, **{"default": _default, **kwargs})


def loads(s: str | bytes, **kwargs: t.Any) -> t.Any:
    """Return the value of a JSON text.

    Args:
        s: The text; bytes in UTF-8, UTF-16 or UTF-32.
        kwargs: Passed to the provider, or to the standard library outside of an application.
    """
    provider = _provider()
    if provider is not None:
        return provider.loads(s, **kwargs)
    import json

    return json.loads(s, **kwargs)


def load(fp: t.IO[t.AnyStr], **kwargs: t.Any) -> t.Any:
    """Return the value of the JSON text in a file.

    Args:
        fp: A file open for text or bytes.
        kwargs: As for `loads`.
    """
    provider = _provider()
    if provider is not None:
        return provider.load(fp, **kwargs)
    import json

    return json.load(fp, **kwargs)


def jsonify(*args: t.Any, **kwargs: t.Any) -> Response:
    """Return a JSON response of one value, of a list of values or of a dict of keyword arguments.

    Args:
        args: The value, or the values of a list.
        kwargs: The entries of a dict.
    """
    return current_app.json.response(*args, **kwargs)  # type: ignore[return-value]


def _provider() -> JSONProvider | None:
    # Not through `_cv_app`, which makes the context of a request that has none yet.
    value = _current.get(None)
    if value is None:
        return None
    try:
        return t.cast("JSONProvider", value.app.json)
    except RuntimeError:  # a request was pushed without an application
        return None
