"""What step 5 keeps of a training: its loss curve and what it was trained on."""

import msgspec


class LossPoint(msgspec.Struct):
    """The mean loss per answer token of one step, and the learning rate it was taken with."""

    step: int
    loss: float
    lr: float


class MixPart(msgspec.Struct):
    """One data set's part in the training: usable rows, draws of them, and its share of all draws."""

    name: str
    file: str
    rows: int
    drawn: int
    share: float


class TypeDraws(msgspec.Struct):
    """How many rows of one question type were trained on."""

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
    """`train_time.json`: seconds spent in reading images and in training, on this device."""

    reading: float
    training: float
    device: str
