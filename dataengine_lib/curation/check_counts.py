"""Step 4: what the checks beyond format found, the part `checks` of `post_process.json`."""

from collections.abc import Iterable, Sequence

import msgspec

from dataengine_lib.chat.usage import StudentUsage
from dataengine_lib.core.records import TrainRecord
from dataengine_lib.core.statistics import wilson


class BlindFigure(msgspec.Struct, frozen=True):
    """`found` of `total` questions, their share `accuracy` with its Wilson interval, and the share by `chance`.

    `found` is a mean where the questions were answered several times.
    """

    found: float
    total: int
    accuracy: float
    low: float
    high: float
    chance: float

    @classmethod
    def of(cls, found: float, total: int, chance: float) -> "BlindFigure":
        interval = wilson(round(found), total)
        share = found / total if total else 0.0
        return cls(round(found, 2), total, *(round(x, 4) for x in (share, *interval, chance)))

    @property
    def at_chance(self) -> bool:
        """Whether guessing would do as well: chance lies in the interval. With few questions it always does."""
        return self.low <= self.chance <= self.high


class BlindFigures(msgspec.Struct, frozen=True):
    """The figure of all questions, and of each type's."""

    all: BlindFigure
    by_type: dict[str, BlindFigure]

    @classmethod
    def of(cls, kinds: Sequence[str], found: Iterable[float], chances: Iterable[float]) -> "BlindFigures":
        """From each question's type, how often it was found (0 to 1), and how often guessing finds it."""
        rows = list(zip(kinds, found, chances, strict=True))

        def figure(of: list[tuple[str, float, float]]) -> BlindFigure:
            return BlindFigure.of(
                sum(row[1] for row in of), len(of), sum(row[2] for row in of) / max(1, len(of))
            )

        types = sorted(set(kinds))
        by_type: dict[str, list[tuple[str, float, float]]] = {name: [] for name in types}
        for row in rows:
            by_type[row[0]].append(row)
        return cls(figure(rows), {name: figure(by_type[name]) for name in types})


class CheckCount(msgspec.Struct):
    """QAs that a check could say something of, those that it marked, and those dropped for it."""

    said: int = 0
    marked: int = 0
    dropped: int = 0


class ChecksSummary(msgspec.Struct, kw_only=True):
    """`checks` by the name of the parameter; a check that is off is not there.

    `blind_classifier` are its figures of the QAs that the checks before left, `after_dropping` of those that stayed,
    None where there was nothing to say or to drop; `blind_reader` those of a teacher without the picture.
    `blind_drawn_from`: how many QAs the classifier's are a sample of; not there where they are all.
    `usage` is what the readers took.
    """

    checks: dict[str, CheckCount] = {}
    blind_classifier: BlindFigures | None = None
    blind_drawn_from: int | msgspec.UnsetType = msgspec.UNSET
    after_dropping: BlindFigures | None = None
    blind_reader: BlindFigures | None = None
    usage: dict[str, StudentUsage] = {}


def answered_blind(records: Iterable[TrainRecord], answers: Iterable[int | None]) -> BlindFigures:
    """The figures of a reader that was not given the picture; questions that it gave no answer (None) do not count."""
    asked = [(r, a) for r, a in zip(records, answers, strict=True) if a is not None]
    return BlindFigures.of(
        [record.question_type for record, _ in asked],
        [float(answer == record.correct_choice_idx) for record, answer in asked],
        [1 / len(record.choices) for record, _ in asked],
    )
