"""Step 5's way from rows to batches: seconds until the first batch, memory by images, decodes of an image in a worker.

Run by `make bench`. The rows are about pictures of noise, each linked under as many names as there are images; every
figure is of a fresh process.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

from table.results import Row, write_result

PROJECT_ROOT = Path(__file__).resolve().parents[2]
STUDENT = str(PROJECT_ROOT / "data_demo/models/tiny-llava")
ROWS, IMAGES = 80_000, 1_000
MOST_SECONDS = 60.0  # until the first batch of these rows
FEW, MANY = 1_000, 10_000  # images that are used once each
MOST_MIB = 300.0  # that the many may take more than the few
BATCH = 32
PICTURES = [(320, 240), (240, 320), (300, 200), (256, 256), (320, 180)]


def write_rows(folder: Path, rows: int, images: int) -> Path:
    """`rows` questions about `images` files in turn, as training data of step 4."""
    from PIL import Image

    from dataengine_lib.core.files import write_json

    for number, size in enumerate(PICTURES):
        Image.effect_noise(size, 60).convert("RGB").save(folder / f"noise{number}.jpg")
    for number in range(images):
        os.link(folder / f"noise{number % len(PICTURES)}.jpg", folder / f"{number:012d}.jpg")
    choices = ["a red square", "a blue circle", "two green stars", "nothing"]
    found = [
        {
            "image_id": n % images,
            "image_path": f"{n % images:012d}.jpg",
            "raw_instructions": "",
            "question_type": "object_localization",
            "question": f"What is {'to the left ' * (n % 5)}of number {n}?",
            "choices": choices,
            "correct_choice_idx": n % 4,
            "rationales": [],
        }
        for n in range(rows)
    ]
    return write_json(folder / "train.json", found)


def measure(folder: Path, rows: int, images: int, workers: int, *, whole: bool) -> dict[str, Any]:
    """Read the rows and make the first batch, or with `whole` all batches."""
    file = write_rows(folder, rows, images)
    # what has been imported and allocated so far counts, but not the time for writing the rows
    started, used = time.perf_counter(), time.process_time()
    from tqdm import tqdm

    from dataengine_lib.core.bad_rows import BadRows
    from dataengine_lib.students.length_limit import LengthLimit
    from dataengine_lib.students.loading import load_student
    from dataengine_lib.training.encoding import image_files
    from dataengine_lib.training.examples import ExampleEncoder
    from dataengine_lib.training.mixing import length_batches
    from dataengine_lib.training.row_files import read_training_rows
    from dataengine_lib.training.trainer.passes import pass_loader, passes_of

    log, read_image = folder / "decoded.txt", image_files.read_image

    def counted(path: Path) -> Any:
        with log.open("a") as stream:
            stream.write(f"{os.getpid()} {path.name}\n")
        return read_image(path)

    image_files.read_image = counted  # type: ignore[assignment]
    skipped = BadRows(file, 0)
    read = read_training_rows(file, folder, ["QM-A"], skipped)
    student = load_student(STUDENT, "cpu")
    limit = LengthLimit(student.model, student.processor)
    encoder = ExampleEncoder(student.processor, {file: skipped}, limit=limit)
    made = encoder.make([(row, "QM-A") for row in read], tqdm(disable=True))
    examples = [example for example in made if example is not None]
    rng = Random(0)
    rng.shuffle(examples)
    steps = [
        [examples[n] for n in batch] for batch in length_batches([len(one) for one in examples], BATCH, rng)
    ]
    passes = passes_of(steps, 1)
    encoder.prepare([passes.rows[place].example for place in places] for places in passes)
    batches = iter(pass_loader(encoder, passes, workers))
    next(batches)
    seconds, processor_seconds = time.perf_counter() - started, time.process_time() - used
    if whole:
        made_batches = 1 + sum(1 for _ in batches)
        assert made_batches == len(steps)
    del batches
    here = str(os.getpid())
    decodes = Counter(
        line for line in log.read_text().splitlines() if not line.startswith(here) or workers == 0
    )
    return {
        "seconds": round(seconds, 1),
        "processor_seconds": round(processor_seconds, 1),
        "peak_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "most_decodes": max(decodes.values(), default=0),
        "readers": len({line.split()[0] for line in decodes}),
    }


def in_process(rows: int, images: int, workers: int, whole: bool) -> dict[str, Any]:
    """`measure` in a process of its own."""
    command = [
        sys.executable,
        __file__,
        "--rows",
        str(rows),
        "--images",
        str(images),
        "--workers",
        str(workers),
    ]
    done = subprocess.run(
        [*command, *(["--whole"] if whole else [])], capture_output=True, text=True, check=True
    )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, help="measure this many in this process")
    parser.add_argument("--images", type=int)
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--whole", action="store_true")
    asked = parser.parse_args()
    if asked.rows:
        with TemporaryDirectory() as scratch:
            print(
                json.dumps(measure(Path(scratch), asked.rows, asked.images, asked.workers, whole=asked.whole))
            )
        return
    faults = []
    first = in_process(ROWS, IMAGES, 2, whole=False)
    print(f"{ROWS:,} rows about {IMAGES:,} images: first batch after {first['seconds']} s, "
          f"{first['processor_seconds']} s of a processor")  # fmt: skip
    # the first is the promise; where other programs use the machine too, only the second says something of ours
    if min(first["seconds"], first["processor_seconds"]) > MOST_SECONDS:
        faults.append(f"the first batch took {first['seconds']} s, more than {MOST_SECONDS:.0f}")
    few, many = (in_process(number, number, 0, whole=True) for number in (FEW, MANY))
    more = many["peak_mib"] - few["peak_mib"]
    print(f"{FEW:,} images: peak {few['peak_mib']} MiB; {MANY:,} images: {many['peak_mib']} MiB, {more} more")
    if more > MOST_MIB:
        faults.append(f"{MANY:,} images take {more} MiB more than {FEW:,}, more than {MOST_MIB:.0f}")
    shared = in_process(20 * BATCH * 10, 100, 2, whole=True)
    print(f"{20 * BATCH * 10:,} rows about 100 images: {shared['readers']} workers decode each at most "
          f"{shared['most_decodes']} times")  # fmt: skip
    if shared["most_decodes"] != 1:
        faults.append(f"a worker decoded an image {shared['most_decodes']} times")
    write_result("training_data", [
        Row(f"step 5's first batch of {ROWS:,} rows", f"at most {MOST_SECONDS:.0f} s",
            f"{first['seconds']} s, {first['processor_seconds']} s of a processor"),
        Row(f"step 5's memory with {MANY:,} images", f"at most {MOST_MIB:.0f} MiB more than with {FEW:,}",
            f"{many['peak_mib']} MiB, {more} more", f"with {FEW:,} images: {few['peak_mib']} MiB"),
        Row("decodes of an image in a worker", "one", str(shared["most_decodes"])),
    ])  # fmt: skip
    if faults:
        sys.exit("; ".join(faults))


if __name__ == "__main__":
    main()
