"""Which views read a body piece by piece, by their own code."""

from __future__ import annotations

import functools
import types
from types import ModuleType
from typing import Any, Callable

import pytest

import bustapi
from bustapi import request
from bustapi import request as renamed
from bustapi.flask.views import MethodView
from bustapi.kernel.reading import reads_stream


async def counts() -> Any:
    size = 0
    async for part in request.stream():
        size += len(part)
    return {"size": size}


async def by_the_module() -> Any:
    return [part async for part in bustapi.request.stream()]


async def by_another_name() -> Any:
    return await renamed.stream.read()


async def in_a_generator() -> Any:
    async def upper() -> Any:
        async for part in request.stream():
            yield part.upper()

    return upper()


async def loads() -> Any:
    stream = request.stream
    await request.load_body()
    return stream


async def in_full() -> Any:
    return request.get_json()


async def either() -> Any:
    if request.content_length:
        return request.data
    return [part async for part in request.stream()]


async def in_a_generators_full() -> Any:
    seen = request.stream

    def late() -> Any:
        yield request.form["name"]

    return seen, late()


async def of_something_else(client: Any = None) -> Any:
    async with client.stream("GET", "/") as answer:
        return [request.path, answer.stream]


async def without() -> Any:
    return {}


looks: list[str] = []


class Shy:
    """What must not be looked at while a request is routed: a proxy would make what it stands for."""

    @property
    def __class__(self) -> Any:
        looks.append("__class__")
        return ModuleType

    def __getattr__(self, name: str) -> Any:
        looks.append(name)
        return self


proxy: Any = Shy()


async def of_a_proxy() -> Any:
    return proxy.stream.name


def decorated(view: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(view)
    async def around(*args: Any, **kwargs: Any) -> Any:
        return await view(*args, **kwargs)

    return around


def looking(view: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(view)
    async def around(*args: Any, **kwargs: Any) -> Any:
        return await view(*args, **kwargs) if request.is_json and request.json else None

    return around


def closed_over() -> Callable[..., Any]:
    it = request

    async def view() -> Any:
        return [part async for part in it.stream()]

    return view


def not_bound_yet() -> Callable[..., Any]:
    async def view() -> Any:
        return later.stream

    if view is None:
        later: Any = None
    return view


class Upload(MethodView):
    async def post(self) -> Any:
        return [part async for part in request.stream()]


class Either(Upload):
    async def put(self) -> Any:
        return request.json


@pytest.mark.parametrize(
    "view",
    [
        counts,
        by_the_module,
        by_another_name,
        in_a_generator,
        loads,
        decorated(counts),
        closed_over(),
        functools.partial(counts),
        Upload.as_view("upload"),
        Upload().post,
    ],
)
def test_a_view_that_names_the_stream_reads_it(view: Any) -> None:
    assert reads_stream(view, request) is True


@pytest.mark.parametrize(
    "view",
    [
        in_full,
        either,
        in_a_generators_full,
        of_something_else,
        without,
        looking(counts),
        not_bound_yet(),
        Either.as_view("either"),
        len,
        types.SimpleNamespace(stream=None),
        None,
    ],
)
def test_a_view_that_may_want_all_of_the_body_does_not(view: Any) -> None:
    assert reads_stream(view, request) is False


def test_a_proxy_is_not_looked_at() -> None:
    looks.clear()
    assert reads_stream(of_a_proxy, request) is False
    assert looks == []


def test_a_circle_of_decorators_ends() -> None:
    async def view() -> Any:
        return request.stream

    view.__wrapped__ = view  # type: ignore[attr-defined]
    assert reads_stream(view, request) is True
