"""Step 4 on records that were made with known faults."""

from pathlib import Path
from typing import Any

from made_records import Planted

from dataengine_lib.core.files import read_json, write_jsonl
from dataengine_lib.core.records import Result, TrainRecord
from dataengine_lib.steps.post_process import PostProcessConfig, PostProcessResult, post_process


def run(
    folder: Path, planted: Planted, records: list[TrainRecord] | None = None, **options: Any
) -> PostProcessResult:
    folder.mkdir(exist_ok=True)
    rows = [
        Result(
            image_id=one.image_id,
            image_path=one.image_path,
            raw_instructions=one.raw_instructions,
            question_type=one.question_type,
            query_id=one.query_id,
        )
        for one in (planted.records if records is None else records)
    ]
    write_jsonl(folder / "in.jsonl", rows)
    config = {"input": folder / "in.jsonl", "output": folder / "out.json", "coco_dataset": planted.pool.root}
    return post_process(PostProcessConfig.read(config | options, "test"))


def kept(result: PostProcessResult) -> list[TrainRecord]:
    records: list[TrainRecord] = read_json(result.output, list[TrainRecord])
    return records
