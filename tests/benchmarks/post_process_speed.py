"""Times step 4 on 100,000 made-up replies and looks whether its memory grows: against 10,000, a fresh process each.

First reading, filters and the order of choices alone; then with the checks beyond the format that are on by default,
which is what the limits are for.
Run by `make bench`, alone on the machine. One process; the peak is of the whole process, Python and libraries too.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "helpers"))
from made_replies import row

from dataengine_lib.steps.post_process import PostProcessConfig, post_process

FEW, MANY = 10_000, 100_000
MOST_S, MOST_MB, MOST_GROWTH = 10.0, 500, 1.5


OFF = dict.fromkeys(("box_check", "leaks", "near_duplicates", "blind_classifier"), "off")


def measure(count: int, checks: bool) -> None:
    """Post-process `count` replies and print the figures as JSON."""
    values: dict[str, Any] = {} if checks else OFF
    with TemporaryDirectory() as scratch:
        source, rng = Path(scratch) / "gptvqa_result.jsonl", Random(0)
        with source.open("w") as stream:
            for number in range(count):
                stream.write(json.dumps(row(rng, number)) + "\n")
        before = resource.getrusage(resource.RUSAGE_SELF)
        started = time.perf_counter()
        result = post_process(
            PostProcessConfig(input=source, output=Path(scratch) / "gptvqa_train_data.json", **values)
        )
        seconds, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_SELF)
    print(
        json.dumps(
            {
                "seconds": round(seconds, 2),
                "processor": round(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, 2),
                "peak_mb": round(after.ru_maxrss / 1024),
                "kept": result.counts.kept,
                "reasons": result.counts.by_reason,
            }
        )
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--replies", type=int, help="measure this many in this process")
    parser.add_argument("--checks", action="store_true", help="with the checks beyond the format")
    given = parser.parse_args()
    if given.replies:
        measure(given.replies, given.checks)
        return
    found: dict[int, Any] = {}
    for number, checks in ((MANY, False), (FEW, True), (MANY, True)):
        command = [sys.executable, __file__, "--replies", str(number), *(["--checks"] if checks else [])]
        shown = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
        found[number] = shown
        reasons = ", ".join(f"{name} {n:,}" for name, n in shown["reasons"].items())
        print(
            f"{number:,} replies{' with the checks' if checks else ''}: {shown['seconds']} s"
            f" ({shown['processor']} s of processor), peak {shown['peak_mb']} MB, {shown['kept']:,} kept;"
            f" dropped: {reasons}"
        )
    few, many = found[FEW], found[MANY]
    growth = many["peak_mb"] / few["peak_mb"]
    print(f"{MANY:,} replies take {growth:.2f} times the memory of {FEW:,}")
    if many["seconds"] > MOST_S or many["peak_mb"] > MOST_MB or growth > MOST_GROWTH:
        sys.exit(f"more than {MOST_S} s, {MOST_MB} MB or {MOST_GROWTH} times the memory")


if __name__ == "__main__":
    main()
