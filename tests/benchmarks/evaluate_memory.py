"""Does step 1's memory grow with the number of questions? Peak of 10,000 against 1,000, a fresh process each.

Run by `make bench`. The questions are the playground's, asked again under other ids.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
from table.results import Row, write_result

from dataengine_lib.core.files import write_json
from dataengine_lib.playground.sets import read_playground_questions, write_playground
from dataengine_lib.steps.evaluate import EvaluateConfig, evaluate

PROJECT_ROOT = Path(__file__).resolve().parents[2]

STUDENT = str(PROJECT_ROOT / "data_demo/models/tiny-llava")
FEW, MANY = 1_000, 10_000
MOST = 1.1  # times the peak of the few


def measure(count: int) -> None:
    """Score `count` questions and print peak memory (MB) and seconds as JSON."""
    playground = write_playground(PROJECT_ROOT / "reports/.playground", 0)
    known = read_playground_questions(playground)
    rows = [
        msgspec.structs.replace(known[n % len(known)], question_id=f"{n}-{known[n % len(known)].question_id}")
        for n in range(count)
    ]
    with TemporaryDirectory() as scratch:
        folder = Path(scratch)
        write_json(folder / "questions.json", rows)
        del rows, known
        started = time.perf_counter()
        evaluate(
            EvaluateConfig(
                questions=folder / "questions.json",
                image_root=playground,
                student=STUDENT,
                output_dir=folder,
                direct_answers=False,
            )
        )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"peak_mb": round(peak), "seconds": round(time.perf_counter() - started, 1)}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--questions", type=int, help="measure this many in this process")
    count = parser.parse_args().questions
    if count:
        measure(count)
        return
    peaks = []
    for number in (FEW, MANY):
        command = [sys.executable, __file__, "--questions", str(number)]
        found = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
        print(f"{number:,} questions: peak {found['peak_mb']} MB, {found['seconds']} s")
        peaks.append(found["peak_mb"])
    ratio = peaks[1] / peaks[0]
    print(f"{MANY:,} questions take {ratio:.2f} times the memory of {FEW:,}")
    write_result("evaluate_memory", [
        Row(f"step 1's peak memory with {MANY:,} questions", f"at most {MOST} times that with {FEW:,}",
            f"{peaks[1]} MB, {ratio:.2f} times", f"with {FEW:,} questions: {peaks[0]} MB")
    ])  # fmt: skip
    if ratio > MOST:
        sys.exit(f"memory grows with the number of questions (more than {MOST} times)")


if __name__ == "__main__":
    main()
