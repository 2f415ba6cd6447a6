"""The demo in small, alone and beside four busy loops, on two cores; its files must be the same, also on one core.

Run by `make bench`, alone on the machine: what else runs makes the idle time longer, and the ratio smaller.
"""

import argparse
import hashlib
import multiprocessing
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml

sys.path.append(str(Path(__file__).resolve().parents[1]))

from table.results import Row, write_result

PROJECT_ROOT = Path(__file__).resolve().parents[3]
AT_MOST = 3.0  # times the idle time
BUSY = 4  # loops
# Small, with every step: what is compared is the time of the same work.
SIZES = {"base": 100, "pool": 400, "diagnose": 10, "holdout": 10}
QUERIES, EPOCHS = 120, 1
# of a round and of the whole run; notebooks, pages and manifests hold times
DATA = ("*.json", "*.jsonl", "*.txt", "*.safetensors", "*.npy")
# hold times of change, paths or the answers in the order in which they came
NOT_COMPARED = (
    "*.manifest.json", "run.json", "train_time.json", "train_progress.jsonl", "*ledger.jsonl", "*.progress.jsonl",
    "images.json", ".hashes.json",
)  # fmt: skip


def _spin(cores: list[int]) -> None:
    os.sched_setaffinity(0, cores)
    while True:
        pass


@contextmanager
def busy_loops(cores: list[int]) -> Iterator[None]:
    """Four processes on `cores` that do nothing but compute."""
    loops = [multiprocessing.Process(target=_spin, args=(cores,)) for _ in range(BUSY)]
    for loop in loops:
        loop.start()
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.join()


def run_demo(experiment: Path, out: Path, cores: list[int]) -> tuple[float, float]:
    """Seconds by the clock, and of processors, of a whole run on `cores`."""
    program = str(Path(sys.executable).with_name("dataengine"))
    without = {name: value for name, value in os.environ.items() if not name.endswith("_THREADS")}
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(
        [program, "run", str(experiment), "--out", str(out)],
        cwd=PROJECT_ROOT,
        env=without,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: os.sched_setaffinity(0, cores),
    )
    took, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        sys.exit(f"the demo failed: {done.stdout}{done.stderr}")
    return took, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def digests(out: Path) -> dict[str, str]:
    """Of every data file and checkpoint of a run."""
    files = {file for pattern in DATA for file in out.rglob(pattern)}
    kept = (file for file in files if not any(file.match(pattern) for pattern in NOT_COMPARED))
    name = str(out).encode()
    return {
        str(file.relative_to(out)): hashlib.sha256(file.read_bytes().replace(name, b"")).hexdigest()
        for file in sorted(kept)
        if "states" not in file.parts
    }


def small_demo(folder: Path) -> Path:
    settings: dict[str, Any] = yaml.safe_load((PROJECT_ROOT / "params/demo.yaml").read_text(encoding="utf-8"))
    settings["rounds"] = 1
    settings["playground"] |= {"cache": str(folder / "cache"), "sizes": SIZES}
    settings["construct_queries"]["maxnum"] = QUERIES
    settings["fine_tune"]["epochs"] = EPOCHS
    file = folder / "small.yaml"
    file.write_text(yaml.safe_dump(settings), encoding="utf-8")
    return file


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=2)
    turns = parser.parse_args().turns
    cores = sorted(os.sched_getaffinity(0))[:2]
    if len(cores) < 2:
        sys.exit("two cores are needed")
    idle: list[tuple[float, float]] = []
    busy: list[tuple[float, float]] = []
    with TemporaryDirectory() as scratch:
        folder = Path(scratch)
        experiment = small_demo(folder)
        # untimed: it draws the playground
        run_demo(experiment, folder / "one_core", cores[:1])
        found = {"one core": digests(folder / "one_core")}
        for turn in range(turns):
            idle.append(run_demo(experiment, folder / f"idle{turn}", cores))
            with busy_loops(cores):
                busy.append(run_demo(experiment, folder / f"busy{turn}", cores))
            found[f"two cores, {turn}"] = digests(folder / f"idle{turn}")
            found[f"busy, {turn}"] = digests(folder / f"busy{turn}")
    (alone, alone_cpu), (beside, beside_cpu) = min(idle), min(busy)
    first = found["one core"]
    other = {
        (way, name) for way, files in found.items() for name in first if files.get(name) != first[name]
    } | {(way, name) for way, files in found.items() for name in files.keys() - first.keys()}
    print(
        f"a small demo on two cores: {alone:.1f} s alone, {beside:.1f} s beside {BUSY} busy loops, {beside / alone:.2f} "
        f"times (at most {AT_MOST:.0f}); processor {alone_cpu:.1f} and {beside_cpu:.1f} s\n"
        f"{len(first)} data files and weights on one core, on two and beside the loops: "
        f"{'the same' if not other else f'DIFFERENT: {sorted(other)}'}"
    )
    write_result("busy_machine", [
        Row(f"a small demo beside {BUSY} busy loops on two cores", f"at most {AT_MOST:.0f} times its idle time",
            f"{beside:.0f} s, {beside / alone:.2f} times; {beside_cpu:.0f} s of processor",
            f"alone: {alone:.0f} s, {alone_cpu:.0f} s of processor"),
        Row("its data files and weights on one core, on two, and beside the loops", "the same bytes",
            f"{len(first)} files: {'the same' if not other else f'{len(other)} differ'}"),
    ])  # fmt: skip
    if other or beside / alone > AT_MOST:
        sys.exit(f"files differ, or the demo takes more than {AT_MOST:.0f} times its idle time")


if __name__ == "__main__":
    main()
