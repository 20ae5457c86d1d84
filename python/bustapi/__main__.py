"""`python -m bustapi`, and the entry point of the `bustapi` script."""

from __future__ import annotations

from .cli import main

__all__ = ["main"]

if __name__ == "__main__":
    main()
