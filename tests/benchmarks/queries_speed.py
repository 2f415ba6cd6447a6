"""Times step 2's own work, drawing, picking and rendering, for 600 and for 6,000 queries on a made-up pool.

Run by `make bench`, alone on the machine. Ten times the queries may cost at most eleven times as much; reading the
pool, embedding it and searching it are timed elsewhere.
"""

import argparse
import sys
import time
from collections.abc import Callable
from random import Random

import numpy as np
from table.results import Row, write_result

from dataengine_lib.core.records import qa_prompt
from dataengine_lib.images.pool import NamedBox, PoolImage
from dataengine_lib.queries.prompt import QueryPrompt, load_template
from dataengine_lib.queries.sampling import Neighbours, draw_drafts, pick_images

IMAGES, TYPES, CASES, TOPK = 118_287, 18, 40, 1000  # COCO 2017, and a student with some 700 bad cases
MAX_RATIO = 11.0  # time of 6,000 queries to that of 600


def pool(rng: np.random.Generator) -> list[PoolImage]:
    """Images with COCO's five captions and seven boxes."""
    names = ("person", "dog", "bicycle", "traffic light", "fire hydrant", "dining table", "chair")
    corners = np.sort(rng.random((IMAGES, 2, 2)), axis=1).round(3).tolist()
    captions = [
        f"A {a} beside a {b} in the middle of a busy street in the sun." for a in names for b in names
    ]
    return [
        PoolImage(
            id=number,
            path=f"train2017/{number:012d}.jpg",
            captions=[captions[(number * 5 + place) % len(captions)] for place in range(5)],
            boxes=[NamedBox(name, (low[0], low[1], high[0], high[1])) for name in names],
        )
        for number, (low, high) in enumerate(corners)
    ]


def neighbours(rng: np.random.Generator) -> Callable[[str, int], Neighbours]:
    """Every bad case's TOPK nearest images, at random."""
    found = {
        (f"type_{kind:02}", case): Neighbours(
            rng.choice(IMAGES, TOPK, replace=False), np.linspace(1, 0.5, TOPK, dtype=np.float32)
        )
        for kind in range(TYPES)
        for case in range(CASES)
    }
    return lambda kind, case: found[kind, case]


def seconds(
    count: int, template: QueryPrompt, images: list[PoolImage], near: Callable[[str, int], Neighbours]
) -> float:
    """How long `count` queries take."""
    example = qa_prompt(
        "What does the man in the jacket hold?", ["umbrella", "suitcase", "kite", "dog"], 0, ""
    )
    weights = {f"type_{kind:02}": 0.1 + 0.03 * kind for kind in range(TYPES)}
    free = np.ones(len(images), dtype=bool)
    started = time.perf_counter()
    rng = Random(0)
    drafts, _ = draw_drafts(
        weights, dict.fromkeys(weights, CASES), count, examples=2, neighbour_share=0.5, rng=rng
    )
    anchors = [near(draft.question_type, draft.examples[0]) if draft.neighbour else None for draft in drafts]
    prompts: dict[int, str | None] = {}

    def fits(place: int, row: int) -> bool:
        draft = drafts[place]
        prompts[place] = template.render(
            draft.question_type, "What it means.", [example] * 2, images[row], 4000
        )
        return prompts[place] is not None

    picks = pick_images(drafts, anchors, free, rng, fits)
    took = time.perf_counter() - started
    assert len(picks) == len(prompts) == count
    return took


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=5)
    turns = parser.parse_args().turns
    rng = np.random.default_rng(0)
    images, near, template = pool(rng), neighbours(rng), load_template("v1")
    took: dict[int, list[float]] = {600: [], 6000: []}
    for _ in range(turns):
        for count, times in took.items():
            times.append(seconds(count, template, images, near))
    few, many = (min(times) for times in took.values())
    print(
        f"600 queries in {few:.3f} s, 6,000 in {many:.3f} s ({1e6 * many / 6000:.0f} µs each): {many / few:.1f} times"
    )
    write_result("queries_speed", [
        Row("step 2 draws, picks and renders 6,000 queries", f"at most {MAX_RATIO:g} times 600", f"{many:.2f} s, "
            f"{1e6 * many / 6000:.0f} µs each, {many / few:.1f} times", f"600 queries: {few:.3f} s")
    ])  # fmt: skip
    if many > MAX_RATIO * few:
        sys.exit(
            f"6,000 queries take {many / few:.1f} times as long as 600; at most {MAX_RATIO:g} is promised"
        )


if __name__ == "__main__":
    main()
