"""`MapAdapter`, the working side of a map: matching a path, and building URLs.

Its public home is `map`, as in werkzeug.routing.map (3.1).
"""

from __future__ import annotations

import re
import typing as t
from urllib.parse import quote, urljoin, urlunsplit

from ..datastructures import MultiDict
from ..exceptions import HTTPException, MethodNotAllowed, NotFound
from ..urls import _urlencode
from .converters import PATH_SAFE
from .exceptions import (
    BuildError,
    NoMatch,
    RequestAliasRedirect,
    RequestPath,
    RequestRedirect,
    WebsocketMismatch,
)

if t.TYPE_CHECKING:
    from .map import Map
    from .rules import Rule

_QueryArgs = t.Union[t.Mapping[str, t.Any], str]

_placeholder_re = re.compile(r"<([^>]+)>")
_SECURE = frozenset({"https", "wss"})


class MapAdapter:
    """A map tied to a host, and possibly to a request. Made by `Map.bind` and `Map.bind_to_environ`.

    Args:
        map: The map.
        server_name: The host.
        script_name: The path the application is mounted at.
        subdomain: The subdomain; None if rules are bound to hosts.
        url_scheme: The scheme of external URLs.
        path_info: The path where none is given.
        default_method: The method where none is given.
        query_args: The query that redirects keep, where none is given.

    Compatible with: werkzeug.routing.MapAdapter (3.1)
    """

    def __init__(
        self,
        map: Map,
        server_name: str,
        script_name: str,
        subdomain: str | None,
        url_scheme: str,
        path_info: str,
        default_method: str,
        query_args: _QueryArgs | None = None,
    ) -> None:
        self.map = map
        self.server_name = server_name
        self.script_name = script_name if script_name.endswith("/") else f"{script_name}/"
        self.subdomain = subdomain
        self.url_scheme = url_scheme
        self.path_info = path_info
        self.default_method = default_method
        self.query_args = query_args
        self.websocket = url_scheme in {"ws", "wss"}

    def dispatch(
        self,
        view_func: t.Callable[[t.Any, t.Mapping[str, t.Any]], t.Any],
        path_info: str | None = None,
        method: str | None = None,
        catch_http_exceptions: bool = False,
    ) -> t.Any:
        """Match, and call a function with endpoint and values.

        Args:
            view_func: The function.
            path_info: The path; the adapter's if None.
            method: The method; the adapter's if None.
            catch_http_exceptions: Whether HTTP exceptions are returned.

        Returns:
            What the function returns, or a redirect.
        """
        try:
            try:
                endpoint, values = self.match(path_info, method)
            except RequestRedirect as redirect:
                return redirect
            return view_func(endpoint, values)
        except HTTPException as error:
            if catch_http_exceptions:
                return error
            raise

    @t.overload
    def match(
        self,
        path_info: str | None = None,
        method: str | None = None,
        return_rule: t.Literal[False] = False,
        query_args: _QueryArgs | None = None,
        websocket: bool | None = None,
    ) -> tuple[t.Any, t.Mapping[str, t.Any]]: ...

    @t.overload
    def match(
        self,
        path_info: str | None = None,
        method: str | None = None,
        return_rule: t.Literal[True] = True,
        query_args: _QueryArgs | None = None,
        websocket: bool | None = None,
    ) -> tuple[Rule, t.Mapping[str, t.Any]]: ...

    def match(
        self,
        path_info: str | None = None,
        method: str | None = None,
        return_rule: bool = False,
        query_args: _QueryArgs | None = None,
        websocket: bool | None = None,
    ) -> tuple[t.Any | Rule, t.Mapping[str, t.Any]]:
        """Find what a path and a method lead to.

        Args:
            path_info: The decoded path; the adapter's if None.
            method: The method; the adapter's if None.
            return_rule: Whether to return the rule, not its endpoint.
            query_args: The query that a redirect keeps; the adapter's if None.
            websocket: Whether it is a websocket's request; by the scheme if None.

        Returns:
            Endpoint or rule, and the values for the view.

        Raises:
            RequestRedirect: The URL has another, canonical form.
            MethodNotAllowed: Rules match, but for other methods.
            WebsocketMismatch: Rules match, but for websockets or but for plain requests.
            NotFound: No rule matches.
        """
        self.map.update()
        if path_info is None:
            path_info = self.path_info
        if query_args is None:
            query_args = self.query_args or {}
        if websocket is None:
            websocket = self.websocket
        method = (method or self.default_method).upper()
        domain = self.server_name
        if self.subdomain is not None and not self.map.host_matching:
            domain = self.subdomain
        path = f"/{path_info.lstrip('/')}" if path_info else ""
        try:
            rule, values = self.map._matcher.match(domain, path, method, websocket)
        except RequestPath as better:
            new_path = quote(better.path_info, safe=PATH_SAFE)
            raise RequestRedirect(self.make_redirect_url(new_path, query_args)) from None
        except RequestAliasRedirect as alias:
            url = self.make_alias_redirect_url(
                f"{domain}|{path}", alias.endpoint, alias.matched_values, method, query_args
            )
            raise RequestRedirect(url) from None
        except NoMatch as miss:
            if miss.have_match_for:
                raise MethodNotAllowed(valid_methods=list(miss.have_match_for)) from None
            if miss.websocket_mismatch:
                raise WebsocketMismatch() from None
            raise NotFound() from None
        if self.map.redirect_defaults:
            canonical = self.get_default_redirect(rule, method, values, query_args)
            if canonical is not None:
                raise RequestRedirect(canonical)
        if rule.redirect_to is not None:
            raise RequestRedirect(self._redirect_target(rule, values))
        return (rule if return_rule else rule.endpoint), values

    def test(self, path_info: str | None = None, method: str | None = None) -> bool:
        """Whether a path leads anywhere, a redirect included.

        Args:
            path_info: The path; the adapter's if None.
            method: The method; the adapter's if None.
        """
        try:
            self.match(path_info, method)
        except RequestRedirect:
            return True
        except HTTPException:
            return False
        return True

    def allowed_methods(self, path_info: str | None = None) -> t.Iterable[str]:
        """Return the methods for which a path matches.

        Args:
            path_info: The path; the adapter's if None.
        """
        try:
            # No method has this name.
            self.match(path_info, method="--")
        except MethodNotAllowed as error:
            return error.valid_methods or ()
        except HTTPException:
            pass
        return []

    def get_host(self, domain_part: str | None) -> str:
        """Return the whole host for a domain part.

        Args:
            domain_part: A host if rules are bound to hosts, else a subdomain; the adapter's if None.
        """
        if self.map.host_matching:
            return self.server_name if domain_part is None else domain_part
        subdomain = self.subdomain if domain_part is None else domain_part
        return f"{subdomain}.{self.server_name}" if subdomain else self.server_name

    def get_default_redirect(
        self,
        rule: Rule,
        method: str,
        values: t.MutableMapping[str, t.Any],
        query_args: _QueryArgs,
    ) -> str | None:
        """Return the URL of a rule of the same endpoint whose defaults say what the values say.

        Args:
            rule: The rule that matched.
            method: The method.
            values: The values of the match; get the other rule's defaults.
            query_args: The query to keep.

        Returns:
            The URL, or None if the rule is the canonical one.
        """
        for other in self.map._rules_by_endpoint[rule.endpoint]:
            # They are in order: what follows the rule itself is less canonical.
            if other is rule:
                return None
            if other.provides_defaults_for(rule) and other.suitable_for(values, method):
                values.update(other.defaults or {})
                built = other.build(values)
                if built is not None:
                    return self.make_redirect_url(built[1], query_args, domain_part=built[0])
        return None

    def encode_query_args(self, query_args: _QueryArgs) -> str:
        """Return a query as text.

        Args:
            query_args: The query, as text or as a mapping.
        """
        return query_args if isinstance(query_args, str) else _urlencode(query_args)

    def make_redirect_url(
        self,
        path_info: str,
        query_args: _QueryArgs | None = None,
        domain_part: str | None = None,
    ) -> str:
        """Return the absolute URL of a path.

        Args:
            path_info: The path, encoded.
            query_args: The query; the adapter's if None.
            domain_part: Host or subdomain; the adapter's if None.
        """
        if query_args is None:
            query_args = self.query_args
        query = self.encode_query_args(query_args) if query_args else ""
        path = f"{self.script_name.strip('/')}/{path_info.lstrip('/')}"
        return urlunsplit((self.url_scheme or "http", self.get_host(domain_part), path, query, ""))

    def make_alias_redirect_url(
        self,
        path: str,
        endpoint: t.Any,
        values: t.Mapping[str, t.Any],
        method: str,
        query_args: _QueryArgs,
    ) -> str:
        """Return the canonical URL of an alias.

        Args:
            path: The domain and the path that matched.
            endpoint: The endpoint.
            values: The values of the match.
            method: The method.
            query_args: The query to keep.

        Raises:
            AssertionError: It is the one that matched.
        """
        url = self.build(endpoint, values, method, append_unknown=False, force_external=True)
        if query_args:
            url = f"{url}?{self.encode_query_args(query_args)}"
        if url == path:
            raise AssertionError("detected invalid alias setting. No canonical URL found")
        return url

    def build(
        self,
        endpoint: t.Any,
        values: t.Mapping[str, t.Any] | None = None,
        method: str | None = None,
        force_external: bool = False,
        append_unknown: bool = True,
        url_scheme: str | None = None,
    ) -> str:
        """Build the URL of an endpoint.

        Args:
            endpoint: The endpoint.
            values: Values of the variables; None ones do not count.
            method: The method the URL is for, where rules of the endpoint differ.
            force_external: Whether the URL is absolute even on the same host.
            append_unknown: Whether values that are no variables become the query.
            url_scheme: The scheme of an absolute URL; the adapter's if None, none if empty.

        Raises:
            BuildError: No rule of the endpoint takes the values.
        """
        url_map = self.map
        if url_map._remap:
            url_map.update()
        given: t.Mapping[str, t.Any] = {}
        if isinstance(values, MultiDict):
            given = {
                key: several[0] if len(several) == 1 else several
                for key, several in values.lists()
                if several
            }
        elif values:
            given = values
            for value in values.values():
                if value is None:
                    given = {key: value for key, value in values.items() if value is not None}
                    break
        builder = url_map._builders.get(endpoint) if append_unknown else None
        if builder is not None and (method is None or builder.methods is None or method in builder.methods):
            quick = builder.path(given)
            if quick is not None:
                if builder.domain == self.subdomain and not force_external:
                    return f"{self.script_name.rstrip('/')}/{quick}"
                return self._absolute(builder.domain, quick, url_scheme)
        built = self._partial_build(endpoint, given, method, append_unknown)
        if built is None:
            raise BuildError(endpoint, dict(given), method, self)
        domain, path, websocket = built
        path = path.lstrip("/")
        if not force_external and not websocket:
            here = self.server_name if url_map.host_matching else self.subdomain
            if domain == here:
                return f"{self.script_name.rstrip('/')}/{path}"
        return self._absolute(domain, path, url_scheme, websocket)

    def _absolute(self, domain: str, path: str, url_scheme: str | None, websocket: bool = False) -> str:
        scheme = self.url_scheme if url_scheme is None else url_scheme
        if websocket:
            # Clients need whole URLs of websockets.
            scheme = "wss" if scheme in _SECURE else "ws"
        elif scheme:
            scheme = "https" if scheme in _SECURE else "http"
        colon = ":" if scheme else ""
        return f"{scheme}{colon}//{self.get_host(domain)}{self.script_name[:-1]}/{path}"

    def _partial_build(
        self, endpoint: t.Any, values: t.Mapping[str, t.Any], method: str | None, append_unknown: bool
    ) -> tuple[str, str, bool] | None:
        """Domain part and path of the first rule that takes the values, and whether it is a websocket's."""
        rules = self.map._rules_by_endpoint.get(endpoint, ())
        # Without a method the default one's rules come first, then any.
        for wanted in (self.default_method, None) if method is None else (method,):
            elsewhere = None
            for rule in rules:
                if not rule.suitable_for(values, wanted):
                    continue
                parts = rule.build(values, append_unknown)
                if parts is None:
                    continue
                built = (*parts, rule.websocket)
                if not self.map.host_matching or parts[0] == self.server_name:
                    return built
                elsewhere = elsewhere or built
            if elsewhere is not None:
                return elsewhere
        return None

    def _redirect_target(self, rule: Rule, values: t.Mapping[str, t.Any]) -> str:
        target = rule.redirect_to
        if isinstance(target, str):

            def fill(found: re.Match[str]) -> str:
                name = found.group(1)
                return rule._converters[name].to_url(values[name])

            url = _placeholder_re.sub(fill, target)
        else:
            assert target is not None
            url = target(self, **values)
        netloc = f"{self.subdomain}.{self.server_name}" if self.subdomain else self.server_name
        return urljoin(f"{self.url_scheme or 'http'}://{netloc}{self.script_name}", url)
