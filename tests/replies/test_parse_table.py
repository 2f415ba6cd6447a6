"""Step 4: every row of the post-processing table in FORMATS.md, as it stands there and in other words, spacing and case."""

import re

import pytest

from dataengine_lib.replies.drop_reasons import Reason
from dataengine_lib.replies.one_qa import Qa
from dataengine_lib.replies.parse import parse_reply

BASE = (
    "Question: Which?\nChoices: (A) dog (B) cat (C) cow (D) pig\n"
    "Answer: The answer is (B): cat.\nExplanation: It is a cat."
)
BASE_QA = Qa(
    question="Which?", choices=["dog", "cat", "cow", "pig"], correct_choice_idx=1, rationales=["It is a cat."]
)
# The same in other words: what is asked, offered and explained shares nothing with the base.
OTHER = (
    "Question: What does the girl in the rain hold?\n"
    "Choices: (A) a kite (B) an umbrella (C) a lamp (D) some string\n"
    "Answer: The answer is (D): some string.\nExplanation: Her fingers are around a thin line."
)
OTHER_QA = Qa(
    question="What does the girl in the rain hold?",
    choices=["a kite", "an umbrella", "a lamp", "some string"],
    correct_choice_idx=3,
    rationales=["Her fingers are around a thin line."],
)
BOX, BOX_2 = "[0.1, 0.2, 0.3, 0.4]", "[.51,.62,.7,1.0]"


def only(raw: str) -> Qa:
    parsed = parse_reply(raw)
    assert isinstance(parsed, list) and len(parsed) == 1, parsed
    return parsed[0]


def with_(raw: str, **parts: str) -> str:
    """A reply of four lines with some of them replaced."""
    lines = dict(zip(("question", "choices", "answer", "explanation"), raw.split("\n"), strict=True))
    heads = {name: line.partition(": ")[0] for name, line in lines.items()}
    return "\n".join(
        f"{heads[name]}: {parts[name]}" if name in parts else line for name, line in lines.items()
    )


def test_the_base() -> None:
    assert only(BASE) == BASE_QA
    assert only(OTHER) == OTHER_QA


@pytest.mark.parametrize(
    "raw",
    [
        "Question: Which?\nChoices:\n(A) dog\n(B) cat\n(C) cow\n(D) pig\n"
        "Answer: The answer is (B): cat.\nExplanation: It is a cat.",
        "Question: Which?\nChoices: (a) dog (b) cat (c) cow (d) pig\nAnswer: The answer is (b): cat.\n"
        "Reason: It is a cat.",
        "question:  Which?\n\nchoices:\n  ( a )  dog\n  ( b )  cat\n  ( c )  cow\n  ( d )  pig\n\n"
        "ANSWER: (b) CAT\n\nREASON:   It is a cat.",
    ],
)  # fmt: skip
def test_choices_on_lines_of_their_own_and_small_letters(raw: str) -> None:
    assert only(raw) == BASE_QA


HEADINGS = ["Reason", "Reasoning", "Lecture", "Explanatory note", "Explaination", "Explanations"]


@pytest.mark.parametrize(
    "word", [*HEADINGS, *(word.upper() for word in HEADINGS), "explanatory notes", "**Lecture"]
)
def test_headings_of_the_rationale_which_is_whole(word: str) -> None:
    end = "**" if word.startswith("**") else ""
    raw = (
        OTHER.replace("Explanation:", f"{word}:{end}")
        + "\nIt leads up, out of the picture.\n\n  So it is no kite."
    )
    assert only(raw).rationales == [
        "Her fingers are around a thin line. It leads up, out of the picture. So it is no kite."
    ]


@pytest.mark.parametrize(
    ("choices", "read"),
    [
        ("(A) dog (brown) (B) dog (black) (C) cow (D) pig", ["dog (brown)", "dog (black)", "cow", "pig"]),
        (
            "(A) tea (with  milk)  (B) tea (a cup)\n(C) (cold) tea (D) tea",
            ["tea (with milk)", "tea (a cup)", "(cold) tea", "tea"],
        ),
    ],
)
def test_brackets_inside_choices(choices: str, read: list[str]) -> None:
    assert only(with_(BASE, choices=choices, answer="The answer is (B).")).choices == read


@pytest.mark.parametrize(
    ("raw", "qa"),
    [
        (with_(BASE, choices="A. dog B. cat C. cow D. pig"), BASE_QA),
        (with_(BASE, choices="A) dog B) cat C) cow D) pig", answer="B"), BASE_QA),
        (with_(BASE, answer="B"), BASE_QA),
        ("\n".join(f"**{line.replace(':', ':**', 1)}" for line in BASE.split("\n")), BASE_QA),
        (
            "**Question**: What does the girl in the rain hold?\n\n**CHOICES:**\na. a kite\nb. an umbrella\nc. a lamp\n"
            "d. some string\n\n**Answer:** d\n\n***Explanation:*** Her fingers are around a thin line.",
            OTHER_QA,
        ),
        (with_(OTHER, choices="A)a kite  B)an umbrella  C)a lamp  D)some string", answer=" d) Some string"), OTHER_QA),
    ],
)  # fmt: skip
def test_other_marks_bare_answers_and_markdown(raw: str, qa: Qa) -> None:
    assert only(raw) == qa


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (with_(BASE, choices="(A) dog (B) cat (C)  (D) pig"), Reason.EMPTY_CHOICE),
        (with_(OTHER, choices="(A) a kite\n(B) -\n(C) a lamp\n(D) some string"), Reason.EMPTY_CHOICE),
        (with_(BASE, choices="(A) dog (B) cat (C) dog (D) pig"), Reason.EQUAL_CHOICES),
        (with_(OTHER, choices="(A) a kite (B) The  Kite. (C) a lamp (D) some string"), Reason.EQUAL_CHOICES),
        (with_(BASE, answer="The answer is (E): cat."), Reason.OUTSIDE),
        (with_(OTHER, answer="f) some string"), Reason.OUTSIDE),
        (with_(BASE, answer="The answer is (A): cat."), Reason.DISAGREE),
        (with_(OTHER, answer="b. SOME  STRING"), Reason.DISAGREE),
    ],
)
def test_choices_and_answers_that_make_no_question(raw: str, reason: Reason) -> None:
    assert parse_reply(raw) is reason


@pytest.mark.parametrize("part", ["question", "choices", "explanation"])
@pytest.mark.parametrize(
    "words",
    [
        f"located at {BOX}",
        f"LOCATED  AT {BOX_2}",
        "bounding box",
        "Bounding Boxes",
        "BOUNDING-BOX",
        "coordinates",
        "The Coordinates of it",
    ],
)
def test_places_and_boxes_that_are_spoken_of(part: str, words: str) -> None:
    choices = f"(A) dog (B) cat (C) one {words} (D) pig"
    assert (
        parse_reply(with_(BASE, **{part: choices if part == "choices" else f"It has {words} there."}))
        is Reason.BOXES
    )


@pytest.mark.parametrize(
    "words", ["The description says so.", "By its DESCRIPTIONS, yes.", "Description: a cat."]
)
def test_descriptions_in_the_rationale(words: str) -> None:
    assert parse_reply(with_(BASE, explanation=f"It is a cat. {words}")) is Reason.DESCRIPTION
    assert parse_reply(with_(OTHER, explanation=words)) is Reason.DESCRIPTION


@pytest.mark.parametrize(
    ("text", "left"),
    [
        (f"The cat {BOX} sleeps.", "The cat sleeps."),
        (f"People {BOX} and {BOX_2} are engaging in it.", "People are engaging in it."),
        (f"The small dog {BOX}, near the traffic light {BOX_2}, waits.", "The small dog, near the traffic light, waits."),
        (f"She puts her bag({BOX}) down.", "She puts her bag down."),
        (f"the people and {BOX} are engaging", None),
        (f"It covers {BOX} of the table.", None),
        (f"A man at {BOX_2} waves.", None),
        (f"The man riding a horse {BOX} is old.", "The man riding a horse is old."),
        (f"A brown building {BOX} is tall.", "A brown building is tall."),
        (f"The man painting {BOX} is old.", None),
        (f"A woman is crossing ({BOX_2}).", None),
        (f"The clearing ({BOX}) is green.", "The clearing is green."),
        ("The cat [0.10 0.20 0.30 0.40] sits.", "The cat sits."),
        ("The cat (0 0.2 0.3 1.0) sits.", "The cat sits."),
        ("The cat (x1=0.1, y1=0.2, x2=0.3, y2=0.4) sits.", "The cat sits."),
        ("The cat [xmin: 10, ymin: 20, xmax: 30, ymax: 40] sits.", "The cat sits."),
        ("The cat ［0.1，0.2，0.3，0.4］ sits.", "The cat sits."),
        ("The cat （０．１，０．２，０．３，０．４） sits.", "The cat sits."),
        ("It sits at [0.10 0.20 0.30 0.40].", None),
        ("It sits at ［0.1，0.2，0.3，0.4］.", None),
        ("It sits at (x1=0.1, y1=0.2, x2=0.3, y2=0.4).", None),
        ("It sits at x=0.4, y=0.5.", None),
        ("It sits at x = 0.4 and y = 0.5.", None),
        ("A dog 0.1 0.2 0.3 0.4 runs.", None),
        ("A dog [0.10 0.20 0.30", None),
        ("A dog (x1=0.1, y1=0.2, x2", None),
        ("The cat is located at x=0.4.", None),
        ("The cat is located at 0.4, 0.5.", None),
        ("The cat is located at 0.4 0.5.", None),
        ("The cat is located at ［0.1，0.2］.", None),
    ],
)  # fmt: skip
def test_boxes_inside_a_sentence(text: str, left: str | None) -> None:
    for part in ("question", "explanation"):
        parsed = parse_reply(with_(BASE, **{part: text}))
        if left is None:
            assert parsed is Reason.BOXES
        else:
            assert isinstance(parsed, list)
            assert (parsed[0].question if part == "question" else parsed[0].rationales[0]) == left


@pytest.mark.parametrize(
    "word",
    re.findall(
        r"\w+",
        "behind beside under above below over along across against into onto through off towards near riding wearing "
        "holding carrying facing watching",
    ),
)
def test_words_that_need_what_a_box_stands_for(word: str) -> None:
    for text in (
        f"The one {word} {BOX} is full.",
        f"The one {word} ({BOX}) is full.",
        f"It stays {word} ({BOX_2}).",
    ):
        assert parse_reply(with_(BASE, explanation=text)) is Reason.BOXES
        assert parse_reply(with_(BASE, question=text)) is Reason.BOXES
    assert parse_reply(with_(BASE, choices=f"(A) {word} {BOX} (B) cat (C) cow (D) pig")) is Reason.BOXES


@pytest.mark.parametrize(
    "noun",
    re.findall(
        r"\w+",
        "building ceiling painting railing king ring string wing clothing swing sibling evening morning thing awning "
        "lightning crossing icing frosting pudding wedding herring earring stocking opening topping",
    ),
)
def test_nouns_in_ing_lose_their_box(noun: str) -> None:
    for text in (
        f"The {noun} {BOX} is seen.",
        f"Some red {noun} ({BOX}) is seen.",
        f"It has a {noun} {BOX}.",
    ):
        left = text.replace(f" ({BOX})", "").replace(f" {BOX}", "")
        assert only(with_(BASE, explanation=text)).rationales == [left]


@pytest.mark.parametrize(
    "raw",
    [
        with_(BASE, answer="Skip"),
        with_(BASE, answer="  SKIP. "),
        with_(OTHER, answer="The answer is: skip"),
        "Question: skip\nChoices: skip\nAnswer: skip\nExplanation: There are too few things.",
        "sKiP",
    ],
)
def test_skipped_in_any_case(raw: str) -> None:
    assert parse_reply(raw) is Reason.SKIPPED


@pytest.mark.parametrize(
    "text",
    [
        "skipping rope",
        "a Skipper's hat",
        "They skip stones",
        "well coordinated",
        "Coordinated dancers",
        "on the sand.",
        "a band and. And so on",
        "an island",
        "on an Island, and inland",
        "[STOP] on a sign",
        "the sign says [ no entry ]",
        "1,000",
        "2,500 , or 3.5",
        "a describing word",
        "located at the left",
        "located at 0.4 miles",
        "located at 5, Main Street",
        "located at x marks",
        "page [1 2 3 4]",
        "the years [1990 2000 2010]",
        "at (2.50 3.00) a piece",
        "the score [3 2]",
        "from 12:30 to 12:45",
        "the point (x=3, y=4)",
        "the line x = 0.5",
        "a sign that says ［止］",
        "1，000",
    ],
)
def test_words_that_only_look_like_it_are_kept_as_written(text: str) -> None:
    assert only(with_(BASE, question=f"Is it {text}")).question == f"Is it {text}"
    assert only(with_(BASE, explanation=f"It is {text}")).rationales == [f"It is {text}"]
    qa = only(with_(BASE, choices=f"(A) {text} (B) cat (C) cow (D) pig"))
    assert qa.choices == [text.rstrip(" ,"), "cat", "cow", "pig"]
    assert (
        only(
            with_(BASE, choices=f"(A) dog (B) {text} (C) cow (D) pig", answer=f"(B): {text}")
        ).correct_choice_idx
        == 1
    )


@pytest.mark.parametrize(
    "choices",
    [
        f"(A) dog {BOX} (B) dog {BOX_2} (C) cow (D) pig",
        f"A. the Dog ({BOX})\nB. a dog\nC. cow\nD. pig",
    ],
)
def test_choices_that_differ_only_by_their_box(choices: str) -> None:
    assert parse_reply(with_(BASE, choices=choices, answer="(C): cow")) is Reason.EQUAL_BUT_BOX


@pytest.mark.parametrize("end", ["", "\n", "\nExplanation:", "\nREASON:  \n", "\n**Explanations:**\n\n"])
def test_no_explanation_leaves_a_question_with_its_answer(end: str) -> None:
    for raw in (BASE, OTHER):
        qa = only(raw.partition("\nExplanation")[0] + end)
        assert qa.rationales == [] and len(qa.choices) == 4


def test_two_questions_are_both_kept_or_both_dropped() -> None:
    for raw in (f"{BASE}\n{OTHER}", f"1. {BASE}\n\n2. {OTHER}", f"### QA 1\n{BASE}\n---\n{OTHER}"):
        assert parse_reply(raw) in ([BASE_QA, OTHER_QA], Reason.REPEATED_PART)
    assert parse_reply(f"{BASE}\n\n{OTHER}") == [BASE_QA, OTHER_QA]
    assert parse_reply(f"{BASE}\n\n{with_(OTHER, answer='Skip')}") is Reason.SKIPPED
    assert parse_reply(f"{with_(OTHER, answer='(E)')}\n\n{BASE}") is Reason.OUTSIDE


def test_layouts_of_the_published_records() -> None:
    """Boxes in the middle and at the end of choices, choices that are sentences, both spellings of the last heading."""
    raw = (
        "Question: What will the boy do next?\n"
        f"Choices: (A) The boy will throw his sports ball {BOX} (B) The boy will look at the clock {BOX_2} "
        f"(C) The boy will put his backpack {BOX} away (D) The boy will go on eating a hot dog {BOX_2}\n"
        f"Answer: The answer is (C): The boy will put his backpack {BOX} away.\n"
        f"Explanations: He holds the backpack {BOX} open, and nobody plays with a sports ball {BOX}."
    )
    qa = only(raw)
    assert qa.choices == [
        "The boy will throw his sports ball",
        "The boy will look at the clock",
        "The boy will put his backpack away",
        "The boy will go on eating a hot dog",
    ]
    assert qa.correct_choice_idx == 2
    assert qa.rationales == ["He holds the backpack open, and nobody plays with a sports ball."]
    sentences = "(A) It will rain. (B) It will snow. (C) It stays dry. (D) A storm comes."
    qa = only(with_(BASE, choices=sentences, answer="The answer is (A): It will rain."))
    assert qa.choices == ["It will rain", "It will snow", "It stays dry", "A storm comes"]
    initials = "(A) the U.S. (B) the U.K. (C) the E.U. (D) the U.N."
    assert only(with_(BASE, choices=initials, answer="(B)")).choices[0] == "the U.S."
