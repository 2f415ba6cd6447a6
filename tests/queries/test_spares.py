"""Spare queries of step 2: how many are drawn, by which rules, and which files name those that were asked."""

from collections import Counter
from pathlib import Path
from random import Random

import pytest

from dataengine_lib.core.files import write_json
from dataengine_lib.images.references import ImageRef
from dataengine_lib.queries.bad_cases import BadCase
from dataengine_lib.queries.sampling import QueryDraft, draw_drafts
from dataengine_lib.queries.spares import (
    ASKED_SPARES_FILE,
    draw_spares,
    spare_warnings,
    with_asked_spares,
    write_spares,
)

CASES = {
    name: [BadCase(f"{name} {n}", name, ImageRef(n), "text") for n in range(number)]
    for name, number in (("many", 9), ("few", 3), ("one", 1))
}


def main_drafts() -> list[QueryDraft]:
    counts = {name: len(of_type) for name, of_type in CASES.items()}
    targets = {"many": 30, "few": 7, "one": 1}
    return draw_drafts(
        dict.fromkeys(CASES, 1.0), counts, 38, examples=2, neighbour_share=0.5, rng=Random(0), targets=targets
    )[0]


@pytest.mark.parametrize(
    ("share", "wanted"),
    [
        (0, {}),
        (0.1, {"many": 3, "few": 1, "one": 1}),
        (0.5, {"many": 15, "few": 4, "one": 1}),
        (2, {"many": 60, "few": 14, "one": 2}),
    ],
)
def test_each_type_has_its_share_rounded_up(share: float, wanted: dict[str, int]) -> None:
    spares = draw_spares(main_drafts(), CASES, share, examples=2, neighbour_share=0.5, seed=3)
    assert Counter(draft.question_type for draft in spares) == wanted


def test_spares_follow_the_rules_of_queries_and_their_own_seed() -> None:
    def draw(seed: int, neighbour_share: float = 0.5) -> list[QueryDraft]:
        return draw_spares(main_drafts(), CASES, 1, examples=2, neighbour_share=neighbour_share, seed=seed)

    assert draw(1) == draw(1) != draw(2)
    assert [draft.examples for draft in draw(1)] != [draft.examples for draft in main_drafts()]
    assert all(len(set(draft.examples)) == min(2, len(CASES[draft.question_type])) for draft in draw(1))
    of_type = Counter(draft.question_type for draft in draw(1) if draft.neighbour)
    assert of_type["many"] == 15 and of_type["few"] in (3, 4)
    assert not any(draft.neighbour for draft in draw(1, 0))
    assert draw_spares([], CASES, 1, examples=2, neighbour_share=0.5, seed=0) == []


def test_a_shortage_is_one_sentence() -> None:
    assert spare_warnings(40, 40, 0) == []
    assert spare_warnings(40, 3, 0) == [
        "3 of 40 spare queries were written: no unused image left in the pool"
    ]
    assert spare_warnings(40, 39, 1) == [
        "39 of 40 spare queries were written: 1 with prompts over max_prompt_tokens even without captions"
    ]


def test_the_files_of_asked_spares_follow_their_queries(tmp_path: Path) -> None:
    first, second = (tmp_path / name / "gptvqa_prompt.json" for name in ("round1", "round2"))
    asked = write_json(first.with_name(ASKED_SPARES_FILE), [])
    assert with_asked_spares([first, second]) == [first, asked, second]
    assert with_asked_spares([]) == []


def test_spares_of_an_earlier_run_are_removed(tmp_path: Path) -> None:
    file = tmp_path / "gptvqa_spare.json"
    write_spares(file, 0.5, [])
    assert file.read_text().strip() == "[]"
    write_spares(file, 0, [])
    write_spares(file, 0, [])
    assert not file.exists()
