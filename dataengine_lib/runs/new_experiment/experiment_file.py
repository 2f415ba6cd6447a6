"""`dataengine init`: the YAML file of a new experiment, with a comment above every key."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from dataengine_lib.core.user_files.yaml_file import parse_yaml
from dataengine_lib.core.written_files.whole_file import replacing
from dataengine_lib.errors import ParameterError
from dataengine_lib.runs.new_experiment.values import NewExperiment
from dataengine_lib.runs.parameters import experiment_of
from dataengine_lib.runs.workflow import STEPS, plan

_NOT_THERE = "not there yet; give a file of your own, or start in the project's folder"
_Line = tuple[str, str, Any]  # key, comment, value


def write_experiment(new: NewExperiment, folder: Path) -> Path:
    """Write `folder`/NAME.yaml, whose parameters are checked as by `dataengine plan`; returns its path.

    Raises ParameterError, before anything is written, when the file exists or a parameter is wrong.
    """
    file = refuse_existing(new.name, folder)
    text = experiment_text(new)
    try:
        content = parse_yaml(text)
    except ValueError as error:
        raise ParameterError(
            f"{file}: cannot hold one of the paths ({error}); rename that file or folder"
        ) from error
    plan(experiment_of(file, content, [step.name for step in STEPS]), Path("reports") / new.name)
    with replacing(file, "w") as stream:
        stream.write(text)
    return file


def refuse_existing(name: str, folder: Path) -> Path:
    """The path of the file. Raises ParameterError when something has it already."""
    file = folder / f"{name}.yaml"
    if file.exists() or file.is_symlink():
        raise ParameterError(f"{file}: exists already; choose another NAME, or remove the file")
    return file


def experiment_text(new: NewExperiment) -> str:
    """The YAML: the head and the sections of the steps."""
    blocks = ["\n".join(_HEAD), "\n".join(_lines("", _head(new)))]
    for section, comment, lines in _sections(new):
        blocks.append("\n".join([f"# {comment}", f"{section}:", *_lines("  ", lines)]))
    return "\n\n".join(blocks) + "\n"


_HEAD = (
    "# An experiment: the student is measured, a teacher writes questions about its weak types, and the student",
    "# learns from them. Relative paths start where dataengine is called, or beside this file.",
    "# All parameters of a step: dataengine evaluate --help. Keys of servers belong into the environment, never in here.",
)


def _head(new: NewExperiment) -> list[_Line]:
    return [
        ("run", "name of the run, and of its folder below reports", new.name),
        ("rounds", "how often the steps 1 to 5 are carried out", 1),
        ("seed", "of all that is drawn; the same seed draws the same", 0),
    ]


def _sections(new: NewExperiment) -> Iterator[tuple[str, str, list[_Line]]]:
    questions = new.found_questions
    categories = questions.categories if questions else "v1"
    file: _Line = ("questions", questions.text() if questions else _NOT_THERE, str(new.questions))
    images: _Line = (
        "image_root",
        "folder in which the paths of the questions' images start",
        str(new.image_root),
    )
    types: list[_Line] = [("categories", "set of the question types that is used", categories)]
    evaluate: list[_Line] = []
    if classifier := new.classifier:
        yield "classify_questions", "step 0: which ability does each question test?", [
            file,
            images,
            ("teacher", "model that names the type of each question; needs OPENAI_API_KEY", classifier),
            *_budget(new.classifier_budget_usd, "most US dollars for it"),
            *types,
        ]  # fmt: skip
    else:
        evaluate = [file]
    evaluate += [
        images,
        ("student", "model that is measured and fine-tuned: folder, name on the hub, vllm:NAME, api:MODEL or recorded:FILE",
         new.student),
        *types,
    ]  # fmt: skip
    if new.student.startswith("api:"):
        evaluate.append(("rank", "the answer is read from what a server's model writes", "generate"))
    if new.student.startswith("vllm:"):
        evaluate.append(
            ("rank", "the options are ranked by the letter that vLLM's model would write", "letter")
        )
    yield "evaluate", "step 1: where is the student weak?", evaluate
    pool = new.found_pool.text() if new.found_pool else _NOT_THERE
    yield "construct_queries", "step 2: what should the teacher write about?", [
        ("coco_dataset", f"image pool that the new questions are about; {pool}", str(new.coco_dataset)),
        ("encoder", "finds images that are similar to those of bad cases: CLIP, SigLIP or DINOv2", new.encoder),
        ("maxnum", "queries in each round", new.maxnum),
        *types,
    ]  # fmt: skip
    yield (
        "generate_qa",
        "step 3: what does the teacher write?",
        [
            ("teacher", "openai:MODEL, local, annotations, replay:FILE or playground", new.teacher),
            *_budget(new.budget_usd, "most US dollars in each round"),
        ],
    )
    yield (
        "fine_tune",
        "step 5: does the student learn it?",
        [
            ("method", "lora trains an adapter, full all weights", "lora"),
            ("epochs", "how often each question is learned", 1),
        ],
    )


def _budget(usd: float | None, comment: str) -> list[_Line]:
    return [] if usd is None else [("budget_usd", comment, usd)]


def _lines(indent: str, lines: list[_Line]) -> Iterator[str]:
    for key, comment, value in lines:
        yield f"{indent}# {comment}"
        yield f"{indent}{key}: {value if not isinstance(value, str) else yaml_text(value)}"


def yaml_text(text: str) -> str:
    """A text as YAML reads it back: as it is where that is the same, else in double quotes."""
    plain = (
        text.isascii() and text.replace("/", "").replace("_", "").replace("-", "").replace(".", "").isalnum()
    )
    if plain and parse_yaml(f"key: {text}") == {"key": text}:
        return text
    quoted: str = yaml.safe_dump(text, default_style='"', allow_unicode=True, width=sys.maxsize)
    return quoted.strip()
