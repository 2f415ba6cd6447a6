"""Steps 0, 1, 4 and 5: records of MLLM-DataEngine v2, read as question files and written as an export.

Their fields are `instruction, answer, short_answer, options, choice_answer, image, qtype`.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from dataengine_lib.core.records import LETTERS, Question
from dataengine_lib.questions.categories import type_name
from dataengine_lib.questions.rows import FoundRow, OwnFields, RowFault, answer_index, filled, found_row
from dataengine_lib.questions.seed_bench import IMAGE_TYPES

_REASONING = 8
# The nine types of SEED-Bench as v2 numbers them, and the types of v1; 8 is visual reasoning.
_QTYPES = {type_name(name): number for number, name in enumerate(IMAGE_TYPES, 1)} | {
    "image_scene": 1,
    "image_style": 1,
    "image_emotion": 1,
    "image_topic": 1,
    "image_quality": 1,
    "identity_reasoning": 2,
    "attribute_recognition": 3,
    "attribute_comparison": 3,
    "physical_property_reasoning": 3,
    "object_localization": 4,
    "spatial_relationship": 6,
    "action_recognition": 7,
    "physical_relation": 7,
    "social_relation": 7,
    "nature_relation": 7,
    "ocr": 9,
}


def v2_record(question: Question, image: str) -> dict[str, Any]:
    """A question as a v2 record; a type that is not in _QTYPES counts as reasoning."""
    return {
        "instruction": question.question,
        "answer": question.choices[question.correct_choice_idx],
        "short_answer": question.direct_answers[0],
        "options": question.choices,
        "choice_answer": LETTERS[question.correct_choice_idx],
        "image": image,
        "qtype": _QTYPES.get(question.question_type, _REASONING),
    }


def is_v2(rows: Sequence[Any]) -> bool:
    """Whether rows have v2's keys, by the first row that is an object."""
    first = next((row for row in rows if isinstance(row, dict)), {})
    return "instruction" in first and "image" in first and "question" not in first


def letter_of(row: Mapping[str, Any]) -> Any:
    """The right option's letter; the published files misspell its key."""
    return row.get("choice_answer") or row.get("choide_answer")


def qtype_name(qtype: Any) -> str:
    """The question type that v2's number 1 to 9 means, empty for any other value."""
    text = str(qtype)
    # ASCII alone: "²" is a digit too, and int() refuses it
    place = int(text) if text.isascii() and text.isdigit() and len(text) < 3 else 0
    return type_name(IMAGE_TYPES[place - 1]) if 0 < place <= len(IMAGE_TYPES) else ""


def v2_row(where: str, row: Any, own: OwnFields) -> FoundRow:
    """A record in A-OKVQA's fields.

    Source: MiniGPT-4/minigpt4/datasets/datasets/engine_vqa_datasets.py of MLLM-DataEngine.
    """
    return (
        found_row(where, _fields(row, own), row.get("image"))
        if isinstance(row, dict)
        else FoundRow(where, row)
    )


def _fields(row: dict[str, Any], own: OwnFields) -> dict[str, Any] | RowFault:
    if not isinstance(row.get("options"), list):
        return "unusable choices", "options is not a list of choices"
    choices = filled(row["options"])
    correct = answer_index(letter_of(row), choices)
    if isinstance(correct, tuple):
        return correct
    short = row.get("short_answer")
    found = {
        "choices": ["" if choice is None else choice for choice in choices],
        "correct_choice_idx": correct,
        "question_type": qtype_name(row.get("qtype")),
        "image_path": row.get("image"),
        "direct_answers": [short] if isinstance(short, str) and short.strip() else [],
        "rationales": rationales(row),
        **own.of(row),
    }
    # without the key where the row has none, so that the check in reader.py reports the missing question
    return {**found, "question": row["instruction"]} if "instruction" in row else found


# matches "A. " · "(A) " · "A:"
_MARKED = re.compile(r"\(?([A-Z])[.):]\s*")


def unmarked(options: Sequence[Any]) -> list[str]:
    """The options as texts; without their letters where every one begins with its own, "A. dog"."""
    texts = [str(option).strip() for option in options]
    marks = [_MARKED.match(text) for text in texts]
    if all(mark and mark[1] == letter for mark, letter in zip(marks, LETTERS, strict=False)):
        return [text[mark.end() if mark else 0 :] for text, mark in zip(texts, marks, strict=True)]
    return texts


def rationales(row: Mapping[str, Any]) -> list[str]:
    """The answer sentence of a v2 record as the one rationale; none where it only repeats an option or short answer."""
    answer, options = row.get("answer"), row.get("options")
    if not isinstance(answer, str) or not answer.strip():
        return []
    repeated = {str(row.get("short_answer") or "").strip().casefold()}
    if isinstance(options, list):  # with and without its letter, as the answer may have it
        both = zip(options, unmarked(options), strict=True)
        repeated |= {
            text.casefold() for option, bare in both if option for text in (str(option).strip(), bare)
        }
    # an answer of full stops alone says nothing either
    return [] if answer.strip().rstrip(".").casefold() in repeated | {""} else [answer.strip()]
