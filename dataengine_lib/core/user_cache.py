"""Where caches lie that may be deleted at any time (step 2): folders of data are often shared and read-only."""

import os
from pathlib import Path


def cache_folder(name: str) -> Path | None:
    """`$XDG_CACHE_HOME/mllm-dataengine/NAME` (`~/.cache` without that variable); None for a user without a home."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    try:
        cache = Path(base) if os.path.isabs(base) else Path.home() / ".cache"
    except RuntimeError:
        return None
    return cache / "mllm-dataengine" / name
