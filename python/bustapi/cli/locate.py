"""Finding the application that a command line names, as the `flask` command does."""

from __future__ import annotations

import ast
import importlib
import os
import sys
import traceback
from inspect import isfunction, signature
from typing import TYPE_CHECKING, Any

from bustapi.serve.application import is_application
from bustapi.serve.errors import ServeError, say
from bustapi.serve.running import ENV_FROM_CLI

if TYPE_CHECKING:
    from types import ModuleType

_VARIABLES = ("BUSTAPI_APP", "FLASK_APP")
_FILES = ("wsgi.py", "app.py")
_NAMES = ("app", "application")
_FACTORIES = ("create_app", "make_app")


def locate(named: str | None) -> Any:
    """Import an application.

    Args:
        named: ``module``, ``module:name``, ``module:factory(arguments)``, or a file's path in the module's place.
            None: what `BUSTAPI_APP` or `FLASK_APP` says, or `wsgi.py` or `app.py` in the working directory.

    Returns:
        The application. Whether it can be served is not looked at, if it was named.

    Raises:
        ServeError: There is none.
    """
    if not named:
        named = next((os.environ[name] for name in _VARIABLES if os.environ.get(name)), None)
    if not named:
        named = next((name for name in _FILES if os.path.isfile(name)), None)
    if not named:
        raise ServeError("which application? say: bustapi run module:app")
    path, expression = _split(named)
    module = _import(_prepare(path))
    return _evaluate(module, expression) if expression else _search(module)


def _split(named: str) -> tuple[str, str]:
    """Cut at the colon before the name; the one of a Windows drive is not it."""
    drive, rest = os.path.splitdrive(named)
    path, _, expression = rest.partition(":")
    return drive + path.strip(), expression.strip()


def _prepare(path: str) -> str:
    """Make a module importable.

    Args:
        path: A dotted name, or a file's or package folder's path.

    Returns:
        The dotted name, of which the root's folder is on `sys.path`.
    """
    is_path = path.endswith(".py") or os.sep in path
    if not is_path:
        _add_to_path(os.getcwd())
        return path
    full = os.path.realpath(path)
    if not os.path.exists(full):
        raise ServeError(f"there is no file {path!r}")
    folder, name = os.path.split(full)
    name = os.path.splitext(name)[0]
    names = [] if name == "__init__" else [name]
    while os.path.isfile(os.path.join(folder, "__init__.py")):
        folder, name = os.path.split(folder)
        names.insert(0, name)
    _add_to_path(folder)
    return ".".join(names)


def _add_to_path(folder: str) -> None:
    if sys.path[:1] != [folder]:
        sys.path.insert(0, folder)


def _import(name: str) -> ModuleType:
    former = os.environ.get(ENV_FROM_CLI)
    # An `app.run()` at the end of the module does nothing then.
    os.environ[ENV_FROM_CLI] = "true"
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(f"{error.name}.")):
            raise ServeError(
                f"there is no module {name!r} (looked in {os.getcwd()} and the installed ones)"
            ) from None
        _show(error, name)
        raise ServeError(f"{name} cannot be imported: {error}") from None
    except Exception as error:
        _show(error, name)
        raise ServeError(f"{name} cannot be imported: {type(error).__name__}") from None
    finally:
        if former is None:
            os.environ.pop(ENV_FROM_CLI, None)
        else:
            os.environ[ENV_FROM_CLI] = former


def _show(error: BaseException, name: str) -> None:
    """Write the traceback of a failed import from where the application's own code begins."""
    frames = error.__traceback__
    while frames is not None and (
        frames.tb_frame.f_code.co_filename == __file__
        or frames.tb_frame.f_code.co_filename.startswith("<frozen importlib")
        or frames.tb_frame.f_code.co_filename == importlib.__file__
    ):
        frames = frames.tb_next
    for line in traceback.format_exception(type(error), error, frames):
        say(line.rstrip("\n"))


def _search(module: ModuleType) -> Any:
    """Find the application of a module that was named alone: by name, as the only one, or from a factory."""
    for name in _NAMES:
        found = getattr(module, name, None)
        if is_application(found):
            return found
    found_all = {id(value): value for value in vars(module).values() if is_application(value)}
    if len(found_all) == 1:
        return next(iter(found_all.values()))
    if found_all:
        raise ServeError(f"{module.__name__} has several applications; say: {module.__name__}:name")
    for name in _FACTORIES:
        factory = getattr(module, name, None)
        if isfunction(factory):
            return _call(module, name, factory, [], {})
    raise ServeError(f"{module.__name__} has no application; say: {module.__name__}:name")


def _evaluate(module: ModuleType, expression: str) -> Any:
    """Take a name, or the call of a name with literal arguments, from a module."""
    wrong = ServeError(f"{expression!r} must be a name, or the call of a function with literal arguments")
    try:
        node = ast.parse(expression, mode="eval").body
    except (SyntaxError, ValueError):
        raise wrong from None
    args: list[Any] = []
    options: dict[str, Any] = {}
    function: ast.expr = node
    if isinstance(node, ast.Call):
        function = node.func
        try:
            args = [ast.literal_eval(item) for item in node.args]
            options = {
                item.arg: ast.literal_eval(item.value) for item in node.keywords if item.arg is not None
            }
        except (ValueError, TypeError):
            raise wrong from None
        if len(options) != len(node.keywords):
            raise wrong
    found: Any = module
    for name in _dotted(function, wrong):
        try:
            found = getattr(found, name)
        except AttributeError:
            raise ServeError(f"{module.__name__} has no name {ast.unparse(function)!r}") from None
    if isinstance(node, ast.Call) or isfunction(found):
        return _call(module, ast.unparse(function), found, args, options)
    return found


def _dotted(node: ast.expr, wrong: ServeError) -> list[str]:
    names: list[str] = []
    while isinstance(node, ast.Attribute):
        names.insert(0, node.attr)
        node = node.value
    if not isinstance(node, ast.Name):
        raise wrong
    return [node.id, *names]


def _call(module: ModuleType, name: str, factory: Any, args: list[Any], options: dict[str, Any]) -> Any:
    if not callable(factory):
        raise ServeError(f"{name!r} in {module.__name__} cannot be called")
    try:
        signature(factory).bind(*args, **options)
    except TypeError as error:
        raise ServeError(
            f"{name!r} in {module.__name__}: {error}; say: {module.__name__}:{name}(...)"
        ) from None
    except ValueError:
        # A builtin without a signature: the call tells.
        pass
    try:
        return factory(*args, **options)
    except Exception as error:
        _show(error, module.__name__)
        raise ServeError(f"{name!r} in {module.__name__} failed: {type(error).__name__}") from None
