"""Steps 1, 2, 4, 5: a panel, question sets that are measured and never trained or diagnosed on."""

import re
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,59}")  # a name is a folder of the evaluation, on every system


class QuestionSet(BaseModel):
    """One set of a panel."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    questions: Path
    """Questions in any format that step 1 reads."""
    image_root: Path
    """Folder that their images are in."""


def _named(panel: dict[str, QuestionSet]) -> dict[str, QuestionSet]:
    for name in panel:
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name[:60]!r} is no name of a set; use letters, digits, - and _")
    folded = [name.casefold() for name in panel]
    if len(set(folded)) < len(folded):
        raise ValueError("two sets have the same name but for capitals; rename one")
    return panel


Panel = Annotated[dict[str, QuestionSet], AfterValidator(_named)]
