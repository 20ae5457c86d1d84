"""JSON with tags for types that JSON lacks, as the session cookie holds it.

A tagged value is a dict of one entry whose key starts with a space. The format is Flask's, so that cookies stay
valid when an application moves from one to the other.
"""

from __future__ import annotations

import typing as t

from markupsafe import Markup

from ...werkzeug.http import http_date, parse_date
from . import dumps, loads


class JSONTag:
    """Base of the tags: a type that is written as a tagged value.

    Args:
        serializer: The serializer that the tag is registered with.
    """

    __slots__ = ("serializer",)

    #: The tag's key; a tag without one rewrites a value but leaves no trace of it.
    key: str = ""

    def __init__(self, serializer: TaggedJSONSerializer) -> None:
        self.serializer = serializer

    def check(self, value: t.Any) -> bool:
        """Return whether the tag is for this value; a subclass must define it."""
        raise NotImplementedError

    def to_json(self, value: t.Any) -> t.Any:
        """Return the value as something that JSON has; a subclass must define it."""
        raise NotImplementedError

    def to_python(self, value: t.Any) -> t.Any:
        """Return the value that `to_json` was given; a subclass with a key must define it."""
        raise NotImplementedError

    def tag(self, value: t.Any) -> t.Any:
        """Return the tagged value."""
        return {self.key: self.to_json(value)}


class TagDict(JSONTag):
    """A dict of one entry that looks like a tagged value: its key is marked."""

    __slots__ = ()
    key = " di"

    def check(self, value: t.Any) -> bool:
        """Take a dict whose only key is that of a tag."""
        return isinstance(value, dict) and len(value) == 1 and next(iter(value)) in self.serializer.tags

    def to_json(self, value: t.Any) -> t.Any:
        """Mark the key, so that it is none."""
        ((key, inner),) = value.items()
        return {f"{key}__": self.serializer.tag(inner)}

    def to_python(self, value: t.Any) -> t.Any:
        """Take the mark off."""
        ((key, inner),) = value.items()
        return {key[:-2]: inner}


class PassDict(JSONTag):
    """Any other dict: only its values are tagged."""

    __slots__ = ()

    def check(self, value: t.Any) -> bool:
        """Take any dict."""
        return isinstance(value, dict)

    def to_json(self, value: t.Any) -> t.Any:
        """Tag the values."""
        tag = self.serializer.tag
        return {key: tag(inner) for key, inner in value.items()}

    tag = to_json


class TagTuple(JSONTag):
    """A tuple, written as a list."""

    __slots__ = ()
    key = " t"

    def check(self, value: t.Any) -> bool:
        """Take tuples."""
        return isinstance(value, tuple)

    def to_json(self, value: t.Any) -> t.Any:
        """Tag the items of a list."""
        return list(map(self.serializer.tag, value))

    def to_python(self, value: t.Any) -> t.Any:
        """Return the tuple."""
        return tuple(value)


class PassList(JSONTag):
    """A list: only its items are tagged."""

    __slots__ = ()

    def check(self, value: t.Any) -> bool:
        """Take lists."""
        return isinstance(value, list)

    def to_json(self, value: t.Any) -> t.Any:
        """Tag the items."""
        return list(map(self.serializer.tag, value))

    tag = to_json


class TagBytes(JSONTag):
    """Bytes, written in base64."""

    __slots__ = ()
    key = " b"

    def check(self, value: t.Any) -> bool:
        """Take bytes."""
        return isinstance(value, bytes)

    def to_json(self, value: t.Any) -> t.Any:
        """Encode in base64."""
        from base64 import b64encode

        return b64encode(value).decode("ascii")

    def to_python(self, value: t.Any) -> t.Any:
        """Decode from base64."""
        from base64 import b64decode

        return b64decode(value)


class TagMarkup(JSONTag):
    """An object with `__html__`, read back as `Markup`."""

    __slots__ = ()
    key = " m"

    def check(self, value: t.Any) -> bool:
        """Take what renders itself as markup."""
        return callable(getattr(value, "__html__", None))

    def to_json(self, value: t.Any) -> t.Any:
        """Render the markup."""
        return str(value.__html__())

    def to_python(self, value: t.Any) -> t.Any:
        """Return the text as safe markup."""
        return Markup(value)


class TagUUID(JSONTag):
    """A UUID, written in hexadecimal."""

    __slots__ = ()
    key = " u"

    def check(self, value: t.Any) -> bool:
        """Take UUIDs."""
        from uuid import UUID

        return isinstance(value, UUID)

    def to_json(self, value: t.Any) -> t.Any:
        """Return the hexadecimal digits."""
        return value.hex

    def to_python(self, value: t.Any) -> t.Any:
        """Return the UUID."""
        from uuid import UUID

        return UUID(value)


class TagDateTime(JSONTag):
    """A datetime, written as an HTTP date."""

    __slots__ = ()
    key = " d"

    def check(self, value: t.Any) -> bool:
        """Take datetimes."""
        from datetime import datetime

        return isinstance(value, datetime)

    def to_json(self, value: t.Any) -> t.Any:
        """Return the HTTP date."""
        return http_date(value)

    def to_python(self, value: t.Any) -> t.Any:
        """Return the datetime, aware and in whole seconds."""
        return parse_date(value)


class TaggedJSONSerializer:
    """Writes and reads tagged JSON.

    Compatible with: flask.json.tag.TaggedJSONSerializer (3.1)
    """

    __slots__ = ("_spaced", "order", "tags")

    #: The tags of a new serializer, in the order in which they are tried.
    default_tags: t.ClassVar[list[type[JSONTag]]] = [
        TagDict,
        PassDict,
        TagTuple,
        PassList,
        TagBytes,
        TagMarkup,
        TagUUID,
        TagDateTime,
    ]

    def __init__(self) -> None:
        self.tags: dict[str, JSONTag] = {}
        self.order: list[JSONTag] = []
        # How many tags there are while the keys of all begin with a space.
        self._spaced = 0
        for tag_class in self.default_tags:
            self.register(tag_class)

    def register(self, tag_class: type[JSONTag], force: bool = False, index: int | None = None) -> None:
        """Add a tag.

        Args:
            tag_class: The tag's class.
            force: Replace a tag with the same key instead of raising `KeyError`.
            index: Where in the order of trying; last when not given. A subclass goes before its base.
        """
        tag = tag_class(self)
        if tag.key:
            if tag.key in self.tags and not force:
                raise KeyError(f"Tag '{tag.key}' is already registered.")
            self.tags[tag.key] = tag
            self._spaced = len(self.tags) if all(key[0] == " " for key in self.tags) else -1
        self.order.insert(len(self.order) if index is None else index, tag)

    def tag(self, value: t.Any) -> t.Any:
        """Return a value with tags where needed."""
        found = next((tag for tag in self.order if tag.check(value)), None)
        return value if found is None else found.tag(value)

    def untag(self, value: dict[str, t.Any]) -> t.Any:
        """Return the value of a tagged dict; any other dict as it is."""
        if len(value) == 1:
            ((key, inner),) = value.items()
            if key in self.tags:
                return self.tags[key].to_python(inner)
        return value

    def _untag_scan(self, value: t.Any) -> t.Any:
        if isinstance(value, dict):
            return self.untag({key: self._untag_scan(inner) for key, inner in value.items()})
        if isinstance(value, list):
            return list(map(self._untag_scan, value))
        return value

    def dumps(self, value: t.Any) -> str:
        """Return a value as tagged JSON without spaces."""
        return dumps(self.tag(value), separators=(",", ":"))

    def loads(self, value: str) -> t.Any:
        """Return the value of a tagged JSON text."""
        return self._read(value, loads)

    def _read(self, value: str, loads: t.Callable[[str], t.Any]) -> t.Any:
        found = loads(value)
        # A text in which no string begins with a space holds none of the usual tags.
        if self._spaced == len(self.tags) and '" ' not in value:
            return found
        return self._untag_scan(found)
