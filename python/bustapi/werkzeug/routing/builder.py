"""What makes `MapAdapter.build` fast: an endpoint that has one plain rule is built by joining text and values.

Compiled by `Map` when its rules are, and forgotten when they change. Everything else (several rules, defaults,
variables in the domain, websockets) is decided by `MapAdapter._partial_build`, rule by rule.
"""

from __future__ import annotations

import typing as t

from .converters import BaseConverter, IntegerConverter, ValidationError

if t.TYPE_CHECKING:
    from .rules import Rule

# Name, the type whose values need no converter if any, converter, and the text behind.
_Field = tuple[str, t.Optional[type], BaseConverter, str]


class Builder:
    """Builds the path of an endpoint's only rule.

    Args:
        rule: The rule; one that `compile_builder` takes.
    """

    __slots__ = ("_count", "_fields", "_names", "_rule", "_start", "domain", "methods")

    def __init__(self, rule: Rule) -> None:
        start, fields = rule._path_form
        self._rule = rule
        self._start = start.lstrip("/")
        self._fields: list[_Field] = [
            (name, _plain_type(converter), converter, behind) for name, converter, behind in fields
        ]
        self._names = frozenset(field[0] for field in fields)
        self._count = len(fields)
        #: The domain part that every URL of the rule has.
        self.domain = rule._domain_form[0]
        #: The methods of the rule, None for all.
        self.methods = rule.methods

    def path(self, values: t.Mapping[str, t.Any]) -> str | None:
        """Return the path without leading slashes; None if values are missing or refused.

        Args:
            values: Values by name, none of them None; those that are no variables become the query.
        """
        path = self._start
        try:
            for name, plain, converter, behind in self._fields:
                value: t.Any = values[name]
                # What quoting leaves as it is.
                kind = type(value)
                if kind is not plain or (kind is str and not (value.isalnum() and value.isascii())):
                    value = converter.to_url(value)
                path = f"{path}{value}{behind}"
        except ValidationError:
            return None
        except Exception:
            # A value that is missing counts before one that a converter chokes on.
            if self._names.issubset(values):
                raise
            return None
        if not self._start:
            path = path.lstrip("/")  # of a value
        if len(values) == self._count:
            return path
        query = self._query(values)
        return f"{path}?{query}" if query else path

    def _query(self, values: t.Mapping[str, t.Any]) -> str:
        rule = self._rule
        unknown = {name: value for name, value in values.items() if name not in rule._known}
        query = ""
        for name, value in unknown.items():
            kind = type(value)
            plain = kind is int or (kind is str and value.isalnum() and value.isascii())
            if not plain or not name.isascii() or not name.isidentifier() or rule.map.sort_parameters:
                return rule._encode_query_vars(unknown)
            query = f"{query}&{name}={value}" if query else f"{name}={value}"
        return query


def compile_builder(rules: t.Sequence[Rule]) -> Builder | None:
    """Return the builder of an endpoint, or None if its rules have to be asked one by one.

    Args:
        rules: The rules of the endpoint.
    """
    if len(rules) != 1:
        return None
    from .rules import Rule

    rule = rules[0]
    kind = type(rule)
    stock = all(
        getattr(kind, name) is getattr(Rule, name) for name in ("build", "suitable_for", "_encode_query_vars")
    )
    if not stock or rule.defaults or rule.websocket or rule.map.host_matching or rule._domain_form[1]:
        return None
    return Builder(rule)


def _plain_type(converter: BaseConverter) -> type | None:
    if "to_url" in vars(converter):
        return None
    method = type(converter).to_url
    if method is BaseConverter.to_url:
        return str
    whole = method is IntegerConverter.to_url and converter.num_convert is int  # type: ignore[attr-defined]
    return int if whole and not converter.fixed_digits else None  # type: ignore[attr-defined]
