"""Tests of sampling: shares follow weights, a rejection changes only the image, no image twice, it always ends."""

from collections import Counter
from itertools import pairwise
from random import Random

import numpy as np
import pytest
from scipy.stats import chisquare

from dataengine_lib.core.records import Query
from dataengine_lib.queries.sampling import (
    MAX_REDRAWS,
    NEIGHBOURS_USED_UP,
    QUERIES_PER_BLOCK,
    Neighbours,
    QueryDraft,
    allocate_by_weight,
    draw_drafts,
    order_in_blocks,
    pick_images,
)

WEIGHTS = {"a": 0.75, "b": 0.3, "c": 0.05, "d": 0.0, "e": 0.5}
CASES = {"a": 9, "b": 2, "c": 1, "d": 5, "e": 0}
# 1 - accuracy of the 18 types as a 7B student has it on A-OKVQA, and how many bad cases that leaves
REAL = [0.208, 0.318, 0.254, 0.211, 0.36, 0.443, 0.25, 0.279, 0.144, 0.376, 0.5, 0.314, 0.257, 0.286, 0.667, 0.375, 0.111,
        0.273]  # fmt: skip
REAL_WEIGHTS = {f"type_{number:02}": weight for number, weight in enumerate(REAL)}
REAL_CASES = {
    kind: {4: 1, 10: 0, 14: 1, 16: 0}.get(number, 40 + number) for number, kind in enumerate(REAL_WEIGHTS)
}


def drafts(maxnum: int = 4000, seed: int = 0, **more: object) -> tuple[list[QueryDraft], dict[str, int]]:
    options = {"examples": 2, "neighbour_share": 0.5, **more}
    return draw_drafts(WEIGHTS, CASES, maxnum, rng=Random(seed), **options)  # type: ignore[arg-type]


def test_shares_follow_the_weights() -> None:
    counts = Counter(draft.question_type for draft in drafts()[0])
    expected = np.array([WEIGHTS[kind] for kind in "abc"])
    assert set(counts) == set("abc")
    assert chisquare([counts[kind] for kind in "abc"], expected / expected.sum() * 4000).pvalue > 0.01


def test_drafts_of_a_type_without_cases_go_to_the_other_types() -> None:
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
    assert Counter(pick.fallback for pick in picks)[NEIGHBOURS_USED_UP] > 600


@pytest.mark.parametrize("maxnum", [0, 1, 5, 17, 600, 6001])
def test_every_type_gets_its_share_to_within_one_query(maxnum: int) -> None:
    for seed in range(20):
        made, asked = draw_drafts(
            REAL_WEIGHTS, REAL_CASES, maxnum, examples=2, neighbour_share=0.5, rng=Random(seed)
        )
        counts = Counter(draft.question_type for draft in made)
        total = sum(weight for kind, weight in REAL_WEIGHTS.items() if REAL_CASES[kind])
        assert len(made) == maxnum
        for kind, weight in REAL_WEIGHTS.items():
            if REAL_CASES[kind]:
                assert asked[kind] == counts[kind]
                assert abs(counts[kind] - maxnum * weight / total) < 1
            else:
                assert counts[kind] == 0
                assert abs(asked[kind] - maxnum * weight / sum(REAL)) < 1


def test_fractional_shares_are_exact_on_average() -> None:
    draws = [allocate_by_weight(REAL_WEIGHTS, 5, Random(seed)) for seed in range(4000)]
    counts = [sum(draw[kind] for draw in draws) for kind in REAL_WEIGHTS]
    assert chisquare(counts, [20000 * weight / sum(REAL) for weight in REAL]).pvalue > 0.01
    assert allocate_by_weight({}, 5, Random(0)) == {} and allocate_by_weight({"a": 0.0}, 5, Random(0)) == {
        "a": 0
    }


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("images", [500, 2001, 5999])
def test_realistic_shares_hold_when_neighbours_and_then_images_run_out(seed: int, images: int) -> None:
    """Chi-square against the weights, and much closer than chance: within three queries wherever it stops."""
    made, _ = draw_drafts(REAL_WEIGHTS, REAL_CASES, 6000, examples=10, neighbour_share=0.5, rng=Random(seed))
    near = [
        Neighbours(
            np.arange(hash_ % 300, hash_ % 300 + 30), np.linspace(1, 0.5, 30, dtype=np.float32)
        )  # few images near many anchors
        for hash_ in (sum(map(ord, d.question_type)) * 7 + d.examples[0] for d in made)
    ]
    picks = pick_images(
        made,
        [n if d.neighbour else None for n, d in zip(near, made, strict=True)],
        np.ones(images, dtype=bool),
        Random(seed),
    )
    assert len(picks) == images and any(pick.fallback == NEIGHBOURS_USED_UP for pick in picks)
    counts = Counter(made[pick.draft].question_type for pick in picks)
    kinds = [kind for kind in REAL_WEIGHTS if REAL_CASES[kind]]
    shares = np.array([REAL_WEIGHTS[kind] for kind in kinds])
    expected = shares / shares.sum() * images
    found = np.array([counts[kind] for kind in kinds])
    assert chisquare(found, expected).pvalue > 0.01
    assert np.abs(found - expected).max() < 3


def test_every_type_gets_its_share_of_neighbours() -> None:
    made, _ = draw_drafts(REAL_WEIGHTS, REAL_CASES, 6000, examples=2, neighbour_share=0.5, rng=Random(1))
    for kind in REAL_WEIGHTS:
        flags = [draft.neighbour for draft in made if draft.question_type == kind]
        assert abs(sum(flags) - len(flags) / 2) <= 0.5


def test_targets_are_met_and_the_others_share_the_rest() -> None:
    made, asked = drafts(1000, targets={"b": 400, "d": 7, "e": 50})
    counts = Counter(draft.question_type for draft in made)
    assert (counts["b"], counts["d"], counts["e"], asked["e"]) == (400, 7, 0, 50)
    assert counts["a"] + counts["c"] == 543
    assert abs(counts["c"] - 543 * 0.05 / 0.8) < 1
    made, asked = drafts(1000, targets={"a": 3, "b": 0, "c": 2, "d": 0, "e": 0})
    assert Counter(draft.question_type for draft in made) == {"a": 3, "c": 2}
    assert sum(asked.values()) == 5


def test_one_case_is_enough() -> None:
    made, _ = draw_drafts({"a": 1.0}, {"a": 1}, 5, examples=10, neighbour_share=0.5, rng=Random(0))
    assert [draft.examples for draft in made] == [(0,)] * 5


def test_an_image_that_does_not_fit_is_drawn_again_and_stays_for_others() -> None:
    made = [QueryDraft("a", (0,), number % 2 == 1) for number in range(60)]
    near = Neighbours(np.arange(40), np.ones(40, dtype=np.float32))
    short = [0, 2, 5]

    def fits(draft: int, row: int) -> bool:
        return row % 3 != 0 or draft in short

    anchors = [near if draft.neighbour else None for draft in made]
    picks = pick_images(made, anchors, np.ones(300, dtype=bool), Random(0), fits)
    assert len({pick.row for pick in picks}) == len(picks)
    assert all(fits(pick.draft, pick.row) for pick in picks)
    assert [pick.draft for pick in picks] == list(range(60))


def test_a_draft_that_no_image_fits_is_given_up_and_the_next_one_is_not() -> None:
    tries: Counter[int] = Counter()

    def fits(draft: int, row: int) -> bool:
        tries[draft] += 1
        return draft != 0

    made = [QueryDraft("a", (0,), False)] * 3
    picks = pick_images(made, [None] * 3, np.ones(50, dtype=bool), Random(0), fits)
    assert [pick.draft for pick in picks] == [1, 2]
    assert tries == {0: MAX_REDRAWS + 1, 1: 1, 2: 1}
    assert pick_images(made, [None] * 3, np.ones(2, dtype=bool), Random(0), lambda draft, row: False) == []


def test_types_are_grouped_in_blocks_so_that_an_early_stop_covers_all() -> None:
    made, _ = draw_drafts(REAL_WEIGHTS, REAL_CASES, 6000, examples=2, neighbour_share=0.5, rng=Random(2))
    queries = [
        Query(image_id=number, prompt="", question_type=draft.question_type)
        for number, draft in enumerate(made)
    ]
    written = order_in_blocks(queries)
    assert sorted(query.image_id for query in written) == list(range(6000))
    kinds = [query.question_type for query in written]
    changes = sum(kind != after for kind, after in pairwise(kinds))
    assert changes < 6000 / QUERIES_PER_BLOCK * len(set(kinds))
    shares = {kind: count / 6000 for kind, count in Counter(kinds).items()}
    for cut in range(QUERIES_PER_BLOCK, 6000, 371):
        counts = Counter(kinds[:cut])
        assert all(
            abs(counts[kind] - cut * share) <= QUERIES_PER_BLOCK * share + 3 for kind, share in shares.items()
        )


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
    pick = pick_images([QueryDraft("a", (0,), True)], [near], free, Random(0))[0]
    assert (pick.row, pick.neighbour) == (5, True)
    assert pick.similarity == pytest.approx(0.7)


def test_a_missing_anchor_falls_back_with_its_reason() -> None:
    pick = pick_images(
        [QueryDraft("a", (0,), True)], [Neighbours.none("gone")], np.ones(3, dtype=bool), Random(0)
    )[0]
    assert (pick.neighbour, pick.similarity, pick.fallback) == (False, None, "gone")


def test_random_images_are_uniform() -> None:
    single = [QueryDraft("a", (0,), False)]
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
