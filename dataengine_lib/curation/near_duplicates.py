"""Step 4: QAs that ask nearly the same about the same image, within a round and across rounds.

`NearDuplicates` compares the text of QAs; `NearImages` finds images that are nearly the same by their embeddings.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import msgspec
import numpy as np

from dataengine_lib.core.bad_rows import BadRows, all_usable_rows
from dataengine_lib.core.records import OPEN, YES_NO, ImageId, image_id_of, right_answer
from dataengine_lib.core.text import words_key
from dataengine_lib.embeddings.store import EmbeddingStore, closest, nearest, open_store, store_exists
from dataengine_lib.images.references import id_key
from dataengine_lib.questions.similarity import same_question

_WANTED = "gptvqa_train_data.json of post-process"
_MOST_NEIGHBOURS = 16  # near-duplicates that are looked for per image
_ROUNDING = 1e-5  # rounding error of a cosine in float32, so that equal images reach a threshold of 1


class AnsweredQuestion(Protocol):
    """What is compared of a training record, of this round or of an earlier one."""

    image_id: ImageId
    question: str
    choices: list[str]
    correct_choice_idx: int
    short_answer: str
    answer_kind: str


# gc=False: its fields cannot be part of a reference cycle, so the garbage collector need not track it
class _QuestionText(msgspec.Struct, gc=False):
    """Question and right answer of a record; normalized when they are first compared, as most never are."""

    name: str
    question: str
    answer: str
    is_yes_no: bool = False
    is_normalized: bool = False

    @classmethod
    def of(cls, record: AnsweredQuestion, name: str = "") -> "_QuestionText":
        return cls(name, record.question, right_answer(record), record.answer_kind == YES_NO)

    def normalized(self) -> tuple[str, str]:
        if not self.is_normalized:
            self.question, self.answer = words_key(self.question), words_key(self.answer)
            self.is_normalized = True
        return self.question, self.answer


class NearDuplicates:
    """Remembers which questions were asked about which image, about 200 bytes per record.

    Two records are near-duplicates when both of these hold:
    - they are about the same image, or about two that `near_images` (from `NearImages.pairs`) lists as the same;
    - their right answers are equal, and the similarity of their questions reaches `threshold` (0: only equal words).
    About the same image, equal questions are enough even if the answers differ: one of the two must be wrong. A long
    question in which one word was changed, and the answer with it, is therefore not a near-duplicate. Yes/no questions
    have to be equal: `Is there a dog?` and `Is there a cat?` have many answers in common.
    """

    def __init__(
        self, threshold: float = 0.8, near_images: Mapping[ImageId, Sequence[ImageId]] | None = None
    ) -> None:
        self.threshold, self.near_images = threshold or 1.0, near_images or {}
        self._by_image: dict[ImageId, list[_QuestionText]] = {}

    def add(self, record: AnsweredQuestion, name: str) -> None:
        """Remember a record, of this round or an earlier one, under the name that `find` returns for it."""
        self._by_image.setdefault(record.image_id, []).append(_QuestionText.of(record, name))

    def find(self, record: AnsweredQuestion) -> str:
        """The name of the first added record that this one is a near-duplicate of; empty if there is none."""
        images = [record.image_id, *self.near_images.get(record.image_id, ())]
        # most records are the only one about their image: their text need not be normalized
        if self._by_image.keys().isdisjoint(images):
            return ""
        own = _QuestionText.of(record)
        question, answer = own.normalized()
        threshold = 1.0 if own.is_yes_no else self.threshold
        for image_id in images:
            for earlier in self._by_image.get(image_id, ()):
                other_question, other_answer = earlier.normalized()
                same = question == other_question and image_id == record.image_id
                if same or (answer == other_answer and same_question(question, other_question) >= threshold):
                    return earlier.name
        return ""


class EarlierRecord(msgspec.Struct):
    """The fields that are needed of a record of an earlier round."""

    image_id: ImageId
    question: str
    choices: list[str]
    correct_choice_idx: int
    record_id: str = ""
    short_answer: str = ""
    answer_kind: str = ""

    def __post_init__(self) -> None:
        # a ValueError here makes the row one that cannot be used
        self.image_id = image_id_of(self.image_id)
        if self.answer_kind == OPEN:
            if self.choices or not self.short_answer.strip():
                raise ValueError("an open-ended question has no short_answer, or has choices")
        elif not 0 <= self.correct_choice_idx < len(self.choices):
            raise ValueError(
                f"correct_choice_idx {self.correct_choice_idx} is outside the {len(self.choices)} choices"
            )


def read_earlier(file: Path, max_bad_share: float) -> tuple[list[tuple[str, EarlierRecord]], list[str]]:
    """The records of an earlier round by name (`round1/q-17`), and a warning where rows of the file are no records.

    Raises DataEngineError when a larger share than `max_bad_share` of the rows are none.
    """
    bad = BadRows(file, max_bad_share, remedy="check earlier", wanted=_WANTED, keep=1)
    rows = all_usable_rows(EarlierRecord, bad)
    folder = Path(file).parent.name
    # a row without an id is named by its number: `row 7` of a list, `line 8` of JSON lines
    named = [(f"{folder}/{row.record_id or where.partition(' ')[2]}", row) for where, row in rows]
    return named, bad.warnings()


class NearImages:
    """Near-duplicates among the images of step 2's vector store: cosine similarity of at least `threshold`.

    Raises DataEngineError when there is no store at `path` or its files do not belong together.
    """

    def __init__(self, path: Path, threshold: float = 0.98) -> None:
        self.store, self.threshold = open_store(path), threshold - _ROUNDING
        evaluation = Path(path) / "evaluation"  # step 2 stores the evaluation images there
        self.evaluation: EmbeddingStore | None = open_store(evaluation) if store_exists(evaluation) else None
        self._row = {key: row for row, key in enumerate(self.store.ids.tolist())}

    def near_evaluation(self, image_ids: Iterable[ImageId]) -> set[ImageId]:
        """The given images that are near-duplicates of an evaluation image; empty without embeddings of those."""
        ids, vectors = self._vectors(image_ids)
        if self.evaluation is None or not len(ids):
            return set()
        best = closest(vectors, np.asarray(self.evaluation.vectors))
        return {ids[row] for row in np.flatnonzero(best >= self.threshold).tolist()}

    def pairs(self, image_ids: Iterable[ImageId]) -> dict[ImageId, list[ImageId]]:
        """Each image that has near-duplicates among the given ones, with up to 16 of them, the nearest first.

        Exact search: the time grows with the square of the number of images, about two minutes for 100,000.
        """
        ids, vectors = self._vectors(image_ids)
        if len(ids) < 2:
            return {}
        rows, cosines = nearest(vectors, vectors, _MOST_NEIGHBOURS + 1)  # one more: the image finds itself
        found: dict[ImageId, list[ImageId]] = {}
        # more than one neighbour, as an image is usually among its own
        for row in np.flatnonzero((cosines >= self.threshold).sum(axis=1) > 1).tolist():
            near = rows[row][cosines[row] >= self.threshold]
            # an image need not be its own first neighbour: equal images come in row order
            found[ids[row]] = [ids[other] for other in near if other != row]
        return found

    def _vectors(self, image_ids: Iterable[ImageId]) -> tuple[list[ImageId], np.ndarray]:
        """The given images that the store holds, n of them in the order of their keys, and their vectors `(n, d)`."""
        keys = {id_key(one): one for one in image_ids}
        held = sorted(key for key in keys if key in self._row)
        return [keys[key] for key in held], np.asarray(self.store.vectors[[self._row[key] for key in held]])
