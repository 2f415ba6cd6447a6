"""Steps 3 and 4: a teacher's QA as JSON: the schema that it is asked to keep to, and what reads it."""

import re
from typing import Any, NamedTuple

from dataengine_lib.core.records import (
    FOUR_CHOICES,
    LETTERS,
    OPEN,
    YES_NO,
    QaForm,
    options_text,
    shows_options,
    skip_text,
)
from dataengine_lib.core.text import one_line
from dataengine_lib.replies.drop_reasons import DroppedReply
from dataengine_lib.replies.json_reply import strict_object
from dataengine_lib.replies.qa_fields import qa_fields

_STRING = {"type": "string"}
_ASKS_FOR_SHORT = "\nShort answer: "  # in the layout that a prompt shows


def qa_schema(prompt: str, form: QaForm = FOUR_CHOICES) -> dict[str, Any]:
    """The schema of a QA of this form; of a multiple-choice one with a short answer where the prompt asks for one.

    Where `skip` is true, `reason` says why no question was written and the other fields are ignored.
    """
    return strict_object(
        question=_STRING,
        **_answer_fields(prompt, form),
        explanation=_STRING,
        skip={"type": "boolean"},
        reason=_STRING,
    )


def _answer_fields(prompt: str, form: QaForm) -> dict[str, dict[str, Any]]:
    if form.kind == YES_NO:
        return {"answer": {"type": "string", "enum": ["Yes", "No"]}}
    if form.kind == OPEN:
        return {"answer": _STRING}
    short = {"short_answer": _STRING} if _ASKS_FOR_SHORT in prompt else {}
    count = form.n_choices
    return {
        **short,
        "choices": {"type": "array", "items": _STRING, "minItems": count, "maxItems": count},
        "answer": {"type": "string", "enum": list(LETTERS[:count])},
    }


class QaObject(NamedTuple):
    """A QA of a structured reply, each text on one line; nothing is checked yet.

    Fields that are missing or of a wrong type are empty; `short_answer` is None where the object has no such field.
    """

    question: str
    choices: list[str]
    answer: str
    short_answer: str | None
    explanation: str
    skip: bool
    reason: str

    @property
    def texts(self) -> list[str]:
        """The texts that may become training data; none where the teacher skips."""
        if self.skip:
            return []
        return [self.question, *self.choices, self.answer, self.short_answer or "", self.explanation]


def qa_objects(reply: str, form: QaForm = FOUR_CHOICES) -> list[QaObject]:
    """The QAs of a JSON reply to a request of this form; none where it is not JSON or holds no question.

    Raises DroppedReply where it cannot be known which of the QAs is meant, see `qa_fields`.
    """
    return [
        QaObject(
            question=_line(found.get("question")),
            choices=_choices(found["choices"]),
            answer=_line(found["answer"]),
            short_answer=_line(found["short_answer"]) if "short_answer" in found else None,
            explanation=_line(found["explanation"]),
            # servers that do not keep to the schema write "true"
            skip=str(found["skip"]).lower() == "true",
            reason=_line(found["reason"]),
        )
        for found in qa_fields(reply, form)
    ]


def v1_text(reply: str, form: QaForm = FOUR_CHOICES) -> str:
    """A JSON reply in the layout `Question: … Choices: … Answer: … Explanation: …`; any other text as it is.

    Replies of another form than multiple choice have no line of choices.

    Readers of v1's files expect this layout. Nothing is corrected: a letter outside the choices or a missing choice
    shows in the text.
    """
    try:
        return "\n\n".join(_qa_text(found, form) for found in qa_objects(reply, form)) or reply
    except DroppedReply:
        return reply


def _qa_text(found: QaObject, form: QaForm) -> str:
    if found.skip:
        return skip_text(found.reason or "Skip", form)
    if not shows_options(form.kind):
        lines = [f"Question: {found.question}", f"Answer: {found.answer}"]
        return "\n".join([*lines, *([f"Explanation: {found.explanation}"] if found.explanation else [])])
    # a letter in the words of the layout; an answer that does not keep to the schema as it was written
    answer = found.answer
    if len(answer) == 1 and answer.isalpha():
        place = LETTERS.find(answer)
        chosen = f": {found.choices[place]}." if 0 <= place < len(found.choices) else ""
        answer = f"The answer is ({answer}){chosen}"
    lines = [f"Question: {found.question}"]
    if found.short_answer is not None:
        lines.append(f"Short answer: {found.short_answer}")
    lines += [f"Choices: {options_text(found.choices)}", f"Answer: {answer}"]
    if found.explanation:
        lines.append(f"Explanation: {found.explanation}")
    return "\n".join(lines)


def _choices(given: list[str]) -> list[str]:
    """The choices; without their letters where every one begins with its own, "A. dog" or "(a) dog"."""
    choices = list(map(_line, given))
    if "".join(map(own_letter, choices)) == LETTERS[: len(choices)]:
        return [_OWN_LETTER.sub("", choice, count=1) for choice in choices]
    return choices


# matches the start of "(B) cat" · "[b] cat" · "(B): cat" · "B)cat" · "B. cat" · "**B:** cat" · "B - cat" · "Option B: cat"
# · "B：猫" · "B、猫"; not of "B.C." and "B 52", nor "(B)" with nothing behind it
_OWN_LETTER = re.compile(
    r"\A(?:\*\*)?(?:option |choice )?(?:"
    r"[(\[（](?P<enclosed>[A-J])[)\]）][.:：]?|(?P<closed>[A-J])[)）．：、]"
    r"|(?P<marked>[A-J])(?:[.:](?=(?:\*\*)? )| [-–—](?= ))"
    r")(?:\*\*)? *(?=\S)",
    re.IGNORECASE,
)


def own_letter(choice: str) -> str:
    """The letter, as a capital, that a choice begins with although the schema names it by its place; "" without one."""
    found = _OWN_LETTER.match(choice)
    return (found["enclosed"] or found["closed"] or found["marked"]).upper() if found else ""


def _line(value: Any) -> str:
    """A text on one line; empty for any other value. Lone surrogates (`\\ud800`) become question marks."""
    text = one_line(value) if isinstance(value, str) else ""
    return text.encode("utf-8", "replace").decode()
