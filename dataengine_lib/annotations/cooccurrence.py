"""Step 3, annotations teacher: wrong answers that could well be there, by what pictures of the pool show together."""

import re
from collections.abc import Iterable, Mapping
from random import Random

import numpy as np

from dataengine_lib.annotations.vocabulary import plural
from dataengine_lib.images.pool import ImagePool

_BLOCK = 16_384  # images counted at a time: their table of yes and no takes a few MB
_SAMPLE = 4_000  # images of Visual Genome that are read: a share of them tells what goes together
_DOUBT = 10  # pictures of a thing before its company counts for half
_ANY = 0.02  # weight of what has never been seen together, so that a tiny pool draws from everything
_SETTING = 0.1  # added for a kind found in the same surroundings: what a pool of few pictures goes by
_SETTINGS = (
    {"furniture", "appliance", "electronic", "kitchen", "food", "indoor"},
    {"vehicle", "outdoor", "sports", "animal"},
)


class Company:
    """How often the things of a pool are in one picture; `counts` is `(k, k)`, in the order of `kinds`.

    `kinds` has every thing's supercategory, "" if unknown.
    """

    def __init__(self, kinds: Mapping[str, str], counts: np.ndarray) -> None:
        self._kinds = kinds
        self._place = {name: place for place, name in enumerate(kinds)}
        self._shares = counts / (counts.diagonal()[:, None] + _DOUBT)

    @classmethod
    def of_boxes(cls, pool: ImagePool) -> "Company":
        """Counted over the boxes of all images; COCO's 118,287 images take less than a second."""
        rows, categories = pool.box_categories
        return cls(pool.categories, _counts(rows, categories, len(pool), len(pool.categories)))

    @classmethod
    def of_phrases(cls, pool: ImagePool, kinds: Mapping[str, str]) -> "Company":
        """Counted over the region phrases of images spread evenly over the pool."""
        forms = {form: place for place, name in enumerate(kinds) for form in (name, plural(name))}
        longest_first = "|".join(map(re.escape, sorted(forms, key=lambda form: (-len(form), form))))
        pattern = re.compile(rf"\b(?:{longest_first})\b")
        rows: list[int] = []
        categories: list[int] = []
        picked = np.unique(np.linspace(0, len(pool) - 1, min(len(pool), _SAMPLE)).astype(np.int64))
        for number, row in enumerate(picked.tolist()):
            found = {
                forms[word] for phrase in pool[row].captions for word in pattern.findall(phrase.casefold())
            }
            rows += [number] * len(found)
            categories += found
        counts = _counts(np.array(rows, np.int64), np.array(categories, np.int64), len(picked), len(kinds))
        return cls(kinds, counts)

    def draw(self, rng: Random, candidates: Iterable[str], present: Iterable[str], n: int) -> tuple[str, ...]:
        """`n` of the candidates, or all if there are fewer; what often goes with `present` is drawn more often."""
        around = sorted(set(present))
        weights = {name: self._weight(name, around) for name in sorted(set(candidates))}
        # Weighted draws without replacement: Efraimidis and Spirakis 2006.
        keys = {name: rng.random() ** (1 / weight) for name, weight in weights.items()}
        return tuple(sorted(keys, key=lambda name: (-keys[name], name))[:n])

    def _weight(self, name: str, around: list[str]) -> float:
        weight, kind = _ANY, self._kinds.get(name, "")
        near = {self._kinds.get(other, "") for other in around}
        if any(kind in setting and near & setting for setting in _SETTINGS):
            weight += _SETTING
        places = [self._place[other] for other in around if other in self._place]
        if name in self._place and places:
            weight += float(self._shares[places, self._place[name]].sum())
        return weight


def _counts(rows: np.ndarray, categories: np.ndarray, images: int, names: int) -> np.ndarray:
    """`(names, names)` in how many images two things are together; `rows` ascending."""
    counts = np.zeros((names, names))
    for begin in range(0, images, _BLOCK):
        part = slice(*np.searchsorted(rows, (begin, begin + _BLOCK)))
        table = np.zeros((_BLOCK, names), dtype=np.float32)  # exact: no sum reaches 2 ** 24
        table[rows[part] - begin, categories[part]] = 1
        counts += table.T @ table
    return counts


NOBODY = Company({}, np.zeros((0, 0)))  # for whoever draws no wrong answers
