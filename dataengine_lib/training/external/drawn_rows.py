"""Step 5, `trainer: command`: rows drawn for another trainer, which encodes them itself."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from dataengine_lib.core.bad_rows import BadRow, BadRows
from dataengine_lib.core.progress.bar import ProgressBar
from dataengine_lib.images.decode import header_fault
from dataengine_lib.training.texts import TextFormat, TrainingRow

IMAGE_MARKS = ("<image>", "<video>", "<audio>")  # trainers replace them with the image, video or sound
HOLDS_MARK = "text with an image token"  # reasons in `train_log.json`
NO_IMAGE_FILE = "image cannot be opened"
NOT_FOR_TRAINER = "not possible with this trainer"


@dataclass(frozen=True)
class DrawnRow:
    """One row in one text format."""

    row: TrainingRow
    text_format: TextFormat

    @property
    def turns(self) -> tuple[tuple[str, str], ...]:
        """Instruction and answer of each turn."""
        return self.row.turns(self.text_format)


FormatFault = Callable[[TrainingRow], str]


class TrainerData(NamedTuple):
    """The files of an export for a trainer; `image_list` is MiniGPT-4's, whose rows name images by number."""

    file: Path
    name: str
    image_list: Path | None = None


class RowChecker:
    """Makes a DrawnRow of each row that a trainer can read; others are added to `skipped` of their file.

    An image is judged by its header: the trainer decodes it. `fault` says why the format of the export cannot hold a
    row, empty where it can.
    """

    def __init__(self, skipped: Mapping[Path, BadRows], fault: FormatFault) -> None:
        self._skipped, self._format_fault = skipped, fault
        self._image_faults: dict[Path, str] = {}
        self._row_faults: dict[tuple[Path, str, TextFormat], bool] = {}

    def make(
        self, wanted: Sequence[tuple[TrainingRow, TextFormat]], bar: "ProgressBar[Any]"
    ) -> list[DrawnRow | None]:
        """A DrawnRow for each row, None for those that cannot be used; `bar` advances by one per new row."""
        return [DrawnRow(row, name) if self._usable(row, name, bar) else None for row, name in wanted]

    def _usable(self, row: TrainingRow, text_format: TextFormat, bar: "ProgressBar[Any]") -> bool:
        key = (row.file, row.where, text_format)
        if key not in self._row_faults:
            bar.update()
            self._row_faults[key] = self._has_fault(row, text_format)
        return not self._row_faults[key]

    def _has_fault(self, row: TrainingRow, text_format: TextFormat) -> bool:
        if row.image is not None:
            if row.image not in self._image_faults:
                self._image_faults[row.image] = header_fault(row.image)
            if fault := self._image_faults[row.image]:
                return self._leave_out(row, fault, NO_IMAGE_FILE)
        texts = [text for turn in DrawnRow(row, text_format).turns for text in turn]
        if mark := next((mark for mark in IMAGE_MARKS for text in texts if mark in text), None):
            return self._leave_out(row, f"holds {mark}, which trainers replace", HOLDS_MARK)
        if fault := self._format_fault(row):
            return self._leave_out(row, fault, NOT_FOR_TRAINER)
        return False

    def _leave_out(self, row: TrainingRow, reason: str, kind: str) -> bool:
        self._skipped[row.file].add(BadRow(row.where, reason, kind))
        self._skipped[row.file].check()
        return True
