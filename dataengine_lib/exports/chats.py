"""After step 4: the training records as conversations for LLaVA, LLaMA-Factory, ms-swift and TRL."""

from pathlib import Path
from typing import Any

from dataengine_lib.core.files import read_json, write_json, write_jsonl
from dataengine_lib.errors import ParameterError
from dataengine_lib.exports.records import IMAGE, ExportJob
from dataengine_lib.training.texts import training_text

LISTING = "dataset_info.json"


def write_llava(job: ExportJob) -> list[Path]:
    """Write `[{id, image, conversations}]`, as LLaVA's `--data_path` reads it. Source: docs/Finetune_Custom_Data.md."""
    rows = []
    for question in job.questions:
        asked, answer = training_text(question, job.text_format)
        turns = [{"from": "human", "value": f"{IMAGE}\n{asked}"}, {"from": "gpt", "value": answer}]
        rows.append({"id": question.question_id, "image": job.image_path(question), "conversations": turns})
    return [write_json(job.output, rows)]


def write_llamafactory(job: ExportJob) -> list[Path]:
    """Write LLaMA-Factory's sharegpt rows and their entry in `dataset_info.json` beside them; other entries stay.

    Source: data/README.md of LLaMA-Factory.
    """
    listing = job.folder / LISTING
    if listing.resolve() == job.output.resolve():
        raise ParameterError(f"{listing}: this file lists the data sets; give the data another name")
    known = read_json(listing, dict[str, Any]) if listing.is_file() else {}
    # names the keys of our rows, because LLaMA-Factory's defaults are those of ShareGPT (from, value, human, gpt)
    tags = {"role_tag": "role", "content_tag": "content", "user_tag": "user", "assistant_tag": "assistant"}
    known[job.name] = {
        "file_name": job.output.name,
        "formatting": "sharegpt",
        "columns": {"messages": "messages", "images": "images"},
        "tags": tags,
    }
    return [write_json(job.output, _messages(job)), write_json(listing, known)]


def write_swift(job: ExportJob) -> list[Path]:
    """Write ms-swift's standard rows, `messages` and `images`. Source: docs/source_en/Customization/Custom-dataset.md."""
    return [write_jsonl(job.output, _messages(job))]


def write_trl(job: ExportJob) -> list[Path]:
    """Write conversational prompt-completion rows; TRL itself adds the image token before the prompt.

    Source: docs/source/dataset_formats.md of TRL, vision datasets.
    """
    rows = []
    for question in job.questions:
        asked, answer = training_text(question, job.text_format)
        prompt, completion = [{"role": "user", "content": asked}], [{"role": "assistant", "content": answer}]
        rows.append({"images": [job.image_path(question)], "prompt": prompt, "completion": completion})
    return [write_jsonl(job.output, rows)]


def _messages(job: ExportJob) -> list[dict[str, Any]]:
    rows = []
    for question in job.questions:
        asked, answer = training_text(question, job.text_format)
        turns = [{"role": "user", "content": IMAGE + asked}, {"role": "assistant", "content": answer}]
        rows.append({"messages": turns, "images": [job.image_path(question)]})
    return rows
