"""Step 5: the student is trained on the new questions of all rounds, mixed with its base data."""

import time
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Literal, Self

from pydantic import Field, model_validator

from dataengine_lib.core.files import write_json
from dataengine_lib.core.step_config import StepConfig
from dataengine_lib.errors import DataEngineError, ParameterError
from dataengine_lib.training.checkpoint_folder import replaced_when_complete
from dataengine_lib.training.data_sets import (
    DataSet,
    DataSource,
    MixSettings,
    draw_from_sets,
    draws_by_type,
    left_out_by_file,
    left_out_counts,
    left_out_rows,
    mix_parts,
    read_data_sets,
)
from dataengine_lib.training.held_out_images import HeldOutImages
from dataengine_lib.training.log import TrainLog, TrainTime
from dataengine_lib.training.mixing import length_batches
from dataengine_lib.training.texts import TextFormat
from dataengine_lib.training.warnings import training_warnings

if TYPE_CHECKING:
    from dataengine_lib.training.trainable import Trainable

_LOG, _TIME = "train_log.json", "train_time.json"


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
    """Questions or LLaVA conversations to mix in, against forgetting."""
    base_image_root: Path | None = None
    """Where the base data's image paths start; default: image_root."""
    base_share: float | None = Field(None, ge=0, lt=1)
    """Share of base rows in the mix; default: square-root rule."""
    questions: Path | None = None
    """Evaluation questions, whose images must not be trained on."""
    evaluation_image_root: Path | None = None
    """Where their image paths start; default: image_root."""
    text_formats: list[TextFormat] = Field(["QM-A"], min_length=1)
    """Q-A, QM-A, QM-AE, mmbench: one drawn per use of a row."""
    method: Literal["lora", "full"] = "lora"
    """Train LoRA adapters, or all weights."""
    lora_rank: int = Field(16, ge=1)
    """Rank of the adapters' matrices."""
    keep_adapter: bool = False
    """Save the adapter alone, unmerged."""
    train_vision: bool = False
    """Train the vision tower as well."""
    learning_rate: float = Field(2e-4, gt=0)
    """The highest; it warms up linearly and decays along a cosine."""
    epochs: float = Field(1, gt=0)
    """Passes over the new data."""
    max_steps: int | None = Field(None, ge=1)
    """Most training steps; default: no limit."""
    batch_size: int = Field(32, ge=1)
    """Rows per training step."""
    accumulate: int = Field(1, ge=1)
    """Passes that the rows of a step are divided into, to fit into memory."""
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    """Precision of matrix products; auto: bfloat16 where the hardware multiplies it."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1 or mps."""
    max_bad_share: float = Field(0.05, ge=0, le=1)
    """Stop when a larger share of a file's rows cannot be used."""
    seed: int = 0
    """Draws the rows, their text formats and their order."""

    @model_validator(mode="after")
    def _settings_have_their_files(self) -> Self:
        if self.base_data is None and (self.base_share or self.base_image_root):
            raise ValueError("base_share and base_image_root need base_data")
        if self.questions is None and self.evaluation_image_root:
            raise ValueError("evaluation_image_root needs questions")
        return self


@dataclass
class FineTuneResult:
    """What notebook 5 shows; `checkpoint` is the folder written.

    `compared` says with which evaluation images the rows' images were compared, so that none is trained on.
    """

    checkpoint: Path
    log: TrainLog
    time: TrainTime
    compared: str
    warnings: list[str] = field(default_factory=list)


def fine_tune(config: FineTuneConfig) -> FineTuneResult:
    """Train the student and write the checkpoint, whole or not at all; same seed, same weights on a CPU.

    Raises DataEngineError when no new row can be used, too many rows of a file cannot (`max_bad_share`), the student
    cannot be loaded or the folder not written.
    """
    if config.student.partition(":")[0] in ("api", "recorded"):
        raise ParameterError(
            f"{config.student}: has no weights to train; set student to a model folder or hub name"
        )
    if config.output_dir.resolve() == Path(config.student).resolve():
        raise ParameterError(f"{config.output_dir}: output_dir is the student itself; choose another folder")
    with replaced_when_complete(config.output_dir, _LOG) as folder:
        # files are read before the student is loaded: a wrong path costs seconds, not minutes
        held_out = _held_out(config)
        sets = _read_sets(config, held_out)
        _check_new_rows(any(one.rows for one in sets if not one.is_base), sets, config)
        student = _load(config)
        log, seconds = _train(config, student, sets)
        _save(config, student, folder)
        write_json(folder / _LOG, log)
        write_json(folder / _TIME, seconds)
    compared = _compared(held_out)
    warnings = [*(held_out.warnings if held_out else []), *training_warnings(log)]
    return FineTuneResult(config.output_dir, log, seconds, compared, warnings)


def _held_out(config: FineTuneConfig) -> HeldOutImages | None:
    root = config.evaluation_image_root or config.image_root
    return HeldOutImages(config.questions, root, config.max_bad_share) if config.questions else None


def _compared(held_out: HeldOutImages | None) -> str:
    if held_out is None:
        return "not compared with evaluation images, as questions is not given"
    missing = f"; {held_out.not_found:,} of these were not found" if held_out.not_found else ""
    return f"compared with {held_out.known:,} evaluation images by file, bytes and COCO number{missing}"


def _read_sets(config: FineTuneConfig, held_out: HeldOutImages | None) -> list[DataSet]:
    new, base = DataSource(config.train_data, config.image_root, "image_root"), None
    if config.base_data:
        root = config.base_image_root or config.image_root
        base = DataSource([config.base_data], root, "base_image_root")
    return read_data_sets(new, base, config.text_formats, config.max_bad_share, held_out)


def _check_new_rows(any_usable: bool, sets: list[DataSet], config: FineTuneConfig) -> None:
    if not any_usable:
        rows = left_out_rows([one for one in sets if not one.is_base])
        why = f"; first: {rows[0]}" if rows else ""
        files = ", ".join(map(str, config.train_data))
        raise DataEngineError(
            f"{files}: no row can be trained on{why}; check train_data and image_root ({config.image_root})"
        )


def _load(config: FineTuneConfig) -> "Trainable":
    from dataengine_lib.training.trainable import TrainableSettings, load_trainable

    settings = TrainableSettings(
        method=config.method,
        lora_rank=config.lora_rank,
        train_vision=config.train_vision,
        dtype=config.dtype,
        device=config.device,
        seed=config.seed,
    )
    return load_trainable(config.student, settings)


def _train(config: FineTuneConfig, student: "Trainable", sets: list[DataSet]) -> tuple[TrainLog, TrainTime]:
    """Draw the examples, shuffle and batch them, and train on them; one generator makes all random draws."""
    from dataengine_lib.students.encoder_decoder import is_encoder_decoder
    from dataengine_lib.students.length_limit import LengthLimit
    from dataengine_lib.training.examples import ExampleEncoder
    from dataengine_lib.training.fine_tuning import train_on_batches

    began, rng = time.monotonic(), Random(f"fine-tune {config.seed}")
    examples = ExampleEncoder(
        student.processor,
        left_out_by_file(sets),
        encoder_decoder=is_encoder_decoder(student.model.config),
        limit=LengthLimit(student.model, student.processor),
    )
    most = config.max_steps * config.batch_size if config.max_steps else None
    drawn = draw_from_sets(sets, MixSettings(config.epochs, config.base_share, most), examples, rng)
    # a row may prove unusable only when it is encoded
    _check_new_rows(any(drawn[one.name] for one in sets if not one.is_base), sets, config)
    mixed = [example for of_set in drawn.values() for example in of_set]
    rng.shuffle(mixed)  # sets and types are spread over the whole training
    indices = length_batches([len(example) for example in mixed], config.batch_size, rng)
    batches = [[mixed[i] for i in batch] for batch in indices]
    read = time.monotonic()
    curve = train_on_batches(
        student, examples, batches, learning_rate=config.learning_rate, accumulate=config.accumulate
    )
    seconds = TrainTime(round(read - began, 1), round(time.monotonic() - read, 1), str(student.device))
    return TrainLog(
        student=config.student,
        method=config.method,
        dtype=str(student.compute).removeprefix("torch."),
        trained_parameters=sum(parameter.numel() for parameter in student.parameters),
        steps=len(curve),
        loss=curve,
        mix=mix_parts(sets, drawn),
        by_type=draws_by_type(drawn),
        skipped=left_out_counts(sets),
        skipped_rows=left_out_rows(sets),
    ), seconds


def _save(config: FineTuneConfig, student: "Trainable", folder: Path) -> None:
    from dataengine_lib.training.trainable import save_checkpoint

    save_checkpoint(student, folder, keep_adapter=config.keep_adapter)
