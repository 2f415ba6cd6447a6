"""Reviewer (step 4): a person accepts, rejects or edits records in JupyterLab; a report shows the number of decisions."""

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

from dataengine_lib.report.tables import Html, escaped
from dataengine_lib.widgets.keys import KEY_GUARD, KEY_SCRIPT
from dataengine_lib.widgets.lab_form import LabForm
from dataengine_lib.widgets.review.form import ReviewForm
from dataengine_lib.widgets.review.images import ReadImage, images_below
from dataengine_lib.widgets.review.queue import ReviewItem, read_review_items
from dataengine_lib.widgets.review.session import DECISION_KINDS, ReviewSession


class ReviewedFiles(Protocol):
    """What `reviewer` reads of a result of step 4."""

    output: Path
    rejects_path: Path
    review_path: Path
    image_root: Path | None


def reviewer(result: ReviewedFiles, file: Path | str | None = None) -> "Reviewer":
    """All kept and dropped records of a result of step 4; decisions go to `file`, by default step 4's review file."""
    return Reviewer(
        result.output, result.rejects_path, Path(file) if file else result.review_path, result.image_root
    )


@dataclass
class Reviewer(LabForm):
    """The records of `output` and `rejects` with their images below `image_root`; each decision is written to `file`.

    `read_image` reads the images in place of `image_root`. A report shows the number of decisions. Raises DataEngineError
    where a file cannot be read, when it is shown.
    """

    script = KEY_GUARD + KEY_SCRIPT

    output: Path
    rejects: Path | None
    file: Path
    image_root: Path | None = None
    read_image: ReadImage | None = None
    warnings: list[str] = field(default_factory=list)

    @cached_property
    def items(self) -> list[ReviewItem]:
        """Every record, in the order of the queue."""
        return read_review_items(self.output, self.rejects, self.warnings)

    @cached_property
    def session(self) -> ReviewSession:
        """The queue and the decisions."""
        return ReviewSession(self.items, self.file)

    @cached_property
    def form(self) -> ReviewForm:
        """The widget's parts, built when they are first shown."""
        return ReviewForm(self.session, self.read_image or images_below(self.image_root))

    def summary(self) -> Html:
        """How many records were accepted, rejected and edited so far, and which come first."""
        counts = self.session.counts()
        made = ", ".join(f"{counts[kind]:,} {kind}" for kind in DECISION_KINDS)
        kept = sum(item.record is not None for item in self.items)
        doubted = sum(item.doubt > 0 for item in self.items[:kept])
        text = (
            f"Decisions in {self.file.name}: {made}. They are made in JupyterLab and take effect the next time step 4 "
            f"runs. The form holds all {kept:,} kept records and the {len(self.items) - kept:,} dropped ones after them"
        )
        first = f"; it begins with {doubted:,} whose answer readers or student doubt, most disagreement first"
        lines = [text + (first if doubted else "") + ".", *self.warnings]
        return Html("".join(f'<p class="why">{escaped(line)}</p>' for line in lines))

    def make_widget(self) -> Any:
        """The form over the session."""
        return self.form.box
