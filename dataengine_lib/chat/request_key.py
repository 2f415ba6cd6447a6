"""Steps 0, 1, 3 and 4: the key of a request in the ledger, the same on every machine."""

import hashlib
from typing import Any

import msgspec


def key_of(request: Any) -> str:
    """SHA-256 of the request as JSON with sorted keys, 64 hex digits."""
    return hashlib.sha256(msgspec.json.encode(request, order="sorted")).hexdigest()
