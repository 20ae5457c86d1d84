"""The map of an application's rules, and the adapter that ties it to a host and a request.

Compatible with: werkzeug.routing.map (3.1)
"""

from __future__ import annotations

import typing as t
import warnings
from pprint import pformat
from threading import Lock

from .._internal import _get_environ, _wsgi_decoding_dance
from ..datastructures import ImmutableDict
from ..exceptions import BadHost
from ..wsgi import get_host
from .adapter import MapAdapter
from .builder import Builder, compile_builder
from .converters import DEFAULT_CONVERTERS, BaseConverter
from .matcher import StateMachineMatcher

if t.TYPE_CHECKING:
    from ..._core import Router
    from ..wrappers.request import Request
    from .rules import Rule, RuleFactory

__all__ = ["Map", "MapAdapter"]


class Map:
    """The rules of an application, and what they have in common.

    Args:
        rules: Rules and rule factories to begin with.
        default_subdomain: The subdomain of rules that name none.
        strict_slashes: Whether a branch without its slash redirects.
        merge_slashes: Whether repeated slashes redirect to single ones.
        redirect_defaults: Whether a match redirects to the canonical rule of its endpoint.
        converters: More converter classes, by their name in rules.
        sort_parameters: Whether queries are built in order.
        sort_key: The key of that order, for (name, value) pairs.
        host_matching: Whether rules are bound to hosts, not to subdomains.

    Compatible with: werkzeug.routing.Map (3.1)
    """

    #: Converter classes that every map begins with.
    default_converters: t.Mapping[str, type[BaseConverter]] = ImmutableDict(DEFAULT_CONVERTERS)

    #: The type of the lock held while rules are compiled.
    lock_class: t.Callable[[], t.Any] = Lock

    def __init__(
        self,
        rules: t.Iterable[RuleFactory] | None = None,
        default_subdomain: str = "",
        strict_slashes: bool = True,
        merge_slashes: bool = True,
        redirect_defaults: bool = True,
        converters: t.Mapping[str, type[BaseConverter]] | None = None,
        sort_parameters: bool = False,
        sort_key: t.Callable[[t.Any], t.Any] | None = None,
        host_matching: bool = False,
    ) -> None:
        self._matcher = StateMachineMatcher(merge_slashes)
        self._rules_by_endpoint: dict[t.Any, list[Rule]] = {}
        self._builders: dict[t.Any, Builder] = {}
        self._remap = True
        self._remap_lock = self.lock_class()
        self.default_subdomain = default_subdomain
        self.strict_slashes = strict_slashes
        self.redirect_defaults = redirect_defaults
        self.host_matching = host_matching
        #: Converter classes by name; may be changed before the rules that use them are added.
        self.converters: dict[str, type[BaseConverter]] = {**self.default_converters, **(converters or {})}
        self.sort_parameters = sort_parameters
        self.sort_key = sort_key
        for factory in rules or ():
            self.add(factory)

    @property
    def merge_slashes(self) -> bool:
        """Whether repeated slashes redirect to single ones."""
        return self._matcher.merge_slashes

    @merge_slashes.setter
    def merge_slashes(self, value: bool) -> None:
        self._matcher.merge_slashes = value
        self._remap = True

    @property
    def _rules(self) -> list[Rule]:
        return [rule for rules in self._rules_by_endpoint.values() for rule in rules]

    def is_endpoint_expecting(self, endpoint: t.Any, *arguments: str) -> bool:
        """Whether a rule of an endpoint takes all these arguments.

        Args:
            endpoint: The endpoint.
            *arguments: Names of variables.

        Raises:
            KeyError: There is no such endpoint.
        """
        self.update()
        return any(rule.arguments.issuperset(arguments) for rule in self._rules_by_endpoint[endpoint])

    def iter_rules(self, endpoint: t.Any | None = None) -> t.Iterator[Rule]:
        """Iterate over the rules.

        Args:
            endpoint: Only this endpoint's, in the order in which they are tried for building.

        Raises:
            KeyError: There is no such endpoint.
        """
        self.update()
        return iter(self._rules if endpoint is None else self._rules_by_endpoint[endpoint])

    def add(self, rulefactory: RuleFactory) -> None:
        """Add a rule, or the rules of a factory.

        Args:
            rulefactory: A rule or factory whose rules are bound to no map yet.
        """
        for rule in rulefactory.get_rules(self):
            rule.bind(self)
            # Not while another thread compiles: it would miss the rule and take the map for up to date.
            with self._remap_lock:
                if not rule.build_only:
                    self._matcher.add(rule)
                self._rules_by_endpoint.setdefault(rule.endpoint, []).append(rule)
                self._remap = True

    def bind(
        self,
        server_name: str,
        script_name: str | None = None,
        subdomain: str | None = None,
        url_scheme: str = "http",
        default_method: str = "GET",
        path_info: str | None = None,
        query_args: t.Mapping[str, t.Any] | str | None = None,
    ) -> MapAdapter:
        """Tie the map to a host.

        Args:
            server_name: The host, with a port if it is not the scheme's.
            script_name: The path the application is mounted at.
            subdomain: The subdomain; the map's default if None.
            url_scheme: The scheme of external URLs.
            default_method: The method where none is given.
            path_info: The path where none is given.
            query_args: The query that redirects keep, where none is given.

        Raises:
            RuntimeError: A subdomain is given and rules are bound to hosts.
            BadHost: The host is not one that could be.
        """
        if self.host_matching:
            if subdomain is not None:
                raise RuntimeError("host matching enabled and a subdomain was provided")
        elif subdomain is None:
            subdomain = self.default_subdomain
        # A port does not count for the length of a label.
        name, colon, port = server_name.lower().partition(":")
        try:
            name = name.encode("idna").decode("ascii")
        except UnicodeError as error:
            raise BadHost() from error
        return MapAdapter(
            self,
            f"{name}{colon}{port}",
            "/" if script_name is None else script_name,
            subdomain,
            url_scheme,
            "/" if path_info is None else path_info,
            default_method,
            query_args,
        )

    def bind_to_environ(
        self,
        environ: dict[str, t.Any] | Request,
        server_name: str | None = None,
        subdomain: str | None = None,
    ) -> MapAdapter:
        """Tie the map to a WSGI request.

        Args:
            environ: The environ, or a request that has one.
            server_name: The host that subdomains are relative to; the request's host if None.
            subdomain: The subdomain; taken from the request's host if None.
        """
        env = _get_environ(environ)
        current = get_host(env).lower()
        scheme = _scheme(env)
        if server_name is None:
            server_name = current
        else:
            server_name = server_name.lower()
            # As `get_host` drops it from the request's.
            standard = ":80" if scheme in {"http", "ws"} else ":443" if scheme in {"https", "wss"} else None
            if standard and server_name.endswith(standard):
                server_name = server_name[: -len(standard)]
        if subdomain is None and not self.host_matching:
            subdomain = _subdomain(current, server_name)

        def decoded(name: str) -> str | None:
            value = env.get(name)
            return None if value is None else _wsgi_decoding_dance(value)

        return Map.bind(
            self,
            server_name,
            decoded("SCRIPT_NAME"),
            subdomain,
            scheme,
            env["REQUEST_METHOD"],
            decoded("PATH_INFO"),
            query_args=decoded("QUERY_STRING"),
        )

    def quick_path(self, endpoint: t.Any, values: t.Mapping[str, t.Any]) -> str | None:
        """Return the path of an endpoint on the default subdomain; None if it is not so simple.

        BustAPI only.

        Args:
            endpoint: The endpoint.
            values: Values by name; those that are no variables become the query.
        """
        if self._remap:
            self.update()
        builder = self._builders.get(endpoint)
        if builder is None or builder.domain != self.default_subdomain or None in values.values():
            return None
        return builder.path(values)

    def update(self) -> None:
        """Compile what was added since the last time. Everything that needs it calls it."""
        if self._remap:
            with self._remap_lock:
                self._recompile()

    def _recompile(self) -> None:
        if not self._remap:
            return  # another thread did it while this one waited
        self._matcher.update()
        for rules in self._rules_by_endpoint.values():
            rules.sort(key=lambda rule: rule.build_compare_key())
        builders = ((endpoint, compile_builder(rules)) for endpoint, rules in self._rules_by_endpoint.items())
        self._builders = {endpoint: builder for endpoint, builder in builders if builder is not None}
        self._remap = False

    def native_router(self) -> Router:
        """Return the core's router for the rules as they are now.

        BustAPI only.
        """
        self.update()
        return self._matcher.router()

    def native_rules(self) -> list[Rule]:
        """Return the rules in the order in which the core's router numbers them.

        BustAPI only.
        """
        return list(self._matcher.rules)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({pformat(list(self.iter_rules()))})"


def _scheme(environ: dict[str, t.Any]) -> str:
    scheme: str = environ["wsgi.url_scheme"]
    # RFC 9110 7.8: an upgrade that HTTP/1.0 asks for is ignored.
    if environ.get("SERVER_PROTOCOL") == "HTTP/1.0":
        return scheme
    options = environ.get("HTTP_CONNECTION", "").lower().split(",")
    upgrade = any(option.strip(" \t") == "upgrade" for option in options)
    if upgrade and environ.get("HTTP_UPGRADE", "").lower() == "websocket":
        return "wss" if scheme == "https" else "ws"
    return scheme


def _subdomain(current: str, server_name: str) -> str:
    """What `current` has in front of `server_name`."""
    labels, base = current.split("."), server_name.split(".")
    if labels[-len(base) :] != base:
        warnings.warn(
            f"Current server name {current!r} doesn't match configured server name {server_name!r}",
            stacklevel=3,
        )
        # No rule can be on it: such a request gets a 404, not an error.
        return "<invalid>"
    return ".".join(filter(None, labels[: -len(base)]))
