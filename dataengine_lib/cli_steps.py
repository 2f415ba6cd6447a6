"""The verbs of single steps (all steps): options from the step's Config, its function called, its files printed."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from importlib import import_module
from os.path import isfile
from pathlib import Path
from typing import Any

import typer

_Values = dict[str, Any]  # the options that were given, by field


def _classify_questions(config: Any) -> list[str]:
    """Step 0: ask the teacher for every question's type."""
    from dataengine_lib.core.files import read_json
    from dataengine_lib.core.records import Question
    from dataengine_lib.steps.classify_questions import classify_questions

    result = classify_questions(config)
    known = sum(result.counts.values())
    typer.echo(f"{result.output}: {known} questions with a type, {len(result.unanswered)} without")
    if config.image_root:
        written: dict[str, list[Question]] = read_json(result.output, dict[str, list[Question]])
        paths = {row.image_path for rows in written.values() for row in rows}
        missing = sorted(path for path in paths if not isfile(config.image_root / path))
        if missing:
            typer.echo(
                f"  {len(missing)} of {len(paths)} images are not below {config.image_root}, first: {missing[0]}"
            )
    return result.warnings


def _evaluate(config: Any) -> list[str]:
    """Step 1: measure the student; write answers, bad cases, weights and metrics."""
    from dataengine_lib.steps.evaluate import evaluate

    result = evaluate(config)
    answers = "aokvqa_eval.json" if "aokvqa_eval.json" in result.paths else "predictions.json"
    typer.echo(f"{config.output_dir / answers}; figures in {config.output_dir / 'metrics.json'}")
    return result.warnings


def _embed(config: Any) -> list[str]:
    """Embed a folder of images beforehand, for step 2."""
    from dataengine_lib.steps.embed import embed

    result = embed(config)
    typer.echo(f"{config.output}: {len(result.store.ids)} images, {len(result.unreadable)} unreadable")
    for bad in result.unreadable:
        typer.echo(f"  {bad.path}: {bad.reason}")
    for reason, count in result.left_out.items():
        typer.echo(f"  left out: {count} {reason}")
    if config.faiss:
        typer.echo(f"{config.faiss}: the same for faiss.read_index")
    return result.warnings


def _construct_queries(config: Any) -> list[str]:
    """Step 2: draw bad cases and images by weight; write the prompts for the teacher."""
    from dataengine_lib.queries.spares import SPARE_FILE
    from dataengine_lib.steps.construct_queries import construct_queries

    result = construct_queries(config)
    typer.echo(f"{config.output}: {len(result.queries)} queries of {config.maxnum} wanted")
    if config.spare_share:
        typer.echo(f"  {len(result.spares)} spare queries in {SPARE_FILE}")
    for kind, share in result.shares.items():
        if share.why_not:
            typer.echo(f"  {kind}: {share.filled} of {share.asked}; {share.why_not}")
    return result.warnings


def _generate_qa(config: Any) -> list[str]:
    """Step 3: send the prompts to the teacher; continue where an earlier call stopped."""
    from dataengine_lib.steps.generate_qa import generate_qa

    result = generate_qa(config)
    typer.echo(f"{result.output}: {len(result.results)} replies, {len(result.failures)} failures")
    for note in result.notes:
        typer.echo(f"  {note}")
    return result.warnings


def _cancel_batches(config: Any) -> list[str]:
    """Step 3: cancel the running batches of an output and keep their replies."""
    from dataengine_lib.steps.generate_qa import cancel_batches

    result = cancel_batches(config)
    typer.echo(f"{result.output}: {len(result.results)} replies, {result.unasked} not asked")
    for note in result.notes:
        typer.echo(f"  {note}")
    return result.warnings


def _post_process(config: Any) -> list[str]:
    """Step 4: turn replies into training data; every dropped reply has a reason."""
    from dataengine_lib.steps.post_process import post_process

    result = post_process(config)
    typer.echo(
        f"{result.output}: {result.counts.kept} kept; {result.rejects_path}: {result.counts.dropped} dropped"
    )
    for reason, number in result.counts.by_reason.items():
        typer.echo(f"  {reason}: {number}")
    for note in result.notes:
        typer.echo(f"  {note}")
    return result.warnings


def _fine_tune(config: Any) -> list[str]:
    """Step 5: fine-tune the student on the new data, mixed with base data."""
    from dataengine_lib.steps.fine_tune import fine_tune
    from dataengine_lib.steps.fine_tune_command import training_command

    if config.print_command:
        typer.echo(training_command(config))
        return []
    result = fine_tune(config)
    typer.echo(f"{result.checkpoint}: fine-tuned")
    return result.warnings


def _compare_rounds(config: Any) -> list[str]:
    """Step 6: compare evaluations of the same questions, with paired intervals."""
    from dataengine_lib.runs.summary import table_lines
    from dataengine_lib.steps.compare_rounds import compare_rounds

    result = compare_rounds(config)
    print_lines(table_lines(result.summary_table()))
    return result.warnings


def _optimize_prompt(config: Any) -> list[str]:
    """Revise a prompt's rules by what step 4 drops; held-out queries decide."""
    from dataengine_lib.steps.optimize_prompt import optimize_prompt

    result = optimize_prompt(config)
    for row in result.rounds:
        parts = (f"round {row.round}", row.version or row.parent, row.outcome, row.figures)
        typer.echo(": ".join(filter(None, parts)))
    print_lines(result.conclusion())
    return result.warnings


def print_lines(lines: Iterable[str]) -> None:
    """Print each as a line of standard output."""
    for line in lines:
        typer.echo(line)


def print_warnings(lines: list[str]) -> None:
    """Print each as a line of standard error."""
    for line in lines:
        typer.echo(f"warning: {line}", err=True)


def encoder_of_store(given: _Values) -> _Values:
    """The values with the encoder that the embedding store names, where no --encoder was given and a store exists."""
    from dataengine_lib.embeddings.store import open_store, store_exists

    store = Path(given.get("coco_embedding", ""))
    if "encoder" in given or "coco_embedding" not in given or not store_exists(store):
        return given
    return given | {"encoder": open_store(store).meta.encoder}


@dataclass(frozen=True)
class StepVerb:
    """A verb that runs one step; `module` and `config` name its module in `steps` and the Config there."""

    module: str
    config: str
    run: Callable[[Any], list[str]]  # returns the step's warnings; its docstring is the verb's help
    option_names: dict[str, str] = field(default_factory=dict)  # of fields whose option has another name
    complete: Callable[[_Values], _Values] = lambda given: given  # may add values before they are checked

    def command(self, name: str) -> Callable[..., None]:
        """The function that typer makes the command `name` from. Imports the step."""
        # pydantic is slow to import: not for `dataengine --help`
        from dataengine_lib.cli_options import config_command

        config = getattr(import_module(f"dataengine_lib.steps.{self.module}"), self.config)
        return config_command(
            config, name, self._run_and_warn, option_names=self.option_names, complete=self.complete
        )

    def _run_and_warn(self, config: Any) -> None:
        print_warnings(self.run(config))


STEP_VERBS = {
    "classify-questions": StepVerb(
        "classify_questions",
        "ClassifyQuestionsConfig",
        _classify_questions,
        option_names={"questions": "--input"},
    ),
    "evaluate": StepVerb("evaluate", "EvaluateConfig", _evaluate),
    "embed": StepVerb("embed", "EmbedConfig", _embed),
    "construct-queries": StepVerb(
        "construct_queries", "ConstructQueriesConfig", _construct_queries, complete=encoder_of_store
    ),
    "generate-qa": StepVerb("generate_qa", "GenerateQaConfig", _generate_qa),
    "cancel-batches": StepVerb("generate_qa", "GenerateQaConfig", _cancel_batches),
    "post-process": StepVerb("post_process", "PostProcessConfig", _post_process),
    "fine-tune": StepVerb("fine_tune_command", "FineTuneVerbConfig", _fine_tune),
    "compare-rounds": StepVerb("compare_rounds", "CompareRoundsConfig", _compare_rounds),
    "optimize-prompt": StepVerb("optimize_prompt", "OptimizePromptConfig", _optimize_prompt),
}


def add_step_verbs(app: typer.Typer, asked: str) -> None:
    """Add the commands of STEP_VERBS; only the one `asked` for imports its step and gets its options.

    Importing them all would take seconds, for `dataengine --help` as well.
    """
    for name, verb in STEP_VERBS.items():
        command = verb.command(name) if name == asked else _no_options
        app.command(name, help=verb.run.__doc__)(command)


def _no_options() -> None:
    """Stands for a verb that was not asked for."""
