"""Several readers of step 4: the rule by which they vote, what they cost and how well they agree."""

import json
import re
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from dataengine_lib.core.files import read_json, read_jsonl, write_jsonl
from dataengine_lib.core.records import Result, TrainRecord
from dataengine_lib.curation.candidates import Reject
from dataengine_lib.curation.reader_votes import (
    agreement,
    blind_result,
    found,
    second_result,
    voted_choice,
)
from dataengine_lib.curation.readers.reader_prompt import reader_order
from dataengine_lib.playground.server import serve
from dataengine_lib.replies.drop_reasons import Reason
from dataengine_lib.report.post_process import readers_table
from dataengine_lib.steps.post_process import PostProcessConfig, PostProcessResult, post_process
from dataengine_lib.widgets.reviewer import reviewer

CHOICES = ["a ball", "a kite", "a hat", "a shoe"]


def record(number: int = 0) -> TrainRecord:
    return TrainRecord(
        image_id=number,
        raw_instructions="",
        question_type="t",
        question=f"What does dog number {number} chase?",
        choices=CHOICES,
        correct_choice_idx=1,
    )


@pytest.mark.parametrize(
    ("answers", "any_", "majority", "all_", "choice"),
    [
        ([1], True, True, True, 1),
        ([0], False, False, False, 0),
        ([-1], False, False, False, -1),
        ([1, 0], True, False, False, 0),  # half of them is no majority
        ([1, 1, 0], True, True, False, 1),
        ([1, 0, 0], True, False, False, 0),
        ([1, 0, 2], True, False, False, -1),  # no other choice has most votes
        ([1, -1, -1], True, False, False, -1),
        ([1, None, None], True, True, True, 1),  # without an answer there is no vote
        ([None, None], None, None, None, None),
    ],
)
def test_the_rules(
    answers: list[int | None], any_: bool, majority: bool, all_: bool, choice: int | None
) -> None:
    one = record()
    assert [found(one, answers, rule) for rule in ("any", "majority", "all")] == [any_, majority, all_]
    if choice is not None:
        assert voted_choice(one, answers, "majority") == choice
    for rule in ("any", "majority", "all"):
        second = second_result(one, answers, [str(n) for n in range(len(answers))], rule)
        blind = blind_result(one, answers, [str(n) for n in range(len(answers))], rule)
        if choice is None:
            assert not second.judged and not blind.judged and not second.columns
            continue
        # the column names the teacher's choice exactly where the readers find it
        assert second.fails == (second.columns["second_answer"] != 1)
        assert blind.fails == (blind.columns["blind_answer"] == 1) and second.fails != blind.fails


def test_agreement_is_by_the_letters_as_they_were_shown() -> None:
    """Two readers that always agree with a teacher whose right choice is always B agree beyond chance."""
    records = [record(number) for number in range(40)]
    same = agreement(iter(records), [(1, 1)] * 40, seed=0)
    assert same.kappa == 1.0 and same.questions == 40 and same.low > 0.8
    apart = agreement(iter(records), [(1, 0)] * 20 + [(1, None)] * 20, seed=0)
    assert apart.kappa < 0 and apart.questions == 20
    letters = agreement(iter(records), [tuple([reader_order(one, 3)[0]] * 2) for one in records], seed=3)
    assert letters.kappa is None  # both always take the first letter
    assert agreement(iter(records), [(1, None)] * 40, seed=0).questions == 0


def names(choice: str) -> Any:
    """A model that names this choice in the questions whose number it is wrong about, else the kite."""

    def write(messages: list[dict[str, Any]], schema: dict[str, Any] | None = None) -> str:
        prompt = str(messages[-1]["content"])
        number = int(re.search(r"number (\d+)", prompt)[1])
        text = choice if number % 3 == 0 or (number % 3 == 1 and choice == "a hat") else "a kite"
        letter = re.search(rf"\(([A-D])\) {text}", prompt)[1]
        return json.dumps({"answer": letter})

    return write


def replies(folder: Path, number: int) -> Path:
    texts = (
        f"Question: What does dog number {n} chase?\nChoices: (A) a ball (B) a kite (C) a hat (D) a shoe\n"
        "Answer: The answer is (B): a kite.\nExplanation: It does."
        for n in range(number)
    )
    rows = [
        Result(image_id=n, raw_instructions=text, question_type="t", query_id=f"q{n}")
        for n, text in enumerate(texts)
    ]
    return write_jsonl(folder / "in.jsonl", rows)


def test_three_readers_on_three_servers_vote(tmp_path: Path) -> None:
    replies(tmp_path, 12)
    with ExitStack() as stack:
        servers = [
            stack.enter_context(serve(names(text), structured=names(text)))
            for text in ("a ball", "a hat", "a kite")
        ]

        def step(**options: Any) -> PostProcessResult:
            readers = [
                {"model": "openai:a", "base_url": servers[0].base_url},
                {"model": "openai:a", "base_url": servers[1].base_url},
                "openai:b",
            ]
            config = {
                "input": tmp_path / "in.jsonl",
                "output": tmp_path / "out.json",
                "coco_dataset": folder,
                "box_check": "off",
                "second_reader": readers,
                "base_url": servers[2].base_url,
                "blind_classifier": "off",
                "near_duplicates": "off",
            }
            return post_process(PostProcessConfig.read(config | options, "test"))

        folder = _pool(tmp_path / "coco", 12)
        voted = step()
        # numbers 0, 3, 6 and 9: ball, hat, kite, so no majority; 1, 4, 7, 10: kite, hat, kite; the rest agrees
        kept = read_json(voted.output, list[TrainRecord])
        assert [one.query_id for one in kept] == ["q1", "q2", "q4", "q5", "q7", "q8", "q10", "q11"]
        rejects = read_jsonl(voted.rejects_path, Reject)
        assert {one.reason for one in rejects} == {Reason.SECOND_READER} and len(rejects) == 4
        assert rejects[0].detail == "openai:a says 'a ball', openai:a #2 says 'a hat', openai:b says 'a kite'"
        for one in kept:  # the readers' answers follow the shuffled choices
            named = {name: one.choices[index] for name, index in one.second_answers.items()}
            other = "a hat" if int(one.query_id[1:]) % 3 == 1 else "a kite"
            assert named == {"openai:a": "a kite", "openai:a #2": other, "openai:b": "a kite"}
        counts = voted.counts.checks.readers
        assert [(name, one.said, one.agrees) for name, one in counts.items()] == [
            ("openai:a", 12, 8),
            ("openai:a #2", 12, 4),
            ("openai:b", 12, 12),
        ]
        assert [one.usage.replies for one in counts.values()] == [12, 12, 12]
        found = voted.counts.checks.agreement["second_answer"]
        assert (found.readers, found.questions) == (3, 12)
        assert found.share == round((4 * 1 + 4 / 3 + 0) / 12, 4) and found.low <= found.kappa <= found.high
        text = readers_table(voted.counts.checks).text
        assert "Fleiss&#x27; kappa of 3 second readers on 12 questions is " in text and "66.7 % [" in text

        # the review begins with what the readers disagree on, and ends with what was dropped for it
        shown = reviewer(voted)
        assert [item.name for item in shown.items[:4]] == ["q1", "q4", "q7", "q10"]
        assert [item.name for item in shown.items[-4:]] == ["q0", "q3", "q6", "q9"] and len(shown.items) == 12
        assert "it begins with 4 whose answer readers or student doubt" in shown.summary().text
        assert "Other answers: openai:a #2: (" in shown.form.texts.value

        # nothing is asked again, whatever the rule
        asked = [len(server.requests) for server in servers]
        assert step(reader_vote="all").counts.kept == 4 and step(reader_vote="any").counts.kept == 12
        marked = step(second_answer="mark", reader_vote="majority")
        assert marked.counts.kept == 12
        assert [item.name for item in reviewer(marked).items[:4]] == ["q0", "q3", "q6", "q9"]
        assert [len(server.requests) for server in servers] == asked == [12, 12, 12]


def test_one_reader_that_is_away_leaves_the_vote_to_the_others(tmp_path: Path) -> None:
    replies(tmp_path, 6)
    folder = _pool(tmp_path / "coco", 6)
    with serve(names("a kite"), structured=names("a kite")) as good, _away() as away:
        config = {
            "input": tmp_path / "in.jsonl",
            "output": tmp_path / "out.json",
            "coco_dataset": folder,
            "box_check": "off",
            "second_reader": ["openai:a", {"model": "openai:b", "base_url": away.base_url}],
            "base_url": good.base_url,
            "blind_classifier": "off",
        }
        result = post_process(PostProcessConfig.read(config, "test"))
    assert result.counts.kept == 6 and result.counts.checks.agreement["second_answer"].questions == 0
    assert all(set(one.second_answers) == {"openai:a"} for one in read_json(result.output, list[TrainRecord]))
    (warning,) = [one for one in result.warnings if "no answer" in one]
    assert warning.startswith("second_reader.1: 6 questions got no answer; first: ")


def _away() -> Any:
    return serve(lambda messages: "", faults=lambda body: "refusal")


def _pool(folder: Path, images: int) -> Path:
    from coco_folder import annotation, coco

    names = {number: f"{number}.jpg" for number in range(images)}
    return coco(folder, names, [annotation(0, [1, 1, 5, 5])], dict.fromkeys(names, "A dog."))
