"""What people give in place of the right thing: odd values, and files of other formats, ours and others'."""

import gzip
import io
import json
import pickle
import zipfile
from typing import Any

from fuzzing.forms import dumped

# what people and programs put where something else belongs
ODD: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 3, 2**31, 2**63, 2**64 + 1, -(2**70), 10**400, 0.5, -0.0, 1e308, float("nan"),
    float("inf"), float("-inf"), "", " ", "0", "-1", "1.0", "1e400", "NaN", "null", "None", "true", "é", "猫", "\ud800",
    "x\udfffy", "\x00", "a\x00b", "\x1b[31m", "\u2028", "\u202e", "\ufeff", "{0}", "%s", "{{ x }}", "<script>", "=1+1",
    "../../etc/passwd", "/etc/passwd", "C:\\a\\b.jpg", "a" * 300, "b" * 30_000, "word " * 3_000, [], {}, [None], [[]],
    {"a": None}, ["x", 1, None], {"": ""}, [1, 2, 3], "2024-01-01", "line\nline", "\r\n", "\t",
)  # fmt: skip


def _zip() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("a.json", "[]")
    return stream.getvalue()


_QUESTION = {
    "image_id": 1,
    "question_id": "x",
    "question": "Which?",
    "choices": ["a", "b", "c", "d"],
    "correct_choice_idx": 1,
}
_CHAT = {
    "id": "1",
    "image": "1.jpg",
    "conversations": [{"from": "human", "value": "<image>\nWhat?"}, {"from": "gpt", "value": "A dog."}],
}
_MESSAGES = {
    "messages": [{"role": "user", "content": "<image>What?"}, {"role": "assistant", "content": "A dog."}],
    "images": ["1.jpg"],
}
_BOX = {"image_id": 1, "category_id": 1, "bbox": [0, 0, 1, 1]}
_VALUES = [
    [_QUESTION] * 5,
    {"ocr": [_QUESTION], "image_scene": []},
    [_CHAT] * 5,
    [_MESSAGES] * 5,
    {"ocr": 0.5, "image_scene": 0.25},
    {"x": {"multiple_choice": "a", "direct_answer": "a"}},
    {"images": [{"id": 1, "file_name": "1.jpg"}], "annotations": [_BOX], "categories": []},
    [{"id": 1, "regions": []}],
    {"r0-1": {"decision": "reject"}},
    {"run": "a", "steps": [], "rounds": 1},
    {"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5},
    {"a.jpg": ["A dog."]},
    [1, 2, 3],
    ["a", "b"],
    "text",
]  # fmt: skip
OTHER_FILES: list[bytes] = [
    *(json.dumps(value, indent=1).encode() for value in _VALUES),
    json.dumps({"image_id": 1, "raw_instructions": "Skip", "question_type": "ocr"}).encode() + b"\n",
    json.dumps({"key": "k", "text": "t", "request": {"messages": []}}).encode() + b"\n",
    json.dumps({"doc_id": 0, "filtered_resps": ["A"], "target": "A"}).encode() + b"\n",
    b"index\tquestion\tA\tB\tanswer\tprediction\n0\tWhich?\ta\tb\tA\tB\n",
    b"file_name,text\n1.jpg,A dog.\n",
    dumped(
        "xlsx", [{"index": 0, "question": "Which?", "A": "a", "B": "b", "answer": "A", "prediction": "B"}]
    ),
    b"run: mine\nevaluate:\n  questions: q.json\n",
    b"types:\n  ocr: reads text\n",
    b"<!DOCTYPE html>\n<html><body>Sign in</body></html>\n",
    b"version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 12\n",
    b"\x89PNG\r\n\x1a\n" + bytes(64),
    b"\xff\xd8\xff\xe0" + bytes(64),
    b"%PDF-1.7\n" + bytes(64),
    b"SQLite format 3\x00" + bytes(64),
    b"PAR1" + bytes(64),
    b"\x93NUMPY\x01\x00v\x00" + bytes(64),
    pickle.dumps({1: [0.5, 0.25]}),
    _zip(),
    gzip.compress(b"[]", mtime=0),
    bytes(range(256)) * 8,
]
