"""Step 4: shuffles the choices so that the letter tells nothing: each letter is right equally often in every type."""

from itertools import permutations
from random import Random

from dataengine_lib.curation.candidates import Candidate
from dataengine_lib.replies.letter_mentions import moved, names_places

CHOICES = 4
# (old index, new index) of the right choice -> all orders of the choices that move it so
_ORDERS = {
    (old, new): [order for order in permutations(range(CHOICES)) if order[new] == old]
    for old in range(CHOICES)
    for new in range(CHOICES)
}


class OptionOrder:
    """Draws a new order of choices for one QA after the other; the same seed and QAs give the same orders.

    The right choice moves to the letter that was right least often in the QA's type so far; among equals, to the one that
    was right least often over all types; among equals again, to a random one. So the counts of two letters of a type
    never differ by more than one (unless choices must keep their order), and types with few QAs are even together. The
    wrong choices take any order.
    """

    def __init__(self, seed: int) -> None:
        self._rng = Random(seed)
        self._right: dict[str, list[int]] = {}
        self._all = [0] * CHOICES

    def shuffle(self, candidate: Candidate) -> Candidate:
        """Shuffle the choices of the candidate, in place, and change the letters in its rationales to match.

        A rationale is removed and counted in `rationales_left_out` if it is unclear which choices its letters mean. If the
        question or a choice refers to positions ("all of the above"), the choices keep their order.
        """
        record = candidate.record
        counts = self._right.setdefault(record.question_type, [0] * CHOICES)
        correct = record.correct_choice_idx
        if names_places(record.question, *record.choices):
            # counted as well, so that the next QAs of the type make up for it
            counts[correct] += 1
            self._all[correct] += 1
            candidate.choices_stay = True
            return candidate
        times_right = list(zip(counts, self._all, strict=True))  # per letter: in this type, over all types
        least = min(times_right)
        free = [letter for letter, number in enumerate(times_right) if number == least]
        new = free[int(self._rng.random() * len(free))]
        counts[new] += 1
        self._all[new] += 1
        orders = _ORDERS[correct, new]  # six: the wrong choices in any order
        order = orders[int(self._rng.random() * len(orders))]
        rationales = [moved(text, order, record.choices) for text in record.rationales]
        clear = [text for text in rationales if text is not None]
        candidate.rationales_left_out = len(rationales) - len(clear)
        record.choices = [record.choices[old] for old in order]
        record.correct_choice_idx, record.rationales = new, clear
        # the readers' answers are indices of the choices in their old order
        record.student_answer = _new_index(record.student_answer, order)
        record.second_answer = _new_index(record.second_answer, order)
        record.blind_answer = _new_index(record.blind_answer, order)
        record.second_answers = {
            name: answer if answer < 0 else order.index(answer)
            for name, answer in record.second_answers.items()
        }
        return candidate


def _new_index(index: int | None, order: tuple[int, ...]) -> int | None:
    """Where the choice at `index` stands in the new order; None and CANNOT_SAY (a reader's answer) stay as they are."""
    return index if index is None or index < 0 else order.index(index)
