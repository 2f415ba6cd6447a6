"""Step 1 with a student in vLLM's offline engine, against a stand-in of its public interface."""

import json
import re
from math import log
from pathlib import Path
from typing import Any

import pytest
from colour_student import COLOURS
from echoing.vllm_engine import vllm_engine
from PIL import Image

from dataengine_lib.chat.reply import AskFailed
from dataengine_lib.core.bad_rows import BadRow
from dataengine_lib.core.records import CHOICE, YES_NO, Question
from dataengine_lib.errors import DataEngineError, ParameterError
from dataengine_lib.evaluation.questioner import AskOptions, Questioner
from dataengine_lib.evaluation.tasks import Task
from dataengine_lib.steps.evaluate import EvaluateConfig, evaluate
from dataengine_lib.students.interface import InputRefused
from dataengine_lib.students.on_vllm.vllm_student import VllmStudent


def run_vllm(root: Path, **more: Any) -> Any:
    values = {
        "questions": root / "questions.json", "image_root": root, "output_dir": root / "out", "categories": "v1",
        "student": "vllm:owner/name", "rank": "letter", "direct_answers": False, **more,
    }  # fmt: skip
    return evaluate(EvaluateConfig(**values))


def see(text: str, image: Image.Image | None) -> dict[str, float] | str:
    """The letter of the image's colour as the likeliest first token, in two forms; or the colour, after thoughts."""
    pixel = (255, 0, 0) if image is None else image.convert("RGB").getpixel((0, 0))
    name = next(name for name, rgb in COLOURS.items() if rgb == pixel)
    option = re.search(rf"\(([A-D])\) {name}\b", text)
    if not text.endswith("the best option and nothing else."):
        return f"<think>it looks {name}</think>{name}"
    if option is None:
        return {"The": 0.7, "A": 0.1}
    return {option[1]: 0.4, f" {option[1]}": 0.2, "A" if option[1] != "A" else "B": 0.3}


def test_letters_are_ranked_by_first_tokens_all_questions_of_a_batch_at_once(root: Path) -> None:
    with vllm_engine(see) as engine:
        result = run_vllm(root, blind=True, dtype="bfloat16", adapter=str(adapter(root, r=12)))
    (made,) = engine.made
    assert made == {
        "model": "owner/name", "dtype": "bfloat16", "tensor_parallel_size": 1, "seed": 0, "trust_remote_code": False,
        "enable_prefix_caching": True, "limit_mm_per_prompt": {"image": 1}, "enable_lora": True, "max_lora_rank": 16,
    }  # fmt: skip
    # the same as of a student behind a server
    assert [answer.correct for answer in result.answers] == [True, False, True, True, False, True, True]
    assert engine.calls == [7, 7]
    assert [image is None for _, image, _, _ in engine.asked] == [False] * 7 + [True] * 7
    assert {(p.temperature, p.max_tokens, p.logprobs, lora.lora_path) for _, _, p, lora in engine.asked} == {
        (0.0, 1, 20, str(root / "adapter"))
    }
    assert result.metrics.rank == "first token"
    ranked = result.metrics.ranked
    assert (ranked.requests, ranked.elsewhere, ranked.cannot_tell) == (7, 0, 0)
    # both forms of a letter are counted together
    assert max(result.answers[0].scores) == pytest.approx(log(0.6), abs=1e-4)


def adapter(root: Path, **settings: Any) -> Path:
    folder = root / "adapter"
    folder.mkdir(exist_ok=True)
    (folder / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", **settings}))
    (folder / "adapter_model.safetensors").write_bytes(b"weights")
    return folder


def test_written_answers_and_questions_that_are_refused(root: Path) -> None:
    rows = json.loads((root / "questions.json").read_text())
    first = rows[0] if isinstance(rows, list) else next(iter(rows.values()))[0]
    first["question"] = "What is it? " * 50
    (root / "questions.json").write_text(json.dumps(rows))
    with vllm_engine(see, most_characters=500) as engine:
        result = run_vllm(root, rank="generate", max_output_tokens=50, max_bad_share=0.5)
    assert engine.made[0]["dtype"] == "auto" and "enable_lora" not in engine.made[0]
    assert {params.max_tokens for _, _, params, _ in engine.asked} == {50}
    assert len(result.answers) == 6 and result.metrics.rank == "generate"
    (row,) = result.skipped
    assert "is longer than the maximum model length of 500" in row.reason
    # the whole batch is refused for one question, which halving it finds
    assert 1 < len(engine.calls) <= 4 and sum(engine.calls) == 6

    image = Image.new("RGB", (8, 8), (0, 0, 255))
    with vllm_engine(see):
        student = VllmStudent("owner/name", gpus=2, max_output_tokens=2)
        (cut_off,) = student.generate([image], ["Which colour?"])
        assert isinstance(cut_off, AskFailed) and "raise it" in str(cut_off) and not cut_off.declined
        (lost,) = student.rank([image], ["Which?\n(A) red (B) green"], [["red", "green"]])
        assert isinstance(lost, AskFailed) and lost.declined and "'The' 70.0 %" in str(lost)
        assert student.rank([], [], []) == [] and student.ranked.cannot_tell == 1


def test_only_faults_of_one_question_are_refusals(root: Path) -> None:
    image = Image.new("RGB", (8, 8))
    for fault in (
        ValueError("The decoder prompt (length 9) plus the number of requested output tokens (at least 1) is longer than "
                   "the maximum model length of 9. Make sure that"),
        ValueError("This model's maximum context length is 8 tokens. However, your request has 9 input tokens."),
        ValueError("The decoder prompt contains a(n) image item with 9 embedding tokens, which exceeds the pre-allocated "
                   "encoder cache size 8."),
        ValueError("Failed to apply LlavaProcessor on data={'text': '…'} with kwargs={}"),
        ValueError("Found more '<image>' placeholders in input prompt than actual multimodal data items."),
    ):  # fmt: skip
        with vllm_engine(see, fault=fault), pytest.raises(InputRefused):
            VllmStudent("owner/name").generate([image], ["Which?"])
    for fault in (
        ValueError("Got lora_request LoRARequest(…) but LoRA is not enabled!"),
        RuntimeError("CUDA out of memory\nTried to allocate"),
    ):
        with (
            vllm_engine(see, fault=fault),
            pytest.raises(DataEngineError, match=r"owner/name: vLLM cannot answer \((Got|CUDA)") as caught,
        ):
            run_vllm(root)
        assert "\n" not in str(caught.value)


def test_a_refused_question_has_no_other_kind_asked_or_counted_twice(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "one.png")
    texts = [("Which?", CHOICE), ("Is it? " * 300, YES_NO), ("Is it?", YES_NO)]
    questions = [
        Question(
            question_id=text[:9], image_id=1, image_path="one.png", question=text, choices=["yes", "no"],
            correct_choice_idx=0, question_type="object", answer_kind=kind,
        )
        for text, kind in texts
    ]  # fmt: skip
    tasks = [Task(str(n), n, question, "holdout", "one.png") for n, question in enumerate(questions)]
    with vllm_engine(lambda text, image: {"A": 0.9, "Yes": 0.8}, most_characters=500) as engine:
        student = VllmStudent("owner/name")
        asker = Questioner(student, "vllm", AskOptions("letter", direct=False), tmp_path, tmp_path / "q.json")
        outcomes = asker.ask(tasks)
    assert [isinstance(one, BadRow) for one in outcomes] == [False, True, False]
    assert student.ranked.requests == sum(engine.calls) == 2


def test_faults_are_one_line_with_a_remedy(root: Path) -> None:
    values = {"questions": "q", "image_root": "i", "student": "vllm:a/b", "output_dir": "o"}
    for more, words in (
        ({}, "set rank to letter or generate"),
        ({"rank": "letter", "workers": 2}, "leave workers out"),
        ({"rank": "letter", "device": "cuda:1"}, "device_map for all of them"),
        ({"rank": "letter", "student": "vllm:"}, "give vllm:NAME"),
    ):
        with pytest.raises(ParameterError, match=words):
            EvaluateConfig.read(values | more, "here")
    with pytest.raises(DataEngineError, match="needs vLLM, which is not installed; run: pip install vllm"):
        run_vllm(root)
    with vllm_engine(see):
        for student, settings, words in (
            ("no/such-model", {"r": 8}, "vLLM cannot load it .*; give a model that vLLM supports"),
            (str(root), {"r": 8}, "no config.json in this folder"),
            ("a/b", {"r": 8, "rank_pattern": {"q": 600}}, "a LoRA of rank 600, where vLLM takes up to 512"),
            ("a/b", {"peft_type": "IA3"}, "no LoRA, and vLLM takes no other"),
        ):
            with pytest.raises(DataEngineError, match=words) as caught:
                VllmStudent(student, adapter(root, **settings))
            assert "\n" not in str(caught.value)
