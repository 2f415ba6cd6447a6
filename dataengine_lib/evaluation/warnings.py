"""What step 1 warns of: rows and answers that were lost, and figures that say little."""

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import groupby

import msgspec

from dataengine_lib.core.records import LETTERS, NO_TYPE, Answer, shows_options
from dataengine_lib.core.statistics import few_questions
from dataengine_lib.core.text import shown
from dataengine_lib.errors import DataEngineError
from dataengine_lib.evaluation.answers import is_unread
from dataengine_lib.evaluation.metrics import Metrics, SplitScore
from dataengine_lib.questions.seed_bench import NO_IMAGE_TASK
from dataengine_lib.questions.splits import DIAGNOSE, HOLDOUT

_UNREADABLE_SHARE = 0.05  # of answers without an option, from which it is worth a warning
_SAME_LETTER = 20  # answers that all name one letter are no chance from here on
_EMPTY_SHARE = 0.5  # of direct answers without a word


def check_readable(answers: Sequence[Answer], student: str, max_share: float) -> None:
    """Raise DataEngineError when from a larger share than `max_share` of the answers no option can be read.

    Such answers are wrong, so weights and bad cases would measure the format of the answers, not the student.
    """
    unread = [answer for answer in answers if is_unread(answer)]
    if len(unread) <= max_share * len(answers):
        return
    words = next((answer.written for answer in unread if answer.written), "")
    example = f", such as {shown(words)}" if words else "; they are empty"
    raise DataEngineError(
        f"student {student}: no {_what(unread)} can be read from {len(unread):,} of {len(answers):,} answers{example}; "
        f"check the student and rank, or raise max_failed_share ({max_share})"
    )


def _what(answers: Sequence[Answer]) -> str:
    """What is read from answers: an option, or for other kinds of questions the answer itself."""
    return "option" if any(shows_options(answer.answer_kind) for answer in answers) else "answer"


def evaluation_warnings(
    metrics: Metrics,
    answers: Sequence[Answer],
    bad_cases: Mapping[str, Sequence[Answer]],
    weights: Mapping[str, float],
    split: str,
) -> list[str]:
    """A sentence for each way in which this evaluation of `split` (or `all`) is less than it seems."""
    if metrics.unscored:
        test_split = (
            "no question has an answer, as in a test split: predictions.json is written for the leaderboard "
            f"({metrics.unscored:,} questions), nothing is scored, and there are no bad cases and weights"
        )
        return [line for line in (_left_out(metrics), test_split) if line]
    found = [_left_out(metrics), _missing_split(metrics) if split == "all" else ""]
    found.append(_ranked_first_tokens(metrics))
    # answers are in the order of the file; sorted is stable
    for name, of_split in groupby(sorted(answers, key=_split), key=_split):
        found += _split_warnings(name, metrics.splits[name], list(of_split))
    if not isinstance(metrics.judge, msgspec.UnsetType) and metrics.judge.judged < metrics.judge.answers:
        found.append(
            f"the judge has no verdict on {metrics.judge.answers - metrics.judge.judged:,} of "
            f"{metrics.judge.answers:,} open-ended answers; judge.json says why"
        )
    untyped = sum(answer.question_type == NO_TYPE for answer in answers)
    if untyped:
        found.append(
            f"{untyped:,} of {len(answers):,} questions have no question type; step 0 gives them one"
        )
    if DIAGNOSE in metrics.splits and not any(bad_cases.values()):
        found.append(
            "no bad cases: every diagnose question was answered right, so step 2 has nothing to ask about"
        )
    elif weights and not any(weights.values()):
        found.append("every type has the weight 0, so step 2 has no type to ask about")
    return [line for line in found if line]


def order_warnings(answers: Sequence[Answer], robust: str, contamination: bool) -> list[str]:
    """A sentence for each parameter that asks the options in other orders, where no question has options to order."""
    if any(shows_options(answer.answer_kind) for answer in answers):
        return []
    which = f"none of the {len(answers):,} questions has any, so each was asked"
    found = [f"robust: {robust} asks the options in other orders; {which} once"] if robust != "off" else []
    if contamination:
        found.append(f"contamination also asks the options in another order; {which} in other words alone")
    return found


def _split(answer: Answer) -> str:
    return answer.split


def _left_out(metrics: Metrics) -> str:
    # tasks without an image, such as SEED-Bench's videos, are no fault of the file
    return metrics.skipped.sentence() if set(metrics.skipped.by_reason) - {NO_IMAGE_TASK} else ""


def _split_warnings(split: str, score: SplitScore, answers: Sequence[Answer]) -> list[str]:
    total = len(answers)
    found = [few_questions(total, split)]
    if score.cannot_tell > _UNREADABLE_SHARE * total:
        found.append(
            f"no {_what(answers)} can be read from {score.cannot_tell:,} of {total:,} {split} answers; they count as wrong"
        )
    # below chance with all of its interval: more often a wrong file or prompt than a weak student
    if score.overall.high < score.chance:
        found.append(
            f"{score.overall.correct:,} of {total:,} {split} answers are right, fewer than guessing would reach "
            f"({score.chance:.0%}); check the right answers in the file and the student's prompt"
        )
    letters = Counter(answer.predicted_choice_idx for answer in answers if answer.predicted_choice_idx >= 0)
    right = {answer.correct_choice_idx for answer in answers if answer.choices}
    if len(letters) == 1 < len(right) and letters.total() >= _SAME_LETTER:
        place = next(iter(letters))
        word = next(answer.model_answer for answer in answers if answer.predicted_choice_idx == place)
        same = f"the letter {LETTERS[place]}" if _what(answers) == "option" else shown(word)
        found.append(f"every {split} answer is {same}: the student may not see questions or images")
    asked = [answer for answer in answers if answer.direct_answer is not None]
    empty = sum(not (answer.direct_answer or "").strip() for answer in asked)
    if asked and empty > _EMPTY_SHARE * len(asked):
        found.append(f"{empty:,} of {len(asked):,} {split} answers without options are empty")
    return found


def _missing_split(metrics: Metrics) -> str:
    missing = [split for split in (DIAGNOSE, HOLDOUT) if split not in metrics.splits]
    if not missing:
        return ""
    needs = (
        "so there are no bad cases and weights"
        if missing[0] == DIAGNOSE
        else "so nothing can be compared later"
    )
    return f"no question is in the {missing[0]} split, {needs}; splits are by image, or set with split_field"


def _ranked_first_tokens(metrics: Metrics) -> str:
    """Where the tokens that a server lists say less about the options than their probabilities."""
    ranked = metrics.ranked
    if isinstance(ranked, msgspec.UnsetType):
        return ""
    found = {
        "no token of an option is listed, whose score is the most that it can be": ranked.missing,
        "something else than an option is more probable (see rank: generate)": ranked.elsewhere,
        "no option is the most probable one, which counts as wrong": 0 if ranked.call else ranked.cannot_tell,
        "the tokens that are listed do not end with the option, which counts as wrong": (
            ranked.cannot_tell if ranked.call else 0
        ),
        "one token holds the end of the question and the start of the option, with which it counts": ranked.joined,
    }
    parts = [f"in {number:,} {words}" for words, number in found.items() if number]
    return f"of {ranked.requests:,} requests to the student: {'; '.join(parts)}" if parts else ""
