"""Tests of what is given as a student, an adapter or an encoder and is none: one line says what it is, and what to do."""

import ast
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image
from project import PROJECT_ROOT
from tiny_models import save_tiny_clip, save_tiny_llava

from dataengine_lib.embeddings.encoder import load_encoder
from dataengine_lib.errors import DataEngineError
from dataengine_lib.students.loading import load_student

POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:aa\nsize 12\n"
INDEX = {"metadata": {}, "weight_map": {"a": "model-1-of-2.safetensors", "b": "model-2-of-2.safetensors"}}


@pytest.fixture(scope="module")
def llava(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_llava(tmp_path_factory.mktemp("models") / "llava")


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_clip(tmp_path_factory.mktemp("models") / "clip")


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)


def refusal(load: Callable[[], object]) -> str:
    with pytest.raises(DataEngineError) as caught:
        load()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def student_refusal(name: Path | str, adapter: Path | None = None) -> str:
    return refusal(lambda: load_student(str(name), device="cpu", adapter=adapter))


def encoder_refusal(name: Path | str) -> str:
    return refusal(lambda: load_encoder(str(name), device="cpu"))


def changed(folder: Path, copy: Path, remove: str = "", **files: str) -> Path:
    """A copy of `folder` without `remove`, and with files written anew: `config_json="{}"`."""
    shutil.copytree(folder, copy)
    if remove:
        (copy / remove).unlink()
    for name, text in files.items():
        head, _, suffix = name.rpartition("_")
        (copy / f"{head}.{suffix}").write_text(text)
    return copy


def with_config(folder: Path, **settings: object) -> str:
    return json.dumps(json.loads((folder / "config.json").read_text()) | settings)


@pytest.mark.parametrize("part", ["model", "known type", "processor"])
def test_a_student_with_remote_code_is_refused_and_nothing_is_asked(
    llava: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], part: str
) -> None:
    code = {"AutoConfig": "own.Config", "AutoModelForImageTextToText": "own.Model", "AutoModel": "own.Model"}
    kind = "llava" if part == "known type" else "own_model"
    if part == "processor":
        settings = json.loads((llava / "processor_config.json").read_text())
        settings |= {"auto_map": {"AutoProcessor": "own.Processor"}, "processor_class": "Own"}
        folder = changed(llava, tmp_path / "m", processor_config_json=json.dumps(settings))
    else:
        folder = changed(
            llava, tmp_path / "m", config_json=with_config(llava, model_type=kind, auto_map=code)
        )
    (folder / "own.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    if part == "known type":  # transformers has this type built in, and uses its own code
        load_student(str(folder), device="cpu")
    else:
        assert (
            "m: needs code of its own repository to be run, which this project never does"
            in student_refusal(folder)
        )
        assert "api:MODEL as student" in student_refusal(folder)
    assert "[y/N]" not in capfd.readouterr().out
    assert not (tmp_path / "ran").exists()


def test_an_encoder_with_remote_code_is_refused_too(clip: Path, tmp_path: Path) -> None:
    code = {"AutoConfig": "own.Config", "AutoModel": "own.Model"}
    folder = changed(clip, tmp_path / "m", config_json=with_config(clip, model_type="own", auto_map=code))
    found = encoder_refusal(folder)
    assert "needs code of its own repository" in found and "api:" not in found


def test_whatever_loads_from_the_hub_says_that_no_remote_code_is_run() -> None:
    """Also for what no folder of these tests reaches; peft's classes run none and do not take the setting."""
    library = PROJECT_ROOT / "dataengine_lib"
    calls = [
        (file.relative_to(library).as_posix(), call)
        for file in sorted(library.rglob("*.py"))
        for call in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(call, ast.Call) and ast.unparse(call.func).endswith(".from_pretrained")
    ]
    assert {"embeddings/encoder.py", "students/loading.py", "students/processor_loading.py"} <= {
        name for name, _ in calls
    }
    for name, call in calls:
        if ast.unparse(call.func) not in ("PeftModel.from_pretrained", "LoraConfig.from_pretrained"):
            assert "trust_remote_code=False" in ast.unparse(call), f"{name}:{call.lineno}"


def test_an_adapter_as_student_or_encoder_is_called_one(llava: Path, tmp_path: Path) -> None:
    settings = {"base_model_name_or_path": "llava-hf/llava-1.5-7b-hf", "peft_type": "LORA"}
    (tmp_path / "adapter_config.json").write_text(json.dumps(settings))
    assert student_refusal(tmp_path) == (
        f"{tmp_path}: this is an adapter (made for llava-hf/llava-1.5-7b-hf): set adapter to this folder, and student to "
        "the model that it was made for"
    )
    assert "this is an adapter (made for llava-hf/llava-1.5-7b-hf), no encoder" in encoder_refusal(tmp_path)
    # trainers leave the base model's config beside the adapter
    (tmp_path / "config.json").write_text((llava / "config.json").read_text())
    assert "this is an adapter (made for" in student_refusal(tmp_path)
    both = changed(llava, tmp_path / "both", adapter_config_json=json.dumps(settings))
    assert "holds a model and an adapter" in student_refusal(both)


def test_what_is_no_adapter_says_what_it_is(llava: Path, tmp_path: Path) -> None:
    assert "it is a whole model: give it as student, without adapter" in student_refusal(llava, llava)
    (tmp_path / "a").mkdir()
    settings = tmp_path / "a" / "adapter_config.json"
    settings.write_text('{"peft_type": "LORA"}')
    assert "no weights beside adapter_config.json" in student_refusal(llava, tmp_path / "a")
    (tmp_path / "a" / "adapter_model.safetensors").write_text(POINTER)
    assert "adapter_model.safetensors: looks like a Git LFS pointer" in student_refusal(llava, tmp_path / "a")
    settings.write_text("<html></html>")
    assert "adapter_config.json: cannot be read as JSON, it looks like a web page" in student_refusal(
        llava, tmp_path / "a"
    )
    assert r"'a\x00b': no adapter_config.json" in student_refusal(llava, Path("a\0b"))


def test_an_adapter_of_another_model_names_it(llava: Path, tmp_path: Path) -> None:
    from peft import LoraConfig, get_peft_model
    from safetensors.torch import load_file, save_file

    model = load_student(str(llava), device="cpu").model
    get_peft_model(model, LoraConfig(target_modules=["q_proj"], r=2)).save_pretrained(tmp_path)
    file, settings = tmp_path / "adapter_model.safetensors", tmp_path / "adapter_config.json"
    settings.write_text(
        json.dumps(json.loads(settings.read_text()) | {"base_model_name_or_path": "owner/large"})
    )
    weights = load_file(file)
    save_file({key: torch.zeros(5, 5) for key in weights}, file)
    assert "this adapter does not fit the student, it was made for owner/large" in student_refusal(
        llava, tmp_path
    )
    save_file({f"other.{key}": value for key, value in weights.items()}, file)
    assert "weights of the adapter are missing" in (found := student_refusal(llava, tmp_path))
    assert "it was made for owner/large" in found
    settings.write_text(json.dumps(json.loads(settings.read_text()) | {"target_modules": ["no_such_layer"]}))
    assert "does not fit the student, it was made for owner/large" in student_refusal(llava, tmp_path)


@pytest.mark.parametrize(
    ("remove", "files", "message"),
    [
        ("model.safetensors", {}, "m: no weights beside config.json"),
        ("model.safetensors", {"model.safetensors.index_json": json.dumps(INDEX)}, "2 of 2 files of weights are missing"),
        ("model.safetensors", {"model.safetensors.index_json": "[]"}, "index.json: must hold a JSON object"),
        ("model.safetensors", {"pytorch_model_bin": POINTER}, "pytorch_model.bin: looks like a Git LFS pointer"),
        ("model.safetensors", {"pytorch_model_bin": "xx"}, "m: its weights are damaged, or a pickle with more"),
        ("", {"model_safetensors": POINTER}, "model.safetensors: looks like a Git LFS pointer, not the file itself"),
        ("", {"tokenizer_json": POINTER}, "tokenizer.json: looks like a Git LFS pointer"),
        ("", {"tokenizer_json": "{}"}, "m: student cannot be loaded: its tokenizer or image processor is damaged"),
        ("", {"config_json": "<!DOCTYPE html><html>"}, "config.json: cannot be read as JSON, it looks like a web page"),
        ("", {"config_json": "[1]"}, "config.json: must hold a JSON object of settings"),
        ("", {"config_json": "{}"}, "config.json: has no model_type"),
        ("", {"config_json": '{"model_type": "llava99"}'}, "its model_type 'llava99' is not known to the transformers"),
        ("", {"config_json": '{"model_type": "llama"}'}, "m: llama is a language model that reads no images"),
        ("", {"config_json": '{"model_type": "clip"}'}, "m: clip is a model of images that writes no text"),
        ("processor_config.json", {}, "no processor_config.json or preprocessor_config.json in this folder"),
    ],
)  # fmt: skip
def test_a_folder_that_is_no_student_says_why(
    llava: Path, tmp_path: Path, remove: str, files: dict[str, str], message: str
) -> None:
    assert message in student_refusal(changed(llava, tmp_path / "m", remove, **files))


def test_hostile_pickled_weights_are_not_run(llava: Path, tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self):  # type: ignore[no-untyped-def]
            return os.mkdir, (str(tmp_path / "owned"),)

    folder = changed(llava, tmp_path / "m", "model.safetensors")
    torch.save({"a": Evil()}, folder / "pytorch_model.bin")
    assert "a pickle with more than tensors in it, which could run code" in student_refusal(folder)
    assert not (tmp_path / "owned").exists()


def test_names_and_files_of_llama_cpp_are_explained(llava: Path, tmp_path: Path) -> None:
    (tmp_path / "m.gguf").write_bytes(b"GGUF" + bytes(20))
    assert "is a file, not a folder (looks like a GGUF checkpoint" in student_refusal(tmp_path / "m.gguf")
    assert "but m.gguf, a checkpoint of llama.cpp; serve it there and give api:MODEL" in student_refusal(
        tmp_path
    )
    assert "but m.gguf, a checkpoint of llama.cpp; encoder must be" in encoder_refusal(tmp_path)
    shutil.copytree(llava, tmp_path / "run" / "checkpoint-10")
    assert "no config.json in this folder (there is one in checkpoint-10/)" in student_refusal(
        tmp_path / "run"
    )


def test_a_misspelt_hub_name_is_one_line() -> None:
    for found in (student_refusal("no-such/model-at-all"), encoder_refusal("no-such/model-at-all")):
        assert found.startswith(
            "no-such/model-at-all: is no folder here, and the Hugging Face hub has no such"
        )
    assert r"'no\x00such': no such folder" in student_refusal("no\0such")


def test_a_student_as_encoder_and_an_encoder_without_weights(llava: Path, clip: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    assert "a vision-language model, which student takes" in encoder_refusal(llava)
    folder = changed(clip, tmp_path / "m")
    weights = load_file(folder / "model.safetensors")
    kept = {key: value for key, value in weights.items() if key != "visual_projection.weight"}
    save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})
    assert "m: 1 weights of the encoder are missing, visual_projection.weight among them" in encoder_refusal(
        folder
    )
    (folder / "model.safetensors").unlink()
    assert "no weights beside config.json" in encoder_refusal(folder)


@pytest.mark.parametrize(
    ("template", "fault"),
    [
        ("{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}", "cannot be used (this template"),
        ("{{ 'a' * 10**10 }}", "cannot be used (this template never ends"),
        ("{% set n = namespace(x='a') %}{% for i in range(60) %}{% set n.x = n.x ~ n.x %}{% endfor %}", "cannot be used"),
        ("{{ raise_exception('only texts\nhere') }}", "fails for a question about an image (line 1: TemplateError: only"),
        ("a\n{{ 1 / 0 }}", "fails for a question about an image (line 2: ZeroDivisionError"),
        ("{{ messages[0]['content'] + 1 }}", "fails for a question about an image (line 1: TypeError"),
        ("{% for m in messages %}", "fails for a question about an image (TemplateSyntaxError"),
    ],
)  # fmt: skip
def test_a_chat_template_that_fails_or_never_ends_is_one_line(
    llava: Path, tmp_path: Path, template: str, fault: str
) -> None:
    folder = changed(llava, tmp_path / "m", chat_template_jinja=template)
    asked = lambda: load_student(str(folder), device="cpu").rank(  # noqa: E731
        [Image.new("RGB", (8, 8))], ["What?"], [["a", "b"]]
    )
    found = refusal(asked)
    assert found.startswith(f"{folder}: its chat_template.jinja ") and fault in found
