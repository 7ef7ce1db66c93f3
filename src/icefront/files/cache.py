"""Where what can be made again is kept, for the user and not for a project."""

from __future__ import annotations

import os
from pathlib import Path


def default_cache_folder() -> Path:
    """Return the folder of caches: ``ICEFRONT_CACHE``, else the user's cache folder."""
    given = os.environ.get("ICEFRONT_CACHE")
    base = os.environ.get("XDG_CACHE_HOME")
    return Path(given) if given else (Path(base) if base else Path.home() / ".cache") / "icefront"
