"""Where a question type stands on the page of types (all steps): `types.html#type-image_scene`."""

import hashlib
import re

TYPE_PAGE = "types.html"
"""The page of types, beside the run's index."""

TYPE_ATTRIBUTE = "data-type"
"""Of a chart's row, with the anchor of its question type; a page of a run makes it a link."""

_PLAIN = re.compile(r"[a-z0-9][a-z0-9_-]{0,60}")


_LINK = re.compile(rf'<a {TYPE_ATTRIBUTE}="([a-z0-9_.-]{{1,120}})">')


def with_type_links(body: str, page: str) -> str:
    """The HTML in which a click on a row of a chart leads to its type's section of `page`.

    For the mouse only, as a chart is one image to a screen reader: the page of types has the same links as text.
    """
    return _LINK.sub(rf'<a xlink:href="{page}#\1" tabindex="-1">', body)


def type_anchor(question_type: str) -> str:
    """The id of the type's section; a name that is no plain word gets the beginning of its hash."""
    if _PLAIN.fullmatch(question_type):
        return f"type-{question_type}"
    word = re.sub(r"[^a-z0-9]+", "-", question_type[:40].lower()).strip("-")
    digest = hashlib.sha256(question_type.encode("utf-8", "replace")).hexdigest()[:10]
    return f"type-{word}.{digest}" if word else f"type-.{digest}"
