"""The playground's scripted teacher (steps 0, 3 and 4): it sees only the prompt, as a hosted model would.

It answers by rules, behind the server of `playground/server.py`. It is a script, and reports say so.
"""

import json
import re
from random import Random
from typing import Any

from dataengine_lib.core.records import (
    FOUR_CHOICES,
    LETTERS,
    OPEN,
    YES_NO,
    QaForm,
    shows_options,
    skip_text,
    wanted_answer,
)
from dataengine_lib.playground.captions import PictureFacts, read_captions
from dataengine_lib.playground.other_kinds import write_open, write_yes_no
from dataengine_lib.playground.prompt_rules import REVISION_HEADING, apply_rules, revised_rules
from dataengine_lib.playground.questions import QUESTION_WRITERS, write_question
from dataengine_lib.playground.reader import QUESTION_HEADING, read_question
from dataengine_lib.playground.server import message_text
from dataengine_lib.playground.world import Box
from dataengine_lib.replies.qa_json import v1_text

# The parts of the prompts of steps 3 and 0 that are read.
# Matches "Question type: image scene (where it takes place)".
_TYPE = re.compile(r"^Question type: (.+)$", re.M)
# Matches "- traffic light: [0.12, 0.3, 0.4, 0.55]": a name, and x0, y0, x1, y1 as shares of the image's sides.
_OBJECT = re.compile(r"- ([a-z][a-z -]*): \[([\d.]+), ([\d.]+), ([\d.]+), ([\d.]+)\]")
# Matches "12: What color is the dog? Choices: red, blue" without the choices.
_NUMBERED = re.compile(r"^(\S+): (.+?)(?: Choices: .*)?$", re.M)
# Matches "Choices: (A) <choice> (B) <choice>", the layout of a multiple-choice reply.
_PLACES = re.compile(r"^Choices: (?:\([A-Z]\) <choice> ?)+$", re.M)
_NO_SUPPORT = "The image information does not support this question type."
SKIP_REPLY = skip_text(_NO_SUPPORT)


def reply(messages: list[dict]) -> str:
    """The reply to chat messages, by what they ask for: a QA or Skip, a choice's letter, types of questions, or rules."""
    prompt = "\n".join(map(message_text, messages))
    if f"\n{REVISION_HEADING}\n" in prompt:
        return json.dumps(revised_rules(prompt))
    if QUESTION_HEADING in prompt:
        return _answer(prompt)
    if "Image information" in prompt:
        return _write_qa(prompt)
    return classify(prompt)


def structured_reply(messages: list[dict], schema: dict) -> str:
    """As `reply`, as JSON: a QA with step 3's fields, `{"answer"}`, or step 0's `{"types": [{"id", "question_type"}]}`."""
    prompt = "\n".join(map(message_text, messages))
    if "rules" in schema.get("properties", {}):
        return json.dumps(revised_rules(prompt))
    if QUESTION_HEADING in prompt:
        return json.dumps({"answer": _answer(prompt)})
    if "question" in schema.get("properties", {}):
        qa = _compose_qa(prompt)
        choices = schema["properties"].get("choices", {})
        blank = {
            "choices": [""] * choices.get("minItems", 0),
            "answer": schema["properties"]["answer"].get("enum", [""])[0],
            "skip": qa is None,
            "reason": _NO_SUPPORT if qa is None else "",
        }
        # All fields of the schema, with fillers where a Skip has no content.
        return json.dumps({name: (qa or {}).get(name, blank.get(name, "")) for name in schema["properties"]})
    lines = classify(prompt).splitlines()
    pairs = [line.split(": ") for line in lines]
    return json.dumps({"types": [{"id": int(number), "question_type": kind} for number, kind in pairs]})


def _answer(prompt: str) -> str:
    """The letter of the choice that the prompt's captions and boxes prove; without these in the prompt, a guess."""
    information = prompt.rpartition(QUESTION_HEADING)[2].partition("Image information")[2]
    return read_question(prompt, _facts(information) if information else None)


def _write_qa(prompt: str) -> str:
    """A QA in the layout that the prompt asks for, or Skip."""
    qa, form = _compose_qa(prompt), _form(prompt)
    return skip_text(_NO_SUPPORT, form) if qa is None else v1_text(json.dumps(qa), form)


def _form(prompt: str) -> QaForm:
    """The form of QA that step 2's prompt asks for, by the layout that it shows."""
    if "\nAnswer: <Yes or No>\n" in prompt:
        return QaForm(YES_NO)
    if "\nAnswer: <one to three words>\n" in prompt:
        return QaForm(OPEN)
    line = _PLACES.search(prompt)
    return QaForm(n_choices=line[0].count("<choice>")) if line else FOUR_CHOICES


def _compose_qa(prompt: str) -> dict[str, Any] | None:
    """A QA of the prompt's question type that its captions and boxes prove, None if there is none.

    The same prompt always gives the same QA, with faults that its rules do not forbid.
    """
    qa = _proven_qa(prompt)
    return None if qa is None else apply_rules(prompt, qa)


def _proven_qa(prompt: str) -> dict[str, Any] | None:
    """The QA without faults."""
    types = _TYPE.findall(prompt)
    # Cuts off an explanation: "image scene (where it takes place)", "image_scene - where it takes place".
    question_type = types[0].split("(")[0].split(" - ")[0].strip().replace(" ", "_") if types else ""
    rng, form = Random(prompt), _form(prompt)
    facts = _facts(prompt.rpartition("Image information")[2])
    if not shows_options(form.kind):
        return _compose_answer(question_type, facts, rng, prompt, form)
    if question_type not in QUESTION_WRITERS:
        return None
    qa = write_question(question_type, facts, rng)
    if qa is None or len(qa.wrong) < form.n_choices - 1:
        return None
    choices = [qa.answer, *rng.sample(qa.wrong, form.n_choices - 1)]
    rng.shuffle(choices)
    short = {"short_answer": qa.short or qa.answer} if "\nShort answer: " in prompt else {}
    letter = LETTERS[choices.index(qa.answer)]
    return {"question": qa.question, **short, "choices": choices, "answer": letter, "explanation": qa.why}


def _compose_answer(
    question_type: str, facts: PictureFacts, rng: Random, prompt: str, form: QaForm
) -> dict[str, Any] | None:
    """A yes/no or open-ended QA with the fields of its schema."""
    if form.kind == OPEN:
        qa = write_open(question_type, facts, rng)
    else:
        qa = write_yes_no(question_type, facts, wanted_answer(prompt) != "No", rng)
    return None if qa is None else {"question": qa.question, "answer": qa.answer, "explanation": qa.why}


def _facts(section: str) -> PictureFacts:
    """What the captions and boxes in a prompt's section "Image information" say."""
    captions, _, objects = section.partition("Objects")
    lines = [line[2:].strip() for line in captions.splitlines() if line.startswith("- ")]
    boxes: list[tuple[str, Box]] = []
    for name, x0, y0, x1, y1 in _OBJECT.findall(objects):
        boxes.append((name, (float(x0), float(y0), float(x1), float(y1))))
    return read_captions(lines, boxes)


# Words in a question that show its type; the first pattern that is found decides.
_TYPE_WORDS = (
    ("job|who is", "identity_reasoning"), ("made of|material", "physical_property_reasoning"), ("color",
    "attribute_recognition"),
    ("good for|could somebody use", "function_reasoning"), ("compared with|seen from", "spatial_relationship"),
    ("placed|rest at", "physical_relation"), ("largest|smallest", "attribute_comparison"), ("living things",
    "nature_relation"),
    ("happen", "future_prediction"), ("quality", "image_quality"), ("doing|does the .* do", "action_recognition"),
    ("two people", "social_relation"), ("style|was the picture made", "image_style"), ("mood|feeling", "image_emotion"),
    ("picture about|topic", "image_topic"), ("young of|speak", "knowledge-based_reasoning"),
    ("take place|which place", "image_scene"), ("where in|which part", "object_localization"),
    ("is there|are there", "identity_reasoning"),
)  # fmt: skip


def classify(prompt: str) -> str:
    """A line `id: type` for every numbered question in the prompt whose type is recognised."""
    lines = []
    for key, question in _NUMBERED.findall(prompt.rpartition("Questions")[2]):
        found = next((kind for words, kind in _TYPE_WORDS if re.search(words, question.lower())), None)
        if found:
            lines.append(f"{key}: {found}")
    return "\n".join(lines)
