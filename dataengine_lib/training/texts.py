"""Step 5: the instruction and the answer that the student learns from each row, and the usable rows of a file."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from dataengine_lib.core.records import LETTERS, Question, options_text
from dataengine_lib.core.text import one_line
from dataengine_lib.errors import DataEngineError
from dataengine_lib.images.references import image_ref, locate
from dataengine_lib.questions.reader import read_question_rows
from dataengine_lib.replies.other_datasets import others_format, read_turns

TextFormat = Literal["Q-A", "QM-A", "QM-AE", "mmbench"]
# reasons in `train_log.json` for rows that were skipped
MALFORMED = "malformed row"
NO_IMAGE = "image not found"
NO_RATIONALE = "no rationale for QM-AE"
_MAX_SHOWN = 20  # skipped rows that are listed with their details; all of them are counted


@dataclass(frozen=True)
class TrainingRow:
    """A question that can be trained on: where its image is and in which text formats it can be written.

    `where` is its file and row, for messages; no two rows share it. `as_is` is the instruction and the answer of a
    turn of a LLaVA conversation, which are used without a text format.
    """

    question: Question
    image: Path
    formats: tuple[TextFormat, ...]
    where: str
    as_is: tuple[str, str] | None = None

    def text(self, text_format: TextFormat) -> tuple[str, str]:
        """The instruction and the answer, as `training_text` gives them."""
        return self.as_is or training_text(self.question, text_format)


@dataclass
class SkippedTrainingRows:
    """Rows that are not trained on: counted by reason, the first few with file, row and detail."""

    counts: Counter[str] = field(default_factory=Counter)
    shown: list[str] = field(default_factory=list)

    def add(self, reason: str, where: str, detail: str = "") -> None:
        """Count one row."""
        self.counts[reason] += 1
        if len(self.shown) < _MAX_SHOWN:
            self.shown.append(f"{where}: {reason}" + (f" ({one_line(detail)[:160]})" if detail else ""))


def training_text(question: Question, text_format: TextFormat) -> tuple[str, str]:
    """The instruction and the answer of one question.

    Q-A: `{question}` -> `The answer is {answer}.`; QM-A: `{question}\\n(A) … (B) …` -> `The answer is (B) {answer}.`;
    QM-AE: the same with the longest rationale; mmbench: options on lines of their own, `A. …`.
    The longest rationale follows the answer in QM-AE, and in mmbench where there is one.
    Source: the v1 data sets of MLLM-DataEngine (minigpt4/datasets/datasets/vqa_dataset.py).
    """
    asked, right = question.question.strip(), question.correct_choice_idx
    choice = question.choices[right].strip()
    if text_format == "Q-A":
        return asked, f"The answer is {choice}."
    answer = f"The answer is ({LETTERS[right]}) {choice}."
    with_options = f"{asked}\n{options_text(question.choices)}"
    if text_format == "QM-A":
        return with_options, answer
    explained = (
        f"{answer} {max((text.strip() for text in question.rationales), key=len, default='')}".rstrip()
    )
    if text_format == "QM-AE":
        return with_options, explained
    lines = "\n".join(f"{LETTERS[i]}. {choice}" for i, choice in enumerate(question.choices))
    return f"{asked}\n{lines}", explained


def read_training_rows(
    file: Path, root: Path, formats: list[TextFormat], skipped: SkippedTrainingRows
) -> list[TrainingRow]:
    """The usable rows of any question file, or the turns of LLaVA conversations; others are added to `skipped`.

    Each turn is a row of its own, without the turns before it. `root` is where image paths start.
    Raises DataEngineError when the file as such cannot be read.
    """
    # a turn has its own words, so one text format stands for all
    if others_format(file) == "llava":
        return _turn_rows(file, root, formats[:1], skipped)
    questions, wrong = read_question_rows(file, root)
    for row in wrong:
        skipped.add(MALFORMED, f"{file}: {row.row}", row.reason)
    rows = []
    for question in questions:
        where = f"{file}: {question.question_id}"
        try:
            image = root / locate(image_ref(question.image_id, question.image_path), root)
        except DataEngineError as error:
            skipped.add(NO_IMAGE, where, str(error))
            continue
        explained = any(text.strip() for text in question.rationales)
        # QM-AE needs a rationale; the other formats are always possible
        possible = tuple(name for name in formats if name != "QM-AE" or explained)
        if possible:
            rows.append(TrainingRow(question, image, possible, where))
        else:
            skipped.add(NO_RATIONALE, where)
    return rows


def _turn_rows(
    file: Path, root: Path, formats: list[TextFormat], skipped: SkippedTrainingRows
) -> list[TrainingRow]:
    rows: list[TrainingRow] = []
    seen: dict[str, Path | str] = {}  # by the image's name: its path, or why it was not found
    for number, turn in read_turns(file):
        if isinstance(turn, str):
            reason = NO_IMAGE if turn.startswith("image:") else MALFORMED
            skipped.add(reason, f"{file}: row {number}", turn)
            continue
        where = f"{file}: {number}, {turn.key}"
        if turn.image not in seen:
            try:
                seen[turn.image] = root / locate(image_ref(None, turn.image), root)
            except DataEngineError as error:
                seen[turn.image] = str(error)
        image = seen[turn.image]
        if isinstance(image, str):
            skipped.add(NO_IMAGE, where, image)
        elif not turn.asked or not turn.answer:
            skipped.add(MALFORMED, where, "an empty turn")
        else:
            # `as_is` below is what is learnt; a row needs a question all the same
            question = Question(question=turn.asked, choices=[turn.answer], correct_choice_idx=0)
            rows.append(TrainingRow(question, image, tuple(formats), where, (turn.asked, turn.answer)))
    return rows
