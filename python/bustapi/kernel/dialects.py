"""Says that a dialect is loaded, to what stands above the dialects.

A dialect must not import what builds on it, yet the bridge has to be there as soon as Flask's dialect is. The
package offers a function for this, `_dialect_loaded`, and registers nothing: so `import bustapi` imports no module of
its own, and threads that import several of them at once do not wait for each other.
"""

from __future__ import annotations

import sys


def loaded(name: str) -> None:
    """Say that a dialect is loaded; the last statement of its package.

    Args:
        name: The dialect's package, `"flask"` for example.
    """
    call = getattr(sys.modules.get(__name__.partition(".")[0]), "_dialect_loaded", None)
    if call is not None:
        call(name)
