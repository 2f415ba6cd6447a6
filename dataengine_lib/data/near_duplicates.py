"""Step 4: records that ask nearly the same of the same picture, inside a round and across rounds."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from dataengine_lib.data.near_questions import plain_words, same_question


class Asked(Protocol):
    """A training record of this round or an earlier one."""

    image_id: int
    question: str
    choices: list[str]
    correct_choice_idx: int


class NearDuplicates:
    """Knows what has been asked of which image, some 200 bytes a record.

    Two records are near-duplicates when they are about one image, or about two that `near_images` (of
    `NearImages.pairs`) calls the same, and ask the same with the same right answer, in words alike by `threshold` (0:
    the same words). About one image the same words are enough: they repeat each other, or one answer is wrong. So a
    question whose one word in twenty is changed, and its answer with it, is another.
    """

    def __init__(
        self, threshold: float = 0.8, near_images: Mapping[int, Sequence[int]] | None = None
    ) -> None:
        self.threshold, self.near_images = threshold or 1.0, near_images or {}
        self._asked: dict[int, list[tuple[str, str, str]]] = {}

    def add(self, record: Asked, name: str) -> None:
        """Remember a record, of this round or an earlier one, under the name by which it is found."""
        asked = (name, plain_words(record.question), _answer(record))
        self._asked.setdefault(record.image_id, []).append(asked)

    def of(self, record: Asked) -> str:
        """The name of the first record added of which this one is a near-duplicate, empty where there is none."""
        question, answer = plain_words(record.question), _answer(record)
        for image_id in (record.image_id, *self.near_images.get(record.image_id, ())):
            for name, other, its_answer in self._asked.get(image_id, ()):
                same = question == other and image_id == record.image_id
                if same or (answer == its_answer and same_question(question, other) >= self.threshold):
                    return name
        return ""


def _answer(record: Asked) -> str:
    return plain_words(record.choices[record.correct_choice_idx])
