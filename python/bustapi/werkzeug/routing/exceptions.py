"""What routing raises: answers that are not a match, and URLs that cannot be built.

Compatible with: werkzeug.routing.exceptions (3.1)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Optional

from ..exceptions import BadRequest, HTTPException

if TYPE_CHECKING:
    from ..wrappers.response import Response
    from .map import MapAdapter
    from .rules import Rule


class RoutingException(Exception):
    """Base of what asks the application to redirect or names a missing URL."""


class RequestRedirect(HTTPException, RoutingException):
    """The URL has another, canonical form. Usable as a response.

    Args:
        new_url: The absolute URL to go to.
    """

    code = 308

    def __init__(self, new_url: str) -> None:
        super().__init__(new_url)
        self.new_url = new_url

    def get_response(
        self,
        environ: Any = None,
        scope: Optional[dict[str, Any]] = None,
    ) -> Response:
        """Returns the redirect as a response.

        Args:
            environ: Not used.
            scope: Not used.
        """
        # Responses are heavy, and routing without serving needs none.
        from ..utils import redirect

        return redirect(self.new_url, self.code)


class RequestPath(RoutingException):
    """Inside the matcher: the path should be another one.

    Args:
        path_info: The better path, decoded.
    """

    __slots__ = ("path_info",)

    def __init__(self, path_info: str) -> None:
        super().__init__()
        self.path_info = path_info


class RequestAliasRedirect(RoutingException):
    """Inside the matcher: an alias matched, the canonical rule should be visited.

    Args:
        matched_values: The values of the match.
        endpoint: The endpoint of both rules.
    """

    def __init__(self, matched_values: Mapping[str, Any], endpoint: Any) -> None:
        super().__init__()
        self.matched_values = matched_values
        self.endpoint = endpoint


class BuildError(RoutingException, LookupError):
    """No rule makes a URL of this endpoint with these values.

    Args:
        endpoint: What was to be built.
        values: The values given.
        method: The method asked for, or None.
        adapter: Where to look for a suggestion.
    """

    def __init__(
        self,
        endpoint: Any,
        values: Mapping[str, Any],
        method: Optional[str],
        adapter: Optional[MapAdapter] = None,
    ) -> None:
        super().__init__(endpoint, values, method)
        self.endpoint = endpoint
        self.values = values
        self.method = method
        self.adapter = adapter

    @property
    def suggested(self) -> Optional[Rule]:
        """The rule that was probably meant; searched for once."""
        found: Optional[Rule]
        try:
            found = self.__dict__["suggested"]
        except KeyError:
            found = self.__dict__["suggested"] = self.closest_rule(self.adapter)
        return found

    def closest_rule(self, adapter: Optional[MapAdapter]) -> Optional[Rule]:
        """Finds the rule whose endpoint reads most like the one asked for.

        Args:
            adapter: An adapter of the map to search.

        Returns:
            The rule, or None without rules.
        """
        if adapter is None or not adapter.map._rules:
            return None
        # Needed for error messages only.
        from difflib import SequenceMatcher

        given = set(self.values or ())

        def likeness(rule: Rule) -> float:
            words = SequenceMatcher(None, str(rule.endpoint), str(self.endpoint))
            takes_values = given <= rule.arguments
            takes_method = bool(rule.methods) and self.method in (rule.methods or ())
            return 0.98 * words.ratio() + 0.01 * takes_values + 0.01 * takes_method

        return max(adapter.map._rules, key=likeness)

    def __str__(self) -> str:
        text = f"Could not build url for endpoint {self.endpoint!r}"
        if self.method:
            text += f" ({self.method!r})"
        if self.values:
            text += f" with values {sorted(self.values)!r}"
        return f"{text}.{self._advice()}"

    def _advice(self) -> str:
        rule = self.suggested
        if rule is None:
            return ""
        if rule.endpoint != self.endpoint:
            return f" Did you mean {rule.endpoint!r} instead?"
        advice = ""
        if self.method and rule.methods is not None and self.method not in rule.methods:
            advice += f" Did you mean to use methods {sorted(rule.methods)!r}?"
        missing = (rule.arguments | set(rule.defaults or ())) - set(self.values)
        if missing:
            advice += f" Did you forget to specify values {sorted(missing)!r}?"
        return advice


class WebsocketMismatch(BadRequest):
    """Only a websocket rule matches a plain request, or only a plain rule a websocket."""


class NoMatch(Exception):
    """Inside the matcher: no rule matches.

    Args:
        have_match_for: Methods for which the path would match.
        websocket_mismatch: Whether a rule failed only for being or not being a websocket's.
    """

    __slots__ = ("have_match_for", "websocket_mismatch")

    def __init__(self, have_match_for: set[str], websocket_mismatch: bool) -> None:
        self.have_match_for = have_match_for
        self.websocket_mismatch = websocket_mismatch
