"""What a second thread gains by the size of a model: a step of training and a pass over a batch, with one thread and two.

Run by `make bench`; `core/machine/threads.py` takes its limit from here. Models are the playground's student and the same
with language models of random weights. Both numbers of threads run in turn, in one process. What counts is the main
thread's processor time: threads that wait sleep, so it is the time by the clock where each thread has a core, whatever
else the machine does. All threads' time shows what the second one costs.
"""

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dataengine_lib  # noqa: F401 - before torch, which then lets waiting threads sleep

# isort: split
import torch
from transformers import LlavaConfig, LlavaForConditionalGeneration

PROJECT_ROOT = Path(__file__).resolve().parents[3]
sys.path += [str(PROJECT_ROOT / "tests/helpers"), str(PROJECT_ROOT / "tests/benchmarks")]

from fine_tuning.bare_loop import bare_loop  # noqa: E402
from table.results import Row, write_result  # noqa: E402
from training_speed import batches_of  # noqa: E402

from dataengine_lib.core.machine.threads import ONE_THREAD_BELOW, parameter_count  # noqa: E402
from dataengine_lib.training.trainable import TrainableSettings, load_trainable  # noqa: E402

# width and layers of language models like SmolLM2's; None is the playground's student as it is
SHAPES: list[tuple[int, int] | None] = [None, (256, 10), (384, 10), (384, 14), (512, 18)]


def resized(student: Any, shape: tuple[int, int] | None) -> Any:
    if shape is not None:
        width, layers = shape
        config = LlavaConfig.from_dict(student.model.config.to_dict())
        config.text_config.update(
            {"hidden_size": width, "intermediate_size": width * 8 // 3, "num_hidden_layers": layers}
            | {"num_attention_heads": width // 64, "num_key_value_heads": width // 64, "head_dim": 64}
        )
        torch.manual_seed(0)
        student.model = LlavaForConditionalGeneration(config)
    return student


def seconds(work: Callable[[], Any]) -> tuple[float, float]:
    """Processor seconds of this thread, and of all."""
    own, all_threads = time.thread_time(), time.process_time()
    work()
    return time.thread_time() - own, time.process_time() - all_threads


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=3)
    turns = parser.parse_args().turns
    rows = []
    for shape in SHAPES:
        settings = TrainableSettings(method="full", dtype="float32", device="cpu")
        student = load_trainable(str(PROJECT_ROOT / "data_demo/models/tiny-llava"), settings)
        student = resized(student, shape)
        student.compute = torch.float32
        batches = batches_of(student, 1, 16, 40)
        count = parameter_count(student.model)
        took: dict[tuple[str, int], list[tuple[float, float]]] = {}
        for _ in range(turns):
            for threads in (1, 2):
                torch.set_num_threads(threads)
                took.setdefault(("trained", threads), []).append(
                    seconds(lambda: bare_loop(student, batches, 1e-6))  # noqa: B023
                )
                student.model.eval()
                with torch.inference_mode():
                    took.setdefault(("read", threads), []).append(
                        seconds(lambda: student.model(**batches[0]))  # noqa: B023
                    )
        gains = {way: min(took[way, 1])[0] / min(took[way, 2])[0] for way in ("trained", "read")}
        used = {way: min(c for _, c in took[way, 2]) / min(c for _, c in took[way, 1]) for way in gains}
        has = "one" if count < ONE_THREAD_BELOW else "torch's number"
        print(
            f"{count / 1e6:.1f} million parameters, two threads: a step {gains['trained']:.2f} times as fast "
            f"({used['trained']:.2f} times the processor time), a pass {gains['read']:.2f} ({used['read']:.2f}); "
            f"it has {has}",
            flush=True,
        )
        gain = f"a step {gains['trained']:.2f}, a pass {gains['read']:.2f} times as fast as with one"
        rows.append(Row(f"a second thread for {count / 1e6:.1f} million parameters", f"it has {has}", gain))
    write_result("thread_worth", rows)


if __name__ == "__main__":
    main()
