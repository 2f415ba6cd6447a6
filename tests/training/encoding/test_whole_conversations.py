"""Step 5 in every family: conversations of several turns in one row, and rows without an image among others."""

from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from tiny_families import FAMILIES, save_family
from tqdm import tqdm

from dataengine_lib.core.bad_rows import BadRows
from dataengine_lib.core.records import Question
from dataengine_lib.students.chat_texts import chat_text, conversation_text
from dataengine_lib.students.encoder_decoder import is_encoder_decoder
from dataengine_lib.students.hugging_face_student import HuggingFaceStudent
from dataengine_lib.students.inputs import takes_text_alone
from dataengine_lib.students.loading import load_student
from dataengine_lib.training.encoding.batches import IGNORED_LABEL
from dataengine_lib.training.examples import Example, ExampleEncoder
from dataengine_lib.training.texts import NO_TEXT_ALONE, SEVERAL_TURNS, TrainingRow

TURNS = (
    ("Which colour has the car?", "The car is red."),
    ("And the dog?", "red"),
    ("Is it a dog?", "A dog."),
)
ENCODER_DECODERS = ("instructblip_t5", "blip2_t5")


@pytest.fixture(scope="module", params=sorted(FAMILIES))
def student(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> HuggingFaceStudent:
    folder = save_family(request.param, tmp_path_factory.mktemp("families") / request.param)
    found: HuggingFaceStudent = load_student(str(folder), device="cpu")
    # these need the token types only while they train; others would draw at random for their dropout
    found.model.train(request.param in ("gemma3", "paligemma"))
    return found


@pytest.fixture
def image(tmp_path: Path) -> Path:
    pixels = torch.randint(0, 255, (30, 70, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    Image.fromarray(pixels.numpy()).save(tmp_path / "0.png")
    return tmp_path / "0.png"


def row(image: Path | None, *turns: tuple[str, str]) -> TrainingRow:
    question = Question(question=turns[0][0], choices=[turns[0][1]], correct_choice_idx=0)
    return TrainingRow(question, image, ("QM-A",), Path("rows.json"), f"{image} {turns}", turns)


def encoded(
    student: HuggingFaceStudent, *rows: TrainingRow
) -> tuple[ExampleEncoder, list[Example | None], BadRows]:
    skipped = BadRows("rows.json", 1, len(rows))
    encoder = ExampleEncoder(
        student.processor,
        {Path("rows.json"): skipped},
        encoder_decoder=is_encoder_decoder(student.model.config),
    )
    return encoder, encoder.make([(one, "QM-A") for one in rows], tqdm(disable=True)), skipped


def batch_of(student: HuggingFaceStudent, *rows: TrainingRow) -> dict[str, torch.Tensor]:
    encoder, made, skipped = encoded(student, *rows)
    examples = [example for example in made if example is not None]
    assert len(examples) == len(rows), skipped.rows
    return encoder.batch(examples)


def as_processed(student: HuggingFaceStudent, text: str, image: Path | None) -> list[int]:
    """The tokens that the family's processor gives for a whole text."""
    more: dict[str, Any] = {"add_special_tokens": False} if text.startswith("<s>") else {}
    if image:
        more["images"] = [[Image.open(image)]]
    found: list[int] = student.processor(text=[text], return_tensors="pt", **more)["input_ids"][0].tolist()
    return found


@pytest.mark.parametrize("shown", [True, False])
def test_a_conversation_is_what_the_chat_template_writes_and_each_answer_is_learnt(
    student: HuggingFaceStudent, image: Path, shown: bool
) -> None:
    picture = image if shown else None
    if not shown and not takes_text_alone(student.processor):
        _, made, skipped = encoded(student, row(None, *TURNS), row(image, *TURNS))
        assert made[0] is None and made[1] is not None and skipped.counts == {NO_TEXT_ALONE: 1}
        return
    whole = row(picture, *TURNS)
    if is_encoder_decoder(student.model.config):
        _, made, skipped = encoded(student, whole, row(picture, TURNS[0]))
        assert made[0] is None and made[1] is not None and skipped.counts == {SEVERAL_TURNS: 1}
        return
    batch = batch_of(student, whole)
    ids, labels = batch["input_ids"][0], batch["labels"][0]
    tokenizer = student.processor.tokenizer
    # one stretch of labels for each answer
    learnt = (labels != IGNORED_LABEL).int()
    starts = (learnt.diff(prepend=learnt.new_zeros(1)) == 1).nonzero()[:, 0].tolist()
    ends = (learnt.diff(append=learnt.new_zeros(1)) == -1).nonzero()[:, 0].tolist()
    parts = [tokenizer.decode(ids[start : end + 1]) for start, end in zip(starts, ends, strict=True)]
    assert [part.strip() for part in parts] == [f"{answer}</s>" for _, answer in TURNS]
    assert torch.equal(labels[learnt.bool()], ids[learnt.bool()])

    if not student.processor.chat_template:
        return  # the text is ours, and no processor writes it
    messages: list[Any] = []
    for n, (asked, answer) in enumerate(TURNS):
        shows = [{"type": "image"}] if shown and not n else []
        messages.append({"role": "user", "content": [*shows, {"type": "text", "text": asked}]})
        messages.append({"role": "assistant", "content": [{"type": "text", "text": answer}]})
    text = student.processor.apply_chat_template(messages)
    assert as_processed(student, text.rstrip(), picture) == ids.tolist()


def test_a_single_turn_is_the_same_text_as_before(student: HuggingFaceStudent) -> None:
    chat = conversation_text(student.processor, TURNS[:1])
    assert (chat.prompt, chat.text) == chat_text(student.processor, *TURNS[0])
    assert chat.answers == ((len(chat.prompt), len(chat.text)),)


def loss_of(student: HuggingFaceStudent, batch: dict[str, torch.Tensor]) -> float:
    with torch.no_grad():
        return float(student.model(**batch, use_cache=False).loss)


def test_rows_without_an_image_stand_in_a_batch_with_others(student: HuggingFaceStudent, image: Path) -> None:
    """The loss of a mixed batch is the mean over its rows' tokens, each row as by itself, in any order."""
    if not takes_text_alone(student.processor):
        return  # left out, as the test above shows
    rows = [
        row(None, ("Is it?", "No, by no means.")),
        row(image, TURNS[0]),
        row(None, ("What is a car?", "A dog")),
    ]
    alone = [batch_of(student, one) for one in rows]
    counts = [int((batch["labels"] != IGNORED_LABEL).sum()) for batch in alone]
    losses = [loss_of(student, batch) for batch in alone]
    assert max(losses) - min(losses) > 1e-2
    expected = sum(loss * count for loss, count in zip(losses, counts, strict=True)) / sum(counts)
    assert loss_of(student, batch_of(student, *rows)) == pytest.approx(expected, abs=2e-5)
    assert loss_of(student, batch_of(student, *rows[::-1])) == pytest.approx(expected, abs=2e-5)
    both = loss_of(student, batch_of(student, rows[0], rows[2]))
    expected = (losses[0] * counts[0] + losses[2] * counts[2]) / (counts[0] + counts[2])
    assert both == pytest.approx(expected, abs=2e-5)


def test_a_row_without_an_image_holds_its_text_alone(student: HuggingFaceStudent) -> None:
    if not takes_text_alone(student.processor):
        return
    batch = batch_of(student, row(None, TURNS[0]))
    needs_pixels = hasattr(student.processor, "num_query_tokens")
    assert ("pixel_values" in batch) == needs_pixels
    image_id = student.processor.tokenizer.convert_tokens_to_ids(
        str(getattr(student.processor, "image_token", None) or "<image>")
    )
    assert image_id not in batch["input_ids"]
    start = chat_text(student.processor, TURNS[0][0], image=False)[0]
    assert TURNS[0][0] in start and "image" not in start.replace("###", "")
