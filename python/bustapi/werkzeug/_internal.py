"""Small helpers that several modules of this package share and no user calls."""

from __future__ import annotations

import re
import typing as t
from datetime import datetime, timezone

if t.TYPE_CHECKING:
    import logging

_logger: logging.Logger | None = None


class _Missing:
    """The type of `_missing`, which stands for "no argument given"."""

    def __repr__(self) -> str:
        return "no value"

    def __reduce__(self) -> str:
        return "_missing"


_missing: t.Any = _Missing()


def _wsgi_decoding_dance(s: str) -> str:
    """Turn a WSGI latin-1 string into the UTF-8 text its bytes mean."""
    return s if s.isascii() else s.encode("latin1").decode(errors="replace")


def _wsgi_encoding_dance(s: str) -> str:
    """Turn text into the latin-1 string of its UTF-8 bytes, as WSGI wants it."""
    return s if s.isascii() else s.encode().decode("latin1")


def _get_environ(obj: t.Any) -> dict[str, t.Any]:
    """Return the WSGI environ of a request, or the environ itself."""
    environ = getattr(obj, "environ", obj)
    assert isinstance(environ, dict), f"{type(obj).__name__!r} is not a WSGI environment (has to be a dict)"
    return environ


def _has_level_handler(logger: logging.Logger) -> bool:
    """Tell whether a record at the logger's level would reach a handler."""
    level = logger.getEffectiveLevel()
    node: logging.Logger | None = logger
    while node is not None:
        for handler in node.handlers:
            if handler.level <= level:
                return True
        node = node.parent if node.propagate else None
    return False


def _log(type: str, message: str, *args: t.Any, **kwargs: t.Any) -> None:
    """Log through the `werkzeug` logger, giving it a handler if the app configured none."""
    global _logger
    if _logger is None:
        import logging

        _logger = logging.getLogger("werkzeug")
        if _logger.level == logging.NOTSET:
            _logger.setLevel(logging.INFO)
        if not _has_level_handler(_logger):
            _logger.addHandler(logging.StreamHandler())
    getattr(_logger, type)(message.rstrip(), *args, **kwargs)


@t.overload
def _dt_as_utc(dt: None) -> None: ...
@t.overload
def _dt_as_utc(dt: datetime) -> datetime: ...
def _dt_as_utc(dt: datetime | None) -> datetime | None:
    """Return `dt` in UTC; a naive value is taken to be UTC already."""
    if dt is None or dt.tzinfo is timezone.utc:
        return dt
    if dt.tzinfo is None:
        return dt.replace(tzinfo=timezone.utc)
    return dt.astimezone(timezone.utc)


_T = t.TypeVar("_T")


class _lazy(t.Generic[_T]):
    """An attribute that is computed on first access and then lies in the instance's `__dict__`.

    It defines no `__set__`, so later reads do not come here at all: they cost what a plain attribute costs, a tenth
    of a read of `cached_property`. Assigning replaces the value, deleting makes the next access compute again.
    """

    def __init__(self, fget: t.Callable[[t.Any], _T]) -> None:
        self.fget = fget
        self.__name__ = fget.__name__
        self.__doc__ = fget.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        self.__name__ = name

    @t.overload
    def __get__(self, instance: None, owner: type | None = None) -> _lazy[_T]: ...
    @t.overload
    def __get__(self, instance: t.Any, owner: type | None = None) -> _T: ...
    def __get__(self, instance: t.Any, owner: type | None = None) -> t.Any:
        if instance is None:
            return self
        values = instance.__dict__
        name = self.__name__
        # Asked through `super()`, the value may be there already.
        if name in values:
            return values[name]
        value = values[name] = self.fget(instance)
        return value


class _DictAccessorProperty(t.Generic[_T]):
    """A descriptor that reads and writes one key of a mapping kept on the instance."""

    read_only = False

    def __init__(
        self,
        name: str,
        default: t.Any = None,
        load_func: t.Callable[[str], t.Any] | None = None,
        dump_func: t.Callable[[t.Any], str] | None = None,
        read_only: bool | None = None,
        doc: str | None = None,
    ) -> None:
        self.name = name
        self.default = default
        self.load_func = load_func
        self.dump_func = dump_func
        if read_only is not None:
            self.read_only = read_only
        self.__doc__ = doc

    def lookup(self, instance: t.Any) -> t.Any:
        """Return the mapping of `instance` that holds the key; each subclass says which."""
        raise LookupError(f"{type(self).__name__} names no mapping")

    @t.overload
    def __get__(self, instance: None, owner: type) -> _DictAccessorProperty[_T]: ...
    @t.overload
    def __get__(self, instance: t.Any, owner: type) -> _T: ...
    def __get__(self, instance: t.Any, owner: type) -> t.Any:
        if instance is None:
            return self
        storage = self.lookup(instance)
        if self.name not in storage:
            return self.default
        value = storage[self.name]
        if self.load_func is None:
            return value
        try:
            return self.load_func(value)
        except (ValueError, TypeError):
            return self.default

    def __set__(self, instance: t.Any, value: _T) -> None:
        if self.read_only:
            raise AttributeError("read only property")
        dump = self.dump_func
        self.lookup(instance)[self.name] = value if dump is None else dump(value)

    def __delete__(self, instance: t.Any) -> None:
        if self.read_only:
            raise AttributeError("read only property")
        self.lookup(instance).pop(self.name, None)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"


_plain_int_re = re.compile(r"-?[0-9]+")


def _plain_int(value: str) -> int:
    """Parse ASCII digits with an optional minus; `int` alone takes `+1`, `1_0` and other scripts' digits.

    Raises:
        ValueError: The text is anything else.
    """
    value = value.strip(" \t")
    if _plain_int_re.fullmatch(value) is None:
        raise ValueError(f"not a plain integer: {value!r:.40}")
    return int(value)
