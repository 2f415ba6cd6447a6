"""Step 4: records that ask nearly the same of the same picture, inside a round and across rounds."""

from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec

from dataengine_lib.questions.similarity import plain_words, same_question


class Asked(Protocol):
    """A training record of this round or an earlier one."""

    image_id: int
    question: str
    choices: list[str]
    correct_choice_idx: int


class _Words(msgspec.Struct, gc=False):
    """What a record asks, and its right answer; they become plain words when another record is first compared."""

    name: str
    question: str
    answer: str
    plain: bool = False

    @classmethod
    def of(cls, record: Asked, name: str = "") -> "_Words":
        return cls(name, record.question, record.choices[record.correct_choice_idx])

    def read(self) -> tuple[str, str]:
        if not self.plain:
            self.question, self.answer = plain_words(self.question), plain_words(self.answer)
            self.plain = True
        return self.question, self.answer


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
        self._asked: dict[int, list[_Words]] = {}

    def add(self, record: Asked, name: str) -> None:
        """Remember a record, of this round or an earlier one, under the name by which it is found."""
        self._asked.setdefault(record.image_id, []).append(_Words.of(record, name))

    def of(self, record: Asked) -> str:
        """The name of the first record added of which this one is a near-duplicate, empty where there is none."""
        images = [record.image_id, *self.near_images.get(record.image_id, ())]
        if self._asked.keys().isdisjoint(images):
            return ""
        question, answer = _Words.of(record).read()
        for image_id in images:
            for asked in self._asked.get(image_id, ()):
                other, its_answer = asked.read()
                same = question == other and image_id == record.image_id
                if same or (answer == its_answer and same_question(question, other) >= self.threshold):
                    return asked.name
        return ""
