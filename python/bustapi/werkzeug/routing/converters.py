"""Converters: what a variable part of a rule accepts, and its value in Python.

Compatible with: werkzeug.routing.converters (3.1)
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Optional, Union
from urllib.parse import quote

if TYPE_CHECKING:
    from .map import Map

# What may stand unquoted in a path segment: https://url.spec.whatwg.org/#url-path-segment-string
PATH_SAFE = "!$&'()*+,/:;=@"

#: How the core converts a capture: a kind and its bounds.
Conversion = tuple[Any, ...]


class ValidationError(ValueError):
    """Raised by a converter to say that the rule does not match the URL, or cannot be built."""


class BaseConverter:
    """What every converter derives from: takes one segment, leaves it text.

    A subclass sets `regex`, and overrides `to_python` and `to_url` for a type of its own. Unless it says otherwise
    it is `part_isolating` (stays within one segment) exactly if its regex has no slash.

    Args:
        map: The map whose rule uses the converter.
        *args: Arguments written in the rule.
        **kwargs: Keyword arguments written in the rule.
    """

    regex = "[^/]+"
    weight = 100
    part_isolating = True

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        own = vars(cls)
        if "regex" in own and "part_isolating" not in own:
            cls.part_isolating = "/" not in cls.regex

    def __init__(self, map: Map, *args: Any, **kwargs: Any) -> None:
        self.map = map

    def to_python(self, value: str) -> Any:
        """Converts matched text.

        Args:
            value: Text that the regex matched, percent-decoded.

        Returns:
            The value for the view.

        Raises:
            ValidationError: The text is not acceptable after all.
        """
        return value

    def to_url(self, value: Any) -> str:
        """Converts a value for a URL.

        Args:
            value: What the caller of `MapAdapter.build` gave.

        Returns:
            Percent-encoded text.
        """
        text = str(value)
        if text.isalnum() and text.isascii():
            return text  # as quoting would, in a tenth of its time
        return quote(text, safe=PATH_SAFE)


class UnicodeConverter(BaseConverter):
    """Any text within one segment; the default.

    Args:
        map: The map.
        minlength: Least number of characters.
        maxlength: Greatest number of characters, or None.
        length: Exact number of characters; takes precedence.
    """

    def __init__(
        self,
        map: Map,
        minlength: int = 1,
        maxlength: Optional[int] = None,
        length: Optional[int] = None,
    ) -> None:
        super().__init__(map)
        if length is None:
            greatest = "" if maxlength is None else int(maxlength)
            bounds = f"{int(minlength)},{greatest}"
        else:
            bounds = str(int(length))
        self.regex = f"[^/]{{{bounds}}}"


class AnyConverter(BaseConverter):
    """One of the words given in the rule: `<any(about, help, "foo,bar"):page>`.

    Args:
        map: The map.
        *items: The words.
    """

    def __init__(self, map: Map, *items: str) -> None:
        super().__init__(map)
        self.items = set(items)
        words = "|".join([re.escape(item) for item in items])
        self.regex = f"(?:{words})"

    def to_url(self, value: Any) -> str:
        """Returns the word.

        Args:
            value: One of the words.

        Raises:
            ValueError: It is none of them.
        """
        if value not in self.items:
            known = ", ".join(f"'{item}'" for item in sorted(self.items))
            raise ValueError(f"'{value}' is not one of {known}")
        return str(value)


class PathConverter(BaseConverter):
    """Text that may contain slashes but does not begin with one."""

    part_isolating = False
    regex = "[^/].*?"
    weight = 200


class NumberConverter(BaseConverter):
    """What the number converters share.

    Args:
        map: The map.
        fixed_digits: Exact number of characters, or 0.
        min: Least value, or None.
        max: Greatest value, or None.
        signed: Whether a leading minus is accepted.
    """

    weight = 50
    num_convert: Callable[[Any], Any] = int

    def __init__(
        self,
        map: Map,
        fixed_digits: int = 0,
        min: Optional[Union[int, float]] = None,
        max: Optional[Union[int, float]] = None,
        signed: bool = False,
    ) -> None:
        if signed:
            self.regex = self.signed_regex
        super().__init__(map)
        self.fixed_digits = fixed_digits
        self.min = min
        self.max = max
        self.signed = signed

    def to_python(self, value: str) -> Any:
        """Converts digits to a number.

        Args:
            value: The digits.

        Raises:
            ValidationError: Wrong number of digits, or out of bounds.
        """
        if self.fixed_digits and len(value) != self.fixed_digits:
            raise ValidationError()
        try:
            number = self.num_convert(value)
        except ValueError as error:
            raise ValidationError() from error
        if self.min is not None and number < self.min:
            raise ValidationError()
        if self.max is not None and number > self.max:
            raise ValidationError()
        return number

    def to_url(self, value: Any) -> str:
        """Writes a number, with leading zeros if the rule fixes the digits."""
        text = str(self.num_convert(value))
        return text.zfill(self.fixed_digits) if self.fixed_digits else text

    @property
    def signed_regex(self) -> str:
        """The regex with an optional minus in front."""
        return f"-?{self.regex}"


class IntegerConverter(NumberConverter):
    """Whole numbers: `<int:page>`, `<int(min=1, signed=True):n>`."""

    regex = r"\d+"


class FloatConverter(NumberConverter):
    """Numbers with a decimal point: `<float:x>`.

    Args:
        map: The map.
        min: Least value, or None.
        max: Greatest value, or None.
        signed: Whether a leading minus is accepted.
    """

    regex = r"\d+\.\d+"
    num_convert = float

    def __init__(
        self,
        map: Map,
        min: Optional[float] = None,
        max: Optional[float] = None,
        signed: bool = False,
    ) -> None:
        super().__init__(map, min=min, max=max, signed=signed)


class UUIDConverter(BaseConverter):
    """UUIDs in the usual form with hyphens: `<uuid:id>`."""

    regex = r"[A-Fa-f0-9]{8}-[A-Fa-f0-9]{4}-[A-Fa-f0-9]{4}-[A-Fa-f0-9]{4}-[A-Fa-f0-9]{12}"

    def to_python(self, value: str) -> uuid.UUID:
        """Returns the UUID."""
        return uuid.UUID(value)

    def to_url(self, value: uuid.UUID) -> str:
        """Returns its text."""
        return str(value)


DEFAULT_CONVERTERS: Mapping[str, type[BaseConverter]] = {
    "default": UnicodeConverter,
    "string": UnicodeConverter,
    "any": AnyConverter,
    "path": PathConverter,
    "int": IntegerConverter,
    "float": FloatConverter,
    "uuid": UUIDConverter,
}


def conversion_of(converter: BaseConverter) -> Conversion:
    """Says how the core may do what `converter.to_python` does.

    Args:
        converter: A converter of a bound rule.

    Returns:
        A kind and its bounds; `("python",)` if only the object itself can tell.
    """
    python: Conversion = ("python",)
    if "to_python" in vars(converter):
        return python
    method = type(converter).to_python
    if method is BaseConverter.to_python:
        return ("text",)
    if method is UUIDConverter.to_python:
        return ("uuid",)
    if method is NumberConverter.to_python and isinstance(converter, NumberConverter):
        bounds = (converter.min, converter.max)
        if converter.num_convert is int and all(map(_is_small_int, bounds)):
            digits = converter.fixed_digits
            if type(digits) is int and 0 <= digits < 1 << 32:
                return ("int", digits, *bounds)
        elif (
            converter.num_convert is float
            and not converter.fixed_digits
            and all(map(_is_exact_float, bounds))
        ):
            return ("float", *bounds)
    return python


def _is_small_int(bound: Any) -> bool:
    return bound is None or (type(bound) is int and -(1 << 63) <= bound < 1 << 63)


def _is_exact_float(bound: Any) -> bool:
    return bound is None or type(bound) is float or (type(bound) is int and abs(bound) <= 1 << 53)
