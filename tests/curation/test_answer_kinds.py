"""Step 4 with yes/no and open-ended QAs, and with other numbers of choices: read, checked, ordered, counted, reviewed."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from made_records import candidate_of

from dataengine_lib.annotations.facts import ImageFacts
from dataengine_lib.core.files import read_json, write_jsonl
from dataengine_lib.core.records import Question, Result, TrainRecord, options_text
from dataengine_lib.curation.boxes.check import REFUTED, SUPPORTED, judge
from dataengine_lib.curation.leaks import EvaluationSet
from dataengine_lib.curation.near_duplicates import NearDuplicates
from dataengine_lib.curation.option_order import OptionOrder
from dataengine_lib.curation.reader_votes import blind_result, found, second_result, voted_choice
from dataengine_lib.curation.readers.kinds import OTHER_ANSWER, SAME_ANSWER, answer_schema, named_answer
from dataengine_lib.curation.readers.reader_prompt import BLIND_READER, SECOND_READER, load_reader_prompt
from dataengine_lib.curation.readers.second_reader import CANNOT_SAY
from dataengine_lib.errors import ParameterError
from dataengine_lib.images.pool import NamedBox, PoolImage
from dataengine_lib.steps.post_process import PostProcessConfig, post_process


def record(question: str, image: int = 1, **fields: Any) -> TrainRecord:
    return TrainRecord(
        image_id=image,
        raw_instructions="",
        question_type="t",
        question=question,
        record_id=question,
        **fields,
    )


def yes_no(question: str, right: int = 0, image: int = 1) -> TrainRecord:
    return record(question, image, choices=["yes", "no"], correct_choice_idx=right, answer_kind="yes_no")


def opened(question: str, answer: str, image: int = 1) -> TrainRecord:
    return record(question, image, choices=[], correct_choice_idx=-1, short_answer=answer, answer_kind="open")


def choice(question: str, right: int, number: int) -> TrainRecord:
    return record(question, choices=[f"c{place}" for place in range(number)], correct_choice_idx=right)


def test_only_multiple_choice_is_shuffled_and_every_number_of_choices_evenly() -> None:
    order = OptionOrder(0)
    for kept in (yes_no("Is it?", 1), opened("What?", "dog")):
        before = (list(kept.choices), kept.correct_choice_idx)
        candidate = order.shuffle(candidate_of(kept, kept.correct_choice_idx))
        assert (kept.choices, kept.correct_choice_idx) == before and not candidate.choices_stay
    for number in (2, 3, 7):
        right: Counter[int] = Counter()
        for _ in range(4 * number):
            shuffled = order.shuffle(candidate_of(choice("Which?", 1, number), 1)).record
            assert shuffled.choices[shuffled.correct_choice_idx] == "c1"
            assert sorted(shuffled.choices) == [f"c{place}" for place in range(number)]
            right[shuffled.correct_choice_idx] += 1
        assert right == dict.fromkeys(range(number), 4)


def test_near_duplicates_of_yes_no_questions_are_equal_ones() -> None:
    known = NearDuplicates(0.5)
    known.add(yes_no("Is there a dog in the picture?"), "first")
    assert known.find(yes_no("Is there a cat in the picture?")) == ""
    assert known.find(yes_no("is there a dog in the picture", right=1)) == "first"
    known.add(opened("How many dogs are there in the picture?", "two"), "count")
    assert known.find(opened("How many dogs are there in this picture?", "Two.")) == "count"
    assert known.find(opened("How many dogs are there in this picture?", "three")) == ""


def evaluation(folder: Path, *questions: Question) -> EvaluationSet:
    (folder / "questions.json").write_bytes(json.dumps([row(one) for one in questions]).encode())
    return EvaluationSet([folder / "questions.json"], folder, 0.8)


def row(one: Question) -> dict[str, Any]:
    names = ("question", "choices", "correct_choice_idx", "direct_answers", "answer_kind", "image_id")
    return {name: getattr(one, name) for name in names} | {"question_id": one.question}


def test_questions_of_the_evaluation_leak_by_their_kind(tmp_path: Path) -> None:
    asked = evaluation(
        tmp_path,
        Question(question="Is there a dog in the picture?", choices=["yes", "no"], correct_choice_idx=0,
                 answer_kind="yes_no", image_id=7),
        Question(question="How many dogs lie there?", choices=[], correct_choice_idx=-1,
                 direct_answers=["2", "two"], answer_kind="open", image_id=8),
    )  # fmt: skip
    records = [
        yes_no("Is there a dog in the picture?"),
        yes_no("Is there a cat in the picture?"),
        yes_no("Is there a dog in the picture?", 1),
        opened("How many dogs lie there?", "Two"),
        opened("How many dogs lie there?", "3"),
        yes_no("Is it a bus?", image=7),
    ]
    assert [bool(leak) for leak in asked.leaks(iter(records))] == [True, False, False, True, False, True]


def test_boxes_judge_yes_no_and_counted_answers() -> None:
    image = PoolImage(
        id=1,
        path="1.jpg",
        captions=["two dogs on the grass", "two dogs lie there"],
        boxes=[NamedBox("dog", (0.1, 0.2, 0.5, 0.6)), NamedBox("dog", (0.6, 0.2, 0.9, 0.6))],
    )
    facts = ImageFacts.of(image, {"dog": "animal", "bus": "vehicle"})
    for one, verdict in (
        (yes_no("Are there any dogs in the picture?", 0), SUPPORTED),
        (yes_no("Are there any dogs in the picture?", 1), REFUTED),
        (yes_no("Is there a bus in the picture?", 1), SUPPORTED),
        (yes_no("Is there a bus in the picture?", 0), REFUTED),
        (opened("How many dogs are there in the picture?", "2"), SUPPORTED),
        (opened("How many dogs are there in the picture?", "three"), REFUTED),
        (opened("What color is the dog?", "brown"), ""),
    ):
        assert judge(one, facts).verdict == verdict, one


READ = [
    (yes_no("Is it?"), "Yes.", 0),
    (yes_no("Is it?"), '{"answer": "No"}', 1),
    (yes_no("Is it?"), '{"answer": true}', 0),
    (yes_no("Is it?"), "The answer is no, it is not.", 1),
    (yes_no("Is it?"), "Cannot tell.", None),
    (yes_no("Is it?"), "It may be.", None),
    (opened("How many?", "two"), "2", SAME_ANSWER),
    (opened("How many?", "two"), '{"answer": 2}', SAME_ANSWER),
    (opened("What?", "dog"), "A dog.", SAME_ANSWER),
    (opened("What?", "dog"), '{"answer": "cat"}', OTHER_ANSWER),
    (opened("What?", "dog"), '{"answer": "cannot tell"}', None),
    (opened("What?", "dog"), "It is a dog that lies on a sofa.", None),
]


@pytest.mark.parametrize(("one", "reply", "answer"), READ)
def test_readers_are_read_by_the_kind_of_the_question(
    one: TrainRecord, reply: str, answer: int | None
) -> None:
    assert named_answer(reply, one, list(range(len(one.choices)))) == answer


def test_an_open_answer_is_found_by_the_same_answer_and_by_no_other() -> None:
    one = opened("What?", "dog")
    assert [found(one, [answer], "majority") for answer in (SAME_ANSWER, OTHER_ANSWER, CANNOT_SAY, None)] == [
        True, False, False, None,
    ]  # fmt: skip
    assert voted_choice(one, [OTHER_ANSWER, OTHER_ANSWER, SAME_ANSWER], "majority") == OTHER_ANSWER
    result = second_result(one, [OTHER_ANSWER, CANNOT_SAY], ["a", "b"], "majority")
    assert result.fails and result.why == "a says 'something else', b says 'cannot tell'"
    assert blind_result(one, [SAME_ANSWER], ["a"], "majority").fails
    assert not blind_result(one, [CANNOT_SAY], ["a"], "majority").fails


def test_readers_are_asked_in_the_form_of_the_kind() -> None:
    for file, may_pass in ((SECOND_READER, True), (BLIND_READER, False)):
        fill = load_reader_prompt(file)
        shown = {
            kind: fill("Is it?", ["yes", "no"], None, False, kind) for kind in ("choice", "yes_no", "open")
        }
        assert "Choices: (A) yes (B) no" in shown["choice"]
        for kind in ("yes_no", "open"):
            assert (
                "hoices" not in shown[kind].replace("its choices say", "")
                and "Question: Is it?" in shown[kind]
            )
        assert "Yes or No" in shown["yes_no"] and "one to three words" in shown["open"]
        enum = answer_schema(yes_no("Is it?"), may_pass)["properties"]["answer"]["enum"]
        assert enum == ["Yes", "No", *(["cannot tell"] if may_pass else [])]
        assert answer_schema(opened("What?", "dog"), may_pass)["properties"]["answer"] == {"type": "string"}


def replies(folder: Path, rows: list[Result]) -> PostProcessConfig:
    file = write_jsonl(folder / "gptvqa_result.jsonl", rows)
    return PostProcessConfig(input=file, output=folder / "gptvqa_train_data.json")


def reply(number: int, text: str, kind: str, **more: Any) -> Result:
    return Result(
        image_id=number,
        raw_instructions=text,
        question_type="t",
        query_id=f"q{number}",
        answer_kind=kind,
        **more,
    )


def test_a_file_of_all_kinds_becomes_records_and_counts(tmp_path: Path) -> None:
    rows = [reply(n, f"Question: Is it {n}?\nAnswer: Yes", "yes_no") for n in range(14)]
    rows += [reply(20, "Question: Is it red?\nAnswer: No", "yes_no")]
    rows += [reply(30, "Question: How many are there?\nAnswer: 2\nExplanation: Two.", "open")]
    rows += [reply(31, "Question: How many are there?\nAnswer: There are two of them, I think.", "open")]
    three = "Question: Which?\nChoices: (A) red (B) blue (C) pink\nAnswer: (B) blue"
    rows += [reply(40, three, "", n_choices=3), reply(41, three, "")]
    result = post_process(replies(tmp_path, rows))
    kept = read_json(result.output, list[TrainRecord])
    assert Counter(one.answer_kind for one in kept) == {"yes_no": 15, "open": 1, "": 1}
    assert all(one.choices == ["yes", "no"] for one in kept if one.answer_kind == "yes_no")
    (open_one,) = (one for one in kept if one.answer_kind == "open")
    assert (open_one.choices, open_one.correct_choice_idx, open_one.short_answer) == ([], -1, "2")
    assert len(kept[-1].choices) == 3 and kept[-1].choices[kept[-1].correct_choice_idx] == "blue"
    count = result.counts.by_type["t"]
    assert (count.yes_no, count.open_ended, sum(count.letters_after)) == ([14, 1], 1, 0)
    assert count.by_reason == {"answer too long for a short answer": 1, "not four choices": 1}
    assert any("share of yes: t 93%" in line for line in result.warnings)


def test_reviews_edit_answers_of_every_kind(tmp_path: Path) -> None:
    rows = [
        reply(1, "Question: Is it?\nAnswer: Yes", "yes_no"),
        reply(2, "Question: How many?\nAnswer: 2", "open"),
    ]
    config = replies(tmp_path, rows)
    edits: dict[str, Any] = {
        "q1": {"decision": "edit", "choices": ["yes", "no"], "correct_choice_idx": 1},
        "q2": {"decision": "edit", "short_answer": "3"},
    }
    (tmp_path / "review.json").write_text(json.dumps(edits))
    kept = read_json(post_process(config).output, list[TrainRecord])
    assert [(one.correct_choice_idx, one.short_answer, one.review) for one in kept] == [
        (1, "", "edit"), (-1, "3", "edit"),
    ]  # fmt: skip
    for name, wrong, why in (
        ("q1", {"choices": ["dog", "cat"], "correct_choice_idx": 0}, "the answer is yes or no"),
        ("q1", {"short_answer": "dog"}, "is edited of open-ended questions alone"),
        ("q2", {"choices": ["2", "3"], "correct_choice_idx": 0}, "edit its short_answer"),
        ("q2", {"short_answer": " "}, "short_answer: is empty"),
    ):
        (tmp_path / "review.json").write_text(json.dumps({name: {"decision": "edit", **wrong}}))
        with pytest.raises(ParameterError, match=f"{name}: .*{why}"):
            post_process(config)


def test_an_edited_rationale_that_names_a_letter_after_d_needs_its_choices(tmp_path: Path) -> None:
    words = ["red", "blue", "pink", "grey", "black", "white"]
    six = f"Question: Which?\nChoices: {options_text(words)}\nAnswer: (B) blue"
    config = replies(tmp_path, [reply(1, six, "", n_choices=6)])
    edit: dict[str, Any] = {"decision": "edit", "rationales": ["Option F is wrong."]}
    (tmp_path / "review.json").write_text(json.dumps({"q1": edit}))
    with pytest.raises(ParameterError, match="q1: rationales: one names choices by letter or position"):
        post_process(config)
    edit |= {"choices": words, "correct_choice_idx": 1}
    (tmp_path / "review.json").write_text(json.dumps({"q1": edit}))
    (kept,) = read_json(post_process(config).output, list[TrainRecord])
    assert (kept.choices, kept.rationales) == (words, ["Option F is wrong."])
