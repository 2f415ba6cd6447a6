"""Tests of the scores of open-ended answers against the official algorithms, written from their description."""

import pytest
from official_scores.vqa import RIGHT, WORDS, WRONG, official_punctuation, official_score, official_words

from dataengine_lib.core.records import NO_ANSWER, OPEN, Question
from dataengine_lib.evaluation.answers import StudentAnswer, answer_record
from dataengine_lib.evaluation.scores.open_answers import exact_match, open_rule, open_score, vqa_accuracy
from dataengine_lib.evaluation.scores.open_scores import open_scores
from dataengine_lib.evaluation.scores.vqa_text import vqa_key

GIVEN = [
    "dog", "Dog.", "a dog", "The dog!", "two", "2", "none", "ten dogs", "1,000", "1000", "dont", "don't", "Dont.", "cant",
    "t-shirt", "t shirt", "T-shirt, red", "3.5", "3.5 m.", "red/blue", "red / blue", "it's", "its", "o'clock", "oclock 5",
    "yes", "Yes.", "yes, it is", "unanswerable", "unsuitable image", "", "   ", "\n dog \t", "a", "couldnt've",
    "somebody'd",     "st. 5", "...", "U.S.A.", "no.1", "(left)", "left (side)", "é", "what's", "1,000.00", "a,b",
    "an apple a day", "-5", "50%",
]  # fmt: skip
TRUTHS = [
    ["dog"] * 10,
    ["dog"] * 4 + ["cat"] * 6,
    ["dog"] * 3 + ["cat"] * 3 + ["2"] * 2 + ["don't"] * 2,
    ["t-shirt"] * 5 + ["t shirt"] * 3 + ["shirt"] * 2,
    ["1,000"] * 4 + ["1000"] * 6,
    ["yes"] * 9 + ["no"],
    ["unanswerable"] * 8 + ["unsuitable image"] * 2,
    ["The dog."] * 10,
    ["The dog."] * 6 + ["dog."] * 4,
    ["red/blue"] * 5 + ["3.5"] * 3 + ["o'clock 5"] * 2,
    ["st 5", "can't", "0", "U.S.A.", "usa", "left side", "é", "10 dogs", "what's", "50%"],
]


@pytest.mark.parametrize("answers", TRUTHS)
@pytest.mark.parametrize("vizwiz", [False, True])
def test_vqa_accuracy_is_the_official_one(answers: list[str], vizwiz: bool) -> None:
    for given in GIVEN:
        expected = official_score(given, answers, vizwiz)
        assert vqa_accuracy(given, answers, as_vizwiz=vizwiz) == pytest.approx(expected, abs=1e-6), given


def test_every_contraction_and_number_is_normalised_as_officially() -> None:
    assert len(WRONG) == len(RIGHT) > 110
    for word in [*WRONG, *RIGHT, *WORDS, "none", "eleven", "dogs", *"aA"]:
        for text in (word, f"the {word}", f"{word}, {word}", word.upper()):
            assert vqa_key(text) == official_words(official_punctuation(text)), text


def test_only_the_first_periods_are_removed_as_officially() -> None:
    many = ". ".join(["x"] * 40)
    assert vqa_key(many) == official_words(official_punctuation(many))
    assert "." in vqa_key(many)


def test_the_rule_follows_from_the_accepted_answers_and_the_image() -> None:
    assert open_rule(["dog"], "a.jpg") == "exact match"
    assert open_rule(["dog"] * 10, "a.jpg") == "VQA accuracy"
    assert open_rule(["dog"] * 10, "val/VizWiz_val_00000001.jpg") == "VizWiz accuracy"
    # VizWiz's script does not change the people's answers
    assert open_score("tshirt-red", ["tshirt-red"] * 9 + ["x"], "a.jpg") == 1
    assert open_score("tshirt-red", ["tshirt-red"] * 9 + ["x"], "VizWiz_1.jpg") == 0


def test_an_answer_is_scored_by_the_rule_that_it_is_counted_under() -> None:
    # the question names its image by the id alone; only its file's name tells that it is VizWiz's
    question = Question(
        question="?", choices=[], correct_choice_idx=NO_ANSWER, direct_answers=["tshirt-red"] * 9 + ["x"],
        image_id="VizWiz_val_00000001", answer_kind=OPEN,
    )  # fmt: skip
    given = StudentAnswer(None, text="tshirt-red")
    for image, rule, score in (
        ("VizWiz_val_00000001.jpg", "VizWiz accuracy", 0.0), ("1.jpg", "VQA accuracy", 1.0)
    ):  # fmt: skip
        row = answer_record(question, 0, "holdout", image, given)
        found = open_scores([row])
        assert found is not None and row.score == score
        assert {name: one.score.value for name, one in found.by_rule.items()} == {rule: score}


def test_exact_match_ignores_case_and_punctuation_alone() -> None:
    assert exact_match("T-Shirt.", ["t-shirt"]) == 1
    assert exact_match(" dog\n", ["dog"]) == 1
    assert exact_match("a dog", ["dog"]) == 0
    assert exact_match("cat", ["dog", "cat"]) == 1
    assert open_score("", [""], "a.jpg") == 0
