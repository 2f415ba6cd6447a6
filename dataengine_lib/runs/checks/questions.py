"""Before a run: has each split questions enough, and has each type that is asked for questions it may be weak in?"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dataengine_lib.core.records import NO_TYPE, Question
from dataengine_lib.core.statistics import FEW_OF_TYPE, FEW_QUESTIONS, half_width
from dataengine_lib.core.text import first_named
from dataengine_lib.errors import DataEngineError
from dataengine_lib.evaluation.tasks import Task, TaskSelection, select_tasks
from dataengine_lib.questions.categories import read_categories, type_name
from dataengine_lib.questions.reader import read_question_file
from dataengine_lib.questions.splits import DIAGNOSE
from dataengine_lib.runs.checks.finding import Finding
from dataengine_lib.runs.checks.query_shares import expected_queries
from dataengine_lib.runs.workflow import Planned, first_configs


@dataclass(frozen=True)
class AskedQuestions:
    """The questions that step 1 will ask; `unanswered` in a test split. `typed`: every one has its question type now."""

    file: Path
    tasks: list[Task]
    unanswered: bool
    typed: bool

    def of_split(self, split: str) -> list[Task]:
        """Those of a split, or of `all`."""
        return [task for task in self.tasks if split in ("all", task.split)]


def asked_questions(planned: Sequence[Planned]) -> AskedQuestions | None:
    """The questions of the first step 1, as far as its file is there; without one, of the file that step 0 reads.

    Raises DataEngineError where step 1 would: for a file that holds no question, or images that are missing.
    """
    steps = first_configs(planned)
    evaluate, classify = steps.get("evaluate"), steps.get("classify_questions")
    if evaluate is None:
        return None
    file = classify.questions if classify is not None else evaluate.questions
    if not file.is_file() or not evaluate.image_root.is_dir():
        return None
    content = read_question_file(
        file,
        evaluate.image_root,
        # step 0 has read the types under their own key, and its output names them question_type
        type_field=evaluate.type_field if classify is None else "",
        split_field=evaluate.split_field,
        unanswered=True,
    )
    if classify is not None:
        content.skipped.clear()  # step 0 judges and leaves out these rows itself
    selection = TaskSelection(
        file, evaluate.image_root, evaluate.split, evaluate.split_field, evaluate.max_bad_share
    )
    tasks = select_tasks(content, selection)[0]
    kept = classify is None or classify.keep_known
    typed = kept and all(task.question.question_type not in ("", NO_TYPE) for task in tasks)
    return AskedQuestions(file, tasks, content.unanswered, typed)


def planned_questions(config: Any) -> list[Question]:
    """The usable questions of step 0's or 1's file, as that step will read it; `config` is the step's."""
    fields = {name: getattr(config, name) for name in ("type_field", "split_field") if hasattr(config, name)}
    root = getattr(config, "image_root", None)
    return read_question_file(config.questions, root, unanswered=True, **fields).questions


def asked_or_finding(planned: Sequence[Planned]) -> AskedQuestions | Finding | None:
    """As `asked_questions`, with a finding where that raises."""
    try:
        return asked_questions(planned)
    except DataEngineError as error:
        return Finding("bad", "questions", str(error))


def check_questions(planned: Sequence[Planned], asked: AskedQuestions | Finding | None) -> Iterator[Finding]:
    """Findings on the splits that steps 2 and 6 need, and on the types that step 2 is asked for.

    `asked` is `asked_or_finding` of these steps. Nothing is found while the file of questions does not exist.
    """
    steps = first_configs(planned)
    if isinstance(asked, Finding):
        yield asked
        return
    if asked is None:
        return
    queries, compare = steps.get("construct_queries"), steps.get("compare_rounds")
    if asked.unanswered:
        needs = [step for step in ("construct_queries", "compare_rounds") if step in steps]
        if needs:
            yield Finding(
                "bad",
                "questions",
                f"{asked.file}: no question has an answer, as in a test split, so {' and '.join(needs)} would have "
                "nothing to work with; give questions with answers, or stop with --to evaluate",
            )
        return
    if compare is not None:
        yield from _compared_split(asked, compare.split, steps["evaluate"].split)
    if queries is not None:
        yield from _diagnose_split(asked, queries, steps["evaluate"].split)


def _compared_split(asked: AskedQuestions, split: str, asked_split: str) -> Iterator[Finding]:
    """How small a difference step 6 can see, of all questions of its split and of each type."""
    tasks = asked.of_split(split)
    if not tasks:
        yield Finding("bad", f"{split} split", _no_questions(asked, split, asked_split, "compare_rounds"))
        return
    few = len(tasks) < FEW_QUESTIONS
    text = (
        f"has {_number(tasks)}: differences below about ±{half_width(len(tasks)):.0f} points cannot be seen"
    )
    yield Finding("warn" if few else "ok", f"{split} split", text)
    if not asked.typed:
        return
    counts = Counter(type_name(task.question.question_type) for task in tasks)
    thin = sorted((number, kind) for kind, number in counts.items() if number < FEW_OF_TYPE)
    if thin:
        named = [f"{kind} {number} (±{half_width(number):.0f} points)" for number, kind in thin]
        text = (
            f"{len(thin)} of {len(counts)} question types have fewer than {FEW_OF_TYPE} {split} questions, so "
            f"little can be seen of each: {first_named(named, 3)}"
        )
        yield Finding("warn", f"types of the {split} split", text)


def _diagnose_split(asked: AskedQuestions, queries: Any, asked_split: str) -> Iterator[Finding]:
    """Bad cases come from diagnose questions: how many has each type, and which types would get no queries?"""
    tasks = asked.of_split(DIAGNOSE)
    if not tasks:
        yield Finding(
            "bad", "diagnose split", _no_questions(asked, DIAGNOSE, asked_split, "construct_queries")
        )
        return
    if not asked.typed or not queries.maxnum:
        yield Finding("ok", "diagnose split", f"has {_number(tasks)}; bad cases come from these")
        return
    counts = Counter(type_name(task.question.question_type) for task in tasks)
    types = dict.fromkeys([*read_categories(queries.categories).names, *counts], 1.0)
    wanted = expected_queries(types, queries.targets, queries.maxnum, counts)
    lost = [kind for kind, number in wanted.items() if number and kind not in counts]
    filled = round(sum(number for kind, number in wanted.items() if kind in counts))
    named = first_named([f"{kind} {number}" for kind, number in counts.most_common()])
    text = f"has {_number(tasks)}, from which bad cases come, by type: {named}"
    without = [kind for kind in types if kind not in counts]
    if without:
        text += (
            f"; {len(without)} of {len(types)} types have none and get no queries: {first_named(without, 3)}"
        )
    if lost:
        text += f"; about {filled:,} of {queries.maxnum:,} queries can be filled, as targets name such types"
    # as step 2 itself: a few types without questions are usual
    warn = lost or len(without) > len(types) / 2
    yield Finding("bad" if not filled else "warn" if warn else "ok", "diagnose split", text)


def _number(tasks: list[Task]) -> str:
    """`1 question`, `2 questions`."""
    return f"{len(tasks):,} question{'' if len(tasks) == 1 else 's'}"


def _no_questions(asked: AskedQuestions, split: str, asked_split: str, step: str) -> str:
    """Why a step has nothing to work with, and what to do."""
    if asked_split not in ("all", split):
        return f"is not asked, as evaluate.split is {asked_split}, but {step} needs it; set evaluate.split to all"
    return (
        f"{asked.file}: no question is in it, so {step} would have nothing to work with; splits are by image, or set "
        "with evaluate.split_field"
    )
