"""Reading JSON: what other programs write is read, and what cannot be read is reported in one line."""

import json
from pathlib import Path
from typing import Any

import pytest

from dataengine_lib.core.bad_rows import BadRows
from dataengine_lib.core.files import files_below, inside, read_json, read_jsonl, sha256
from dataengine_lib.errors import DataEngineError
from dataengine_lib.images.references import ImageRef, locate
from dataengine_lib.queries.bad_cases import read_bad_cases


def written(folder: Path, content: bytes, name: str = "file.json") -> Path:
    file = folder / name
    file.write_bytes(content)
    return file


def test_a_byte_order_mark_is_skipped(tmp_path: Path) -> None:
    assert read_json(written(tmp_path, b"\xef\xbb\xbf[1]")) == [1]
    assert read_jsonl(written(tmp_path, b"\xef\xbb\xbf1\r\n2\r\n")) == [1, 2]


def test_nan_and_infinity_are_read_as_null(tmp_path: Path) -> None:
    values = {"NaN": float("nan"), "a": [float("inf"), -float("inf"), 1], 'x "NaN" \\\\': "NaN -Infinity"}
    expected = {"NaN": None, "a": [None, None, 1], 'x "NaN" \\\\': "NaN -Infinity"}
    assert read_json(written(tmp_path, json.dumps(values).encode())) == expected
    assert read_jsonl(written(tmp_path, b"[NaN]\n" + json.dumps(values).encode())) == [[None], expected]
    with pytest.raises(DataEngineError, match="got `null`"):
        read_json(written(tmp_path, b'{"weight": NaN}'), dict[str, float])
    with pytest.raises(DataEngineError, match="truncated"):
        read_json(written(tmp_path, b'{"weight": NaN, "torn'))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"caf\xe9": 1}', "not saved as UTF-8"),
        (b'["caf\xe9"]', "not saved as UTF-8"),
        (b"[" * 100_000, "nested too deep"),
        (b'{"a":' * 100_000, "nested too deep"),
        (b"[1", "truncated"),
    ],
)
def test_a_file_that_cannot_be_read_is_an_error_of_one_line(
    tmp_path: Path, content: bytes, message: str
) -> None:
    file = written(tmp_path, content)
    for read, where in ((read_json, r"file\.json: "), (read_jsonl, r"file\.json: (line 1|row 0): ")):
        with pytest.raises(DataEngineError, match=f"{where}.*{message}") as caught:
            read(file)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["../a", "a/../../b", "/etc/passwd", "..", "./../a"])
def test_a_name_that_leads_outside_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataEngineError, match="leads outside"):
        inside(tmp_path, name)


def test_a_name_inside_is_returned_without_dots(tmp_path: Path) -> None:
    assert inside(tmp_path, "./a//b/../c.jpg") == tmp_path / "a/c.jpg"


# a record of MLLM-DataEngine's published bad cases
PUBLISHED: dict[str, Any] = {
    "idx": "3hvf4MjtcgpFznUWS5bbvj",
    "question": "What sport are they mimicking?",
    "choices": ["baseball", "lacrosse", "cricket", "basketball"],
    "correct_choice_idx": 0,
    "model_answer": "lacrosse",
    "image_path": "/mnt/data/coco2017/val2017/000000370270.jpg",
}


def test_published_bad_cases_are_read_and_their_images_found(tmp_path: Path) -> None:
    file = written(
        tmp_path, json.dumps({"identity_reasoning": [PUBLISHED, {**PUBLISHED, "idx": 5}]}).encode()
    )
    cases = read_bad_cases(file, BadRows(file, 0))["identity_reasoning"]
    assert [case.key for case in cases] == ["3hvf4MjtcgpFznUWS5bbvj", "5"]
    assert cases[0].image == ImageRef(370270, PUBLISHED["image_path"])
    (tmp_path / "train2017").mkdir()
    (tmp_path / "train2017/000000370270.jpg").touch()
    assert locate(cases[0].image, tmp_path) == "train2017/000000370270.jpg"


def test_a_folder_s_content_is_that_behind_its_links(tmp_path: Path) -> None:
    root, elsewhere = tmp_path / "images", tmp_path / "elsewhere"
    for folder in (root / "own", elsewhere):
        folder.mkdir(parents=True)
        written(folder, b"1", "a.jpg")
    (root / "linked").symlink_to(elsewhere)
    for name, target in (("broken", tmp_path / "gone"), ("itself", root / "itself"), ("up", root)):
        (root / "own" / name).symlink_to(target)
    (elsewhere / "round").symlink_to(root)
    assert files_below(root) == [root / "linked" / "a.jpg", root / "own" / "a.jpg"]
    before = sha256(root)
    written(elsewhere, b"2", "a.jpg")
    assert sha256(root) != before
