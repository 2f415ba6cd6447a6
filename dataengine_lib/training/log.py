"""The log of step 5: the loss curve, and what was trained on."""

import msgspec


class LossPoint(msgspec.Struct):
    """One training step: the mean cross-entropy per answer token (nats), and the learning rate used."""

    step: int
    loss: float
    lr: float


class MixPart(msgspec.Struct):
    """One data set's part in the training: usable rows, draws of them, and its share of all draws in [0, 1]."""

    name: str
    file: str
    rows: int
    drawn: int
    share: float


class TypeDraws(msgspec.Struct):
    """How many rows of one question type were trained on, from new data and from base data."""

    new: int = 0
    base: int = 0


class TrainLog(msgspec.Struct, kw_only=True):
    """`train_log.json`: the same inputs, parameters and machine give the same bytes."""

    student: str
    method: str
    dtype: str
    trained_parameters: int
    steps: int
    loss: list[LossPoint]
    mix: list[MixPart]
    by_type: dict[str, TypeDraws]
    skipped: dict[str, int]
    skipped_rows: list[str]


class TrainTime(msgspec.Struct):
    """`train_time.json`: seconds spent reading images and training, on this device."""

    reading: float
    training: float
    device: str
