"""Step 1, second round on: what the teacher was shown may not be scored as holdout."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path, PurePosixPath

import msgspec

from dataengine_lib.core.files import read_json
from dataengine_lib.core.records import Question
from dataengine_lib.errors import DataEngineError
from dataengine_lib.images.references import ImageRef, coco_number, image_ref


class _Query(msgspec.Struct, gc=False):
    """The part of `records.Query` that says what the teacher saw; the prompts are never decoded."""

    image_id: int = -1
    image_path: str = ""
    query_id: str = ""
    anchor_image_id: int = -1
    anchor_image_path: str = ""
    example_ids: list[str] = []


def check_not_examples(questions: Sequence[Question], queries_files: Sequence[Path]) -> None:
    """Check that no question to be scored as holdout has been shown to the teacher, nor its image.

    A question is one of `example_ids`; its image is the one that a query asks about, or that of its first example.
    Raises DataEngineError naming the first file, query and question at fault, and how many questions there are.
    """
    for file in queries_files:
        shown = _Shown.of(read_json(Path(file), list[_Query]))
        faults = [(question, why) for question in questions if (why := shown.fault(question))]
        if faults:
            question, why = faults[0]
            raise DataEngineError(
                f"{file}: {why} holdout question {question.question_id}; take it out of holdout, or the file out of "
                f"teacher_queries where it is about other data ({len(faults)} of {len(questions)} questions)"
            )


@dataclass
class _Shown:
    """What one file's queries showed the teacher, by what can be looked up; values say which query did what."""

    examples: dict[str, str] = field(default_factory=dict)
    ids: dict[int, dict[ImageRef, str]] = field(default_factory=dict)
    names: dict[str, dict[ImageRef, str]] = field(default_factory=dict)

    @classmethod
    def of(cls, queries: Sequence[_Query]) -> "_Shown":
        shown = cls()
        for row, query in enumerate(queries):
            name = query.query_id or f"row {row}"
            for key in query.example_ids:
                shown.examples.setdefault(key, f"query {name} shows the teacher, as an example,")
            for ref, role in _images(query):
                why = f"query {name} {role} the image of"
                if ref.image_id >= 0:
                    shown.ids.setdefault(ref.image_id, {}).setdefault(ref, why)
                if ref.image_path:
                    shown.names.setdefault(PurePosixPath(ref.image_path).name, {}).setdefault(ref, why)
        return shown

    def fault(self, question: Question) -> str:
        """Which query showed a question or its image, and how; empty when none did."""
        if why := self.examples.get(question.question_id):
            return why
        image = image_ref(question.image_id, question.image_path)
        name = PurePosixPath(image.image_path).name
        near = chain(self.ids.get(image.image_id, {}).items(), self.names.get(name, {}).items())
        return next((why for ref, why in near if _same(ref, image)), "")


def _images(query: _Query) -> Iterator[tuple[ImageRef, str]]:
    yield image_ref(query.image_id, query.image_path), "asks about"
    yield image_ref(query.anchor_image_id, query.anchor_image_path), "starts from"


def _same(one: ImageRef, other: ImageRef) -> bool:
    """Whether two records, whose paths may start at different folders, mean the same image.

    COCO's numbers mean the same image in every folder. Any other id is a data set's own, so that it needs the same
    file name beside it where both have one; without ids, one path has to be the end of the other.
    """
    numbers = [coco_number(ref.image_path) for ref in (one, other)]
    if min(numbers) >= 0:
        return numbers[0] == numbers[1]
    paths = [PurePosixPath(ref.image_path).parts for ref in (one, other)]
    if one.image_id >= 0 and other.image_id >= 0:
        return one.image_id == other.image_id and (not all(paths) or paths[0][-1] == paths[1][-1])
    length = min(map(len, paths))
    return paths[0][-length:] == paths[1][-length:]
