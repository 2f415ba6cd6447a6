"""Step 1: the diagnose answers and the training data of earlier rounds, by question type."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from dataengine_lib.core.files import read_json
from dataengine_lib.core.records import NO_TYPE, Answer
from dataengine_lib.errors import DataEngineError
from dataengine_lib.evaluation.progress.learning_progress import TypeHistory
from dataengine_lib.evaluation.rounds.evaluation_file import Warn, usable_answers
from dataengine_lib.evaluation.rounds.pairs import pair_answers
from dataengine_lib.questions.categories import type_name
from dataengine_lib.questions.splits import DIAGNOSE


class _Typed(msgspec.Struct):
    """The field of a training record that is read here."""

    question_type: str = ""


def read_diagnose_answers(file: Path, max_bad_share: float, warn: Warn) -> list[Answer]:
    """The answers of the diagnose split in an `aokvqa_eval.json`; those of the holdout split are never used.

    What is left out goes to `warn`.
    Raises DataEngineError when there is none, the file cannot be read, or too many of its rows cannot be used.
    """
    answers = usable_answers(file, max_bad_share, warn)
    found = [answer for answer in answers if answer.split == DIAGNOSE]
    if not found:
        raise DataEngineError(f"{file}: no question of the diagnose split is in it; give another evaluation")
    return found


@dataclass(frozen=True)
class EarlierRounds:
    """The answers of each earlier round, and its QAs by type; `files` are those of the answers, for messages."""

    files: Sequence[Path]
    answers: list[list[Answer]]
    trained: list[Counter[str]]

    @classmethod
    def read(
        cls, evaluations: Sequence[Path], training: Sequence[Path], max_bad_share: float, warn: Warn
    ) -> "EarlierRounds":
        """Of `aokvqa_eval.json` and `gptvqa_train_data.json` of each earlier round.

        Rows that are left out go to `warn`.
        Raises DataEngineError when a file cannot be read, or too many of its rows cannot be used.
        """
        answers = [read_diagnose_answers(file, max_bad_share, warn) for file in evaluations]
        return cls(evaluations, answers, [_by_type(file) for file in training])

    def histories(self, answers: Sequence[Answer], file: Path) -> dict[str, TypeHistory]:
        """Each type's history up to the evaluation `answers`, which `file` names in messages; none without rounds.

        Only diagnose questions that every round answered count: answers to the holdout split must not decide what the
        student is trained on. Raises DataEngineError when there is none.
        """
        if not self.answers:
            return {}
        paired = pair_answers([*self.answers, answers], [*self.files, file], DIAGNOSE)
        types = np.array([answer.question_type or NO_TYPE for answer in paired.rounds[-1]], dtype=object)
        scores = np.array([[answer.score for answer in one] for one in paired.rounds])
        images = np.array(paired.images, dtype=object)
        return {
            kind: TypeHistory(
                scores[:, types == kind],
                images[types == kind].tolist(),
                [counts[type_name(kind)] for counts in self.trained],
            )
            for kind in dict.fromkeys(types.tolist())
        }


def _by_type(file: Path) -> Counter[str]:
    """QAs of each type in a file of training data."""
    rows: list[_Typed] = read_json(file, list[_Typed])
    return Counter(type_name(row.question_type) for row in rows)
