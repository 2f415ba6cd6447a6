"""Tests of step 5's texts, row reading and mixing."""

import re
from collections import Counter
from pathlib import Path
from random import Random

import pytest
from PIL import Image

from dataengine_lib.core.bad_rows import BadRows
from dataengine_lib.core.files import write_json
from dataengine_lib.core.records import Question
from dataengine_lib.errors import DataEngineError, ParameterError
from dataengine_lib.training.mixing import (
    BasePart,
    draw_counts,
    draw_examples,
    length_batches,
    usual_base_share,
)
from dataengine_lib.training.row_files import MALFORMED, NO_IMAGE, NO_RATIONALE, read_training_rows
from dataengine_lib.training.texts import TextFormat, training_text, with_options_shuffled

QUESTION = Question(
    question=" Which animal? ",
    choices=["cat", "dog", "cow", "pig"],
    correct_choice_idx=1,
    rationales=["It barks.", "It has a collar and it barks.", ""],
)


@pytest.mark.parametrize(
    ("text_format", "expected"),
    [
        ("Q-A", ("Which animal?", "The answer is dog.")),
        ("QM-A", ("Which animal?\n(A) cat (B) dog (C) cow (D) pig", "The answer is (B) dog.")),
        (
            "QM-AE",
            (
                "Which animal?\n(A) cat (B) dog (C) cow (D) pig",
                "The answer is (B) dog. It has a collar and it barks.",
            ),
        ),
        (
            "mmbench",
            (
                "Which animal?\nA. cat\nB. dog\nC. cow\nD. pig",
                "The answer is (B) dog. It has a collar and it barks.",
            ),
        ),
    ],
)
def test_texts_are_those_of_v1(text_format: TextFormat, expected: tuple[str, str]) -> None:
    assert training_text(QUESTION, text_format) == expected


def test_mmbench_without_a_rationale_ends_after_the_answer() -> None:
    bare = Question(question="Q?", choices=["a", "b"], correct_choice_idx=0)
    assert training_text(bare, "mmbench")[1] == "The answer is (A) a."


def write_rows(folder: Path, rows: object) -> Path:
    for number in (1, 2):
        Image.new("RGB", (4, 4)).save(folder / f"{number:012d}.jpg")
    return write_json(folder / "rows.json", rows)


GOOD = {"image_id": 1, "question": "Q?", "choices": ["a", "b"], "correct_choice_idx": 0, "question_type": "t"}


def test_bad_rows_are_counted_and_the_others_kept(tmp_path: Path) -> None:
    rows = [
        GOOD,
        {**GOOD, "image_id": "2"},
        {"image_id": 1},
        {**GOOD, "correct_choice_idx": 2},
        {**GOOD, "choices": ["a", " "]},
        {**GOOD, "image_id": 3},
        {**GOOD, "image_path": "../secret.jpg"},
        17,
    ]
    skipped = BadRows("rows.json", 1)
    kept = read_training_rows(write_rows(tmp_path, rows), tmp_path, ["QM-A"], skipped)
    assert [row.image.name for row in kept] == ["000000000001.jpg", "000000000002.jpg"]
    odd = {MALFORMED: 2, "index outside the choices": 1, "unusable choices": 1}
    assert skipped.counts == {**odd, NO_IMAGE: 2}
    assert [row.row for row in skipped.rows if row.kind in odd] == [f"row {n}" for n in (2, 3, 4, 7)]
    assert skipped.n_rows == 8
    assert len({row.where for row in kept}) == 2


def test_rows_grouped_by_type_are_read(tmp_path: Path) -> None:
    rows = {"colour": [{key: value for key, value in GOOD.items() if key != "question_type"}], "empty": []}
    kept = read_training_rows(write_rows(tmp_path, rows), tmp_path, ["QM-A"], BadRows("rows.json", 1))
    assert [row.question.question_type for row in kept] == ["colour"]


def test_qm_ae_needs_a_rationale(tmp_path: Path) -> None:
    file = write_rows(tmp_path, [GOOD, {**GOOD, "rationales": ["why"]}])
    skipped = BadRows("rows.json", 1)
    only = read_training_rows(file, tmp_path, ["QM-AE"], skipped)
    assert [row.formats for row in only] == [("QM-AE",)]
    assert skipped.counts == {NO_RATIONALE: 1}
    both = read_training_rows(file, tmp_path, ["QM-A", "QM-AE"], BadRows("rows.json", 1))
    assert [row.formats for row in both] == [("QM-A",), ("QM-A", "QM-AE")]


def test_a_file_that_is_no_json_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "rows.json").write_text("[{")
    with pytest.raises(DataEngineError, match=r"rows\.json"):
        read_training_rows(tmp_path / "rows.json", tmp_path, ["QM-A"], BadRows("rows.json", 1))


def test_shares_follow_the_square_roots() -> None:
    new, base = draw_counts([900, 100], [BasePart(1600)], epochs=2)
    assert sum(new) == 2000
    assert new == [1500, 500]
    assert base == [2000]  # 40 of 30 + 10 + 40
    assert draw_counts([100]) == ([100], [])
    assert draw_counts([100], [BasePart(0)]) == ([100], [0])
    assert draw_counts([100, 0], [BasePart(400)]) == ([100, 0], [200])


def test_base_share_and_bounds() -> None:
    assert draw_counts([100], [BasePart(10_000)], base_share=0.2) == ([100], [25])
    assert draw_counts([100], [BasePart(10_000)], base_share=0.0) == ([100], [0])
    new, base = draw_counts([900, 100], [BasePart(1600)], epochs=9, most=64)
    assert (sum(new), base) == (32, [32])
    assert draw_counts([3], epochs=0.01) == ([1], [])


def test_an_exact_number_of_draws_takes_the_place_of_epochs() -> None:
    new, base = draw_counts([900, 100], [BasePart(1600)], epochs=9, exactly=640)
    assert (new, base) == ([240, 80], [320])  # 30 + 10 + 40 of 80
    assert draw_counts([3], exactly=64) == ([64], [])
    assert draw_counts([3], [BasePart(5)], base_share=0.99, exactly=7) == ([1], [6])
    # base data alone, in their own proportions, whatever share of the mix they would have
    assert draw_counts([], [BasePart(100), BasePart(400)], base_share=0.5, exactly=30) == ([], [10, 20])
    assert draw_counts([], [BasePart(9, share=0.1), BasePart(9, share=0.3)], exactly=40) == ([], [10, 30])
    # epochs are passes over new data: without these nothing is drawn
    assert draw_counts([0], [BasePart(5)]) == ([0], [0])


def test_the_usual_share_is_that_of_the_draws() -> None:
    for base in (
        [BasePart(400), BasePart(5, weight=10)],
        [BasePart(9, share=0.2), BasePart(400)],
        [BasePart(0)],
    ):
        new, drawn = draw_counts([900, 100], base, epochs=50)
        share = sum(drawn) / (sum(new) + sum(drawn))
        assert share == pytest.approx(usual_base_share([900, 100], base), abs=1e-4)


@pytest.mark.parametrize("epochs", [1e6, 1e12, 1e308])
def test_draws_without_end_are_refused(epochs: float) -> None:
    line = rf"^epochs {re.escape(f'{epochs:g}')}: would draw \S+ rows, .* at most 20,000,000; set a smaller epochs, or"
    with pytest.raises(ParameterError, match=line):
        draw_counts([100], [BasePart(100)], epochs=epochs)
    assert draw_counts([100], [BasePart(100)], epochs=epochs, most=64) == ([32], [32])


def test_exact_draws_without_end_are_refused() -> None:
    line = r"^steps: with batch_size they would draw 1e\+12 rows, .* at most 20,000,000; set fewer steps, or a smaller"
    with pytest.raises(ParameterError, match=line):
        draw_counts([10], exactly=10**12)
    with pytest.raises(ParameterError, match=r"^steps: .* 2e\+07 rows"):
        draw_counts([], [BasePart(10)], exactly=20_000_001)
    assert draw_counts([10], exactly=20_000_000) == ([20_000_000], [])


def test_several_base_sets_have_shares_weights_or_the_roots_of_their_sizes() -> None:
    # 100 draws of new rows are what a share of a fifth and another of three tenths leave
    parts = [BasePart(10, share=0.2), BasePart(10_000, share=0.3)]
    assert draw_counts([100], parts) == ([100], [40, 60])
    # the rest of 80 % is divided as 10 (the root of 100) : 20 : 10
    parts = [BasePart(7, share=0.2), BasePart(400), BasePart(5, weight=10)]
    assert draw_counts([100], parts) == ([100], [100, 200, 100])
    assert draw_counts([100], [BasePart(100), BasePart(400)], base_share=0.75) == ([100], [100, 200])
    # nothing is drawn from a set without usable rows, whatever its share
    assert draw_counts([100], [BasePart(0, share=0.5), BasePart(0, weight=9)]) == ([100], [0, 0])
    assert draw_counts([100], [BasePart(9, share=0.0)]) == ([100], [0])


def test_the_mix_of_v1_has_the_ratios_of_its_train_config() -> None:
    """Captions 60, A-OKVQA 130, rounds 70 and 135: the ratios of rounds are the roots of their sizes."""
    new, base = draw_counts([70**2, 135**2], [BasePart(3439, weight=60), BasePart(17056, weight=130)])
    drawn = [*base, *new]
    assert [round(395 * count / sum(drawn)) for count in drawn] == [60, 130, 70, 135]


def test_every_row_is_drawn_as_often_as_any_other() -> None:
    drawn = draw_examples(range(7), 17, lambda rows: list(rows), Random(0))
    assert len(drawn) == 17
    assert set(Counter(drawn).values()) == {2, 3}
    assert drawn == draw_examples(range(7), 17, lambda rows: list(rows), Random(0))
    assert drawn != draw_examples(range(7), 17, lambda rows: list(rows), Random(1))


def test_unusable_rows_are_replaced_and_asked_once() -> None:
    asked: Counter[int] = Counter()

    def make(rows: list[int]) -> list[int | None]:
        asked.update(rows)
        return [row if row % 2 else None for row in rows]

    drawn = draw_examples(list(range(10)), 20, make, Random(0))
    assert Counter(drawn) == dict.fromkeys((1, 3, 5, 7, 9), 4)
    assert all(asked[row] == 1 for row in range(0, 10, 2))


def test_without_usable_rows_nothing_is_drawn() -> None:
    assert draw_examples([1, 2, 3], 5, lambda rows: [None for _ in rows], Random(0)) == []
    assert draw_examples([], 5, lambda rows: list(rows), Random(0)) == []


def test_batches_hold_every_place_once_with_little_padding() -> None:
    rng = Random(0)
    lengths = [rng.randint(10, 200) for _ in range(1000)]
    batches = length_batches(lengths, 8, Random(1))
    assert sorted(place for batch in batches for place in batch) == list(range(1000))
    assert len(batches) == 125
    padded = sum(len(batch) * max(lengths[place] for place in batch) for batch in batches)
    assert padded < 1.1 * sum(lengths)
    assert [len(batch) for batch in length_batches([1] * 10, 4, Random(0), window=2)].count(2) == 1


@pytest.mark.parametrize(
    ("question", "asked", "answer"),
    [
        (
            Question(
                question=" Is it a dog? ", choices=["yes", "no"], correct_choice_idx=1, answer_kind="yes_no"
            ),
            "Is it a dog?",
            "No",
        ),
        (
            Question(
                question="What is it?",
                choices=[],
                correct_choice_idx=-1,
                direct_answers=["a dog", "dog", "dog"],
                answer_kind="open",
            ),
            "What is it?",
            "dog",
        ),
    ],
)
def test_questions_without_options_are_learnt_as_step_1_asks_and_scores_them(
    question: Question, asked: str, answer: str
) -> None:
    for text_format in ("Q-A", "QM-A", "QM-AE", "mmbench"):
        assert training_text(question, text_format) == (asked, f"The answer is {answer}.")
    assert training_text(question, "answer") == (asked, answer)
    few = "Answer the question using a single word or phrase."
    assert training_text(question, "letter") == (f"{asked}\n{few}", answer)
    assert with_options_shuffled(question, "QM-A", Random(0)) is question


def test_options_keep_their_order_where_a_rationale_names_a_letter_after_d() -> None:
    known = {"question": "Which?", "choices": ["dog", "cat", "cow", "pig", "hen", "fox"]}
    for number in range(5):
        named = Question(**known, correct_choice_idx=4, rationales=["The correct answer is (E)."])
        assert with_options_shuffled(named, "QM-AE", Random(number)) is named
        both = Question(**known | {"question": "Are E and F wrong?"}, correct_choice_idx=4)
        assert with_options_shuffled(both, "QM-A", Random(number)) is both
