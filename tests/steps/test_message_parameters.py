"""Every parameter that a message advises to change is one of the step that raises it: over all steps and all messages."""

import ast
import importlib
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path

import grimp
import pytest

import dataengine_lib
from dataengine_lib import steps
from dataengine_lib.core.step_config import StepConfig

ROOT = Path(dataengine_lib.__file__).parent
# the names are looked at, not taken, as in "correct them or raise max_bad_share" one verb follows another;
# matches "check image_root and annotations" and "raise max_bad_share": the advice at the end of a message
ADVICE = re.compile(
    r"\b(?:check|set|correct|raise|lower|give|choose|leave out|see) (?=((?:[a-z_]+(?:, or |, | and | or )?)+))"
)
# words that are parameters and words of a sentence as well: only names with an underscore are sure to be meant
WORDS = {
    "input",
    "output",
    "rejects",
    "review",
    "type",
    "teacher",
    "prices",
    "weight",
    "seed",
    "round",
    "annotations",
}
# (module, parameter, step): the step never gets there
NEVER = {
    (
        "dataengine_lib.questions.tables.table_images",
        "image_root",
        "construct_queries",
    ),  # it always has a folder
    # about adapters only, and naming the step evaluate
    *(
        ("dataengine_lib.core.model_files.model_folder", "adapter", step)
        for step in ("fine_tune", "construct_queries", "embed")
    ),
    # another trainer's predictions are read as a set of ours
    ("dataengine_lib.evaluation.recorded.sample_filters", "recorded_filter", "fine_tune"),
    ("dataengine_lib.evaluation.rounds.pairs", "split", "fine_tune"),  # it reads no file without that split
    (
        "dataengine_lib.teachers.loading",
        "coco_dataset",
        "classify_questions",
    ),  # it refuses teacher annotations
    ("dataengine_lib.teachers.loading", "coco_dataset", "evaluate"),  # its judge is a chat model
    # its teacher of causes is shown no image
    ("dataengine_lib.teachers.openai_teacher", "image_root", "construct_queries"),
    # steps 4 and 5 take the record of a task and the key of an answer, and read no question file or predictions
    ("dataengine_lib.evaluation.tasks", "split", "post_process"),
    ("dataengine_lib.evaluation.tasks", "split", "fine_tune"),
    ("dataengine_lib.evaluation.recorded.sample_filters", "recorded_filter", "post_process"),
    ("dataengine_lib.teachers.reply_files", "max_output_tokens", "study"),  # it reads usage.json, no replies
    # they ask for no log-probabilities, and for no student's answers
    *(
        ("dataengine_lib.chat.client", "rank", step)
        for step in ("classify_questions", "construct_queries", "generate_qa", "optimize_prompt")
    ),
    ("dataengine_lib.students.on_server.api_student", "rank", "optimize_prompt"),
    ("dataengine_lib.students.on_server.asking", "rank", "optimize_prompt"),
    ("dataengine_lib.students.on_server.scoring_call", "rank", "optimize_prompt"),
    # it asks no student, compares with no earlier round and no evaluation, sends no batches, and counts every failure
    *(
        (f"dataengine_lib.{module}", parameter, "optimize_prompt")
        for module, parameter in (
            ("evaluation.workers", "batch_size"),
            ("evaluation.workers", "workers"),
            ("evaluation.questioner", "device"),
            ("evaluation.tasks", "split"),
            ("evaluation.recorded.sample_filters", "recorded_filter"),
            ("core.model_files.model_folder", "adapter"),
            ("curation.settings", "student"),
            ("curation.near_duplicates", "earlier"),
            ("curation.checks", "evaluation_image_root"),
            ("teachers.batches", "batch_requests"),
            ("teachers.warnings", "max_failed_share"),
        )
    ),
}


def configs() -> dict[str, set[str]]:
    """The parameters of each step, by the name of its module."""
    found: dict[str, set[str]] = {}
    for module in pkgutil.iter_modules(steps.__path__):
        for value in vars(importlib.import_module(f"dataengine_lib.steps.{module.name}")).values():
            own = isinstance(value, type) and issubclass(value, StepConfig) and value is not StepConfig
            # the options of a verb are those of its step
            verb = own and value.__base__ is not None and value.__base__.__module__.startswith(steps.__name__)
            if own and not verb and value.__module__.endswith(f".{module.name}"):
                found.setdefault(module.name, set()).update(value.model_fields)
    return found


def messages(source: str) -> Iterator[str]:
    """The texts of a module without its docstrings; values in braces are left out."""
    tree = ast.parse(source)
    inside = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            inside.add(id(node.value))  # a docstring
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in inside:
            yield node.value


def advised(text: str, known: set[str]) -> set[str]:
    """The parameters that a message advises to change."""
    names = {name for found in ADVICE.finditer(text) for name in re.findall(r"[a-z_]+", found[1])}
    return (names & known) - WORDS


@pytest.fixture(scope="module")
def parameters() -> dict[str, set[str]]:
    return configs()


def test_advice_is_found_in_messages(parameters: dict[str, set[str]]) -> None:
    known = set().union(*parameters.values())
    assert len(parameters) == 10 and "image_root" in known
    assert advised("a.json: no row; check train_data and image_root (…)", known) == {
        "train_data",
        "image_root",
    }
    assert advised("…; correct them or raise max_bad_share (…)", known) == {"max_bad_share"}
    assert advised("correct the file, or make it again", known) == set()
    assert list(messages('"""check image_root"""\nx = f"set {a} device"')) == ["set … device"]


def test_every_parameter_in_advice_is_one_of_the_step(parameters: dict[str, set[str]]) -> None:
    """A step is asked about the messages of each module that it imports, directly or not."""
    known = set().union(*parameters.values())
    graph = grimp.build_graph("dataengine_lib", cache_dir=None)
    reached = {
        step: graph.find_upstream_modules(f"dataengine_lib.steps.{step}") | {f"dataengine_lib.steps.{step}"}
        for step in parameters
    }
    wrong, total = set(), 0
    for file in ROOT.rglob("*.py"):
        module = ".".join(("dataengine_lib", *file.relative_to(ROOT).with_suffix("").parts))
        for text in messages(file.read_text()):
            for name in advised(text, known):
                total += 1
                wrong |= {
                    (module, name, step)
                    for step, fields in parameters.items()
                    if module in reached[step] and name not in fields
                }
    assert wrong - NEVER == set()
    assert total > 60
