"""The configuration: a dict that loads itself from objects, files and the environment."""

from __future__ import annotations

import errno
import os
import typing as t

from ..kernel.registry import DICT_MUTATORS, Generation, count_changes

if t.TYPE_CHECKING:
    from .sansio.app import App

T = t.TypeVar("T")


def _json_loads(text: str) -> t.Any:
    import json

    return json.loads(text)


class ConfigAttribute(t.Generic[T]):
    """An attribute of the application that lives in its configuration.

    Args:
        name: The configuration key.
        get_converter: Applied to the value when it is read.
    """

    def __init__(self, name: str, get_converter: t.Callable[[t.Any], T] | None = None) -> None:
        self.__name__ = name
        self.get_converter = get_converter

    @t.overload
    def __get__(self, obj: None, owner: None) -> ConfigAttribute[T]: ...

    @t.overload
    def __get__(self, obj: App, owner: type[App]) -> T: ...

    def __get__(self, obj: App | None, owner: type[App] | None = None) -> T | ConfigAttribute[T]:
        if obj is None:
            return self
        value = obj.config[self.__name__]
        convert = self.get_converter
        return value if convert is None else convert(value)

    def __set__(self, obj: App, value: t.Any) -> None:
        obj.config[self.__name__] = value


class Config(dict[str, t.Any]):
    """A dict of settings. Only upper-case names are taken from the sources it can load.

    Args:
        root_path: The folder that relative file names start from.
        defaults: The first content.

    Compatible with: flask.Config (3.1)
    """

    #: What counts its changes: the application's counter once it belongs to one.
    _generation = Generation()

    def __init__(self, root_path: str | os.PathLike[str], defaults: dict[str, t.Any] | None = None) -> None:
        super().__init__(defaults or {})
        self.root_path = root_path

    def from_envvar(self, variable_name: str, silent: bool = False) -> bool:
        """Load the Python file that an environment variable names.

        Args:
            variable_name: The environment variable.
            silent: Return False when it is unset or the file is missing, instead of raising.

        Returns:
            Whether something was loaded.
        """
        filename = os.environ.get(variable_name)
        if filename:
            return self.from_pyfile(filename, silent=silent)
        if silent:
            return False
        raise RuntimeError(
            f"The environment variable {variable_name!r} is not set and as such configuration could not be loaded."
            " Set this variable and make it point to a configuration file"
        )

    def from_prefixed_env(
        self, prefix: str = "FLASK", *, loads: t.Callable[[str], t.Any] = _json_loads
    ) -> bool:
        """Load environment variables that begin with a prefix and an underscore.

        Args:
            prefix: The prefix, without the underscore.
            loads: Parses a value; what it raises on is kept as text.

        Returns:
            Always True. A double underscore in a name goes one dict deeper.
        """
        start = f"{prefix}_"
        for variable in sorted(name for name in os.environ if name.startswith(start)):
            text = os.environ[variable]
            value: t.Any
            try:
                value = loads(text)
            except Exception:
                value = text
            *parents, leaf = variable[len(start) :].split("__")
            target: dict[str, t.Any] = self
            for parent in parents:
                target = target.setdefault(parent, {})
            target[leaf] = value
        return True

    def from_pyfile(self, filename: str | os.PathLike[str], silent: bool = False) -> bool:
        """Execute a Python file and take its upper-case names.

        Args:
            filename: The file, relative to `root_path` or absolute.
            silent: Return False when there is no such file, instead of raising.

        Returns:
            Whether the file was loaded.
        """
        from types import ModuleType

        path = os.path.join(self.root_path, filename)
        module = ModuleType("config")
        module.__file__ = path
        try:
            with open(path, "rb") as file:
                source = file.read()
        except OSError as error:
            if silent and error.errno in (errno.ENOENT, errno.EISDIR, errno.ENOTDIR):
                return False
            raise _named(error) from error.__cause__
        exec(compile(source, path, "exec"), module.__dict__)
        self.from_object(module)
        return True

    def from_object(self, obj: object | str) -> None:
        """Take the upper-case attributes of an object.

        Args:
            obj: A module, a class or any other object, or the import name of one.
        """
        if isinstance(obj, str):
            from ..werkzeug.utils import import_string

            obj = import_string(obj)
        self.update((name, getattr(obj, name)) for name in dir(obj) if name.isupper())

    def from_file(
        self,
        filename: str | os.PathLike[str],
        load: t.Callable[[t.IO[t.Any]], t.Mapping[str, t.Any]],
        silent: bool = False,
        text: bool = True,
    ) -> bool:
        """Load a file with a function that turns it into a mapping, such as `json.load`.

        Args:
            filename: The file, relative to `root_path` or absolute.
            load: Called with the open file.
            silent: Return False when there is no such file, instead of raising.
            text: Open the file as text rather than bytes.

        Returns:
            Whether the file was loaded.
        """
        path = os.path.join(self.root_path, filename)
        try:
            with open(path, "r" if text else "rb") as file:
                mapping = load(file)
        except OSError as error:
            if silent and error.errno in (errno.ENOENT, errno.EISDIR):
                return False
            raise _named(error) from error.__cause__
        return self.from_mapping(mapping)

    def from_mapping(self, mapping: t.Mapping[str, t.Any] | None = None, **kwargs: t.Any) -> bool:
        """Take the upper-case keys of a mapping and of keyword arguments.

        Args:
            mapping: A mapping or pairs.
            kwargs: More settings; they win over `mapping`.

        Returns:
            Always True.
        """
        merged = {**dict(mapping or {}), **kwargs}
        self.update((name, value) for name, value in merged.items() if name.isupper())
        return True

    def get_namespace(
        self, namespace: str, lowercase: bool = True, trim_namespace: bool = True
    ) -> dict[str, t.Any]:
        """Return the settings whose names begin with a prefix.

        Args:
            namespace: The prefix.
            lowercase: Return lower-case names.
            trim_namespace: Return the names without the prefix.
        """
        cut = len(namespace) if trim_namespace else 0
        found = {name[cut:]: value for name, value in self.items() if name.startswith(namespace)}
        return {name.lower(): value for name, value in found.items()} if lowercase else found

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {super().__repr__()}>"

    def __getstate__(self) -> dict[str, t.Any]:
        # A copy belongs to no application.
        return {name: value for name, value in self.__dict__.items() if name != "_generation"}


# Debug mode, for one, decides what the server writes.
count_changes(Config, dict, DICT_MUTATORS)


def _named(error: OSError) -> OSError:
    error.strerror = f"Unable to load configuration file ({error.strerror})"
    return error
