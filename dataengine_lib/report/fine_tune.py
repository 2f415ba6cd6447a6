"""Report of step 5: the sentences of its conclusion."""

from dataengine_lib.training.log import TrainLog, TrainTime


def training_sentences(log: TrainLog, time: TrainTime) -> list[str]:
    """Steps, time, loss and speed; of another trainer's command what it has logged."""
    few = max(1, len(log.loss) // 10)
    first, last = (sum(point.loss for point in part) / few for part in (log.loss[:few], log.loss[-few:]))
    change = (
        f"The loss went from {first:.2f} to {last:.2f} (first and last tenth of the steps)."
        if log.loss
        else ""
    )
    base_alone = (
        "" if any(not part.is_base for part in log.mix) else "Trained on base data alone, without new data."
    )
    if log.method == "command":
        steps = f", in {log.steps:,} steps" if log.steps else ""
        size = (
            f"Its model or adapter has {log.trained_parameters:,} parameters."
            if log.trained_parameters
            else ""
        )
        return [f"Another trainer's command took {time.training:.0f} s{steps}.", base_alone, size, change]
    return [
        f"{log.steps:,} steps in {time.training:.0f} s on {time.device}, "
        f"{log.trained_parameters:,} parameters trained ({log.method}).",
        base_alone,
        change,
        f"{time.rows_per_s:,.1f} rows a second, at most {time.peak_memory_mb:,} MB of memory.",
        time.earlier_run,
    ]
