"""URL routing: rules, the map that holds them, matching and building.

Compatible with: werkzeug.routing (3.1)
"""

from __future__ import annotations

from .converters import (
    AnyConverter as AnyConverter,
    BaseConverter as BaseConverter,
    FloatConverter as FloatConverter,
    IntegerConverter as IntegerConverter,
    NumberConverter as NumberConverter,
    PathConverter as PathConverter,
    UnicodeConverter as UnicodeConverter,
    UUIDConverter as UUIDConverter,
    ValidationError as ValidationError,
)
from .exceptions import (
    BuildError as BuildError,
    NoMatch as NoMatch,
    RequestAliasRedirect as RequestAliasRedirect,
    RequestPath as RequestPath,
    RequestRedirect as RequestRedirect,
    RoutingException as RoutingException,
    WebsocketMismatch as WebsocketMismatch,
)
from .map import Map as Map, MapAdapter as MapAdapter
from .matcher import StateMachineMatcher as StateMachineMatcher
from .rules import (
    EndpointPrefix as EndpointPrefix,
    Rule as Rule,
    RuleFactory as RuleFactory,
    RuleTemplate as RuleTemplate,
    RuleTemplateFactory as RuleTemplateFactory,
    Subdomain as Subdomain,
    Submount as Submount,
    parse_converter_args as parse_converter_args,
)
