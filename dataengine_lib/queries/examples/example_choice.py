"""Step 2: which bad cases of a type are shown beside the anchor: any, the most similar ones, or different ones."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from random import Random
from typing import Literal

import numpy as np

from dataengine_lib.embeddings.store import nearest
from dataengine_lib.queries.sampling import QueryDraft

ExampleChoice = Literal["random", "nearest", "diverse"]
_TEXT_FEATURES = 512  # hashed words and pairs of words: 40 MB for 20,000 cases
_CANDIDATES = 1000  # cases of a type that `diverse` chooses from
_RELEVANCE = 0.5  # MMR's lambda: relevance and novelty count the same


def case_vectors(texts: Sequence[str], images: np.ndarray) -> np.ndarray:
    """Vectors `(n, d)` float32 of unit length of a type's bad cases, half their text and half their image.

    `images` are `(n, e)` float32 of unit length, or zeros for an image without a vector, whose text then counts alone.
    Words are weighted by how rare they are among the `texts`.
    """
    from sklearn.feature_extraction.text import HashingVectorizer, TfidfTransformer

    hashed = HashingVectorizer(n_features=_TEXT_FEATURES, ngram_range=(1, 2), norm=None).transform(texts)
    words = TfidfTransformer().fit_transform(hashed).toarray().astype(np.float32)
    both = np.hstack([words, images.astype(np.float32)])
    lengths = np.linalg.norm(both, axis=1, keepdims=True)
    return np.divide(both, lengths, out=both, where=lengths > 0)


def choose_examples(
    choice: ExampleChoice,
    drafts: Sequence[QueryDraft],
    vectors_of: Callable[[str], np.ndarray],
    groups: Mapping[str, Sequence[str]],
    seed: int,
) -> list[QueryDraft]:
    """The drafts with the examples of `choice` after their anchor, which stays, as does the number of examples.

    `vectors_of(type)` gives the vectors of its cases, see `case_vectors`; it is called once for each type. `nearest` takes
    the cases of the highest cosine with the anchor. `diverse` takes one after the other the case that is most like the
    mean of all and least like those already shown (maximal marginal relevance), of at most 1,000 cases, which `seed`
    draws. All are cases of the anchor's type and group (its answer kind or its cause); `groups` has that of each case, by
    type. Both give the same anchor the same examples, and neither compares all cases with all others.
    Source: Carbonell and Goldstein 1998 (MMR), with the mean in place of a search query.
    """
    if choice == "random":
        return list(drafts)
    wanted: dict[str, dict[str, dict[int, int]]] = {}  # type -> group -> anchor -> examples beside it
    for draft in drafts:
        anchor, *others = draft.examples
        group = groups[draft.question_type][anchor]
        wanted.setdefault(draft.question_type, {}).setdefault(group, {})[anchor] = len(others)
    pick = _nearest if choice == "nearest" else _diverse
    chosen: dict[tuple[str, int], tuple[int, ...]] = {}
    for name, by_group in wanted.items():
        vectors = vectors_of(name)
        for group, anchors in by_group.items():
            places = np.flatnonzero([one == group for one in groups[name]])
            own = vectors if len(places) == len(vectors) else vectors[places]
            begins = np.searchsorted(places, list(anchors)).tolist()
            # of one type and group, all anchors have as many examples
            found = pick(own, begins, max(anchors.values()), f"examples {seed} {name} {group}")
            for anchor, near in zip(anchors, found, strict=True):
                chosen[name, anchor] = tuple(places[near].tolist())
    return [
        replace(draft, examples=(draft.examples[0], *chosen[draft.question_type, draft.examples[0]]))
        for draft in drafts
    ]


def _nearest(vectors: np.ndarray, anchors: list[int], number: int, _: str) -> list[list[int]]:
    # one more than needed, as an anchor is the nearest to itself
    rows, _similarities = nearest(vectors[anchors], vectors, number + 1)
    return [
        [int(place) for place in near if place != anchor][:number]
        for anchor, near in zip(anchors, rows, strict=True)
    ]


def _diverse(vectors: np.ndarray, anchors: list[int], number: int, seed: str) -> list[list[int]]:
    places = np.arange(len(vectors))
    if len(vectors) > _CANDIDATES:
        places = np.array(sorted(Random(seed).sample(range(len(vectors)), _CANDIDATES)))
    candidates = vectors[places]
    mean = vectors.mean(axis=0)
    relevance = candidates @ (mean / (np.linalg.norm(mean) or 1.0))
    return [_mmr(candidates, places, relevance, vectors[anchor], anchor, number) for anchor in anchors]


def _mmr(
    candidates: np.ndarray,
    places: np.ndarray,
    relevance: np.ndarray,
    anchor_vector: np.ndarray,
    anchor: int,
    number: int,
) -> list[int]:
    free = places != anchor
    alike = candidates @ anchor_vector  # each candidate's highest cosine with what is shown
    chosen: list[int] = []
    for _ in range(min(number, int(free.sum()))):
        marginal = _RELEVANCE * relevance - (1 - _RELEVANCE) * alike
        # rounded, so that sums in another order give the same choice; the first of equal ones
        best = int(np.argmax(np.where(free, np.round(marginal, 5), -np.inf)))
        free[best] = False
        chosen.append(int(places[best]))
        alike = np.maximum(alike, candidates @ candidates[best])
    return chosen
