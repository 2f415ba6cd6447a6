"""Whether `until` ends the rounds of a run after one of them (all steps)."""

import msgspec

from dataengine_lib.core.files import read_json
from dataengine_lib.evaluation.rounds.figures import NextRound
from dataengine_lib.runs.state import StepState
from dataengine_lib.runs.workflow import Planned


class _Decision(msgspec.Struct):
    """Of a round's `compare_rounds.json`, what it says about the next round."""

    next_round: NextRound


def until_says(item: Planned, state: StepState) -> str:
    """Why `until` ends the rounds after the comparison of a round; empty where it does not, and for other steps."""
    file = item.folder / "compare_rounds.json"
    compares_round = "compare" in item.step.when and item.round is not None
    if not compares_round or state.status not in ("done", "skipped") or not file.is_file():
        return ""
    decision: _Decision = read_json(file, _Decision)
    return decision.next_round.reason.removeprefix("stop, as ") if decision.next_round.stop else ""
