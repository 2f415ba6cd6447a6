"""What a run will do and cost (all steps), from the files that are there; asks nobody, spends nothing."""

from itertools import cycle, islice
from pathlib import Path
from typing import Any

from dataengine_lib.chat.prices import PriceTable, estimate_tokens, image_tokens, read_prices
from dataengine_lib.core.records import Question, qa_prompt
from dataengine_lib.curation.reader_prompt import BLIND_READER, SECOND_READER, load_reader_prompt
from dataengine_lib.curation.second_reader import READER_OUTPUT_TOKENS
from dataengine_lib.evaluation.weights import read_weights
from dataengine_lib.images.pool import PoolImage
from dataengine_lib.images.read_pool import read_pool
from dataengine_lib.queries.prompt import QueryPrompt, load_template
from dataengine_lib.questions.categories import CategorySet, read_categories, type_name
from dataengine_lib.questions.reader import read_question_rows
from dataengine_lib.runs.parameters import Experiment
from dataengine_lib.runs.workflow import Planned, plan
from dataengine_lib.teachers.query_costs import REPLY_TOKENS, TypeCost

_LETTER_TOKENS = 10  # a letter in a structured answer
_IMAGES = 50  # of the pool, rendered to learn how long prompts are


def _line(cost: TypeCost, width: int) -> str:
    usd = f"{'unknown':>10}" if cost.usd is None else f"{cost.usd:10.2f}"
    numbers = f"{cost.requests:8,}  {cost.prompt_tokens:13,}  {cost.reply_tokens:12,}"
    return f"{cost.name:{width}}  {numbers}  {usd}"


def plan_lines(experiment: Experiment, out: Path) -> list[str]:
    """Steps with what each takes, then requests, tokens and US dollars per question type over all rounds."""
    planned = plan(experiment, out)
    steps = {item.step.name: item.config for item in planned}
    lines = [f"{len(planned)} steps, into {out}:", *(f"  {item.label}{_rows(item)}" for item in planned)]
    notes: list[str] = []
    teacher: Any = steps["generate_qa"]
    prices = read_prices(teacher.prices)
    price = prices.of(teacher.teacher)
    queries, rounds = steps["construct_queries"], experiment.head.rounds
    # the first: later ones are of checkpoints
    evaluate: Any = next(item.config for item in planned if item.step.name == "evaluate")
    picture = image_tokens(price)
    images = _sample_images(queries, notes)
    costs = _query_costs(queries, evaluate, images, rounds, out, notes, picture, teacher.max_output_tokens)
    total = TypeCost(
        "all", *(sum(getattr(c, key) for c in costs) for key in ("requests", "prompt_tokens", "reply_tokens"))
    )
    for cost in (*costs, total):
        cost.price(price, teacher.tier, teacher.max_output_tokens)
    width = max(len(cost.name) for cost in [*costs, total])
    head = f"{'question type':{width}}  requests  prompt tokens  reply tokens  US dollars"
    lines += ["", f"teacher {teacher.teacher}, {rounds} round(s):", head]
    lines += [_line(cost, width) for cost in [*costs, total]]
    if price is None:
        notes.append(f"no price is known for {teacher.teacher}; add it to params/prices.yaml")
    elif teacher.teacher.startswith("openai:"):
        notes.append(f"prices as of {prices.date}; cached input, which is cheaper, is not counted on")
        notes.append(
            f"with every reply as long as max_output_tokens allows: {total.most_usd:,.2f} US dollars"
        )
        if teacher.tier in price.half:
            notes.append(f"{teacher.tier}: half of the standard price is counted")
    if teacher.budget_usd is not None:
        notes.append(f"budget_usd stops each round at {teacher.budget_usd:g}")
    checks: Any = steps["post_process"]
    for name, spec in checks.readers.items():
        blind = name == "blind_reader"
        attached = checks.second_reader_image and not blind
        prompts = _reader_prompts(evaluate, [] if blind else images, blind, attached)
        notes.append(_reader_note(name, spec, total.requests, prompts, attached))
    if checks.readers and checks.budget_usd is not None:
        notes.append(f"post_process.budget_usd stops the readers of each round at {checks.budget_usd:g}")
    if evaluate.student.startswith("api:"):
        notes.append(_student_note(evaluate, prices))
    if sorting := steps.get("classify_questions"):
        notes.append(_sorting_note(sorting))
    notes.append(
        "prompt tokens are an upper guess from their length; replies are taken as "
        f"{min(REPLY_TOKENS, teacher.max_output_tokens)} tokens"
    )
    return [*lines, "", *(f"note: {note}" for note in notes)]


def _rows(item: Planned) -> str:
    """What a step goes through, as far as files and parameters say."""
    config: Any = item.config
    if item.step.name in ("classify_questions", "evaluate"):
        return f": {len(_questions(config)):,} questions" if config.questions.is_file() else ""
    if item.step.name == "construct_queries":
        return f": up to {config.maxnum:,} queries"
    return ""


def _query_costs(
    queries: Any,
    evaluate: Any,
    images: list[PoolImage],
    rounds: int,
    out: Path,
    notes: list[str],
    picture: int,
    room: int,
) -> list[TypeCost]:
    """Requests and tokens by type; `picture` is what one counts, where the template attaches it, `room` an output limit."""
    categories = read_categories(queries.categories)
    weight = next(
        (file for n in range(rounds, 0, -1) if (file := out / f"round{n}" / "weight.json").is_file()), None
    )
    if weight is None:
        notes.append("weights are known after round 1's evaluation; until then every type counts the same")
    weights = read_weights(weight, categories.names)
    template = load_template(queries.template)
    samples = _sample_prompts(queries, evaluate, images, categories, template)
    known = {type_name(kind): number for kind, number in queries.targets.items()}
    targets = {kind: known[kind] for kind in weights if kind in known}
    free = {kind: value for kind, value in weights.items() if kind not in targets}
    wanted, costs = queries.maxnum - sum(known.values()), []
    for kind in weights:
        share = targets[kind] if kind in targets else wanted * free[kind] / (sum(free.values()) or 1)
        number = round(rounds * share)
        lengths = [estimate_tokens(prompt) + template.attach_image * picture for prompt in samples[kind]]
        prompt_tokens = round(number * sum(lengths) / len(lengths))
        costs.append(TypeCost(kind, number, prompt_tokens, number * min(REPLY_TOKENS, room)))
    return costs


def _sample_images(queries: Any, notes: list[str]) -> list[PoolImage]:
    if not queries.coco_dataset.is_dir():
        notes.append(f"{queries.coco_dataset} is not there yet, so captions and boxes are not counted")
        return []
    pool = read_pool(queries.coco_dataset, min_side=queries.min_side, min_captions=queries.min_captions)
    rows = pool.eligible
    return [pool[row] for row in rows[:: max(1, len(rows) // _IMAGES)][:_IMAGES]]


def _sample_prompts(
    queries: Any, evaluate: Any, images: list[PoolImage], categories: CategorySet, template: QueryPrompt
) -> dict[str, list[str]]:
    """Prompts as step 2 would write them, with questions of each type as examples and images of the pool."""
    questions = _questions(evaluate) if evaluate.questions.is_file() else []
    typical = [_example(row) for row in questions[: queries.examples]]
    prompts: dict[str, list[str]] = {}
    for kind in categories.names:
        own = [_example(row) for row in questions if row.question_type == kind][: queries.examples] or typical
        definition = categories.definition(kind)
        fits = queries.max_prompt_tokens
        filled = [template.render(kind, definition, own, image, fits) for image in images]
        prompts[kind] = [prompt for prompt in filled if prompt is not None] or [
            queries.template.read_text(encoding="utf-8") + definition + "\n".join(own)
        ]
    return prompts


def _questions(config: Any) -> list[Question]:
    """The usable questions of step 0's or 1's file, as that step will read it."""
    own = {name: getattr(config, name) for name in ("type_field", "split_field") if hasattr(config, name)}
    return read_question_rows(config.questions, getattr(config, "image_root", None), **own)[0]


def _example(row: Question) -> str:
    return qa_prompt(row.question, row.choices, row.correct_choice_idx, row.question_type)


def _student_note(config: Any, prices: PriceTable) -> str:
    """What a student behind a server is asked in one evaluation."""
    if not config.questions.is_file():
        return f"evaluate is not counted: the questions for {config.student} are not there yet"
    rows = _questions(config)
    requests = len(rows) * (1 + config.robust + config.direct_answers)
    price = prices.of(config.student)
    picture = image_tokens(price)
    text = sum(estimate_tokens(_example(row)) for row in rows) * requests // max(1, len(rows))
    tokens = text + requests * picture
    usd = f"{price.cost(tokens, 0, requests * _LETTER_TOKENS):.2f} US dollars" if price else "price not known"
    return (
        f"evaluate: {requests:,} requests to {config.student}, {tokens:,} prompt tokens ({usd}), "
        f"a picture taken as {picture:,}"
    )


def _reader_prompts(config: Any, images: list[PoolImage], blind: bool, attached: bool) -> list[str]:
    """Prompts as a reader of step 4 would get them, with evaluation questions in place of new ones."""
    questions = _questions(config)[:_IMAGES] if config.questions.is_file() else []
    texts = [(row.question, row.choices) for row in questions] or [("", [])]
    fill = load_reader_prompt(BLIND_READER if blind else SECOND_READER)
    pairs = islice(zip(cycle(texts), cycle(images or [None])), max(len(texts), len(images)))
    return [fill(question, choices, image, attached) for (question, choices), image in pairs]


def _reader_note(name: str, spec: str, requests: int, prompts: list[str], attached: bool) -> str:
    """What a reader of step 4 is asked if every query gives a question that gets as far as that."""
    table = read_prices()
    price = table.of(spec)
    picture = attached * image_tokens(price)
    tokens = requests * (sum(map(estimate_tokens, prompts)) // len(prompts) + picture)
    usd = "price not known"
    if price:
        short, most = (
            price.cost(tokens, 0, requests * room) for room in (_LETTER_TOKENS, READER_OUTPUT_TOKENS)
        )
        usd = (
            f"prices as of {table.date}: {short:,.2f} US dollars where it writes a letter, "
            f"{most:,.2f} where it thinks for all of {READER_OUTPUT_TOKENS:,} tokens"
        )
    return f"{name}: at most {requests:,} requests to {spec}, {tokens:,} prompt tokens ({usd})"


def _sorting_note(config: Any) -> str:
    """Step 0 asks about what has no type yet, and about a sample of the rest."""
    if not config.questions.is_file():
        return "classify_questions is not counted: its questions are not there yet"
    rows = _questions(config)
    untyped = [row for row in rows if not (row.question_type and config.keep_known)]
    asked = len(untyped) + min(config.agreement_sample, len(rows) - len(untyped))
    requests = -(-asked // config.batch_size)
    rules = estimate_tokens(config.template.read_text(encoding="utf-8")) + estimate_tokens(
        config.categories.read_text(encoding="utf-8")
    )
    text = sum(len(row.question) + sum(map(len, row.choices)) for row in rows) / max(1, len(rows))
    tokens = requests * rules + round(asked * text / 3)
    price = read_prices(config.prices).of(config.teacher)
    usd = f", {price.cost(tokens, 0, asked * 8):.2f} US dollars" if price else ""
    return f"classify_questions: {requests:,} requests for {asked:,} questions, {tokens:,} prompt tokens{usd}"
