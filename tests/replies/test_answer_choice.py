"""Tests of reading which option a written answer names, and of never guessing one."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataengine_lib.core.records import LETTERS
from dataengine_lib.replies.answer_choice import CANNOT_TELL, written_choice

CHOICES = ["dog", "cat", "red car", "car"]
ANIMALS = ["dog", "cat", "cow", "pig"]


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("B", 1),
        ("b.", 1),
        ("(B)", 1),
        (" (B) cat", 1),
        ("B) cat.", 1),
        ("B: cat", 1),
        ("**B**", 1),
        ("Answer: B", 1),
        ("The answer is (B).", 1),
        ("The correct option is B", 1),
        ("cat", 1),
        ("Cat!", 1),
        ("The answer is cat.", 1),
        ("I see a cat on the sofa", 1),
        ("It shows (B), I think", 1),
        ("(B), I think", 1),
        ("(B) cat, because (A) has longer ears", 1),
        ("a red car", 2),
        ("the car", 3),
        ("D", 3),
        ("B\nBecause the ears are pointed.", 1),
    ],
)
def test_an_option_is_read(text: str, place: int) -> None:
    assert written_choice(text, CHOICES) == place


@pytest.mark.parametrize(
    "text",
    [
        "",
        "  \n",
        "E",
        "(F)",
        "A bird",
        "I cannot see the picture.",
        "cannot tell",
        "a dog or a cat",
        "(A) or (B)",
        "A) or B)",
        "(A) cat",
        "scat",
        "concatenate",
        "🤷",
    ],
)
def test_what_names_none_or_two_is_not_guessed(text: str) -> None:
    assert written_choice(text, CHOICES) is None


# rule of written_choice: (reply, place among dog, cat, cow, pig)
CLEAR = {
    "1 whole reply": [("A dog", 0), ("the cat", 1), ("> cat", 1), ("“Cat.”", 1), ("（B） cat", 1)],
    "2 final answer": [
        ("It has horns.\n\nAnswer: C", 2),
        ("Answer:\nB", 1),
        ("**Answer:** B", 1),
        ("### Answer\nB", 1),
        ("Answer A", 0),
        ("Answer: a", 0),
        ("Answer: A dog", 0),
        ("Answer: A cat", 1),  # an article
        ("Answer: B. cat", 1),
        ("A) dog\nB) cat\nAnswer: B", 1),
        ("Question: What?\nAnswer: B", 1),
        ("B\nQuestion: And here?\nAnswer: A", 1),  # it asks itself the next one
        ("The correct answer is option B.", 1),
        ("My choice is B.", 1),
        ("The best choice is (B) cat", 1),
        ("So, the answer would be: **(B) cat**.", 1),
        ("The answer to the question is most likely B.", 1),
        ("The answer is B because C is wrong", 1),
        ("The answer is B. C is wrong.", 1),
        ("The answer is B, not A.", 1),
        ("The answer is (B), because (A) has longer ears.", 1),
        ("The answer is cat (B).", 1),
        ("The answer is a cat, not a dog", 1),
        ("The answer is the one with the cat, (B)", 1),
        ("I think the answer is B", 1),
        ("Answer: B\nThe answer is based on the ears.", 1),
        ("First I think the answer is A. But it has whiskers, so the answer is B.", 1),
        ("Answer: A\nLet me look again. It has whiskers.\nAnswer: B", 1),
        ('{"answer": "B"}', 1),
        ("Answer - B", 1),
        ("\\boxed{B}", 1),
        ("So it is $\\boxed{\\text{B}}$.", 1),
        ("<answer>B</answer>", 1),
        ("<answer>\n(B) cat\n</answer>", 1),
        ("<think>maybe A</think>\nB", 1),
        ("maybe A, its answer is A</think>B", 1),
    ],
    "3 choice in words": [
        ("B is correct.", 1),
        ("A is the right answer.", 0),
        ("Option B is the best answer", 1),
        ("B is correct, A is wrong.", 1),
        ("(A) is wrong. (B) is right.", 1),
        ("(A) dog is wrong. (B) cat is right.", 1),
        ("I would choose B.", 1),
        ("I'd go with option B", 1),
        ("It's A.", 0),
        ("It is (B), a cat", 1),
    ],
    "4 first or last line": [
        ("B!", 1),
        ("[B]", 1),
        ("option b", 1),
        ("B - cat", 1),
        ("B cat", 1),
        ("B.cat", 1),
        ("A: dog", 0),
        ("A, because it barks", 0),
        ("B because it meows", 1),
        ("B, not A", 1),
        ("(B), not (A)", 1),
        ("B. The ears are pointed.", 1),
        ("B) There is no dog", 1),
        ("B\nC is too small.", 1),
        ("C. cow", 2),
        ("B</s>", 1),
        ("(A)? No, (B).", 1),
        ("cat, obviously\nIt has whiskers.", 1),
        ("B. cat\n\nExplanation: (A) is wrong", 1),
        ("B. cat Reason: (A) and (C) have longer ears", 1),
        ("a cat\nIt has whiskers.", 1),
        ("cat. It has whiskers.", 1),
        ("It has whiskers.\n\n(B) cat", 1),
        ("It has whiskers.\ncat", 1),
    ],
    "5 sentence": [
        ("A cat, not a dog", 1),
        ("A dog or a cat? I'd say a cat.", 1),
        ("It lies there, a cat because a dog is bigger", 1),
    ],
}
UNCLEAR = {
    "denied": [
        "It is not (A).",
        "The answer cannot be (A).",
        "The answer is not A.",
        "I don't think the answer is A",
        "The wrong answer is A",
        "I would not choose A",
        "There is no cat",
        "A, B and C are wrong",
        "A, which has horns, is wrong",
        "(A) no",
        "Is it (B)?",
        "The cat isn't there",
        "I cannot tell whether it is a dog",
    ],
    "two": [
        "(A) dog (B) cat (C) cow",
        "(A) dog. (B) cat.",
        "A. dog\nB. cat",
        "dog\ncat",
        "(B) cat or (C) cow",
        "(B) cat or a dog",
        "A dog, a cat",
        "A or B",
        "B/C",
        "B, C",
        "A and B",
        "A B",
        "A. B.",
        "A\nB",
        "A\nor B",
        "Either B or C is correct",
        "B is right. C is right.",
        "It is A. It is B.",
        "It is B. Or maybe A.",
        "I would choose A, then B",
        "Answer: A or B",
        "Answer: A. dog B. cat",
        "The answer is between A and B",
        "The answer is A. The answer is B.",
        "Final answer: A\nFinal answer: B",
    ],
    "letter beside another text": [
        "It is (A) the cat",
        "C. cat",
        "B dog",
        "Answer: B. dog",
        "The answer is cat (A).",
        "A: cat",
        "E. dog",
        "(E) dog",
        "B\nIt is a dog.",
    ],
    "article, pronoun, label": [
        "A **puppy**",
        "The answer is a **kitten**.",
        "A: The picture shows a kitten.",
        "A... maybe a kitten",
        "It is a.",
    ],
    "part of a word": ["It is cat-like", "The dog's owner", "cats"],
    "unfinished": ["<think>The answer is B", "The answer is", "Answer:"],
}


@pytest.mark.parametrize(("text", "place"), [case for cases in CLEAR.values() for case in cases])
def test_a_clear_reply_is_read(text: str, place: int) -> None:
    assert written_choice(text, ANIMALS) == place


@pytest.mark.parametrize("text", [text for texts in UNCLEAR.values() for text in texts])
def test_an_unclear_reply_is_not_guessed(text: str) -> None:
    assert written_choice(text, ANIMALS) is None


def test_a_long_thought_counts_by_its_end() -> None:
    thought = "It might be (A) dog or (C) cow. The ears are long. I first thought the answer is A. " * 30
    assert written_choice(f"{thought}\nStill, it has whiskers.\n\nThe final answer is **(B)**.", ANIMALS) == 1
    assert written_choice(thought + "Who knows?", ANIMALS) == 0  # its last word on it
    assert written_choice("It might be (A) dog or (C) cow. " * 30, ANIMALS) is None


@pytest.mark.parametrize(
    ("text", "choices", "place"),
    [
        ("$1,200", ["$200", "$1,300", "$900"], None),
        ("It costs $1,200.", ["$200", "$1,300", "$900"], None),
        ("It costs $200.", ["$200", "$1,300", "$900"], 0),
        ("0.5", ["5", "10"], None),
        ("1.5 m", ["1", "2"], None),
        ("1:30", ["1", "30"], None),
        ("5", ["-5", "5", "10"], 1),
        ("-5", ["-5", "5"], 0),
        ("−5", ["-5", "5"], 0),
        ("The answer is -5.", ["-5", "5"], 0),
        ("The answer is 5.", ["-5", "5", "5.5"], 1),
        ("minus 5", ["5", "10"], None),
        ("It is 50 %", ["50", "60"], None),
        ("50%", ["50", "50%"], 1),
        ("3 dogs", ["2 dogs", "3 dogs"], 1),
        ("There are 3 dogs.", ["2 dogs", "3 dogs"], 1),
        ("There are 2 of them", ["2", "4"], 0),
        ("I see 3 dogs and 2 cats", ["2", "4"], None),
        ("+", ["+", "-", "×"], 0),
        ("-", ["+", "-", "×"], 1),
        ("C++", ["C", "C++"], 1),
        ("It is C++.", ["C", "C++"], 1),
        ("The answer is C++", ["C", "Java", "Python"], None),
        ("A*", ["A", "A*"], 1),
        ("a.m.", ["pm", "am"], 1),
        ("a.m.", ["noon", "night"], None),
        ("D.C.", ["Paris", "Washington DC", "Rome", "Oslo"], None),
        ("Washington D.C.", ["Paris", "Washington DC", "Rome", "Oslo"], 1),
        ("The answer is St. Louis.", ["Paris", "St. Louis"], 1),
        ("B. Obama", ["Trump", "Biden", "Barack Obama", "Bush"], None),
        ("No, there is no dog", ["yes", "no"], 1),
        ("No, they are not.", ["yes", "no"], 1),
        ("Yes, B", ["yes", "no"], None),
        ("(B) No", ["no", "yes"], None),
        ("The answer is not sure", ["sure", "not sure"], 1),
        ("It is not allowed here", ["allowed", "not allowed"], 1),
        ("It is a dog", ["a dog", "a cat"], 0),
        ("dog", ["a dog", "the dog"], None),
    ],
)
def test_numbers_signs_and_abbreviations(text: str, choices: list[str], place: int | None) -> None:
    assert written_choice(text, choices) == place


def test_options_that_look_like_letters_or_each_other() -> None:
    assert written_choice("A", ["B", "A"]) == 1  # its text, word for word
    assert written_choice("(A) B", ["B", "A"]) == 0
    assert written_choice("(A)", ["C", "A", "B"]) == 0  # the label
    assert written_choice("Answer: A", ["C", "A", "B"]) == 0
    assert written_choice("I see a cat", ["a", "b"]) is None
    assert written_choice("yes", ["yes", "yes"]) is None
    assert written_choice("yes", ["Yes", "yes"]) == 1
    assert written_choice("cannot tell", ["tell", "show"]) is None
    assert written_choice("Cannot tell", ["cannot tell", "dog"]) == 0
    assert written_choice("猫", ["狗", "猫"]) == 1


# --- properties

# none of the words that a sentence around an option is made of
WORDS = ["dog", "cat", "red", "tall", "river", "boat", "seven", "music", "green tea", "old bus", "stop sign"]
OPTIONS = st.lists(st.sampled_from(WORDS), min_size=2, max_size=8, unique=True)
FORMS = [
    "{letter}",
    "{small}.",
    "({letter})",
    "({letter}) {text}",
    "{letter}) {text}",
    "{letter}. {text}",
    "Answer: {letter}",
    "Answer: {text}",
    "**{letter}**",
    "The answer is ({letter}) {text}.",
    "The answer is {text}.",
    "{text}",
    "{text}.",
    "It is ({letter}).",
    "{letter} is correct.",
    "It stands there.\n\nAnswer: {letter}",
    "Not {other}.\n({letter}) {text}",
    "First, the answer is {other}. On a second look the answer is {letter}.",
]
TWO = [
    "{letter} or {other}",
    "({letter}) or ({other})",
    "{letter}, {other}",
    "{letter}\n{other}",
    "({letter}) {text} ({other}) {another}",
    "{letter}) {text}\n{other}) {another}",
    "I would choose {letter} or {other}.",
    "It is {letter}. It is {other}.",
    "({letter}) {another}",
    "The answer is {letter} or {other}.",
    "The answer is {letter}. The answer is {other}.",
    "{text} or {another}",
]


def written(form: str, choices: list[str], place: int, other: int) -> str:
    return form.format(
        letter=LETTERS[place],
        small=LETTERS[place].lower(),
        text=choices[place],
        other=LETTERS[other],
        another=choices[other],
    )


@pytest.mark.parametrize("form", FORMS)
@settings(max_examples=25, deadline=None)
@given(choices=OPTIONS, draw=st.data())
def test_every_form_is_read_for_every_place(form: str, choices: list[str], draw: st.DataObject) -> None:
    place, other = two_places(choices, draw)
    assert written_choice(written(form, choices, place, other), choices) == place


@pytest.mark.parametrize("form", TWO)
@settings(max_examples=25, deadline=None)
@given(choices=OPTIONS, draw=st.data())
def test_two_options_are_none(form: str, choices: list[str], draw: st.DataObject) -> None:
    place, other = two_places(choices, draw)
    text = written(form, choices, place, other)
    assert written_choice(text, choices) is None
    assert written_choice(f"{text}\nFinal answer: {LETTERS[other]}", choices) in (other, None)
    assert written_choice(f"{text}\nOn a second look:\nFinal answer: {LETTERS[other]}", choices) == other


def two_places(choices: list[str], draw: st.DataObject) -> tuple[int, int]:
    place, other = draw.draw(st.permutations(range(len(choices))))[:2]
    return place, other


PARTS = st.sampled_from(
    [
        "A",
        "b",
        "(C)",
        "[D]",
        "D.",
        ":",
        ",",
        "\n",
        " ",
        "cat",
        "5",
        "-5",
        "$",
        "🤷",
        "\ud800",
        "\0",
        "…",
        "'",
        "ſ",
    ]
) | st.sampled_from(
    [
        "answer is",
        "Answer:",
        "**",
        "\\boxed{",
        "}",
        "<answer>",
        "</think>",
        "not",
        "or",
        "because",
        "is correct",
    ]
)
ANYTHING = st.text(st.characters(), max_size=60) | st.lists(PARTS, max_size=20).map("".join)


@settings(max_examples=250, deadline=None)
@given(text=ANYTHING, choices=st.lists(ANYTHING | PARTS, max_size=30))
def test_nothing_raises(text: str, choices: list[str]) -> None:
    place = written_choice(text, choices)
    assert place is None or 0 <= place < len(choices)


@settings(max_examples=200, deadline=None)
@given(
    choices=st.lists(ANYTHING.filter(str.strip), min_size=1, max_size=6, unique_by=lambda text: text.strip())
)
def test_a_letter_with_its_own_text_is_that_option(choices: list[str]) -> None:
    for place, choice in enumerate(choices):
        text = f"({LETTERS[place]}) {choice}"
        if "think" not in text and text.strip() not in map(str.strip, choices):
            assert written_choice(text, choices) == place


LOOPS = [
    "cat ",
    "(A) ",
    "\n",
    "(",
    " ",
    "!\n",
    "answer is A. ",
    "the answer to ",
    "A or ",
    "<answer>",
    "\\boxed{",
]


@pytest.mark.parametrize(
    "part", [*LOOPS, "a.b.", "not ", "1,", "B is ", "- ", "x", "B\n", "*a", "I say that A is "]
)
def test_long_replies_are_read_in_time(part: str) -> None:
    begin = time.process_time()
    written_choice(part * (30_000 // len(part)), ["dog", "cat", "cat dog", "5"])
    assert time.process_time() - begin < 3


def test_the_words_for_no_answer() -> None:
    assert written_choice(CANNOT_TELL, ANIMALS) is None
