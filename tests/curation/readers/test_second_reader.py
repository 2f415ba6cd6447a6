"""A second reader finds wrong answers, never sees the first one, and no request is sent twice."""

from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import pytest
from made_records import Planted, planted_records
from reading_qas.second_readers import always_answers, reader, record, second_reader, settings

from dataengine_lib.chat.reply import TeacherStop
from dataengine_lib.core.records import LETTERS
from dataengine_lib.curation.boxes.check import REFUTED, check_boxes
from dataengine_lib.curation.readers.reader_prompt import reader_order
from dataengine_lib.curation.readers.second_reader import CANNOT_SAY
from dataengine_lib.errors import ParameterError
from dataengine_lib.images.read_pool import read_pool
from dataengine_lib.playground.server import serve


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Planted:
    return planted_records(tmp_path_factory.mktemp("planted"), images=60)


def test_boxes_and_second_reader_remove_planted_answers_and_keep_right_ones(
    planted: Planted, tmp_path: Path
) -> None:
    boxes = [one.verdict == REFUTED for one in check_boxes(planted.records, planted.pool)]
    second = second_reader("playground", tmp_path / "ledger.jsonl", settings(), pool=planted.pool)
    answers, notes = second.answers(planted.records)
    differs = [
        a is not None and a != r.correct_choice_idx for a, r in zip(answers, planted.records, strict=True)
    ]
    removed = [one or other for one, other in zip(boxes, differs, strict=True)]
    counts = {
        name: Counter((wrong, gone) for wrong, gone in zip(planted.wrong, by, strict=True))
        for name, by in (("boxes", boxes), ("second reader", differs), ("together", removed))
    }
    wrong = sum(planted.wrong)
    right = len(planted.wrong) - wrong
    for name, count in counts.items():
        print(
            f"{name}: {count[True, True]} of {wrong} planted removed ({count[True, True] / wrong:.1%}), "
            f"{count[False, True]} of {right} right ones ({count[False, True] / right:.1%})"
        )
    assert notes == [] and len(planted.records) > 500 and 0.12 < wrong / len(planted.records) < 0.18
    assert counts["boxes"][False, True] == 0 and counts["boxes"][True, True] >= 0.1 * wrong
    assert counts["together"][True, True] >= 0.8 * wrong
    assert counts["together"][False, True] <= 0.05 * right
    usage = second.usage()
    assert usage.replies == len({(r.image_id, r.question, *r.choices) for r in planted.records})
    assert usage.prompt_tokens > 100 * usage.replies


def test_blind_the_scripted_reader_guesses(planted: Planted, tmp_path: Path) -> None:
    answers, _ = second_reader("playground", tmp_path / "ledger.jsonl", settings(), blind=True).answers(
        planted.records
    )
    hits = sum(a == r.correct_choice_idx for a, r in zip(answers, planted.records, strict=True))
    assert CANNOT_SAY not in answers and None not in answers
    assert 0.2 < hits / len(answers) < 0.3


@pytest.mark.parametrize("structured", [True, False])
def test_an_answer_is_told_by_its_own_place(folder: Path, structured: bool) -> None:
    write = always_answers("a kite")
    with serve(write, structured=write if structured else None) as server:
        answers, notes = reader(folder, server).answers([record(n, correct=n % 4) for n in range(8)])
    assert (answers, notes) == ([1] * 8, [])
    sent = [body["messages"][0]["content"] for body in server.requests]
    assert all(
        "A dog chases a kite." in text and "- dog: [0.100, 0.200, 0.300, 0.600]" in text for text in sent
    )
    assert not any("SECRET" in text for text in sent)
    assert all(text.startswith("You answer questions") for text in sent)


def test_no_choice_keeps_its_letter() -> None:
    orders = [reader_order(record(n)) for n in range(200)]
    assert all(sorted(order) == [0, 1, 2, 3] for order in orders)
    assert all(place != shown for order in orders for shown, place in enumerate(order))
    assert len({tuple(order) for order in orders}) == 6  # all cycles of four
    assert orders == [reader_order(record(n)) for n in range(200)]
    assert orders != [reader_order(record(n), seed=1) for n in range(200)]


def test_two_models_that_prefer_the_same_letter_do_not_agree(folder: Path) -> None:
    with serve(lambda messages: "B") as server:
        answers, _ = reader(folder, server).answers([record(n, correct=1) for n in range(40)])
    assert 1 not in answers and set(answers) == {0, 2, 3}


@pytest.mark.parametrize("text", ["cannot tell", '{"answer": "cannot tell"}', "Either A or C.", "Hm."])
def test_a_reply_that_names_no_choice_is_not_an_answer(folder: Path, text: str) -> None:
    with serve(lambda messages: text) as server:
        assert reader(folder, server).answers([record()]) == ([CANNOT_SAY], [])


@pytest.mark.parametrize("fault", ["refusal", "content_filter", "500"])
def test_a_request_that_fails_is_no_verdict(folder: Path, fault: str) -> None:
    with serve(always_answers("a kite"), faults=[fault]) as server:
        answers, notes = reader(folder, server, concurrency=1).answers([record(0), record(1)])
    assert answers == [None, 1] and len(notes) == 1


def test_nothing_is_asked_twice(folder: Path) -> None:
    records = [record(n) for n in range(30)]
    with serve(always_answers("a kite"), faults=[None] * 12 + ["401"] * 100) as server:
        with pytest.raises(TeacherStop):
            reader(folder, server, concurrency=1).answers(records)
        ledger = folder.parent / "ledger.jsonl"
        assert len(ledger.read_bytes().splitlines()) == 12
        ledger.write_bytes(ledger.read_bytes()[:-20])  # killed in the middle of a line
        server.requests.clear()
        server._faults = iter([None] * 100)
        again = reader(folder, server)
        assert again.answers([*records, records[0]])[0] == [1] * 31
        assert len(server.requests) == 19
        assert again.answers(records)[0] == [1] * 30 and len(server.requests) == 19
        other = [msgspec.structs.replace(records[0], correct_choice_idx=3)]
        again.answers(other)
        assert len(server.requests) == 19  # the answer is not part of the request


def test_the_picture_itself_may_be_sent(folder: Path) -> None:
    with serve(always_answers("a hat")) as server:
        seeing = reader(folder, server, pool=None, attach_image=True, image_root=folder)
        answers, notes = seeing.answers([record(), record(image_id=9)])
    (body,) = server.requests
    text, picture = body["messages"][0]["content"]
    assert picture["image_url"]["url"].startswith("data:image/jpeg;base64,")
    assert (
        "You see the picture" in text["text"]
        and "chases a kite" not in text["text"].partition("Image info")[2]
    )
    assert answers == [2, None] and "image 9" in notes[0]


def test_the_blind_reader_is_sent_nothing_about_the_picture(folder: Path) -> None:
    def write(messages: list[dict[str, Any]], schema: dict[str, Any]) -> str:
        assert schema["properties"]["answer"]["enum"] == list(LETTERS[:4])
        return '{"answer": "A"}'

    with serve(always_answers("a hat"), structured=write) as server:
        answers, _ = reader(folder, server, blind=True, attach_image=True, image_root=folder).answers(
            [record()]
        )
    (body,) = server.requests
    assert "chases a kite" not in str(body) and "Objects" not in str(body) and "image_url" not in str(body)
    assert answers == [reader_order(record())[0]]


def test_what_a_reader_needs_is_asked_for(folder: Path, tmp_path: Path) -> None:
    ledger = tmp_path / "l.jsonl"
    with pytest.raises(ValueError, match="openai:MODEL or playground"):
        second_reader("annotations", ledger, settings(), pool=read_pool(folder))
    with pytest.raises(ParameterError, match="image_root"):
        second_reader("playground", ledger, settings(), attach_image=True)
    with pytest.raises(ParameterError, match="coco_dataset"):
        second_reader("playground", ledger, settings())
    with pytest.raises(ParameterError, match="line 1"):
        bad = tmp_path / "bad.j2"
        bad.write_text("{{ question }")
        second_reader("playground", ledger, settings(), blind=True, template=bad)
