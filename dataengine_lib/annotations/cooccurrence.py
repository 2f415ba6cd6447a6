"""Step 3, annotations teacher: draws plausible wrong answers, namely things that the pool often shows together."""

import re
from collections.abc import Iterable, Mapping
from random import Random
from typing import ClassVar

import numpy as np

from dataengine_lib.annotations.vocabulary import plural
from dataengine_lib.images.pool import ImagePool

_BLOCK = 16_384  # images that are counted at a time: their table takes a few MB
_SAMPLE = 4_000  # images of Visual Genome that are read; a sample is enough to see what occurs together
# Added to the number of a thing's images, so that shares of rare things are small: with 10 images they are halved.
_PRIOR_IMAGES = 10
_BASE_WEIGHT = 0.02  # weight of things never seen together, so that a tiny pool draws from everything
_SETTING_WEIGHT = 0.1  # added for things of the same setting; decides in pools with few images
_SETTINGS = (
    {"furniture", "appliance", "electronic", "kitchen", "food", "indoor"},
    {"vehicle", "outdoor", "sports", "animal"},
)


class Cooccurrence:
    """How often things of a pool occur in the same image.

    `kinds` maps each thing to its supercategory ("" if unknown); `counts` is `(k, k)`, in the order of `kinds`: the
    number of images with both things, on the diagonal with the one.
    """

    EMPTY: ClassVar["Cooccurrence"]
    """Knows no things; for facts from which no wrong answers are drawn."""

    def __init__(self, kinds: Mapping[str, str], counts: np.ndarray) -> None:
        self._kinds = kinds
        self._index = {name: index for index, name in enumerate(kinds)}
        # [i, j]: which share of the images with thing i shows j too, lowered by the prior
        self._shares = counts / (counts.diagonal()[:, None] + _PRIOR_IMAGES)

    @classmethod
    def of_boxes(cls, pool: ImagePool) -> "Cooccurrence":
        """Counted over the boxes of all images; COCO's 118,287 images take less than a second."""
        rows, categories = pool.box_categories
        return cls(pool.categories, _counts(rows, categories, len(pool), len(pool.categories)))

    @classmethod
    def of_phrases(cls, pool: ImagePool, kinds: Mapping[str, str]) -> "Cooccurrence":
        """Counted over the region phrases of a sample of images, spread evenly over the pool."""
        forms = {form: index for index, name in enumerate(kinds) for form in (name, plural(name))}
        # the longest name first, so that "dining table" is not read as "table"
        longest_first = "|".join(map(re.escape, sorted(forms, key=lambda form: (-len(form), form))))
        pattern = re.compile(rf"\b(?:{longest_first})\b")
        rows: list[int] = []
        categories: list[int] = []
        sample = np.unique(np.linspace(0, len(pool) - 1, min(len(pool), _SAMPLE)).astype(np.int64))
        for number, row in enumerate(sample.tolist()):
            found = {
                forms[word] for phrase in pool[row].captions for word in pattern.findall(phrase.casefold())
            }
            rows += [number] * len(found)
            categories += found
        counts = _counts(np.array(rows, np.int64), np.array(categories, np.int64), len(sample), len(kinds))
        return cls(kinds, counts)

    def draw(
        self, rng: Random, candidates: Iterable[str], in_image: Iterable[str], n: int
    ) -> tuple[str, ...]:
        """`n` of the candidates, or all if there are fewer; more often those that occur together with `in_image`."""
        others = sorted(set(in_image))
        # sorted, so that the draws do not depend on the order of a set
        weights = {name: self._weight(name, others) for name in sorted(set(candidates))}
        # Weighted draws without replacement: Efraimidis and Spirakis 2006.
        keys = {name: rng.random() ** (1 / weight) for name, weight in weights.items()}
        return tuple(sorted(keys, key=lambda name: (-keys[name], name))[:n])

    def _weight(self, name: str, others: list[str]) -> float:
        weight, kind = _BASE_WEIGHT, self._kinds.get(name, "")
        other_kinds = {self._kinds.get(other, "") for other in others}
        if any(kind in setting and other_kinds & setting for setting in _SETTINGS):
            weight += _SETTING_WEIGHT
        rows = [self._index[other] for other in others if other in self._index]
        if name in self._index and rows:
            weight += float(self._shares[rows, self._index[name]].sum())
        return weight


Cooccurrence.EMPTY = Cooccurrence({}, np.zeros((0, 0)))


def _counts(rows: np.ndarray, categories: np.ndarray, images: int, names: int) -> np.ndarray:
    """`(names, names)`: in how many images two things occur together; `rows` are the boxes' images, ascending."""
    counts = np.zeros((names, names))
    for begin in range(0, images, _BLOCK):
        block = slice(*np.searchsorted(rows, (begin, begin + _BLOCK)))
        table = np.zeros((_BLOCK, names), dtype=np.float32)  # exact: no sum reaches 2 ** 24
        table[rows[block] - begin, categories[block]] = 1
        # a row is an image, with 1 for each of its things: the product adds 1 for every pair in it
        counts += table.T @ table
    return counts
