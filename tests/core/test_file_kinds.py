"""What a file is, by its content: every format that people give to the wrong step."""

import gzip
import io
import json
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from dataengine_lib.core.file_kinds.looks_like import looks_like

DEMO = Path(__file__).parents[2] / "data_demo"
TURNS = [{"role": "user", "content": "<image>What?"}, {"role": "assistant", "content": "A cat."}]
ASKED = {"question": "What?", "choices": ["a", "b"], "image_id": 1}


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("aokvqa_v1p0_val.json", "questions like A-OKVQA's, which classify-questions, evaluate and fine-tune read"),
        ("aokvqa_v1p0_val_classified.json", "questions by type, which evaluate and construct-queries read"),
        ("aokvqa_eval.json", "an evaluation (aokvqa_eval.json), which compare-rounds reads"),
        ("bad_case_aokvqa_classified.json", "bad cases by question type (bad_case_aokvqa_classified.json), which"),
        ("weight.json", "weights by question type (weight.json), which construct-queries reads as weight"),
        ("weight.txt", "weights by question type (weight.json), which construct-queries reads as weight"),
        ("metrics.json", "the figures of evaluate (metrics.json)"),
        ("predictions.json", "predictions in A-OKVQA's form: evaluate reads it as student recorded:FILE"),
        ("gptvqa_prompt.json", "queries (gptvqa_prompt.json of construct-queries), which generate-qa reads"),
        ("gptvqa_result.jsonl", "replies (gptvqa_result.jsonl of generate-qa), which post-process reads"),
        ("gptvqa_train_data.json", "training data (gptvqa_train_data.json of post-process), which fine-tune and"),
        ("rejects.jsonl", "rejects of post-process (rejects.jsonl)"),
        ("gptvqa_failed.jsonl", "an empty file"),
        ("sampling.json", "the shares of construct-queries (sampling.json)"),
        ("usage.json", "the usage of generate-qa (usage.json)"),
        ("post_process.json", "the counts of post-process (post_process.json)"),
        ("annotations/instances_demo.json", "COCO annotations (instances), which belong into the folder of an image"),
        ("annotations/captions_demo.json", "COCO annotations (captions), which belong into the folder of an image"),
        ("models/tiny-llava/config.json", "the settings of a model (config.json): give the model's folder"),
        ("models/tiny-llava/model.safetensors", "a safetensors checkpoint: give the model's folder"),
        ("images/000000100000.jpg", "a JPEG image"),
    ],
)  # fmt: skip
def test_every_file_of_the_loop_is_known(name: str, kind: str) -> None:
    assert looks_like(DEMO / name).startswith(f"looks like {kind}")


@pytest.mark.parametrize(
    ("row", "kind"),
    [
        (
            {"messages": TURNS, "images": ["a.jpg"]},
            "chat messages with images, as LLaMA-Factory and ms-swift train",
        ),
        ({"messages": TURNS}, "chat messages without images (OpenAI, LLaMA-Factory)"),
        ({"instruction": "q", "input": "", "output": "a"}, "LLaMA-Factory's alpaca rows"),
        ({"conversations": [], "images": ["a.jpg"]}, "ShareGPT conversations with images"),
        (
            {"id": "1", "image": "a.jpg", "conversations": []},
            "LLaVA's conversations, which post-process and fine-tune",
        ),
        ({"query": "q", "response": "a", "images": []}, "ms-swift's queries and responses"),
        ({"images": [], "prompt": TURNS[:1], "completion": TURNS[1:]}, "TRL's prompts and completions"),
        ({"prompt": "q", "chosen": "a", "rejected": "b"}, "preference pairs"),
        ({"instruction": "q", "answer": "a", "image": "a.jpg", "qtype": 1}, "records of MLLM-DataEngine v2"),
        ({"custom_id": "1", "method": "POST", "body": {}}, "requests for OpenAI's Batch API"),
        ({"id": "b", "custom_id": "1", "response": {}, "error": None}, "replies of OpenAI's Batch API"),
        (
            {"doc_id": 0, "target": "A", "filtered_resps": ["A"]},
            "samples of lmms-eval: evaluate reads it as student",
        ),
        (
            {"index": 0, "question": "q", "prediction": "A"},
            "predictions of VLMEvalKit: evaluate reads it as student",
        ),
        ({"key": "f" * 64, "teacher": "gpt", "text": "t"}, "a ledger of paid replies"),
        (ASKED | {"model_answer": "a"}, "an evaluation (aokvqa_eval.json), which compare-rounds reads"),
        ({"image_id": 1, "question": "q", "question_id": 2}, "VQA questions without choices"),
        ({"image_id": 1, "bbox": [0, 0, 1, 1]}, "boxes of COCO alone"),
        ({"id": 1, "regions": []}, "region descriptions of Visual Genome"),
        ({"colour": "red", "size": 3}, "a JSON list of objects with colour, size"),
    ],
)
@pytest.mark.parametrize("form", ["list", "lines", "pretty", "gzip", "utf-16", "cut"])
def test_rows_are_known_in_every_form(tmp_path: Path, row: dict[str, Any], kind: str, form: str) -> None:
    rows = [row] * 3
    text = json.dumps(rows, indent=2 if form == "pretty" else None)
    if form == "lines":
        text, kind = (
            "".join(json.dumps(one) + "\n" for one in rows),
            kind.replace("a JSON list of objects", "JSON lines"),
        )
    file = tmp_path / "data.json"
    content = text.encode("utf-16" if form == "utf-16" else "utf-8-sig")
    if form == "gzip":
        content, kind = gzip.compress(content), f"a gzip archive of {kind}"
    file.write_bytes(content[:-5] if form == "cut" else content)
    assert looks_like(file).startswith(f"looks like {kind}")
    assert looks_like(file.read_bytes()) == looks_like(file)


def saved(write: Any) -> bytes:
    stream = io.BytesIO()
    write(stream)
    return stream.getvalue()


def zipped(*names: str) -> bytes:
    with zipfile.ZipFile(stream := io.BytesIO(), "w") as archive:
        for name in names:
            archive.writestr(name, b"x")
    return stream.getvalue()


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"", "an empty file"),
        (b" \n\t\n", "an empty file"),
        (b"\0" * 4096, "a file of null bytes"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", "a Git LFS pointer, not the file"),
        (b"\n<!DOCTYPE html>\n<html><head>", "a web page, not the file itself"),
        (b"Entry not found", "a server's error message"),
        (b'{"error": {"message": "not found", "code": 404}}', "a server's error message"),
        (b"PAR1" + b"\0" * 40, "a Parquet table"),
        (b"ARROW1\0\0", "an Arrow table"),
        (pickle.dumps({"a": 1}), "a pickle, such as a .pth file"),
        (zipped("archive/data.pkl", "archive/data/0"), "a checkpoint saved by torch (.pt, .pth)"),
        (zipped("xl/workbook.xml"), "an Excel table (.xlsx)"),
        (saved(lambda stream: np.savez(stream, a=np.zeros(2))), "NumPy arrays (.npz)"),
        (saved(lambda stream: np.save(stream, np.zeros(2))), "a NumPy array (.npy)"),
        (zipped("images/a.jpg"), "a zip archive: unpack it"),
        (zipped("a")[:20], "a zip archive that is cut off or damaged"),
        (saved(lambda stream: Image.new("RGB", (2, 2)).save(stream, "PNG")), "a PNG image"),
        (saved(lambda stream: Image.new("RGB", (2, 2)).save(stream, "BMP")), "a BMP image"),
        (saved(lambda stream: Image.new("RGB", (2, 2)).save(stream, "WEBP")), "a WebP image"),
        (b"BM is short for bitmap", "plain text"),
        (json.dumps({"nbformat": 4, "metadata": {}, "cells": []}).encode(), "a Jupyter notebook"),
        (json.dumps({"run": "demo", "steps": [], "rounds": 2}).encode(), "the state of a run (run.json)"),
        (json.dumps({"r-1": {"decision": "reject"}}).encode(), "decisions of a person (review.json)"),
        (json.dumps({"args": {}, "logs": []}).encode(), "samples of lmms-eval"),
        (json.dumps({"data": {"file_name": "a.json"}}).encode(), "LLaMA-Factory's list of data sets"),
        (json.dumps({"peft_type": "LORA"}).encode(), "the settings of an adapter"),
        (b"run: demo\nevaluate:\n  student: x\n", "a YAML file, such as parameters of a run"),
        (b"index\tquestion\tA\tB\n1\twhat\ta\tb\n", "a tab-separated table with the columns index, question, A, B"),
        (b"index,question,A,B\n1,what,a,b\n", "a comma-separated table with the columns index, question, A, B"),
        (b"import os\nprint(os)\n", "a program's source"),
        (b"[tool.ruff]\nline-length = 1\n", "plain text"),
        (b"[]", "an empty list"),
        (b"{}", "an empty JSON object"),
        (b'[{"question": "cu', "JSON that is cut off or damaged"),
        (b'["a", "b"]', "a JSON list of something else than objects"),
        (b"[" * 100_000, "JSON that is cut off or damaged"),
        (b'{"a":' * 100_000, "JSON that is cut off or damaged"),
        (b"\x1f\x8b\x08broken", "a gzip archive that is damaged"),
        (b"\x01\x02\0\x03", "binary data of no known format"),
    ],
)  # fmt: skip
def test_other_files_are_known_by_their_content(tmp_path: Path, content: bytes, kind: str) -> None:
    (tmp_path / "questions.json").write_bytes(content)
    text = looks_like(tmp_path / "questions.json")
    assert text.startswith(f"looks like {kind}") and "\n" not in text


def test_it_never_raises_and_its_text_is_bounded(tmp_path: Path) -> None:
    assert looks_like(tmp_path) == "is a folder, not a file"
    assert looks_like(tmp_path / "none.json") == "cannot be read"
    assert looks_like("a\0b") == "cannot be read"
    hostile = json.dumps([{f"{n}\n\x1b[31m" + "k" * 10_000: 1 for n in range(50)}]).encode()
    text = looks_like(hostile)
    assert text.isprintable() and len(text) < 400
