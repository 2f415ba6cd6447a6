"""Step 5, `base_share: measured`: what the student has forgotten since the first round, measured on diagnose questions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dataengine_lib.core.records import NO_TYPE
from dataengine_lib.core.significance.sign_flip import Key
from dataengine_lib.core.statistics import sign_flip_by_image
from dataengine_lib.evaluation.progress.history import read_diagnose_answers
from dataengine_lib.evaluation.progress.learning_progress import mean_change
from dataengine_lib.evaluation.progress.random_effects import random_effects
from dataengine_lib.evaluation.rounds.evaluation_file import Warn
from dataengine_lib.evaluation.rounds.pairs import pair_answers
from dataengine_lib.evaluation.rounds.summary import left_out_warnings
from dataengine_lib.questions.splits import DIAGNOSE
from dataengine_lib.training.mix.replay import KnownChange

KNOWN = 0.8  # accuracy from which a type counts as known


@dataclass(frozen=True)
class Forgetting:
    """The scores `(rounds, questions)` in [0, 1] of the questions that all `files` answered, their types and images."""

    files: Sequence[Path]
    scores: np.ndarray
    types: np.ndarray
    images: np.ndarray

    @classmethod
    def read(cls, files: Sequence[Path], max_bad_share: float, warn: Warn) -> "Forgetting":
        """Of the `aokvqa_eval.json` of every round so far, first round first; only diagnose questions count.

        Rows and questions that are left out go to `warn`.
        Raises DataEngineError when a file cannot be read, or no diagnose question is in all of them.
        """
        rounds = [read_diagnose_answers(file, max_bad_share, warn) for file in files]
        paired = pair_answers(rounds, files, DIAGNOSE)
        for line in left_out_warnings(paired.left_out):
            warn(line)
        return cls(
            files,
            np.array([[answer.score for answer in one] for one in paired.rounds]),
            np.array([answer.question_type or NO_TYPE for answer in paired.rounds[-1]], dtype=object),
            np.array(paired.images, dtype=str),
        )

    def known_changes(self) -> list[KnownChange]:
        """How the types that the first student knew have changed up to each later round.

        The images are divided into two halves. A type that is known by one half is measured on the other: chosen and
        measured on the same questions, the best types would seem to fall by chance alone (regression to the mean).
        """
        names, measured = self._known()
        changes = []
        for file, scores in zip(self.files[1:], self.scores[1:], strict=True):
            change = (scores - self.scores[0])[measured]
            changes.append(
                KnownChange(
                    evaluation=str(file),
                    types=names,
                    questions=len(change),
                    change=round(float(change.mean()), 4) if len(change) else 0.0,
                    p_value=round(sign_flip_by_image(change, self.images[measured].tolist()), 4),
                )
            )
        return changes

    def fallen_types(self) -> list[str]:
        """The types that are less accurate now than in the first round, shrunk towards the mean change of all types."""
        change = self.scores[-1] - self.scores[0]
        own = {kind: self.types == kind for kind in dict.fromkeys(self.types.tolist())}
        return fallen_groups(change, own, self.images)

    def _known(self) -> tuple[list[str], np.ndarray]:
        """(the known types, a mask of the questions on which they are measured)."""
        _, image = np.unique(self.images, return_inverse=True)
        half, first = image % 2, self.scores[0]
        names: list[str] = []
        measured = np.zeros(len(first), dtype=bool)
        for kind in dict.fromkeys(self.types.tolist()):
            of_type = self.types == kind
            for side in (0, 1):
                chosen_by, counted = of_type & (half != side), of_type & (half == side)
                if chosen_by.any() and counted.any() and first[chosen_by].mean() >= KNOWN:
                    measured |= counted
                    names.append(kind)
        return list(dict.fromkeys(names)), measured


def fallen_groups(change: np.ndarray, groups: Mapping[Key, np.ndarray], images: np.ndarray) -> list[Key]:
    """The groups of questions whose mean `change` `(questions,)` is negative, after shrinkage towards that of all groups.

    `groups` maps a name to a mask `(questions,)`, of which none is empty; `images` `(questions,)` names their images.
    """
    found = [mean_change(change[mask], images[mask].tolist(), 1.0) for mask in groups.values()]
    values, errors = (np.array(column) for column in zip(*found, strict=True))
    mean, between = random_effects(values, errors**2)
    shrunk = mean + between / (between + errors**2) * (values - mean)
    return [name for name, value in zip(groups, shrunk, strict=True) if value < 0]
