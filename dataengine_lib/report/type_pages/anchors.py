"""Where a question type stands on the page of types (all steps): `types.html#type-image_scene`."""

import hashlib
import re

TYPE_PAGE = "types.html"
"""The page of types, beside the run's index."""

_PLAIN = re.compile(r"[a-z0-9][a-z0-9_-]{0,60}")


def type_anchor(question_type: str) -> str:
    """The id of the type's section; a name that is no plain word gets the beginning of its hash."""
    if _PLAIN.fullmatch(question_type):
        return f"type-{question_type}"
    word = re.sub(r"[^a-z0-9]+", "-", question_type[:40].lower()).strip("-")
    digest = hashlib.sha256(question_type.encode("utf-8", "replace")).hexdigest()[:10]
    return f"type-{word}.{digest}" if word else f"type-.{digest}"
