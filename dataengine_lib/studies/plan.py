"""`dataengine plan` for a study: its runs, what they share, and what all of it costs; sends nothing."""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from dataengine_lib.runs.cost_plan import cost_limits, planned_costs
from dataengine_lib.runs.costs.cost_parts import CostPart, Limit, sum_line
from dataengine_lib.runs.workflow import Planned
from dataengine_lib.studies.grid import step_keys
from dataengine_lib.studies.read_study import Study

_TEACHER = "generate_qa"


def study_plan_lines(study: Study, out: Path) -> list[str]:
    """Lines for a terminal: how often each step is made, then requests and US dollars of step 3 by arm, and of the rest."""
    places: Counter[str] = Counter()  # runs that have a step, by label
    made: Counter[str] = Counter()
    new_of: Counter[tuple[str, str]] = (
        Counter()
    )  # how often a step is made: by arm and step, over seeds and rounds
    asked: Counter[tuple[str, str]] = Counter()  # as planned without sharing
    seen: set[str] = set()
    plans: dict[str, list[Planned]] = {}  # of the first run, by arm
    for run in study.runs:
        planned = study.planned(run, out)
        plans.setdefault(run.arm, planned)
        keys = step_keys(planned, out / run.folder)
        for item in planned:
            places[item.label] += 1
            new = keys[item.label] not in seen
            made[item.label] += new
            asked[run.arm, item.step.name] += 1
            new_of[run.arm, item.step.name] += new
        seen |= set(keys.values())
    lines = [
        f"{len(study.runs)} runs of {len(study.arms)} arms with {len(study.settings.seeds)} seeds, into {out}: "
        f"{sum(made.values())} steps to make, {sum(places.values()) - sum(made.values())} shared"
    ]
    # 5_fine_tune comes after 4_post_process of its round, whichever arm has them
    width = max(map(len, places))
    lines += [
        f"  {label:{width}}  {made[label]:4} of {places[label]}" for label in sorted(places, key=_order)
    ]
    return [*lines, "", *_cost_lines(study, plans, asked, new_of)]


def _order(label: str) -> tuple[int, str]:
    """Places a label as a run does: step 0, round1, round2, …, final, step 6."""
    place, _, step = label.rpartition("/")
    if place.startswith("round"):
        return int(place.removeprefix("round")), step
    return (0 if step.startswith("0") else 10**6 if place else 10**6 + 1), step


def _cost_lines(
    study: Study,
    plans: Mapping[str, list[Planned]],
    asked: Counter[tuple[str, str]],
    new: Counter[tuple[str, str]],
) -> Iterator[str]:
    """The teacher's requests and price by arm, then at most those of all else that models are asked.

    What an earlier arm has asked already counts there.
    """
    width = max(len(name) for name in ("all arms", *(arm.name for arm in study.arms)))
    yield f"{'arm':{width}}  requests  US dollars"
    tables: list[CostPart] = []  # step 3's queries, of the arms that ask for some
    more: list[CostPart] = []
    limits: dict[str, Limit] = {}
    for arm, planned in plans.items():
        queries, others = planned_costs(planned, study.base.head.rounds)
        seeds = len(study.settings.seeds)
        a_run = {step: number / seeds for (name, step), number in asked.items() if name == arm}
        # of one run with all its rounds, of which this arm makes some
        share = {step: new[arm, step] / number for step, number in a_run.items()}
        more += [_of_arm(arm, part, share[part.step]) for part in others if share[part.step]]
        limits |= {
            f"{arm} {budget}": replace(limit, times=new[arm, budget.partition(".")[0]])
            for budget, limit in cost_limits(planned).items()
        }
        if not queries or not share[_TEACHER]:
            yield f"{arm:{width}}  {0:8,}  {0:10.2f}"
            continue
        tables.append(_of_arm(arm, queries, share[_TEACHER]))
        yield f"{arm:{width}}  {tables[-1].requests:8,}  {_dollars(tables[-1:])}"
    yield f"{'all arms':{width}}  {sum(part.requests or 0 for part in tables):8,}  {_dollars(tables)}"
    yield ""
    yield from dict.fromkeys(part.line for part in more if part.requests is None)
    for asks in dict.fromkeys(part.asks for part in more if part.requests is not None):
        yield f"{asks}, all arms: {sum_line([part for part in more if part.asks == asks], {})}"
    if more:
        yield f"all of these with step 3's table: {sum_line([*tables, *more], limits)}"
    yield "note: `dataengine plan` of the base experiment shows tokens, types and other steps' requests"


def _of_arm(arm: str, part: CostPart, share: float) -> CostPart:
    """`share` of a part, under a step name of the arm's own: each arm has its own budgets."""
    return replace(part.times(share), step=f"{arm} {part.step}")


def _dollars(parts: Sequence[CostPart]) -> str:
    known = [part.usd for part in parts if part.usd is not None]
    return f"{math.fsum(known):10.2f}" if len(known) == len(parts) else f"{'unknown':>10}"
