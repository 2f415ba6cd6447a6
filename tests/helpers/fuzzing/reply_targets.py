"""Bad cases, queries, replies, ledgers, training data and reviews: steps 2 to 6."""

import json
import re
from functools import partial
from pathlib import Path
from typing import Any

from dataengine_lib.core.files import read_json
from dataengine_lib.core.records import TrainRecord
from dataengine_lib.exports.export import export_lines
from dataengine_lib.exports.records import ExportOptions
from dataengine_lib.steps.construct_queries import ConstructQueriesConfig, construct_queries
from dataengine_lib.steps.generate_qa import GenerateQaConfig, generate_qa
from dataengine_lib.steps.post_process import PostProcessConfig, post_process
from dataengine_lib.training.base_data import BaseData
from dataengine_lib.training.data_sets import TrainingFiles, left_out_by_file, read_data_sets
from dataengine_lib.training.held_out_images import HeldOutImages
from fuzzing.forms import Form
from fuzzing.pool_targets import _coco
from fuzzing.target import OUT, TYPES, Target, aokvqa, pictures, write
from fuzzing.verdict import Outcome

ROWS = 24
REPLY = (
    "Question: Which thing is number {n}?\nChoices: (A) dog {n} (B) cat {n} (C) cow {n} (D) pig {n}\n"
    "Answer: The answer is (B): cat {n}.\nExplanation: It has whiskers."
)


# --- step 2


def _scored(number: int, first: int = 901) -> dict[str, Any]:
    image = number % 10 + first
    return {**aokvqa(number), "image_id": image, "image_path": f"{image}.jpg"}


def _cases() -> dict[str, list[dict[str, Any]]]:
    rows = [_scored(number) for number in range(ROWS)]
    return {kind: [row for row in rows if row["question_type"] == kind] for kind in TYPES}


def _make_queries(folder: Path) -> None:
    _coco(folder)
    pictures(folder / "scored", 20, 901)
    write(folder / "types.json", {"types": {kind: f"about {kind}" for kind in TYPES}})
    write(folder / "bad.json", _cases())
    write(folder / "weight.json", {kind: 0.2 + place / 10 for place, kind in enumerate(TYPES)})
    write(folder / "decisions.json", {f"q{number}": ("use", "never")[number % 2] for number in range(6)})
    write(folder / "earlier.json", [_query(number) for number in range(1, 4)])
    # of other images than the bad cases
    write(folder / "scored.json", [_scored(number, 911) for number in range(ROWS)])


def _construct(used: tuple[str, ...], folder: Path) -> Outcome:
    values = {
        "input": folder / "bad.json",
        "coco_dataset": folder,
        "coco_embedding": folder / "store",
        "output": folder / OUT / "gptvqa_prompt.json",
        "encoder": "none",
        "maxnum": 6,
        "neighbour_share": 0,
        "near_duplicate": None,
        "categories": folder / "types.json",
        "bad_case_image_root": folder / "scored",
        "weight": folder / "weight.json" if "weight" in used else None,
        "example_decisions": folder / "decisions.json" if "decisions" in used else None,
        "exclude_queries": [folder / "earlier.json"] if "earlier" in used else [],
        "questions": folder / "scored.json" if "scored" in used else None,
    }
    result = construct_queries(ConstructQueriesConfig.read(values, "the test"))
    # of what guards the evaluation a lost row is a leak: what is left out of the pool, or compared with it, counts
    if "earlier" in used:
        return Outcome(sum(result.left_out.values()), result.warnings)
    if "scored" in used:
        return Outcome(int(re.findall(r"with ([0-9]+) evaluation", result.compared)[0]), result.warnings)
    return Outcome(len(result.queries), result.warnings)


# --- step 3


def _query(number: int) -> dict[str, Any]:
    return {
        "image_id": number % 10 + 1,
        "image_path": f"images/{number % 10 + 1}.jpg",
        "prompt": f"Ask about {number}.",
        "question_type": TYPES[number % 3],
        "query_id": f"r0-{number}",
        "example_ids": ["q1"],
        "neighbour": False,
        "similarity": 0.5,
        "template": "v1.j2",
        "prompt_sha256": "ab",
        "round": 1,
    }


def _result(number: int) -> dict[str, Any]:
    return {
        **{key: _query(number)[key] for key in ("image_id", "image_path", "question_type", "query_id")},
        "raw_instructions": REPLY.format(n=number),
        "model": "m",
        "finish_reason": "stop",
        "prompt_tokens": 10,
        "completion_tokens": 20,
    }  # fmt: skip


def _make_replies(folder: Path) -> None:
    """Queries, replies to them, and the ledger of a first run."""
    write(folder / "queries.json", [_query(number) for number in range(ROWS)])
    write(folder / "replies.jsonl", [_result(number) for number in range(ROWS)], lines=True)
    (folder / OUT).mkdir(exist_ok=True)
    _generate("replies.jsonl", "", folder)
    (folder / "ledger.jsonl").write_bytes((folder / OUT / "gptvqa_ledger.jsonl").read_bytes())
    (folder / "result.jsonl").write_bytes((folder / OUT / "gptvqa_result.jsonl").read_bytes())


def _generate(teacher: str, kept: str, folder: Path) -> Outcome:
    if kept:
        (folder / OUT / f"gptvqa_{kept}").write_bytes((folder / kept).read_bytes())
    values = {
        "input": folder / "queries.json",
        "output": folder / OUT / "gptvqa_result.jsonl",
        "teacher": f"replay:{folder / teacher}",
        "concurrency": 64,
    }
    result = generate_qa(GenerateQaConfig.read(values, "the test"))
    return Outcome(len(result.results), [*result.warnings, *result.notes])


# --- step 4


def _conversations() -> list[dict[str, Any]]:
    asked = "<image>\nWhich thing is number {n}?\n(A) dog {n} (B) cat {n} (C) cow {n} (D) pig {n}"
    return [
        {
            "id": str(number),
            "image": f"{number % 10 + 1}.jpg",
            "conversations": [
                {"from": "human", "value": asked.format(n=number)},
                {"from": "gpt", "value": f"The answer is (B) cat {number}."},
            ],
        }
        for number in range(ROWS)
    ]


def _v2() -> list[dict[str, Any]]:
    return [
        {
            "instruction": f"Which thing is number {number}?",
            "answer": f"cat {number}",
            "short_answer": "cat",
            "options": [f"{word} {number}" for word in ("dog", "cat", "cow", "pig")],
            "choice_answer": "B",
            "image": f"{number % 10 + 1}.jpg",
            "qtype": 1,
        }
        for number in range(ROWS)
    ]


def _decisions() -> dict[str, Any]:
    edit = {"decision": "edit", "question": "Which other thing?"}
    return {"r0-1": {"decision": "reject", "note": "unclear"}, "r0-2": edit, "r0-3": {"decision": "accept"}}


def _make_curation(folder: Path) -> None:
    write(folder / "result.jsonl", [_result(number) for number in range(ROWS)], lines=True)
    write(folder / "chats.json", _conversations())
    write(folder / "v2.json", _v2())
    write(folder / "review.json", _decisions())


def _curate(file: str, review: bool, folder: Path) -> Outcome:
    values = {
        "input": folder / file,
        "output": folder / OUT / "gptvqa_train_data.json",
        "near_duplicates": "off",
        "blind_classifier": "off",
        "review": folder / "review.json" if review else folder / OUT / "review.json",
    }
    result = post_process(PostProcessConfig.read(values, "the test"))
    kept: list[TrainRecord] = read_json(result.output, list[TrainRecord])
    malformed = result.counts.by_reason.get("malformed row", 0)
    if review:
        reviewed = result.counts.reviewed
        return Outcome(sum(reviewed.values()), result.warnings)
    return Outcome(len(kept) + result.counts.dropped - malformed, result.warnings)


# --- steps 5 and 6


def _make_training(folder: Path) -> None:
    pictures(folder / "images")
    record = {"raw_instructions": "", "rationales": ["Whiskers."], "choices": ["dog", "cat", "cow", "pig"]}
    rows = [{**aokvqa(number), **record, "record_id": f"r{number}"} for number in range(ROWS)]
    write(folder / "train.json", rows)
    write(folder / "base.json", [aokvqa(number) for number in range(ROWS)])
    write(folder / "chats.json", _conversations())
    captions = [{"image_id": str(n % 10 + 1), "caption": f"A thing, number {n}."} for n in range(ROWS)]
    write(folder / "captions.json", {"annotations": captions})
    write(
        folder / "scored.json",
        [{**aokvqa(number), "image_path": "1.jpg", "image_id": 1} for number in range(3)],
    )


def _train(file: str, base: bool, folder: Path) -> Outcome:
    images, mixed_in = folder / "images", [BaseData(file=folder / file)] if base else []
    new = [folder / ("train.json" if base else file)]
    sets = read_data_sets(TrainingFiles(new, images, mixed_in, images, ["QM-A", "Q-A"]), 0.05)
    rows = len(sets[-1].rows)
    return Outcome(rows, [line for bad in left_out_by_file(sets).values() for line in bad.warnings()])


def _hold_out(folder: Path) -> Outcome:
    found = HeldOutImages(folder / "scored.json", folder / "images")
    held = sum(found.has(folder / "images" / f"{number}.jpg") for number in range(1, 11))
    return Outcome(held, found.warnings)


def _export(format: str, folder: Path) -> Outcome:
    output = folder / OUT / "data.json"
    lines = list(export_lines(format, folder / "train.json", output, folder / "images", ExportOptions()))
    return Outcome(len(json.loads(Path(lines[0]).read_text())))


def _query_target(name: str, file: str, *used: str, **more: Any) -> Target:
    return Target(name, file, "json", _make_queries, partial(_construct, used), **more)


def _asking(
    name: str, file: str, form: Form, teacher: str = "replies.jsonl", kept: str = "", names: str = ""
) -> Target:
    return Target(name, file, form, _make_replies, partial(_generate, teacher, kept), names=names)


def _curating(name: str, file: str, form: Form) -> Target:
    return Target(name, file, form, _make_curation, partial(_curate, file, False))


def _training(name: str, file: str, base: bool) -> Target:
    # the step itself says that a file gave no row
    return Target(name, file, "json", _make_training, partial(_train, file, base), may_be_empty=True)


REPLY_TARGETS = [
    _query_target("bad cases", "bad.json"),
    _query_target("weights", "weight.json", "weight"),
    _query_target("decisions about examples", "decisions.json", "decisions"),
    _query_target("queries of earlier rounds", "earlier.json", "earlier"),
    _query_target("questions that are evaluated, step 2", "scored.json", "scored"),
    # the step lists the queries without a reply in a file, which its message names
    _asking("queries", "queries.json", "json", names="queries.json|gptvqa_failed.jsonl"),
    _asking("replies to replay", "replies.jsonl", "lines"),
    _asking("ledger to replay", "ledger.jsonl", "lines", "ledger.jsonl"),
    _asking("ledger", "ledger.jsonl", "lines", kept="ledger.jsonl"),
    _asking("results of an earlier run", "result.jsonl", "lines", kept="result.jsonl"),
    _curating("replies", "result.jsonl", "lines"),
    _curating("LLaVA conversations, step 4", "chats.json", "json"),
    _curating("DataEngine v2, step 4", "v2.json", "json"),
    Target(
        "review",
        "review.json",
        "json",
        _make_curation,
        partial(_curate, "result.jsonl", True),
        loss="no",
        may_be_empty=True,
    ),
    _training("training data", "train.json", False),
    _training("base questions", "base.json", True),
    _training("base conversations", "chats.json", True),
    Target("questions that are evaluated, step 5", "scored.json", "json", _make_training, _hold_out),
    Target("export LLaVA", "train.json", "json", _make_training, partial(_export, "llava")),
    Target("export v2", "train.json", "json", _make_training, partial(_export, "dataengine-v2")),
    _training("base captions", "captions.json", True),
]
