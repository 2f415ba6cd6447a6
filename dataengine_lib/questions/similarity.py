"""Steps 1 and 4: questions that ask nearly the same. Step 1 keeps one of such bad cases, step 4 finds leaks and repeats."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, pairwise
from typing import Any, Protocol

from dataengine_lib.core.records import Answer
from dataengine_lib.core.text import key_words

_HASHES = 128  # of a MinHash, datasketch's default
_CHUNK = 1000  # texts hashed at a time
_MISSED = 1e-3  # most pairs at the threshold that the hashes may miss, as a share


class _HasChoices(Protocol):
    """A question with its choices: Question, Answer or TrainRecord."""

    question: str
    choices: list[str]


@dataclass(frozen=True)
class DroppedRecord:
    """A record that is left out, the kept one that represents it, and their similarity (0 to 1)."""

    record: Answer
    representative: Answer
    similarity: float


@dataclass(frozen=True)
class ReducedPool:
    """The records that are kept, and those that another one represents; both in the input's order."""

    kept: list[Answer]
    dropped: list[DroppedRecord]


def reduce_pool(records: Sequence[Answer], threshold: float = 0.8, seed: int = 0) -> ReducedPool:
    """Keep one of the records of a type whose questions and choices are both similar by at least `threshold`.

    Records are visited in an order drawn with `seed`; one is kept unless it is similar to one that is kept already. So
    each dropped one is similar to its representative, which clusters of chained pairs would not guarantee, and no two
    kept ones are similar. The order depends on a record's own text alone: copies in the input change nothing.
    `threshold` 1 drops exact copies only, 0 keeps everything.
    Similarity is the Jaccard index of the shingles, of the questions or of the choices, whichever is lower: `What is
    the man holding?` with other choices is another question, and so is another question with the same four colours.
    The order of the choices is ignored. At 0.8, one changed word makes another question of up to 16 words.
    Source: MLLM-DataEngine v2, near-duplicates among bad cases by MinHash and locality-sensitive hashing (Broder
    1997); here the candidates that it finds are compared exactly.
    """
    if threshold <= 0:
        return ReducedPool(list(records), [])
    # places of the records with the same words; of exact copies, the one that is drawn first may be kept
    by_text: dict[str, list[int]] = {}
    for place, record in enumerate(records):
        by_text.setdefault(_text(record), []).append(place)
    for copies in by_text.values():
        copies.sort(key=lambda place: _drawn(seed, _name(records[place])))
    # the distinct texts of each type, in the drawn order
    by_type: dict[str, list[str]] = {}
    for text in sorted(by_text, key=lambda text: _drawn(seed, text)):
        by_type.setdefault(records[by_text[text][0]].question_type, []).append(text)
    # for each record's place: that of the kept record that represents it (its own if it is kept), and their similarity
    found: dict[int, tuple[int, float]] = {}
    for texts in by_type.values():
        cases = [by_text[text] for text in texts]
        near = _nearest_kept([Shingles.of(records[copies[0]]) for copies in cases], threshold)
        for copies, (kept, similarity) in zip(cases, near, strict=True):
            found |= dict.fromkeys(copies, (cases[kept][0], similarity))
    return ReducedPool(
        kept=[record for place, record in enumerate(records) if found[place][0] == place],
        dropped=[
            DroppedRecord(record, records[found[place][0]], round(found[place][1], 4))
            for place, record in enumerate(records)
            if found[place][0] != place
        ],
    )


@dataclass(frozen=True)
class Shingles:
    """The shingles of a question and of its choices: pairs of neighbouring words, and each text's first and last word.

    Words are compared as `core.text.key_words` gives them.
    """

    question: frozenset[str]
    choices: frozenset[str]

    @classmethod
    def of(cls, record: _HasChoices) -> "Shingles":
        """The shingles of a record's question and choices."""
        return cls(_pairs("q", [record.question]), _pairs("c", record.choices))


class NearQuestions:
    """An index of questions with their choices that finds those similar by at least `threshold`, see `reduce_pool`."""

    def __init__(self, records: Sequence[_HasChoices], threshold: float = 0.8) -> None:
        self.records, self.threshold = records, threshold
        self._texts = [Shingles.of(record) for record in records]
        self._bands, self._rows = _bands(threshold)
        self._index = _index(self._bands, self._rows)
        for place, sketch in enumerate(_sketches(self._texts, self._bands * self._rows)):
            # every place is inserted once, so datasketch need not look for duplicates
            self._index.insert(place, sketch, check_duplication=False)

    def near(self, records: Iterable[_HasChoices]) -> Iterator[list[int]]:
        """For each record, in order, the ascending indices of the similar ones; reads `_CHUNK` records at a time."""
        waiting = iter(records)
        while some := [Shingles.of(record) for record in islice(waiting, _CHUNK)]:
            for text, sketch in zip(some, _sketches(some, self._bands * self._rows), strict=True):
                candidates = sorted(self._index.query(sketch))  # may hold others too: compared exactly
                yield [p for p in candidates if _first_similar(text, self._texts, [p], self.threshold)]


def same_question(one: str, other: str) -> float:
    """The similarity of two questions without their choices, 0 to 1: the Jaccard index of their shingles."""
    return _jaccard(_pairs("q", [one]), _pairs("q", [other]))


def _pairs(kind: str, texts: Iterable[str]) -> frozenset[str]:
    found = set()
    for text in texts:
        words = ["", *key_words(text), ""]  # so that the first and the last word are in a pair of their own
        found |= {"\0".join([kind, one, other]) for one, other in pairwise(words)}
    return frozenset(found)


def _jaccard(one: frozenset[str], other: frozenset[str]) -> float:
    common = len(one & other)  # |A ∩ B| / |A ∪ B|, without building the union
    return common / (len(one) + len(other) - common) if one or other else 1.0


def _text(record: Answer) -> str:
    """A key that is equal for records with the same words and type, in any order of the choices."""
    choices = sorted("\1".join(key_words(choice)) for choice in record.choices)
    return "\0".join([record.question_type, "\1".join(key_words(record.question)), *choices])


def _name(record: Answer) -> str:
    return "\0".join([record.question_id, str(record.image_id), record.image_path])


def _drawn(seed: int, text: str) -> bytes:
    """A sort key that gives a random order, the same in every run and for every input that has the text."""
    # surrogatepass: UTF-8 does not encode lone surrogates such as \ud800
    return hashlib.sha256(f"{seed}\0{text}".encode("utf-8", "surrogatepass")).digest()


def _nearest_kept(texts: Sequence[Shingles], threshold: float) -> list[tuple[int, float]]:
    """For each text in order: (index of the first kept one that is similar, similarity); itself if it is kept.

    The hashes are of question and choices together: where both are similar by `threshold`, so is their union.
    """
    bands, rows = _bands(threshold)
    index = _index(bands, rows)
    near: list[tuple[int, float]] = []
    for place, sketch in enumerate(_sketches(texts, bands * rows)):
        found = _first_similar(texts[place], texts, sorted(index.query(sketch)), threshold)
        near.append(found or (place, 1.0))
        if found is None:
            index.insert(place, sketch, check_duplication=False)
    return near


def _index(bands: int, rows: int) -> Any:
    from datasketch import MinHashLSH

    return MinHashLSH(num_perm=bands * rows, params=(bands, rows))


def _sketches(texts: Iterable[Shingles], hashes: int) -> Iterator[Any]:
    """The MinHash of every text's question and choices together."""
    from datasketch import MinHash

    encoded = (
        [shingle.encode("utf-8", "surrogatepass") for shingle in text.question | text.choices]
        for text in texts
    )
    yield from MinHash.generator(encoded, num_perm=hashes)


def _first_similar(
    text: Shingles, texts: Sequence[Shingles], candidates: Iterable[int], threshold: float
) -> tuple[int, float] | None:
    for place in candidates:
        similarity = _jaccard(text.question, texts[place].question)
        if similarity >= threshold:  # most candidates are ruled out before their choices are compared
            similarity = min(similarity, _jaccard(text.choices, texts[place].choices))
            if similarity >= threshold:
                return place, similarity
    return None


def _bands(threshold: float) -> tuple[int, int]:
    """(bands, rows) of locality-sensitive hashing: the longest rows that miss at most `_MISSED` at the threshold."""
    # a pair of similarity s is a candidate with probability 1 - (1 - s^rows)^bands; longer rows give fewer false ones
    # at 0.8: 25 bands of 5 rows
    rows = next(
        r for r in range(_HASHES // 2, 0, -1) if (1 - threshold**r) ** (_HASHES // r) <= _MISSED or r == 1
    )
    return _HASHES // rows, rows
