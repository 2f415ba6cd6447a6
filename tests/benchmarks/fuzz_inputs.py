"""Reads changed files of every input format: `python tests/benchmarks/fuzz_inputs.py [MUTATIONS] [FORMAT …]`.

2,000 mutations a format where no number is given, of the formats whose names contain one of the words. Prints a line for
each format and the first finding of each kind, and ends with 1 if there is any.
"""

import re
import resource
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from itertools import repeat
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "helpers"))

from fuzzing.targets import TARGETS, Finding, all_findings

_MEMORY = 6 << 30  # bytes of address space; a file of a few kilobytes that needs more is a finding


def trial(place: int, mutations: int) -> tuple[list[Finding], float]:
    """The findings about one format, and the seconds of its process."""
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    start = time.process_time()
    return all_findings(TARGETS[place], range(mutations)), time.process_time() - start


def main() -> int:
    """Try the formats in two processes."""
    mutations = int(sys.argv[1]) if len(sys.argv) > 1 else 2_000
    words = sys.argv[2:]
    places = [
        n for n, target in enumerate(TARGETS) if not words or any(word in target.name for word in words)
    ]
    total = 0
    with ProcessPoolExecutor(2) as pool:
        for place, (found, seconds) in zip(places, pool.map(trial, places, repeat(mutations)), strict=True):
            total += len(found)
            print(
                f"{TARGETS[place].name}: {mutations:,} mutations, {len(found)} findings, {seconds:.1f} s",
                flush=True,
            )
            kinds = Counter(re.sub(r"\d+", "#", one.fault)[:70] for one in found)
            for kind, count in kinds.most_common():
                first = next(one for one in found if re.sub(r"\d+", "#", one.fault)[:70] == kind)
                print(f"  {count} x seed {first.seed} ({first.mutation}): {first.fault}", flush=True)
    print(f"{len(places)} formats, {len(places) * mutations:,} mutations, {total} findings")
    return 1 if total else 0


if __name__ == "__main__":
    sys.exit(main())
