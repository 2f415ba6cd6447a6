"""Step 1 from the second round on: a question that the teacher was shown may not be scored as holdout."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path, PurePosixPath

import msgspec

from dataengine_lib.core.bad_rows import BadRows, all_usable_rows
from dataengine_lib.core.files import shown_name
from dataengine_lib.core.records import UNKNOWN_IMAGE, ImageId, Question
from dataengine_lib.errors import DataEngineError
from dataengine_lib.images.references import ImageRef, base_name, coco_number, image_ref
from dataengine_lib.queries.spares import with_asked_spares

_WANTED = "gptvqa_prompt.json of construct-queries"


# gc=False: rows that are in no reference cycle need not be tracked by the garbage collector
class _Query(msgspec.Struct, gc=False):
    """The fields of `records.Query` that tell what the teacher saw; the long prompts are not decoded."""

    image_id: ImageId = UNKNOWN_IMAGE
    image_path: str = ""
    query_id: str | int = ""
    anchor_image_id: ImageId = UNKNOWN_IMAGE
    anchor_image_path: str = ""
    example_ids: list[str | int] = []

    def __post_init__(self) -> None:
        # a ValueError here makes the row one that cannot be used
        if not any(ref != ImageRef() for ref, _ in _images(self)) and not self.example_ids:
            raise ValueError("a query names an image or examples")


def check_holdout_not_shown(
    questions: Sequence[Question], queries_files: Sequence[Path], max_bad_share: float = 0.05
) -> list[str]:
    """Check that no holdout question, and no image of one, was shown to the teacher.

    A query shows the questions in `example_ids`, the image it asks about and the image of its first example; spares that
    were asked and lie beside a file count too. Returns a warning for each file of which rows could not be compared. Raises
    DataEngineError naming the first such file, query and question, and how many questions were shown; or when a larger
    share of a file's rows than `max_bad_share` are no queries.
    """
    warnings: list[str] = []
    for file in with_asked_spares(
        queries_files
    ):  # compared through an index: there may be tens of thousands of both
        bad = BadRows(file, max_bad_share, remedy="check teacher_queries", wanted=_WANTED, keep=1)
        shown = _Shown.of(all_usable_rows(_Query, bad))
        warnings += bad.warnings()
        found = [(question, why) for question in questions if (why := shown.reason(question))]
        if found:
            question, why = found[0]
            raise DataEngineError(
                f"{file}: {why} holdout question {question.question_id}; remove it from holdout, or remove the file from "
                f"teacher_queries if it is about other data ({len(found)} of {len(questions)} questions)"
            )
    return warnings


@dataclass
class _Shown:
    """What one file's queries showed the teacher; the values are the reasons, for messages.

    `examples` is by question id, `ids` by image id, `names` by the file name of the image.
    """

    examples: dict[str, str] = field(default_factory=dict)
    ids: dict[ImageId, dict[ImageRef, str]] = field(default_factory=dict)
    names: dict[str, dict[ImageRef, str]] = field(default_factory=dict)

    @classmethod
    def of(cls, queries: Iterable[tuple[str, _Query]]) -> "_Shown":
        """Of queries and where they stand in their file."""
        shown = cls()
        for where, query in queries:
            name = shown_name(str(query.query_id or where))
            # setdefault here and below: a message names the first query that showed something
            for key in query.example_ids:
                shown.examples.setdefault(str(key), f"query {name} shows the teacher, as an example,")
            for ref, role in _images(query):
                why = f"query {name} {role} the image of"
                if ref.image_id != UNKNOWN_IMAGE:
                    shown.ids.setdefault(ref.image_id, {}).setdefault(ref, why)
                if ref.image_path:
                    shown.names.setdefault(base_name(ref.image_path), {}).setdefault(ref, why)
        return shown

    def reason(self, question: Question) -> str:
        """Which query showed the question or its image, and how; empty when none did."""
        if why := self.examples.get(question.question_id):
            return why
        image = image_ref(question.image_id, question.image_path)
        name = base_name(image.image_path)
        # images of another data set may have the same id or file name, so candidates are compared in full
        candidates = chain(self.ids.get(image.image_id, {}).items(), self.names.get(name, {}).items())
        return next((why for ref, why in candidates if _same_image(ref, image)), "")


def _images(query: _Query) -> Iterator[tuple[ImageRef, str]]:
    yield image_ref(query.image_id, query.image_path), "asks about"
    yield image_ref(query.anchor_image_id, query.anchor_image_path), "starts from"


def _same_image(one: ImageRef, other: ImageRef) -> bool:
    """Whether two records mean the same image; their paths may start at different folders.

    COCO's numbers mean the same image in every folder. Any other id is specific to a data set, so the file names must
    agree as well where both records have one; without ids, one path must be the end of the other.
    """
    numbers = [coco_number(ref.image_path) for ref in (one, other)]  # 5 for `val2017/000000000005.jpg`
    if min(numbers) >= 0:
        return numbers[0] == numbers[1]
    paths = [PurePosixPath(ref.image_path.replace("\\", "/")).parts for ref in (one, other)]
    if UNKNOWN_IMAGE not in (one.image_id, other.image_id):
        return one.image_id == other.image_id and (not all(paths) or paths[0][-1] == paths[1][-1])
    # `own/cat.jpg` is the end of `set/own/cat.jpg`
    # an empty path agrees with no other one: for length 0 the slice [-0:] is a whole path
    length = min(map(len, paths))
    return paths[0][-length:] == paths[1][-length:]
