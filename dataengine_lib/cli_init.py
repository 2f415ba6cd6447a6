"""`dataengine init`: asks for the few values of a new experiment and writes its YAML."""

import re
import shlex
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from dataengine_lib.errors import DataEngineError, ParameterError

_T = TypeVar("_T")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")  # of a run, which names its folder

# the words of both an option's help and its question
_QUESTIONS = "file of questions"
_IMAGE_ROOT = "folder of the questions' images"
_STUDENT = "student: a model's folder or name on the hub, vllm:NAME, api:MODEL or recorded:FILE"
_POOL = "image pool: a COCO or Visual Genome folder, or images with captions"
_TEACHER = "teacher: openai:MODEL, local, annotations, replay:FILE or playground"
_BUDGET = "most US dollars for the teacher in each round"
_MAXNUM = "queries in each round"
_NEXT = {
    "doctor": "finds what would stop the run",
    "plan": "shows what it will cost, and spends nothing",
    "run": "carries it out",
}


class _Answers:
    """The values of an experiment: from options, else asked for in a terminal, else the defaults."""

    def __init__(self) -> None:
        self.ask = sys.stdin.isatty()

    def value(self, given: str | None, words: str, default: str | None, check: Callable[[str], _T]) -> _T:
        """What `check` makes of a value. Raises what it raises; in a terminal the question is asked once more instead."""
        if given is not None or not self.ask:
            return check((given if given is not None else default) or "")
        while True:
            text = typer.prompt(words[0].upper() + words[1:], default=default)
            try:
                return check(text)
            except DataEngineError as error:
                typer.echo(str(error), err=True)

    def path(
        self, given: Path | None, words: str, default: Path, check: Callable[[Path], _T]
    ) -> tuple[Path, _T | None]:
        """A path, and what `check` finds there; without a terminal None for a default that is not there."""

        def found(text: str) -> tuple[Path, _T | None]:
            path = Path(text).expanduser()
            return path, check(path)

        there = default.exists()
        if given is None and not there and not self.ask:
            return default, None
        return self.value(
            None if given is None else str(given), words, str(default) if there else None, found
        )


def add_init_verb(app: typer.Typer) -> None:
    """Add the verb to the command line."""
    app.command("init")(_init)


def _init(
    name: Annotated[str, typer.Argument(metavar="NAME", help="name of the experiment and its file")],
    questions: Annotated[
        Path | None,
        typer.Option("--questions", metavar="PATH", help=f"{_QUESTIONS} [default: the example in data_demo]"),
    ] = None,
    image_root: Annotated[
        Path | None,
        typer.Option("--image-root", metavar="DIR", help=f"{_IMAGE_ROOT} [default: that of the file]"),
    ] = None,
    student: Annotated[
        str | None,
        typer.Option("--student", metavar="NAME|PATH", help=f"{_STUDENT} [default: data_demo's tiny LLaVA]"),
    ] = None,
    coco_dataset: Annotated[
        Path | None, typer.Option("--coco-dataset", metavar="DIR", help=f"{_POOL} [default: data_demo]")
    ] = None,
    teacher: Annotated[
        str | None, typer.Option("--teacher", metavar="NAME", help=f"{_TEACHER} [default: annotations]")
    ] = None,
    budget_usd: Annotated[
        str | None,
        typer.Option("--budget-usd", metavar="X", help=f"{_BUDGET} [default: 10 where its price is known]"),
    ] = None,
    maxnum: Annotated[
        str | None, typer.Option("--maxnum", metavar="N", help=f"{_MAXNUM} [default: 40]")
    ] = None,
    out: Annotated[
        Path, typer.Option("--out", metavar="DIR", help="folder of the file [default: the current one]")
    ] = Path("."),
) -> None:
    """Write a commented experiment, NAME.yaml; values that are not given are asked for.

    Without a terminal, what is not given gets its default. Keys and passwords are neither asked for nor written.
    """
    from dataengine_lib.runs.new_experiment import values as of
    from dataengine_lib.runs.new_experiment.experiment_file import refuse_existing, write_experiment

    name = name.removesuffix(".yaml")
    if not _NAME.fullmatch(name):
        raise ParameterError(
            f"NAME {name!r}: must begin with a letter or digit, and have only letters, digits, dots, - and _"
        )
    refuse_existing(name, out)
    answers = _Answers()
    file, _ = answers.path(questions, _QUESTIONS, of.EXAMPLE_QUESTIONS, of.check_question_file)
    images, found = answers.path(image_root, _IMAGE_ROOT, file.parent, partial(of.find_questions, file))
    model, usual_model = student, of.EXAMPLE_STUDENT if Path(of.EXAMPLE_STUDENT).exists() else None
    if student is not None or usual_model or answers.ask:
        model = answers.value(student, _STUDENT, usual_model, of.check_student)
    pool, found_pool = answers.path(coco_dataset, _POOL, of.EXAMPLE_POOL, of.find_pool)
    writer = answers.value(teacher, _TEACHER, of.USUAL_TEACHER, of.check_teacher)
    budget, usual = None, of.usual_budget(writer)
    if budget_usd is not None or usual is not None:
        shown = f"{usual or of.USUAL_BUDGET_USD:g}"
        budget = answers.value(budget_usd, _BUDGET, shown, partial(of.read_number, "budget_usd", float))
    number = answers.value(maxnum, _MAXNUM, f"{of.USUAL_MAXNUM}", partial(of.read_number, "maxnum", int))
    new = of.NewExperiment(
        name, file, images, model or of.EXAMPLE_STUDENT, pool, writer, budget, int(number), found, found_pool
    )
    written = write_experiment(new, out)
    if new.classifier and new.classifier != writer:
        typer.echo(
            f"note: questions have no types; step 0 asks {new.classifier} for them, with OPENAI_API_KEY"
        )
    if found and found.own_types:
        typer.echo(
            "note: no built-in category set has the questions' types; give categories a YAML file with them, in both steps"
        )
    typer.echo(f"{written}: a new experiment; what to do next:")
    for verb, what in _NEXT.items():
        typer.echo(f"  dataengine {verb:6} {shlex.quote(str(written))}  # {what}")
