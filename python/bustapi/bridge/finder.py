"""Finds `flask.X` and `werkzeug.X` in `bustapi.flask.X` and `bustapi.werkzeug.X`: the same module objects.

Never half of a real package: a module that we do not have is not there, even if the real package is installed.
"""

from __future__ import annotations

import importlib
import sys
import typing as t
from importlib.machinery import ModuleSpec

from .incidental import complete

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from importlib.metadata import Distribution, DistributionFinder
    from types import CodeType, ModuleType

TREES = ("flask", "werkzeug")
_PREFIX = "bustapi."


def is_ours(name: str) -> bool:
    """Return whether a name of `sys.modules` means a module of BustAPI.

    Args:
        name: `flask`, `werkzeug` or a module's name below them, in `sys.modules`.
    """
    module = sys.modules.get(name)
    return module is not None and module is sys.modules.get(_PREFIX + name)


def counterpart(name: str) -> ModuleType | None:
    """Import the module that stands in for one of the real packages.

    Args:
        name: The real module's name.

    Returns:
        Ours; None if there is none.
    """
    ours = _PREFIX + name
    try:
        module = importlib.import_module(ours)
    except ModuleNotFoundError as error:
        if error.name is not None and (ours == error.name or ours.startswith(f"{error.name}.")):
            return None
        raise
    complete(name, module)
    return module


class AliasFinder:
    """The entry of `sys.meta_path`."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Answer for the two trees, and for nothing else.

        Args:
            fullname: The module's name.
            path: Not looked at.
            target: Not looked at.

        Raises:
            ModuleNotFoundError: The module belongs to a tree and we do not have it.
        """
        tree = fullname.partition(".")[0]
        if tree not in TREES:
            return None
        ours = _PREFIX + fullname
        spec = _spec_of(ours)
        if spec is None:
            # The next finder would look for it in the folder of our package, or load half of the real one.
            raise ModuleNotFoundError(
                f"No module named {fullname!r} (BustAPI stands in for {tree}, and has no {ours!r})",
                name=fullname,
            )
        alias = ModuleSpec(
            fullname,
            _AliasLoader(ours),  # type: ignore[arg-type]
            origin=spec.origin,
            is_package=spec.submodule_search_locations is not None,
        )
        if spec.submodule_search_locations is not None:
            alias.submodule_search_locations = spec.submodule_search_locations
        return alias

    def find_distributions(self, context: DistributionFinder.Context | None = None) -> Iterator[Distribution]:
        """Answer for a package that is not installed with the release whose interface we have.

        Args:
            context: What is looked for; only a package that is asked for by its name is answered.
        """
        name = str(getattr(context, "name", None) or "").lower()
        if name not in TREES:
            return
        from importlib.metadata import MetadataPathFinder

        # An installed one answers for itself, with its own version.
        if any(True for _ in MetadataPathFinder.find_distributions(context)):  # type: ignore[arg-type]
            return
        from .metadata import stand_in

        yield stand_in(name)

    def invalidate_caches(self) -> None:
        """Do nothing: nothing is cached."""


class _AliasLoader:
    """Puts our module under the real one's name.

    The module that the import system makes for the alias is thrown away: a module may replace itself in
    `sys.modules` while it is executed. So the attributes of ours are never touched, not even for a moment that
    another thread could see.
    """

    def __init__(self, ours: str) -> None:
        self._ours = ours

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        ours = importlib.import_module(self._ours)
        complete(module.__name__, ours)
        sys.modules[module.__name__] = ours

    # What `python -m flask` asks for.
    def get_code(self, fullname: str) -> CodeType | None:
        return t.cast("CodeType | None", self._loader().get_code(self._ours))

    def get_source(self, fullname: str) -> str | None:
        return t.cast("str | None", self._loader().get_source(self._ours))

    def is_package(self, fullname: str) -> bool:
        return bool(self._loader().is_package(self._ours))

    def _loader(self) -> t.Any:
        spec = _spec_of(self._ours)
        return None if spec is None else spec.loader


def _spec_of(name: str) -> ModuleSpec | None:
    from importlib.util import find_spec

    try:
        return find_spec(name)
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(f"{error.name}.")):
            return None
        raise
