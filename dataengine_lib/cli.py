"""`dataengine`: the verbs of whole runs; those of single files are in `cli_files`, those of single steps in `cli_steps`.

A verb reads its options, calls one library function and prints what it returns. Libraries are imported inside the
verbs, so that `dataengine --help` answers at once.
"""

import os
import shlex
import signal
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import typer

from dataengine_lib import __version__
from dataengine_lib.cli_files import add_file_verbs
from dataengine_lib.cli_init import add_init_verb
from dataengine_lib.cli_steps import add_step_verbs, print_lines, print_warnings
from dataengine_lib.cli_terminal import (
    OpenReport,
    WholeDescriptions,
    asked_verb,
    complete_run_folder,
    completed_from,
    open_report_page,
    open_standard_streams,
    repeat_list_options,
)
from dataengine_lib.errors import DataEngineError, install_command, system_error_line

app = typer.Typer(
    name="dataengine",
    cls=WholeDescriptions,
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

_INTERRUPTED = "dataengine: interrupted; run the same command again to continue"
_CTRL_C = 130  # typer's exit status after Ctrl-C, which it does not report

_Params = Annotated[Path, typer.Argument(metavar="PARAMS", help="YAML file of one experiment")]
_Sets = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="STEP.KEY=VALUE", help="change one key of the YAML; can be given several times"
    ),
]
_Rounds = Annotated[
    int | None, typer.Option("--rounds", metavar="N", help="number of rounds, in place of the YAML's")
]
_Out = Annotated[
    Path | None, typer.Option("--out", metavar="DIR", help="folder of the run [default: reports/<run>]")
]


def _step_names() -> list[str]:
    from dataengine_lib.runs.workflow import STEPS

    return [step.name for step in STEPS]


_complete_step = completed_from(_step_names)


@app.callback(invoke_without_command=True)
def _version(
    version: Annotated[bool, typer.Option("--version", help="show the version and exit")] = False,
) -> None:
    """Measure a multimodal LLM, generate data for its weaknesses, fine-tune, measure again."""
    if version:
        typer.echo(__version__)
        raise typer.Exit


@app.command("run")
def _run(
    params: _Params,
    rounds: _Rounds = None,
    start: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="STEP",
            help="start with this step and run it in any case",
            autocompletion=_complete_step,
        ),
    ] = None,
    stop: Annotated[
        str | None,
        typer.Option("--to", metavar="STEP", help="stop after this step", autocompletion=_complete_step),
    ] = None,
    sets: _Sets = None,
    force: Annotated[
        bool, typer.Option("--force", help="run every step, also those that are done and unchanged")
    ] = False,
    out: _Out = None,
    watch: Annotated[
        bool,
        typer.Option(
            "--watch",
            help="keep the report's page up to date while the run goes on; with --open it opens at the start",
        ),
    ] = False,
    open_report: OpenReport = False,
) -> None:
    """Run all steps of an experiment; steps that are done and unchanged are skipped.

    STEP is a name or number (evaluate, 1), or one round's step (round2/evaluate).
    """
    from dataengine_lib.runs.run import run_experiment
    from dataengine_lib.runs.summary import summary_lines

    experiment = _read(params, sets, rounds)
    folder = _run_folder(experiment, out)
    state = run_experiment(
        experiment,
        folder,
        start=start,
        stop=stop,
        force=force,
        print_line=typer.echo,
        watch=(open_report_page if open_report else _say_watched) if watch else None,
    )
    print_lines(summary_lines(folder, state))
    if open_report and not watch:
        open_report_page(folder / "index.html")


@app.command("study")
def _study(
    params: Annotated[Path, typer.Argument(metavar="STUDY", help="YAML file of a study")],
    sets: _Sets = None,
    parallel: Annotated[
        str | None,
        typer.Option("--parallel", metavar="N|ray", help="runs at the same time, in place of the YAML's"),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="folder of the study [default: reports/<study>]"),
    ] = None,
    open_report: OpenReport = False,
) -> None:
    """Run an experiment with several arms and seeds, and compare the arms; runs that are done are skipped.

    What arms and seeds share is made once. Exit status 1 if a run failed; the others are carried out all the same.
    """
    from dataengine_lib.studies.read_study import read_study
    from dataengine_lib.studies.run_study import run_study

    study = read_study(params, sets, parallel)
    done = run_study(study, _study_folder(study, out), each_step=sys.stdout.isatty(), print_line=typer.echo)
    if open_report and done.page:
        open_report_page(done.page)
    if done.failed:
        raise typer.Exit(1)


@app.command("plan")
def _plan(
    params: _Params,
    rounds: _Rounds = None,
    sets: _Sets = None,
    out: _Out = None,
    effect: Annotated[
        float,
        typer.Option(
            "--effect", metavar="POINTS", min=0.1, max=100, help="gain that should be seen, in points"
        ),
    ] = 5.0,
) -> None:
    """Show the steps, requests, tokens and price per question type, and the smallest gain that step 6 can show.

    It also says how many questions show a gain of POINTS. It sends nothing and costs nothing. Of a study: its shared
    steps, and the price of each arm.
    """
    from dataengine_lib.runs.cost_plan import plan_lines
    from dataengine_lib.studies.read_study import is_study, read_study

    if is_study(params):
        from dataengine_lib.studies.plan import study_plan_lines

        if rounds is not None:
            sets = [*(sets or []), f"rounds={rounds}"]
        study = read_study(params, sets)
        print_lines(study_plan_lines(study, _study_folder(study, out)))
        return
    experiment = _read(params, sets, rounds)
    print_lines(plan_lines(experiment, _run_folder(experiment, out), effect / 100))


@app.command("doctor")
def _doctor(
    params: Annotated[Path | None, typer.Argument(metavar="[PARAMS]")] = None,
    sets: _Sets = None,
    ask: Annotated[
        bool, typer.Option("--ask", help="send the teacher one request, for a cent at most")
    ] = False,
) -> None:
    """Check versions, device, key, endpoint, model, data paths and disk; exit status 1 if a run cannot work."""
    from dataengine_lib.runs.doctor import examine
    from dataengine_lib.studies.read_study import is_study, read_study

    if params and is_study(params):
        # seeds change nothing that is checked
        experiments = [run.experiment for run in read_study(params, sets).first_runs]
    else:
        experiments = [_read(params, sets, None)] if params else []
    findings = examine(experiments, ask=ask)
    print_lines(f"{finding.mark:4} {finding.subject}: {finding.message}" for finding in findings)
    if any(finding.mark == "bad" for finding in findings):
        raise typer.Exit(1)


@app.command("report")
def _report(
    run: Annotated[
        Path,
        typer.Argument(
            metavar="RUN",
            help="folder of a run, such as reports/demo, or a notebook that papermill ran",
            autocompletion=complete_run_folder,
        ),
    ],
    open_report: OpenReport = False,
) -> None:
    """Render a run's notebooks to HTML once more and update the index pages; or write the page of one notebook."""
    from dataengine_lib.runs.pages.lone_notebook import render_lone_notebook
    from dataengine_lib.runs.summary import render_run

    rendered = render_lone_notebook(run) if run.suffix == ".ipynb" else render_run(run)
    typer.echo(rendered.page)
    print_warnings(rendered.warnings)
    if open_report:
        open_report_page(rendered.page)


@app.command("notebooks")
def _notebooks(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="where to put them; made if needed")],
    force: Annotated[
        bool, typer.Option("--force", help="overwrite notebooks there that were changed")
    ] = False,
) -> None:
    """Copy the notebooks of all steps into a folder of your own, to work in them with JupyterLab."""
    from dataengine_lib.runs.notebooks import copy_notebooks

    copies = copy_notebooks(folder, force=force)
    lab = [] if find_spec("jupyterlab") else [f"JupyterLab is not installed; run: {install_command('lab')}"]
    print_lines(
        [
            f"{folder}: {len(copies)} notebooks",
            *lab,
            f"open them with: jupyter lab {shlex.quote(str(folder))}",
            "their parameters name the example of data_demo; give files of your own where it is not beside DIR",
        ]
    )


add_init_verb(app)
add_file_verbs(app)


def _say_watched(page: Path) -> None:
    typer.echo(f"watch the run in a browser: {page}")


def _read(params: Path, sets: list[str] | None, rounds: int | None) -> Any:
    from dataengine_lib.runs.parameters import read_experiment

    return read_experiment(params, _step_names(), sets or [], rounds)


def _run_folder(experiment: Any, out: Path | None) -> Path:
    return out or Path("reports") / experiment.head.run


def _study_folder(study: Any, out: Path | None) -> Path:
    return out or Path("reports") / study.settings.study


def _masked(message: str) -> str:
    from dataengine_lib.core.secrets.masking import SecretMask

    return SecretMask.of_environment().masked(message)


def _as_ctrl_c(number: int, frame: object) -> None:
    """`docker stop` and `scancel` send SIGTERM: files are closed and the state is kept as after Ctrl-C."""
    raise KeyboardInterrupt


def main() -> None:
    """Run the command line; an error of the library is printed as one line, without a traceback.

    Exit status: 0 done, 1 the work failed, 2 wrong usage or parameters.
    """
    try:
        open_standard_streams()
        signal.signal(signal.SIGTERM, _as_ctrl_c)
        add_step_verbs(app, asked_verb(sys.argv[1:]))
        app(repeat_list_options(sys.argv[1:]), prog_name="dataengine")
    except DataEngineError as error:
        # a message of another library may repeat a token or a proxy's password
        for line in _masked(str(error)).splitlines():
            typer.echo(f"dataengine: {line}", err=True)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        typer.echo(_INTERRUPTED, err=True)
        sys.exit(1)
    except SystemExit as ended:
        if ended.code == _CTRL_C:
            typer.echo(_INTERRUPTED, err=True)
        raise
    except BrokenPipeError:  # the reader of our output has closed the pipe, as `head` does
        # Python writes the rest of its output when it ends: into nothing, so that this does not fail again
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:  # a full disk, too many open files, a path that is too long
        typer.echo(f"dataengine: {_masked(system_error_line(error))}", err=True)
        sys.exit(1)
