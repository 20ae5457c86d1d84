"""What a view's own code says of it: whether a long body may come while it runs, and what it asks for.

A plain view on a thread can wait for whatever it asks of the body. A coroutine cannot, unless it awaits: `request.json`
of a body that is still on its way would be an error there. So a body is not held back from a coroutine function that
names `request.stream`, and nothing of the request that needs all of it.
"""

from __future__ import annotations

import typing as t
from types import CodeType, FunctionType, MethodType, ModuleType

from .aio import wrapped_by

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

#: What is there only when the body is.
_WHOLE = frozenset({"data", "get_data", "json", "get_json", "form", "files", "values", "body", "get_body"})
#: Opcodes between the load of a name and that of its attribute, which do nothing.
_NOTHING = frozenset({"CACHE", "EXTENDED_ARG", "NOP", "PUSH_NULL", "PRECALL"})


def reads_stream(view: t.Any, request: t.Any) -> bool:
    """Tell whether a view reads the body piece by piece, as far as its own code and that of its decorators says.

    Args:
        view: A function, a method, a partial of one, or a view made of a class (`view_class`).
        request: The object that views know as `request`.
    """
    found: set[str] = set()
    for function in _functions(view):
        found.update(_attributes(function.__code__, _namespace(function), request))
    return "stream" in found and not found & _WHOLE


def names(function: t.Any, name: str) -> bool:
    """Tell whether a function's own code, or that of its decorators, names something.

    Args:
        function: What `reads_stream` takes.
        name: A global name or an attribute.
    """
    return any(_names(layer.__code__, name) for layer in _functions(function))


def _names(code: CodeType, name: str) -> bool:
    return name in code.co_names or any(
        _names(constant, name) for constant in code.co_consts if isinstance(constant, CodeType)
    )


def _functions(view: t.Any) -> Iterator[FunctionType]:
    """The functions that a view is made of, its decorators' first."""
    made_of = getattr(view, "view_class", None)
    if made_of is not None:
        for name in ("dispatch_request", "get", "post", "put", "patch", "delete"):
            yield from _functions(getattr(made_of, name, None))
        return
    for layer in (view, *wrapped_by(view)):
        function = layer.__func__ if isinstance(layer, MethodType) else layer
        if isinstance(function, FunctionType):
            yield function


def _namespace(function: FunctionType) -> dict[str, t.Any]:
    """What the free names of a function mean now."""
    namespace = dict(function.__globals__)
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or ()):
        try:
            namespace[name] = cell.cell_contents
        except ValueError:  # not bound yet
            namespace.pop(name, None)
    return namespace


def _attributes(code: CodeType, namespace: Mapping[str, t.Any], request: t.Any) -> Iterator[str]:
    """The attributes of `request` that code names, `module.request` included, and those of functions within it."""
    from dis import get_instructions  # not needed by an app without async views

    owner: t.Any = None
    for instruction in get_instructions(code):
        if instruction.opname in _NOTHING:
            continue
        if instruction.opname in ("LOAD_ATTR", "LOAD_METHOD"):
            if owner is request:
                yield instruction.argval
            # Of a module only: looking at anything else might run code. Even at its class: a proxy gives that of the
            # request, and makes one for it.
            is_module = issubclass(type(owner), ModuleType)
            owner = vars(owner).get(instruction.argval) if is_module else None
        elif instruction.opname in ("LOAD_GLOBAL", "LOAD_NAME", "LOAD_DEREF", "LOAD_CLASSDEREF"):
            owner = namespace.get(instruction.argval)
        else:
            owner = None
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _attributes(constant, namespace, request)
