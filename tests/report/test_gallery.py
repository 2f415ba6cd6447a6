"""Galleries and tables show what there is, in reduced embedded images, and escape every text."""

import base64
import io
import re
from types import SimpleNamespace

import pytest
from PIL import Image

from dataengine_lib.core.records import Answer, Result, TrainRecord
from dataengine_lib.curation.candidates import Reject
from dataengine_lib.evaluation.rounds.figures import ChangedAnswer
from dataengine_lib.images.pool import NamedBox
from dataengine_lib.report import gallery, tables

EVIL = '<script>alert("x")</script><img src=http://evil.example/a.png onerror=alert(1)>'


@pytest.fixture
def root(tmp_path):
    Image.new("RGB", (900, 600), "red").save(tmp_path / "big.png")
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8 not a picture")
    return tmp_path


def case(**changes):
    values = {
        "question": "What is it?",
        "choices": ["cat", "cup", "dog", "cow"],
        "correct_choice_idx": 0,
        "predicted_choice_idx": 1,
        "question_type": "image_scene",
        "image_path": "big.png",
    }
    return Answer(**(values | changes))


def record(**changes):
    values = {
        "image_id": 1,
        "raw_instructions": "Question: What?",
        "question_type": "image_scene",
        "question": "What?",
        "choices": ["a", "b", "c", "d"],
        "correct_choice_idx": 2,
        "rationales": ["Because."],
        "image_path": "big.png",
    }
    return TrainRecord(**(values | changes))


def test_model_text_is_escaped_everywhere(root):
    row = record(
        raw_instructions=EVIL, question_type=EVIL, question=EVIL, choices=[EVIL] * 4, rationales=[EVIL]
    )
    query = SimpleNamespace(question_type=EVIL, prompt=EVIL, neighbour=True, attach_image=False)
    picture = root / "big.png"
    preview = SimpleNamespace(
        query=query, anchor=picture, image=picture, neighbours=[(picture, 0.5)], written=True
    )
    reply = Result(image_id=1, raw_instructions=EVIL, question_type=EVIL)
    reject = Reject(
        line=1, reason=EVIL, question_type=EVIL, detail=EVIL, raw_instructions=EVIL, record_id=EVIL
    )
    evil_case = case(question=EVIL, choices=["cat", EVIL, "dog", "cow"], question_type=EVIL)
    shown = [
        gallery.bad_case_gallery({EVIL: [evil_case]}, root),
        gallery.qa_gallery([row], root),
        gallery.reply_gallery([reply], root),
        gallery.change_gallery(
            [ChangedAnswer("1", EVIL, 1, "big.png", EVIL, [EVIL] * 4, 0, EVIL, EVIL)], root
        ),
        gallery.query_gallery([preview]),
        gallery.reject_gallery([reject], root),
        gallery.bad_case_gallery({"a": [case(image_path=f"../{EVIL}")]}, root),
        tables.table([[EVIL, 1, 0.5, None]], [EVIL, "a", "b", "c"], EVIL),
        tables.table([], ["a"], EVIL),
        tables.conclusion(EVIL),
    ]
    for part in shown:
        assert "<script" not in part.text and "<img src=http" not in part.text
        assert "&lt;script&gt;" in part.text


def test_replies_with_a_question_come_before_skipped_ones(root):
    skipped = Result(
        image_id=1,
        raw_instructions="Question: Skip\nChoices: Skip\nAnswer: Skip",
        question_type="image_topic",
    )
    written = Result(
        image_id=1,
        raw_instructions="Question: What is here?\nChoices: (A) a (B) b\nAnswer: The answer is (A): a",
        question_type="image_scene",
    )
    text = gallery.reply_gallery([skipped, written], root).text
    assert 0 < text.index("What is here?") < text.index("Question: Skip")


def test_images_are_embedded_and_reduced(root):
    text = gallery.bad_case_gallery({"a": [case()]}, root).text
    found = re.findall(r"data:image/jpeg;base64,([^\"]+)", text)
    assert len(found) == 1
    with Image.open(io.BytesIO(base64.b64decode(found[0]))) as picture:
        assert picture.format == "JPEG" and picture.size == (320, 213)
    assert 'alt="Image of the question: What is it?"' in text


@pytest.mark.parametrize("name", ["broken.jpg", "missing.png", "../../etc/passwd", "/etc/passwd", ""])
def test_a_box_says_why_an_image_cannot_be_shown(root, name):
    text = gallery.bad_case_gallery({"a": [case(image_path=name)]}, root).text
    assert 'class="no-image"' in text and "<img" not in text and "What is it?" in text


def test_right_and_wrong_are_marked_by_sign_and_word(root):
    text = gallery.bad_case_gallery({"a": [case()]}, root).text
    assert '<li class="right">(A) cat <b class="mark">✓ right</b></li>' in text
    assert '<li class="wrong">(B) cup <b class="mark">✗ student</b></li>' in text
    assert "<li>(C) dog</li>" in text


def test_a_fixed_question_shows_both_answers(root):
    change = ChangedAnswer(
        "1", "image_scene", 1, "big.png", "What?", ["cat", "cup", "dog", "cow"], 0, "dog", "cat"
    )
    text = gallery.change_gallery([change], root).text
    assert (
        "(A) cat <b" in text and "✓ right · after" in text and "(C) dog <b" in text and "✗ · before" in text
    )


def test_a_changed_open_answer_shows_both_answers_and_the_accepted_ones(root):
    asked = ("1", "colour", 1, "big.png", "What colour?", [], -1)
    text = gallery.change_gallery([ChangedAnswer(*asked, "red", "blue", ["blue", "", "blue"])], root).text
    assert re.findall(r"<li.*?</li>", text) == [
        '<li>red <b class="mark">before</b></li>',
        '<li>blue <b class="mark">after</b></li>',
        '<li class="right">blue ×2 <b class="mark">✓ accepted</b></li>',
    ]
    text = gallery.change_gallery([ChangedAnswer(*asked, "", "blue")], root).text
    assert re.findall(r"<li.*?</li>", text) == [
        '<li>– <b class="mark">before</b></li>',
        '<li>blue <b class="mark">after</b></li>',
    ]


def test_every_type_gets_its_turn_and_the_first_cards_say_how_many_there_are(root):
    cases = {
        "few": [case(question="few")],
        "many": [case(question=f"many {n}") for n in range(30)],
        "none": [],
    }
    made = gallery.bad_case_gallery(cases, root)
    shown = re.findall(r'class="question">([^<]+)<', made.text)
    assert shown == ["many 0", "few", *(f"many {n}" for n in range(1, 23))]
    assert "24 of 31 shown; the report of this step has all of them" in made.text
    whole = made.data()
    assert whole.total == 31 and len(whole.cards) == 31 and len(whole.images) == 1


def test_every_card_names_its_id_and_the_command_that_traces_it(root):
    reject = Reject(line=1, reason="malformed", query_id="r-2", image_path="big.png", raw_instructions="x")
    shown = {
        "q-1": gallery.bad_case_gallery({"a": [case(question_id="q-1")]}, root),
        "r-1-2": gallery.qa_gallery([record(record_id="r-1-2")], root),
        "r-2": gallery.reject_gallery([reject], root),
    }
    for name, made in shown.items():
        assert f"<code>dataengine trace {name}</code>" in made.text and "<img" in made.text


def test_filters_and_orders_have_a_value_on_every_card(root):
    rows = [record(student_probability=0.25, box_check="refuted"), record(question_type="b")]
    whole = gallery.qa_gallery(rows, root, lambda _: [NamedBox("cat", (0.0, 0.1, 0.5, 1.0))]).data()
    assert whole.filters == ["question type", "right letter", "checks"] and len(whole.orders) == 2
    assert [card.values for card in whole.cards] == [
        ["image scene", "(C)", "marked by box_check"],
        ["b", "(C)", "passed"],
    ]
    assert [card.figures for card in whole.cards] == [[0.25, None], [None, None]]
    assert whole.images[0].boxes == [("cat", 0.0, 0.1, 0.5, 1.0)]


def test_prompts_share_their_lines(root):
    def preview(name):
        query = SimpleNamespace(
            question_type="a",
            prompt=f"the rules\n\n{name}",
            neighbour=True,
            attach_image=False,
            query_id=name,
        )
        return SimpleNamespace(
            query=query, anchor=root / "big.png", image=root / "big.png", neighbours=[], written=True
        )

    whole = gallery.query_gallery([preview("x"), preview("y")]).data()
    assert whole.lines == ["the rules", "", "x", "y"]
    assert [card.folded for card in whole.cards] == [[0, 1, 2], [0, 1, 3]]


def test_more_choices_than_letters_are_shown(root):
    choices = [str(number) for number in range(30)]
    assert "(A) 26" in gallery.bad_case_gallery({"a": [case(choices=choices)]}, root).text


def test_empty_galleries_and_tables_say_so(root):
    assert "Nothing to show." in gallery.qa_gallery([], root).text
    assert "0 rows; nothing to list." in tables.table([], ["a"], "0 rows").text


def test_tables_put_numbers_to_the_right_with_their_intervals():
    share = tables.percent(0.5, 0.25, 0.75)
    assert share.text == "50.0 % [25.0, 75.0]" and tables.percent(None).text == "–"
    assert tables.points(0.0831, -0.02, 0.14).text == "+8.3 [-2.0, +14.0]"
    text = tables.table([["a", 12345, share], ["b", None, share]], ["name", "rows", "share"]).text
    assert (
        '<td class="number">12,345</td>' in text
        and '<td class="number">–</td>' in text
        and "<td>a</td>" in text
    )


def test_tables_have_bars_of_intervals_and_chips_of_types():
    gains = [tables.points(gain, gain - 0.1, gain + 0.1) for gain in (0.3, -0.1)]
    shares = [tables.percent(0.5, 0.25, 0.75), tables.percent(0.5)]
    rows = list(zip(["ocr <b>", tables.ALL_TYPES], gains, shares, strict=True))
    text = tables.table(rows, ["question type", "gain", "share"]).text
    assert '<td><span class="kind">ocr &lt;b&gt;</span></td>' in text and "<td>all types</td>" in text
    # the gains of a column are on one scale, whose end is the farthest end of an interval: 0.4
    ranges = re.findall(r'<path class="range" d="M([\d.]+) 4H([\d.]+)"/><path class="at" d="M([\d.]+) ', text)
    assert ranges == [("75.0", "100.0", "87.5"), ("25.0", "75.0", "50.0"), ("25.0", "50.0", "37.5")]
    assert text.count('class="zero"') == 2 and 'class="figures sortable"' in text
    assert "sortable" not in tables.table(rows[:1], ["question type", "gain", "share"]).text


def test_a_conclusion_leaves_out_empty_sentences():
    assert tables.conclusion("One.", "", "Two.").text == '<p class="conclusion">One. Two.</p>'


def test_warnings_stand_below_the_conclusion_escaped_and_in_the_output_s_metadata():
    shown, metadata = tables.conclusion("One.", warnings=["one step", EVIL])._repr_mimebundle_()
    assert shown["text/html"].startswith(
        '<div class="dataengine mathjax_ignore tex2jax_ignore">'
        '<p class="conclusion">One.</p><div class="warnings" role="alert">'
        "<p><strong>⚠ Warning:</strong> one step</p>"
    )
    assert "<script" not in shown["text/html"]
    assert metadata == {"dataengine": {"warnings": ["one step", EVIL]}}
