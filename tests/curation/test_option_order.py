"""Step 4: choices are shuffled evenly; letters in rationales change with them, or the rationale is left out."""

from collections import Counter
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_records import candidate_of

from dataengine_lib.core.records import TrainRecord
from dataengine_lib.curation.candidates import Candidate
from dataengine_lib.curation.option_order import OptionOrder
from dataengine_lib.replies.letter_mentions import moved, names_letters, names_places

CHOICES = ["dog", "cat", "cow", "pig"]
PLACES = [3, 2, 0, 1]  # A moves to C, B to D, C to B, D to A


def candidate(question_type: str = "ocr", correct: int = 1, **fields: object) -> Candidate:
    known = {
        "image_id": 1,
        "raw_instructions": "as written",
        "question_type": question_type,
        "question": "Which?",
        "choices": CHOICES,
        "correct_choice_idx": correct,
    }
    return candidate_of(TrainRecord(**(known | fields)), correct)


@pytest.mark.parametrize(
    ("text", "after"),
    [
        ("(B) is right.", "(D) is right."),
        ("( B ) it is", "( D ) it is"),
        ("The cat (B), not the dog (A).", "The cat (D), not the dog (C)."),
        ("Neither (A) nor (B).", "Neither (C) nor (D)."),
        ("Option B is right.", "Option D is right."),
        ("So option B.", "So option D."),
        ("option b, not option d", "option d, not option a"),
        ("choice (b)", "choice (d)"),
        ("The answer is B.", "The answer is D."),
        ("The answer is (B): cat.", "The answer is (D): cat."),
        ("The right choice would be D, clearly.", "The right choice would be A, clearly."),
        ("Options A and C are wrong.", "Options C and B are wrong."),
        ("options (A), (C), and (D) do not fit", "options (C), (B), and (A) do not fit"),
        ("Choices B/C", "Choices D/B"),
        ("A) is out.", "C) is out."),
        ("[B] is right", "[D] is right"),
        ('The answer is "B".', 'The answer is "D".'),
        ("The correct answer is a.", "The correct answer is c."),
        ("option a is wrong", "option c is wrong"),
        ("The correct answer is 'B'.", "The correct answer is 'D'."),
        ("The answer is ‘a’.", "The answer is ‘c’."),
        ("Option-B is right, option-a is not.", "Option-D is right, option-c is not."),
        ("Option B's whiskers show it.", "Option D's whiskers show it."),
        ("The final answer is (B).", "The final answer is (D)."),
        ("(B) – a cat is here.", "(D) – a cat is here."),
        (
            "The cat, not the dog: of the two, the latter is (A).",
            "The cat, not the dog: of the two, the latter is (C).",
        ),
    ],
)
def test_letters_of_choices_move(text: str, after: str) -> None:
    assert moved(text, PLACES) == after


@pytest.mark.parametrize(
    "text",
    [
        "A dog is here. A cat comes. A glass falls.",
        "the answer is a dog",
        "The options are a dog and a cat.",
        "I'd say that D'Arcy is at a D.C. hotel.",
        "An A-frame house and a T-shirt.",
        "E and F are on the sign.",
        "It has four legs (as a dog has).",
        "The sign says 'A dog' and 'a cat'.",
        "D'Arcy's dog and a C-shaped bench.",
        "The cup is on top of the middle shelf, in the final row.",
        "They answer to one another, and at least one dog is below.",
        "This is a laptop one carries.",
        "They are all above the water.",
        "The bird is above, the cat and the dog below.",
        "The first two dogs run, the last two sleep.",
        "The former president stands at the former shop.",
        "The dog or the cat: the former barks.",
        "There are two dogs (2) and three cats (3).",
        "1) It barks. 2) It runs.",
        "No one is here, only stones.",
        "这是一只猫。",
        "At 20℃ in a café – warm…",
        "",
    ],
)
def test_words_that_are_no_letters_of_choices_stay(text: str) -> None:
    assert moved(text, PLACES) == text


@pytest.mark.parametrize(
    "text",
    [
        "Oranges have vitamin C.",
        "The answer is A dog.",
        "So a is right.",
        "A shows a dog, B does not.",
        "A is right.",
        "(a) it barks, (b) it runs",
        'The sign has the letter "B".',
        "The choice a person makes",
        "The first option is wrong.",
        "The second answer choice is better.",
        "Not option 2.",
        "the last of the options: choice four",
        "plan B",
        "B's whiskers show it.",
        "A’s ears are long.",
        "A-C are wrong.",
        "Options A through C are wrong.",
        "(A) to (C) are wrong.",
        "Ｂ is right.",
        "Ⓑ is right.",
        "选项B是正确的",
        "选B。",
        "选项Ｂ",
        "以上都不对",
        "第二个选项是对的",
        "The final option is wrong.",
        "The top choice is out.",
        "The middle two options are wrong.",
        "The option in the middle is wrong.",
        "The third one is wrong.",
        "The fourth one is right",
        "It is the top one.",
        "The last two are wrong.",
        "The former is right.",
        "So the latter.",
        "Both of the latter options are wrong.",
        "2) is right.",
        "So (2) is right.",
        "1) and 3) are wrong.",
        "Option-2 is right.",
        "The above options are wrong.",
        "The choice above is wrong.",
        "None above is right.",
        "The top answer is wrong.",
        "It answers nothing, and the second possible answer is wrong.",
    ],
)
def test_rationales_with_unclear_letters_are_given_up(text: str) -> None:
    assert moved(text, PLACES) is None
    assert moved(text, [0, 1, 2, 3]) == text  # nothing moves, so it need not be clear


def test_a_letter_that_stays_need_not_be_clear() -> None:
    assert moved("Vitamin C, and (A) is wrong.", [1, 0, 2, 3]) == "Vitamin C, and (B) is wrong."


def test_a_letter_inside_a_quoted_choice_is_no_mention() -> None:
    choices = ["vitamin C", "iron", "salt", "fat"]
    assert moved("Oranges have vitamin C, so (A).", PLACES, choices) == "Oranges have vitamin C, so (C)."


@given(st.text(alphabet="ABCDabcd()[]\"'-.,: \noptisnwer", max_size=80), st.permutations(range(4)))
def test_what_moves_can_be_moved_back(text: str, places: list[int]) -> None:
    there = moved(text, places)
    if there is not None:
        back = [places.index(place) for place in range(4)]
        assert len(there) == len(text)
        assert moved(there, back) in (text, None)


@pytest.mark.parametrize(
    "text",
    [
        "all of the above",
        "None of the above",
        "Both A and B",
        "(A) and (C)",
        "option B",
        "A and D",
        "both a and b",
        "Both (a) and (b)",
        "b or a",
        "All the above",
        "None of above",
        "None above",
        "all answers above",
        "Both above",
        "the above two",
        "The previous two",
        "Only A",
        "only a",
        "A only",
        "A/B",
        "A+B",
        "A & B",
        "A, B",
        "a/b",
        "Not C",
        "以上都不是",
        "以上都是",
        "A和B",
        "选项Ａ",
    ],
)
def test_choices_that_speak_of_others_keep_their_order(text: str) -> None:
    assert names_places(text)
    done = OptionOrder(0).shuffle(candidate(choices=["dog", "cat", "cow", text]))
    assert done.record.choices == ["dog", "cat", "cow", text] and done.choices_stay


@pytest.mark.parametrize(
    "text",
    [
        "the sky above",
        "none of these",
        "dog (brown)",
        "a U.S. flag",
        "A",
        "a cat and a dog",
        "both a cat and a dog",
        "only a cat",
        "Not A dog",
        "all above the ground",
        "above",
        "both above and below",
        "two dogs, a cat",
        "vitamin A",
        "AB",
        "猫和狗",
    ],
)
def test_other_choices_are_moved(text: str) -> None:
    assert not names_places(text)


def test_letters_are_even_in_every_type_at_any_time() -> None:
    order, counts = OptionOrder(3), {kind: Counter[int]() for kind in ("ocr", "image_topic")}
    for number in range(403):
        kind = "ocr" if number % 3 else "image_topic"
        counts[kind][order.shuffle(candidate(kind)).record.correct_choice_idx] += 1
        for seen in counts.values():
            assert max(seen[n] for n in range(4)) - min(seen[n] for n in range(4)) <= 1


def test_types_of_one_question_are_even_together() -> None:
    order = OptionOrder(0)
    counts = Counter(order.shuffle(candidate(f"t{n}")).record.correct_choice_idx for n in range(40))
    assert set(counts.values()) == {10}


def test_later_choices_balance_those_that_keep_their_order() -> None:
    order, counts = OptionOrder(0), Counter[int]()
    for number in range(80):
        given = candidate(question="Which one is (A)?") if number < 10 else candidate()
        counts[order.shuffle(given).record.correct_choice_idx] += 1
    assert set(counts.values()) == {20}


def test_every_order_is_drawn_and_the_right_choice_stays_right() -> None:
    order = OptionOrder(1)
    seen = Counter()
    for _ in range(2400):
        record = order.shuffle(candidate(short_answer="cat")).record
        assert record.choices[record.correct_choice_idx] == "cat" == record.short_answer
        assert record.raw_instructions == "as written"
        seen[tuple(record.choices)] += 1
    assert set(seen) == set(permutations(CHOICES)) and max(seen.values()) < 2 * min(seen.values())


def test_rationales_follow_or_are_left_out() -> None:
    order, right_at_b = OptionOrder(0), 0
    for _ in range(24):
        done = order.shuffle(candidate(rationales=["(B) is a cat.", "It is B."]))
        letter = "ABCD"[done.record.correct_choice_idx]
        expected = [f"({letter}) is a cat."] + (["It is B."] if letter == "B" else [])
        assert done.record.rationales == expected
        assert done.rationales_left_out == 2 - len(expected)
        right_at_b += letter == "B"
    assert right_at_b == 6


def test_same_seed_same_orders() -> None:
    def orders(seed: int) -> list[list[str]]:
        order = OptionOrder(seed)
        return [order.shuffle(candidate(f"t{n % 3}")).record.choices for n in range(30)]

    assert orders(5) == orders(5) != orders(6)


SIX = ["dog", "cat", "cow", "pig", "hen", "fox"]


@pytest.mark.parametrize(
    "text",
    [
        "The correct answer is (E).",
        "Option F is wrong.",
        "The fifth option is wrong.",
        "Option 6 is wrong.",
        "The sixth one is wrong.",
        "5) is right.",
        "The top five options are wrong.",
        "选项F是正确的",
        "第五个选项是对的",
    ],
)
def test_rationales_name_the_letters_and_places_of_six_choices(text: str) -> None:
    assert names_letters(text, 6) and not names_letters(text)
    # of two rationales, the one that would mean another choice is left out
    done = OptionOrder(0).shuffle(candidate(choices=SIX, rationales=[text, "It is a cat."]))
    assert done.record.choices != SIX
    assert (done.record.rationales, done.rationales_left_out) == (["It is a cat."], 1)


@pytest.mark.parametrize("text", ["Both E and F", "only F", "(A) and (E)", "Option F", "选项Ｆ", "(F)"])
def test_choices_that_speak_of_letters_after_d_keep_their_order(text: str) -> None:
    assert names_places(text, count=6)
    done = OptionOrder(0).shuffle(candidate(choices=[*SIX[:5], text]))
    assert done.record.choices == [*SIX[:5], text] and done.choices_stay


def test_i_is_a_word_where_no_choice_is_meant() -> None:
    assert names_letters("(I) is right.", 9) and names_letters("So option I.", 9)
    assert names_letters("10) is right.", 10) and not names_letters("10) is right.", 9)
    assert names_letters("Option 12 is wrong.", 12) and not names_letters("Option 12 is wrong.", 11)
    assert not names_letters("I see a dog, and I'd say that it barks, i.e. it is awake.", 10)
