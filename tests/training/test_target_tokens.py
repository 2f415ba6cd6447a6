"""What is learnt of a text-only, a multi-turn and a letter-only row, token by token."""

from pathlib import Path
from random import Random
from typing import Any

import pytest
from fine_tuning import CHOICES, QUESTION, row
from tqdm.auto import tqdm

from dataengine_lib.core.bad_rows import BadRows
from dataengine_lib.core.files import write_json
from dataengine_lib.students.loading import load_student
from dataengine_lib.training.encoding.batches import IGNORED_LABEL
from dataengine_lib.training.examples import ExampleEncoder
from dataengine_lib.training.row_files import read_training_rows
from dataengine_lib.training.texts import TextFormat

LINES = "\n".join(f"{letter}. {choice}" for letter, choice in zip("ABCD", CHOICES, strict=True))
LETTER = "Answer with the option's letter from the given choices directly."


def said(*texts: str) -> list[dict[str, str]]:
    return [{"from": ("human", "gpt")[n % 2], "value": text} for n, text in enumerate(texts)]


# (row of a file, text format, the text in parts: of these, every second one is learnt)
ROWS: list[tuple[dict[str, Any], TextFormat, list[str]]] = [
    (
        {"id": "a", "model": "", "conversations": said("Which colour has the car?", "The answer is red.")},
        "QM-A",
        ["USER: Which colour has the car? ASSISTANT:", " The answer is red.</s>"],
    ),
    (
        {"id": "b", "conversations": said("Hello", "Two cats.", "What is in the picture?", "A dog.")},
        "QM-A",
        ["USER: Hello ASSISTANT:", " Two cats.</s>", "USER: What is in the picture? ASSISTANT:", " A dog.</s>"],
    ),
    (
        {
            "id": "c",
            "image": f"{0:012d}.png",
            "conversations": said("<image>\nWhat?", "A car.", "And?", "A dog.", "Why?", "Two."),
        },
        "QM-A",
        ["USER: <image>\nWhat? ASSISTANT:", " A car.</s>", "USER: And? ASSISTANT:", " A dog.</s>",
         "USER: Why? ASSISTANT:", " Two.</s>"],
    ),
    (row(2), "letter", [f"USER: <image>\n{QUESTION}\n{LINES}\n{LETTER} ASSISTANT:", " C</s>"]),
    (row(2), "answer", [f"USER: <image>\n{QUESTION} ASSISTANT:", " blue</s>"]),
    (
        row(2, rationales=["It shines."]),
        "QM-AE",
        [f"USER: <image>\n{QUESTION}\n(A) red (B) green (C) blue (D) white ASSISTANT:",
         " The answer is (C) blue. It shines.</s>"],
    ),
    (
        row(1, question="Is it green?", choices=["yes", "no"], answer_kind="yes_no"),
        "QM-A",
        ["USER: <image>\nIs it green? ASSISTANT:", " The answer is No.</s>"],
    ),
    (
        row(2, question="What is it?", choices=[], correct_choice_idx=-1, answer_kind="open", short_answer="dog"),
        "QM-AE",
        ["USER: <image>\nWhat is it? ASSISTANT:", " The answer is dog.</s>"],
    ),
]  # fmt: skip


@pytest.mark.parametrize(("content", "text_format", "parts"), ROWS)
def test_exactly_the_answers_and_their_ends_are_learnt(
    student: Path, images: Path, content: dict[str, Any], text_format: TextFormat, parts: list[str]
) -> None:
    file = write_json(images / "rows.json", [content])
    skipped = BadRows(file, 0)
    (found,) = read_training_rows(file, images, [text_format], skipped)
    processor = load_student(str(student), "cpu").processor
    encoder = ExampleEncoder(processor, {file: skipped})
    (example,) = encoder.make([(found, text_format)], tqdm(disable=True))
    assert example is not None
    batch = encoder.batch([example])
    image = processor.tokenizer.convert_tokens_to_ids("<image>")
    ids, labels = [], []
    for token, label in zip(batch["input_ids"][0].tolist(), batch["labels"][0].tolist(), strict=True):
        if not (token == image == (ids[-1] if ids else None)):  # an image is many such tokens
            ids.append(token)
            labels.append(label)
    expected_ids, expected_labels = [], []
    for number, part in enumerate(parts):
        tokens = processor.tokenizer(part, add_special_tokens=False).input_ids
        expected_ids += tokens
        expected_labels += tokens if number % 2 else [IGNORED_LABEL] * len(tokens)
    assert processor.tokenizer.decode(ids) == "".join(parts)
    assert ids == expected_ids and labels == expected_labels
    assert example.answer == sum(label != IGNORED_LABEL for label in labels)
    assert ("pixel_values" in batch) == ("<image>" in parts[0])


def test_an_option_that_has_moved_is_learnt_by_its_new_letter(student: Path, images: Path) -> None:
    file = write_json(images / "rows.json", [row(2)])
    (found,) = read_training_rows(file, images, ["letter"], BadRows(file, 0), shuffle_options=True)
    processor = load_student(str(student), "cpu").processor
    encoder, rng = ExampleEncoder(processor, {file: BadRows(file, 0)}), Random(3)
    uses = [(found.for_use("letter", rng), "letter") for _ in range(30)]
    learnt = set()
    for example in encoder.make(uses, tqdm(disable=True)):  # type: ignore[arg-type]
        assert example is not None
        batch = encoder.batch([example])
        letter = processor.tokenizer.decode(batch["labels"][batch["labels"] != IGNORED_LABEL]).strip()
        assert f"\n{letter[0]}. blue\n" in processor.tokenizer.decode(batch["input_ids"][0])
        assert letter[1:] == "</s>"
        learnt.add(letter[0])
    assert learnt == set("ABCD")
