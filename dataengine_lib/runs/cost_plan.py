"""`dataengine plan` (all steps): what a run will do and cost, estimated from the files; no request is sent."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from dataengine_lib.chat.budget import SCHEMA_TOKENS
from dataengine_lib.chat.prices import (
    Price,
    PriceTable,
    estimate_tokens,
    image_tokens,
    most_tokens,
    read_prices,
)
from dataengine_lib.core.records import CHOICE, question_prompt
from dataengine_lib.curation.readers.reader_prompt import BLIND_READER, SECOND_READER, load_reader_prompt
from dataengine_lib.evaluation.weights import read_weights
from dataengine_lib.images.pool import PoolImage
from dataengine_lib.images.read_pool import read_pool
from dataengine_lib.queries.prompt import QueryPrompt, load_template
from dataengine_lib.questions.categories import CategorySet, read_categories
from dataengine_lib.resources import CATEGORY_SETS, CLASSIFY_PROMPTS
from dataengine_lib.runs.checks.answerable import AnswerableQueries, answerable_queries
from dataengine_lib.runs.checks.cause_costs import cause_costs, cause_notes
from dataengine_lib.runs.checks.cost_parts import CostPart, Limit, sum_line
from dataengine_lib.runs.checks.finding import Finding
from dataengine_lib.runs.checks.holdout_power import holdout_power_lines
from dataengine_lib.runs.checks.judge_costs import judge_costs, judge_notes
from dataengine_lib.runs.checks.priced_requests import PricedRequests
from dataengine_lib.runs.checks.query_shares import expected_queries, latest_weights
from dataengine_lib.runs.checks.questions import AskedQuestions, asked_or_finding, planned_questions
from dataengine_lib.runs.checks.spare_costs import spare_costs
from dataengine_lib.runs.checks.student_costs import (
    LETTER_TOKENS,
    REPLY_IS_LETTER,
    student_costs,
    student_notes,
)
from dataengine_lib.runs.parameters import Experiment
from dataengine_lib.runs.planning.placeholders import trains_on_new_data
from dataengine_lib.runs.workflow import NO_NEW_DATA, Planned, first_configs, plan
from dataengine_lib.teachers.query_costs import REPLY_TOKENS, TypeCost

_BUDGETS = [
    ("evaluate", "budget_usd"),
    ("evaluate", "judge_budget_usd"),
    *((name, "budget_usd") for name in ("construct_queries", "generate_qa", "post_process")),
]
_CLASSIFIED_TOKENS = 8  # of a question's number and type in a reply of step 0
_CHARACTERS_PER_TOKEN = 3  # of a question's text: an upper estimate, English has about 4
_SAMPLE = 50  # images and questions that are rendered to learn how long prompts are


@dataclass
class _PlannedRun:
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
    def of(cls, planned: list[Planned], rounds: int, asked: AskedQuestions | Finding | None) -> "_PlannedRun":
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
    run = _PlannedRun.of(planned, experiment.head.rounds, asked)
    if experiment.head.until is not None:
        run.notes.append(f"until may end the rounds before round {run.rounds}; all of them are counted")
    images = _sample_images(run)
    prices = read_prices(run.teacher.prices)
    price = prices.of(run.teacher.teacher)
    costs = _teacher_costs(run, images, price)
    total = costs[-1]
    _add_teacher_notes(run, prices, total)
    spares, readers = (
        [*spare_costs(run.queries, costs[:-1], run.rounds)],
        [*_reader_costs(run, images, total)],
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
        run.notes.append(_classify_note(run.classify))
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
        *_cost_table(costs, run.answerable),
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
    run = _PlannedRun.of(planned, rounds, asked)
    images = _sample_images(run)
    costs = _teacher_costs(run, images, read_prices(run.teacher.prices).of(run.teacher.teacher))
    more = [*spare_costs(run.queries, costs[:-1], rounds), *cause_costs(planned, asked, rounds), *evaluations]
    return _table_part(run, costs[-1]), [*more, *_reader_costs(run, images, costs[-1])]


def cost_limits(planned: list[Planned]) -> dict[str, Limit]:
    """The budgets of a run's steps by their names, as `CostPart.limited_by`: of steps 1 to 4."""
    times = Counter(item.step.name for item in planned)
    configs = first_configs(planned)
    return {
        f"{name}.{budget}": Limit(getattr(configs[name], budget), times[name])
        for name, budget in _BUDGETS
        if name in configs
    }


def _table_part(run: _PlannedRun, total: TypeCost) -> CostPart:
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
        notes.append(_classify_note(configs["classify_questions"]))
    return notes


def _workload(item: Planned) -> str:
    """How many questions or queries a step will process, as far as files and parameters tell."""
    config: Any = item.config
    if item.step.name in ("classify_questions", "evaluate"):
        return f": {len(planned_questions(config)):,} questions" if config.questions.is_file() else ""
    if item.step.name == "construct_queries":
        return f": up to {config.maxnum:,} queries"
    return ""


def _cost_table(costs: list[TypeCost], answerable: AnswerableQueries | None) -> list[str]:
    width = max(len(cost.name) for cost in costs)
    # numbers are aligned to the right below their headings
    by_image = answerable is not None and answerable.by_image
    more = "  can answer" if by_image else ""
    lines = [f"{'question type':{width}}  requests  prompt tokens  reply tokens  US dollars{more}"]
    for cost in costs:
        usd = f"{'unknown':>10}" if cost.usd is None else f"{cost.usd:10.2f}"
        numbers = f"{cost.requests:8,}  {cost.prompt_tokens:13,}  {cost.reply_tokens:12,}"
        if answerable is not None and by_image:
            all_types = sum(answerable.answered.values())
            number = all_types if cost is costs[-1] else answerable.answered.get(cost.name, 0)
            usd += f"  {number:10,}"
        lines.append(f"{cost.name:{width}}  {numbers}  {usd}")
    return lines


def _teacher_costs(run: _PlannedRun, images: list[PoolImage], price: Price | None) -> list[TypeCost]:
    """Step 3's requests, tokens and price by question type, then of all types."""
    queries, limit = run.queries, run.teacher.max_output_tokens
    categories = read_categories(queries.categories)
    template = load_template(queries.template)
    prompts = _sample_prompts(run, images, categories, template)
    attached = image_tokens(price) if template.attach_image else 0
    costs = []
    for kind, share in _queries_per_round(run, categories).items():
        number = round(run.rounds * share)
        lengths = [estimate_tokens(prompt) + attached for prompt in prompts[kind]]
        longest = max(map(most_tokens, prompts[kind])) + SCHEMA_TOKENS + attached
        # the sample's mean stands for all prompts of the type
        prompt_tokens = round(number * sum(lengths) / len(lengths))
        replies = number * min(REPLY_TOKENS, limit)
        costs.append(TypeCost(kind, number, prompt_tokens, number * longest, replies))
    keys = ("requests", "prompt_tokens", "most_prompt_tokens", "reply_tokens")
    sums = (sum(getattr(cost, key) for cost in costs) for key in keys)
    costs.append(TypeCost("all", *sums))
    return [cost.price(price, run.teacher.tier, limit) for cost in costs]


def _queries_per_round(run: _PlannedRun, categories: CategorySet) -> dict[str, float]:
    """Expected queries by type: the targets, and the rest of `maxnum` by the latest weights.

    Of types that the teacher writes alone, where step 2 asks about no others.
    """
    if run.queries.weight is None:
        run.notes.append("construct_queries.weight is null: all types are weighted equally")
    elif run.weight is None:
        run.notes.append(
            "weights are known after round 1's evaluation; until then all types are weighted equally"
        )
    if run.answerable is not None and run.answerable.restricted:
        return {kind: run.answerable.drawn[kind] for kind in categories.names}
    weights = read_weights(run.weight, categories.names)
    shares = expected_queries(weights, run.queries.targets, run.queries.maxnum)
    return {kind: shares[kind] for kind in weights}


def _sample_images(run: _PlannedRun) -> list[PoolImage]:
    """Up to _SAMPLE images at even distances in the pool."""
    queries = run.queries
    if not queries.coco_dataset.is_dir():
        run.notes.append(f"{queries.coco_dataset} does not exist yet, so captions and boxes are not counted")
        return []
    pool = read_pool(queries.coco_dataset, min_side=queries.min_side, min_captions=queries.min_captions)
    rows = pool.eligible
    return [pool[row] for row in rows[:: max(1, len(rows) // _SAMPLE)][:_SAMPLE]]


def _sample_prompts(
    run: _PlannedRun, images: list[PoolImage], categories: CategorySet, template: QueryPrompt
) -> dict[str, list[str]]:
    """Prompts by type as step 2 would write them, with questions of the type as examples and images of the pool."""
    queries = run.queries
    questions = planned_questions(run.evaluate) if run.evaluate.questions.is_file() else []
    any_type = [question_prompt(row) for row in questions[: queries.examples]]
    prompts: dict[str, list[str]] = {}
    for kind in categories.names:
        of_type = [question_prompt(row) for row in questions if row.question_type == kind][: queries.examples]
        # a type without questions in the file is estimated with examples of other types
        examples = of_type or any_type
        definition = categories.definition(kind)
        limit = queries.max_prompt_tokens
        filled = [template.render(kind, definition, examples, image, limit) for image in images]
        # None: too long for max_prompt_tokens. Without images the template itself stands for the prompt.
        prompts[kind] = [prompt for prompt in filled if prompt is not None] or [
            template.file.read_text(encoding="utf-8") + definition + "\n".join(examples)
        ]
    return prompts


def _add_teacher_notes(run: _PlannedRun, prices: PriceTable, total: TypeCost) -> None:
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


def _reader_costs(run: _PlannedRun, images: list[PoolImage], total: TypeCost) -> Iterator[CostPart]:
    """What step 4's readers are asked if each query of `total` gives one question that reaches them."""
    curation, queries = run.curation, total.requests
    prices = read_prices(curation.prices)
    for one in curation.readers:
        prompts = _reader_prompts(run.evaluate, [] if one.blind else images, one.blind, one.image)
        text = queries * (sum(map(estimate_tokens, prompts)) // len(prompts))
        most = queries * (max(map(most_tokens, prompts)) + SCHEMA_TOKENS)
        pictures, limit = queries if one.image else 0, curation.max_output_tokens
        letters = queries * LETTER_TOKENS
        requests = PricedRequests(prices, one.model, queries, text, most, letters, limit, pictures)
        line = f"{one.parameter}: at most {requests.text(replies=REPLY_IS_LETTER)}"
        yield CostPart.of("post_process", one.parameter, requests, line)


def _reader_prompts(config: Any, images: list[PoolImage], blind: bool, attached: bool) -> list[str]:
    """Prompts as a reader of step 4 would get them, with evaluation questions in place of generated ones."""
    questions = planned_questions(config)[:_SAMPLE] if config.questions.is_file() else []
    texts = [(row.question, row.choices, row.answer_kind or CHOICE) for row in questions] or [
        ("", [], CHOICE)
    ]
    fill = load_reader_prompt(BLIND_READER if blind else SECOND_READER)
    # as many prompts as there are questions or images, whichever are more
    pairs = islice(zip(cycle(texts), cycle(images or [None])), max(len(texts), len(images)))
    return [fill(question, choices, image, attached, kind) for (question, choices, kind), image in pairs]


def _classify_note(config: Any) -> str:
    """What step 0 asks: questions without a type, and a sample of the others to measure agreement."""
    if not config.questions.is_file():
        return "classify_questions is not counted: its file of questions does not exist yet"
    rows = planned_questions(config)
    untyped = [row for row in rows if not (row.question_type and config.keep_known)]
    asked = len(untyped) + min(config.agreement_sample, len(rows) - len(untyped))
    requests = -(-asked // config.batch_size)  # rounded up
    files = (CLASSIFY_PROMPTS.file(config.template), CATEGORY_SETS.file(config.categories))
    rules = sum(estimate_tokens(file.read_text(encoding="utf-8")) for file in files)
    text = sum(len(row.question) + sum(map(len, row.choices)) for row in rows) / max(1, len(rows))
    # every request repeats the rules and categories, and every question is sent once
    tokens = requests * rules + round(asked * text / _CHARACTERS_PER_TOKEN)
    price = read_prices(config.prices).of(config.teacher)
    usd = f", {price.cost(tokens, 0, asked * _CLASSIFIED_TOKENS):.2f} US dollars" if price else ""
    return f"classify_questions: {requests:,} requests for {asked:,} questions, {tokens:,} prompt tokens{usd}"
