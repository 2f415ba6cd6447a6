"""Steps 1, 3 and 4: what a request asks for, in a form that is the same on every machine, and its key in the ledger."""

import hashlib
from typing import Any

import msgspec


def key_of(request: Any) -> str:
    """SHA-256 of a canonical request, or of what else is asked, 64 hex digits."""
    return hashlib.sha256(msgspec.json.encode(request, order="sorted")).hexdigest()
