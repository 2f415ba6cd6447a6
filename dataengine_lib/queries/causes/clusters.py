"""Step 2: groups of vectors by k-means, as many as separate better than those of data without groups."""

from dataclasses import dataclass
from random import Random

import numpy as np

from dataengine_lib.queries.causes.features import DECIMALS

_SAMPLE = 400  # cases that the number of groups is chosen on: silhouettes compare all of them with all others
_COMPONENTS = 16  # principal components; distances in hundreds of dimensions are nearly all alike
_REFERENCES = 19  # sets without groups; better than all of them by chance has p = 1/20
_STARTS = 3  # of k-means


@dataclass(frozen=True)
class Clusters:
    """Centroids `(k, d)` float32 of k groups, one where no groups were found.

    `silhouette` from -1 to 1 says how well they separate, `reference` the best of data without groups; both are 0 where
    there were too few cases to compare.
    """

    centroids: np.ndarray
    silhouette: float = 0.0
    reference: float = 0.0


def find_clusters(vectors: np.ndarray, words: int, most: int, min_cases: int, seed: str) -> Clusters:
    """The groups of `vectors` `(n, d)`: at most `most`, each of at least `min_cases`, or one group of all.

    The first `words` columns are weights of words, the others an embedding. The number of groups is the one with the
    highest mean silhouette (Rousseeuw 1987), if that is higher than those of 19 sets without groups: words that occur
    independently of each other, each as often as here, and an embedding drawn from one normal distribution with the same
    covariance, which is SigClust's hypothesis (Liu and others 2008). It is chosen on at most 400 cases, so that memory
    grows with n alone. Same `seed`, same groups.
    """
    whole = _rounded(vectors.mean(axis=0, keepdims=True))
    most = min(most, len(vectors) // min_cases)
    if most < 2:
        return Clusters(whole)
    rng = Random(seed)
    places = sorted(rng.sample(range(len(vectors)), min(_SAMPLE, len(vectors))))
    sample = vectors[places]
    points = _principal(sample)
    smallest = min_cases * len(places) / len(vectors)
    found, labels = _best(points, most, smallest)
    if labels is None:
        return Clusters(whole)
    draws = np.random.default_rng(rng.getrandbits(64))
    reference = max(
        _best(_principal(_without_groups(sample, words, draws)), most, smallest)[0]
        for _ in range(_REFERENCES)
    )
    scores = round(found, DECIMALS), round(reference, DECIMALS)
    if found <= reference:
        return Clusters(whole, *scores)
    groups = [sample[labels == number] for number in range(labels.max() + 1)]
    centroids = _rounded(np.array([group.mean(axis=0) for group in groups]))
    # those of the sample may get fewer of all cases
    while len(centroids) > 1:
        sizes = np.bincount(nearest_centroid(vectors, centroids), minlength=len(centroids))
        if sizes.min() >= min_cases:
            break
        centroids = np.delete(centroids, int(sizes.argmin()), axis=0)
    return Clusters(centroids if len(centroids) > 1 else whole, *scores)


def nearest_centroid(vectors: np.ndarray, centroids: np.ndarray) -> np.ndarray:
    """The number `(n,)` of the centroid that each vector is nearest to, by Euclidean distance."""
    # |v - c|² without |v|², which is the same for all centroids
    return np.argmin((centroids**2).sum(axis=1) - 2 * vectors @ centroids.T, axis=1)


def _rounded(centroids: np.ndarray) -> np.ndarray:
    return np.round(centroids, DECIMALS).astype(np.float32)


def _without_groups(sample: np.ndarray, words: int, draws: np.random.Generator) -> np.ndarray:
    """A set like the sample `(m, d)` in which nothing depends on anything but within the embedding, linearly."""
    mixed = draws.permuted(sample[:, :words], axis=0)
    lengths = np.linalg.norm(mixed, axis=1, keepdims=True)
    np.divide(mixed, lengths, out=mixed, where=lengths > 0)
    centred = sample[:, words:] - sample[:, words:].mean(axis=0)
    # sums of the rows with random normal weights have their covariance
    drawn = draws.normal(size=(len(sample), len(sample))) @ centred / np.sqrt(len(sample))
    return np.hstack([mixed, drawn])


def _principal(sample: np.ndarray) -> np.ndarray:
    """The sample `(m, d)` on its first principal components `(m, p)`."""
    centred = (sample - sample.mean(axis=0)).astype(np.float64)
    # from the products of rows: m is smaller than d
    sizes, axes = np.linalg.eigh(centred @ centred.T)
    first = slice(None, -_COMPONENTS - 1, -1)
    return axes[:, first] * np.sqrt(np.maximum(sizes[first], 0.0))


def _best(points: np.ndarray, most: int, smallest: float) -> tuple[float, np.ndarray | None]:
    """(the highest mean silhouette, its groups) for 2 to `most` groups of at least `smallest` points; (-1, None): none."""
    from sklearn.cluster import KMeans
    from sklearn.metrics import silhouette_score
    from threadpoolctl import threadpool_limits

    best: tuple[float, np.ndarray | None] = (-1.0, None)
    most = min(most, len(np.unique(points, axis=0)) - 1)
    for count in range(2, most + 1):
        # k-means adds up the sums of its threads in the order in which they end
        with threadpool_limits(1):
            labels = KMeans(count, n_init=_STARTS, random_state=0).fit_predict(points)
        if np.bincount(labels, minlength=count).min() < smallest:
            continue
        # rounded, so that sums in another order choose the same number
        score = round(float(silhouette_score(points, labels)), 6)
        if score > best[0]:
            best = score, labels
    return best
