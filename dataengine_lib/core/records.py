"""The typed records that the steps pass on in files, with the public field names of MLLM-DataEngine and A-OKVQA.

Readers are lenient: fields that the original leaves out have defaults, unknown fields are ignored. Writers write every
field but those that are UNSET.
"""

import re
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple, Protocol

import msgspec

ANSWERS_FILE = "aokvqa_eval.json"  # the answers of an evaluation; of a panel's set, in a folder of its name
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
NO_ANSWER = -1  # the correct_choice_idx of a question in a test split whose answers are not public
NO_TYPE = "unclassified"  # the type under which questions without one are counted
# How a question is answered, the `answer_kind` of every record; an empty one, as older files have it, is CHOICE.
CHOICE = "choice"
YES_NO = "yes_no"  # choices are ["yes", "no"], and no prompt shows them
OPEN = "open"  # no choices, NO_ANSWER as correct_choice_idx, accepted answers in `direct_answers`
KINDS = (CHOICE, YES_NO, OPEN)
_NO_SCORE = -1.0
RIGHT_SCORE = 0.5  # an answer with at least this score counts as correct
# How an image is named: a number in COCO, a text in Open Images (`000a1249af2bc5f0`).
ImageId = int | str
UNKNOWN_IMAGE = -1  # the id of an image that only its path names
_ID_LIMIT = 2**63  # ids are stored as int64
_ID_CHARACTERS = 1000  # of a text
_NUMBER = re.compile(
    r"(-?[0-9]{1,40})(?:\.0+)?"
)  # "42", "000000370270", and "42.0" as pandas writes a number


def shows_options(kind: str) -> bool:
    """Whether the text of a question of this `answer_kind` shows its choices: not of yes/no and open-ended ones."""
    return kind not in (YES_NO, OPEN)


def image_id_of(given: ImageId | None) -> ImageId:
    """An image id as all steps compare and write it: a number, also one in quotes, as int; any other text as it is.

    A missing, empty or negative id is UNKNOWN_IMAGE. Raises ValueError for a number beyond 64 bits and for a text that
    is too long.
    """
    if isinstance(given, str):
        text = given.strip()
        number = _NUMBER.fullmatch(text)
        if number is None or int(number[1]) >= _ID_LIMIT:  # digits beyond 64 bits are a name, not a number
            if len(text) > _ID_CHARACTERS:
                raise ValueError(f"an image id of {len(text):,} characters")
            return text or UNKNOWN_IMAGE
        given = int(number[1])
    if given is None or given < 0:
        return UNKNOWN_IMAGE
    if given >= _ID_LIMIT:
        raise ValueError(f"image id {str(given)[:40]} has more than 64 bits")
    return given


def image_name(image_id: ImageId, image_path: str) -> str:
    """A name of an image by which rows about it are put together: its id, or its path where it has none."""
    return image_path if image_id == UNKNOWN_IMAGE else str(image_id)


# Lists as defaults are safe here: msgspec gives every record an empty list of its own.
class Question(msgspec.Struct, kw_only=True):
    """One A-OKVQA-style question; `question_type` is empty until step 0 has classified it."""

    split: str = ""
    image_id: ImageId = UNKNOWN_IMAGE
    question_id: str = ""
    question: str
    choices: list[str]
    correct_choice_idx: int
    direct_answers: list[str] = []
    difficult_direct_answer: bool = False
    rationales: list[str] = []
    question_type: str = ""
    image_path: str = ""
    prompt: str = ""
    teacher_type: str = ""  # the type that step 0's teacher gave a question whose type was known
    answer_kind: str = ""

    def __post_init__(self) -> None:
        self.image_id = image_id_of(self.image_id)


class Answer(msgspec.Struct, kw_only=True):
    """One row of `aokvqa_eval.json` and of the bad cases: a question and the student's answer.

    `scores` holds one number per choice, higher is better (minus the mean token loss for `rank: text`); it is empty
    where the choice was read from a written answer. `predicted_choice_idx` is -1 where the answer names no choice, and
    counts as wrong. `reversed_choice_idx` is the choice when the options were shown in reverse order, as an index into
    `choices`; `rotated_choice_idx` holds those of the options rotated by 1, 2, …, and `correct` then means right in each
    rotation. `score` in [0, 1] is 1 or 0 where an option was chosen, and may lie between them for an open-ended
    question; it is taken from `correct` where it is not given, as in older files.
    """

    image_id: ImageId = UNKNOWN_IMAGE
    image_path: str = ""
    idx: int = -1
    question: str
    choices: list[str]
    correct_choice_idx: int
    direct_answers: list[str] = []
    difficult_direct_answer: bool = False
    model_answer: str = ""
    question_type: str = ""
    prompt: str = ""
    question_id: str = ""
    split: str = ""
    rationales: list[str] = []
    predicted_choice_idx: int = -1
    correct: bool = False
    scores: list[float] = []
    direct_answer: str | None = ""  # None: not asked
    direct_answer_score: float = 0.0
    written: str = ""  # the text that the choice was read from
    reversed_choice_idx: int | None = None  # None: not asked
    reversed_scores: list[float] = []
    teacher_type: str = ""  # the type that step 0's teacher gave a question whose type was known
    answer_kind: str = ""
    score: float = _NO_SCORE
    rotated_choice_idx: list[int] | msgspec.UnsetType = msgspec.UNSET  # absent: not asked in rotations

    def __post_init__(self) -> None:
        self.image_id = image_id_of(self.image_id)
        if self.score == _NO_SCORE:
            self.score = float(bool(self.correct))  # None where a reader does not know it yet


class Query(msgspec.Struct, kw_only=True):
    """One request to the teacher, a row of `gptvqa_prompt.json`."""

    image_id: ImageId
    prompt: str
    question_type: str
    query_id: str = ""
    image_path: str = ""
    anchor_image_id: ImageId = UNKNOWN_IMAGE
    anchor_image_path: str = ""
    example_ids: list[str] = []
    neighbour: bool = False
    similarity: float | None = None
    template: str = ""
    prompt_sha256: str = ""
    attach_image: bool = False  # whether the teacher is sent the image with the prompt
    round: int = 0  # of the loop; 0 when the step was run alone
    answer_kind: str = ""  # of the QA that is asked for
    n_choices: int | msgspec.UnsetType = msgspec.UNSET  # that a multiple-choice QA shall have; absent: four
    cause: str | msgspec.UnsetType = msgspec.UNSET  # what its examples have in common; absent: not known

    def __post_init__(self) -> None:
        self.image_id = image_id_of(self.image_id)
        self.anchor_image_id = image_id_of(self.anchor_image_id)
        QaForm.of(self)


class Result(msgspec.Struct, kw_only=True):
    """What the teacher wrote for one query, a row of `gptvqa_result.jsonl`.

    `raw_instructions` is text in the layout of MLLM-DataEngine v1; where it was made from a structured reply, that
    reply is `reply_json`, from which step 4 reads the QA. `request_key` to `round` say where the row comes from: the
    key of its request in the ledger, and its query's own fields.
    """

    image_id: ImageId
    raw_instructions: str
    question_type: str
    query_id: str = ""
    image_path: str = ""
    model: str = ""
    finish_reason: str = ""
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    request_key: str = ""
    template: str = ""
    prompt_sha256: str = ""
    example_ids: list[str] = []
    round: int = 0
    reply_json: str = ""  # as the teacher wrote it; empty where the reply was text
    answer_kind: str = ""
    n_choices: int | msgspec.UnsetType = msgspec.UNSET  # as in its query
    cause: str | msgspec.UnsetType = msgspec.UNSET  # as in its query

    def __post_init__(self) -> None:
        self.image_id = image_id_of(self.image_id)
        QaForm.of(self)


class TrainRecord(msgspec.Struct, kw_only=True):
    """One QA that passed post-processing, a row of `gptvqa_train_data.json`.

    `model` to `round` are the lineage, copied from the Result: teacher, request, prompt and bad cases.
    `record_id` names this one QA: its query's id, with `-2` for the second QA of the same reply, or a hash of the row
    when there is no query id. `review` and the fields after it are results of step 4; a default value says that the
    check was off or could not judge this record.
    """

    image_id: ImageId
    raw_instructions: str
    question_type: str
    question: str
    choices: list[str]
    correct_choice_idx: int
    rationales: list[str] = []
    query_id: str = ""
    image_path: str = ""
    short_answer: str = ""  # to the question without its choices, where the prompt asked for one
    model: str = ""
    request_key: str = ""
    template: str = ""
    prompt_sha256: str = ""
    example_ids: list[str] = []
    round: int = 0
    record_id: str = ""
    review: str = ""  # a person's decision: accept or edit
    box_check: str = ""  # supported or refuted by the image's boxes
    student_answer: int | None = None  # the choice of the student that will train on it
    student_probability: float | None = None  # of the right choice, by that student
    second_answer: int | None = None  # the second readers' choice by their votes, -1 when they named none
    second_answers: dict[str, int] = {}  # the choice of each second reader by its name, -1 when it named none
    blind_answer: int | None = None  # the choice of the readers without the image, -1 when they named none
    blind_score: float | None = None  # probability of the right choice, from a classifier of the text alone
    leak: str = ""  # what it shares with the evaluation: an image, a near-duplicate of one, or a question
    near_duplicate_of: str = ""  # id of a record with nearly the same question on the same image
    answer_kind: str = ""  # of an open QA, `short_answer` is the answer
    cause: str | msgspec.UnsetType = msgspec.UNSET  # as in its query

    def __post_init__(self) -> None:
        self.image_id = image_id_of(self.image_id)


MOST_CHOICES = 10  # that a teacher is asked for, and benchmarks have


class QaForm(NamedTuple):
    """The form of the QA that a teacher is asked for: its answer kind and, of CHOICE, the number of options."""

    kind: str = CHOICE
    n_choices: int = 4

    @classmethod
    def of(cls, row: Query | Result) -> "QaForm":
        """The form that a query asks for, and in which its result is read. Raises ValueError for an unknown one."""
        if not row.answer_kind and row.n_choices is msgspec.UNSET:  # the usual case
            return FOUR_CHOICES
        kind, count = row.answer_kind or CHOICE, 4 if row.n_choices is msgspec.UNSET else row.n_choices
        if kind not in KINDS:
            raise ValueError(f"answer_kind {kind[:40]!r} is not {CHOICE}, {YES_NO} or {OPEN}")
        if not 2 <= count <= MOST_CHOICES:
            raise ValueError(f"n_choices {count} is not a number from 2 to {MOST_CHOICES}")
        return cls(kind, count)


FOUR_CHOICES = QaForm()


def skip_text(reason: str, form: QaForm = FOUR_CHOICES) -> str:
    """The reply, in the layout that step 2's prompts ask for, by which a teacher says that it writes no question."""
    choices = "Choices: Skip\n" if shows_options(form.kind) else ""
    return f"Question: Skip\n{choices}Answer: Skip\nExplanation: {reason}"


# matches the end of step 2's prompts for yes/no questions
_WANTED_ANSWER = re.compile(r"to which the answer is (Yes|No)\.\s*\Z")


def wanted_answer(prompt: str) -> str:
    """Yes or No where a prompt of step 2 asks for a yes/no question with that answer, else empty."""
    found = _WANTED_ANSWER.search(prompt)
    return found[1] if found else ""


class AnsweredQa(Protocol):
    """What `right_answer` reads of a training record, of this round or of an earlier one, or of a QA of a reply."""

    choices: list[str]
    correct_choice_idx: int
    short_answer: str


def right_answer(record: AnsweredQa) -> str:
    """The text of the right answer: the right choice or, of an open-ended question, the short answer."""
    return record.choices[record.correct_choice_idx] if record.choices else record.short_answer


def options_text(choices: list[str]) -> str:
    """The choices on one line as every prompt shows them: `(A) dog (B) cat …`."""
    return " ".join(f"({LETTERS[i]}) {choice}" for i, choice in enumerate(choices))


def qa_prompt(
    question: str,
    choices: list[str],
    correct: int,
    question_type: str,
    kind: str = CHOICE,
    accepted: Sequence[str] = (),
) -> str:
    """The `prompt` field of classified questions and bad cases, as MLLM-DataEngine publishes it for multiple choice.

    Other kinds have a line `Answer: Yes` or, for an open-ended question, the most frequent of its `accepted` answers.
    """
    if not shows_options(kind):
        answer = most_accepted(accepted) if kind == OPEN else choices[correct].capitalize()
        answered = f"Answer: {answer}"
    else:
        answered = (
            f"Choices: {options_text(choices)}\n"
            f"Answer: The answer is ({LETTERS[correct]}): {choices[correct]}."
        )
    return f"Question: {question}\n{answered}\nQuestion type: {question_type.replace('_', ' ')}"


def question_prompt(question: Question, question_type: str | None = None) -> str:
    """`qa_prompt` of a question that has an answer; of its own type where `question_type` is None."""
    return qa_prompt(
        question.question,
        question.choices,
        question.correct_choice_idx,
        question.question_type if question_type is None else question_type,
        question.answer_kind,
        question.direct_answers,
    )


def most_accepted(answers: Sequence[str]) -> str:
    """The most frequent of the accepted answers, of equally frequent ones the first; empty where there are none."""
    return Counter(answers).most_common(1)[0][0] if answers else ""
