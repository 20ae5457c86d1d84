"""How a command finds the application: from an import path, a file name or a factory call.

Imported by `cli` only, since it needs click.
"""

from __future__ import annotations

import ast
import inspect
import os
import re
import sys
import traceback
import typing as t

import click

from .helpers import get_debug_flag, get_load_dotenv

if t.TYPE_CHECKING:
    from types import ModuleType

    from .app import Flask

_APP_NAMES = ("app", "application")
_FACTORY_NAMES = ("create_app", "make_app")
_DEFAULT_FILES = ("wsgi.py", "app.py")


class NoAppException(click.UsageError):
    """No application could be found or loaded."""


class ScriptInfo:
    """What the commands of one invocation share: how to load the application, and the loaded one.

    Args:
        app_import_path: The application as `module:name`, where the module may be a file's path.
        create_app: A function that returns the application; it wins over the path.
        set_debug_flag: Set the application's debug mode from the environment.
        load_dotenv_defaults: Whether `.env` and `.flaskenv` are loaded; only kept here, for whoever loads them.

    Compatible with: flask.cli.ScriptInfo (3.1)
    """

    def __init__(
        self,
        app_import_path: str | None = None,
        create_app: t.Callable[..., Flask] | None = None,
        set_debug_flag: bool = True,
        load_dotenv_defaults: bool = True,
    ) -> None:
        self.app_import_path = app_import_path
        self.create_app = create_app
        self.data: dict[t.Any, t.Any] = {}
        self.set_debug_flag = set_debug_flag
        self.load_dotenv_defaults = get_load_dotenv(load_dotenv_defaults)
        self._loaded_app: Flask | None = None

    def load_app(self) -> Flask:
        """Return the application; it is loaded by the first call.

        Raises:
            NoAppException: There is none to be found.
        """
        if self._loaded_app is None:
            app = self._find()
            if app is None:
                raise NoAppException(
                    "Could not locate a Flask application. Name it with the '--app' option or in the 'FLASK_APP'"
                    " environment variable, or have a 'wsgi.py' or 'app.py' file in the current directory."
                )
            if self.set_debug_flag:
                # By way of the property: templates are reloaded in debug mode.
                app.debug = get_debug_flag()
            self._loaded_app = app
        return self._loaded_app

    def _find(self) -> Flask | None:
        if self.create_app is not None:
            return self.create_app()
        if self.app_import_path:
            # Not at the colon of a Windows drive.
            path, *name = re.split(r":(?![\\/])", self.app_import_path, maxsplit=1)
            return locate_app(prepare_import(path), name[0] if name else None)
        for file in _DEFAULT_FILES:
            app = locate_app(prepare_import(file), None, raise_if_not_found=False)
            if app is not None:
                return app
        return None


def find_best_app(module: ModuleType) -> Flask:
    """Return the application of a module: by the usual names, the only one there is, or from a factory.

    Args:
        module: The imported module.

    Raises:
        NoAppException: There is none, or there are several with unusual names.
    """
    from .app import Flask

    for name in _APP_NAMES:
        found = getattr(module, name, None)
        if isinstance(found, Flask):
            return found

    candidates = [value for value in vars(module).values() if isinstance(value, Flask)]
    if len(candidates) > 1:
        raise NoAppException(
            f"Module {module.__name__!r} has several Flask applications."
            f" Use '{module.__name__}:name' to say which one."
        )
    if candidates:
        return candidates[0]

    for name in _FACTORY_NAMES:
        factory = getattr(module, name, None)
        if not inspect.isfunction(factory):
            continue
        found = _call(
            factory,
            (),
            {},
            f"Factory {name!r} of module {module.__name__!r} cannot be called without arguments."
            f" Use '{module.__name__}:{name}(args)' to give them.",
        )
        if isinstance(found, Flask):
            return found

    raise NoAppException(
        f"Module {module.__name__!r} has no Flask application and no factory of one that is known by its name."
        f" Use '{module.__name__}:name' to name it."
    )


def find_app_by_string(module: ModuleType, app_name: str) -> Flask:
    """Return the application that an expression names: a variable, a factory, or a call with literal arguments.

    Args:
        module: The imported module.
        app_name: The expression.

    Raises:
        NoAppException: It is not such an expression, or does not give an application.
    """
    from .app import Flask

    name, args, kwargs = _parse_reference(app_name)
    try:
        found = getattr(module, name)
    except AttributeError as error:
        raise NoAppException(f"Module {module.__name__!r} has no attribute {name!r}.") from error
    if inspect.isfunction(found):
        found = _call(
            found,
            args,
            kwargs,
            f"Factory {app_name!r} of module {module.__name__!r} cannot be called with these arguments.",
        )
    if isinstance(found, Flask):
        return found
    raise NoAppException(f"'{module.__name__}:{app_name}' is not a Flask application.")


def _parse_reference(text: str) -> tuple[str, list[t.Any], dict[str, t.Any]]:
    """Return the name, the arguments and the keyword arguments of `name` or `name(...)`."""
    try:
        expression = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError):  # ValueError: a null byte
        expression = None
    if isinstance(expression, ast.Name):
        return expression.id, [], {}
    if not isinstance(expression, ast.Call):
        raise NoAppException(f"{text!r} is neither the name of an attribute nor a call of a function.")
    if not isinstance(expression.func, ast.Name):
        raise NoAppException(f"The function must be given by its plain name: {text!r}.")
    try:
        args = [ast.literal_eval(arg) for arg in expression.args]
        kwargs = {
            keyword.arg: ast.literal_eval(keyword.value)
            for keyword in expression.keywords
            if keyword.arg is not None
        }
    except ValueError:
        raise NoAppException(f"The arguments must be literal values: {text!r}.") from None
    return expression.func.id, args, kwargs


def _call(
    factory: t.Callable[..., t.Any], args: t.Sequence[t.Any], kwargs: dict[str, t.Any], problem: str
) -> t.Any:
    """Call a factory; arguments that do not fit it become a `NoAppException`, its own errors stay as they are."""
    try:
        return factory(*args, **kwargs)
    except TypeError as error:
        if not _called_with_wrong_args(factory):
            raise
        raise NoAppException(problem) from error


def _called_with_wrong_args(f: t.Callable[..., t.Any]) -> bool:
    """Return whether the `TypeError` being handled came from calling `f`, not from code that `f` ran."""
    trace = sys.exc_info()[2]
    try:
        while trace is not None:
            if trace.tb_frame.f_code is f.__code__:
                return False
            trace = trace.tb_next
        return True
    finally:
        # A frame that refers to its own traceback is a cycle.
        del trace


def prepare_import(path: str) -> str:
    """Return the module name of a file, and have its package's folder come first on the search path.

    Args:
        path: A file's path or a dotted name, relative to the working directory.
    """
    path = os.path.realpath(path)
    stem, extension = os.path.splitext(path)
    if extension == ".py":
        path = stem
    folder, name = os.path.split(path)
    if name == "__init__":
        folder, name = os.path.split(folder)
    names = [name]
    while os.path.exists(os.path.join(folder, "__init__.py")):
        folder, name = os.path.split(folder)
        names.insert(0, name)
    if sys.path[0] != folder:
        sys.path.insert(0, folder)
    return ".".join(names)


@t.overload
def locate_app(
    module_name: str, app_name: str | None, raise_if_not_found: t.Literal[True] = True
) -> Flask: ...


@t.overload
def locate_app(
    module_name: str, app_name: str | None, raise_if_not_found: t.Literal[False] = ...
) -> Flask | None: ...


def locate_app(module_name: str, app_name: str | None, raise_if_not_found: bool = True) -> Flask | None:
    """Import a module and return its application.

    Args:
        module_name: The module.
        app_name: The expression that names the application; None for the one that fits best.
        raise_if_not_found: Whether a missing module is an error; if not, it is None.

    Raises:
        NoAppException: The module cannot be imported or has no such application.
    """
    try:
        __import__(module_name)
    except ImportError:
        trace = sys.exc_info()[2]
        # More than this function's own frame: the module was found, and an import in it failed.
        if trace is not None and trace.tb_next is not None:
            raise NoAppException(
                f"Importing {module_name!r} raised an ImportError:\n\n{traceback.format_exc()}"
            ) from None
        if raise_if_not_found:
            raise NoAppException(f"There is no module {module_name!r} to import.") from None
        return None
    module = sys.modules[module_name]
    return find_best_app(module) if app_name is None else find_app_by_string(module, app_name)
