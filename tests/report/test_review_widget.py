"""The review form of step 4, pressed as a person would press it, and what a report shows in its place."""

import json
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output

from dataengine_lib.core.files import write_json
from dataengine_lib.core.records import TrainRecord
from dataengine_lib.report.html import render_notebook
from dataengine_lib.report.review_widget import ReviewBox, _Form, review_box

EVIL = "<script>alert(1)</script>"


def record(number: int, **fields: object) -> TrainRecord:
    known = {
        "image_id": number,
        "raw_instructions": "",
        "question_type": "ocr",
        "question": f"What is {number}?",
        "choices": ["oak", "elm", "fir", "yew"],
        "correct_choice_idx": 1,
        "rationales": ["It is."],
        "record_id": f"q-{number}",
    }
    return TrainRecord(**(known | fields))


@pytest.fixture
def form(tmp_path: Path) -> _Form:
    records = [record(0), record(1)]
    write_json(tmp_path / "train.json", [*records, record(7, question=EVIL)])
    return _Form(ReviewBox(records, tmp_path / "review.json", None, tmp_path / "train.json"))


def decisions(form: _Form) -> dict[str, object]:
    found: dict[str, object] = json.loads(form.review.file.read_text())
    return found


def test_accept_and_reject_go_on_to_the_next(form: _Form) -> None:
    form.note.value = "good"
    form.buttons["Accept"].click()
    assert form.question.value == "What is 1?" and "accept of q-0" in form.status.value
    form.buttons["Reject"].click()
    assert decisions(form) == {"q-0": {"decision": "accept", "note": "good"}, "q-1": {"decision": "reject"}}
    assert form.question.value == "What is 0?" and "decided: accept" in form.status.value
    form.buttons["Undo"].click()
    assert list(decisions(form)) == ["q-1"] and "not decided yet" in form.status.value


def test_an_edit_holds_what_was_changed(form: _Form) -> None:
    form.question.value = "Which tree?"
    form.buttons["Save edit"].click()
    assert decisions(form) == {"q-0": {"decision": "edit", "question": "Which tree?"}}
    form.buttons["←"].click()
    assert form.question.value == "Which tree?"
    form.correct.value = 3
    form.rationales.value = "One.\n\n Two. "
    form.buttons["Save edit"].click()
    assert decisions(form)["q-0"] == {
        "decision": "edit",
        "question": "Which tree?",
        "choices": ["oak", "elm", "fir", "yew"],
        "correct_choice_idx": 3,
        "rationales": ["One.", "Two."],
    }


@pytest.mark.parametrize(
    "rationale", ["(B) is right.", "Option-B fits.", "The third one is wrong.", "选项B是对的"]
)
def test_a_rationale_that_names_a_letter_is_written_with_its_choices(form: _Form, rationale: str) -> None:
    form.rationales.value = rationale
    form.buttons["Save edit"].click()
    assert decisions(form)["q-0"] == {
        "decision": "edit",
        "choices": ["oak", "elm", "fir", "yew"],
        "correct_choice_idx": 1,
        "rationales": [rationale],
    }


def test_choices_are_written_with_the_rationale_that_names_their_letters(tmp_path: Path) -> None:
    form = _Form(ReviewBox([record(0, rationales=["(B) is right."])], tmp_path / "review.json"))
    form.question.value = "Which tree?"
    form.buttons["Save edit"].click()
    assert decisions(form)["q-0"] == {"decision": "edit", "question": "Which tree?"}
    form.choices[0].value = "beech"
    form.buttons["Save edit"].click()
    assert decisions(form)["q-0"] == {
        "decision": "edit",
        "question": "Which tree?",
        "choices": ["beech", "elm", "fir", "yew"],
        "correct_choice_idx": 1,
        "rationales": ["(B) is right."],
    }


def test_a_rationale_without_letters_is_written_alone(form: _Form) -> None:
    form.rationales.value = "A tree of its own."
    form.buttons["Save edit"].click()
    assert decisions(form)["q-0"] == {"decision": "edit", "rationales": ["A tree of its own."]}


def test_a_wrong_edit_is_reported_and_not_written(form: _Form) -> None:
    form.choices[0].value = "the elm"
    form.buttons["Save edit"].click()
    assert "two say the same" in form.status.value and not form.review.file.exists()
    form.buttons["→"].click()
    form.buttons["Save edit"].click()
    assert "an edit changes one of" in form.status.value and not form.review.file.exists()


def test_records_are_found_by_their_id(form: _Form) -> None:
    form.record_id.value = "q-7"
    assert form.question.value == EVIL and EVIL not in form.card.value
    form.record_id.value = f"q-{EVIL}"
    assert "There is no record" in form.status.value and EVIL not in form.status.value
    form.buttons["Reject"].click()
    assert list(decisions(form)) == ["q-7"]


def test_nothing_to_review(tmp_path: Path) -> None:
    result = SimpleNamespace(
        sample=[], disputed=[], review_path=tmp_path / "r.json", image_root=None, output=tmp_path / "t.json"
    )
    form = _Form(review_box(result))
    for button in form.buttons.values():
        button.click()
    assert "Nothing was kept" in form.status.value and not (tmp_path / "r.json").exists()


def test_a_report_shows_the_decisions_and_no_buttons(form: _Form, tmp_path: Path) -> None:
    form.buttons["Accept"].click()
    summary = form.review.summary()
    cell = new_code_cell("x")
    form_shown = {
        "application/vnd.jupyter.widget-view+json": {"model_id": "a"},
        "text/plain": "HBox(children=…)",
    }
    cell.outputs = [
        new_output("display_data", {"text/html": summary.text}),
        new_output("display_data", form_shown),
    ]
    nbformat.write(new_notebook(cells=[cell]), tmp_path / "n.ipynb")
    page = render_notebook(tmp_path / "n.ipynb", tmp_path / "n.html", outputs=[]).read_text()
    assert "1 accept, 0 reject, 0 edit" in page and "HBox" not in page


def test_each_kind_of_question_has_its_own_fields(tmp_path: Path) -> None:
    records = [
        record(0, choices=["yes", "no"], answer_kind="yes_no"),
        record(1, choices=[], correct_choice_idx=-1, short_answer="oak", answer_kind="open"),
        record(2, choices=["oak", "elm"], correct_choice_idx=0),
    ]
    form = _Form(ReviewBox(records, tmp_path / "review.json"))

    def shown() -> tuple[int, bool, bool]:
        fields = (form.correct, form.short_answer)
        return (
            sum(field.layout.display != "none" for field in form.choices),
            *(field.layout.display != "none" for field in fields),
        )

    assert shown() == (0, True, False) and form.correct.value == 1
    form.correct.value = 0
    form.buttons["Save edit"].click()
    assert shown() == (0, False, True)
    form.short_answer.value = "elm"
    form.buttons["Save edit"].click()
    assert shown() == (2, True, False)
    form.buttons["Accept"].click()
    assert decisions(form) == {
        "q-0": {"decision": "edit", "choices": ["yes", "no"], "correct_choice_idx": 0},
        "q-1": {"decision": "edit", "short_answer": "elm"},
        "q-2": {"decision": "accept"},
    }
    form.buttons["→"].click()
    assert form.short_answer.value == "elm"
