"""From path and method to a rule: the rules of a map, compiled into the core's router.

Compatible with: werkzeug.routing.matcher (3.1)
"""

from __future__ import annotations

import typing as t

from ..._core import Router
from .converters import ValidationError
from .exceptions import NoMatch, RequestAliasRedirect, RequestPath

if t.TYPE_CHECKING:
    from .rules import Rule

_MATCHED, _REDIRECT = 0, 1


class StateMachineMatcher:
    """Finds rules. Those added count from the next `update` on.

    Args:
        merge_slashes: Whether a path that no rule takes is tried again with repeated slashes merged.
    """

    def __init__(self, merge_slashes: bool) -> None:
        self.merge_slashes = merge_slashes
        #: In the order in which they were added, which is how the router numbers them.
        self.rules: list[Rule] = []
        self._router: Router | None = None

    def add(self, rule: Rule) -> None:
        """Take up a bound rule.

        Args:
            rule: The rule.
        """
        self.rules.append(rule)

    def update(self) -> None:
        """Compile the rules as they are now."""
        self._router = self._compile()

    def router(self) -> Router:
        """Return the compiled router."""
        router = self._router
        if router is None:
            router = self._router = self._compile()
        return router

    def match(
        self, domain: str, path: str, method: str, websocket: bool
    ) -> tuple[Rule, t.MutableMapping[str, t.Any]]:
        """Find the rule of a request.

        Args:
            domain: Subdomain or host.
            path: The decoded path, empty or with a slash in front.
            method: In upper case.
            websocket: Whether the request is a websocket's.

        Returns:
            The rule and the values for the view.

        Raises:
            RequestPath: The path should be another one.
            RequestAliasRedirect: The rule is an alias.
            NoMatch: There is no rule.
        """
        try:
            kind, found, detail = self.router().match(domain, path, method, websocket)
        except UnicodeEncodeError:
            # Lone surrogates: no server decodes a path to them, and text that has them is no URL.
            raise NoMatch(set(), False) from None
        if kind == _MATCHED:
            if found.alias and found.map.redirect_defaults:
                raise RequestAliasRedirect(detail, found.endpoint)
            return found, detail
        if kind == _REDIRECT:
            raise RequestPath(found)
        raise NoMatch(set(found), detail)

    def _compile(self) -> Router:
        # Rules of one endpoint, where a match of one may redirect to another.
        by_endpoint: dict[t.Any, list[Rule]] = {}
        for rule in self.rules:
            if rule.defaults and not rule.build_only:
                by_endpoint.setdefault(rule.endpoint, []).append(rule)
        rules = []
        for rule in self.rules:
            canonical = by_endpoint.get(rule.endpoint, ())
            deferred = (
                bool(rule.alias)
                or rule.redirect_to is not None
                or any(other is not rule and other.provides_defaults_for(rule) for other in canonical)
            )
            rules.append(
                (
                    rule,
                    rule._domain,
                    rule._path,
                    None if rule.methods is None else list(rule.methods),
                    bool(rule.websocket),
                    bool(rule.strict_slashes),
                    # Only exactly False keeps a rule from being found by a merged path.
                    rule.merge_slashes is not False,
                    deferred,
                    rule._converters,
                    dict(rule.defaults) if rule.defaults else None,
                )
            )
        domain, by_host = "", False
        if self.rules:
            domain, by_host = self.rules[0].map.default_subdomain, self.rules[0].map.host_matching
        return Router(rules, bool(self.merge_slashes), ValidationError, domain or "", bool(by_host))
