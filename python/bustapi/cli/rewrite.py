"""Rewriting imports with libcst, which keeps everything else of a file as it is, byte by byte.

`from flask import X` becomes `from bustapi import X` for the names that `bustapi` itself offers, and
`from bustapi.flask import X` for others; `import flask` becomes `import bustapi.flask as flask`. A plain
`import flask.app` binds `flask`, which no single import of ours can, so it becomes two.
"""

from __future__ import annotations

import difflib
from typing import NamedTuple

import libcst as cst
from libcst.metadata import MetadataWrapper, PositionProvider

import bustapi

_TREES = ("flask", "werkzeug")


class Note(NamedTuple):
    """Something the author should look at."""

    line: int
    text: str


class Result(NamedTuple):
    """A rewritten file."""

    source: bytes
    notes: list[Note]


def rewrite(source: bytes) -> Result:
    """Rewrite the imports of a file.

    Args:
        source: The file.

    Raises:
        ValueError: It is no Python that can be parsed.
    """
    if not any(tree.encode() in source for tree in _TREES):
        return Result(source, [])
    try:
        module = cst.parse_module(source)
    except (cst.ParserSyntaxError, UnicodeDecodeError, LookupError) as error:
        raise ValueError(f"not parsed: {str(error).splitlines()[0]}") from None
    wrapper = MetadataWrapper(module, unsafe_skip_copy=True)
    imports = _Imports()
    changed = wrapper.visit(imports)
    return Result(changed.bytes if imports.count else source, imports.notes)


def differences(name: str, before: bytes, after: bytes) -> str:
    """Return the change of a file as a unified diff.

    Args:
        name: The file's name.
        before: What it was.
        after: What it is now.
    """
    old, new = (text.decode("utf-8", "replace").splitlines(keepends=True) for text in (before, after))
    lines = difflib.unified_diff(old, new, f"a/{name}", f"b/{name}")
    return "".join(
        line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines
    )


class _Imports(cst.CSTTransformer):
    METADATA_DEPENDENCIES = (PositionProvider,)

    def __init__(self) -> None:
        super().__init__()
        self.count = 0
        self.notes: list[Note] = []

    def leave_ImportFrom(self, original_node: cst.ImportFrom, updated_node: cst.ImportFrom) -> cst.ImportFrom:
        if updated_node.relative or updated_node.module is None:
            return updated_node
        name = _dotted(updated_node.module)
        if name.partition(".")[0] not in _TREES:
            return updated_node
        self.count += 1
        return updated_node.with_changes(module=_node(self._home(name, updated_node.names)))

    def leave_Import(self, original_node: cst.Import, updated_node: cst.Import) -> cst.Import:
        names: list[cst.ImportAlias] = []
        changed = False
        for alias in updated_node.names:
            name = _dotted(alias.name)
            tree = name.partition(".")[0]
            if tree not in _TREES:
                names.append(alias)
                continue
            changed = True
            if alias.asname is None and name != tree:
                # Binds the tree's name, and loads the module below it.
                names.append(cst.ImportAlias(_node(f"bustapi.{name}"), comma=_COMMA))
            names.append(
                alias.with_changes(
                    name=_node(f"bustapi.{name if alias.asname is not None else tree}"),
                    asname=alias.asname or cst.AsName(cst.Name(tree)),
                )
            )
        if not changed:
            return updated_node
        self.count += 1
        return updated_node.with_changes(names=names)

    def leave_Call(self, original_node: cst.Call, updated_node: cst.Call) -> cst.Call:
        # Modules that are named by a text are the author's to judge.
        if updated_node.args and isinstance(updated_node.args[0].value, cst.SimpleString):
            text = updated_node.args[0].value.raw_value
            called = updated_node.func
            name = called.attr.value if isinstance(called, cst.Attribute) else getattr(called, "value", "")
            if name in ("import_module", "__import__", "import_string") and text.partition(".")[0] in _TREES:
                position = self.get_metadata(PositionProvider, original_node)
                self.notes.append(Note(position.start.line, f"{name}({text!r}) was left as it is"))
        return updated_node

    def _home(self, name: str, names: object) -> str:
        if name == "flask" and not isinstance(names, cst.ImportStar):
            wanted = [_dotted(alias.name) for alias in names]  # type: ignore[attr-defined]
            if all(item in bustapi.__all__ for item in wanted):
                return "bustapi"
        return f"bustapi.{name}"


_COMMA = cst.Comma(whitespace_after=cst.SimpleWhitespace(" "))


def _dotted(node: cst.BaseExpression) -> str:
    if isinstance(node, cst.Attribute):
        return f"{_dotted(node.value)}.{node.attr.value}"
    return node.value if isinstance(node, cst.Name) else ""


def _node(name: str) -> cst.Attribute | cst.Name:
    first, *rest = name.split(".")
    node: cst.Attribute | cst.Name = cst.Name(first)
    for part in rest:
        node = cst.Attribute(node, cst.Name(part))
    return node
