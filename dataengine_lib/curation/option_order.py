"""Step 4: choices in a drawn order, so that the right letter says nothing: each is right equally often in every type."""

from itertools import permutations
from random import Random

from dataengine_lib.curation.candidates import Candidate
from dataengine_lib.replies.letter_mentions import moved, names_places

CHOICES = 4
# every order of the choices that brings the right one from its old place to a new one
_ORDERS = {
    (old, new): [order for order in permutations(range(CHOICES)) if order[new] == old]
    for old in range(CHOICES)
    for new in range(CHOICES)
}


class OptionOrder:
    """Draws an order for one QA after the other; same seed and same QAs, same orders.

    The right choice goes to a letter that has been right least often in the QA's type so far, of these to one that
    has been right least often at all, and of those to any; so no two letters of a type are more than one apart,
    unless choices had to stay, and thin types together are even, too. The wrong choices stand in any order.
    """

    def __init__(self, seed: int) -> None:
        self._rng = Random(seed)
        self._right: dict[str, list[int]] = {}
        self._all = [0] * CHOICES

    def shuffle(self, candidate: Candidate) -> Candidate:
        """The candidate itself, its choices brought into a new order, and the letters in its rationales with them.

        A rationale whose letters cannot be told is left out and counted in `rationales_left_out`. Choices stay where
        they are when the question or a choice speaks of their places ("all of the above").
        """
        record = candidate.record
        counts = self._right.setdefault(record.question_type, [0] * CHOICES)
        correct = record.correct_choice_idx
        if names_places(record.question, *record.choices):
            counts[correct] += 1
            self._all[correct] += 1
            candidate.choices_stay = True
            return candidate
        often = list(zip(counts, self._all, strict=True))  # as the right letter: in this type, at all
        least = min(often)
        free = [letter for letter, number in enumerate(often) if number == least]
        place = free[int(self._rng.random() * len(free))]
        counts[place] += 1
        self._all[place] += 1
        orders = _ORDERS[correct, place]
        places = orders[int(self._rng.random() * len(orders))]
        rationales = [moved(text, places, record.choices) for text in record.rationales]
        told = [text for text in rationales if text is not None]
        candidate.rationales_left_out = len(rationales) - len(told)
        record.choices = [record.choices[old] for old in places]
        record.correct_choice_idx, record.rationales = place, told
        record.second_answer = _now(record.second_answer, places)
        record.blind_answer = _now(record.blind_answer, places)
        return candidate


def _now(place: int | None, places: tuple[int, ...]) -> int | None:
    """Where the choice stands that stood at `place`; readers' answers that name none stay."""
    return place if place is None or place < 0 else places.index(place)
