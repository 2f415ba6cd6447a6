"""Random forms of one QA in JSON: it is read as it was meant, or dropped with a reason; never with another answer."""

import json
from random import Random
from typing import Any

import pytest

from dataengine_lib.core.records import Result
from dataengine_lib.replies.drop_reasons import Reason
from dataengine_lib.replies.parse import parse_result
from dataengine_lib.replies.qa_json import v1_text

CHOICES = [
    ["a dog", "a fox", "a cow", "a pig"],
    ["1", "2", "3", "4"],
    ["2", "3", "4", "5"],
    ["0", "1", "2", "3"],
    ["A", "B", "C", "D"],
    ["B", "A", "D", "C"],
    ["D.C.", "A.M.", "B.C.", "C.D."],
    ["yes", "no", "both", "neither"],
    ["$1", "-1", "1.50", "1"],
]


def choices_in_some_form(rng: Random, choices: list[str]) -> tuple[dict[str, Any], list[str]]:
    """The fields that hold the choices, and the names by which the right one may be called."""
    letters, numbers, places = list("ABCD"), list("1234"), list("0123")
    numeric = [int(one) if one.isdigit() else one for one in choices]
    name = rng.choice(["choices", "options", "Choices"])
    forms: list[tuple[dict[str, Any], list[str]]] = [
        ({name: choices}, letters),
        ({name: numeric}, letters),
        ({name: dict(zip(letters, choices, strict=True))}, letters),
        ({name: dict(zip(numbers, choices, strict=True))}, numbers),
        ({name: dict(zip(places, numeric, strict=True))}, places),
        ({name: [{"letter": a, "text": b} for a, b in zip(letters, choices, strict=True)]}, letters),
        ({name: [{a: b} for a, b in zip(letters, choices, strict=True)]}, letters),
        ({name: " ".join(f"({a}) {b}" for a, b in zip(letters, choices, strict=True))}, letters),
        ({name: [f"{a}. {b}" for a, b in zip(letters, choices, strict=True)]}, letters),
        (dict(zip(letters, choices, strict=True)), letters),
    ]
    return rng.choice(forms)


def answer_in_some_form(rng: Random, choices: list[str], names: list[str], right: int) -> dict[str, Any]:
    """The fields that hold the answer: its name among the choices, its text, both, or its index from 0 or 1."""
    label, text = names[right], choices[right]
    field = rng.choice(["answer", "correct_answer", "correct", "Answer"])
    index = right + rng.randrange(2)
    forms: list[Any] = [label, f"({label})", f"({label}) {text}", [label], {"letter": label, "text": text}]
    # a text that is another choice's letter or number is read as such
    called = [*"ABCD", *map(str, range(5))]
    if text not in called:
        forms += [text, f"{text}.", [text], {"text": text}]
    if names[0] == "A":
        forms += [index, index, index]
    found = {field: rng.choice(forms)}
    if rng.randrange(4) == 0:
        found["answer_index"] = index
    if rng.randrange(6) == 0:
        found["correct_choice_idx"] = right
    return found


def wrapped(rng: Random, qa: dict[str, Any]) -> str:
    """The QA as a reply, in other objects, lists, fences or words."""
    value: Any = qa
    for _ in range(rng.randrange(3)):
        value = rng.choice([{"qa": value}, [value], {"result": value, "id": 1}, {"questions": [value]}])
    text = json.dumps(value, indent=rng.choice([None, 2]))
    return rng.choice(["{}", "```json\n{}\n```", "Here:\n{}\nDone.", "<think>A {x}?</think>\n{}"]).replace(
        "{}", text
    )


@pytest.mark.parametrize("seed", range(4))
def test_a_qa_in_any_form_keeps_its_answer_or_is_dropped(seed: int) -> None:
    rng, read = Random(seed), 0
    for _ in range(600):
        choices, right = rng.choice(CHOICES), rng.randrange(4)
        fields, names = choices_in_some_form(rng, choices)
        qa = {"question": "What runs?", **fields, **answer_in_some_form(rng, choices, names, right)}
        reply = wrapped(rng, qa | {"explanation": "It runs."})
        text = v1_text(reply)
        row = Result(image_id=1, raw_instructions=text, question_type="ocr")
        row.reply_json = reply if text != reply else ""
        found = parse_result(row)
        if isinstance(found, Reason):
            assert found in (Reason.NO_ANSWER, Reason.NO_CHOICES, Reason.DISAGREE, Reason.OUTSIDE), reply
            continue
        (one,) = found
        assert [text.strip(" .") for text in one.choices] == [text.strip(" .") for text in choices], reply
        assert (one.choices[one.correct_choice_idx], one.correct_choice_idx) == (one.choices[right], right), (
            reply
        )
        read += 1
    assert read > 300
