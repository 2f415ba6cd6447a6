"""Step 4: a classifier that sees words and no picture answers training questions, and those that it can are found.

What it answers teaches a student to answer without looking. It is cross-validated by image: what it knows of a
question comes from questions about other pictures.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise, repeat
from typing import Any

import numpy as np

from dataengine_lib.core.records import TrainRecord
from dataengine_lib.core.statistics import wilson
from dataengine_lib.curation.counts import BlindFigures

FOLDS = 5
# ways to cut the images into folds; a figure is their mean, as one alone goes up and down by a point
PARTITIONS = 3
MANY = 10_000  # records of which one cut is enough
MOST_ROUNDS = 40
_STEP = 0.5  # of the excess over chance that one round takes away: the rest may go by itself
_MARGIN = 0.5  # of the interval: aimed at, as another cut of the images finds a little more or less
_ALPHA = 1e-4
_STEPS = 100_000  # of the gradient, at the least: small sets are gone through more often
_ROWS_APART = 4  # partitions' seeds per round, so that no round sees the cuts of an earlier one


@dataclass(frozen=True)
class BlindTest:
    """`scores[i]`: the probability that the classifier gives the right choice of record i, 1/choices is guessing.

    `figures` of all records; `kept[i]` whether record i stays, and `after` the figures of those that do, found with
    cuts of the images that no record was dropped by. Both the same where nothing was to be dropped.
    """

    scores: list[float]
    figures: BlindFigures
    kept: list[bool]
    after: BlindFigures


def solve_blind(
    records: Iterable[TrainRecord], *, drop: bool = False, seed: int = 0, letters: bool = True
) -> BlindTest | None:
    """How well records' answers are told from their words; None for records of fewer than two images.

    With `drop`, the records that are solved most surely are dropped and the classifier fitted to the others anew,
    half of the excess over chance at a time, until the figure's interval holds chance. It is done over, not once,
    because with the first shortcut gone the classifier takes the next, and half at a time because dropping all that
    is solved leaves answers that can be told by being unlikely. Every round cuts the images anew, so that records
    are not dropped until one cut cannot tell them.
    Without `letters` the classifier does not see the choices' order, which is to be drawn anew. Records are read once
    and not held: 10,000 take some 2 seconds, 100,000 some 400 MB and 15 seconds, and with `drop` some minutes.
    Source: adversarial filtering, AFLite, Le Bras et al. 2020 (arXiv 2002.04108), with a linear classifier of
    words in place of one of a model's embeddings, and stopped at chance.
    """
    rows = iter(records)
    if (first := next(rows, None)) is None:
        return None
    data = _Data.of(chain([first], rows), letters)
    if len(np.unique(data.images)) < 2:
        return None
    everything = np.arange(len(data.right))
    found, sure = data.answered(everything, seed)
    figures = data.figures(everything, found)
    kept = _filtered(data, found, sure, seed) if drop else everything
    after = figures
    if len(kept) < len(everything):
        after = data.figures(kept, data.answered(kept, seed + _ROWS_APART * (MOST_ROUNDS + 1))[0])
    stays = np.zeros(len(everything), dtype=bool)
    stays[kept] = True
    return BlindTest([round(float(p), 4) for p in sure], figures, stays.tolist(), after)


def _filtered(data: "_Data", found: np.ndarray, sure: np.ndarray, seed: int) -> np.ndarray:
    """The records that stay, ascending."""
    kept = np.arange(len(found))
    for number in range(1, MOST_ROUNDS + 1):
        total, chance = len(kept), float(data.chances[kept].mean())
        solved = float(found.sum())
        spread = solved / total - wilson(round(solved), total).low
        if solved / total <= chance + _MARGIN * spread:
            break
        excess = (solved - chance * total) / (
            1 - chance
        )  # with as many solved ones less it would be at chance
        surest = np.lexsort((-sure, -(found > 0.5).astype(int)))[: max(1, int(np.ceil(_STEP * excess)))]
        kept = np.delete(kept, surest)
        if len(np.unique(data.images[kept])) < 2:
            break
        found, sure = data.answered(kept, seed + _ROWS_APART * number)
    return kept


@dataclass
class _Data:
    """Records as numbers: a row of `rows` for each choice, record i's from `starts[i]`, the right one at `right[i]`."""

    rows: Any
    starts: np.ndarray
    right: np.ndarray
    images: np.ndarray
    kinds: list[str]

    @classmethod
    def of(cls, records: Iterable[TrainRecord], letters: bool) -> "_Data":
        sizes: list[int] = []
        correct: list[int] = []
        images: list[int] = []
        kinds: list[str] = []

        def noted() -> Iterator[list[str]]:
            for record in records:
                sizes.append(len(record.choices))
                correct.append(record.correct_choice_idx)
                images.append(record.image_id)
                kinds.append(record.question_type)
                yield from choice_rows(record, letters)

        rows = hashed(noted())
        starts = np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)])
        right = starts[:-1] + np.array(correct, dtype=np.int64)
        return cls(rows, starts, right, np.array(images, dtype=np.int64), kinds)

    @property
    def chances(self) -> np.ndarray:
        return 1 / np.diff(self.starts)

    def figures(self, kept: np.ndarray, found: np.ndarray) -> BlindFigures:
        return BlindFigures.of([self.kinds[i] for i in kept], found.tolist(), self.chances[kept].tolist())

    def answered(self, kept: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """For each kept record: how often it is solved (0 to 1), and the right choice's mean probability."""
        sizes = np.diff(self.starts)[kept]
        starts = np.concatenate([[0], np.cumsum(sizes)])
        rows = np.arange(starts[-1]) + np.repeat(self.starts[kept] - starts[:-1], sizes)
        right = starts[:-1] + self.right[kept] - self.starts[kept]
        is_right = np.zeros(starts[-1], dtype=bool)
        is_right[right] = True
        found, sure = np.zeros(len(kept)), np.zeros(len(kept))
        partitions = PARTITIONS if len(kept) < MANY else 1
        for partition in range(partitions):
            folds = np.repeat(_folds(self.images[kept], seed + partition), sizes)
            scores = _cross_validated(self.rows, rows, is_right, folds, seed + partition)
            highest = np.maximum.reduceat(scores, starts[:-1])
            ties = np.add.reduceat((scores == np.repeat(highest, sizes)).astype(float), starts[:-1])
            found += (scores[right] == highest) / ties
            sure += scores[right] / np.add.reduceat(scores, starts[:-1])
        return found / partitions, sure / partitions


def _folds(images: np.ndarray, seed: int) -> np.ndarray:
    """The fold of every record: all of an image in one, the images spread evenly."""
    names, places = np.unique(images, return_inverse=True)
    drawn = np.random.default_rng(seed).permutation(len(names)) % min(FOLDS, len(names))
    return drawn[places]


def _cross_validated(
    features: Any, rows: np.ndarray, is_right: np.ndarray, folds: np.ndarray, seed: int
) -> np.ndarray:
    """The probability that each choice is right, by a classifier that was fitted to the other folds."""
    from sklearn.linear_model import SGDClassifier

    scores = np.empty(len(rows))
    for fold in range(int(folds.max()) + 1):
        held = folds == fold
        epochs = int(np.clip(np.ceil(_STEPS / max(1, len(rows) - held.sum())), 5, 20))
        model = SGDClassifier(
            loss="log_loss", alpha=_ALPHA, max_iter=epochs, tol=None, average=True, random_state=seed
        )
        model.fit(features[rows[~held]], is_right[~held])
        margin = np.clip(model.decision_function(features[rows[held]]).astype(np.float64), -30, 30)
        scores[held] = 1 / (1 + np.exp(-margin))
    return scores


FEATURES = 1 << 18  # places of the hashed counts; 100,000 records have some 300,000 different features


_WORD = re.compile(r"\w+")


def hashed(rows: Iterable[Sequence[str]]) -> Any:
    """A sparse float32 matrix `(number of rows, FEATURES)` of how often each feature of a row comes.

    Hashed, so that memory does not grow with the vocabulary. Source: the hashing trick, Weinberger et al. 2009, as
    in sklearn.feature_extraction.FeatureHasher.
    """
    from sklearn.feature_extraction import FeatureHasher

    hasher = FeatureHasher(FEATURES, input_type="pair", alternate_sign=False, dtype="float32")
    # what "string" does itself, only with a generator for each row
    return hasher.transform(zip(row, repeat(1)) for row in rows)


def choice_rows(record: TrainRecord, letters: bool = True) -> Iterator[list[str]]:
    """The features of each choice of a record.

    Of a choice its words, pairs of neighbouring words and whole text; its words and text also together with each
    word of the question; and what gives a choice away whatever it says: its letter (with `letters`), being the longest
    or shortest, how many words it shares with the question and with the other choices.
    """
    asked = list(dict.fromkeys(_words(record.question)))
    said = [_words(choice) for choice in record.choices]
    lengths = [len(choice) for choice in record.choices]
    for place, words in enumerate(said):
        others = {word for other, row in enumerate(said) if other != place for word in row}
        own = [f"c {word}" for word in dict.fromkeys(words)]
        whole = "t " + " ".join(words)
        row = [
            *own,
            whole,
            *(f"p {one} {other}" for one, other in pairwise(words)),
            *([f"at {place}"] if letters else []),
            f"words {min(len(words), 9)}",
        ]
        ends = [f" & {one}" for one in (*own, whole)]
        row += [word + end for word in asked for end in ends]
        row.append(f"shared {sum(word in others for word in words)}")
        row.append(f"asked {sum(word in asked for word in words)}")
        if lengths.count(lengths[place]) == 1:
            if lengths[place] == max(lengths):
                row.append("longest")
            elif lengths[place] == min(lengths):
                row.append("shortest")
        yield row


def _words(text: str) -> list[str]:
    return _WORD.findall(text.casefold())
