"""The exports: their shapes, their paths, all of them at once, and the verb."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from export_records import RECORDS, photos, record
from PIL import Image

from dataengine_lib import cli
from dataengine_lib.core.bad_rows import BadRows
from dataengine_lib.core.files import read_json, read_jsonl, write_json
from dataengine_lib.core.records import Question, Result, TrainRecord
from dataengine_lib.errors import DataEngineError, ParameterError
from dataengine_lib.exports.export import FORMATS, export, export_all, export_lines, read_train_records
from dataengine_lib.exports.records import IMAGE, ExportOptions
from dataengine_lib.replies.other_datasets import read_others
from dataengine_lib.replies.parse import parse_reply


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return photos(tmp_path)


def test_aokvqa(root: Path, tmp_path: Path) -> None:
    rows = read_json(export("aokvqa", RECORDS, root, tmp_path / "o.json")[0], list[Question])
    assert [row.image_path for row in rows] == [
        f"train2017/{name}.jpg" for name in ("1", "2", "000000000003")
    ]
    assert len({row.question_id for row in rows}) == 3
    first = rows[0]
    assert (first.split, first.choices[first.correct_choice_idx], first.direct_answers) == (
        "train",
        "cat",
        ["cat"] * 10,
    )


def test_llava(root: Path, tmp_path: Path) -> None:
    rows = read_json(export("llava", RECORDS, root, tmp_path / "o.json")[0])
    assert rows[0] == {
        "id": "r-1-0",
        "image": "train2017/1.jpg",
        "conversations": [
            {"from": "human", "value": "<image>\nWhich?\n(A) dog (B) cat (C) cow (D) pig"},
            {"from": "gpt", "value": "The answer is (B) cat."},
        ],
    }


def test_llamafactory_adds_to_the_listing(root: Path, tmp_path: Path) -> None:
    (tmp_path / "dataset_info.json").write_text('{"other": {"file_name": "x.json"}}')
    data, listing, _ = export(
        "llamafactory", RECORDS, root, tmp_path / "qa.json", ExportOptions(name="round1")
    )
    known = read_json(listing)
    assert set(known) == {"other", "round1"}
    assert (listing.parent / known["round1"]["file_name"]) == data
    for row in read_json(data):
        assert [turn["role"] for turn in row["messages"]] == ["user", "assistant"]
        assert sum(turn["content"].count(IMAGE) for turn in row["messages"]) == len(row["images"]) == 1
        assert Path(row["images"][0]).is_file()
        assert Path(row["images"][0]).is_absolute()
    with pytest.raises(ParameterError, match="another name"):
        export("llamafactory", RECORDS, root, tmp_path / "dataset_info.json")


def test_swift_and_trl(root: Path, tmp_path: Path) -> None:
    swift = read_jsonl(
        export("swift", RECORDS, root, tmp_path / "s.jsonl", ExportOptions(text_format="Q-A"))[0]
    )
    assert [turn["content"] for turn in swift[0]["messages"]] == ["<image>Which?", "The answer is cat."]
    trl = read_jsonl(
        export("trl", RECORDS, root, tmp_path / "t.jsonl", ExportOptions(text_format="mmbench"))[0]
    )
    assert set(trl[0]) == {"images", "prompt", "completion"}
    assert trl[1]["prompt"] == [{"role": "user", "content": "Which?\nA. dog\nB. cat\nC. cow\nD. pig"}]
    assert trl[1]["completion"][0]["content"].startswith("The answer is (B) cat.")


def test_qm_ae_leaves_out_records_without_a_rationale(root: Path, tmp_path: Path) -> None:
    options = ExportOptions(text_format="QM-AE")
    rows = read_json(export("llava", RECORDS, root, tmp_path / "o.json", options)[0])
    assert [row["conversations"][1]["value"] for row in rows] == [
        "The answer is (B) cat. It is a long reason."
    ] * 2
    warning = "1 of 3 records have no rationale, which QM-AE needs, and are left out"
    assert options.warnings == [warning]
    assert [one.rows for one in export_all(RECORDS, root, tmp_path / "all", options)]
    assert options.warnings == [warning], "once, although five formats left it out"
    plain = ExportOptions()
    export("llava", RECORDS, root, tmp_path / "plain.json", plain)
    assert plain.warnings == []


def test_dataengine_v2(root: Path, tmp_path: Path) -> None:
    rows = read_json(export("dataengine-v2", RECORDS, root, tmp_path / "o.json")[0])
    assert rows[0] == {
        "instruction": "Which?",
        "answer": "cat",
        "short_answer": "cat",
        "options": ["dog", "cat", "cow", "pig"],
        "choice_answer": "B",
        "image": "train2017/1.jpg",
        "qtype": 4,
    }
    assert rows[1]["qtype"] == 8


@pytest.mark.parametrize("format", sorted(FORMATS))
@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"image_path": "../outside.jpg"}, "leads outside"),
        ({"image_path": "/etc/passwd"}, "leads outside"),
        ({"image_path": "train2017/9.jpg"}, "not found"),
        ({"choices": ["dog", " ", "cow", "pig"]}, "empty"),
        ({"correct_choice_idx": 4}, "missing"),
        ({"correct_choice_idx": -1}, "missing"),
        ({"question": " "}, "question is empty"),
        ({"question": "What is an <image>?"}, "replace with image data"),
        ({"rationales": ["A <video>."]}, "replace with video data"),
        ({"image_path": "train2017/torn.jpg"}, "cannot be read"),
    ],
)
def test_bad_records_name_their_row_and_write_nothing(
    root: Path, tmp_path: Path, format: str, fields: dict[str, Any], message: str
) -> None:
    with pytest.raises(DataEngineError, match=f"record 1 .*{message}"):
        export(format, [record(1), record(2, **fields)], root, tmp_path / "o")
    assert not (tmp_path / "o").exists()


def test_an_image_token_in_a_text_names_record_file_and_remedy(root: Path, tmp_path: Path) -> None:
    rows = [record(1), record(2, question="What is an <image>?", record_id="r-2-2")]
    file = write_json(tmp_path / "gptvqa_train_data.json", rows)
    with pytest.raises(DataEngineError) as raised:
        list(export_lines("llava", file, tmp_path / "o.json", root, ExportOptions()))
    assert str(raised.value) == (
        f"{file}: record 1 (id 'r-2-2', image 2): the text holds <image>, which trainers replace with image data; "
        "reject the record in review.json and run post-process again"
    )


def test_wrong_names(root: Path, tmp_path: Path) -> None:
    given: dict[str, Any] = {
        "format": "llava", "records": RECORDS, "image_root": root, "output": tmp_path / "o"
    }  # fmt: skip
    for changed, options, message in (
        ({"format": "xml"}, {}, "choose one of aokvqa, .*hf or all"),
        ({}, {"name": "a b"}, "letters, digits"),
        ({}, {"name": "../x"}, "letters, digits"),
        ({}, {"text_format": "QA"}, "choose one of Q-A"),
        ({}, {"paths": "short"}, "choose one of absolute, relative, bare"),
        ({"format": "hf"}, {"paths": "bare"}, "leave paths out"),
        ({"format": "minigpt4"}, {"paths": "bare"}, "absolute or relative"),
        ({"output": tmp_path}, {}, "is a folder; give a file, such as"),
    ):
        with pytest.raises(ParameterError, match=message):
            export(**(given | changed), options=ExportOptions(**options))
    with pytest.raises(DataEngineError, match="nothing to export"):
        export("llava", [], root, tmp_path / "o")
    assert not (tmp_path / "o").exists()


def image_paths(format: str, file: Path) -> list[str]:
    """The images that a file names."""
    rows = read_jsonl(file) if file.suffix == ".jsonl" else read_json(file)
    key = {"aokvqa": "image_path", "llava": "image", "dataengine-v2": "image"}.get(format, "images")
    return [path for row in rows for path in ([row[key]] if isinstance(row[key], str) else row[key])]


@pytest.mark.parametrize("format", ["aokvqa", "llava", "llamafactory", "swift", "trl", "dataengine-v2"])
def test_paths_are_written_as_chosen(root: Path, tmp_path: Path, format: str) -> None:
    output = tmp_path / "out" / "deep" / f"rows{FORMATS[format].suffix}"
    expected = {
        "absolute": str(root / "train2017" / "1.jpg"),
        "relative": "../../photos/train2017/1.jpg",
        "bare": "train2017/1.jpg",
    }
    for paths, path in expected.items():
        file = export(format, RECORDS, root, output, ExportOptions(paths=paths))[0]  # type: ignore[arg-type]
        assert image_paths(format, file)[0] == path
    usual = image_paths(format, export(format, RECORDS, root, output)[0])[0]
    assert usual == expected["absolute" if format in ("llamafactory", "swift", "trl") else "bare"]


def test_relative_paths_start_where_the_folder_really_is(root: Path, tmp_path: Path) -> None:
    """A folder that is reached by a link: `..` leaves the place that the link leads to."""
    (tmp_path / "disk" / "a" / "b").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "disk" / "a" / "b")
    file = export("llava", RECORDS, root, tmp_path / "link" / "rows.json", ExportOptions(paths="relative"))[0]
    named = image_paths("llava", file)[0]
    assert (tmp_path / "link" / named).is_file()
    moved = tmp_path / "elsewhere"
    shutil.copytree(tmp_path / "photos", moved / "photos")
    shutil.copytree(tmp_path / "disk", moved / "disk")
    assert (moved / "disk" / "a" / "b" / named).resolve() == moved / "photos" / "train2017" / "1.jpg"


def test_all_formats_at_once(root: Path, tmp_path: Path) -> None:
    done = list(export_all(RECORDS, root, tmp_path / "all", ExportOptions(name="mine")))
    assert [(one.format, one.rows, one.problem) for one in done] == [(name, 3, "") for name in FORMATS]
    for one in done:
        assert one.path.exists()
        assert one.path.relative_to(tmp_path / "all").parts[0] == one.format
        assert all(
            file.is_file() and file.is_relative_to(tmp_path / "all" / one.format) for file in one.files
        )
        assert one.files[-1].name == "README.md"
    near = list(export_all(RECORDS, root, tmp_path / "near", ExportOptions(paths="bare")))
    assert [one.format for one in near if one.problem] == ["minigpt4"]


def test_one_format_that_fails_stops_no_other(root: Path, tmp_path: Path) -> None:
    bare = [record(1, rationales=[])]
    done = {
        one.format: one
        for one in export_all(bare, root, tmp_path / "all", ExportOptions(text_format="QM-AE"))
    }
    failed = {name for name, one in done.items() if one.problem}
    assert failed == {"llava", "minigpt4", "llamafactory", "swift", "trl"}
    assert all("no record has a rationale" in done[name].problem for name in failed)
    assert read_json(done["aokvqa"].files[0])[0]["question"] == "Which?"


def test_v2_records_have_four_options_and_the_nine_types(root: Path, tmp_path: Path) -> None:
    typed = [record(1, question_type="text_understanding"), record(2, question_type="instances_counting")]
    rows = read_json(export("dataengine-v2", typed, root, tmp_path / "o.json")[0])
    assert [row["qtype"] for row in rows] == [9, 5]
    with pytest.raises(DataEngineError, match="2 choices, and v2 records have four"):
        export("dataengine-v2", [record(1, choices=["dog", "cat"])], root, tmp_path / "o.json")


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["dataengine", "export", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return int(ended.value.code or 0)


def test_the_verb(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    train = write_json(tmp_path / "train.json", RECORDS)
    given = ("--input", train, "--image-root", root)
    assert (
        run(monkeypatch, "swift", *given, "--output", tmp_path / "s" / "s.jsonl", "--paths", "relative") == 0
    )
    assert capsys.readouterr().out.splitlines() == [
        str(tmp_path / "s" / "s.jsonl"),
        str(tmp_path / "s" / "README.md"),
    ]
    (tmp_path / "s" / "README.md").write_text("My own notes.")
    assert run(monkeypatch, "swift", *given, "--output", tmp_path / "s" / "s.jsonl") == 0
    assert "README.md was not written by dataengine and stays" in capsys.readouterr().out
    assert (tmp_path / "s" / "README.md").read_text() == "My own notes."
    assert run(monkeypatch, "all", *given, "--output", tmp_path / "all") == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(FORMATS)
    assert f"trl: 3 records, {tmp_path / 'all' / 'trl' / 'dataengine.jsonl'}" in lines
    write_json(train, [record(1, rationales=[])])
    assert run(monkeypatch, "all", *given, "--output", tmp_path / "ae", "--text-format", "QM-AE") == 1
    printed = capsys.readouterr()
    assert "llava: not written: " in printed.out and "aokvqa: 1 records, " in printed.out
    assert printed.err.splitlines() == [
        f"dataengine: {tmp_path / 'ae'}: without llava, minigpt4, llamafactory, swift, trl; the lines above say why"
    ]
    (tmp_path / "all" / "hf" / "README.md").write_text("Mine.")
    assert run(monkeypatch, "all", *given, "--output", tmp_path / "all") == 0
    assert (
        f"  {tmp_path / 'all' / 'hf' / 'README.md'} was not written by dataengine" in capsys.readouterr().out
    )
    assert run(monkeypatch, "aokvqa", *given, "--output", train) == 2
    assert run(monkeypatch, "all", *given, "--output", tmp_path / "x", "--paths", "short") == 2
    assert len(read_train_records(train, BadRows(train, 0))) == 1


def test_reading_trainers_formats_needs_no_library_of_theirs() -> None:
    """What an export needs at run time are our own dependencies."""
    code = "import dataengine_lib.exports.export, sys; print({'datasets', 'trl', 'torch'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_others_files_are_sent_through_post_process(tmp_path: Path) -> None:
    write_json(tmp_path / "v2.json", [{"instruction": "Which?", "image": "1.jpg", "options": ["a"]}])
    with pytest.raises(DataEngineError, match=r"holds dataengine-v2 rows.*run post-process"):
        read_train_records(tmp_path / "v2.json", BadRows("v2.json", 0))


def test_what_we_export_comes_back(tmp_path: Path) -> None:
    """v2 from and to, and LLaVA from and to."""
    Image.new("RGB", (4, 4)).save(tmp_path / "000000000007.jpg")
    record = TrainRecord(
        image_id=7, raw_instructions="", question_type="instances_counting", question="Which?",
        choices=["dog", "a big cat", "cow", "pig"], correct_choice_idx=1, rationales=["It purrs."],
    )  # fmt: skip
    for format in ("dataengine-v2", "llava"):
        for text_format in ("QM-A", "QM-AE", "mmbench"):
            file = export(
                format,
                [record],
                tmp_path,
                tmp_path / f"{format}.json",
                ExportOptions(text_format=text_format),
            )[0]  # type: ignore[arg-type]
            ((_, found),) = read_others(file)
            assert isinstance(found, Result)
            (qa,) = parse_reply(found.raw_instructions)
            assert (qa.question, qa.choices, qa.correct_choice_idx) == ("Which?", record.choices, 1)
            assert found.image_id == 7
            if format == "dataengine-v2":
                assert found.question_type == "instances_counting"
            elif text_format != "QM-A":
                assert qa.rationales == record.rationales
