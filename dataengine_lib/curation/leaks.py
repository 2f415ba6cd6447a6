"""Step 4: finds training records that give away evaluation questions or images."""

import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import tee
from pathlib import Path

from dataengine_lib.core.records import NO_ANSWER, OPEN, YES_NO, ImageId, Question, TrainRecord, right_answer
from dataengine_lib.core.text import words_key
from dataengine_lib.errors import DataEngineError
from dataengine_lib.images.copies import COPY
from dataengine_lib.images.references import ImageRef, coco_number, locate
from dataengine_lib.questions.evaluation_images import EVALUATION_IMAGE, NEAR_DUPLICATE, read_image_refs
from dataengine_lib.questions.question_sets import QuestionSet
from dataengine_lib.questions.reader import read_question_file
from dataengine_lib.questions.similarity import NearQuestions

EVALUATION_QUESTION = "evaluation question"
# Images about which evaluation asks the same words; such a question gives none of them away.
_COMMON_QUESTION = 3


@dataclass(frozen=True)
class SetImages:
    """The images of one evaluation file; their paths start at `root`, None where `parameter` is not given."""

    root: Path | None
    refs: list[ImageRef]
    parameter: str


class EvaluationSet:
    """The questions and images of evaluation files of any format that step 1 reads, and of the sets of a `panel`.

    Image paths of `files` start at `image_root`. Questions whose similarity reaches `threshold` count as the same; with
    0, questions are not compared. Rows without a usable question count by their image. Raises DataEngineError when a file
    cannot be read.
    """

    def __init__(
        self,
        files: Sequence[Path],
        image_root: Path | None = None,
        threshold: float = 0.8,
        panel: Mapping[str, QuestionSet] | None = None,
    ) -> None:
        self.sets: list[SetImages] = []
        self.images: set[ImageId] = set()
        self.warnings: list[str] = []  # of rows whose images are not known
        questions: list[Question] = []
        # a question's words -> the images that it is asked about
        images_of: dict[str, set[ImageId]] = {}
        sets = [(file, image_root, "evaluation_image_root") for file in files]
        sets += [
            (one.questions, one.image_root, f"panel.{name}.image_root") for name, one in (panel or {}).items()
        ]
        for number, (file, root, parameter) in enumerate(sets):
            refs = read_image_refs(file, root, warn=self.warnings.append)
            self.sets.append(SetImages(root, refs, parameter))
            for ref in refs:
                self.images.add(_image_of(ref, root, panel=number >= len(files)))
            if threshold > 0:
                # questions without an answer too: a test split, whose answers are not public, is still asked
                read = read_question_file(file, root, some_unanswered=True).questions
                for one in read:
                    image = image_key(one.image_id, one.image_path, root)
                    images_of.setdefault(words_key(one.question), set()).add(image)
                questions += read
        self.questions = [
            one for one in questions if len(images_of[words_key(one.question)]) < _COMMON_QUESTION
        ]
        # with threshold 0 there are no questions, and 1.0 only makes the empty index valid
        self.index = NearQuestions(self.questions, threshold or 1.0)

    @property
    def known(self) -> int:
        """How many images are named by the files and the panel."""
        return sum(len(one.refs) for one in self.sets)

    def leaks(
        self,
        records: Iterable[TrainRecord],
        image_root: Path | None = None,
        near: Collection[ImageId] = (),
        is_copy: Callable[[TrainRecord], bool] = lambda record: False,
    ) -> Iterator[str]:
        """How each record leaks (empty if it does not): EVALUATION_IMAGE, NEAR_DUPLICATE, COPY or EVALUATION_QUESTION.

        Image paths of the records start at `image_root`; `near` are ids of images that are near-duplicates of an
        evaluation image, see `NearImages.near_evaluation`; `is_copy` says whether a record's image is a copy of one.
        A question leaks if evaluation asks nearly the same, with nearly the same choices and the same right answer, where
        that is known; but not if it asks this about three images or more ("What color is the car?").
        """
        # the index looks at a batch of records at a time, so tee holds no more than that
        records, ahead = tee(records)
        for record, alike in zip(records, self.index.near(ahead), strict=True):
            if image_key(record.image_id, record.image_path, image_root) in self.images:
                yield EVALUATION_IMAGE
            elif record.image_id in near:
                yield NEAR_DUPLICATE
            elif is_copy(record):
                yield COPY
            elif any(_same_answer(self.questions[index], record) for index in alike):
                yield EVALUATION_QUESTION
            else:
                yield ""


def _image_of(ref: ImageRef, root: Path | None, *, panel: bool) -> ImageId:
    """The key of an evaluation image; an id alone is one of the panel set's folder, and found there if it can be."""
    if panel and root is not None and not ref.image_path:
        try:
            return image_key(ref.image_id, locate(ref, root), root)
        except DataEngineError:
            return ref.image_id  # not there; COCO's numbers still tell
    return image_key(ref.image_id, ref.image_path, root)


def image_key(image_id: ImageId, image_path: str, root: Path | None) -> ImageId:
    """A key that is equal for the same image: COCO's number if the file name has one, else the file, else the id.

    Only COCO's file names mean the same image below every root.
    """
    if not image_path:
        return image_id
    number = coco_number(image_path)
    return (
        number
        if number >= 0
        else os.path.join(os.path.realpath(root or ""), os.path.normpath(image_path.replace("\\", "/")))
    )


def _same_answer(asked: Question, record: TrainRecord) -> bool:
    """Whether the answers of two similar questions are the same, or that of the evaluation is not known.

    Of yes/no questions the words of both have to be the same, too: `Is there a dog?` is not `Is there a cat?`.
    """
    if YES_NO in (asked.answer_kind, record.answer_kind) and words_key(asked.question) != words_key(
        record.question
    ):
        return False
    answers = asked.direct_answers if asked.answer_kind == OPEN else []
    if asked.correct_choice_idx != NO_ANSWER:
        answers = [asked.choices[asked.correct_choice_idx]]
    return not answers or words_key(right_answer(record)) in map(words_key, answers)
