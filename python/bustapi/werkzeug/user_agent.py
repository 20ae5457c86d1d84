"""The User-Agent header."""

from __future__ import annotations


class UserAgent:
    """A User-Agent value. It is not parsed; a subclass can fill the attributes.

    Args:
        string: The header.

    Compatible with: werkzeug.user_agent.UserAgent (3.1)
    """

    #: The operating system.
    platform: str | None = None
    #: The browser's name.
    browser: str | None = None
    #: The browser's version.
    version: str | None = None
    #: The browser's language.
    language: str | None = None

    def __init__(self, string: str) -> None:
        self.string: str = string

    def to_header(self) -> str:
        """Return the header as it came."""
        return self.string

    def __bool__(self) -> bool:
        return bool(self.browser)

    def __str__(self) -> str:
        return self.string

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.browser}/{self.version}>"
