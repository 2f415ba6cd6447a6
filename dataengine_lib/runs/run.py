"""A whole run (all steps): check everything, then execute one notebook after the other, skipping unchanged steps."""

import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from dataengine_lib.errors import ParameterError
from dataengine_lib.runs.execution.new_state import new_state
from dataengine_lib.runs.execution.run_steps import RunSteps
from dataengine_lib.runs.execution.until import until_says
from dataengine_lib.runs.kernels.forked_kernels import KernelForks
from dataengine_lib.runs.lock import run_lock
from dataengine_lib.runs.manifest import Manifest
from dataengine_lib.runs.notebooks import notebooks_folder
from dataengine_lib.runs.parameter_paths import relative_to_here
from dataengine_lib.runs.parameters import Experiment
from dataengine_lib.runs.precheck import check_data, check_paths, check_run, selected_range
from dataengine_lib.runs.reuse.sharing import SharedSteps
from dataengine_lib.runs.state import RunState, StepState
from dataengine_lib.runs.workflow import plan

_PrintLine = Callable[[str], None]


def run_experiment(
    experiment: Experiment,
    out: Path,
    *,
    start: str | None = None,
    stop: str | None = None,
    force: bool = False,
    notebooks: Path | None = None,
    print_line: _PrintLine = print,
    shared: SharedSteps | None = None,
    on_step: Callable[[StepState, Manifest], None] | None = None,
    watch: Callable[[Path], None] | None = None,
) -> RunState:
    """Run `experiment` in the folder `out`; steps that are done and unchanged are skipped.

    `start` runs that step in any case and keeps the steps before it as they are; `force` runs every step from there on.
    Without `notebooks` those of the package are executed. `shared` are the steps of a study's other runs; `on_step` is
    called after each step that is done or unchanged. With `watch` the run's page is kept up to date while a step works,
    and loads itself anew in a browser; `watch` is called with it once it is there. Raises ParameterError before
    anything runs, and DataEngineError naming the step that failed; what was made before stays, and the next call
    continues from there.
    """
    out = relative_to_here(out)
    notebooks = notebooks or notebooks_folder()
    # 1. what would run, and whether it can: all faults are found before the first step
    planned = plan(experiment, out)
    first, last = selected_range(planned, start, stop)
    notes: list[str] = []
    warnings = check_run(experiment.file, planned, first, last, notebooks, out, notes.append)
    # check_run has made the folder, in which the lock file lies
    with run_lock(out), closing(KernelForks()) as kernels:
        began, folder = time.monotonic(), "{playground}"
        if settings := experiment.head.playground:
            from dataengine_lib.playground.sets import write_playground

            # what kernels are forked from imports meanwhile, not for a single notebook: see RunSteps
            start_kernels = kernels.start if first < last else lambda: None
            folder = str(write_playground(settings.cache, settings.seed, settings.sizes, start_kernels))
            # now it is known which folder {playground} stands for, so paths below it can be checked
            planned = plan(experiment, out, folder)
            check_paths(experiment.file, planned, first, last)
            warnings += check_data(experiment.file, planned, first, last)
        state = new_state(experiment, planned, out)
        state.playground_seconds = round(time.monotonic() - began, 2) if settings else 0.0
        state.warnings = list(dict.fromkeys(warnings))
        for line in state.warnings:
            print_line(f"warning: {line}")
        # on the console alone: what came of it is on the page of step 2
        for line in notes:
            print_line(f"note: {line}")
        watched = watch is not None
        run = RunSteps(out, notebooks, planned, state, print_line, shared, on_step, last, watched, kernels)
        # 2. the steps; those outside --from and --to are only listed in the report
        with run.stopped_by_any_error():
            if watch:
                run.publish()
                watch(out / "index.html")
            number, end = 0, len(planned) - 1
            # not `for`: where `until` ends the rounds, fewer steps follow
            while number < len(run.planned):
                if first <= number <= run.last:
                    run.step(number, force or (number == first and start is not None))
                else:
                    run.keep(number)
                item = run.planned[number]
                if number <= run.last and (reason := until_says(item, state.steps[number])):
                    if number < first:
                        raise ParameterError(
                            f"--from {start}: comes after round {item.round}, after which until ended the rounds: "
                            f"{reason}; leave --from out, or change until"
                        )
                    run.end_rounds(number, plan(experiment, out, folder, item.round), reason)
                    run.last = len(run.planned) - 1 if run.last == end else number
                number += 1
        if run.last < len(run.planned) - 1:
            state.notes.append(f"stopped after {run.planned[run.last].label}, as --to says")
        elif experiment.head.until is not None and not state.stopped:
            state.notes.append(f"all {experiment.head.rounds} rounds ran; until did not end them before")
        state.status = "done"
        run.write_types()
        run.publish()
        return state
