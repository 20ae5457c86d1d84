"""Rules: one URL pattern each, read into tokens for the core, and filled in to build URLs; factories that make them.

Compatible with: werkzeug.routing.rules (3.1)
"""

from __future__ import annotations

import re
import typing as t
from string import Template
from urllib.parse import quote

from ..datastructures import iter_multi_items
from ..urls import _urlencode
from .converters import PATH_SAFE, BaseConverter, ValidationError, conversion_of

if t.TYPE_CHECKING:
    from .map import Map

#: Static text or "/", or a variable: name, regex, whether it stays in a segment, weight, conversion.
Token = t.Union[str, tuple[str, str, bool, float, tuple[t.Any, ...]]]
# Whether a piece is a variable, and its text or name.
_Piece = tuple[bool, str]
# What a part of a URL is built from: text, then variables with their converters and the text behind each.
_Form = tuple[str, list[tuple[str, BaseConverter, str]]]

_NAME = r"[a-zA-Z_][a-zA-Z0-9_]*"
_piece_re = re.compile(
    rf"(?P<text>/|[^</]+)|<(?:(?P<kind>{_NAME})(?:\((?P<arguments>.*?)\))?:)?(?P<name>{_NAME})>"
)
_slashes_re = re.compile("/{2,}")

# The order decides where a text can be read in two ways: `1,2` is one value.
_VALUES = r"\d+.\d+|\d+.|[\w.]+|[urUR]?(?P<quoted>\"[^\"]*?\"|'[^']*')"
_argument_re = re.compile(rf"\s*(?:(?P<name>\w+)\s*=\s*)?(?P<value>{_VALUES})\s*,")
_CONSTANTS: dict[str, t.Any] = {"None": None, "True": True, "False": False}


def parse_converter_args(argstr: str) -> tuple[tuple[t.Any, ...], dict[str, t.Any]]:
    """Read the arguments that a rule gives a converter.

    Args:
        argstr: What stands between the parentheses.

    Returns:
        Positional and keyword arguments.

    Raises:
        ValueError: A piece is no argument.
    """
    text = f"{argstr},"
    positional: list[t.Any] = []
    named: dict[str, t.Any] = {}
    read = 0
    for found in _argument_re.finditer(text):
        if found.start() != read:
            raise ValueError(f"Cannot parse converter argument {text[read : found.start()]!r}")
        read = found.end()
        value = _constant(found["quoted"] or found["value"])
        if found["name"]:
            named[found["name"]] = value
        else:
            positional.append(value)
    return tuple(positional), named


def _constant(text: str) -> t.Any:
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    number: type[int] | type[float]
    for number in (int, float):
        try:
            return number(text)
        except ValueError:
            continue
    if text[0] in "\"'" and text[0] == text[-1]:
        return text[1:-1]
    return text


class RuleFactory:
    """What a `Map` takes: something that gives rules."""

    def get_rules(self, map: Map) -> t.Iterable[Rule]:
        """Return the rules for a map.

        Args:
            map: The map they will be bound to.

        Raises:
            NotImplementedError: Always; a subclass says which rules.
        """
        raise NotImplementedError()


class _Wrapper(RuleFactory):
    """Gives changed copies of the rules of other factories."""

    rules: t.Iterable[RuleFactory]

    def get_rules(self, map: Map) -> t.Iterator[Rule]:
        """Return changed copies of the rules.

        Args:
            map: The map they will be bound to.
        """
        for factory in self.rules:
            for rule in factory.get_rules(map):
                copy = rule.empty()
                self._change(copy)
                yield copy

    def _change(self, rule: Rule) -> None:
        raise NotImplementedError()


class Subdomain(_Wrapper):
    """Puts rules on a subdomain.

    Args:
        subdomain: The subdomain, in rule syntax.
        rules: The rules.
    """

    def __init__(self, subdomain: str, rules: t.Iterable[RuleFactory]) -> None:
        self.subdomain = subdomain
        self.rules = rules

    def _change(self, rule: Rule) -> None:
        rule.subdomain = self.subdomain


class Submount(_Wrapper):
    """Puts rules below a path.

    Args:
        path: The path, in rule syntax; slashes at its end do not count.
        rules: The rules.
    """

    def __init__(self, path: str, rules: t.Iterable[RuleFactory]) -> None:
        self.path = path.rstrip("/")
        self.rules = rules

    def _change(self, rule: Rule) -> None:
        rule.rule = self.path + rule.rule


class EndpointPrefix(_Wrapper):
    """Puts text before the endpoints of rules.

    Args:
        prefix: The text.
        rules: The rules; their endpoints are strings.
    """

    def __init__(self, prefix: str, rules: t.Iterable[RuleFactory]) -> None:
        self.prefix = prefix
        self.rules = rules

    def _change(self, rule: Rule) -> None:
        rule.endpoint = self.prefix + rule.endpoint


class RuleTemplate:
    """Rules with `$name` placeholders in path, endpoint, defaults and subdomain; call it to fill them in.

    Args:
        rules: The rules to copy.
    """

    def __init__(self, rules: t.Iterable[Rule]) -> None:
        self.rules = list(rules)

    def __call__(self, *args: t.Any, **kwargs: t.Any) -> RuleTemplateFactory:
        """Return a factory of the rules with these values, given as to `dict`."""
        return RuleTemplateFactory(self.rules, dict(*args, **kwargs))


class RuleTemplateFactory(RuleFactory):
    """Fills placeholders in.

    Args:
        rules: Rules with placeholders.
        context: Values by name.
    """

    def __init__(self, rules: t.Iterable[RuleFactory], context: dict[str, t.Any]) -> None:
        self.rules = rules
        self.context = context

    def get_rules(self, map: Map) -> t.Iterator[Rule]:
        """Return filled-in copies of the rules.

        Args:
            map: The map they will be bound to.

        Raises:
            KeyError: A placeholder has no value.
        """
        for factory in self.rules:
            for rule in factory.get_rules(map):
                filled = {key: self._fill(value) for key, value in (rule.defaults or {}).items()}
                yield Rule(
                    self._fill(rule.rule),
                    defaults=filled or None,
                    subdomain=self._fill(rule.subdomain),
                    methods=rule.methods,
                    build_only=rule.build_only,
                    endpoint=self._fill(rule.endpoint),
                    strict_slashes=rule.strict_slashes,
                )

    def _fill(self, value: t.Any) -> t.Any:
        return Template(value).substitute(self.context) if isinstance(value, str) else value


class Rule(RuleFactory):
    """One URL pattern: `/static/<converter(arguments):variable>`; a slash at its end makes it a branch.

    Args:
        string: The pattern.
        defaults: Values for the view, and for variables of other rules of the endpoint.
        subdomain: The subdomain it is for, in rule syntax; the map's default if None.
        methods: Methods it is for, all if None. GET brings HEAD with it.
        build_only: Never matches, only builds.
        endpoint: What a match leads to.
        strict_slashes: Whether a branch without its slash redirects; the map's if None.
        merge_slashes: Whether repeated slashes redirect to single ones; the map's if None.
        redirect_to: A match redirects: to this text with variables filled in, or to what this callable returns for
            the adapter and the values.
        alias: A match redirects to the rule of the endpoint that is no alias.
        host: The host it is for, in rule syntax, if the map matches hosts.
        websocket: Matches websocket requests only.

    Raises:
        ValueError: The pattern begins with no slash, or a websocket rule has a method it cannot have.
        TypeError: `methods` is a string.

    Compatible with: werkzeug.routing.Rule (3.1)
    """

    def __init__(
        self,
        string: str,
        defaults: t.Mapping[str, t.Any] | None = None,
        subdomain: str | None = None,
        methods: t.Iterable[str] | None = None,
        build_only: bool = False,
        endpoint: t.Any | None = None,
        strict_slashes: bool | None = None,
        merge_slashes: bool | None = None,
        redirect_to: str | t.Callable[..., str] | None = None,
        alias: bool = False,
        host: str | None = None,
        websocket: bool = False,
    ) -> None:
        if not string.startswith("/"):
            raise ValueError(f"URL rule '{string}' must start with a slash.")
        self.rule = string
        self.is_branch = string.endswith("/")
        self.is_leaf = not self.is_branch
        self.map: Map = None  # type: ignore[assignment]  # until it is bound
        self.strict_slashes = strict_slashes
        self.merge_slashes = merge_slashes
        self.subdomain = subdomain
        self.host = host
        self.defaults = defaults
        self.build_only = build_only
        self.alias = alias
        self.websocket = websocket
        self.methods = None if methods is None else _method_set(methods, websocket)
        self.endpoint: t.Any = endpoint
        self.redirect_to = redirect_to
        self.arguments: set[str] = {str(key) for key in defaults or ()}
        self._converters: dict[str, BaseConverter] = {}
        self._trace: list[_Piece] = []
        self._domain: list[Token] = []
        self._path: list[Token] = []

    def empty(self) -> Rule:
        """Return an unbound copy."""
        return type(self)(self.rule, **self.get_empty_kwargs())

    def get_empty_kwargs(self) -> t.Mapping[str, t.Any]:
        """Return the keyword arguments that `empty` makes a copy with; for subclasses that have more."""
        return {
            "defaults": dict(self.defaults) if self.defaults else None,
            "subdomain": self.subdomain,
            "methods": self.methods,
            "build_only": self.build_only,
            "endpoint": self.endpoint,
            "strict_slashes": self.strict_slashes,
            "redirect_to": self.redirect_to,
            "alias": self.alias,
            "host": self.host,
        }

    def get_rules(self, map: Map) -> t.Iterator[Rule]:
        """Return the rule itself.

        Args:
            map: The map it will be bound to.
        """
        yield self

    def refresh(self) -> None:
        """Read the rule again after a change of its attributes."""
        self.bind(self.map, rebind=True)
        self.map._remap = True

    def bind(self, map: Map, rebind: bool = False) -> None:
        """Tie the rule to a map, whose settings and converters it uses from then on.

        Args:
            map: The map.
            rebind: Whether a rule that is bound may be bound again.

        Raises:
            RuntimeError: It is bound already.
        """
        if self.map is not None and not rebind:
            raise RuntimeError(f"url rule {self!r} already bound to map {self.map!r}")
        self.map = map
        if self.strict_slashes is None:
            self.strict_slashes = map.strict_slashes
        if self.merge_slashes is None:
            self.merge_slashes = map.merge_slashes
        if self.subdomain is None:
            self.subdomain = map.default_subdomain
        self.compile()

    def get_converter(
        self,
        variable_name: str,
        converter_name: str,
        args: tuple[t.Any, ...],
        kwargs: t.Mapping[str, t.Any],
    ) -> BaseConverter:
        """Make the converter of a variable.

        Args:
            variable_name: The variable.
            converter_name: The converter's name in the rule.
            args: Positional arguments in the rule.
            kwargs: Keyword arguments in the rule.

        Raises:
            LookupError: The map knows no such converter.
        """
        try:
            converter = self.map.converters[converter_name]
        except KeyError:
            raise LookupError(f"the converter {converter_name!r} does not exist") from None
        return converter(self.map, *args, **kwargs)

    def compile(self) -> None:
        """Read domain and path into tokens for matching and forms to fill in.

        Raises:
            ValueError: The rule is malformed.
            SyntaxError: A variable without a default stands in it twice.
        """
        domain = (self.host if self.map.host_matching else self.subdomain) or ""
        path = _slashes_re.sub("/", self.rule) if self.merge_slashes else self.rule
        self._converters = {}
        domain_pieces, self._domain = self._read(domain)
        path_pieces, self._path = self._read(path)
        self._trace = [*domain_pieces, (False, "|"), *path_pieces]
        self._domain_form = self._form(domain_pieces)
        self._path_form = self._form(path_pieces)
        defaults = self.defaults or {}
        free = [text for variable, text in self._trace if variable and text not in defaults]
        for index, name in enumerate(free):
            if name in free[:index]:
                raise SyntaxError(f"duplicate variable {name!r} in url rule {self.rule!r}")
        self._known = frozenset([*free, *map(str, defaults)])

    def _read(self, text: str) -> tuple[list[_Piece], list[Token]]:
        pieces: list[_Piece] = []
        tokens: list[Token] = []
        at = 0
        while at < len(text):
            found = _piece_re.match(text, at)
            if found is None:
                raise ValueError(f"malformed url rule: {text!r}")
            at = found.end()
            name = found["name"]
            if name is None:
                pieces.append((False, found["text"]))
                tokens.append(found["text"])
                continue
            args, kwargs = parse_converter_args(found["arguments"] or "")
            converter = self.get_converter(name, found["kind"] or "default", args, kwargs)
            self._converters[name] = converter
            self.arguments.add(name)
            pieces.append((True, name))
            isolating = bool(converter.part_isolating)
            tokens.append((name, converter.regex, isolating, converter.weight, conversion_of(converter)))
        return pieces, tokens

    def _form(self, pieces: list[_Piece]) -> _Form:
        defaults = self.defaults or {}
        start, fields = "", []
        for variable, text in pieces:
            if variable and text not in defaults:
                fields.append((text, self._converters[text], ""))
                continue
            # A variable with a default is built from no other value.
            if variable:
                constant = self._converters[text].to_url(defaults[text])
            else:
                constant = quote(text, safe=PATH_SAFE)
            if fields:
                name, converter, behind = fields[-1]
                fields[-1] = (name, converter, behind + constant)
            else:
                start += constant
        return start, fields

    def build(self, values: t.Mapping[str, t.Any], append_unknown: bool = True) -> tuple[str, str] | None:
        """Fill values in.

        Args:
            values: Values by name; those of all variables without defaults are there.
            append_unknown: Whether the others become the query.

        Returns:
            Domain part and path, or None if a converter refuses a value.
        """
        try:
            domain, fields = self._domain_form
            for name, converter, behind in fields:
                domain = f"{domain}{converter.to_url(values[name])}{behind}"
            path, fields = self._path_form
            for name, converter, behind in fields:
                path = f"{path}{converter.to_url(values[name])}{behind}"
            if append_unknown and values and not self._known.issuperset(values):
                unknown = {name: value for name, value in values.items() if name not in self._known}
                query = self._encode_query_vars(unknown)
                if query:
                    path = f"{path}?{query}"
        except ValidationError:
            return None
        return domain, path

    def _encode_query_vars(self, query_vars: t.Mapping[str, t.Any]) -> str:
        items = iter_multi_items(query_vars)
        if self.map.sort_parameters:
            return _urlencode(sorted(items, key=self.map.sort_key))
        return _urlencode(items)

    def provides_defaults_for(self, rule: Rule) -> bool:
        """Whether this rule is the canonical one where the other matches with this one's defaults.

        Args:
            rule: The other rule.
        """
        return (
            bool(self.defaults)
            and not self.build_only
            and self.endpoint == rule.endpoint
            and self.arguments == rule.arguments
            and self != rule
        )

    def suitable_for(self, values: t.Mapping[str, t.Any], method: str | None = None) -> bool:
        """Whether values and method are enough to build a URL from, and contradict no default.

        Args:
            values: The values.
            method: The method the URL is for, if it matters.
        """
        if method is not None and self.methods is not None and method not in self.methods:
            return False
        defaults = self.defaults
        if not defaults:
            return self.arguments.issubset(values)
        for name in self.arguments:
            if name not in values and name not in defaults:
                return False
        return not any(name in values and value != values[name] for name, value in defaults.items())

    def build_compare_key(self) -> tuple[int, int, int]:
        """The order in which the rules of an endpoint are tried: no alias, many variables, many defaults first."""
        return int(bool(self.alias)), -len(self.arguments), -len(self.defaults or ())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, type(self)) and self._trace == other._trace

    __hash__ = None  # type: ignore[assignment]

    def __str__(self) -> str:
        return self.rule

    def __repr__(self) -> str:
        name = type(self).__name__
        if t.cast("t.Optional[Map]", self.map) is None:
            return f"<{name} (unbound)>"
        pattern = "".join([f"<{text}>" if variable else text for variable, text in self._trace]).lstrip("|")
        methods = "" if self.methods is None else f" ({', '.join(self.methods)})"
        return f"<{name} {pattern!r}{methods} -> {self.endpoint}>"


def _method_set(methods: t.Iterable[str], websocket: bool) -> set[str]:
    if isinstance(methods, str):
        raise TypeError("'methods' should be a list of strings.")
    names = {method.upper() for method in methods}
    if "GET" in names:
        names.add("HEAD")
    if websocket and names - {"GET", "HEAD", "OPTIONS"}:
        raise ValueError("WebSocket rules can only use 'GET', 'HEAD', and 'OPTIONS' methods.")
    return names
