"""Step 4: what the teacher wrote, read into QAs of the form that was asked for, or dropped with one reason.

A structured reply is read from its JSON, any other from its text by its headings; both pass the same checks
(one_qa). Replies come from a model and are not trusted: every repetition in a pattern has a limit, so that the time is
linear in the length of the reply, and an ambiguous reply is dropped, never guessed.
The templates of `resources/prompts` ask for the layout that is read here.
"""

import re
from collections.abc import Iterable, Sequence

from dataengine_lib.chat.reply import reply_end
from dataengine_lib.core.reasoning import after_reasoning
from dataengine_lib.core.records import CHOICE, FOUR_CHOICES, LETTERS, QaForm, Result, right_answer
from dataengine_lib.core.text import choice_key
from dataengine_lib.replies.choices import (
    joined_lines,
    other_number,
    says_skip,
    split_off_choices,
    without_separator,
    written_choices,
)
from dataengine_lib.replies.drop_reasons import DroppedReply, Reason
from dataengine_lib.replies.headings import Block, blocks, plain_text
from dataengine_lib.replies.kinds.prose import needless_choices, prose_block
from dataengine_lib.replies.one_qa import Qa, QaParts, checked_qa, without_lead
from dataengine_lib.replies.qa_json import QaObject, own_letter, qa_objects

MAX_CHARACTERS = 20_000  # a QA has a few hundred; longer replies are loops or pasted documents

# A trainer's tokenizer would read these as its own special tokens: "<|im_end|>" · "</s>" · "<image>" · "<think>";
# "<｜User｜>" of DeepSeek, "<start_of_turn>" of Gemma, "<IMG_CONTEXT>" of InternVL, "<ImageHere>" of MiniGPT-4
_TOKEN = re.compile(
    r"<\|[\w -]{1,30}\|>|<｜[^<>｜]{1,30}｜>|</?(?:s|img|think|thinking)>|<(?:unk|pad|bos|eos|mask)>"
    r"|<(?:image|video|audio|ImageHere|IMG_CONTEXT|(?:start|end)_of_(?:turn|image))>",
    re.IGNORECASE,
)
_END_TOKEN = re.compile(r"\s{0,3}(?:<\|[\w -]{1,30}\|>|</s>)\Z")
# "skip" in a reply without a question; not the field `"skip": false` of JSON that was cut off
_SAYS_SKIP = re.compile(r"\bskip(?!\" ?:)", re.IGNORECASE)


def parse_result(row: Result) -> list[Qa] | Reason:
    """Every QA of a results row, or the one reason why it is dropped; from the reply's JSON where the row has it."""
    form = QaForm.of(row)
    # any other end than a regular one is a cut: the last part may be incomplete
    truncated = reply_end(row.finish_reason, row.raw_instructions) not in ("stop", "empty")
    if row.reply_json and (found := _parse_json(row.reply_json, truncated, form)):
        return found
    found = parse_reply(row.raw_instructions, truncated=truncated, form=form)
    if found is Reason.NO_QUESTION and len(row.raw_instructions) <= MAX_CHARACTERS:
        # rows of other programs, and of versions that did not read the form of this JSON
        return _parse_json(row.raw_instructions, truncated, form) or found
    return found


def _parse_json(reply: str, truncated: bool, form: QaForm) -> list[Qa] | Reason | None:
    """As `parse_reply`, of a JSON reply; None where it is not JSON or holds no question."""
    try:
        objects = qa_objects(reply, form)
    except DroppedReply as dropped:
        return dropped.reason
    return _parse_objects(objects, truncated, form) if objects else None


def parse_reply(raw: str, *, truncated: bool = False, form: QaForm = FOUR_CHOICES) -> list[Qa] | Reason:
    """Every QA of a text reply, or the one reason why it is dropped; of two QAs, both are taken or both dropped.

    `truncated`: the reply was cut off at the token limit, so its last part is incomplete. `form` is what was asked for.
    """
    if len(raw) > MAX_CHARACTERS:
        return Reason.TOO_LONG
    raw = after_reasoning(raw)[0]
    text = plain_text(raw)
    if "<" in text:
        text = _END_TOKEN.sub("", text)
        if _TOKEN.search(text):
            return Reason.TOKEN
    found = blocks(text, form.kind == CHOICE)
    if not found and form.kind != CHOICE:
        found = prose_block(text)
    if not found:
        return Reason.SKIPPED if _SAYS_SKIP.search(text[:300]) else Reason.NO_QUESTION
    if truncated:
        last = found[-1]
        if last[-1][0] != "explanation":
            return Reason.TRUNCATED
        last.pop()  # the incomplete rationale; the QA before it is complete
    plain = text.casefold()
    may_skip = "skip" in plain or not plain.isascii()  # IGNORECASE matches İ and ı as i
    return _qas((_block_parts(block, may_skip, form) for block in found), plain, form)


def _block_parts(block: Block, may_skip: bool, form: QaForm) -> QaParts:
    """The parts of a question's block. Raises DroppedReply where they are not the choices asked for and one answer."""
    parts = dict(reversed(block))  # the first of each kind
    question = parts["question"]
    if may_skip and says_skip(question, form.n_choices):
        raise DroppedReply(Reason.SKIPPED)
    if form.kind == CHOICE and "choices" not in parts:
        question, parts["choices"] = split_off_choices(question, form.n_choices)
    answer, short = parts.get("answer", ""), parts.get("short", "")
    if may_skip and any(says_skip(text, form.n_choices) for text in (without_lead(answer), short)):
        raise DroppedReply(Reason.SKIPPED)
    if len(parts) < len(block):
        kinds = [kind for kind, _ in block]
        if any(kinds.count(kind) > 1 for kind in ("choices", "answer", "short")):
            raise DroppedReply(Reason.REPEATED_PART)
    return QaParts(
        question=question,
        choices=written_choices(parts["choices"], form.n_choices)
        if form.kind == CHOICE
        else needless_choices(parts.get("choices", "")),
        answer=answer,
        short_answer=short,
        explanations=[joined_lines(text) for kind, text in block if kind == "explanation"],
    )


def _parse_objects(objects: Sequence[QaObject], truncated: bool, form: QaForm) -> list[Qa] | Reason:
    """As `parse_reply`, of the QAs of a structured reply."""
    found = list(map(_plain_object, objects))
    text = "\n".join(["\n".join(one.texts) for one in found])
    # the length of all QAs together, as for a text reply
    if len(text) > MAX_CHARACTERS:
        return Reason.TOO_LONG
    if "<" in text and _TOKEN.search(text):
        return Reason.TOKEN
    if truncated and not found[-1].skip:
        if not found[
            -1
        ].explanation:  # it follows the QA in the schema: without it, the QA itself may be incomplete
            return Reason.TRUNCATED
        found[-1] = found[-1]._replace(explanation="")
    return _qas((_object_parts(one, form) for one in found), text.casefold(), form)


def _plain_object(found: QaObject) -> QaObject:
    """The object with each text cleaned as a text reply is."""
    return QaObject(
        question=plain_text(found.question),
        choices=list(map(plain_text, found.choices)),
        answer=plain_text(found.answer),
        short_answer=plain_text(found.short_answer or ""),
        explanation=_END_TOKEN.sub("", plain_text(found.explanation)),
        skip=found.skip,
        reason=found.reason,
    )


def _object_parts(found: QaObject, form: QaForm) -> QaParts:
    """The parts of a structured QA. Raises DroppedReply where they are not the choices asked for and one answer."""
    count = form.n_choices
    if found.skip or says_skip(found.question, count):
        raise DroppedReply(Reason.SKIPPED)
    is_choice = form.kind == CHOICE
    index = LETTERS.find(found.answer.upper()) if is_choice and len(found.answer) == 1 else -1
    # the choice of that letter, before it is known that there are enough
    right = found.choices[index] if 0 <= index < len(found.choices) else ""
    # "Skip" is the teacher's own word in place of an answer, but a choice like any other where its letter is given
    if index < 0 and says_skip(without_lead(found.answer), count):
        raise DroppedReply(Reason.SKIPPED)
    if says_skip(found.short_answer or "", count) and not says_skip(right, count):
        raise DroppedReply(Reason.SKIPPED)
    if is_choice:
        _check_choices(found, count)
    return QaParts(
        question=found.question,
        choices=list(map(without_separator, found.choices)),
        answer=found.answer,
        short_answer=found.short_answer or "",
        explanations=[found.explanation],
        letter_index=index if index >= 0 else None,
    )


def _check_choices(found: QaObject, count: int) -> None:
    """Raise DroppedReply where a structured QA has not `count` choices, or it is unclear what their letters mean."""
    if not found.choices:
        raise DroppedReply(Reason.NO_CHOICES)
    if len(found.choices) != count:
        raise DroppedReply(other_number(count))
    # the question would show the choices in their old order after a shuffle
    if _holds_choices(found.question, found.choices):
        raise DroppedReply(Reason.REPEATED_PART)
    if sorted(letters := list(map(own_letter, found.choices))) == [*LETTERS[:count]] != letters:
        raise DroppedReply(Reason.DISAGREE)  # the answer's letter may mean either of two


def _holds_choices(question: str, choices: Sequence[str]) -> bool:
    """Whether the question holds the choices with their letters too: `Which? (A) Dog (B) cat (C) cow (D) pig`."""
    question, choices = question.casefold(), [choice.casefold() for choice in choices]
    if not all(choice in question for choice in choices):
        return False
    end = 0
    for letter, choice in zip(LETTERS.lower(), choices, strict=False):
        mark = re.compile(rf"\b{letter} ?[.:)\]] ?{re.escape(choice)}")  # "a) dog" · "a. dog"
        if (found := mark.search(question, end)) is None:
            return False
        end = found.end()
    return True


def _qas(found: Iterable[QaParts], plain: str, form: QaForm) -> list[Qa] | Reason:
    """The QAs of a reply, all of them checked, or the first reason against one."""
    try:
        qas = [checked_qa(parts, plain, form.kind) for parts in found]
    except DroppedReply as dropped:
        return dropped.reason
    if len(qas) > 1 and _contradict(qas):
        return Reason.CONTRADICTS
    return qas


def _contradict(qas: Sequence[Qa]) -> bool:
    """Whether two of them are the same question with the same choices and different right ones."""
    answers: dict[tuple[str, frozenset[str]], str] = {}
    for qa in qas:
        choices = list(map(choice_key, qa.choices))
        right = choice_key(right_answer(qa))
        if answers.setdefault((choice_key(qa.question), frozenset(choices)), right) != right:
            return True
    return False
