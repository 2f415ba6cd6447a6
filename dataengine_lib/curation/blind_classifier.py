"""Step 4: a text classifier that answers training questions without the image, to find those that need no image.

Questions that it answers would teach a student to answer without looking. The classifier is cross-validated by image:
what it knows about a question comes from questions about other images.
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
from dataengine_lib.images.references import id_key

_FOLDS = 5
# Ways to divide the images into folds; figures are their mean, since those of a single one vary by a percentage point.
_PARTITIONS = 3
_LARGE_SET = 10_000  # records from which one partition is enough
_MOST_ROUNDS = 40
_STEP = 0.5  # part of the excess over chance that one round removes; the rest may disappear with it
# Dropping goes on until the excess is at most this part of the interval, since another partition finds slightly more.
_MARGIN = 0.5
_ALPHA = 1e-4  # regularization strength of the classifier, scikit-learn's default
_STEPS = 100_000  # gradient steps at least; small sets are passed more often
_SEEDS_PER_ROUND = 4  # more than _PARTITIONS, so that no round uses the partitions of an earlier one
_FEATURES = 1 << 18  # hash buckets; 100,000 records have about 300,000 different features
_WORD = re.compile(r"\w+")


@dataclass(frozen=True)
class BlindTest:
    """Result of the blind test of all records, in their order.

    `scores[i]`: the probability that the classifier gives to the right choice of record i; guessing gives 1/choices.
    `figures`: accuracy on all records. `kept[i]`: whether record i stays; `after`: accuracy on those that stay, measured
    with partitions that were not used to drop records. If nothing is dropped, `after` equals `figures`.
    """

    scores: list[float]
    figures: BlindFigures
    kept: list[bool]
    after: BlindFigures


def solve_blind(
    records: Iterable[TrainRecord], *, drop: bool = False, seed: int = 0, letters: bool = True
) -> BlindTest | None:
    """How well the classifier answers the records from their words; None for records of fewer than two images.

    With `drop`, the records that it answers most surely are dropped and it is fitted anew to the rest, round by round,
    until chance lies in the interval of its accuracy. Each round removes half of the excess over chance: with one
    shortcut gone the classifier finds the next one, and dropping all answered records at once would leave answers that
    can be recognised because they are unlikely. Every round uses new partitions, so that no record is dropped because
    of one of them.
    Without `letters` the classifier does not see the order of choices, which will be shuffled afterwards.
    Records are read once and not kept in memory: 10,000 take about 2 seconds, 100,000 about 400 MB and 15 seconds, with
    `drop` a few minutes.
    Source: adversarial filtering, AFLite, Le Bras et al. 2020 (arXiv 2002.04108), with a linear classifier of words
    instead of one of a model's embeddings, and stopped at chance.
    """
    # one record is read ahead, since scikit-learn's hasher refuses an empty input
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
        # a seed above those of all rounds, so that these partitions have dropped no record
        after = data.figures(kept, data.answered(kept, seed + _SEEDS_PER_ROUND * (_MOST_ROUNDS + 1))[0])
    stays = np.zeros(len(everything), dtype=bool)
    stays[kept] = True
    return BlindTest([round(float(p), 4) for p in sure], figures, stays.tolist(), after)


def _filtered(data: "_Data", found: np.ndarray, sure: np.ndarray, seed: int) -> np.ndarray:
    """Indices of the records that stay, ascending; `found` and `sure` are the results of `_Data.answered` on all."""
    kept = np.arange(len(found))
    for number in range(1, _MOST_ROUNDS + 1):
        total, chance = len(kept), float(data.chances[kept].mean())
        solved = float(found.sum())
        spread = solved / total - wilson(round(solved), total).low
        if solved / total <= chance + _MARGIN * spread:
            break
        # without this many solved records, accuracy would be at chance
        excess = (solved - chance * total) / (1 - chance)
        # solved records first, the surest ones at the front
        surest = np.lexsort((-sure, -(found > 0.5).astype(int)))[: max(1, int(np.ceil(_STEP * excess)))]
        kept = np.delete(kept, surest)
        if len(np.unique(data.images[kept])) < 2:
            break
        found, sure = data.answered(kept, seed + _SEEDS_PER_ROUND * number)
    return kept


@dataclass
class _Data:
    """Records as numbers: a row of features per choice, those of record i from `starts[i]`, the right one at `right[i]`."""

    rows: Any
    starts: np.ndarray
    right: np.ndarray
    images: np.ndarray
    kinds: list[str]

    @classmethod
    def of(cls, records: Iterable[TrainRecord], letters: bool) -> "_Data":
        """Read the records once; each one's text becomes features and is forgotten."""
        sizes: list[int] = []
        correct: list[int] = []
        images: list[int] = []
        kinds: list[str] = []

        def rows_of_choices() -> Iterator[list[str]]:
            for record in records:
                sizes.append(len(record.choices))
                correct.append(record.correct_choice_idx)
                images.append(id_key(record.image_id))
                kinds.append(record.question_type)
                yield from _choice_rows(record, letters)

        rows = _hashed(rows_of_choices())
        # records of 4, 2 and 3 choices start at the rows 0, 4 and 6; the last entry, 9, is the end
        starts = np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)])
        right = starts[:-1] + np.array(correct, dtype=np.int64)
        return cls(rows, starts, right, np.array(images, dtype=np.int64), kinds)

    @property
    def chances(self) -> np.ndarray:
        return 1 / np.diff(self.starts)

    def figures(self, kept: np.ndarray, found: np.ndarray) -> BlindFigures:
        return BlindFigures.of([self.kinds[i] for i in kept], found.tolist(), self.chances[kept].tolist())

    def answered(self, kept: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """For each kept record: how often it is solved (0 to 1), and the mean probability of its right choice."""
        # the rows of the kept records' choices, one record after the other
        sizes = np.diff(self.starts)[kept]
        starts = np.concatenate([[0], np.cumsum(sizes)])
        rows = np.arange(starts[-1]) + np.repeat(self.starts[kept] - starts[:-1], sizes)
        right = starts[:-1] + self.right[kept] - self.starts[kept]
        is_right = np.zeros(starts[-1], dtype=bool)
        is_right[right] = True
        found, sure = np.zeros(len(kept)), np.zeros(len(kept))
        partitions = _PARTITIONS if len(kept) < _LARGE_SET else 1
        for partition in range(partitions):
            folds = np.repeat(_folds(self.images[kept], seed + partition), sizes)
            scores = _cross_validated(self.rows, rows, is_right, folds, seed + partition)
            # solved if the right choice has the highest score; a tie counts in part
            highest = np.maximum.reduceat(scores, starts[:-1])
            ties = np.add.reduceat((scores == np.repeat(highest, sizes)).astype(float), starts[:-1])
            found += (scores[right] == highest) / ties
            sure += scores[right] / np.add.reduceat(scores, starts[:-1])
        return found / partitions, sure / partitions


def _folds(images: np.ndarray, seed: int) -> np.ndarray:
    """The fold of every record; all records of an image are in the same one, images are spread evenly."""
    names, image_index = np.unique(images, return_inverse=True)
    # a permutation modulo the number of folds: their sizes differ by one image at most
    drawn = np.random.default_rng(seed).permutation(len(names)) % min(_FOLDS, len(names))
    return drawn[image_index]


def _cross_validated(
    features: Any, rows: np.ndarray, is_right: np.ndarray, folds: np.ndarray, seed: int
) -> np.ndarray:
    """The probability that each choice is right, from a classifier that was fitted to the other folds."""
    from sklearn.linear_model import SGDClassifier

    scores = np.empty(len(rows))
    for fold in range(int(folds.max()) + 1):
        held_out = folds == fold
        # passes over the rows: as many as _STEPS needs, but 5 at least and 20 at most
        epochs = int(np.clip(np.ceil(_STEPS / max(1, len(rows) - held_out.sum())), 5, 20))
        model = SGDClassifier(
            loss="log_loss", alpha=_ALPHA, max_iter=epochs, tol=None, average=True, random_state=seed
        )
        model.fit(features[rows[~held_out]], is_right[~held_out])
        # clipped, so that no probability is 0: those of a record are divided by their sum later
        margin = np.clip(model.decision_function(features[rows[held_out]]).astype(np.float64), -30, 30)
        scores[held_out] = 1 / (1 + np.exp(-margin))
    return scores


def _hashed(rows: Iterable[Sequence[str]]) -> Any:
    """A sparse float32 matrix `(number of rows, _FEATURES)`: how often each feature occurs in each row.

    Features are hashed, so that memory does not grow with the vocabulary. Source: the hashing trick, Weinberger et al.
    2009, as in sklearn.feature_extraction.FeatureHasher.
    """
    from sklearn.feature_extraction import FeatureHasher

    hasher = FeatureHasher(_FEATURES, input_type="pair", alternate_sign=False, dtype="float32")
    # the same as input_type "string", which would make a generator per row
    return hasher.transform(zip(row, repeat(1)) for row in rows)


def _choice_rows(record: TrainRecord, letters: bool = True) -> Iterator[list[str]]:
    """The features of each choice of a record, one list per choice.

    - the choice's words, pairs of neighbouring words, and whole text;
    - each word of the question together with each word of the choice, and with its whole text;
    - what reveals a choice whatever it says: its position (with `letters`), whether it is the longest or the shortest,
      how many words it shares with the question and with the other choices.
    """
    question_words = list(dict.fromkeys(_words(record.question)))
    choices = [_words(choice) for choice in record.choices]
    lengths = [len(choice) for choice in record.choices]
    for index, words in enumerate(choices):
        others = {word for other, row in enumerate(choices) if other != index for word in row}
        own = [f"c {word}" for word in dict.fromkeys(words)]
        whole = "t " + " ".join(words)
        row = [
            *own,
            whole,
            *(f"p {one} {other}" for one, other in pairwise(words)),
            *([f"at {index}"] if letters else []),
            f"words {min(len(words), 9)}",
        ]
        # of a question with "colour" and the choice "dark red": "colour & c red", "colour & t dark red"
        endings = [f" & {feature}" for feature in (*own, whole)]
        row += [word + ending for word in question_words for ending in endings]
        row.append(f"shared {sum(word in others for word in words)}")
        row.append(f"asked {sum(word in question_words for word in words)}")
        # a length that two choices share reveals neither of them
        if lengths.count(lengths[index]) == 1:
            if lengths[index] == max(lengths):
                row.append("longest")
            elif lengths[index] == min(lengths):
                row.append("shortest")
        yield row


def _words(text: str) -> list[str]:
    return _WORD.findall(text.casefold())
