"""Small COCO folders for the tests of the annotations teacher, and the questions it writes about them."""

import asyncio
from pathlib import Path

from coco_folder import annotation, write
from PIL import Image

from dataengine_lib.annotations.teacher import AnnotationsTeacher
from dataengine_lib.core.records import Query
from dataengine_lib.replies.drop_reasons import Reason
from dataengine_lib.replies.one_qa import Qa
from dataengine_lib.replies.parse import parse_reply

NAMES = {
    1: ("dog", "animal"),
    2: ("cat", "animal"),
    3: ("truck", "vehicle"),
    4: ("car", "vehicle"),
    5: ("pizza", "food"),
    6: ("laptop", "electronic"),
    7: ("toilet", "furniture"),
    8: ("surfboard", "sports"),
    9: ("person", "person"),
    10: ("airplane", "vehicle"),
    11: ("refrigerator", "appliance"),
}
IDS = {name: number for number, (name, _) in NAMES.items()}


def folder(root: Path, boxes: list[dict], captions: dict[int, list[str]], **options: object) -> Path:
    images = [{"id": i, "file_name": f"{i}.jpg", "width": 300, "height": 300} for i in captions]
    kinds = options.get("kinds", dict(NAMES.values()))
    categories = [
        {"id": number, "name": name, "supercategory": kinds.get(name, "")}
        for number, (name, _) in NAMES.items()
    ]
    write(
        root / "annotations/instances_x.json",
        {"images": images, "annotations": boxes, "categories": categories},
    )
    rows = [{"image_id": i, "caption": text} for i, texts in captions.items() for text in texts]
    write(root / "annotations/captions_x.json", {"images": images, "annotations": rows})
    for i in captions:
        (root / "images").mkdir(exist_ok=True)
        Image.new("RGB", (30, 30)).save(root / "images" / f"{i}.jpg")
    return root


def box(name: str, x: float, y: float, w: float, h: float, image_id: int = 1, crowd: int = 0) -> dict:
    return annotation(image_id, [x, y, w, h], IDS[name], crowd)


def ask(root: Path, question_type: str, image_id: int = 1, query_id: str = "q") -> Qa | None:
    query = Query(image_id=image_id, prompt="p", question_type=question_type, query_id=query_id)
    reply = asyncio.run(AnnotationsTeacher(root).ask(query))
    assert (reply.finish_reason, reply.model, reply.prompt_tokens) == ("stop", "annotations", 0)
    parsed = parse_reply(reply.text)
    return None if isinstance(parsed, Reason) else parsed[0]


def right(qa: Qa | None) -> str:
    assert qa is not None
    return qa.choices[qa.correct_choice_idx]
