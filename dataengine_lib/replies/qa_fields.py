"""Step 4: the fields of a QA in a JSON reply that does not keep to the schema, read where one reading is possible.

Servers that ignore a schema put a QA into other objects or lists, into code fences or between words, and call its
fields by other names. What can be read in two ways is left empty, so that the QA is dropped with a reason.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from dataengine_lib.core.records import CHOICE, FOUR_CHOICES, LETTERS, MOST_CHOICES, NO_ANSWER, QaForm
from dataengine_lib.core.text import choice_key
from dataengine_lib.replies.choices import written_choices
from dataengine_lib.replies.drop_reasons import DroppedReply, Reason
from dataengine_lib.replies.headings import plain_text
from dataengine_lib.replies.json_reply import NumberText, json_values, meant_by_number, unique_fields

_DEEPEST = 6  # objects and lists around a QA
_SCHEMA = {"question", "choices", "answer", "explanation", "skip", "reason"}
_CHOICES = ("choices", "options")
# `correct_choice_idx` is A-OKVQA's own field, counted from 0; of the others it is not known
_ANSWERS = (
    "answer", "correct_answer", "correct_choice", "correct_option", "correct", "right_answer", "answer_letter",
    "correct_letter", "answer_text", "answer_index", "correct_index", "answer_idx", "correct_choice_idx",
)  # fmt: skip
_EXPLANATIONS = ("explanation", "rationale", "reasoning", "explanations", "rationales")
# matches "A" · "(b)" · "option C" · "choice_2" · "1.", the name of a choice; not "-1"
_LABEL = re.compile(r"[\s(\[*]*(?:option|choice)?[\s_-]*([A-Ja-j]|(?<!-)\d)[\s)\].:*]*", re.IGNORECASE)
_LABEL_FIELDS = ("letter", "label", "id", "key", "option")
_TEXT_FIELDS = ("text", "value", "content", "choice", "answer")


def qa_fields(reply: str, form: QaForm = FOUR_CHOICES) -> list[dict[str, Any]]:
    """The QAs of a JSON reply to a request of this form, under the names of the schema, texts and numbers as texts.

    `choices` is a list of texts, `answer` a text, for a number the letter that it stands for. The list is empty where
    the reply is no JSON or holds no question. Raises DroppedReply where one object holds QAs under different names, as
    a draft and a final one: it cannot be known which is meant.
    """
    if "{" not in reply:
        return []
    values = json_values(reply)
    flat = [one for value in values for one in (value if isinstance(value, list) else [value])]
    if form.kind == CHOICE and all(_keeps_to_schema(one, form.n_choices) for one in flat):
        return flat
    return [_canonical(one, form) for value in values for one in _qas_in(value, _DEEPEST)]


def _keeps_to_schema(value: Any, count: int) -> bool:
    """Whether a JSON value is a QA in the form of the schema, with its letter: the usual case, and the fastest."""
    if not isinstance(value, dict) or not _SCHEMA <= value.keys() <= _SCHEMA | {"short_answer"}:
        return False
    answer, choices = value["answer"], value["choices"]
    # by `type`: a NumberText is a str too
    if type(choices) is not list or len(choices) != count or type(answer) is not str or len(answer) != 1:
        return False
    texts = (*choices, value["question"], value["explanation"])
    return answer in LETTERS and all(type(one) is str for one in texts)


def _qas_in(value: Any, depth: int) -> Iterator[dict[str, Any]]:
    """The QAs in a JSON value, in their order, with their fields' names in small letters."""
    if not depth:
        return
    if isinstance(value, list):
        for one in value:
            yield from _qas_in(one, depth - 1)
    elif isinstance(value, dict):
        fields = unique_fields(
            [(re.sub(r"\W+", "_", name.strip().lower()), one) for name, one in value.items()]
        )
        if _is_qa(fields):
            yield fields
            return
        inside = {name: list(_qas_in(one, depth - 1)) for name, one in fields.items()}
        inside = {name: qas for name, qas in inside.items() if qas}
        # "qa_1" and "qa_2" are two QAs, "example" and "qa" may be one
        if len({re.sub(r"[\d_]+", "", name) for name in inside}) > 1:
            raise DroppedReply(Reason.REPEATED_PART)
        for qas in inside.values():
            yield from qas


def _is_qa(fields: Mapping[str, Any]) -> bool:
    """Whether an object is a QA or says that the teacher skips."""
    if str(fields.get("skip")).lower() == "true":
        return True
    return isinstance(fields.get("question"), str) and any(
        name in fields for name in (*_CHOICES, *_ANSWERS, "skip", "b")
    )


def _canonical(fields: Mapping[str, Any], form: QaForm) -> dict[str, Any]:
    labels, choices = _choices(fields, form.n_choices)
    canonical = {
        "question": fields.get("question"),
        "choices": choices,
        "answer": _answer(fields, choices, labels) if form.kind == CHOICE else _answer_in_words(fields),
        "explanation": _explanation(fields),
        "skip": fields.get("skip"),
        "reason": fields.get("reason"),
    }
    if "short_answer" in fields:
        canonical["short_answer"] = fields["short_answer"]
    return canonical


def _answer_in_words(fields: Mapping[str, Any]) -> str:
    """The answer to a question without choices: a text, a number or, of a yes/no question, a JSON truth value."""
    words = {True: "Yes", False: "No"}
    given = [fields[name] for name in _ANSWERS if fields.get(name) is not None]
    texts = [words[one] if isinstance(one, bool) else _answer_text(one) for one in given]
    texts = [text for text in texts if text]
    return texts[0] if len({choice_key(text) for text in texts}) == 1 else ""


def _choices(fields: Mapping[str, Any], count: int) -> tuple[list[str], list[str]]:
    """(labels, choices); the labels are those of choices by number, "1" to "4", else there are none."""
    given = [fields[name] for name in _CHOICES if name in fields]
    if len(given) == 2 and given[0] != given[1]:
        return [], []
    if not given:
        # {"question": …, "A": "dog", "B": "cat", …}
        given = [{letter: fields[letter] for letter in LETTERS.lower() if letter in fields}]
    choices = given[0]
    if isinstance(choices, str) and not isinstance(choices, NumberText):
        try:
            return [], written_choices(plain_text(choices), count)
        except DroppedReply:
            return [], []
    if isinstance(choices, list):
        choices = choices[:MOST_CHOICES]  # a runaway list has thousands
        if not any(isinstance(one, dict) for one in choices):
            return [], [one if isinstance(one, str) else "" for one in choices]
        # [{"A": "dog"}, {"B": "cat"}] · [{"letter": "A", "text": "dog"}, …] · [{"text": "dog"}, …]
        pairs = [_labelled(one) for one in choices]
        if all(text and not label for label, text in pairs):
            return [], [text for _, text in pairs]
        choices = dict(pairs) if len(dict(pairs)) == len(pairs) else {}
    return _by_label(choices) if isinstance(choices, dict) else ([], [])


def _labelled(choice: Any) -> tuple[str, str]:
    """(label, text) of a choice that is an object; the text is empty where it has no such form."""
    if not isinstance(choice, dict):
        return "", ""
    if len(choice) == 1:
        ((label, text),) = choice.items()
        if label.lower() in _TEXT_FIELDS:
            label = ""
        return label, text if isinstance(text, str) else ""
    labels = [choice[name] for name in _LABEL_FIELDS if isinstance(choice.get(name), str)]
    texts = [choice[name] for name in _TEXT_FIELDS if isinstance(choice.get(name), str)]
    return (labels[0] if labels else "", texts[0]) if len(texts) == 1 and len(labels) < 2 else ("", "")


def _by_label(choices: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """(labels, choices) of choices by letter or by number, in the order of these; none where one is missing."""
    found: dict[str, str] = {}
    for label, text in choices.items():
        if not (named := _LABEL.fullmatch(label)) or not isinstance(text, str) or named[1].upper() in found:
            return [], []
        found[named[1].upper()] = text
    labels = sorted(found)
    joined = "".join(labels)
    if not joined or len(joined) > MOST_CHOICES:
        return [], []
    if LETTERS.startswith(joined):
        return [], [found[label] for label in labels]
    if joined in "0123456789" and joined[0] in "01":
        return labels, [found[label] for label in labels]
    return [], []


def _answer(fields: Mapping[str, Any], choices: list[str], labels: list[str]) -> str:
    """The answer as a text; a number as the letter of the choice that it stands for. Empty where fields disagree."""
    texts: list[str] = []
    places: set[int] | None = None  # that the numbers among the fields can mean
    for name in _ANSWERS:
        text = _answer_text(fields.get(name))
        # "(2)" · "option 2" where the choices have numbers
        if labels and (label := _LABEL.fullmatch(text)):
            text = label[1]
        if not _is_number(text, choices, labels):
            texts += [text] if text else []
            continue
        if name == "correct_choice_idx":
            found = {int(text)} if len(text) == 1 else set()
        elif name.endswith(("index", "idx")):
            found = {int(text), int(text) - 1} if len(text) == 1 else set()
        elif text in labels:
            found = {labels.index(text), *(place for place, choice in enumerate(choices) if choice == text)}
        else:
            found = meant_by_number(text, choices)
        found &= set(range(len(choices)))
        places = found if places is None else places & found
    whole = _joined(texts)
    if places is None or (texts and not whole):
        return whole
    if not texts:
        return LETTERS[places.pop()] if len(places) == 1 else ""
    named = {place for place, choice in enumerate(choices) if choice_key(choice) == choice_key(whole)}
    # "B" · "(B) cat"; what else stands alone, or between brackets, agrees with no number: "(", "(see above)"
    if len(whole) == 1 or whole[0] == "(":
        letter = whole.removeprefix("(").partition(")")[0]
        named.add(LETTERS.find(letter.upper()) if len(letter) == 1 else NO_ANSWER)
    return whole if not named or named & places else ""


def _joined(texts: list[str]) -> str:
    """Several fields of one answer as one text, `(B) cat`, in which letter and text are compared later."""
    letters = {text.strip("()[]. ").upper() for text in texts if len(text.strip("()[]. ")) == 1}
    words = {choice_key(text): text for text in texts if len(text.strip("()[]. ")) != 1}
    if len(letters) > 1 or len(words) > 1:
        return ""
    letter, text = "".join(letters), "".join(words.values())
    return f"({letter}) {text}" if letter and text else letter or text


def _is_number(text: str, choices: list[str], labels: list[str]) -> bool:
    """Whether an answer is a number in place of a letter; a text that is a choice, and no label, is no such number."""
    if isinstance(text, NumberText):
        return True
    return text.isascii() and text.isdigit() and (text in labels or text not in choices)


def _answer_text(given: Any) -> str:
    if isinstance(given, list) and len(given) == 1:
        given = given[0]
    if isinstance(given, dict):  # {"letter": "B", "text": "cat"} · {"B": "cat"}
        label, text = _labelled(given)
        return f"({label}) {text}" if label and text else text
    if isinstance(given, NumberText):
        return given
    return given.strip() if isinstance(given, str) else ""


def _explanation(fields: Mapping[str, Any]) -> Any:
    # where the object has no `skip`, its `reason` is not that of a skip
    names = (*_EXPLANATIONS, *(() if "skip" in fields else ("reason",)))
    given = next((fields[name] for name in names if fields.get(name)), "")
    if isinstance(given, list) and all(isinstance(one, str) for one in given):
        return " ".join(given)
    return given
