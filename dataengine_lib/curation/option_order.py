"""Step 4: shuffles the choices so that the letter tells nothing: each letter is right equally often in every type."""

from itertools import permutations
from random import Random

from dataengine_lib.core.records import shows_options
from dataengine_lib.curation.candidates import Candidate
from dataengine_lib.replies.letter_mentions import PLACE, moved_letters, names_letters

CHOICES = 4  # of most QAs
# for these: (old index, new index) of the right choice -> all orders of the choices that move it so
_ORDERS = {
    (old, new): [order for order in permutations(range(CHOICES)) if order[new] == old]
    for old in range(CHOICES)
    for new in range(CHOICES)
}
_SAME_ORDER = tuple(range(CHOICES))


class OptionOrder:
    """Draws a new order of choices for one QA after the other; the same seed and QAs give the same orders.

    The right choice moves to the letter that was right least often in the QA's type so far; among equals, to the one that
    was right least often over all types; among equals again, to a random one. So the counts of two letters of a type
    never differ by more than one (unless choices must keep their order), and types with few QAs are even together. The
    wrong choices take any order. QAs with another number of choices are counted by themselves; yes/no and open-ended
    QAs stay as they are.
    """

    def __init__(self, seed: int) -> None:
        self._rng = Random(seed)
        # how often each letter was right: by type and number of choices, and over all types
        self._right: dict[tuple[str, int], list[int]] = {}
        self._all: dict[int, list[int]] = {}

    def shuffle(self, candidate: Candidate) -> Candidate:
        """Shuffle the choices of the candidate, in place, and change the letters in its rationales to match.

        A rationale is removed and counted in `rationales_left_out` if it is unclear which choices its letters mean. If the
        question or a choice refers to positions ("all of the above"), the choices keep their order.
        """
        record = candidate.record
        if not shows_options(record.answer_kind):
            return candidate
        correct, number = record.correct_choice_idx, len(record.choices)
        counts = self._right.setdefault((record.question_type, number), [0] * number)
        over_all = self._all.setdefault(number, [0] * number)
        if candidate.mentions.order_stays:
            # counted as well, so that the next QAs of the type make up for it
            counts[correct] += 1
            over_all[correct] += 1
            candidate.choices_stay = True
            return candidate
        times_right = list(zip(counts, over_all, strict=True))  # per letter: in this type, over all types
        least = min(times_right)
        free = [letter for letter, number in enumerate(times_right) if number == least]
        new = free[int(self._rng.random() * len(free))]
        counts[new] += 1
        over_all[new] += 1
        order = self._order(number, correct, new)
        mentions = zip(record.rationales, candidate.mentions.rationales, strict=True)
        rationales = [_moved(text, order, record.choices, mention) for text, mention in mentions]
        clear = [text for text in rationales if text is not None]
        candidate.rationales_left_out = len(rationales) - len(clear)
        record.choices = [record.choices[old] for old in order]
        record.correct_choice_idx, record.rationales = new, clear
        # the readers' answers are indices of the choices in their old order
        record.student_answer = _new_index(record.student_answer, order)
        record.second_answer = _new_index(record.second_answer, order)
        record.blind_answer = _new_index(record.blind_answer, order)
        if record.second_answers:
            record.second_answers = {
                name: answer if answer < 0 else order.index(answer)
                for name, answer in record.second_answers.items()
            }
        return candidate

    def _order(self, number: int, correct: int, new: int) -> tuple[int, ...]:
        """An order of `number` choices in which `correct` stands at `new`, the wrong ones in any order."""
        if number == CHOICES:
            orders = _ORDERS[correct, new]
            return orders[int(self._rng.random() * len(orders))]
        wrong = [index for index in range(number) if index != correct]
        self._rng.shuffle(wrong)
        return (*wrong[:new], correct, *wrong[new:])


def _moved(text: str, order: tuple[int, ...], choices: list[str], mention: str) -> str | None:
    """The rationale with the letters of the new order, None where that is unclear; letters are followed among four.

    `mention` is how it names choices, see `mentioned`.
    """
    if not mention:
        return text
    if len(choices) == CHOICES:
        if order == _SAME_ORDER:
            return text
        return None if mention == PLACE else moved_letters(text, order, choices)
    return None if names_letters(text, len(choices)) else text


def _new_index(index: int | None, order: tuple[int, ...]) -> int | None:
    """Where the choice at `index` stands in the new order; None and CANNOT_SAY (a reader's answer) stay as they are."""
    return index if index is None or index < 0 else order.index(index)
