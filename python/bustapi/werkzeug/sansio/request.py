"""A request as plain values: method, path, query and header fields, with what can be derived from them.

Nothing here reads a body or knows of WSGI. Everything derived is computed on first access and kept.
"""

from __future__ import annotations

import typing as t
from datetime import datetime
from urllib.parse import parse_qsl

from .._internal import _lazy
from ..datastructures import (
    Accept,
    Authorization,
    CharsetAccept,
    ETags,
    Headers,
    HeaderSet,
    IfRange,
    ImmutableList,
    ImmutableMultiDict,
    LanguageAccept,
    MIMEAccept,
    MultiDict,
    Range,
    RequestCacheControl,
)
from ..http import (
    parse_accept_header,
    parse_cache_control_header,
    parse_date,
    parse_etags,
    parse_if_range_header,
    parse_list_header,
    parse_options_header,
    parse_range_header,
    parse_set_header,
)
from ..user_agent import UserAgent
from ..utils import header_property
from .http import parse_cookie
from .utils import get_content_length, get_current_url, get_host


def _parse_query(query: bytes) -> list[tuple[str, str]]:
    """Return the fields of a query string; bytes that are no UTF-8 become replacement characters."""
    text = query.decode("utf-8", "replace")
    if "%" in text:
        return parse_qsl(text, keep_blank_values=True, errors="werkzeug.url_quote")
    if "+" in text:
        text = text.replace("+", " ")
    return [(key, value) for key, _, value in (pair.partition("=") for pair in text.split("&") if pair)]


class Request:
    """The part of a request that does no I/O.

    Args:
        method: The method, in upper case from here on.
        scheme: `http`, `https`, `ws` or `wss`.
        server: Host and port of the server, path and None for a unix socket, or None.
        root_path: Where the application is mounted.
        path: The path below `root_path`, decoded.
        query_string: What follows `?`, as sent.
        headers: The header fields.
        remote_addr: The client's address.

    Compatible with: werkzeug.sansio.request.Request (3.1)
    """

    #: The class of `args` and `form`.
    parameter_storage_class: type[MultiDict[str, t.Any]] = ImmutableMultiDict
    #: The class of `cookies`, and of what a form parser returns.
    dict_storage_class: type[MultiDict[str, t.Any]] = ImmutableMultiDict
    #: The class of `access_route`.
    list_storage_class: type[list[t.Any]] = ImmutableList
    #: The class of `user_agent`.
    user_agent_class: type[UserAgent] = UserAgent
    #: Hosts to accept, see `sansio.utils.host_is_trusted`; None accepts any that is well formed.
    trusted_hosts: list[str] | None = None

    def __init__(
        self,
        method: str,
        scheme: str,
        server: tuple[str, int | None] | None,
        root_path: str,
        path: str,
        query_string: bytes,
        headers: Headers,
        remote_addr: str | None,
    ) -> None:
        self.method = method.upper()
        self.scheme = scheme
        self.server = server
        self.root_path = root_path.rstrip("/")
        self.path = "/" + path.lstrip("/")
        self.query_string = query_string
        self.headers = headers
        self.remote_addr = remote_addr

    def __repr__(self) -> str:
        try:
            url = self.url
        except Exception as error:
            url = f"(invalid URL: {error})"
        return f"<{type(self).__name__} {url!r} [{self.method}]>"

    # The URL

    @_lazy
    def args(self) -> MultiDict[str, str]:
        """The fields of the query string."""
        return self.parameter_storage_class(_parse_query(self.query_string))

    @_lazy
    def access_route(self) -> list[str]:
        """The addresses in X-Forwarded-For, else the client's own alone. Only as true as the proxies that sent it."""
        if "X-Forwarded-For" in self.headers:
            return self.list_storage_class(parse_list_header(self.headers["X-Forwarded-For"]))
        return self.list_storage_class(() if self.remote_addr is None else (self.remote_addr,))

    @_lazy
    def full_path(self) -> str:
        """The path with the query string, and always a `?` between them."""
        return f"{self.path}?{self.query_string.decode('utf-8', 'replace')}"

    @property
    def is_secure(self) -> bool:
        """Whether the request came over TLS, as far as the scheme tells."""
        return self.scheme in ("https", "wss")

    @_lazy
    def url(self) -> str:
        """The whole URL, as an IRI."""
        return get_current_url(self.scheme, self.host, self.root_path, self.path, self.query_string)

    @_lazy
    def base_url(self) -> str:
        """The URL without the query string."""
        return get_current_url(self.scheme, self.host, self.root_path, self.path)

    @_lazy
    def root_url(self) -> str:
        """The URL up to where the application is mounted."""
        return get_current_url(self.scheme, self.host, self.root_path)

    @_lazy
    def host_url(self) -> str:
        """The URL's scheme and host."""
        return get_current_url(self.scheme, self.host)

    @_lazy
    def host(self) -> str:
        """The host, with the port unless it is the scheme's own. Checked against `trusted_hosts`."""
        header = self.headers.get("host")
        # The server's own address is asked for only if it has to stand in.
        return get_host(self.scheme, header, self.server if header is None else None, self.trusted_hosts)

    # Header fields

    @_lazy
    def cookies(self) -> ImmutableMultiDict[str, str]:
        """The cookies."""
        return parse_cookie(";".join(self.headers.getlist("Cookie")), cls=self.dict_storage_class)  # type: ignore[no-any-return]

    content_type = header_property[str](
        "Content-Type", doc="The media type with its parameters.", read_only=True
    )

    @_lazy
    def content_length(self) -> int | None:
        """The declared length of the body; None if there is none or it comes in chunks."""
        headers = self.headers
        return get_content_length(headers.get("Content-Length"), headers.get("Transfer-Encoding"))

    content_encoding = header_property[str](
        "Content-Encoding", doc="How the body is encoded.", read_only=True
    )
    content_md5 = header_property[str](
        "Content-MD5", doc="A checksum of the body (RFC 1864).", read_only=True
    )
    referrer = header_property[str]("Referer", doc="The page that led to this one.", read_only=True)
    date = header_property[t.Optional[datetime]](
        "Date", None, parse_date, doc="When the request was made.", read_only=True
    )
    max_forwards = header_property[t.Optional[int]](
        "Max-Forwards", None, int, doc="How many proxies may follow.", read_only=True
    )

    def _parse_content_type(self) -> None:
        if "_parsed_content_type" not in self.__dict__:
            self._parsed_content_type = parse_options_header(self.headers.get("Content-Type", ""))

    @property
    def mimetype(self) -> str:
        """The media type in lower case, without parameters; empty if none was sent."""
        self._parse_content_type()
        return self._parsed_content_type[0].lower()

    @property
    def mimetype_params(self) -> dict[str, str]:
        """The parameters of the media type."""
        self._parse_content_type()
        return self._parsed_content_type[1]

    @property
    def is_json(self) -> bool:
        """Whether the media type says JSON: `application/json` or `application/*+json`."""
        kind = self.mimetype
        return kind == "application/json" or (kind.startswith("application/") and kind.endswith("+json"))

    @_lazy
    def pragma(self) -> HeaderSet:
        """The Pragma field."""
        return parse_set_header(self.headers.get("Pragma", ""))

    @_lazy
    def accept_mimetypes(self) -> MIMEAccept:
        """Media types that the client takes."""
        return parse_accept_header(self.headers.get("Accept"), MIMEAccept)  # type: ignore[no-any-return]

    @_lazy
    def accept_charsets(self) -> CharsetAccept:
        """Charsets that the client takes."""
        return parse_accept_header(self.headers.get("Accept-Charset"), CharsetAccept)  # type: ignore[no-any-return]

    @_lazy
    def accept_encodings(self) -> Accept:
        """Content codings that the client takes."""
        return parse_accept_header(self.headers.get("Accept-Encoding"))  # type: ignore[no-any-return]

    @_lazy
    def accept_languages(self) -> LanguageAccept:
        """Languages that the client takes."""
        return parse_accept_header(self.headers.get("Accept-Language"), LanguageAccept)  # type: ignore[no-any-return]

    @_lazy
    def cache_control(self) -> RequestCacheControl:
        """What the client asks of caches."""
        return parse_cache_control_header(  # type: ignore[no-any-return]
            self.headers.get("Cache-Control"), None, RequestCacheControl
        )

    @_lazy
    def if_match(self) -> ETags:
        """Tags of which one must be the resource's."""
        return parse_etags(self.headers.get("If-Match"))

    @_lazy
    def if_none_match(self) -> ETags:
        """Tags of which none must be the resource's."""
        return parse_etags(self.headers.get("If-None-Match"))

    @_lazy
    def if_modified_since(self) -> datetime | None:
        """The client has what was current at this time."""
        return parse_date(self.headers.get("If-Modified-Since"))

    @_lazy
    def if_unmodified_since(self) -> datetime | None:
        """The request holds only if nothing changed since."""
        return parse_date(self.headers.get("If-Unmodified-Since"))

    @_lazy
    def if_range(self) -> IfRange:
        """The range holds only for this tag or date."""
        return parse_if_range_header(self.headers.get("If-Range"))

    @_lazy
    def range(self) -> Range | None:
        """The range asked for."""
        return parse_range_header(self.headers.get("Range"))

    @_lazy
    def user_agent(self) -> UserAgent:
        """The client program."""
        return self.user_agent_class(self.headers.get("User-Agent", ""))

    @_lazy
    def authorization(self) -> Authorization | None:
        """The credentials; None if there are none or they are malformed."""
        return Authorization.from_header(self.headers.get("Authorization"))

    # Fetch and CORS

    origin = header_property[str]("Origin", doc="The site that the request comes from.", read_only=True)
    access_control_request_headers = header_property[HeaderSet](
        "Access-Control-Request-Headers",
        load_func=parse_set_header,
        doc="Fields that the request to come will have (preflight).",
        read_only=True,
    )
    access_control_request_method = header_property[str](
        "Access-Control-Request-Method", doc="The method of the request to come (preflight).", read_only=True
    )
