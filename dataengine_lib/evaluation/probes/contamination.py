"""Step 1: were the questions in the student's training? The same ones in another order and in other words."""

import random
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec
import numpy as np

from dataengine_lib.core.records import Answer, Question, options_text, shows_options
from dataengine_lib.core.statistics import Gain
from dataengine_lib.evaluation.answers import StudentAnswer, answer_record
from dataengine_lib.evaluation.paired.scores import PairedScores, answer_scores, paired_change, paired_scores
from dataengine_lib.evaluation.probes.rewording import reworded
from dataengine_lib.evaluation.questioner import TEXTS
from dataengine_lib.evaluation.tasks import Task

ORDER, WORDING = "options in another order", "question in other words"
_OTHER_ORDERS = (
    5  # of the options, that the file's own is compared with; each costs the ranking of one more text
)
_TRIES = 200  # of shuffles, to find other orders; of three options there are five


class OrderPreference(msgspec.Struct, frozen=True):
    """Does the student find the options more likely in the file's order than in others?

    `share` is the mean share of other orders that the file's order beats (a tie counts half), 0.5 by chance; `beyond`
    is that minus 0.5, with a bootstrap interval over images, and `p_value` of a sign-flip test over images.
    `left_out` questions have options in the order of a rule (of numbers or of the alphabet), or fewer than two.
    """

    questions: int
    left_out: int
    share: float
    beyond: Gain
    p_value: float


class Contamination(msgspec.Struct, frozen=True):
    """Both changes of the questions, where `first` is the score as asked and `second` that after the change.

    Holm's correction is over the two. `reworded` counts the questions of which words changed, not the opening alone.
    """

    changes: dict[str, PairedScores]
    questions: dict[str, int]
    reworded: int
    preference: OrderPreference | None


class ProbedAnswer(msgspec.Struct, frozen=True):
    """A question as the probe changed it, and the student's answer: a row of `contamination.json`."""

    question_id: str
    idx: int
    change: str
    question: str
    choices: list[str]
    model_answer: str
    score: float
    score_as_asked: float


class Probe(NamedTuple):
    """Changed questions to ask, and the questions that they were made of, by their places."""

    change: str
    tasks: list[Task]


def changed_questions(tasks: Sequence[Task], seed: int) -> list[Probe]:
    """The questions with their options in another order, and with the question in other words.

    The order is drawn by `seed` and the question, and is never the given one; yes/no and open-ended questions have none.
    """
    orders = []
    for task in tasks:
        others = _other_orders(task.question, seed, 1)
        if others:
            orders.append(_with(task, choices=others[0], right=_right(task.question, others[0])))
    words = [_with(task, question=reworded(task.question.question).text) for task in tasks]
    return [Probe(ORDER, orders), Probe(WORDING, words)]


def orders_to_rank(tasks: Sequence[Task], seed: int) -> list[Task]:
    """Each multiple-choice question with its options as one text in the file's order, and in up to five others.

    These texts are what the student ranks. Options in the order of a rule are left out: a student that knows the rule
    prefers that order without having seen the file.
    """
    ranked = []
    for task in tasks:
        others = [] if _in_order_of_a_rule(task.question.choices) else _other_orders(task.question, seed)
        if others:
            texts = [options_text(order) for order in [task.question.choices, *others]]
            question = msgspec.structs.replace(
                task.question, choices=texts, correct_choice_idx=0, answer_kind=TEXTS
            )
            ranked.append(Task(task.row, task.place, question, task.split, task.image))
    return ranked


def contamination(
    answers: Sequence[Answer],
    probed: Sequence[tuple[Probe, Mapping[int, StudentAnswer]]],
    ranked: Mapping[int, StudentAnswer],
    seed: int = 0,
) -> tuple[Contamination, list[ProbedAnswer]]:
    """The drop of the score under each change, and the preference for the file's order of options.

    `answers` are those to the questions as they are; `ranked` scores the texts of `orders_to_rank`. Of an evaluation
    with `robust: circular`, the answers in the given order count.
    """
    by_place = {answer.idx: answer for answer in answers}
    compared: list[
        tuple[str, Answer, Answer]
    ] = []  # the change, the answer as asked and that to the changed question
    for probe, found in probed:
        for task in probe.tasks:
            if task.place not in found or task.place not in by_place:
                continue
            original = by_place[task.place]
            given = answer_record(task.question, task.place, task.split, task.image, found[task.place])
            compared.append((probe.change, original, given))
    # one family: both changes are corrected together, on the questions that each was made of
    originals = [original for _, original, _ in compared]
    names = np.array([change for change, _, _ in compared], dtype=object)
    groups = {probe.change: names == probe.change for probe, _ in probed} if compared else {}
    first = np.array([_plain_score(original) for original in originals])
    second = answer_scores([given for _, _, given in compared])
    changes = paired_scores(first, second, originals, groups, seed)
    counts = {change: int(mask.sum()) for change, mask in groups.items()}
    inside = sum(reworded(original.question).inside for change, original, _ in compared if change == WORDING)
    multiple = sum(shows_options(answer.answer_kind) for answer in answers)
    rows = [
        ProbedAnswer(
            original.question_id,
            original.idx,
            change,
            given.question,
            given.choices,
            given.model_answer,
            given.score,
            _plain_score(original),
        )
        for change, original, given in compared
    ]
    return Contamination(changes, counts, inside, _preference(by_place, ranked, multiple, seed)), rows


def _preference(
    by_place: Mapping[int, Answer], ranked: Mapping[int, StudentAnswer], multiple: int, seed: int
) -> OrderPreference | None:
    """The test of Oren et al. 2023 (arXiv 2310.17623) with a question's options in place of a file's rows.

    If the student has not seen the file, the file's order of options is exchangeable with orders that are drawn, so its
    rank among them is uniform, and rank minus chance is symmetric about 0: a sign flip by images is an exact test.
    """
    places = [place for place in ranked if place in by_place and len(ranked[place].scores) > 1]
    if not places:
        return None
    shares = np.array([_share_beaten(ranked[place].scores) for place in places])
    change = paired_change(shares - 0.5, [by_place[place] for place in places], seed)
    share = round(float(shares.mean()), 4)
    return OrderPreference(len(places), multiple - len(places), share, change.gain, change.p_value)


def _share_beaten(scores: Sequence[float]) -> float:
    own, others = scores[0], scores[1:]
    return sum(1.0 if own > other else 0.5 if own == other else 0.0 for other in others) / len(others)


def _plain_score(answer: Answer) -> float:
    if not answer.rotated_choice_idx:
        return answer.score
    return float(answer.predicted_choice_idx == answer.correct_choice_idx)


def _other_orders(question: Question, seed: int, most: int = _OTHER_ORDERS) -> list[list[str]]:
    """Up to `most` different orders of the options, none of them the given one; the same for the same seed."""
    if not shows_options(question.answer_kind) or len(set(question.choices)) < 2:
        return []
    # a text as seed gives the same numbers in every Python
    draw = random.Random(f"{seed}:{question.question_id}:{question.question}")
    found: list[list[str]] = []
    for _ in range(_TRIES):
        order = draw.sample(question.choices, len(question.choices))
        if order != question.choices and order not in found:
            found.append(order)
        if len(found) == most:
            break
    return found


def _right(question: Question, order: Sequence[str]) -> int:
    right = question.correct_choice_idx
    return order.index(question.choices[right]) if right >= 0 else right


def _in_order_of_a_rule(choices: Sequence[str]) -> bool:
    """Whether the options rise or fall as numbers, or as words of the alphabet."""
    try:
        keys: list[float] | list[str] = [float(choice.replace(",", "")) for choice in choices]
    except ValueError:
        keys = [choice.casefold() for choice in choices]
    return keys in (sorted(keys), sorted(keys, reverse=True))


def _with(
    task: Task, *, question: str | None = None, choices: list[str] | None = None, right: int = -1
) -> Task:
    changed = task.question
    if question is not None:
        changed = msgspec.structs.replace(changed, question=question)
    if choices is not None:
        changed = msgspec.structs.replace(changed, choices=choices, correct_choice_idx=right)
    return Task(task.row, task.place, changed, task.split, task.image)
