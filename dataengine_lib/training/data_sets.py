"""Step 5: the data sets of a training (the new data of every round, and the base data) and the examples drawn from them."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from tqdm.auto import tqdm

from dataengine_lib.core.bad_rows import BadRow, BadRows
from dataengine_lib.core.text import one_line
from dataengine_lib.errors import DataEngineError
from dataengine_lib.questions.evaluation_images import EVALUATION_IMAGE
from dataengine_lib.training.held_out_images import HeldOutImages
from dataengine_lib.training.log import MixPart, TypeDraws
from dataengine_lib.training.mixing import draw_counts, draw_examples
from dataengine_lib.training.texts import (
    NO_IMAGE_NEEDED,
    NO_TEXT_ALONE,
    SEVERAL_TURNS,
    TextFormat,
    TrainingRow,
    read_training_rows,
)

if TYPE_CHECKING:
    from dataengine_lib.training.examples import Example, ExampleEncoder

_MAX_SHOWN = 20  # rows left out of a file that the log lists with their details; all of them are counted
_WANTED = "gptvqa_train_data.json of post-process, a question file, or conversations of LLaVA, LLaMA-Factory or ms-swift"
_BASE = "base"  # the name of the base data; those of new data are `round 1`, `round 2`, …


@dataclass(frozen=True)
class DataSource:
    """Files of one kind, the folder where their image paths start, and the parameter that names the folder."""

    files: Sequence[Path]
    image_root: Path
    parameter: str


@dataclass(frozen=True)
class DataSet:
    """The usable rows of one file, and those that were left out."""

    name: str
    file: Path
    rows: list[TrainingRow]
    left_out: BadRows

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
    new: DataSource,
    base: DataSource | None,
    formats: list[TextFormat],
    max_bad_share: float,
    held_out: HeldOutImages | None = None,
) -> list[DataSet]:
    """The new data's files in order, one a round, then the base data.

    Rows about an image of `held_out` cannot be used. Raises DataEngineError when a file cannot be read, or a larger
    share than `max_bad_share` of its rows not be used.
    """
    by_file: dict[Path, BadRows] = {}  # a file may be given for two rounds

    def read(name: str, file: Path, source: DataSource) -> DataSet:
        if file not in by_file:
            by_file[file] = BadRows(
                file,
                max_bad_share,
                remedy=f"check {source.parameter} ({source.image_root})",
                wanted=_WANTED,
                harmless=(NO_IMAGE_NEEDED, NO_TEXT_ALONE, SEVERAL_TURNS),
                keep=_MAX_SHOWN,
            )
        left_out = by_file[file]
        rows = read_training_rows(file, source.image_root, formats, left_out)
        return DataSet(name, file, _without(held_out, rows, left_out) if held_out else rows, left_out)

    sets = [read(f"round {number}", file, new) for number, file in enumerate(new.files, 1)]
    if base:
        sets += [read(_BASE, file, base) for file in base.files]
    return sets


def _without(held_out: HeldOutImages, rows: list[TrainingRow], left_out: BadRows) -> list[TrainingRow]:
    """The rows that are not about an image of the evaluation; the others are added to `left_out`."""
    leaks = held_out.among(row.image for row in rows if row.image)
    left_out.add(
        *(
            BadRow(row.where, f"{row.image} is an evaluation image", EVALUATION_IMAGE)
            for row in rows
            if row.image in leaks
        )
    )
    left_out.check()
    return [row for row in rows if row.image not in leaks]


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


def check_new_rows(any_usable: bool, sets: Sequence[DataSet], image_root: Path) -> None:
    """Raise DataEngineError with the first reasons when no row of the new data can be trained on."""
    if not any_usable:
        new = [one for one in sets if not one.is_base]
        rows = left_out_rows(new)
        why = f"; first: {rows[0]}" if rows else ""
        files = ", ".join(dict.fromkeys(str(one.file) for one in new))
        raise DataEngineError(
            f"{files}: no row can be trained on{why}; check train_data and image_root ({image_root})"
        )


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


def left_out_by_file(sets: Sequence[DataSet]) -> dict[Path, BadRows]:
    """The rows that were left out of each file."""
    return {one.file: one.left_out for one in sets}


def left_out_rows(sets: Sequence[DataSet]) -> list[str]:
    """The first rows left out of each file, for the log: file, row, reason and detail."""
    return [
        f"{file}: {row.row}: {row.kind}" + (f" ({one_line(row.reason)[:160]})" if row.reason else "")
        for file, left_out in left_out_by_file(sets).items()
        for row in left_out.rows
    ]


def left_out_counts(sets: Sequence[DataSet]) -> dict[str, int]:
    """How many rows of all files were left out, by reason, for the log."""
    counts = sum((left_out.counts for left_out in left_out_by_file(sets).values()), Counter[str]())
    return dict(sorted(counts.items()))
