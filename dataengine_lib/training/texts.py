"""Step 5: the instruction and the answer that the student learns from each row; exports write the same texts."""

from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Literal, Self

import msgspec

from dataengine_lib.core.records import LETTERS, OPEN, Question, most_accepted, options_text, shows_options
from dataengine_lib.replies.letter_mentions import moved, names_letters, names_places

TextFormat = Literal["Q-A", "QM-A", "QM-AE", "mmbench", "answer", "letter"]
# reasons in `train_log.json` for rows that are right in themselves, but not for every family
NO_TEXT_ALONE = "text without an image, which this student cannot learn"
SEVERAL_TURNS = "several turns, of which an encoder-decoder learns one"
OVER_MAX_LENGTH = "longer than max_length"
_EXPLAINED = ("QM-AE", "mmbench")  # formats whose answer ends with a rationale
_NO_OPTIONS = ("Q-A", "answer")  # formats that do not show the options
_LETTER_ALONE = "Answer with the option's letter from the given choices directly."
_FEW_WORDS = "Answer the question using a single word or phrase."
# What is asked about the image of a caption; neither short nor detailed, because captions may be either.
CAPTION_INSTRUCTIONS = (
    "Describe this image.",
    "What can be seen in this picture?",
    "Write a caption for this image.",
    "Say what this picture shows.",
    "Give a description of the image.",
)


@dataclass(frozen=True)
class TrainingRow:
    """A question, conversation or caption that can be trained on, and the text formats in which it can be written.

    `where` is its row in its `file`, for messages; no two rows of the file share it. `image` is None for text alone.
    `conversation` is the instruction and the answer of each turn, used without a text format; empty for a question.
    With `varies`, every use of the row has another text (see `for_use`), and `use` tells these texts apart.
    """

    question: Question
    image: Path | None
    formats: tuple[TextFormat, ...]
    file: Path
    where: str
    conversation: tuple[tuple[str, str], ...] = ()
    varies: Literal["", "options", "instruction"] = ""
    use: str = ""
    answer: str = ""  # the sentence of the text format `answer`

    def turns(self, text_format: TextFormat) -> tuple[tuple[str, str], ...]:
        """(instruction, answer) of each turn; a question has one, as `training_text` gives it."""
        return self.conversation or (training_text(self.question, text_format, self.answer),)

    def for_use(self, text_format: TextFormat, rng: Random) -> Self:
        """The row as one use of it is written: its options in a new order, or a caption's instruction drawn.

        A row that does not vary is returned as it is, and nothing is drawn from `rng`.
        """
        if self.varies == "instruction":
            asked = rng.choice(CAPTION_INSTRUCTIONS)
            return replace(self, conversation=((asked, self.conversation[0][1]),), use=asked)
        if self.varies == "options":
            question = with_options_shuffled(self.question, text_format, rng)
            use = f"{question.correct_choice_idx} of {question.choices}"
            return self if question is self.question else replace(self, question=question, use=use)
        return self


def training_text(question: Question, text_format: TextFormat, sentence: str = "") -> tuple[str, str]:
    """The instruction and the answer of one question.

    Q-A: `{question}` -> `The answer is {answer}.`; QM-A: `{question}\\n(A) … (B) …` -> `The answer is (B) {answer}.`;
    QM-AE: the same with the longest rationale; mmbench: options on lines of their own, `A. …`. The longest rationale
    follows the answer in QM-AE, and in mmbench where there is one.
    answer: `{question}` -> `sentence`, a v2 record's `answer`, or else the right choice; letter: options as in mmbench and
    `Answer with the option's letter from the given choices directly.` -> `B`.
    Source: the v1 data sets of MLLM-DataEngine (minigpt4/datasets/datasets/vqa_dataset.py), and those of v2 (ENGINEDAVQA
    and ENGINEMCVQA in engine_vqa_datasets.py); the letter's instruction is LLaVA-1.5's too.
    A yes/no or open-ended question has one text in all formats of v1, that of Q-A: what step 1 asks and scores. In
    answer it is `{question}` -> `Yes`, in letter the same with `Answer the question using a single word or phrase.`, as
    LLaVA-1.5 asks the questions of VQAv2, GQA, MME and POPE.
    """
    asked, right = question.question.strip(), question.correct_choice_idx
    if not shows_options(question.answer_kind):
        return _without_options(question, text_format)
    choice = question.choices[right].strip()
    if text_format == "Q-A":
        return asked, f"The answer is {choice}."
    if text_format == "answer":
        return asked, sentence.strip() or choice
    lines = "\n".join(f"{LETTERS[i]}. {choice}" for i, choice in enumerate(question.choices))
    if text_format == "letter":
        return f"{asked}\n{lines}\n{_LETTER_ALONE}", LETTERS[right]
    answer = f"The answer is ({LETTERS[right]}) {choice}."
    with_options = f"{asked}\n{options_text(question.choices)}"
    if text_format == "QM-A":
        return with_options, answer
    explained = f"{answer} {_rationale(question)}".rstrip()
    return with_options if text_format == "QM-AE" else f"{asked}\n{lines}", explained


def _without_options(question: Question, text_format: TextFormat) -> tuple[str, str]:
    asked = question.question.strip()
    if question.answer_kind == OPEN:
        answer = most_accepted(question.direct_answers).strip()
    else:
        answer = question.choices[question.correct_choice_idx].capitalize()
    if text_format == "answer":
        return asked, answer
    if text_format == "letter":
        return f"{asked}\n{_FEW_WORDS}", answer
    return asked, f"The answer is {answer}."


def with_options_shuffled(question: Question, text_format: TextFormat, rng: Random) -> Question:
    """The question with its options in a random order, the right answer's index and its rationale's letters to match.

    The order stays where the text shows no options, where the question or an option names places ("all of the
    above"), and where it is unclear what a letter in the rationale that is taught means.
    Source: ENGINEMCPVQADataset of MLLM-DataEngine v2, which shuffles all.
    """
    choices, rationale = question.choices, _rationale(question) if text_format in _EXPLAINED else ""
    if (
        text_format in _NO_OPTIONS
        or not shows_options(question.answer_kind)
        or names_places(question.question, *choices, count=len(choices))
    ):
        return question
    order = rng.sample(range(len(choices)), len(choices))
    adapted = moved(rationale, order, choices) if len(choices) == 4 else rationale
    # letters are followed among four options only
    unclear = adapted is None or (len(choices) != 4 and names_letters(rationale, len(choices)))
    if unclear or order == list(range(len(choices))):
        return question
    return msgspec.structs.replace(
        question,
        choices=[choices[old] for old in order],
        correct_choice_idx=order.index(question.correct_choice_idx),
        rationales=[adapted] if adapted else [],
    )


def _rationale(question: Question) -> str:
    """The rationale that is taught: the longest."""
    return max((text.strip() for text in question.rationales), key=len, default="")
