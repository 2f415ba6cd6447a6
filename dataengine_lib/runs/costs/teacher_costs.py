"""Before a run: what step 3 asks the teacher, by question type, and its price."""

from dataengine_lib.chat.budget import SCHEMA_TOKENS
from dataengine_lib.chat.prices import Price, estimate_tokens, image_tokens, most_tokens
from dataengine_lib.core.records import question_prompt
from dataengine_lib.evaluation.weights import read_weights
from dataengine_lib.images.pool import PoolImage
from dataengine_lib.images.read_pool import read_pool
from dataengine_lib.queries.prompt import QueryPrompt, load_template
from dataengine_lib.questions.categories import CategorySet, read_categories
from dataengine_lib.runs.checks.answerable import AnswerableQueries
from dataengine_lib.runs.checks.query_shares import expected_queries
from dataengine_lib.runs.checks.questions import planned_questions
from dataengine_lib.runs.costs.planned_run import PlannedRun
from dataengine_lib.teachers.query_costs import REPLY_TOKENS, TypeCost

_SAMPLE = 50  # images and questions that are rendered to learn how long prompts are


def teacher_costs(run: PlannedRun, images: list[PoolImage], price: Price | None) -> list[TypeCost]:
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


def _queries_per_round(run: PlannedRun, categories: CategorySet) -> dict[str, float]:
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


def sample_images(run: PlannedRun) -> list[PoolImage]:
    """Up to _SAMPLE images at even distances in the pool."""
    queries = run.queries
    if not queries.coco_dataset.is_dir():
        run.notes.append(f"{queries.coco_dataset} does not exist yet, so captions and boxes are not counted")
        return []
    pool = read_pool(queries.coco_dataset, min_side=queries.min_side, min_captions=queries.min_captions)
    rows = pool.eligible
    return [pool[row] for row in rows[:: max(1, len(rows) // _SAMPLE)][:_SAMPLE]]


def _sample_prompts(
    run: PlannedRun, images: list[PoolImage], categories: CategorySet, template: QueryPrompt
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


def type_cost_lines(costs: list[TypeCost], answerable: AnswerableQueries | None) -> list[str]:
    """Lines of `teacher_costs`, with how many queries a teacher that knows its images can answer."""
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
