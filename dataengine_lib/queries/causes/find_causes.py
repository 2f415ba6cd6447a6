"""Step 2: the causes of all types by clustering, or those of an earlier round and which cases have them now."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from dataengine_lib.queries.bad_cases import BadCase
from dataengine_lib.queries.causes.causes_file import Cause, CausesFile, FoundCauses, TypeCauses
from dataengine_lib.queries.causes.clusters import Clusters, find_clusters, nearest_centroid
from dataengine_lib.queries.causes.features import DECIMALS, TEXT_FEATURES, CaseSpace
from dataengine_lib.queries.causes.naming import cause_names

CLUSTER = "cluster"


@dataclass(frozen=True)
class CauseSettings:
    """At most `most` causes of a type, each of `min_cases` at least; cases are counted under the loop's `round`."""

    most: int
    min_cases: int
    seed: int
    round: int


def cluster_causes(
    cases: Mapping[str, Sequence[BadCase]],
    images_of: Callable[[Sequence[BadCase]], np.ndarray],
    encoder: str,
    settings: CauseSettings,
    earlier: CausesFile | None = None,
) -> FoundCauses:
    """Group the bad cases of each type; a type that `earlier` has keeps its causes, and its cases go to the nearest.

    `images_of(cases)` gives the vectors `(n, d)` of their images, zeros where there is none.
    """
    file = CausesFile(CLUSTER, encoder, {})
    members: dict[str, list[list[int]]] = {}
    known = earlier.types if earlier else {}
    for name in dict.fromkeys([*known, *cases]):
        of_type = cases.get(name, [])
        if name in known:
            file.types[name], members[name] = _assigned(known[name], of_type, images_of, settings)
        elif of_type:
            file.types[name], members[name] = _found(name, of_type, images_of, settings)
    return FoundCauses(file, members)


def _found(
    name: str,
    cases: Sequence[BadCase],
    images_of: Callable[[Sequence[BadCase]], np.ndarray],
    settings: CauseSettings,
) -> tuple[TypeCauses, list[list[int]]]:
    space = CaseSpace.fit(cases)
    vectors = space.vectors(cases, images_of(cases))
    clusters = find_clusters(
        vectors, TEXT_FEATURES, settings.most, settings.min_cases, f"causes {settings.seed} {name}"
    )
    members = _members(vectors, clusters)
    groups = [0] * len(cases)
    for number, places in enumerate(members):
        for place in places:
            groups[place] = number
    names = cause_names(cases, groups, [places[0] for places in members])
    causes = [Cause(one) for one in names]
    found = TypeCauses(
        causes,
        clusters.silhouette,
        clusters.reference,
        # rounded as float64: float32 has no four decimals
        [round(float(one), DECIMALS) for one in space.idf],
        [[round(float(one), DECIMALS) for one in centroid] for centroid in clusters.centroids],
    )
    count_cases(causes, cases, members, settings.round)
    return found, members


def _assigned(
    known: TypeCauses,
    cases: Sequence[BadCase],
    images_of: Callable[[Sequence[BadCase]], np.ndarray],
    settings: CauseSettings,
) -> tuple[TypeCauses, list[list[int]]]:
    causes = [Cause(one.name, by_round=dict(one.by_round)) for one in known.causes]
    members: list[list[int]] = [[] for _ in causes]
    if cases:
        space = CaseSpace(np.array(known.idf, dtype=np.float32))
        centroids = np.array(known.centroids, dtype=np.float32)
        members = _members(space.vectors(cases, images_of(cases)), Clusters(centroids))
    count_cases(causes, cases, members, settings.round)
    return TypeCauses(causes, known.silhouette, known.reference, known.idf, known.centroids), members


def count_cases(
    causes: Sequence[Cause], cases: Sequence[BadCase], members: Sequence[Sequence[int]], round_: int | None
) -> None:
    """Write into the causes how many cases of this round each has, and their keys.

    `round_` is None where not every case was assigned: such counts are not to be compared with those of other rounds.
    """
    for cause, places in zip(causes, members, strict=True):
        cause.cases = len(places)
        if round_ is not None:
            cause.by_round[round_] = len(places)
        cause.case_ids = [cases[place].key for place in places]


def _members(vectors: np.ndarray, clusters: Clusters) -> list[list[int]]:
    """The places of the vectors of each group, the one nearest to the centroid first."""
    labels = nearest_centroid(vectors, clusters.centroids)
    found = []
    for number, centroid in enumerate(clusters.centroids):
        places = np.flatnonzero(labels == number)
        # rounded, so that sums in another order name the same examples
        apart = np.round(np.linalg.norm(vectors[places] - centroid, axis=1), 4)
        found.append(places[np.argsort(apart, kind="stable")].tolist())
    return found
