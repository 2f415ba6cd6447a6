"""Step 7: what the runs of a study used: QAs trained on, training steps, dollars, tokens and requests of the teachers."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from dataengine_lib.chat.ledger import StudentUsage
from dataengine_lib.core.files import read_json
from dataengine_lib.core.json_rows import json_rows
from dataengine_lib.evaluation.studies.figures import RunCost
from dataengine_lib.queries.causes.causes_file import CAUSES_FILE
from dataengine_lib.teachers.reply_files import UsageFile
from dataengine_lib.training.log import TrainLog


class _Causes(msgspec.Struct):
    """Of `causes.json`, what its teacher took; nothing where causes were found by clustering."""

    usage: StudentUsage = StudentUsage(0, 0, 0, 0, 0.0)


def run_costs(folder: Path, rounds: int) -> list[RunCost]:
    """What the run had used before its first round, after round 1, … up to the last, from its files.

    QAs are the rows of new data that the round's training had (`train_log.json`); without its log, the rows of
    `gptvqa_train_data.json` so far. What no file says is None. Raises DataEngineError for a damaged file.
    """
    found = [RunCost(0, 0, 0.0, 0, 0)]
    kept: float | None = 0
    for number in range(1, rounds + 1):
        here = folder / f"round{number}"
        before = found[-1]
        trained = _train_log(here)
        kept = _plus(kept, _rows(here / "gptvqa_train_data.json"))
        # another trainer's log may not say what it drew
        of_mix = (
            sum(part.rows for part in trained.mix if not part.is_base) if trained and trained.mix else None
        )
        usage = here / "usage.json"
        used: UsageFile | None = read_json(usage, UsageFile) if usage.is_file() else None
        if used is None and of_mix == 0:  # base data alone: no teacher was asked
            used = UsageFile(cost_usd=0.0)
        causes = here / CAUSES_FILE
        named = (read_json(causes, _Causes) if causes.is_file() else _Causes()).usage
        found.append(
            RunCost(
                kept if of_mix is None else of_mix,
                _plus(before.steps, trained.steps if trained else None),
                _plus(_plus(before.usd, used.cost_usd if used else None), named.cost_usd),
                _plus(before.tokens, _tokens(used) + _tokens(named) if used else None),
                _plus(before.requests, used.requests + named.replies if used else None),
            )
        )
    return found


def mean_cost(costs: Sequence[RunCost]) -> RunCost:
    """The mean over seeds; None where one of them is not known."""
    return RunCost(
        _mean(cost.qas for cost in costs),
        _mean(cost.steps for cost in costs),
        _mean(cost.usd for cost in costs),
        _mean(cost.tokens for cost in costs),
        _mean(cost.requests for cost in costs),
    )


def divided(cost: RunCost, by: float) -> RunCost:
    """The cost of one of `by` things; None where there are none."""
    each = [
        None if value is None or by <= 0 else value / by
        for value in (cost.qas, cost.steps, cost.usd, cost.tokens, cost.requests)
    ]
    return RunCost(*each)


def _train_log(folder: Path) -> TrainLog | None:
    """The log of a round's training: in its checkpoint, or beside it where the checkpoint was removed."""
    for file in (folder / "checkpoint" / "train_log.json", folder / "train_log.json"):
        if file.is_file():
            log: TrainLog = read_json(file, TrainLog)
            return log
    return None


def _rows(file: Path) -> int | None:
    return sum(1 for _ in json_rows(file)) if file.is_file() else None


def _tokens(used: UsageFile | StudentUsage) -> int:
    return used.prompt_tokens + used.completion_tokens


def _plus(one: float | None, two: float | None) -> float | None:
    return None if one is None or two is None else one + two


def _mean(values: Iterable[float | None]) -> float | None:
    known = list(values)
    numbers = [value for value in known if value is not None]
    return sum(numbers) / len(numbers) if numbers and len(numbers) == len(known) else None
