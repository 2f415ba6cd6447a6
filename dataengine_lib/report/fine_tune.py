"""Report of step 5: the sentences of its conclusion."""

import msgspec

from dataengine_lib.core.significance.sign_flip import equals_p
from dataengine_lib.core.statistics import in_points
from dataengine_lib.report.names import plain_name
from dataengine_lib.training.log import TrainLog, TrainTime
from dataengine_lib.training.mix.replay import Replay


def replay_sentence(log: TrainLog) -> str:
    """What was measured of forgetting and what it did to the base data; empty where nothing was measured."""
    replay = log.replay
    if not isinstance(replay, Replay):
        return ""
    share = ""
    if replay.share is not None:
        share = (
            f"Share of base rows, as measured: {replay.share:.0%} "
            f"(by the square-root rule {replay.square_root_share:.0%}). "
        )
    without = [] if isinstance(replay.without_rows, msgspec.UnsetType) else replay.without_rows
    fallen = ", ".join(plain_name(kind) for kind in replay.fallen if kind not in without)
    twice = f" Base rows of types that fell were drawn twice as often: {fallen}." if fallen else ""
    if without:
        twice += f" No base row is of the fallen types {', '.join(map(plain_name, without))}."
    return f"{share}{_changes_text(replay)}{_panel_text(replay)}{twice}"


def _changes_text(replay: Replay) -> str:
    if not replay.changes:
        return "Nothing can have been forgotten in the first round."
    if not replay.changes[0].questions:
        return "The first student knew no type well enough to forget it."
    parts = [
        f"{in_points(one.change)} points (p {equals_p(one.p_value)}{', a fall' if one.fell else ''})"
        for one in replay.changes
    ]
    first = replay.changes[0]
    return (
        f"Since the first round, the {len(first.types)} types that the first student knew "
        f"({first.questions:,} diagnose questions) changed by {', then '.join(parts)}."
    )


def _panel_text(replay: Replay) -> str:
    """Which of the panel's sets and types fell, up to each round."""
    if isinstance(replay.panel, msgspec.UnsetType):
        return ""
    parts = [
        ", ".join(f"{name} {in_points(change)} points" for name, change in one.fallen.items()) or "none"
        for one in replay.panel
    ]
    return (
        f" On the panel, fallen beyond noise since the first round: {', then '.join(parts)} "
        f"(sets and types compared: {replay.panel[0].compared}, p by Holm)."
    )


def training_sentences(log: TrainLog, time: TrainTime) -> list[str]:
    """Steps, time, loss and speed; of another trainer's command what it has logged."""
    found = []
    if log.method == "command":
        steps = f", in {log.steps:,} steps" if log.steps else ""
        found.append(f"Another trainer's command took {time.training:.0f} s{steps}.")
    else:
        found.append(
            f"{log.steps:,} steps in {time.training:.0f} s on {time.device}, "
            f"{log.trained_parameters:,} parameters trained ({log.method})."
        )
    if log.mix and all(part.is_base for part in log.mix):
        found.append("Trained on base data alone, without new data.")
    found.append(replay_sentence(log))
    if log.method == "command" and log.trained_parameters:
        found.append(f"Its model or adapter has {log.trained_parameters:,} parameters.")
    if log.loss:
        few = max(1, len(log.loss) // 10)
        first, last = (sum(point.loss for point in part) / few for part in (log.loss[:few], log.loss[-few:]))
        found.append(f"The loss went from {first:.2f} to {last:.2f} (first and last tenth of the steps).")
    if log.method != "command":
        found.append(f"{time.rows_per_s:,.1f} rows a second, at most {time.peak_memory_mb:,} MB of memory.")
        found.append(time.earlier_run)
    return [sentence for sentence in found if sentence]
