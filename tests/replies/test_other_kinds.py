"""Replies with yes/no and open-ended QAs, and with 2 to 10 choices, in text, in prose and in JSON."""

import json

import pytest

from dataengine_lib.core.records import CHOICE, NO_ANSWER, OPEN, YES_NO, QaForm, Result, skip_text
from dataengine_lib.replies.drop_reasons import Reason
from dataengine_lib.replies.one_qa import Qa
from dataengine_lib.replies.parse import parse_reply, parse_result
from dataengine_lib.replies.qa_json import qa_schema, v1_text
from dataengine_lib.replies.result_rows import read_row

YES, OPENED = QaForm(YES_NO), QaForm(OPEN)
ASKED = "Question: Is there a dog in the picture?"


def dog(index: int, *rationales: str) -> list[Qa]:
    question = "Is there a dog in the picture?"
    return [
        Qa(question=question, choices=["yes", "no"], correct_choice_idx=index, rationales=list(rationales))
    ]


def counted(answer: str, *rationales: str) -> list[Qa]:
    question = "How many dogs are there?"
    return [
        Qa(
            question=question,
            choices=[],
            correct_choice_idx=NO_ANSWER,
            rationales=list(rationales),
            short_answer=answer,
        )
    ]


@pytest.mark.parametrize(
    ("reply", "found"),
    [
        (f"{ASKED}\nAnswer: Yes.\nExplanation: It lies there.", dog(0, "It lies there.")),
        (f"{ASKED}\nAnswer: no", dog(1)),
        (f"**{ASKED}**\n**Answer:** The answer is No.", dog(1)),
        (f"{ASKED} Answer: Yes. Explanation: It barks.", dog(0, "It barks.")),
        (f"{ASKED} Please answer yes or no.\nAnswer: No, only a cat is there.", dog(1)),
        (f"{ASKED}\nChoices: (A) Yes (B) No\nAnswer: (B) No", dog(1)),
        (f"{ASKED}\nChoices: none\nAnswer: No", dog(1)),
        ("Is there a dog in the picture? Yes, it lies on a sofa.", dog(0)),
        ("Q: Is there a dog in the picture?\nA: no\nThere is a cat.", dog(1, "There is a cat.")),
        (f"{ASKED}\nAnswer: Perhaps", Reason.NOT_YES_NO),
        (f"{ASKED}\nAnswer: Yes or no", Reason.NOT_YES_NO),
        (f"{ASKED}\nAnswer: Yesterday", Reason.NOT_YES_NO),
        (f"{ASKED}\nAnswer: (B)", Reason.NOT_YES_NO),
        (f"{ASKED}\nAnswer:", Reason.NO_ANSWER),
        (ASKED, Reason.NO_ANSWER),
        ("Question: How many dogs are there?\nAnswer: Yes", Reason.NOT_YES_NO_QUESTION),
        (f"{ASKED}\nChoices: (A) dog (B) cat\nAnswer: Yes", Reason.HAS_CHOICES),
        (f"{ASKED}\nAnswer: Yes\nExplanation: So the answer is no.", Reason.CONTRADICTS),
        (f"{ASKED}\nAnswer: Yes\nAnswer: No", Reason.REPEATED_PART),
        (f"{ASKED}\nAnswer: Yes\n\n{ASKED}\nAnswer: No", Reason.CONTRADICTS),
        (skip_text("Nothing is known.", YES), Reason.SKIPPED),
        ("Is there a dog? Is there a cat? Yes.", Reason.NO_QUESTION),
        ("Question: Please answer yes or no.\nAnswer: Yes", Reason.NO_QUESTION),
        (f"{ASKED}\nAnswer: Yes\nExplanation: As the description says.", Reason.DESCRIPTION),
        (f"{ASKED}\nAnswer: Yes\nExplanation: In the bounding box.", Reason.BOXES),
        (f"{ASKED}\nAnswer: Yes <|im_end|> no", Reason.TOKEN),
    ],
)
def test_yes_no_replies(reply: str, found: list[Qa] | Reason) -> None:
    assert parse_reply(reply, form=YES) == found


COUNT = "Question: How many dogs are there?"


@pytest.mark.parametrize(
    ("reply", "found"),
    [
        (f"{COUNT}\nAnswer: 2\nExplanation: Two lie there.", counted("2", "Two lie there.")),
        (f"{COUNT}\nShort answer: two.", counted("two")),
        (f"{COUNT}\nShort answer: two\nAnswer: The answer is two dogs.", counted("two")),
        (f"{COUNT} Answer: two Explanation: They lie there.", counted("two", "They lie there.")),
        ("How many dogs are there? 2", counted("2")),
        (f"{COUNT}\nShort answer: two\nAnswer: three", Reason.SHORT_DISAGREES),
        (f"{COUNT}\nAnswer: There are two brown dogs on a sofa.", Reason.LONG_ANSWER),
        (f"{COUNT}\nAnswer: cannot tell", Reason.NO_ANSWER),
        (f"{COUNT}\nAnswer: -", Reason.NO_ANSWER),
        (f"{COUNT}\nChoices: (A) 1 (B) 2\nAnswer: 2", Reason.HAS_CHOICES),
        ("Question: Which of these is a dog?\nAnswer: spaniel", Reason.NEEDS_CHOICES),
        ("Question: Which of the following options fits?\nAnswer: dog", Reason.NEEDS_CHOICES),
        (f"{COUNT}\nAnswer: at [0.1, 0.2, 0.3, 0.4]", Reason.BOXES),
        (skip_text("Nothing is known.", OPENED), Reason.SKIPPED),
    ],
)
def test_open_replies(reply: str, found: list[Qa] | Reason) -> None:
    assert parse_reply(reply, form=OPENED) == found


def structured(content: object, form: QaForm) -> list[Qa] | Reason:
    reply = json.dumps(content)
    row = Result(
        image_id=1,
        raw_instructions=v1_text(reply, form),
        question_type="t",
        reply_json=reply,
        answer_kind=form.kind,
        n_choices=form.n_choices,
    )
    from_json = parse_result(row)
    row.reply_json = ""
    assert parse_result(row) == from_json
    return from_json


def test_structured_replies_are_read_from_json_and_from_their_text() -> None:
    qa = {
        "question": "Is there a dog in the picture?",
        "answer": "No",
        "explanation": "",
        "skip": False,
        "reason": "",
    }
    assert structured(qa, YES) == dog(1)
    assert structured({**qa, "answer": True}, YES) == dog(0)
    assert structured({**qa, "answer": "maybe"}, YES) is Reason.NOT_YES_NO
    assert structured({**qa, "skip": True, "reason": "?"}, YES) is Reason.SKIPPED
    assert structured([qa, {**qa, "answer": "yes"}], YES) is Reason.CONTRADICTS
    many = {**qa, "question": "How many dogs are there?"}
    assert structured({**many, "answer": 3}, OPENED) == counted("3")
    assert structured({"qa": {"Question": many["question"], "Answer": "three"}}, OPENED) == counted("three")
    assert structured({**many, "answer": "two", "correct_answer": "three"}, OPENED) is Reason.NO_ANSWER


def test_schemas_hold_the_fields_of_their_kind() -> None:
    names = ["question", "answer", "explanation", "skip", "reason"]
    prompt = "\nShort answer: <of multiple choice alone>"
    assert (
        list(qa_schema(prompt, YES)["properties"]) == list(qa_schema(prompt, OPENED)["properties"]) == names
    )
    assert qa_schema("", YES)["properties"]["answer"]["enum"] == ["Yes", "No"]
    assert qa_schema("", OPENED)["properties"]["answer"] == {"type": "string"}
    assert qa_schema("", QaForm(CHOICE, 6))["properties"]["answer"]["enum"] == list("ABCDEF")


@pytest.mark.parametrize("count", range(2, 11))
def test_as_many_choices_as_asked_for(count: int) -> None:
    words = ["red", "blue", "pink", "grey", "black", "white", "green", "brown", "purple", "orange"][:count]
    letters, form = "ABCDEFGHIJ", QaForm(CHOICE, count)
    line = " ".join(f"({letters[place]}) {word}" for place, word in enumerate(words))
    last = letters[count - 1]
    expected = [Qa(question="Which?", choices=words, correct_choice_idx=count - 1)]
    for text in (line, "\n" + line.replace(" (", "\n(").replace("(", "").replace(")", ".")):
        assert parse_reply(f"Question: Which?\nChoices: {text}\nAnswer: {last}", form=form) == expected
    for other in {2, 4, 10} - {count}:
        reason = Reason.NOT_FOUR if other == 4 else Reason.OTHER_NUMBER
        reply = f"Question: Which?\nChoices: {line}\nAnswer: A"
        assert parse_reply(reply, form=QaForm(CHOICE, other)) is reason
    qa = {
        "question": "Which?",
        "choices": words,
        "answer": last,
        "explanation": "",
        "skip": False,
        "reason": "",
    }
    assert structured(qa, form) == expected
    assert structured({**qa, "choices": words[1:]}, form) is (
        Reason.NOT_FOUR if count == 4 else Reason.OTHER_NUMBER
    )


def test_a_row_of_an_unknown_kind_is_malformed() -> None:
    row = {"image_id": 1, "raw_instructions": f"{ASKED}\nAnswer: Yes", "question_type": "t"}
    assert not isinstance(read_row(json.dumps({**row, "answer_kind": YES_NO}).encode()), str)
    assert "answer_kind 'yesno'" in str(read_row(json.dumps({**row, "answer_kind": "yesno"}).encode()))
    assert "n_choices 11" in str(read_row(json.dumps({**row, "n_choices": 11}).encode()))


SIX = "Question: Which?\nChoices: (A) red (B) blue (C) pink (D) grey (E) black (F) white\n"


def six(correct: int, *rationales: str, short_answer: str = "") -> list[Qa]:
    return [
        Qa(
            question="Which?",
            choices=["red", "blue", "pink", "grey", "black", "white"],
            correct_choice_idx=correct,
            rationales=list(rationales),
            short_answer=short_answer,
        )
    ]


@pytest.mark.parametrize(
    ("reply", "found"),
    [
        ("Answer: (B)\nShort answer: (E)", Reason.SHORT_DISAGREES),
        ("Answer: (E)\nShort answer: (E)", six(4)),
        ("Answer: (E)\nShort answer: F.", Reason.SHORT_DISAGREES),
        ("Answer: (B)\nShort answer: G", six(1, short_answer="G")),  # no letter of six choices
        ("Answer: (B)\nExplanation: The correct answer is (E).", Reason.CONTRADICTS),
        ("Answer: (B)\nExplanation: So the answer is F.", Reason.CONTRADICTS),
        ("Answer: (B)\nExplanation: (F) is correct because it snows.", Reason.CONTRADICTS),
        ("Answer: (E)\nExplanation: The correct answer is (E).", six(4, "The correct answer is (E).")),
    ],
)
def test_letters_after_d_of_six_choices(reply: str, found: list[Qa] | Reason) -> None:
    assert parse_reply(SIX + reply, form=QaForm(CHOICE, 6)) == found


def test_letters_after_h_of_ten_choices() -> None:
    line = " ".join(f"({letter}) {letter.lower() * 3}" for letter in "ABCDEFGHIJ")
    asked, form = f"Question: Which?\nChoices: {line}\nAnswer: ", QaForm(CHOICE, 10)
    assert parse_reply(f"{asked}(J): skip", form=form) is Reason.SKIPPED
    assert parse_reply(f"{asked}(B) bbb, not (J)", form=form) is Reason.DISAGREE
    found = parse_reply(f"{asked}(B) bbb, not it", form=form)
    assert isinstance(found, list) and found[0].correct_choice_idx == 1


def test_letters_after_d_name_none_of_four_choices() -> None:
    four = SIX.replace(" (E) black (F) white", "")
    found = parse_reply(f"{four}Answer: (B)\nShort answer: E\nExplanation: The best choice is E.")
    assert isinstance(found, list)
    assert (found[0].short_answer, found[0].rationales) == ("E", ["The best choice is E."])
