"""Examples beside the anchor: the most similar ones, or typical ones that differ from what is shown."""

from dataclasses import replace
from random import Random

import numpy as np

from dataengine_lib.queries.examples.example_choice import ExampleChoice, case_vectors, choose_examples
from dataengine_lib.queries.sampling import QueryDraft, draw_drafts


def groups(number: int = 30) -> np.ndarray:
    """Cases of three kinds, one after the other: unit vectors near three axes."""
    vectors = np.random.default_rng(0).normal(0, 0.1, (number, 8)).astype(np.float32)
    vectors[np.arange(number), np.arange(number) % 3] += 1
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def drafts(number: int, examples: int = 3, cases: int = 30) -> list[QueryDraft]:
    return draw_drafts(
        {"type": 1.0}, {"type": cases}, number, examples=examples, neighbour_share=0.5, rng=Random(3)
    )[0]


def choose(
    choice: ExampleChoice, given: list[QueryDraft], vectors: np.ndarray, seed: int = 0
) -> list[QueryDraft]:
    return choose_examples(choice, given, lambda name: vectors, {"type": ["choice"] * len(vectors)}, seed)


def test_the_anchor_the_image_and_the_number_of_examples_stay() -> None:
    given, vectors = drafts(40), groups()
    assert choose("random", given, vectors) == given
    for choice in ("nearest", "diverse"):
        found = choose(choice, given, vectors)
        assert found == choose(choice, given, vectors), "deterministic"
        for before, after in zip(given, found, strict=True):
            assert after.examples[0] == before.examples[0] and after.neighbour == before.neighbour
            assert len(set(after.examples)) == len(after.examples) == 3


def test_nearest_are_the_highest_cosines_with_the_anchor() -> None:
    vectors = groups()
    for draft in choose("nearest", drafts(40), vectors):
        anchor, *others = draft.examples
        cosines = vectors @ vectors[anchor]
        cosines[anchor] = -1
        assert set(others) == set(np.argsort(-cosines)[:2].tolist())
        assert {place % 3 for place in draft.examples} == {anchor % 3}


def test_diverse_examples_come_from_different_kinds_of_cases() -> None:
    for draft in choose("diverse", drafts(40), groups()):
        assert {place % 3 for place in draft.examples} == {0, 1, 2}


def test_diverse_examples_are_typical_and_no_outliers() -> None:
    vectors = groups(31)
    vectors[30] = -vectors[:30].mean(axis=0)  # unlike everything
    vectors[30] /= np.linalg.norm(vectors[30])
    chosen = [draft.examples for draft in choose("diverse", drafts(40, examples=2), vectors)]
    assert all(30 not in examples for examples in chosen)


def test_examples_are_of_the_anchors_answer_kind() -> None:
    vectors = groups()
    kinds = ["open" if place < 12 else "yes_no" for place in range(30)]
    given = with_kinds(drafts(40), kinds)
    for choice in ("nearest", "diverse"):
        found = choose_examples(choice, given, lambda name: vectors, {"type": kinds}, 0)
        assert all(len({kinds[place] for place in draft.examples}) == 1 for draft in found)
        assert {kinds[draft.examples[0]] for draft in found} == {"open", "yes_no"}
        assert all(len(set(draft.examples)) == 3 for draft in found)


def with_kinds(given: list[QueryDraft], kinds: list[str]) -> list[QueryDraft]:
    """Drafts whose examples are the anchor and the next two cases of its kind."""
    found = []
    for draft in given:
        anchor = draft.examples[0]
        same = [place for place, kind in enumerate(kinds) if kind == kinds[anchor] and place != anchor]
        found.append(replace(draft, examples=(anchor, *same[:2])))
    return found


def test_a_type_with_few_cases_shows_all_of_them() -> None:
    vectors = groups(2)
    for choice in ("nearest", "diverse"):
        assert {draft.examples for draft in choose(choice, drafts(9, cases=2), vectors)} <= {(0, 1), (1, 0)}
        (single,) = choose(choice, drafts(1, cases=1), groups(1))
        assert single.examples == (0,)


def test_of_many_cases_the_seed_draws_those_that_are_compared() -> None:
    vectors = groups(20_000)
    given = drafts(5, cases=20_000)
    first, again, other = (choose("diverse", given, vectors, seed) for seed in (0, 0, 1))
    assert first == again != other
    assert len({place for draft in choose("nearest", given, vectors) for place in draft.examples}) > 5


def test_vectors_are_half_text_and_half_image() -> None:
    images = np.eye(3, dtype=np.float32)[[0, 0, 1, 2]]
    images[3] = 0  # an image without a vector
    found = case_vectors(["a red car", "a blue boat", "a red car", "a red car"], images)
    assert np.allclose(np.linalg.norm(found, axis=1), 1)
    cosines = found @ found.T
    assert abs(cosines[0, 2] - 0.5) < 1e-5, "the same text, other images"
    assert 0.5 <= cosines[0, 1] < 1 and cosines[0, 3] > 0.7
    assert case_vectors(["", ""], np.zeros((2, 0), np.float32)).tolist() == np.zeros((2, 512)).tolist()
