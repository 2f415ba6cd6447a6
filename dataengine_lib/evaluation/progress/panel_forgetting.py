"""Step 5, `base_share: measured` and `replay_types: fallen`: what the student has forgotten of the panel's sets."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dataengine_lib.core.records import NO_TYPE
from dataengine_lib.core.significance.sign_flip import ALPHA, holm
from dataengine_lib.core.statistics import sign_flip_by_image
from dataengine_lib.evaluation.progress.forgetting import fallen_groups
from dataengine_lib.evaluation.rounds.evaluation_file import Warn
from dataengine_lib.evaluation.rounds.probes import all_there, paired_set, panel_sets
from dataengine_lib.training.mix.replay import PanelChange


@dataclass(frozen=True)
class PanelForgetting:
    """The scores `(rounds, questions)` in [0, 1] of the sets that all `folders` hold; each question's set, type and image.

    Every question counts. No type is chosen by its score in the first round, so there is no regression to the mean to
    avoid, as `Forgetting` does with two halves of the images.
    """

    folders: Sequence[Path]
    scores: np.ndarray
    sets: np.ndarray
    types: np.ndarray
    images: np.ndarray

    @classmethod
    def read(cls, folders: Sequence[Path], max_bad_share: float, warn: Warn) -> "PanelForgetting | None":
        """Of the folder `panel` of every round so far, first round first; None where no set is in all of them.

        Rows and questions that are left out go to `warn`.
        Raises DataEngineError when only the first or only the last is there, a file cannot be read, or no question of a
        set is in all rounds.
        """
        if not all_there(folders, "panels"):
            return None
        rounds = [panel_sets(folder) for folder in folders]
        names = [name for name in rounds[0] if all(name in one for one in rounds)]
        if not names:
            return None
        pairs = {name: paired_set([one[name] for one in rounds], max_bad_share, warn) for name in names}
        answers = [(name, answer) for name, one in pairs.items() for answer in one.rounds[-1]]
        return cls(
            folders,
            np.hstack([[[answer.score for answer in one] for one in pair.rounds] for pair in pairs.values()]),
            np.array([name for name, _ in answers], dtype=object),
            np.array([answer.question_type or NO_TYPE for _, answer in answers], dtype=object),
            # an id may mean another image in another set
            np.array([f"{name}/{image}" for name, one in pairs.items() for image in one.images], dtype=str),
        )

    def changes(self) -> list[PanelChange]:
        """Which sets and types in sets have fallen beyond noise since the first round, up to each later one."""
        groups = {}
        for name, of_types in self._types_in_sets().items():
            groups[name] = self.sets == name
            if len(of_types) > 1:
                groups |= {f"{name}: {kind}": mask for kind, mask in of_types.items()}
        found = []
        for folder, scores in zip(self.folders[1:], self.scores[1:], strict=True):
            change = scores - self.scores[0]
            corrected = holm(
                {
                    name: sign_flip_by_image(change[mask], self.images[mask].tolist())
                    for name, mask in groups.items()
                }
            )
            means = {name: float(change[mask].mean()) for name, mask in groups.items()}
            fell = {
                name: round(means[name], 4) for name in groups if means[name] < 0 and corrected[name] <= ALPHA
            }
            found.append(PanelChange(str(folder), len(groups), fell))
        return found

    def fallen_types(self) -> list[str]:
        """The types that fell in some set since the first round, after shrinkage towards the mean change of the panel."""
        change = self.scores[-1] - self.scores[0]
        masks = {
            (kind, name): mask
            for name, of_types in self._types_in_sets().items()
            for kind, mask in of_types.items()
        }
        fell = fallen_groups(change, masks, self.images)
        return [kind for kind in dict.fromkeys(kind for kind, _ in fell) if kind != NO_TYPE]

    def _types_in_sets(self) -> dict[str, dict[str, np.ndarray]]:
        """Masks `(questions,)` of each set's types, by set and type."""
        found: dict[str, dict[str, np.ndarray]] = {}
        for name, kind in dict.fromkeys(zip(self.sets.tolist(), self.types.tolist(), strict=True)):
            found.setdefault(name, {})[kind] = (self.sets == name) & (self.types == kind)
        return found
