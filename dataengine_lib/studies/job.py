"""One run of a study as it is handed to the process that carries it out, and what that process reports."""

from pathlib import Path
from typing import Any

import msgspec

from dataengine_lib.runs.parameters import Experiment, ExperimentHead


class Job(msgspec.Struct, frozen=True):
    """Everything that a run needs: the experiment as it was when the study began, whatever becomes of its YAML."""

    file: str  # of the base experiment: relative paths start beside it
    head: dict[str, Any]
    sections: dict[str, dict[str, Any]]
    set_keys: list[str]
    set_by: str
    study: str  # folder of the study
    folder: str  # the run's, seen from the study's
    threads: int
    keep_checkpoints: str
    here: str  # the folder in which the study was started
    notebooks: str

    @classmethod
    def of(
        cls, experiment: Experiment, study: Path, folder: str, threads: int, keep: str, notebooks: Path
    ) -> "Job":
        """The job of a run of the study in the folder `study`."""
        return cls(
            file=str(experiment.file),
            head=experiment.head.model_dump(mode="json"),
            sections=experiment.sections,
            set_keys=list(experiment.set_keys),
            set_by=experiment.set_by,
            study=str(study),
            folder=folder,
            threads=threads,
            keep_checkpoints=keep,
            here=str(Path.cwd()),
            notebooks=str(notebooks),
        )

    @property
    def experiment(self) -> Experiment:
        """The experiment of the run."""
        head = ExperimentHead.read(self.head, self.file)
        return Experiment(Path(self.file), head, self.sections, tuple(self.set_keys), self.set_by)

    @property
    def out(self) -> Path:
        """The run's folder."""
        return Path(self.study) / self.folder


class Event(msgspec.Struct, frozen=True):
    """What a run reports: a step that is there, or its own end. `seconds` are those of the step or the whole run.

    `made`: not unchanged, and not taken over from another run.
    """

    folder: str
    step: str = ""  # its label; empty at the end of the run
    made: bool = False
    seconds: float = 0.0
    error: str = ""  # why the run failed; empty for a step and for a run that is done
