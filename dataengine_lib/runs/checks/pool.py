"""Before a run: has the pool as many images as queries are asked for in all rounds? Every query takes one of its own."""

from collections.abc import Iterator, Sequence
from typing import Any

from dataengine_lib.core.bad_rows import counted_reasons
from dataengine_lib.errors import DataEngineError
from dataengine_lib.images.read_pool import read_pool
from dataengine_lib.images.references import ImageRef, locate_all
from dataengine_lib.queries.panel_images import panel_images
from dataengine_lib.queries.query_pool import QueryPool
from dataengine_lib.questions.evaluation_images import read_image_refs
from dataengine_lib.runs.checks.finding import Finding
from dataengine_lib.runs.workflow import Planned, first_configs

_SUBJECT = "image pool"


def check_pool(planned: Sequence[Planned]) -> Iterator[Finding]:
    """A finding on the images that may carry a query, without those left out for a reason that is known by now.

    Copies of evaluation images are found only by step 2. Nothing is found while the pool's folder does not exist.
    """
    rounds: list[Any] = [item.config for item in planned if item.step.name == "construct_queries"]
    wanted = sum(config.maxnum for config in rounds)
    if not wanted or not rounds[0].coco_dataset.is_dir():
        return
    try:
        pool = free_images(planned, rounds[0])
    except DataEngineError as error:
        yield Finding("bad", _SUBJECT, str(error))
        return
    free = int(pool.free.sum())
    left_out = counted_reasons(pool.left_out)
    why = f" (left out: {left_out})" if left_out else ""
    number = f"{free:,} of the {len(pool.images):,} images in {rounds[0].coco_dataset} can carry a query{why}"
    each = f", {rounds[0].maxnum:,} in each of {len(rounds)} rounds" if len(rounds) > 1 else ""
    if not free:
        yield Finding("bad", _SUBJECT, f"{number}; give another coco_dataset, or more images")
    elif free < wanted:
        yield Finding(
            "warn",
            _SUBJECT,
            f"{number}, and every query takes another one: about {free:,} of {wanted:,} queries can be filled{each}; "
            "add images or lower maxnum",
        )
    else:
        yield Finding("ok", _SUBJECT, f"{number}; {wanted:,} are asked for{each}")


def free_images(planned: Sequence[Planned], config: Any) -> QueryPool:
    """The pool of round 1 without evaluation images and those of earlier runs' rounds; `config` is that of step 2.

    Raises DataEngineError when the pool's folder or a file of questions cannot be read.
    """
    images = read_pool(
        config.coco_dataset,
        min_side=config.min_side,
        min_captions=config.min_captions,
        max_bad_share=config.max_bad_share,
    )
    pool = QueryPool(images, config.bad_case_image_root or config.coco_dataset)
    # step 0's output does not exist yet: the images are those of its input
    classify = first_configs(planned).get("classify_questions")
    questions = classify.questions if classify is not None else config.questions
    if questions is not None and questions.is_file() and pool.evaluation_root.is_dir():
        refs: list[ImageRef] = read_image_refs(questions, pool.evaluation_root)
        paths, _ = locate_all(refs, pool.find)
        pool.leave_out_evaluation(refs, paths)
    if pool.evaluation_root.is_dir() and all(one.questions.is_file() for one in config.panel.values()):
        found = panel_images(config.panel, pool.evaluation_root, config.max_bad_share, lambda line: None)
        pool.leave_out_evaluation(found, found)
    made = {path for item in planned for path in item.outputs()}
    pool.leave_out_queries(file for file in config.exclude_queries if file not in made and file.is_file())
    return pool
