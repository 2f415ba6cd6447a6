"""Steps 0 and 1: the names of a table's columns, as MMBench and VLMEvalKit write them and as other programs do."""

from collections.abc import Sequence

from dataengine_lib.core.records import LETTERS

_KNOWN = (
    "index", "question", "hint", "answer", "answers", "category", "l2-category", "image", "image_path", "split",
    "prediction", "hit",
)  # fmt: skip
# names of the column with a row's number or name, where no column is called index; pandas writes its own one without a
# name, and reads that as "Unnamed: 0"
_INDEX = ("question_id", "id", "", "unnamed: 0")


def known_columns(heading: Sequence[str]) -> list[str]:
    """The heading with the names that readers look for: `Question` is question, `a` is A, `question_id` is index.

    A name that is known as it stands is never taken for another one, and no two columns get the same name.
    """
    names = [name.strip() for name in heading]
    given = set(names)
    for place, name in enumerate(names):
        usual = name.upper() if len(name) == 1 and name.upper() in LETTERS else name.lower()
        if usual not in given and (usual in _KNOWN or usual in LETTERS):
            names[place] = usual
            given.add(usual)
    if "index" not in given:
        lower = [name.lower() for name in names]
        place = next((lower.index(name) for name in _INDEX if name in lower), -1)
        if place >= 0:
            names[place] = "index"
    return names
