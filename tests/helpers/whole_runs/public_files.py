"""Small MME, POPE and VQAv2 in their public layouts, about pictures of the playground, and a pool to ask about.

Each writer gets a folder `data` with pictures in `val2014` under COCO's names and writes what `docs/question_kinds.md`
names below it.
"""

import base64
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from random import Random

from dataengine_lib.core.files import write_json
from dataengine_lib.playground.captions import PictureFacts, scene_facts
from dataengine_lib.playground.other_kinds import write_open, write_yes_no
from dataengine_lib.playground.scene_layout import make_scene
from dataengine_lib.playground.sets import write_playground

SIZES = {"base": 1, "pool": 10, "diagnose": 1, "holdout": 1}
_MAJORITY = 7  # of ten people who give the right answer; the others are unsure


def write_data(folder: Path) -> Path:
    """`data` in the folder: the pool as a COCO folder, and the pictures that questions are asked about."""
    data, drawn = folder / "data", write_playground(folder / "cache", 0, SIZES)
    shutil.copytree(drawn / "pool", data / "coco")
    (data / "val2014").mkdir()
    for split in ("diagnose", "holdout"):
        for file in (drawn / split / "images").iterdir():
            shutil.copy(file, data / "val2014" / _coco_name(int(file.stem)))
    return data


def _pictures(data: Path) -> Iterator[tuple[int, PictureFacts]]:
    for file in sorted((data / "val2014").iterdir()):
        number = int(file.stem[-12:])
        yield number, scene_facts(make_scene(number, 0))


def _coco_name(image: int) -> str:
    return f"COCO_val2014_{image:012d}.jpg"


def write_mme(data: Path) -> None:
    """VLMEvalKit's MME.tsv: two questions about each image of a category, which is in the table as base64, once."""
    lines = ["index\tcategory\timage\tquestion\tanswer"]
    for image, facts in _pictures(data):
        picture = base64.b64encode((data / "val2014" / _coco_name(image)).read_bytes()).decode()
        for category in ("existence", "color"):
            pair = [write_yes_no(category, facts, yes, Random(image)) for yes in (True, False)]
            for qa in pair if all(pair) else ():
                asked = f"{qa.question} Please answer yes or no."
                lines.append(f"{len(lines) - 1}\t{category}\t{picture}\t{asked}\t{qa.answer}")
    (data / "mme").mkdir()
    (data / "mme" / "MME.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def write_pope(data: Path) -> None:
    """The published lines: question, image, text and label, without a category."""
    lines = []
    for number, (image, facts) in enumerate(_pictures(data), 1):
        qa = write_yes_no("adversarial", facts, bool(number % 2), Random(image))
        lines.append(
            {
                "question_id": number,
                "image": _coco_name(image),
                "text": qa.question,
                "label": qa.answer.lower(),
            }
        )
    (data / "coco_pope_adversarial.json").write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")


def write_vqav2(data: Path) -> None:
    """The two files, with ten people's answers to each question."""
    asked, answered = [], []
    for image, facts in _pictures(data):
        for kind in ("what color is the", "what room is"):
            if (qa := write_open(kind, facts, Random(image))) is None:
                continue
            question = {"question_id": 1000 * image + len(asked), "image_id": image, "question": qa.question}
            given = [qa.answer] * _MAJORITY + ["not sure"] * (10 - _MAJORITY)
            answers = [
                {"answer": text, "answer_confidence": "yes", "answer_id": n}
                for n, text in enumerate(given, 1)
            ]
            asked.append(question)
            answered.append(
                {"question_id": question["question_id"], "image_id": image, "question_type": kind,
                 "answer_type": "other", "multiple_choice_answer": qa.answer, "answers": answers}
            )  # fmt: skip
    head = {"info": {}, "license": {}, "data_type": "mscoco", "data_subtype": "val2014"}
    write_json(data / "v2_mscoco_val2014_annotations.json", {**head, "annotations": answered})
    write_json(
        data / "v2_OpenEnded_mscoco_val2014_questions.json",
        {**head, "task_type": "Open-Ended", "questions": asked},
    )
