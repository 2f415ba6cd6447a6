"""Tests of every supported family: the fast ranking against one plain pass per option, and generation."""

import importlib.util
import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from student_questions import CHOICES, PROMPTS, assert_close
from tiny_families import FAMILIES, IMAGE_REUSE, save_family
from tqdm import tqdm

from dataengine_lib.core.bad_rows import BadRows
from dataengine_lib.core.records import Question
from dataengine_lib.errors import DataEngineError
from dataengine_lib.students.chat_texts import ANSWER_START, chat_text, prompt_with_answer_start
from dataengine_lib.students.encoder_decoder import EncoderDecoderBackend, is_encoder_decoder
from dataengine_lib.students.hugging_face_student import HuggingFaceStudent
from dataengine_lib.students.image_reuse import vision_features
from dataengine_lib.students.inputs import encode_prompts
from dataengine_lib.students.loading import load_student
from dataengine_lib.training.encoding.batches import IGNORED_LABEL
from dataengine_lib.training.examples import ExampleEncoder
from dataengine_lib.training.texts import TrainingRow, training_text

SLOW = (
    "qwen3_5",
    "minicpmv4_6",
    "mllama",
)  # their caches cannot be repeated for the options, or not with the image's mask


@pytest.fixture(scope="module", params=sorted(FAMILIES))
def student(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> HuggingFaceStudent:
    folder = save_family(request.param, tmp_path_factory.mktemp("families") / request.param)
    return load_student(str(folder), device="cpu")


@pytest.fixture(scope="module")
def pictures() -> list[Image.Image]:
    """Three pictures, of different sizes, for the five questions."""
    generator = torch.Generator().manual_seed(0)
    found = []
    for width, height in ((40, 40), (70, 30), (33, 90)):
        pixels = torch.randint(0, 255, (height, width, 3), dtype=torch.uint8, generator=generator)
        found.append(Image.fromarray(pixels.numpy()))
    return [found[0], found[1], found[0], found[2], found[1]]


def whole_inputs(student: HuggingFaceStudent, image: Image.Image, prompt: str, answer_start: str) -> Any:
    """One whole text as the family's own documentation passes it, without padding."""
    processor, family = student.processor, type(student.processor).__name__
    text, _ = chat_text(processor, prompt)
    if is_encoder_decoder(student.model.config):  # the encoder reads the prompt, the decoder the answer
        ids = processor.tokenizer(answer_start, add_special_tokens=False).input_ids
        start = [student.model.config.get_text_config(decoder=True).decoder_start_token_id]
        if family == "Florence2Processor":
            start.append(processor.tokenizer.bos_token_id)  # `forced_bos_token_id` of its checkpoints
        inputs = dict(processor(text=text, images=image, return_tensors="pt"))
        return inputs | {"decoder_input_ids": torch.tensor([[*start, *ids]])}
    if family == "PaliGemmaProcessor":
        inputs = processor(text=text, images=image, suffix=answer_start, return_tensors="pt")
        # the end-of-text token that the processor adds is not scored
        return {
            key: value[:, :-1] if value.dim() == 2 else value
            for key, value in inputs.items()
            if key != "labels"
        }
    if family == "InstructBlipProcessor":  # the Q-Former reads the question, never the answer
        inputs = dict(processor(text=text, images=image, return_tensors="pt"))
        whole = processor(text=f"{text} {answer_start}", images=image, return_tensors="pt")
        return inputs | {key: whole[key] for key in ("input_ids", "attention_mask")}
    start = prompt_with_answer_start(processor, prompt, answer_start)[1]
    special = {} if not start.startswith("<s>") else {"add_special_tokens": False}
    return dict(processor(text=[start], images=[[image]], return_tensors="pt", **special))


def naive_scores(
    student: HuggingFaceStudent, images: list[Image.Image], texts: list[list[str]]
) -> list[list[float]]:
    scores = []
    for image, prompt, options in zip(images, PROMPTS, texts, strict=True):
        written = "decoder_input_ids" if is_encoder_decoder(student.model.config) else "input_ids"
        before = whole_inputs(student, image, prompt, ANSWER_START)[written].shape[1]
        row = []
        for option in options:
            inputs = whole_inputs(student, image, prompt, f"{ANSWER_START} {option}")
            with torch.no_grad():
                logits = student.model(**inputs, use_cache=False).logits[0]
            target = inputs[written][0, before:]
            row.append(-torch.nn.functional.cross_entropy(logits[before - 1 : -1], target).item())
        scores.append(row)
    return scores


def test_fast_ranking_equals_one_plain_pass_per_option(
    student: HuggingFaceStudent, pictures: list[Image.Image]
) -> None:
    texts = [[f"({'ABCD'[k]}) {choice}" for k, choice in enumerate(row)] for row in CHOICES]
    expected = naive_scores(student, pictures, texts)
    assert_close(student.rank(pictures, PROMPTS, CHOICES), expected)
    assert min(max(row) - min(row) for row in expected) > 1e-2  # so that a wrong score would be noticed
    assert_close(student._uncached.rank(*plain_arguments(student, pictures)), expected)
    is_slow = student.model.config.model_type in SLOW
    if is_slow or isinstance(student._uncached, EncoderDecoderBackend):
        assert student._prefix_cache is None
    else:  # used where an image cannot be reused
        assert student._prefix_cache is not None
        with torch.inference_mode():
            assert_close(student._prefix_cache.rank(*plain_arguments(student, pictures)), expected)


def test_an_image_is_read_once_for_all_its_questions(
    student: HuggingFaceStudent, pictures: list[Image.Image], request: pytest.FixtureRequest
) -> None:
    way = IMAGE_REUSE[request.node.callspec.params["student"]]
    expected, written = student.rank(pictures, PROMPTS, CHOICES), student.generate(pictures, PROMPTS)
    assert student.image_reuse == way
    fresh = HuggingFaceStudent(student.model, student.processor, batch_size=2)
    fresh._tried = {"image", "prefix", "features"}  # the trials read images too
    fresh._prefix_cache = student._prefix_cache
    with reads_of(student) as reads, torch.inference_mode():
        for image in {id(image): image for image in pictures}.values():
            inputs = encode_prompts(student.processor, [chat_text(student.processor, PROMPTS[0])[0]], [image])
            student.model(**decoder_inputs(student, inputs), use_cache=False)
    each = sum(reads)  # numbers that the vision tower takes of the three images, one by one
    with reads_of(student) as reads:
        assert_close(fresh.rank(pictures, PROMPTS, CHOICES), expected)
        assert sum(reads) == each
        assert fresh.generate(pictures, PROMPTS) == written
    # keys and values are kept of a batch of two images, features of all
    assert sum(reads) == (2 * each if way == "keys and values" else each)


def test_features_that_change_the_scores_are_not_used(
    tmp_path: Path,
    pictures: list[Image.Image],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    student = load_student(str(save_family("blip2_opt", tmp_path)), device="cpu")
    expected = student.rank(pictures[:2], PROMPTS[:2], CHOICES[:2])
    assert student.image_reuse == "features"
    other = HuggingFaceStudent(student.model, student.processor)
    joined = vision_features._joined
    # each image gets the features of the first one
    monkeypatch.setattr(vision_features, "_joined", lambda parts: joined([parts[0]] * len(parts)))
    assert_close(other.rank(pictures[:2], PROMPTS[:2], CHOICES[:2]), expected)
    assert other.image_reuse == "none" and "features of images changes its scores" in caplog.text


def test_features_that_cannot_be_joined_over_passes_are_not_used(
    tmp_path: Path, pictures: list[Image.Image], monkeypatch: pytest.MonkeyPatch
) -> None:
    student = load_student(str(save_family("blip2_opt", tmp_path)), device="cpu")
    part, joined = vision_features._part, vision_features._joined

    def marked(value: Any, sizes: list[int], numbers: Any) -> Any:
        found = part(value, sizes, numbers)
        if isinstance(found, torch.Tensor):
            found.alone = len(sizes) == 1  # read in a pass of its own
        return found

    def wrong_of_passes(parts: list[Any]) -> Any:
        alone = len(parts) > 1 and all(getattr(one, "alone", False) for one in parts)
        return joined(parts[:1] * len(parts) if alone else parts)

    monkeypatch.setattr(vision_features, "_part", marked)
    monkeypatch.setattr(vision_features, "_joined", wrong_of_passes)
    student.rank(pictures[:2], PROMPTS[:2], CHOICES[:2])
    assert student.image_reuse == "none"


@contextmanager
def reads_of(student: HuggingFaceStudent) -> Iterator[list[int]]:
    """How many numbers each pass of the vision tower gets."""
    parts, names = (student.model, student.model.base_model), ("vision_model", "vision_tower", "visual")
    tower = next(getattr(part, name) for part in parts for name in names if hasattr(part, name))
    reads: list[int] = []
    real = tower.forward

    @wraps(real)
    def forward(*args: Any, **kwargs: Any) -> Any:
        given = [*args, *kwargs.values()]
        reads.append(max(one.numel() for one in given if isinstance(one, torch.Tensor)))
        return real(*args, **kwargs)

    tower.forward = forward
    try:
        yield reads
    finally:
        del tower.forward


def decoder_inputs(student: HuggingFaceStudent, inputs: Any) -> Any:
    """The encoded prompt, with a start for an encoder-decoder to write behind."""
    if not is_encoder_decoder(student.model.config):
        return inputs
    start = student.model.config.get_text_config(decoder=True).decoder_start_token_id
    return dict(inputs) | {"decoder_input_ids": torch.tensor([[start]])}


def plain_arguments(student: HuggingFaceStudent, pictures: list[Image.Image]) -> Any:
    options = [[f" ({'ABCD'[k]}) {choice}" for k, choice in enumerate(row)] for row in CHOICES]
    return pictures, *student._tokenize(PROMPTS, ANSWER_START, options), 3


def test_letters_are_ranked_alone(student: HuggingFaceStudent, pictures: list[Image.Image]) -> None:
    texts = [[f"({'ABCD'[k]})" for k in range(len(row))] for row in CHOICES]
    assert_close(student.rank(pictures, PROMPTS, CHOICES, "letter"), naive_scores(student, pictures, texts))


def test_the_image_changes_the_scores(student: HuggingFaceStudent, pictures: list[Image.Image]) -> None:
    one, other = student.rank([pictures[0], pictures[3]], [PROMPTS[0]] * 2, [CHOICES[0]] * 2)
    assert max(abs(a - b) for a, b in zip(one, other, strict=True)) > 1e-3


@pytest.mark.parametrize("batch_size", [1, 2])
def test_answers_do_not_depend_on_batch_size_or_order(
    student: HuggingFaceStudent, pictures: list[Image.Image], batch_size: int
) -> None:
    expected = student.rank(pictures, PROMPTS, CHOICES)
    smaller = HuggingFaceStudent(student.model, student.processor, batch_size)
    assert_close(smaller.rank(pictures[::-1], PROMPTS[::-1], CHOICES[::-1])[::-1], expected)
    assert smaller.generate(pictures, PROMPTS) == student.generate(pictures, PROMPTS)


def test_generate_takes_the_likeliest_token_each_time(
    student: HuggingFaceStudent, pictures: list[Image.Image]
) -> None:
    found = student.generate(pictures, PROMPTS, max_new_tokens=4)
    end = student.processor.tokenizer.eos_token_id
    for image, prompt, text in zip(pictures, PROMPTS, found, strict=True):
        inputs, written = whole_inputs(student, image, prompt, ANSWER_START), []
        for _ in range(4):
            with torch.no_grad():
                token = int(student.model(**inputs, use_cache=False).logits[0, -1].argmax())
            if token == end:
                break
            written.append(token)
            if is_encoder_decoder(student.model.config):
                grown = [("decoder_input_ids", token)]
            else:
                grown = [("input_ids", token), ("attention_mask", 1), *_types(student, inputs)]
            for key, more in grown:
                inputs[key] = torch.cat([inputs[key], inputs[key].new_tensor([[more]])], dim=1)
            if "cross_attention_mask" in inputs:
                seen = inputs["cross_attention_mask"]
                inputs["cross_attention_mask"] = torch.cat([seen, seen[:, -1:]], dim=1)
        assert text == student.processor.tokenizer.decode(written, skip_special_tokens=True)
    assert len(set(found)) > 1


def _types(student: HuggingFaceStudent, inputs: Any) -> list[tuple[str, int]]:
    apart = type(student.processor).__name__ == "PaliGemmaProcessor"
    return [
        (key, int(apart and key == "token_type_ids"))
        for key in ("token_type_ids", "mm_token_type_ids")
        if key in inputs
    ]


def test_labels_are_the_answer_and_the_loss_is_a_mean_over_its_tokens(
    student: HuggingFaceStudent, pictures: list[Image.Image], tmp_path: Path
) -> None:
    rows = []
    for n, (image, prompt) in enumerate(zip(pictures, PROMPTS, strict=True)):
        file = tmp_path / f"{pictures.index(image)}.png"
        image.save(file)
        question = Question(question=prompt, choices=CHOICES[n], correct_choice_idx=0)
        rows.append(TrainingRow(question, file, ("Q-A",), file, f"row {n}"))
    batch, counts = training_batch(student, rows)
    for n, (row, labels) in enumerate(zip(rows, batch["labels"], strict=True)):
        learnt = student.processor.tokenizer.decode(labels[labels != IGNORED_LABEL])
        answer = training_text(row.question, "Q-A")[1]
        begin = "<s>" if type(student.processor).__name__ == "Florence2Processor" else ""
        assert learnt.strip() == f"{begin}{answer}</s>", n
    with torch.no_grad():
        loss = student.model(**batch).loss
        alone = [student.model(**training_batch(student, [row])[0]).loss for row in rows]
    assert torch.isfinite(loss) and loss > 0.1
    # rows that share an image, or are padded, have the same labels as by themselves
    together = sum(one * count for one, count in zip(alone, counts, strict=True)) / sum(counts)
    assert loss.item() == pytest.approx(together.item(), abs=1e-4)


def training_batch(student: HuggingFaceStudent, rows: list[TrainingRow]) -> tuple[Any, list[int]]:
    """The rows as one batch, and how many tokens of each the loss counts."""
    apart = is_encoder_decoder(student.model.config)
    skipped = {row.file: BadRows(row.file, 1) for row in rows}
    examples = ExampleEncoder(student.processor, skipped, encoder_decoder=apart)
    found = examples.make([(row, "Q-A") for row in rows], tqdm(disable=True))
    assert not any(one.counts for one in skipped.values())
    made = [example for example in found if example is not None]
    return examples.batch(made), [example.answer for example in made]


def test_a_saved_model_and_processor_give_the_same_scores(
    student: HuggingFaceStudent, pictures: list[Image.Image], tmp_path: Path
) -> None:
    expected = student.rank(pictures, PROMPTS, CHOICES)
    student.model.save_pretrained(tmp_path)
    student.processor.save_pretrained(tmp_path)
    assert_close(load_student(str(tmp_path), device="cpu").rank(pictures, PROMPTS, CHOICES), expected)


def test_other_encoder_decoders_are_an_error_of_one_line(tmp_path: Path) -> None:
    from transformers import UdopConfig

    UdopConfig().save_pretrained(tmp_path)
    with pytest.raises(DataEngineError, match="udop is an encoder-decoder, of which only") as caught:
        load_student(str(tmp_path), device="cpu")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        # published with code of their own; transformers has none of these
        ("molmo", "needs code of its own repository"),
        ("minicpmv", "needs code of its own repository"),
        ("phi4mm", "needs code of its own repository"),
        ("internvl_chat", "needs code of its own repository"),
        (
            "phi4_multimodal",
            "phi4_multimodal is no model of images and text to transformers, but a language model",
        ),
        ("molmo2", "its image processor needs torchvision, which is not installed"),
    ],
)
def test_a_family_that_is_not_carried_is_refused_with_the_reason(
    kind: str, reason: str, tmp_path: Path
) -> None:
    if kind == "molmo2" and importlib.util.find_spec("torchvision"):
        pytest.skip("torchvision is installed, with which Molmo2's processor can be made")
    own_code = {"AutoConfig": "configuration.Config", "AutoModelForCausalLM": "modeling.Model"}
    built_in = kind in ("phi4_multimodal", "molmo2")
    (tmp_path / "config.json").write_text(
        json.dumps({"model_type": kind} | ({} if built_in else {"auto_map": own_code}))
    )
    (tmp_path / "preprocessor_config.json").write_text(
        json.dumps({"image_processor_type": "Molmo2ImageProcessor", "processor_class": "Molmo2Processor"})
    )
    for file in ("model.safetensors", "tokenizer.json"):
        (tmp_path / file).write_text("{}")
    with pytest.raises(DataEngineError, match=reason) as caught:
        load_student(str(tmp_path), device="cpu")
    assert "\n" not in str(caught.value) and "; " in str(caught.value)


def test_a_processor_without_image_tokens_is_an_error(tmp_path: Path) -> None:
    student = load_student(str(save_family("blip2_opt", tmp_path)), device="cpu")
    student.processor.num_query_tokens = None
    student.processor.save_pretrained(tmp_path)
    with pytest.raises(DataEngineError, match="download the model again"):
        load_student(str(tmp_path), device="cpu")
