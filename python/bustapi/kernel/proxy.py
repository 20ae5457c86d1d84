"""What makes reading an attribute through a proxy cost little more than reading it."""

from __future__ import annotations

from .._core import Resolver as Resolver
from .._core import forward_attributes as forward_attributes
