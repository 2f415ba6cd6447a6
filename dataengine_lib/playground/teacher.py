"""The playground's scripted teacher: it reads only the prompt, as a GPT-class model would, and answers by rules.

Behind `playground/server.py` it stands in for a hosted model in the demo. It is a script and reports say so.
"""

import json
import re
from random import Random
from typing import Any

from dataengine_lib.core.records import LETTERS
from dataengine_lib.playground.captions import Facts, read_captions
from dataengine_lib.playground.questions import WRITERS, write_question
from dataengine_lib.playground.reader import MARK, read_question
from dataengine_lib.playground.server import message_text
from dataengine_lib.playground.world import Box
from dataengine_lib.replies.json_reply import as_text

_TYPE = re.compile(r"^Question type: (.+)$", re.M)
_OBJECT = re.compile(r"- ([a-z][a-z -]*): \[([\d.]+), ([\d.]+), ([\d.]+), ([\d.]+)\]")
_NUMBERED = re.compile(r"^(\S+): (.+?)(?: Choices: .*)?$", re.M)
_NO_SUPPORT = "The image information does not support this question type."
SKIP = f"Question: Skip\nChoices: Skip\nAnswer: Skip\nExplanation: {_NO_SUPPORT}"


def reply(messages: list[dict]) -> str:
    """The answer to a chat: a QA, Skip, a choice's letter, or a type per question when the chat asks for types."""
    prompt = "\n".join(map(message_text, messages))
    if MARK in prompt:
        return answer(prompt)
    if "Image information" in prompt:
        return write_qa(prompt)
    return classify(prompt)


def structured_reply(messages: list[dict], schema: dict) -> str:
    """The same as JSON: a QA with step 3's fields, `{"answer"}`, or step 0's `{"types": [{"id", "question_type"}]}`."""
    prompt = "\n".join(map(message_text, messages))
    if MARK in prompt:
        return json.dumps({"answer": answer(prompt)})
    if "question" in schema.get("properties", {}):
        qa = compose_qa(prompt)
        blank = {
            "choices": [""] * 4,
            "answer": "A",
            "skip": qa is None,
            "reason": _NO_SUPPORT if qa is None else "",
        }
        return json.dumps({name: (qa or {}).get(name, blank.get(name, "")) for name in schema["properties"]})
    lines = classify(prompt).splitlines()
    pairs = [line.split(": ") for line in lines]
    return json.dumps({"types": [{"id": int(number), "question_type": kind} for number, kind in pairs]})


def answer(prompt: str) -> str:
    """The letter of the choice that the prompt's captions and boxes prove, a guess where it has none."""
    information = prompt.rpartition(MARK)[2].partition("Image information")[2]
    return read_question(prompt, _facts(information) if information else None)


def write_qa(prompt: str) -> str:
    """A QA in the layout that the prompt asks for, or Skip."""
    qa = compose_qa(prompt)
    return SKIP if qa is None else as_text(json.dumps(qa))


def compose_qa(prompt: str) -> dict[str, Any] | None:
    """A QA of the prompt's question type that its captions and boxes prove, or None. The same prompt, the same QA."""
    asked = _TYPE.findall(prompt)
    question_type = asked[0].split("(")[0].split(" - ")[0].strip().replace(" ", "_") if asked else ""
    if question_type not in WRITERS:
        return None
    rng = Random(prompt)
    qa = write_question(question_type, _facts(prompt.rpartition("Image information")[2]), rng)
    if qa is None:
        return None
    choices = [qa.answer, *rng.sample(qa.wrong, 3)]
    rng.shuffle(choices)
    short = {"short_answer": qa.short or qa.answer} if "\nShort answer: " in prompt else {}
    letter = LETTERS[choices.index(qa.answer)]
    return {"question": qa.question, **short, "choices": choices, "answer": letter, "explanation": qa.why}


def _facts(section: str) -> Facts:
    captions, _, objects = section.partition("Objects")
    lines = [line[2:].strip() for line in captions.splitlines() if line.startswith("- ")]
    boxes: list[tuple[str, Box]] = []
    for name, x0, y0, x1, y1 in _OBJECT.findall(objects):
        boxes.append((name, (float(x0), float(y0), float(x1), float(y1))))
    return read_captions(lines, boxes)


# The words by which a question gives its type away, most telling first.
_SIGNS = (
    ("job|who is", "identity_reasoning"), ("made of|material", "physical_property_reasoning"), ("color",
    "attribute_recognition"),
    ("good for|could somebody use", "function_reasoning"), ("compared with|seen from", "spatial_relationship"),
    ("placed|rest at", "physical_relation"), ("largest|smallest", "attribute_comparison"), ("living things",
    "nature_relation"),
    ("happen", "future_prediction"), ("quality", "image_quality"), ("doing|does the .* do", "action_recognition"),
    ("two people", "social_relation"), ("style|was the picture made", "image_style"), ("mood|feeling", "image_emotion"),
    ("picture about|topic", "image_topic"), ("young of|speak", "knowledge-based_reasoning"),
    ("take place|which place", "image_scene"), ("where in|which part", "object_localization"),
)  # fmt: skip


def classify(prompt: str) -> str:
    """One line `id: type` for every numbered question in the prompt."""
    lines = []
    for key, question in _NUMBERED.findall(prompt.rpartition("Questions")[2]):
        found = next((kind for sign, kind in _SIGNS if re.search(sign, question.lower())), None)
        if found:
            lines.append(f"{key}: {found}")
    return "\n".join(lines)
