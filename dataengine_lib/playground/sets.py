"""Writes the playground's sets to a cache folder: scenes as a COCO dataset, questions in A-OKVQA's format.

There are four sets that share no image: `base` (what the student was trained on), `pool` (the images of step 2's
queries), `diagnose` and `holdout` (what the student is evaluated on). The same seed and sizes give the same bytes.
"""

import io
import os
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any

from dataengine_lib.core.files import read_json, write_json
from dataengine_lib.core.progress.bar import progress_bar
from dataengine_lib.core.records import Question, qa_prompt
from dataengine_lib.errors import DataEngineError
from dataengine_lib.playground import world
from dataengine_lib.playground.captions import scene_facts, write_captions
from dataengine_lib.playground.questions import QA, QUESTION_WRITERS, write_question
from dataengine_lib.playground.scene_layout import make_scene
from dataengine_lib.playground.world import Scene

# first image ids, far enough apart that no two sets share an image
FIRST_ID = {"base": 100_000, "pool": 200_000, "diagnose": 300_000, "holdout": 400_000}
# scenes in base and pool, questions of each type in diagnose and holdout
_DEFAULT_SIZES = {"base": 2000, "pool": 3000, "diagnose": 60, "holdout": 120}
PIXELS = 224
_LEFTOVER_SECONDS = 3600
_FORMAT = 1  # raise it when the same seed no longer gives the same bytes
# The student's base data has hardly any questions of these types: the weakness that the loop has to find.
THIN_TYPES = ("function_reasoning", "nature_relation", "future_prediction", "social_relation", "image_emotion",
              "knowledge-based_reasoning")  # fmt: skip
THIN_SHARE = 0.004  # of these types' possible questions that are in the base data
# types whose answers A-OKVQA would mark as difficult to give without choices
_HARD_TO_SAY = frozenset({"function_reasoning", "nature_relation", "future_prediction", "social_relation"})
CATEGORIES = ("person", *dict.fromkeys((
    *world.ANIMALS, *world.VEHICLES, *world.FOOD, *world.FURNITURE, *world.PLANTS, *world.OBJECTS, *world.SKY_OUTDOORS,
    *world.SKY_INDOORS, *world.TOPICS.values(), *world.SUPPORTS, *world.SUPPORTED_THINGS,
    *(kind for pair in (*world.NATURE.values(), *world.EVENTS.values()) for kind in pair),
)))  # fmt: skip


def questions_of_each_type(split: str, sizes: dict[str, int] | None = None) -> int:
    """How many questions of each type the set `diagnose` or `holdout` has; `sizes` overrides default sizes."""
    return (_DEFAULT_SIZES | (sizes or {}))[split]


def write_playground(
    cache: Path,
    seed: int = 0,
    sizes: dict[str, int] | None = None,
    before_drawing: Callable[[], object] = lambda: None,
) -> Path:
    """Write the sets once below `cache` and return their folder; a finished folder is reused.

    `sizes` overrides default sizes; `before_drawing` is called when there is no finished folder. Raises DataEngineError
    when a size is unknown or the folder cannot be written.
    """
    sizes = _DEFAULT_SIZES | (sizes or {})
    if unknown := sorted(set(sizes) - set(_DEFAULT_SIZES)):
        raise DataEngineError(
            f"playground: no set is called {unknown[0]!r}; the sets are {', '.join(_DEFAULT_SIZES)}"
        )
    name = "-".join(
        [f"playground-v{_FORMAT}", f"seed{seed}", *(f"{key}{sizes[key]}" for key in _DEFAULT_SIZES)]
    )
    folder = Path(cache) / name
    if (folder / "complete.json").is_file():
        return folder
    before_drawing()
    # with the process id in its name, since two runs may write the same sets at once
    work = folder.with_name(f"{name}.{os.getpid()}.tmp")
    _remove_leftovers(folder)
    try:
        work.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataEngineError(
            f"{cache}: cannot be written ({error.strerror}); choose another playground cache"
        ) from error
    try:
        _write_sets(work, seed, sizes)
        # what may be there is unfinished, or another run's with the same bytes
        shutil.rmtree(folder, ignore_errors=True)
        os.replace(work, folder)
    except BaseException:
        shutil.rmtree(work, ignore_errors=True)
        raise
    return folder


def _remove_leftovers(folder: Path) -> None:
    """Remove what killed runs have left of `folder`: older than an hour, as another machine's may share the cache."""
    import psutil

    for left in folder.parent.glob(f"{folder.name}.*.tmp"):
        process = left.name.split(".")[-2]
        if process.isdigit() and len(process) < 10 and not psutil.pid_exists(int(process)):
            with suppress(OSError):
                if time.time() - left.stat().st_mtime > _LEFTOVER_SECONDS:
                    shutil.rmtree(left)


def _write_sets(folder: Path, seed: int, sizes: dict[str, int]) -> None:
    base = [make_scene(FIRST_ID["base"] + i, seed) for i in range(sizes["base"])]
    pool = [make_scene(FIRST_ID["pool"] + i, seed) for i in range(sizes["pool"])]
    scenes = {"base": base, "pool": pool}
    questions: dict[str, list[Question]] = {
        "base": [q for scene in base for q in base_questions(scene, seed)]
    }
    for split in ("diagnose", "holdout"):
        scenes[split], questions[split] = _balanced_questions(split, sizes[split], seed)
    todo = [
        (folder / name / "images" / file_name(scene.image_id), scene)
        for name in scenes
        for scene in scenes[name]
    ]
    for name in scenes:
        (folder / name / "images").mkdir(parents=True)
        _write_annotations(folder / name / "annotations", name, scenes[name], seed)
    with ProcessPoolExecutor() as workers:
        drawn = workers.map(_draw, todo, chunksize=32)
        for _ in progress_bar(drawn, total=len(todo), desc="drawing the playground", unit="scene"):
            pass
    write_json(folder / "base_questions.json", questions["base"])
    write_json(folder / "aokvqa_playground.json", questions["diagnose"] + questions["holdout"])
    write_json(
        folder / "complete.json",
        {"seed": seed, "sizes": sizes, "scenes": {k: len(v) for k, v in scenes.items()}},
    )


def file_name(image_id: int) -> str:
    """An image's file name in COCO's form."""
    return f"{image_id:012d}.jpg"


def _draw(task: tuple[Path, Scene]) -> None:
    from dataengine_lib.playground.drawing.scene import draw_scene

    path, scene = task
    stream = io.BytesIO()
    draw_scene(scene, PIXELS).save(stream, "JPEG", quality=88)
    path.write_bytes(stream.getvalue())


def _write_annotations(folder: Path, name: str, scenes: list[Scene], seed: int) -> None:
    ids = {kind: number for number, kind in enumerate(CATEGORIES, 1)}
    images = [
        {"id": s.image_id, "file_name": file_name(s.image_id), "width": PIXELS, "height": PIXELS}
        for s in scenes
    ]
    boxes: list[dict[str, Any]] = []
    captions: list[dict[str, Any]] = []
    for scene in scenes:
        named = [("person", person.box) for person in scene.people] + [
            (thing.kind, thing.box) for thing in scene.things
        ]
        for kind, (x0, y0, x1, y1) in named:
            # COCO's boxes: left, top, width, height in pixels
            box = [round(value * PIXELS, 2) for value in (x0, y0, x1 - x0, y1 - y0)]
            boxes.append({"id": len(boxes) + 1, "image_id": scene.image_id, "category_id": ids[kind], "bbox": box,
                          "area": round(box[2] * box[3], 2), "iscrowd": 0})  # fmt: skip
        captions += [{"image_id": scene.image_id, "caption": line} for line in write_captions(scene, seed)]
    captions = [{"id": number, **caption} for number, caption in enumerate(captions, 1)]
    categories = [{"id": number, "name": kind} for kind, number in ids.items()]
    write_json(
        folder / f"instances_{name}.json", {"images": images, "annotations": boxes, "categories": categories}
    )
    write_json(folder / f"captions_{name}.json", {"images": images, "annotations": captions})


def base_questions(scene: Scene, seed: int, *, thin_share: float = THIN_SHARE) -> Iterator[Question]:
    """The base set's questions about a scene: each type it supports, THIN_TYPES with probability `thin_share`."""
    for question_type in QUESTION_WRITERS:
        rng = Random(f"base {seed} {scene.image_id} {question_type}")
        # drawn before the question, so that `thin_share` changes no question's content
        wanted = rng.random() < (thin_share if question_type in THIN_TYPES else 1.0)
        qa = write_question(question_type, scene_facts(scene), rng)
        if qa and wanted:
            yield _to_record(qa, question_type, scene.image_id, "base", rng)


def _balanced_questions(split: str, per_type: int, seed: int) -> tuple[list[Scene], list[Question]]:
    """Scenes and questions of an evaluation set: exactly `per_type` questions of each type, at most four per image."""
    rng = Random(f"{split} {seed}")
    missing = Counter(dict.fromkeys(QUESTION_WRITERS, per_type))
    scenes, questions = [], []
    image_id = FIRST_ID[split]
    while +missing:  # as long as any count is above zero
        scene = make_scene(image_id, seed)
        image_id += 1
        # the types with most questions missing come first, equal ones at random
        found = [(missing[kind] + rng.random(), kind, qa) for kind in QUESTION_WRITERS
                 if missing[kind] > 0 and (qa := write_question(kind, scene_facts(scene), rng))]  # fmt: skip
        for _, kind, qa in sorted(found, key=lambda row: -row[0])[:4]:
            missing[kind] -= 1
            questions.append(_to_record(qa, kind, scene.image_id, split, rng))
        if found:
            scenes.append(scene)
    return scenes, questions


def _to_record(qa: QA, question_type: str, image_id: int, split: str, rng: Random) -> Question:
    """An A-OKVQA record of a QA: three wrong answers are drawn, the right one is at a random place."""
    choices = [qa.answer, *rng.sample(qa.wrong, 3)]
    rng.shuffle(choices)
    correct = choices.index(qa.answer)
    short = qa.short or qa.answer
    # ten direct answers and three rationales, as in A-OKVQA
    return Question(
        split=split, image_id=image_id, question_id=f"{split}-{image_id}-{question_type}", question=qa.question,
        choices=choices, correct_choice_idx=correct, direct_answers=[short] * 7 + [qa.answer] * 3,
        difficult_direct_answer=question_type in _HARD_TO_SAY, rationales=[qa.why] * 3, question_type=question_type,
        image_path=f"{split}/images/{file_name(image_id)}", prompt=qa_prompt(qa.question, choices, correct,
        question_type),
    )  # fmt: skip


def read_playground_questions(folder: Path) -> list[Question]:
    """The evaluation questions (diagnose and holdout) of a written playground."""
    return read_json(Path(folder) / "aokvqa_playground.json", list[Question])
