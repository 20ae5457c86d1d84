"""The Accept family: what a client takes, with qualities (RFC 9110 12.4 and 12.5)."""

from __future__ import annotations

import collections.abc as cabc
import re
import typing as t

from .structures import ImmutableList


class Accept(ImmutableList[tuple[str, float]]):
    """Values with their qualities, the most specific and best first.

    Args:
        values: Pairs, another `Accept`, or None for a header that was not sent.

    Compatible with: werkzeug.datastructures.Accept (3.1)
    """

    def __init__(self, values: cabc.Iterable[tuple[str, float]] | None = ()) -> None:
        self.provided: bool = values is not None
        if values is None:
            list.__init__(self)
        elif isinstance(values, Accept):
            self.provided = values.provided
            list.__init__(self, values)
        else:
            list.__init__(
                self, sorted(values, key=lambda pair: (self._specificity(pair[0]), pair[1]), reverse=True)
            )

    def _specificity(self, value: str) -> tuple[t.Any, ...]:
        return (value != "*",)

    def _value_matches(self, value: str, item: str) -> bool:
        """Tell whether `value`, of the server, is meant by `item`, of the client."""
        return item == "*" or item.lower() == value.lower()

    def _first(self, value: str) -> tuple[int, str, float] | None:
        """Return position, item and quality of the first item that means `value`."""
        for index, (item, quality) in enumerate(self):
            if self._value_matches(value, item):
                return index, item, quality
        return None

    def __getitem__(self, key: t.Any) -> t.Any:
        """Return the quality of a value, or the pair at a position."""
        return self.quality(key) if isinstance(key, str) else list.__getitem__(self, key)

    def quality(self, key: str) -> float:
        """Return the quality of a value, 0 if it is not accepted."""
        found = self._first(key)
        return 0 if found is None else found[2]

    def __contains__(self, value: object) -> bool:
        return self._first(value) is not None  # type: ignore[arg-type]

    def index(self, key: t.Any, *args: t.Any) -> int:
        """Return the position of a value or pair.

        Raises:
            ValueError: It is not there.
        """
        if not isinstance(key, str):
            return list.index(self, key, *args)
        found = self._first(key)
        if found is None:
            raise ValueError(key)
        return found[0]

    def find(self, key: t.Any) -> int:
        """Return the position of a value or pair, -1 if it is not there."""
        try:
            return self.index(key)
        except ValueError:
            return -1

    def values(self) -> cabc.Iterator[str]:
        """Yield the values, best first."""
        return (item for item, _ in self)

    def to_header(self) -> str:
        """Return the header's text."""
        return ",".join(item if quality == 1 else f"{item};q={quality}" for item, quality in self)

    def best_match(self, matches: cabc.Iterable[str], default: str | None = None) -> str | None:
        """Return the one of `matches` that the client likes best.

        Of equal qualities the more specific wins, then the earlier.

        Args:
            matches: What the server can give.
            default: Returned if the client accepts none of it.
        """
        winner = default
        score: tuple[float, tuple[t.Any, ...]] = (0, ())
        for candidate in matches:
            found = self._first(candidate)
            if found is None or found[2] <= 0:
                continue
            rank = (found[2], self._specificity(found[1]))
            if rank > score:
                winner, score = candidate, rank
        return winner

    @property
    def best(self) -> str | None:
        """The first value, None if there is none."""
        return self[0][0] if self else None

    def __str__(self) -> str:
        return self.to_header()

    def __repr__(self) -> str:
        return f"{type(self).__name__}([{', '.join(f'({item!r}, {quality})' for item, quality in self)}])"


_mime_split = re.compile(r"/|[ \t]*;[ \t]*").split


def _mime_parts(value: str) -> tuple[str, str, list[str]]:
    kind, subtype, *params = _mime_split(value.lower())
    return kind, subtype, sorted(params)


class MIMEAccept(Accept):
    """Media types: `type/*` and `*/*` match, parameters must be equal."""

    def _specificity(self, value: str) -> tuple[bool, ...]:
        return tuple(part != "*" for part in _mime_split(value))

    def _value_matches(self, value: str, item: str) -> bool:
        if "/" not in item:
            return (
                False  # what clients send is ignored when wrong; what the server asks is its author's error
            )
        if "/" not in value:
            raise ValueError(f"invalid mimetype {value!r}")
        kind, subtype, params = _mime_parts(value)
        if kind == "*" and subtype != "*":
            raise ValueError(f"invalid mimetype {value!r}")
        item_kind, item_subtype, item_params = _mime_parts(item)
        if item_kind == "*" and item_subtype != "*":
            return False
        if item_kind == "*" or kind == "*":
            return True
        if item_kind != kind:
            return False
        return item_subtype == "*" or subtype == "*" or (item_subtype == subtype and item_params == params)

    @property
    def accept_html(self) -> bool:
        """Whether the client takes HTML or XHTML."""
        return "text/html" in self or self.accept_xhtml  # type: ignore[comparison-overlap]

    @property
    def accept_xhtml(self) -> bool:
        """Whether the client takes XHTML or XML."""
        return "application/xhtml+xml" in self or "application/xml" in self  # type: ignore[comparison-overlap]

    @property
    def accept_json(self) -> bool:
        """Whether the client takes JSON."""
        return "application/json" in self  # type: ignore[comparison-overlap]


_locale_split = re.compile(r"[_-]").split


def _primary(tag: str) -> str:
    return _locale_split(tag, 1)[0]


class LanguageAccept(Accept):
    """Language tags: `en-US` and `en_us` are one; the primary tag alone is the second choice."""

    def _value_matches(self, value: str, item: str) -> bool:
        return item == "*" or _locale_split(value.lower()) == _locale_split(item.lower())

    def best_match(self, matches: cabc.Iterable[str], default: str | None = None) -> str | None:
        """Return the best full match, else the best by the client's primary tags, else by the server's."""
        matches = list(matches)
        found = super().best_match(matches)
        if found is None:
            found = Accept([(_primary(item), quality) for item, quality in self]).best_match(matches)
        if found is not None:
            return found
        primary = super().best_match([_primary(tag) for tag in matches])
        if primary is None:
            return default
        return next(tag for tag in matches if tag.startswith(primary))


class CharsetAccept(Accept):
    """Charsets: all names of one codec are equal."""

    def _value_matches(self, value: str, item: str) -> bool:
        return item == "*" or _codec_name(value) == _codec_name(item)


def _codec_name(name: str) -> str:
    import codecs

    try:
        return codecs.lookup(name).name
    except (LookupError, ValueError):
        return name.lower()
