"""Step 1: MME's score: accuracy and accuracy+ by category, their sum, and the sums of perception and cognition."""

from collections import defaultdict
from collections.abc import Sequence

import msgspec
import numpy as np

from dataengine_lib.core.records import Answer
from dataengine_lib.evaluation.scores.intervals import Estimate, drawn_sums, interval_of
from dataengine_lib.evaluation.scores.yes_no_text import read_as_mme
from dataengine_lib.questions.categories import type_name

_PAIR = 2  # questions about an image
_LEAST_PAIRED = 0.5  # share of images with just two questions, below which the questions are not MME's kind
GROUPS = {
    "perception": ("existence", "count", "position", "color", "posters", "celebrity", "scene", "landmark", "artwork",
                   "ocr"),
    "cognition": ("commonsense_reasoning", "numerical_calculation", "text_translation", "code_reasoning"),
}  # fmt: skip


class MmeCategory(msgspec.Struct, frozen=True):
    """One category: `accuracy` of its questions, `accuracy_plus` of its images, both right; `score` is 0 to 200."""

    images: int
    unread: int
    accuracy: Estimate
    accuracy_plus: Estimate
    score: Estimate


class MmeScores(msgspec.Struct, frozen=True):
    """`sums` are of the categories of perception (0 to 2,000), cognition (0 to 800), and of all of them.

    `unpaired` questions are left out: no second one is about their image in their category.
    """

    categories: dict[str, MmeCategory]
    sums: dict[str, Estimate]
    unpaired: int


def mme_scores(answers: Sequence[Answer], seed: int = 0) -> MmeScores | None:
    """The scores of yes/no questions, two about an image; None where most images have another number of questions.

    Answers are read as MME's script does; where a choice was ranked, there is no text and the choice counts. Intervals
    are bootstrapped over images.
    Source: calculation.py of BradyFU/Awesome-Multimodal-Large-Language-Models' MME.
    """
    groups: dict[str, dict[str, list[Answer]]] = defaultdict(lambda: defaultdict(list))
    for answer in answers:
        image = answer.image_path or str(answer.image_id)
        groups[type_name(answer.question_type)][image].append(answer)
    sizes = [len(rows) for images in groups.values() for rows in images.values()]
    if not sizes or sum(size == _PAIR for size in sizes) < _LEAST_PAIRED * len(sizes):
        return None
    categories: dict[str, MmeCategory] = {}
    drawn: dict[str, np.ndarray] = {}
    for number, (kind, images) in enumerate(sorted(groups.items())):
        # of an image that several pairs are about, two questions in turn are one
        pairs = [rows[at : at + _PAIR] for rows in images.values() for at in range(0, len(rows), _PAIR)]
        whole = [pair for pair in pairs if len(pair) == _PAIR]
        if whole:
            categories[kind], drawn[kind] = _category(whole, seed + number)
    sums = {name: _sum(kinds, categories, drawn) for name, kinds in GROUPS.items()}
    sums["all categories"] = _sum(tuple(categories), categories, drawn)
    return MmeScores(
        categories,
        {name: found for name, found in sums.items() if found.value is not None},
        sum(size % _PAIR for size in sizes),
    )


def _category(images: Sequence[Sequence[Answer]], seed: int) -> tuple[MmeCategory, np.ndarray]:
    """A category's scores, and `(draws,)` of its sum."""
    read = [[read_as_mme(written_text(answer)) for answer in rows] for rows in images]
    right = [
        sum(choice == answer.correct_choice_idx for choice, answer in zip(choices, rows, strict=True))
        for choices, rows in zip(read, images, strict=True)
    ]
    # columns: share of the two questions that are right, whether both are
    values = np.array([[count / _PAIR, count == _PAIR] for count in right], dtype=float)
    means, drawn = values.mean(axis=0), drawn_sums(values, seed) / len(values)
    found = MmeCategory(
        images=len(images),
        unread=sum(choice is None for choices in read for choice in choices),
        accuracy=interval_of(float(means[0]), drawn[:, 0]),
        accuracy_plus=interval_of(float(means[1]), drawn[:, 1]),
        score=interval_of(100 * float(means.sum()), 100 * drawn.sum(axis=1)),
    )
    return found, 100 * drawn.sum(axis=1)


def _sum(kinds: Sequence[str], categories: dict[str, MmeCategory], drawn: dict[str, np.ndarray]) -> Estimate:
    known = [kind for kind in categories if kind in kinds]
    if not known:
        return Estimate(None, 0.0, 1.0)
    total = sum(categories[kind].score.value or 0.0 for kind in known)
    return interval_of(total, np.sum([drawn[kind] for kind in known], axis=0))


def written_text(answer: Answer) -> str:
    """The text that the scripts read: what the student wrote, or the choice that it ranked first."""
    return answer.written or answer.model_answer
