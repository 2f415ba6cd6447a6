"""The log of step 5: the loss curve, and what was trained on."""

import msgspec

from dataengine_lib.training.mix.replay import Replay

BASE = "base"  # the name of base data in the mix; of several files `base 1`, `base 2`, …


class LossPoint(msgspec.Struct):
    """One training step: the mean cross-entropy per answer token (nats), and the learning rate used."""

    step: int
    loss: float
    lr: float


class ValidationPoint(msgspec.Struct):
    """The mean cross-entropy per answer token (nats) of the validation rows after this step."""

    step: int
    loss: float


class MixPart(msgspec.Struct):
    """One data set's part in the training: usable rows, draws of them, and its share of all draws in [0, 1].

    `text_only` counts the rows without an image among the usable ones, `left_out` the file's other rows by reason.
    """

    name: str
    file: str
    rows: int
    drawn: int
    share: float
    text_only: int = 0
    left_out: dict[str, int] = {}

    @property
    def is_base(self) -> bool:
        """Whether it is base data, and not the new data of a round."""
        return self.name.partition(" ")[0] == BASE


class TypeDraws(msgspec.Struct):
    """How many rows of one question type were trained on, from new data and from base data."""

    new: int = 0
    base: int = 0


class TrainedModules(msgspec.Struct):
    """Modules that were trained and differ in numbers alone, as `language_model.layers.0-31.self_attn.q_proj`.

    `part` is vision, projector, q_former or language_model; `parameters` counts those trained in all of them.
    """

    part: str
    modules: str
    parameters: int


class TrainLog(msgspec.Struct, kw_only=True):
    """`train_log.json`: the same inputs, parameters and machine give the same bytes.

    `validation` is empty without `eval_share`; `kept_step` is the step whose weights were saved; `accumulate` is the
    number of passes a step had at the end.
    """

    student: str
    method: str
    dtype: str
    trained_parameters: int
    trained_modules: list[TrainedModules] = []
    steps: int
    loss: list[LossPoint]
    validation: list[ValidationPoint] = []
    kept_step: int = 0
    accumulate: int = 1
    mix: list[MixPart]
    by_type: dict[str, TypeDraws]
    skipped: dict[str, int]
    skipped_rows: list[str]
    replay: Replay | msgspec.UnsetType = (
        msgspec.UNSET
    )  # only with base_share: measured or replay_types: fallen


class TrainTime(msgspec.Struct):
    """`train_time.json`: seconds spent reading images and training, on this device, and what that makes.

    `rows_per_s` and `training` are those of the last run, which began at the step `resumed_from`; `peak_memory_mb` is
    the most memory used, of the GPU where there is one, else of the process; `earlier_run` says whether an interrupted
    run was continued, and if not, why.
    """

    reading: float
    training: float
    device: str
    rows_per_s: float = 0.0
    peak_memory_mb: int = 0
    resumed_from: int = 0
    earlier_run: str = ""
