"""A response without a body: status and header fields, each field with an attribute in Python's own types."""

from __future__ import annotations

import typing as t
from datetime import datetime, timedelta, timezone
from http import HTTPStatus

from ..datastructures import (
    CallbackDict,
    ContentRange,
    ContentSecurityPolicy,
    Headers,
    HeaderSet,
    ResponseCacheControl,
    WWWAuthenticate,
)
from ..http import (
    COEP,
    COOP,
    HTTP_STATUS_CODES,
    dump_age,
    dump_cookie,
    dump_csp_header,
    dump_header,
    dump_options_header,
    http_date,
    parse_age,
    parse_cache_control_header,
    parse_content_range_header,
    parse_csp_header,
    parse_date,
    parse_options_header,
    parse_set_header,
    quote_etag,
    unquote_etag,
)
from ..utils import get_content_type, header_property

if t.TYPE_CHECKING:
    Status = t.Union[int, str, HTTPStatus]
    Fields = t.Union[t.Mapping[str, t.Union[str, t.Iterable[str]]], t.Iterable[tuple[str, str]]]

#: The status lines of the known codes.
STATUS_LINES = {code: f"{code} {phrase.upper()}" for code, phrase in HTTP_STATUS_CODES.items()}

_content_type_fields: dict[str, tuple[str, str]] = {}


def content_type_field(mimetype: str) -> tuple[str, str]:
    """Return the Content-Type field for a media type, with a charset for text.

    Raises:
        ValueError: The media type holds CR, LF or NUL.
    """
    known = _content_type_fields.get(mimetype)
    if known is None:
        checked = Headers()
        checked.set("Content-Type", get_content_type(mimetype, "utf-8"))
        known = checked[0]
        # An application uses a handful; one that makes them up must not fill the memory.
        if len(_content_type_fields) < 256:
            _content_type_fields[mimetype] = known
    return known


def _set_property(name: str, doc: str) -> t.Any:
    """Return a property for a field that is a set of tokens; changes of the set are written back."""

    def read(self: Response) -> HeaderSet:
        def write_back(tokens: HeaderSet) -> None:
            if tokens:
                self.headers[name] = tokens.to_header()
            else:
                self.headers.pop(name, None)

        return parse_set_header(self.headers.get(name), write_back)

    def write(self: Response, value: str | t.Iterable[str] | None) -> None:
        if not value:
            self.headers.pop(name, None)
        elif isinstance(value, str):
            self.headers[name] = value
        else:
            self.headers[name] = dump_header(value)

    return property(read, write, doc=doc)


def _csp_property(name: str, doc: str) -> t.Any:
    """Return a property for a field that is a policy; changes of the policy are written back."""

    def read(self: Response) -> ContentSecurityPolicy:
        def write_back(policy: t.Any) -> None:
            if policy:
                self.headers[name] = policy.to_header()
            else:
                self.headers.pop(name, None)

        return t.cast(ContentSecurityPolicy, parse_csp_header(self.headers.get(name), write_back))

    def write(self: Response, value: ContentSecurityPolicy | str | None) -> None:
        if not value:
            self.headers.pop(name, None)
        else:
            self.headers[name] = value if isinstance(value, str) else dump_csp_header(value)

    return property(read, write, doc=doc)


class Response:
    """The part of a response that has no body.

    Args:
        status: The code, or the code with a phrase; `default_status` if None.
        headers: The header fields; a `Headers` object is used itself, not copied.
        mimetype: The media type; text types get a charset. `default_mimetype` if nothing says otherwise.
        content_type: The whole Content-Type field, in place of `mimetype`.

    Compatible with: werkzeug.sansio.response.Response (3.1)
    """

    #: The status if none is given.
    default_status = 200
    #: The media type if none is given; None for no Content-Type.
    default_mimetype: str | None = "text/plain"
    #: Bytes above which a cookie gets a warning, since browsers ignore longer ones; 0 for never.
    max_cookie_size = 4093

    headers: Headers
    _status: str
    _status_code: int

    def __init__(
        self,
        status: Status | None = None,
        headers: Fields | None = None,
        mimetype: str | None = None,
        content_type: str | None = None,
    ) -> None:
        self.headers = headers if isinstance(headers, Headers) else Headers(headers)
        if content_type is None:
            if mimetype is None and "content-type" not in self.headers:
                mimetype = self.default_mimetype
            if mimetype is not None:
                content_type = content_type_field(mimetype)[1]
        if content_type is not None:
            self.headers["Content-Type"] = content_type
        self.status = self.default_status if status is None else status

    def __repr__(self) -> str:
        return f"<{type(self).__name__} [{self.status}]>"

    # The status

    @property
    def status_code(self) -> int:
        """The status code."""
        return self._status_code

    @status_code.setter
    def status_code(self, code: int) -> None:
        self.status = code

    @property
    def status(self) -> str:
        """The status code and its phrase."""
        return self._status

    @status.setter
    def status(self, value: Status) -> None:
        self._status, self._status_code = self._clean_status(value)

    def _clean_status(self, value: Status) -> tuple[str, int]:
        """Return the status line and the code; text that does not begin with a code gets 0."""
        if isinstance(value, (int, HTTPStatus)):
            code = int(value)
        else:
            value = value.strip()
            if not value:
                raise ValueError("Empty status argument")
            number, space, _ = value.partition(" ")
            try:
                code = int(number)
            except ValueError:
                return f"0 {value}", 0
            if space:
                return value, code
        return STATUS_LINES.get(code) or f"{code} UNKNOWN", code

    # Cookies

    def set_cookie(
        self,
        key: str,
        value: str = "",
        max_age: timedelta | int | None = None,
        expires: str | datetime | float | None = None,
        path: str | None = "/",
        domain: str | None = None,
        secure: bool = False,
        httponly: bool = False,
        samesite: str | None = None,
        partitioned: bool = False,
    ) -> None:
        """Set a cookie.

        Args:
            key: Its name.
            value: Its value.
            max_age: Seconds it lives; None until the browser ends.
            expires: When it ends: a datetime or Unix time.
            path: Where it is sent to.
            domain: Hosts below which it is sent; None for this host alone.
            secure: Only over TLS.
            httponly: Not for scripts.
            samesite: `Strict`, `Lax` or `None`.
            partitioned: Kept apart for each site that embeds this one; needs `secure`.
        """
        text = dump_cookie(
            key,
            value=value,
            max_age=max_age,
            expires=expires,
            path=path,
            domain=domain,
            secure=secure,
            httponly=httponly,
            max_size=self.max_cookie_size,
            samesite=samesite,
            partitioned=partitioned,
        )
        self.headers.add("Set-Cookie", text)

    def delete_cookie(
        self,
        key: str,
        path: str | None = "/",
        domain: str | None = None,
        secure: bool = False,
        httponly: bool = False,
        samesite: str | None = None,
        partitioned: bool = False,
    ) -> None:
        """Have the browser forget a cookie. The arguments must be those that it was set with, see `set_cookie`."""
        self.set_cookie(
            key,
            expires=0,
            max_age=0,
            path=path,
            domain=domain,
            secure=secure,
            httponly=httponly,
            samesite=samesite,
            partitioned=partitioned,
        )

    # The content

    @property
    def is_json(self) -> bool:
        """Whether the media type says JSON."""
        kind = self.mimetype
        if kind is None:
            return False
        return kind == "application/json" or (kind.startswith("application/") and kind.endswith("+json"))

    @property
    def mimetype(self) -> str | None:
        """The media type without parameters. Setting it adds a charset to text types."""
        field = self.headers.get("content-type")
        return field.partition(";")[0].strip() if field else None

    @mimetype.setter
    def mimetype(self, value: str) -> None:
        self.headers["Content-Type"] = get_content_type(value, "utf-8")

    @property
    def mimetype_params(self) -> dict[str, str]:
        """The parameters of the media type; changes are written back."""

        def write_back(params: t.Any) -> None:
            self.headers["Content-Type"] = dump_options_header(self.mimetype, params)

        return CallbackDict(parse_options_header(self.headers.get("content-type", ""))[1], write_back)

    location = header_property[str]("Location", doc="Where to go, or what was made.")
    age = header_property[t.Optional[timedelta]](
        "Age",
        None,
        parse_age,
        dump_age,  # type: ignore[arg-type]
        doc="For how long a cache had it.",
    )
    content_type = header_property[str]("Content-Type", doc="The media type with its parameters.")
    content_length = header_property[t.Optional[int]](
        "Content-Length", None, int, str, doc="The length of the body in bytes."
    )
    content_location = header_property[str]("Content-Location", doc="A URL that always gives this content.")
    content_encoding = header_property[str]("Content-Encoding", doc="How the body is encoded.")
    content_md5 = header_property[str]("Content-MD5", doc="A checksum of the body (RFC 1864).")
    date = header_property[t.Optional[datetime]](
        "Date", None, parse_date, http_date, doc="When the response was made."
    )
    expires = header_property[t.Optional[datetime]](
        "Expires", None, parse_date, http_date, doc="When caches must ask again."
    )
    last_modified = header_property[t.Optional[datetime]](
        "Last-Modified", None, parse_date, http_date, doc="When the content changed."
    )
    accept_ranges = header_property[str]("Accept-Ranges", doc="The unit of ranges that can be asked for.")

    @property
    def retry_after(self) -> datetime | None:
        """When to try again. It can be set to a datetime, a timedelta, seconds or text."""
        field = self.headers.get("retry-after")
        if field is None:
            return None
        try:
            delay = timedelta(seconds=int(field))
            return datetime.now(timezone.utc) + delay
        except OverflowError:
            return None
        except ValueError:
            return parse_date(field)

    @retry_after.setter
    def retry_after(self, value: datetime | timedelta | int | str | None) -> None:
        if value is None:
            self.headers.pop("retry-after", None)
        elif isinstance(value, datetime):
            self.headers["Retry-After"] = http_date(value)
        else:
            self.headers["Retry-After"] = str(
                int(value.total_seconds()) if isinstance(value, timedelta) else value
            )

    vary = _set_property("Vary", "Request fields that the content depends on.")
    content_language = _set_property("Content-Language", "The languages of the content.")
    allow = _set_property("Allow", "The methods that the resource has.")

    # Caching

    @property
    def cache_control(self) -> ResponseCacheControl:
        """What caches may do; changes are written back."""

        def write_back(directives: t.Any) -> None:
            if directives:
                self.headers["Cache-Control"] = directives.to_header()
            else:
                self.headers.pop("cache-control", None)

        return parse_cache_control_header(  # type: ignore[no-any-return]
            self.headers.get("cache-control"), write_back, ResponseCacheControl
        )

    def set_etag(self, etag: str, weak: bool = False) -> None:
        """Set the content's tag, `weak` if equal tags do not mean equal bytes."""
        self.headers["ETag"] = quote_etag(etag, weak)

    def get_etag(self) -> tuple[str, bool] | tuple[None, None]:
        """Return the content's tag and whether it is weak, or (None, None)."""
        return unquote_etag(self.headers.get("ETag"))

    @property
    def content_range(self) -> ContentRange:
        """The range that the body is; changes are written back. Unset, its `units` are None."""

        def write_back(part: ContentRange) -> None:
            if part:
                self.headers["Content-Range"] = part.to_header()
            else:
                self.headers.pop("content-range", None)

        found = parse_content_range_header(self.headers.get("content-range"), write_back)
        return ContentRange(None, None, None, on_update=write_back) if found is None else found

    @content_range.setter
    def content_range(self, value: ContentRange | str | None) -> None:
        if not value:
            self.headers.pop("content-range", None)
        else:
            self.headers["Content-Range"] = value if isinstance(value, str) else value.to_header()

    # Authentication and browser policies

    @property
    def www_authenticate(self) -> WWWAuthenticate:
        """How to authenticate; changes are written back. Setting a list gives several fields."""

        def write_back(challenge: WWWAuthenticate) -> None:
            self.www_authenticate = challenge

        challenge = WWWAuthenticate.from_header(self.headers.get("WWW-Authenticate"))
        if challenge is None:
            challenge = WWWAuthenticate("basic")
        challenge._on_update = write_back
        return challenge

    @www_authenticate.setter
    def www_authenticate(self, value: WWWAuthenticate | list[WWWAuthenticate] | None) -> None:
        if not value:
            del self.www_authenticate
        elif isinstance(value, list):
            self.headers.setlist("WWW-Authenticate", [challenge.to_header() for challenge in value])
        else:
            self.headers["WWW-Authenticate"] = value.to_header()

            def write_back(challenge: WWWAuthenticate) -> None:
                self.www_authenticate = challenge

            # Later changes of the object that was assigned show too.
            value._on_update = write_back

    @www_authenticate.deleter
    def www_authenticate(self) -> None:
        self.headers.pop("WWW-Authenticate", None)

    content_security_policy = _csp_property("Content-Security-Policy", "What the page may load.")
    content_security_policy_report_only = _csp_property(
        "Content-Security-Policy-Report-Only", "What the page may load without being reported."
    )

    @property
    def access_control_allow_credentials(self) -> bool:
        """Whether scripts of other sites may send credentials."""
        return "Access-Control-Allow-Credentials" in self.headers

    @access_control_allow_credentials.setter
    def access_control_allow_credentials(self, value: bool | None) -> None:
        if value is True:
            self.headers["Access-Control-Allow-Credentials"] = "true"
        else:
            self.headers.pop("Access-Control-Allow-Credentials", None)

    access_control_allow_headers = header_property[HeaderSet](
        "Access-Control-Allow-Headers",
        None,
        parse_set_header,
        dump_header,
        doc="Fields that other sites may send.",
    )
    access_control_allow_methods = header_property[HeaderSet](
        "Access-Control-Allow-Methods",
        None,
        parse_set_header,
        dump_header,
        doc="Methods that other sites may use.",
    )
    access_control_allow_origin = header_property[str](
        "Access-Control-Allow-Origin", doc="The site whose scripts may read this, or `*`."
    )
    access_control_expose_headers = header_property[HeaderSet](
        "Access-Control-Expose-Headers",
        None,
        parse_set_header,
        dump_header,
        doc="Fields that other sites may read.",
    )
    access_control_max_age = header_property[t.Optional[int]](
        "Access-Control-Max-Age", None, int, str, doc="Seconds that a browser may remember the permission."
    )
    cross_origin_opener_policy = header_property[COOP](
        "Cross-Origin-Opener-Policy",
        COOP.UNSAFE_NONE,
        lambda text: COOP(text),
        lambda policy: policy.value,
        doc="Whether the page shares its browsing context group.",
    )
    cross_origin_embedder_policy = header_property[COEP](
        "Cross-Origin-Embedder-Policy",
        COEP.UNSAFE_NONE,
        lambda text: COEP(text),
        lambda policy: policy.value,
        doc="Whether what the page embeds must permit it.",
    )
