"""Second readers of a small COCO folder, asked through a server on this machine."""

import json
import re
from pathlib import Path
from typing import Any

from dataengine_lib.chat.settings import ChatSettings
from dataengine_lib.core.records import TrainRecord
from dataengine_lib.curation.readers.reader_prompt import ReaderView
from dataengine_lib.curation.readers.second_reader import SecondReader
from dataengine_lib.images.read_pool import read_pool
from dataengine_lib.playground.server import PlaygroundServer

CHOICES = ["a ball", "a kite", "a hat", "a shoe"]


def record(number: int = 0, correct: int = 1, image_id: int = 1) -> TrainRecord:
    return TrainRecord(
        image_id=image_id,
        image_path=f"train2017/{image_id}.jpg",
        raw_instructions="Answer: SECRET",
        question_type="t",
        question=f"What does dog number {number} chase?",
        choices=CHOICES,
        correct_choice_idx=correct,
        rationales=["SECRET reason"],
    )


def settings(server: PlaygroundServer | None = None, **options: Any) -> ChatSettings:
    url = server.base_url if server else None
    return ChatSettings(base_url=url, **{"max_output_tokens": 2000, "concurrency": 16, **options})


def second_reader(
    spec: str,
    ledger: Path,
    settings: ChatSettings,
    *,
    budget_usd: float | None = None,
    before: SecondReader | None = None,
    **view: Any,
) -> SecondReader:
    return SecondReader(spec, ledger, settings, ReaderView(**view), budget_usd=budget_usd, before=before)


def reader(folder: Path, server: PlaygroundServer, **options: Any) -> SecondReader:
    names = ChatSettings.model_fields.keys() & options.keys()
    asking = {"max_attempts": 1} | {name: options.pop(name) for name in names}
    options = {"pool": read_pool(folder), **options}
    return second_reader("openai:any", folder.parent / "ledger.jsonl", settings(server, **asking), **options)


def always_answers(text: str) -> Any:
    """A model that takes the choice with this text, whatever letter it has."""

    def write(messages: list[dict[str, Any]], schema: dict[str, Any] | None = None) -> str:
        prompt = str(messages[-1]["content"])
        letter = re.search(rf"\(([A-D])\) {text}", prompt)[1]
        return json.dumps({"answer": letter}) if schema else f"The answer is ({letter})."

    return write
