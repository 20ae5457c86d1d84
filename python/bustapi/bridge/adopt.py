"""Makes objects of the real packages that exist already into objects of ours, in place: whoever holds one, keeps it."""

from __future__ import annotations

import typing as t

from bustapi.flask.blueprints import Blueprint
from bustapi.flask.cli import AppGroup
from bustapi.flask.sessions import SessionInterface
from bustapi.flask.views import View
from bustapi.kernel.registry import RegistryDict, RegistryList
from bustapi.werkzeug.datastructures import (
    ImmutableDict,
    ImmutableList,
    ImmutableTypeConversionDict,
    TypeConversionDict,
)
from bustapi.werkzeug.exceptions import Aborter, HTTPException
from bustapi.werkzeug.local import LocalProxy
from bustapi.werkzeug.utils import cached_property

if t.TYPE_CHECKING:
    from blinker import Signal

    from .pairs import Pairs

#: Their instances' attributes are the same on both sides.
_ALIKE = (LocalProxy, HTTPException, SessionInterface, View, Aborter, AppGroup)
#: Dicts and lists of which all is kept in the dict or list itself.
_CONTAINERS = (ImmutableDict, ImmutableList, ImmutableTypeConversionDict, TypeConversionDict)
_PROXY_SLOTS = ("_LocalProxy__wrapped", "_get_current_object")
_set_class = object.__dict__["__class__"].__set__


def adopt(value: t.Any, ours: type) -> bool:
    """Make an instance of a real class into one of ours.

    Args:
        value: The instance.
        ours: Our class.

    Returns:
        Whether that was possible, or not needed.
    """
    if issubclass(ours, cached_property):
        # It is complete in itself, and nobody asks for its class.
        return True
    try:
        if issubclass(ours, Blueprint):
            _set_class(value, ours)
            complete(value)
        elif issubclass(ours, _ALIKE) or ours in _CONTAINERS:
            _set_class(value, ours)
        else:
            return False
    except TypeError:
        # Another layout in memory.
        return False
    return True


def complete(blueprint: Blueprint) -> None:
    """Give a blueprint that the real class's constructor made what ours makes besides.

    Args:
        blueprint: An instance of our class, or of one that was derived from the real one.
    """
    own = vars(blueprint)
    if "_generation" in own:
        return
    fresh: Blueprint = Blueprint.__new__(Blueprint)
    Blueprint.__init__(fresh, own["name"], own["import_name"], root_path=own.get("root_path"))
    for name, value in vars(fresh).items():
        kept = own.get(name, value)
        if kept is not value and isinstance(value, (RegistryDict, RegistryList)):
            _fill(value, kept)
            kept = value
        own[name] = kept


def _fill(registry: t.Any, content: t.Any) -> None:
    if isinstance(registry, list):
        registry[:] = content
        return
    for key, value in content.items():
        inner = registry[key] if hasattr(registry, "default_factory") else None
        if isinstance(inner, (dict, list)):
            _fill(inner, value)
        else:
            registry[key] = value


def share_proxy(real: t.Any, ours: t.Any) -> None:
    """Have a proxy of the real package look where ours does.

    Args:
        real: The proxy that others hold.
        ours: The proxy of the same name.
    """
    for slot in _PROXY_SLOTS:
        object.__setattr__(real, slot, object.__getattribute__(ours, slot))


def share_signal(real: Signal, ours: Signal) -> None:
    """Make two signals one: what is connected to either, and what will be, is connected to both.

    Args:
        real: The signal that others hold.
        ours: The signal that is sent.
    """
    mine, theirs = vars(ours), vars(real)
    for key, value in theirs.items():
        known = mine.get(key)
        if isinstance(known, dict) and isinstance(value, dict):
            for inner, found in value.items():
                if isinstance(found, set) and isinstance(known.get(inner), set):
                    known[inner] |= found
                else:
                    # A default dict makes what it is asked for; the registration itself is what counts.
                    known[inner] = found
        elif key not in mine:
            mine[key] = value
    real.__dict__ = mine


def share(pairs: Pairs) -> None:
    """Share the state of every proxy and signal that has a counterpart.

    Args:
        pairs: The objects.
    """
    from blinker import Signal

    for real, ours in pairs:
        kind, other = type(real), type(ours)
        if issubclass(other, LocalProxy) and kind.__name__ == "LocalProxy":
            share_proxy(real, ours)
        elif issubclass(kind, Signal) and issubclass(other, Signal):
            share_signal(real, ours)
