"""Before a run: a pool with fewer images than queries are asked for."""

import json
from pathlib import Path

import pytest
from experiments import demo_experiment

from dataengine_lib.core.files import write_json
from dataengine_lib.core.records import Query
from dataengine_lib.errors import ParameterError
from dataengine_lib.images.read_pool import read_pool
from dataengine_lib.runs.checks.pool import check_pool
from dataengine_lib.runs.precheck import check_data
from dataengine_lib.runs.workflow import Planned, plan


def planned(folder: Path, images: int, *settings: str, rounds: int = 1, evaluation: int = 0) -> list[Planned]:
    """A plan with a pool of so many captioned images, the first of which are evaluation images."""
    pool = folder / "pool"
    pool.mkdir(exist_ok=True)
    names = [f"{number}.jpg" for number in range(1, images + 1)]
    for name in names:
        (pool / name).touch()
    (pool / "captions.json").write_text(json.dumps({name: ["a dog"] for name in names}))
    row = {
        "question": "what?",
        "choices": ["a", "b"],
        "correct_choice_idx": 0,
        "question_type": "image_scene",
    }
    # one more, about an image that is not in the pool
    asked = [*names[:evaluation], "elsewhere.jpg"]
    rows = [row | {"question_id": name, "image_path": name} for name in asked]
    (folder / "q.json").write_text(json.dumps(rows))
    paths = [
        f"evaluate.questions={folder / 'q.json'}",
        f"evaluate.image_root={pool}",
        f"construct_queries.coco_dataset={pool}",
    ]
    experiment = demo_experiment(*paths, *settings, rounds=rounds)
    experiment.sections.pop("classify_questions")
    return plan(experiment, folder / "run")


@pytest.mark.parametrize(
    ("maxnum", "rounds", "evaluation", "mark", "words"),
    [
        (6, 1, 0, "ok", "6 of the 6 images in {pool} can carry a query; 6 are asked for"),
        (3, 2, 0, "ok", "6 are asked for, 3 in each of 2 rounds"),
        (4, 2, 0, "warn", "about 6 of 8 queries can be filled, 4 in each of 2 rounds; add images or lower maxnum"),
        (6, 1, 2, "warn", "4 of the 6 images in {pool} can carry a query (left out: evaluation image (2)), and every"),
        (6, 1, 6, "bad", "0 of the 6 images in {pool} can carry a query (left out: evaluation image (6)); give another"),
        (0, 1, 6, "", ""),
    ],
)  # fmt: skip
def test_images_against_queries(
    maxnum: int, rounds: int, evaluation: int, mark: str, words: str, tmp_path: Path
) -> None:
    setting = f"construct_queries.maxnum={maxnum}"
    found = list(check_pool(planned(tmp_path, 6, setting, rounds=rounds, evaluation=evaluation)))
    assert [one.mark for one in found] == ([mark] if mark else [])
    assert all(words.format(pool=tmp_path / "pool") in one.message for one in found)


def test_images_of_rounds_that_are_done_are_not_free(tmp_path: Path) -> None:
    steps = planned(tmp_path, 6, "construct_queries.maxnum=5", rounds=2)
    second = next(place for place, item in enumerate(steps) if item.round == 2)
    queries = [
        Query(query_id=image.path, image_id=image.id, question_type="image_scene", prompt="?", round=1)
        for image in list(read_pool(tmp_path / "pool"))[:2]
    ]
    (tmp_path / "run" / "round1").mkdir(parents=True)
    write_json(tmp_path / "run" / "round1" / "gptvqa_prompt.json", queries)
    (from_round_2,) = check_pool(steps[second:])
    assert (
        "4 of the 6 images" in from_round_2.message and "used in an earlier round (2)" in from_round_2.message
    )
    assert "about 4 of 5 queries can be filled; add" in from_round_2.message
    (from_the_start,) = check_pool(steps)
    assert "6 of the 6 images" in from_the_start.message, "round 1's file will be written anew"


def test_a_pool_that_cannot_be_read_or_used_stops_the_run(tmp_path: Path) -> None:
    steps = planned(tmp_path, 3, "construct_queries.min_captions=2")
    (one,) = check_pool(steps)
    assert one.mark == "bad" and "fewer than 2 captions (3)" in one.message
    (tmp_path / "pool" / "captions.json").unlink()
    (one,) = check_pool(steps)
    assert one.mark == "bad" and "give a folder with one of these" in one.message
    place = next(number for number, item in enumerate(steps) if item.step.name == "construct_queries")
    with pytest.raises(ParameterError, match=r"^my\.yaml: image pool: "):
        check_data(Path("my.yaml"), steps, place, place)
    assert check_data(Path("my.yaml"), steps, place + 1, place + 1) == [], "step 3 reads no pool"
