"""Tests of the split by image."""

from pathlib import Path
from random import Random

import pytest

from dataengine_lib.core.records import Question
from dataengine_lib.errors import DataEngineError
from dataengine_lib.questions.splits import DIAGNOSE, HOLDOUT, assign_splits, check_own_splits


def question(image_id: int, split: str = "", number: int = 0, image_path: str = "") -> Question:
    return Question(
        split=split,
        image_id=image_id,
        image_path=image_path,
        question_id=f"{image_id}-{number}",
        question="?",
        choices=["a", "b"],
        correct_choice_idx=0,
    )


def test_all_questions_of_an_image_are_in_one_split_about_half_each() -> None:
    questions = [question(image, "val", n) for image in range(2000) for n in range(3)]
    splits = assign_splits(questions)
    by_image: dict[int, set[str]] = {}
    for asked, split in zip(questions, splits, strict=True):
        by_image.setdefault(asked.image_id, set()).add(split)
    assert all(len(found) == 1 for found in by_image.values())
    assert 0.45 < splits.count(HOLDOUT) / len(splits) < 0.55


def test_order_and_company_change_nothing() -> None:
    questions = [question(image) for image in range(300)]
    before = dict(zip(range(300), assign_splits(questions), strict=True))
    Random(0).shuffle(questions)
    for asked, split in zip(questions[:100], assign_splits(questions[:100]), strict=True):
        assert split == before[asked.image_id]


def test_the_hash_stays_what_it_is() -> None:
    # sha256("1") begins with 6b, sha256("2") with d4; another rule would mix old and new reports
    assert assign_splits([question(1), question(2)]) == [HOLDOUT, DIAGNOSE]


def test_own_splits_win_and_carry_the_images_other_questions() -> None:
    questions = [question(1, "diagnose"), question(1, "val", 1), question(2, "holdout")]
    assert assign_splits(questions) == [DIAGNOSE, DIAGNOSE, HOLDOUT]


def test_an_image_in_both_splits_is_an_error() -> None:
    with pytest.raises(DataEngineError, match="image 7 has questions in both"):
        assign_splits([question(7, "diagnose"), question(7, "holdout", 1)])


def test_images_without_an_id_go_by_their_path() -> None:
    paths = [f"images/{n}.jpg" for n in range(200)]
    splits = assign_splits([question(-1, image_path=path) for path in paths])
    assert set(splits) == {DIAGNOSE, HOLDOUT}
    assert splits == assign_splits([question(-1, number=5, image_path=path) for path in paths])


def test_one_image_under_several_names_is_in_one_split() -> None:
    for n in range(30):
        spelled = [question(-1, image_path=path) for path in (f"{n}.png", f"./{n}.png", f"a/../{n}.png")]
        assert len(set(assign_splits(spelled))) == 1
        half = [question(-1, image_path=f"{n}.png"), question(n, number=1, image_path=f"{n}.png")]
        by_way = [*half, question(-1, image_path=f"b/{n}.png"), question(n, image_path=f"./b/{n}.png")]
        for some in (half, half[::-1], by_way, by_way[::-1]):
            assert set(assign_splits(some)) == set(assign_splits([question(n)]))


def test_paths_that_join_two_ids_go_by_the_lower() -> None:
    for n in range(30):
        joined = [question(n + 100, image_path="a.png"), question(n, image_path="a.png"), question(n + 100)]
        assert set(assign_splits(joined)) == set(assign_splits([question(n)]))
    with pytest.raises(DataEngineError, match="image 1 has questions in both"):
        assign_splits([question(1, "diagnose", image_path="a.png"), question(-1, "holdout", 1, "./a.png")])


def test_own_splits_are_read_in_any_case() -> None:
    questions = [question(1, "Diagnose"), question(2, " HOLDOUT "), question(2, "", 1)]
    assert assign_splits(questions) == [DIAGNOSE, HOLDOUT, HOLDOUT]


def check(key: str, *splits: str) -> None:
    questions = [question(n, split) for n, split in enumerate(splits)]
    check_own_splits(Path("q.json"), questions, [f"row {n}" for n in range(len(splits))], key)


def test_a_split_column_is_of_one_kind() -> None:
    check("split", "train", "val", "")
    check("split", "Diagnose", " holdout", "", " ")
    check("part", "diagnose", "")
    for key, splits in (("split", ("", "Holdout", "val")), ("part", ("", "diagnose", "val"))):
        with pytest.raises(
            DataEngineError, match=rf"q\.json: row 2: {key} is 'val'; write diagnose or holdout"
        ):
            check(key, *splits)
    with pytest.raises(DataEngineError, match="row 0: part is 'dev'"):
        check("part", "dev")
