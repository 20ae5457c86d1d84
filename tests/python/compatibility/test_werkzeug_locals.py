"""Locals, stacks and proxies behave as Werkzeug's, bound and unbound."""

from __future__ import annotations

import contextvars
import operator
from typing import Any, Callable

import pytest

from .werkzeug_pair import Names, assert_same


def isolated(call: Callable[[Names], Any]) -> Callable[[Names], Any]:
    """The call in a context of its own."""
    return lambda names: contextvars.Context().run(call, names)


def error_of(call: Callable[[], Any]) -> str:
    try:
        return repr(call())
    except Exception as error:
        return f"{type(error).__name__}: {error}"


def use_local(w: Names) -> Any:
    local = w.local.Local()
    seen: list[Any] = [error_of(lambda: local.name)]
    local.name, local.other = "ann", [1]
    copied = contextvars.copy_context()
    seen += [local.name, sorted(local)]
    local.name = "bob"
    seen.append(copied.run(lambda: local.name))
    del local.other
    seen += [sorted(local), error_of(lambda: local.other), error_of(lambda: delattr(local, "other"))]
    w.local.release_local(local)
    return [*seen, sorted(local)]


def use_stack(w: Names) -> Any:
    stack = w.local.LocalStack()
    seen = [stack.top, stack.pop(), stack.push(1), stack.push(2), stack.top]
    copied = contextvars.copy_context()
    seen += [stack.pop(), stack.top, copied.run(lambda: stack.top)]
    w.local.release_local(stack)
    return [*seen, stack.top, stack.pop()]


def use_given_variable(w: Names) -> Any:
    variable: contextvars.ContextVar[Any] = contextvars.ContextVar("variable")
    local = w.local.Local(variable)
    local.a = 1
    seen = [dict(variable.get())]
    other: contextvars.ContextVar[Any] = contextvars.ContextVar("other")
    stack = w.local.LocalStack(other)
    stack.push("x")
    return [*seen, other.get()]


def proxy_kinds(w: Names) -> Any:
    local, stack = w.local.Local(), w.local.LocalStack()
    variable: contextvars.ContextVar[Any] = contextvars.ContextVar("variable")
    proxies = {
        "local": local("user"),
        "stack": stack(),
        "stack attribute": stack("real"),
        "variable": w.local.LocalProxy(variable, unbound_message="nobody"),
        "variable attribute": w.local.LocalProxy(variable, "real"),
        "function": w.local.LocalProxy(lambda: 7),
        "function attribute": w.local.LocalProxy(lambda: 7, "real"),
    }
    seen = [
        (name, error_of(lambda proxy=proxy: proxy + 0), repr(proxy), bool(proxy), dir(proxy)[:2])
        for name, proxy in proxies.items()
    ]
    local.user = 1
    stack.push(2)
    variable.set(3)
    seen += [(name, proxy + 0, repr(proxy), bool(proxy), dir(proxy)[:2]) for name, proxy in proxies.items()]
    return seen


def refused_proxies(w: Names) -> Any:
    proxy = w.local.LocalProxy
    return [
        error_of(lambda: proxy(w.local.Local())).replace(w.root, ""),
        error_of(lambda: proxy(5)).replace(w.root, ""),
        error_of(lambda: proxy(None)).replace(w.root, ""),
    ]


class Loud:
    """Says which of its operators was called, and with what."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return f"got {name}"

    def __rtruediv__(self, other: Any) -> str:
        return f"{other} / loud"

    def __rmatmul__(self, other: Any) -> str:
        return f"{other} @ loud"

    async def __aenter__(self) -> str:
        return "entered"

    async def __aexit__(self, *exc: object) -> None:
        return None


def forwarded(w: Names) -> Any:
    number, words, text = 7, ["b", "a"], "word"
    table = {"a": 1}
    n, many, s, d = (w.local.LocalProxy(lambda value=value: value) for value in (number, words, text, table))
    loud = w.local.LocalProxy(Loud)
    seen = [
        10 - n,
        10 // n,
        2**n,
        divmod(10, n),
        10 % n,
        1 << n,
        255 >> n,
        6 & n,
        6 | n,
        6 ^ n,
        10 / n,
        1 + n,
        2 * n,
        -n,
        +n,
        abs(n),
        ~n,
        int(n),
        float(n),
        complex(n),
        operator.index(n),
        round(n),
        n == 7,
        n != 7,
        n < 8,
        n >= 8,
        hash(n),
        list(reversed(many)),
        sorted(many),
        many[0],
        "a" in many,
        len(many),
        list(iter(many)),
        many * 2,
        2 * many,
        many.__add__(["c"]),
        s.upper(),
        f"{s:>6}",
        str(s),
        bytes(w.local.LocalProxy(lambda: b"x")),
        s % (),
        s + "s",
        d["a"],
        d | {"b": 2},
        {"b": 2} | d,
        dict(d),
        isinstance(d, dict),
        d.__class__,
        loud.missing,
        error_of(lambda: "x" / loud),
        error_of(lambda: "x" @ loud),
        callable(n),
        callable(s.upper),
    ]
    many += ["z"]
    seen += [type(many).__name__, list(many), words]
    many[0] = "changed"
    del many[1]
    d.update(c=3)
    del d["c"]
    n += 1
    return [*seen, words, table, type(n).__name__, n + 0]


def attributes(w: Names) -> Any:
    class Thing:
        """A thing's text."""

        kind = "thing"

    thing = Thing()
    proxy = w.local.LocalProxy(lambda: thing)
    proxy.colour = "red"
    seen = [
        thing.colour,
        proxy.kind,
        proxy.__doc__,
        proxy.__class__ is Thing,
        proxy.__dict__ == {"colour": "red"},
    ]
    del proxy.colour
    unbound = w.local.LocalProxy(contextvars.ContextVar("none"))
    cls = w.local.LocalProxy
    return [
        *seen,
        vars(thing),
        error_of(lambda: proxy.colour),
        isinstance(cls.__doc__, str),
        cls.__name__,
        unbound.__doc__ == cls.__doc__,
        error_of(lambda: unbound.__dict__),
        error_of(lambda: setattr(unbound, "a", 1)),
        error_of(lambda: unbound.a),
    ]


def derived_proxy(w: Names) -> Any:
    class Own(w.local.LocalProxy):  # type: ignore[name-defined,misc]
        pass

    proxy = Own(lambda: "text")
    return [proxy.upper(), repr(proxy), error_of(lambda: proxy.nothing), proxy == "text"]


def manager(w: Names) -> Any:
    first, second = w.local.Local(), w.local.LocalStack()
    one = w.local.LocalManager(first)
    both = w.local.LocalManager([first, second])
    first.a = 1
    second.push(1)
    closed: list[str] = []

    class Body(list):  # type: ignore[type-arg]
        def close(self) -> None:
            closed.append("closed")

    def app(environ: Any, start_response: Any) -> Any:
        """An application's text."""
        return Body([b"x"])

    wrapped = both.make_middleware(app)
    body = wrapped({}, None)
    seen = [list(body), sorted(first), second.top]
    body.close()
    seen += [closed, sorted(first), second.top, repr(one), repr(both), repr(w.local.LocalManager())]
    decorated = both.middleware(app)
    return [*seen, decorated.__name__, decorated.__doc__, list(decorated({}, None))]


@pytest.mark.parametrize(
    "call",
    [
        use_local,
        use_stack,
        use_given_variable,
        proxy_kinds,
        refused_proxies,
        forwarded,
        attributes,
        derived_proxy,
        manager,
    ],
)
def test_a_local_is_used_alike(call: Callable[[Names], Any]) -> None:
    found = assert_same(isolated(call))
    assert not (isinstance(found, tuple) and found[0].endswith("Error")), found


def test_awaiting_goes_to_the_object() -> None:
    import asyncio

    async def use(w: Names) -> Any:
        async def answer() -> int:
            return 5

        async def count() -> Any:
            yield 1
            yield 2

        loud = w.local.LocalProxy(Loud)
        async with loud as entered:
            seen = [entered]
        generator = count()
        numbers = w.local.LocalProxy(lambda: generator)
        return [*seen, await w.local.LocalProxy(answer), [n async for n in numbers]]

    assert assert_same(lambda w: asyncio.run(use(w))) == ("list", ["entered", 5, ("list", [1, 2])])
