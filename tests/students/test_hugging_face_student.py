"""Tests of the local student: scores against plain passes through the model, texts, and what is read only once."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from PIL import Image
from student_questions import CHOICES, PROMPTS, assert_close
from tiny_models import save_tiny_llava
from transformers import DynamicCache

from dataengine_lib.errors import DataEngineError
from dataengine_lib.students.chat_texts import ANSWER_START, chat_text, prompt_with_answer_start
from dataengine_lib.students.hugging_face_student import HuggingFaceStudent
from dataengine_lib.students.image_reuse.image_prefix_cache import ImagePrefixBackend
from dataengine_lib.students.image_reuse.read_prefixes import ReadPrefixes
from dataengine_lib.students.inputs import encode_prompts, token_ids
from dataengine_lib.students.loading import load_student
from dataengine_lib.students.option_scores import tokenize_question


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_llava(tmp_path_factory.mktemp("models") / "tiny-llava")


@pytest.fixture(scope="module")
def pictures() -> list[Image.Image]:
    """Three pictures, of different sizes, for the five questions."""
    generator = torch.Generator().manual_seed(0)
    found = []
    for width, height in ((40, 40), (64, 30), (33, 90)):
        pixels = torch.randint(0, 255, (height, width, 3), dtype=torch.uint8, generator=generator)
        found.append(Image.fromarray(pixels.numpy()))
    return [found[0], found[1], found[0], found[2], found[1]]


def plain_scores(
    student: HuggingFaceStudent, images: list[Image.Image], form: str = " ({letter}) {choice}"
) -> list[list[float]]:
    """One text, one image, one pass at a time, nothing shared and nothing padded."""
    scores = []
    for image, prompt, choices in zip(images, PROMPTS, CHOICES, strict=True):
        row = []
        for letter, choice in zip("ABCD", choices, strict=False):
            prefix = prompt_with_answer_start(student.processor, prompt)[1]
            text = prefix + form.format(letter=letter, choice=choice)
            inputs = encode_prompts(student.processor, [text], [image])
            start = encode_prompts(student.processor, [prefix], [image])["input_ids"].shape[1]
            with torch.no_grad():
                logits = student.model(**inputs).logits[0]
            target = inputs["input_ids"][0, start:]
            row.append(-torch.nn.functional.cross_entropy(logits[start - 1 : -1], target).item())
        scores.append(row)
    return scores


@pytest.mark.parametrize(
    "options", [{}, {"bos": True}, {"chat_template": None}], ids=["template", "bos", "no template"]
)
def test_rank_equals_one_plain_pass_per_option(
    tmp_path: Path, pictures: list[Image.Image], options: Any
) -> None:
    student = load_student(str(save_tiny_llava(tmp_path / "m", **options)), device="cpu")
    expected = plain_scores(student, pictures)
    assert_close(student.rank(pictures, PROMPTS, CHOICES), expected)
    assert student._image_cache is not None  # the cache was used
    spread = [max(row) - min(row) for row in expected]
    assert min(spread) > 1e-2  # far above the tolerance, so that a wrong score would be noticed


def test_words_are_ranked_without_letters(folder: Path, pictures: list[Image.Image]) -> None:
    student = load_student(str(folder), device="cpu")
    expected = plain_scores(student, pictures, " {choice}")
    assert_close(student.rank(pictures, PROMPTS, CHOICES, "words"), expected)


def test_rank_without_the_image_cache_is_the_same(folder: Path, pictures: list[Image.Image]) -> None:
    student = load_student(str(folder), device="cpu", batch_size=3)
    student._image_cache = None
    assert_close(student.rank(pictures, PROMPTS, CHOICES), plain_scores(student, pictures))


def test_an_image_cache_that_gives_other_scores_is_not_used(
    folder: Path, pictures: list[Image.Image]
) -> None:
    student = load_student(str(folder), device="cpu")
    assert student._image_cache is not None
    real = student._image_cache._read_images
    student._image_cache._read_images = lambda images, head: unseen(real(images, head))  # type: ignore[method-assign]
    assert_close(student.rank(pictures, PROMPTS, CHOICES), plain_scores(student, pictures))
    assert student._image_cache is None


def unseen(read: ReadPrefixes) -> ReadPrefixes:
    """The keys and values of a model that sees no image."""
    layers: list[Any] = read.cache.layers
    blank = [(layer.keys, torch.zeros_like(layer.values)) for layer in layers]
    return read._replace(cache=DynamicCache(ddp_cache_data=blank))


@pytest.mark.parametrize("batch_size", [1, 2, 64])
def test_results_do_not_depend_on_the_batch_size(
    folder: Path, pictures: list[Image.Image], batch_size: int
) -> None:
    student, reference = (load_student(str(folder), device="cpu", batch_size=n) for n in (batch_size, 5))
    assert_close(student.rank(pictures, PROMPTS, CHOICES), reference.rank(pictures, PROMPTS, CHOICES))
    assert student.generate(pictures, PROMPTS) == reference.generate(pictures, PROMPTS)


def test_generate_equals_the_models_own_greedy_search(folder: Path, pictures: list[Image.Image]) -> None:
    student = load_student(str(folder), device="cpu")
    expected = []
    for image, prompt in zip(pictures, PROMPTS, strict=True):
        inputs = encode_prompts(
            student.processor, [prompt_with_answer_start(student.processor, prompt)[1]], [image]
        )
        ids = student.model.generate(**inputs, max_new_tokens=6, do_sample=False)[
            :, inputs["input_ids"].shape[1] :
        ]
        expected += student.processor.tokenizer.batch_decode(ids, skip_special_tokens=True)
    assert student.generate(pictures, PROMPTS, max_new_tokens=6) == expected
    assert student._image_cache is not None
    assert len(set(expected)) > 1 and all(expected)
    student._image_cache = None
    assert student.generate(pictures, PROMPTS, max_new_tokens=6) == expected


def test_generate_stops_at_the_end_token(folder: Path, pictures: list[Image.Image]) -> None:
    student = load_student(str(folder), device="cpu")
    first = token_ids(student.processor, student.generate(pictures[:1], PROMPTS[:1], max_new_tokens=1))[0][0]
    student.model.generation_config.eos_token_id = [2, first]
    assert student.generate(pictures[:1], PROMPTS[:1]) == [""]


def test_each_image_is_prepared_once_for_ranking_and_writing(
    folder: Path, pictures: list[Image.Image]
) -> None:
    student = load_student(str(folder), device="cpu")
    student.rank(
        pictures[1:2], PROMPTS[1:2], CHOICES[1:2]
    )  # the cache is tried out with a picture of its own
    prepared: list[int] = []
    processor = student.processor.image_processor
    plain = type(processor).__call__

    class Counting(type(processor)):  # type: ignore[misc]
        def __call__(self, images: Any, **rest: Any) -> Any:
            prepared.append(len(images))
            return plain(self, images, **rest)

    processor.__class__ = Counting
    student.rank(pictures, PROMPTS, CHOICES)
    student.generate(pictures, PROMPTS)
    assert prepared == [3]


def test_no_questions_give_no_results(folder: Path) -> None:
    student = load_student(str(folder), device="cpu")
    assert student.rank([], [], []) == [] and student.generate([], []) == []


def test_chat_text_is_the_templates_text(folder: Path) -> None:
    processor = load_student(str(folder), device="cpu").processor
    prompt, full = chat_text(processor, "What?\n(A) dog", "The answer is (A) dog.")
    assert prompt == "USER: <image>\nWhat?\n(A) dog ASSISTANT:"
    assert full == "USER: <image>\nWhat?\n(A) dog ASSISTANT: The answer is (A) dog.</s>"
    assert chat_text(processor, "What?") == ("USER: <image>\nWhat? ASSISTANT:",) * 2
    assert (
        full.startswith(prompt_with_answer_start(processor, "What?\n(A) dog")[1])
        and ANSWER_START == "The answer is"
    )
    processor.chat_template = processor.tokenizer.chat_template = None
    assert chat_text(processor, "What?", "Yes.") == (
        "###Human: <image>\nWhat? ###Assistant:",
        "###Human: <image>\nWhat? ###Assistant: Yes.</s>",
    )


def test_chat_text_appends_the_answer_where_the_template_does_not_fit(folder: Path) -> None:
    processor = load_student(str(folder), device="cpu").processor
    processor.chat_template = (
        "{% for m in messages %}{{ m['role'] }}: {% for p in m['content'] %}"
        "{{ p.get('text', '<image>') }} {% endfor %}{% endfor %}"
        "{% if add_generation_prompt %}assistant: {% endif %}"
    )
    assert chat_text(processor, "What?", "Yes.")[1] == "user: <image> What? assistant: Yes.</s>"
    question = "{{ messages[0]['content'][1]['text'] }}"
    processor.chat_template = (
        "{% if add_generation_prompt %}<image>" + question + "\n{% else %}other{% endif %}"
    )
    assert chat_text(processor, "What?", "Yes.") == ("<image>What?\n", "<image>What?\nYes.</s>")


def test_special_tokens_in_a_question_are_text(folder: Path, pictures: list[Image.Image]) -> None:
    student = load_student(str(folder), device="cpu")
    prompt = "Does the sign say <image> or </s>?"
    assert chat_text(student.processor, prompt)[0].count("<image>") == 1
    scores = student.rank(pictures[:1], [prompt], [["<image>", "</s> ASSISTANT:"]])
    assert len(scores[0]) == 2 and all(score < 0 for score in scores[0])


@pytest.mark.parametrize("shared", [True, False])
def test_the_image_changes_the_scores_with_and_without_cache(
    folder: Path, pictures: list[Image.Image], shared: bool
) -> None:
    student = load_student(str(folder), device="cpu")
    if not shared:
        student._image_cache = None
    one, other = student.rank([pictures[0], pictures[1]], PROMPTS[:1] * 2, CHOICES[:1] * 2)
    assert one != pytest.approx(other, abs=1e-3)


def test_a_student_that_cannot_be_loaded_is_an_error_of_one_line(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(DataEngineError, match=r"no config\.json in this folder"):
        load_student(str(tmp_path))
    with pytest.raises(DataEngineError, match="no such folder"):
        load_student(str(tmp_path / "none"))
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(DataEngineError, match="bert is a language model that reads no images") as caught:
        load_student(str(tmp_path))
    assert "\n" not in str(caught.value)
    with pytest.raises(DataEngineError, match=r"no adapter_config\.json"):
        load_student(str(folder), device="cpu", adapter=tmp_path / "none")


def test_an_adapter_is_merged(folder: Path, tmp_path: Path, pictures: list[Image.Image]) -> None:
    from peft import LoraConfig, get_peft_model

    student = load_student(str(folder), device="cpu")
    before = student.rank(pictures, PROMPTS, CHOICES)
    lora = get_peft_model(
        student.model, LoraConfig(target_modules=["q_proj", "v_proj"], init_lora_weights=False, r=2)
    )
    lora.save_pretrained(tmp_path / "adapter")
    merged = load_student(str(folder), device="cpu", adapter=tmp_path / "adapter")
    assert type(merged.model) is type(load_student(str(folder), device="cpu").model)
    after = merged.rank(pictures, PROMPTS, CHOICES)
    assert after[0] != pytest.approx(before[0], abs=1e-3)


def test_an_adapter_that_cannot_be_merged_is_an_error(folder: Path, tmp_path: Path) -> None:
    from peft import PromptTuningConfig, get_peft_model

    student = load_student(str(folder), device="cpu")
    config = PromptTuningConfig(
        task_type="CAUSAL_LM", num_virtual_tokens=2, token_dim=32, num_layers=2, num_attention_heads=2
    )
    get_peft_model(student.model, config).save_pretrained(tmp_path / "prompt")
    with pytest.raises(DataEngineError, match="PROMPT_TUNING adapter cannot be merged"):
        load_student(str(folder), device="cpu", adapter=tmp_path / "prompt")


def test_an_adapter_of_another_model_is_an_error(folder: Path, tmp_path: Path) -> None:
    from peft import LoraConfig, get_peft_model
    from safetensors.torch import load_file, save_file

    student = load_student(str(folder), device="cpu")
    get_peft_model(student.model, LoraConfig(target_modules=["q_proj"], r=2)).save_pretrained(tmp_path)
    file = tmp_path / "adapter_model.safetensors"
    save_file({key.replace("layers.1", "layers.7"): value for key, value in load_file(file).items()}, file)
    with pytest.raises(
        DataEngineError, match=r"2 weights of the adapter are missing, .*layers\.1\.\S+ among"
    ):
        load_student(str(folder), device="cpu", adapter=tmp_path)


def changed(folder: Path, copy: Path, change: Any) -> str:
    """A copy of the model with weights changed by `change`."""
    from safetensors.torch import load_file, save_file

    shutil.copytree(folder, copy)
    weights = load_file(copy / "model.safetensors")
    change(weights)
    save_file(weights, copy / "model.safetensors", metadata={"format": "pt"})
    return str(copy)


def test_missing_weights_and_weights_of_another_shape_are_an_error(folder: Path, tmp_path: Path) -> None:
    def lose(weights: dict[str, torch.Tensor]) -> None:
        for key in [key for key in weights if "lm_head" in key or "language_model.model.layers.1." in key]:
            del weights[key]

    def widen(weights: dict[str, torch.Tensor]) -> None:
        weights["language_model.lm_head.weight"] = torch.zeros(999, 32)

    with pytest.raises(DataEngineError, match=r"m: 10 weights do not fit .*, lm_head\.weight among them"):
        load_student(changed(folder, tmp_path / "m", lose), device="cpu")
    with pytest.raises(DataEngineError, match=r"n: 1 weights do not fit .*of another shape"):
        load_student(changed(folder, tmp_path / "n", widen), device="cpu")


def test_an_incomplete_model_folder_is_an_error(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "m")
    file = tmp_path / "m" / "model.safetensors"
    file.write_bytes(file.read_bytes()[:5000])
    with pytest.raises(DataEngineError, match="weights cannot be read") as caught:
        load_student(str(tmp_path / "m"), device="cpu")
    assert "\n" not in str(caught.value)
    (tmp_path / "m" / "tokenizer.json").write_text('{"model": {}}')
    with pytest.raises(DataEngineError, match="student cannot be loaded"):
        load_student(str(tmp_path / "m"), device="cpu")


def test_a_tokenizer_without_padding_pads_with_its_end(
    folder: Path, tmp_path: Path, pictures: list[Image.Image]
) -> None:
    shutil.copytree(folder, tmp_path / "m")
    file = tmp_path / "m" / "tokenizer_config.json"
    file.write_text(json.dumps({k: v for k, v in json.loads(file.read_text()).items() if k != "pad_token"}))
    student = load_student(str(tmp_path / "m"), device="cpu")
    student._image_cache = None
    assert student.processor.tokenizer.pad_token == "</s>"
    assert_close(student.rank(pictures, PROMPTS, CHOICES), plain_scores(student, pictures))


def test_generation_settings_of_the_checkpoint_are_not_used(
    folder: Path, pictures: list[Image.Image]
) -> None:
    student = load_student(str(folder), device="cpu")
    student._image_cache = None
    expected = student.generate(pictures, PROMPTS, max_new_tokens=6)
    own = student.model.generation_config
    own.update(repetition_penalty=1.9, no_repeat_ngram_size=1, suppress_tokens=[5], num_beams=3)
    assert student.generate(pictures, PROMPTS, max_new_tokens=6) == expected
    assert student.model.generation_config is own and own.repetition_penalty == 1.9


def test_a_chat_template_may_be_the_tokenizers(folder: Path) -> None:
    processor = load_student(str(folder), device="cpu").processor
    expected = chat_text(processor, "What?", "Yes.")
    processor.tokenizer.chat_template, processor.chat_template = processor.chat_template, None
    assert chat_text(processor, "What?", "Yes.") == expected and "<image>" in expected[0]
    for blind in ("{{ messages[0]['content'] }}", "{{ raise_exception('only texts') }}"):
        processor.tokenizer.chat_template = blind
        assert chat_text(processor, "What?")[0] == "###Human: <image>\nWhat? ###Assistant:"


@pytest.mark.parametrize(
    "template", ["{{ messages[0]['content'] }}", "<image><image>", "{{ messages[0]['content'][-1]['text'] }}"]
)
def test_a_chat_template_must_write_the_image_once(folder: Path, template: str) -> None:
    processor = load_student(str(folder), device="cpu").processor
    processor.chat_template = template
    with pytest.raises(DataEngineError, match=r"does not write <image> .*chat_template\.jinja"):
        chat_text(processor, "What?")


def test_a_template_may_write_another_mark_for_the_image(folder: Path) -> None:
    processor = load_student(str(folder), device="cpu").processor
    mark = "{{ '<|patch|>' if part['type'] == 'image' else part['text'] }}"
    processor.chat_template = "{% for part in messages[0]['content'] %}" + mark + "{% endfor %}"
    assert chat_text(processor, "What?")[0] == "<|patch|>What?"


def test_after_an_interrupt_the_cache_of_another_image_is_not_used(
    folder: Path, pictures: list[Image.Image]
) -> None:
    student = load_student(str(folder), device="cpu")
    asked = (PROMPTS[:1], CHOICES[:1])
    expected = student.rank(pictures[:1], *asked)

    def interrupt(*given: Any) -> None:
        raise KeyboardInterrupt

    hook = student.model.lm_head.register_forward_hook(interrupt)
    with pytest.raises(KeyboardInterrupt):
        student.rank(pictures[1:2], *asked)
    hook.remove()
    assert_close(student.rank(pictures[:1], *asked), expected)


def test_cache_rows_are_selected_on_any_device() -> None:
    class Elsewhere:
        device = torch.device("meta")

        def __getitem__(self, rows: torch.Tensor) -> torch.Tensor:
            assert (
                rows.device.type == "cpu"
            )  # a CPU index selects on any device; an index on another device does not
            return torch.ones(len(rows), 1, 4, 8)

    layers = [SimpleNamespace(keys=Elsewhere(), values=torch.ones(2, 1, 4, 8))]
    whole = ReadPrefixes(SimpleNamespace(layers=layers), torch.ones(2, 5), torch.ones(2, 1))  # type: ignore[arg-type]
    found = whole.select([0, 1, 1]).cache
    assert found.layers[0].values.shape[0] == 3


@pytest.mark.parametrize("cache", ["_image_cache", "_prefix_cache"])
def test_a_cache_that_raises_an_error_is_not_used(
    folder: Path, pictures: list[Image.Image], caplog: pytest.LogCaptureFixture, cache: str
) -> None:
    student = load_student(str(folder), device="cpu")
    if cache == "_prefix_cache":
        student._image_cache = None

    def fail(*given: Any) -> Any:
        raise IndexError("no such layer")

    getattr(student, cache)._rank_batch = fail
    expected = plain_scores(student, pictures)
    for _ in range(2):
        assert_close(student.rank(pictures, PROMPTS, CHOICES), expected)
    assert getattr(student, cache) is None and caplog.text.count("IndexError: no such layer") == 1


def test_without_an_image_cache_each_question_reads_its_image(
    folder: Path,
    pictures: list[Image.Image],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(*given: Any) -> Any:
        raise ValueError("Nested images are only supported")

    monkeypatch.setattr(ImagePrefixBackend, "for_model", fail)
    student = load_student(str(folder), device="cpu")
    assert_close(student.rank(pictures, PROMPTS, CHOICES), plain_scores(student, pictures))
    assert caplog.text.count("ValueError: Nested images") == 1


@pytest.mark.parametrize(
    "words",
    ["CUDA out of memory. Tried to allocate 2.00 GiB", "CUDA error: out of memory\nCUDA kernel errors might be",
     "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"],
)  # fmt: skip
def test_options_are_scored_one_by_one_when_a_question_does_not_fit_into_memory(
    folder: Path, pictures: list[Image.Image], monkeypatch: pytest.MonkeyPatch, words: str
) -> None:
    student = load_student(str(folder), device="cpu", batch_size=2)
    student._image_cache = None
    expected = student.rank(pictures, PROMPTS, CHOICES)
    forward = student.model.forward

    def small(*args: Any, **inputs: Any) -> Any:
        if len(inputs["input_ids"]) > 1:
            raise RuntimeError(words)
        return forward(*args, **inputs)

    monkeypatch.setattr(student.model, "forward", small)
    assert_close(student.rank(pictures, PROMPTS, CHOICES), expected)
    assert student.batch_size == 1 and student._prefix_cache is None


def test_out_of_memory_halves_the_batch_and_loses_no_row(
    folder: Path, pictures: list[Image.Image], monkeypatch: pytest.MonkeyPatch
) -> None:
    student, reference = (load_student(str(folder), device="cpu") for _ in range(2))
    forward, refused = student.model.forward, []

    def small(*args: Any, **inputs: Any) -> Any:
        if len(inputs["input_ids"]) > 2:
            refused.append(len(inputs["input_ids"]))
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return forward(*args, **inputs)

    monkeypatch.setattr(student.model, "forward", small)
    assert_close(student.rank(pictures, PROMPTS, CHOICES), reference.rank(pictures, PROMPTS, CHOICES))
    assert refused and student.batch_size == 2
    assert student.generate(pictures, PROMPTS) == reference.generate(pictures, PROMPTS)


def test_a_question_that_does_not_fit_into_memory_is_an_error(
    folder: Path, pictures: list[Image.Image], monkeypatch: pytest.MonkeyPatch
) -> None:
    student = load_student(str(folder), device="cpu")

    def full(*args: Any, **inputs: Any) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(student.model, "forward", full)
    with pytest.raises(DataEngineError, match="one question does not fit into memory"):
        student.rank(pictures, PROMPTS, CHOICES)


def test_other_errors_are_not_treated_as_out_of_memory(
    folder: Path, pictures: list[Image.Image], monkeypatch: pytest.MonkeyPatch
) -> None:
    student = load_student(str(folder), device="cpu")

    def broken(*args: Any, **inputs: Any) -> Any:
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    monkeypatch.setattr(student.model, "forward", broken)
    with pytest.raises(RuntimeError, match="cannot be multiplied"):
        student.rank(pictures, PROMPTS, CHOICES)


@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
def test_dtype_and_device_map_are_chosen(folder: Path, pictures: list[Image.Image], dtype: Any) -> None:
    student = load_student(str(folder), device="device_map", dtype=dtype)
    assert student.model.dtype == getattr(torch, dtype) and student.model.device.type == "cpu"
    plain = load_student(str(folder), device="cpu").rank(pictures, PROMPTS, CHOICES)
    near = 1e-4 if dtype == "float32" else 0.3
    for row, wanted in zip(student.rank(pictures, PROMPTS, CHOICES), plain, strict=True):
        assert row == pytest.approx(wanted, abs=near)


def test_a_device_that_does_not_exist_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(DataEngineError, match="device 'cuda:1': torch sees 1 CUDA devices here"):
        load_student(str(folder), device="cuda:1")
    with pytest.raises(DataEngineError, match="cannot be moved to xpu"):
        load_student(str(folder), device="xpu")
    with pytest.raises(DataEngineError, match="device 'gpu': no such kind; choose auto, cpu"):
        load_student(str(folder), device="gpu")


class Pairs:
    """Stands for a processor whose tokenizer joins two letters to a token."""

    bos_token = None

    @property
    def tokenizer(self) -> "Pairs":
        return self

    def __call__(self, texts: list[str], add_special_tokens: bool) -> Any:
        split = [[text[i : i + 2] for i in range(0, len(text), 2)] for text in texts]
        return type("Ids", (), {"input_ids": split})


def test_an_answer_joined_to_its_prompt_begins_with_the_joined_token() -> None:
    tokenized = tokenize_question(Pairs(), "abc", "abcdef", [])
    assert (tokenized.prompt, tokenized.dropped, tokenized.answer_start, tokenized.options) == (
        ["ab"],
        1,
        ["cd", "ef"],
        [],
    )
    tokenized = tokenize_question(Pairs(), "ab", "abcde", ["f", "gh"])
    assert (tokenized.prompt, tokenized.dropped, tokenized.answer_start) == (["ab"], 0, ["cd"])
    assert tokenized.options == [["ef"], ["eg", "h"]]


def test_a_prefix_cache_that_gives_other_scores_is_not_used(
    folder: Path, pictures: list[Image.Image], caplog: pytest.LogCaptureFixture
) -> None:
    student = load_student(str(folder), device="cpu")
    student._image_cache = None
    right = student._prefix_cache._answer_logits  # type: ignore[union-attr]
    student._prefix_cache._answer_logits = lambda *given: right(*given) * 0.5  # type: ignore[union-attr, method-assign]
    assert_close(student.rank(pictures, PROMPTS, CHOICES), plain_scores(student, pictures))
    assert student._prefix_cache is None and "ranking without it" in caplog.text
