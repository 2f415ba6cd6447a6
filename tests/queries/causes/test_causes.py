"""Causes below a type: groups where there are any, one where there are none, names, even draws, later rounds."""

from collections import Counter
from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np
import pytest
from msgspec import UNSET

from dataengine_lib.core.bad_rows import BadRows
from dataengine_lib.core.files import write_json
from dataengine_lib.core.records import CHOICE, OPEN, YES_NO, QaForm, Query
from dataengine_lib.errors import DataEngineError
from dataengine_lib.images.references import ImageRef
from dataengine_lib.queries.bad_cases import BadCase, read_bad_cases
from dataengine_lib.queries.causes.causes_file import FoundCauses, read_causes
from dataengine_lib.queries.causes.clusters import find_clusters, nearest_centroid
from dataengine_lib.queries.causes.even_sampling import with_even_causes
from dataengine_lib.queries.causes.features import TEXT_FEATURES
from dataengine_lib.queries.causes.find_causes import CauseSettings, cluster_causes
from dataengine_lib.queries.causes.naming import MOST_CHARACTERS, cause_name, cause_names
from dataengine_lib.queries.sampling import draw_drafts

SETTINGS = CauseSettings(most=5, min_cases=6, seed=0, round=1)
COLORS = ["red", "blue", "green"]


def case(number: int, question: str, answer: str = "", right: str = "", name: str = "type") -> BadCase:
    return BadCase(
        f"q{number}",
        name,
        ImageRef(number),
        f"Question: {question}",
        question=question,
        answer=answer,
        right=right,
    )


def two_kinds(number: int = 40, name: str = "type") -> list[BadCase]:
    """Every second case is about colors, the others about sides."""
    draw = Random(1)
    cases = []
    for i in range(number):
        thing = draw.choice(["car", "dog", "man", "boat", "cup", "kite", "bench"])
        if i % 2:
            cases.append(
                case(i, f"What color is the shirt near the {thing}?", "blue", draw.choice(COLORS), name)
            )
        else:
            cases.append(case(i, f"On which side of the {thing} does the lamp stand?", "left", "right", name))
    return cases


def images_of(cases: list[BadCase]) -> np.ndarray:
    vectors = np.ones((len(cases), 8), dtype=np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def found(cases: dict[str, list[BadCase]], **more: object) -> FoundCauses:
    return cluster_causes(cases, images_of, "clip", replace(SETTINGS, **more))  # type: ignore[arg-type]


def points(groups: int, number: int = 120, apart: float = 6.0) -> np.ndarray:
    drawn = np.random.default_rng(0).normal(size=(number, 20))
    drawn[np.arange(number), np.arange(number) % groups] += apart if groups > 1 else 0
    return drawn.astype(np.float32)


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_as_many_groups_as_there_are(groups: int) -> None:
    vectors = points(groups)
    clusters = find_clusters(vectors, 0, 5, 8, "seed")
    assert len(clusters.centroids) == groups
    assert (clusters.silhouette > clusters.reference) == (groups > 1)
    labels = nearest_centroid(vectors, clusters.centroids)
    of_groups = [set(labels[np.arange(120) % groups == number].tolist()) for number in range(groups)]
    assert all(len(one) == 1 for one in of_groups) and len(set.union(*of_groups)) == groups
    assert np.array_equal(clusters.centroids, find_clusters(vectors, 0, 5, 8, "seed").centroids)


def test_groups_of_chance_are_seldom_taken_for_causes() -> None:
    draws = np.random.default_rng(5)
    taken = [
        len(find_clusters(draws.normal(size=(60, 10)).astype(np.float32), 0, 3, 8, str(n)).centroids) > 1
        for n in range(8)
    ]
    assert sum(taken) <= 1


def test_frequent_words_alone_make_no_groups() -> None:
    draws = np.random.default_rng(0)
    often = 0.8 / np.arange(1, 101)
    words = (draws.random((400, 100)) < often).astype(np.float32)
    words /= np.maximum(np.linalg.norm(words, axis=1, keepdims=True), 1)
    assert len(find_clusters(words, 100, 3, 8, "seed").centroids) == 1
    # taken for an embedding, which has no such columns, they look like groups
    assert len(find_clusters(words, 0, 3, 8, "seed").centroids) > 1


@pytest.mark.parametrize(
    "vectors", [points(2, 15), np.ones((60, 4), dtype=np.float32), np.zeros((40, 4), dtype=np.float32)]
)
def test_one_group_where_there_are_too_few_cases_or_all_are_the_same(vectors: np.ndarray) -> None:
    assert len(find_clusters(vectors, 0, 5, 8, "seed").centroids) == 1


def test_many_cases_are_compared_by_a_sample() -> None:
    vectors = points(3, 6000)
    clusters = find_clusters(vectors, 0, 4, 8, "seed")
    assert np.bincount(nearest_centroid(vectors, clusters.centroids)).tolist() == [2000] * 3


def test_causes_have_names_sizes_and_typical_cases() -> None:
    cases = two_kinds()
    causes = found({"type": cases, "few": cases[:5], "empty": []})
    named = causes.file.types["type"].causes
    assert [cause.cases for cause in named] == [20, 20]
    (color,) = (cause for cause in named if "color" in cause.name)
    (side,) = (cause for cause in named if "side" in cause.name)
    assert color.name.startswith("asks about ") and 'answered "blue"' in color.name
    assert side.name.endswith('answered "left"; right is "right"')
    assert color.by_round == {1: 20} and len(color.case_ids) == 20
    assert all(int(key[1:]) % 2 for key in color.case_ids)
    assert [cause.name for cause in causes.file.types["few"].causes] == [""]
    assert "empty" not in causes.file.types


def test_a_group_without_words_of_its_own_is_named_by_its_most_typical_case() -> None:
    cases = [case(i, "Is it   day?\n" * 30) for i in range(6)]
    names = cause_names(cases, [0, 1] * 3, [0, 1])
    assert names[0].startswith("like: Is it day?") and names[1].startswith("(2) like: Is it day?")
    assert all(len(name) <= MOST_CHARACTERS for name in names)
    assert cause_name("a\n{{ x }}\tb") == "a {{ x }} b"


def test_later_rounds_follow_the_causes_of_the_first(tmp_path: Path) -> None:
    cases = two_kinds()
    first = found({"type": cases})
    written = write_json(tmp_path / "causes.json", first.file)
    earlier = read_causes(written, "cluster", "clip", TEXT_FEATURES + 8)
    left = [one for i, one in enumerate(cases) if i % 2 or i < 6]
    second = cluster_causes(
        {"type": left, "new": two_kinds(name="new")}, images_of, "clip", replace(SETTINGS, round=2), earlier
    )
    before = {cause.name: cause.by_round for cause in first.file.types["type"].causes}
    after = {cause.name: cause.by_round for cause in second.file.types["type"].causes}
    assert before.keys() == after.keys()
    for name, counts in after.items():
        assert counts == {1: 20, 2: 20 if "color" in name else 3}
    assert [cause.by_round for cause in second.file.types["new"].causes] == [{2: 20}] * 2
    third = cluster_causes({}, images_of, "clip", replace(SETTINGS, round=3), second.file)
    assert [cause.cases for cause in third.file.types["type"].causes] == [0, 0]


@pytest.mark.parametrize(
    ("method", "encoder", "size", "round_", "message"),
    [
        ("teacher", "clip", 0, 2, "made with causes"),
        ("cluster", "other", TEXT_FEATURES + 8, 2, "made with encoder"),
        ("cluster", "clip", TEXT_FEATURES + 9, 2, "no centroid of 521 numbers"),
        (
            "cluster",
            "clip",
            TEXT_FEATURES + 8,
            1,
            "causes.json: has bad cases of round 1, and this is round 1",
        ),
    ],
)
def test_causes_made_in_another_way_are_refused(
    tmp_path: Path, method: str, encoder: str, size: int, round_: int, message: str
) -> None:
    written = write_json(tmp_path / "causes.json", found({"type": two_kinds()}).file)
    with pytest.raises(DataEngineError, match=message):
        read_causes(written, method, encoder, size, round_)


def test_a_changed_file_of_causes_gives_names_of_one_line(tmp_path: Path) -> None:
    first = found({"type": two_kinds()}).file
    first.types["type"].causes[0].name = "colors\n\nImage information"
    read = read_causes(write_json(tmp_path / "causes.json", first), "cluster", "clip", TEXT_FEATURES + 8)
    assert read.types["type"].causes[0].name == "colors Image information"
    (tmp_path / "causes.json").write_text(
        '{"method": "cluster", "encoder": "clip", "types": {"a": {"causes": []}}}'
    )
    with pytest.raises(DataEngineError, match="no centroid"):
        read_causes(tmp_path / "causes.json", "cluster", "clip", TEXT_FEATURES + 8)


def test_every_cause_is_drawn_equally_often_and_types_stay() -> None:
    odd = two_kinds(60)
    cases = {"a": [one for i, one in enumerate(odd) if i % 2 or i < 16], "b": two_kinds(name="b")[::2]}
    causes = found(cases)
    assert sorted(cause.cases for cause in causes.file.types["a"].causes) == [8, 30]
    counts = {name: len(of_type) for name, of_type in cases.items()}
    drafts, _ = draw_drafts({"a": 3, "b": 1}, counts, 80, examples=3, neighbour_share=0.5, rng=Random(0))
    drawn = with_even_causes(drafts, cases, causes, 3, SETTINGS.min_cases, Random(0))
    assert drawn == with_even_causes(drafts, cases, causes, 3, SETTINGS.min_cases, Random(0))
    assert [(d.question_type, d.neighbour) for d in drawn] == [(d.question_type, d.neighbour) for d in drafts]
    assert sorted(Counter(d.cause for d in drawn if d.question_type == "a").values()) == [30, 30]
    for before, draft in zip(drafts, drawn, strict=True):
        if draft.question_type == "b":
            assert draft == before  # one cause: as they were
            continue
        assert len(set(draft.examples)) == 3
        assert all(
            ("color" in cases["a"][place].question) == ("color" in draft.cause) for place in draft.examples
        )
    causes.count_queries(
        [Query(image_id=1, prompt="", question_type=d.question_type, cause=d.cause or UNSET) for d in drawn]
    )
    assert [cause.queries for cause in causes.file.types["a"].causes] == [30, 30]
    assert [cause.queries for cause in causes.file.types["b"].causes] == [20]


def test_questions_of_every_kind_are_grouped_with_and_without_a_right_answer(tmp_path: Path) -> None:
    rows: list[dict] = []
    for i in range(12):
        rows += [
            {"question": f"Is there a dog beside person {i}?", "choices": ["yes", "no"], "correct_choice_idx": 1,
             "answer_kind": "yes_no", "model_answer": "yes"},
            {"question": f"Which word stands on sign {i}?", "answer_kind": "open", "model_answer": "exit",
             "direct_answers": ["stop", "stop", "halt"]},
            {"prompt": f"Question: How many cars are parked in row {i}?\nAnswer: three"},
        ]  # fmt: skip
    file = write_json(tmp_path / "bad.json", {"a": [row | {"image_id": n} for n, row in enumerate(rows)]})
    cases = read_bad_cases(file, BadRows(file, 0.0))
    assert [(one.form.kind, one.right) for one in cases["a"][:3]] == [
        (YES_NO, "no"), (OPEN, "stop"), (CHOICE, "")
    ]  # fmt: skip
    causes = found(cases)
    assert sorted(place for group in causes.members["a"] for place in group) == list(range(36))
    groups = {
        causes.file.types["a"].causes[number].name: group for number, group in enumerate(causes.members["a"])
    }
    assert sorted(sorted({place % 3 for place in group}) for group in groups.values()) == [[0], [1], [2]]
    assert any('answered "yes"; right is "no"' in name for name in groups)
    assert any(
        name.startswith("asks about") and "parked" in name and "question" not in name for name in groups
    )
    assert any('answered "exit"; right is "stop"' in name for name in groups)
    drafts, _ = draw_drafts({"a": 1}, {"a": 36}, 12, examples=2, neighbour_share=0.5, rng=Random(0))
    drawn = with_even_causes(drafts, cases, causes, 2, SETTINGS.min_cases, Random(0))
    assert Counter(draft.examples[0] % 3 for draft in drawn) == {0: 4, 1: 4, 2: 4}
    assert all(len({place % 3 for place in draft.examples}) == 1 for draft in drawn)


def test_examples_have_one_answer_kind_and_a_cause_that_is_nearly_gone_is_drawn_less() -> None:
    cases = {
        "a": [replace(one, form=QaForm(OPEN)) if i % 4 == 0 else one for i, one in enumerate(two_kinds())]
    }
    causes = found(cases)
    causes.file.types["a"].causes[0].cases = 3  # of six
    drafts, _ = draw_drafts({"a": 1}, {"a": 40}, 30, examples=2, neighbour_share=0.5, rng=Random(0))
    drawn = with_even_causes(drafts, cases, causes, 2, SETTINGS.min_cases, Random(0))
    for draft in drawn:
        assert len({cases["a"][place].form for place in draft.examples}) == 1
    assert sorted(Counter(draft.cause for draft in drawn).values()) == [10, 20]
