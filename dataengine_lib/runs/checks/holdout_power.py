"""`dataengine plan`: the smallest gain that step 6 can show on its split, and how many questions a wished one needs."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from dataengine_lib.core.records import NO_TYPE, image_name
from dataengine_lib.core.significance.power import (
    ALIKE,
    DISCORDANCE,
    POWER,
    independent_questions,
    power,
    questions_needed,
    smallest_gain,
)
from dataengine_lib.core.significance.sign_flip import ALPHA
from dataengine_lib.errors import DataEngineError
from dataengine_lib.evaluation.tasks import Task
from dataengine_lib.playground.questions import QUESTION_WRITERS
from dataengine_lib.playground.sets import questions_of_each_type
from dataengine_lib.questions.categories import read_categories, type_name
from dataengine_lib.runs.checks.finding import Finding
from dataengine_lib.runs.checks.questions import AskedQuestions
from dataengine_lib.runs.parameters import Experiment
from dataengine_lib.runs.workflow import Planned, first_configs


@dataclass(frozen=True)
class _Group:
    """Questions that are tested together: how many, about how many images, and how many independent ones they equal."""

    name: str
    questions: int
    images: int
    independent: float
    alpha: float  # the level of the test

    @classmethod
    def of(cls, name: str, per_image: Sequence[int], family: int) -> "_Group":
        """`per_image`: questions about each image; `family`: tests that are corrected together."""
        return cls(name, sum(per_image), len(per_image), independent_questions(per_image), ALPHA / family)

    def cells(self, gain: float, needed: int | None) -> tuple[str, ...]:
        """A line of the table; `needed` independent questions show `gain`."""
        smallest = smallest_gain(self.independent, self.alpha)
        shown = "too few" if smallest is None else f"+{100 * smallest:.1f}"
        # as many more questions about the same number of questions an image
        wanted = "–" if needed is None else f"{needed * self.questions / self.independent:,.0f}"
        return (
            f"{self.questions:,}",
            f"{self.images:,}",
            shown,
            f"{power(gain, self.independent, self.alpha):.0%}",
            wanted,
        )


def holdout_power_lines(
    experiment: Experiment,
    planned: Sequence[Planned],
    asked: AskedQuestions | Finding | None,
    gain: float,
) -> list[str]:
    """A table by type and overall: the smallest gain that is called real with 80 % probability, and how likely `gain` is.

    `asked` is `asked_or_finding` of these steps, `gain` is from 0 to 1. A sentence says what is assumed. Without a file of
    questions, a line says so.
    """
    steps = first_configs(planned)
    compare = steps.get("compare_rounds")
    if compare is None:
        return []
    if isinstance(asked, Finding):
        return [f"what step 6 can show is not counted: {asked.message}"]
    try:
        groups, note = _groups(experiment, asked, steps, compare.split)
    except DataEngineError as error:
        return [f"what step 6 can show is not counted: {error}"]
    if not groups:
        return [f"what step 6 can show is not counted: {note}"]
    family = round(ALPHA / groups[0].alpha)
    needed = {alpha: questions_needed(gain, alpha) for alpha in {group.alpha for group in groups}}
    wished = f"+{100 * gain:g}"
    head = (
        "question type",
        "questions",
        "images",
        "smallest gain",
        f"power at {wished}",
        f"questions for {wished}",
    )
    rows = [head, *((group.name, *group.cells(gain, needed[group.alpha])) for group in groups)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    lines = [
        "  ".join(
            f"{cell:{width}}" if column == 0 else f"{cell:>{width}}"
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]
    return [
        f"what step 6 can show on the {compare.split} questions, in points, after Holm's correction over {family} "
        f"type{'' if family == 1 else 's'} ({POWER:.0%} power, the other types unchanged):",
        *lines,
        *([f"note: {note}"] if note else []),
        f"note: assumed: {DISCORDANCE:.0%} of the answers change without any gain, and changes of two questions about one "
        f"image correlate by {ALIKE:g}; fewer changes show smaller gains; --effect sets the wished gain",
    ]


def _groups(
    experiment: Experiment, asked: AskedQuestions | None, steps: dict[str, Any], split: str
) -> tuple[list[_Group], str]:
    """The types from the most questions to the fewest, then all together, and a note; no group without questions."""
    if asked is None:
        return _playground_groups(experiment, split)
    tasks = asked.of_split(split)
    if not tasks:
        return [], f"{asked.file} has no {split} question"
    together = _Group.of("overall", _per_image(tasks), 1)
    if not asked.typed:
        # step 0 will find the types
        names = read_categories(steps["evaluate"].categories).names
        each = max(1, len(tasks) // len(names))
        group = _Group.of(f"each of {len(names)} types", [1] * each, len(names))
        return [
            group,
            together,
        ], "types are known after step 0; until then they are taken as equally frequent"
    of_type: dict[str, list[Task]] = {}
    for task in tasks:
        of_type.setdefault(type_name(task.question.question_type or NO_TYPE), []).append(task)
    ordered = sorted(of_type.items(), key=lambda item: (-len(item[1]), item[0]))
    return [*(_Group.of(kind, _per_image(rows), len(of_type)) for kind, rows in ordered), together], ""


def _per_image(tasks: Sequence[Task]) -> list[int]:
    """Questions about each image."""
    return list(Counter(image_name(task.question.image_id, task.image) for task in tasks).values())


def _playground_groups(experiment: Experiment, split: str) -> tuple[list[_Group], str]:
    """Those of a playground that is not written yet; no group without one."""
    settings = experiment.head.playground
    if settings is None:
        return [], "the file of questions does not exist yet"
    parts = ("diagnose", "holdout") if split == "all" else (split,)
    each, types = sum(questions_of_each_type(part, settings.sizes) for part in parts), len(QUESTION_WRITERS)
    groups = [
        _Group.of(f"each of {types} types", [1] * each, types),
        _Group.of("overall", [1] * (each * types), 1),
    ]
    return groups, "the playground is not written yet; one question an image is counted"
