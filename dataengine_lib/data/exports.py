"""After step 4: the training records in the shapes that trainers read, each checked after it is written."""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from dataengine_lib.data.export_minigpt4 import write_minigpt4
from dataengine_lib.data.files import read_json, read_jsonl, write_json, write_jsonl
from dataengine_lib.data.image_refs import image_ref, locate
from dataengine_lib.data.records import LETTERS, Question, TrainRecord, qa_prompt
from dataengine_lib.data.training_texts import TextFormat, training_text
from dataengine_lib.errors import DataEngineError, ParameterError

IMAGE = "<image>"

# SEED-Bench's nine types, as v2 numbers them, for the types of v1; 8 is visual reasoning.
QTYPES = {
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
REASONING = 8


@dataclass(frozen=True)
class Job:
    """What a writer needs: the questions with their images' paths under `image_root`, and where they go."""

    questions: list[Question]
    image_root: Path
    output: Path
    name: str
    text_format: TextFormat

    def absolute(self, question: Question) -> str:
        """The image's absolute path."""
        return str((self.image_root / question.image_path).absolute())


def export(
    format: str,
    records: Sequence[TrainRecord],
    image_root: Path,
    output: Path,
    *,
    name: str = "dataengine",
    text_format: TextFormat = "QM-A",
) -> list[Path]:
    """Write the records as `format` (a key of WRITERS) and return the files written, the data first.

    `output` is a file, for minigpt4 a folder. `image_root` is the folder that the records' image paths start
    from; llamafactory, swift and trl get absolute paths, the others paths under it. `name` is the data set's
    name in a trainer's list. With QM-AE, records without a rationale are left out.
    Raises ParameterError for an unknown name, DataEngineError for a record without its image or answer.
    """
    if format not in WRITERS:
        raise ParameterError(f"export: unknown format {format!r}; choose one of {', '.join(WRITERS)}")
    if text_format not in get_args(TextFormat):
        choices = ", ".join(get_args(TextFormat))
        raise ParameterError(f"export: unknown text format {text_format!r}; choose one of {choices}")
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,60}", name):
        raise ParameterError(f"export: name {name!r} must be letters, digits and _, not a digit first")
    image_root = Path(image_root)
    questions = [_question(row, record, image_root) for row, record in enumerate(records)]
    if text_format == "QM-AE":
        questions = [question for question in questions if any(text.strip() for text in question.rationales)]
    if not questions:
        raise DataEngineError(f"{output}: nothing to export; the training data holds no usable record")
    job = Job(questions, image_root, Path(output), name, text_format)
    files = WRITERS[format](job)
    _check_export(format, files[0], job)
    return files


def _question(row: int, record: TrainRecord, image_root: Path) -> Question:
    where = f"export: record {row} (query {record.query_id!r}, image {record.image_id})"
    right = record.correct_choice_idx
    if not 0 <= right < len(record.choices) or not all(choice.strip() for choice in record.choices):
        raise DataEngineError(
            f"{where}: a choice is empty or the right one is missing; run post-process again"
        )
    if not record.question.strip():
        raise DataEngineError(f"{where}: the question is empty; run post-process again")
    if any(
        IMAGE in text for text in (record.question, record.short_answer, *record.choices, *record.rationales)
    ):
        raise DataEngineError(
            f"{where}: the text holds {IMAGE}, which trainers take for an image; drop the record"
        )
    try:
        path = locate(image_ref(record.image_id, record.image_path), image_root)
    except DataEngineError as error:
        raise DataEngineError(f"{where}: {error}") from error
    return Question(
        split="train",
        image_id=record.image_id,
        question_id=f"{record.query_id or record.image_id}-{row}",
        question=record.question,
        choices=record.choices,
        correct_choice_idx=right,
        direct_answers=[record.short_answer or record.choices[right]] * 10,
        rationales=record.rationales,
        question_type=record.question_type,
        image_path=path,
        prompt=qa_prompt(record.question, record.choices, right, record.question_type),
    )


def _aokvqa(job: Job) -> list[Path]:
    return [write_json(job.output, job.questions)]


def _llava(job: Job) -> list[Path]:
    rows = []
    for question in job.questions:
        asked, answer = training_text(question, job.text_format)
        turns = [{"from": "human", "value": f"{IMAGE}\n{asked}"}, {"from": "gpt", "value": answer}]
        rows.append({"id": question.question_id, "image": question.image_path, "conversations": turns})
    return [write_json(job.output, rows)]


def _messages(job: Job) -> list[dict[str, Any]]:
    rows = []
    for question in job.questions:
        asked, answer = training_text(question, job.text_format)
        turns = [{"role": "user", "content": IMAGE + asked}, {"role": "assistant", "content": answer}]
        rows.append({"messages": turns, "images": [job.absolute(question)]})
    return rows


def _llamafactory(job: Job) -> list[Path]:
    listing = job.output.parent / "dataset_info.json"
    if listing.resolve() == job.output.resolve():
        raise ParameterError(f"{listing}: this file lists the data sets; give the data another name")
    known = read_json(listing, dict[str, Any]) if listing.is_file() else {}
    tags = {"role_tag": "role", "content_tag": "content", "user_tag": "user", "assistant_tag": "assistant"}
    known[job.name] = {
        "file_name": job.output.name,
        "formatting": "sharegpt",
        "columns": {"messages": "messages", "images": "images"},
        "tags": tags,
    }
    return [write_json(job.output, _messages(job)), write_json(listing, known)]


def _swift(job: Job) -> list[Path]:
    return [write_jsonl(job.output, _messages(job))]


def _trl(job: Job) -> list[Path]:
    """Conversational prompt-completion rows; TRL puts the image's token before the prompt itself."""
    rows = []
    for question in job.questions:
        asked, answer = training_text(question, job.text_format)
        prompt, completion = [{"role": "user", "content": asked}], [{"role": "assistant", "content": answer}]
        rows.append({"images": [job.absolute(question)], "prompt": prompt, "completion": completion})
    return [write_jsonl(job.output, rows)]


def _dataengine_v2(job: Job) -> list[Path]:
    rows = []
    for question in job.questions:
        answer = question.choices[question.correct_choice_idx]
        rows.append(
            {
                "instruction": question.question,
                "answer": answer,
                "short_answer": question.direct_answers[0],
                "options": question.choices,
                "choice_answer": LETTERS[question.correct_choice_idx],
                "image": question.image_path,
                "qtype": QTYPES.get(question.question_type, REASONING),
            }
        )
    return [write_json(job.output, rows)]


def _minigpt4(job: Job) -> list[Path]:
    return write_minigpt4(job.questions, job.image_root, job.output, job.name, job.text_format)


WRITERS = {
    "aokvqa": _aokvqa,
    "llava": _llava,
    "minigpt4": _minigpt4,
    "llamafactory": _llamafactory,
    "swift": _swift,
    "trl": _trl,
    "dataengine-v2": _dataengine_v2,
}


def _check_export(format: str, file: Path, job: Job) -> None:
    """Read back what was written: a row per record, one image and image token in each, no empty answer."""
    rows: list[dict[str, Any]] = read_jsonl(file) if format in ("swift", "trl") else read_json(file)
    if len(rows) != len(job.questions):
        raise DataEngineError(f"{file}: {len(rows)} rows for {len(job.questions)} records; export again")
    root = Path(os.path.abspath(job.image_root))
    for number, row in enumerate(rows):
        problem = _problem(format, row, root)
        if problem:
            raise DataEngineError(f"{file}: row {number}: {problem}; mend the training data and export again")


def _problem(format: str, row: dict[str, Any], root: Path) -> str:
    tokens = 1  # where the image is a field of its own
    if format == "trl":
        images, answer = row["images"], row["completion"][0]["content"]
        tokens += (row["prompt"][0]["content"] + answer).count(IMAGE)
    elif format in ("llamafactory", "swift"):
        asked, answer = (turn["content"] for turn in row["messages"])
        images, tokens = row["images"], (asked + answer).count(IMAGE)
    elif format == "llava":
        asked, answer = (turn["value"] for turn in row["conversations"])
        images, tokens = [row["image"]], (asked + answer).count(IMAGE)
    elif format == "dataengine-v2":
        images, answer = [row["image"]], row["options"][LETTERS.index(row["choice_answer"])]
    else:
        images, answer = [row["image_path"]], row["choices"][row["correct_choice_idx"]]
    if tokens != len(images):
        return f"{tokens} image tokens for {len(images)} images"
    for image in images:
        path = os.path.abspath(root / image)
        if not Path(path).is_relative_to(root) or not os.path.isfile(path):
            return f"image {image} is not in {root}"
    return "" if answer.strip() else "the answer is empty"
