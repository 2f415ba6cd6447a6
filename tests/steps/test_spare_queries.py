"""Spare queries from step 2 to step 4 on a small playground: QAs follow the weights, and main queries stay as they are."""

import json
from collections import Counter
from types import SimpleNamespace
from typing import Any

import pytest
from project import PROJECT_ROOT

from dataengine_lib.core.files import read_json
from dataengine_lib.core.records import Query, TrainRecord
from dataengine_lib.errors import DataEngineError
from dataengine_lib.playground.sets import write_playground
from dataengine_lib.queries.query_pool import EARLIER_ROUND
from dataengine_lib.queries.spares import ASKED_SPARES_FILE
from dataengine_lib.steps.construct_queries import (
    ConstructQueriesConfig,
    ConstructQueriesResult,
    construct_queries,
)
from dataengine_lib.steps.generate_qa import GenerateQaConfig, generate_qa
from dataengine_lib.steps.post_process import PostProcessConfig, post_process

DEMO = PROJECT_ROOT / "data_demo"
TYPES = (
    "future_prediction",
    "image_quality",
    "object_localization",
    "social_relation",
    "spatial_relationship",
)
QUERIES = 60


def construct(world: SimpleNamespace, name: str, **values: Any) -> ConstructQueriesResult:
    given: dict[str, Any] = {
        "input": world.root / "bad.json", "weight": None, "coco_dataset": world.pool,
        "coco_embedding": world.root / "embedding", "output": world.root / name / "gptvqa_prompt.json",
        "bad_case_image_root": DEMO, "encoder": str(DEMO / "models/tiny-clip"), "maxnum": QUERIES, "topk": 20,
        "near_duplicate": None,
    }  # fmt: skip
    return construct_queries(ConstructQueriesConfig(**(given | values)))


def write_qas(world: SimpleNamespace, name: str, spares: bool) -> Counter[str]:
    """Steps 3 and 4; returns the number of QAs of each type."""
    folder = world.root / name
    generate_qa(
        GenerateQaConfig(
            input=folder / "gptvqa_prompt.json",
            output=folder / "gptvqa_result.jsonl",
            spares=folder / "gptvqa_spare.json" if spares else None,
        )
    )
    post_process(
        PostProcessConfig(
            input=folder / "gptvqa_result.jsonl",
            output=folder / "gptvqa_train_data.json",
            rejects=folder / "rejects.jsonl",
            image_root=world.pool,
            near_question=0,
        )
    )
    kept: list[TrainRecord] = read_json(folder / "gptvqa_train_data.json", list[TrainRecord])
    return Counter(record.question_type for record in kept)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """Bad cases of the demo, and a small pool; `without` and `with` are the folders of a round each."""
    root = tmp_path_factory.mktemp("spares")
    sizes = {"base": 2, "pool": 200, "diagnose": 1, "holdout": 1}
    cases = json.loads((DEMO / "bad_case_aokvqa_classified.json").read_text())
    # the same cases for every type: the teacher's script looks at the type alone
    some = [row for of_type in cases.values() for row in of_type][:24]
    rows = [row | {"question_type": kind} for kind in TYPES for row in some]
    (root / "bad.json").write_text(json.dumps(rows))
    world = SimpleNamespace(root=root, pool=write_playground(root / "cache", 0, sizes) / "pool")
    world.off = construct(world, "without")
    world.on = construct(world, "with", spare_share=1.5)
    world.kept_off, world.kept_on = write_qas(world, "without", False), write_qas(world, "with", True)
    return world


def test_main_queries_are_the_same_with_spares(world: SimpleNamespace) -> None:
    files = [(world.root / name / "gptvqa_prompt.json").read_bytes() for name in ("without", "with")]
    assert files[0] == files[1]
    assert world.off.spares == [] and not (world.root / "without/gptvqa_spare.json").exists()
    shares = read_json(world.root / "without/sampling.json")
    assert not any("spares" in share for share in shares.values())


def test_spares_are_counted_and_use_no_image_twice(world: SimpleNamespace) -> None:
    spares: list[Query] = read_json(world.root / "with/gptvqa_spare.json", list[Query])
    assert spares == world.on.spares and len(spares) == 90
    images = [query.image_id for query in [*world.on.queries, *spares]]
    assert len(set(images)) == len(images)
    shares = read_json(world.root / "with/sampling.json")
    counts = Counter(query.question_type for query in spares)
    assert {name: share["spares"] for name, share in shares.items() if share["spares"]} == counts
    assert all(counts[name] == -(-share["filled"] * 3 // 2) for name, share in shares.items())
    assert any(query.neighbour for query in spares) and not all(query.neighbour for query in spares)
    again = construct(world, "again", spare_share=1.5)
    assert again.spares == spares


def test_kept_qas_come_nearer_to_the_weights(world: SimpleNamespace) -> None:
    wanted = QUERIES / len(TYPES)

    def away(kept: Counter[str]) -> float:
        """How far the types' QAs are from equal shares, in all."""
        return sum(abs(kept[kind] / kept.total() - 1 / len(TYPES)) for kind in TYPES)

    assert away(world.kept_on) < 0.6 * away(world.kept_off)
    assert all(world.kept_off[kind] <= world.kept_on[kind] <= wanted for kind in TYPES)


def test_later_rounds_leave_out_asked_spares_alone(world: SimpleNamespace) -> None:
    asked = read_json(world.root / "with" / ASKED_SPARES_FILE)
    assert 0 < len(asked) < len(world.on.spares)
    later = construct(world, "later", exclude_queries=[world.root / "with/gptvqa_prompt.json"], seed=1)
    assert later.left_out[EARLIER_ROUND] == QUERIES + len(asked)
    shown = {row["image_id"] for row in asked}
    assert not shown & {query.image_id for query in later.queries}


def test_a_pool_that_runs_short_has_main_queries_first(world: SimpleNamespace) -> None:
    result = construct(world, "short", maxnum=160, spare_share=0.5)
    assert len(result.queries) == 160 and len(result.spares) == 40
    assert any(
        "40 of 80 spare queries were written: no unused image left in the pool" in one
        for one in result.warnings
    )
    # switched off again, step 3 finds no spares of before
    construct(world, "short", maxnum=160)
    assert not (world.root / "short/gptvqa_spare.json").exists()
    with pytest.raises(DataEngineError, match=r"gptvqa_spare\.json"):
        write_qas(world, "short", True)


@pytest.mark.parametrize("settings", [{"causes": "cluster"}, {"example_choice": "nearest"}])
def test_spares_follow_causes_and_the_choice_of_examples(
    world: SimpleNamespace, settings: dict[str, str]
) -> None:
    name = next(iter(settings.values()))
    off = construct(world, name, **settings)
    on = construct(world, name, spare_share=0.5, **settings)
    assert on.queries == off.queries and len(on.spares) == 30
    assert all(len(set(query.example_ids)) == 2 for query in on.spares)
    causes = [{(query.question_type, query.cause) for query in rows} for rows in (on.spares, on.queries)]
    assert causes[0] == causes[1]
