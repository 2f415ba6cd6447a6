"""The steps of a run that works (all steps): each is skipped, executed, or taken over from another run, and then shown."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Literal

from dataengine_lib.core.files import read_json, write_json
from dataengine_lib.errors import DataEngineError, system_error_line
from dataengine_lib.report.pages.watched import RunningStep
from dataengine_lib.runs.execute_notebook import NotebookFailed, execute
from dataengine_lib.runs.execution.new_state import waiting_steps
from dataengine_lib.runs.execution.step_page import PageThread, render_step
from dataengine_lib.runs.kernels.forked_kernels import KernelForks
from dataengine_lib.runs.live.display import StepDisplay
from dataengine_lib.runs.live.time_left import TimeLeft, earlier_seconds
from dataengine_lib.runs.live.watched_page import WatchedPage
from dataengine_lib.runs.manifest import Digest, FileHashes, Manifest, is_up_to_date, read_manifest
from dataengine_lib.runs.opened.type_page import write_type_page
from dataengine_lib.runs.reuse.current import current_manifest
from dataengine_lib.runs.reuse.dropped import dropped_outputs
from dataengine_lib.runs.reuse.sharing import SharedSteps
from dataengine_lib.runs.state import RunState, Status, StepState
from dataengine_lib.runs.summary import write_pages
from dataengine_lib.runs.workflow import Planned


class RunSteps:
    """A run in progress: its steps by number, and the state that is written to `run.json` after each.

    `last` is the number of the last step that is to run; `kernels` are for their notebooks, and its maker closes them.
    """

    def __init__(
        self,
        out: Path,
        notebooks: Path,
        planned: list[Planned],
        state: RunState,
        print_line: Callable[[str], None],
        shared: SharedSteps | None,
        on_step: Callable[[StepState, Manifest], None] | None,
        last: int,
        watched: bool,
        kernels: KernelForks,
    ) -> None:
        self.out, self.notebooks, self.planned, self.state = out, notebooks, planned, state
        self.print_line, self.shared, self.on_step = print_line, shared, on_step
        self.last, self.watched = last, watched
        self.times = TimeLeft(earlier_seconds(planned, out, state.run))
        self.display = StepDisplay(self.times, print_line, WatchedPage(out) if watched else None)
        self.dropped = dropped_outputs(planned, out)
        self.hashes = FileHashes(out / ".hashes.json")
        self.kernels = kernels
        # not in a study, whose own process drops a step's files and writes its page anew
        self.pages = PageThread(is_used=shared is None and on_step is None)
        # With other steps than the last run in this folder, the pages' links to the steps before and after are wrong.
        before, now = _labels_before(out), [step.label for step in state.steps]
        # `until` may have ended that run's rounds, and then it lists the same steps up to there
        same = before == now or (before[:-1] == now[: len(before) - 1] and before[-1:] == now[-1:])
        self.links_changed = not (before and same)

    @contextmanager
    def stopped_by_any_error(self) -> Iterator[None]:
        """Let `run.json` say that the run has stopped, also where no step failed: the reader of its output has gone."""
        try:
            yield
            self.end_page()
        except BaseException as error:
            if self.state.status == "running":
                if isinstance(error, BrokenPipeError):
                    self.state.error = "the reader of the output, such as `head`, has ended"
                else:
                    self.state.error = str(error) or type(error).__name__
                pipe_or_signal = isinstance(error, BrokenPipeError | KeyboardInterrupt)
                self.state.status = "interrupted" if pipe_or_signal else "failed"
                with suppress(DataEngineError, OSError):
                    self.write_types()
                    self.publish()
            raise
        finally:
            self.pages.close()

    def keep(self, number: int) -> None:
        """Leave a step outside --from and --to as an earlier run made it; the index shows what there is."""
        if manifest := read_manifest(self.planned[number].manifest):
            self._show(number, "skipped", manifest)

    def step(self, number: int, force: bool) -> None:
        """Run one step; skip it when it was made from the same before, unless `force`."""
        item = self.planned[number]
        progress = f"[{number + 1}/{len(self.planned)}] {item.label}"
        manifest, before = self._new_manifest(item), read_manifest(item.manifest)
        if before and not force and is_up_to_date(before, manifest.identity, self.out, self.hashes):
            # the data stay; only the page is made again, where it is missing or its links have changed
            note = ""
            if self.links_changed or not item.html.is_file():
                try:
                    render_step(item)
                except DataEngineError as error:  # a damaged notebook, but what it made is there
                    note = f"; no page: {error}"
            self.print_line(f"{progress}: nothing changed, skipped{note}")
            self._show(number, "skipped", before)
            self._print_warnings(number)
            return
        if self._make_dropped_inputs(item):
            manifest = self._new_manifest(item)
        # without a manifest the step counts as not done, even if this run is killed
        item.manifest.unlink(missing_ok=True)
        self.state.steps[number].status = "running"
        self.publish()
        self.print_line(f"{progress} …")
        self.dropped = {path: digest for path, digest in self.dropped.items() if path not in item.outputs()}
        waiting = [later.label for later in self.planned[number + 1 : self.last + 1]]
        with self.display.step(progress, item.label, waiting) as bar_file:
            manifest = self._execute(number, manifest, bar_file)
        if manifest.taken_from:
            self.print_line(f"{progress}: taken over from {manifest.taken_from}")
        else:
            self.times.took(item.label, manifest.seconds)
        self.hashes.save()
        self._show(number, "done", manifest)
        self._print_warnings(number)
        self.publish()
        if self._has_page_beside(number):
            self.end_page()
            self.pages.begin(number, item)

    def end_page(self) -> None:
        """Wait for the page that is being written. Raises DataEngineError naming its step."""
        try:
            self.pages.end()
        except (DataEngineError, OSError, MemoryError) as error:
            number = self.pages.number
            reason = self._fail(number, error, self.state.steps[number].seconds or 0.0)
            raise DataEngineError(f"{self.planned[number].label} failed: {reason}") from error

    def end_rounds(self, number: int, planned: list[Planned], reason: str) -> None:
        """Go on with `planned`, which has the same steps up to `number` and then the comparison of all rounds."""
        self.end_page()
        item, known = self.planned[number], self.state.steps[: number + 1]
        self.planned = planned
        self.state.steps = known + waiting_steps(planned[number + 1 :])
        self.state.stopped = reason
        self.state.notes.append(
            f"until ended the rounds after round {item.round} of {self.state.rounds}: {reason}"
        )
        self.print_line(f"until: no round after round {item.round}: {reason}")
        self.publish()
        with suppress(DataEngineError):  # a damaged notebook of an earlier run; the index page says the same
            render_step(item)  # what comes next has changed

    def publish(self) -> None:
        """Write `run.json` and the index pages."""
        self.state.write(self.out)
        write_pages(self.out, RunningStep() if self.watched else None)

    def write_types(self) -> None:
        """Write the page of question types, which the index page links to."""
        self.state.write(self.out)
        try:
            write_type_page(self.out)
        except DataEngineError as error:  # a damaged file of an earlier round: all the rest is there
            self.print_line(f"no page of the question types: {error}")

    def _new_manifest(self, item: Planned) -> Manifest:
        """What the step would be made from now."""
        return current_manifest(item, self._source(item), self.hashes, self.dropped)

    def _make_dropped_inputs(self, item: Planned) -> bool:
        """Make the inputs of a step anew that were removed on purpose; whether there were any."""
        wanted = {path for paths in item.inputs().values() for path in paths} & set(self.dropped)
        for number, maker in enumerate(self.planned):
            if wanted & set(maker.outputs()):
                self.step(number, force=True)
        return bool(wanted)

    def _execute(self, number: int, manifest: Manifest, bar_file: Path) -> Manifest:
        """Execute and render the notebook, or take the step over from another run of a study; the complete manifest.

        Raises DataEngineError naming the step.
        """
        item = self.planned[number]
        began = time.monotonic()
        try:
            sharing = self.shared.step(item, manifest, self.out) if self.shared else nullcontext(None)
            with sharing as taken:
                if taken is not None:
                    render_step(
                        item
                    )  # the steps before and after it may be others than in the run that made it
                    return taken
                began = time.monotonic()  # without the wait for other runs
                done = execute(
                    self._source(item),
                    item.executed,
                    manifest.parameters,
                    item.step.name,
                    self.out,
                    bar_file,
                    # not for a single notebook, whose own kernel is there as soon
                    self.kernels if number < self.last or self.kernels.started else None,
                )
                manifest.work_seconds, manifest.warnings = round(done.seconds, 2), done.warnings
                written = [path for path in item.outputs() if path.exists()]
                manifest.outputs = [
                    Digest(os.path.relpath(path, self.out), self.hashes.of(path)) for path in written
                ]
                write_json(item.manifest, manifest)  # before rendering: the page lists the outputs in it
                if not self._has_page_beside(number):
                    render_step(item)
                # with the time of rendering, unless it is beside the next step; therefore written a second time
                manifest.seconds = round(time.monotonic() - began, 2)
                write_json(item.manifest, manifest)
                return manifest
        except BaseException as error:  # Ctrl-C as well: run.json must not say "running" afterwards
            reason = self._fail(number, error, time.monotonic() - began)
            if isinstance(error, (DataEngineError, OSError, MemoryError)):
                see = f"; see {item.html}" if item.html.is_file() else ""
                raise DataEngineError(f"{item.label} failed: {reason}{see}") from error
            raise

    def _has_page_beside(self, number: int) -> bool:
        """Whether the step's page is written while the next step works."""
        return self.pages.is_used and number < self.last

    def _fail(self, number: int, error: BaseException, seconds: float) -> str:
        """Keep and render the notebook as far as it ran, and record why it stopped. Returns the reason."""
        item, state = self.planned[number], self.state.steps[number]
        status: Literal["interrupted", "failed"] = "failed"
        if isinstance(error, KeyboardInterrupt):  # it has no message
            status, reason = "interrupted", "interrupted; run the same command again to continue"
        elif isinstance(error, OSError):
            reason = system_error_line(error)
        else:
            reason = str(error) or type(error).__name__
        state.status, state.seconds, state.error = status, round(seconds, 2), reason
        self.state.status, self.state.error = status, f"{item.label}: {state.error}"
        # On a full disk nothing more can be written; the reason why the step stopped is what counts.
        with suppress(DataEngineError, OSError):
            if item.executed.is_file():
                state.notebook = os.path.relpath(item.executed, self.out)
                # an error of rendering would only be raised once more
                if isinstance(error, NotebookFailed | KeyboardInterrupt):
                    render_step(item)
        with suppress(DataEngineError, OSError):
            self.publish()
        return state.error

    def _show(self, number: int, status: Status, manifest: Manifest) -> None:
        """Take what the index page shows of a step from its manifest."""
        item, state = self.planned[number], self.state.steps[number]
        state.status = status
        state.seconds = manifest.seconds
        state.overhead_seconds = round(manifest.seconds - manifest.work_seconds, 2)
        state.html = os.path.relpath(item.html, self.out)
        state.notebook = os.path.relpath(item.executed, self.out)
        state.outputs = [output.path for output in manifest.outputs]
        state.warnings = manifest.warnings
        if self.on_step:
            self.on_step(state, manifest)

    def _print_warnings(self, number: int) -> None:
        for line in self.state.steps[number].warnings:
            self.print_line(f"  warning: {line}")

    def _source(self, item: Planned) -> Path:
        return self.notebooks / f"{item.step.notebook}.ipynb"


def _labels_before(out: Path) -> list[str]:
    """The steps of the last run in this folder."""
    if not (out / "run.json").is_file():
        return []
    try:
        before: RunState = read_json(out / "run.json", RunState)
    except DataEngineError:
        return []  # a damaged file is written anew, and all pages with it
    return [step.label for step in before.steps]
