"""Step 5: the instruction and the answer that the student learns from each row, and the usable rows of a file."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from dataengine_lib.core.bad_rows import MALFORMED, BadRow, BadRows
from dataengine_lib.core.records import LETTERS, Question, options_text
from dataengine_lib.errors import DataEngineError
from dataengine_lib.images.references import image_ref, locate
from dataengine_lib.questions.reader import read_question_rows
from dataengine_lib.replies.other_datasets import TEXT_ALONE, holds_chats, read_turns

TextFormat = Literal["Q-A", "QM-A", "QM-AE", "mmbench"]
# reasons in `train_log.json` for rows that were skipped
NO_IMAGE = "image not found"
NO_IMAGE_NEEDED = "text without an image"  # as in LLaVA's mix: right for its trainer, but not used here
# right in themselves, but not for every family
NO_TEXT_ALONE = "text without an image, which this student cannot learn"
SEVERAL_TURNS = "several turns, of which an encoder-decoder learns one"
EMPTY_TURN = "empty question or answer"
NO_RATIONALE = "no rationale for QM-AE"


@dataclass(frozen=True)
class TrainingRow:
    """A question that can be trained on: where its image is and in which text formats it can be written.

    `image` is None for text alone. `where` is its row in its `file`, for messages; no two rows of the file share it.
    `as_is` holds the instruction and the answer of each turn of a conversation, which are used without a text format.
    """

    question: Question
    image: Path | None
    formats: tuple[TextFormat, ...]
    file: Path
    where: str
    as_is: tuple[tuple[str, str], ...] = ()

    def turns(self, text_format: TextFormat) -> tuple[tuple[str, str], ...]:
        """The instruction and the answer of each turn, as `training_text` gives them for a question."""
        return self.as_is or (training_text(self.question, text_format),)


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
    file: Path, root: Path, formats: list[TextFormat], skipped: BadRows
) -> list[TrainingRow]:
    """The usable rows of any question file, or the turns of conversations; others are added to `skipped`.

    Each turn is a row of its own, without the turns before it. `root` is where image paths start.
    Raises DataEngineError when the file as such cannot be read, or too many of its rows cannot be used.
    """
    earlier = skipped.counts.total()
    # a turn has its own words, so one text format stands for all
    if holds_chats(file):
        rows = _turn_rows(file, root, formats[:1], skipped)
    else:
        rows = _question_rows(file, root, formats, skipped)
    skipped.n_rows += len(rows) + skipped.counts.total() - earlier
    skipped.check()
    if not rows and skipped.counts[NO_IMAGE_NEEDED]:
        raise DataEngineError(
            f"{file}: none of its conversations has an image, which every training row needs; give another file"
        )
    return rows


def _question_rows(file: Path, root: Path, formats: list[TextFormat], skipped: BadRows) -> list[TrainingRow]:
    questions, wrong = read_question_rows(file, root)
    skipped.add(*wrong)
    rows = []
    for question in questions:
        where = question.question_id
        try:
            image = root / locate(image_ref(question.image_id, question.image_path), root)
        except DataEngineError as error:
            skipped.add(BadRow(where, str(error), NO_IMAGE))
            continue
        explained = any(text.strip() for text in question.rationales)
        # QM-AE needs a rationale; the other formats are always possible
        possible = tuple(name for name in formats if name != "QM-AE" or explained)
        if possible:
            rows.append(TrainingRow(question, image, possible, file, where))
        else:
            skipped.add(BadRow(where, "", NO_RATIONALE))
    return rows


def _turn_rows(file: Path, root: Path, formats: list[TextFormat], skipped: BadRows) -> list[TrainingRow]:
    rows: list[TrainingRow] = []
    seen: dict[str, Path | str] = {}  # by the image's name: its path, or why it was not found
    for row, turn in read_turns(file):
        if isinstance(turn, str):
            kind = NO_IMAGE if turn.startswith("image:") else MALFORMED
            skipped.add(BadRow(row, turn, NO_IMAGE_NEEDED if turn == TEXT_ALONE else kind))
            continue
        where = f"{row}, {turn.key}"
        if turn.image not in seen:
            try:
                seen[turn.image] = root / locate(image_ref(None, turn.image), root)
            except DataEngineError as error:
                seen[turn.image] = str(error)
        image = seen[turn.image]
        if isinstance(image, str):
            skipped.add(BadRow(where, image, NO_IMAGE))
        elif not turn.asked or not turn.answer:
            skipped.add(BadRow(where, "an empty turn", EMPTY_TURN))
        else:
            # `as_is` below is what is learnt; a row needs a question all the same
            question = Question(question=turn.asked, choices=[turn.answer], correct_choice_idx=0)
            rows.append(
                TrainingRow(question, image, tuple(formats), file, where, ((turn.asked, turn.answer),))
            )
    return rows
