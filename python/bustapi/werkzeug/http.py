"""Parsing and writing of HTTP header values.

Parsers never raise on what a client sent: a broken value reads as missing, or its broken part is left out. Every one
is linear in the length of its input.
"""

from __future__ import annotations

from ._http.cookies import (
    dump_cookie,
    parse_cookie,
)
from ._http.dates import (
    dump_age,
    http_date,
    parse_age,
    parse_date,
)
from ._http.quoting import _token_chars as _token_chars
from ._http.quoting import (
    dump_csp_header,
    dump_header,
    dump_options_header,
    quote_header_value,
    unquote_header_value,
)
from ._http.ranges import (
    is_byte_range_valid,
    parse_content_range_header,
    parse_if_range_header,
    parse_range_header,
)
from ._http.tags import (
    generate_etag,
    is_resource_modified,
    parse_etags,
    quote_etag,
    unquote_etag,
)
from ._http.values import (
    parse_accept_header,
    parse_cache_control_header,
    parse_csp_header,
    parse_dict_header,
    parse_list_header,
    parse_options_header,
    parse_set_header,
)
from ._http.vocabulary import (
    COEP,
    COOP,
    HTTP_STATUS_CODES,
    is_entity_header,
    is_hop_by_hop_header,
    remove_entity_headers,
    remove_hop_by_hop_headers,
)
from ._http.vocabulary import _entity_headers as _entity_headers
from ._http.vocabulary import _hop_by_hop_headers as _hop_by_hop_headers

__all__ = (
    "COEP",
    "COOP",
    "HTTP_STATUS_CODES",
    "dump_age",
    "dump_cookie",
    "dump_csp_header",
    "dump_header",
    "dump_options_header",
    "generate_etag",
    "http_date",
    "is_byte_range_valid",
    "is_entity_header",
    "is_hop_by_hop_header",
    "is_resource_modified",
    "parse_accept_header",
    "parse_age",
    "parse_cache_control_header",
    "parse_content_range_header",
    "parse_cookie",
    "parse_csp_header",
    "parse_date",
    "parse_dict_header",
    "parse_etags",
    "parse_if_range_header",
    "parse_list_header",
    "parse_options_header",
    "parse_range_header",
    "parse_set_header",
    "quote_etag",
    "quote_header_value",
    "remove_entity_headers",
    "remove_hop_by_hop_headers",
    "unquote_etag",
    "unquote_header_value",
)

# Users see one module, whatever it is made of: in tracebacks, in pickles, and where the bridge compares names.
for _name in __all__:
    _value = globals()[_name]
    if callable(_value):
        _value.__module__ = __name__
del _name, _value
