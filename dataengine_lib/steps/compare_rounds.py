"""Step 6: did the weak types improve? Every round's answers to the same questions, paired, with intervals."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from pydantic import Field

from dataengine_lib.core.files import read_json, write_json
from dataengine_lib.core.records import Answer
from dataengine_lib.core.statistics import Gain, PairedGains, mcnemar, wilson
from dataengine_lib.core.step_config import StepConfig
from dataengine_lib.errors import DataEngineError
from dataengine_lib.evaluation.comparison import (
    Change,
    Comparison,
    Figures,
    LeftOut,
    PairedScore,
    RoundScores,
    Score,
)

OVERALL = "overall"
NO_DIAGNOSE = "the first evaluation has no diagnose questions, so no type can be called weak"
NONE_ASKED = "weak_types is 0"


class CompareRoundsConfig(StepConfig):
    """Parameters of `6_compare_rounds`."""

    evaluations: list[Path] = Field(min_length=2)
    """aokvqa_eval.json in order: before, after round 1, after round 2, …"""
    output: Path
    """compare_rounds.json."""
    split: Literal["all", "diagnose", "holdout"] = "holdout"
    """Questions to compare on."""
    weak_types: int = Field(4, ge=0)
    """How many of the first round's weakest diagnose types to average over."""
    image_root: Path | None = None
    """Where image_path starts; only to show the pictures."""
    seed: int = 0


class SummaryRow(NamedTuple):
    """One line of the table at the end of a run; accuracies and gains in shares of one."""

    question_type: str
    before: float
    after: float
    gain: float
    low: float
    high: float


@dataclass
class CompareRoundsResult:
    """What the notebook shows."""

    figures: Figures
    output: Path
    image_root: Path | None = None

    @property
    def total(self) -> Comparison:
        """The first evaluation against the last."""
        return self.figures.comparisons[0]

    def summary_table(self) -> list[SummaryRow]:
        """First against last: types from weakest to strongest, then the weak types' average, then overall."""
        first, last = self.figures.rounds[0], self.figures.rounds[-1]
        rows = [
            _summary_row(kind, first.by_type[kind].accuracy, last.by_type[kind].accuracy, paired.gain)
            for kind, paired in self.total.by_type.items()
        ]
        rows.sort(key=lambda row: (row.before, row.question_type))
        if self.total.weak:
            weak = [row for row in rows if row.question_type in self.figures.weak_types]
            before, after = (float(np.mean([row[column] for row in weak])) for column in (1, 2))
            rows.append(_summary_row(f"weakest {len(weak)} types (average)", before, after, self.total.weak))
        rows.append(
            _summary_row(OVERALL, first.overall.accuracy, last.overall.accuracy, self.total.overall.gain)
        )
        return rows

    def conclusion(self) -> str:
        """One paragraph that says no more than the intervals do."""
        paired, split = self.total.overall, self.figures.split
        asked = f"{self.figures.questions} {'' if split == 'all' else split + ' '}questions"
        sentences = [
            f"On {asked} accuracy went {_points(paired.gain)}, "
            f"{paired.fixed} fixed and {paired.broken} broken, McNemar p = {paired.p_value:.2g}: "
            f"{_verdict(paired.gain)}."
        ]
        if self.total.weak:
            names, gain = ", ".join(self.figures.weak_types), self.total.weak
            sentences.append(f"The weak types ({names}) went {_points(gain)} on average: {_verdict(gain)}.")
        if self.figures.weak_note:
            sentences.append(f"Weak types: {self.figures.weak_note}.")
        return " ".join(sentences)


def compare_rounds(config: CompareRoundsConfig) -> CompareRoundsResult:
    """Compare the rounds on the questions that all of them answered, and write every figure to `output`.

    Raises DataEngineError when a file cannot be read or no question is common to all.
    """
    answers: list[list[Answer]] = [read_json(path, list[Answer]) for path in config.evaluations]
    pairs, left_out = _pair(answers, config)
    names = ["before"] + [f"after round {number}" for number in range(1, len(answers))]
    kinds = np.array([answer.question_type or "unknown" for answer in pairs[0]], dtype=object)
    images = [_image(answer) for answer in pairs[0]]
    weak, note = _weak_types(answers[0], config.weak_types, set(kinds))
    steps = [(0, len(names) - 1)] + ([(n, n + 1) for n in range(len(names) - 1)] if len(names) > 2 else [])
    figures = Figures(
        split=config.split,
        questions=len(pairs[0]),
        images=len(set(images)),
        seed=config.seed,
        rounds=[
            _scores(name, path, round_answers, kinds)
            for name, path, round_answers in zip(names, config.evaluations, pairs, strict=True)
        ],
        comparisons=[
            _compare((names[a], names[b]), (pairs[a], pairs[b]), kinds, images, weak, config.seed)
            for a, b in steps
        ],
        weak_types=weak,
        weak_note=note,
        left_out=left_out,
    )
    write_json(config.output, figures)
    return CompareRoundsResult(figures, config.output, config.image_root)


def _pair(
    evaluations: list[list[Answer]], config: CompareRoundsConfig
) -> tuple[list[list[Answer]], list[LeftOut]]:
    """The answers to the questions that all evaluations share, in one order, and what that leaves out."""
    keyed: list[dict[str, Answer]] = []
    left_out = []
    for answers, path in zip(evaluations, config.evaluations, strict=True):
        chosen = [answer for answer in answers if config.split in ("all", answer.split)]
        if not chosen:
            found = ", ".join(sorted({answer.split or "(none)" for answer in answers})) or "no rows"
            raise DataEngineError(
                f"{path}: no row of split {config.split!r} (found: {found}); set split to one that is there"
            )
        keyed.append({_key(answer): answer for answer in reversed(chosen)})
        repeats = Counter(_key(answer) for answer in chosen)
        left_out.append(
            LeftOut(str(path), sorted(key for key, times in repeats.items() if times > 1), [], [])
        )
    everything = dict.fromkeys(key for one in keyed for key in sorted(one))
    common = []
    for key in everything:
        asked = next(one[key] for one in keyed if key in one)
        good = True
        for one, report in zip(keyed, left_out, strict=True):
            if key not in one:
                report.missing.append(key)
            elif _asked(one[key]) != _asked(asked):
                report.changed.append(key)
            else:
                continue
            good = False
        if good:
            common.append(key)
    if not common:
        paths = ", ".join(map(str, config.evaluations))
        raise DataEngineError(
            f"{paths}: no {config.split} question is in all of them; evaluate the same questions each round"
        )
    return [[one[key] for key in common] for one in keyed], left_out


def _key(answer: Answer) -> str:
    return answer.question_id or f"{_image(answer)}: {answer.question}"


def _image(answer: Answer) -> str:
    return str(answer.image_id) if answer.image_id >= 0 else answer.image_path


def _asked(answer: Answer) -> tuple[str, list[str], int]:
    return answer.question, answer.choices, answer.correct_choice_idx


def _weak_types(first: list[Answer], wanted: int, compared: set[str]) -> tuple[list[str], str]:
    """The types of lowest accuracy on the first evaluation's diagnose questions, and what to say about them.

    They are chosen on other questions than they are measured on: else chance alone would lift them.
    """
    if not wanted:
        return [], NONE_ASKED
    asked: Counter[str] = Counter()
    right: Counter[str] = Counter()
    for answer in first:
        if answer.split == "diagnose":
            asked[answer.question_type or "unknown"] += 1
            right[answer.question_type or "unknown"] += answer.correct
    if not asked:
        return [], NO_DIAGNOSE
    weakest = sorted(asked, key=lambda kind: (right[kind] / asked[kind], kind))
    weak = [kind for kind in weakest if right[kind] < asked[kind]][:wanted]
    if not weak:
        return [], "the student answered every diagnose question right, so no type is weak"
    unasked = [kind for kind in weak if kind not in compared]
    note = f"not among the compared questions: {', '.join(unasked)}" if unasked else ""
    return [kind for kind in weak if kind in compared], note


def _scores(name: str, path: Path, answers: list[Answer], kinds: np.ndarray) -> RoundScores:
    correct = np.array([answer.correct for answer in answers])
    by_type = {kind: _score(correct[kinds == kind]) for kind in sorted(set(kinds))}
    return RoundScores(name, str(path), _score(correct), by_type)


def _score(correct: np.ndarray) -> Score:
    right, total = int(correct.sum()), len(correct)
    interval = wilson(right, total)
    return Score(right, total, right / total, interval.low, interval.high)


def _compare(
    names: tuple[str, str],
    answers: tuple[list[Answer], list[Answer]],
    kinds: np.ndarray,
    images: list[str],
    weak: list[str],
    seed: int,
) -> Comparison:
    before, after = (np.array([answer.correct for answer in one], dtype=int) for one in answers)
    difference = after - before
    groups = {kind: kinds == kind for kind in sorted(set(kinds))}
    gains = PairedGains({OVERALL: np.ones(len(kinds), dtype=bool), **groups}, difference, images, seed=seed)

    def paired(name: str, mask: np.ndarray | slice = slice(None)) -> PairedScore:
        fixed, broken = (int((difference[mask] == sign).sum()) for sign in (1, -1))
        return PairedScore(gains.gain(name), fixed, broken, mcnemar(fixed, broken))

    changes = {
        sign: [_change(answers[0][row], answers[1][row]) for row in np.flatnonzero(difference == sign)]
        for sign in (1, -1)
    }
    return Comparison(
        before=names[0],
        after=names[1],
        overall=paired(OVERALL),
        by_type={kind: paired(kind, mask) for kind, mask in groups.items()},
        weak=gains.average(weak) if weak else None,
        fixed=changes[1],
        broken=changes[-1],
    )


def _change(before: Answer, after: Answer) -> Change:
    return Change(
        question_id=_key(before),
        question_type=before.question_type or "unknown",
        image_id=before.image_id,
        image_path=before.image_path,
        question=before.question,
        choices=before.choices,
        correct_choice_idx=before.correct_choice_idx,
        before=before.model_answer,
        after=after.model_answer,
    )


def _summary_row(name: str, before: float, after: float, gain: Gain) -> SummaryRow:
    return SummaryRow(name, before, after, gain.gain, gain.low, gain.high)


def _points(gain: Gain) -> str:
    way, size = "up" if gain.gain >= 0 else "down", 100 * abs(gain.gain)
    return f"{way} by {size:.1f} points (95 % interval {100 * gain.low:+.1f} to {100 * gain.high:+.1f})"


def _verdict(gain: Gain) -> str:
    if gain.low > 0:
        return "a real gain"
    return "a real loss" if gain.high < 0 else "not distinguishable from chance"
