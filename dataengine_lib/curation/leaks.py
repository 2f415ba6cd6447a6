"""Step 4: training records that give away what the student is measured on."""

import os
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import tee
from pathlib import Path

from dataengine_lib.core.records import Question, TrainRecord
from dataengine_lib.core.text import words_key
from dataengine_lib.images.references import coco_number
from dataengine_lib.questions.evaluation_images import EVALUATION_IMAGE, NEAR_DUPLICATE, read_image_refs
from dataengine_lib.questions.reader import read_question_rows
from dataengine_lib.questions.similarity import NearQuestions

EVALUATION_QUESTION = "evaluation question"
COMMON = 3  # pictures that evaluation asks the same words of: such words tell of no single one


class EvaluationSet:
    """The questions and images of evaluation files of any format that step 1 reads.

    Images lie under `image_root`; of questions, those alike by `threshold` count as the same, none at 0. Rows without
    a usable question count by their image. Raises DataEngineError when a file cannot be read.
    """

    def __init__(self, files: Sequence[Path], image_root: Path | None = None, threshold: float = 0.8) -> None:
        self.images: set[int | str] = set()
        questions: list[Question] = []
        for file in files:
            for ref in read_image_refs(file, image_root):
                self.images.add(image_key(ref.image_id, ref.image_path, image_root))
            questions += read_question_rows(file, image_root)[0] if threshold > 0 else []
        asked_of: dict[str, set[int | str]] = {}
        for one in questions:
            image = image_key(one.image_id, one.image_path, image_root)
            asked_of.setdefault(words_key(one.question), set()).add(image)
        self.questions = [one for one in questions if len(asked_of[words_key(one.question)]) < COMMON]
        self.index = NearQuestions(self.questions, threshold or 1.0)

    def leaks(
        self, records: Iterable[TrainRecord], image_root: Path | None = None, near: Collection[int] = ()
    ) -> Iterator[str]:
        """How each record leaks: EVALUATION_IMAGE, NEAR_DUPLICATE, EVALUATION_QUESTION, or empty; the first that holds.

        Records' images lie under `image_root`; `near` are ids of images that are near-duplicates of an evaluation
        image, see `NearImages.near_evaluation`. A question leaks when evaluation asks nearly the same, with nearly the
        same choices and the same right answer, unless it asks the same words of COMMON or more pictures: "What color
        is the car?" is a turn of phrase.
        """
        rows, again = tee(records)
        for record, alike in zip(rows, self.index.near(again), strict=True):
            if image_key(record.image_id, record.image_path, image_root) in self.images:
                yield EVALUATION_IMAGE
            elif record.image_id in near:
                yield NEAR_DUPLICATE
            elif any(_answer(self.questions[place]) == _answer(record) for place in alike):
                yield EVALUATION_QUESTION
            else:
                yield ""


def image_key(image_id: int, image_path: str, root: Path | None) -> int | str:
    """Equal for the same image: COCO's number where the name has one, else the file, else the id alone.

    Only COCO's names mean the same image below every root.
    """
    if not image_path:
        return image_id
    number = coco_number(image_path)
    return number if number >= 0 else os.path.join(os.path.realpath(root or ""), os.path.normpath(image_path))


def _answer(record: Question | TrainRecord) -> str:
    return words_key(record.choices[record.correct_choice_idx])
