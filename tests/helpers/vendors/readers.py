"""What asks a model in steps 0, 1, 3 and 4, through each step's own public function."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from PIL import Image

from dataengine_lib.chat.prices import read_prices
from dataengine_lib.chat.reply import AskFailed
from dataengine_lib.chat.settings import ChatSettings
from dataengine_lib.core.files import read_jsonl, write_json
from dataengine_lib.core.records import Query, Question, TrainRecord
from dataengine_lib.curation.readers.reader_prompt import ReaderView
from dataengine_lib.curation.readers.second_reader import SecondReader
from dataengine_lib.errors import DataEngineError
from dataengine_lib.replies.parse import parse_result
from dataengine_lib.steps.classify_questions import ClassifyQuestionsConfig, classify_questions
from dataengine_lib.steps.generate_qa import GenerateQaConfig, generate_qa
from dataengine_lib.students.on_server.api_student import ApiStudent

MODEL = "gpt-4o-mini"  # has a price
CHOICES = ["dog", "fox", "cow", "pig"]
NAMES = ("first", "second")  # a word in each question


@dataclass
class Asked:
    """What a step made of the replies: the right answer, another text, or None for each question.

    `message` is every reason that it shows; `stopped` says that it gave up on the whole server. `used` is prompt, cached
    and completion tokens and US dollars.
    """

    answers: list[str | None] = field(default_factory=list)
    message: str = ""
    stopped: bool = False
    used: tuple[int, int, int, float] | None = None


def _text(body: dict[str, Any]) -> str:
    content = body["messages"][-1]["content"]
    return content if isinstance(content, str) else " ".join(part.get("text", "") for part in content)


def is_about(body: dict[str, Any], name: str) -> bool:
    """Whether a request is about the question with this word."""
    return f"{name} animal" in _text(body)


def _fox_letter(body: dict[str, Any]) -> str:
    return re.search(r"\(([A-D])\) (?:a )?fox", _text(body))[1]  # type: ignore[index]


class Classify:
    """Step 0; `right` is the type of each question."""

    name, right = "classify_questions", "image_scene"

    def write(self, body: dict[str, Any]) -> str:
        """The model's answer to a request, as JSON where it asks for that."""
        if "response_format" in body:
            return json.dumps({"types": [{"id": 1, "question_type": self.right}]})
        return f"1: {self.right}"

    def ask(self, folder: Path, questions: int, settings: dict[str, Any]) -> Asked:
        rows = [
            Question(
                question_id=name,
                image_id=number,
                question=f"Where is the {name} animal?",
                choices=CHOICES,
                correct_choice_idx=1,
            )
            for number, name in enumerate(NAMES[:questions], 1)
        ]
        config = ClassifyQuestionsConfig(
            questions=write_json(folder / "questions.json", rows),
            output=folder / "classified.json",
            teacher=f"openai:{MODEL}",
            batch_size=1,
            max_asks=1,
            **settings,
        )
        try:
            result = classify_questions(config)
        except DataEngineError as error:
            return Asked([None] * questions, str(error), "none of" not in str(error))
        unanswered = {row.question_id for row in result.unanswered}
        kinds = [kind for kind, count in result.counts.items() if count]
        answers = [None if row.question_id in unanswered else kinds[0] for row in rows]
        used = [0, 0, 0, 0.0]
        for row in read_jsonl(folder / "classified.json.progress.jsonl"):
            for place, name in enumerate(("prompt_tokens", "cached_tokens", "completion_tokens", "usd")):
                used[place] += row.get(name, 0)
        answers = answers if len(kinds) < 2 else [*kinds]
        return Asked([*answers], "; ".join(result.failed), used=tuple(used))  # type: ignore[arg-type]


class Student:
    """Step 1, `api:`; `right` is the letter."""

    name, right = "api_student", "B"

    def write(self, body: dict[str, Any]) -> str:
        letter = _fox_letter(body)
        return json.dumps({"answer": letter}) if "response_format" in body else f"({letter})"

    def ask(self, folder: Path, questions: int, settings: dict[str, Any]) -> Asked:
        price = read_prices().of(f"openai:{MODEL}")
        student = ApiStudent(MODEL, ChatSettings(**settings), ledger=folder / "ledger.jsonl", price=price)
        options = " ".join(f"({letter}) {text}" for letter, text in zip("ABCD", CHOICES, strict=True))
        prompts = [f"Where is the {name} animal? {options}" for name in NAMES[:questions]]
        picture = Image.new("RGB", (32, 32), "red")
        try:
            found = student.generate([picture] * questions, prompts, choices=[CHOICES] * questions)
        except DataEngineError as error:
            return Asked([None] * questions, str(error), True)
        answers = [None if isinstance(one, AskFailed) else one.strip("()") for one in found]
        message = "; ".join(str(one) for one in found if isinstance(one, AskFailed))
        usage = student.usage()
        used = (usage.prompt_tokens, usage.cached_tokens, usage.completion_tokens, usage.cost_usd or 0.0)
        return Asked([*answers], message, used=used)


_QA = {
    "question": "What runs?", "choices": CHOICES, "answer": "B", "explanation": "It runs.", "skip": False, "reason": "",
}  # fmt: skip
_QA_TEXT = (
    "Question: What runs?\nChoices: (A) dog (B) fox (C) cow (D) pig\nAnswer: The answer is (B): fox.\n"
    "Explanation: It runs."
)


class Generate:
    """Step 3; `right` is the right choice of the QA, as step 4 reads it."""

    name, right = "generate_qa", "fox"
    mode: Mapping[str, Any] = MappingProxyType({})

    def write(self, body: dict[str, Any]) -> str:
        return json.dumps(_QA) if "response_format" in body else _QA_TEXT

    def ask(self, folder: Path, questions: int, settings: dict[str, Any]) -> Asked:
        queries = [
            Query(
                image_id=number,
                prompt=f"Write about the {name} animal.",
                question_type="ocr",
                query_id=f"q{number}",
                image_path=f"{number}.jpg",
            )
            for number, name in enumerate(NAMES[:questions], 1)
        ]
        config = GenerateQaConfig(
            input=write_json(folder / "gptvqa_prompt.json", queries),
            output=folder / "gptvqa_result.jsonl",
            teacher=f"openai:{MODEL}",
            **settings,
            **self.mode,
        )
        try:
            result = generate_qa(config)
        except DataEngineError as error:
            return Asked([None] * questions, str(error), True)
        answers: list[str | None] = [None] * questions
        for row in result.results:
            parsed = parse_result(row)
            qa = parsed[0] if isinstance(parsed, list) else None
            answers[int(row.query_id[1:]) - 1] = qa.choices[qa.correct_choice_idx] if qa else str(parsed)
        usage = result.usage
        used = (usage.prompt_tokens, usage.cached_tokens, usage.completion_tokens, usage.cost_usd or 0.0)
        return Asked(answers, "; ".join(row.reason for row in result.failures), used=used)


class GenerateInBatches(Generate):
    """Step 3 with `mode: batch`, at half the price."""

    name = "generate_qa_in_batches"
    mode = MappingProxyType({"mode": "batch", "batch_poll_s": 0.01})


class SecondOpinion:
    """Step 4's second reader, or the blind one, which sees no picture; `right` is the right choice."""

    right = "fox"

    def __init__(self, blind: bool) -> None:
        self.blind, self.name = blind, "blind_reader" if blind else "second_reader"

    def write(self, body: dict[str, Any]) -> str:
        letter = _fox_letter(body)
        return json.dumps({"answer": letter}) if "response_format" in body else letter

    def ask(self, folder: Path, questions: int, settings: dict[str, Any]) -> Asked:
        picture = folder / "1.jpg"
        if not picture.exists():
            Image.new("RGB", (32, 32), "red").save(picture)
        records = [
            TrainRecord(
                image_id=1,
                image_path="1.jpg",
                raw_instructions="",
                question_type="ocr",
                question=f"Where is the {name} animal?",
                choices=CHOICES,
                correct_choice_idx=1,
                rationales=[],
            )
            for name in NAMES[:questions]
        ]
        view = ReaderView(blind=self.blind, attach_image=not self.blind, image_root=folder)
        reader = SecondReader(f"openai:{MODEL}", folder / "ledger.jsonl", ChatSettings(**settings), view)
        try:
            found, why = reader.answers(records)
        except DataEngineError as error:
            return Asked([None] * questions, str(error), True)
        answers = [None if one is None else CHOICES[one] if one >= 0 else "cannot say" for one in found]
        usage = reader.usage()
        used = (usage.prompt_tokens, usage.cached_tokens, usage.completion_tokens, usage.cost_usd or 0.0)
        return Asked([*answers], "; ".join(why), used=used)


READERS = (Classify(), Student(), Generate(), SecondOpinion(blind=False), SecondOpinion(blind=True))
IN_BATCHES = GenerateInBatches()
Reader = Classify | Student | Generate | SecondOpinion
