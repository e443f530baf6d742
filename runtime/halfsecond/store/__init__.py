"""Where models are kept: fetched, verified, prepared, and given out by name.

`Store` gives out verified directories and imports nothing that fetches; `ModelFetcher` fills it.
"""

from __future__ import annotations

from halfsecond.store.shelf import Condition, ModelState, Store

__all__ = ["Condition", "ModelState", "Store"]
