"""Steps 1 and 4: questions that ask nearly the same. Step 1 keeps one of such bad cases, step 4 finds leaks and repeats."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import ceil
from typing import Protocol

from dataengine_lib.core.records import Answer
from dataengine_lib.core.text import key_words

_MOST_KEYS = 16  # of a text in the index; texts of usual length have about 6 at a threshold of 0.8
_ROUNDING = (
    1e-9  # rounding error of a threshold times a size, by which no pair at the threshold may be missed
)


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
    1997); here no pair is missed, see `_Index`.
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
        near = _nearest_kept([Shingles(records[copies[0]]) for copies in cases], threshold)
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


_Pairs = frozenset[tuple[str, str]]


class Shingles:
    """The shingles of a question and of its choices: pairs of neighbouring words, and each text's first and last word.

    Words are compared as `core.text.key_words` gives them. Both sets are made when they are first needed.
    """

    def __init__(self, record: _HasChoices) -> None:
        self._record = record

    @cached_property
    def question(self) -> _Pairs:
        """Those of the question."""
        return _pairs([self._record.question])

    @cached_property
    def choices(self) -> _Pairs:
        """Those of all choices together."""
        return _pairs(self._record.choices)


class NearQuestions:
    """An index of questions with their choices that finds those similar by at least `threshold`, see `reduce_pool`."""

    def __init__(self, records: Sequence[_HasChoices], threshold: float = 0.8) -> None:
        self.records, self.threshold = records, threshold
        # made twice, as the shingles of all take more memory than the index
        self._index = _Index(map(Shingles, records), threshold)
        for record in records:
            self._index.add(Shingles(record))

    def near(self, records: Iterable[_HasChoices]) -> Iterator[list[int]]:
        """For each record, in order, the ascending indices of the similar ones; reads one record at a time."""
        for record in records:
            yield [place for place, _ in self._index.similar(Shingles(record))]


def same_question(one: str, other: str) -> float:
    """The similarity of two questions without their choices, 0 to 1: the Jaccard index of their shingles."""
    pairs, others = _pairs([one]), _pairs([other])
    return _jaccard(len(pairs & others), len(pairs), len(others))


def _pairs(texts: Iterable[str]) -> _Pairs:
    found: set[tuple[str, str]] = set()
    for text in texts:
        words = key_words(text)
        found.update(
            zip(["", *words], [*words, ""], strict=True)
        )  # the first and the last word have a pair of their own
    return frozenset(found)


def _jaccard(common: int, one: int, other: int) -> float:
    """|A ∩ B| / |A ∪ B| by the sizes of the intersection and of both sets; 1 for two empty ones."""
    return common / (one + other - common) if one or other else 1.0


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
    """For each text in order: (index of the first kept one that is similar, similarity); itself if it is kept."""
    index = _Index(texts, threshold)
    kept: list[int] = []
    near: list[tuple[int, float]] = []
    for place, text in enumerate(texts):
        if found := next(index.similar(text), None):
            near.append((kept[found[0]], found[1]))
        else:
            near.append((place, 1.0))
            index.add(text)
            kept.append(place)
    return near


_Ranks = dict[tuple[str, str], int]
_NONE = -1  # in place of a rank where a record has no choices


class _Index:
    """Finds the texts whose questions and choices are both similar by at least `threshold`; misses none.

    `vocabulary` are texts of the kind that will be added. Two sets of Jaccard index t or more share an element among
    the `_prefix` rarest of each, so only texts that share a rare shingle of the question and one of the choices are
    compared. Source: prefix filtering, Chaudhuri et al. 2006; Bayardo et al. 2007.
    """

    def __init__(self, vocabulary: Iterable[Shingles], threshold: float) -> None:
        self.threshold = threshold
        questions: Counter[tuple[str, str]] = Counter()
        choices: Counter[tuple[str, str]] = Counter()
        for text in vocabulary:
            questions.update(text.question)
            choices.update(text.choices)
        self._question_rank, self._choice_rank = _ranks(questions), _ranks(choices)
        # each text's shingles by their ranks, the rarest first
        self._texts: list[tuple[tuple[int, ...], tuple[int, ...]]] = []
        # places of the texts by (rank of a shingle of the question, rank of one of the choices), or by the first alone
        # where a text is so long that it would have too many keys
        self._by_pair: dict[tuple[int, int], list[int]] = {}
        self._by_question: dict[int, list[int]] = {}

    def add(self, text: Shingles) -> None:
        """Add a text of the vocabulary behind those that were added before."""
        place = len(self._texts)
        question = tuple(sorted(self._question_rank[pair] for pair in text.question))
        choices = tuple(sorted(self._choice_rank[pair] for pair in text.choices))
        self._texts.append((question, choices))
        rare = question[: self._prefix(len(question))]
        rare_choices = choices[: self._prefix(len(choices))] or (_NONE,)
        if len(rare) * len(rare_choices) > _MOST_KEYS:
            for one in rare:
                self._by_question.setdefault(one, []).append(place)
            return
        for one in rare:
            for other in rare_choices:
                self._by_pair.setdefault((one, other), []).append(place)

    def similar(self, text: Shingles) -> Iterator[tuple[int, float]]:
        """(place, similarity) of each added text that is similar to this one, by ascending place."""
        question, rare = self._known(text.question, self._question_rank)
        # a question without rare shingles in common is similar to none, which rules out most of them
        if not rare:
            return
        choices, rare_choices = self._known(text.choices, self._choice_rank)
        if not text.choices:
            rare_choices = [_NONE]
        places: set[int] = set()
        for one in rare:
            places.update(self._by_question.get(one, ()))
            for other in rare_choices:
                places.update(self._by_pair.get((one, other), ()))
        for place in sorted(places):
            other_question, other_choices = self._texts[place]
            common = len(question.intersection(other_question))
            similarity = _jaccard(common, len(text.question), len(other_question))
            # most candidates are ruled out before their choices are compared
            if similarity < self.threshold:
                continue
            common = len(choices.intersection(other_choices))
            similarity = min(similarity, _jaccard(common, len(text.choices), len(other_choices)))
            if similarity >= self.threshold:
                yield place, similarity

    def _known(self, pairs: _Pairs, rank: Mapping[tuple[str, str], int]) -> tuple[set[int], list[int]]:
        """The ranks of those shingles that the index knows, and of those among the set's rarest."""
        known = {rank[pair] for pair in pairs if pair in rank}
        # unknown shingles are the rarest of all
        rare = self._prefix(len(pairs)) - (len(pairs) - len(known))
        return known, sorted(known)[:rare] if rare > 0 else []

    def _prefix(self, size: int) -> int:
        """Of a set of this size, how many of its rarest elements one of a similar set must be among."""
        return size - ceil(self.threshold * size - _ROUNDING) + 1 if size else 0


def _ranks(counts: Counter[tuple[str, str]]) -> _Ranks:
    """A number for each shingle, 0 for the rarest; equally frequent ones in their own order."""
    return {pair: rank for rank, pair in enumerate(sorted(counts, key=lambda pair: (counts[pair], pair)))}
