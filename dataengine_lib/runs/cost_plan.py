"""`dataengine plan` (all steps): what a run will do and cost, estimated from the files; no request is sent."""

from collections import Counter
from pathlib import Path
from typing import Any

from dataengine_lib.chat.prices import PriceTable, read_prices
from dataengine_lib.runs.checks.answerable import AnswerableQueries
from dataengine_lib.runs.checks.finding import Finding
from dataengine_lib.runs.checks.holdout_power import holdout_power_lines
from dataengine_lib.runs.checks.questions import AskedQuestions, asked_or_finding, planned_questions
from dataengine_lib.runs.costs.cause_costs import cause_costs, cause_notes
from dataengine_lib.runs.costs.classify_costs import classify_note
from dataengine_lib.runs.costs.cost_parts import CostPart, Limit, sum_line
from dataengine_lib.runs.costs.judge_costs import judge_costs, judge_notes
from dataengine_lib.runs.costs.planned_run import PlannedRun
from dataengine_lib.runs.costs.reader_costs import reader_costs
from dataengine_lib.runs.costs.spare_costs import spare_costs
from dataengine_lib.runs.costs.student_costs import evaluations_on_server, student_costs, student_notes
from dataengine_lib.runs.costs.teacher_costs import sample_images, teacher_costs, type_cost_lines
from dataengine_lib.runs.parameters import Experiment
from dataengine_lib.runs.planning.placeholders import trains_on_new_data
from dataengine_lib.runs.workflow import NO_NEW_DATA, Planned, first_configs, plan
from dataengine_lib.teachers.query_costs import REPLY_TOKENS, TypeCost

_BUDGETS = [
    ("evaluate", "budget_usd"),
    ("evaluate", "judge_budget_usd"),
    *((name, "budget_usd") for name in ("construct_queries", "generate_qa", "post_process")),
]


def plan_lines(experiment: Experiment, out: Path, gain: float = 0.05) -> list[str]:
    """Lines for a terminal: the steps, then requests, tokens and US dollars per question type over all rounds.

    After them, what step 6 can show, and how many questions a wished `gain` (0 to 1) needs.
    """
    planned = plan(experiment, out)
    steps = [f"{len(planned)} steps, into {out}:", *(f"  {item.label}{_workload(item)}" for item in planned)]
    asked = asked_or_finding(planned)
    power = holdout_power_lines(experiment, planned, asked, gain)
    if not trains_on_new_data(experiment):
        notes = _notes_without_new_data(planned, asked)
        return [*steps, "", *power, "", *(f"note: {note}" for note in notes)]
    run = PlannedRun.of(planned, experiment.head.rounds, asked)
    if experiment.head.until is not None:
        run.notes.append(f"until may end the rounds before round {run.rounds}; all of them are counted")
    images = sample_images(run)
    prices = read_prices(run.teacher.prices)
    price = prices.of(run.teacher.teacher)
    costs = teacher_costs(run, images, price)
    total = costs[-1]
    _add_teacher_notes(run, prices, total)
    spares, readers = (
        [*spare_costs(run.queries, costs[:-1], run.rounds)],
        [*reader_costs(run, images, total)],
    )
    run.notes += [part.line for part in spares]
    run.notes += [*cause_notes(planned, asked, run.rounds), *judge_notes(planned, asked)]
    run.notes += [part.line for part in readers]
    run.notes += student_notes(planned)
    if readers and run.curation.budget_usd is not None:
        run.notes.append(
            f"post_process.budget_usd stops the readers of each round at {run.curation.budget_usd:g} US dollars"
        )
    more = [*spares, *cause_costs(planned, asked, run.rounds), *judge_costs(planned, asked), *readers]
    more += student_costs(planned)
    if more:
        run.notes.append(
            f"all of these with step 3's table: {sum_line([_table_part(run, total), *more], cost_limits(planned))}"
        )
    if run.classify is not None:
        run.notes.append(classify_note(run.classify))
    run.notes.append(
        "prompt tokens are an upper estimate from the length of the text; replies are counted as "
        f"{min(REPLY_TOKENS, run.teacher.max_output_tokens)} tokens"
    )
    head = f"teacher {run.teacher.teacher}, {run.rounds} round(s):"
    if run.answerable is not None and run.answerable.by_image:
        run.notes.append(_answerable_note(run.answerable))
    return [
        *steps,
        "",
        head,
        *type_cost_lines(costs, run.answerable),
        "",
        *power,
        "",
        *(f"note: {note}" for note in run.notes),
    ]


def planned_costs(planned: list[Planned], rounds: int) -> tuple[CostPart | None, list[CostPart]]:
    """Of a whole run of `rounds`: step 3's queries (None in a run without new data), and what else models are asked."""
    asked = asked_or_finding(planned)
    evaluations = [*judge_costs(planned, asked), *student_costs(planned)]
    if "generate_qa" not in first_configs(planned):
        return None, evaluations
    run = PlannedRun.of(planned, rounds, asked)
    images = sample_images(run)
    costs = teacher_costs(run, images, read_prices(run.teacher.prices).of(run.teacher.teacher))
    more = [*spare_costs(run.queries, costs[:-1], rounds), *cause_costs(planned, asked, rounds), *evaluations]
    return _table_part(run, costs[-1]), [*more, *reader_costs(run, images, costs[-1])]


def cost_limits(planned: list[Planned]) -> dict[str, Limit]:
    """The budgets of a run's steps by their names, as `CostPart.limited_by`: of steps 1 to 4."""
    times = Counter(item.step.name for item in planned)
    on_server = evaluations_on_server(planned)
    configs = first_configs(planned)
    return {
        f"{name}.{budget}": Limit(
            getattr(configs[name], budget),
            on_server if (name, budget) == ("evaluate", "budget_usd") else times[name],
        )
        for name, budget in _BUDGETS
        if name in configs
    }


def _table_part(run: PlannedRun, total: TypeCost) -> CostPart:
    return CostPart("generate_qa", run.teacher.teacher, "", total.requests, total.usd, total.most_usd)


def _answerable_note(found: AnswerableQueries) -> str:
    """How many queries a teacher that knows its images can answer, and what becomes of the others."""
    answered, whole = sum(found.answered.values()), found.maxnum * found.rounds
    left = (
        "step 2 writes only these"
        if found.restricted
        else "it skips the others; construct_queries.served_by leaves them out"
    )
    return (
        f"{found.teacher} can answer about {answered:,} of {whole:,} queries, by its types and the pool's images, of which "
        f"each carries one query: {left}"
    )


def _notes_without_new_data(planned: list[Planned], asked: AskedQuestions | Finding | None) -> list[str]:
    """What a run costs that asks no teacher for training data."""
    configs, notes = first_configs(planned), [NO_NEW_DATA]
    notes += [*student_notes(planned), *judge_notes(planned, asked)]
    if "classify_questions" in configs:
        notes.append(classify_note(configs["classify_questions"]))
    return notes


def _workload(item: Planned) -> str:
    """How many questions or queries a step will process, as far as files and parameters tell."""
    config: Any = item.config
    if item.step.name in ("classify_questions", "evaluate"):
        return f": {len(planned_questions(config)):,} questions" if config.questions.is_file() else ""
    if item.step.name == "construct_queries":
        return f": up to {config.maxnum:,} queries"
    return ""


def _add_teacher_notes(run: PlannedRun, prices: PriceTable, total: TypeCost) -> None:
    """Which prices step 3's costs are counted with, and what limits them."""
    teacher = run.teacher
    price = prices.of(teacher.teacher)
    if price is None:
        run.notes.append(
            f"no price is known for {teacher.teacher}; add it to dataengine_lib/resources/prices.yaml"
        )
    elif teacher.teacher.startswith("openai:"):
        run.notes += [
            f"prices as of {prices.date}; the lower price of cached input is not used",
            f"at most, with every reply as long as max_output_tokens allows: {total.most_usd:,.2f} US dollars",
        ]
        if teacher.tier in price.half:
            run.notes.append(f"{teacher.tier}: half of the standard price is counted")
    if teacher.budget_usd is not None:
        run.notes.append(f"budget_usd stops each round at {teacher.budget_usd:g} US dollars")
