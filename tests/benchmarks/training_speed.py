"""Times step 5's trainer against a bare loop over the same tensors, in CPU seconds; the weights must be the same.

Run by `make bench`, alone on the machine. Both train a copy of the same student, in turn, in one process; the plain
Trainer of transformers trains a third one on the same tensors.
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
from table.results import Row, write_result  # noqa: E402
from transformers import Trainer, TrainingArguments  # noqa: E402

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


class OneRow:
    """The only row of a step, which stands for all that is in its tensors."""

    def __init__(self, place: int, answer: int) -> None:
        self.place, self.answer = place, answer


def cpu_seconds(work: Callable[[], Any]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def plain_trainer(student: Any, batches: list[Any], learning_rate: float, folder: Path) -> None:
    """transformers' Trainer with the settings of the bare loop; it draws the order of the batches itself."""
    arguments = TrainingArguments(
        str(folder), num_train_epochs=1, per_device_train_batch_size=1, learning_rate=learning_rate, optim="adamw_torch",
        lr_scheduler_type="cosine", warmup_steps=1, weight_decay=0.0, max_grad_norm=1.0, save_strategy="no",
        logging_strategy="no", report_to=[], use_cpu=True, disable_tqdm=True, remove_unused_columns=False,
    )  # fmt: skip
    places: Any = list(range(len(batches)))
    Trainer(
        student.model, arguments, data_collator=lambda rows: dict(batches[rows[0]]), train_dataset=places
    ).train()


def compare(name: str, student: Trainable, batches: list[Any], turns: int) -> tuple[bool, Row]:
    """Print the ratio of the least CPU seconds of `turns`; False when the weights differ or it is above AT_MOST."""
    took: dict[str, list[float]] = {"bare loop": [], "trainer": [], "Trainer": []}
    steps: Any = [
        [OneRow(place, int((inputs["labels"] != -100).sum()))] for place, inputs in enumerate(batches)
    ]
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
            elif way == "Trainer":
                with tempfile.TemporaryDirectory() as folder:
                    took[way].append(cpu_seconds(lambda: plain_trainer(trained, batches, 1e-4, Path(folder))))  # noqa: B023
                continue
            else:
                took[way].append(cpu_seconds(lambda: bare_loop(trained, batches, 1e-4)))  # noqa: B023
            weights[way] = [parameter.detach().clone() for parameter in trained.parameters]
    same = all(torch.equal(*pair) for pair in zip(*weights.values(), strict=True))
    bare, ours, theirs = (min(seconds) for seconds in took.values())
    print(
        f"{name}: {len(batches)} steps, {bare:.2f} CPU seconds bare, {ours:.2f} with the trainer, "
        f"{ours / bare:.3f} times; weights {'the same' if same else 'DIFFERENT'}; transformers' Trainer {theirs:.2f}"
    )
    row = Row(
        f"step 5 trains {len(batches)} steps: {name}",
        f"at most {AT_MOST} times a bare loop's processor time, the same weights",
        f"{ours:.2f} s of processor, weights {'the same' if same else 'differ'}",
        f"a bare loop: {bare:.2f} s; ours takes {ours / bare:.3f} times that",
        f"transformers' Trainer: {theirs:.2f} s, {theirs / ours:.2f} times ours",
    )
    return same and ours / bare <= AT_MOST, row


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
    write_result("training_speed", [row for _, row in good])
    if not all(held for held, _ in good):
        sys.exit(f"the weights differ, or the trainer takes more than {AT_MOST} times the CPU of a bare loop")


if __name__ == "__main__":
    main()
