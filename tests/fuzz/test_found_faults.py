"""The faults that changed files have shown, each with the right value."""

import json
from pathlib import Path
from typing import Any

import msgspec
import nbformat
import pytest
from coco_folder import write
from fuzzing.question_targets import QUESTION_TARGETS
from fuzzing.reply_targets import REPLY_TARGETS
from fuzzing.target import Target, aokvqa, pictures
from fuzzing.verdict import Outcome, only_line

from dataengine_lib.chat.prices import Price, read_prices
from dataengine_lib.core.bad_rows import BadRows
from dataengine_lib.curation.reviews.decisions import read_review
from dataengine_lib.errors import DataEngineError, ParameterError
from dataengine_lib.evaluation.weights import read_weights
from dataengine_lib.exports.export import export_lines
from dataengine_lib.exports.records import ExportOptions
from dataengine_lib.questions.evaluation_images import read_image_refs
from dataengine_lib.questions.reader import check_any_question, read_question_file
from dataengine_lib.report.html import render_notebook
from dataengine_lib.runs.state import RunState, StepState
from dataengine_lib.runs.summary import render_run, write_pages
from dataengine_lib.teachers.request import read_queries
from dataengine_lib.training.held_out_images import HeldOutImages
from dataengine_lib.training.row_files import read_training_rows


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


# --- messages


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("a\x1b[31mb", "a\\x1b[31mb"),
        ("a\ud800b", "a\\ud800b"),
        ("a\u202eb", "a\\u202eb"),
        ("猫 é", "猫 é"),
        ("a\nb", "a\nb"),
    ],
)
def test_a_message_can_be_written_to_any_terminal(given: str, shown: str) -> None:
    assert str(DataEngineError(given)) == str(ParameterError(given)) == shown
    str(DataEngineError(given)).encode()


def test_a_message_about_a_long_key_of_prices_and_weights_is_short(tmp_path: Path) -> None:
    file = tmp_path / "prices.yaml"
    for model in ({"x" * 2_000: 1}, {"input": "y" * 2_000, "output": 1}):
        write(file, {"date": "2026-01-01", "models": {"m" * 2_000: model}})
        with pytest.raises(ParameterError) as error:
            read_prices(file)
        only_line(error, "prices.yaml")
    write(tmp_path / "weight.json", {"x" * 2_000: -1, "ocr": 1})
    with pytest.raises(DataEngineError) as error:
        read_weights(tmp_path / "weight.json", ["ocr"])
    only_line(error, "weight.json")


def test_a_message_about_an_answer_of_many_digits_is_short(tmp_path: Path) -> None:
    write(tmp_path / "q.json", [{**aokvqa(0), "correct_choice_idx": 10**400}])
    with pytest.raises(DataEngineError) as error:
        check_any_question(tmp_path / "q.json", read_question_file(tmp_path / "q.json"))
    assert "outside the 4 choices" in only_line(error, "q.json")


def test_an_export_of_no_records_names_their_file(tmp_path: Path) -> None:
    write(tmp_path / "train.json", [])
    with pytest.raises(DataEngineError) as error:
        list(
            export_lines("llava", tmp_path / "train.json", tmp_path / "data.json", tmp_path, ExportOptions())
        )
    assert "has no records" in only_line(error, "train.json")


def test_a_message_about_a_long_value_is_short(tmp_path: Path) -> None:
    file = tmp_path / "review.json"
    for decision in ({"decision": "b" * 30_000}, {"decision": "accept", "x" * 30_000: 1}):
        write(file, {"r0-1": decision})
        with pytest.raises(ParameterError) as error:
            read_review(file)
        assert "r0-1" in only_line(error, "review.json")
    write(file, {"r" * 30_000: {"decision": "maybe"}})
    with pytest.raises(ParameterError) as error:
        read_review(file)
    only_line(error, "review.json")


@pytest.mark.parametrize("text", ['models: {"\\ud800": 1}', 'date: "a\\udfff"', '- "\\ud83d"'])
def test_half_of_a_surrogate_pair_in_yaml_is_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "prices.yaml").write_text("# prices\n" + text)
    with pytest.raises(ParameterError) as error:
        read_prices(tmp_path / "prices.yaml")
    assert "line 2: half of a surrogate pair" in only_line(error, "prices.yaml")


# --- predictions


def target(targets: list[Target], name: str) -> Target:
    return next(one for one in targets if one.name == name)


@pytest.mark.parametrize(
    ("name", "key", "value", "words"),
    [
        ("predictions: aokvqa_eval.json", "predicted_choice_idx", "many", "p.json: row 0: Expected `int | null`"),
        ("predictions: VLMEvalKit JSON", "B", "/etc/passwd", "p.json: row 0: choices"),
        ("predictions: lmms-eval", "target", "D", "p.jsonl: line 1: target 'D' is not"),
    ],
)  # fmt: skip
def test_a_fault_of_the_predictions_names_their_file(
    tmp_path: Path, name: str, key: str, value: Any, words: str
) -> None:
    one = target(QUESTION_TARGETS, name)
    one.make(tmp_path)
    file = tmp_path / one.file
    rows = (
        json.loads(file.read_text())
        if one.form == "json"
        else list(map(json.loads, file.read_text().splitlines()))
    )
    for row in rows[:3]:
        row[key] = value
    file.write_text("\n".join(map(json.dumps, rows)))
    one.fresh(tmp_path)
    with pytest.raises(DataEngineError) as error:
        one.read(tmp_path)
    assert words.replace("row 0", "line 1") in only_line(error, one.file)


# --- evaluation images


def test_evaluation_rows_without_an_image_are_a_warning_of_the_step(tmp_path: Path) -> None:
    one = target(REPLY_TARGETS, "questions that are evaluated, step 2")
    one.make(tmp_path)
    rows = json.loads((tmp_path / "scored.json").read_text())
    rows[3] |= {"image_id": None, "image_path": None}
    write(tmp_path / "scored.json", rows)
    one.fresh(tmp_path)
    found: Outcome = one.read(tmp_path)
    assert [line for line in found.warnings if "scored.json" in line] == [
        f"{tmp_path / 'scored.json'}: 1 of 24 rows name no image, so theirs cannot be kept out of training "
        "(first: row 3: names no image)"
    ]
    for row in rows:
        row.pop("image_id"), row.pop("image_path")
    write(tmp_path / "scored.json", rows)
    with pytest.raises(DataEngineError) as error:
        one.read(tmp_path)
    assert "none of its 24 rows names an image" in only_line(error, "scored.json")


def test_many_evaluation_rows_without_an_image_stop_steps_2_and_5(tmp_path: Path) -> None:
    file = tmp_path / "scored.json"
    write(
        file, [{**aokvqa(n), **({"image_id": None, "image_path": None} if n < 5 else {})} for n in range(20)]
    )
    pictures(tmp_path)
    with pytest.raises(DataEngineError) as error:
        HeldOutImages(file, tmp_path, 0.05)
    assert "5 of 20 rows cannot be used" in only_line(error, "scored.json")
    warned: list[str] = []
    assert len(read_image_refs(file, tmp_path, 0.5, warned.append)) == 10 and len(warned) == 1


def test_evaluation_images_that_are_not_found_are_a_warning(tmp_path: Path) -> None:
    pictures(tmp_path, 3)
    file = tmp_path / "scored.json"
    write(file, [{**aokvqa(0), "image_path": "", "image_id": "a text"}, aokvqa(0)])
    (warning,) = HeldOutImages(file, tmp_path).warnings
    assert "1 of 2 evaluation images are not below" in warning


def test_earlier_queries_about_no_image_of_the_pool_are_a_warning(tmp_path: Path) -> None:
    one = target(REPLY_TARGETS, "queries of earlier rounds")
    one.make(tmp_path)
    rows = json.loads((tmp_path / "earlier.json").read_text())
    rows[0]["image_id"] = None
    for content, words in (
        ([*rows[1:], {**rows[0], "image_id": "x"}], "1 of its 3 queries"),
        ([], "0 of its 0 queries"),
    ):
        write(tmp_path / "earlier.json", content)
        one.fresh(tmp_path)
        assert [line for line in one.read(tmp_path).warnings if words in line and "earlier.json" in line]


# --- queries and notebooks


def test_a_file_without_queries_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "queries.json", [])
    with pytest.raises(DataEngineError) as error:
        read_queries(tmp_path / "queries.json", BadRows("queries.json", 0.05))
    assert "holds no queries" in only_line(error, "queries.json")


@pytest.mark.parametrize(
    ("content", "looks"),
    [
        (b'{"cells": [{"cell_type": "code", "source": "\xe9"}]}', "is no notebook that can be read"),
        (b'{"cells": [', "cut off or damaged"),
        (
            b'{"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [5]}',
            "is no notebook that can be read",
        ),
        (b"[]", "is no notebook that can be read"),
        (b"<!DOCTYPE html>", "web page"),
        (
            b'{"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [{"cell_type": ["code"]}]}',
            "is no notebook that can be read",
        ),
    ],
)
def test_a_file_that_is_no_notebook_is_one_line(tmp_path: Path, content: bytes, looks: str) -> None:
    (tmp_path / "1_evaluate.ipynb").write_bytes(content)
    with pytest.raises(DataEngineError) as error:
        render_notebook(tmp_path / "1_evaluate.ipynb", tmp_path / "page.html")
    assert looks in only_line(error, "1_evaluate.ipynb")
    assert not (tmp_path / "page.html").exists()


def test_a_notebook_is_shown_as_before(tmp_path: Path) -> None:
    nbformat.write(
        nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("# Title")]), tmp_path / "a.ipynb"
    )
    assert "Title" in render_notebook(tmp_path / "a.ipynb", tmp_path / "a.html").read_text()


# --- values beyond what a float or a file system holds


@pytest.mark.parametrize("weight", [1e308, "1e300", 10**200, "a\nb", -1])
def test_weights_whose_sum_is_no_number_are_one_line(tmp_path: Path, weight: object) -> None:
    write(tmp_path / "weight.json", {"ocr": weight, "image_scene": weight})
    with pytest.raises(DataEngineError, match="must be a number of at least 0 and at most 1e\\+100") as error:
        read_weights(tmp_path / "weight.json", ["ocr", "image_scene"], print)
    only_line(error, "weight.json")


def test_a_reply_of_more_tokens_than_floats_count_has_a_price() -> None:
    price = Price(input=1.0, output=2.0)
    assert price.cost(10**400, 0, 0) == price.cost(10**12, 0, 0) == 1e6
    assert price.cost(0, 0, 10**400) == 2e6


def test_names_that_are_too_long_are_files_that_are_not_there(tmp_path: Path) -> None:
    long = "a" * 300
    step = StepState(
        step="evaluate", round=1, label=long, notebook=f"{long}.ipynb", status="done", outputs=[long]
    )
    state = RunState(run="r", started="2026-01-01T00:00:00", rounds=1, seed=0, steps=[step], versions={})
    write(tmp_path / "run.json", msgspec.to_builtins(state))
    with pytest.raises(DataEngineError, match="has no executed notebook to render") as error:
        render_run(tmp_path)
    assert len(only_line(error, "")) < 400
    write_pages(tmp_path)
    assert (tmp_path / "index.html").is_file()
    (tmp_path / "captions.json").write_text(
        json.dumps({"annotations": [{"image_id": long, "caption": "A dog."}]})
    )
    skipped = BadRows(tmp_path / "captions.json", 1)
    assert not read_training_rows(tmp_path / "captions.json", tmp_path, ["QM-A"], skipped)
    assert skipped.counts.total() == 1


def test_half_of_a_surrogate_pair_in_a_notebook_is_shown_as_a_sign(tmp_path: Path) -> None:
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("half \udfff of a pair")])
    (tmp_path / "n.ipynb").write_text(json.dumps(notebook), encoding="ascii")
    page = render_notebook(tmp_path / "n.ipynb", tmp_path / "n.html")
    assert "half ? of a pair" in page.read_text(encoding="utf-8")


def test_a_record_that_v2_cannot_hold_is_named_with_its_file(tmp_path: Path) -> None:
    pictures(tmp_path / "images")
    row = {**aokvqa(1), "raw_instructions": "", "rationales": [], "choices": ["a", "b"], "record_id": "r1"}
    write(tmp_path / "train.json", [row | {"correct_choice_idx": 0}])
    with pytest.raises(DataEngineError, match=r"record .* has 2 choices, and v2 records have four") as error:
        list(
            export_lines(
                "dataengine-v2",
                tmp_path / "train.json",
                tmp_path / "o.json",
                tmp_path / "images",
                ExportOptions(),
            )
        )
    only_line(error, "train.json")
