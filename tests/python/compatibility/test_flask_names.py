"""Every public name of Flask exists in `bustapi.flask`, and takes the same arguments."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from typing import Any, TypeVar

import flask
import pytest

MODULES = sorted(
    module.name for module in pkgutil.walk_packages(flask.__path__, "flask.") if "__main__" not in module.name
)


def own_names(module: Any) -> dict[str, Any]:
    """What the module defines itself, without what it imports."""
    return {
        name: value
        for name, value in vars(module).items()
        if not name.startswith("_")
        and not isinstance(value, TypeVar)
        and getattr(value, "__module__", None) == module.__name__
    }


def ours(module: str) -> Any:
    return importlib.import_module(f"bustapi.{module}")


def shape(function: Any) -> list[tuple[str, Any]]:
    """Names and kinds of the parameters, and whether each may be left out."""
    return [
        (parameter.name, parameter.kind, parameter.default is parameter.empty)
        for parameter in inspect.signature(function).parameters.values()
    ]


def attributes(cls: Any) -> dict[str, Any]:
    """The public attributes that the class or its bases in Flask define."""
    return {
        name: inspect.getattr_static(cls, name)
        for base in cls.__mro__
        if base.__module__.startswith("flask.")
        for name in vars(base)
        if not name.startswith("_")
    }


FUNCTIONS = [
    (module, name)
    for module in MODULES
    for name, value in own_names(importlib.import_module(module)).items()
    if inspect.isfunction(value)
]
CLASSES = [
    (module, name)
    for module in MODULES
    for name, value in own_names(importlib.import_module(module)).items()
    if inspect.isclass(value)
]
CONSTRUCTED = [
    (module, name)
    for module, name in CLASSES
    if "__init__" in vars(getattr(importlib.import_module(module), name))
]


@pytest.mark.parametrize("module", MODULES)
def test_a_module_has_the_names_of_flasks(module: str) -> None:
    missing = own_names(importlib.import_module(module)).keys() - set(dir(ours(module)))
    assert missing == set()


def test_the_package_has_the_names_of_flasks() -> None:
    public = {name for name in vars(flask) if not name.startswith("_")}
    assert {name for name in public if not hasattr(ours("flask"), name)} == set()
    assert flask.__dict__.keys() & set(ours("flask").__all__) == set(ours("flask").__all__)


@pytest.mark.parametrize(("module", "name"), FUNCTIONS)
def test_a_function_takes_the_same_arguments(module: str, name: str) -> None:
    expected = getattr(importlib.import_module(module), name)
    assert shape(getattr(ours(module), name)) == shape(expected)


@pytest.mark.parametrize(("module", "name"), CLASSES)
def test_a_class_has_the_same_attributes(module: str, name: str) -> None:
    expected = attributes(getattr(importlib.import_module(module), name))
    cls = getattr(ours(module), name)
    assert {name for name in expected if not hasattr(cls, name)} == set()


@pytest.mark.parametrize(("module", "name"), CONSTRUCTED)
def test_a_class_is_made_with_the_same_arguments(module: str, name: str) -> None:
    expected = getattr(importlib.import_module(module), name)
    assert shape(getattr(ours(module), name).__init__) == shape(expected.__init__)


@pytest.mark.parametrize(("module", "name"), CLASSES)
def test_the_methods_of_a_class_take_the_same_arguments(module: str, name: str) -> None:
    cls = getattr(ours(module), name)
    different = {}
    for method, value in attributes(getattr(importlib.import_module(module), name)).items():
        if inspect.isfunction(value):
            found = inspect.getattr_static(cls, method)
            if inspect.isfunction(found) and shape(found) != shape(value):
                different[method] = (shape(value), shape(found))
    assert different == {}


@pytest.mark.parametrize("name", ["Flask", "Blueprint", "Request", "Response", "Config"])
def test_class_attributes_have_the_same_plain_values(name: str) -> None:
    plain = (str, int, float, bool, tuple, frozenset, type(None))
    expected = {
        key: value for key, value in attributes(getattr(flask, name)).items() if isinstance(value, plain)
    }
    cls = getattr(ours("flask"), name)
    assert {key: getattr(cls, key) for key in expected} == expected


def test_the_default_configuration_is_flasks() -> None:
    assert dict(ours("flask").Flask.default_config) == dict(flask.Flask.default_config)
    expected, found = flask.Flask("some_name"), ours("flask").Flask("some_name")
    assert dict(found.config) == dict(expected.config)
