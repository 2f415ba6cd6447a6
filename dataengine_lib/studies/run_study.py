"""A whole study: every arm with every seed, what they share made once, then the report."""

from collections.abc import Callable, Generator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from dataengine_lib.core.files import read_json, write_json
from dataengine_lib.errors import DataEngineError, ParameterError
from dataengine_lib.evaluation.studies.study_file import ArmRun, StudyFile
from dataengine_lib.runs.lock import run_lock
from dataengine_lib.runs.manifest import FileHashes
from dataengine_lib.runs.notebooks import notebooks_folder
from dataengine_lib.runs.parameter_paths import relative_to_here
from dataengine_lib.runs.precheck import check_run
from dataengine_lib.runs.reuse.current import is_run_done
from dataengine_lib.runs.state import RunState
from dataengine_lib.runs.workflow import Planned
from dataengine_lib.studies.checkpoints import drop_as_asked
from dataengine_lib.studies.grid import step_keys
from dataengine_lib.studies.job import Event, Job
from dataengine_lib.studies.local_runs import local_events
from dataengine_lib.studies.progress import Progress
from dataengine_lib.studies.ray_runs import ray_events
from dataengine_lib.studies.read_study import Study, StudyRun
from dataengine_lib.studies.report import STUDY_FILE, check_report, report_config, write_report

_PrintLine = Callable[[str], None]


@dataclass(frozen=True)
class StudyDone:
    """How the runs have ended, and the report's page; None where no run is done."""

    file: StudyFile
    page: Path | None

    @property
    def failed(self) -> list[ArmRun]:
        """The runs that are not done."""
        return [run for run in self.file.runs if run.status != "done"]


def run_study(
    study: Study,
    out: Path,
    *,
    notebooks: Path | None = None,
    each_step: bool = True,
    print_line: _PrintLine = print,
) -> StudyDone:
    """Carry out the runs of `study` in the folder `out` that are not done, then the report.

    A run that fails does not stop the others, and is listed at the end. `each_step` prints a line for every step, and
    not only for every run.
    Raises ParameterError before anything runs when an arm could not, KeyboardInterrupt once all runs are stopped, and
    DataEngineError when the report cannot be made.
    """
    out = relative_to_here(out)
    notebooks = notebooks or notebooks_folder()
    report = report_config(study.settings, study.file, out)
    check_report(report, notebooks)
    for line in check_study(study, out, notebooks):
        print_line(f"warning: {line}")
    with run_lock(out):
        playground = _playground(study)
        planned = {run.folder: study.planned(run, out, playground) for run in study.runs}
        state = _States(study, out)
        waiting = []
        for run in study.runs:
            if _is_done(planned[run.folder], out / run.folder, notebooks):
                state.end(Event(run.folder, seconds=_seconds(out / run.folder)))
            else:
                waiting.append(run)
        if skipped := len(study.runs) - len(waiting):
            print_line(f"{skipped} of {len(study.runs)} runs: nothing changed, skipped")
        state.write()
        if waiting:
            at_once = (
                "on a Ray cluster"
                if study.settings.parallel == "ray"
                else f"{study.settings.parallel} at a time"
            )
            print_line(f"{len(waiting)} runs to carry out, {at_once}, into {out}")
        keys = {run.folder: step_keys(planned[run.folder], out / run.folder) for run in waiting}
        places = study.settings.parallel
        progress = Progress(keys, places if isinstance(places, int) else 1)
        try:
            with closing(_events(study, waiting, out, notebooks, _with_shared_students(keys))) as events:
                for event in events:
                    progress.take(event)
                    if event.step:
                        state.begin(event)
                    else:
                        state.end(event)
                    if each_step or not event.step:
                        print_line(progress.line(event))
        finally:
            state.stop()
        done = StudyDone(state.file, None)
        for ended in done.file.runs:
            if ended.status == "done":
                drop_as_asked(planned[ended.folder], out / ended.folder, study.settings.keep_checkpoints)
        for failed in done.failed:
            print_line(f"{failed.folder} failed: {failed.error}")
        if done.failed:
            print_line(
                f"{len(done.failed)} of {len(study.runs)} runs failed; the same command tries them again"
            )
        if len(done.failed) < len(study.runs):
            done = replace(done, page=write_report(report, notebooks))
            print_line(f"report: {done.page}")
        return done


def check_study(study: Study, out: Path, notebooks: Path) -> list[str]:
    """Check that each arm can run, as `dataengine run` does before its first step; returns the warnings.

    Raises ParameterError with one line per fault.
    """
    wrong: dict[str, None] = {}
    warnings: dict[str, None] = {}
    for run in study.first_runs:
        planned = study.planned(run, out)
        try:
            found = check_run(run.experiment.file, planned, 0, len(planned) - 1, notebooks, out / run.folder)
            warnings |= dict.fromkeys(found)
        except ParameterError as error:
            # a fault of the base experiment is one line, and not one for each arm
            wrong |= dict.fromkeys(str(error).splitlines())
    if wrong:
        raise ParameterError("\n".join(wrong))
    return list(warnings)


def _playground(study: Study) -> str:
    """The folder of the playground, written once before the first run."""
    settings = study.base.head.playground
    if settings is None:
        return "{playground}"
    from dataengine_lib.playground.sets import write_playground

    return str(write_playground(settings.cache, settings.seed, settings.sizes))


def _is_done(planned: list[Planned], out: Path, notebooks: Path) -> bool:
    """Whether a run is done and unchanged."""
    return is_run_done(planned, out, notebooks, FileHashes(out / ".hashes.json"))


def _seconds(out: Path) -> float:
    """The seconds of a finished run."""
    try:
        return float(read_json(out / "run.json", RunState).seconds)
    except DataEngineError:  # damaged or removed: its manifests say that the run is done
        return 0.0


def _events(
    study: Study, runs: list[StudyRun], out: Path, notebooks: Path, wanted: set[str]
) -> Generator[Event, None, None]:
    """What the runs report; those in `wanted` keep their checkpoints until the study ends."""
    settings = study.settings
    jobs = [
        Job.of(
            run.experiment,
            out,
            run.folder,
            settings.threads,
            "all" if run.folder in wanted else settings.keep_checkpoints,
            notebooks,
        )
        for run in runs
    ]
    if jobs:
        yield from (
            ray_events(jobs) if settings.parallel == "ray" else local_events(jobs, int(settings.parallel))
        )


def _with_shared_students(keys: Mapping[str, Mapping[str, str]]) -> set[str]:
    """The runs, by folder, with a student that other runs are going to take over; `keys` as `Progress` has them."""
    runs: dict[str, list[str]] = {}
    for folder, steps in keys.items():
        for label, key in steps.items():
            if label.endswith("fine_tune"):
                runs.setdefault(key, []).append(folder)
    return {folder for folders in runs.values() if len(folders) > 1 for folder in folders}


class _States:
    """`study.json`, written whenever a run begins or ends."""

    def __init__(self, study: Study, out: Path) -> None:
        self._path = out / STUDY_FILE
        runs = [ArmRun(arm=run.arm, seed=run.seed, folder=run.folder) for run in study.runs]
        self.file = StudyFile(
            study=study.settings.study,
            arms=study.arms,
            seeds=study.settings.seeds,
            rounds=study.base.head.rounds,
            runs=runs,
        )
        self._runs = {run.folder: run for run in runs}

    def begin(self, event: Event) -> None:
        """A step of a run is there, so the run is in progress."""
        if self._runs[event.folder].status == "waiting":
            self._runs[event.folder].status = "running"
            self.write()

    def end(self, event: Event) -> None:
        """A run has ended."""
        run = self._runs[event.folder]
        run.status, run.error = "failed" if event.error else "done", event.error
        run.seconds = event.seconds
        self.write()

    def stop(self) -> None:
        """No run is in progress any more: those that were interrupted wait for the next call."""
        running = [run for run in self.file.runs if run.status == "running"]
        for run in running:
            run.status = "waiting"
        if running:
            self.write()

    def write(self) -> None:
        """Write the file."""
        write_json(self._path, self.file)
