"""Step 5: the data sets of a training (the new data of every round, and the base data) and the examples drawn from them."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, Protocol, TypeVar

from dataengine_lib.core.bad_rows import BadRow, BadRows
from dataengine_lib.core.progress.bar import ProgressBar, progress_bar
from dataengine_lib.core.text import one_line
from dataengine_lib.errors import DataEngineError
from dataengine_lib.questions.categories import type_name
from dataengine_lib.questions.evaluation_images import EVALUATION_IMAGE
from dataengine_lib.training.base_data import BaseData
from dataengine_lib.training.held_out_images import HeldOutImages
from dataengine_lib.training.log import BASE, MixPart, TypeDraws
from dataengine_lib.training.mixing import BasePart, MixSettings, draw_counts, draw_examples
from dataengine_lib.training.row_files import read_training_rows
from dataengine_lib.training.texts import (
    NO_TEXT_ALONE,
    OVER_MAX_LENGTH,
    SEVERAL_TURNS,
    TextFormat,
    TrainingRow,
)

_MOST_COPIES = 4  # of a base row with `replay_types: even`
_MAX_SHOWN = 20  # rows left out of a file that the log lists with their details; all of them are counted
_WANTED = (
    "gptvqa_train_data.json of post-process, a question file, captions, or conversations of LLaVA, LLaMA-Factory "
    "or ms-swift"
)


class Drawn(Protocol):
    """A row as it was drawn: an example with its tokens, or a row for another trainer."""

    @property
    def row(self) -> TrainingRow:
        """The row itself."""


_D = TypeVar("_D", bound=Drawn, covariant=True)


class RowMaker(Protocol[_D]):
    """Makes what is drawn of rows in a text format, None of those that cannot be used."""

    def make(
        self, wanted: Sequence[tuple[TrainingRow, TextFormat]], bar: "ProgressBar[Any]"
    ) -> Sequence[_D | None]:
        """One for each row; `bar` advances by one per new row."""


@dataclass(frozen=True)
class TrainingFiles:
    """The files of a training; `image_root` is where the paths of new data start, `base_image_root` those of base data.

    With `shuffle_options` the options of a question are in a new order in each use.
    """

    new: Sequence[Path]
    image_root: Path
    base: Sequence[BaseData]
    base_image_root: Path
    text_formats: list[TextFormat]
    shuffle_options: bool = False


@dataclass(frozen=True)
class DataSet:
    """The usable rows of one file, and those that were left out; `base` holds its settings if it is base data.

    The name of base data is `base`, or `base 1`, `base 2`, … of several; those of new data are `round 1`, `round 2`, ….
    """

    name: str
    file: Path
    rows: list[TrainingRow]
    left_out: BadRows
    base: BaseData | None = None

    @property
    def is_base(self) -> bool:
        return self.base is not None


def read_data_sets(
    files: TrainingFiles, max_bad_share: float, held_out: HeldOutImages | None = None
) -> list[DataSet]:
    """The new data's files in order, one a round, then the base data.

    Rows about an image of `held_out` cannot be used. Raises DataEngineError when a file cannot be read, or a larger
    share than `max_bad_share` of its rows not be used.
    """
    by_file: dict[Path, BadRows] = {}  # a file may be given for two rounds

    def read(name: str, file: Path, root: Path, parameter: str, base: BaseData | None = None) -> DataSet:
        if file not in by_file:
            remedy = f"check {parameter} ({root})"
            by_file[file] = BadRows(
                file,
                max_bad_share,
                remedy=remedy,
                wanted=_WANTED,
                harmless=(NO_TEXT_ALONE, SEVERAL_TURNS, OVER_MAX_LENGTH),
                keep=_MAX_SHOWN,
            )
        left_out = by_file[file]
        rows = read_training_rows(
            file,
            root,
            (base.text_formats if base else None) or files.text_formats,
            left_out,
            file_format=base.format if base else None,
            shuffle_options=files.shuffle_options,
        )
        return DataSet(name, file, _without(held_out, rows, left_out) if held_out else rows, left_out, base)

    sets = [
        read(f"round {number}", file, files.image_root, "image_root")
        for number, file in enumerate(files.new, 1)
    ]
    for number, base in enumerate(files.base):
        name = f"{BASE} {number + 1}" if len(files.base) > 1 else BASE
        parameter = f"base_data.{number}.image_root" if base.image_root else "base_image_root"
        sets.append(read(name, base.file, base.image_root or files.base_image_root, parameter, base))
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


def draw_mixed(
    sets: Sequence[DataSet], mix: MixSettings, examples: RowMaker[_D], rng: Random, image_root: Path
) -> tuple[dict[str, list[_D]], list[_D]]:
    """(the examples of the whole training by data set, all of them shuffled); `image_root` is the new data's.

    Raises DataEngineError when no row of the new data (without new data: of the base data) can be encoded, which is
    seen only now.
    """
    counts = _counts_by_set(sets, mix)
    drawn = _draw_from_sets(sets, counts, mix, examples, rng)
    check_any_row(drawn, sets, image_root)
    mixed = [example for of_set in drawn.values() for example in of_set]
    if mix.exactly is not None and len(mixed) < mix.exactly:
        # a set whose share rounds to no draw at all is not to blame
        empty = ", ".join(str(one.file) for one in sets if counts[one.name] and not drawn[one.name])
        raise DataEngineError(
            f"{empty}: no row can be encoded, so that {mix.exactly - len(mixed):,} of the {mix.exactly:,} draws are "
            "missing; leave that file out"
        )
    rng.shuffle(mixed)  # sets and types are spread over the whole training
    return drawn, mixed


def _counts_by_set(sets: Sequence[DataSet], mix: MixSettings) -> dict[str, int]:
    """How many rows to draw from each data set, by its name."""
    new, base = draw_counts(
        [len(one.rows) for one in sets if not one.base],
        base_parts(sets),
        epochs=mix.epochs,
        base_share=mix.base_share,
        most=mix.max_examples,
        exactly=mix.exactly,
    )
    return {one.name: count for one, count in zip(sets, [*new, *base], strict=True)}


def _draw_from_sets(
    sets: Sequence[DataSet],
    counts: Mapping[str, int],
    mix: MixSettings,
    examples: RowMaker[_D],
    rng: Random,
) -> dict[str, list[_D]]:
    """The examples of the whole training by data set, as many of each as `counts` says.

    `rng` draws the rows, and for each use of a row one of its text formats, then what else varies in it. Rows that cannot
    be encoded are replaced by others of the set.
    """

    def make(rows: list[TrainingRow]) -> list[_D | None]:
        wanted = []
        for row in rows:
            text_format = rng.choice(row.formats)
            wanted.append((row.for_use(text_format, rng), text_format))
        return list(examples.make(wanted, bar))

    with progress_bar(desc="reading images", unit="row") as bar:
        return {
            one.name: draw_examples(_as_often_as_wanted(one, mix), counts[one.name], make, rng)
            for one in sets
        }


def base_parts(sets: Sequence[DataSet]) -> list[BasePart]:
    """What is drawn of each base set."""
    return [BasePart(len(one.rows), one.base.share, one.base.samples) for one in sets if one.base]


def _as_often_as_wanted(one: DataSet, mix: MixSettings) -> list[TrainingRow]:
    """The rows of a set, those of a base set as many times as they are to be drawn beside each other.

    With `mix.even` a row of a type that has a third of the most frequent type's rows stands in it three times, so that
    the types are drawn nearly alike; at most `_MOST_COPIES` times, since few rows would be learnt by heart.
    """
    if not one.is_base or not (mix.twice or mix.even):
        return one.rows
    types = [type_name(row.question.question_type) for row in one.rows]
    rows = Counter(types)
    most = max(rows.values(), default=0)
    copies = {
        kind: min(_MOST_COPIES, round(most / count)) if mix.even else 1 + (kind in mix.twice)
        for kind, count in rows.items()
    }
    # after the rows as they are, so that nothing changes where each stands once
    further = [
        row
        for turn in range(1, _MOST_COPIES)
        for row, kind in zip(one.rows, types, strict=True)
        if copies[kind] > turn
    ]
    return [*one.rows, *further]


def check_any_row(usable: Mapping[str, Sequence[object]], sets: Sequence[DataSet], image_root: Path) -> None:
    """Raise DataEngineError with the first reason when no row of the new data is among the `usable` ones, by data set.

    Without new data a row of the base data has to be usable.
    """
    new = [one for one in sets if not one.is_base]
    needed = new or sets
    if not any(usable[one.name] for one in needed):
        rows = _left_out_rows(needed)
        why = f"; first: {rows[0]}" if rows else ""
        files = ", ".join(dict.fromkeys(str(one.file) for one in needed))
        check = f"train_data and image_root ({image_root})" if new else "base_data and base_image_root"
        raise DataEngineError(f"{files}: no row can be trained on{why}; check {check}")


def logged_data(sets: Sequence[DataSet], drawn: Mapping[str, Sequence[Drawn]]) -> dict[str, Any]:
    """The fields of TrainLog that say what was trained on: mix, by_type, skipped, skipped_rows."""
    return {
        "mix": _mix_parts(sets, drawn),
        "by_type": _draws_by_type(sets, drawn),
        "skipped": _left_out_counts(sets),
        "skipped_rows": _left_out_rows(sets),
    }


def _mix_parts(sets: Sequence[DataSet], drawn: Mapping[str, Sequence[Drawn]]) -> list[MixPart]:
    """Each data set's part in the training."""
    total = sum(map(len, drawn.values()))
    return [
        MixPart(
            name=one.name,
            file=str(one.file),
            rows=len(one.rows),
            drawn=len(drawn[one.name]),
            share=round(len(drawn[one.name]) / total, 4),
            text_only=sum(row.image is None for row in one.rows),
            left_out=dict(sorted(one.left_out.counts.items())),
        )
        for one in sets
    ]


def _draws_by_type(sets: Sequence[DataSet], drawn: Mapping[str, Sequence[Drawn]]) -> dict[str, TypeDraws]:
    """How often rows of each question type were drawn."""
    new: Counter[str] = Counter()
    base: Counter[str] = Counter()
    for one in sets:
        for example in drawn[one.name]:
            (base if one.is_base else new)[example.row.question.question_type or "unknown"] += 1
    return {kind: TypeDraws(new[kind], base[kind]) for kind in sorted(new | base)}


def left_out_by_file(sets: Sequence[DataSet]) -> dict[Path, BadRows]:
    """The rows that were left out of each file."""
    return {one.file: one.left_out for one in sets}


def _left_out_rows(sets: Sequence[DataSet]) -> list[str]:
    """The first rows left out of each file, for the log: file, row, reason and detail."""
    return [
        f"{file}: {row.row}: {row.kind}" + (f" ({one_line(row.reason)[:160]})" if row.reason else "")
        for file, left_out in left_out_by_file(sets).items()
        for row in left_out.rows
    ]


def _left_out_counts(sets: Sequence[DataSet]) -> dict[str, int]:
    """How many rows of all files were left out, by reason, for the log."""
    counts = sum((left_out.counts for left_out in left_out_by_file(sets).values()), Counter[str]())
    return dict(sorted(counts.items()))
