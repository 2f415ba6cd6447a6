"""Step 2 obeys a person's decisions about bad cases as examples, on the example files of the demo."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from project import PROJECT_ROOT

from dataengine_lib.core.files import write_json
from dataengine_lib.errors import DataEngineError, ParameterError
from dataengine_lib.queries.examples.decisions import read_example_decisions, write_example_decision
from dataengine_lib.steps.construct_queries import (
    ConstructQueriesConfig,
    ConstructQueriesResult,
    construct_queries,
)

DEMO = PROJECT_ROOT / "data_demo"
CASES: dict[str, list[dict[str, Any]]] = json.loads((DEMO / "bad_case_aokvqa_classified.json").read_text())
IDS = {kind: [case["question_id"] for case in cases] for kind, cases in CASES.items()}
LARGEST = max(IDS, key=lambda kind: len(IDS[kind]))
Run = Callable[..., ConstructQueriesResult]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("store")


@pytest.fixture
def run(store: Path, tmp_path: Path) -> Run:
    def construct(**changes: object) -> ConstructQueriesResult:
        given: dict[str, Any] = {
            "input": DEMO / "bad_case_aokvqa_classified.json", "coco_dataset": DEMO, "coco_embedding": store,
            "output": tmp_path / "gptvqa_prompt.json", "encoder": str(DEMO / "models/tiny-clip"), "maxnum": 24,
            "topk": 20, "near_duplicate": None, "device": "cpu",
        }  # fmt: skip
        return construct_queries(ConstructQueriesConfig(**(given | changes)))

    return construct


def examples(result: ConstructQueriesResult, kind: str = LARGEST) -> list[list[str]]:
    return [query.example_ids for query in result.queries if query.question_type == kind]


def written(tmp_path: Path) -> list[bytes]:
    return [(tmp_path / name).read_bytes() for name in ("gptvqa_prompt.json", "sampling.json")]


@pytest.fixture
def decide(tmp_path: Path) -> Callable[[dict[str, str]], Path]:
    return lambda decisions: write_json(tmp_path / "decisions.json", decisions)


def test_without_decisions_nothing_changes(run: Run, decide: Callable, tmp_path: Path) -> None:
    run(spare_share=0.5)
    plain = written(tmp_path)
    run(spare_share=0.5, example_decisions=decide({}))
    assert written(tmp_path) == plain


@pytest.mark.parametrize(
    "changes", [{}, {"example_choice": "nearest"}, {"causes": "cluster"}, {"examples": 1}]
)
def test_never_is_in_no_prompt_and_its_image_stays_left_out(
    run: Run, decide: Callable, changes: dict[str, Any]
) -> None:
    before = run(**changes)
    never = {case for ids in IDS.values() if len(ids) > 1 for case in ids[::2]}
    assert any(never & set(query.example_ids) for query in before.queries)
    result = run(**changes, spare_share=1.0, example_decisions=decide(dict.fromkeys(never, "never")))
    used = {case for query in [*result.queries, *result.spares] for case in query.example_ids}
    assert used and not used & set(never)
    assert result.left_out == before.left_out
    assert len(result.queries) == len(before.queries)


@pytest.mark.parametrize("choice", ["random", "nearest", "diverse"])
def test_used_cases_come_after_the_first_example(
    run: Run, decide: Callable, choice: str, tmp_path: Path
) -> None:
    targets = {LARGEST: 8}
    before = examples(run(example_choice=choice, targets=targets, examples=3))
    favoured = IDS[LARGEST][0]
    file = decide({favoured: "use"})
    after = examples(run(example_choice=choice, targets=targets, examples=3, example_decisions=file))
    assert [ids[0] for ids in after] == [ids[0] for ids in before], "the anchors stay"
    assert all(favoured in ids and len(set(ids)) == len(ids) for ids in after)
    assert [len(ids) for ids in after] == [len(ids) for ids in before]
    first = written(tmp_path)
    run(example_choice=choice, targets=targets, examples=3, example_decisions=file)
    assert written(tmp_path) == first, "same seed, same bytes"


def test_a_single_example_is_a_used_one_with_its_own_neighbours(run: Run, decide: Callable) -> None:
    favoured = IDS[LARGEST][-1]
    result = run(examples=1, targets={LARGEST: 8}, example_decisions=decide({favoured: "use"}))
    queries = [query for query in result.queries if query.question_type == LARGEST]
    image = next(case["image_path"] for case in CASES[LARGEST] if case["question_id"] == favoured)
    assert {tuple(query.example_ids) for query in queries} == {(favoured,)}
    assert {query.anchor_image_path for query in queries} == {image}
    assert any(query.neighbour for query in queries)


def test_ids_of_other_rounds_are_counted_in_one_line(run: Run, decide: Callable) -> None:
    file = decide({"nowhere-1": "use", "nowhere-2": "never", IDS[LARGEST][0]: "use"})
    (line,) = [line for line in run(example_decisions=file).warnings if "decisions" in line]
    assert "2 of its 3 decisions are about no bad case of this round (nowhere-1, nowhere-2)" in line


def test_types_without_a_case_left_are_named_and_no_case_at_all_stops(run: Run, decide: Callable) -> None:
    result = run(example_decisions=decide(dict.fromkeys(IDS[LARGEST], "never")))
    assert any(f"no bad case of {LARGEST} may be used" in line for line in result.warnings)
    assert not examples(result) and len(result.queries) == 24
    everything = {case: "never" for ids in IDS.values() for case in ids}
    with pytest.raises(ParameterError, match=r"decisions\.json: no bad case may be used.*remove some"):
        run(example_decisions=decide(everything))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"a": "use", "b": "yes"}', r"f\.json: b has 'yes'; .*correct or remove"),
        ('{"a": "use", "b": 1, "c": [2]}', r"f\.json: b has 1, and 1 more are wrong"),
        (
            '{"a": {"decision": "accept"}}',
            r"decisions about examples are .*which post-process reads as review",
        ),
        ('["a"]', r"decisions about examples are"),
        ("{", r"f\.json: "),
    ],
)
def test_a_wrong_file_is_one_clear_line(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "f.json").write_text(content)
    with pytest.raises(DataEngineError, match=message) as caught:
        read_example_decisions(tmp_path / "f.json")
    assert len(str(caught.value).splitlines()) == 1
    with pytest.raises(DataEngineError):
        write_example_decision(tmp_path / "f.json", "x", "use")
    assert (tmp_path / "f.json").read_text() == content, "a file that is not understood is left alone"


def test_a_missing_file_is_an_error_of_the_step(run: Run, tmp_path: Path) -> None:
    with pytest.raises(DataEngineError, match=r"nowhere\.json"):
        run(example_decisions=tmp_path / "nowhere.json")


def test_decisions_are_written_one_by_one(tmp_path: Path) -> None:
    file = tmp_path / "new" / "f.json"
    write_example_decision(file, "a", "use")
    write_example_decision(file, "b", "never")
    assert write_example_decision(file, "a", "never") == {"b": "never", "a": "never"}
    assert write_example_decision(file, "b", None) == {"a": "never"} == read_example_decisions(file)
    assert [path.name for path in file.parent.iterdir()] == ["f.json"], "no temporary file is left"
