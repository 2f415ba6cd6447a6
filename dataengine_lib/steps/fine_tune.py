"""Step 5: the student is trained on the new questions of all rounds, mixed with its base data."""

import shutil
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Literal, Self

from pydantic import Field, model_validator
from tqdm.auto import tqdm

from dataengine_lib.core.files import write_json
from dataengine_lib.core.step_config import StepConfig
from dataengine_lib.errors import DataEngineError, ParameterError
from dataengine_lib.training.log import MixPart, TrainLog, TrainTime, TypeDraws
from dataengine_lib.training.mixing import draw_counts, draw_examples, length_batches
from dataengine_lib.training.texts import SkippedTrainingRows, TextFormat, TrainingRow, read_training_rows

if TYPE_CHECKING:
    from dataengine_lib.training.examples import Example, ExampleEncoder

LOG, TIME = "train_log.json", "train_time.json"


class FineTuneConfig(StepConfig):
    """Parameters of `5_fine_tune`."""

    student: str
    """Model folder or Hugging Face name to start from."""
    train_data: list[Path] = Field(min_length=1)
    """gptvqa_train_data.json of every round so far."""
    image_root: Path
    """Where the new data's image paths start."""
    output_dir: Path
    """Gets the checkpoint: model, processor, train_log.json."""
    base_data: Path | None = None
    """Questions or LLaVA conversations to mix in, so that nothing is forgotten."""
    base_image_root: Path | None = None
    """Where the base data's image paths start; default: image_root."""
    base_share: float | None = Field(None, ge=0, lt=1)
    """Share of base rows in the mix; default: square-root rule."""
    text_formats: list[TextFormat] = Field(["QM-A"], min_length=1)
    """Q-A, QM-A, QM-AE, mmbench: one drawn per use of a row."""
    method: Literal["lora", "full"] = "lora"
    lora_rank: int = Field(16, ge=1)
    keep_adapter: bool = False
    """Save the adapter alone, unmerged."""
    train_vision: bool = False
    """Train the vision tower as well."""
    learning_rate: float = Field(2e-4, gt=0)
    epochs: float = Field(1, gt=0)
    """Passes over the new data."""
    max_steps: int | None = Field(None, ge=1)
    """Stop here at the latest."""
    batch_size: int = Field(32, ge=1)
    """Rows per step."""
    accumulate: int = Field(1, ge=1)
    """Passes that a step's rows are parted into, to fit the memory."""
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    """Of the products; auto: bfloat16 where the hardware is fast at it."""
    device: str = "auto"
    seed: int = 0

    @model_validator(mode="after")
    def _base_settings_need_base_data(self) -> Self:
        if self.base_data is None and (self.base_share or self.base_image_root):
            raise ValueError("base_share and base_image_root need base_data")
        return self


@dataclass
class FineTuneResult:
    """What the notebook shows."""

    checkpoint: Path
    log: TrainLog
    time: TrainTime


@dataclass
class _Set:
    name: str
    file: Path
    rows: list[TrainingRow]


def fine_tune(config: FineTuneConfig) -> FineTuneResult:
    """Train the student and write the checkpoint, whole or not at all; same seed, same weights on a CPU.

    Raises DataEngineError when no new row can be used, the student not loaded or the folder not written.
    """
    if config.student.partition(":")[0] in ("api", "recorded"):
        raise ParameterError(
            f"{config.student}: has no weights to train; set student to a model folder or hub name"
        )
    if config.output_dir.resolve() == Path(config.student).resolve():
        raise ParameterError(f"{config.output_dir}: output_dir is the student itself; choose another folder")
    with _whole_or_not(config.output_dir) as folder:
        skipped = SkippedTrainingRows()
        sets = _read_sets(config, skipped)
        _need_rows(sets, skipped, config)
        log, seconds = _train(config, sets, skipped, folder)
        write_json(folder / LOG, log)
        write_json(folder / TIME, seconds)
    return FineTuneResult(config.output_dir, log, seconds)


def _read_sets(config: FineTuneConfig, skipped: SkippedTrainingRows) -> list[_Set]:
    """The new data's files in order, then the base data."""
    sets = [
        _Set(
            f"round {number}", file, read_training_rows(file, config.image_root, config.text_formats, skipped)
        )
        for number, file in enumerate(config.train_data, 1)
    ]
    if config.base_data:
        root = config.base_image_root or config.image_root
        rows = read_training_rows(config.base_data, root, config.text_formats, skipped)
        sets.append(_Set("base", config.base_data, rows))
    return sets


def _need_rows(sets: list[_Set], skipped: SkippedTrainingRows, config: FineTuneConfig) -> None:
    if not any(one.rows for one in sets if one.name != "base"):
        why = f"; first: {skipped.shown[0]}" if skipped.shown else ""
        files = ", ".join(map(str, config.train_data))
        raise DataEngineError(
            f"{files}: no row can be trained on{why}; check train_data and image_root ({config.image_root})"
        )


def _train(
    config: FineTuneConfig, sets: list[_Set], skipped: SkippedTrainingRows, folder: Path
) -> tuple[TrainLog, TrainTime]:
    from dataengine_lib.students.encoder_decoder import is_encoder_decoder
    from dataengine_lib.training.examples import ExampleEncoder
    from dataengine_lib.training.fine_tuning import load_trainable, save_checkpoint, train_on_batches

    student = load_trainable(
        config.student,
        method=config.method,
        lora_rank=config.lora_rank,
        train_vision=config.train_vision,
        dtype=config.dtype,
        device=config.device,
        seed=config.seed,
    )
    began, rng = time.monotonic(), Random(f"fine-tune {config.seed}")
    examples = ExampleEncoder(
        student.processor, skipped, encoder_decoder=is_encoder_decoder(student.model.config)
    )
    drawn = _draw(config, sets, examples, rng)
    _need_rows([_Set(one.name, one.file, [e.row for e in drawn[one.name]]) for one in sets], skipped, config)
    mixed = [example for part in drawn.values() for example in part]
    rng.shuffle(mixed)
    places = length_batches([len(example) for example in mixed], config.batch_size, rng)
    batches = [[mixed[place] for place in batch] for batch in places]
    read = time.monotonic()
    curve = train_on_batches(
        student, examples, batches, learning_rate=config.learning_rate, accumulate=config.accumulate
    )
    seconds = TrainTime(round(read - began, 1), round(time.monotonic() - read, 1), str(student.device))
    count = sum(parameter.numel() for parameter in student.parameters)
    save_checkpoint(student, folder, keep_adapter=config.keep_adapter)
    return TrainLog(
        student=config.student,
        method=config.method,
        dtype=str(student.compute).removeprefix("torch."),
        trained_parameters=count,
        steps=len(curve),
        loss=curve,
        mix=[
            MixPart(
                one.name,
                str(one.file),
                len(one.rows),
                len(drawn[one.name]),
                round(len(drawn[one.name]) / len(mixed), 4),
            )
            for one in sets
        ],
        by_type=_by_type(drawn),
        skipped=dict(sorted(skipped.counts.items())),
        skipped_rows=skipped.shown,
    ), seconds


def _draw(
    config: FineTuneConfig, sets: list[_Set], examples: "ExampleEncoder", rng: Random
) -> dict[str, list["Example"]]:
    """The examples of the whole training by data set, in the shares that `draw_counts` gives."""
    new = [one for one in sets if one.name != "base"]
    base = sum(len(one.rows) for one in sets if one.name == "base")
    most = config.max_steps * config.batch_size if config.max_steps else None
    counts, base_count = draw_counts(
        [len(one.rows) for one in new], base, epochs=config.epochs, base_share=config.base_share, most=most
    )
    with tqdm(desc="reading images", unit="row", disable=None) as bar:
        return {
            one.name: draw_examples(
                one.rows,
                count,
                lambda rows: examples.make([(row, rng.choice(row.formats)) for row in rows], bar),
                rng,
            )
            for one, count in zip(sets, [*counts, base_count], strict=False)
        }


def _by_type(drawn: dict[str, list["Example"]]) -> dict[str, TypeDraws]:
    new: Counter[str] = Counter()
    base: Counter[str] = Counter()
    for name, part in drawn.items():
        for example in part:
            (base if name == "base" else new)[example.row.question.question_type or "unknown"] += 1
    return {kind: TypeDraws(new[kind], base[kind]) for kind in sorted(new | base)}


@contextmanager
def _whole_or_not(folder: Path) -> Iterator[Path]:
    """A folder beside `folder` that takes its place when the block ends well; a killed run's is removed.

    Only an empty folder or an earlier checkpoint of this step is replaced. Raises DataEngineError otherwise.
    """
    folder = folder.absolute()
    if folder.exists() and not (folder / LOG).is_file() and (not folder.is_dir() or any(folder.iterdir())):
        raise DataEngineError(
            f"{folder}: holds something else than a checkpoint of this step; choose another output_dir"
        )
    work, old = (folder.with_name(f".{folder.name}.{end}") for end in ("unfinished", "old"))
    try:
        for left in (work, old):
            if left.exists():
                shutil.rmtree(left)
        work.mkdir(parents=True)
    except OSError as error:
        raise DataEngineError(
            f"{folder}: cannot be written ({error.strerror}); choose a folder you may write to"
        ) from error
    try:
        yield work
        if folder.exists():
            folder.rename(old)
        work.rename(folder)
    except BaseException:
        shutil.rmtree(work, ignore_errors=True)
        if old.exists() and not folder.exists():
            old.rename(folder)
        raise
    shutil.rmtree(old, ignore_errors=True)
