"""Step 5: the data sets of a training (the new data of every round, and the base data) and the examples drawn from them."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from tqdm.auto import tqdm

from dataengine_lib.training.log import MixPart, TypeDraws
from dataengine_lib.training.mixing import draw_counts, draw_examples
from dataengine_lib.training.texts import SkippedTrainingRows, TextFormat, TrainingRow, read_training_rows

if TYPE_CHECKING:
    from dataengine_lib.training.examples import Example, ExampleEncoder

_BASE = "base"  # the name of the base data; those of new data are `round 1`, `round 2`, …


@dataclass(frozen=True)
class DataSource:
    """Files of one kind, and the folder where their image paths start."""

    files: Sequence[Path]
    image_root: Path


@dataclass(frozen=True)
class DataSet:
    """The usable rows of one file."""

    name: str
    file: Path
    rows: list[TrainingRow]

    @property
    def is_base(self) -> bool:
        return self.name == _BASE


@dataclass(frozen=True)
class MixSettings:
    """How much is drawn: `epochs` passes over the new data, at most `max_examples` in all.

    `base_share` is the base data's share of all draws in [0, 1), None for the square-root rule of `draw_counts`.
    """

    epochs: float
    base_share: float | None
    max_examples: int | None


def read_data_sets(
    new: DataSource, base: DataSource | None, formats: list[TextFormat], skipped: SkippedTrainingRows
) -> list[DataSet]:
    """The new data's files in order, one a round, then the base data; unusable rows are added to `skipped`.

    Raises DataEngineError when a file cannot be read.
    """

    def read(file: Path, source: DataSource) -> list[TrainingRow]:
        return read_training_rows(file, source.image_root, formats, skipped)

    sets = [DataSet(f"round {number}", file, read(file, new)) for number, file in enumerate(new.files, 1)]
    if base:
        sets += [DataSet(_BASE, file, read(file, base)) for file in base.files]
    return sets


def draw_from_sets(
    sets: Sequence[DataSet], mix: MixSettings, examples: "ExampleEncoder", rng: Random
) -> dict[str, list["Example"]]:
    """The examples of the whole training by data set, in the shares that `draw_counts` gives.

    `rng` draws the rows, and for each use of a row one of its text formats. Rows that cannot be encoded are replaced
    by others of the set.
    """
    counts, base_count = draw_counts(
        [len(one.rows) for one in sets if not one.is_base],
        sum(len(one.rows) for one in sets if one.is_base),
        epochs=mix.epochs,
        base_share=mix.base_share,
        most=mix.max_examples,
    )
    with tqdm(desc="reading images", unit="row", disable=None) as bar:
        return {
            one.name: draw_examples(
                one.rows,
                count,
                lambda rows: examples.make([(row, rng.choice(row.formats)) for row in rows], bar),
                rng,
            )
            # not strict: without base data there is no set for `base_count`, which is 0
            for one, count in zip(sets, [*counts, base_count], strict=False)
        }


def mix_parts(sets: Sequence[DataSet], drawn: Mapping[str, list["Example"]]) -> list[MixPart]:
    """Each data set's part in the training, for the log."""
    total = sum(map(len, drawn.values()))
    return [
        MixPart(
            name=one.name,
            file=str(one.file),
            rows=len(one.rows),
            drawn=len(drawn[one.name]),
            share=round(len(drawn[one.name]) / total, 4),
        )
        for one in sets
    ]


def draws_by_type(drawn: Mapping[str, list["Example"]]) -> dict[str, TypeDraws]:
    """How often rows of each question type were drawn, for the log."""
    new: Counter[str] = Counter()
    base: Counter[str] = Counter()
    for name, of_set in drawn.items():
        for example in of_set:
            (base if name == _BASE else new)[example.row.question.question_type or "unknown"] += 1
    return {kind: TypeDraws(new[kind], base[kind]) for kind in sorted(new | base)}
