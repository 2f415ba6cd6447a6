"""Step 4: the figures of `post_process.json`: QAs kept and dropped, what the checks found, and blind accuracy."""

from collections.abc import Iterable, Sequence

import msgspec

from dataengine_lib.chat.ledger import StudentUsage
from dataengine_lib.core.records import OPEN, YES_NO, TrainRecord
from dataengine_lib.core.statistics import wilson
from dataengine_lib.curation.difficulty.band import DifficultyFigures
from dataengine_lib.curation.option_order import CHOICES
from dataengine_lib.curation.readers.agreement import Agreement


class BlindFigure(msgspec.Struct, frozen=True):
    """How many questions were answered correctly without the image.

    `found` of `total` questions; `accuracy` is their share, `low` to `high` its Wilson interval, `chance` the share that
    guessing would reach. `found` is a mean if the questions were answered several times.
    """

    found: float
    total: int
    accuracy: float
    low: float
    high: float
    chance: float

    @classmethod
    def of(cls, found: float, total: int, chance: float) -> "BlindFigure":
        interval = wilson(round(found), total)  # for whole numbers; a mean over partitions is rounded
        share = found / total if total else 0.0
        return cls(round(found, 2), total, *(round(x, 4) for x in (share, *interval, chance)))

    @property
    def at_chance(self) -> bool:
        """True if guessing may do as well: chance lies in the interval, as it always does with few questions."""
        return self.low <= self.chance <= self.high


class BlindFigures(msgspec.Struct, frozen=True):
    """The figure of all questions, and one per question type."""

    all: BlindFigure
    by_type: dict[str, BlindFigure]

    @classmethod
    def of(cls, kinds: Sequence[str], found: Iterable[float], chances: Iterable[float]) -> "BlindFigures":
        """From each question's type, how often it was answered correctly (0 to 1), and the chance of guessing it."""
        rows = list(zip(kinds, found, chances, strict=True))

        def figure(part: list[tuple[str, float, float]]) -> BlindFigure:
            return BlindFigure.of(
                sum(row[1] for row in part), len(part), sum(row[2] for row in part) / max(1, len(part))
            )

        # one pass over the rows, not one for each type
        types = sorted(set(kinds))
        by_type: dict[str, list[tuple[str, float, float]]] = {name: [] for name in types}
        for row in rows:
            by_type[row[0]].append(row)
        return cls(figure(rows), {name: figure(by_type[name]) for name in types})


class CheckCount(msgspec.Struct):
    """The QAs that a check could judge (`said`), those of them that failed (`marked`), and those dropped."""

    said: int = 0
    marked: int = 0
    dropped: int = 0


class ReaderCount(msgspec.Struct):
    """What a reader was shown of the image, the questions that it answered (`said`), and how it answered them.

    `agrees`: it named the teacher's answer; `cannot_say`: it named none. `usage`: its requests, tokens and cost.
    """

    shown: str
    said: int = 0
    agrees: int = 0
    cannot_say: int = 0
    usage: StudentUsage | None = None


class ChecksSummary(msgspec.Struct, kw_only=True):
    """What the checks found: `checks` maps a check's parameter to its counts; checks that are off are absent.

    `difficulty`: how the current student answers, None if it was not asked.
    `blind_classifier`: the classifier's figures on the QAs that earlier checks kept, None if it could not be fitted;
    `after_dropping`: the same on the QAs that remained, None if nothing is dropped by it. `blind_drawn_from`: the
    number of QAs of which the classifier scored a sample; absent if it scored all. `blind_reader`: figures of
    readers that were not given the image, a mean where there are several. `readers` maps a reader to its counts;
    `agreement` maps the check of several readers to their agreement.
    """

    checks: dict[str, CheckCount] = {}
    difficulty: DifficultyFigures | None = None
    blind_classifier: BlindFigures | None = None
    blind_drawn_from: int | msgspec.UnsetType = msgspec.UNSET
    after_dropping: BlindFigures | None = None
    blind_reader: BlindFigures | None = None
    readers: dict[str, ReaderCount] = {}
    agreement: dict[str, Agreement] = {}


def right_place(record: TrainRecord) -> int:
    """The answer of a reader that agrees with the teacher: the index of the right choice, 0 for an open-ended QA."""
    return record.correct_choice_idx if record.choices else 0


def blind_reader_figures(
    records: Iterable[TrainRecord], answers: Iterable[Sequence[int | None]]
) -> BlindFigures:
    """The figures of readers that were not given the image; questions without any answer do not count.

    A question counts by the share of the readers' answers that are right.
    """
    kinds: list[str] = []
    found: list[float] = []
    chances: list[float] = []
    for record, row in zip(records, answers, strict=True):
        right = [answer == right_place(record) for answer in row if answer is not None]
        if right:
            kinds.append(record.question_type)
            found.append(sum(right) / len(right))
            # a free answer has no chance level
            chances.append(1 / len(record.choices) if record.choices else 0.0)
    return BlindFigures.of(kinds, found, chances)


class TypeCount(msgspec.Struct):
    """Of one question type: the QAs kept, the replies or QAs dropped, and the reasons.

    `letters_before` and `letters_after` count the kept QAs with four choices by the letter of the right one, A to D: as
    the teacher wrote them and after shuffling. `yes_no` counts the kept yes/no QAs by their answer, yes before no, and
    `open_ended` those without choices; both are absent where there are none.
    """

    kept: int = 0
    dropped: int = 0
    by_reason: dict[str, int] = {}
    letters_before: list[int] = msgspec.field(default_factory=lambda: [0] * CHOICES)
    letters_after: list[int] = msgspec.field(default_factory=lambda: [0] * CHOICES)
    yes_no: list[int] | msgspec.UnsetType = msgspec.UNSET
    open_ended: int | msgspec.UnsetType = msgspec.UNSET

    def add_answer(self, record: TrainRecord, written: int) -> None:
        """Count a kept QA by its answer; `written` is the index of the right choice as the teacher wrote it."""
        if record.answer_kind == YES_NO:
            self.yes_no = [0, 0] if self.yes_no is msgspec.UNSET else self.yes_no
            self.yes_no[record.correct_choice_idx] += 1
        elif record.answer_kind == OPEN:
            self.open_ended = 1 if self.open_ended is msgspec.UNSET else self.open_ended + 1
        elif len(record.choices) == CHOICES:
            self.letters_before[written] += 1
            self.letters_after[record.correct_choice_idx] += 1


class PostProcessCounts(msgspec.Struct):
    """The file `post_process.json`. `kept` counts QAs; `dropped` counts unusable replies and dropped QAs.

    `choices_stay`: kept QAs whose choices could not be shuffled; `rationales_left_out`: rationales removed because it
    is unclear which choices their letters mean. `reviewed` counts a person's decisions by kind; "dropped" are those
    that accept or edit a QA which a filter or check had dropped, "unknown" those whose record does not exist.
    """

    kept: int
    dropped: int
    by_reason: dict[str, int]
    by_type: dict[str, TypeCount]
    choices_stay: int = 0
    rationales_left_out: int = 0
    reviewed: dict[str, int] = {}
    checks: ChecksSummary = msgspec.field(default_factory=ChecksSummary)
