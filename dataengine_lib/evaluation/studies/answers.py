"""The answers of all runs of a study to the questions that they share, as one array."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from dataengine_lib.core.bad_rows import BadRows
from dataengine_lib.core.files import inside, sha256
from dataengine_lib.core.records import image_name
from dataengine_lib.core.text import shown
from dataengine_lib.errors import DataEngineError
from dataengine_lib.evaluation.rounds.evaluation_file import read_answers
from dataengine_lib.evaluation.rounds.pairs import question_content, question_key, type_of
from dataengine_lib.evaluation.studies.figures import QuestionsLeftOut, RunLeftOut
from dataengine_lib.evaluation.studies.study_file import ArmRun, StudyFile
from dataengine_lib.questions.splits import DIAGNOSE


@dataclass(frozen=True)
class StudyAnswers:
    """`scores[a, s, r, q]`, in [0, 1]: how right arm a with seed s is about question q after round r (0: before).

    `types` and `images` `(questions,)` are the question's type and the number of its image. `diagnose[a][r]` maps a type
    to the diagnose questions of all seeds that were right, and their number.
    """

    arms: list[str]
    seeds: list[int]
    scores: np.ndarray
    types: np.ndarray
    images: np.ndarray
    diagnose: list[list[dict[str, tuple[int, int]]]]
    runs_left_out: list[RunLeftOut]
    questions_left_out: list[QuestionsLeftOut]
    warnings: list[str]


def evaluation_files(folder: Path, rounds: int) -> list[Path]:
    """The evaluations of a run in order: before, after round 1, …, after the last."""
    places = [f"round{number}" for number in range(1, rounds + 1)] + ["final"]
    return [folder / place / "aokvqa_eval.json" for place in places]


def run_folder(study: Path, run: ArmRun) -> Path:
    """The run's folder, beside the study's file. Raises DataEngineError for one that is elsewhere."""
    return inside(study.parent, run.folder)


def read_study_answers(study: StudyFile, file: Path, split: str, max_bad_share: float = 0.05) -> StudyAnswers:
    """The answers of the `split` (or `all`) of the runs that are done, `file` being the study's.

    Compared are the arms with a run that is done, the seeds that all these have, and the questions that all their
    evaluations share; whatever is left out is named. Raises DataEngineError when that is nothing.
    """
    reader = _Reader(split, max_bad_share)
    read: dict[tuple[str, int], list[_Scored]] = {}
    left_out = []
    for run in study.runs:
        fault = f"failed: {run.error or 'no reason given'}" if run.status == "failed" else run.status
        if run.status == "done":
            try:
                paths = evaluation_files(run_folder(file, run), study.rounds)
                read[run.arm, run.seed] = [reader.read(path) for path in paths]
                continue
            except DataEngineError as error:  # named in the report, beside runs that failed
                fault = str(error)
        left_out.append(RunLeftOut(run.arm, run.seed, fault))
    listed = {(run.arm, run.seed) for run in study.runs}
    for arm in study.arms:
        for seed in study.seeds:
            if (arm.name, seed) not in listed:
                left_out.append(RunLeftOut(arm.name, seed, "not in the study's runs"))
    arms = [arm.name for arm in study.arms if any(name == arm.name for name, _ in read)]
    if not arms:
        reason = (
            f"; the first: {left_out[0].arm}, seed {left_out[0].seed}: {left_out[0].reason}"
            if left_out
            else ""
        )
        raise DataEngineError(
            f"{file}: no run is done{reason}; run the study, which goes on where it stopped"
        )
    seeds = [seed for seed in study.seeds if all((arm, seed) in read for arm in arms)]
    if not seeds:
        raise DataEngineError(
            f"{file}: no seed is done in each of the arms {', '.join(arms)}; run the study, which goes on where it stopped"
        )
    for name, seed in read:
        if name not in arms or seed not in seeds:
            what = "seed is not done in every arm" if name in arms else "arm is not one of the study's arms"
            left_out.append(RunLeftOut(name, seed, f"done, but its {what}"))
    return _joined(arms, seeds, read, left_out, split, reader.warnings)


class _Asked(NamedTuple):
    """A question as an evaluation has it; it is the same question where `content` is."""

    content: tuple[Any, ...]
    question_type: str
    image: str


@dataclass(frozen=True, eq=False)
class _Scored:
    """One evaluation: questions and scores by question key, keys that are there twice, and diagnose counts by type."""

    file: Path
    questions: dict[str, _Asked]
    scores: dict[str, float]
    repeated: set[str]
    diagnose: dict[str, tuple[int, int]]


class _Reader:
    """Reads evaluations one at a time and keeps little of each: a study may have hundreds."""

    def __init__(self, split: str, max_bad_share: float) -> None:
        self.warnings: list[str] = []
        self._split, self._max_bad_share = split, max_bad_share
        self._read: dict[str, _Scored] = {}  # by the hash of the file
        self._known: dict[str, list[_Asked]] = {}  # each question is kept once for all evaluations

    def read(self, file: Path) -> _Scored:
        """Read the evaluation; one that several runs have, as the first often is, is decoded once."""
        try:
            content = sha256(file)
        except OSError as error:
            raise DataEngineError(
                f"{file}: cannot be read ({error.strerror}); run the study once more"
            ) from error
        if content not in self._read:
            self._read[content] = self._scored(file)
        return self._read[content]

    def _scored(self, file: Path) -> _Scored:
        bad = BadRows(file, self._max_bad_share, wanted="aokvqa_eval.json of evaluate", keep=1)
        answers = read_answers(file, bad)
        self.warnings += bad.warnings()
        found = _Scored(file, {}, {}, set(), {})
        for answer in answers:
            kind = type_of(answer)
            if answer.split == DIAGNOSE:
                right, asked = found.diagnose.get(kind, (0, 0))
                found.diagnose[kind] = right + answer.correct, asked + 1
            if self._split not in ("all", answer.split):
                continue
            key = question_key(answer)
            if key in found.scores:  # the first row counts
                found.repeated.add(key)
                continue
            found.scores[key] = answer.score
            image = image_name(answer.image_id, answer.image_path)
            found.questions[key] = self._kept(key, _Asked(question_content(answer), kind, image))
        if not found.scores:
            splits = ", ".join(sorted({answer.split or "(none)" for answer in answers})) or "no rows"
            raise DataEngineError(
                f"{file}: no row of split {shown(self._split)} (found: {splits}); set split to one that is there"
            )
        return found

    def _kept(self, key: str, asked: _Asked) -> _Asked:
        known = self._known.setdefault(key, [])
        if asked not in known:
            known.append(asked)
        return known[known.index(asked)]


def _joined(
    arms: list[str],
    seeds: list[int],
    read: dict[tuple[str, int], list[_Scored]],
    left_out: list[RunLeftOut],
    split: str,
    warnings: list[str],
) -> StudyAnswers:
    """The answers of `arms` and `seeds` to the questions that all of their evaluations share."""
    used = [[read[arm, seed] for seed in seeds] for arm in arms]
    files = list({id(one): one for arm in used for run in arm for one in run}.values())
    # a question is compared as the first evaluation that has it asks it
    first: dict[str, _Asked] = {}
    for one in files:
        first = one.questions | first
    # the same id with other choices or another right answer is another question
    changed = [
        {key for key, asked in one.questions.items() if asked.content != first[key].content} for one in files
    ]
    common = sorted(
        first.keys()
        & set.intersection(*(one.scores.keys() - lost for one, lost in zip(files, changed, strict=True)))
    )
    if not common:
        raise DataEngineError(
            f"{files[0].file} to {files[-1].file}: no {split} question is in all of them; evaluate the same questions in "
            "every run"
        )
    numbers: dict[str, int] = {}
    images = [numbers.setdefault(first[key].image, len(numbers)) for key in common]
    losses = []
    for one, lost in zip(files, changed, strict=True):
        missing = sorted(first.keys() - one.scores.keys())
        named = [*missing, *sorted(lost), *sorted(one.repeated)]
        if named:
            losses.append(
                QuestionsLeftOut(str(one.file), len(missing), len(lost), len(one.repeated), named[0])
            )
    return StudyAnswers(
        arms,
        seeds,
        np.array([[[[one.scores[key] for key in common] for one in run] for run in arm] for arm in used]),
        np.array([first[key].question_type for key in common], dtype=object),
        np.array(images),
        [[_added([run[number].diagnose for run in arm]) for number in range(len(arm[0]))] for arm in used],
        left_out,
        losses,
        warnings,
    )


def _added(counts: Iterable[dict[str, tuple[int, int]]]) -> dict[str, tuple[int, int]]:
    total: dict[str, tuple[int, int]] = {}
    for one in counts:
        for kind, (right, asked) in one.items():
            before = total.get(kind, (0, 0))
            total[kind] = before[0] + right, before[1] + asked
    return total
