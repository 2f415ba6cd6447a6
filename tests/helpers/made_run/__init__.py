"""A small finished run for the tests of what opens runs: two rounds, pictures, a pool, and hostile texts everywhere."""

import json
import math
import shutil
from pathlib import Path
from typing import Any

from coco_folder import annotation, coco
from PIL import Image
from project import PROJECT_ROOT

from dataengine_lib.core.files import write_json, write_jsonl
from dataengine_lib.core.records import Answer, Query, Result, TrainRecord

EVIL = '<img src=x onerror="window.ran=1"><script>window.ran=1</script>\u202e$x$'
QUERIES = 15  # that show q0 and q1
TYPES = ("ocr", "image_scene")


def answer(number: int, correct: bool, sure: float, **fields: Any) -> Answer:
    """An answer about `NUMBER.png`, with scores whose softmax at the chosen option is `sure`."""
    place = 1 if correct else 0
    other = math.log((1 - sure) / sure)
    known: dict[str, Any] = {
        "question": f"Which thing is {number}?", "choices": ["dog", "cat"], "correct_choice_idx": 1,
        "question_id": f"q{number}", "image_id": number, "image_path": f"{number}.png", "predicted_choice_idx": place,
        "correct": correct, "model_answer": ["dog", "cat"][place], "question_type": "ocr", "split": "diagnose",
        "scores": [0.0, other] if place == 0 else [other, 0.0],
    }  # fmt: skip
    return Answer(**(known | fields))


def write_run(run: Path) -> Path:
    """q0 is fixed by round 1, q1 stays wrong, q2 is broken; q3 is hostile and names no option. Returns the folder.

    The pool of neighbours is the folder itself: pictures 1 to 4, with hostile captions and names of boxes.
    """
    hostile = answer(
        3, False, 0.5, question=EVIL, choices=[EVIL, "cat"], model_answer=EVIL, predicted_choice_idx=-1, scores=[],
        question_type="image_scene",
    )  # fmt: skip
    _write_round(
        run / "round1", [answer(0, False, 0.7), answer(1, False, 0.9), answer(2, True, 0.6), hostile]
    )
    _write_round(
        run / "final", [answer(0, True, 0.7), answer(1, False, 0.8), answer(2, False, 0.95), hostile]
    )
    shared: dict[str, Any] = {"question_type": "ocr", "round": 1, "image_path": "1.png", "image_id": 1}
    ids = [f"r-{number}" for number in range(QUERIES)]
    queries = [Query(prompt="…", query_id=name, example_ids=["q1", "q0"], **shared) for name in ids]
    queries[0].neighbour, queries[0].similarity = True, 0.75
    write_json(run / "round1" / "gptvqa_prompt.json", queries)
    reply = Result(raw_instructions=EVIL, query_id="r-0", request_key="k0", model="openai:m", **shared)
    write_jsonl(run / "round1" / "gptvqa_result.jsonl", [reply])
    paid = {"key": "k0", "usd": 0.25, "text": "…", "request": {"model": "m"}}
    write_jsonl(run / "round1" / "gptvqa_ledger.jsonl", [paid])
    kept = TrainRecord(
        raw_instructions="…", question=EVIL, choices=["a", "b"], correct_choice_idx=0, query_id="r-0",
        record_id="r-0", example_ids=["q1", "q0"], **shared,
    )  # fmt: skip
    write_json(run / "round1" / "gptvqa_train_data.json", [kept])
    write_json(run / "run.json", {"status": "done"})
    _write_pool(run)
    return run


def _write_round(folder: Path, answers: list[Answer]) -> None:
    write_json(folder / "aokvqa_eval.json", answers)
    wrong = [one for one in answers if not one.correct]
    cases = {kind: [one for one in wrong if one.question_type == kind] for kind in TYPES}
    write_json(folder / "bad_case_aokvqa_classified.json", cases)
    write_json(folder / "weight.json", {"ocr": 0.667, "image_scene": 1.0})


def _write_pool(run: Path) -> None:
    names = {number: f"{number}.png" for number in range(1, 5)}
    boxes = [annotation(number, [10, 10, 30, 20], category=number % 2 + 1) for number in names]
    coco(run, names, boxes, dict.fromkeys(names, EVIL), folder="images")
    instances = run / "annotations" / "instances_train2017.json"
    content = json.loads(instances.read_text())
    content["categories"][0]["name"] = EVIL
    instances.write_text(json.dumps(content))
    colours = ("red", "green", "blue", "white", "black")
    for number, colour in enumerate(colours):
        Image.new("RGB", (100, 50), colour).save(run / f"{number}.png")
        if number in names:
            Image.new("RGB", (100, 50), colour).save(run / "images" / f"{number}.png")
    shutil.copytree(PROJECT_ROOT / "data_demo/models/tiny-clip", run / "models" / "tiny-clip")
