"""Every row of the post-processing table, each with hostile variants, and the time that long replies take."""

import random
import time

import pytest

from dataengine_lib.replies import parse as parse_module
from dataengine_lib.replies.boxes_in_text import without_boxes
from dataengine_lib.replies.drop_reasons import Reason
from dataengine_lib.replies.one_qa import Qa
from dataengine_lib.replies.parse import MAX_CHARACTERS, parse_reply

BASE = (
    "Question: Which?\nChoices: (A) dog (B) cat (C) cow (D) pig\n"
    "Answer: The answer is (B): cat.\nExplanation: It is a cat."
)
ANIMALS = ["dog", "cat", "cow", "pig"]
WHY = "Explanation: It is a cat."
BOX, OTHER = "[0.1, 0.2, 0.3, 0.4]", "[0.5, 0.606, 0.75, 1.0]"


def one(raw: str, **options: bool) -> Qa:
    parsed = parse_reply(raw, **options)
    assert isinstance(parsed, list), parsed
    assert len(parsed) == 1
    return parsed[0]


def swap(**parts: str) -> str:
    """The base reply with some of its parts replaced."""
    known = {
        "question": "Which?",
        "choices": "(A) dog (B) cat (C) cow (D) pig",
        "answer": "The answer is (B): cat.",
        "explanation": "It is a cat.",
    } | parts
    return (
        f"Question: {known['question']}\nChoices: {known['choices']}\n"
        f"Answer: {known['answer']}\nExplanation: {known['explanation']}"
    )


def test_base() -> None:
    assert one(BASE) == Qa(
        question="Which?", choices=ANIMALS, correct_choice_idx=1, rationales=["It is a cat."]
    )


@pytest.mark.parametrize(
    "word",
    [
        "Reason",
        "Reasoning",
        "Lecture",
        "Explanatory note",
        "Explaination",
        "Explanations",
        "EXPLANATION",
        "explanation",
    ],
)
def test_headings_of_the_rationale(word: str) -> None:
    raw = BASE.replace("Explanation: It is a cat.", f"{word}: It has whiskers.\nIt purrs.\n\nSo it is a cat.")
    assert one(raw).rationales == ["It has whiskers. It purrs. So it is a cat."]


@pytest.mark.parametrize(
    "raw",
    [
        "Question: Which?\nChoices:\n(A) dog\n(B) cat\n(C) cow\n(D) pig\n"
        "Answer: The answer is (b): cat.\nReason: It is a cat.",
        f"Question: Which?\nChoices:\n  (a) dog\n  (b) cat\n  (c) cow\n  (d) pig\nAnswer: (b)\n{WHY}",
        f"Question: Which?\r\nChoices: A. dog B. cat C. cow D. pig\r\nAnswer: B\r\n{WHY}",
        f"Question: Which?\nChoices: A) dog B) cat C) cow D) pig\nAnswer: B) cat\n{WHY}",
        f"Question: Which?\nA. dog\nB. cat\nC. cow\nD. pig\nAnswer: B. cat\n{WHY}",
        "**Question:** Which?\n**Choices:**\n- **(A)** dog\n- **(B)** cat\n- **(C)** cow\n- **(D)** pig\n\n"
        "**Answer:** The answer is **(B): cat**.\n\n**Explanation:** It is a cat.",
        "### Question\nWhich?\n\n### Choices\nA: dog\nB: cat\nC: cow\nD: pig\n\n"
        "### Answer\nB\n\n### Explanation\nIt is a cat.",
        "Sure, here it is.\n\n---\nQuestion 1: Which?\nOptions: [A] dog, [B] cat, [C] cow, [D] pig\n"
        f"Correct answer: [B] cat\n{WHY}",
        "Question: Which? Choices: (A) dog; (B) cat; (C) cow; (D) pig "
        f"Answer: The correct answer is option (B), cat. {WHY}",
        "Question： Which?\nChoices： （A） dog （B） cat （C） cow （D） pig\n"
        "Answer： （B）\nExplanation： It is a cat.",
        BASE.replace("Answer: The answer is", "The answer is"),
        BASE.replace("(B): cat", "cat"),
        BASE.replace("Which?", "Which?\nQuestion type: identity reasoning"),
        "Explanation: It is a cat.\n" + BASE,
    ],
)
def test_layouts(raw: str) -> None:
    assert one(raw) == Qa(
        question="Which?", choices=ANIMALS, correct_choice_idx=1, rationales=["It is a cat."]
    )


@pytest.mark.parametrize(
    ("written", "choices"),
    [
        ("(A) dog (brown) (B) dog (black) (C) cow (D) pig", ["dog (brown)", "dog (black)", "cow", "pig"]),
        (
            "(A) dog\n(B) the one (C) stands for\n(C) cow\n(D) pig",
            ["dog", "the one (C) stands for", "cow", "pig"],
        ),
        ("(A) 1,000 (B) 2,000 (C) 3.5 (D) [STOP]", ["1,000", "2,000", "3.5", "[STOP]"]),
        (
            "(A) on the sand. (B) on an island (C) coordinated (D) skipping rope",
            ["on the sand.", "on an island", "coordinated", "skipping rope"],
        ),
        ("(A) a.m. (B) p.m. (C) U.S. flag (D) E", ["a.m.", "p.m.", "U.S. flag", "E"]),
        ("A. ice cream\nB. vitamin\n   water\nC. cow\nD. pig", ["ice cream", "vitamin water", "cow", "pig"]),
    ],
)
def test_choices_as_written(written: str, choices: list[str]) -> None:
    qa = one(swap(choices=written, answer="(B)"))
    assert (qa.choices, qa.correct_choice_idx) == (choices, 1)


@pytest.mark.parametrize(
    ("reason", "parts"),
    [
        (Reason.EMPTY_CHOICE, {"choices": "(A) dog (B) cat (C) (D) pig"}),
        (Reason.EMPTY_CHOICE, {"choices": "(A) dog\n(B) cat\n(C) ...\n(D) pig"}),
        (Reason.EQUAL_CHOICES, {"choices": "(A) dog (B) cat (C) dog (D) pig"}),
        (Reason.EQUAL_CHOICES, {"choices": "(A) a dog (B) cat (C) Dog. (D) pig"}),
        (Reason.NOT_FOUR, {"choices": "(A) dog (B) cat (C) cow"}),
        (Reason.NOT_FOUR, {"choices": "(A) dog (B) cat (C) cow (D) pig (E) hen"}),
        (Reason.NOT_FOUR, {"choices": "(A) dog (C) cow (B) cat (D) pig"}),
        (Reason.NO_CHOICES, {"choices": "dog, cat, cow, pig"}),
        (Reason.NO_CHOICES, {"choices": ""}),
        (Reason.OUTSIDE, {"answer": "The answer is (E): cat."}),
        (Reason.OUTSIDE, {"answer": "Z"}),
        (Reason.DISAGREE, {"answer": "The answer is (A): cat."}),
        (Reason.DISAGREE, {"answer": "(B): dog"}),
        (Reason.DISAGREE, {"answer": "(B): horse"}),
        (Reason.DISAGREE, {"answer": "(B) or (C)"}),
        (Reason.DISAGREE, {"answer": "(B): cat. Or is it (C)?"}),
        (Reason.DISAGREE, {"choices": "(A) X (B) C (C) B (D) D", "answer": "B"}),
        (Reason.NO_ANSWER, {"answer": ""}),
        (Reason.NO_ANSWER, {"answer": "none of them"}),
        (Reason.NO_QUESTION, {"question": " "}),
        (Reason.REPEATED_PART, {"answer": "(B): cat.\nAnswer: (C): cow."}),
    ],
)
def test_what_is_not_one_question_with_one_answer(reason: Reason, parts: dict[str, str]) -> None:
    assert parse_reply(swap(**parts)) is reason


def test_answers_that_agree() -> None:
    for answer in (
        "(B): a cat",
        "(B) Cat!",
        "B. cat, because it has whiskers",
        'The answer is (B): "cat".',
        "b",
        "cat",
    ):
        assert one(swap(answer=answer)).correct_choice_idx == 1
    assert one(swap(choices="(A) X (B) a cat (C) Y (D) Z", answer="A cat")).correct_choice_idx == 1


@pytest.mark.parametrize(
    "text",
    [
        f"The dog is located at {BOX}.",
        "The dog is LOCATED AT [..].",
        f"located at: {BOX}",
        "Its Bounding Box is large.",
        "the bounding-box",
        "The COORDINATES say so.",
        "the x coordinate is low",
        f"It sits at {BOX}.",
        f"{BOX} is a dog.",
        f"The dog occupies {BOX}.",
        f"The cat and {BOX} play.",
        f"In the region {BOX} a dog sits.",
        "dog 0.1, 0.2, 0.3, 0.4 runs",
        "The dog [0.1, 0.2, 0.3",
    ],
)
@pytest.mark.parametrize("part", ["question", "explanation"])
def test_text_that_leans_on_boxes_is_dropped(text: str, part: str) -> None:
    assert parse_reply(swap(**{part: text})) is Reason.BOXES


def test_description_counts_in_the_rationale_only() -> None:
    for text in ("The description says so.", "By the DESCRIPTIONS, it is."):
        assert parse_reply(swap(explanation=text)) is Reason.DESCRIPTION
    assert one(swap(question="Which description fits?")).question == "Which description fits?"
    assert one(swap(explanation="It is described well.")).rationales


@pytest.mark.parametrize(
    ("text", "without"),
    [
        (f"The cat {BOX} is seen clinging.", "The cat is seen clinging."),
        (f"What are the people {BOX} and {OTHER} engaging in?", "What are the people engaging in?"),
        (
            f"Two people {BOX}, {OTHER} are moving with skis {BOX} and {OTHER}.",
            "Two people are moving with skis.",
        ),
        (f"The dog ({BOX}) runs to the man (at {OTHER}), who waits.", "The dog runs to the man, who waits."),
        ("The dog (0.1, 0.2, 0.3, 0.4) is here.", "The dog is here."),
        (f"people and {BOX} are engaging", None),
        (f"people {BOX} and are {OTHER} engaging", None),
        ("a [STOP] sign, 1,000 people, [12:30], (2, 3)", "a [STOP] sign, 1,000 people, [12:30], (2, 3)"),
        ("on the sand. An island, a band, and, hand", "on the sand. An island, a band, and, hand"),
    ],
)
def test_boxes_leave_no_hole(text: str, without: str | None) -> None:
    assert without_boxes(text) == without
    parsed = parse_reply(swap(explanation=text))
    assert parsed is Reason.BOXES if without is None else one(swap(explanation=text)).rationales == [without]


def test_choices_with_boxes() -> None:
    equal = f"(A) dog {BOX} (B) dog {OTHER} (C) cow (D) pig"
    assert parse_reply(swap(choices=equal, answer="(C): cow")) is Reason.EQUAL_BUT_BOX
    only = f"(A) {BOX} (B) {OTHER} (C) [0.1, 0.1, 0.2, 0.2] (D) [0, 0, 1, 1]"
    assert parse_reply(swap(choices=only, answer="(A)")) is Reason.EQUAL_BUT_BOX
    beside = one(swap(choices=f"(A) dog {BOX} (B) cat {OTHER} (C) cow (D) pig", answer=f"(B): cat {OTHER}."))
    assert (beside.choices, beside.correct_choice_idx) == (ANIMALS, 1)
    assert parse_reply(swap(choices=f"(A) at {BOX} (B) cat (C) cow (D) pig")) is Reason.BOXES


@pytest.mark.parametrize(
    "raw",
    [
        "Skip",
        "SKIP.",
        "**skip**",
        "Question: Skip\nChoices: Skip\nAnswer: Skip\nExplanation: Not enough.",
        swap(answer="skip"),
        swap(answer="The answer is SKIP."),
        swap(answer="The answer is (A): Skip."),
        swap(answer="Skip, since nothing fits"),
        swap(answer="Skip - no data"),
        "Answer: Skip",
        "I would skip this one.",
        swap(question="Skip."),
        BASE + "\n\nQuestion: Skip",
    ],
)
def test_skip(raw: str) -> None:
    assert parse_reply(raw) is Reason.SKIPPED


def test_words_that_only_look_like_skip_are_kept() -> None:
    choices = "(A) skipping rope (B) a skipper (C) skip rope (D) run"
    for letter, text in (("A", "skipping rope"), ("B", "a skipper"), ("C", "skip rope")):
        qa = one(
            swap(
                question="Does she skip?",
                choices=choices,
                answer=f"({letter}): {text}",
                explanation="Skip is a game.",
            )
        )
        assert qa.choices[qa.correct_choice_idx] == text
        assert qa.rationales == ["Skip is a game."]


@pytest.mark.parametrize("end", ["", "\nExplanation:", "\nExplanation: ...", "\nExplanation:\n\n"])
def test_no_explanation(end: str) -> None:
    assert one(BASE.partition("\nExplanation")[0] + end).rationales == []


def test_two_questions_are_both_taken_or_both_dropped() -> None:
    second = BASE.replace("Which?", "What?")
    for raw in (
        f"{BASE}\n\n{second}",
        f"1. {BASE}\n2. {second}",
        BASE.replace("\n", " ") + " " + second.replace("\n", " "),
    ):
        parsed = parse_reply(raw)
        assert isinstance(parsed, list)
        assert [qa.question for qa in parsed] == ["Which?", "What?"]
        assert {qa.rationales[0] for qa in parsed} == {"It is a cat."}
    assert parse_reply(BASE + "\n" + second.replace("(B): cat", "(A): cat")) is Reason.DISAGREE


def test_cut_off_replies() -> None:
    assert one(BASE, truncated=True).rationales == []
    assert parse_reply(BASE.partition("\nExplanation")[0], truncated=True) is Reason.TRUNCATED
    assert parse_reply(BASE + "\n\nQuestion: Wh", truncated=True) is Reason.TRUNCATED


@pytest.mark.parametrize(
    "raw", ["", " \n", "\0", "I cannot help with that.", "{}", "🙂" * 50, "Choices: (A) a (B) b"]
)
def test_no_question(raw: str) -> None:
    assert parse_reply(raw) is Reason.NO_QUESTION


def test_long_replies_are_dropped() -> None:
    assert parse_reply(BASE + " It is." * MAX_CHARACTERS) is Reason.TOO_LONG


@pytest.mark.parametrize("prefix", ["", BASE, "Question: x\nChoices: (A) ", "Answer: (B) "])
def test_time_grows_no_faster_than_the_reply(monkeypatch: pytest.MonkeyPatch, prefix: str) -> None:
    monkeypatch.setattr(parse_module, "MAX_CHARACTERS", 2**30)
    pieces = [
        " ",
        "\n",
        "(A) ",
        "(A",
        "[0.1, 0.2, ",
        "[",
        "Question: ",
        "a",
        "[0.1,0.2] and ",
        "A. ",
        "the ",
        "0.1, ",
        "* ",
        "1.",
        "(",
        " \n",
        "skip ",
        "located at ",
        "-",
        "_",
        "#",
        "\u00a0",
        "The answer is ",
        "\n- (A) x",
        "dog ([0.1,0.2]) ",
        "0.1 ",
        "[0 ",
        "[0.1 0.2 ",
        "(x1=0.1, ",
        "x=0.1 and ",
        "［0.1，",
        "ing [0.1,0.2] ",
    ]
    for piece in pieces:
        begun = time.process_time()
        parse_reply(prefix + piece * (300_000 // len(piece)))
        assert time.process_time() - begun < 2, piece


def test_any_mixture_of_pieces_is_parsed_or_dropped() -> None:
    rng = random.Random(0)
    pieces = [
        "Question:",
        "Which?",
        "Choices:",
        "(A) dog",
        "(B) cat",
        "(C) cow",
        "(D) pig",
        "Answer:",
        "The answer is",
        "(B): cat.",
        "Explanation:",
        "\n",
        " ",
        BOX,
        "and",
        "Skip",
        "**",
        "A.",
        "(",
        ")",
        "[",
        "\0",
        "é",
        "Question type: x",
        "\n\n",
    ]
    for _ in range(3000):
        parsed = parse_reply(" ".join(rng.choices(pieces, k=rng.randint(1, 25))))
        if isinstance(parsed, list):
            for qa in parsed:
                assert qa.question
                assert len({*qa.choices}) == 4
                assert 0 <= qa.correct_choice_idx < 4
                assert "[0." not in " ".join([qa.question, *qa.choices, *qa.rationales])
        else:
            assert isinstance(parsed, Reason)


def test_replies_cut_at_any_character_are_parsed_or_dropped() -> None:
    for end in range(len(BASE)):
        parsed = parse_reply(BASE[:end])
        assert isinstance(parsed, Reason) or parsed[0].choices[parsed[0].correct_choice_idx] == "cat"


SHORT = BASE.replace("\nChoices", "\nShort answer: cat\nChoices")


@pytest.mark.parametrize(
    "raw",
    [
        SHORT,
        SHORT.replace("Short answer: cat", "**Direct answer:** cat."),
        SHORT.replace("Short answer: cat", "The short answer is cat"),
        SHORT.replace("\n", " "),
        BASE + "\nShort answer: cat",
        BASE.replace("\nExplanation", "\nShort Answer: cat\nExplanation"),
        SHORT.replace("cat\nChoices", f"cat {BOX}\nChoices"),
    ],
)
def test_a_short_answer_is_read_wherever_it_stands(raw: str) -> None:
    assert one(raw) == Qa(
        question="Which?",
        choices=ANIMALS,
        correct_choice_idx=1,
        rationales=["It is a cat."],
        short_answer="cat",
    )


def test_short_answers_as_people_give_them() -> None:
    assert one(SHORT.replace("answer: cat", "answer: The U.S. flag")).short_answer == "The U.S. flag"
    assert one(SHORT.replace("answer: cat", "answer: a kitten")).short_answer == "a kitten"
    assert one(SHORT.replace("answer: cat", "answer: ")).short_answer == ""
    two = one(f"{SHORT}\n\n{BASE.replace('Which?', 'Who?')}".partition("\n\n")[0])
    assert two.short_answer == "cat"
    both = parse_reply(f"{SHORT}\n\n{BASE.replace('Which?', 'Who?')}")
    assert isinstance(both, list) and [qa.short_answer for qa in both] == ["cat", ""]


@pytest.mark.parametrize(
    ("short", "reason"),
    [
        ("A Dog.", Reason.SHORT_DISAGREES),
        ("Skip", Reason.SKIPPED),
        (f"the one at {BOX}", Reason.BOXES),
        ("cat\nShort answer: dog", Reason.REPEATED_PART),
    ],
)
def test_a_short_answer_that_will_not_do_drops_the_reply(short: str, reason: Reason) -> None:
    assert parse_reply(SHORT.replace("answer: cat", f"answer: {short}")) is reason


def test_words_about_a_short_answer_are_text() -> None:
    for text in ("He gives a short answer to her.", "Which sign gives a direct answer: this or that?"):
        assert one(swap(question=text)).question == text
        assert one(swap(explanation=text)).rationales == [text]
    assert one(swap(choices="(A) short answer (B) cat (C) no answer (D) pig")).choices[0] == "short answer"


LINES = "Question: Which animal?\nChoices:\n(A) dog\n(B) cat\n(C) cow\n(D) pig\n"
IS_CAT = Qa(question="Which animal?", choices=ANIMALS, correct_choice_idx=1, rationales=["It is a cat."])


@pytest.mark.parametrize(
    "name",
    [
        "Final Answer", "FINAL ANSWER", "Right answer", "The Right Answer", "Best Answer", "My Answer",
        "Expected Answer", "Ground Truth Answer", "Suggested Answer", "Correct Choice", "The correct option",
        "**Final Answer**", "### Gold answer",
    ],
)  # fmt: skip
def test_other_names_of_the_answer(name: str) -> None:
    assert one(f"{LINES}{name}: (B) cat\n{WHY}") == IS_CAT
    assert one(f"{LINES}The final answer is (B) cat.\n{WHY}") == IS_CAT


@pytest.mark.parametrize("name", ["Detailed Explanation", "My reasoning", "Step-by-step Reasoning"])
def test_other_names_of_the_explanation(name: str) -> None:
    assert one(f"{LINES}Answer: (B) cat\n{name}: It is a cat.") == IS_CAT


@pytest.mark.parametrize(
    "name",
    [
        "Multiple Choice Options",
        "Possible choices",
        "The options",
        "Choose one",
        "Possible answers",
        "选项",
        "Option",
    ],
)
@pytest.mark.parametrize("between", [" ", "\n"])
def test_other_names_of_the_choices(name: str, between: str) -> None:
    raw = f"Question: Which animal?\n{name}:{between}(A) dog (B) cat (C) cow (D) pig\nAnswer: B\n{WHY}"
    assert one(raw) == IS_CAT


@pytest.mark.parametrize(
    "name", ["New Question", "The question", "Multiple-choice question", "Here is another:\nQuestion"]
)
def test_other_names_of_the_question(name: str) -> None:
    parsed = parse_reply(
        f"{BASE}\n{name}: Which animal?\nChoices: (A) dog (B) cat (C) cow (D) pig\nAnswer: B\n{WHY}"
    )
    assert isinstance(parsed, list) and parsed[0].rationales == ["It is a cat."] and parsed[1:] == [IS_CAT]


@pytest.mark.parametrize(
    "name", ["Chosen Answer", "Verified answer", "Most Likely Answer", "Answer Key", "Antwort"]
)
def test_headings_of_unknown_names_are_part_of_nothing(name: str) -> None:
    assert parse_reply(f"{LINES}{name}: (B) cat\n{WHY}") in (Reason.NO_ANSWER, Reason.NOT_FOUR)


@pytest.mark.parametrize(
    "line",
    [
        "Choose the best one.",
        "Correct: B",
        "[Hint: whiskers]",
        "Difficulty: easy",
        "E. None",
        "(Only one is right.)",
    ],
)
def test_lines_behind_the_choices_are_no_part_of_the_last(line: str) -> None:
    assert parse_reply(f"{LINES}{line}\nAnswer: (B) cat\n{WHY}") is Reason.NOT_FOUR
    one_line = swap(choices=f"(A) dog (B) cat (C) cow (D) pig\n{line}")
    assert parse_reply(one_line) is Reason.NOT_FOUR
    assert (
        one(f"{LINES}\n{line}\nAnswer: (B) cat\n{WHY}") == IS_CAT
    )  # behind an empty line it is no choice anyway


def test_choices_that_go_on_over_lines_are_whole() -> None:
    written = "(A) a dog\nin the rain\n(B) a cat\n(C) a cow\n(D) a pig\nin the mud"
    assert one(swap(choices=written, answer="(B)")).choices == [
        "a dog in the rain",
        "a cat",
        "a cow",
        "a pig in the mud",
    ]


@pytest.mark.parametrize(
    "cat", ["cat (correct)", "cat ✅", "cat ✓", "cat*", "cat *", "cat (Correct answer)", "cat (incorrect)"]
)
def test_choices_that_are_marked_as_right_or_wrong(cat: str) -> None:
    assert parse_reply(swap(choices=f"(A) dog (B) {cat} (C) cow (D) pig", answer="B")) is Reason.MARKED


@pytest.mark.parametrize(
    "choices",
    [
        "(A) dog, (B) cat, (C) cow, or (D) pig",
        "A) dog B) cat C) cow and D) pig",
        "(A) dog or (B) cat or (C) cow or (D) pig",
    ],
)
def test_words_that_only_list(choices: str) -> None:
    assert one(swap(choices=choices, answer="(B)")).choices == ANIMALS


def test_choices_inside_the_question_s_sentence() -> None:
    raw = f"Question: Which animal is it, (A) dog, (B) cat, (C) cow, or (D) pig?\nAnswer: B\n{WHY}"
    assert parse_reply(raw) is Reason.NO_CHOICES


@pytest.mark.parametrize("tag", ["think", "thinking"])
def test_drafts_inside_thoughts_are_none(tag: str) -> None:
    draft = f"<{tag}>\n{swap(answer='(A) dog', explanation='no, that is wrong.')}\n</{tag}>\n"
    assert one(draft + BASE) == one(BASE)
    assert parse_reply(f"<{tag}>\n{BASE}") is Reason.NO_QUESTION
    assert one(swap(explanation="I think it is a cat.")).rationales == ["I think it is a cat."]


@pytest.mark.parametrize(
    ("choices", "answer", "right"),
    [
        ("(A) -5 (B) 5 (C) 10 (D) 0", "(A) -5", 0),
        ("(A) -5 (B) 5 (C) 10 (D) 0", "(B) -5", None),
        ("(A) 5 (B) -5 (C) 10 (D) 0", "(A): -5", None),
        ("(A) 5 (B) -5 (C) 10 (D) 0", "(A) - 5", 0),
        ("(A) dog (B) cat (C) cow (D) pig", "B - cat", 1),
        ("(A) dog (B) cat (C) cow (D) pig", "B -cat", 1),
    ],
)
def test_a_minus_is_a_sign(choices: str, answer: str, right: int | None) -> None:
    if right is None:
        assert parse_reply(swap(choices=choices, answer=answer)) is Reason.DISAGREE
    else:
        assert one(swap(choices=choices, answer=answer)).correct_choice_idx == right


@pytest.mark.parametrize(
    "token", ["<image>", "<IMAGE>", "<|im_start|>", "<|endoftext|>", "<s>", "</s>", "<video>"]
)
def test_special_tokens(token: str) -> None:
    assert parse_reply(swap(explanation=f"It is {token} a cat.")) is Reason.TOKEN
    assert parse_reply(swap(question=f"Which {token}?")) is Reason.TOKEN


@pytest.mark.parametrize("token", ["<|im_end|>", "</s>", "\n<|eot_id|>", " <|im_end|>\n"])
def test_the_token_at_the_end_is_cut_off(token: str) -> None:
    assert one(BASE + token) == one(BASE)
    assert one(f"{LINES}Answer: B{token}").correct_choice_idx == 1


@pytest.mark.parametrize(
    ("explanation", "says"),
    [
        ("The correct answer is (A) dog.", False),
        ("It is a dog, so (A) is correct.", False),
        ("So the answer is: 'C'.", False),
        ("The best choice is D.", False),
        ("The correct answer is (B), not (A).", True),
        ("Neither (A) nor (C) is correct.", True),
        ("(A) is not correct.", True),
        ("The answer is a cat, in the picture (A) is right of it.", True),
        ("One other option is (C).", True),
    ],
)
def test_a_rationale_that_calls_another_letter_right(explanation: str, says: bool) -> None:
    parsed = parse_reply(swap(answer="(B) cat", explanation=explanation))
    assert isinstance(parsed, list) if says else parsed is Reason.CONTRADICTS


def test_a_reply_that_takes_its_answer_back() -> None:
    again = BASE.replace("(B): cat", "(A): dog").replace("a cat", "a dog")
    assert parse_reply(f"{again}\n\nWait, corrected:\n{BASE}") is Reason.CONTRADICTS
    moved = swap(choices="(A) cat (B) dog (C) cow (D) pig", answer="(A) cat")
    assert isinstance(parse_reply(f"{BASE}\n\n{moved}"), list)


@pytest.mark.parametrize(
    ("choices", "answer"),
    [
        ("（A）狗（B）猫（C）牛（D）猪", "（B）猫。"),
        ("（Ａ）狗（Ｂ）猫（Ｃ）牛（Ｄ）猪", "（Ｂ）猫"),
        ("(A) „Hund“ (B) „Katze“ (C) „Kuh“ (D) „Schwein“", "(B) Katze"),
        ("(A) «chien» (B) «chat» (C) «vache» (D) «cochon»", "(B): chat."),
    ],
)
def test_marks_of_other_languages(choices: str, answer: str) -> None:
    assert one(swap(choices=choices, answer=answer)).correct_choice_idx == 1
