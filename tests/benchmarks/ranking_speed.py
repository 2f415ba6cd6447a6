"""Times step 1's ranking against one plain pass per option, batch 1, and against batches of 16 as lm-eval makes them.

The answers must be those of the plain passes.

Run by `make bench`, alone on the machine. The ratio is what counts: all methods run in turn, in one process.
"""

import argparse
import sys
import time
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from table.results import Row, write_result
from transformers import LlavaConfig, LlavaForConditionalGeneration

from dataengine_lib.core.machine.threads import threads_for
from dataengine_lib.core.records import LETTERS, options_text
from dataengine_lib.playground.sets import read_playground_questions, write_playground
from dataengine_lib.students.chat_texts import ANSWER_START, prompt_with_answer_start
from dataengine_lib.students.hugging_face_student import HuggingFaceStudent
from dataengine_lib.students.loading import load_student

PROJECT_ROOT = Path(__file__).resolve().parents[2]
BATCH = 16  # requests of a batch in lm-eval's way, as many as the student has

SMOLLM2_135M: dict[str, Any] = {  # as HuggingFaceTB/SmolLM2-135M's config says
    "hidden_size": 576,
    "intermediate_size": 1536,
    "num_hidden_layers": 30,
    "num_attention_heads": 9,
    "num_key_value_heads": 3,
    "vocab_size": 49152,
    "tie_word_embeddings": True,
}


@torch.inference_mode()
def naive_rank(student: HuggingFaceStudent, images: Any, prompts: Any, choices: Any) -> list[list[float]]:
    """As MLLM-DataEngine does it: the text and image of every option through processor and model."""
    scores = []
    for image, prompt, row in zip(images, prompts, choices, strict=True):
        prefix = prompt_with_answer_start(student.processor, prompt, ANSWER_START)[1]
        start = student.processor(text=[prefix], images=[[image]], return_tensors="pt")["input_ids"].shape[1]
        found = []
        for letter, choice in zip(LETTERS, row, strict=False):
            inputs = student.processor(
                text=[f"{prefix} ({letter}) {choice}"], images=[[image]], return_tensors="pt"
            )
            logits = student.model(**inputs, use_cache=False).logits[0]
            target = inputs["input_ids"][0, start:]
            found.append(-torch.nn.functional.cross_entropy(logits[start - 1 : -1], target).item())
        scores.append(found)
    return scores


@torch.inference_mode()
def batched_rank(student: HuggingFaceStudent, images: Any, prompts: Any, choices: Any) -> list[list[float]]:
    """As lm-evaluation-harness's `loglikelihood`: all options of all questions, the longest first, in padded batches."""
    requests = []
    for place, (image, prompt, row) in enumerate(zip(images, prompts, choices, strict=True)):
        prefix = prompt_with_answer_start(student.processor, prompt, ANSWER_START)[1]
        start = student.processor(text=[prefix], images=[[image]], return_tensors="pt")["input_ids"].shape[1]
        for option, (letter, choice) in enumerate(zip(LETTERS, row, strict=False)):
            requests.append((f"{prefix} ({letter}) {choice}", image, start, place, option))
    requests.sort(key=lambda request: -len(request[0]))
    scores = [[0.0] * len(row) for row in choices]
    student.processor.tokenizer.padding_side = "right"
    for first in range(0, len(requests), BATCH):
        batch = requests[first : first + BATCH]
        inputs = student.processor(
            text=[request[0] for request in batch],
            images=[[request[1]] for request in batch],
            padding=True,
            return_tensors="pt",
        )
        logits = student.model(**inputs, use_cache=False).logits
        ends = inputs["attention_mask"].sum(dim=1).tolist()
        for row, (end, (_, _, start, place, option)) in enumerate(zip(ends, batch, strict=True)):
            target = inputs["input_ids"][row, start:end]
            loss = torch.nn.functional.cross_entropy(logits[row, start - 1 : end - 1], target)
            scores[place][option] = -loss.item()
    return scores


def compare(
    name: str, student: HuggingFaceStudent, asked: tuple[Any, Any, Any], turns: int, at_least: float
) -> tuple[bool, Row]:
    """Print the ratios of the fastest of `turns`; False when the answers differ or it is below `at_least`."""
    ways = {
        "naive": lambda: naive_rank(student, *asked),
        "batched": lambda: batched_rank(student, *asked),
        "fast": lambda: student.rank(*asked),
    }
    student.rank(
        *(part[:2] for part in asked)
    )  # untimed: the first call tries out which caches this student can use
    took: dict[str, list[float]] = {way: [] for way in ways}
    scores = {}
    for _ in range(turns):
        for way, rank in ways.items():
            if student._image_cache is not None:
                student._image_cache.clear()  # no turn may reuse the images of another
            started = time.perf_counter()
            with threads_for(student.model):
                scores[way] = rank()
            took[way].append(time.perf_counter() - started)
    answers = {way: [row.index(max(row)) for row in rows] for way, rows in scores.items()}
    same = sum(a == b for a, b in zip(answers["naive"], answers["fast"], strict=True))
    number, ratio = len(asked[0]), min(took["naive"]) / min(took["fast"])
    peer, alike = min(took["batched"]) / min(took["fast"]), answers["batched"] == answers["naive"]
    print(
        f"{name}: {number} questions, {number / min(took['naive']):.1f} a second naively, "
        f"{number / min(took['fast']):.1f} here, {ratio:.1f} times; {same} of {number} answers the same; in batches of "
        f"{BATCH} {number / min(took['batched']):.1f} a second, {peer:.1f} times"
    )
    row = Row(
        f"step 1 ranks options of {number} questions: {name}",
        f"at least {at_least:g} times one pass per option, the same answers",
        f"{number / min(took['fast']):.1f} questions/s, {same} of {number} answers the same",
        f"one pass per option: {ratio:.1f} times as fast",
        f"log-likelihoods in batches of {BATCH}, as lm-eval makes them: {peer:.1f} times as fast"
        + ("" if alike else ", other answers"),
    )
    return same == number and ratio >= at_least, row


def questions(folder: Path, count: int) -> tuple[list[Image.Image], list[str], list[list[str]]]:
    """The playground's first holdout questions; those about one image share the Image object."""
    rows = [row for row in read_playground_questions(folder) if row.split == "holdout"][:count]
    images = {row.image_path: Image.open(folder / row.image_path).convert("RGB") for row in rows}
    prompts = [f"{row.question}\n{options_text(row.choices)}" for row in rows]
    return [images[row.image_path] for row in rows], prompts, [row.choices for row in rows]


def larger(student: HuggingFaceStudent) -> HuggingFaceStudent:
    """The playground student with random weights, and a language model of SmolLM2-135M's size."""
    config = LlavaConfig.from_dict(student.model.config.to_dict())
    for key, value in SMOLLM2_135M.items():
        setattr(config.text_config, key, value)
    config.text_config.head_dim = 64
    torch.manual_seed(0)
    return HuggingFaceStudent(LlavaForConditionalGeneration(config), student.processor, batch_size=16)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=3)
    turns = parser.parse_args().turns
    playground = write_playground(PROJECT_ROOT / "reports/.playground", 0)
    good = []
    tiny = load_student(str(PROJECT_ROOT / "data_demo/models/tiny-llava"))
    good.append(compare("playground student", tiny, questions(playground, 400), turns, 6))
    large, asked = larger(tiny), questions(playground, 32)
    good.append(compare("language model of 135M", large, asked, turns, 3))
    large._image_cache = None
    good.append(compare("the same with the cache for any family", large, asked, turns, 3))
    write_result("ranking_speed", [row for _, row in good])
    if not all(held for held, _ in good):
        sys.exit("an answer differs, or a ratio is below what is promised (6 times, 3 times)")


if __name__ == "__main__":
    main()
