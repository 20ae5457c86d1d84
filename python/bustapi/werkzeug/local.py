"""Context-local storage and proxies to what it holds."""

from __future__ import annotations

import copy
import math
import operator
import typing as t
from contextvars import ContextVar
from functools import update_wrapper

from ..kernel.proxy import Resolver, forward_attributes

T = t.TypeVar("T")


def release_local(local: Local | LocalStack[t.Any]) -> None:
    """Empty a `Local` or `LocalStack` in the current context."""
    local.__release_local__()


class Local:
    """A namespace whose attributes each context has its own of.

    Args:
        context_var: The variable that stores them; a new one if None.

    Compatible with: werkzeug.local.Local (3.1)
    """

    __slots__ = ("__storage",)

    def __init__(self, context_var: ContextVar[dict[str, t.Any]] | None = None) -> None:
        if context_var is None:
            # A variable is never freed once used, so make a Local at module level, not in a function.
            context_var = ContextVar(f"werkzeug.Local<{id(self)}>.storage")
        object.__setattr__(self, "_Local__storage", context_var)

    def __iter__(self) -> t.Iterator[tuple[str, t.Any]]:
        return iter(self.__storage.get({}).items())

    def __call__(self, name: str, *, unbound_message: str | None = None) -> LocalProxy[t.Any]:
        """Return a proxy to one attribute."""
        return LocalProxy(self, name, unbound_message=unbound_message)

    def __release_local__(self) -> None:
        self.__storage.set({})

    def __getattr__(self, name: str) -> t.Any:
        try:
            return self.__storage.get({})[name]
        except KeyError:
            raise AttributeError(name) from None

    # The dict is never changed in place: contexts that were copied from this one share it.
    def __setattr__(self, name: str, value: t.Any) -> None:
        self.__storage.set({**self.__storage.get({}), name: value})

    def __delattr__(self, name: str) -> None:
        values = dict(self.__storage.get({}))
        if name not in values:
            raise AttributeError(name)
        del values[name]
        self.__storage.set(values)


class LocalStack(t.Generic[T]):
    """A stack that each context has its own of.

    Args:
        context_var: The variable that stores it; a new one if None.

    Compatible with: werkzeug.local.LocalStack (3.1)
    """

    __slots__ = ("_storage",)

    def __init__(self, context_var: ContextVar[list[T]] | None = None) -> None:
        self._storage: ContextVar[list[T]] = (
            ContextVar(f"werkzeug.LocalStack<{id(self)}>.storage") if context_var is None else context_var
        )

    def __release_local__(self) -> None:
        self._storage.set([])

    def push(self, obj: T) -> list[T]:
        """Put an object on top and return the new stack."""
        stack = [*self._storage.get([]), obj]
        self._storage.set(stack)
        return stack

    def pop(self) -> T | None:
        """Take the top off and return it, None if the stack is empty."""
        stack = self._storage.get([])
        if not stack:
            return None
        self._storage.set(stack[:-1])
        return stack[-1]

    @property
    def top(self) -> T | None:
        """The object on top, None if the stack is empty."""
        stack = self._storage.get([])
        return stack[-1] if stack else None

    def __call__(self, name: str | None = None, *, unbound_message: str | None = None) -> LocalProxy[t.Any]:
        """Return a proxy to the top, or to one attribute of it."""
        return LocalProxy(self, name, unbound_message=unbound_message)


class LocalManager:
    """Releases several locals at the end of a request.

    Args:
        locals: One `Local`, or several locals and stacks.

    Compatible with: werkzeug.local.LocalManager (3.1)
    """

    __slots__ = ("locals",)

    def __init__(self, locals: t.Any = None) -> None:
        self.locals: list[t.Any] = [locals] if isinstance(locals, Local) else list(locals or ())

    def cleanup(self) -> None:
        """Release them all."""
        for local in self.locals:
            release_local(local)

    def make_middleware(self, app: t.Callable[..., t.Any]) -> t.Callable[..., t.Any]:
        """Wrap a WSGI app so that `cleanup` runs when a response is closed."""

        def application(environ: t.Any, start_response: t.Any) -> t.Any:
            from .wsgi import ClosingIterator

            return ClosingIterator(app(environ, start_response), self.cleanup)

        return application

    def middleware(self, func: t.Callable[..., t.Any]) -> t.Callable[..., t.Any]:
        """Do the same as a decorator."""
        return update_wrapper(self.make_middleware(func), func)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} storages: {len(self.locals)}>"


def _resolver(local: t.Any, name: str | None, message: str) -> t.Callable[[], t.Any]:
    """Return the function that finds a proxy's object."""
    pick = None if name is None else operator.attrgetter(name)
    if isinstance(local, ContextVar):
        get = local.get
        if name is not None and "." not in name:
            return Resolver(local, name, message)

        def current() -> t.Any:
            try:
                found = get()
            except LookupError:
                raise RuntimeError(message) from None
            return found if pick is None else pick(found)

    elif isinstance(local, Local):
        if pick is None:
            raise TypeError("'name' is required when proxying a 'Local' object.")

        def current() -> t.Any:
            try:
                return pick(local)
            except AttributeError:
                raise RuntimeError(message) from None

    elif isinstance(local, LocalStack):

        def current() -> t.Any:
            found = local.top
            if found is None:
                raise RuntimeError(message)
            return found if pick is None else pick(found)

    elif callable(local):

        def current() -> t.Any:
            found = local()
            return found if pick is None else pick(found)

    else:
        raise TypeError(f"Don't know how to proxy '{type(local)}'.")
    return current


def _forward(op: t.Callable[..., t.Any]) -> t.Any:
    """Return a method that applies `op` to the object."""

    def method(self: LocalProxy[t.Any], *args: t.Any, **kwargs: t.Any) -> t.Any:
        return op(self._get_current_object(), *args, **kwargs)

    return method


def _reflected(op: t.Callable[[t.Any, t.Any], t.Any]) -> t.Any:
    """Return a method for the right side of an operator."""

    def method(self: LocalProxy[t.Any], other: t.Any) -> t.Any:
        return op(other, self._get_current_object())

    return method


def _in_place(op: t.Callable[[t.Any, t.Any], t.Any]) -> t.Any:
    """Return a method for an augmented assignment, which must leave the name bound to the proxy."""

    def method(self: LocalProxy[t.Any], other: t.Any) -> t.Any:
        op(self._get_current_object(), other)
        return self

    return method


def _delegate(name: str) -> t.Any:
    """Return a method that calls the object's own method of this name."""

    def method(self: LocalProxy[t.Any], *args: t.Any, **kwargs: t.Any) -> t.Any:
        return getattr(self._get_current_object(), name)(*args, **kwargs)

    return method


class _ObjectAttribute:
    """An attribute Python finds on the proxy's class, which must be the object's instead."""

    def __init__(self, name: str, on_class: t.Any, unbound: t.Callable[[LocalProxy[t.Any]], t.Any]) -> None:
        self.name = name
        self.on_class = on_class
        self.unbound = unbound

    def __get__(self, instance: LocalProxy[t.Any] | None, owner: t.Any = None) -> t.Any:
        if instance is None:
            return self if self.on_class is None else self.on_class
        try:
            found = instance._get_current_object()
        except RuntimeError:
            return self.unbound(instance)
        return getattr(found, self.name)

    def __set__(self, instance: LocalProxy[t.Any], value: t.Any) -> None:
        setattr(instance._get_current_object(), self.name, value)


class LocalProxy(t.Generic[T]):
    """A proxy to an object that is looked up on each use: a context's request, its session and so on.

    Args:
        local: A context variable, `Local`, `LocalStack`, or a function that returns the object.
        name: Proxy this attribute of the object.
        unbound_message: Text of the RuntimeError raised while there is no object.

    Compatible with: werkzeug.local.LocalProxy (3.1)
    """

    __slots__ = ("__wrapped", "_get_current_object")

    _get_current_object: t.Callable[[], T]

    def __init__(self, local: t.Any, name: str | None = None, *, unbound_message: str | None = None) -> None:
        current = _resolver(local, name, unbound_message or "object is not bound")
        object.__setattr__(self, "_LocalProxy__wrapped", local)
        object.__setattr__(self, "_get_current_object", current)

    # For derived classes; this one's instances are served by what `forward_attributes` sets below.
    def __getattr__(self, name: str) -> t.Any:
        return getattr(self._get_current_object(), name)

    def __setattr__(self, name: str, value: t.Any) -> None:
        setattr(self._get_current_object(), name, value)

    def __delattr__(self, name: str) -> None:
        delattr(self._get_current_object(), name)

    __doc__ = _ObjectAttribute("__doc__", __doc__, lambda proxy: type(proxy).__doc__)
    __wrapped__ = _ObjectAttribute("__wrapped__", None, lambda proxy: proxy._LocalProxy__wrapped)
    __class__ = _ObjectAttribute("__class__", None, type)

    def __repr__(self) -> str:
        try:
            found = self._get_current_object()
        except RuntimeError:
            return f"<{type(self).__name__} unbound>"
        return repr(found)

    def __bool__(self) -> bool:
        try:
            return bool(self._get_current_object())
        except RuntimeError:
            return False

    def __dir__(self) -> list[str]:
        try:
            return dir(self._get_current_object())
        except RuntimeError:
            return []

    __str__ = _forward(str)
    __bytes__ = _forward(bytes)
    __format__ = _forward(format)
    __lt__ = _forward(operator.lt)
    __le__ = _forward(operator.le)
    __eq__ = _forward(operator.eq)
    __ne__ = _forward(operator.ne)
    __gt__ = _forward(operator.gt)
    __ge__ = _forward(operator.ge)
    __hash__ = _forward(hash)
    __instancecheck__ = _forward(lambda cls, obj: isinstance(obj, cls))
    __subclasscheck__ = _forward(lambda cls, sub: issubclass(sub, cls))
    __call__ = _forward(lambda obj, *args, **kwargs: obj(*args, **kwargs))
    __len__ = _forward(len)
    __length_hint__ = _forward(operator.length_hint)
    __getitem__ = _forward(operator.getitem)
    __setitem__ = _forward(operator.setitem)
    __delitem__ = _forward(operator.delitem)
    __iter__ = _forward(iter)
    __next__ = _forward(next)
    __reversed__ = _forward(reversed)
    __contains__ = _forward(operator.contains)
    __neg__ = _forward(operator.neg)
    __pos__ = _forward(operator.pos)
    __abs__ = _forward(abs)
    __invert__ = _forward(operator.invert)
    __complex__ = _forward(complex)
    __int__ = _forward(int)
    __float__ = _forward(float)
    __index__ = _forward(operator.index)
    __round__ = _forward(round)
    __trunc__ = _forward(math.trunc)
    __floor__ = _forward(math.floor)
    __ceil__ = _forward(math.ceil)
    __enter__ = _delegate("__enter__")
    __exit__ = _delegate("__exit__")
    __await__ = _delegate("__await__")
    __aiter__ = _delegate("__aiter__")
    __anext__ = _delegate("__anext__")
    __aenter__ = _delegate("__aenter__")
    __aexit__ = _delegate("__aexit__")
    __copy__ = _forward(copy.copy)
    __deepcopy__ = _forward(copy.deepcopy)

    __add__ = _forward(operator.add)
    __sub__ = _forward(operator.sub)
    __mul__ = _forward(operator.mul)
    __matmul__ = _forward(operator.matmul)
    __truediv__ = _forward(operator.truediv)
    __floordiv__ = _forward(operator.floordiv)
    __mod__ = _forward(operator.mod)
    __divmod__ = _forward(divmod)
    __pow__ = _forward(pow)
    __lshift__ = _forward(operator.lshift)
    __rshift__ = _forward(operator.rshift)
    __and__ = _forward(operator.and_)
    __xor__ = _forward(operator.xor)
    __or__ = _forward(operator.or_)
    __radd__ = _reflected(operator.add)
    __rsub__ = _reflected(operator.sub)
    __rmul__ = _reflected(operator.mul)
    __rmatmul__ = _reflected(operator.matmul)
    __rtruediv__ = _reflected(operator.truediv)
    __rfloordiv__ = _reflected(operator.floordiv)
    __rmod__ = _reflected(operator.mod)
    __rdivmod__ = _reflected(divmod)
    __rpow__ = _reflected(pow)
    __rlshift__ = _reflected(operator.lshift)
    __rrshift__ = _reflected(operator.rshift)
    __rand__ = _reflected(operator.and_)
    __rxor__ = _reflected(operator.xor)
    __ror__ = _reflected(operator.or_)
    __iadd__ = _in_place(operator.iadd)
    __isub__ = _in_place(operator.isub)
    __imul__ = _in_place(operator.imul)
    __imatmul__ = _in_place(operator.imatmul)
    __itruediv__ = _in_place(operator.itruediv)
    __ifloordiv__ = _in_place(operator.ifloordiv)
    __imod__ = _in_place(operator.imod)
    __ipow__ = _in_place(operator.ipow)
    __ilshift__ = _in_place(operator.ilshift)
    __irshift__ = _in_place(operator.irshift)
    __iand__ = _in_place(operator.iand)
    __ixor__ = _in_place(operator.ixor)
    __ior__ = _in_place(operator.ior)


forward_attributes(LocalProxy)
