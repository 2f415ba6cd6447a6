"""Step 4: parts of yes/no and open-ended replies that stand without their headings, or beside ones not asked for."""

import re

from dataengine_lib.replies.headings import Block

# "Is there a dog in the picture? Yes, there is." · "Q: How many dogs are there?\nA: two\nThey lie on a sofa."
_PROSE = re.compile(
    r"(?:q(?:uestion)? ?\d{0,2}[:.] ?)?(?P<question>[^?\n]{3,500}\?)\s{1,3}(?:a(?:nswer)?[:.] ?)?(?P<answer>[^?\n]{1,300})"
    r"(?:\n\n?(?P<explanation>[^?]{1,2000}))?\Z",
    re.IGNORECASE,
)
# what separates choices on one line: "(A) " · "B. " · "; " · " / " · " or " · a line's end
_BETWEEN_CHOICES = re.compile(r"\(?\b[A-Ja-j][).:]\s?|[,;/|\n]|\bor\b")


def prose_block(text: str) -> list[Block]:
    """The one block of a reply without headings: a question that ends in a question mark, and its answer behind it.

    No block where there is anything else, as two questions.
    """
    found = _PROSE.match(text)
    if found is None:
        return []
    parts = [("question", found["question"]), ("answer", found["answer"])]
    return [[*parts, *([("explanation", found["explanation"])] if found["explanation"] else [])]]


def needless_choices(written: str) -> list[str]:
    """The texts of choices that were not asked for, without their letters; none where the part says that there are none."""
    if re.fullmatch(r"[\W_]*(?:none|n/?a|no choices)?[\W_]*", written, re.IGNORECASE):
        return []
    return [text for part in _BETWEEN_CHOICES.split(written) if (text := part.strip())]
