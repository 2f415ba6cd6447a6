"""Times step 4 on 300,000 made-up replies and looks whether its memory grows: against 10,000, a fresh process each.

First reading, filters and the order of choices alone; then with the checks beyond the format that are on by default, which
is what the limits are for; then also with the files that let leaks and boxes be checked: 20,000 evaluation questions and
all of COCO's boxes, whose pool has its cache from step 2. Run by `make bench`, alone on the machine. Peak memory is that
of the process, Python and libraries too, and of the one that parses for it.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "helpers"))
from coco_sized import write_coco
from made_replies import ADJECTIVES, NOUNS, row
from table.results import Row, write_result

from dataengine_lib.core.files import write_json
from dataengine_lib.steps.post_process import PostProcessConfig, post_process

FEW, MANY, QUESTIONS = 10_000, 300_000, 20_000
MOST_S, MOST_MB, MOST_GROWTH = 20.0, 500, 1.5


OFF = dict.fromkeys(("box_check", "leaks", "near_duplicates", "blind_classifier"), "off")
WAYS = {
    "format": "the format alone",
    "default": "default checks",
    "files": "default checks with leaks and boxes",
}


def write_files(folder: Path) -> None:
    """A folder of COCO's size with the cache of its pool, and evaluation questions of many words."""
    from dataengine_lib.images.read_pool import read_pool

    read_pool(write_coco(folder / "coco"))
    rng, verbs = Random(7), ["hold", "wear", "carry", "push", "watch", "paint", "cover", "follow"]
    rows = [
        {
            "image_id": 1_000_000 + number,
            "question": f"Which {rng.choice(ADJECTIVES)} thing does the {rng.choice(NOUNS)} beside the "
            f"{rng.choice(ADJECTIVES)} {rng.choice(NOUNS)} {rng.choice(verbs)} at {number % 97}?",
            "choices": [f"{rng.choice(ADJECTIVES)} {noun}" for noun in rng.sample(NOUNS, 4)],
            "correct_choice_idx": 0,
            "split": "val",
        }
        for number in range(QUESTIONS)
    ]
    write_json(folder / "questions.json", rows)


def used() -> tuple[float, list[float]]:
    """Processor seconds of this process and its children together, and the peak of each in MB."""
    both = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in both), [one.ru_maxrss / 1024 for one in both]


def measure(count: int, way: str, folder: Path) -> None:
    """Post-process `count` replies and print the figures as JSON."""
    values: dict[str, Any] = OFF if way == "format" else {}
    images: list[int] = []
    if way == "files":
        values = {"questions": folder / "questions.json", "coco_dataset": folder / "coco"}
        images = sorted(int(file.stem) for file in (folder / "coco/train2017").iterdir())
    with TemporaryDirectory() as scratch:
        source, rng = Path(scratch) / "gptvqa_result.jsonl", Random(0)
        with source.open("w") as stream:
            for number in range(count):
                made = row(rng, number)
                if images:  # so that each reply is about an image of the pool
                    image_id = images[number * 7919 % len(images)]
                    made |= {"image_id": image_id, "image_path": f"train2017/{image_id:012d}.jpg"}
                stream.write(json.dumps(made) + "\n")
        del images
        (before, _), started = used(), time.perf_counter()
        result = post_process(
            PostProcessConfig(input=source, output=Path(scratch) / "gptvqa_train_data.json", **values)
        )
        seconds, (after, peaks) = time.perf_counter() - started, used()
    print(
        json.dumps(
            {
                "seconds": round(seconds, 2),
                "processor": round(after - before, 2),
                "peak_mb": round(sum(peaks)),
                "own_peak_mb": round(peaks[0]),
                "kept": result.counts.kept,
                "reasons": result.counts.by_reason,
            }
        )
    )


def fresh(folder: Path, *given: str) -> str:
    """What this script prints in a process of its own, with caches in `folder`."""
    environment = os.environ | {"XDG_CACHE_HOME": str(folder / "cache")}
    command = [sys.executable, __file__, "--folder", str(folder), *given]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--replies", type=int, help="measure this many in this process")
    parser.add_argument("--way", choices=WAYS, default="default")
    parser.add_argument("--folder", type=Path, default=Path())
    parser.add_argument(
        "--write", action="store_true", help="write the files that leaks and boxes need into the folder"
    )
    given = parser.parse_args()
    if given.write:
        write_files(given.folder)
    elif given.replies:
        measure(given.replies, given.way, given.folder)
    else:
        compare()


def compare() -> None:
    found: dict[tuple[int, str], Any] = {}
    with TemporaryDirectory() as scratch:
        folder = Path(scratch)
        fresh(folder, "--write")
        for number, way in ((MANY, "format"), (FEW, "default"), (MANY, "default"), (MANY, "files")):
            shown = found[number, way] = json.loads(fresh(folder, "--replies", str(number), "--way", way))
            reasons = ", ".join(f"{name} {n:,}" for name, n in shown["reasons"].items())
            print(
                f"{number:,} replies, {WAYS[way]}: {shown['seconds']} s ({shown['processor']} s of processor), peak "
                f"{shown['peak_mb']} MB, {shown['kept']:,} kept; dropped: {reasons}",
                flush=True,
            )
    # of this process, as few replies have no second one
    growth = found[MANY, "default"]["own_peak_mb"] / found[FEW, "default"]["own_peak_mb"]
    print(f"{MANY:,} replies take {growth:.2f} times the memory of {FEW:,} in the process that checks them")
    rows = [
        Row(
            f"step 4 with {MANY:,} replies, {WAYS[way]}",
            f"at most {MOST_S:g} s, {MOST_MB} MB",
            f"{one['seconds']:.1f} s, {one['processor']:.1f} s of processor, {one['peak_mb']} MB",
        )
        for (number, way), one in found.items()
        if number == MANY
    ]
    rows.append(
        Row(
            "step 4's memory, without the second process's",
            f"at most {MOST_GROWTH} times that of {FEW:,} replies",
            f"{growth:.2f} times",
        )
    )
    write_result("post_process_speed", rows)
    largest = [found[MANY, way] for way in ("default", "files")]
    if (
        max(one["seconds"] for one in largest) > MOST_S
        or max(one["peak_mb"] for one in largest) > MOST_MB
        or growth > MOST_GROWTH
    ):
        sys.exit(f"more than {MOST_S} s, {MOST_MB} MB or {MOST_GROWTH} times the memory")


if __name__ == "__main__":
    main()
