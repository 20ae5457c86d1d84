"""The entity tags of If-Match and If-None-Match."""

from __future__ import annotations

import collections.abc as cabc


class ETags(cabc.Collection[str]):
    """A set of strong and weak tags, or `*`.

    Args:
        strong_etags: Strong tags, without quotes.
        weak_etags: Weak tags, without quotes.
        star_tag: Whether the header is `*`, which every tag matches.

    Compatible with: werkzeug.datastructures.ETags (3.1)
    """

    def __init__(
        self,
        strong_etags: cabc.Iterable[str] | None = None,
        weak_etags: cabc.Iterable[str] | None = None,
        star_tag: bool = False,
    ) -> None:
        self._strong = frozenset(() if star_tag else strong_etags or ())
        self._weak = frozenset(weak_etags or ())
        self.star_tag = star_tag

    def as_set(self, include_weak: bool = False) -> set[str]:
        """Return the tags as a plain set."""
        return set(self._strong | self._weak) if include_weak else set(self._strong)

    def is_weak(self, etag: str) -> bool:
        """Tell whether this very tag is listed as weak."""
        return etag in self._weak

    def is_strong(self, etag: str) -> bool:
        """Tell whether this very tag is listed as strong."""
        return etag in self._strong

    def contains(self, etag: str) -> bool:
        """Compare strongly (RFC 9110 8.8.3.2); `*` contains every tag."""
        return self.star_tag or etag in self._strong

    def contains_weak(self, etag: str) -> bool:
        """Compare weakly."""
        return etag in self._weak or self.contains(etag)

    def contains_raw(self, etag: str) -> bool:
        """Look for a tag in the form of the header, `"x"` or `W/"x"`."""
        from ..http import unquote_etag

        tag, weak = unquote_etag(etag)
        return self.contains_weak(tag) if weak else self.contains(tag)  # type: ignore[arg-type]

    def to_header(self) -> str:
        """Return the header's text."""
        if self.star_tag:
            return "*"
        return ", ".join([f'"{tag}"' for tag in self._strong] + [f'W/"{tag}"' for tag in self._weak])

    def __call__(
        self, etag: str | None = None, data: bytes | None = None, include_weak: bool = False
    ) -> bool:
        """Tell whether the tag, or the one generated of `data`, is listed."""
        if etag is None:
            if data is None:
                raise TypeError("'data' is required when 'etag' is not given.")
            from ..http import generate_etag

            etag = generate_etag(data)
        return etag in self._strong or (include_weak and etag in self._weak)

    def __bool__(self) -> bool:
        return bool(self.star_tag or self._strong or self._weak)

    def __len__(self) -> int:
        return len(self._strong)

    def __iter__(self) -> cabc.Iterator[str]:
        return iter(self._strong)

    def __contains__(self, etag: object) -> bool:
        return self.contains(etag)  # type: ignore[arg-type]

    def __str__(self) -> str:
        return self.to_header()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {str(self)!r}>"
