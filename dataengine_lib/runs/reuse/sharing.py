"""What a study offers to its runs (all steps): a step that another run has made from the same is taken over."""

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from dataengine_lib.runs.manifest import Manifest
from dataengine_lib.runs.workflow import Planned


class SharedSteps(Protocol):
    """The steps that the runs of a study have made."""

    def step(self, item: Planned, manifest: Manifest, out: Path) -> AbstractContextManager[Manifest | None]:
        """Entered before a step that `manifest` describes is made in the run's folder `out`; waits while another run
        makes the same.

        Gives the manifest when the step was taken over: its files are in place. None means that the block has to make
        it, with its manifest.
        """
        ...
