"""Step 0: the teacher gives every question a type."""

import hashlib
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Annotated

import msgspec
from pydantic import Field, field_validator

from dataengine_lib.chat.budget import Budget, most_schema_tokens
from dataengine_lib.chat.ledger import Ledger
from dataengine_lib.chat.prices import read_prices
from dataengine_lib.chat.settings import PaidChatSettings
from dataengine_lib.core.bad_rows import BadRow, BadRows
from dataengine_lib.core.files import write_json
from dataengine_lib.core.records import Question, question_prompt
from dataengine_lib.core.step_config import StepConfig
from dataengine_lib.core.text import shown
from dataengine_lib.errors import DataEngineError
from dataengine_lib.questions.categories import CategorySet, read_categories
from dataengine_lib.questions.reader import check_any_question, read_question_file
from dataengine_lib.questions.seed_bench import NO_IMAGE_TASK
from dataengine_lib.replies.type_reply import types_schema
from dataengine_lib.resources import CATEGORY_SETS, CLASSIFY_PROMPTS
from dataengine_lib.teachers.question_classifier import QuestionClassifier, load_type_prompt
from dataengine_lib.teachers.spec import check_spec, recorded_name

# below this agreement on so many known types, the types are not to be trusted
_COMPARED, _AGREEMENT = 20, 0.5
# A-OKVQA's splits, and the folders of COCO 2017 that hold their images.
_COCO_SPLITS = {"train": "train2017", "val": "val2017", "test": "test2017"}


class ClassifyQuestionsConfig(StepConfig, PaidChatSettings):
    """Parameters of `0_classify_questions`."""

    questions: Path
    """A-OKVQA-style questions, with or without question_type."""
    output: Path
    """Classified questions: {type: [question]}."""
    image_root: Path | None = None
    """Where the images are; those inside a TSV are written there."""
    teacher: str = "playground"
    """openai:MODEL or playground."""
    categories: Annotated[str | Path, CATEGORY_SETS] = "v1"
    """The question types: v1, seed_bench, mmbench, mmbench_l3, mme or a file."""
    template: Annotated[str | Path, CLASSIFY_PROMPTS] = "classify"
    """What the teacher is asked: classify or a file."""
    batch_size: int = Field(20, ge=1)
    """Questions in one request."""
    concurrency: int = Field(16, ge=1)
    """Most requests at the same time; fewer while the server is busy."""
    max_asks: int = Field(3, ge=1)
    """Most requests about one question, until it has a valid type."""
    keep_known: bool = True
    """Keep question_type where there is one; the teacher's is only compared."""
    agreement_sample: int = Field(200, ge=0)
    """Known types to compare the teacher's with, when they are kept."""
    max_failed_share: float = Field(0.5, ge=0, le=1)
    """Stop when a larger share of the questions has no type in the end."""
    max_output_tokens: int = Field(2000, ge=1)
    """Of one reply; models that reason need more."""
    max_bad_share: float = Field(0.05, ge=0, le=1)
    """Stop when a larger share of the rows cannot be used."""
    seed: int = 0
    """Draws the agreement sample; sent with temperature to servers that sample."""

    @field_validator("teacher")
    @classmethod
    def _reads_questions(cls, spec: str) -> str:
        if check_spec(spec).partition(":")[0] not in ("openai", "playground"):
            raise ValueError("this teacher cannot classify questions; choose openai:MODEL or playground")
        return spec


@dataclass
class ClassifyQuestionsResult:
    """What notebook 0 shows.

    `agreement` is the share of `compared` questions to which the teacher gave their known type; `confusions`
    are (known type, the teacher's, how often), the most frequent first; `illegal` counts names in replies that are
    not types, `foreign` the types given to items that were not in the request.
    """

    output: Path
    counts: dict[str, int]
    requests: int
    compared: int
    agreement: float | None
    confusions: list[tuple[str, str, int]]
    illegal: dict[str, int]
    foreign: int
    failed: list[str]  # why requests got no usable reply
    unanswered: list[Question]
    skipped: list[BadRow]  # rows of the file that cannot be used
    warnings: list[str] = field(default_factory=list)


def classify_questions(config: ClassifyQuestionsConfig) -> ClassifyQuestionsResult:
    """Write the questions by type, with `question_type`, `prompt` and `image_path`.

    Replies and the types in them are kept as they arrive in `<output>.progress.jsonl`; the next run asks for the rest.
    Raises ParameterError when the budget is too small for one request, DataEngineError when the teacher is down or
    gives no question a type.
    """
    if config.image_root is not None and not config.image_root.is_dir():
        raise DataEngineError(f"{config.image_root}: no such image folder; check image_root")
    questions, bad_rows = _read_questions(config)
    skipped = bad_rows.rows
    categories = read_categories(config.categories)
    wanted = _wanted(questions, config)
    classifier = _classifier(config, categories, wanted)
    classifier.classify(config.batch_size, config.max_asks)
    classified, unanswered = _with_types(questions, classifier.types, categories, config)
    _check_typed(config, len(questions), unanswered, classifier, skipped)
    write_json(config.output, classified)
    # pairs of a known type and the teacher's
    compared = [
        (question.question_type, classifier.types[key])
        for key, question in wanted.items()
        if key in classifier.types and question.question_type
    ]
    confusions = Counter(pair for pair in compared if pair[0] != pair[1])
    agreement = 1 - confusions.total() / len(compared) if compared else None
    return ClassifyQuestionsResult(
        output=config.output,
        counts={name: len(rows) for name, rows in classified.items()},
        requests=classifier.requests,
        compared=len(compared),
        agreement=agreement,
        confusions=sorted(((a, b, n) for (a, b), n in confusions.items()), key=lambda row: (-row[2], row)),
        illegal=dict(sorted(classifier.illegal.items(), key=lambda row: (-row[1], row))),
        foreign=classifier.foreign,
        failed=classifier.failed,
        unanswered=unanswered,
        skipped=skipped,
        warnings=_warnings(len(questions), unanswered, bad_rows, classifier, agreement, len(compared)),
    )


def _read_questions(config: ClassifyQuestionsConfig) -> tuple[list[Question], BadRows]:
    """The usable questions, and the rows that are not. Raises DataEngineError when too many are not."""
    content = read_question_file(config.questions, config.image_root, unanswered=True)
    check_any_question(config.questions, content)
    if content.unanswered:
        raise DataEngineError(
            f"{config.questions}: no question has an answer, as in a test split; types are for questions that are "
            "scored: give this file to evaluate as it is"
        )
    bad_rows = BadRows(
        config.questions,
        config.max_bad_share,
        len(content.questions) + len(content.skipped),
        harmless=[NO_IMAGE_TASK],
    )
    bad_rows.add(*content.skipped)
    bad_rows.check()
    return content.questions, bad_rows


def _check_typed(
    config: ClassifyQuestionsConfig,
    number: int,
    unanswered: list[Question],
    classifier: QuestionClassifier,
    skipped: list[BadRow],
) -> None:
    """Raise DataEngineError when too many of `number` questions have no type; types received stay in the progress file."""
    few = len(unanswered) <= config.max_failed_share * number
    # a budget that is used up is no failure: it did what it is there for, and a warning says what is missing
    if len(unanswered) < number and (few or classifier.budget.stopped):
        return
    reasons = [*map(shown, list(classifier.illegal)[:3]), *classifier.failed[-1:]]
    reasons += [row.reason for row in skipped[:1]]
    why = ", ".join(reasons) or "no answer"
    if len(unanswered) == number:
        raise DataEngineError(
            f"{config.questions}: none of {number + len(skipped)} rows got a type of"
            f" {config.categories} ({why}); check file and teacher"
        )
    raise DataEngineError(
        f"{config.questions}: {len(unanswered):,} of {number:,} questions got no type of {config.categories}"
        f" ({why}); run the step once more to ask for the rest, or raise max_failed_share"
        f" ({config.max_failed_share})"
    )


def _warnings(
    number: int,
    unanswered: list[Question],
    bad_rows: BadRows,
    classifier: QuestionClassifier,
    agreement: float | None,
    compared: int,
) -> list[str]:
    found = bad_rows.warnings()
    if unanswered:
        why = f"; {classifier.failed[-1]}" if classifier.failed else ""
        found.append(
            f"{len(unanswered):,} of {number:,} questions have no type and are not in the output, the first: "
            f"{shown(unanswered[0].question)}{why}"
        )
    if agreement is not None and compared >= _COMPARED and agreement < _AGREEMENT:
        found.append(
            f"the teacher gives only {agreement:.0%} of {compared:,} known questions their type; "
            "check categories and template"
        )
    return found


def _classifier(
    config: ClassifyQuestionsConfig, categories: CategorySet, wanted: dict[str, Question]
) -> QuestionClassifier:
    price = read_prices(config.prices).of(config.teacher)
    teacher = recorded_name(config.teacher)
    ledger = Ledger(
        config.output.with_name(config.output.name + ".progress.jsonl"),
        lambda row: price.of(row, row.tier) if price and row.teacher == teacher else None,
        output=config.output,
    )
    schema_tokens = most_schema_tokens(types_schema(categories.names))
    budget = Budget(config.budget_usd, price, config.service_tier or "", ledger, schema_tokens)
    prompt = load_type_prompt(config.template, categories)
    return QuestionClassifier(config.teacher, config, prompt, categories.names, wanted, ledger, budget)


def _wanted(questions: list[Question], config: ClassifyQuestionsConfig) -> dict[str, Question]:
    """By key, the questions that the teacher is asked about: those without a type, and a sample of the others."""
    keyed = {_key(question): question for question in questions}
    if not config.keep_known:
        return keyed
    # Sorted, so that the sample does not depend on the order of the rows.
    known = sorted(key for key, question in keyed.items() if question.question_type)
    sample = set(Random(config.seed).sample(known, min(config.agreement_sample, len(known))))
    return {key: row for key, row in keyed.items() if not row.question_type or key in sample}


def _with_types(
    questions: list[Question],
    types: dict[str, str],
    categories: CategorySet,
    config: ClassifyQuestionsConfig,
) -> tuple[dict[str, list[Question]], list[Question]]:
    """The finished questions by type, the category set's in its order, and those that have no type."""
    classified: dict[str, list[Question]] = {name: [] for name in categories.names}
    unanswered = []
    for question in questions:
        key = _key(question)
        if config.keep_known and question.question_type:
            question_type, teacher_type = question.question_type, types.get(key) or question.teacher_type
        else:
            # The type is the teacher's own; beside itself it would always agree.
            question_type, teacher_type = types.get(key, ""), ""
        if question_type:
            finished = _finished(question, question_type, teacher_type)
            classified.setdefault(question_type, []).append(finished)
        else:
            unanswered.append(question)
    return classified, unanswered


def _key(question: Question) -> str:
    # With the text: a question that was reworded is another one, whatever its id.
    content = "\n".join([question.question_id, question.question, *question.choices])
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def _finished(question: Question, question_type: str, teacher_type: str) -> Question:
    """The question with its type, the prompt of step 1, and a path where COCO's names tell it."""
    # Split val and image 370270 give "val2017/000000370270.jpg".
    folder = _COCO_SPLITS.get(question.split)
    path = question.image_path
    if not path and folder and isinstance(question.image_id, int) and question.image_id >= 0:
        path = f"{folder}/{question.image_id:012d}.jpg"
    return msgspec.structs.replace(
        question,
        question_type=question_type,
        prompt=question_prompt(question, question_type),
        image_path=path,
        teacher_type=teacher_type,
    )
