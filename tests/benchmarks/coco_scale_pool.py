"""How long does the image pool of all of COCO take, and how much memory? Without and with its cache, and at a tenth.

Each figure comes from a fresh process and includes making 6,000 images; it is compared with
`json.load` of the instances file alone. Exits with a message when a limit is exceeded. The files are made below the
temporary folder (about 1.2 GB) and removed.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from coco_sized import BOXES, CAPTIONS, IMAGES, write_coco
from table.results import Row, write_result

ACCESSED = 6_000  # images that become objects, as many as a round has queries
COLD_S, COLD_MB, WARM_S = 12.0, 2_000, 2.0
GROWTH = 11.0  # times the seconds for ten times the images


def measure(way: str, folder: Path) -> None:
    """Read the folder with `json.load` or as a pool, and print seconds and peak memory (MB) as JSON."""
    started = time.perf_counter()
    if way == "json":
        with (folder / "annotations/instances_train2017.json").open() as stream:
            json.load(stream)
    else:
        from dataengine_lib.images.read_pool import read_pool

        pool = read_pool(folder)
        assert len([pool[row] for row in pool.eligible[:ACCESSED]]) == min(ACCESSED, len(pool.eligible))
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"seconds": seconds, "peak_mb": peak}))


def fresh(way: str, folder: Path) -> tuple[float, float]:
    """Seconds and peak memory of `measure` in a process of its own, with the cache beside the folder."""
    environment = os.environ | {"XDG_CACHE_HOME": str(folder.parent / "cache")}
    command = [sys.executable, __file__, way, str(folder)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    print(f"{way:12} {folder.name:6} {found['seconds']:6.2f} s  {found['peak_mb']:6.0f} MB", flush=True)
    return found["seconds"], found["peak_mb"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("way", nargs="?", choices=["write", "write tenth", "json", "cold", "warm"])
    parser.add_argument("folder", nargs="?", type=Path)
    options = parser.parse_args()
    if options.way in ("write", "write tenth"):
        share = 1 if options.way == "write" else 0.1
        write_coco(options.folder, *(round(number * share) for number in (IMAGES, BOXES, CAPTIONS)))
    elif options.way:
        measure(options.way, options.folder)
    else:
        compare()


def compare() -> None:
    """Make the files and take all figures; a process that writes has its own memory, not counted below."""
    wrong = []
    with TemporaryDirectory() as scratch:
        full, tenth = Path(scratch) / "all", Path(scratch) / "tenth"
        for way, folder in (("write", full), ("write tenth", tenth)):
            subprocess.run([sys.executable, __file__, way, str(folder)], check=True)
        tenth_s, _ = fresh("cold", tenth)
        cold_s, cold_mb = fresh("cold", full)
        warm_s, warm_mb = fresh("warm", full)
        json_s, json_mb = fresh("json", full)
    print(f"json.load / cold: {json_s / cold_s:.2f} of the time, {json_mb / cold_mb:.1f} of the memory")
    print(f"json.load / warm: {json_s / warm_s:.1f} of the time, {json_mb / warm_mb:.1f} of the memory")
    print(f"ten times the images take {cold_s / tenth_s:.1f} times as long")
    write_result("coco_scale_pool", [
        Row("the image pool of all of COCO, first time", f"at most {COLD_S:g} s, {COLD_MB:,} MB",
            f"{cold_s:.1f} s, {cold_mb:,.0f} MB; ten times the images take {cold_s / tenth_s:.1f} times as long",
            f"json.load of the instances alone: {json_s:.1f} s, {json_mb:,.0f} MB"),
        Row("the same with its cache", f"at most {WARM_S:g} s", f"{warm_s:.1f} s, {warm_mb:,.0f} MB",
            f"json.load takes {json_s / warm_s:.1f} times as long"),
    ])  # fmt: skip
    if cold_s > COLD_S or cold_mb > COLD_MB:
        wrong.append(f"without a cache the pool takes more than {COLD_S:g} s or {COLD_MB:,} MB")
    if warm_s > WARM_S:
        wrong.append(f"with its cache the pool takes more than {WARM_S:g} s")
    if cold_s > GROWTH * tenth_s:
        wrong.append(f"ten times the images take more than {GROWTH:g} times as long")
    if wrong:
        sys.exit("; ".join(wrong))


if __name__ == "__main__":
    main()
