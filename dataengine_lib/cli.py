"""`dataengine`: the whole loop, and every step of it by itself; a thin verb per library function."""

import os
import sys
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer

from dataengine_lib import __version__
from dataengine_lib.cli_options import spread, verb
from dataengine_lib.errors import DataEngineError

MANY = {"--train-data", "--exclude-queries", "--evaluations", "--text-formats", "--targets"}

app = typer.Typer(
    name="dataengine",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

Params = Annotated[Path, typer.Argument(metavar="PARAMS", help="one experiment, a YAML file of params/")]
Sets = Annotated[
    list[str] | None, typer.Option("--set", metavar="STEP.KEY=VALUE", help="set one key; can be repeated")
]
Rounds = Annotated[int | None, typer.Option("--rounds", metavar="N", help="rounds instead of the YAML's")]
Out = Annotated[Path | None, typer.Option("--out", metavar="DIR", help="run folder instead of reports/<run>")]


@app.callback(invoke_without_command=True)
def _version(
    version: Annotated[bool, typer.Option("--version", help="show the version and exit")] = False,
) -> None:
    """Measure a multimodal LLM, generate data for its weaknesses, fine-tune, measure again."""
    if version:
        typer.echo(__version__)
        raise typer.Exit


@app.command()
def run(
    params: Params,
    rounds: Rounds = None,
    start: Annotated[
        str | None, typer.Option("--from", metavar="STEP", help="begin here, run it again")
    ] = None,
    stop: Annotated[str | None, typer.Option("--to", metavar="STEP", help="stop after this step")] = None,
    sets: Sets = None,
    force: Annotated[
        bool, typer.Option("--force", help="run steps that are done and unchanged, too")
    ] = False,
    out: Out = None,
) -> None:
    """Run the loop of PARAMS; skips what is done and unchanged. STEP: evaluate, 1 or round2/evaluate."""
    from dataengine_lib.runs.run import run as run_loop
    from dataengine_lib.runs.summary import summary_lines

    experiment = _experiment(params, sets, rounds)
    folder = out or Path("reports") / experiment.head.run
    state = run_loop(experiment, folder, start=start, stop=stop, force=force, say=typer.echo)
    for line in summary_lines(folder, state):
        typer.echo(line)


@app.command()
def plan(params: Params, rounds: Rounds = None, sets: Sets = None, out: Out = None) -> None:
    """Show steps, rows, tokens and price per question type; asks nobody, spends nothing."""
    from dataengine_lib.runs.cost_plan import plan_lines

    experiment = _experiment(params, sets, rounds)
    for line in plan_lines(experiment, out or Path("reports") / experiment.head.run):
        typer.echo(line)


@app.command()
def doctor(
    params: Annotated[Path | None, typer.Argument(metavar="[PARAMS]")] = None,
    sets: Sets = None,
    ask: Annotated[
        bool, typer.Option("--ask", help="Send the teacher one request, for a cent at most.")
    ] = False,
) -> None:
    """Check versions, device, key, endpoint, model, data paths and disk; exit 1 if a run cannot work."""
    from dataengine_lib.runs.doctor import examine

    findings = examine(_experiment(params, sets, None) if params else None, ask=ask)
    for finding in findings:
        typer.echo(f"{finding.mark:4} {finding.what}: {finding.says}")
    if any(finding.mark == "bad" for finding in findings):
        raise typer.Exit(1)


@app.command()
def report(
    run_dir: Annotated[Path, typer.Argument(metavar="RUN_DIR", help="a folder below reports")],
) -> None:
    """Render a run's notebooks to HTML again and refresh the index pages."""
    from dataengine_lib.runs.summary import render_run

    typer.echo(render_run(run_dir))


def _experiment(params: Path, sets: list[str] | None, rounds: int | None) -> Any:
    from dataengine_lib.runs.parameters import read_experiment
    from dataengine_lib.runs.workflow import STEPS

    return read_experiment(params, [step.name for step in STEPS], sets or [], rounds)


def _classify_questions(config: Any) -> None:
    """Step 0: give every question its type through the teacher."""
    from os.path import isfile

    from dataengine_lib.core.files import read_json
    from dataengine_lib.core.records import Question
    from dataengine_lib.steps.classify_questions import classify_questions

    result = classify_questions(config)
    known = sum(result.counts.values())
    typer.echo(f"{result.output}: {known} questions with a type, {len(result.unanswered)} without")
    if config.image_root:
        written: dict[str, list[Question]] = read_json(result.output, dict[str, list[Question]])
        paths = {row.image_path for rows in written.values() for row in rows}
        lost = sorted(path for path in paths if not isfile(config.image_root / path))
        if lost:
            typer.echo(
                f"  {len(lost)} of {len(paths)} images are not below {config.image_root}, first: {lost[0]}"
            )


def _evaluate(config: Any) -> None:
    """Step 1: measure the student; writes answers, bad cases, weights and metrics."""
    from dataengine_lib.steps.evaluate import evaluate

    evaluate(config)
    typer.echo(f"{config.output_dir / 'aokvqa_eval.json'}; figures in {config.output_dir / 'metrics.json'}")


def _embed(config: Any) -> None:
    """Embed an image folder once, so that step 2 finds neighbours at once."""
    from dataengine_lib.steps.embed import embed

    result = embed(config)
    typer.echo(f"{config.output}: {len(result.store.ids)} images, {len(result.unreadable)} unreadable")
    for bad in result.unreadable:
        typer.echo(f"  {bad.path}: {bad.reason}")
    if config.faiss:
        typer.echo(f"{config.faiss}: the same for faiss.read_index")


def _construct_queries(config: Any) -> None:
    """Step 2: draw bad cases and images by the weights and write the teacher's prompts."""
    from dataengine_lib.steps.construct_queries import construct_queries

    result = construct_queries(config)
    typer.echo(f"{config.output}: {len(result.queries)} queries of {config.maxnum} wanted")
    for kind, share in result.shares.items():
        if share.why_not:
            typer.echo(f"  {kind}: {share.filled} of {share.asked}; {share.why_not}")


def _generate_qa(config: Any) -> None:
    """Step 3: ask the teacher; what is answered already is not asked again."""
    from dataengine_lib.steps.generate_qa import generate_qa

    result = generate_qa(config)
    typer.echo(f"{result.output}: {len(result.results)} replies, {len(result.failures)} failures")
    for note in result.notes:
        typer.echo(f"  {note}")


def _cancel_batches(config: Any) -> None:
    """Step 3: cancel the batches of an output that are under way, and keep what they have done."""
    from dataengine_lib.steps.generate_qa import cancel_batches

    result = cancel_batches(config)
    typer.echo(f"{result.output}: {len(result.results)} replies, {result.unasked} not asked")
    for note in result.notes:
        typer.echo(f"  {note}")


def _post_process(config: Any) -> None:
    """Step 4: turn raw replies into training data; drops with a reason."""
    from dataengine_lib.steps.post_process import post_process

    result = post_process(config)
    typer.echo(
        f"{result.output}: {result.counts.kept} kept; {result.rejects_path}: {result.counts.dropped} dropped"
    )
    for reason, number in result.counts.by_reason.items():
        typer.echo(f"  {reason}: {number}")
    for note in result.notes:
        typer.echo(f"  {note}")


def _fine_tune(config: Any) -> None:
    """Step 5: train the student on the new data, mixed with base data."""
    from dataengine_lib.steps.fine_tune import fine_tune

    typer.echo(f"{fine_tune(config).checkpoint}: fine-tuned")


def _compare_rounds(config: Any) -> None:
    """Step 6: compare evaluations of the same questions, with paired intervals."""
    from dataengine_lib.runs.summary import table_lines
    from dataengine_lib.steps.compare_rounds import compare_rounds

    for line in table_lines(compare_rounds(config).summary_table()):
        typer.echo(line)


def _with_encoder(given: dict[str, Any]) -> dict[str, Any]:
    """A store knows what made it, so that --encoder is needed only where there is none yet."""
    from dataengine_lib.embeddings.store import open_store, store_exists

    store = Path(given.get("coco_embedding", ""))
    if "encoder" in given or "coco_embedding" not in given or not store_exists(store):
        return given
    return given | {"encoder": open_store(store).meta.encoder}


# verb: (Config, in which module of steps, what it does, what differs from the Config's fields)
VERBS: dict[str, tuple[str, str, Any, dict[str, Any]]] = {
    "classify-questions": (
        "ClassifyQuestionsConfig",
        "classify_questions",
        _classify_questions,
        {"renamed": {"questions": "--input"}},
    ),
    "evaluate": ("EvaluateConfig", "evaluate", _evaluate, {}),
    "embed": ("EmbedConfig", "embed", _embed, {}),
    "construct-queries": (
        "ConstructQueriesConfig",
        "construct_queries",
        _construct_queries,
        {"complete": _with_encoder},
    ),
    "generate-qa": ("GenerateQaConfig", "generate_qa", _generate_qa, {}),
    "cancel-batches": ("GenerateQaConfig", "generate_qa", _cancel_batches, {}),
    "post-process": ("PostProcessConfig", "post_process", _post_process, {}),
    "fine-tune": ("FineTuneConfig", "fine_tune", _fine_tune, {}),
    "compare-rounds": ("CompareRoundsConfig", "compare_rounds", _compare_rounds, {}),
}


def _add_verbs(asked: str) -> None:
    """Make the commands of VERBS; only the one asked for loads its step and gets its options."""
    for name, (config, module, run_verb, differences) in VERBS.items():
        if name == asked:
            kind = getattr(import_module(f"dataengine_lib.steps.{module}"), config)
            command = verb(kind, name, run_verb, **differences)
        else:
            command = _version
        app.command(name, help=run_verb.__doc__)(command)


@app.command("import-embeddings")
def import_embeddings(
    source: Annotated[Path, typer.Argument(metavar="COCO_IMAGES.PTH")],
    output: Annotated[Path, typer.Option("--output", metavar="STORE")],
    encoder: Annotated[str, typer.Option("--encoder", help="what made the vectors")] = "clip:ViT-B/32",
) -> None:
    """Read MLLM-DataEngine's coco_images.pth into an embedding store, without running code that is in it."""
    from dataengine_lib.embeddings.import_pth import import_embeddings as read

    typer.echo(f"{output}: {len(read(source, output, encoder).ids)} images")


@app.command()
def export(
    format: Annotated[str, typer.Argument(metavar="FORMAT|all")],
    input: Annotated[Path, typer.Option("--input", metavar="TRAIN.json")],
    output: Annotated[
        Path, typer.Option("--output", metavar="PATH", help="a file; a folder for minigpt4, hf and all")
    ],
    image_root: Annotated[Path, typer.Option("--image-root", metavar="DIR", help="where image paths start")],
    name: Annotated[
        str, typer.Option("--name", help="the data set's name in a trainer's list")
    ] = "dataengine",
    text_format: Annotated[Any, typer.Option("--text-format", help="Q-A, QM-A, QM-AE or mmbench")] = "QM-A",
    paths: Annotated[
        Any,
        typer.Option(
            "--paths",
            metavar="absolute|relative|bare",
            help="image paths: relative to the export's folder, bare under DIR [default: as the trainer expects]",
        ),
    ] = None,
) -> None:
    """Write training data as trainers read it, with a data card: aokvqa, llava, minigpt4, llamafactory, swift, trl,
    dataengine-v2, hf, or all of them.
    """
    from dataengine_lib.exports.export import export_lines

    options = {"name": name, "text_format": text_format, "paths": paths}
    for line in export_lines(format, input, output, image_root, **options):
        typer.echo(line)


@app.command()
def trace(
    name: Annotated[
        str, typer.Argument(metavar="ID", help="a record id, query id or request key, or how one begins")
    ],
    run_dir: Annotated[
        Path, typer.Option("--run", metavar="DIR", help="the folder of its round or run")
    ] = Path("."),
) -> None:
    """Print where a training record comes from: reply, teacher, prompt, bad cases, evaluation."""
    from dataengine_lib.runs.trace import trace_lines

    for line in trace_lines(name, run_dir):
        typer.echo(line)


_INTERRUPTED = "dataengine: interrupted; run the same command again to go on"


def main() -> None:
    """Entry point: an error of ours is one line and its exit status, never a traceback."""
    try:
        _add_verbs(next((word for word in sys.argv[1:] if not word.startswith("-")), ""))
        app(spread(sys.argv[1:], MANY), prog_name="dataengine")
    except DataEngineError as error:
        for line in str(error).splitlines():
            typer.echo(f"dataengine: {line}", err=True)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        typer.echo(_INTERRUPTED, err=True)
        sys.exit(1)
    except SystemExit as ended:
        if ended.code == 130:  # typer's end after Ctrl-C, without a word
            typer.echo(_INTERRUPTED, err=True)
        raise
    except BrokenPipeError:  # the reader of our output left, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
