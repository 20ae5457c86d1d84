"""Authorization and WWW-Authenticate values."""

from __future__ import annotations

import base64
import binascii
import typing as t

from .structures import CallbackDict

if t.TYPE_CHECKING:
    import typing_extensions as te

    Params = dict[str, t.Optional[str]]


def _split(value: str) -> tuple[str, Params | None, str | None]:
    """Split `scheme rest` into the scheme and either parameters or a token (RFC 9110 11.4)."""
    from ..http import parse_dict_header

    scheme, _, rest = value.partition(" ")
    rest = rest.strip(" \t")
    # A token68 may end in `=` signs; any other `=` makes it a list of parameters.
    if "=" in rest.rstrip("="):
        return scheme.lower(), parse_dict_header(rest), None
    return scheme.lower(), None, rest


class Authorization:
    """Credentials of an Authorization header.

    Args:
        auth_type: The scheme in lower case: `basic`, `bearer`, `digest`, …
        data: The parameters; for `basic`, `username` and `password`.
        token: The token of a scheme that has one in place of parameters.

    Compatible with: werkzeug.datastructures.Authorization (3.1)
    """

    def __init__(self, auth_type: str, data: Params | None = None, token: str | None = None) -> None:
        self.type = auth_type
        self.parameters: Params = {} if data is None else data
        self.token = token

    def __getattr__(self, name: str) -> str | None:
        # Python asks for dunder names on half-made instances (copy, pickle), before `parameters` is there.
        if name == "parameters" or (name.startswith("__") and name.endswith("__")):
            raise AttributeError(name)
        return self.parameters.get(name)

    def __getitem__(self, name: str) -> str | None:
        return self.parameters.get(name)

    def get(self, key: str, default: str | None = None) -> str | None:
        """Return a parameter."""
        return self.parameters.get(key, default)

    def __contains__(self, key: str) -> bool:
        return key in self.parameters

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Authorization):
            return NotImplemented
        return (self.type, self.token, self.parameters) == (other.type, other.token, other.parameters)

    __hash__ = None  # type: ignore[assignment]

    @classmethod
    def from_header(cls, value: str | None) -> te.Self | None:
        """Parse a header value; None for an empty one or broken basic credentials."""
        if not value:
            return None
        scheme, _, rest = value.partition(" ")
        if scheme.lower() != "basic":
            return cls(*_split(value))
        try:
            text = base64.b64decode(rest.strip(" \t"), validate=True).decode()
        except (binascii.Error, UnicodeError, ValueError):
            return None
        username, _, password = text.partition(":")
        return cls("basic", {"username": username, "password": password})

    def to_header(self) -> str:
        """Return the header's text."""
        if self.type == "basic":
            credentials = f"{self.username}:{self.password}".encode()
            return f"Basic {base64.b64encode(credentials).decode('ascii')}"
        if self.token is not None:
            return f"{self.type.title()} {self.token}"
        from ..http import dump_header

        return f"{self.type.title()} {dump_header(self.parameters)}"

    def __str__(self) -> str:
        return self.to_header()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.to_header()}>"


_CHALLENGE_SLOTS = frozenset(("_type", "_parameters", "_token", "_on_update"))
# RFC 7616 3.3: these are quoted also where a token would do.
_DIGEST_QUOTED = frozenset(("realm", "domain", "nonce", "opaque", "qop"))


class WWWAuthenticate:
    """One challenge of a WWW-Authenticate header.

    Items and attributes other than `type`, `parameters` and `token` are parameters; setting one to None removes it.

    Args:
        auth_type: The scheme.
        values: The parameters.
        token: The token of a scheme that has one in place of parameters.

    Compatible with: werkzeug.datastructures.WWWAuthenticate (3.1)
    """

    def __init__(self, auth_type: str, values: Params | None = None, token: str | None = None) -> None:
        self._on_update: t.Callable[[WWWAuthenticate], None] | None = None
        self._type = auth_type.lower()
        self._parameters = self._watched(values)
        self._token = token

    def _watched(self, values: Params | None) -> CallbackDict[str, str | None]:
        return CallbackDict(values, lambda _: self._trigger_on_update())

    def _trigger_on_update(self) -> None:
        if self._on_update is not None:
            self._on_update(self)

    @property
    def type(self) -> str:
        """The scheme in lower case. Assigned, it is a parameter like any other, and so are the two below."""
        return self._type

    @property
    def parameters(self) -> CallbackDict[str, str | None]:
        """The parameters; a change of them updates the response's header."""
        return self._parameters

    @property
    def token(self) -> str | None:
        """The token."""
        return self._token

    def __getitem__(self, key: str) -> str | None:
        return self._parameters.get(key)

    def __setitem__(self, key: str, value: str | None) -> None:
        if value is not None:
            self._parameters[key] = value
        else:
            self._parameters.pop(key, None)
        self._trigger_on_update()

    def __delitem__(self, key: str) -> None:
        if key in self._parameters:
            del self._parameters[key]

    def __getattr__(self, name: str) -> str | None:
        if name in _CHALLENGE_SLOTS or (name.startswith("__") and name.endswith("__")):
            raise AttributeError(name)
        return self._parameters.get(name)

    def __setattr__(self, name: str, value: t.Any) -> None:
        if name in _CHALLENGE_SLOTS:
            object.__setattr__(self, name, value)
        else:
            self[name] = value

    def __delattr__(self, name: str) -> None:
        del self[name]

    def __contains__(self, key: str) -> bool:
        return key in self._parameters

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, WWWAuthenticate):
            return NotImplemented
        return (self._type, self._token, self._parameters) == (other._type, other._token, other._parameters)

    __hash__ = None  # type: ignore[assignment]

    def get(self, key: str, default: str | None = None) -> str | None:
        """Return a parameter."""
        return self._parameters.get(key, default)

    @classmethod
    def from_header(cls, value: str | None) -> te.Self | None:
        """Parse one challenge; None for an empty value."""
        return cls(*_split(value)) if value else None

    def to_header(self) -> str:
        """Return the header's text."""
        scheme = self._type.title()
        if self._token is not None:
            return f"{scheme} {self._token}"
        if not self._parameters:
            return scheme
        from ..http import dump_header, quote_header_value

        if self._type != "digest":
            return f"{scheme} {dump_header(self._parameters)}"
        fields = (
            f"{key}={quote_header_value(value, allow_token=key not in _DIGEST_QUOTED)}"
            for key, value in self._parameters.items()
        )
        return f"{scheme} {', '.join(fields)}"

    def __str__(self) -> str:
        return self.to_header()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.to_header()}>"
