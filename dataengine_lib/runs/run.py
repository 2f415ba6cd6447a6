"""Runs the loop (all steps): checks everything, then one notebook after the other, skipping what is done."""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from dataengine_lib.core.files import read_json, write_json
from dataengine_lib.errors import DataEngineError
from dataengine_lib.runs.execute_notebook import NotebookFailed, execute
from dataengine_lib.runs.lock import run_lock
from dataengine_lib.runs.manifest import (
    Digest,
    FileHashes,
    Manifest,
    code_hash,
    identity,
    is_up_to_date,
    notebook_hash,
    read_manifest,
    versions,
)
from dataengine_lib.runs.notebooks import notebooks_folder
from dataengine_lib.runs.parameters import Experiment
from dataengine_lib.runs.precheck import check_paths, check_run, selected
from dataengine_lib.runs.state import RunState, StepState
from dataengine_lib.runs.summary import write_pages
from dataengine_lib.runs.workflow import Planned, plan, seen_from_here

Say = Callable[[str], None]


@dataclass
class _Run:
    """What the steps of one run share."""

    out: Path
    notebooks: Path
    planned: list[Planned]
    state: RunState
    hashes: FileHashes
    say: Say
    relink: bool  # the steps are not those of the run before, so its pages' links to others are not right


def run_experiment(
    experiment: Experiment,
    out: Path,
    *,
    start: str | None = None,
    stop: str | None = None,
    force: bool = False,
    notebooks: Path | None = None,
    say: Say = print,
) -> RunState:
    """Run `experiment` in the folder `out`; what is done and did not change is left as it is.

    `start` takes the steps before it as they are and runs that one in any case; `force` runs every step from
    there on. Raises ParameterError before anything runs, and DataEngineError naming the step that failed;
    whatever was made before stays, and the next call goes on from there.
    """
    out = seen_from_here(out)
    notebooks = notebooks or notebooks_folder()
    planned = plan(experiment, out)
    first, last = selected(planned, start, stop)
    check_run(experiment.file, planned, first, last, notebooks, out)
    with run_lock(out):
        began = time.monotonic()
        if settings := experiment.head.playground:
            from dataengine_lib.playground.sets import write_playground

            folder = write_playground(settings.cache, settings.seed, settings.sizes)
            planned = plan(experiment, out, str(folder))
            check_paths(experiment.file, planned, first, last)
        state = _begin(experiment, planned)
        state.playground_seconds = round(time.monotonic() - began, 2) if settings else 0.0
        hashes = FileHashes(out / ".hashes.json")
        job = _Run(
            out, notebooks, planned, state, hashes, say, _labels(out) != [s.label for s in state.steps]
        )
        for number in range(len(planned)):
            if number < first or number > last:
                _leave(job, number)
            else:
                _step(job, number, force or (number == first and start is not None))
        if last < len(planned) - 1:
            state.notes.append(f"stopped after {planned[last].label}, as --to says")
        state.status = "done"
        _publish(job)
        return state


def _begin(experiment: Experiment, planned: list[Planned]) -> RunState:
    teachers = {getattr(item.config, "teacher", "") for item in planned}
    scripted = (
        "the teacher is the playground's script, not a model: figures show that the loop works, no more"
    )
    return RunState(
        run=experiment.head.run,
        started=_now(),
        rounds=experiment.head.rounds,
        seed=experiment.head.seed,
        notes=[scripted] if "playground" in teachers else [],
        steps=[StepState(step=item.step.notebook, round=item.round, label=item.label) for item in planned],
        versions=versions(),
    )


def _labels(out: Path) -> list[str]:
    """The steps of the run that was here before."""
    if not (out / "run.json").is_file():
        return []
    before: RunState = read_json(out / "run.json", RunState)
    return [step.label for step in before.steps]


def _leave(job: _Run, number: int) -> None:
    """A step outside --from and --to: what there is of an earlier run stays and is shown."""
    if manifest := read_manifest(job.planned[number].manifest):
        _show(job, number, "skipped", manifest)


def _step(job: _Run, number: int, again: bool) -> None:
    """Run one step, or skip it when it was made from the same before."""
    item, state = job.planned[number], job.state.steps[number]
    source = job.notebooks / f"{item.step.notebook}.ipynb"
    inputs = {
        name: [Digest(str(path), job.hashes.of(path)) for path in paths]
        for name, paths in item.inputs().items()
    }
    parameters = item.config.model_dump(mode="json")
    free = {k: v for k, v in parameters.items() if k not in {*inputs, *item.step.writes, *item.step.keeps}}
    code = code_hash(*(["playground"] if "playground" in parameters.values() else []))
    mark = identity(item.step.name, notebook_hash(source), code, free, inputs)
    before = read_manifest(item.manifest)
    if before and not again and is_up_to_date(before, mark, job.out, job.hashes):
        if job.relink or not item.html.is_file():
            _render(item)
        _show(job, number, "skipped", before)
        job.say(f"{_count(job, number)} {item.label}: nothing changed, skipped")
        return
    item.manifest.unlink(missing_ok=True)
    state.status = "running"
    _publish(job)
    job.say(f"{_count(job, number)} {item.label} …")
    began = time.monotonic()
    manifest = Manifest(
        step=item.step.notebook,
        identity=mark,
        started=_now(),
        seed=parameters.get("seed"),
        parameters=parameters,
        inputs=inputs,
        notebook_sha256=notebook_hash(source),
        code_sha256=code,
        versions=versions(),
    )
    try:
        manifest.work_seconds = round(execute(source, item.executed, parameters, item.step.name, job.out), 2)
        left = [path for path in item.outputs() if path.exists()]
        manifest.outputs = [Digest(os.path.relpath(path, job.out), job.hashes.of(path)) for path in left]
        write_json(item.manifest, manifest)  # before rendering: the page lists what it names
        _render(item)
    except BaseException as error:
        _failed(job, number, error, time.monotonic() - began)
        if isinstance(error, (DataEngineError, OSError)):
            raise DataEngineError(f"{item.label} failed: {state.error}; see {item.html}") from error
        raise
    manifest.seconds = round(time.monotonic() - began, 2)
    write_json(item.manifest, manifest)
    job.hashes.save()
    _show(job, number, "done", manifest)
    _publish(job)


def _failed(job: _Run, number: int, error: BaseException, seconds: float) -> None:
    """Keep and render the half-run notebook, and write down why it stopped."""
    item, state = job.planned[number], job.state.steps[number]
    state.status, state.seconds = "failed", round(seconds, 2)
    state.error = str(error) or (
        "interrupted" if isinstance(error, KeyboardInterrupt) else type(error).__name__
    )
    job.state.status, job.state.error = "failed", f"{item.label}: {state.error}"
    if item.executed.is_file():
        state.notebook = os.path.relpath(item.executed, job.out)
        if isinstance(error, NotebookFailed):  # an error of rendering itself would only come again
            _render(item)
    _publish(job)


def _show(job: _Run, number: int, status: Any, manifest: Manifest) -> None:
    item, state = job.planned[number], job.state.steps[number]
    state.status = status
    state.seconds = manifest.seconds
    state.overhead_seconds = round(manifest.seconds - manifest.work_seconds, 2)
    state.html = os.path.relpath(item.html, job.out)
    state.notebook = os.path.relpath(item.executed, job.out)
    state.outputs = [output.path for output in manifest.outputs]


def _render(item: Planned) -> None:
    from dataengine_lib.report.html import render_notebook

    render_notebook(item.executed, item.html, [path for path in item.outputs() if path.exists()])


def _publish(job: _Run) -> None:
    """Write `run.json` and the index pages."""
    job.state.write(job.out)
    write_pages(job.out)


def _count(job: _Run, number: int) -> str:
    return f"[{number + 1}/{len(job.planned)}]"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
