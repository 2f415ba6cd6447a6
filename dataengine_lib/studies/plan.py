"""`dataengine plan` for a study: its runs, what they share, and what all of it costs; sends nothing."""

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

from dataengine_lib.runs.cost_plan import run_cost
from dataengine_lib.runs.workflow import Planned, first_configs
from dataengine_lib.studies.grid import step_keys
from dataengine_lib.studies.read_study import Study

_TEACHER = "generate_qa"


def study_plan_lines(study: Study, out: Path) -> list[str]:
    """Lines for a terminal: how often each step is made, then requests and US dollars of step 3 by arm."""
    places: Counter[str] = Counter()  # runs that have a step, by label
    made: Counter[str] = Counter()
    teacher: Counter[str] = Counter()  # how often an arm asks the teacher: by arm, over seeds and rounds
    asked: Counter[str] = Counter()  # as planned without sharing
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
            if item.step.name == _TEACHER:
                asked[run.arm] += 1
                teacher[run.arm] += new
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
    return [*lines, "", *_cost_lines(study, plans, asked, teacher)]


def _order(label: str) -> tuple[int, str]:
    """Places a label as a run does: step 0, round1, round2, …, final, step 6."""
    place, _, step = label.rpartition("/")
    if place.startswith("round"):
        return int(place.removeprefix("round")), step
    return (0 if step.startswith("0") else 10**6 if place else 10**6 + 1), step


def _cost_lines(
    study: Study, plans: Mapping[str, list[Planned]], asked: Counter[str], new: Counter[str]
) -> Iterator[str]:
    """The teacher's requests and price by arm; what an earlier arm has asked already counts there."""
    width = max(len(name) for name in ("all arms", *(arm.name for arm in study.arms)))
    yield f"{'arm':{width}}  requests  US dollars"
    requests, dollars = 0, 0.0
    known = True
    for arm, planned in plans.items():
        if not new[arm]:
            yield f"{arm:{width}}  {0:8,}  {0:10.2f}"
            continue
        cost = run_cost(planned, study.base.head.rounds)
        # of one run with all its rounds, of which this arm asks for some
        share = new[arm] / (asked[arm] / len(study.settings.seeds))
        number = round(cost.requests * share)
        requests += number
        known = known and cost.usd is not None
        dollars += (cost.usd or 0.0) * share
        usd = f"{'unknown':>10}" if cost.usd is None else f"{cost.usd * share:10.2f}"
        yield f"{arm:{width}}  {number:8,}  {usd}"
    total = f"{dollars:10.2f}" if known else f"{'unknown':>10}"
    yield f"{'all arms':{width}}  {requests:8,}  {total}"
    yield ""
    configs = [first_configs(planned).get("construct_queries") for planned in plans.values()]
    if any(getattr(config, "spare_share", 0) for config in configs):
        yield "note: without spare queries (spare_share), which are asked only in place of replies that skip"
    yield "note: of step 3 alone; `dataengine plan` of the base experiment shows tokens, types and other steps' requests"
