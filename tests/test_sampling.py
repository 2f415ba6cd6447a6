"""Tests of the sampler: shares follow weights, rejections change the image only, nothing twice, it always ends."""

from collections import Counter
from random import Random

import numpy as np
import pytest
from scipy.stats import chisquare

from dataengine_lib.data.sampling import (
    USED_UP,
    Draft,
    Neighbours,
    draw_drafts,
    pick_images,
)

WEIGHTS = {"a": 0.75, "b": 0.3, "c": 0.05, "d": 0.0, "e": 0.5}
CASES = {"a": 9, "b": 2, "c": 1, "d": 5, "e": 0}


def drafts(maxnum: int = 4000, seed: int = 0, **more: object) -> tuple[list[Draft], dict[str, int]]:
    options = {"examples": 2, "neighbour_share": 0.5, **more}
    return draw_drafts(WEIGHTS, CASES, maxnum, rng=Random(seed), **options)  # type: ignore[arg-type]


def test_shares_follow_the_weights() -> None:
    counts = Counter(draft.question_type for draft in drafts()[0])
    expected = np.array([WEIGHTS[kind] for kind in "abc"])
    assert set(counts) == set("abc")
    assert chisquare([counts[kind] for kind in "abc"], expected / expected.sum() * 4000).pvalue > 0.01


def test_a_type_without_cases_is_asked_and_its_turns_go_on() -> None:
    made, asked = drafts()
    assert len(made) == 4000
    counts = Counter(draft.question_type for draft in made)
    assert {kind: asked[kind] for kind in "abcd"} == {kind: counts[kind] for kind in "abcd"}
    assert chisquare([asked["e"], 4000 - asked["e"]], [4000 * 0.5 / 1.6, 4000 * 1.1 / 1.6]).pvalue > 0.01


def test_shares_hold_after_rejections() -> None:
    made, _ = drafts(1500)
    near = Neighbours(
        np.arange(40), np.linspace(1, 0, 40, dtype=np.float32)
    )  # soon used up: most are redrawn
    picks = pick_images(
        made, [near if draft.neighbour else None for draft in made], np.ones(1400, dtype=bool), Random(1)
    )
    counts = Counter(draft.question_type for draft, _ in zip(made, picks, strict=False))
    expected = np.array([WEIGHTS[kind] for kind in "abc"])
    assert len(picks) == 1400
    assert chisquare([counts[kind] for kind in "abc"], expected / expected.sum() * 1400).pvalue > 0.01
    assert sum(pick.neighbour for pick in picks) <= 40
    assert Counter(pick.fallback for pick in picks)[USED_UP] > 600


def test_examples_are_distinct_where_the_pool_allows() -> None:
    made, _ = drafts()
    for draft in made:
        assert len(draft.examples) == len(set(draft.examples)) == min(2, CASES[draft.question_type])
        assert max(draft.examples) < CASES[draft.question_type]
    assert {draft.examples[0] for draft in made if draft.question_type == "a"} == set(range(9))


@pytest.mark.parametrize(("share", "expected"), [(0, 0), (0.5, 50), (1, 100), (0.3, 30)])
def test_neighbour_share(share: float, expected: int) -> None:
    flags = [draft.neighbour for draft in drafts(100, neighbour_share=share)[0]]
    assert sum(flags) == expected
    if share == 0.5:
        assert flags == [False, True] * 50


def test_neighbours_come_from_the_anchors_list_and_no_image_comes_twice() -> None:
    made, _ = drafts(200)
    lists = [np.random.default_rng(i).choice(1000, 100, replace=False) for i in range(200)]
    near = [
        Neighbours(rows, np.ones(100, dtype=np.float32)) if d.neighbour else None
        for rows, d in zip(lists, made, strict=True)
    ]
    free = np.random.default_rng(0).random(1000) < 0.8
    picks = pick_images(made, near, free, Random(3))
    assert len({pick.row for pick in picks}) == len(picks) == 200
    assert all(free[pick.row] for pick in picks)
    for draft, rows, pick in zip(made, lists, picks, strict=True):
        assert pick.neighbour == draft.neighbour
        assert not pick.neighbour or pick.row in rows
    ranks = [rows.tolist().index(pick.row) for rows, pick in zip(lists, picks, strict=True) if pick.neighbour]
    assert 30 < np.mean(ranks) < 70  # drawn among the neighbours, not the nearest each time


def test_the_similarity_belongs_to_the_image() -> None:
    near = Neighbours(np.array([7, 3, 5]), np.array([0.9, 0.8, 0.7], dtype=np.float32))
    free = np.isin(np.arange(9), [5])
    pick = pick_images([Draft("a", (0,), True)], [near], free, Random(0))[0]
    assert (pick.row, pick.neighbour) == (5, True)
    assert pick.similarity == pytest.approx(0.7)


def test_a_missing_anchor_falls_back_with_its_reason() -> None:
    pick = pick_images(
        [Draft("a", (0,), True)], [Neighbours.none("gone")], np.ones(3, dtype=bool), Random(0)
    )[0]
    assert (pick.neighbour, pick.similarity, pick.fallback) == (False, None, "gone")


def test_random_images_are_uniform() -> None:
    single = [Draft("a", (0,), False)]
    counts = Counter(
        pick_images(single, [None], np.ones(10, dtype=bool), Random(seed))[0].row for seed in range(3000)
    )
    assert chisquare([counts[i] for i in range(10)]).pvalue > 0.01


@pytest.mark.parametrize("size", [0, 1, 7])
def test_it_ends_when_the_pool_is_used_up(size: int) -> None:
    made, _ = drafts(50)
    near = Neighbours(np.arange(size), np.ones(size, dtype=np.float32))
    picks = pick_images(
        made, [near if draft.neighbour else None for draft in made], np.ones(size, dtype=bool), Random(0)
    )
    assert sorted(pick.row for pick in picks) == list(range(size))


def test_no_cases_no_drafts() -> None:
    made, asked = draw_drafts({"a": 1.0}, {"a": 0}, 10, examples=2, neighbour_share=0.5, rng=Random(0))
    assert (made, asked) == ([], {"a": 10})
    assert draw_drafts({}, {}, 10, examples=2, neighbour_share=0.5, rng=Random(0)) == ([], {})


def test_same_seed_same_draw() -> None:
    assert drafts(seed=4) == drafts(seed=4)
    assert drafts(seed=4) != drafts(seed=5)
