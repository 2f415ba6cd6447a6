"""What step 5 warns of: rows that were not trained on, and trainings too short to change a student."""

from dataengine_lib.core.bad_rows import counted_reasons
from dataengine_lib.core.text import shown
from dataengine_lib.training.log import TrainLog

_FEW_STEPS, _FEW_ROWS = 10, 10  # the learning rate is still warming up, or the student memorizes each row


def training_warnings(log: TrainLog) -> list[str]:
    """A sentence for each way in which this training did less than was asked for."""
    found = []
    if skipped := sum(log.skipped.values()):
        found.append(
            f"{skipped:,} row{' was' if skipped == 1 else 's were'} not trained on: {counted_reasons(log.skipped)}; "
            f"the first: {shown(log.skipped_rows[0], 200)}"
        )
    # another trainer may log no steps
    if log.steps < _FEW_STEPS and (log.steps or log.method != "command"):
        found.append(
            f"only {log.steps} training step{'' if log.steps == 1 else 's'}: the student has hardly changed"
        )
    new = [part for part in log.mix if not part.is_base]
    # without a file of new data there was to be none
    if new and (rows := sum(part.rows for part in new)) < _FEW_ROWS:
        found.append(f"only {rows} new row{'' if rows == 1 else 's'} to train on")
    found += [f"{part.name}: no row of {part.file} was trained on" for part in log.mix if not part.drawn]
    return found
