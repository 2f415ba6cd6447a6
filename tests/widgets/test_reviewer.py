"""The Reviewer's form, pressed as a person would press it, and what a report shows in its place."""

import json
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output
from PIL import Image
from reviewing.review_records import EVIL, record, reject

from dataengine_lib.core.files import write_json, write_jsonl
from dataengine_lib.core.records import TrainRecord
from dataengine_lib.report.html import render_notebook
from dataengine_lib.widgets.keys import KEY_SCRIPT
from dataengine_lib.widgets.review.form import ReviewForm
from dataengine_lib.widgets.reviewer import Reviewer, reviewer


def form_over(folder: Path, *records: TrainRecord, image_root: Path | None = None) -> ReviewForm:
    write_json(folder / "train.json", list(records))
    return Reviewer(folder / "train.json", folder / "rejects.jsonl", folder / "review.json", image_root).form


@pytest.fixture
def form(tmp_path: Path) -> ReviewForm:
    write_jsonl(
        tmp_path / "rejects.jsonl",
        [
            reject("q-8", "no answer", raw_instructions=EVIL, detail=EVIL),
            reject("q-9", "rejected by a reviewer"),
        ],
    )
    return form_over(tmp_path, record(0), record(1), record(7, question=EVIL))


def decisions(form: ReviewForm) -> dict[str, object]:
    found: dict[str, object] = json.loads(form.session.file.read_text())
    return found


def press(form: ReviewForm, *names: str) -> None:
    for name in names:
        (form.save if name == "save" else form.buttons[name]).click()


def test_accept_and_reject_go_on_to_the_next(form: ReviewForm) -> None:
    form.note.value = "good"
    press(form, "accept")
    assert "What is 1?" in form.texts.value and "accept of q-0" in form.status.value and form.note.value == ""
    press(form, "reject")
    assert decisions(form) == {"q-0": {"decision": "accept", "note": "good"}, "q-1": {"decision": "reject"}}
    assert "3 of 5 shown</b> · 2 decided: 1 accept, 1 reject, 0 edit, 3 undecided" in form.counts.value
    press(form, "previous", "previous", "previous")
    assert "Decided: accept" in form.status.value and "no other one" in form.status.value
    assert form.note.value == "good"
    form.note.value = "very good"
    assert decisions(form)["q-0"] == {"decision": "accept", "note": "very good"}
    press(form, "undo")
    assert list(decisions(form)) == ["q-0"] and form.record_id.value == "q-1"
    press(form, "undo", "undo")
    assert decisions(form) == {} and "Nothing was decided" in form.status.value
    press(form, "accept", "previous", "clear")
    assert decisions(form) == {} and "Not decided yet" in form.status.value


def test_an_edit_holds_what_was_changed(form: ReviewForm) -> None:
    assert form.edit_panel.layout.display == "none"
    press(form, "edit")
    assert form.edit_panel.layout.display is None
    form.question.value = "Which tree?"
    press(form, "save")
    assert decisions(form) == {"q-0": {"decision": "edit", "question": "Which tree?"}}
    press(form, "previous")
    assert form.question.value == "Which tree?" and "Which tree?" in form.texts.value
    form.correct.value = 3
    form.rationales.value = "One.\n\n Two. "
    press(form, "save")
    assert decisions(form)["q-0"] == {
        "decision": "edit",
        "question": "Which tree?",
        "choices": ["oak", "elm", "fir", "yew"],
        "correct_choice_idx": 3,
        "rationales": ["One.", "Two."],
    }


def test_typed_letters_are_sent_before_the_click_that_saves_them(form: ReviewForm) -> None:
    """While a field is typed in, the browser holds letters back until the kernel is ready, but sends a click at once."""
    fields = (form.question, *form.choices, form.short_answer, form.rationales, form.note, form.record_id)
    assert not any(field.continuous_update for field in fields)


def test_an_edit_that_was_not_saved_is_not_lost(form: ReviewForm) -> None:
    form.question.value = "Which tree?"
    form.note.value = "a note does not refill the fields"
    assert form.question.value == "Which tree?"
    press(form, "accept")
    assert "hold an edit" in form.status.value and not form.session.file.exists()
    press(form, "undo")
    assert form.question.value == "What is 0?"
    for leave in (lambda: press(form, "next"), lambda: setattr(form.record_id, "value", "q-7")):
        form.question.value = form.question.value + " Really?"
        leave()
    assert [one["question"] for one in decisions(form).values()] == [
        "What is 0? Really?",
        "What is 1? Really?",
    ]
    form.record_id.value = "q-0"
    form.choices[0].value = "elm"
    form.filters.conditions["disputed"].value = True
    assert "two say the same" in form.status.value and form.filters.conditions["disputed"].value is False
    assert form.record_id.value == "q-0" and form.choices[0].value == "elm"


@pytest.mark.parametrize(
    "rationale", ["(B) is right.", "Option-B fits.", "The third one is wrong.", "选项B是对的"]
)
def test_a_rationale_that_names_a_letter_is_written_with_its_choices(
    form: ReviewForm, rationale: str
) -> None:
    form.rationales.value = rationale
    press(form, "save")
    assert decisions(form)["q-0"] == {
        "decision": "edit",
        "choices": ["oak", "elm", "fir", "yew"],
        "correct_choice_idx": 1,
        "rationales": [rationale],
    }


def test_choices_are_written_with_the_rationale_that_names_their_letters(tmp_path: Path) -> None:
    form = form_over(tmp_path, record(0, rationales=["(B) is right."]))
    form.question.value = "Which tree?"
    press(form, "save")
    assert decisions(form)["q-0"] == {"decision": "edit", "question": "Which tree?"}
    form.choices[0].value = "beech"
    press(form, "save")
    assert decisions(form)["q-0"] == {
        "decision": "edit",
        "question": "Which tree?",
        "choices": ["beech", "elm", "fir", "yew"],
        "correct_choice_idx": 1,
        "rationales": ["(B) is right."],
    }


def test_a_rationale_without_letters_is_written_alone(form: ReviewForm) -> None:
    form.rationales.value = "A tree of its own."
    press(form, "save")
    assert decisions(form)["q-0"] == {"decision": "edit", "rationales": ["A tree of its own."]}


def test_a_wrong_edit_is_reported_and_not_written(form: ReviewForm) -> None:
    form.choices[0].value = "the elm"
    press(form, "save")
    assert "two say the same" in form.status.value and not form.session.file.exists()
    press(form, "undo", "next", "save")
    assert "an edit changes one of" in form.status.value and not form.session.file.exists()


def test_dropped_records_are_shown_with_their_reason_and_decided(form: ReviewForm) -> None:
    form.filters.state.value = "dropped"
    assert "dropped: no answer" in form.texts.value and "gives no usable QA" in form.texts.value
    press(form, "edit")
    assert "no QA to edit" in form.status.value and form.edit_panel.layout.display == "none"
    press(form, "reject")
    assert (
        "dropped: rejected by a reviewer" in form.texts.value
        and "keep it when step 4 runs" in form.texts.value
    )
    press(form, "accept")
    assert decisions(form) == {"q-8": {"decision": "reject"}, "q-9": {"decision": "accept"}}
    assert "the last one of these filters" in form.status.value
    form.filters.question_type.value = "ocr"
    form.filters.conditions["undecided"].value = True
    assert form.image.value == form.texts.value == "" and "nothing passes" in form.counts.value
    press(form, "accept", "edit", "next", "save")
    assert len(decisions(form)) == 2
    press(form, "undo")
    assert form.record_id.value == "q-9" and form.filters.conditions["undecided"].value is False


def test_hostile_texts_are_escaped(form: ReviewForm) -> None:
    for name in ("q-7", "q-8"):
        form.record_id.value = name
        assert "onerror=&#x27;" in form.texts.value and "<script" not in form.texts.value + form.image.value
    form.record_id.value = f"q-{EVIL}"
    assert "There is no record" in form.status.value and "<img" not in form.status.value
    assert form.session.item.name == "q-8"


def test_the_image_is_large_and_stays_inside_its_root(tmp_path: Path) -> None:
    root = tmp_path / "images"
    root.mkdir()
    Image.new("RGB", (3000, 20), "red").save(root / "1.png")
    Image.new("RGB", (20, 20), "red").save(tmp_path / "2.png")
    paths = ["1.png", "../2.png", "missing.png"]
    form = form_over(tmp_path, *(record(n, image_path=path) for n, path in enumerate(paths)), image_root=root)
    assert (
        'src="data:image/jpeg;base64,' in form.image.value
        and 'alt="Image of the question: What is 0?"' in form.image.value
    )
    press(form, "next")
    assert "leads outside" in form.image.value and "<img" not in form.image.value
    press(form, "next")
    assert "image not found" in form.image.value


def test_nothing_to_review(tmp_path: Path) -> None:
    (tmp_path / "train.json").write_text("[]")
    result = SimpleNamespace(
        output=tmp_path / "train.json",
        rejects_path=tmp_path / "no.jsonl",
        review_path=tmp_path / "r.json",
        image_root=None,
    )
    form = reviewer(result).form
    press(form, *form.buttons, "save")
    assert "nothing passes" in form.counts.value and not (tmp_path / "r.json").exists()
    assert reviewer(result, tmp_path / "anna.json").file == tmp_path / "anna.json"


def test_a_report_shows_the_decisions_and_no_buttons(form: ReviewForm, tmp_path: Path) -> None:
    press(form, "accept")
    summary = Reviewer(
        tmp_path / "train.json", tmp_path / "rejects.jsonl", tmp_path / "review.json"
    ).summary()
    assert "all 3 kept records and the 2 dropped ones" in summary.text
    cell = new_code_cell("x")
    form_shown = {
        "application/vnd.jupyter.widget-view+json": {"model_id": "a"},
        "text/plain": "HBox(children=…)",
    }
    cell.outputs = [
        new_output("display_data", {"text/html": summary.text}),
        new_output("display_data", form_shown),
        new_output("display_data", {"application/javascript": KEY_SCRIPT}),
    ]
    nbformat.write(new_notebook(cells=[cell]), tmp_path / "n.ipynb")
    page = render_notebook(tmp_path / "n.ipynb", tmp_path / "n.html", outputs=[]).read_text()
    assert "1 accept, 0 reject, 0 edit" in page and "HBox" not in page and "keydown" not in page


def test_each_kind_of_question_has_its_own_fields(tmp_path: Path) -> None:
    records = [
        record(0, choices=["yes", "no"], answer_kind="yes_no"),
        record(1, choices=[], correct_choice_idx=-1, short_answer="oak", answer_kind="open"),
        record(2, choices=["oak", "elm"], correct_choice_idx=0),
    ]
    form = form_over(tmp_path, *records)

    def shown() -> tuple[int, bool, bool]:
        fields = (form.correct, form.short_answer)
        return (
            sum(field.layout.display != "none" for field in form.choices),
            *(field.layout.display != "none" for field in fields),
        )

    assert shown() == (0, True, False) and form.correct.value == 1
    form.correct.value = 0
    press(form, "save")
    assert shown() == (0, False, True) and "✓ oak" in form.texts.value
    form.short_answer.value = "elm"
    press(form, "save")
    assert shown() == (2, True, False)
    press(form, "accept")
    assert decisions(form) == {
        "q-0": {"decision": "edit", "choices": ["yes", "no"], "correct_choice_idx": 0},
        "q-1": {"decision": "edit", "short_answer": "elm"},
        "q-2": {"decision": "accept"},
    }
    press(form, "previous")
    assert form.short_answer.value == "elm" and "✓ elm" in form.texts.value
