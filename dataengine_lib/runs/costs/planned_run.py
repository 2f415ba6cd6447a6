"""Before a run: the configs of its steps, from which costs are estimated."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dataengine_lib.runs.checks.answerable import AnswerableQueries, answerable_queries
from dataengine_lib.runs.checks.finding import Finding
from dataengine_lib.runs.checks.query_shares import latest_weights
from dataengine_lib.runs.checks.questions import AskedQuestions
from dataengine_lib.runs.workflow import Planned, first_configs


@dataclass
class PlannedRun:
    """The configs of a run's steps, of the first round where a step runs more than once, and notes on the plan."""

    weight: Path | None  # the latest that an earlier run has left
    rounds: int
    classify: Any  # None when step 0 is not part of the run
    evaluate: Any
    queries: Any
    teacher: Any
    curation: Any
    answerable: AnswerableQueries | None  # of a teacher that says what it can write
    notes: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, planned: list[Planned], rounds: int, asked: AskedQuestions | Finding | None) -> "PlannedRun":
        """From the planned steps; `asked` is `asked_or_finding` of them."""
        configs = first_configs(planned)
        return cls(
            weight=latest_weights(planned),
            rounds=rounds,
            classify=configs.get("classify_questions"),
            evaluate=configs["evaluate"],
            queries=configs["construct_queries"],
            teacher=configs["generate_qa"],
            curation=configs["post_process"],
            answerable=answerable_queries(planned, asked),
        )
