"""Step 5, `base_share: measured`: more base data when the student forgets what it knew, less while it does not."""

from collections.abc import Sequence
from itertools import zip_longest

import msgspec

from dataengine_lib.core.significance.sign_flip import ALPHA

LEAST_SHARE, MOST_SHARE = 0.1, 0.8  # of base rows in all draws
_RAISE, _LOWER = (
    2.0,
    0.8,
)  # factors of the share's odds: forgetting is answered at once, new data get more room slowly


class KnownChange(msgspec.Struct, frozen=True):
    """What the types that the first student knew have lost or gained up to one evaluation.

    `change` in [-1, 1] is the mean over `questions` of the diagnose split, `p_value` that of a paired test by images.
    """

    evaluation: str
    types: list[str]
    questions: int
    change: float
    p_value: float

    @property
    def fell(self) -> bool:
        """Whether they fell beyond noise."""
        return self.change < 0 and self.p_value <= ALPHA


class PanelChange(msgspec.Struct, frozen=True):
    """What became of the panel's sets up to one evaluation, whose panel folder is `panel`.

    `fallen` maps each set (`pope`) or type in a set (`pope: random`) that fell beyond noise to its mean change in [-1, 0).
    Paired tests by images are corrected over all sets and types that were `compared`, by Holm.
    """

    panel: str
    compared: int
    fallen: dict[str, float]


class Replay(msgspec.Struct, frozen=True):
    """The measured share of base rows, and the figures that it rests on; part of `train_log.json`.

    `share` in [0, 1] is that of the training, None where `base_share` is set otherwise; `square_root_share` is where the
    rule starts, and `changes` are those of each round since the first, `panel` the same of the panel where there is one.
    Base rows of the types in `fallen` are drawn twice as often as others; no base row is of those in `without_rows`.
    """

    share: float | None
    square_root_share: float
    changes: list[KnownChange]
    fallen: list[str]
    panel: list[PanelChange] | msgspec.UnsetType = msgspec.UNSET
    without_rows: list[str] | msgspec.UnsetType = msgspec.UNSET


def measured_share(start: float, changes: Sequence[KnownChange], panel: Sequence[PanelChange] = ()) -> float:
    """The share of base rows in [LEAST_SHARE, MOST_SHARE] after the rounds' `changes`, from that of the first round.

    A round in which known types, or a type of the `panel` (whose rounds are the same), fell beyond noise doubles the odds
    of a base row, another lowers them by a fifth; one without known types and panel changes nothing.
    """
    share = _bounded(start)
    for one, of_panel in zip_longest(changes, panel):
        if one.questions or of_panel:
            fell = one.fell or bool(of_panel and of_panel.fallen)
            odds = share / (1 - share) * (_RAISE if fell else _LOWER)
            share = _bounded(odds / (1 + odds))
    return round(share, 4)


def _bounded(share: float) -> float:
    return min(MOST_SHARE, max(LEAST_SHARE, share))
