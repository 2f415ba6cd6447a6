"""Made-up teachers' replies in many layouts and with many faults, for step 4's benchmark and fuzz tests."""

import json
import re
from random import Random
from typing import Any, NamedTuple

from dataengine_lib.core.records import TrainRecord
from dataengine_lib.core.text import choice_key
from dataengine_lib.replies.boxes_in_text import has_box, mentions_boxes
from dataengine_lib.replies.one_qa import Qa

ADJECTIVES = ["brown", "small", "old", "wooden", "striped", "empty", "bright", "folded", "wet", "round"]
NOUNS = [
    "dog",
    "umbrella",
    "bicycle",
    "bench",
    "kite",
    "suitcase",
    "cow",
    "boat",
    "clock",
    "sand castle",
    "cup",
]
QUESTIONS = [
    "Which thing is next to the {}?",
    "What is the {} most likely used for?",
    "What stands behind the {}?",
]
HEADINGS = [
    "Explanation",
    "Reason",
    "Reasoning",
    "Lecture",
    "Explanatory note",
    "Explaination",
    "Explanations",
]
MARKS = ["({})", "({})", "({})", "{})", "{}.", "[{}]"]
TYPES = [f"type_{number:02}" for number in range(18)]
# what the fuzz tests insert into replies
PIECES = [
    "Question:", "Choices:", "Answer:", "Explanation:", "The answer is", "Question 2:", "Reason is",
    "the correct answer", "answer choices", "Short answer:", "(A)", "(B) cat", "(a)", "A.", "D)", "[C]",
    "(E)", "(", ")", "[", "]", "{", ":", "\n", "\n\n", "\r\n", "\t", " ", "  ", "**", "###", "---", "```",
    "- ", "1. ", "Skip", "skipping rope", "and", "[0.1, 0.2, 0.3", "[0.1, 0.2, 0.3, 0.4]", "(.1,.2,.3,.4)",
    "0.1, 0.2, 0.3", "located at", "Bounding box", "coordinates", "description", "\0", "\u200b", "\u00a0",
    "é", "（Ａ）", "：", "İ", "ſ", "🙂", "\u2028", "\\ud800", "NaN", "all of the above", "option B", "1,000",
    "Final Answer:", "the best", "correct choice", "Multiple-choice", "New question:", "step-by-step",
    "detailed explanation:", "my", "ground truth answer is", "Choose one:", "<think>", "</think>", "<|im_end|>",
    "<image>", "✅", "(correct)", "*", ", or", "-5", "（Ｂ）", "［", "。", "the answer is (C).", "(D) is correct",
]  # fmt: skip
REASONS = [
    "It stands beside the {} and nothing else does.",
    "Looking at the picture, we can see that the {} is close to it, which rules out the others.",
    "One can tell by the shape: a {} has no such handle.",
    "The answer is ({}) as the shadow on the sand shows an island of light around it.",
    "People use a {} on a day like this, when 1,000 others are on the road.",
]


def box(rng: Random) -> str:
    """`[x1, y1, x2, y2]` as prompts show it."""
    return str([round(rng.random(), 3) for _ in range(4)])


class Made(NamedTuple):
    """The parts of a made-up reply, which may be faulty; `letter` and `answer_text` are those of the answer."""

    question: str
    choices: list[str]
    letters: str
    letter: str
    answer_text: str
    explanation: str


def made(rng: Random) -> Made | None:
    """The parts of a reply, about one in three with a fault; None for one in 36, which is no QA."""
    nouns = rng.sample(NOUNS, 4)
    choices = [f"{rng.choice(ADJECTIVES)} {noun}" for noun in nouns]
    right, letters = rng.randrange(4), rng.choice(["ABCD", "ABCD", "ABCD", "abcd"])
    question = rng.choice(QUESTIONS).format(f"{rng.choice(ADJECTIVES)} {rng.choice(NOUNS)}")
    explanation = " ".join(rng.sample(REASONS, rng.randint(1, 3)))
    explanation = explanation.replace("({})", f"({letters[right]})").replace("{}", nouns[right])
    answer_text, letter = choices[right], letters[right]
    fault = rng.randrange(36)
    if fault == 0:
        return None
    if fault == 1:
        choices[(right + 1) % 4] = choices[right]
    elif fault == 2:
        answer_text = choices[(right + 1) % 4]
    elif fault == 3:
        choices[rng.randrange(4)] = ""
    elif fault == 4:
        letter = "E"
    elif fault == 5:
        explanation += f" It is located at {box(rng)}."
    elif fault == 6:
        explanation += " The description says so."
    elif fault == 7:
        explanation += " Its bounding box is the largest."
    elif fault == 8:
        choices = [f"{nouns[0]} {box(rng)}" for _ in nouns]
        answer_text = choices[right]
    elif fault in (9, 10, 11):
        explanation += f" The {nouns[right]} {box(rng)} is near the cell phone {box(rng)}."
    elif fault == 12:
        explanation = ""
    return Made(question, choices, letters, letter, answer_text, explanation)


def reply(rng: Random) -> str:
    """A text reply in one of the layouts that are read; about one in three has a fault."""
    parts = made(rng)
    if parts is None:
        return rng.choice(["Skip", "Question: Skip\nChoices: Skip\nAnswer: Skip", "I cannot see a picture."])
    mark = rng.choice(MARKS)
    between = rng.choice([" ", " ", "\n", ", " if mark.startswith(("(", "[")) else "\n"])
    options = between.join(
        f"{mark.format(name)} {choice}" for name, choice in zip(parts.letters, parts.choices, strict=True)
    )
    lead = rng.choice([" ", " ", "\n"])
    answer = rng.choice(["The answer is ({}): {}.", "The answer is ({}): {}.", "({}) {}", "{}", "{}. {}"])
    heads = ["Question:", "Choices:", "Answer:", f"{rng.choice(HEADINGS)}:"]
    if rng.randrange(8) == 0:
        heads = [f"**{head}**" for head in heads]
    answer = answer.format(parts.letter, parts.answer_text)
    text = f"{heads[0]} {parts.question}\n{heads[1]}{lead}{options}\n{heads[2]} {answer}"
    return f"{text}\n{heads[3]} {parts.explanation}" if parts.explanation else text


def structured_reply(rng: Random) -> str:
    """A reply under the JSON schema of a QA, as servers write it that keep to it and as others do."""
    objects = [_qa_object(rng) for _ in range(2 if rng.randrange(20) == 0 else 1)]
    if len(objects) == 1 and rng.randrange(4):
        return json.dumps(objects[0], ensure_ascii=rng.random() < 0.5, indent=rng.choice([None, None, 2]))
    around = rng.choice(
        ["{}", "```json\n{}\n```", "Here it is:\n{}\nAnything else?", "<think>A QA.</think>{}"]
    )
    return around.replace("{}", json.dumps(objects))


def _qa_object(rng: Random) -> dict[str, Any]:
    parts = made(rng)
    if parts is None:
        blank = {"question": "", "choices": [""] * 4, "answer": "A", "explanation": ""}
        return blank | {"skip": True, "reason": "Nothing can be seen."}
    choices = list(parts.choices)
    if rng.randrange(8) == 0:  # models like to repeat the letters
        choices = [f"{letter}. {choice}" for letter, choice in zip("ABCD", choices, strict=True)]
    elif rng.randrange(8) == 0:
        choices = [f" {choice.capitalize()}." for choice in choices]
    choices = choices[: rng.choice([4] * 30 + [3])]
    found = {
        "question": parts.question,
        "choices": choices,
        "answer": parts.letter,
        "explanation": parts.explanation,
    }
    if rng.randrange(4) == 0:
        wrong = rng.randrange(30) == 0
        found["short_answer"] = choices[0] if wrong else rng.choice([parts.answer_text, "something else", ""])
    return found | {"skip": False, "reason": ""}


def row(rng: Random, number: int) -> dict[str, object]:
    """A row of `gptvqa_result.jsonl` as step 3 writes it; one in fifty holds two QAs, one in a hundred is cut off."""
    text = reply(rng)
    if rng.randrange(50) == 0:
        text += "\n\n" + reply(rng)
    return {
        "image_id": rng.randrange(120_000),
        "raw_instructions": text,
        "question_type": rng.choice(TYPES),
        "query_id": f"r{number % 3}-{number:016x}",
        "image_path": f"train2017/{number:012d}.jpg",
        "model": "teacher",
        "finish_reason": "length" if rng.randrange(100) == 0 else "stop",
        "prompt_tokens": 900,
        "cached_tokens": 0,
        "completion_tokens": 90,
        "request_key": f"{rng.getrandbits(256):064x}",
        "template": "v1.j2",
        "prompt_sha256": f"{rng.getrandbits(256):064x}",
        "example_ids": [f"bad-{rng.getrandbits(64):016x}", f"bad-{rng.getrandbits(64):016x}"],
        "round": 1,
    }


def check_kept(qa: Qa | TrainRecord) -> None:
    """What holds for every kept QA, in whatever layout it was written."""
    texts = [qa.question, *qa.choices, *qa.rationales, qa.short_answer]
    assert re.search(r"\w", qa.question)
    assert len(qa.choices) == 4 == len({choice_key(choice) for choice in qa.choices})
    assert 0 <= qa.correct_choice_idx < 4
    assert all(re.search(r"\w", text) for text in [*qa.choices, *qa.rationales])
    assert not any(has_box(text) or mentions_boxes(text) for text in texts)
    assert not any(re.search(r"\bdescriptions?\b", text, re.IGNORECASE) for text in qa.rationales)
    assert all(text == " ".join(text.split()) for text in texts)
    assert not any(re.search(r"<\|\w|<image>|</s>", text) for text in texts)
    assert not any(re.search(r"✅|\(correct\)| (?:or|and)$", choice) for choice in qa.choices)
