"""Times step 5's trainer against a bare loop over the same tensors, in CPU seconds; the weights must be the same.

Run by `make bench`, alone on the machine. Both train a copy of the same student, in turn, in one process.
"""

import argparse
import copy
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

PROJECT_ROOT = Path(__file__).resolve().parents[2]
sys.path += [str(PROJECT_ROOT / "tests/helpers"), str(PROJECT_ROOT / "tests/benchmarks")]

from fine_tuning.bare_loop import bare_loop  # noqa: E402
from ranking_speed import larger  # noqa: E402

from dataengine_lib.students.loading import load_student  # noqa: E402
from dataengine_lib.training.trainable import Trainable, TrainableSettings, load_trainable  # noqa: E402
from dataengine_lib.training.trainer.settings import TrainerSettings  # noqa: E402
from dataengine_lib.training.trainer.train import train  # noqa: E402

AT_MOST = 1.15  # times the CPU seconds of the bare loop


class Ready:
    """Gives the tensors that were made before, in place of an ExampleEncoder."""

    def __init__(self, batches: list[Any]) -> None:
        self._batches = batches

    def prepare(self, batches: Any) -> None: ...

    def batch(self, examples: list[Any]) -> dict[str, torch.Tensor]:
        found: dict[str, torch.Tensor] = dict(self._batches[examples[0].place])
        return found


class Row:
    """The only row of a step, which stands for all that is in its tensors."""

    def __init__(self, place: int, answer: int) -> None:
        self.place, self.answer = place, answer


def cpu_seconds(work: Callable[[], Any]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def compare(name: str, student: Trainable, batches: list[Any], turns: int) -> bool:
    """Print the ratio of the least CPU seconds of `turns`; False when the weights differ or it is above AT_MOST."""
    took: dict[str, list[float]] = {"bare loop": [], "trainer": []}
    steps: Any = [[Row(place, int((inputs["labels"] != -100).sum()))] for place, inputs in enumerate(batches)]
    weights = {}
    for _ in range(turns):
        for way in took:
            trained = copy.deepcopy(student)
            if way == "trainer":
                with tempfile.TemporaryDirectory() as folder:
                    given: Any = Ready(batches)
                    settings = TrainerSettings(learning_rate=1e-4)
                    took[way].append(
                        cpu_seconds(lambda: train(trained, given, steps, [], settings, Path(folder)))  # noqa: B023
                    )
            else:
                took[way].append(cpu_seconds(lambda: bare_loop(trained, batches, 1e-4)))  # noqa: B023
            weights[way] = [parameter.detach().clone() for parameter in trained.parameters]
    same = all(torch.equal(*pair) for pair in zip(*weights.values(), strict=True))
    bare, ours = (min(seconds) for seconds in took.values())
    print(
        f"{name}: {len(batches)} steps, {bare:.2f} CPU seconds bare, {ours:.2f} with the trainer, "
        f"{ours / bare:.3f} times; weights {'the same' if same else 'DIFFERENT'}"
    )
    return same and ours / bare <= AT_MOST


def batches_of(student: Trainable, steps: int, rows: int, tokens: int) -> list[Any]:
    """Batches of one image a row and `tokens` random tokens of text, a quarter of which are learnt."""
    config, made = student.model.config, []
    image, size = config.image_token_id, config.vision_config.image_size
    patches = (size // config.vision_config.patch_size) ** 2
    random = torch.Generator().manual_seed(0)
    for _ in range(steps):
        text = torch.randint(10, 200, (rows, tokens), generator=random)
        ids = torch.cat([torch.full((rows, patches), image), text], dim=1)
        labels = ids.clone()
        labels[:, : -(tokens // 4)] = -100
        pixels = torch.randn(rows, 3, size, size, generator=random)
        made.append(
            {
                "input_ids": ids,
                "attention_mask": torch.ones_like(ids),
                "labels": labels,
                "pixel_values": pixels,
            }
        )
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=3)
    turns = parser.parse_args().turns
    torch.set_num_threads(1)
    folder = str(PROJECT_ROOT / "data_demo/models/tiny-llava")
    settings = TrainableSettings(method="full", dtype="float32", device="cpu")
    tiny = load_trainable(folder, settings)
    good = [compare("playground student", tiny, batches_of(tiny, 60, 16, 40), turns)]
    large = load_trainable(folder, settings)
    large.model = larger(load_student(folder, "cpu")).model
    good.append(compare("language model of 135M", large, batches_of(large, 4, 2, 40), turns))
    if not all(good):
        sys.exit(f"the weights differ, or the trainer takes more than {AT_MOST} times the CPU of a bare loop")


if __name__ == "__main__":
    main()
